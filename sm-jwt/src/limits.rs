//! Caps that are checked before any work is spent on a token.

/// Size and shape limits on untrusted input.
///
/// The defaults fit a bearer token in an HTTP header with room to spare. Lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    token: usize,
    header: usize,
    payload: usize,
    depth: usize,
    members: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            token: 16 * 1024,
            header: 2 * 1024,
            payload: 12 * 1024,
            depth: 16,
            members: 256,
        }
    }
}

impl Limits {
    /// The longest compact token, in characters. Default 16 KiB.
    #[must_use]
    pub fn with_token_bytes(mut self, limit: usize) -> Self {
        self.token = limit;
        self
    }

    /// The longest decoded header. Default 2 KiB.
    #[must_use]
    pub fn with_header_bytes(mut self, limit: usize) -> Self {
        self.header = limit;
        self
    }

    /// The longest decoded payload. Default 12 KiB.
    #[must_use]
    pub fn with_payload_bytes(mut self, limit: usize) -> Self {
        self.payload = limit;
        self
    }

    /// The deepest JSON nesting, the outermost object being level 1. Default 16, at most 100.
    #[must_use]
    pub fn with_depth(mut self, limit: usize) -> Self {
        // The JSON reader itself stops at 128 levels.
        self.depth = limit.min(100);
        self
    }

    /// The most JSON members and array elements together, in each of header and payload.
    /// Default 256.
    #[must_use]
    pub fn with_members(mut self, limit: usize) -> Self {
        self.members = limit;
        self
    }

    /// The longest compact token, in characters.
    #[must_use]
    pub fn token_bytes(&self) -> usize {
        self.token
    }

    /// The longest decoded header.
    #[must_use]
    pub fn header_bytes(&self) -> usize {
        self.header
    }

    /// The longest decoded payload.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.payload
    }

    /// The deepest JSON nesting.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The most JSON members and array elements together.
    #[must_use]
    pub fn members(&self) -> usize {
        self.members
    }
}
