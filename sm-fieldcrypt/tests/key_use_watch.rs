//! Observers over observers: sums of many uses, and alerts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod common;

use common::{Bench, NOW, context};
use sm_fieldcrypt::{
    AggregatingObserver, Alert, AlertRule, AlertSink, AlertingObserver, CountBy, Error, KeyUse,
    KeyUseObserver, KeyUser, ManualClock, ObserverMode, Operation, Outcome, Refused,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Operation, outcome, principal, count, and uses before.
type Event = (Operation, Outcome, String, u64, u64);

#[derive(Default)]
struct Seen {
    events: Mutex<Vec<Event>>,
    refuses: AtomicBool,
}

impl Seen {
    fn took(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }

    fn count(&self, of: Operation) -> u64 {
        let events = self.events.lock().unwrap();
        events.iter().filter(|e| e.0 == of).map(|e| e.3).sum()
    }
}

impl KeyUseObserver for Seen {
    fn observe(&self, key_use: &KeyUse<'_>) -> Result<(), Refused> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(Refused::new("full"));
        }
        self.events.lock().unwrap().push((
            key_use.operation,
            key_use.outcome,
            key_use.principal.into(),
            key_use.count,
            key_use.usage_count,
        ));
        Ok(())
    }
}

fn open<'a>(principal: &'a str, count: u64, usage_count: u64) -> KeyUse<'a> {
    let mut key_use = KeyUse::new(principal, "fek://track/1", "track", Operation::Open);
    key_use.outcome = Outcome::Succeeded;
    (key_use.count, key_use.usage_count) = (count, usage_count);
    key_use
}

fn with<'a>(mut base: KeyUse<'a>, change: impl FnOnce(&mut KeyUse<'a>)) -> KeyUse<'a> {
    change(&mut base);
    base
}

#[test]
fn a_scan_is_two_events_and_no_use_is_lost() {
    let (seen, clock) = (Arc::new(Seen::default()), Arc::new(ManualClock::new(NOW)));
    let observer = AggregatingObserver::new(seen.clone(), 60).clock(clock.clone());
    for i in 0..1_000_000 {
        observer.observe(&open("user:1", 1, i)).unwrap();
    }
    observer.observe(&open("user:2", 3, 1_000_000)).unwrap();
    let succeeded = |who: &str, count, usage| {
        (
            Operation::Open,
            Outcome::Succeeded,
            who.to_string(),
            count,
            usage,
        )
    };
    // The first of each is told at once.
    assert_eq!(
        seen.took(),
        [succeeded("user:1", 1, 0), succeeded("user:2", 3, 1_000_000)]
    );
    clock.advance(60);
    // The window is over when something is seen.
    observer.observe(&open("user:3", 1, 1_000_003)).unwrap();
    assert_eq!(
        seen.took(),
        [
            succeeded("user:1", 999_999, 1),
            succeeded("user:3", 1, 1_000_003)
        ]
    );
    // A new window begins with a use that is told at once.
    observer.observe(&open("user:1", 2, 1_000_004)).unwrap();
    observer.observe(&open("user:1", 5, 1_000_006)).unwrap();
    assert_eq!(seen.took(), [succeeded("user:1", 2, 1_000_004)]);
    observer.flush().unwrap();
    assert_eq!(seen.took(), [succeeded("user:1", 5, 1_000_006)]);
    observer.observe(&open("user:1", 1, 1_000_011)).unwrap();
    observer.observe(&open("user:1", 1, 1_000_012)).unwrap();
    seen.took();
    drop(observer);
    assert_eq!(seen.took(), [succeeded("user:1", 1, 1_000_012)]);
}

#[test]
fn kinds_are_kept_apart_and_some_are_never_summed_up() {
    let seen = Arc::new(Seen::default());
    let observer = AggregatingObserver::new(seen.clone(), 60);
    let base = open("user:1", 1, 0);
    let kinds = [
        base,
        with(base, |it| it.key_id = "fek://track/2"),
        with(base, |it| it.tenant = Some("bank-a")),
        with(base, |it| it.outcome = Outcome::Failed),
        with(base, |it| it.operation = Operation::Seal),
        with(base, |it| it.trace_id = Some("t")),
        with(base, |it| it.class = "other"),
    ];
    for _ in 0..3 {
        for key_use in &kinds {
            observer.observe(key_use).unwrap();
        }
    }
    assert_eq!(seen.took().len(), 7);
    observer.flush().unwrap();
    let summed = seen.took();
    assert_eq!(summed.len(), 7);
    assert!(summed.iter().all(|event| event.3 == 2));
    for operation in [
        Operation::Rotate,
        Operation::UnwrapKey,
        Operation::ChangeState,
    ] {
        for _ in 0..3 {
            observer
                .observe(&with(base, |it| it.operation = operation))
                .unwrap();
        }
        assert_eq!(seen.took().len(), 3);
    }
    observer
        .observe(&with(base, |it| it.outcome = Outcome::Attempted))
        .unwrap();
    observer
        .observe(&with(base, |it| it.outcome = Outcome::Attempted))
        .unwrap();
    assert_eq!(seen.took().len(), 2);
}

/// A ring behind a fail-closed observer that sums up: refused is refused, and counted is counted.
#[tokio::test]
async fn a_fail_closed_observer_still_refuses_the_first_use() {
    let bench = Bench::new();
    let seen = Arc::new(Seen::default());
    let observer = AggregatingObserver::new(seen.clone(), 60).clock(bench.clock.clone());
    let observer = Arc::new(observer);
    let ring = bench
        .ready()
        .observer(observer.clone(), ObserverMode::FailClosed);
    let ring = ring.build().await.unwrap();
    let key = ring
        .prepare("track", "bank-a", &KeyUser::new("u"))
        .await
        .unwrap();
    seen.refuses.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(matches!(
            key.seal(b"x", &context(1)),
            Err(Error::Refused { .. })
        ));
    }
    seen.refuses.store(false, Ordering::SeqCst);
    seen.took();
    let sealed: Vec<_> = (0..100)
        .map(|i| key.seal(b"x", &context(i)).unwrap())
        .collect();
    for (i, value) in (0..).zip(&sealed) {
        key.open(value, &context(i)).unwrap();
    }
    observer.flush().unwrap();
    assert_eq!(
        (seen.count(Operation::Seal), seen.count(Operation::Open)),
        (100, 100)
    );
    assert_eq!(seen.took().len(), 4);
}

