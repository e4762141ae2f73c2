//! Blind indexes: what is found by them, and what is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod common;

use common::{Bench, hex, kek, user};
use proptest::prelude::*;
use sm_fieldcrypt::{
    BlindIndex, Error, FieldClass, IndexKind, KeyRing, KeyRingBuilder, KeyState, KeyUse,
    KeyUseGuard, KeyUseObserver, Normalization, ObserverMode, Operation, Outcome, PreparedIndex,
    RandomSource, Refused,
};
use std::sync::{Arc, Mutex, OnceLock};

fn by_id() -> BlindIndex {
    BlindIndex::equality("by_id", "customers", "id_no").normalized(Normalization::IdentityNumber)
}

fn builder(bench: &Bench) -> KeyRingBuilder {
    bench
        .builder()
        .class(FieldClass::identity_number())
        .index(by_id())
        .index(BlindIndex::unique("by_card", "customers", "card").normalized(Normalization::Digits))
        .index(BlindIndex::prefix("by_issuer", "customers", "card", 6).tag_bytes(8))
        .index(BlindIndex::equality("by_name", "customers", "name").tag_bytes(4))
        .create_registry()
        .auto_rotate()
}

async fn ring(bench: &Bench) -> KeyRing {
    builder(bench).build().await.unwrap()
}

async fn prepared(ring: &KeyRing, name: &str) -> PreparedIndex {
    ring.prepare_index(name, "bank-a", &user()).await.unwrap()
}

fn token(index: &PreparedIndex, value: &str) -> Vec<u8> {
    index.token(value).unwrap().unwrap()
}

#[tokio::test]
async fn equal_values_are_found_and_others_are_not() {
    let bench = Bench::new();
    let ring = ring(&bench).await;
    let index = prepared(&ring, "by_id").await;
    let stored = token(&index, "11010119900307461X");
    assert_eq!(stored.len(), 18);
    assert_eq!(
        index.search(" 11010119900307461x").unwrap(),
        std::slice::from_ref(&stored)
    );
    assert_ne!(
        index.search("110101199003074610").unwrap(),
        std::slice::from_ref(&stored)
    );
    // Another node makes the same tokens, another tenant and another index others.
    let there = self::ring(&bench).await;
    let same = prepared(&there, "by_id").await;
    assert_eq!(token(&same, "11010119900307461X"), stored);
    let other = there.prepare_index("by_id", "bank-b", &user()).await;
    assert_ne!(token(&other.unwrap(), "11010119900307461X"), stored);
    let other = prepared(&there, "by_name").await;
    assert_ne!(token(&other, "11010119900307461X")[..6], stored[..6]);
    assert_eq!(token(&other, "张三").len(), 2 + 4);
    let cards = prepared(&there, "by_card").await;
    assert_eq!(
        token(&cards, "6228 4804 0256 4890"),
        token(&cards, "6228480402564890")
    );
}

#[tokio::test]
async fn prefixes_find_what_begins_so() {
    let bench = Bench::new();
    let ring = ring(&bench).await;
    let index = prepared(&ring, "by_issuer").await;
    let stored = token(&index, "6228480402564890018");
    assert_eq!(stored.len(), 2 + 8);
    assert_eq!(index.search("622848").unwrap(), [stored]);
    assert_eq!(index.token("62284").unwrap(), None);
    assert!(index.search("62284").unwrap().is_empty());
    // Characters, not bytes.
    assert_eq!(index.token("中国农业银").unwrap(), None);
    token(&index, "中国农业银行");
    let e = index.search("6228480").unwrap_err();
    assert!(matches!(e, Error::Context { .. }), "{e}");
    let many = index.token_many(&["62", "622848", "", "6228481"]).unwrap();
    let made: Vec<bool> = many.iter().map(Option::is_some).collect();
    assert_eq!(made, [false, true, false, true]);
    assert_eq!(many[1], many[3]);
}

/// Every draw of 32 bytes is the same key.
struct Sevens;

impl RandomSource for Sevens {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Error> {
        buffer.fill(7);
        Ok(())
    }
}

