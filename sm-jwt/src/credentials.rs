//! What a request authenticates with, read from its headers.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};

use crate::error::Error;

/// The schemes under which a token travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 9449: with a proof.
    Dpop,
}

/// The one token of a request: exactly one `Authorization` header, the scheme in any case (RFC 9110 section 11.1), one
/// space or more, and a token without white space (RFC 6750 section 2.1). `None` for another scheme, or no header.
pub(crate) fn token(headers: &HeaderMap) -> Result<Option<(Scheme, &str)>, Error> {
    let Some(value) = single(headers, &AUTHORIZATION)? else {
        return Ok(None);
    };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    // Nearly one of these: a slip, or an attempt to have other credentials count in its place.
    let word = value.trim_start().to_ascii_lowercase();
    let is_one = scheme.eq_ignore_ascii_case("Bearer") || scheme.eq_ignore_ascii_case("DPoP");
    let is_near = ["bearer", "dpop"].iter().any(|name| {
        let rest = word.strip_prefix(name);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-'))
    });
    if is_near && !is_one {
        return Err(Error::MalformedCredentials);
    }
    let scheme = if scheme.eq_ignore_ascii_case("Bearer") {
        Scheme::Bearer
    } else if scheme.eq_ignore_ascii_case("DPoP") {
        Scheme::Dpop
    } else {
        return Ok(None);
    };
    let token = token.trim_start_matches(' ');
    if token.is_empty() || token.contains([' ', '\t', ',']) {
        return Err(Error::MalformedCredentials);
    }
    Ok(Some((scheme, token)))
}

/// The value of a header that may be there once: as text, if it is there.
pub(crate) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Error::MalformedCredentials);
    }
    let value = value.to_str().map_err(|_| Error::MalformedCredentials)?;
    Ok(Some(value))
}
