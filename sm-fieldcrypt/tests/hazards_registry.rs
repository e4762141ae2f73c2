//! The hazards of keys' states and of the registry that holds them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod common;

use common::{Bench, context, kek, user};
use sm_fieldcrypt::{
    BoxFuture, Error, FieldClass, KekProvider, KeyRing, KeyRingBuilder, KeyState, RegistryStore,
    SecretBytes, SoftwareKek,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

const ID: &[u8] = b"110101199003074610";

#[tokio::test]
async fn hazard_disabled_and_destroyed_keys_still_open() {
    for state in [KeyState::Disabled, KeyState::Destroyed] {
        let bench = Bench::new();
        let ring = bench.ring().await;
        let key = ring
            .prepare("identity_number", "bank-a", &user())
            .await
            .unwrap();
        let good = key.seal(ID, &context(1)).unwrap();
        ring.rotate("identity_number", None, &user()).await.unwrap();
        let key = ring
            .prepare("identity_number", "bank-a", &user())
            .await
            .unwrap();
        key.open(&good, &context(1)).unwrap();
        ring.change_state("identity_number", 1, state, &user())
            .await
            .unwrap();
        // The prepared key notices at once; so does a new one, and a new ring.
        assert!(matches!(
            key.open(&good, &context(1)),
            Err(Error::KeyState { .. })
        ));
        for ring in [ring, bench.ring().await] {
            let key = ring
                .prepare("identity_number", "bank-a", &user())
                .await
                .unwrap();
            let e = key.open(&good, &context(1)).unwrap_err();
            assert!(matches!(e, Error::UnknownKey { fek_id: 1, .. }), "{e}");
        }
    }
}

#[tokio::test]
async fn hazard_destroyed_key_comes_back() {
    let bench = Bench::new();
    let ring = bench.ring().await;
    ring.prepare("track", "bank-a", &user()).await.unwrap();
    ring.rotate("track", None, &user()).await.unwrap();
    ring.change_state("track", 1, KeyState::Destroyed, &user())
        .await
        .unwrap();
    for state in [
        KeyState::Active,
        KeyState::DecryptOnly,
        KeyState::Disabled,
        KeyState::PreActive,
    ] {
        let e = ring
            .change_state("track", 1, state, &user())
            .await
            .unwrap_err();
        assert!(matches!(e, Error::KeyState { .. }), "{e}");
    }
    // Its id is never given to another key.
    assert_eq!(ring.rotate("track", None, &user()).await.unwrap().fek_id, 3);
}

#[tokio::test]
async fn hazard_rotation_on_another_node_goes_unnoticed() {
    let bench = Bench::new();
    let (here, there) = (bench.ring().await, bench.ring().await);
    here.prepare("track", "bank-a", &user()).await.unwrap();
    there.refresh().await.unwrap();
    here.rotate("track", None, &user()).await.unwrap();
    let new = here.prepare("track", "bank-a", &user()).await.unwrap();
    let new = new.seal(b"x", &context(1)).unwrap();
    let stale = there.prepare("track", "bank-a", &user()).await.unwrap();
    assert!(matches!(
        stale.open(&new, &context(1)),
        Err(Error::UnknownKey { fek_id: 2, .. })
    ));
    // Meeting the unknown key makes the next prepare look again, though the cache is young.
    bench.clock.advance(1);
    let fresh = there.prepare("track", "bank-a", &user()).await.unwrap();
    assert_eq!(fresh.open(&new, &context(1)).unwrap().expose(), b"x");
}

/// A store whose reads can be made to fail.
struct Flaky {
    inner: Arc<sm_fieldcrypt::MemoryStore>,
    down: AtomicBool,
}

impl RegistryStore for Flaky {
    fn load<'a>(&'a self) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        if self.down.load(Ordering::SeqCst) {
            let source = std::io::Error::other("unreachable");
            let e = Error::Io {
                action: "read",
                path: "registry".into(),
                source,
            };
            return Box::pin(async move { Err(e) });
        }
        self.inner.load()
    }

    fn replace<'a>(
        &'a self,
        previous: Option<&'a [u8]>,
        next: &'a [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.inner.replace(previous, next)
    }
}

