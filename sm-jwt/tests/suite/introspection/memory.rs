//! Answers that are remembered, and many who ask at a time.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use tokio::time::advance;

#[test]
fn answers_are_remembered_for_a_short_time() {
    with_still_time(async {
        let server = Server::start(says(&active()));
        let clock = clock();
        let client =
            IntrospectionClient::new(config(&server).clock(Arc::new(clock.clone()))).unwrap();
        for _ in 0..10 {
            assert_eq!(ask(&client, TOKEN).await, "ok");
        }
        assert_eq!(server.requests(), 1);
        // Another token is another one, however alike.
        assert_eq!(ask(&client, "opaque-token-2").await, "ok");
        assert_eq!(ask(&client, "opaque-token-1 ").await, "ok");
        assert_eq!(server.requests(), 3);

        // Revoked: it is accepted for the rest of its 30 s, and then no more.
        server.reply(says(&json!({ "active": false })));
        advance(SECOND * 30 - Duration::from_millis(1)).await;
        assert_eq!(ask(&client, TOKEN).await, "ok");
        advance(Duration::from_millis(1)).await;
        assert_eq!(ask(&client, TOKEN).await, "inactive_token");
        assert_eq!(server.requests(), 4);

        // Inactive is remembered for 5 s.
        server.reply(says(&active()));
        advance(SECOND * 5 - Duration::from_millis(1)).await;
        assert_eq!(ask(&client, TOKEN).await, "inactive_token");
        assert_eq!(server.requests(), 4);
        advance(Duration::from_millis(1)).await;
        assert_eq!(ask(&client, TOKEN).await, "ok");
        assert_eq!(server.requests(), 5);

        // Never past `exp`: then the issuer is asked, and what it says is checked again.
        clock.set(NOW + 599);
        assert_eq!(ask(&client, TOKEN).await, "ok");
        assert_eq!(server.requests(), 5);
        clock.set(NOW + 600);
        assert_eq!(ask(&client, TOKEN).await, "ok", "within the leeway");
        assert_eq!(server.requests(), 6);
        clock.set(NOW + 630);
        assert_eq!(ask(&client, TOKEN).await, "expired");
        assert_eq!(server.requests(), 7);
    });
}

#[test]
fn made_up_tokens_push_out_no_good_ones() {
    with_still_time(async {
        let server = Server::start(says(&active()));
        let client = IntrospectionClient::new(config(&server).remembered(64)).unwrap();
        assert_eq!(ask(&client, TOKEN).await, "ok");
        server.reply(says(&json!({ "active": false })));
        for i in 0..500 {
            assert_eq!(
                ask(&client, &format!("made-up-{i}")).await,
                "inactive_token"
            );
        }
        assert_eq!(server.requests(), 501);
        assert_eq!(ask(&client, TOKEN).await, "ok");
        assert_eq!(ask(&client, "made-up-499").await, "inactive_token");
        assert_eq!(server.requests(), 501);
        assert_eq!(ask(&client, "made-up-0").await, "inactive_token");
        assert_eq!(server.requests(), 502);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_show_one_token_make_one_request() {
    let server = Server::start(says(&active()));
    server.set_open(false);
    let client = client(&server);
    let asking: Vec<_> = (0..100)
        .map(|i| {
            let client = Arc::clone(&client);
            let token = format!("token-{}", i % 2);
            tokio::spawn(async move { ask(&client, &token).await })
        })
        .collect();
    until("both requests", || server.requests() == 2).await;
    assert!(asking.iter().all(|task| !task.is_finished()));
    server.set_open(true);
    for task in asking {
        assert_eq!(task.await.unwrap(), "ok");
    }
    assert_eq!(server.requests(), 2);
}

#[test]
fn many_who_show_one_token_share_a_failure() {
    with_still_time(async {
        let server = Server::start(Reply::status(500));
        server.set_open(false);
        let client = client(&server);
        let asking: Vec<_> = (0..100)
            .map(|_| {
                let client = Arc::clone(&client);
                tokio::spawn(async move { ask(&client, TOKEN).await })
            })
            .collect();
        until("the request", || server.requests() == 1).await;
        // There is one thread: each of them has had its turn.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        server.set_open(true);
        for task in asking {
            assert_eq!(task.await.unwrap(), "introspection_failed");
        }
        assert_eq!(server.requests(), 1);
    });
}

#[tokio::test]
async fn who_gives_up_leaves_the_others_their_answer() {
    let server = Server::start(says(&active()));
    server.set_open(false);
    let client = client(&server);
    let asking = |client: &Arc<IntrospectionClient>| {
        let client = Arc::clone(client);
        tokio::spawn(async move { ask(&client, TOKEN).await })
    };
    let first = asking(&client);
    until("the request", || server.requests() == 1).await;
    let second = asking(&client);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    server.set_open(true);
    assert_eq!(second.await.unwrap(), "ok");
    assert_eq!(server.requests(), 1);
}

#[test]
fn a_bounded_number_of_requests_is_under_way() {
    with_still_time(async {
        let server = Server::start(says(&active()));
        server.set_open(false);
        let client = IntrospectionClient::new(config(&server).connections(3)).unwrap();
        let client = Arc::new(client);
        let ask_about = |token: String| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.introspect(&token).await })
        };
        let asking: Vec<_> = (0..1024).map(|i| ask_about(format!("t{i}"))).collect();
        until("three requests", || server.requests() == 3).await;
        // One more than may wait is refused at once; one that is being asked about waits with the others.
        let error = client.introspect("one too many").await.unwrap_err();
        assert_eq!(error.code(), "introspection_failed");
        assert!(error.to_string().contains("too many"), "{error}");
        let joined = ask_about("t1023".to_owned());
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(server.requests(), 3);
        assert!(!joined.is_finished());

        server.set_open(true);
        for task in asking {
            assert!(task.await.unwrap().is_ok());
        }
        assert!(joined.await.unwrap().is_ok());
        assert_eq!(server.requests(), 1024);
        assert_eq!(ask(&client, "one too many").await, "ok");
    });
}

/// Waiting for a connection is part of the time that asking may take.
#[test]
fn waiting_for_a_connection_ends() {
    with_still_time(async {
        let server = Server::start(says(&active()));
        server.set_open(false);
        let client = IntrospectionClient::new(config(&server).connections(1)).unwrap();
        let client = Arc::new(client);
        let asking = ["a", "b"].map(|token| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.introspect(token).await })
        });
        until("the first request", || server.requests() == 1).await;
        advance(SECOND * 5 + Duration::from_millis(5)).await;
        for task in asking {
            let error = task.await.unwrap().unwrap_err();
            assert!(error.to_string().contains("within 5000 ms"), "{error}");
        }
    });
}
