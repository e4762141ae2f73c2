//! Guards and observers: what they see, when, and what their refusal does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod common;

use common::{Bench, context, user};
use sm_fieldcrypt::{
    Error, FieldContext, KekProvider, KeyRing, KeyState, KeyUse, KeyUseGuard, KeyUseObserver,
    KeyUser, ObserverMode, Operation, Outcome, Refused,
};
use std::sync::{Arc, Mutex};

/// Records everything; refuses what it has been told to.
#[derive(Default)]
struct Recorder {
    seen: Mutex<Vec<String>>,
    refuse: Mutex<Option<(Operation, Outcome)>>,
}

impl Recorder {
    fn note(&self, key_use: &KeyUse<'_>) -> Result<(), Refused> {
        self.seen.lock().unwrap().push(format!(
            "{} {} {} {} {:?} {:?} n={} used={}",
            key_use.principal,
            key_use.operation.as_str(),
            key_use.outcome.as_str(),
            key_use.key_id,
            key_use.tenant,
            key_use.trace_id.map(|t| &t[..4]),
            key_use.count,
            key_use.usage_count,
        ));
        if *self.refuse.lock().unwrap() == Some((key_use.operation, key_use.outcome)) {
            return Err(Refused::new("not on a Sunday"));
        }
        Ok(())
    }

