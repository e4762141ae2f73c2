//! `bankctl jwt issue`: a token made.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Map, Value, json};
use sm_jwt::{Claims, ClaimsBuilder, Confirmation, Signer};

use super::options::{Kind, duration};
use crate::bankctl::certificate;
use crate::bankctl::compact::Unverified;
use crate::bankctl::input::{bad, bad_file, read_argument};
use crate::bankctl::keys::{Key, key_id, load_private};
use crate::bankctl::output::Answer;
use crate::bankctl::profile::ProfileArgs;
use crate::error::{BadInput, Failure};

#[derive(Debug, Args)]
pub(in crate::bankctl) struct Issue {
    /// The private key (PEM or JWK).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The key's name.
    #[arg(long)]
    kid: String,
    /// Type of token.
    #[arg(long, value_enum, default_value = "at+jwt")]
    typ: Kind,
    /// Issuer.
    #[arg(long)]
    iss: String,
    /// Subject.
    #[arg(long)]
    sub: String,
    /// Audience; more than once for several.
    #[arg(long, required = true)]
    aud: Vec<String>,
    /// How long it is valid: seconds, or a number with s, m, h or d.
    #[arg(long, value_parser = duration, default_value = "5m")]
    lifetime: Duration,
    /// Tenant (`tenant_id`).
    #[arg(long)]
    tenant: Option<String>,
    /// Role; more than once for several.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Session (`sid`); a refresh token that is rotated needs one.
    #[arg(long)]
    sid: Option<String>,
    /// A word of the scope, or several with a space between them; more than once adds up.
    #[arg(long = "scope", value_name = "SCOPE", value_parser = NonEmptyStringValueParser::new())]
    scopes: Vec<String>,
    /// Client that the token is issued to (`client_id`).
    #[arg(long)]
    client_id: Option<String>,
    /// Authentication method that was checked, such as pwd; more than once for several.
    #[arg(long = "amr", value_name = "METHOD")]
    methods: Vec<String>,
    /// Authentication context class that was reached.
    #[arg(long)]
    acr: Option<String>,
    /// When the subject authenticated, in seconds since 1970.
    #[arg(long, value_name = "SECONDS")]
    auth_time: Option<u64>,
    /// Not valid before this time, in seconds since 1970.
    #[arg(long, value_name = "SECONDS")]
    nbf: Option<u64>,
    /// The token's id (`jti`), in place of a random one.
    #[arg(long)]
    jti: Option<String>,
    /// Bind it to a client certificate of mutual TLS (PEM or DER).
    #[arg(long, value_name = "FILE")]
    bind_certificate: Option<PathBuf>,
    /// Bind it to the key that signs DPoP proofs (PEM or JWK; the public half is used).
    #[arg(long, value_name = "FILE")]
    bind_key: Option<PathBuf>,
    /// Further claims: a JSON object, or `@FILE` with one.
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,
    // Last: its heading would stand over what comes behind it.
    #[command(flatten)]
    profile: ProfileArgs,
}

impl Issue {
    pub(super) fn run(&self) -> Result<Answer, Failure> {
        let extra = self.extra()?;
        let profile = self.profile.profile()?;
        let key = load_private(&self.key)?;
        let signer =
            Signer::new(key, key_id(&self.kid)?, profile).map_err(|e| bad_file(&self.key, &e))?;
        let claims = self.claims()?;
        let token = signer
            .sign(&claims, self.typ.into(), &extra)
            .map_err(|e| bad("claims", &e))?;
        let parts = Unverified::read("the token", &token)?;
        let payload: Value = serde_json::from_slice(&parts.payload).map_err(Failure::other)?;
        let machine = json!({"token": token, "header": parts.header, "payload": payload});
        Answer::yes(machine, token)
    }

    fn claims(&self) -> Result<ClaimsBuilder, BadInput> {
        let mut claims = Claims::builder()
            .issuer(&self.iss)
            .subject(&self.sub)
            .roles(self.roles.iter().cloned())
            .amr(self.methods.iter().cloned())
            .lifetime(self.lifetime);
        for audience in &self.aud {
            claims = claims.audience(audience);
        }
        for scope in &self.scopes {
            claims = claims.scope(scope);
        }
        if let Some(tenant) = &self.tenant {
            claims = claims.tenant(tenant);
        }
        if let Some(session) = &self.sid {
            claims = claims.session(session);
        }
        if let Some(client) = &self.client_id {
            claims = claims.client_id(client);
        }
        if let Some(class) = &self.acr {
            claims = claims.acr(class);
        }
        if let Some(seconds) = self.auth_time {
            claims = claims.auth_time(seconds);
        }
        if let Some(seconds) = self.nbf {
            claims = claims.not_before(seconds);
        }
        if let Some(id) = &self.jti {
            claims = claims.token_id(id);
        }
        Ok(match self.confirmation()? {
            Some(confirmation) => claims.confirmation(confirmation),
            None => claims,
        })
    }

    /// What the token is bound to.
    fn confirmation(&self) -> Result<Option<Confirmation>, BadInput> {
        let certificate = match &self.bind_certificate {
            Some(path) => Some(Confirmation::certificate(&certificate::load(path)?)),
            None => None,
        };
        let key = match &self.bind_key {
            Some(path) => Some(Confirmation::dpop_key(Key::load(path)?.public())),
            None => None,
        };
        Ok(match (certificate, key) {
            (Some(certificate), Some(key)) => Some(certificate.and(key)),
            (certificate, key) => certificate.or(key),
        })
    }

    /// What `--claims` says.
    fn extra(&self) -> Result<Map<String, Value>, BadInput> {
        let (source, text) = match self.claims.as_deref() {
            None => return Ok(Map::new()),
            Some(argument) => match argument.strip_prefix('@') {
                Some(file) => read_argument(file.as_ref())?,
                None => ("--claims".to_owned(), argument.to_owned()),
            },
        };
        serde_json::from_str(&text).map_err(|error| {
            let reason = format!("not a JSON object (column {})", error.column());
            BadInput::at(source, error.line() as u64, reason).coded("bad_json")
        })
    }
}
