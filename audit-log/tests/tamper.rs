//! Whoever changes the files is found out: where, and how far without a head kept outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod common;

use audit_log::verify::ProblemKind;
use audit_log::{Report, SignedCheckpoint};
use common::format::{Piece, pieces, rebuild};
use common::{MemStorage, append, config, open, signer, verifier, verify, verify_by};
use std::collections::BTreeMap;

type Files = BTreeMap<String, Vec<u8>>;

/// 27 records in batches of one over several segments, a head every six, closed.
fn sample() -> (Files, SignedCheckpoint) {
    let storage = MemStorage::default();
    let log = open(config().segment_bytes(4096), storage.clone()).unwrap();
    for part in 0..4 {
        append(&log, part * 6..part * 6 + 6);
        log.checkpoint().unwrap();
    }
    append(&log, 24..27);
    let head = log.close().unwrap().unwrap();
    (storage.files(), head)
}

fn kinds(report: &Report) -> Vec<ProblemKind> {
    report.problems().iter().map(|p| p.kind).collect()
}

fn segment(index: u64) -> String {
    format!("segment-{index:010}.smal")
}

/// Changes the pieces of one segment and writes it again with good framing.
fn edit(files: &mut Files, index: u64, change: impl FnOnce(&mut Vec<Piece>)) {
    let bytes = files.get_mut(&segment(index)).unwrap();
    let mut list = pieces(bytes, index);
    change(&mut list);
    *bytes = rebuild(&list, index);
}

fn record_positions(list: &[Piece]) -> Vec<usize> {
    (0..list.len()).filter(|i| list[*i].kind == 2).collect()
}

#[test]
fn the_untouched_sample_is_intact() {
    let (files, head) = sample();
    assert!(files.len() > 3);
    let report = verify_by(&verifier().expect_head(head), &files);
    assert!(report.is_intact(), "{report}");
    // The test's own parser and writer agree with the crate's.
    for (at, (_, bytes)) in files.iter().enumerate() {
        assert_eq!(rebuild(&pieces(bytes, at as u64), at as u64), *bytes);
    }
}

/// Flips one bit in every `step`-th byte of every file.
fn flip_everywhere(files: &Files, head: SignedCheckpoint, step: usize) {
    let records = head.checkpoint().size;
    let with_head = verifier().expect_head(head);
    let last = segment(files.len() as u64 - 1);
    for (name, bytes) in files {
        for at in (0..bytes.len()).step_by(step) {
            let mut changed = files.clone();
            changed.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
            let report = verify_by(&with_head, &changed);
            if report.is_intact() {
                // The one place that looks like a crash is the very last batch. It held the last
                // head alone: every record is still there.
                assert!(*name == last, "{name} byte {at}:\n{report}");
                assert!(
                    report.streams[0].torn_tail.is_some(),
                    "byte {at}:\n{report}"
                );
                assert_eq!(report.records(), records);
            }
        }
    }
}

#[test]
fn every_bit_flip_is_found() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    append(&log, 0..2);
    let head = log.close().unwrap().unwrap();
    flip_everywhere(&storage.files(), head, 1);
    // Over segment borders.
    let (files, head) = sample();
    flip_everywhere(&files, head, 23);
}

#[test]
fn edit_with_repaired_checksum() {
    let (mut files, _) = sample();
    edit(&mut files, 1, |list| {
        let at = record_positions(list)[1];
        let text = String::from_utf8_lossy(&list[at].payload[8..]).replace("success", "failure");
        list[at].payload.truncate(8);
        list[at].payload.extend_from_slice(text.as_bytes());
    });
    let report = verify(&files);
    assert_eq!(kinds(&report)[0], ProblemKind::Chain, "{report}");
    assert_eq!(report.problems()[0].file, segment(1));
    assert!(report.problems()[0].sequence.is_some());
}