#[tokio::test]
async fn hazard_registry_unreachable_past_the_ttl() {
    let bench = Bench::new();
    let store = Arc::new(Flaky {
        inner: bench.store.clone(),
        down: AtomicBool::new(false),
    });
    let ring = KeyRing::builder(bench.kek.clone(), store.clone()).clock(bench.clock.clone());
    let ring = ring
        .class(FieldClass::track())
        .create_registry()
        .auto_rotate();
    let ring = ring.build().await.unwrap();
    ring.prepare("track", "bank-a", &user()).await.unwrap();
    store.down.store(true, Ordering::SeqCst);
    bench.clock.advance(60);
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    key.seal(b"x", &context(1)).unwrap();
    bench.clock.advance(1);
    let e = ring.prepare("track", "bank-a", &user()).await.unwrap_err();
    assert!(matches!(e, Error::Io { .. }), "{e}");
    store.down.store(false, Ordering::SeqCst);
    ring.prepare("track", "bank-a", &user()).await.unwrap();
}

#[tokio::test]
async fn hazard_missing_registry_is_not_replaced_by_an_empty_one() {
    let bench = Bench::new();
    let build = |b: KeyRingBuilder| b.class(FieldClass::track()).build();
    assert!(matches!(
        build(bench.builder()).await,
        Err(Error::RegistryMissing)
    ));
    assert!(bench.store.bytes().is_none());
    let ring = build(bench.builder().create_registry()).await.unwrap();
    bench.store.overwrite(None);
    let e = ring.refresh().await.unwrap_err();
    assert!(
        matches!(e, Error::RegistryRolledBack { seen: 1, found: 0 }),
        "{e}"
    );
}

/// A KEK that counts what it unwraps.
struct Spy {
    inner: Arc<SoftwareKek>,
    unwraps: AtomicU32,
}

