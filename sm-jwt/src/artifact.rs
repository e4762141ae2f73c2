//! Signed files: a manifest that names a file's version and its SM3, signed as a compact JWS.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::base64url;
use crate::clock::{Clock, SystemClock};
use crate::crypto::Sm3Stream;
use crate::error::Error;
use crate::json::{Guard, describe};
use crate::jws::{JwsForm, JwsSigner, JwsVerifier};
use crate::limits::Limits;
use crate::resolver::KeyResolver;

/// The `typ` of a signed manifest.
const TYPE: &str = "smartifact+jws";
const WHAT: &str = "the manifest";
/// Bytes that are read and hashed at a time.
const PIECE: usize = 64 * 1024;

fn wrong(rule: &'static str) -> Error {
    Error::Artifact { rule }
}

/// What is said of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    name: String,
    version: Version,
    size: u64,
    /// In base64url.
    sm3: String,
    built: u64,
}

impl Manifest {
    /// What the file is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version, as semantic versioning has it.
    #[must_use]
    pub fn version(&self) -> String {
        self.version.to_string()
    }

    /// Its length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// When it was built, in seconds since 1970.
    #[must_use]
    pub fn built(&self) -> u64 {
        self.built
    }

    /// Reads a payload whose signature holds.
    fn parse(payload: &[u8]) -> Result<Self, Error> {
        let limits = Limits::default();
        let guard = Guard::new(&limits);
        guard.read(payload, guard.skip(1), WHAT, |_| {
            wrong("its manifest has a member of the wrong type")
        })?;
        // serde would take an array of the same values for it.
        if payload.trim_ascii_start().first() != Some(&b'{') {
            return Err(wrong("its manifest is no JSON object"));
        }
        serde_json::from_slice(payload).map_err(|error| Error::Json {
            what: WHAT,
            detail: describe(&error),
        })
    }
}

