//! An index key's record in the registry.
//!
//! body = u8 state ‖ u8 kind (1 equality, 2 unique, 3 prefix) ‖ u16 prefix length, or 0 ‖ u8 normalisation ‖ u8 tag length
//! ‖ u16 version ‖ u16 length ‖ tenant ‖ u16 length ‖ table ‖ u16 length ‖ column ‖ u64 created ‖ u8 length ‖ KEK id
//! ‖ u16 length ‖ wrapped key

use crate::error::Error;
use crate::index::definition::BlindIndex;
use crate::index::kind::{IndexKind, Normalization};
use crate::octets::{MAX_BLOB, Reader, inside, push_long, push_short, text};
use crate::record::KeyState;
use std::fmt;

const WRAP_LABEL: &[u8] = b"smfc1/wrap-index";

/// What the registry says of one version of an index, without its wrapped key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexInfo {
    /// The tenant whose rows it is over.
    pub tenant: String,
    /// The table's stable id.
    pub table: String,
    /// The column's stable id.
    pub column: String,
    /// What it finds.
    pub kind: IndexKind,
    /// The version; it is part of every token.
    pub version: u16,
    /// How values are made comparable.
    pub normalization: Normalization,
    /// Bytes of a tag.
    pub tag_len: u8,
    /// Active: tokens are made and searched for; decrypt-only: searched for, and made until every node knows the version after;
    /// disabled or destroyed: neither.
    pub state: KeyState,
    /// The KEK it is wrapped under.
    pub kek_id: String,
    /// When it was made, Unix seconds.
    pub created: u64,
}

impl IndexInfo {
    /// Whether it belongs to this index of this tenant.
    pub(crate) fn is_of(&self, index: &BlindIndex, tenant: &str) -> bool {
        self.tenant == tenant
            && self.table == index.table()
            && self.column == index.column()
            && self.kind == index.kind()
    }

    /// What the wrapped key is bound to, besides its KEK.
    pub(crate) fn wrap_context(&self, registry: &[u8; 16]) -> Result<Vec<u8>, Error> {
        let mut out = [WRAP_LABEL, registry].concat();
        for name in [&self.tenant, &self.table, &self.column] {
            push_long(&mut out, name.as_bytes())?;
        }
        out.push(self.kind.id());
        out.extend_from_slice(&self.kind.prefix_len().to_be_bytes());
        out.extend_from_slice(&self.version.to_be_bytes());
        Ok(out)
    }
}

impl fmt::Display for IndexInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_str();
        let (table, column) = (&self.table, &self.column);
        let (tenant, version) = (&self.tenant, self.version);
        write!(
            f,
            "version {version} of the {kind} index over {table}.{column} of {tenant}"
        )
    }
}

/// A record of the registry: [`IndexInfo`] and the wrapped key. Empty `blob`: destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexRecord {
    pub(crate) info: IndexInfo,
    pub(crate) blob: Vec<u8>,
}

/// By what the records are ordered.
type Key<'a> = (&'a str, &'a str, &'a str, u8, u16, u16);

impl IndexRecord {
    pub(crate) fn key(&self) -> Key<'_> {
        let info = &self.info;
        (
            &info.tenant,
            &info.table,
            &info.column,
            info.kind.id(),
            info.kind.prefix_len(),
            info.version,
        )
    }
}

pub(crate) fn encode_body(record: &IndexRecord) -> Result<Vec<u8>, Error> {
    let info = &record.info;
    let mut out = vec![info.state.id(), info.kind.id()];
    out.extend_from_slice(&info.kind.prefix_len().to_be_bytes());
    out.extend_from_slice(&[info.normalization.id(), info.tag_len]);
    out.extend_from_slice(&info.version.to_be_bytes());
    for name in [&info.tenant, &info.table, &info.column] {
        push_long(&mut out, name.as_bytes())?;
    }
    out.extend_from_slice(&info.created.to_be_bytes());
    push_short(&mut out, &info.kek_id)?;
    if record.blob.len() > MAX_BLOB {
        return Err(Error::Kek {
            provider: info.kek_id.clone(),
            reason: "its wrapped key is longer than 4096 bytes".into(),
        });
    }
    push_long(&mut out, &record.blob)?;
    Ok(out)
}

