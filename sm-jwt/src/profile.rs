//! How one issuer's key signs: all that the token could otherwise be asked to say about itself.

use std::borrow::Cow;

use crate::error::Error;
use crate::signature::SignatureEncoding;

/// The user id of GM/T 0009 section 10, used where the parties agreed on no other.
pub const DEFAULT_USER_ID: &[u8] = b"1234567812345678";

/// The longest user id in bytes: its length in bits is hashed as 16 bits.
const MAX_USER_ID_LEN: usize = 8191;

/// Algorithm names that mean something else (RFC 7518, RFC 8037 and the IANA registry).
const FOREIGN_ALGORITHMS: [&str; 16] = [
    "none", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519",
];

/// The parameters that a key is registered with. The verifier never guesses them from a token: the
/// token's header must agree with the profile of the key that its `kid` names.
///
/// [`Profile::default`] is this family's own: `alg` `SGD_SM3_SM2` (GM/T 0125.1), raw r ‖ s, user id
/// `1234567812345678`, `crv` `sm2p256v1` declared in the header, `sm2_kid` required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    alg: Cow<'static, str>,
    encoding: SignatureEncoding,
    user_id: Cow<'static, [u8]>,
    crv: Option<Cow<'static, str>>,
    kid_claim_required: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            alg: Cow::Borrowed("SGD_SM3_SM2"),
            encoding: SignatureEncoding::Raw,
            user_id: Cow::Borrowed(DEFAULT_USER_ID),
            crv: Some(Cow::Borrowed("sm2p256v1")),
            kid_claim_required: true,
        }
    }
}

impl Profile {
    /// Another name for the algorithm, still SM2 with SM3, such as `SM2-SM3` or `SM3WithSM2`.
    ///
    /// # Errors
    /// [`Error::Config`] for `none`, for a name that the JOSE registry gives to another algorithm,
    /// and for anything but 1 to 64 printable ASCII characters.
    pub fn with_alg(mut self, alg: impl Into<String>) -> Result<Self, Error> {
        let alg = alg.into();
        if is_foreign(&alg) {
            return Err(Error::Config(format!(
                "`{alg}` is not a name for SM2 with SM3"
            )));
        }
        check_name("algorithm", &alg)?;
        self.alg = Cow::Owned(alg);
        Ok(self)
    }

    /// The form of the signature.
    #[must_use]
    pub fn with_encoding(mut self, encoding: SignatureEncoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Another user id, bound into every signature through Z. OpenSSL before 4.0 and Node sign with
    /// an *empty* one unless told otherwise.
    ///
    /// # Errors
    /// [`Error::Config`] when it is longer than 8191 bytes.
    pub fn with_user_id(mut self, user_id: impl Into<Vec<u8>>) -> Result<Self, Error> {
        let user_id = user_id.into();
        if user_id.len() > MAX_USER_ID_LEN {
            return Err(Error::Config(format!(
                "a user id has at most {MAX_USER_ID_LEN} bytes, this one has {}",
                user_id.len()
            )));
        }
        self.user_id = Cow::Owned(user_id);
        Ok(self)
    }

    /// Another name of the curve in the header's `crv`.
    ///
    /// # Errors
    /// [`Error::Config`] for anything but 1 to 64 printable ASCII characters.
    pub fn with_crv(mut self, crv: impl Into<String>) -> Result<Self, Error> {
        let crv = crv.into();
        check_name("curve", &crv)?;
        self.crv = Some(Cow::Owned(crv));
        Ok(self)
    }

    /// The header must not declare a curve: for issuers that follow RFC 7515 to the letter.
    #[must_use]
    pub fn without_crv(mut self) -> Self {
        self.crv = None;
        self
    }

    /// Takes tokens without the claim `sm2_kid`; where it is present it must still equal `kid`.
    #[must_use]
    pub fn with_optional_kid_claim(mut self) -> Self {
        self.kid_claim_required = false;
        self
    }

    /// The header's `alg`.
    #[must_use]
    pub fn alg(&self) -> &str {
        &self.alg
    }

    /// The form of the signature.
    #[must_use]
    pub fn encoding(&self) -> SignatureEncoding {
        self.encoding
    }

    /// The user id.
    #[must_use]
    pub fn user_id(&self) -> &[u8] {
        &self.user_id
    }

    /// The header's `crv`, if one is declared.
    #[must_use]
    pub fn crv(&self) -> Option<&str> {
        self.crv.as_deref()
    }

    /// Whether the claim `sm2_kid` must be there.
    #[must_use]
    pub fn kid_claim_required(&self) -> bool {
        self.kid_claim_required
    }
}

/// Whether `alg` names another algorithm than SM2 with SM3.
pub(crate) fn is_foreign(alg: &str) -> bool {
    FOREIGN_ALGORITHMS
        .iter()
        .any(|foreign| foreign.eq_ignore_ascii_case(alg))
}

fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if !(1..=64).contains(&name.len()) || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::Config(format!(
            "a name of an {what} has 1 to 64 printable ASCII characters"
        )));
    }
    Ok(())
}
