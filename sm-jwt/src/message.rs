//! Bare SM2 signatures over messages of bytes, for what is not a JWS: documents, files, protocols with a format of their
//! own.
//!
//! What is signed is e = SM3(Z ‖ M) (GM/T 0003.2 section 6.1, Z by section 5.5). M is always the message: a digest that
//! somebody made beforehand is never signed, because nobody here could tell what it is the digest of.

use crate::crypto::{self, SignItem, VerifyItem};
use crate::error::Error;
use crate::hash::HashAlgorithm;
use crate::keys::{SigningKey, VerifyingKey};
use crate::signature::SignatureEncoding;

impl SigningKey {
    /// Signs a message for a user id, usually [`DEFAULT_USER_ID`](crate::DEFAULT_USER_ID), with SM3: 64 bytes r ‖ s, or
    /// DER of at most 72.
    ///
    /// ```
    /// use sm_jwt::{DEFAULT_USER_ID, SignatureEncoding, SigningKey};
    ///
    /// # fn main() -> Result<(), sm_jwt::Error> {
    /// let key = SigningKey::generate()?;
    /// let signature = key.sign_message(b"any bytes", DEFAULT_USER_ID, SignatureEncoding::Raw)?;
    /// key.verifying_key()
    ///     .verify_message(b"any bytes", DEFAULT_USER_ID, SignatureEncoding::Raw, &signature)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Security
    /// A message that has the form of a JWS signing input (RFC 7515 section 5.1) is refused: its signature would make a
    /// token. That is `header.payload` whose first part is base64 of the beginning of a JSON object, in the spellings that tolerant
    /// readers are known to take (either alphabet, padding, characters between, UTF-16), with any second part (RFC 7797), and `.payload` for a JWS
    /// without a protected header. The better rule is one key, one use: a key that signs tokens signs nothing else.
    ///
    /// # Errors
    /// [`Error::TokenInput`] for such a message, [`Error::Config`] for a user id of more than 8191 bytes,
    /// [`Error::Random`] when the random generator fails.
    pub fn sign_message(
        &self,
        message: &[u8],
        user_id: &[u8],
        encoding: SignatureEncoding,
    ) -> Result<Vec<u8>, Error> {
        if is_jws_signing_input(message) {
            return Err(Error::TokenInput);
        }
        let item = SignItem {
            key: self.secret(),
            hash: HashAlgorithm::Sm3,
            z: &z(self.verifying_key(), user_id)?,
            message,
        };
        let raw = crypto::sign(&item)?;
        Ok(encoding.encode(&raw))
    }
}

impl VerifyingKey {
    /// Verifies the signature of a message for a user id (GM/T 0003.2 section 7.1, with SM3).
    ///
    /// There is one encoding a signature: exactly 64 bytes, or canonical DER; r and s lie in [1, n-1].
    ///
    /// # Errors
    /// [`Error::BadSignature`], without detail, for a signature that does not hold or is not of this encoding, and
    /// [`Error::Config`] for a user id of more than 8191 bytes.
    pub fn verify_message(
        &self,
        message: &[u8],
        user_id: &[u8],
        encoding: SignatureEncoding,
        signature: &[u8],
    ) -> Result<(), Error> {
        let z = z(self, user_id)?;
        let item = VerifyItem {
            key: self.point(),
            hash: HashAlgorithm::Sm3,
            z: &z,
            message,
            signature: &encoding.decode(signature).ok_or(Error::BadSignature)?,
        };
        match crypto::verify(&item) {
            true => Ok(()),
            false => Err(Error::BadSignature),
        }
    }
}

fn z(key: &VerifyingKey, user_id: &[u8]) -> Result<[u8; 32], Error> {
    crypto::z(HashAlgorithm::Sm3, user_id, key.point().sec1())
        .ok_or_else(|| Error::Config("the user id is too long".to_owned()))
}

/// Whether somebody's verifier might take `message` for what the signature of a JWS covers.
fn is_jws_signing_input(message: &[u8]) -> bool {
    let mut parts = message.splitn(2, |&byte| byte == b'.');
    match (parts.next(), parts.next()) {
        // No protected header: `alg` stands outside. The payload is base64url then (RFC 7797 section 3).
        (Some([]), Some(payload)) => !payload.is_empty() && payload.iter().all(|&b| is_base64(b)),
        // `alg` is not looked for: it may stand outside, and readers of JSON differ in what they find.
        (Some(header), Some(_)) => {
            let padding = header.iter().position(|&byte| byte == b'=');
            let start = header
                .get(..padding.unwrap_or(header.len()))
                .unwrap_or(header);
            // Some readers stop at the padding, others go on behind it.
            begins_object(&decode_loosely(header)) || begins_object(&decode_loosely(start))
        }
        _ => false,
    }
}

