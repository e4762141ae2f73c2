//! Configuration files of the two services: TOML, checked before anything starts.
//!
//! Every error names file and line. Relative paths are seen from the configuration file's folder.
//! Secrets are named, never written: `env:NAME` or `file:PATH`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use sm_fieldcrypt::SecretBytes;
use toml::Spanned;

use crate::error::{BadInput, read_input, read_text};

const MAX_CONFIG_BYTES: u64 = 1 << 20;
const MAX_SECRET_BYTES: u64 = 4096;

/// Configuration of the gateway.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The service behind, `http://host:port`.
    pub upstream: String,
    /// Time limit of one call to the service behind.
    pub upstream_timeout: Duration,
    /// Largest request body that is passed on, in bytes.
    pub max_body_bytes: usize,
    /// PKCS#8 PEM file of the token signing key.
    pub token_signing_key: PathBuf,
    /// What tokens carry and for how long.
    pub tokens: TokenConfig,
    /// The user file.
    pub users: PathBuf,
    /// The policy file.
    pub policies: PathBuf,
    /// The audit stream.
    pub audit: AuditConfig,
}

/// Configuration of the banking service.
#[derive(Debug, Clone)]
pub struct CoreBankingConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// SPKI PEM file of the issuer's token key.
    pub token_verifying_key: PathBuf,
    /// What tokens carry.
    pub tokens: TokenConfig,
    /// SQLite database file.
    pub database: PathBuf,
    /// Sealed key-encryption key.
    pub kek: PathBuf,
    /// Where the passphrase of the sealed key comes from.
    pub kek_passphrase: SecretRef,
    /// Registry of wrapped field keys.
    pub field_keys: PathBuf,
    /// The policy file.
    pub policies: PathBuf,
    /// The audit stream.
    pub audit: AuditConfig,
}

/// What issuer and verifiers of tokens agree on.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// `kid`.
    pub key_id: String,
    /// Lifetime of an access token.
    pub access_lifetime: Duration,
    /// Lifetime of a one-time transaction token.
    pub transaction_lifetime: Duration,
    /// Most one-time tokens remembered at a time; beyond it they are refused.
    pub replay_capacity: usize,
}

/// One audit stream.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// Name of the stream.
    pub stream: String,
    /// Folder of its segments.
    pub dir: PathBuf,
    /// PKCS#8 PEM file of the key that signs its heads.
    pub signing_key: PathBuf,
    /// Name of that key.
    pub key_id: String,
    /// Key of the pseudonyms, at least 16 bytes.
    pub pseudonym_key: SecretRef,
}

/// A secret by reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file; one trailing line break is dropped.
    File(PathBuf),
}

impl SecretRef {
    /// Fetches the secret.
    ///
    /// # Errors
    /// [`BadInput`] that names the reference, never the secret.
    pub fn load(&self) -> Result<SecretBytes, BadInput> {
        let bytes = match self {
            Self::Env(name) => std::env::var_os(name)
                .map(|v| v.into_encoded_bytes())
                .ok_or_else(|| BadInput::new(format!("env:{name}"), "variable is not set"))?,
            Self::File(path) => {
                let mut bytes = read_input(path, MAX_SECRET_BYTES)?;
                if bytes.last() == Some(&b'\n') {
                    bytes.pop();
                }
                bytes
            }
        };
        Ok(SecretBytes::new(bytes))
    }
}

impl GatewayConfig {
    /// Reads and checks a gateway configuration.
    ///
    /// # Errors
    /// [`BadInput`] with file, line and reason.
    pub fn load(path: &Path) -> Result<Self, BadInput> {
        let source = Source::read(path)?;
        let raw: RawGateway = source.parse()?;
        Ok(Self {
            listen: source.listen(&raw.listen, raw.allow_plain_http_beyond_loopback)?,
            upstream: source.upstream(&raw.upstream)?,
            upstream_timeout: source.duration(
                &raw.upstream_timeout_ms,
                1..=600_000,
                Duration::from_millis,
            )?,
            max_body_bytes: raw.max_body_bytes,
            token_signing_key: source.path(&raw.token_signing_key),
            tokens: source.tokens(&raw.tokens)?,
            users: source.path(&raw.users),
            policies: source.path(&raw.policies),
            audit: source.audit(&raw.audit)?,
        })
    }
}