/// Computed elsewhere: Python's `hmac` over `hashlib.new("sm3")`.
#[tokio::test]
async fn tokens_are_those_of_the_wire_format() {
    let bench = Bench::new();
    let ring = builder(&bench)
        .random(Arc::new(Sevens))
        .build()
        .await
        .unwrap();
    for (name, value, expected) in [
        (
            "by_id",
            "11010119900307461x",
            "00014d3f27411b3d5d00049c2d771a211f70",
        ),
        ("by_issuer", "6228480402564890018", "0001e4cca7ef20992079"),
        ("by_card", "张三", "0001494dd77a124818c2b97f83065f5152a9"),
    ] {
        let index = prepared(&ring, name).await;
        assert_eq!(hex(&token(&index, value)), expected, "{name}");
    }
}

/// The whole way of an index made anew while the service runs.
#[tokio::test]
async fn an_index_is_made_anew_without_a_row_that_is_not_found() {
    let bench = Bench::new();
    let ring = ring(&bench).await;
    let first = prepared(&ring, "by_id").await;
    let mut rows: Vec<Vec<u8>> = (0..5).map(|i| token(&first, &format!("id-{i}"))).collect();
    let found = |index: &PreparedIndex, rows: &[Vec<u8>], value: &str| {
        let tokens = index.search(value).unwrap();
        rows.iter().filter(|row| tokens.contains(row)).count()
    };
    let info = ring.rotate_index("by_id", "bank-a", &user()).await.unwrap();
    assert_eq!((info.version, info.state), (2, KeyState::Active));
    // Who prepared before goes on under the first version, and is found.
    rows.push(token(&first, "id-5"));
    // As long as a node may not know of the second one, tokens are those of the first, and both are searched for.
    let index = prepared(&ring, "by_id").await;
    assert_eq!(token(&index, "id-0"), rows[0]);
    assert!(index.is_current(&rows[0]).unwrap());
    assert_eq!(index.search("id-0").unwrap()[0], rows[0]);
    bench.clock.advance(360);
    let index = prepared(&ring, "by_id").await;
    assert_eq!(
        index.versions().map(|v| v.version).collect::<Vec<_>>(),
        [2, 1]
    );
    rows.push(token(&index, "id-6"));
    for i in 0..7 {
        assert_eq!(found(&index, &rows, &format!("id-{i}")), 1, "{i}");
    }
    // In the background every row gets a new token, one after the other.
    for i in 0..7 {
        if !index.is_current(&rows[i]).unwrap() {
            rows[i] = token(&index, &format!("id-{i}"));
        }
        for j in 0..7 {
            assert_eq!(found(&index, &rows, &format!("id-{j}")), 1);
        }
    }
    ring.change_index_state("by_id", "bank-a", 1, KeyState::Destroyed, &user())
        .await
        .unwrap();
    // What was prepared before notices at once.
    let e = index.search("id-0").unwrap_err();
    assert!(matches!(e, Error::IndexState { version: 1, .. }), "{e}");
    let index = prepared(&ring, "by_id").await;
    assert_eq!(index.search("id-0").unwrap().len(), 1);
    for i in 0..7 {
        assert_eq!(found(&index, &rows, &format!("id-{i}")), 1);
    }
    assert!(!index.is_current(&[0, 1, 9]).unwrap() && !index.is_current(&[]).unwrap());
    // Its number is never given to another key.
    let info = ring.rotate_index("by_id", "bank-a", &user()).await.unwrap();
    assert_eq!(info.version, 3);
}

#[tokio::test]
async fn a_changed_definition_applies_from_the_next_version_on() {
    let bench = Bench::new();
    let before = ring(&bench).await;
    let stored = token(&prepared(&before, "by_name").await, "Zhang San");
    let changed = BlindIndex::equality("by_name", "customers", "name").tag_bytes(20);
    let changed = changed.normalized(Normalization::Lowercase);
    let after = bench.builder().class(FieldClass::track()).index(changed);
    let after = after.build().await.unwrap();
    let index = prepared(&after, "by_name").await;
    assert_eq!(token(&index, "Zhang San"), stored);
    assert_ne!(token(&index, "zhang san"), stored);
    after
        .rotate_index("by_name", "bank-a", &user())
        .await
        .unwrap();
    bench.clock.advance(360);
    let index = prepared(&after, "by_name").await;
    assert_eq!(token(&index, "zhang san").len(), 22);
    let tokens = index.search("Zhang San").unwrap();
    assert_eq!(tokens, [stored, token(&index, "ZHANG SAN")]);
}

