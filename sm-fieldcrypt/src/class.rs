//! Field classes: what kind of field is sealed how.

use crate::chunk_size::ChunkSize;
use crate::error::Error;

/// How a value is encrypted and authenticated. The numbers are those of the wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Suite {
    /// Suite 01: SM4-CBC with random IV and PKCS#7 padding, then HMAC-SM3 (encrypt-then-MAC). Hides the length
    /// up to the block. For identity and card numbers.
    CbcHmacSm3,
    /// Suite 02: SM4-CTR with random 12-byte nonce and 32-bit counter, then HMAC-SM3. As long as the plaintext.
    /// For often-written fields such as device serials and tracks.
    CtrHmacSm3,
    /// Suite 03: SM4-GCM (GB/T 36624) with random 12-byte nonce and 16-byte tag. As long as the plaintext. No envelope is
    /// safe here from whoever finds two keys for it: the tag does not commit to the key.
    Gcm,
    /// Suite 04: SM4-CCM, as [`Gcm`](Self::Gcm); at most 2^24 - 1 bytes.
    Ccm,
}

impl Suite {
    pub(crate) const fn id(self) -> u8 {
        match self {
            Self::CbcHmacSm3 => 1,
            Self::CtrHmacSm3 => 2,
            Self::Gcm => 3,
            Self::Ccm => 4,
        }
    }

    pub(crate) const fn of_id(id: u8) -> Option<Self> {
        match id {
            1 => Some(Self::CbcHmacSm3),
            2 => Some(Self::CtrHmacSm3),
            3 => Some(Self::Gcm),
            4 => Some(Self::Ccm),
            _ => None,
        }
    }

    pub(crate) const fn iv_len(self) -> usize {
        match self {
            Self::CbcHmacSm3 => 16,
            Self::CtrHmacSm3 | Self::Gcm | Self::Ccm => 12,
        }
    }

    /// Whether encryption and authentication are one algorithm, with tags of 16 bytes.
    pub(crate) const fn is_aead(self) -> bool {
        matches!(self, Self::Gcm | Self::Ccm)
    }

    /// The longest plaintext in bytes: for CCM what its length field of three bytes holds, for the others where the
    /// 32-bit block counter ends.
    pub(crate) const fn max_plaintext(self) -> u64 {
        match self {
            Self::Ccm => (1 << 24) - 1,
            // Two counter blocks are GCM's own.
            Self::Gcm => ((u32::MAX - 1) as u64) << 4,
            Self::CbcHmacSm3 | Self::CtrHmacSm3 => (u32::MAX as u64) << 4,
        }
    }
}

/// What a field class fixes for all its values: suite, every flag of the envelope, and how its keys are cut.
///
/// An envelope that says anything else is refused before a key is used, so a downgrade cannot be written into
/// the data. The id is part of the wire format and of key derivation: once values are sealed, never change or
/// reuse it.
///
/// ```
/// use sm_fieldcrypt::{FieldClass, Suite};
/// let salary = FieldClass::new(40, "salary", Suite::CtrHmacSm3).long_tag().per_tenant();
/// assert_eq!(salary.name(), "salary");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldClass {
    id: u16,
    name: String,
    suite: Suite,
    row_bound: bool,
    long_tag: bool,
    chunk: Option<ChunkSize>,
    per_tenant: bool,
    window_minutes: u32,
    active_days: u32,
}

impl FieldClass {
    /// `name` holds ASCII letters, digits, `_`, `-` and `.`; it becomes part of key URIs.
    ///
    /// A class that is bound to rows, has 16-byte tags, one field key for all tenants, a new subkey every 15
    /// minutes and a key period of 31 days. Ids 1 to 15 are taken by the presets.
    #[must_use]
    pub fn new(id: u16, name: impl Into<String>, suite: Suite) -> Self {
        Self {
            id,
            name: name.into(),
            suite,
            row_bound: true,
            long_tag: false,
            chunk: None,
            per_tenant: false,
            window_minutes: 15,
            active_days: 31,
        }
    }

    /// Resident identity numbers (GB 11643): class 1, `identity_number`, SM4-CBC.
    #[must_use]
    pub fn identity_number() -> Self {
        Self::new(1, "identity_number", Suite::CbcHmacSm3)
    }

    /// Bank card numbers: class 2, `bank_card`, SM4-CBC.
    #[must_use]
    pub fn bank_card() -> Self {
        Self::new(2, "bank_card", Suite::CbcHmacSm3)
    }

    /// Device serial numbers: class 3, `device_serial`, SM4-CTR.
    #[must_use]
    pub fn device_serial() -> Self {
        Self::new(3, "device_serial", Suite::CtrHmacSm3)
    }

    /// Track coordinates: class 4, `track`, SM4-CTR.
    #[must_use]
    pub fn track() -> Self {
        Self::new(4, "track", Suite::CtrHmacSm3)
    }

    /// Values are bound to tenant, table and column only: they can be moved between rows unseen.
    #[must_use]
    pub fn not_row_bound(mut self) -> Self {
        self.row_bound = false;
        self
    }