/// The whole chain recomputed after the edit, by somebody who lacks only the signing key.
#[test]
fn edit_with_recomputed_chain() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    append(&log, 0..3);
    let honest = log.close().unwrap().unwrap();

    let forged_storage = MemStorage::default();
    let log = audit_log::AuditLog::open_with(
        config(),
        forged_storage.clone(),
        audit_log::Sm2CheckpointSigner::generate("test-key-1").unwrap(),
        common::StepClock::default(),
        common::CountedRandomness::default(),
    )
    .unwrap();
    append(&log, 1..4);
    log.close().unwrap();
    let report = verify(&forged_storage.files());
    assert_eq!(kinds(&report), [ProblemKind::Signature], "{report}");
    assert_eq!(report.streams[0].unanchored, 3);

    // With the honest head's frame put in place of the forged one: its root differs.
    let honest_head = pieces(&storage.files()[&segment(0)], 0)
        .into_iter()
        .find(|piece| piece.kind == 3)
        .unwrap();
    let mut files = forged_storage.files();
    edit(&mut files, 0, |list| {
        let at = list.iter().position(|piece| piece.kind == 3).unwrap();
        list[at].payload = honest_head.payload;
    });
    let report = verify_by(&verifier().expect_head(honest), &files);
    assert!(kinds(&report).contains(&ProblemKind::Root), "{report}");
    assert!(kinds(&report).contains(&ProblemKind::Head), "{report}");
}

#[test]
fn insert_delete_duplicate_reorder() {
    let (files, _) = sample();
    let change = |change: &dyn Fn(&mut Vec<Piece>, Vec<usize>)| {
        let mut changed = files.clone();
        edit(&mut changed, 1, |list| {
            let records = record_positions(list);
            change(list, records);
        });
        let report = verify(&changed);
        assert!(!report.is_intact());
        assert_eq!(report.problems()[0].file, segment(1), "{report}");
        kinds(&report)[0]
    };
    assert!(matches!(
        change(&|list, records| {
            let copy = list[records[0]].clone();
            list.insert(records[1], copy);
        }),
        ProblemKind::Batch | ProblemKind::Sequence
    ));
    assert!(matches!(
        change(&|list, records| {
            list.remove(records[1]);
        }),
        ProblemKind::Sequence
    ));
    // A whole batch: record and commit.
    assert!(matches!(
        change(&|list, records| {
            list.drain(records[1]..records[1] + 2);
        }),
        ProblemKind::Batch | ProblemKind::Sequence
    ));
    // Two records change places, each keeping the other's sequence number.
    assert_eq!(
        change(&|list, records| {
            let (a, b) = (
                list[records[0]].payload.clone(),
                list[records[1]].payload.clone(),
            );
            list[records[0]].payload = [&a[..8], &b[8..]].concat();
            list[records[1]].payload = [&b[..8], &a[8..]].concat();
        }),
        ProblemKind::Chain
    );
}

#[test]
fn segments_swapped_copied_removed() {
    let (files, head) = sample();
    let last = files.len() as u64 - 1;

    let mut swapped = files.clone();
    let (one, two) = (files[&segment(1)].clone(), files[&segment(2)].clone());
    swapped.insert(segment(1), two);
    swapped.insert(segment(2), one);
    assert!(kinds(&verify(&swapped)).contains(&ProblemKind::WrongSegment));

    let mut copied = files.clone();
    copied.insert(segment(last + 1), files[&segment(last)].clone());
    let report = verify(&copied);
    assert!(
        kinds(&report).contains(&ProblemKind::WrongSegment),
        "{report}"
    );
    assert!(kinds(&report).contains(&ProblemKind::Severed), "{report}");

    for index in 0..last {
        let mut removed = files.clone();
        removed.remove(&segment(index));
        let report = verify(&removed);
        assert_eq!(kinds(&report)[0], ProblemKind::MissingSegment, "{report}");
    }

    // The last one: nothing in the directory tells, the head kept outside does.
    let mut cut = files.clone();
    cut.remove(&segment(last));
    assert!(verify(&cut).is_intact());
    let report = verify_by(&verifier().expect_head(head.clone()), &cut);
    assert_eq!(kinds(&report), [ProblemKind::Truncated], "{report}");

    // All of them.
    let report = verify_by(&verifier().expect_head(head), &Files::new());
    assert_eq!(kinds(&report), [ProblemKind::MissingStream], "{report}");
}

