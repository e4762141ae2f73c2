//! The operator's tool: makes sample set-ups and checks keys, tokens, policies, customer files,
//! ciphertexts, configurations and audit streams, each with a place and a reason.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;
use sm_fieldcrypt::{FieldContext, FileStore, KeyRing, KeyUser, SoftwareKek};
use sm_jwt::{SigningKey, VerifyingKey};

use crate::config::{CoreBankingConfig, GatewayConfig};
use crate::core_banking::fields::classes;
use crate::core_banking::load_policies;
use crate::customers::{
    SAMPLE_ROWS, SAMPLE_SEED, generate_customers, read_customers, write_customers,
};
use crate::error::{BadInput, Failure, Replace, read_input, read_text, write_output};
use crate::issuer::{StaffClaims, access_verifier, load_verifying_key};
use crate::setup;

const MAX_INPUT_BYTES: u64 = 1 << 20;

/// Keys, tokens, policies, customer files, ciphertexts and audit streams.
///
/// Exit code 0 on success, 2 for input that is malformed or does not verify, 1 for anything else.
#[derive(Debug, Parser)]
#[command(name = "bankctl", version)]
pub struct Cli {
    /// Print one JSON document for machines.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fill a folder with keys, users, policies and configuration (development grade).
    Init {
        /// The folder; keys that are there already are never overwritten.
        dir: PathBuf,
        /// Where the gateway will listen.
        #[arg(long, default_value = "127.0.0.1:8080")]
        gateway: String,
        /// Where the banking service will listen.
        #[arg(long, default_value = "127.0.0.1:8081")]
        core_banking: String,
    },
    /// Customer files.
    #[command(subcommand)]
    Customers(Customers),
    /// Check a service's configuration file.
    Config {
        /// Which service it is for.
        service: Service,
        /// The file.
        file: PathBuf,
    },
    /// Check a policy file.
    Policy {
        /// The file.
        file: PathBuf,
    },
    /// Check a key file (PKCS#8, SEC1 or SPKI PEM) and print its public half.
    Key {
        /// The file.
        file: PathBuf,
    },
    /// Verify an access token as the banking service would.
    Token {
        /// The banking service's configuration.
        #[arg(long)]
        config: PathBuf,
        /// File with the token; `-` is standard input.
        #[arg(default_value = "-")]
        token: PathBuf,
    },
    /// Open one encrypted field in its text form (`smf1:...`).
    Field(Field),
    /// Verify an audit stream offline.
    Audit {
        /// Folder of the stream.
        dir: PathBuf,
        /// A trusted key: `ID=FILE` with a public key (SPKI PEM).
        #[arg(long = "key", value_name = "ID=FILE", required = true)]
        keys: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
enum Customers {
    /// Make a sample file; the same rows and seed make the same file.
    Generate {
        /// Where to write it; an older file is replaced as a whole.
        out: PathBuf,
        /// Number of customers.
        #[arg(long, default_value_t = SAMPLE_ROWS)]
        rows: usize,
        /// Seed of the generator.
        #[arg(long, default_value_t = SAMPLE_SEED)]
        seed: u64,
    },
    /// Check a file.
    Check {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Service {
    Gateway,
    CoreBanking,
}

#[derive(Debug, Args)]
struct Field {
    /// The banking service's configuration, for its keys.
    #[arg(long)]
    config: PathBuf,
    /// Field class, such as `identity_number`.
    #[arg(long)]
    class: String,
    /// The bank.
    #[arg(long)]
    tenant: String,
    /// Table.
    #[arg(long, default_value = "customers")]
    table: String,
    /// Column.
    #[arg(long)]
    column: String,
    /// Row key.
    #[arg(long)]
    row: String,
    /// File with the ciphertext; `-` is standard input.
    #[arg(default_value = "-")]
    ciphertext: PathBuf,
}

/// Runs one command.
///
/// # Errors
/// [`BadInput`] for what is at fault in the input, else what failed.
pub async fn run(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::Init {
            dir,
            gateway,
            core_banking,
        } => init(cli, dir, gateway, core_banking).await,
        Command::Customers(Customers::Generate { out, rows, seed }) => {
            let mut bytes = Vec::new();
            write_customers(&generate_customers(*rows, *seed), &mut bytes)
                .map_err(Failure::other)?;
            write_output(out, &bytes, Replace::Yes, false)?;
            print(cli, &json!({"file": out, "rows": rows}), || {
                format!("{rows} customers written to {}", out.display())
            })
        }
        Command::Customers(Customers::Check { file }) => {
            let rows = read_customers(file)?.len();
            print(cli, &json!({"file": file, "rows": rows}), || {
                format!("{}: {rows} customers, all well-formed", file.display())
            })
        }
        Command::Config { service, file } => {
            match service {
                Service::Gateway => drop(GatewayConfig::load(file)?),
                Service::CoreBanking => drop(CoreBankingConfig::load(file)?),
            }
            print(cli, &json!({"file": file, "ok": true}), || {
                format!("{}: ok", file.display())
            })
        }
        Command::Policy { file } => {
            let engine = load_policies(file)?;
            let (count, version) = (engine.len(), engine.version().to_owned());
            print(
                cli,
                &json!({"file": file, "policies": count, "version": version}),
                || format!("{}: {count} policies, version {version}", file.display()),
            )
        }
        Command::Key { file } => key(cli, file),
        Command::Token { config, token } => verify_token(cli, config, token),
        Command::Field(field) => open_field(cli, field).await,
        Command::Audit { dir, keys } => verify_audit(cli, dir, keys),
    }
}

async fn init(cli: &Cli, dir: &Path, gateway: &str, core_banking: &str) -> Result<(), Failure> {
    let users = setup::create(dir, gateway, core_banking, &setup::sample_staff()).await?;
    let listed: Vec<_> = users
        .iter()
        .map(|u| {
            json!({
                "tenant": u.staff.tenant, "user": u.staff.user,
                "roles": u.staff.roles, "password": u.password,
            })
        })
        .collect();
    print(cli, &json!({"dir": dir, "users": listed}), || {
        let mut text = format!(
            "{} holds keys, users, policies and configuration.\n\
             Passwords, shown this once:\n",
            dir.display()
        );
        for user in &users {
            let (staff, password) = (&user.staff, &user.password);
            let roles = staff.roles.join(",");
            text += &format!(
                "  {:<14} {:<6} {roles:<10} {password}\n",
                staff.tenant, staff.user
            );
        }
        text + &format!(
            "Next: core-banking --config {}, then gateway --config {}",
            dir.join("core-banking.toml").display(),
            dir.join("gateway.toml").display()
        )
    })
}

fn key(cli: &Cli, file: &Path) -> Result<(), Failure> {
    let pem = zeroize::Zeroizing::new(read_text(file, MAX_INPUT_BYTES)?);
    let bad = |e: sm_jwt::Error| BadInput::file(file, e);
    let (kind, key): (_, VerifyingKey) = if pem.contains("BEGIN PUBLIC KEY") {
        (
            "public key",
            VerifyingKey::from_spki_pem(&pem).map_err(bad)?,
        )
    } else if pem.contains("BEGIN EC PRIVATE KEY") {
        (
            "private key",
            SigningKey::from_sec1_pem(&pem)
                .map_err(bad)?
                .verifying_key()
                .clone(),
        )
    } else {
        (
            "private key",
            SigningKey::from_pkcs8_pem(&pem)
                .map_err(bad)?
                .verifying_key()
                .clone(),
        )
    };
    let jwk: serde_json::Value = serde_json::from_str(&key.to_jwk(None)).map_err(Failure::other)?;
    print(
        cli,
        &json!({"file": file, "kind": kind, "jwk": jwk}),
        || format!("{}: SM2 {kind}\nJWK  {jwk}", file.display()),
    )
}

fn verify_token(cli: &Cli, config: &Path, token: &Path) -> Result<(), Failure> {
    let config = CoreBankingConfig::load(config)?;
    let key = load_verifying_key(&config.token_verifying_key)?;
    let verifier = access_verifier(&key, &config.tokens)?;
    let (name, text) = read_argument(token)?;
    let parsed = sm_jwt::UnverifiedToken::parse(text.trim_end(), &sm_jwt::Limits::default())
        .map_err(|e| BadInput::new(&name, e))?;
    let verified = verifier
        .verify::<StaffClaims>(parsed)
        .map_err(|e| BadInput::new(&name, e))?;
    let claims = verified.claims();
    let told = json!({
        "issuer": claims.issuer(), "subject": claims.subject(), "tenant": claims.tenant_id(),
        "roles": claims.roles(), "branch": verified.extra().branch,
        "expires_at": claims.expires_at(), "token_id": claims.token_id(),
    });
    print(cli, &told, || {
        let tenant = claims.tenant_id().unwrap_or("-");
        format!(
            "token verifies\n  subject  {}\n  tenant   {tenant}\n  roles    {}\n  expires  {} (Unix)",
            claims.subject(),
            claims.roles().join(", "),
            claims.expires_at()
        )
    })
}

async fn open_field(cli: &Cli, field: &Field) -> Result<(), Failure> {
    let config = CoreBankingConfig::load(&field.config)?;
    let (name, text) = read_argument(&field.ciphertext)?;
    let bad = |e: sm_fieldcrypt::Error| BadInput::new(&name, e);
    let envelope = sm_fieldcrypt::from_text(text.trim_end()).map_err(bad)?;
    sm_fieldcrypt::Envelope::parse(&envelope).map_err(bad)?;
    let passphrase = config.kek_passphrase.load()?;
    let kek = SoftwareKek::open(&config.kek, passphrase.expose())
        .map_err(|e| BadInput::file(&config.kek, e))?;
    let store = FileStore::new(&config.field_keys);
    let mut ring = KeyRing::builder(std::sync::Arc::new(kek), std::sync::Arc::new(store));
    for class in classes() {
        ring = ring.class(class);
    }
    let ring = ring
        .build()
        .await
        .map_err(|e| BadInput::file(&config.field_keys, e))?;
    let key = ring
        .prepare(
            &field.class,
            &field.tenant,
            &KeyUser::new("operator:bankctl"),
        )
        .await
        .map_err(|e| BadInput::new("--class", e))?;
    let place =
        FieldContext::new(&field.tenant, &field.table, &field.column).row(field.row.as_str());
    let opened = key.open(&envelope, &place).map_err(bad)?;
    let value = opened
        .expose_str()
        .ok_or_else(|| BadInput::new(&name, "value is not UTF-8"))?;
    print(cli, &json!({"value": value}), || value.to_owned())
}

fn verify_audit(cli: &Cli, dir: &Path, keys: &[String]) -> Result<(), Failure> {
    let mut trusted = Vec::new();
    for key in keys {
        let (id, file) = key
            .split_once('=')
            .ok_or_else(|| BadInput::new("--key", format_args!("`{key}` is not ID=FILE")))?;
        let pem = read_text(Path::new(file), MAX_INPUT_BYTES)?;
        let key = audit_log::CheckpointVerifyingKey::from_spki_pem(id, &pem)
            .map_err(|e| BadInput::new(file, e))?;
        trusted.push(key);
    }
    let report = audit_log::Verifier::new(trusted)
        .verify_dir(dir)
        .map_err(|e| BadInput::file(dir, e))?;
    print(cli, &report, || report.to_string())?;
    match report.problems().len() {
        0 if report.is_intact() => Ok(()),
        n => Err(BadInput::file(dir, format_args!("not intact: {n} problems")).into()),
    }
}

/// An argument's text, from a file or standard input, and its name for errors.
fn read_argument(path: &Path) -> Result<(String, String), BadInput> {
    if path != Path::new("-") {
        let text = String::from_utf8(read_input(path, MAX_INPUT_BYTES)?)
            .map_err(|_| BadInput::file(path, "not UTF-8"))?;
        return Ok((path.display().to_string(), text));
    }
    let mut text = String::new();
    std::io::stdin()
        .take(MAX_INPUT_BYTES)
        .read_to_string(&mut text)
        .map_err(|e| BadInput::new("standard input", e))?;
    Ok(("standard input".to_owned(), text))
}

/// Prints for people, or one JSON document for machines.
fn print(
    cli: &Cli,
    machine: &impl Serialize,
    people: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let text = if cli.json {
        serde_json::to_string_pretty(machine).map_err(Failure::other)?
    } else {
        people()
    };
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::other(e)),
        _ => Ok(()),
    }
}
