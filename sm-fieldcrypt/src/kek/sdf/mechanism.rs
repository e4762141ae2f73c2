//! What a device does for a KEK, by the calls it has.
//!
//! | | needs | is |
//! |---|---|---|
//! | wrapping 1 | `SDF_AuthEnc` | SM4-GCM, the context among its additional data |
//! | wrapping 2 | `SDF_Encrypt` | SM4-CBC, then a MAC over context, IV and ciphertext under a key of its own |
//! | MAC 1 | `SDF_HMAC…` | HMAC-SM3 |
//! | MAC 2 | `SDF_CalculateMAC` | CBC-MAC with SM4 over an SM3 digest, twice |
//!
//! CBC-MAC by itself is good for messages of one length only. So MAC 2 hashes the length-prefixed message first and
//! authenticates messages of exactly three blocks: a counter block, then the digest. Two counters give 32 bytes. Its
//! strength is that of SM4 as a pseudo-random function and of SM3 against collisions.

use sm_sdf::{Error, Key, Library, Mode, Session};
use zeroize::Zeroizing;

/// A label of MAC and GCM inputs: all of one length, so that none is the beginning of another.
pub(super) type Label = [u8; 16];

/// How keys are wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapping {
    Gcm,
    CbcThenMac,
}

/// How bytes are authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mac {
    Hmac,
    CbcMacOfDigest,
}

impl Wrapping {
    pub(super) const fn id(self) -> u8 {
        match self {
            Self::Gcm => 1,
            Self::CbcThenMac => 2,
        }
    }

    pub(super) const fn from_id(id: u8) -> Option<Self> {
        match id {
            1 => Some(Self::Gcm),
            2 => Some(Self::CbcThenMac),
            _ => None,
        }
    }

    /// The best that the device does, tried with a key of its own.
    pub(super) fn of(library: &Library, key: &Key<'_>) -> Result<Self, Error> {
        if library.has_auth_enc() {
            match key.gcm_seal(&[0; 12], b"", &[0; 16]) {
                Ok(_) => return Ok(Self::Gcm),
                Err(e) if e.is_unsupported() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Self::CbcThenMac)
    }
}

impl Mac {
    pub(super) const fn id(self) -> u8 {
        match self {
            Self::Hmac => 1,
            Self::CbcMacOfDigest => 2,
        }
    }

    pub(super) const fn from_id(id: u8) -> Option<Self> {
        match id {
            1 => Some(Self::Hmac),
            2 => Some(Self::CbcMacOfDigest),
            _ => None,
        }
    }

    /// The best that the device does, tried with a key of its own. `None` when it does neither.
    pub(super) fn of(
        library: &Library,
        session: &Session,
        key: &Key<'_>,
    ) -> Result<Option<Self>, Error> {
        let offered = [
            (library.has_hmac(), Self::Hmac),
            (true, Self::CbcMacOfDigest),
        ];
        for (_, mac) in offered.into_iter().filter(|(there, _)| *there) {
            match mac.compute(session, key, b"smfc1/sdf/trying", &[]) {
                Ok(_) => return Ok(Some(mac)),
                Err(e) if e.is_unsupported() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(None)
    }

    /// The MAC of the label and the parts, one after the other.
    pub(super) fn compute(
        self,
        session: &Session,
        key: &Key<'_>,
        label: &Label,
        parts: &[&[u8]],
    ) -> Result<[u8; 32], Error> {
        match self {
            Self::Hmac => {
                let whole: Vec<&[u8]> = std::iter::once(label.as_slice())
                    .chain(parts.iter().copied())
                    .collect();
                key.hmac_sm3(&whole)
            }
            Self::CbcMacOfDigest => {
                let bytes: usize = parts.iter().map(|p| p.len()).fold(0, usize::saturating_add);
                let length = u64::try_from(bytes).unwrap_or(u64::MAX).to_be_bytes();
                let whole: Vec<&[u8]> = [label.as_slice(), &length]
                    .into_iter()
                    .chain(parts.iter().copied())
                    .collect();
                let digest = session.sm3(&whole)?;
                let first = key.cbc_mac(&[b"smfc1/sdf/mac/01", &digest[..]].concat())?;
                let second = key.cbc_mac(&[b"smfc1/sdf/mac/02", &digest[..]].concat())?;
                let mut mac = [0; 32];
                let (left, right) = mac.split_at_mut(16);
                left.copy_from_slice(&first);
                right.copy_from_slice(&second);
                Ok(mac)
            }
        }
    }
}

/// CBC with PKCS#7 padding, which devices leave to their callers.
pub(super) fn cbc_encrypt(key: &Key<'_>, iv: &[u8; 16], text: &[u8]) -> Result<Vec<u8>, Error> {
    let last = text.len() % 16;
    let padding = 16_usize.saturating_sub(last);
    let total = text.len().saturating_add(padding);
    let mut padded = Zeroizing::new(vec![u8::try_from(padding).unwrap_or(16); total]);
    if let Some(front) = padded.get_mut(..text.len()) {
        front.copy_from_slice(text);
    }
    key.encrypt(Mode::Cbc(iv), &padded)
}

/// Decrypts what was authenticated before. `None` for wrong padding.
pub(super) fn cbc_decrypt(
    key: &Key<'_>,
    iv: &[u8; 16],
    text: &[u8],
) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let mut plain = key.decrypt(Mode::Cbc(iv), text)?;
    let padding = plain.last().copied().unwrap_or(0);
    let kept = plain.len().checked_sub(usize::from(padding));
    let tail = kept.and_then(|n| plain.get(n..)).unwrap_or_default();
    if !(1..=16).contains(&padding) || tail.iter().any(|b| *b != padding) {
        return Ok(None);
    }
    plain.truncate(kept.unwrap_or_default());
    Ok(Some(plain))
}
