//! `bankctl jwt doctor`: why a token does not verify.

use std::path::PathBuf;

use clap::Args;
use sm_jwt::doctor::{Doctor, Finding};

use crate::bankctl::input::read_argument;
use crate::bankctl::keys::Key;
use crate::bankctl::output::{Answer, plain};
use crate::bankctl::profile::ProfileArgs;
use crate::error::{BadInput, Failure};

#[derive(Debug, Args)]
pub(in crate::bankctl) struct Diagnose {
    /// The key that should have signed (PEM or JWK; its public half is used).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// A further user id to try; more than once for several.
    #[arg(long = "try-id", value_name = "ID")]
    ids: Vec<String>,
    /// Tokens without the claim `sm2_kid` are in order.
    #[arg(long)]
    optional_kid_claim: bool,
    /// File with the token; `-` is standard input.
    #[arg(default_value = "-")]
    token: PathBuf,
    // Last: its heading would stand over what comes behind it.
    #[command(flatten)]
    profile: ProfileArgs,
}

impl Diagnose {
    pub(super) fn run(&self) -> Result<Answer, Failure> {
        let (name, text) = read_argument(&self.token)?;
        let mut profile = self.profile.profile()?;
        if self.optional_kid_claim {
            profile = profile.with_optional_kid_claim();
        }
        let key = Key::load(&self.key)?;
        let doctor = self
            .ids
            .iter()
            .fold(Doctor::new(), |doctor, id| doctor.user_id(id.as_bytes()));
        let diagnosis = doctor.diagnose(&text, key.public(), &profile);
        if let Some(Finding::NotAToken { code, reason }) = diagnosis
            .findings
            .iter()
            .find(|finding| matches!(finding, Finding::NotAToken { .. }))
        {
            return Err(BadInput::new(name, reason).coded(code).into());
        }
        let people = plain(&format!(
            "{diagnosis}\nOnly the signature and its parameters were looked at. This is no verification.\n"
        ));
        let found = Answer::yes(&diagnosis, people)?;
        if diagnosis.holds_as_registered {
            return Ok(found);
        }
        let (code, reason) = match diagnosis.findings.first() {
            None => (
                "bad_signature",
                "the signature holds under nothing that was tried",
            ),
            Some(first) if diagnosis.holds_otherwise => {
                (code_of(first), "the signature would hold otherwise")
            }
            Some(first) => (code_of(first), "it would not verify"),
        };
        Ok(found.but_no(code, BadInput::new(name, reason)))
    }
}

/// What a verifier would call it.
fn code_of(finding: &Finding) -> &'static str {
    match finding {
        Finding::NotAToken { code, .. } => code,
        Finding::Base64 { .. } => "bad_base64",
        Finding::Algorithm { .. } => "algorithm_mismatch",
        Finding::Curve { .. } => "curve_mismatch",
        Finding::KidClaim => "kid_mismatch",
        _ => "bad_signature",
    }
}
