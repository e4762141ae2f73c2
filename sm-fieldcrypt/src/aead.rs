//! Suites 03 and 04: SM4-GCM and SM4-CCM, over many values at once.
//!
//! AAD of the cipher = "SMFC1" ‖ header ‖ u32 length ‖ AAD; the nonce has 12 bytes, the tag 16.

use crate::crypto::{
    CcmKey, GcmKey, OpenJob, SealJob, ccm_open_many, ccm_seal_many, gcm_open_many, gcm_seal_many,
};
use crate::envelope::{Draft, Envelope};
use crate::error::Error;
use crate::etm::Opening;
use crate::secret::SecretBytes;
use zeroize::Zeroizing;

const LABEL: &[u8] = b"SMFC1";

/// A cipher that authenticates what it encrypts.
pub(crate) trait Aead: Sized {
    fn seal_many(jobs: &mut [SealJob<'_, Self>]) -> Vec<Option<[u8; 16]>>;
    fn open_many(jobs: &mut [OpenJob<'_, Self>]) -> Vec<bool>;
}

impl Aead for GcmKey {
    fn seal_many(jobs: &mut [SealJob<'_, Self>]) -> Vec<Option<[u8; 16]>> {
        gcm_seal_many(jobs)
    }

    fn open_many(jobs: &mut [OpenJob<'_, Self>]) -> Vec<bool> {
        gcm_open_many(jobs)
    }
}

impl Aead for CcmKey {
    fn seal_many(jobs: &mut [SealJob<'_, Self>]) -> Vec<Option<[u8; 16]>> {
        ccm_seal_many(jobs)
    }

    fn open_many(jobs: &mut [OpenJob<'_, Self>]) -> Vec<bool> {
        ccm_open_many(jobs)
    }
}

fn whole_aad(header: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
    let length = u32::try_from(aad.len()).map_err(|_| Error::Context {
        what: "it is too long",
    })?;
    Ok([LABEL, header, &length.to_be_bytes(), aad].concat())
}

/// Encrypts drafts in place; their tags, in the first 16 bytes.
///
/// # Errors
/// [`Error::Open`] when a draft could not be encrypted: nothing is handed out then. [`Error::Context`] for an AAD over
/// 4 GiB.
pub(crate) fn seal_drafts<K: Aead>(
    drafts: &mut [Draft],
    keys: &[&K],
    aads: &[&[u8]],
) -> Result<Vec<[u8; 32]>, Error> {
    let aads: Vec<Vec<u8>> = drafts
        .iter()
        .zip(aads)
        .map(|(draft, aad)| whole_aad(draft.parts().0, aad))
        .collect::<Result<_, _>>()?;
    let mut jobs: Vec<SealJob<'_, K>> = drafts
        .iter_mut()
        .zip(keys)
        .zip(&aads)
        .map(|((draft, &key), aad)| {
            let (nonce, text) = draft.iv_and_text();
            SealJob {
                key,
                nonce,
                aad,
                text,
            }
        })
        .collect();
    let tags = K::seal_many(&mut jobs).into_iter();
    tags.map(|tag| tag.map(in_front).ok_or(Error::Open))
        .collect()
}

fn in_front(tag: [u8; 16]) -> [u8; 32] {
    let mut whole = [0_u8; 32];
    for (to, from) in whole.iter_mut().zip(tag) {
        *to = from;
    }
    whole
}

/// The texts; [`Error::Open`] for what is not authentic.
///
/// # Errors
/// [`Error::Context`] for an AAD over 4 GiB.
pub(crate) fn open_texts<K: Aead>(
    items: &[Opening<'_, K>],
) -> Result<Vec<Result<SecretBytes, Error>>, Error> {
    let aads: Vec<Vec<u8>> = items
        .iter()
        .map(|item| whole_aad(item.envelope.raw_header(), item.aad))
        .collect::<Result<_, _>>()?;
    let mut texts: Vec<Zeroizing<Vec<u8>>> = items
        .iter()
        .map(|item| Zeroizing::new(item.envelope.ciphertext().to_vec()))
        .collect();
    let tags: Vec<[u8; 16]> = items.iter().map(|item| tag_of(item.envelope)).collect();
    let mut jobs: Vec<OpenJob<'_, K>> = texts
        .iter_mut()
        .zip(items)
        .zip(aads.iter().zip(&tags))
        .map(|((text, item), (aad, tag))| OpenJob {
            key: item.keys,
            nonce: item.envelope.iv(),
            aad,
            text,
            tag,
        })
        .collect();
    let authentic = K::open_many(&mut jobs);
    Ok(texts
        .into_iter()
        .zip(authentic)
        .map(|(mut text, authentic)| match authentic {
            true => Ok(SecretBytes::new(std::mem::take(&mut *text))),
            false => Err(Error::Open),
        })
        .collect())
}

/// The parser gives these suites 16 bytes.
fn tag_of(envelope: &Envelope<'_>) -> [u8; 16] {
    envelope.tag().try_into().unwrap_or_default()
}
