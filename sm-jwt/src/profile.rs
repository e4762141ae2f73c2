//! How one issuer's key signs: all that the token could otherwise be asked to say about itself.

use std::borrow::Cow;

use crate::error::Error;
use crate::hash::HashAlgorithm;
use crate::signature::SignatureEncoding;

/// The user id of GM/T 0009 section 10, used where the parties agreed on no other.
pub const DEFAULT_USER_ID: &[u8] = b"1234567812345678";

/// The longest user id in bytes: its length in bits is hashed as 16 bits.
const MAX_USER_ID_LEN: usize = 8191;

/// Names that issuers give to SM2 with SM3 in `alg`, the default first. No such name is registered for JOSE.
pub const ALGORITHM_NAMES: [&str; 6] = [
    "SGD_SM3_SM2",
    "SM2-SM3",
    "SM2SM3",
    "SM2",
    "SM3WithSM2",
    "GmSM2",
];

/// The name of SM2 with SHA-256.
const SM2_SHA256: &str = "SM2-SHA256";

/// The first letters, in capitals, of the names of the IANA registry "JSON Web Signature and Encryption Algorithms" that mean
/// something else: signatures and MACs of every kind, and everything that encrypts or wraps keys.
const FOREIGN_PREFIXES: [&str; 17] = [
    "NONE", "HS", "RS", "PS", "ES", "ED", "ML-", "SLH-", "FN-", "WALNUT", "DIR", "A128", "A192",
    "A256", "ECDH", "PBES", "HPKE",
];

/// The parameters that a key is registered with. The verifier never guesses them from a token: the
/// token's header must agree with the profile of the key that its `kid` names.
///
/// [`Profile::default`] is this family's own: `alg` `SGD_SM3_SM2` (GM/T 0125.1), raw r ‖ s, user id
/// `1234567812345678`, `crv` `sm2p256v1` declared in the header, `sm2_kid` required.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Profile {
    alg: Cow<'static, str>,
    hash: HashAlgorithm,
    encoding: SignatureEncoding,
    user_id: Cow<'static, [u8]>,
    crv: Option<Cow<'static, str>>,
    kid_claim_required: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            alg: Cow::Borrowed("SGD_SM3_SM2"),
            hash: HashAlgorithm::Sm3,
            encoding: SignatureEncoding::Raw,
            user_id: Cow::Borrowed(DEFAULT_USER_ID),
            crv: Some(Cow::Borrowed("sm2p256v1")),
            kid_claim_required: true,
        }
    }
}

impl Profile {
    /// The default with SHA-256 in the place of SM3, and `SM2-SHA256` for its name, which no other profile can take: an
    /// `alg` always tells the two apart.
    #[cfg(feature = "legacy-sha256")]
    #[must_use]
    pub fn sm2_sha256() -> Self {
        Self {
            alg: Cow::Borrowed(SM2_SHA256),
            hash: HashAlgorithm::Sha256,
            ..Self::default()
        }
    }

    /// Another name for the algorithm, still SM2 with SM3, such as those of [`ALGORITHM_NAMES`].
    ///
    /// # Errors
    /// [`Error::Config`] for `none`, for a name that the JOSE registry gives to another algorithm, for a name with
    /// SHA-256 in it, for another name of SM2-SHA256, and for anything but 1 to 64 printable ASCII
    /// characters.
    pub fn with_alg(mut self, alg: impl Into<String>) -> Result<Self, Error> {
        let alg = alg.into();
        let wrong = match self.hash {
            HashAlgorithm::Sm3 => is_foreign(&alg),
            HashAlgorithm::Sha256 => alg != SM2_SHA256,
        };
        if wrong {
            return Err(Error::Config(format!(
                "`{}` is not a name for this algorithm",
                alg.escape_debug()
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

    /// The hash under the signature.
    #[must_use]
    pub fn hash(&self) -> HashAlgorithm {
        self.hash
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
    let upper = alg.to_ascii_uppercase();
    FOREIGN_PREFIXES
        .iter()
        .any(|prefix| upper.starts_with(prefix))
        || upper.contains("SHA256")
        || upper.contains("SHA-256")
}

/// Whether a key may be marked with this `alg`: any name for an algorithm of this crate.
pub(crate) fn is_known(alg: &str) -> bool {
    #[cfg(feature = "legacy-sha256")]
    if alg == SM2_SHA256 {
        return true;
    }
    !is_foreign(alg)
}

fn check_name(what: &str, name: &str) -> Result<(), Error> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if !(1..=64).contains(&name.len()) || !name.bytes().all(is_plain) {
        return Err(Error::Config(format!(
            "a name of an {what} has 1 to 64 printable ASCII characters without quotes and backslashes"
        )));
    }
    Ok(())
}
