//! The operator's tool: makes sample set-ups, keys, tokens and signatures, and checks keys, tokens, signed files, policies,
//! customer files, ciphertexts, configurations and audit streams, each with a place and a reason.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::output::Answer;
use crate::error::Failure;

mod artifact;
mod audit;
mod certificate;
mod check;
mod compact;
mod customers;
mod field;
mod init;
mod input;
mod jwk;
mod jwt;
mod keys;
mod output;
mod profile;
mod sm2;
mod target;
mod token;

/// Keys, tokens, signatures, signed files, policies, customer files, ciphertexts and audit streams.
///
/// Exit code 0 for yes: done, or it verifies. 1 for no: the signature, token, file or stream does not verify. 2 when there
/// is no answer: wrong use, or input that is malformed or cannot be read.
#[derive(Debug, Parser)]
#[command(name = "bankctl", version)]
pub struct Cli {
    /// Print one JSON document for machines, whatever the answer.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fill a folder with keys, users, policies and configuration (development grade).
    Init(init::Init),
    /// Customer files.
    #[command(subcommand)]
    Customers(customers::Customers),
    /// Check a service's configuration file.
    Config(check::Config),
    /// Check a policy file.
    Policy {
        /// The file.
        file: PathBuf,
    },
    /// Check a key file (PKCS#8, SEC1 or SPKI PEM, or JWK) and print its public half.
    Key {
        /// The file.
        file: PathBuf,
    },
    /// Verify an access token as the banking service would.
    Token(token::Token),
    /// Open one encrypted field in its text form (`smf1:...`).
    Field(field::Field),
    /// Verify an audit stream offline.
    Audit(audit::Audit),
    /// Tokens of any issuer: make, verify, show, and find out why one does not verify.
    #[command(subcommand)]
    Jwt(jwt::Jwt),
    /// SM2 keys: make, convert, name.
    #[command(subcommand)]
    Jwk(jwk::Jwk),
    /// Signed files: a manifest with name, version, length and SM3 beside each.
    #[command(subcommand)]
    Artifact(artifact::Artifact),
    /// Bare SM2 signatures over files.
    #[command(subcommand)]
    Sm2(sm2::Sm2),
}

/// Runs the command that this process was started with, prints its answer, and gives the exit code.
pub async fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => output::finish(cli.json, answer(&cli).await),
        Err(error) => output::usage(&error),
    }
}

async fn answer(cli: &Cli) -> Result<Answer, Failure> {
    match &cli.command {
        Command::Init(init) => init.run().await,
        Command::Customers(customers) => customers.run(),
        Command::Config(config) => config.run(),
        Command::Policy { file } => check::policy(file),
        Command::Key { file } => check::key(file),
        Command::Token(token) => token.run(),
        Command::Field(field) => field.run().await,
        Command::Audit(audit) => audit.run(),
        Command::Jwt(issue @ jwt::Jwt::Issue(_)) => Ok(issue.run().await?.product()),
        Command::Jwt(jwt) => jwt.run().await,
        Command::Jwk(jwk) => jwk.run(),
        Command::Artifact(artifact) => artifact.run(cli.json),
        Command::Sm2(sm2) => sm2.run(),
    }
}