#[tokio::test]
async fn hazard_index_versions_out_of_use_are_still_used() {
    let bench = Bench::new();
    let ring = ring(&bench).await;
    let index = prepared(&ring, "by_id").await;
    token(&index, "x");
    ring.change_index_state("by_id", "bank-a", 1, KeyState::Disabled, &user())
        .await
        .unwrap();
    assert!(matches!(index.token("x"), Err(Error::IndexState { .. })));
    let index = prepared(&ring, "by_id").await;
    assert!(matches!(index.token("x"), Err(Error::NoIndexKey { .. })));
    assert!(matches!(index.search("x"), Err(Error::NoIndexKey { .. })));
    // Nothing leads back to active, and nobody makes a key by himself where there was one.
    for to in [KeyState::Active, KeyState::PreActive, KeyState::Disabled] {
        let e = ring
            .change_index_state("by_id", "bank-a", 1, to, &user())
            .await
            .unwrap_err();
        assert!(matches!(e, Error::IndexState { .. }), "{e}");
    }
    let e = ring
        .change_index_state("by_id", "bank-a", 2, KeyState::Disabled, &user())
        .await;
    assert!(e.unwrap_err().to_string().contains("no such version"));
    // Prepared for a minute.
    let index = prepared(&ring, "by_card").await;
    bench.clock.advance(61);
    assert!(matches!(index.token("x"), Err(Error::PreparedExpired)));
    assert!(matches!(index.search("x"), Err(Error::PreparedExpired)));
}

#[tokio::test]
async fn indexes_that_are_not_there() {
    let bench = Bench::new();
    let ring = builder(&bench).build().await.unwrap();
    let e = ring.prepare_index("by_nothing", "bank-a", &user()).await;
    assert!(matches!(e, Err(Error::UnknownIndex { .. })));
    let e = ring.prepare_index("by_id", "", &user()).await;
    assert!(matches!(e, Err(Error::Context { .. })));
    // Without leave to make keys there is none.
    let strict = bench.builder().class(FieldClass::track()).index(by_id());
    let strict = strict.build().await.unwrap();
    let e = strict.prepare_index("by_id", "bank-a", &user()).await;
    assert!(matches!(e, Err(Error::NoIndexKey { .. })));
    for clash in [
        by_id(),
        BlindIndex::equality("other", "customers", "id_no"),
        BlindIndex::unique("by_id", "customers", "id_no"),
    ] {
        let e = builder(&bench).index(clash).build().await;
        assert!(matches!(e, Err(Error::Config { .. })));
    }
}

#[derive(Default)]
struct Seen(Mutex<Vec<(Operation, Outcome, String, u64)>>);

impl KeyUseObserver for Seen {
    fn observe(&self, key_use: &KeyUse<'_>) -> Result<(), Refused> {
        let id = key_use.key_id.to_string();
        let event = (key_use.operation, key_use.outcome, id, key_use.count);
        self.0.lock().unwrap().push(event);
        Ok(())
    }
}

struct NoSearch;

