//! `bankctl jwt verify`: a token checked, with what came with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};
use sm_jwt::{
    Clock, Confirmation, DpopPolicy, Limits, ManualClock, MemoryReplayStore, Presented, Profile,
    ReplayPolicy, SharedKeySet, SystemClock, UnverifiedToken, VerifiedToken, Verifier,
};

use super::options::{Kind, duration};
use crate::bankctl::certificate;
use crate::bankctl::input::{MAX_INPUT_BYTES, bad, read_argument, refused};
use crate::bankctl::keys::TrustArgs;
use crate::bankctl::output::{Answer, aligned};
use crate::bankctl::profile::ProfileArgs;
use crate::error::{BadInput, Failure, read_text};

#[derive(Debug, Args)]
pub(in crate::bankctl) struct Verify {
    #[command(flatten)]
    trust: TrustArgs,
    /// The issuer that the token must be of.
    #[arg(long)]
    iss: String,
    /// The audience that it must be for; more than once: one of them.
    #[arg(long, required = true)]
    aud: Vec<String>,
    /// The type that it must be of.
    #[arg(long, value_enum, default_value = "at+jwt")]
    typ: Kind,
    /// How far clocks may differ, at most 300 s.
    #[arg(long, value_parser = duration, default_value = "30s")]
    leeway: Duration,
    /// Verify as if it were this time, in seconds since 1970.
    #[arg(long, value_name = "SECONDS")]
    at: Option<u64>,
    /// Take tokens without the claim `sm2_kid`.
    #[arg(long)]
    optional_kid_claim: bool,
    /// The client certificate that came with a token that is bound to one (PEM or DER).
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    #[command(flatten)]
    dpop: DpopArgs,
    /// File with the token; `-` is standard input.
    #[arg(default_value = "-")]
    token: PathBuf,
    // Last: its heading would stand over what comes behind it.
    #[command(flatten)]
    profile: ProfileArgs,
}

/// A DPoP proof and its request: all three or none.
#[derive(Debug, Args)]
#[group(skip)]
struct DpopArgs {
    /// The DPoP proof that came with a token that is bound to a key, signed in the same profile. Whether it was used before
    /// is not checked.
    #[arg(long, value_name = "PROOF-FILE", requires_all = ["method", "uri"])]
    dpop: Option<PathBuf>,
    /// The request's method.
    #[arg(long, requires = "dpop")]
    method: Option<String>,
    /// The request's URI: scheme, host and path.
    #[arg(long, requires = "dpop")]
    uri: Option<String>,
}

/// A DPoP proof that was read, and the request that it must be for.
struct Proof<'a> {
    file: String,
    text: String,
    method: &'a str,
    uri: &'a str,
}

impl DpopArgs {
    fn read(&self) -> Result<Option<Proof<'_>>, BadInput> {
        let (Some(path), Some(method), Some(uri)) = (&self.dpop, &self.method, &self.uri) else {
            return Ok(None);
        };
        let scheme = uri
            .split_once("://")
            .map(|(scheme, _)| scheme.to_ascii_lowercase());
        if !matches!(scheme.as_deref(), Some("http" | "https")) {
            return Err(BadInput::new("--uri", "not an absolute http or https URI"));
        }
        let text = read_text(path, MAX_INPUT_BYTES)?;
        Ok(Some(Proof {
            file: path.display().to_string(),
            text: text.trim_end().to_owned(),
            method,
            uri,
        }))
    }
}

impl Verify {
    pub(super) async fn run(&self) -> Result<Answer, Failure> {
        let (name, text) = read_argument(&self.token)?;
        let text = text.trim_end();
        let mut profile = self.profile.profile()?;
        let certificate = self
            .certificate
            .as_deref()
            .map(certificate::load)
            .transpose()?;
        let proof = self.dpop.read()?;
        if self.optional_kid_claim {
            profile = profile.with_optional_kid_claim();
        }
        let token = match UnverifiedToken::parse(text, &Limits::default()) {
            Ok(token) => token,
            Err(error) => return refused(&name, &error),
        };
        let verifier = self.verifier(&profile, token.unverified_kid(), proof.is_some())?;
        let mut presented = Presented::new();
        if let Some(der) = &certificate {
            presented = presented.certificate(der);
        }
        if let Some(proof) = &proof {
            presented = presented.dpop(&proof.text, proof.method, proof.uri);
        }
        match verifier.accept_with(text, &presented).await {
            Ok(verified) => self.told(&verified),
            Err(error) => refused(at_fault(&error, &name, proof.as_ref()), &error),
        }
    }

