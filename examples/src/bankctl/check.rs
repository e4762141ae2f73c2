//! `bankctl config`, `policy` and `key`: files checked on their own.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::input::path_text;
use super::keys::Key;
use super::output::Answer;
use crate::config::{CoreBankingConfig, GatewayConfig};
use crate::core_banking::load_policies;
use crate::error::Failure;

#[derive(Debug, Args)]
pub(super) struct Config {
    /// Which service it is for.
    service: Service,
    /// The file.
    file: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Service {
    Gateway,
    CoreBanking,
}

impl Config {
    pub(super) fn run(&self) -> Result<Answer, Failure> {
        let file = &self.file;
        match self.service {
            Service::Gateway => drop(GatewayConfig::load(file)?),
            Service::CoreBanking => drop(CoreBankingConfig::load(file)?),
        }
        Answer::yes(
            json!({"file": path_text(file)}),
            format!("{}: ok", file.display()),
        )
    }
}

pub(super) fn policy(file: &Path) -> Result<Answer, Failure> {
    let engine = load_policies(file)?;
    let (count, version) = (engine.len(), engine.version().to_owned());
    Answer::yes(
        json!({"file": path_text(file), "policies": count, "version": version}),
        format!("{}: {count} policies, version {version}", file.display()),
    )
}

pub(super) fn key(file: &Path) -> Result<Answer, Failure> {
    let key = Key::load(file)?;
    let kind = key.kind();
    let jwk: Value = serde_json::from_str(&key.public().to_jwk(None)).map_err(Failure::other)?;
    Answer::yes(
        json!({"file": path_text(file), "kind": kind, "jwk": jwk}),
        format!("{}: SM2 {kind}\nJWK  {jwk}", file.display()),
    )
}
