//! Sealing and opening end to end.
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
use sm_fieldcrypt::{Envelope, Error, FieldClass, FieldContext, RowKey, Suite};

fn classes() -> Vec<FieldClass> {
    vec![
        FieldClass::identity_number(),
        FieldClass::bank_card().long_tag(),
        FieldClass::device_serial(),
        FieldClass::track().long_tag(),
        FieldClass::new(20, "loose", Suite::CbcHmacSm3).not_row_bound(),
        FieldClass::new(21, "own", Suite::CtrHmacSm3).per_tenant(),
    ]
}

fn place(class: &FieldClass) -> FieldContext {
    let column = FieldContext::new("bank-a", "customers", class.name());
    if class.is_row_bound() {
        column.row(7_i64)
    } else {
        column
    }
}

#[tokio::test]
async fn every_class_round_trips_every_length() {
    let bench = Bench::new();
    let ring = bench.ring_with(classes()).await;
    for class in classes() {
        let key = ring.prepare(class.name(), "bank-a", &user()).await.unwrap();
        for n in [0_usize, 1, 15, 16, 17, 31, 32, 33, 100, 1000, 70_000] {
            let plain: Vec<u8> = (0..n).map(|i| (i * 7) as u8).collect();
            let sealed = key.seal(&plain, &place(&class)).unwrap();
            assert_eq!(key.open(&sealed, &place(&class)).unwrap().expose(), plain);
            let envelope = Envelope::parse(&sealed).unwrap();
            let header = envelope.header();
            assert_eq!(header.class, class.id());
            assert_eq!(header.suite, class.suite());
            assert_eq!(header.row_bound, class.is_row_bound());
            assert_eq!(
                envelope.tag().len(),
                if class.has_long_tag() { 32 } else { 16 }
            );
            assert_eq!(header.fek_id, 1);
            let shown = plain.len().min(8);
            assert!(shown < 8 || sealed.windows(shown).all(|w| w != &plain[..shown]));
        }
    }
}

#[tokio::test]
async fn equal_plaintexts_seal_differently() {
    let bench = Bench::new();
    let ring = bench.ring().await;
    let key = ring
        .prepare("identity_number", "bank-a", &user())
        .await
        .unwrap();
    let a = key.seal(b"110101199003074610", &context(1)).unwrap();
    let b = key.seal(b"110101199003074610", &context(1)).unwrap();
    let (a, b) = (Envelope::parse(&a).unwrap(), Envelope::parse(&b).unwrap());
    assert_ne!(a.iv(), b.iv());
    assert_ne!(a.ciphertext(), b.ciphertext());
}

#[tokio::test]
async fn batches_give_one_result_an_item() {
    let bench = Bench::new();
    let ring = bench.ring().await;
    let key = ring
        .prepare("device_serial", "bank-a", &user())
        .await
        .unwrap();
    let plain: Vec<Vec<u8>> = (0..50_u8).map(|i| vec![i; usize::from(i)]).collect();
    let contexts: Vec<FieldContext> = (0..50).map(context).collect();
    let other = FieldContext::new("bank-b", "t", "c").row(1_i64);
    let mut items: Vec<(&[u8], &FieldContext)> =
        plain.iter().map(Vec::as_slice).zip(&contexts).collect();
    items.insert(10, (b"x", &other));
    let sealed = key.seal_many(&items).unwrap();
    assert_eq!(sealed.len(), 51);
    assert!(matches!(sealed[10], Err(Error::Context { .. })));
    let sealed: Vec<Vec<u8>> = sealed.into_iter().filter_map(Result::ok).collect();

    // One bad value in the middle, one under another window, and the rest: each its own result.
    let mut bad = sealed.clone();
    let last = bad[20].len() - 1;
    bad[20][last] ^= 1;
    bad[30].truncate(5);
    bench.clock.advance(30 * 60);
    let key = ring
        .prepare("device_serial", "bank-a", &user())
        .await
        .unwrap();
    bad[40] = key.seal(b"later", &contexts[40]).unwrap();
    let items: Vec<(&[u8], &FieldContext)> = bad.iter().map(Vec::as_slice).zip(&contexts).collect();
    for (i, result) in key.open_many(&items).unwrap().into_iter().enumerate() {
        match i {
            20 => assert!(matches!(result, Err(Error::Open))),
            30 => assert!(matches!(result, Err(Error::Envelope { .. }))),
            40 => assert_eq!(result.unwrap().expose(), b"later"),
            _ => assert_eq!(result.unwrap().expose(), plain[i]),
        }
    }
    assert!(key.seal_many(&[]).unwrap().is_empty());
    assert!(key.open_many(&[]).unwrap().is_empty());
}

