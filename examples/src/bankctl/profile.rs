//! How a key signs, as options.

use clap::{Args, ValueEnum};
use sm_jwt::{Profile, SignatureEncoding};

use super::input::bad;
use crate::error::BadInput;

/// Forms of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Encoding {
    /// r and s, 64 bytes.
    Raw,
    /// DER.
    Der,
}

impl From<Encoding> for SignatureEncoding {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Raw => Self::Raw,
            Encoding::Der => Self::Der,
        }
    }
}

/// Hashes under a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Hash {
    /// SM3.
    Sm3,
    /// SHA-256, of issuers that sign SM2 over it; its `alg` is `SM2-SHA256` alone.
    Sha256,
}

/// The `alg` of SM2 with SHA-256, which no other profile can take.
const SM2_SHA256: &str = "SM2-SHA256";

/// The profile that a key is registered with.
#[derive(Debug, Args)]
#[command(next_help_heading = "Profile of the key")]
pub(super) struct ProfileArgs {
    /// Name in the header's `alg`: `SGD_SM3_SM2` unless another is given, and `SM2-SHA256` for SHA-256.
    #[arg(long, value_name = "NAME")]
    alg: Option<String>,
    /// Hash under the signature; without it the name tells.
    #[arg(long, value_enum)]
    hash: Option<Hash>,
    /// Form of the signature.
    #[arg(long, value_enum, default_value_t = Encoding::Raw)]
    encoding: Encoding,
    /// User id that goes into the signature.
    #[arg(long, default_value = "1234567812345678")]
    id: String,
    /// Name of the curve in the header's `crv`.
    #[arg(long, value_name = "NAME", default_value = "sm2p256v1")]
    crv: String,
    /// The header has no `crv`.
    #[arg(long)]
    no_crv: bool,
}

impl ProfileArgs {
    pub(super) fn profile(&self) -> Result<Profile, BadInput> {
        let alg = self.alg.as_deref();
        let profile = match self.hash {
            Some(Hash::Sha256) => Profile::sm2_sha256(),
            None if alg == Some(SM2_SHA256) => Profile::sm2_sha256(),
            Some(Hash::Sm3) | None => Profile::default(),
        };
        let profile = match alg {
            Some(alg) => profile.with_alg(alg).map_err(|e| bad("--alg", &e))?,
            None => profile,
        };
        let profile = profile
            .with_encoding(self.encoding.into())
            .with_user_id(self.id.as_bytes())
            .map_err(|e| bad("--id", &e))?;
        if self.no_crv {
            return Ok(profile.without_crv());
        }
        profile.with_crv(&self.crv).map_err(|e| bad("--crv", &e))
    }
}
