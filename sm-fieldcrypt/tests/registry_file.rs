//! The registry in a file, shared by threads and processes, and what a crash leaves of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod common;

use common::{context, kek, presets, user};
use sm_fieldcrypt::{
    BoxFuture, Error, FileStore, KeyRing, KeyRingBuilder, KeyState, MemoryStore, RegistryStore,
};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const ROTATIONS: usize = 10;
const PATH_VARIABLE: &str = "SM_FIELDCRYPT_TEST_REGISTRY";

async fn ring_at(path: &Path) -> KeyRing {
    let builder = KeyRing::builder(kek(1), Arc::new(FileStore::new(path)));
    let builder = presets().into_iter().fold(builder, KeyRingBuilder::class);
    builder
        .create_registry()
        .auto_rotate()
        .build()
        .await
        .unwrap()
}

#[tokio::test]
async fn two_processes_rotate_at_once_and_lose_nothing() {
    // As a child of itself, the test rotates; as the parent, it starts two children and counts.
    if let Some(path) = std::env::var_os(PATH_VARIABLE) {
        let ring = ring_at(Path::new(&path)).await;
        for _ in 0..ROTATIONS {
            ring.rotate("track", None, &user()).await.unwrap();
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry");
    let children: Vec<_> = (0..2)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "two_processes_rotate_at_once_and_lose_nothing"])
                .env(PATH_VARIABLE, &path)
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let ring = ring_at(&path).await;
    let keys = ring.keys();
    let ids: Vec<u32> = keys.iter().map(|k| k.fek_id).collect();
    assert_eq!(ids, (1..=2 * ROTATIONS as u32).collect::<Vec<_>>());
    assert_eq!(
        keys.iter().filter(|k| k.state == KeyState::Active).count(),
        1
    );
    assert_eq!(ring.epoch(), 1 + 2 * ROTATIONS as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_rotate_seal_and_open_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry");
    let ring = ring_at(&path).await;
    let mut tasks = Vec::new();
    for task in 0..4_i64 {
        let ring = ring.clone();
        tasks.push(tokio::spawn(async move {
            let mut values = Vec::new();
            for i in 0..10_i64 {
                if task == 0 && i % 3 == 0 {
                    ring.rotate("bank_card", None, &user()).await.unwrap();
                }
                let key = ring.prepare("bank_card", "bank-a", &user()).await.unwrap();
                values.push((i, key.seal(b"6228480402564890018", &context(i)).unwrap()));
            }
            values
        }));
    }
    for task in tasks {
        for (row, value) in task.await.unwrap() {
            let key = ring.prepare("bank_card", "bank-a", &user()).await.unwrap();
            let opened = key.open(&value, &context(row)).unwrap();
            assert_eq!(opened.expose(), b"6228480402564890018");
        }
    }
}

#[tokio::test]
async fn first_keys_made_by_many_at_once_are_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry");
    let (a, b) = (ring_at(&path).await, ring_at(&path).await);
    let user = user();
    let (x, y) = tokio::join!(
        a.prepare("track", "bank-a", &user),
        b.prepare("track", "bank-a", &user)
    );
    let sealed = x.unwrap().seal(b"x", &context(1)).unwrap();
    assert_eq!(
        y.unwrap().open(&sealed, &context(1)).unwrap().expose(),
        b"x"
    );
    assert_eq!(ring_at(&path).await.keys().len(), 1);
}

#[tokio::test]
async fn hazard_half_written_registry_replaces_a_good_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry");
    let ring = ring_at(&path).await;
    let sealed = ring.prepare("track", "bank-a", &user()).await.unwrap();
    let sealed = sealed.seal(b"x", &context(1)).unwrap();
    // What a crash in mid-write leaves: half of the next registry in the temporary file.
    let good = std::fs::read(&path).unwrap();
    std::fs::write(dir.path().join("registry.tmp"), &good[..good.len() / 2]).unwrap();
    let ring = ring_at(&path).await;
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    assert_eq!(key.open(&sealed, &context(1)).unwrap().expose(), b"x");
    ring.rotate("track", None, &user()).await.unwrap();
    assert!(!dir.path().join("registry.tmp").exists());
}

/// Fails or lies at the n-th write, before or after storing.
struct Faulty {
    inner: MemoryStore,
    writes: AtomicUsize,
    fail_at: usize,
    stored: bool,
}

impl RegistryStore for Faulty {
    fn load<'a>(&'a self) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        self.inner.load()
    }

    fn replace<'a>(
        &'a self,
        previous: Option<&'a [u8]>,
        next: &'a [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        let now = self.writes.fetch_add(1, Ordering::SeqCst);
        if now != self.fail_at {
            return self.inner.replace(previous, next);
        }
        Box::pin(async move {
            if self.stored {
                self.inner.replace(previous, next).await?;
            }
            let source = std::io::Error::other("disk is gone");
            Err(Error::Io {
                action: "sync",
                path: "registry".into(),
                source,
            })
        })
    }
}

#[tokio::test]
async fn a_failing_write_leaves_a_ring_that_goes_on() {
    for stored in [false, true] {
        let store = Arc::new(Faulty {
            inner: MemoryStore::default(),
            writes: AtomicUsize::new(0),
            fail_at: 2,
            stored,
        });
        let builder = KeyRing::builder(kek(1), store.clone());
        let builder = presets().into_iter().fold(builder, KeyRingBuilder::class);
        let ring = builder.create_registry().build().await.unwrap();
        ring.rotate("track", None, &user()).await.unwrap();
        let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
        let sealed = key.seal(b"x", &context(1)).unwrap();
        let e = ring.rotate("track", None, &user()).await.unwrap_err();
        assert!(matches!(e, Error::Io { action: "sync", .. }), "{e}");
        // Whether the write came through or not, the next change builds on what is there.
        let expected = if stored { 3 } else { 2 };
        assert_eq!(
            ring.rotate("track", None, &user()).await.unwrap().fek_id,
            expected
        );
        let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
        assert_eq!(key.open(&sealed, &context(1)).unwrap().expose(), b"x");
    }
}

#[tokio::test]
async fn a_damaged_registry_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry");
    ring_at(&path)
        .await
        .rotate("track", None, &user())
        .await
        .unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    for damage in [0, last / 2, last] {
        bytes[damage] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let builder = KeyRing::builder(kek(1), Arc::new(FileStore::new(&path)));
        let builder = presets().into_iter().fold(builder, KeyRingBuilder::class);
        let e = builder
            .create_registry()
            .auto_rotate()
            .build()
            .await
            .unwrap_err();
        assert!(
            matches!(e, Error::Registry { .. } | Error::RegistryIntegrity { .. }),
            "{damage}: {e}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        bytes[damage] ^= 1;
    }
}
