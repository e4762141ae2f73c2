//! `bankctl token`: an access token, as the banking service sees it.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::input::{read_argument, refused};
use super::output::{Answer, aligned};
use crate::config::CoreBankingConfig;
use crate::error::Failure;
use crate::issuer::{StaffClaims, access_verifier, load_verifying_key};

#[derive(Debug, Args)]
pub(super) struct Token {
    /// The banking service's configuration.
    #[arg(long)]
    config: PathBuf,
    /// File with the token; `-` is standard input.
    #[arg(default_value = "-")]
    token: PathBuf,
}

impl Token {
    pub(super) fn run(&self) -> Result<Answer, Failure> {
        let config = CoreBankingConfig::load(&self.config)?;
        let key = load_verifying_key(&config.token_verifying_key)?;
        let verifier = access_verifier(&key, &config.tokens)?;
        let (name, text) = read_argument(&self.token)?;
        let verified = sm_jwt::UnverifiedToken::parse(text.trim_end(), verifier.limits())
            .and_then(|token| verifier.verify::<StaffClaims>(token));
        let verified = match verified {
            Ok(verified) => verified,
            Err(error) => return refused(&name, &error),
        };
        let claims = verified.claims();
        let told = json!({
            "issuer": claims.issuer(), "subject": claims.subject(), "tenant": claims.tenant_id(),
            "roles": claims.roles(), "branch": verified.extra().branch,
            "expires_at": claims.expires_at(), "token_id": claims.token_id(),
        });
        let rows = aligned(&[
            ("subject", claims.subject().to_owned()),
            ("tenant", claims.tenant_id().unwrap_or("-").to_owned()),
            ("roles", claims.roles().join(", ")),
            ("expires", format!("{} (Unix)", claims.expires_at())),
        ]);
        Answer::yes(told, format!("token verifies\n{rows}"))
    }
}