fn is_base64(byte: u8) -> bool {
    value(byte).is_some() || byte == b'='
}

/// Whether some reader may take `text` for a JSON object: in UTF-8, or in UTF-16 or UTF-32 of any order, whose zero bytes and
/// byte order marks are passed over. What comes behind its beginning is not looked at: readers differ in where they stop.
fn begins_object(text: &[u8]) -> bool {
    let mut text = text.iter().copied().filter(|byte| {
        !matches!(byte, 0 | 0xEF | 0xBB | 0xBF | 0xFE | 0xFF) && !byte.is_ascii_whitespace()
    });
    text.next() == Some(b'{') && matches!(text.next(), None | Some(b'"' | b'}' | b'/'))
}

/// The value of a digit of either alphabet.
fn value(digit: u8) -> Option<u8> {
    let from = |first: u8, base: u8| Some(digit.wrapping_sub(first).wrapping_add(base));
    match digit {
        b'A'..=b'Z' => from(b'A', 0),
        b'a'..=b'z' => from(b'a', 26),
        b'0'..=b'9' => from(b'0', 52),
        b'-' | b'+' => Some(62),
        b'_' | b'/' => Some(63),
        _ => None,
    }
}

/// Base64 as the most tolerant reader takes it: either alphabet, all else passed over, left-over bits dropped.
fn decode_loosely(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut held = 0u16;
    let mut bits = 0u32;
    for value in text.iter().copied().filter_map(value) {
        held = (held << 6) | u16::from(value);
        bits = bits.saturating_add(6);
        if bits >= 8 {
            bits = bits.saturating_sub(8);
            let [_, byte] = (held >> bits).to_be_bytes();
            bytes.push(byte);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base64url;

    #[test]
    fn signing_inputs_are_known_in_every_spelling() {
        let header = base64url::encode(br#"{"alg":"SM2"}"#);
        let known = |message: &str| is_jws_signing_input(message.as_bytes());
        let (start, end) = header.split_at(5);
        let utf_16 = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{FEFF}{\"alg\":\"SM2\"}"
                .encode_utf16()
                .flat_map(bytes)
                .collect()
        };
        for message in [
            format!("{header}.e30"),
            format!("{header}."),
            format!("{header}.any bytes, with a . in them"),
            format!("{header}==.e30"),
            format!("{start}\n{end}.e30"),
            format!(
                "{}.e30",
                base64url::encode(b" {\"kid\":\"alg is outside\"}\r\n")
            ),
            format!(
                "{}.e30",
                base64url::encode(b"\xEF\xBB\xBF{\"alg\":\"SM2\"}")
            ),
            format!("{}.e30", base64url::encode(br#"{"\u0061lg":"SM2"}"#)),
            format!(
                "{}.e30",
                base64url::encode(br#"{"x":">>>???","alg":"SM2"}"#)
            ),
            format!(
                "{}.e30",
                base64url::encode(br#"{"x":">>>???","alg":"SM2"}"#)
            )
            .replace('-', "+")
            .replace('_', "/"),
            format!("{header}==AAAA.e30"),
            format!("{}.e30", base64url::encode(b"{\"alg\":\"SM2\"} and more")),
            format!("{}.e30", base64url::encode(&utf_16(u16::to_le_bytes))),
            format!("{}.e30", base64url::encode(&utf_16(u16::to_be_bytes))),
            "e30.e30".to_owned(),
            ".e30".to_owned(),
        ] {
            assert!(known(&message), "{message}");
        }
        for message in [
            "",
            ".",
            "message digest",
            "eyes.txt",
            "a.b",
            "1.4.0",
            &header,
            "{\"alg\":\"SM2\"}.e30",
            ".. a sentence that begins with dots",
            &base64url::encode(b"[\"alg\"].e30"),
        ] {
            assert!(!known(message), "{message}");
        }
    }

    proptest! {
        #[test]
        fn every_object_before_a_dot_is_known(name in "[a-z]{0,9}", text in ".{0,20}", rest: Vec<u8>) {
            let header = serde_json::json!({ name: text }).to_string();
            let mut message = base64url::encode(header.as_bytes()).into_bytes();
            message.push(b'.');
            message.extend(rest);
            prop_assert!(is_jws_signing_input(&message));
        }

        #[test]
        fn the_loose_decoder_reads_what_the_strict_one_does(bytes: Vec<u8>) {
            prop_assert_eq!(decode_loosely(base64url::encode(&bytes).as_bytes()), bytes);
        }
    }
}
