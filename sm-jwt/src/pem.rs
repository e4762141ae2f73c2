//! PEM (RFC 7468): one block picked out of a file, its secret contents wiped after use.

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use crate::error::Error;

/// The longest PEM file in bytes; a key takes a few hundred.
const MAX_LEN: usize = 16 * 1024;

/// The contents of the one block in `text`, with its label.
///
/// Blocks of curve parameters are passed over, as `openssl ecparam -genkey` writes one before the
/// key. A second key is refused: which of the two was meant cannot be known.
pub(crate) fn decode(
    text: &str,
    labels: &[&str],
    what: &'static str,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let fail = |why| Error::Key { what, why };
    if text.len() > MAX_LEN {
        return Err(Error::TooLarge {
            what,
            limit: MAX_LEN,
        });
    }
    let mut found = None;
    let mut lines = text.lines().map(str::trim_ascii_end);
    while let Some(line) = lines.next() {
        let Some(label) = boundary(line, "-----BEGIN ") else {
            continue;
        };
        // All the text there is, so that the buffer never grows and leaves a copy behind.
        let mut body = Zeroizing::new(Vec::with_capacity(text.len()));
        let end = loop {
            let line = lines
                .next()
                .ok_or_else(|| fail("a PEM block has no end line"))?;
            if line.starts_with("-----") {
                break boundary(line, "-----END ");
            }
            if line.contains(':') {
                return Err(fail("a PEM block has headers; encrypted keys are not read"));
            }
            body.extend_from_slice(line.as_bytes());
        };
        if end != Some(label) {
            return Err(fail(
                "a PEM block ends with another label than it begins with",
            ));
        }
        if label.ends_with(" PARAMETERS") {
            continue;
        }
        if label == "ENCRYPTED PRIVATE KEY" {
            return Err(fail("the PEM block is an encrypted key; decrypt it first"));
        }
        if !labels.contains(&label) {
            return Err(fail(
                "the PEM block has another label than this kind of key",
            ));
        }
        if found.is_some() {
            return Err(fail("the PEM text holds more than one key"));
        }
        found = Some(body);
    }
    let body = found.ok_or_else(|| fail("the text holds no PEM block of a key"))?;
    let mut der = Zeroizing::new(vec![0u8; (body.len() / 4).saturating_mul(3)]);
    let len = Base64::decode(body.as_slice(), &mut der)
        .map_err(|_| fail("a PEM block is not valid base64"))?
        .len();
    der.truncate(len);
    Ok(der)
}

/// The label of a boundary line `-----BEGIN label-----`.
fn boundary<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix("-----")
}

/// Writes `der` as one block with lines of 64 characters.
pub(crate) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(vec![0u8; der.len().div_ceil(3).saturating_mul(4)]);
    let text = Base64::encode(der, &mut text).unwrap_or_default();
    // Room for everything, so that the secret is never moved by growth.
    let capacity = text
        .len()
        .saturating_mul(2)
        .saturating_add(label.len().saturating_mul(2))
        .saturating_add(64);
    let mut out = Zeroizing::new(String::with_capacity(capacity));
    out.push_str("-----BEGIN ");
    out.push_str(label);
    out.push_str("-----\n");
    let mut rest = text;
    while !rest.is_empty() {
        // Base64 is ASCII: every index is a character boundary.
        let (line, tail) = rest.split_at_checked(64).unwrap_or((rest, ""));
        out.push_str(line);
        out.push('\n');
        rest = tail;
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}
