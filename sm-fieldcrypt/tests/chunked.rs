//! Chunked values: whole, by range, and as a stream.
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
use proptest::prelude::*;
use sm_fieldcrypt::{
    ChunkedHeader, Error, FieldClass, KeyUse, KeyUseObserver, ObserverMode, Operation, Outcome,
    PreparedKey, Refused, Suite,
};
use std::sync::{Arc, Mutex, OnceLock};

const CHUNK: usize = 1024;

fn class() -> FieldClass {
    FieldClass::new(20, "track", Suite::CtrHmacSm3).chunked(10)
}

async fn key() -> PreparedKey {
    let ring = Bench::new().ring_with(vec![class()]).await;
    ring.prepare("track", "bank-a", &user()).await.unwrap()
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 251) as u8).collect()
}

/// What a database gives for `substring`.
fn part(sealed: &[u8], range: std::ops::Range<u64>) -> &[u8] {
    &sealed[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
}

#[tokio::test]
async fn values_of_every_length_around_a_chunk_come_back() {
    let key = key().await;
    let here = context(1);
    for length in [0, 1, 15, 16, 17, 1023, 1024, 1025, 2048, 5000] {
        let text = text(length);
        let sealed = key.seal(&text, &here).unwrap();
        let chunks = length.div_ceil(CHUNK).max(1);
        assert_eq!(sealed.len(), ChunkedHeader::LEN + length + chunks * 16);
        assert_eq!(key.open(&sealed, &here).unwrap().expose(), text);
        assert!(key.open(&sealed, &context(2)).is_err());
        let header = ChunkedHeader::read(&sealed).unwrap();
        assert_eq!(header.plaintext_len(), length as u64);
        assert_eq!(header.sealed_len(), sealed.len() as u64);
        assert_eq!(header.chunk_len(), CHUNK as u64);
    }
}

#[tokio::test]
async fn values_with_chunks_of_another_length_open_in_the_same_class() {
    let bench = Bench::new();
    let prepared = async |log2| {
        let class = FieldClass::new(20, "track", Suite::CtrHmacSm3).chunked(log2);
        let ring = bench.ring_with(vec![class]).await;
        ring.prepare("track", "bank-a", &user()).await.unwrap()
    };
    let sealed = prepared(10).await.seal(&text(5000), &context(1)).unwrap();
    let opened = prepared(12).await.open(&sealed, &context(1)).unwrap();
    assert_eq!(opened.expose(), text(5000));
}

#[tokio::test]
async fn a_range_takes_its_chunks_alone() {
    let key = key().await;
    let (text, here) = (text(5000), context(1));
    let sealed = key.seal(&text, &here).unwrap();
    // Only the third chunk is intact.
    let mut torn = sealed.clone();
    let third = ChunkedHeader::LEN + 2 * (CHUNK + 16);
    for (at, byte) in torn.iter_mut().enumerate().skip(ChunkedHeader::LEN) {
        if !(third..third + CHUNK + 16).contains(&at) {
            *byte ^= 1;
        }
    }
    let range = 2100..3000;
    let opened = key.open_range(&torn, range.clone(), &here).unwrap();
    assert_eq!(opened.expose(), &text[2100..3000]);
    for beside in [2047..2048, 3072..3073, 2047..2100, 2100..3073, 0..5000] {
        let e = key.open_range(&torn, beside, &here).unwrap_err();
        assert!(matches!(e, Error::Open), "{e}");
    }
    assert!(matches!(key.open(&torn, &here), Err(Error::Open)));
    // From the parts that a database gives.
    let header = ChunkedHeader::read(part(&torn, 0..39)).unwrap();
    let place = header.sealed_range(&range).unwrap();
    let chunks = part(&torn, place.clone());
    assert_eq!(chunks.len(), CHUNK + 16);
    let opened = key
        .open_chunks(&header, range.clone(), chunks, &here)
        .unwrap();
    assert_eq!(opened.expose(), &text[2100..3000]);
    // The right chunk for another range, and parts of other lengths.
    let e = key
        .open_chunks(&header, 3100..3200, chunks, &here)
        .unwrap_err();
    assert!(matches!(e, Error::Open), "{e}");
    for wrong in [&chunks[1..], &chunks[..1039], &[]] {
        let e = key
            .open_chunks(&header, range.clone(), wrong, &here)
            .unwrap_err();
        assert!(matches!(e, Error::Envelope { .. }), "{e}");
    }
    for (start, end) in [(0, 5001), (5001, 5001), (4, 3)] {
        let bad = std::ops::Range { start, end };
        let e = key.open_range(&sealed, bad, &here).unwrap_err();
        assert!(matches!(e, Error::Range { length: 5000, .. }), "{e}");
    }
    // Nothing of an authentic chunk is nothing; of a torn one it is refused.
    assert!(key.open_range(&torn, 2100..2100, &here).unwrap().is_empty());
    assert!(key.open_range(&torn, 100..100, &here).is_err());
    assert!(
        key.open_range(&sealed, 5000..5000, &here)
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn hazard_chunks_are_moved_left_out_or_added() {
    let key = key().await;
    let here = context(1);
    let good = key.seal(&text(3 * CHUNK), &here).unwrap();
    let other = key.seal(&text(3 * CHUNK), &here).unwrap();
    let size = CHUNK + 16;
    let chunk = |of: &[u8], i: usize| of[39 + i * size..39 + (i + 1) * size].to_vec();
    let with = |chunks: &[Vec<u8>], length: u64| {
        let mut bytes = good[..39].to_vec();
        bytes[31..39].copy_from_slice(&length.to_be_bytes());
        bytes.extend(chunks.concat());
        bytes
    };
    let (a, b, c) = (chunk(&good, 0), chunk(&good, 1), chunk(&good, 2));
    let whole = 3 * CHUNK as u64;
    let same = with(&[a.clone(), b.clone(), c.clone()], whole);
    assert_eq!(same, good);
    for (chunks, length) in [
        (vec![b.clone(), a.clone(), c.clone()], whole),
        (vec![a.clone(), a.clone(), c.clone()], whole),
        (vec![a.clone(), chunk(&other, 1), c.clone()], whole),
        (vec![a.clone(), b.clone()], 2 * CHUNK as u64),
        (
            vec![a.clone(), b.clone(), c.clone(), c.clone()],
            4 * CHUNK as u64,
        ),
        (vec![Vec::new(), vec![0; 16]], 0),
    ] {
        let bad = with(&chunks, length);
        let e = key.open(&bad, &here).unwrap_err();
        assert!(matches!(e, Error::Open), "{e}");
    }
    // What does not have the length it says is named, before a key is used.
    for bad in [
        &good[..good.len() - 1],
        &good[..good.len() - size],
        &[&good[..], &[0]].concat(),
    ] {
        let e = key.open(bad, &here).unwrap_err();
        assert!(matches!(e, Error::Envelope { .. }), "{e}");
        let e = key.open_range(bad, 0..1, &here).unwrap_err();
        assert!(matches!(e, Error::Envelope { .. }), "{e}");
    }
    for (at, byte) in [(30, 9), (30, 21), (31, 0xff)] {
        let mut bad = good.clone();
        bad[at] = byte;
        let e = key.open(&bad, &here).unwrap_err();
        assert!(
            matches!(
                e,
                Error::Envelope {
                    offset: 30 | 31,
                    ..
                }
            ),
            "{e}"
        );
    }
}

#[tokio::test]
async fn streams_are_what_whole_values_are() {
    let key = key().await;
    let here = context(1);
    for length in [0, 1, 1024, 1025, 4096, 5000] {
        let text = text(length);
        let mut stream = key.seal_stream(length as u64, &here).unwrap();
        let mut sealed = stream.front().to_vec();
        if text.is_empty() {
            sealed.extend(stream.seal_next(&[]).unwrap());
        }
        for chunk in text.chunks(stream.chunk_len()) {
            sealed.extend(stream.seal_next(chunk).unwrap());
        }
        assert!(stream.seal_next(&[]).is_err());
        stream.finish().unwrap();
        assert_eq!(key.open(&sealed, &here).unwrap().expose(), text);

        let mut stream = key.open_stream(&sealed[..39], &here).unwrap();
        let (mut rest, mut opened) = (&sealed[39..], Vec::new());
        while let Some(length) = stream.next_len() {
            let (chunk, later) = rest.split_at(length);
            opened.extend_from_slice(stream.open_next(chunk).unwrap().expose());
            rest = later;
        }
        assert!(rest.is_empty());
        assert!(stream.open_next(&[]).is_err());
        stream.finish().unwrap();
        assert_eq!(opened, text);
    }
}

#[tokio::test]
async fn a_stream_that_ends_early_or_fails_is_not_whole() {
    let key = key().await;
    let here = context(1);
    let mut stream = key.seal_stream(2000, &here).unwrap();
    assert!(stream.seal_next(&[0; 1023]).is_err());
    assert!(stream.seal_next(&[0; 1025]).is_err());
    stream.seal_next(&[0; 1024]).unwrap();
    assert!(stream.seal_next(&[0; 1024]).is_err());
    let e = stream.finish().unwrap_err();
    assert!(e.to_string().contains("ended before the last chunk"), "{e}");

    let sealed = key.seal(&text(3000), &here).unwrap();
    let chunks: Vec<&[u8]> = sealed[39..].chunks(CHUNK + 16).collect();
    let mut stream = key.open_stream(&sealed, &here).unwrap();
    stream.open_next(chunks[0]).unwrap();
    assert!(matches!(stream.open_next(chunks[0]), Err(Error::Open)));
    // Nothing goes on behind a chunk that was refused.
    assert!(matches!(stream.open_next(chunks[1]), Err(Error::Open)));
    assert!(stream.finish().is_err());
    let mut stream = key.open_stream(&sealed, &here).unwrap();
    stream.open_next(chunks[0]).unwrap();
    assert!(stream.finish().is_err());

    // A class without chunks has no streams.
    let ring = Bench::new().ring().await;
    let plain = ring.prepare("track", "bank-a", &user()).await.unwrap();
    assert!(matches!(
        plain.seal_stream(1, &here),
        Err(Error::Policy { .. })
    ));
    assert!(matches!(
        plain.open_stream(&sealed, &here),
        Err(Error::Policy { .. })
    ));
    assert!(plain.open_range(&sealed, 0..1, &here).is_err());
    let unchunked = plain.seal(b"x", &here).unwrap();
    assert!(ChunkedHeader::read(&unchunked).is_err());
}

#[derive(Default)]
struct Seen(Mutex<Vec<(Operation, Outcome, u64)>>);

impl KeyUseObserver for Seen {
    fn observe(&self, key_use: &KeyUse<'_>) -> Result<(), Refused> {
        if matches!(key_use.operation, Operation::Seal | Operation::Open) {
            let seen = (key_use.operation, key_use.outcome, key_use.count);
            self.0.lock().unwrap().push(seen);
        }
        Ok(())
    }
}

#[tokio::test]
async fn ranges_and_streams_are_reported_as_uses() {
    let seen = Arc::new(Seen::default());
    let ring = Bench::new().builder().class(class()).create_registry();
    let ring = ring.observer(seen.clone(), ObserverMode::FailClosed);
    let ring = ring.auto_rotate().build().await.unwrap();
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    let here = context(1);
    let took = || std::mem::take(&mut *seen.0.lock().unwrap());
    let sealed = key.seal(&text(3000), &here).unwrap();
    took();
    key.open_range(&sealed, 5..2000, &here).unwrap();
    assert_eq!(took(), [(Operation::Open, Outcome::Succeeded, 1)]);
    assert!(key.open_range(&sealed, 5..2000, &context(2)).is_err());
    assert_eq!(took(), [(Operation::Open, Outcome::Failed, 1)]);
    let mut stream = key.seal_stream(2000, &here).unwrap();
    stream.seal_next(&[0; 1024]).unwrap();
    stream.seal_next(&[0; 976]).unwrap();
    assert_eq!(took(), [(Operation::Seal, Outcome::Succeeded, 1)]);
    let mut stream = key.open_stream(&sealed, &here).unwrap();
    stream.open_next(&sealed[39..39 + 1040]).unwrap();
    assert_eq!(took(), [(Operation::Open, Outcome::Succeeded, 1)]);
    assert!(stream.open_next(&sealed[39..39 + 1040]).is_err());
    assert_eq!(took(), [(Operation::Open, Outcome::Failed, 1)]);
}

fn shared() -> &'static (PreparedKey, Vec<u8>) {
    static SHARED: OnceLock<(PreparedKey, Vec<u8>)> = OnceLock::new();
    SHARED.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let key = runtime.unwrap().block_on(key());
        let sealed = key.seal(&text(4500), &context(1)).unwrap();
        (key, sealed)
    })
}

proptest! {
    #[test]
    fn any_range_is_the_text_there(start in 0_u64..=4500, length in 0_u64..=4500) {
        let (key, sealed) = shared();
        let end = (start + length).min(4500);
        let opened = key.open_range(sealed, start..end, &context(1)).unwrap();
        prop_assert_eq!(opened.expose(), &text(4500)[start as usize..end as usize]);
    }

    #[test]
    fn no_byte_of_a_chunk_can_be_changed(at in 39_usize..4500 + 39 + 5 * 16, by in 1_u8..) {
        let (key, sealed) = shared();
        let mut bad = sealed.clone();
        bad[at] ^= by;
        prop_assert!(matches!(key.open(&bad, &context(1)), Err(Error::Open)));
    }
}
