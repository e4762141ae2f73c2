//! Where k comes from.

use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

use crate::cpu::Backend;
use crate::sm3::HmacKey;

/// Gives candidates for k, one after the other.
pub(crate) trait Candidates {
    /// The next 32 bytes; whoever gives them wipes them.
    fn next(&mut self) -> &[u8; 32];
}

/// HMAC_DRBG on SM3 (NIST SP 800-90A section 10.1.2), seeded as RFC 6979 section 3.2 with section 3.6's
/// additional data: over d, e modulo n, and 32 fresh random bytes.
///
/// A repeated or poor random value alone does not repeat k, and neither does a repeated message: an attacker
/// needs both, and then sees the same signature twice.
pub(crate) struct Drbg {
    backend: Backend,
    k: HmacKey,
    v: [u8; 32],
    used: bool,
}

impl Drbg {
    pub(crate) fn new(backend: Backend, d: &[u8; 32], e: &[u8; 32], entropy: &[u8; 32]) -> Self {
        let mut k = HmacKey::with_backend(backend, &[0; 32]);
        let mut v = Zeroizing::new([1u8; 32]);
        for round in [0u8, 1] {
            let key = Zeroizing::new(k.mac(&[&*v, &[round], d, e, entropy]));
            k = HmacKey::with_backend(backend, &*key);
            *v = k.mac(&[&*v]);
        }
        Self {
            backend,
            k,
            v: *v,
            used: false,
        }
    }
}

impl Candidates for Drbg {
    fn next(&mut self) -> &[u8; 32] {
        if self.used {
            let key = Zeroizing::new(self.k.mac(&[&self.v, &[0]]));
            self.k = HmacKey::with_backend(self.backend, &*key);
            self.v = self.k.mac(&[&self.v]);
        }
        self.used = true;
        self.v = self.k.mac(&[&self.v]);
        &self.v
    }
}

impl Drop for Drbg {
    fn drop(&mut self) {
        // `HmacKey` wipes itself.
        self.v.zeroize();
    }
}

impl ZeroizeOnDrop for Drbg {}
