//! Names of keys on the server.

use crate::base64url;
use crate::replay::ReplayKey;
use crate::revocation::RevocationKey;

/// Key names with one prefix. The 32 bytes of a key are base64url, so that an operator can read and type them.
#[derive(Debug)]
pub(super) struct Names {
    prefix: String,
    marker: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            marker: format!("{prefix}marker"),
        }
    }

    pub(super) fn marker(&self) -> &str {
        &self.marker
    }

    pub(super) fn used(&self, key: &ReplayKey) -> String {
        format!("{}used:{}", self.prefix, base64url::encode(key.as_bytes()))
    }

    pub(super) fn revoked(&self, key: &RevocationKey) -> String {
        format!(
            "{}revoked:{}",
            self.prefix,
            base64url::encode(key.as_bytes())
        )
    }
}
