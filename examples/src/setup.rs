//! Makes a folder with everything that the two services need: keys, users, policies,
//! configuration. Development grade: the key-encryption key is a software one.

use std::path::Path;
use std::sync::Arc;

use audit_log::Sm2CheckpointSigner;
use sm_fieldcrypt::{FileStore, KeyRing, SoftwareKek};
use sm_jwt::SigningKey;

use crate::core_banking::fields::classes;
use crate::error::{BadInput, Failure, Replace, write_output};
use crate::trace::hex;
use crate::users::{Staff, user_file};

/// Policies of the gateway, as shipped.
pub const GATEWAY_POLICIES: &str = include_str!("../policies/gateway.yaml");
/// Policies of the banking service, as shipped.
pub const CORE_BANKING_POLICIES: &str = include_str!("../policies/core-banking.yaml");

/// A sample user with the password that was drawn for it. The password is printed once and kept
/// only as a hash.
#[derive(Clone)]
pub struct SampleUser {
    /// The user.
    pub staff: Staff,
    /// The password.
    pub password: String,
}

/// The sample users: of one bank a manager and an analyst, of another a manager.
#[must_use]
pub fn sample_staff() -> [Staff; 3] {
    staff_of("jiangnan-bank", "suzhou-01", "beihai-bank", "beihai-01")
}

/// A manager and an analyst of one branch, and a manager of another bank.
#[must_use]
pub fn staff_of(tenant: &str, branch: &str, other: &str, other_branch: &str) -> [Staff; 3] {
    [
        (tenant, "lin", branch, "manager"),
        (tenant, "mei", branch, "analyst"),
        (other, "tao", other_branch, "manager"),
    ]
    .map(|(tenant, user, branch, role)| Staff {
        tenant: tenant.to_owned(),
        user: user.to_owned(),
        branch: branch.to_owned(),
        roles: vec![role.to_owned()],
    })
}

/// Fills a folder. Keys that are already there are never overwritten.
///
/// # Errors
/// A file is already there or cannot be written; the random number generator failed.
pub async fn create(
    dir: &Path,
    gateway: &str,
    core_banking: &str,
    staff: &[Staff],
) -> Result<Vec<SampleUser>, Failure> {
    for folder in ["keys", "policies", "data", "audit"] {
        let path = dir.join(folder);
        std::fs::create_dir_all(&path).map_err(|e| BadInput::file(&path, e))?;
    }
    let secret =
        |name: &str, text: &str| write_output(&dir.join(name), text.as_bytes(), Replace::No, true);
    let public =
        |name: &str, text: &str| write_output(&dir.join(name), text.as_bytes(), Replace::No, false);

    let token_key = SigningKey::generate().map_err(Failure::other)?;
    secret("keys/token-signing.pem", &token_key.to_pkcs8_pem())?;
    public(
        "keys/token-verifying.pem",
        &token_key.verifying_key().to_spki_pem(),
    )?;

    for service in ["gateway", "core-banking"] {
        let key =
            Sm2CheckpointSigner::generate(format!("{service}-audit-1")).map_err(Failure::other)?;
        let pem = key.to_pkcs8_pem().map_err(Failure::other)?;
        secret(&format!("keys/{service}-audit.pem"), &pem)?;
        let verifying = key.verifying_key().map_err(Failure::other)?;
        let public_pem = verifying.to_spki_pem().map_err(Failure::other)?;
        public(&format!("keys/{service}-audit.pub.pem"), &public_pem)?;
    }
    secret("keys/pseudonym.key", &random_text()?)?;

    let passphrase = random_text()?;
    secret("keys/kek.pass", &passphrase)?;
    let kek_path = dir.join("keys/kek.sealed");
    let sealed = kek_path.clone();
    // Sealing derives a key for a while: not on a thread that serves others.
    let kek = tokio::task::spawn_blocking(move || {
        SoftwareKek::create(&sealed, passphrase.as_bytes()).map_err(|e| BadInput::file(&sealed, e))
    })
    .await
    .map_err(Failure::other)??;
    // The empty registry is made once, here: a service that finds none later refuses to start.
    let registry = dir.join("data/field-keys.registry");
    let mut ring = KeyRing::builder(Arc::new(kek), Arc::new(FileStore::new(&registry)));
    for class in classes() {
        ring = ring.class(class);
    }
    ring.create_registry()
        .build()
        .await
        .map_err(|e| BadInput::file(&registry, e))?;

    let mut users = Vec::new();
    for staff in staff {
        users.push(SampleUser {
            staff: staff.clone(),
            password: random_text()?,
        });
    }
    let listed: Vec<(Staff, String)> = users
        .iter()
        .map(|u| (u.staff.clone(), u.password.clone()))
        .collect();
    secret("users.toml", &user_file(&listed)?)?;
    public("policies/gateway.yaml", GATEWAY_POLICIES)?;
    public("policies/core-banking.yaml", CORE_BANKING_POLICIES)?;
    public("gateway.toml", &gateway_toml(gateway, core_banking))?;
    public("core-banking.toml", &core_banking_toml(core_banking))?;
    Ok(users)
}

/// Text of a gateway configuration.
#[must_use]
pub fn gateway_toml(listen: &str, upstream: &str) -> String {
    format!(
        r#"# The gateway. Relative paths are seen from this file's folder.
listen = "{listen}"
upstream = "http://{upstream}"
upstream_timeout_ms = 800
max_body_bytes = 1048576
token_signing_key = "keys/token-signing.pem"
users = "users.toml"
policies = "policies/gateway.yaml"

{TOKENS}
[audit]
stream = "gateway"
dir = "audit/gateway"
signing_key = "keys/gateway-audit.pem"
key_id = "gateway-audit-1"
pseudonym_key = "file:keys/pseudonym.key"
"#
    )
}

/// Text of a banking service configuration.
#[must_use]
pub fn core_banking_toml(listen: &str) -> String {
    format!(
        r#"# The banking service. Relative paths are seen from this file's folder.
listen = "{listen}"
token_verifying_key = "keys/token-verifying.pem"
database = "sqlite:data/core-banking.db"
kek = "keys/kek.sealed"
kek_passphrase = "file:keys/kek.pass"
field_keys = "data/field-keys.registry"
policies = "policies/core-banking.yaml"

{TOKENS}
[audit]
stream = "core-banking"
dir = "audit/core-banking"
signing_key = "keys/core-banking-audit.pem"
key_id = "core-banking-audit-1"
pseudonym_key = "file:keys/pseudonym.key"
"#
    )
}

const TOKENS: &str = r#"[tokens]
issuer = "https://auth.bank.example"
audience = "core-banking"
key_id = "token-1"
access_minutes = 15
transaction_seconds = 120
"#;

/// 128 random bits as text.
fn random_text() -> Result<String, Failure> {
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).map_err(Failure::other)?;
    Ok(hex(&random))
}
