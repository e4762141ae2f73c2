//! The document that names and carries the working keys of a KEK, wrapped by the device.
//!
//! # Version 1 (big-endian)
//!
//! | length | field |
//! |---|---|
//! | 8 | `SMFCSDF1` |
//! | 1 | wrapping: 1 SM4-GCM, 2 SM4-CBC then MAC |
//! | 1 | MAC: 1 HMAC-SM3, 2 CBC-MAC over an SM3 digest |
//! | 4 | index of the device's KEK |
//! | 1, n | length and label, `a`-`z`, `0`-`9`, `.`, `_`, `-` |
//! | 2, n | wrapping key, as the device wrapped it |
//! | 2, n | MAC key of wrapping 2, the same way; length 0 with wrapping 1 |
//! | 2, n | integrity key, the same way |
//! | 32 | MAC of everything before, under the integrity key |
//!
//! A device's wrapped keys are not authentic by themselves, and import under another KEK as other keys. The MAC tells
//! both, and binds each key to its task.

use super::mechanism::{Mac, Wrapping};
use sm_sdf::WrappedKey;

const MAGIC: &[u8; 8] = b"SMFCSDF1";
const MAX_LABEL: usize = 64;
const MAX_WRAPPED: usize = 512;

/// The document's content; whether it is authentic only the device can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WorkingKeys {
    pub(super) wrapping: Wrapping,
    pub(super) mac: Mac,
    pub(super) label: String,
    pub(super) wrap_key: WrappedKey,
    pub(super) mac_key: Option<WrappedKey>,
    pub(super) integrity_key: WrappedKey,
}

/// Whether a label may be part of a KEK's id.
pub(super) fn label_is_good(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && label
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

impl WorkingKeys {
    /// Everything before the MAC. `None` for a key that is too long.
    pub(super) fn authenticated(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[self.wrapping.id(), self.mac.id()]);
        bytes.extend_from_slice(&self.wrap_key.kek_index().to_be_bytes());
        bytes.push(u8::try_from(self.label.len()).ok()?);
        bytes.extend_from_slice(self.label.as_bytes());
        let mac_key = self.mac_key.as_ref().map_or(&[][..], WrappedKey::bytes);
        for key in [self.wrap_key.bytes(), mac_key, self.integrity_key.bytes()] {
            if key.len() > MAX_WRAPPED {
                return None;
            }
            bytes.extend_from_slice(&u16::try_from(key.len()).ok()?.to_be_bytes());
            bytes.extend_from_slice(key);
        }
        Some(bytes)
    }

    /// Reads a document: its content, the bytes that the MAC covers, and the MAC, which is still to be checked.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, &[u8], [u8; 32]), &'static str> {
        let short = "they end too early";
        let (authenticated, tag) = bytes.split_last_chunk::<32>().ok_or(short)?;
        let (magic, rest) = authenticated.split_first_chunk::<8>().ok_or(short)?;
        if magic != MAGIC {
            return Err("wrong magic or version");
        }
        let ([wrapping, mac], rest) = rest.split_first_chunk().ok_or(short)?;
        let wrapping = Wrapping::from_id(*wrapping).ok_or("unknown wrapping")?;
        let mac = Mac::from_id(*mac).ok_or("unknown mac")?;
        let (index, rest) = rest.split_first_chunk::<4>().ok_or(short)?;
        let index = u32::from_be_bytes(*index);
        let (length, rest) = rest.split_first().ok_or(short)?;
        let (label, mut rest) = rest.split_at_checked(usize::from(*length)).ok_or(short)?;
        let label = std::str::from_utf8(label)
            .ok()
            .filter(|l| label_is_good(l))
            .ok_or("a label that cannot be")?;
        let mut next = || {
            let (length, after) = rest.split_first_chunk::<2>().ok_or(short)?;
            let length = usize::from(u16::from_be_bytes(*length));
            if length > MAX_WRAPPED {
                return Err("a key is too long");
            }
            let (key, after) = after.split_at_checked(length).ok_or(short)?;
            rest = after;
            Ok(WrappedKey::new(index, key.to_vec()))
        };
        let (wrap_key, mac_key, integrity_key) = (next()?, next()?, next()?);
        if !rest.is_empty() {
            return Err("something follows");
        }
        if mac_key.bytes().is_empty() != (wrapping == Wrapping::Gcm) {
            return Err("keys do not fit the wrapping");
        }
        let keys = Self {
            wrapping,
            mac,
            label: label.into(),
            wrap_key,
            mac_key: Some(mac_key).filter(|k| !k.bytes().is_empty()),
            integrity_key,
        };
        Ok((keys, authenticated, *tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(wrapping: Wrapping) -> WorkingKeys {
        WorkingKeys {
            wrapping,
            mac: Mac::CbcMacOfDigest,
            label: "bank-a.fields".into(),
            wrap_key: WrappedKey::new(7, vec![1; 16]),
            mac_key: (wrapping == Wrapping::CbcThenMac).then(|| WrappedKey::new(7, vec![2; 48])),
            integrity_key: WrappedKey::new(7, vec![3; 16]),
        }
    }

    #[test]
    fn written_and_read() {
        for wrapping in [Wrapping::Gcm, Wrapping::CbcThenMac] {
            let keys = keys(wrapping);
            let body = keys.authenticated().unwrap();
            let whole = [body.clone(), vec![9; 32]].concat();
            let (read, authenticated, tag) = WorkingKeys::parse(&whole).unwrap();
            assert_eq!((read, authenticated, tag), (keys, body.as_slice(), [9; 32]));
            // One form only: neither shorter nor longer.
            for n in 0..whole.len() {
                assert!(WorkingKeys::parse(&whole[..n]).is_err(), "{n}");
            }
            let longer = [body, vec![0], vec![9; 32]].concat();
            assert!(WorkingKeys::parse(&longer).is_err());
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        let body = keys(Wrapping::Gcm).authenticated().unwrap();
        let with = |at: usize, byte: u8| {
            let mut bytes = [body.clone(), vec![0; 32]].concat();
            bytes[at] = byte;
            WorkingKeys::parse(&bytes).unwrap_err()
        };
        assert_eq!(with(7, b'2'), "wrong magic or version");
        assert_eq!(with(8, 3), "unknown wrapping");
        assert_eq!(with(8, 2), "keys do not fit the wrapping");
        assert_eq!(with(9, 0), "unknown mac");
        assert_eq!(with(15, b'/'), "a label that cannot be");
        assert_eq!(with(14, 0), "a label that cannot be");
        let mut long = keys(Wrapping::Gcm);
        long.wrap_key = WrappedKey::new(7, vec![0; 513]);
        assert!(long.authenticated().is_none());
    }

    #[test]
    fn labels_are_plain() {
        for good in ["a", "prod-2026", "bank_a.fields", &"x".repeat(64)] {
            assert!(label_is_good(good), "{good}");
        }
        for bad in ["", "A", "a/b", "a b", "ä", &"x".repeat(65)] {
            assert!(!label_is_good(bad), "{bad}");
        }
    }
}