    fn refuse(&self, operation: Operation, outcome: Outcome) {
        *self.refuse.lock().unwrap() = Some((operation, outcome));
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

impl KeyUseGuard for Recorder {
    fn authorize(&self, key_use: &KeyUse<'_>) -> Result<(), Refused> {
        assert_eq!(key_use.outcome, Outcome::Attempted);
        self.note(key_use)
    }
}

impl KeyUseObserver for Recorder {
    fn observe(&self, key_use: &KeyUse<'_>) -> Result<(), Refused> {
        self.note(key_use)
    }
}

async fn guarded(bench: &Bench) -> (KeyRing, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    (
        bench.ready().guard(recorder.clone()).build().await.unwrap(),
        recorder,
    )
}

async fn observed(bench: &Bench, mode: ObserverMode) -> (KeyRing, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    (
        bench
            .ready()
            .observer(recorder.clone(), mode)
            .build()
            .await
            .unwrap(),
        recorder,
    )
}

#[tokio::test]
async fn every_use_is_reported_with_its_particulars() {
    let bench = Bench::new();
    let (ring, recorder) = observed(&bench, ObserverMode::FailClosed).await;
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    let kek = bench.kek.id();
    assert_eq!(
        recorder.take(),
        [
            "user:7 rotate attempted fek://track None Some(\"4bf9\") n=1 used=0".to_string(),
            format!("user:7 wrap_key succeeded {kek} None Some(\"4bf9\") n=1 used=0"),
            "user:7 rotate succeeded fek://track None Some(\"4bf9\") n=1 used=0".to_string(),
            format!("user:7 unwrap_key succeeded {kek} None Some(\"4bf9\") n=1 used=0"),
            "user:7 prepare succeeded fek://track Some(\"bank-a\") Some(\"4bf9\") n=1 used=0"
                .to_string(),
        ]
    );
    let place = context(1);
    let one = key.seal(b"a", &place).unwrap();
    let items: Vec<(&[u8], &FieldContext)> = vec![(b"b", &place); 3];
    let mut many: Vec<Vec<u8>> = key
        .seal_many(&items)
        .unwrap()
        .into_iter()
        .map(Result::unwrap)
        .collect();
    many[1][20] ^= 1;
    many.push(one);
    let items: Vec<(&[u8], &FieldContext)> = many.iter().map(|v| (v.as_slice(), &place)).collect();
    assert_eq!(
        key.open_many(&items)
            .unwrap()
            .iter()
            .filter(|r| r.is_ok())
            .count(),
        3
    );
    let of_track = |text: &str| {
        let (head, tail) = text.split_once(" n=").unwrap();
        format!("user:7 {head} fek://track/1 Some(\"bank-a\") Some(\"4bf9\") n={tail}")
    };
    assert_eq!(
        recorder.take(),
        [
            of_track("seal succeeded n=1 used=0"),
            of_track("seal succeeded n=3 used=1"),
            of_track("open failed n=1 used=4"),
            of_track("open succeeded n=3 used=4"),
        ]
    );
}

#[tokio::test]
async fn hazard_key_used_without_authorization() {
    let bench = Bench::new();
    let (ring, guard) = guarded(&bench).await;
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    let good = key.seal(b"x", &context(1)).unwrap();
    for operation in [
        Operation::Seal,
        Operation::Open,
        Operation::Prepare,
        Operation::Rotate,
    ] {
        guard.refuse(operation, Outcome::Attempted);
        let refused = |e: Error| {
            assert_eq!(
                e.to_string(),
                "key use refused by the guard: not on a Sunday"
            );
        };
        match operation {
            Operation::Seal => refused(key.seal(b"x", &context(1)).unwrap_err()),
            Operation::Open => refused(key.open(&good, &context(1)).unwrap_err()),
            Operation::Prepare => {
                refused(ring.prepare("track", "bank-a", &user()).await.unwrap_err());
            }
            _ => refused(ring.rotate("track", None, &user()).await.unwrap_err()),
        }
    }
    assert_eq!(ring.keys().len(), 1);
    // Unwrapping is a use of the KEK, and refused as well.
    let (ring, guard) = guarded(&bench).await;
    guard.refuse(Operation::UnwrapKey, Outcome::Attempted);
    let e = ring
        .prepare("track", "bank-a", &KeyUser::new("user:9"))
        .await
        .unwrap_err();
    assert!(matches!(e, Error::Refused { by: "guard", .. }), "{e}");
    assert!(guard.take().iter().all(
        |line| line.starts_with("user:9 ") && line.contains(" None ") || line.contains("prepare")
    ));
}

#[tokio::test]
async fn hazard_plaintext_released_before_it_is_recorded() {
    let bench = Bench::new();
    let (ring, observer) = observed(&bench, ObserverMode::FailClosed).await;
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    let good = key.seal(b"x", &context(1)).unwrap();
    observer.refuse(Operation::Open, Outcome::Succeeded);
    let e = key.open(&good, &context(1)).unwrap_err();
    assert_eq!(
        e.to_string(),
        "key use refused by the observer: not on a Sunday"
    );
    observer.refuse(Operation::Seal, Outcome::Succeeded);
    assert!(matches!(
        key.seal(b"x", &context(1)),
        Err(Error::Refused { by: "observer", .. })
    ));
    // A change that cannot be recorded does not begin.
    observer.refuse(Operation::Rotate, Outcome::Attempted);
    assert!(matches!(
        ring.rotate("track", None, &user()).await,
        Err(Error::Refused { .. })
    ));
    observer.refuse(Operation::ChangeState, Outcome::Attempted);
    let e = ring
        .change_state("track", 1, KeyState::Disabled, &user())
        .await
        .unwrap_err();
    assert!(matches!(e, Error::Refused { .. }), "{e}");
    assert_eq!(ring.keys().len(), 1);
    assert_eq!(ring.keys()[0].state, KeyState::Active);
}

#[tokio::test]
async fn a_best_effort_observer_refuses_nothing() {
    let bench = Bench::new();
    let (ring, observer) = observed(&bench, ObserverMode::BestEffort).await;
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    let good = key.seal(b"x", &context(1)).unwrap();
    observer.refuse(Operation::Open, Outcome::Succeeded);
    assert_eq!(key.open(&good, &context(1)).unwrap().expose(), b"x");
}

#[tokio::test]
async fn reading_goes_on_when_rotation_is_refused() {
    let bench = Bench::new();
    let (ring, guard) = guarded(&bench).await;
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    let good = key.seal(b"x", &context(1)).unwrap();
    bench.clock.advance(40 * 24 * 3600);
    guard.refuse(Operation::Rotate, Outcome::Attempted);
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    assert_eq!(key.open(&good, &context(1)).unwrap().expose(), b"x");
    assert!(matches!(
        key.seal(b"x", &context(1)),
        Err(Error::NoKey { .. })
    ));
    // A class that has no key at all has nothing to read: the refusal is the answer.
    let e = ring
        .prepare("bank_card", "bank-a", &user())
        .await
        .unwrap_err();
    assert!(matches!(e, Error::Refused { .. }), "{e}");
}

#[tokio::test]
async fn header_faults_use_no_key_and_are_not_reported() {
    let bench = Bench::new();
    let (ring, guard) = guarded(&bench).await;
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    let mut bad = key.seal(b"x", &context(1)).unwrap();
    guard.take();
    bad[0] = 0;
    key.open(&bad, &context(1)).unwrap_err();
    key.seal(b"x", &FieldContext::new("bank-a", "t", "c"))
        .unwrap_err();
    assert!(guard.take().is_empty());
}

#[tokio::test]
async fn misuse_is_named() {
    let ring = Bench::new().ring().await;
    let e = ring.prepare("salary", "bank-a", &user()).await.unwrap_err();
    assert_eq!(e.to_string(), "unknown field class \"salary\"");
    let e = ring.prepare("track", "", &user()).await.unwrap_err();
    assert!(matches!(e, Error::Context { .. }), "{e}");
    let e = ring
        .change_state("track", 9, KeyState::Disabled, &user())
        .await
        .unwrap_err();
    assert!(
        matches!(
            e,
            Error::UnknownKey {
                class: 4,
                fek_id: 9
            }
        ),
        "{e}"
    );
    let bench = Bench::new();
    let e = bench.builder().build().await.unwrap_err();
    assert!(e.to_string().contains("no field class"), "{e}");
    let twice = bench
        .builder()
        .class(sm_fieldcrypt::FieldClass::track())
        .class(sm_fieldcrypt::FieldClass::track());
    assert!(
        twice
            .build()
            .await
            .unwrap_err()
            .to_string()
            .contains("id 4")
    );
    let e = bench.ready().seals_per_salt(0).build().await.unwrap_err();
    assert!(matches!(e, Error::Config { .. }), "{e}");
}
