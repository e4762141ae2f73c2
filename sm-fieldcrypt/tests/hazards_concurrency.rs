//! Hazards that need two things to happen at once, or on two nodes.
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
    BoxFuture, Error, FieldClass, KekProvider, KeyRing, KeyState, KeyUse, KeyUseGuard, MemoryStore,
    Operation, Refused, RegistryStore, SecretBytes, SoftwareKek, Suite,
};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// A KEK that unwraps when it is told to, as a device far away might.
struct SlowKek {
    inner: Arc<SoftwareKek>,
    asked: Notify,
    go: Notify,
}

impl KekProvider for SlowKek {
    fn id(&self) -> &str {
        self.inner.id()
    }

    fn wrap_key<'a>(
        &'a self,
        key: &'a SecretBytes,
        context: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        self.inner.wrap_key(key, context)
    }

    fn unwrap_key<'a>(
        &'a self,
        blob: &'a [u8],
        context: &'a [u8],
    ) -> BoxFuture<'a, Result<SecretBytes, Error>> {
        Box::pin(async move {
            self.asked.notify_one();
            self.go.notified().await;
            self.inner.unwrap_key(blob, context).await
        })
    }

    fn integrity_macs<'a>(
        &'a self,
        messages: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<[u8; 32]>, Error>> {
        self.inner.integrity_macs(messages)
    }
}

/// The state changes while the KEK unwraps the key for somebody.
async fn changed_while_unwrapping(to: KeyState) -> (Result<Vec<u8>, Error>, Result<(), Error>) {
    let bench = Bench::new();
    let ring = bench.ring().await;
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    let sealed = key.seal(b"x", &context(1)).unwrap();
    let kek = Arc::new(SlowKek {
        inner: bench.kek.clone(),
        asked: Notify::new(),
        go: Notify::new(),
    });
    let ring = KeyRing::builder(kek.clone(), bench.store.clone())
        .class(FieldClass::track())
        .clock(bench.clock.clone())
        .build()
        .await
        .unwrap();
    let (administrator, me) = (user(), user());
    let (key, ()) = tokio::join!(ring.prepare("track", "bank-a", &me), async {
        kek.asked.notified().await;
        ring.change_state("track", 1, to, &administrator)
            .await
            .unwrap();
        kek.go.notify_one();
    });
    let key = key.unwrap();
    (
        key.seal(b"x", &context(1)),
        key.open(&sealed, &context(1)).map(drop),
    )
}

#[tokio::test]
async fn hazard_key_disabled_while_it_is_unwrapped() {
    for to in [KeyState::Disabled, KeyState::DecryptOnly] {
        let (sealed, opened) = changed_while_unwrapping(to).await;
        assert!(matches!(sealed, Err(Error::KeyState { .. })), "{to:?}");
        assert_eq!(opened.is_ok(), to == KeyState::DecryptOnly);
    }
}

#[tokio::test]
async fn hazard_prepared_key_seals_after_its_key_is_decrypt_only() {
    let ring = Bench::new().ring().await;
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    let sealed = key.seal(b"x", &context(1)).unwrap();
    ring.change_state("track", 1, KeyState::DecryptOnly, &user())
        .await
        .unwrap();
    let e = key.seal(b"x", &context(1)).unwrap_err();
    assert!(matches!(e, Error::KeyState { fek_id: 1, .. }), "{e}");
    assert_eq!(key.open(&sealed, &context(1)).unwrap().expose(), b"x");
}

/// A store that answers with each of its registries in turn, never at once.
struct Turns(Mutex<VecDeque<Vec<u8>>>);

impl RegistryStore for Turns {
    fn load<'a>(&'a self) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(self.0.lock().unwrap().pop_front())
        })
    }

    fn replace<'a>(&'a self, _: Option<&'a [u8]>, _: &'a [u8]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Err(Error::RegistryConflict) })
    }
}

#[tokio::test]
async fn hazard_two_forks_are_read_at_once() {
    let bench = Bench::new();
    let ring = bench.ring().await;
    let base = bench.store.bytes().unwrap();
    ring.rotate("track", None, &user()).await.unwrap();
    let fork = Arc::new(MemoryStore::with_bytes(base.clone()));
    let other = KeyRing::builder(bench.kek.clone(), fork.clone()).class(FieldClass::track());
    let other = other.clock(bench.clock.clone()).build().await.unwrap();
    other.rotate("track", None, &user()).await.unwrap();

    let turns = [base, bench.store.bytes().unwrap(), fork.bytes().unwrap()];
    let store = Arc::new(Turns(Mutex::new(turns.into())));
    let reader = KeyRing::builder(bench.kek.clone(), store).class(FieldClass::track());
    let reader = reader.clock(bench.clock.clone()).build().await.unwrap();
    // Both begin from the base, so that neither has seen the other's registry when it reads its own.
    let (first, second) = tokio::join!(reader.refresh(), reader.refresh());
    let refused = [first, second].into_iter().filter_map(Result::err);
    let refused: Vec<_> = refused.map(|e| e.to_string()).collect();
    assert_eq!(refused, ["registry was forked: epoch 2 has two contents"]);
}

/// Lets administrators change what is their tenant's, or everybody's.
struct TenantA;

impl KeyUseGuard for TenantA {
    fn authorize(&self, key_use: &KeyUse<'_>) -> Result<(), Refused> {
        match (key_use.operation, key_use.tenant) {
            (Operation::ChangeState, Some(tenant)) if tenant != "bank-a" => {
                Err(Refused::new("another tenant's key"))
            }
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn hazard_key_made_elsewhere_passes_the_guard_without_its_tenant() {
    let bench = Bench::new();
    let class = || FieldClass::new(20, "salary", Suite::CtrHmacSm3).per_tenant();
    let here = bench
        .builder()
        .class(class())
        .create_registry()
        .guard(Arc::new(TenantA));
    let here = here.build().await.unwrap();
    let there = bench.ring_with(vec![class()]).await;
    let info = there
        .rotate("salary", Some("bank-b"), &user())
        .await
        .unwrap();
    let e = here
        .change_state("salary", info.fek_id, KeyState::Disabled, &user())
        .await
        .unwrap_err();
    assert!(matches!(e, Error::Refused { .. }), "{e}");
    there.refresh().await.unwrap();
    assert_eq!(there.keys()[0].state, KeyState::Active);
}
