//! HKDF-SM3 labels: how a field key (L2) gives the keys that touch data (L3).
//!
//! L3 = HKDF-Expand-SM3(FEK, "smfc1/l3" ‖ u8 suite ‖ u16 class ‖ u32 fek_id ‖ u32 window ‖ 4-byte salt ‖ u16 length
//! ‖ tenant), 48 bytes: encryption key 16 ‖ MAC key 32.

use crate::class::Suite;
use crate::crypto::{CcmKey, ExpandJob, GcmKey, HmacKey, PrkKey, Sm4Key, hkdf_expand_many};
use crate::envelope::Header;
use zeroize::Zeroizing;

const SESSION_LABEL: &[u8] = b"smfc1/l3";

/// The keys of one field key, window, salt and tenant. Wiped on drop.
pub(crate) enum SessionKeys {
    /// Suites 01 and 02.
    Etm(EtmKeys),
    /// Suite 03; the MAC key has no use. Its tables are long.
    Gcm(Box<GcmKey>),
    /// Suite 04; the MAC key has no use.
    Ccm(CcmKey),
}

/// The keys of encrypt-then-MAC.
pub(crate) struct EtmKeys {
    pub(crate) enc: Sm4Key,
    pub(crate) mac: HmacKey,
}

impl SessionKeys {
    fn new(suite: Suite, enc: &[u8; 16], mac: &[u8; 32]) -> Self {
        match suite {
            Suite::CbcHmacSm3 | Suite::CtrHmacSm3 => Self::Etm(EtmKeys {
                enc: Sm4Key::new(enc),
                mac: HmacKey::new(mac),
            }),
            Suite::Gcm => Self::Gcm(Box::new(GcmKey::new(enc))),
            Suite::Ccm => Self::Ccm(CcmKey::new(enc)),
        }
    }

    /// The keys of suites 01 and 02.
    pub(crate) fn etm(&self) -> Option<&EtmKeys> {
        match self {
            Self::Etm(keys) => Some(keys),
            Self::Gcm(_) | Self::Ccm(_) => None,
        }
    }

    pub(crate) fn gcm(&self) -> Option<&GcmKey> {
        match self {
            Self::Gcm(key) => Some(key),
            Self::Etm(_) | Self::Ccm(_) => None,
        }
    }

    pub(crate) fn ccm(&self) -> Option<&CcmKey> {
        match self {
            Self::Ccm(key) => Some(key),
            Self::Etm(_) | Self::Gcm(_) => None,
        }
    }
}

/// Which session keys to derive.
pub(crate) struct SessionRequest<'a> {
    pub(crate) fek: &'a PrkKey,
    pub(crate) header: &'a Header,
    pub(crate) tenant: &'a str,
}

/// Derives the keys of many sessions. `None` where derivation is impossible (a tenant over 65,535 bytes).
pub(crate) fn session_keys_many(requests: &[SessionRequest<'_>]) -> Vec<Option<SessionKeys>> {
    let infos: Vec<Option<Vec<u8>>> = requests
        .iter()
        .map(|r| session_info(r.header, r.tenant))
        .collect();
    let mut outputs: Vec<Zeroizing<[u8; 48]>> = requests
        .iter()
        .map(|_| Zeroizing::new([0_u8; 48]))
        .collect();
    let mut jobs: Vec<ExpandJob<'_>> = requests
        .iter()
        .zip(&infos)
        .zip(&mut outputs)
        .map(|((request, info), out)| ExpandJob {
            key: request.fek,
            info: info.as_deref().unwrap_or_default(),
            out: out.as_mut_slice(),
        })
        .collect();
    let done = hkdf_expand_many(&mut jobs);
    drop(jobs);
    done.into_iter()
        .zip(requests)
        .zip(&infos)
        .zip(&outputs)
        .map(|(((done, request), info), out)| {
            let (enc, mac) = out.split_first_chunk::<16>()?;
            let mac: &[u8; 32] = mac.try_into().ok()?;
            (done && info.is_some()).then(|| SessionKeys::new(request.header.suite, enc, mac))
        })
        .collect()
}

fn session_info(header: &Header, tenant: &str) -> Option<Vec<u8>> {
    let length = u16::try_from(tenant.len()).ok()?;
    Some(
        [
            SESSION_LABEL,
            &[header.suite.id()],
            &header.class.to_be_bytes(),
            &header.fek_id.to_be_bytes(),
            &header.window.to_be_bytes(),
            &header.salt,
            &length.to_be_bytes(),
            tenant.as_bytes(),
        ]
        .concat(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Suite;
    use crate::crypto::hmac;

    fn header() -> Header {
        Header {
            suite: Suite::CtrHmacSm3,
            row_bound: false,
            long_tag: false,
            chunked: false,
            class: 0x0102,
            fek_id: 0x0304_0506,
            window: 0x0708_090A,
            salt: [11, 12, 13, 14],
        }
    }

    #[test]
    fn info_is_laid_out_as_the_label_table_says() {
        let mut expected = b"smfc1/l3".to_vec();
        expected.extend([
            2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0, 2, b'a', b'b',
        ]);
        assert_eq!(session_info(&header(), "ab").unwrap(), expected);
        assert!(session_info(&header(), &"x".repeat(65_536)).is_none());
    }

    #[test]
    fn every_part_of_the_label_separates_keys() {
        let fek = PrkKey::from_uniform(&[1; 32]).unwrap();
        let base = header();
        let variants = [
            base,
            Header {
                suite: Suite::CbcHmacSm3,
                ..base
            },
            Header { class: 9, ..base },
            Header { fek_id: 9, ..base },
            Header { window: 9, ..base },
            Header {
                salt: [9; 4],
                ..base
            },
        ];
        let mut requests: Vec<_> = variants
            .iter()
            .map(|header| SessionRequest {
                fek: &fek,
                header,
                tenant: "ab",
            })
            .collect();
        requests.push(SessionRequest {
            fek: &fek,
            header: &base,
            tenant: "abc",
        });
        let mut tags: Vec<_> = session_keys_many(&requests)
            .into_iter()
            .map(|keys| hmac(&keys.unwrap().etm().unwrap().mac, &[b"x"]))
            .collect();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), 7);
    }
}