impl CoreBankingConfig {
    /// Reads and checks a banking service configuration.
    ///
    /// # Errors
    /// [`BadInput`] with file, line and reason.
    pub fn load(path: &Path) -> Result<Self, BadInput> {
        let source = Source::read(path)?;
        let raw: RawCoreBanking = source.parse()?;
        let database = source.embedded(
            &raw.database,
            "database",
            "sqlite:",
            &[("postgres:", "postgres"), ("postgresql:", "postgres")],
        )?;
        Ok(Self {
            listen: source.listen(&raw.listen, raw.allow_plain_http_beyond_loopback)?,
            token_verifying_key: source.path(&raw.token_verifying_key),
            tokens: source.tokens(&raw.tokens)?,
            database: source.path(database),
            kek: source.path(&raw.kek),
            kek_passphrase: source.secret(&raw.kek_passphrase)?,
            field_keys: source.path(&raw.field_keys),
            policies: source.path(&raw.policies),
            audit: source.audit(&raw.audit)?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGateway {
    listen: Spanned<String>,
    #[serde(default)]
    allow_plain_http_beyond_loopback: bool,
    upstream: Spanned<String>,
    #[serde(default = "default_upstream_timeout")]
    upstream_timeout_ms: Spanned<u64>,
    #[serde(default = "default_max_body_bytes")]
    max_body_bytes: usize,
    token_signing_key: PathBuf,
    tokens: RawTokens,
    users: PathBuf,
    policies: PathBuf,
    audit: RawAudit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCoreBanking {
    listen: Spanned<String>,
    #[serde(default)]
    allow_plain_http_beyond_loopback: bool,
    token_verifying_key: PathBuf,
    tokens: RawTokens,
    database: Spanned<String>,
    kek: PathBuf,
    kek_passphrase: Spanned<String>,
    field_keys: PathBuf,
    policies: PathBuf,
    audit: RawAudit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTokens {
    issuer: String,
    audience: String,
    key_id: String,
    #[serde(default = "default_access_minutes")]
    access_minutes: Spanned<u64>,
    #[serde(default = "default_transaction_seconds")]
    transaction_seconds: Spanned<u64>,
    #[serde(default = "default_replay_store")]
    replay_store: Spanned<String>,
    #[serde(default = "default_replay_capacity")]
    replay_capacity: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAudit {
    stream: String,
    dir: PathBuf,
    signing_key: PathBuf,
    key_id: String,
    pseudonym_key: Spanned<String>,
    #[serde(default)]
    sinks: Vec<Spanned<String>>,
}

fn default_upstream_timeout() -> Spanned<u64> {
    Spanned::new(0..0, 800)
}
fn default_max_body_bytes() -> usize {
    1 << 20
}
fn default_access_minutes() -> Spanned<u64> {
    Spanned::new(0..0, 15)
}
fn default_transaction_seconds() -> Spanned<u64> {
    Spanned::new(0..0, 120)
}
fn default_replay_store() -> Spanned<String> {
    Spanned::new(0..0, "memory:".to_owned())
}
fn default_replay_capacity() -> usize {
    1 << 20
}

/// The text of a configuration file, for errors with line numbers.
struct Source {
    name: String,
    folder: PathBuf,
    text: String,
}

impl Source {
    fn read(path: &Path) -> Result<Self, BadInput> {
        Ok(Self {
            name: path.display().to_string(),
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
            text: read_text(path, MAX_CONFIG_BYTES)?,
        })
    }

    fn parse<'de, T: Deserialize<'de>>(&'de self) -> Result<T, BadInput> {
        toml::from_str(&self.text)
            .map_err(|e| self.error(e.span().map_or(0, |s| s.start), e.message().trim_end()))
    }

    fn error(&self, offset: usize, reason: impl std::fmt::Display) -> BadInput {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        let line = 1 + before.iter().filter(|&&b| b == b'\n').count() as u64;
        BadInput::at(&self.name, line, reason)
    }

    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.join(path)
    }

    fn listen(&self, raw: &Spanned<String>, beyond_loopback: bool) -> Result<SocketAddr, BadInput> {
        let address: SocketAddr = raw.get_ref().parse().map_err(|_| {
            self.error(
                raw.span().start,
                "`listen` must be an address and port, as 127.0.0.1:8080",
            )
        })?;
        if !address.ip().is_loopback() && !beyond_loopback {
            return Err(self.error(
                raw.span().start,
                "`listen` is not a loopback address: plain HTTP beyond this host needs \
                 `allow_plain_http_beyond_loopback = true` (put TLS in front)",
            ));
        }
        Ok(address)
    }

    fn upstream(&self, raw: &Spanned<String>) -> Result<String, BadInput> {
        let fail = |reason: &str| Err(self.error(raw.span().start, reason));
        let Ok(uri) = raw.get_ref().parse::<axum::http::Uri>() else {
            return fail("`upstream` is not a URL");
        };
        match (
            uri.scheme_str(),
            uri.authority(),
            uri.path_and_query().map(|p| p.as_str()),
        ) {
            (Some("http"), Some(authority), None | Some("/")) => Ok(format!("http://{authority}")),
            (Some("https"), ..) => fail("`upstream`: https is not available in this build"),
            _ => fail("`upstream` must be http://host:port without a path"),
        }
    }

    fn duration(
        &self,
        raw: &Spanned<u64>,
        range: std::ops::RangeInclusive<u64>,
        unit: fn(u64) -> Duration,
    ) -> Result<Duration, BadInput> {
        if range.contains(raw.get_ref()) {
            return Ok(unit(*raw.get_ref()));
        }
        Err(self.error(
            raw.span().start,
            format_args!("must be from {} to {}", range.start(), range.end()),
        ))
    }

    fn secret(&self, raw: &Spanned<String>) -> Result<SecretRef, BadInput> {
        match raw.get_ref().split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(SecretRef::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(SecretRef::File(self.path(path))),
            _ => Err(self.error(
                raw.span().start,
                "a secret is given by reference: `env:NAME` or `file:PATH`",
            )),
        }
    }

    /// A URL whose scheme decides the backend: the embedded one, or one that a cargo feature adds.
    fn embedded<'a>(
        &self,
        raw: &'a Spanned<String>,
        setting: &str,
        embedded: &str,
        by_feature: &[(&str, &str)],
    ) -> Result<&'a str, BadInput> {
        let url = raw.get_ref().as_str();
        if let Some(rest) = url.strip_prefix(embedded) {
            return Ok(rest);
        }
        // The URL itself may carry a password: only its scheme is repeated.
        for (scheme, feature) in by_feature {
            if url.starts_with(scheme) {
                return Err(self.error(
                    raw.span().start,
                    format_args!(
                        "`{setting}`: `{scheme}` needs the feature `{feature}`, which this build \
                         does not have"
                    ),
                ));
            }
        }
        Err(self.error(
            raw.span().start,
            format_args!("`{setting}` must begin with `{embedded}`"),
        ))
    }

    fn tokens(&self, raw: &RawTokens) -> Result<TokenConfig, BadInput> {
        self.embedded(
            &raw.replay_store,
            "replay_store",
            "memory:",
            &[("redis:", "redis"), ("rediss:", "redis")],
        )?;
        Ok(TokenConfig {
            issuer: raw.issuer.clone(),
            audience: raw.audience.clone(),
            key_id: raw.key_id.clone(),
            access_lifetime: self.duration(&raw.access_minutes, 1..=1440, |m| {
                Duration::from_secs(m * 60)
            })?,
            transaction_lifetime: self.duration(
                &raw.transaction_seconds,
                1..=3600,
                Duration::from_secs,
            )?,
            replay_capacity: raw.replay_capacity,
        })
    }

    fn audit(&self, raw: &RawAudit) -> Result<AuditConfig, BadInput> {
        for sink in &raw.sinks {
            // The stream's own folder is always written; `file:` names it.
            let rest = self.embedded(
                sink,
                "sinks",
                "file:",
                &[
                    ("kafka:", "kafka"),
                    ("otlp:", "otlp"),
                    ("http:", "otlp"),
                    ("https:", "otlp"),
                ],
            )?;
            if !rest.is_empty() {
                let reason = "`sinks`: the stream's folder is given by `dir`; write `file:` alone";
                return Err(self.error(sink.span().start, reason));
            }
        }
        Ok(AuditConfig {
            stream: raw.stream.clone(),
            dir: self.path(&raw.dir),
            signing_key: self.path(&raw.signing_key),
            key_id: raw.key_id.clone(),
            pseudonym_key: self.secret(&raw.pseudonym_key)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup;

    fn load(dir: &Path, change: impl Fn(String) -> String) -> Result<CoreBankingConfig, BadInput> {
        let path = dir.join("core-banking.toml");
        std::fs::write(&path, change(setup::core_banking_toml("127.0.0.1:0"))).unwrap();
        CoreBankingConfig::load(&path)
    }

    #[test]
    fn errors_name_file_line_and_reason() {
        let dir = tempfile::tempdir().unwrap();
        load(dir.path(), |t| t).unwrap();
        for (from, to, expected) in [
            (
                "sqlite:",
                "postgres://u:hunter2@db/",
                "`postgres:` needs the feature `postgres`",
            ),
            ("sqlite:", "oracle:", "`database` must begin with `sqlite:`"),
            ("127.0.0.1:0", "10.0.0.1:80", "not a loopback address"),
            ("127.0.0.1:0", "localhost", "must be an address and port"),
            (
                "file:keys/kek.pass",
                "hunter2",
                "a secret is given by reference",
            ),
            ("listen", "lisden", "unknown field `lisden`"),
            ("= \"", "= \"\"\"\n", ""),
        ] {
            let error = load(dir.path(), |t| t.replacen(from, to, 1)).unwrap_err();
            let text = error.to_string();
            assert!(
                error.line > 0 && text.contains("core-banking.toml:"),
                "{text}"
            );
            assert!(text.contains(expected), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        let error = load(dir.path(), |t| {
            t.replacen(
                "[tokens]\n",
                "[tokens]\nreplay_store = \"redis://:hunter2@r\"\n",
                1,
            )
        })
        .unwrap_err();
        assert!(
            error.to_string().contains("needs the feature `redis`"),
            "{error}"
        );
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_missing_secret_is_named() {
        let error = SecretRef::Env("NO_SUCH_VARIABLE_HERE".into())
            .load()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "env:NO_SUCH_VARIABLE_HERE: variable is not set"
        );
    }
}
