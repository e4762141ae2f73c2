//! What a command is given: files and standard input of bounded size, and what an error of `sm-jwt` means for the answer.

use std::io::Read as _;
use std::path::Path;

use super::output::Answer;
use crate::error::{BadInput, Failure, read_text};

/// The longest text input in bytes; a token, key or key set takes far less.
pub(super) const MAX_INPUT_BYTES: u64 = 1 << 20;

/// An argument's text, from a file or, for `-`, standard input, and its name for errors.
pub(super) fn read_argument(path: &Path) -> Result<(String, String), BadInput> {
    if path != Path::new("-") {
        let text = read_text(path, MAX_INPUT_BYTES)?;
        return Ok((path.display().to_string(), text));
    }
    let name = "standard input";
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(MAX_INPUT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| BadInput::new(name, e))?;
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        let reason = format_args!("larger than {MAX_INPUT_BYTES} bytes");
        return Err(BadInput::new(name, reason));
    }
    let text = String::from_utf8(bytes).map_err(|_| BadInput::new(name, "not UTF-8"))?;
    Ok((name.to_owned(), text))
}

/// A path in an answer. What of it is not UTF-8 is replaced: it must not keep the rest from being told.
pub(super) fn path_text(path: &Path) -> String {
    path.display().to_string()
}

/// What is wrong with an input, with the error's stable code.
pub(super) fn bad(source_name: impl Into<String>, error: &sm_jwt::Error) -> BadInput {
    BadInput::new(source_name, error).coded(error.code())
}

/// [`bad`] for a file.
pub(super) fn bad_file(path: &Path, error: &sm_jwt::Error) -> BadInput {
    bad(path.display().to_string(), error)
}

/// A rule that refuses what was read is an answer, no; what could not be read or done is none.
pub(super) fn refused(source_name: &str, error: &sm_jwt::Error) -> Result<Answer, Failure> {
    let mut reason = bad(source_name, error);
    if let sm_jwt::Error::DpopProofForm(form) = error {
        reason.reason = format!("{error}: {form}");
    }
    if is_answer(error) {
        Ok(Answer::no(error.code(), reason))
    } else {
        Err(reason.into())
    }
}

fn is_answer(error: &sm_jwt::Error) -> bool {
    use sm_jwt::Error as E;
    let not_read = matches!(
        error,
        E::TooLarge { .. }
            | E::NotCompact
            | E::Base64 { .. }
            | E::Json { .. }
            | E::DuplicateMember { .. }
            | E::TooDeep { .. }
            | E::TooManyMembers { .. }
            | E::MissingHeader { .. }
            | E::HeaderType { .. }
            | E::JwsForm { .. }
            | E::MalformedToken
            | E::Key { .. }
            | E::WrongAlgorithm { .. }
            | E::DpopProofForm(_)
            | E::Io(_)
    );
    let not_done = matches!(
        error,
        E::Config(_) | E::ExtraCollides { .. } | E::TokenInput | E::SignerGaveWrongSignature
    );
    !not_read && !not_done && !error.is_transient()
}