impl KeyUseGuard for NoSearch {
    fn authorize(&self, key_use: &KeyUse<'_>) -> Result<(), Refused> {
        match key_use.operation {
            Operation::Search => Err(Refused::new("no search")),
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn tokens_are_uses_of_a_key_that_are_asked_for_and_told() {
    let bench = Bench::new();
    let seen = Arc::new(Seen::default());
    let ring = builder(&bench)
        .observer(seen.clone(), ObserverMode::FailClosed)
        .guard(Arc::new(NoSearch));
    let ring = ring.build().await.unwrap();
    let index = prepared(&ring, "by_id").await;
    let operations: Vec<Operation> = seen.0.lock().unwrap().iter().map(|e| e.0).collect();
    use Operation::{Prepare, Rotate, UnwrapKey, WrapKey};
    assert_eq!(operations, [Rotate, WrapKey, Rotate, UnwrapKey, Prepare]);
    seen.0.lock().unwrap().clear();
    index.token_many(&["a", "b", "c"]).unwrap();
    let uri = "idx://by_id/1".to_string();
    let expected = [(Operation::Index, Outcome::Succeeded, uri, 3)];
    assert_eq!(*seen.0.lock().unwrap(), expected);
    let e = index.search("a").unwrap_err();
    assert!(matches!(e, Error::Refused { by: "guard", .. }), "{e}");
}

/// Whoever writes to the registry's storage can take nothing back and swap nothing.
#[tokio::test]
async fn hazard_index_records_are_changed_in_storage() {
    let bench = Bench::new();
    let ring = ring(&bench).await;
    prepared(&ring, "by_id").await;
    prepared(&ring, "by_card").await;
    ring.rotate_index("by_id", "bank-a", &user()).await.unwrap();
    let earlier = bench.store.bytes().unwrap();
    ring.change_index_state("by_id", "bank-a", 1, KeyState::Disabled, &user())
        .await
        .unwrap();
    let good = bench.store.bytes().unwrap();
    let refused = async |bytes: Vec<u8>| {
        bench.store.overwrite(Some(bytes));
        let e = ring.refresh().await.unwrap_err();
        // And by a node that has seen nothing yet.
        let fresh = builder(&bench).build().await;
        bench.store.overwrite(Some(good.clone()));
        (e, fresh)
    };
    // An old registry: by who has seen the newer one.
    assert!(matches!(
        refused(earlier).await.0,
        Error::RegistryRolledBack { .. }
    ));
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let (e, fresh) = refused(bad).await;
        assert!(fresh.is_err(), "byte {at}: {e}");
    }
    ring.refresh().await.unwrap();
    // Another KEK's.
    let other = KeyRing::builder(kek(9), bench.store.clone()).class(FieldClass::track());
    assert!(other.build().await.is_err());
    assert_eq!(ring.indexes().len(), 3);
    assert_eq!(ring.indexes()[0].kind, IndexKind::Unique);
}

fn shared() -> &'static [PreparedIndex; 2] {
    static SHARED: OnceLock<[PreparedIndex; 2]> = OnceLock::new();
    SHARED.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            let ring = ring(&Bench::new()).await;
            [
                prepared(&ring, "by_card").await,
                prepared(&ring, "by_name").await,
            ]
        })
    })
}

proptest! {
    #[test]
    fn one_at_a_time_is_as_many(values in prop::collection::vec(".{0,30}", 0..40)) {
        let [index, _] = shared();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let many = index.token_many(&values).unwrap();
        for (value, token) in values.iter().zip(&many) {
            prop_assert_eq!(index.token(value).unwrap(), token.clone());
            prop_assert_eq!(index.search(value).unwrap(), [token.clone().unwrap()]);
        }
    }

    #[test]
    fn different_values_have_different_tokens(a in ".{0,30}", b in ".{0,30}") {
        let [index, exact] = shared();
        let same = |s: &str| s.replace([' ', '-'], "");
        prop_assert_eq!(index.token(&a).unwrap() == index.token(&b).unwrap(), same(&a) == same(&b));
        if a == b {
            prop_assert_eq!(exact.token(&a).unwrap(), exact.token(&b).unwrap());
        }
    }
}

/// Two rotations in a row: no token is made that a node with an older registry does not search for.
#[tokio::test]
async fn hazard_two_rotations_within_the_time_that_nodes_take_to_notice() {
    let bench = Bench::new();
    let ring = ring(&bench).await;
    let stored = token(&prepared(&ring, "by_id").await, "x");
    bench.clock.advance(1000);
    for _ in 0..2 {
        ring.rotate_index("by_id", "bank-a", &user()).await.unwrap();
        bench.clock.advance(10);
    }
    let index = prepared(&ring, "by_id").await;
    assert_eq!(token(&index, "x"), stored);
    bench.clock.advance(345);
    let index = prepared(&ring, "by_id").await;
    assert_eq!(token(&index, "x")[..2], [0, 2]);
    bench.clock.advance(10);
    let index = prepared(&ring, "by_id").await;
    assert_eq!(token(&index, "x")[..2], [0, 3]);
}
