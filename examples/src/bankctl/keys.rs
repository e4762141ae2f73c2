//! Keys of the command line: one file in any form, or a JWK set.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use serde::Deserialize;
use serde::de::IgnoredAny;
use sm_jwt::{KeyId, KeySet, Profile, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::input::{MAX_INPUT_BYTES, bad, bad_file};
use crate::error::{BadInput, read_text};

/// What a key file holds.
pub(super) enum Key {
    Private(Box<SigningKey>),
    Public(VerifyingKey),
}

impl Key {
    /// Reads PKCS#8, SEC1 or SPKI in PEM, or a JWK.
    pub(super) fn load(path: &Path) -> Result<Self, BadInput> {
        let text = Zeroizing::new(read_text(path, MAX_INPUT_BYTES)?);
        Self::read(&text).map_err(|e| match is_set(&text) {
            true => BadInput::file(path, NOT_A_SET).coded("jwk_set"),
            false => bad_file(path, &e),
        })
    }

    fn read(text: &str) -> Result<Self, sm_jwt::Error> {
        if text.trim_start().starts_with('{') {
            return match VerifyingKey::from_jwk(text) {
                Ok(key) => Ok(Self::Public(key)),
                // The member's name: a public key may have it as a value, and is read by then.
                Err(_) if text.contains("\"d\"") => SigningKey::from_jwk(text).map(Self::private),
                Err(error) => Err(error),
            };
        }
        if text.contains("-----BEGIN PUBLIC KEY-----") {
            VerifyingKey::from_spki_pem(text).map(Self::Public)
        } else if ["EC", "SM2"]
            .iter()
            .any(|kind| text.contains(&format!("-----BEGIN {kind} PRIVATE KEY-----")))
        {
            SigningKey::from_sec1_pem(text).map(Self::private)
        } else {
            SigningKey::from_pkcs8_pem(text).map(Self::private)
        }
    }

    fn private(key: SigningKey) -> Self {
        Self::Private(Box::new(key))
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Private(_) => "private key",
            Self::Public(_) => "public key",
        }
    }

    /// The public half.
    pub(super) fn public(&self) -> &VerifyingKey {
        match self {
            Self::Private(key) => key.verifying_key(),
            Self::Public(key) => key,
        }
    }
}

const NOT_A_SET: &str =
    "a JWK set, and one key is wanted; a command that takes a set has the option `--jwks` for it";

/// Whether a text is a JWK set. Its keys are passed over: no copy of a secret is made.
fn is_set(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Set {
        #[serde(rename = "keys")]
        _keys: Vec<IgnoredAny>,
    }
    serde_json::from_str::<Set>(text).is_ok()
}

/// Reads a private key.
pub(super) fn load_private(path: &Path) -> Result<SigningKey, BadInput> {
    match Key::load(path)? {
        Key::Private(key) => Ok(*key),
        Key::Public(_) => Err(BadInput::file(
            path,
            "a public key, and signing needs a private one",
        )),
    }
}

/// A key's name.
pub(super) fn key_id(kid: &str) -> Result<KeyId, BadInput> {
    KeyId::new(kid).map_err(|e| bad("--kid", &e))
}

/// Whose signatures are taken.
#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("trust").required(true))]
pub(super) struct TrustArgs {
    /// The one key: PEM or JWK, public or private.
    #[arg(long, value_name = "FILE", group = "trust")]
    key: Option<PathBuf>,
    /// A JWK set; all its keys sign in the same profile.
    #[arg(long, value_name = "FILE", group = "trust")]
    jwks: Option<PathBuf>,
    /// The key's name. Without it, the one key is taken under any name.
    #[arg(long, conflicts_with = "jwks")]
    kid: Option<String>,
}

impl TrustArgs {
    /// The keys, given the name that what is to be verified says.
    pub(super) fn keys(&self, profile: &Profile, said: &str) -> Result<KeySet, BadInput> {
        if let Some(path) = &self.jwks {
            let text = read_text(path, MAX_INPUT_BYTES)?;
            return KeySet::from_jwks(&text, profile).map_err(|e| bad_file(path, &e));
        }
        let path = self
            .key
            .as_deref()
            .ok_or_else(|| BadInput::new("--key", "no key is given"))?;
        let kid = key_id(self.kid.as_deref().unwrap_or(said))?;
        let key = Key::load(path)?.public().clone();
        KeySet::new([(kid, key, profile.clone())]).map_err(|e| bad_file(path, &e))
    }
}