/// The length and SM3 of a content, of at most `limit` bytes.
fn digest(mut content: impl Read, limit: u64) -> Result<(u64, [u8; 32]), Error> {
    let mut piece = vec![0u8; PIECE];
    let mut hash = Sm3Stream::new();
    let mut size = 0_u64;
    loop {
        match content.read(&mut piece) {
            Ok(0) => return Ok((size, hash.finish())),
            Ok(read) => {
                size = size.saturating_add(read as u64);
                if size > limit {
                    return Err(wrong("the file is longer than its manifest says"));
                }
                hash.update(piece.get(..read).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Io(error)),
        }
    }
}

/// Signs manifests of files.
#[derive(Debug)]
pub struct ArtifactSigner {
    signer: JwsSigner,
    clock: Arc<dyn Clock>,
}

impl ArtifactSigner {
    /// Signs with this signer, whose `typ` becomes `smartifact+jws`. The key should serve nothing else.
    #[must_use]
    pub fn new(signer: JwsSigner) -> Self {
        Self {
            signer: signer.typed(TYPE),
            clock: Arc::new(SystemClock),
        }
    }

    /// Another clock than the operating system's, for `built`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Reads a content to its end and signs a manifest for it: the text to keep beside the file. `version` is a semantic
    /// version such as `1.4.0`.
    ///
    /// # Errors
    /// [`Error::Config`] for an empty name or a version of another form, [`Error::Io`] when the content cannot be read, and
    /// the errors of signing.
    pub fn sign(&self, name: &str, version: &str, content: impl Read) -> Result<String, Error> {
        if name.is_empty() {
            return Err(Error::Config("an artifact has a name".to_owned()));
        }
        let (size, sm3) = digest(content, u64::MAX)?;
        let manifest = Manifest {
            name: name.to_owned(),
            version: parse_version(version)?,
            size,
            sm3: base64url::encode(&sm3),
            built: self.clock.unix_seconds(),
        };
        let payload = serde_json::to_vec(&manifest).map_err(|error| Error::Json {
            what: WHAT,
            detail: describe(&error),
        })?;
        self.signer.sign(&payload, JwsForm::Compact)
    }
}

fn parse_version(version: &str) -> Result<Version, Error> {
    Version::parse(version).map_err(|_| {
        Error::Config(format!(
            "`{}` is no semantic version",
            version.escape_debug()
        ))
    })
}

/// Checks files against signed manifests: the right file, and none that is older than it may be.
///
/// ```
/// # fn main() -> Result<(), sm_jwt::Error> {
/// use std::sync::Arc;
/// use sm_jwt::{ArtifactSigner, ArtifactVerifier, JwsSigner, KeyId, KeySet, Profile, SharedKeySet, SigningKey};
///
/// let signer = JwsSigner::new(SigningKey::generate()?, KeyId::new("release-2026")?, Profile::default())?;
/// let keys = KeySet::from_trusted([signer.key().clone()])?;
/// let manifest = ArtifactSigner::new(signer).sign("gateway", "1.4.0", &b"the file"[..])?;
///
/// // Who runs the file knows its name, the release keys, and the oldest version that is still good.
/// let verifier = ArtifactVerifier::new(Arc::new(SharedKeySet::new(keys)), "gateway", "1.3.0")?;
/// verifier.verify(&manifest, &b"the file"[..])?;
/// assert!(verifier.verify(&manifest, &b"another"[..]).is_err());
/// # Ok(())
/// # }
/// ```
pub struct ArtifactVerifier {
    verifier: JwsVerifier,
    name: String,
    minimum: Version,
}

impl ArtifactVerifier {
    /// Takes the file of this name, from version `minimum` on, signed by one of these keys.
    ///
    /// # Errors
    /// [`Error::Config`] for an empty name or a version of another form.
    pub fn new(
        keys: Arc<dyn KeyResolver>,
        name: impl Into<String>,
        minimum: &str,
    ) -> Result<Self, Error> {
        let name = name.into();
        if name.is_empty() {
            return Err(Error::Config("an artifact has a name".to_owned()));
        }
        Ok(Self {
            verifier: JwsVerifier::builder(keys).typ(TYPE).build()?,
            name,
            minimum: parse_version(minimum)?,
        })
    }

    /// Checks a signed manifest, and that `content` is what it says: its length and its SM3.
    ///
    /// # Errors
    /// Those of [`JwsVerifier::verify_compact`]; [`Error::Artifact`] for another name, an older version, another length or
    /// another content; [`Error::Io`] when the content cannot be read.
    pub fn verify(&self, signed: &str, content: impl Read) -> Result<Manifest, Error> {
        let verified = self.verifier.verify_compact(signed.trim_end())?;
        let manifest = Manifest::parse(verified.payload())?;
        if manifest.name != self.name {
            return Err(wrong("it is for a file of another name"));
        }
        // The order of semantic versions; what is behind `+` does not count.
        if manifest.version.cmp_precedence(&self.minimum).is_lt() {
            return Err(wrong("it is for a version that is too old"));
        }
        let mut expected = [0u8; 32];
        base64url::decode_exact(&manifest.sm3, &mut expected)
            .ok_or(wrong("its `sm3` is not 32 bytes"))?;
        let (size, sm3) = digest(content, manifest.size)?;
        if size != manifest.size {
            return Err(wrong("the file is shorter than its manifest says"));
        }
        if sm3 != expected {
            return Err(wrong("the file's content is another one"));
        }
        Ok(manifest)
    }

    /// [`verify`](Self::verify) for a file.
    ///
    /// What is checked is what is read now. A file that somebody can change afterwards is not what was checked.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_file(&self, signed: &str, file: &Path) -> Result<Manifest, Error> {
        self.verify(signed, File::open(file).map_err(Error::Io)?)
    }

    /// [`verify`](Self::verify) for the program that runs: on Linux through `/proc/self/exe`, which is the file that was
    /// started, whatever its name holds now.
    ///
    /// # Security
    /// It finds a damaged or mixed-up installation, and a program that was exchanged for another signed one of a wrong name
    /// or version. It proves nothing against whoever replaced the program with one that leaves this call out. Shared
    /// libraries, `LD_PRELOAD`, configuration and memory are not covered. Enforcement belongs below the program: Secure
    /// Boot, a signed unified kernel image, IMA appraisal, dm-verity or fs-verity. Those know SHA-256 and not SM3, so
    /// a platform signature stands beside this one.
    ///
    /// # Errors
    /// As [`verify`](Self::verify). A caller should end the process on any.
    pub fn verify_executable(&self, signed: &str) -> Result<Manifest, Error> {
        #[cfg(target_os = "linux")]
        let path = Path::new("/proc/self/exe").to_path_buf();
        #[cfg(not(target_os = "linux"))]
        let path = std::env::current_exe().map_err(Error::Io)?;
        self.verify_file(signed, &path)
    }
}

impl fmt::Debug for ArtifactVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArtifactVerifier")
            .field("name", &self.name)
            .field("minimum", &self.minimum.to_string())
            .finish_non_exhaustive()
    }
}
