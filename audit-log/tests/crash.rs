//! Loss of power, full disks, failing syncs, killed processes: nothing acknowledged is lost, and what
//! is damaged is never repaired unseen.
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
use audit_log::{AuditLog, Error, FsStorage, Storage};
use common::{Fault, MemStorage, append, config, event, open, verifier, verify};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};

type Files = BTreeMap<String, Vec<u8>>;
const FIRST: &str = "segment-0000000000.smal";

/// Six records acknowledged one by one; then a batch of three. The files before and after it.
fn before_and_after() -> (Files, Files) {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    append(&log, 0..6);
    let before = storage.files();
    // A slow first sync is not needed: a checkpoint request and events queued together make one
    // batch or several; only their bytes matter here.
    let receipts: Vec<_> = (6..9)
        .map(|number| log.append(event(&log, number)).unwrap())
        .collect();
    receipts.iter().for_each(|receipt| {
        receipt.wait().unwrap();
    });
    let after = storage.files();
    drop(log);
    (before, after)
}

#[test]
fn a_tail_cut_at_every_byte() {
    let (before, after) = before_and_after();
    let (acknowledged, whole) = (before[FIRST].len(), after[FIRST].len());
    for length in acknowledged..=whole {
        let mut files = after.clone();
        files.get_mut(FIRST).unwrap().truncate(length);
        let storage = MemStorage::with_files(files.clone());
        let log = open(config(), storage.clone()).unwrap();
        let kept = log.status().durable.unwrap() + 1;
        log.close().unwrap();
        let now = storage.files();
        let report = verify(&now);
        assert!(report.is_intact(), "length {length}: {report}");
        assert!(kept >= 6, "length {length}: only {kept} left");
        let aside: Vec<&String> = now.keys().filter(|name| name.contains(".cut-")).collect();
        if let [name] = aside[..] {
            // What was cut is kept, and the log says so in a signed event.
            assert!(!name.ends_with(".pending"));
            let text = String::from_utf8_lossy(&now[FIRST]).into_owned();
            assert!(text.contains("AUDIT_RECOVERY") && text.contains(name.as_str()));
            let at = now[FIRST].windows(14).position(|w| w == b"AUDIT_RECOVERY");
            assert!(at.unwrap() < now[FIRST].len());
            assert!(files[FIRST].ends_with(&now[name]));
            assert!(!now[name].is_empty());
            assert_eq!(report.streams[0].unanchored, 0);
        } else {
            assert!(aside.is_empty());
        }
        // Before it is opened again, the verifier calls it a torn tail, not tampering.
        let report = verify(&files);
        assert!(report.is_intact(), "length {length}: {report}");
    }
}

#[test]
fn garbage_after_the_last_commit_is_set_aside() {
    let (before, _) = before_and_after();
    for garbage in [vec![0u8; 4096], vec![0xff; 3], b"\xf5SM\xfe\x02".to_vec()] {
        let mut files = before.clone();
        files.get_mut(FIRST).unwrap().extend_from_slice(&garbage);
        let storage = MemStorage::with_files(files);
        drop(open(config(), storage.clone()).unwrap());
        let now = storage.files();
        let aside = now.keys().find(|name| name.contains(".cut-")).unwrap();
        assert_eq!(now[aside], garbage);
        assert_eq!(verify(&now).records(), 7);
    }
}

