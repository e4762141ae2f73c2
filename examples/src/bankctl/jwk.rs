//! `bankctl jwk`: SM2 keys in their forms.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use sm_jwt::{KeyId, SigningKey};
use zeroize::Zeroizing;

use super::input::{bad, path_text};
use super::keys::{Key, key_id};
use super::output::{Answer, aligned, json_text};
use super::target::write_pair;
use crate::error::{BadInput, Failure, Replace, write_output};

#[derive(Debug, Subcommand)]
pub(super) enum Jwk {
    /// Make a private key in a file that only its owner reads, and print the public half.
    Generate(Generate),
    /// Write a key in another form.
    Convert(Convert),
    /// Print a key's thumbprint (RFC 7638), its `crv` spelled `SM2` whatever the file says.
    Thumbprint {
        /// Key file (PEM or JWK, public or private).
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(super) struct Generate {
    /// Where to write it; a file that is there already is never overwritten.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Form of the private key.
    #[arg(long, value_enum, default_value_t = PrivateForm::Jwk)]
    format: PrivateForm,
    /// Name of the key, for JWKs.
    #[arg(long)]
    kid: Option<String>,
    /// Where to write the public half: SPKI PEM, or a JWK where the private key is one.
    #[arg(long, value_name = "FILE")]
    public_out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrivateForm {
    Jwk,
    Pkcs8,
    Sec1,
}

#[derive(Debug, Args)]
pub(super) struct Convert {
    /// Key file (PKCS#8, SEC1 or SPKI PEM, or JWK).
    file: PathBuf,
    /// The form that is wanted.
    #[arg(long, value_enum)]
    to: Form,
    /// Only the public half, as JWK or SPKI.
    #[arg(long)]
    public: bool,
    /// Name of the key, for a JWK.
    #[arg(long)]
    kid: Option<String>,
    /// Where to write it; a file that is there already is never overwritten. A private key needs it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Jwk,
    Pkcs8,
    Sec1,
    Spki,
}

impl Jwk {
    pub(super) fn run(&self) -> Result<Answer, Failure> {
        match self {
            Self::Generate(generate) => generate.run(),
            Self::Convert(convert) => convert.run(),
            Self::Thumbprint { file } => thumbprint(file),
        }
    }
}

impl Generate {
    fn run(&self) -> Result<Answer, Failure> {
        let kid = self.kid.as_deref().map(key_id).transpose()?;
        let key = SigningKey::generate().map_err(|e| bad("", &e))?;
        let public = key.verifying_key().clone();
        let text = match self.format {
            PrivateForm::Jwk => with_newline(&key.to_jwk(kid.as_ref())),
            PrivateForm::Pkcs8 => key.to_pkcs8_pem(),
            PrivateForm::Sec1 => key.to_sec1_pem(),
        };
        let jwk = public.to_jwk(kid.as_ref());
        let public_text = match self.format {
            PrivateForm::Jwk => format!("{jwk}\n"),
            PrivateForm::Pkcs8 | PrivateForm::Sec1 => public.to_spki_pem(),
        };
        let machine = json!({
            "file": path_text(&self.out), "public_file": self.public_out.as_deref().map(path_text),
            "jwk": parsed(&jwk)?, "thumbprint_sm3": public.thumbprint_sm3(),
        });
        let rows = aligned(&[("JWK", jwk), ("thumbprint SM3", public.thumbprint_sm3())]);
        let people = format!("{}: new SM2 private key\n{rows}", self.out.display());
        let told = Answer::yes(machine, people)?;
        let public_file = self.public_out.as_deref();
        write_pair(
            (&self.out, text.as_bytes()),
            public_file.map(|path| (path, public_text.as_bytes())),
        )?;
        Ok(told)
    }
}

impl Convert {
    fn run(&self) -> Result<Answer, Failure> {
        let kid = self.kid.as_deref().map(key_id).transpose()?;
        if kid.is_some() && self.to != Form::Jwk {
            return Err(BadInput::new("--kid", "only a JWK has a name").into());
        }
        let key = Key::load(&self.file)?;
        let (text, secret) = self.written(&key, kid.as_ref())?;
        let kind = if secret { "private key" } else { "public key" };
        let machine = |shown: Option<&str>| {
            json!({
                "file": path_text(&self.file), "kind": kind,
                "out": self.out.as_deref().map(path_text), "key": shown,
            })
        };
        match &self.out {
            Some(out) => {
                let told = Answer::yes(
                    machine(None),
                    format!("{kind} written to {}", out.display()),
                )?;
                write_output(out, text.as_bytes(), Replace::No, secret)?;
                Ok(told)
            }
            None if secret => Err(BadInput::new(
                "--out",
                "a private key is written to a file only: name one, or ask for --public",
            )
            .into()),
            None if self.to == Form::Jwk => {
                Ok(Answer::yes(machine(Some(&text)), json_text(&text))?.product())
            }
            None => Ok(Answer::yes(machine(Some(&text)), text.as_str())?.product()),
        }
    }

    /// The text, and whether it is a secret.
    fn written(
        &self,
        key: &Key,
        kid: Option<&KeyId>,
    ) -> Result<(Zeroizing<String>, bool), BadInput> {
        let public = key.public();
        match (self.to, key) {
            (Form::Spki, _) => Ok((Zeroizing::new(public.to_spki_pem()), false)),
            (Form::Jwk, Key::Private(key)) if !self.public => {
                Ok((with_newline(&key.to_jwk(kid)), true))
            }
            (Form::Jwk, _) => Ok((with_newline(&public.to_jwk(kid)), false)),
            (Form::Pkcs8 | Form::Sec1, _) if self.public => Err(BadInput::new(
                "--public",
                "PKCS#8 and SEC1 hold private keys: ask for spki or jwk",
            )),
            (Form::Pkcs8, Key::Private(key)) => Ok((key.to_pkcs8_pem(), true)),
            (Form::Sec1, Key::Private(key)) => Ok((key.to_sec1_pem(), true)),
            (Form::Pkcs8 | Form::Sec1, Key::Public(_)) => Err(BadInput::file(
                &self.file,
                "a public key, and PKCS#8 and SEC1 hold private ones",
            )),
        }
    }
}

/// A text file ends with its line; no copy of a secret is left behind.
fn with_newline(text: &str) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::with_capacity(text.len() + 1));
    line.push_str(text);
    line.push('\n');
    line
}

fn parsed(jwk: &str) -> Result<Value, Failure> {
    serde_json::from_str(jwk).map_err(Failure::other)
}

fn thumbprint(file: &Path) -> Result<Answer, Failure> {
    let key = Key::load(file)?;
    let (sm3, sha256) = (
        key.public().thumbprint_sm3(),
        key.public().thumbprint_sha256(),
    );
    let machine =
        json!({"file": path_text(file), "kind": key.kind(), "sm3": sm3, "sha256": sha256});
    let rows = aligned(&[("SM3", sm3), ("SHA-256", sha256)]);
    Answer::yes(
        machine,
        format!("{}: SM2 {}\n{rows}", file.display(), key.kind()),
    )
}