/// What cannot be delivered is neither lost nor a reason to go on unrecorded.
#[test]
fn hazard_sums_are_lost_when_the_observer_behind_refuses() {
    let (seen, clock) = (Arc::new(Seen::default()), Arc::new(ManualClock::new(NOW)));
    let observer = AggregatingObserver::new(seen.clone(), 60).clock(clock.clone());
    for i in 0..10 {
        observer.observe(&open("a", 1, i)).unwrap();
    }
    seen.refuses.store(true, Ordering::SeqCst);
    clock.advance(60);
    // The window is over, and its sum is refused: so is each use of this kind, and of others.
    for i in 10..13 {
        assert!(observer.observe(&open("a", 1, i)).is_err());
        assert!(observer.observe(&open("b", 1, i)).is_err());
    }
    assert!(observer.flush().is_err());
    seen.refuses.store(false, Ordering::SeqCst);
    seen.took();
    observer.observe(&open("a", 1, 13)).unwrap();
    observer.observe(&open("a", 1, 14)).unwrap();
    observer.flush().unwrap();
    // 1 before, 9 that were kept, 1 at once, 1 summed up.
    assert_eq!(seen.count(Operation::Open), 9 + 1 + 1);
    let events = seen.took();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!((events[1].3, events[1].4), (10, 1));
}

#[derive(Default)]
struct Alerts(Mutex<Vec<(String, String, u64)>>);

impl AlertSink for Alerts {
    fn alert(&self, alert: &Alert<'_>) {
        let who = alert.key_use.principal.to_string();
        self.0
            .lock()
            .unwrap()
            .push((alert.rule.into(), who, alert.values));
    }
}

fn watch(rules: Vec<AlertRule>, at: u64) -> (AlertingObserver, Arc<Alerts>, Arc<ManualClock>) {
    let (alerts, clock) = (Arc::new(Alerts::default()), Arc::new(ManualClock::new(at)));
    let behind = Arc::new(Seen::default());
    let observer = AlertingObserver::new(behind, rules, alerts.clone()).unwrap();
    (observer.clock(clock.clone()), alerts, clock)
}

