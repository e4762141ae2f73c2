//! Properties of the canonical form and of the records written in it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod common;

use audit_log::canonical::{MAX_INTEGER, Value, check, parse};
use audit_log::{Checkpoint, Details, Event, Kind, Outcome, SignedCheckpoint, Who};
use common::{MemStorage, config, open};
use proptest::prelude::*;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-MAX_INTEGER..=MAX_INTEGER).prop_map(Value::Int),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The same value for another implementation of JSON.
fn peer(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(number) => (*number).into(),
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(peer).collect(),
        Value::Object(members) => members.iter().map(|(n, v)| (n.clone(), peer(v))).collect(),
    }
}

proptest! {
    #[test]
    fn written_is_accepted_and_read_back(value in value()) {
        let bytes = value.to_canonical().unwrap();
        let read = parse(&bytes).unwrap();
        prop_assert_eq!(read.to_canonical().unwrap(), bytes.clone());
        // Another parser reads the same value.
        let theirs: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(theirs, peer(&value));
    }

    /// What is accepted has exactly one spelling: the one the writer makes.
    #[test]
    fn accepted_is_canonical(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(value) = parse(&bytes) {
            prop_assert_eq!(value.to_canonical().unwrap(), bytes);
        }
    }

    #[test]
    fn one_changed_byte_is_another_value_or_refused(value in value(), at in any::<usize>(), with in any::<u8>()) {
        let bytes = value.to_canonical().unwrap();
        let mut changed = bytes.clone();
        let at = at % changed.len();
        changed[at] = with;
        if changed != bytes && let Ok(other) = parse(&changed) {
            prop_assert_ne!(other, parse(&bytes).unwrap());
            prop_assert!(check(&changed).is_ok());
        }
    }

    #[test]
    fn any_text_in_an_event_makes_a_canonical_record(texts in prop::collection::vec("\\PC{1,40}|.{1,20}", 6)) {
        let storage = MemStorage::default();
        let log = open(config(), storage.clone()).unwrap();
        let event = Event::new(
            log.now(),
            Who::subject(&texts[0]).tenant(&texts[1]),
            Kind::Custom(texts[2].clone()),
            Outcome::failure(&texts[3]),
            Details::new().with(&texts[4], texts[5].as_str()).with("other", -1),
        );
        if event.check().is_ok() {
            let committed = log.append(event).unwrap().wait().unwrap();
            log.close().unwrap();
            let report = common::verify(&storage.files());
            prop_assert!(report.is_intact(), "{}", report);
            prop_assert_eq!(committed.sequence, 0);
        }
    }
}

#[test]
fn checkpoints_have_one_spelling() {
    let log = open(config(), MemStorage::default()).unwrap();
    let head = log.close().unwrap().unwrap();
    let line = head.to_bytes().unwrap();
    assert_eq!(SignedCheckpoint::parse(&line).unwrap(), head);
    let body = head.checkpoint().to_bytes().unwrap();
    assert_eq!(&Checkpoint::parse(&body).unwrap(), head.checkpoint());
    let text = String::from_utf8(body).unwrap();
    for (from, to) in [
        ("\"v\":1", "\"v\":2"),
        ("\"v\":1", "\"v\":1,\"w\":1"),
        ("smal/checkpoint", "smal/other"),
        ("\"size\":\"0\"", "\"size\":\"00\""),
        ("\"size\":\"0\"", "\"size\":\"+0\""),
        ("\"size\":\"0\"", "\"size\":0"),
        ("\"size\":\"0\"", "\"size\":\"18446744073709551616\""),
        ("\"prev\":\"0", "\"prev\":\""),
        ("synchronized", "maybe"),
        ("{\"key_id\":\"test-key-1\",", "{"),
        ("test-key-1", ""),
    ] {
        assert!(text.contains(from), "{from}");
        let other = text.replacen(from, to, 1);
        assert!(Checkpoint::parse(other.as_bytes()).is_err(), "{other}");
    }
}