    /// Values are sealed in chunks of 2^`log2` bytes (10 to 20: 1 KiB to 1 MiB), each with a tag of its own, so that a range
    /// of a long value is opened without the rest. [`Suite::CtrHmacSm3`] only. Values sealed with another size still open.
    #[must_use]
    pub fn chunked(mut self, log2: u8) -> Self {
        self.chunk = Some(ChunkSize(log2));
        self
    }

    /// 32-byte tags, which also commit to the key: no envelope opens under two keys. Not for [`Suite::Gcm`] and
    /// [`Suite::Ccm`].
    #[must_use]
    pub fn long_tag(mut self) -> Self {
        self.long_tag = true;
        self
    }

    /// A field key of its own for every tenant, so that one tenant's can be disabled or destroyed alone.
    #[must_use]
    pub fn per_tenant(mut self) -> Self {
        self.per_tenant = true;
        self
    }

    /// Length of the time window in which one subkey seals, 1 to 1440 minutes. Fixed in each field key's record
    /// when that key is made: a change applies from the next rotation.
    #[must_use]
    pub fn window_minutes(mut self, minutes: u32) -> Self {
        self.window_minutes = minutes;
        self
    }

    /// How long a field key seals before it must be rotated, 1 to 3660 days.
    #[must_use]
    pub fn active_days(mut self, days: u32) -> Self {
        self.active_days = days;
        self
    }

    /// Class id in the wire format.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Name used in calls and events.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The suite.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Whether values are bound to their row.
    #[must_use]
    pub fn is_row_bound(&self) -> bool {
        self.row_bound
    }

    /// Whether tags have 32 bytes.
    #[must_use]
    pub fn has_long_tag(&self) -> bool {
        self.long_tag
    }

    /// Whether values are sealed in chunks.
    #[must_use]
    pub fn is_chunked(&self) -> bool {
        self.chunk.is_some()
    }

    pub(crate) fn chunk_size(&self) -> Option<ChunkSize> {
        self.chunk
    }

    /// Whether every tenant has a field key of its own.
    #[must_use]
    pub fn is_per_tenant(&self) -> bool {
        self.per_tenant
    }

    pub(crate) fn window_length(&self) -> u32 {
        self.window_minutes
    }

    pub(crate) fn period_days(&self) -> u32 {
        self.active_days
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let fault = if self.id == 0 {
            "id 0 is reserved"
        } else if self.name.is_empty() || self.name.len() > 64 {
            "the name needs 1 to 64 characters"
        } else if !self
            .name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        {
            "the name may hold ASCII letters, digits, '_', '-' and '.' only"
        } else if !(1..=1440).contains(&self.window_minutes) {
            "the window needs 1 to 1440 minutes"
        } else if self.long_tag && self.suite.is_aead() {
            "tags of GCM and CCM have 16 bytes"
        } else if self.chunk.is_some() && self.suite != Suite::CtrHmacSm3 {
            "only SM4-CTR has chunks"
        } else if self.chunk.is_some_and(|chunk| !chunk.is_valid()) {
            "chunks have 2^10 to 2^20 bytes"
        } else if !(1..=3660).contains(&self.active_days) {
            "the key period needs 1 to 3660 days"
        } else {
            return Ok(());
        };
        Err(Error::Config {
            what: format!("field class {:?}: {fault}", self.name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{FieldClass, Suite};

    #[test]
    fn presets_have_the_modes_the_design_gives_them() {
        assert_eq!(FieldClass::identity_number().suite(), Suite::CbcHmacSm3);
        assert_eq!(FieldClass::bank_card().suite(), Suite::CbcHmacSm3);
        assert_eq!(FieldClass::device_serial().suite(), Suite::CtrHmacSm3);
        assert_eq!(FieldClass::track().suite(), Suite::CtrHmacSm3);
        let presets = [
            FieldClass::identity_number(),
            FieldClass::bank_card(),
            FieldClass::device_serial(),
            FieldClass::track(),
        ];
        for (i, class) in presets.iter().enumerate() {
            assert_eq!(usize::from(class.id()), i + 1);
            assert!(class.is_row_bound());
            class.validate().unwrap();
        }
    }

    #[test]
    fn impossible_classes_are_refused() {
        let ok = || FieldClass::new(9, "x", Suite::CbcHmacSm3);
        for bad in [
            FieldClass::new(0, "x", Suite::CbcHmacSm3),
            FieldClass::new(9, "", Suite::CbcHmacSm3),
            FieldClass::new(9, "x".repeat(65), Suite::CbcHmacSm3),
            FieldClass::new(9, "a/b", Suite::CbcHmacSm3),
            FieldClass::new(9, "卡号", Suite::CbcHmacSm3),
            ok().window_minutes(0),
            ok().window_minutes(1441),
            ok().active_days(0),
            ok().active_days(3661),
            ok().chunked(12),
            FieldClass::new(9, "x", Suite::CtrHmacSm3).chunked(9),
            FieldClass::new(9, "x", Suite::CtrHmacSm3).chunked(21),
            FieldClass::new(9, "x", Suite::Gcm).long_tag(),
            FieldClass::new(9, "x", Suite::Ccm).long_tag(),
            FieldClass::new(9, "x", Suite::Gcm).chunked(12),
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
        ok().validate().unwrap();
    }
}
