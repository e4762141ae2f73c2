//! SM4-GCM and SM4-CCM behind the traits of RustCrypto's `aead`: 12-byte nonces, 16-byte tags, as in RFC 8998.

use aead::consts::{U12, U16};
use aead::inout::InOutBuf;
use aead::{AeadCore, AeadInOut, Error, Key, KeyInit, KeySizeUser, Nonce, Tag, TagPosition};

use super::ccm::{self, Sm4Ccm};
use super::gcm::{self, Sm4Gcm};

macro_rules! aead {
    ($mode:ty, $check:path) => {
        impl KeySizeUser for $mode {
            type KeySize = U16;
        }

        impl KeyInit for $mode {
            fn new(key: &Key<Self>) -> Self {
                Self::new(key.as_ref())
            }
        }

        impl AeadCore for $mode {
            type NonceSize = U12;
            type TagSize = U16;
            const TAG_POSITION: TagPosition = TagPosition::Postfix;
        }

        impl AeadInOut for $mode {
            fn encrypt_inout_detached(
                &self,
                nonce: &Nonce<Self>,
                aad: &[u8],
                buffer: InOutBuf<'_, '_, u8>,
            ) -> Result<Tag<Self>, Error> {
                // Before the text is copied out: it must not pass for a ciphertext.
                $check(nonce.as_slice(), aad, buffer.get_in()).map_err(|_| Error)?;
                let text = buffer.into_out_with_copied_in();
                self.seal_in_place(nonce.as_slice(), aad, text)
                    .map(Into::into)
                    .map_err(|_| Error)
            }

            fn decrypt_inout_detached(
                &self,
                nonce: &Nonce<Self>,
                aad: &[u8],
                buffer: InOutBuf<'_, '_, u8>,
                tag: &Tag<Self>,
            ) -> Result<(), Error> {
                let text = buffer.into_out_with_copied_in();
                self.open_in_place(nonce.as_slice(), aad, text, tag.as_ref())
                    .map_err(|_| Error)
            }
        }
    };
}

aead!(Sm4Gcm, gcm::check);
aead!(Sm4Ccm, ccm::check);
