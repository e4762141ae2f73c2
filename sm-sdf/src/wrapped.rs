//! Keys outside the device.

/// A key as the device wrapped it under one of its KEKs. It is no secret, and not authenticated either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    kek_index: u32,
    bytes: Vec<u8>,
}

impl WrappedKey {
    /// A wrapped key from where it was kept.
    #[must_use]
    pub fn new(kek_index: u32, bytes: Vec<u8>) -> Self {
        Self { kek_index, bytes }
    }

    /// The KEK's index in the device.
    #[must_use]
    pub fn kek_index(&self) -> u32 {
        self.kek_index
    }

    /// The wrapped bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
