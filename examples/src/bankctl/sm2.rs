//! `bankctl sm2`: bare signatures over SM3(Z ‖ M).

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::input::{bad_file, path_text, refused};
use super::keys::{Key, load_private};
use super::output::Answer;
use super::profile::Encoding;
use crate::error::{BadInput, Failure, read_input};
use crate::trace::hex;

/// The longest message in bytes: it is held in memory.
const MAX_MESSAGE_BYTES: u64 = 64 << 20;

#[derive(Debug, Subcommand)]
pub(super) enum Sm2 {
    /// Sign a file and print the signature in hexadecimal. What would make a token is not signed.
    Sign {
        #[command(flatten)]
        message: Message,
    },
    /// Verify a file's signature.
    Verify {
        #[command(flatten)]
        message: Message,
        /// The signature in hexadecimal.
        #[arg(long, value_name = "HEX")]
        signature: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Message {
    /// Key file (PEM or JWK); to sign, a private one.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Form of the signature.
    #[arg(long, value_enum)]
    encoding: Encoding,
    /// User id that goes into the signature.
    #[arg(long, default_value = "1234567812345678")]
    id: String,
    /// The file, of at most 64 MiB: the message itself, never a digest of it.
    #[arg(long = "in", value_name = "FILE")]
    file: PathBuf,
}

impl Message {
    fn read(&self) -> Result<Vec<u8>, BadInput> {
        read_input(&self.file, MAX_MESSAGE_BYTES)
    }
}

impl Sm2 {
    pub(super) fn run(&self) -> Result<Answer, Failure> {
        match self {
            Self::Sign { message } => sign(message),
            Self::Verify { message, signature } => verify(message, signature),
        }
    }
}

fn sign(message: &Message) -> Result<Answer, Failure> {
    let key = load_private(&message.key)?;
    let bytes = message.read()?;
    let signature = key
        .sign_message(&bytes, message.id.as_bytes(), message.encoding.into())
        .map_err(|e| bad_file(&message.file, &e))?;
    let signature = hex(&signature);
    let machine =
        json!({"file": path_text(&message.file), "id": message.id, "signature": signature});
    Ok(Answer::yes(machine, signature)?.product())
}

fn verify(message: &Message, signature: &str) -> Result<Answer, Failure> {
    let signature = from_hex(signature)
        .ok_or_else(|| BadInput::new("--signature", "not pairs of hexadecimal digits"))?;
    let key = Key::load(&message.key)?;
    let bytes = message.read()?;
    let verified = key.public().verify_message(
        &bytes,
        message.id.as_bytes(),
        message.encoding.into(),
        &signature,
    );
    match verified {
        Ok(()) => Answer::yes(
            json!({"file": path_text(&message.file), "id": message.id}),
            format!("{}: the signature verifies", message.file.display()),
        ),
        Err(error) => refused(&message.file.display().to_string(), &error),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let digit = |digit: u8| char::from(digit).to_digit(16);
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits() {
        assert_eq!(from_hex("00fFa0"), Some(vec![0, 255, 160]));
        assert_eq!(from_hex(""), Some(vec![]));
        for text in ["0", "0g", "+1", " 1", "0x00", "\u{ff}"] {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }
}
