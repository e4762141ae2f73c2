//! A compact JWS taken apart and not verified, for what shows it or needs to know which key it names.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::{Map, Value};

use crate::error::BadInput;

/// Header and payload as they stand there. Nothing in them is trusted.
pub(super) struct Unverified {
    pub(super) header: Map<String, Value>,
    /// JSON, text or bytes.
    pub(super) payload: Vec<u8>,
}

impl Unverified {
    pub(super) fn read(source_name: &str, text: &str) -> Result<Self, BadInput> {
        let bad = |code, reason: &str| BadInput::new(source_name, reason).coded(code);
        let parts: Vec<&str> = text.splitn(4, '.').collect();
        let [header, payload, _] = parts[..] else {
            return Err(bad("not_compact", "not three parts separated by two dots"));
        };
        let decode = |part: &str, name: &str| {
            Base64UrlUnpadded::decode_vec(part)
                .map_err(|_| bad("bad_base64", &format!("{name} is not unpadded base64url")))
        };
        let header = decode(header, "the header")?;
        let header = serde_json::from_slice(&header).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let reason =
                format!("the header is not a JSON object: line {line} column {column} of it");
            bad("bad_json", &reason)
        })?;
        Ok(Self {
            header,
            payload: decode(payload, "the payload")?,
        })
    }

    /// The header's `kid`.
    pub(super) fn kid(&self, source_name: &str) -> Result<&str, BadInput> {
        self.header
            .get("kid")
            .and_then(Value::as_str)
            .ok_or_else(|| {
                BadInput::new(source_name, "the header has no `kid`").coded("missing_header")
            })
    }
}