#[test]
fn more_than_so_many_within_a_window_is_one_alert_a_window() {
    let rule = AlertRule::more_than("bulk", 10, 60, CountBy::Principal).operation(Operation::Open);
    let (observer, alerts, clock) = watch(vec![rule.key_prefix("fek://track")], NOW);
    let took = || std::mem::take(&mut *alerts.0.lock().unwrap());
    let uses = |who: &str, count: u64| observer.observe(&open(who, count, 0)).unwrap();
    uses("a", 10);
    uses("b", 10);
    assert!(took().is_empty());
    uses("a", 1);
    assert_eq!(took(), [("bulk".into(), "a".into(), 11)]);
    uses("a", 100);
    assert!(took().is_empty());
    // Slowly is no alert: the window slides.
    clock.advance(60);
    for _ in 0..20 {
        clock.advance(7);
        uses("b", 1);
    }
    assert!(took().is_empty());
    uses("b", 2);
    assert_eq!(took(), [("bulk".into(), "b".into(), 11)]);
    // Other operations, outcomes and keys are not counted.
    let base = open("c", 50, 0);
    for other in [
        with(base, |it| it.operation = Operation::Seal),
        with(base, |it| it.outcome = Outcome::Attempted),
        with(base, |it| it.key_id = "fek://bank_card/1"),
    ] {
        observer.observe(&other).unwrap();
    }
    assert!(took().is_empty());
    clock.advance(1000);
    uses("a", 11);
    assert_eq!(took().len(), 1);
}

#[test]
fn traces_and_keys_are_counted_by_themselves() {
    let rules = vec![
        AlertRule::more_than("one request", 5, 60, CountBy::Trace),
        AlertRule::more_than("one key", 8, 60, CountBy::Key),
    ];
    let (observer, alerts, _) = watch(rules, NOW);
    for trace in ["t1", "t2"] {
        let key_use = with(open("a", 4, 0), |it| it.trace_id = Some(trace));
        observer.observe(&key_use).unwrap();
    }
    assert!(alerts.0.lock().unwrap().is_empty());
    let key_use = with(open("a", 2, 0), |it| it.trace_id = Some("t1"));
    observer.observe(&key_use).unwrap();
    let expected = [
        ("one request".into(), "a".into(), 6),
        ("one key".into(), "a".into(), 10),
    ];
    assert_eq!(*alerts.0.lock().unwrap(), expected);
}

#[test]
fn hours_of_the_day_in_the_clock_of_the_place() {
    // Midnight in UTC is eight in the morning in China.
    let night = AlertRule::between("night", 22 * 3600, 6 * 3600, 8 * 3600);
    let noon = AlertRule::between("noon", 12 * 3600, 13 * 3600, 8 * 3600);
    let (observer, alerts, clock) = watch(vec![night, noon], NOW);
    let mut hours = Vec::new();
    for hour in 0..24 {
        observer.observe(&open("a", 1, 0)).unwrap();
        observer.observe(&open("a", 1, 0)).unwrap();
        hours.extend(
            alerts
                .0
                .lock()
                .unwrap()
                .drain(..)
                .map(|alert| (alert.0, (hour + 8) % 24)),
        );
        clock.advance(3600);
    }
    let night = [22, 23, 0, 1, 2, 3, 4, 5].map(|hour| ("night".to_string(), hour));
    assert_eq!(
        hours,
        [vec![("noon".to_string(), 12)], night.to_vec()].concat()
    );
}

#[test]
fn impossible_rules_are_refused() {
    for rule in [
        AlertRule::more_than("", 1, 1, CountBy::Key),
        AlertRule::more_than("x", 1, 0, CountBy::Key),
        AlertRule::more_than("x", 1, 86_401, CountBy::Key),
        AlertRule::between("x", 0, 86_401, 0),
        AlertRule::between("x", 86_400, 5, 0),
        AlertRule::between("x", 5, 5, 0),
        AlertRule::between("x", 0, 5, 86_400),
    ] {
        let behind = Arc::new(Seen::default());
        let sink = Arc::new(Alerts::default());
        let built = AlertingObserver::new(behind, [rule.clone()], sink);
        assert!(matches!(built, Err(Error::Config { .. })), "{rule:?}");
    }
}
