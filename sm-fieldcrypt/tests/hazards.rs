//! One test for every hazard of the design that this crate meets; those of the registry, and those that need two
//! things at once, are in `hazards_registry.rs` and `hazards_concurrency.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod common;

use common::{Bench, NOW, context, presets, user};
use sm_fieldcrypt::{
    Envelope, Error, FieldClass, FieldContext, KeyRingBuilder, ManualClock, PreparedKey,
    RandomSource, Suite,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

const ID: &[u8] = b"110101199003074610";

async fn sealed() -> (Bench, PreparedKey, Vec<u8>) {
    let bench = Bench::new();
    let key = bench
        .ring()
        .await
        .prepare("identity_number", "bank-a", &user())
        .await
        .unwrap();
    let envelope = key.seal(ID, &context(1)).unwrap();
    (bench, key, envelope)
}

#[tokio::test]
async fn hazard_any_bit_flipped() {
    let bench = Bench::new();
    let ring = bench
        .ring_with(vec![
            FieldClass::identity_number(),
            FieldClass::device_serial().long_tag(),
            FieldClass::new(20, "chunked", Suite::CtrHmacSm3).chunked(10),
            FieldClass::new(21, "gcm", Suite::Gcm),
            FieldClass::new(22, "ccm", Suite::Ccm),
        ])
        .await;
    for class in ["identity_number", "device_serial", "chunked", "gcm", "ccm"] {
        let key = ring.prepare(class, "bank-a", &user()).await.unwrap();
        let good = key.seal(ID, &context(1)).unwrap();
        key.open(&good, &context(1)).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let e = key.open(&bad, &context(1)).unwrap_err();
            // The salt is the one header field that nobody can judge without the key. Where a chunk ends is public.
            let layout = class == "chunked" && (30..39).contains(&(bit / 8));
            if bit / 8 >= 14 && !layout {
                assert!(matches!(e, Error::Open), "{class}, bit {bit}: {e}");
            }
        }
    }
}

#[tokio::test]
async fn hazard_cut_off_or_extended() {
    let (_bench, key, good) = sealed().await;
    for n in 0..good.len() {
        assert!(
            key.open(&good[..n], &context(1)).is_err(),
            "first {n} bytes"
        );
        assert!(
            key.open(&good[n + 1..], &context(1)).is_err(),
            "without {n} bytes"
        );
    }
    for extra in [1, 15, 16, 32] {
        let longer = [good.as_slice(), &vec![0; extra]].concat();
        assert!(key.open(&longer, &context(1)).is_err());
    }
}

#[tokio::test]
async fn hazard_moved_to_another_place() {
    let (bench, key, good) = sealed().await;
    let places = [
        FieldContext::new("bank-a", "customers", "column").row(2_i64),
        FieldContext::new("bank-a", "customers", "column").row("1"),
        FieldContext::new("bank-a", "customers", "other").row(1_i64),
        FieldContext::new("bank-a", "other", "column").row(1_i64),
        // The same bytes, cut differently.
        FieldContext::new("bank-a", "customersc", "olumn").row(1_i64),
    ];
    for place in &places {
        assert!(matches!(key.open(&good, place), Err(Error::Open)));
    }
    // Another tenant, who asks for its own key, gets nothing either.
    let ring = bench.ring().await;
    let other = ring
        .prepare("identity_number", "bank-b", &user())
        .await
        .unwrap();
    let place = FieldContext::new("bank-b", "customers", "column").row(1_i64);
    assert!(matches!(other.open(&good, &place), Err(Error::Open)));
    // Nor can a key be used for a tenant it was not prepared for.
    assert!(matches!(
        other.open(&good, &context(1)),
        Err(Error::Context { .. })
    ));
}

#[tokio::test]
async fn hazard_row_left_out() {
    let (_bench, key, good) = sealed().await;
    let column = FieldContext::new("bank-a", "customers", "column");
    assert!(matches!(key.seal(ID, &column), Err(Error::Context { .. })));
    assert!(matches!(
        key.open(&good, &column),
        Err(Error::Context { .. })
    ));
}

#[tokio::test]
async fn hazard_opening_errors_are_an_oracle() {
    let (_bench, key, good) = sealed().await;
    let envelope = Envelope::parse(&good).unwrap();
    let (iv, text) = (18, 18 + envelope.iv().len());
    let tag = good.len() - 1;
    let flip = |at: usize| {
        let mut bad = good.clone();
        bad[at] ^= 0x80;
        key.open(&bad, &context(1)).unwrap_err()
    };
    // IV, first and last block (where the padding is), tag, and AAD.
    let mut errors = vec![flip(iv), flip(text), flip(tag - 16), flip(tag)];
    errors.push(key.open(&good, &context(2)).unwrap_err());
    for e in errors {
        assert_eq!(format!("{e:?}"), "Open");
        assert!(std::error::Error::source(&e).is_none());
    }
}

