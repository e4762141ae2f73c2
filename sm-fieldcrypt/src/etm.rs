//! Suites 01 and 02: encrypt-then-MAC over many values at once.
//!
//! Tag = HMAC-SM3("SMFC1" ‖ header ‖ IV ‖ u32 length(AAD) ‖ AAD ‖ ciphertext).

use crate::class::Suite;
use crate::crypto::{
    CbcJob, CtrJob, HmacJob, cbc_decrypt_many, cbc_encrypt_many, ctr_apply_many, hmac_many,
    tags_equal,
};
use crate::derive::EtmKeys;
use crate::envelope::{Draft, Envelope};
use crate::error::Error;
use crate::secret::SecretBytes;
use zeroize::Zeroizing;

const MAC_LABEL: &[u8] = b"SMFC1";

/// Encrypts drafts in place; their tags.
///
/// # Errors
/// [`Error::Open`] when a draft could not be encrypted: nothing is handed out then. [`Error::Context`] for an AAD over
/// 4 GiB.
pub(crate) fn seal_drafts(
    suite: Suite,
    drafts: &mut [Draft],
    keys: &[&EtmKeys],
    aads: &[&[u8]],
) -> Result<Vec<[u8; 32]>, Error> {
    let jobs = drafts.iter_mut().zip(keys).map(|(draft, keys)| {
        let (iv, text) = draft.iv_and_text();
        TextJob { keys, iv, text }
    });
    let encrypted = encrypt_many(suite, jobs.collect());
    if encrypted.len() != drafts.len() || !encrypted.into_iter().all(|done| done) {
        return Err(Error::Open);
    }
    let jobs: Vec<TagJob<'_>> = drafts
        .iter()
        .zip(keys)
        .zip(aads)
        .map(|((draft, keys), aad)| {
            let (header, iv, ciphertext) = draft.parts();
            TagJob {
                keys,
                header,
                iv,
                aad,
                ciphertext,
            }
        })
        .collect();
    tags_many(&jobs)
}

/// One envelope to open.
pub(crate) struct Opening<'a, K> {
    pub(crate) keys: &'a K,
    pub(crate) envelope: &'a Envelope<'a>,
    pub(crate) aad: &'a [u8],
}

/// The texts; [`Error::Open`] for what is not authentic.
///
/// # Errors
/// [`Error::Context`] for an AAD over 4 GiB.
pub(crate) fn open_texts(
    suite: Suite,
    items: &[Opening<'_, EtmKeys>],
) -> Result<Vec<Result<SecretBytes, Error>>, Error> {
    let jobs: Vec<TagJob<'_>> = items
        .iter()
        .map(|item| TagJob {
            keys: item.keys,
            header: item.envelope.raw_header(),
            iv: item.envelope.iv(),
            aad: item.aad,
            ciphertext: item.envelope.ciphertext(),
        })
        .collect();
    let tags = tags_many(&jobs)?;
    // What is not authentic has no text from here on: it is not decrypted.
    let mut texts: Vec<Option<Zeroizing<Vec<u8>>>> = items
        .iter()
        .zip(&tags)
        .map(|(item, tag)| {
            let tag = tag.get(..item.envelope.header().tag_len()).unwrap_or(tag);
            tags_equal(tag, item.envelope.tag())
                .then(|| Zeroizing::new(item.envelope.ciphertext().to_vec()))
        })
        .collect();
    let jobs = texts.iter_mut().zip(items).filter_map(|(text, item)| {
        Some(TextJob {
            keys: item.keys,
            iv: item.envelope.iv(),
            text: text.as_mut()?,
        })
    });
    let mut decrypted = decrypt_many(suite, jobs.collect()).into_iter();
    Ok(texts
        .into_iter()
        .map(|text| match text {
            Some(text) if decrypted.next() == Some(true) => unpad(suite, text),
            _ => Err(Error::Open),
        })
        .collect())
}

/// One text to encrypt or decrypt in place. For CBC it is padded to whole blocks.
struct TextJob<'a> {
    keys: &'a EtmKeys,
    iv: &'a [u8],
    text: &'a mut [u8],
}

/// Encrypts. `false` where a text was left as it was: its IV or length does not fit the suite.
fn encrypt_many(suite: Suite, jobs: Vec<TextJob<'_>>) -> Vec<bool> {
    match suite {
        Suite::CbcHmacSm3 => with_blocks(jobs, cbc_encrypt_many),
        _ => with_nonces(jobs),
    }
}

/// Decrypts, without unpadding. `false` as for [`encrypt_many`].
fn decrypt_many(suite: Suite, jobs: Vec<TextJob<'_>>) -> Vec<bool> {
    match suite {
        Suite::CbcHmacSm3 => with_blocks(jobs, cbc_decrypt_many),
        _ => with_nonces(jobs),
    }
}