/// The disk kept a later sector of the unfinished batch and lost an earlier one, which reads as
/// zeros: a crash, not damage.
#[test]
fn a_lost_sector_in_the_last_batch_is_a_crash() {
    // The writer is held in its first sync, so that the three events queue up for one batch.
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    append(&log, 0..2);
    let before = storage.files()[FIRST].len();
    let held = storage.0.lock().unwrap();
    let receipts: Vec<_> = (2..12)
        .map(|number| log.append(event(&log, number)).unwrap())
        .collect();
    drop(held);
    receipts.iter().for_each(|receipt| {
        receipt.wait().unwrap();
    });
    let files = storage.files();
    drop(log);
    let list = common::format::pieces(&files[FIRST], 0);
    let final_batch = list.last().unwrap().batch;
    let in_it = list.iter().filter(|p| p.batch == final_batch).count();
    assert!(in_it > 4, "the last batch has {in_it} frames");
    let start = files[FIRST].len()
        - list
            .iter()
            .filter(|p| p.batch == final_batch)
            .map(|p| p.payload.len() + 21)
            .sum::<usize>();
    assert!(start >= before);

    let sector = (start / 512 + 2) * 512;
    let mut torn = files.clone();
    torn.get_mut(FIRST).unwrap()[sector..sector + 512].fill(0);
    let report = verify(&torn);
    assert!(report.is_intact(), "{report}");
    let tail = report.streams[0].torn_tail.clone().unwrap();
    assert_eq!(tail.offset as usize, start);
    let verdict = format!(
        "intact up to a torn tail of {} bytes in {FIRST}",
        tail.bytes
    );
    assert!(report.to_string().ends_with(&verdict), "{report}");
    let storage = MemStorage::with_files(torn);
    let log = open(config(), storage.clone()).unwrap();
    log.close().unwrap();
    assert!(verify(&storage.files()).is_intact());

    // Zeros before a good frame of the same sector: that sector was written. Damage.
    let mut at = start;
    let (mut border, frames) = (0, list.iter().filter(|p| p.batch == final_batch));
    for piece in frames {
        at += piece.payload.len() + 21;
        if at % 512 >= 8 && at / 512 > start / 512 && at < files[FIRST].len() {
            border = at;
        }
    }
    assert!(border > 0);
    let mut zeros = files.clone();
    zeros.get_mut(FIRST).unwrap()[border / 512 * 512..border].fill(0);
    both_refuse(&zeros);

    // The same place with one flipped bit is damage: nothing is touched.
    let mut damaged = files.clone();
    damaged.get_mut(FIRST).unwrap()[sector + 100] ^= 4;
    let storage = MemStorage::with_files(damaged.clone());
    match open(config(), storage.clone()) {
        Err(Error::Damaged { file, offset, .. }) => {
            assert_eq!(file, FIRST);
            assert!(offset as usize <= sector + 100 && offset as usize > sector - 1024);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(storage.files(), damaged);
    assert!(!verify(&damaged).is_intact());
}

/// Neither the log nor the verifier takes these files for those of a crash.
fn both_refuse(files: &Files) {
    let storage = MemStorage::with_files(files.clone());
    match open(config(), storage.clone()) {
        Err(Error::Damaged { .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(storage.files(), *files, "nothing may be changed");
    let report = verify(files);
    assert_eq!(report.problems()[0].kind, ProblemKind::Damaged, "{report}");
}

/// The header's sector lost: what was acknowledged behind it is neither set aside nor begun anew.
#[test]
fn a_lost_header_is_damage_once_records_follow() {
    for records in 1..4 {
        let storage = MemStorage::default();
        let log = open(config(), storage.clone()).unwrap();
        append(&log, 0..records);
        let mut files = storage.files();
        drop(log);
        files.get_mut(FIRST).unwrap()[..512].fill(0);
        both_refuse(&files);
        let length = files[FIRST].len();
        files.get_mut(FIRST).unwrap()[512..length - 61].fill(0);
        both_refuse(&files);
    }
    // The same in a later segment.
    let storage = MemStorage::default();
    let log = open(config().segment_bytes(4096), storage.clone()).unwrap();
    let mut number = 0;
    while storage.files().len() < 2 {
        append(&log, number..number + 1);
        number += 1;
    }
    let mut files = storage.files();
    drop(log);
    let second = files.get_mut("segment-0000000001.smal").unwrap();
    second[..512].fill(0);
    both_refuse(&files);
}

/// A file full of markers that start no frame costs a few passes, not one pass a marker.
#[test]
fn false_markers_do_not_multiply_the_work() {
    let (before, _) = before_and_after();
    let mut marker = b"\xf5SM\xfe\x02".to_vec();
    marker.extend_from_slice(&7u64.to_be_bytes());
    marker.extend_from_slice(&131_072u32.to_be_bytes());
    let mut files = before;
    let bytes = files.get_mut(FIRST).unwrap();
    while bytes.len() < 8 << 20 {
        bytes.extend_from_slice(&marker);
    }
    both_refuse(&files);
}

/// Whatever one fault does to the last segment, the log opens it exactly if the verifier finds it intact.
#[test]
fn the_verifier_and_the_log_agree_on_crashes() {
    let (_, after) = before_and_after();
    let length = after[FIRST].len();
    let mut faults: Vec<(usize, usize, u8)> = Vec::new();
    for at in (0..length).step_by(7) {
        faults.push((at, 1, 0x20));
    }
    for sector in 0..length.div_ceil(512) {
        for count in 1..4 {
            faults.push((sector * 512, count * 512, 0));
        }
    }
    let (mut opened, mut refused) = (0, 0);
    for (at, count, change) in faults {
        let mut files = after.clone();
        for byte in files
            .get_mut(FIRST)
            .unwrap()
            .iter_mut()
            .skip(at)
            .take(count)
        {
            *byte = if change == 0 { 0 } else { *byte ^ change };
        }
        let report = verify(&files);
        match open(config(), MemStorage::with_files(files)) {
            Ok(_) => {
                assert!(report.is_intact(), "{at} {count}: {report}");
                opened += 1;
            }
            Err(error) => {
                assert!(!report.is_intact(), "{at} {count}: {error}");
                refused += 1;
            }
        }
    }
    assert!(opened > 0 && refused > 0);
}

#[test]
fn damage_before_the_last_batch_is_an_error_with_place() {
    let (_, after) = before_and_after();
    let list = common::format::pieces(&after[FIRST], 0);
    let last = list.last().unwrap().batch;
    let mut at = 0;
    let mut starts = Vec::new();
    for piece in &list {
        starts.push((at, piece.batch));
        at += piece.payload.len() + 21;
    }
    for (start, batch) in starts {
        if batch == last {
            continue;
        }
        for value in [0x00, 0xff] {
            let mut files = after.clone();
            files.get_mut(FIRST).unwrap()[start + 18] ^= value ^ 0x55;
            let storage = MemStorage::with_files(files.clone());
            match open(config(), storage.clone()) {
                Err(Error::Damaged { file, offset, .. }) => {
                    assert_eq!((file.as_str(), offset), (FIRST, start as u64));
                }
                other => panic!("byte {start}: {other:?}"),
            }
            assert_eq!(storage.files(), files, "nothing may be changed");
        }
    }
}

#[test]
fn a_failed_sync_poisons_and_is_never_retried() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    append(&log, 0..3);
    storage.fail_at(storage.calls() + 2, Fault::Io); // append, then this sync
    let failed = log.append(event(&log, 3)).unwrap().wait();
    assert!(
        matches!(
            failed,
            Err(Error::Storage {
                operation: "sync",
                ..
            })
        ),
        "{failed:?}"
    );
    let calls = storage.calls();
    // The storage works again; the log does not.
    for number in 4..8 {
        match log.append(event(&log, number)) {
            Err(Error::Stopped(_)) => {}
            Ok(receipt) => assert!(receipt.wait().is_err()),
            Err(other) => panic!("{other}"),
        }
    }
    assert!(log.checkpoint().is_err());
    assert!(matches!(log.status().failed, Some(Error::Storage { .. })));
    assert!(log.close().is_err());
    assert_eq!(storage.calls(), calls, "nothing was tried again");
    // What was acknowledged is there.
    let storage = MemStorage::with_files(storage.durable());
    let log = open(config(), storage).unwrap();
    assert_eq!(log.status().durable, Some(2));
}

/// Every storage call in turn fails, in every way; then the power goes, with and without the
/// unsynced bytes.
#[test]
fn every_call_fails_once() {
    let run = |storage: &MemStorage| -> (u64, bool) {
        let mut acknowledged = 0;
        let Ok(log) = open(config().segment_bytes(4096), storage.clone()) else {
            return (0, false);
        };
        for number in 0..14 {
            match log
                .append(event(&log, number))
                .map(|receipt| receipt.wait())
            {
                Ok(Ok(committed)) => acknowledged = committed.sequence + 1,
                _ => return (acknowledged, false),
            }
        }
        (acknowledged, log.close().is_ok())
    };
    let healthy = MemStorage::default();
    assert_eq!(run(&healthy), (14, true));
    let calls = healthy.calls();
    assert!(calls > 30);
    for call in 1..=calls {
        for fault in [Fault::NoSpace, Fault::ShortWrite, Fault::Io] {
            let storage = MemStorage::default();
            storage.fail_at(call, fault);
            let (acknowledged, clean) = run(&storage);
            assert!(!clean, "call {call} {fault:?} went unnoticed");
            for files in [storage.durable(), storage.files()] {
                let storage = MemStorage::with_files(files);
                let log = open(config().segment_bytes(4096), storage.clone())
                    .unwrap_or_else(|e| panic!("call {call} {fault:?}: {e}"));
                let there = log.status().durable.map_or(0, |last| last + 1);
                assert!(
                    there >= acknowledged,
                    "call {call} {fault:?}: {there} < {acknowledged}"
                );
                append(&log, 90..92);
                log.close().unwrap();
                let report = verify(&storage.files());
                assert!(report.is_intact(), "call {call} {fault:?}: {report}");
            }
        }
    }
}

/// The same for the calls of a recovery.
#[test]
fn every_call_of_a_recovery_fails_once() {
    let (before, _) = before_and_after();
    let mut torn = before;
    torn.get_mut(FIRST).unwrap().extend_from_slice(&[7; 100]);
    let healthy = MemStorage::with_files(torn.clone());
    drop(open(config(), healthy.clone()).unwrap());
    for call in 1..=healthy.calls() {
        for fault in [Fault::NoSpace, Fault::ShortWrite, Fault::Io] {
            let storage = MemStorage::with_files(torn.clone());
            storage.fail_at(call, fault);
            if let Ok(log) = open(config(), storage.clone()) {
                let _ = log.close();
            }
            let storage = MemStorage::with_files(storage.files());
            let log = open(config(), storage.clone())
                .unwrap_or_else(|e| panic!("call {call} {fault:?}: {e}"));
            assert!(log.status().durable >= Some(6), "call {call} {fault:?}");
            log.close().unwrap();
            let files = storage.files();
            assert!(verify(&files).is_intact(), "call {call} {fault:?}");
            let text = String::from_utf8_lossy(&files[FIRST]).into_owned();
            assert!(text.contains("AUDIT_RECOVERY"), "call {call} {fault:?}");
            // The 100 bytes are in a file of their own, whatever happened.
            assert!(
                files
                    .iter()
                    .any(|(n, b)| n.contains(".cut-") && b.ends_with(&[7; 100]))
            );
            assert!(!files.keys().any(|name| name.ends_with(".pending")));
        }
    }
}

#[test]
fn a_directory_is_taken_by_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(config(), FsStorage::open(folder.path()).unwrap()).unwrap();
    match open(config(), FsStorage::open(folder.path()).unwrap()) {
        Err(Error::Storage {
            operation: "lock",
            source,
            ..
        }) => {
            assert_eq!(source.kind(), std::io::ErrorKind::WouldBlock);
        }
        other => panic!("{other:?}"),
    }
    log.close().unwrap();
    drop(log);
    open(config(), FsStorage::open(folder.path()).unwrap()).unwrap();
}

/// A lock file that is removed would let a second process in: the first one stops before it writes.
#[cfg(unix)]
#[test]
fn a_removed_lock_file_stops_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(config(), FsStorage::open(folder.path()).unwrap()).unwrap();
    append(&log, 0..2);
    std::fs::remove_file(folder.path().join("lock")).unwrap();
    let second = open(config(), FsStorage::open(folder.path()).unwrap()).unwrap();
    append(&second, 2..3);
    assert!(log.append(event(&log, 9)).unwrap().wait().is_err());
    assert!(log.append(event(&log, 9)).is_err());
    append(&second, 3..5);
    second.close().unwrap();
    drop(second);
    drop(log);
    let report = verifier().verify_dir(folder.path()).unwrap();
    assert!(report.is_intact() && report.records() == 5, "{report}");
}

#[test]
fn a_directory_is_made_with_its_parents() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/c");
    append(
        &open(config(), FsStorage::open(&path).unwrap()).unwrap(),
        0..1,
    );
    assert_eq!(verifier().verify_dir(&path).unwrap().records(), 1);
    let file = path.join("segment-0000000000.smal");
    assert!(FsStorage::open(file).is_err(), "not a directory");
}

#[test]
fn another_streams_directory_is_refused() {
    let storage = MemStorage::default();
    append(&open(config(), storage.clone()).unwrap(), 0..1);
    let files = storage.files();
    match open(
        audit_log::Config::new("other"),
        MemStorage::with_files(files),
    ) {
        Err(Error::Config(reason)) => assert!(reason.contains("core-banking/test"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[cfg(unix)]
#[test]
fn a_file_deleted_or_replaced_underneath_fails_the_log() {
    for replace in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let log = open(config(), FsStorage::open(folder.path()).unwrap()).unwrap();
        append(&log, 0..2);
        let path = folder.path().join(FIRST);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        if replace {
            std::fs::write(&path, bytes).unwrap();
        }
        let answer = log.append(event(&log, 2)).unwrap().wait();
        assert!(
            matches!(
                answer,
                Err(Error::Storage {
                    operation: "sync",
                    ..
                })
            ),
            "{answer:?}"
        );
        assert!(log.append(event(&log, 3)).is_err());
    }
}

/// The child's part of [`a_killed_process_loses_nothing_acknowledged`].
#[test]
fn child_appends_until_killed() {
    let Some(folder) = std::env::var_os("AUDIT_LOG_CHILD") else {
        return;
    };
    let log = open(
        config().segment_bytes(8192),
        FsStorage::open(folder).unwrap(),
    )
    .unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..1_000_000 {
                    let committed = log.append(event(&log, number)).unwrap().wait().unwrap();
                    // One write call a line: a line that arrived was acknowledged.
                    let line = format!("ACK {}\n", committed.sequence);
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_appends_until_killed", "--nocapture"])
            .env("AUDIT_LOG_CHILD", folder.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut highest = None;
        let mut count = 0;
        let mut note = |line: String| {
            if let Some(number) = line
                .strip_prefix("ACK ")
                .and_then(|n| n.parse::<u64>().ok())
            {
                highest = highest.max(Some(number));
                count += 1;
            }
            count
        };
        while note(lines.next().unwrap().unwrap()) < 30 + round * 17 {}
        child.kill().unwrap();
        child.wait().unwrap();
        lines.map_while(Result::ok).for_each(|line| {
            note(line);
        });
        let report = verifier().verify_dir(folder.path()).unwrap();
        assert!(report.is_intact(), "{report}");
        let log: AuditLog = open(
            config().segment_bytes(8192),
            FsStorage::open(folder.path()).unwrap(),
        )
        .unwrap();
        assert!(log.status().durable >= highest, "{highest:?}");
        log.close().unwrap();
        let report = verifier().verify_dir(folder.path()).unwrap();
        assert!(report.is_intact(), "{report}");
        assert!(report.records() > highest.unwrap());
    }
}

/// Whoever implements `Storage` boxes it as they like.
#[test]
fn storage_is_object_safe() {
    let boxed: Box<dyn Storage> = Box::new(MemStorage::default());
    append(&open(config(), boxed).unwrap(), 0..1);
}