#[tokio::test]
async fn hazard_suite_or_flags_downgraded() {
    // A ring that is configured otherwise, over the same registry, refuses before any key is used.
    let (bench, _key, good) = sealed().await;
    let uses = Arc::new(Counting::default());
    let configured = [
        FieldClass::new(1, "identity_number", Suite::CtrHmacSm3),
        FieldClass::identity_number().long_tag(),
        FieldClass::identity_number().not_row_bound(),
    ];
    for class in configured {
        let builder = bench.builder().class(class).guard(uses.clone());
        let ring = builder.build().await.unwrap();
        let key = ring
            .prepare("identity_number", "bank-a", &user())
            .await
            .unwrap();
        let e = key.open(&good, &context(1)).unwrap_err();
        assert!(matches!(e, Error::Policy { .. }), "{e}");
    }
    assert_eq!(uses.opens.load(Ordering::SeqCst), 0);
    // And a value of another class does not pass for one of this class.
    let ring = bench.ring().await;
    let card = ring.prepare("bank_card", "bank-a", &user()).await.unwrap();
    assert!(matches!(
        card.open(&good, &context(1)),
        Err(Error::Policy { .. })
    ));
}

#[derive(Default)]
struct Counting {
    opens: AtomicU32,
}

impl sm_fieldcrypt::KeyUseGuard for Counting {
    fn authorize(&self, key_use: &sm_fieldcrypt::KeyUse<'_>) -> Result<(), sm_fieldcrypt::Refused> {
        if key_use.operation == sm_fieldcrypt::Operation::Open {
            self.opens.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

#[tokio::test]
async fn hazard_impossible_window() {
    let (_bench, key, good) = sealed().await;
    let window = u32::from_be_bytes(good[10..14].try_into().unwrap());
    for (shift, what) in [
        (1_i64, "not a multiple"),
        (15, "in the future"),
        (31 * 1440 + 15, "outside"),
        (-15, "outside"),
    ] {
        let mut bad = good.clone();
        let moved = u32::try_from(i64::from(window) + shift).unwrap();
        bad[10..14].copy_from_slice(&moved.to_be_bytes());
        let e = key.open(&bad, &context(1)).unwrap_err();
        assert!(e.to_string().contains(what), "{e}");
    }
}

#[tokio::test]
async fn hazard_sealing_after_the_key_period() {
    let bench = Bench::new();
    let ring = presets()
        .into_iter()
        .fold(bench.builder(), KeyRingBuilder::class);
    let ring = ring.create_registry().build().await.unwrap();
    ring.rotate("track", None, &user()).await.unwrap();
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    let good = key.seal(b"x", &context(1)).unwrap();
    bench.clock.advance(32 * 24 * 3600);
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    assert!(matches!(
        key.seal(b"x", &context(1)),
        Err(Error::NoKey { .. })
    ));
    assert_eq!(key.open(&good, &context(1)).unwrap().expose(), b"x");
    // A clock before the period seals nothing either.
    bench.clock.set(NOW - 24 * 3600);
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    assert!(matches!(
        key.seal(b"x", &context(1)),
        Err(Error::NoKey { .. })
    ));
    assert!(matches!(
        key.open(&good, &context(1)),
        Err(Error::Window { .. })
    ));
}

#[tokio::test]
async fn hazard_one_nodes_clock_jumps() {
    let bench = Bench::new();
    let (good, wrong) = (
        bench.ring().await,
        Arc::new(ManualClock::new(NOW + 4 * 365 * 86_400)),
    );
    good.prepare("track", "bank-a", &user()).await.unwrap();
    let jumped = bench.ready().clock(wrong).build().await.unwrap();
    let key = jumped.prepare("track", "bank-a", &user()).await.unwrap();
    let from_the_future = key.seal(b"x", &context(1)).unwrap();
    // The others go on with their key; nobody makes key after key.
    for _ in 0..3 {
        good.refresh().await.unwrap();
        let key = good.prepare("track", "bank-a", &user()).await.unwrap();
        let value = key.seal(b"x", &context(1)).unwrap();
        assert_eq!(Envelope::parse(&value).unwrap().header().fek_id, 1);
        let e = key.open(&from_the_future, &context(1)).unwrap_err();
        assert!(matches!(e, Error::Window { fek_id: 2, .. }), "{e}");
        jumped.refresh().await.unwrap();
        jumped.prepare("track", "bank-a", &user()).await.unwrap();
    }
    assert_eq!(good.keys().len(), 2);
}

#[tokio::test]
async fn hazard_prepared_key_outlives_the_registry_cache() {
    let (bench, key, good) = sealed().await;
    bench.clock.advance(60);
    key.open(&good, &context(1)).unwrap();
    bench.clock.advance(1);
    assert!(matches!(
        key.open(&good, &context(1)),
        Err(Error::PreparedExpired)
    ));
    assert!(matches!(
        key.seal(ID, &context(1)),
        Err(Error::PreparedExpired)
    ));
    // A clock set back does not lengthen its life.
    bench.clock.set(NOW - 3600);
    assert!(matches!(
        key.seal(ID, &context(1)),
        Err(Error::PreparedExpired)
    ));
}

#[tokio::test]
async fn hazard_random_generator_fails() {
    struct Broken(AtomicBool);
    impl RandomSource for Broken {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), Error> {
            if self.0.load(Ordering::SeqCst) {
                return Err(Error::Random {
                    reason: "no entropy".into(),
                });
            }
            sm_fieldcrypt::OsRandom.fill(buffer)
        }
    }
    let bench = Bench::new();
    let random = Arc::new(Broken(AtomicBool::new(false)));
    let ring = bench.ready().random(random.clone()).build().await.unwrap();
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    random.0.store(true, Ordering::SeqCst);
    assert!(matches!(
        key.seal(b"x", &context(1)),
        Err(Error::Random { .. })
    ));
    assert!(matches!(
        ring.rotate("track", None, &user()).await,
        Err(Error::Random { .. })
    ));
    assert_eq!(ring.keys().len(), 1);
}

#[tokio::test]
async fn hazard_salt_budget_is_used_up() {
    let bench = Bench::new();
    let ring = bench.ready().seals_per_salt(4).build().await.unwrap();
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    let place = context(1);
    let items: Vec<(&[u8], &FieldContext)> = vec![(b"x", &place); 10];
    let values = key
        .seal_many(&items)
        .unwrap()
        .into_iter()
        .map(Result::unwrap);
    let values: Vec<Vec<u8>> = values.collect();
    let salts: Vec<[u8; 4]> = values
        .iter()
        .map(|v| Envelope::parse(v).unwrap().header().salt)
        .collect();
    assert_eq!(salts[0], salts[3]);
    assert_ne!(salts[3], salts[4]);
    assert_eq!(salts[4], salts[7]);
    assert_ne!(salts[7], salts[8]);
    for value in &values {
        assert_eq!(key.open(value, &place).unwrap().expose(), b"x");
    }
}

#[tokio::test]
async fn hazard_secrets_in_debug_output() {
    let (bench, key, good) = sealed().await;
    let opened = key.open(&good, &context(1)).unwrap();
    assert_eq!(format!("{opened:?}"), "SecretBytes(..)");
    for shown in [
        format!("{key:?}"),
        format!("{:?}", bench.kek),
        format!("{:?}", bench.ring().await),
    ] {
        assert!(!shown.contains("110101") && shown.len() < 200, "{shown}");
    }
}

/// A class fixes its suite and all flags: an envelope cannot choose another.
#[tokio::test]
async fn hazard_downgrade_to_another_suite_or_flag() {
    let bench = Bench::new();
    let classes = [
        FieldClass::new(20, "cbc", Suite::CbcHmacSm3),
        FieldClass::new(21, "ctr", Suite::CtrHmacSm3).long_tag(),
        FieldClass::new(22, "chunked", Suite::CtrHmacSm3).chunked(10),
        FieldClass::new(23, "gcm", Suite::Gcm),
        FieldClass::new(24, "ccm", Suite::Ccm),
    ];
    let ring = bench.ring_with(classes.to_vec()).await;
    for class in &classes {
        let key = ring.prepare(class.name(), "bank-a", &user()).await.unwrap();
        let good = key.seal(&[7; 64], &context(1)).unwrap();
        let mut refused = 0;
        for (suite, flags) in (0..=5).flat_map(|suite| (0..16).map(move |flags| (suite, flags))) {
            let mut bad = good.clone();
            (bad[2], bad[3]) = (suite, flags);
            if bad == good {
                continue;
            }
            let e = key.open(&bad, &context(1)).unwrap_err();
            let named = matches!(e, Error::Envelope { .. } | Error::Policy { .. });
            assert!(named, "{} as {suite}, {flags}: {e}", class.name());
            refused += 1;
        }
        assert_eq!(refused, 95);
    }
}
