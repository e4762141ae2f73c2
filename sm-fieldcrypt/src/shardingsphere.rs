//! Values of Apache ShardingSphere's `SM4` encryptor, opened once more to be sealed here.
//!
//! That encryptor (5.0 and later) writes a column as hexadecimal text of SM4-CBC under a fixed IV, or of SM4-ECB, with
//! PKCS#7 padding over the UTF-8 text of the value.

use crate::context::FieldContext;
use crate::crypto::{CbcJob, Sm4Key, cbc_decrypt_many};
use crate::error::Error;
use crate::hexadecimal;
use crate::seal::{Batch, PreparedKey, merge, split};
use crate::secret::SecretBytes;
use std::fmt;
use subtle::{ConstantTimeEq, ConstantTimeLess};
use zeroize::Zeroizing;

/// Opens the columns of Apache ShardingSphere's `SM4` encryptor. For migration only.
///
/// **Nothing here is authenticated.** A value that was changed, or moved to another row, opens all the same, and ECB and a
/// fixed IV show which values are equal. About one in 256 values opens under a wrong key to the eye of the padding; what
/// is then no UTF-8, which every value that ShardingSphere wrote is, is refused as well. Whoever may hand in values and
/// see whether they open can decrypt others (a padding oracle), so open what stands in the database, never what a caller
/// sends. There is no way to encrypt so here.
///
/// Take key and IV from the encryptor's properties, as they stand there:
///
/// | property | here |
/// |---|---|
/// | `sm4-key` | `key`: 32 hexadecimal digits |
/// | `sm4-mode` | `CBC`: [`cbc`](Self::cbc), `ECB`: [`ecb`](Self::ecb) |
/// | `sm4-iv` | `iv` of [`cbc`](Self::cbc): 32 hexadecimal digits |
/// | `sm4-padding` | `PKCS5Padding` and `PKCS7Padding` are the same |
///
/// `NULL` stays `NULL`, an empty value is sixteen bytes of padding. Numbers and dates were written as Java's text of them
/// and open to that text.
///
/// ```
/// use sm_fieldcrypt::{SecretBytes, ShardingSphereSm4};
/// let key = SecretBytes::new(b"f201326119911788cFd30575b81059ac".to_vec());
/// let legacy = ShardingSphereSm4::cbc(&key, "e166c3391294E69cc4c620f594fe00d7")?;
/// let opened = legacy.open("dca2127b57ba8cac36a0914e0208dc11")?;
/// assert_eq!(opened.expose_str(), Some("test"));
/// # Ok::<(), sm_fieldcrypt::Error>(())
/// ```
pub struct ShardingSphereSm4 {
    key: Sm4Key,
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    Cbc { iv: [u8; 16] },
    Ecb,
}

/// Decrypting one block after this one is decrypting it alone.
const NO_IV: [u8; 16] = [0; 16];

impl ShardingSphereSm4 {
    /// For `sm4-mode: CBC`. The legacy key is held as round keys, wiped on drop; `key` stays the caller's.
    ///
    /// # Errors
    /// [`Error::Import`] for a key or IV that is not 32 hexadecimal digits.
    pub fn cbc(key: &SecretBytes, iv: &str) -> Result<Self, Error> {
        let iv = *block_of("iv", iv.as_bytes())?;
        Self::new(key, Mode::Cbc { iv })
    }

    /// For `sm4-mode: ECB`.
    ///
    /// # Errors
    /// [`Error::Import`] for a key that is not 32 hexadecimal digits.
    pub fn ecb(key: &SecretBytes) -> Result<Self, Error> {
        Self::new(key, Mode::Ecb)
    }

    fn new(key: &SecretBytes, mode: Mode) -> Result<Self, Error> {
        let key = Sm4Key::new(&*block_of("key", key.expose())?);
        Ok(Self { key, mode })
    }

    /// Opens the text of one column value, in upper or lower case, as ShardingSphere does.
    ///
    /// # Errors
    /// [`Error::Import`] for what is not the text of whole blocks; [`Error::ImportOpen`] for what does not decrypt to
    /// padded UTF-8.
    pub fn open(&self, text: &str) -> Result<SecretBytes, Error> {
        self.open_many(&[text])
            .pop()
            .unwrap_or(Err(Error::ImportOpen))
    }

