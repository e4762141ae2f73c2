//! Keyed pseudonyms: the same person has the same name in the log, and nobody without the key can
//! tell whose it is.

use crate::crypto::{HmacKey, hmac_many};
use crate::error::Error;
use crate::hex;

/// Makes pseudonyms of user ids, session ids and devices.
///
/// A pseudonym is the key id (4 bytes) followed by the first 16 bytes of HMAC-SM3 over the
/// length-prefixed (4 bytes, big-endian) items `"smal/pseud/1"`, field, tenant and value; 40
/// hexadecimal digits. An unkeyed hash would be undone by trying every identity number. Keep the key
/// as long as the records; a record names the key it needs.
pub struct Pseudonymizer {
    key_id: u32,
    key: HmacKey,
}

impl Pseudonymizer {
    /// Shortest key, in bytes.
    pub const MIN_KEY: usize = 16;

    /// With a secret key of at least 16 bytes.
    ///
    /// # Errors
    /// [`Error::Key`] when the key is shorter.
    pub fn new(key_id: u32, key: &[u8]) -> Result<Self, Error> {
        if key.len() < Self::MIN_KEY {
            return Err(Error::Key(format!(
                "a pseudonym key needs at least {} bytes",
                Self::MIN_KEY
            )));
        }
        Ok(Self {
            key_id,
            key: HmacKey::new(key),
        })
    }

    /// The pseudonym of `value`, a `field` (`user_id`, `session_id`, `device`) of `tenant`.
    pub fn pseudonym(&self, field: &str, tenant: &str, value: &str) -> String {
        self.pseudonyms(field, tenant, &[value]).concat()
    }

    /// The pseudonyms of many values of one field.
    pub fn pseudonyms(&self, field: &str, tenant: &str, values: &[&str]) -> Vec<String> {
        let lengths: Vec<[u8; 4]> = values.iter().map(|value| length(value)).collect();
        let (label_length, label) = (length(LABEL), LABEL.as_bytes());
        let (field_length, tenant_length) = (length(field), length(tenant));
        let messages: Vec<[&[u8]; 8]> = values
            .iter()
            .zip(&lengths)
            .map(|(value, value_length)| {
                [
                    label_length.as_slice(),
                    label,
                    &field_length,
                    field.as_bytes(),
                    &tenant_length,
                    tenant.as_bytes(),
                    value_length,
                    value.as_bytes(),
                ]
            })
            .collect();
        let messages: Vec<&[&[u8]]> = messages.iter().map(|m| m.as_slice()).collect();
        hmac_many(&self.key, &messages)
            .iter()
            .map(|mac| {
                let short = mac.first_chunk::<16>().copied().unwrap_or_default();
                hex::encode(&self.key_id.to_be_bytes()) + &hex::encode(&short)
            })
            .collect()
    }
}

const LABEL: &str = "smal/pseud/1";

/// A string's length as its prefix. Longer than 4 GiB does not occur: the cap keeps it total.
fn length(text: &str) -> [u8; 4] {
    u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answer_and_batch() {
        let names = Pseudonymizer::new(7, &[0x42; 32]).unwrap();
        // HMAC-SM3 of the length-prefixed items by OpenSSL 3.0, first 16 bytes, behind the key id.
        let expected = "00000007432dcbe370419bbb0f7968ddeb8f43e9";
        assert_eq!(names.pseudonym("user_id", "bank-a", "zhang.san"), expected);
        let batch = names.pseudonyms("user_id", "bank-a", &["li.si", "zhang.san"]);
        assert_eq!(batch[1], expected);
        assert_ne!(batch[0], expected);
        assert!(names.pseudonyms("user_id", "bank-a", &[]).is_empty());
    }
}