#[tokio::test]
async fn windows_of_the_past_open_while_the_key_lives() {
    let bench = Bench::new();
    let ring = bench.ring().await;
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    let old = key.seal(b"116.3,39.9", &context(1)).unwrap();
    for _ in 0..20 {
        bench.clock.advance(24 * 3600);
        let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
        assert_eq!(key.open(&old, &context(1)).unwrap().expose(), b"116.3,39.9");
        let new = key.seal(b"x", &context(1)).unwrap();
        let (old, new) = (
            Envelope::parse(&old).unwrap(),
            Envelope::parse(&new).unwrap(),
        );
        assert!(new.header().window > old.header().window);
    }
}

#[tokio::test]
async fn rotation_makes_a_new_primary_and_keeps_the_old_one_opening() {
    let bench = Bench::new();
    let ring = bench.ring().await;
    let key = ring.prepare("bank_card", "bank-a", &user()).await.unwrap();
    let old = key.seal(b"6228480402564890018", &context(1)).unwrap();
    let info = ring.rotate("bank_card", None, &user()).await.unwrap();
    assert_eq!(info.fek_id, 2);
    let key = ring.prepare("bank_card", "bank-a", &user()).await.unwrap();
    let new = key.seal(b"6228480402564890018", &context(1)).unwrap();
    assert_eq!(Envelope::parse(&old).unwrap().header().fek_id, 1);
    assert_eq!(Envelope::parse(&new).unwrap().header().fek_id, 2);
    for sealed in [&old, &new] {
        assert_eq!(
            key.open(sealed, &context(1)).unwrap().expose(),
            b"6228480402564890018"
        );
    }
}

#[tokio::test]
async fn a_restarted_service_opens_what_it_sealed() {
    let bench = Bench::new();
    let key = bench
        .ring()
        .await
        .prepare("identity_number", "bank-a", &user())
        .await
        .unwrap();
    let sealed = key.seal(b"secret", &context(5)).unwrap();
    drop(key);
    let key = bench
        .ring()
        .await
        .prepare("identity_number", "bank-a", &user())
        .await
        .unwrap();
    assert_eq!(key.open(&sealed, &context(5)).unwrap().expose(), b"secret");
    let again = key.seal(b"secret", &context(5)).unwrap();
    let salt = |bytes: &[u8]| Envelope::parse(bytes).unwrap().header().salt;
    assert_ne!(
        salt(&sealed),
        salt(&again),
        "every process start draws its own salt"
    );
}

#[tokio::test]
async fn compound_rows_bind_by_type_and_order() {
    let bench = Bench::new();
    let ring = bench.ring().await;
    let key = ring
        .prepare("identity_number", "bank-a", &user())
        .await
        .unwrap();
    let column = FieldContext::new("bank-a", "customers", "id_no");
    let rows = [
        RowKey::from(7_i64),
        RowKey::from("7"),
        RowKey::new().int(7).text("7"),
        RowKey::new().text("7").int(7),
        RowKey::new().bytes(b"7"),
        RowKey::new().uuid(*b"7777777777777777"),
        RowKey::new().bytes(b"7777777777777777"),
    ];
    for sealed_at in &rows {
        let sealed = key.seal(b"x", &column.at(sealed_at.clone())).unwrap();
        for opened_at in &rows {
            let opened = key.open(&sealed, &column.at(opened_at.clone()));
            assert_eq!(opened.is_ok(), sealed_at == opened_at);
        }
    }
}

#[tokio::test]
async fn a_key_per_tenant_is_a_key_per_tenant() {
    let bench = Bench::new();
    let ring = bench.ring_with(classes()).await;
    for tenant in ["bank-a", "bank-b"] {
        ring.prepare("own", tenant, &user()).await.unwrap();
    }
    let own: Vec<_> = ring.keys().into_iter().filter(|k| k.class == 21).collect();
    assert_eq!(own.len(), 2);
    assert_eq!(own[0].tenant.as_deref(), Some("bank-a"));
    assert_eq!(own[1].tenant.as_deref(), Some("bank-b"));
    assert!(matches!(
        ring.rotate("own", None, &user()).await,
        Err(Error::Context { .. })
    ));
    assert!(matches!(
        ring.rotate("track", Some("bank-a"), &user()).await,
        Err(Error::Context { .. })
    ));
    let rotated = ring.rotate("own", Some("bank-b"), &user()).await.unwrap();
    assert_eq!(
        (rotated.fek_id, rotated.tenant.as_deref()),
        (3, Some("bank-b"))
    );
    // bank-a's key still seals.
    ring.prepare("own", "bank-a", &user())
        .await
        .unwrap()
        .seal(b"x", &FieldContext::new("bank-a", "t", "c").row(1_i64))
        .unwrap();
}
