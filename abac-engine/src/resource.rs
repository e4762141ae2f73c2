//! Resources: names (`payment:refund:create`) and routes (`/api/v1/orders/{id}`), and the patterns over them.
//!
//! Everything is compared segment by segment, byte for byte: no case folding, no normalisation, and whatever two
//! readers might read differently is refused before any matching.

use crate::error::ResourceError;

const MAX_BYTES: usize = 4096;
const MAX_SEGMENTS: usize = 64;

/// A resource of a request: where it stands in the two name spaces, and its segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    /// Canonical text: parameters are `{}` and `{*}`, whatever they were called.
    canonical: String,
    /// Ends of the segments in `canonical`.
    ends: Vec<u32>,
}

impl Resource {
    /// A name, or a route with the router's own template.
    pub(crate) fn parse(text: &str) -> Result<Self, ResourceError> {
        let route = text.starts_with('/');
        let mut canonical = String::with_capacity(text.len().min(MAX_BYTES));
        let mut ends = Vec::with_capacity(8);
        let mut closed = false;
        split(text, |segment| {
            // A catch-all parameter takes the rest: nothing can follow it.
            if closed {
                return Err(ResourceError::ForbiddenCharacter);
            }
            if route || !canonical.is_empty() {
                canonical.push(if route { '/' } else { ':' });
            }
            match check_segment(segment)? {
                Shape::Literal => canonical.push_str(segment),
                Shape::Param => canonical.push_str("{}"),
                Shape::ParamRest => {
                    closed = true;
                    canonical.push_str("{*}");
                }
            }
            ends.push(u32::try_from(canonical.len()).unwrap_or(u32::MAX));
            Ok(())
        })?;
        if ends.is_empty() {
            canonical.push('/');
        }
        Ok(Self { canonical, ends })
    }

    /// A raw path as a client sent it: percent-decoded once, then held to the rules of a route without parameters.
    pub(crate) fn parse_path(path: &str) -> Result<Self, ResourceError> {
        if !path.starts_with('/') {
            return Err(ResourceError::NotAbsolute);
        }
        if path.len() > MAX_BYTES {
            return Err(ResourceError::TooLong);
        }
        let decoded = percent_decode(path)?;
        if decoded.contains(['{', '}']) {
            return Err(ResourceError::ForbiddenCharacter);
        }
        Self::parse(&decoded)
    }

    /// The canonical text: equal for equal resources, and never equal across the two name spaces.
    pub(crate) fn canonical(&self) -> &str {
        &self.canonical
    }

    pub(crate) fn is_route(&self) -> bool {
        self.canonical.starts_with('/')
    }

    /// The segments, in order.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &str> + Clone {
        let mut start = usize::from(self.is_route());
        self.ends.iter().map(move |end| {
            let end = *end as usize;
            let segment = self.canonical.get(start..end).unwrap_or("");
            start = end.saturating_add(1);
            segment
        })
    }
}

/// A resource pattern of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// `**` alone: every resource of both name spaces.
    Everything,
    /// No wildcard.
    Exact(Resource),
    /// Segments with wildcards.
    Wild {
        route: bool,
        segments: Vec<PatternSegment>,
        /// Whether a closing `**` takes zero or more further segments.
        rest: bool,
    },
}

/// A segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PatternSegment {
    Literal(String),
    /// `*`: exactly one segment.
    Any,
}

impl Pattern {
    /// Reads a pattern.
    pub(crate) fn parse(text: &str) -> Result<Self, ResourceError> {
        if text == "**" {
            return Ok(Self::Everything);
        }
        // A lone `*` reads like "everything" and would mean "every one-segment name".
        if text == "*" {
            return Err(ResourceError::Wildcard);
        }
        if !text.contains('*') {
            return Resource::parse(text).map(Self::Exact);
        }
        let mut segments = Vec::new();
        let mut rest = false;
        let mut wild = false;
        split(text, |segment| {
            if rest {
                return Err(ResourceError::Wildcard);
            }
            match segment {
                "**" => rest = true,
                "*" => {
                    wild = true;
                    segments.push(PatternSegment::Any);
                }
                _ => segments.push(PatternSegment::Literal(match check_segment(segment) {
                    Ok(Shape::Literal) => segment.to_owned(),
                    Ok(Shape::Param) => "{}".to_owned(),
                    Ok(Shape::ParamRest) => "{*}".to_owned(),
                    Err(_) if segment.contains('*') => return Err(ResourceError::Wildcard),
                    Err(error) => return Err(error),
                })),
            }
            Ok(())
        })?;
        if !wild && !rest {
            return Resource::parse(text).map(Self::Exact);
        }
        Ok(Self::Wild {
            route: text.starts_with('/'),
            segments,
            rest,
        })
    }
}

