//! `bankctl field`: one encrypted field, opened.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use sm_fieldcrypt::{FieldContext, FileStore, KeyRing, KeyUser, SoftwareKek};

use super::input::read_argument;
use super::output::{Answer, plain};
use crate::config::CoreBankingConfig;
use crate::core_banking::fields::classes;
use crate::error::{BadInput, Failure};

#[derive(Debug, Args)]
pub(super) struct Field {
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

impl Field {
    pub(super) async fn run(&self) -> Result<Answer, Failure> {
        let config = CoreBankingConfig::load(&self.config)?;
        let (name, text) = read_argument(&self.ciphertext)?;
        let bad = |e: sm_fieldcrypt::Error| BadInput::new(&name, e);
        let envelope = sm_fieldcrypt::from_text(text.trim_end()).map_err(bad)?;
        sm_fieldcrypt::Envelope::parse(&envelope).map_err(bad)?;
        let passphrase = config.kek_passphrase.load()?;
        let kek = SoftwareKek::open(&config.kek, passphrase.expose())
            .map_err(|e| BadInput::file(&config.kek, e))?;
        let store = FileStore::new(&config.field_keys);
        let mut ring = KeyRing::builder(Arc::new(kek), Arc::new(store));
        for class in classes() {
            ring = ring.class(class);
        }
        let ring = ring
            .build()
            .await
            .map_err(|e| BadInput::file(&config.field_keys, e))?;
        let key = ring
            .prepare(&self.class, &self.tenant, &KeyUser::new("operator:bankctl"))
            .await
            .map_err(|e| BadInput::new("--class", e))?;
        let place =
            FieldContext::new(&self.tenant, &self.table, &self.column).row(self.row.as_str());
        let opened = match key.open(&envelope, &place) {
            Ok(opened) => opened,
            // Changed, or of another cell, or by a key that is not there.
            Err(error) => match refusal(&error) {
                Some(code) => return Ok(Answer::no(code, bad(error))),
                None => return Err(bad(error).into()),
            },
        };
        let value = opened
            .expose_str()
            .ok_or_else(|| BadInput::new(&name, "value is not UTF-8"))?;
        Answer::yes(json!({"value": value}), plain(value))
    }
}

/// A name for errors that say that this value does not open here.
fn refusal(error: &sm_fieldcrypt::Error) -> Option<&'static str> {
    use sm_fieldcrypt::Error as E;
    match error {
        E::Open => Some("field_integrity"),
        E::Policy { .. } => Some("field_policy"),
        E::Window { .. } => Some("field_window"),
        E::UnknownKey { .. } => Some("unknown_field_key"),
        E::KeyState { .. } => Some("field_key_state"),
        _ => None,
    }
}