pub(crate) fn parse_body(body: &[u8], offset: usize) -> Result<IndexRecord, Error> {
    parse(body).map_err(|e| inside(e, offset))
}

fn parse(body: &[u8]) -> Result<IndexRecord, Error> {
    let short = "cut off in an index record's body";
    let mut reader = Reader { bytes: body, at: 0 };
    let fault = |what| Error::Registry { what, offset: 0 };
    let [state, kind] = *reader.array(short)?;
    let prefix = u16::from_be_bytes(*reader.array(short)?);
    let [normalization, tag_len] = *reader.array(short)?;
    let version = u16::from_be_bytes(*reader.array(short)?);
    let mut names = Vec::with_capacity(3);
    for _ in 0..3 {
        let name = text(reader.long(short)?);
        names.push(name.ok_or_else(|| reader.fault("a name is not UTF-8"))?);
    }
    let [tenant, table, column] = <[String; 3]>::try_from(names).map_err(|_| fault(short))?;
    let created = u64::from_be_bytes(*reader.array(short)?);
    let kek_id = reader.short_text("cut off or not UTF-8 in a kek id")?;
    let blob = reader.long(short)?.to_vec();
    if reader.at != body.len() {
        return Err(reader.fault("bytes after a record's end"));
    }
    let state = KeyState::from_id(state).ok_or_else(|| fault("unknown key state"))?;
    let kind = IndexKind::from_id(kind, prefix).ok_or_else(|| fault("unknown kind of index"))?;
    let normalization =
        Normalization::from_id(normalization).ok_or_else(|| fault("unknown normalisation"))?;
    let shortest = if kind == IndexKind::Unique { 16 } else { 4 };
    if version == 0 || !(shortest..=32).contains(&tag_len) {
        return Err(fault("version or tag length is out of range"));
    }
    if [&tenant, &table, &column]
        .iter()
        .any(|name| name.is_empty())
    {
        return Err(fault("an empty name"));
    }
    if blob.len() > MAX_BLOB || blob.is_empty() != (state == KeyState::Destroyed) {
        return Err(fault("wrapped key does not fit the key's state"));
    }
    let info = IndexInfo {
        tenant,
        table,
        column,
        kind,
        version,
        normalization,
        tag_len,
        state,
        kek_id,
        created,
    };
    Ok(IndexRecord { info, blob })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> IndexRecord {
        IndexRecord {
            info: IndexInfo {
                tenant: "bank-a".into(),
                table: "customers".into(),
                column: "id_no".into(),
                kind: IndexKind::Prefix(6),
                version: 2,
                normalization: Normalization::Digits,
                tag_len: 8,
                state: KeyState::Active,
                kek_id: "kek://x".into(),
                created: 7,
            },
            blob: vec![1, 2, 3],
        }
    }

    #[test]
    fn bodies_come_back_and_every_cut_is_a_fault() {
        let body = encode_body(&record()).unwrap();
        assert_eq!(parse_body(&body, 0).unwrap(), record());
        for end in 0..body.len() {
            assert!(parse_body(&body[..end], 0).is_err(), "{end}");
        }
        assert!(parse_body(&[&body[..], &[0]].concat(), 0).is_err());
    }

    #[test]
    fn impossible_bodies_are_refused() {
        let body = encode_body(&record()).unwrap();
        for (at, value) in [
            (0, 9),
            (1, 0),
            (1, 1),
            (1, 4),
            (3, 0),
            (4, 0),
            (4, 5),
            (5, 3),
            (5, 33),
            (7, 0),
        ] {
            let mut bad = body.clone();
            bad[at] = value;
            let e = parse_body(&bad, 100).unwrap_err().to_string();
            assert!(e.contains("100") || e.contains("10"), "{at}: {e}");
        }
        // A destroyed key has no wrapped bytes, and only it.
        let mut destroyed = record();
        destroyed.info.state = KeyState::Destroyed;
        assert!(parse_body(&encode_body(&destroyed).unwrap(), 0).is_err());
        destroyed.blob.clear();
        parse_body(&encode_body(&destroyed).unwrap(), 0).unwrap();
    }
}