enum Shape {
    Literal,
    /// `{name}`: a path parameter. Any two are the same segment, and none is a literal.
    Param,
    /// `{*name}`: the router's catch-all parameter.
    ParamRest,
}

/// Splits at `/` (routes) or `:` (names), keeping the limits.
fn split<'t>(
    text: &'t str,
    mut each: impl FnMut(&'t str) -> Result<(), ResourceError>,
) -> Result<(), ResourceError> {
    if text.is_empty() {
        return Err(ResourceError::Empty);
    }
    if text.len() > MAX_BYTES {
        return Err(ResourceError::TooLong);
    }
    let (body, separator) = match text.strip_prefix('/') {
        Some("") => return Ok(()),
        Some(body) => (body, '/'),
        None => (text, ':'),
    };
    for (count, segment) in body.split(separator).enumerate() {
        if count >= MAX_SEGMENTS {
            return Err(ResourceError::TooDeep);
        }
        if segment.is_empty() {
            return Err(ResourceError::EmptySegment);
        }
        if separator == ':' && segment.contains('/') {
            return Err(ResourceError::NotAbsolute);
        }
        each(segment)?;
    }
    Ok(())
}

/// The rules of one segment.
fn check_segment(segment: &str) -> Result<Shape, ResourceError> {
    if matches!(segment, "." | "..") {
        return Err(ResourceError::DotSegment);
    }
    if segment.contains('%') {
        return Err(ResourceError::StrayPercent);
    }
    if segment.contains(['?', '#']) {
        return Err(ResourceError::QueryString);
    }
    if let Some(inner) = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
        let (name, shape) = match inner.strip_prefix('*') {
            Some(name) => (name, Shape::ParamRest),
            None => (inner, Shape::Param),
        };
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.chars().all(word) {
            return Ok(shape);
        }
        return Err(ResourceError::ForbiddenCharacter);
    }
    let forbidden = |c: char| {
        c.is_control()
            || c.is_whitespace()
            || matches!(c, '\\' | ';' | '*' | '{' | '}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
    };
    if segment.contains(forbidden) {
        return Err(ResourceError::ForbiddenCharacter);
    }
    Ok(Shape::Literal)
}

/// Decodes once. What decodes to a separator, dot, percent sign, backslash or control character is refused: servers
/// disagree on it.
fn percent_decode(path: &str) -> Result<String, ResourceError> {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        let (Some(high), Some(low)) = (hex(bytes.next()), hex(bytes.next())) else {
            return Err(ResourceError::StrayPercent);
        };
        let code = u8::try_from(high.saturating_mul(16).saturating_add(low)).unwrap_or(0);
        if code.is_ascii_control()
            || matches!(code, b'/' | b'.' | b'\\' | b'%' | b'?' | b'#' | b';' | b'*')
        {
            return Err(ResourceError::ForbiddenEncoding);
        }
        out.push(code);
    }
    String::from_utf8(out).map_err(|_| ResourceError::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        for (text, canonical) in [
            ("payment:refund:create", "payment:refund:create"),
            ("/", "/"),
            ("/api/v1/orders/{order_id}", "/api/v1/orders/{}"),
            ("/files/{*path}", "/files/{*}"),
            ("客户:资料", "客户:资料"),
        ] {
            let resource = Resource::parse(text).unwrap();
            assert_eq!(resource.canonical(), canonical);
            let segments: Vec<_> = resource.segments().collect();
            let body = canonical.trim_start_matches('/');
            let separator = if resource.is_route() { '/' } else { ':' };
            let expected: Vec<_> = body.split(separator).filter(|s| !s.is_empty()).collect();
            assert_eq!(segments, expected);
        }
    }

    #[test]
    fn patterns() {
        for good in [
            "a:*",
            "a:**",
            "/api/*/x",
            "/**",
            "**",
            "a:*:**",
            "/x/{id}/**",
            "/f/{*rest}",
        ] {
            assert!(Pattern::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "*", "a*", "a:b*", "/a/**/b", "/a/***", "/a//b", "", "a/b", "a:", ":a", "/a/", "/a?x=*",
        ] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn raw_paths_are_decoded_once() {
        assert_eq!(
            Resource::parse_path("/%61dmin").unwrap().canonical(),
            "/admin"
        );
        assert_eq!(
            Resource::parse_path("/%E5%AE%A2").unwrap().canonical(),
            "/客"
        );
        assert_eq!(
            Resource::parse_path("/a/{id}"),
            Err(ResourceError::ForbiddenCharacter)
        );
        assert_eq!(Resource::parse_path("/%ff"), Err(ResourceError::NotUtf8));
        assert_eq!(
            Resource::parse_path("/%2"),
            Err(ResourceError::StrayPercent)
        );
        assert_eq!(Resource::parse_path("a"), Err(ResourceError::NotAbsolute));
    }
}
