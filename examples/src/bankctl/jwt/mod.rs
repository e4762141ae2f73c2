//! `bankctl jwt`: tokens of any issuer.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};
use sm_jwt::{Limits, UnverifiedToken};

use super::compact::Unverified;
use super::input::read_argument;
use super::output::{Answer, pretty};
use crate::error::Failure;

mod doctor;
mod issue;
mod options;
mod verify;

#[derive(Debug, Subcommand)]
pub(super) enum Jwt {
    /// Sign a token and print it.
    Issue(Box<issue::Issue>),
    /// Verify a token.
    Verify(Box<verify::Verify>),
    /// Show header and payload, WITHOUT verifying anything.
    Decode {
        /// File with the token; `-` is standard input.
        #[arg(default_value = "-")]
        token: PathBuf,
    },
    /// Find out which user id, encoding, hash, `crv` or `alg` would make a token verify. For whoever sets a system up: the
    /// answer is never a reason to trust the token.
    Doctor(doctor::Diagnose),
}

impl Jwt {
    pub(super) async fn run(&self) -> Result<Answer, Failure> {
        match self {
            Self::Issue(issue) => issue.run(),
            Self::Verify(verify) => verify.run().await,
            Self::Decode { token } => decode(token),
            Self::Doctor(diagnose) => diagnose.run(),
        }
    }
}

fn decode(path: &std::path::Path) -> Result<Answer, Failure> {
    let (name, text) = read_argument(path)?;
    let text = text.trim_end();
    let parts = Unverified::read(&name, text)?;
    let payload = match serde_json::from_slice(&parts.payload) {
        Ok(payload) => payload,
        Err(_) => Value::String(String::from_utf8_lossy(&parts.payload).into_owned()),
    };
    // Of members that stand there twice only the last is shown: a verifier refuses such a token.
    let unreadable = UnverifiedToken::parse(text, &Limits::default()).err();
    let header = Value::Object(parts.header);
    let mut people = format!(
        "NOT VERIFIED: anybody can write this.\nheader   {}\npayload  {}\n",
        pretty(&header),
        pretty(&payload)
    );
    if let Some(error) = &unreadable {
        people += &format!("A verifier would refuse to read it: {error}\n");
    }
    let machine = json!({
        "verified": false, "header": header, "payload": payload,
        "unreadable": unreadable.as_ref().map(sm_jwt::Error::code),
    });
    Answer::yes(machine, people)
}
