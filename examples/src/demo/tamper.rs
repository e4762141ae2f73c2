//! What an attacker with access to the files would try.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};

use crate::core_banking::fields::{COLUMNS, Column};
use crate::customers::Customer;
use crate::error::{BadInput, Failure};

/// Exchanges the identity numbers' ciphertexts of two customers, beside the service's back.
///
/// # Errors
/// The database's.
pub async fn swap_identity_numbers(database: &Path, one: &str, other: &str) -> Result<(), Failure> {
    let mut db = SqliteConnectOptions::new()
        .filename(database)
        .connect()
        .await
        .map_err(Failure::other)?;
    let mut sealed: Vec<(&str, Vec<u8>)> = Vec::new();
    for (from, to) in [(one, other), (other, one)] {
        let row = sqlx::query("SELECT id_number FROM customers WHERE customer_id = ?")
            .bind(from)
            .fetch_one(&mut db)
            .await
            .map_err(Failure::other)?;
        sealed.push((to, row.try_get(0).map_err(Failure::other)?));
    }
    for (customer_id, id_number) in sealed {
        sqlx::query("UPDATE customers SET id_number = ? WHERE customer_id = ?")
            .bind(id_number)
            .bind(customer_id)
            .execute(&mut db)
            .await
            .map_err(Failure::other)?;
    }
    Ok(())
}

/// How many sensitive values stand in clear in the database's files, and how many were looked for.
///
/// # Errors
/// A file cannot be read.
pub fn plaintexts_in_database(
    database: &Path,
    customers: &[Customer],
) -> Result<(usize, usize), Failure> {
    // Values by length: one pass over the bytes for each length.
    let mut by_length: HashMap<usize, HashSet<&[u8]>> = HashMap::new();
    let values = customers.iter().flat_map(|c| {
        COLUMNS.into_iter().map(|column| match column {
            Column::IdNumber => c.id_number.as_str(),
            Column::CardNumber => &c.card_number,
            Column::Phone => &c.phone,
            Column::DeviceSerial => &c.device_serial,
            // The first point is enough to know a track by.
            Column::Track => c.track.split(';').next().unwrap_or_default(),
        })
    });
    let mut searched = 0;
    for value in values {
        searched += 1;
        by_length
            .entry(value.len())
            .or_default()
            .insert(value.as_bytes());
    }
    let mut found: HashSet<&[u8]> = HashSet::new();
    for suffix in ["", "-wal"] {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        let path = PathBuf::from(name);
        if !path.exists() {
            continue;
        }
        let bytes = std::fs::read(&path).map_err(|e| BadInput::file(&path, e))?;
        for (length, values) in &by_length {
            let hits = bytes.windows(*length).filter_map(|w| values.get(w));
            found.extend(hits.copied());
        }
    }
    Ok((found.len(), searched))
}

/// Copies a folder of plain files.
///
/// # Errors
/// A file cannot be read or written.
pub fn copy_folder(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(to).map_err(|e| BadInput::file(to, e))?;
    for entry in std::fs::read_dir(from).map_err(|e| BadInput::file(from, e))? {
        let entry = entry.map_err(|e| BadInput::file(from, e))?;
        if entry.path().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))
                .map_err(|e| BadInput::file(&entry.path(), e))?;
        }
    }
    Ok(())
}

/// Replaces `from` by `to`, of the same length, in the first segment that has it, and repairs the
/// frame's checksum as a careful attacker would. Returns the segment's file name.
///
/// # Errors
/// No segment has the text.
pub fn edit_audit_record(stream: &Path, from: &str, to: &str) -> Result<String, Failure> {
    const MARKER: &[u8] = b"\xf5SM\xfe";
    const HEAD: usize = 17;
    let mut segments: Vec<PathBuf> = std::fs::read_dir(stream)
        .map_err(|e| BadInput::file(stream, e))?
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.is_file())
        .collect();
    segments.sort();
    for path in segments {
        let mut bytes = std::fs::read(&path).map_err(|e| BadInput::file(&path, e))?;
        let Some(at) = bytes.windows(from.len()).position(|w| w == from.as_bytes()) else {
            continue;
        };
        let Some(frame) = bytes[..at].windows(MARKER.len()).rposition(|w| w == MARKER) else {
            continue;
        };
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let digits: String = name.chars().filter(char::is_ascii_digit).collect();
        let index: u64 = digits.parse().map_err(Failure::other)?;
        let mut length = [0u8; 4];
        length.copy_from_slice(&bytes[frame + 13..frame + HEAD]);
        let end = frame + HEAD + u32::from_be_bytes(length) as usize;
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&index.to_be_bytes());
        crc.update(&(frame as u64).to_be_bytes());
        crc.update(&bytes[frame..end]);
        let crc = crc.finalize().to_be_bytes();
        bytes[end..end + 4].copy_from_slice(&crc);
        std::fs::write(&path, bytes).map_err(|e| BadInput::file(&path, e))?;
        return Ok(name);
    }
    Err(Failure::other(format!("no record has {from}")))
}