    /// Opens many values at once; one result an item.
    #[must_use]
    pub fn open_many(&self, texts: &[&str]) -> Vec<Result<SecretBytes, Error>> {
        let mut parsed: Vec<Result<Zeroizing<Vec<u8>>, Error>> =
            texts.iter().map(|text| ciphertext_of(text)).collect();
        let ciphertexts = parsed.iter_mut().flatten();
        let blocks = ciphertexts.map(|bytes| bytes.as_chunks_mut::<16>().0);
        let mut jobs: Vec<CbcJob<'_>> = match &self.mode {
            Mode::Cbc { iv } => blocks.map(|blocks| self.job(iv, blocks)).collect(),
            Mode::Ecb => blocks
                .flat_map(|blocks| blocks.chunks_mut(1))
                .map(|block| self.job(&NO_IV, block))
                .collect(),
        };
        cbc_decrypt_many(&mut jobs);
        parsed
            .into_iter()
            .map(|decrypted| unpad(decrypted?))
            .collect()
    }

    fn job<'a>(&'a self, iv: &'a [u8; 16], blocks: &'a mut [[u8; 16]]) -> CbcJob<'a> {
        CbcJob {
            key: &self.key,
            iv,
            blocks,
        }
    }

    /// Opens one value and seals it with `key` for the place `context`.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`PreparedKey::seal`].
    pub fn reseal(
        &self,
        text: &str,
        key: &PreparedKey,
        context: &FieldContext,
    ) -> Result<Vec<u8>, Error> {
        key.seal(self.open(text)?.expose(), context)
    }

    /// Opens and seals many values at once: a page of a column, row by row.
    ///
    /// # Errors
    /// The outer error is the whole batch's, as of [`PreparedKey::seal_many`]; the inner ones are an item's own.
    pub fn reseal_many(
        &self,
        items: &[(&str, &FieldContext)],
        key: &PreparedKey,
    ) -> Batch<Vec<u8>> {
        let texts: Vec<&str> = items.iter().map(|(text, _)| *text).collect();
        let opened = self.open_many(&texts).into_iter().zip(items);
        let opened = opened.map(|(opened, (_, context))| Ok((opened?, *context)));
        let (fine, faults) = split(opened.collect());
        let plain: Vec<(&[u8], &FieldContext)> = fine
            .iter()
            .map(|(opened, context)| (opened.expose(), *context))
            .collect();
        Ok(merge(faults, key.seal_many(&plain)?))
    }
}

impl fmt::Debug for ShardingSphereSm4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardingSphereSm4")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// The bytes of a text; what is wrong is told with its place.
fn bytes_of(part: &'static str, text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    hexadecimal::decode(text).map_err(|fault| Error::Import {
        part,
        what: fault.what,
        offset: fault.offset,
    })
}

fn block_of(part: &'static str, text: &[u8]) -> Result<Zeroizing<[u8; 16]>, Error> {
    let bytes = bytes_of(part, text)?;
    let block = bytes.as_slice().try_into().map_err(|_| Error::Import {
        part,
        what: "it must be 32 digits",
        offset: text.len(),
    })?;
    Ok(Zeroizing::new(block))
}

fn ciphertext_of(text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let bytes = bytes_of("value", text.as_bytes())?;
    let what = match bytes.as_chunks::<16>() {
        ([_, ..], []) => return Ok(bytes),
        ([], []) => "it is empty",
        _ => "it does not end with a block of 32 digits",
    };
    Err(Error::Import {
        part: "value",
        what,
        offset: text.len(),
    })
}

/// Takes PKCS#7 padding off. All sixteen bytes are looked at, whatever they hold, and there is one error.
fn unpad(mut text: Zeroizing<Vec<u8>>) -> Result<SecretBytes, Error> {
    let block = text.last_chunk::<16>().ok_or(Error::ImportOpen)?;
    let [.., padding] = *block;
    let mut wrong = padding.ct_eq(&0) | !padding.ct_lt(&17);
    for (from_end, byte) in (0_u8..).zip(block.iter().rev()) {
        wrong |= from_end.ct_lt(&padding) & !byte.ct_eq(&padding);
    }
    if wrong.into() {
        return Err(Error::ImportOpen);
    }
    let length = text.len().saturating_sub(usize::from(padding));
    text.truncate(length);
    if std::str::from_utf8(&text).is_err() {
        return Err(Error::ImportOpen);
    }
    Ok(SecretBytes::new(std::mem::take(&mut *text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpadding_wants_exact_padding_and_text() {
        let block = |tail: &[u8]| {
            let mut block = vec![b'x'; 16 - tail.len()];
            block.extend_from_slice(tail);
            unpad(Zeroizing::new(block))
        };
        for n in 1..=16_u8 {
            let opened = block(&vec![n; usize::from(n)]).unwrap();
            assert_eq!(opened.expose(), vec![b'x'; usize::from(16 - n)]);
            if n > 1 {
                let mut damaged = vec![n; usize::from(n)];
                damaged[0] ^= 1;
                assert!(matches!(block(&damaged), Err(Error::ImportOpen)), "{n}");
            }
        }
        for bad in [
            &[0][..],
            &[17; 16],
            &[0xFF],
            &[0x80],
            &[0xC3, 1],
            &[2, 1, 2],
        ] {
            assert!(matches!(block(bad), Err(Error::ImportOpen)), "{bad:?}");
        }
        assert!(matches!(
            unpad(Zeroizing::default()),
            Err(Error::ImportOpen)
        ));
    }
}