    fn verifier(&self, profile: &Profile, kid: &str, dpop: bool) -> Result<Verifier, Failure> {
        let keys = self.trust.keys(profile, kid)?;
        let clock: Arc<dyn Clock> = match self.at {
            Some(seconds) => Arc::new(ManualClock::new(seconds)),
            None => Arc::new(SystemClock),
        };
        // Whether a single-use token was used before is the service's to know.
        let mut builder = Verifier::builder(self.typ.into(), ReplayPolicy::MultiUse)
            .issuer_keys(&self.iss, Arc::new(SharedKeySet::new(keys)))
            .leeway(self.leeway)
            .clock(Arc::clone(&clock));
        for audience in &self.aud {
            builder = builder.audience(audience);
        }
        if dpop {
            // Whether a proof was used before is as well: this store ends with the command.
            let store = Arc::new(MemoryReplayStore::new(1, clock));
            builder = builder.dpop(DpopPolicy::new(store).profile(profile.clone()));
        }
        Ok(builder.build().map_err(|e| bad("", &e))?)
    }

    fn told(&self, verified: &VerifiedToken<Map<String, Value>>) -> Result<Answer, Failure> {
        let claims = verified.claims();
        let single_use = self.typ != Kind::Access;
        let bound = |by: fn(&Confirmation) -> bool| claims.confirmation().is_some_and(by);
        let to_certificate = bound(Confirmation::binds_certificate);
        let to_key = bound(Confirmation::binds_dpop_key);
        let machine = json!({
            "header": verified.header(), "payload": verified.extra(),
            "single_use_not_checked": single_use,
            "bound_to": {"certificate": to_certificate, "dpop_key": to_key},
            "proof_single_use_not_checked": to_key,
        });
        let mut rows = vec![
            ("kid", verified.kid().to_owned()),
            ("issuer", claims.issuer().to_owned()),
            ("subject", claims.subject().to_owned()),
            ("audience", claims.audience().join(", ")),
            ("tenant", claims.tenant_id().unwrap_or("-").to_owned()),
            ("roles", claims.roles().join(", ")),
            ("issued", format!("{} (Unix)", claims.issued_at())),
            ("expires", format!("{} (Unix)", claims.expires_at())),
            ("token id", claims.token_id().to_owned()),
        ];
        if single_use {
            let note = "not checked: the service knows whether it was used before";
            rows.push(("single use", note.to_owned()));
        }
        // What nothing binds to was not looked at, and must not seem to have been.
        let binding = |given: bool, bound: bool| match (given, bound) {
            (_, true) => Some("bound to it, and it is the right one"),
            (true, false) => Some("not looked at: the token is bound to none"),
            (false, false) => None,
        };
        if let Some(note) = binding(self.certificate.is_some(), to_certificate) {
            rows.push(("certificate", note.to_owned()));
        }
        if let Some(note) = binding(self.dpop.dpop.is_some(), to_key) {
            rows.push(("DPoP key", note.to_owned()));
        }
        if to_key {
            let note = "not checked: the service knows whether the proof was used before";
            rows.push(("proof", note.to_owned()));
        }
        Answer::yes(machine, format!("token verifies\n{}", aligned(&rows)))
    }
}

/// The name of what a refusal is about.
fn at_fault<'a>(error: &sm_jwt::Error, token: &'a str, proof: Option<&'a Proof<'_>>) -> &'a str {
    use sm_jwt::Error as E;
    match (error, proof) {
        (E::DpopProof { .. } | E::DpopProofForm(_) | E::DpopNonce { .. }, Some(proof)) => {
            &proof.file
        }
        _ => token,
    }
}
