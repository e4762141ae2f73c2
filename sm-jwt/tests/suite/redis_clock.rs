//! A Redis server whose clock jumps ahead and comes back: it has forgotten meanwhile what it was to keep.

use std::time::{Duration, Instant};

use crate::redis_server::*;
use sm_jwt::*;

/// So far that all entries end.
pub const JUMP: i64 = 100_000;

/// The server sees the jump when it next looks at its clock.
pub fn jump(server: &Server, ahead: i64) {
    server.set_clock(ahead);
    wait_for(|| {
        let (seconds, _): (i64, i64) = server.ask(&["TIME"]);
        let right = i64::try_from(now()).unwrap() + ahead;
        (seconds - right).abs() <= 1
    });
}

/// The entries are gone, not only out of date.
pub fn forgets(server: &Server, pattern: &str) {
    wait_for(|| server.ask::<Vec<String>>(&["KEYS", pattern]).is_empty());
}

#[tokio::test]
async fn tokens_used_before_a_jump_are_not_fresh_after_it() {
    if !redis_is_here() {
        return;
    }
    let server = Server::start_with_clock();
    let store = store(&server);
    let used = new_entry("used");
    assert_eq!(consume(&store, &used).await, "fresh");
    assert_eq!(consume(&store, &used).await, "replayed");

    jump(&server, JUMP);
    // While the clocks differ nothing is answered ...
    assert_eq!(consume(&store, &used).await, "wrong set-up");
    assert_eq!(consume(&store, &new_entry("new")).await, "wrong set-up");
    forgets(&server, "test:used:*");
    jump(&server, 0);
    let start = Instant::now();
    // ... and then nothing that may have been forgotten is fresh to whoever saw the jump.
    // The store says again for a while what it has found wrong.
    while consume(&store, &used).await == "wrong set-up" {
        assert!(start.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(consume(&store, &used).await, "clock went back");
    // What ends later than the server's clock has ever shown cannot have been forgotten.
    let key = ReplayKey::new("txn+jwt", "issuer", "later");
    let end = now() + u64::try_from(JUMP).unwrap() + 3600;
    let later = ReplayEntry::new(key, now() + 1000, end);
    assert_eq!(consume(&store, &later).await, "fresh");
    assert_eq!(consume(&store, &later).await, "replayed");
}