#[test]
fn truncation_at_every_byte_shows_against_an_outside_head() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    append(&log, 0..4);
    let head = log.checkpoint().unwrap();
    let covered = storage.files()[&segment(0)].len();
    append(&log, 4..6);
    log.close().unwrap();
    let files = storage.files();
    let with_head = verifier().expect_head(head);
    for length in 0..files[&segment(0)].len() {
        let mut cut = files.clone();
        cut.get_mut(&segment(0)).unwrap().truncate(length);
        let report = verify_by(&with_head, &cut);
        // A head is a promise about records; the batch that carries the head itself may be cut.
        if report.records() < 4 {
            assert!(!report.is_intact(), "length {length}: {report}");
        }
        if length >= covered {
            assert!(report.is_intact(), "length {length}: {report}");
            assert!(report.streams[0].compared_with_outside_head);
        }
    }
}

/// A segment cut short is never taken for a crash when another follows.
#[test]
fn a_tail_missing_in_the_middle() {
    let (files, _) = sample();
    for length in (0..files[&segment(1)].len()).step_by(11) {
        let mut cut = files.clone();
        cut.get_mut(&segment(1)).unwrap().truncate(length);
        assert!(!verify(&cut).is_intact(), "length {length}");
    }
}

#[test]
fn an_untrusted_key_and_no_key() {
    let (files, _) = sample();
    let pem = signer().verifying_key().unwrap().to_spki_pem().unwrap();
    let other = audit_log::CheckpointVerifyingKey::from_spki_pem("another-id", &pem).unwrap();
    let report = verify_by(&audit_log::Verifier::new([other]), &files);
    assert!(kinds(&report).iter().all(|k| *k == ProblemKind::Signature));
    assert!(report.streams[0].head.is_none());
    assert!(report.problems()[0].detail.contains("not trusted"));
    let segments: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (&**n, &**b)).collect();
    assert!(
        audit_log::Verifier::new([])
            .verify_segments(&segments)
            .is_err()
    );
}

#[test]
fn an_older_copy_put_back() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    append(&log, 0..3);
    log.checkpoint().unwrap();
    let older = storage.files();
    append(&log, 3..6);
    let head = log.close().unwrap().unwrap();
    assert!(verify(&older).is_intact());
    let report = verify_by(&verifier().expect_head(head), &older);
    assert_eq!(kinds(&report), [ProblemKind::Truncated], "{report}");
}

/// Framing, chain and signature good, but the bytes are another spelling of the same JSON.
#[test]
fn a_record_in_another_spelling() {
    let (mut files, _) = sample();
    edit(&mut files, 0, |list| {
        let at = record_positions(list)[0];
        let position = list[at].payload.iter().position(|b| *b == b':').unwrap();
        list[at].payload.insert(position + 1, b' ');
    });
    assert_eq!(kinds(&verify(&files))[0], ProblemKind::NotCanonical);
}

#[test]
fn a_record_without_a_mandatory_field() {
    let (mut files, _) = sample();
    edit(&mut files, 0, |list| {
        let at = record_positions(list)[0];
        list[at].payload.truncate(8);
        list[at].payload.extend_from_slice(br#"{"v":1}"#);
    });
    assert_eq!(kinds(&verify(&files))[0], ProblemKind::Record);
}

/// Files in which no header can be read are no log, whatever else they are.
#[test]
fn a_stream_without_a_header() {
    for bytes in [&b""[..], b"nonsense\n", &[0; 700]] {
        let files = Files::from([(segment(0), bytes.to_vec())]);
        let report = verify(&files);
        assert!(kinds(&report).contains(&ProblemKind::Damaged), "{report}");
        assert!(!report.to_string().contains("verdict     intact"));
    }
}

/// What is wrong in a batch without an end is still wrong.
#[test]
fn an_unfinished_batch_that_contradicts_the_chain() {
    let (mut files, _) = sample();
    let last = files.len() as u64 - 1;
    edit(&mut files, last, |list| {
        let at = record_positions(list)[0];
        list.truncate(at + 1);
        list[at].payload[7] ^= 1;
    });
    let report = verify(&files);
    assert!(report.streams[0].torn_tail.is_some());
    assert_eq!(kinds(&report), [ProblemKind::Sequence], "{report}");
}