fn with_blocks(jobs: Vec<TextJob<'_>>, run: impl FnOnce(&mut [CbcJob<'_>])) -> Vec<bool> {
    let mut done = Vec::with_capacity(jobs.len());
    let mut fitting = Vec::with_capacity(jobs.len());
    for job in jobs {
        let (blocks, rest) = job.text.as_chunks_mut::<16>();
        let iv = job.iv.try_into().ok().filter(|_| rest.is_empty());
        done.push(iv.is_some());
        fitting.extend(iv.map(|iv| CbcJob {
            key: &job.keys.enc,
            iv,
            blocks,
        }));
    }
    run(&mut fitting);
    done
}

fn with_nonces(jobs: Vec<TextJob<'_>>) -> Vec<bool> {
    let mut fits = Vec::with_capacity(jobs.len());
    let mut fitting = Vec::with_capacity(jobs.len());
    for job in jobs {
        let nonce = job.iv.try_into().ok();
        fits.push(nonce.is_some());
        fitting.extend(nonce.map(|nonce| CtrJob {
            key: &job.keys.enc,
            nonce,
            text: job.text,
        }));
    }
    let mut applied = ctr_apply_many(&mut fitting).into_iter();
    fits.into_iter()
        .map(|fits| fits && applied.next() == Some(true))
        .collect()
}

/// What one tag covers.
struct TagJob<'a> {
    keys: &'a EtmKeys,
    header: &'a [u8],
    iv: &'a [u8],
    aad: &'a [u8],
    ciphertext: &'a [u8],
}

/// The whole tags, 32 bytes each.
///
/// # Errors
/// [`Error::Context`] for an AAD over 4 GiB.
fn tags_many(jobs: &[TagJob<'_>]) -> Result<Vec<[u8; 32]>, Error> {
    let lengths: Vec<[u8; 4]> = jobs
        .iter()
        .map(|job| u32::try_from(job.aad.len()).map(u32::to_be_bytes))
        .collect::<Result<_, _>>()
        .map_err(|_| Error::Context {
            what: "it is too long",
        })?;
    let parts: Vec<[&[u8]; 6]> = jobs
        .iter()
        .zip(&lengths)
        .map(|(job, length)| {
            [
                MAC_LABEL,
                job.header,
                job.iv,
                length,
                job.aad,
                job.ciphertext,
            ]
        })
        .collect();
    let macs: Vec<HmacJob<'_>> = jobs
        .iter()
        .zip(&parts)
        .map(|(job, parts)| HmacJob {
            key: &job.keys.mac,
            parts,
        })
        .collect();
    Ok(hmac_many(&macs))
}

/// Takes PKCS#7 padding off (CBC). Runs only on authentic text; a fault is the same error as a bad tag.
fn unpad(suite: Suite, mut text: Zeroizing<Vec<u8>>) -> Result<SecretBytes, Error> {
    if suite == Suite::CbcHmacSm3 {
        let padding = *text.last().ok_or(Error::Open)?;
        let cut = text
            .len()
            .checked_sub(usize::from(padding))
            .ok_or(Error::Open)?;
        let tail = text.get(cut..).ok_or(Error::Open)?;
        if !(1..=16).contains(&padding) || tail.iter().any(|byte| *byte != padding) {
            return Err(Error::Open);
        }
        text.truncate(cut);
    }
    Ok(SecretBytes::new(std::mem::take(&mut *text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{HmacKey, Sm4Key};

    #[test]
    fn texts_that_do_not_fit_are_left_alone_and_named() {
        let keys = EtmKeys {
            enc: Sm4Key::new(&[1; 16]),
            mac: HmacKey::new(&[2; 32]),
        };
        let mut texts = [vec![0_u8; 16], vec![0; 15], vec![0; 16]];
        let ivs: [&[u8]; 3] = [&[0; 16], &[0; 16], &[0; 12]];
        let jobs = |texts: &mut [Vec<u8>; 3]| -> Vec<bool> {
            let jobs = texts.iter_mut().zip(ivs);
            let jobs = jobs
                .map(|(text, iv)| TextJob {
                    keys: &keys,
                    iv,
                    text,
                })
                .collect();
            encrypt_many(Suite::CbcHmacSm3, jobs)
        };
        assert_eq!(jobs(&mut texts), [true, false, false]);
        assert_ne!(texts[0], [0; 16]);
        assert_eq!(texts[1..], [vec![0_u8; 15], vec![0; 16]]);
        let mut text = [0_u8; 5];
        let job = TextJob {
            keys: &keys,
            iv: &[0; 16],
            text: &mut text,
        };
        assert_eq!(decrypt_many(Suite::CtrHmacSm3, vec![job]), [false]);
        assert_eq!(text, [0; 5]);
    }

    #[test]
    fn unpadding_wants_exact_padding() {
        let cbc = |bytes: &[u8]| unpad(Suite::CbcHmacSm3, Zeroizing::new(bytes.to_vec()));
        assert_eq!(cbc(&[7, 7, 2, 2]).unwrap().expose(), [7, 7]);
        assert_eq!(cbc(&[16; 16]).unwrap().expose(), b"");
        for bad in [&[][..], &[0], &[2], &[1, 2], &[3, 3, 2, 3], &[17; 17]] {
            assert!(matches!(cbc(bad), Err(Error::Open)), "{bad:?}");
        }
    }
}