impl KekProvider for Spy {
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
        self.unwraps.fetch_add(1, Ordering::SeqCst);
        self.inner.unwrap_key(blob, context)
    }

    fn integrity_macs<'a>(
        &'a self,
        messages: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<[u8; 32]>, Error>> {
        self.inner.integrity_macs(messages)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> usize {
    haystack
        .windows(needle.len())
        .position(|w| w == needle)
        .unwrap()
}

#[tokio::test]
async fn hazard_swapped_blob_is_refused_before_unwrapping() {
    let bench = Bench::new();
    let ring = bench.ring().await;
    for class in ["identity_number", "bank_card"] {
        ring.prepare(class, "bank-a", &user()).await.unwrap();
    }
    let mut bytes = bench.store.bytes().unwrap();
    // Software blobs have 77 bytes and stand right before their record's 32-byte tag.
    let kek_id = bench.kek.id().as_bytes();
    let first = find(&bytes[60..], kek_id) + 60 + kek_id.len() + 2;
    let second = find(&bytes[first..], kek_id) + first + kek_id.len() + 2;
    let blob = bytes[first..first + 77].to_vec();
    bytes.copy_within(second..second + 77, first);
    bytes[second..second + 77].copy_from_slice(&blob);
    bench.store.overwrite(Some(bytes));
    let spy = Arc::new(Spy {
        inner: bench.kek.clone(),
        unwraps: AtomicU32::new(0),
    });
    let ring = KeyRing::builder(spy.clone(), bench.store.clone()).class(FieldClass::bank_card());
    let e = ring.build().await.unwrap_err();
    assert!(matches!(e, Error::RegistryIntegrity { .. }), "{e}");
    assert_eq!(spy.unwraps.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn hazard_any_registry_bit_flipped() {
    let bench = Bench::new();
    let ring = bench.ring().await;
    ring.prepare("track", "bank-a", &user()).await.unwrap();
    let good = bench.store.bytes().unwrap();
    let spy = Arc::new(Spy {
        inner: bench.kek.clone(),
        unwraps: AtomicU32::new(0),
    });
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        bench.store.overwrite(Some(bad));
        let ring = KeyRing::builder(spy.clone(), bench.store.clone()).class(FieldClass::track());
        assert!(ring.build().await.is_err(), "bit {bit}");
    }
    for n in 0..good.len() {
        bench.store.overwrite(Some(good[..n].to_vec()));
        let ring = KeyRing::builder(spy.clone(), bench.store.clone()).class(FieldClass::track());
        assert!(ring.build().await.is_err(), "first {n} bytes");
    }
    assert_eq!(spy.unwraps.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn hazard_registry_rolled_back() {
    let bench = Bench::new();
    let ring = bench.ring().await;
    ring.prepare("track", "bank-a", &user()).await.unwrap();
    let old = bench.store.bytes().unwrap();
    ring.rotate("track", None, &user()).await.unwrap();
    ring.change_state("track", 1, KeyState::Disabled, &user())
        .await
        .unwrap();
    let new = bench.store.bytes().unwrap();
    bench.store.overwrite(Some(old));
    let e = ring.refresh().await.unwrap_err();
    assert!(
        matches!(e, Error::RegistryRolledBack { seen: 4, found: 2 }),
        "{e}"
    );
    // Nor does it become the base of a change.
    let e = ring.rotate("track", None, &user()).await.unwrap_err();
    assert!(matches!(e, Error::RegistryRolledBack { .. }), "{e}");
    bench.clock.advance(31);
    let e = ring.prepare("track", "bank-a", &user()).await.unwrap_err();
    assert!(matches!(e, Error::RegistryRolledBack { .. }), "{e}");
    bench.store.overwrite(Some(new));
    ring.prepare("track", "bank-a", &user()).await.unwrap();
}

#[tokio::test]
async fn hazard_registry_forked_at_one_epoch() {
    let bench = Bench::new();
    let ring = bench.ring().await;
    let base = bench.store.bytes().unwrap();
    ring.rotate("track", None, &user()).await.unwrap();
    let fork = Arc::new(sm_fieldcrypt::MemoryStore::with_bytes(base));
    let other = KeyRing::builder(bench.kek.clone(), fork.clone()).class(FieldClass::track());
    let other = other.clock(bench.clock.clone()).build().await.unwrap();
    other.rotate("track", None, &user()).await.unwrap();
    bench.store.overwrite(fork.bytes());
    let e = ring.refresh().await.unwrap_err();
    assert!(matches!(e, Error::RegistryForked { epoch: 2 }), "{e}");
}

#[tokio::test]
async fn hazard_registry_of_another_one_under_the_same_kek() {
    let bench = Bench::new();
    let ring = bench.ring().await;
    let other = Bench {
        store: Arc::default(),
        ..Bench::new()
    };
    let another = other.ring().await;
    another.rotate("track", None, &user()).await.unwrap();
    bench.store.overwrite(other.store.bytes());
    let e = ring.refresh().await.unwrap_err();
    assert!(matches!(e, Error::RegistryIntegrity { .. }), "{e}");
}

#[tokio::test]
async fn hazard_rollback_across_a_restart_with_an_anchor() {
    #[derive(Default)]
    struct Anchor(std::sync::atomic::AtomicU64);
    impl sm_fieldcrypt::EpochAnchor for Anchor {
        fn highest<'a>(&'a self) -> BoxFuture<'a, Result<u64, Error>> {
            Box::pin(async { Ok(self.0.load(Ordering::SeqCst)) })
        }
        fn raise<'a>(&'a self, epoch: u64) -> BoxFuture<'a, Result<(), Error>> {
            self.0.fetch_max(epoch, Ordering::SeqCst);
            Box::pin(async { Ok(()) })
        }
    }
    let bench = Bench::new();
    let anchor = Arc::new(Anchor::default());
    let ring = bench
        .ready()
        .epoch_anchor(anchor.clone())
        .build()
        .await
        .unwrap();
    assert_eq!(anchor.0.load(Ordering::SeqCst), 1);
    let old = bench.store.bytes().unwrap();
    ring.rotate("track", None, &user()).await.unwrap();
    assert_eq!(anchor.0.load(Ordering::SeqCst), 2);
    drop(ring);
    bench.store.overwrite(Some(old));
    // Without the anchor a restarted node cannot know; with it, it does.
    bench.ready().build().await.unwrap();
    let e = bench
        .ready()
        .epoch_anchor(anchor.clone())
        .build()
        .await
        .unwrap_err();
    assert!(
        matches!(e, Error::RegistryRolledBack { seen: 2, found: 1 }),
        "{e}"
    );
    bench.store.overwrite(None);
    let e = bench
        .ready()
        .epoch_anchor(anchor)
        .build()
        .await
        .unwrap_err();
    assert!(
        matches!(e, Error::RegistryRolledBack { seen: 2, found: 0 }),
        "{e}"
    );
}

#[tokio::test]
async fn hazard_registry_under_another_kek() {
    let bench = Bench::new();
    bench.ring().await;
    let ring = KeyRing::builder(kek(2), bench.store.clone()).class(FieldClass::track());
    let e = ring.build().await.unwrap_err();
    assert!(matches!(e, Error::RegistryKek { .. }), "{e}");
}
