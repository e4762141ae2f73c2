//! One trace id through gateway, service, key use and audit record: W3C Trace Context.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

/// The header's name.
pub const TRACEPARENT: &str = "traceparent";

/// The trace that a request belongs to, in its extensions and in those of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: String,
    span_id: String,
}

impl TraceContext {
    /// Continues the caller's trace under a new span, or begins one where the header is absent or
    /// malformed (W3C Trace Context, section 3.2).
    ///
    /// # Errors
    /// The operating system's random number generator failed.
    pub fn continue_from(headers: &HeaderMap) -> Result<Self, getrandom::Error> {
        let mut random = [0u8; 24];
        getrandom::fill(&mut random)?;
        let (trace, span) = random.split_at(16);
        let mut given = headers.get_all(TRACEPARENT).iter();
        let trace_id = match (given.next(), given.next()) {
            (Some(one), None) => parse_trace_id(one),
            _ => None,
        };
        Ok(Self {
            trace_id: trace_id.unwrap_or_else(|| hex(trace)),
            span_id: hex(span),
        })
    }

    /// Begins a trace for work that no request asked for.
    ///
    /// # Errors
    /// As [`continue_from`](Self::continue_from).
    pub fn begin() -> Result<Self, getrandom::Error> {
        Self::continue_from(&HeaderMap::new())
    }

    /// 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> &str {
        &self.span_id
    }

    /// The header for the next hop.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("00-{}-{}-01", self.trace_id, self.span_id)).ok()
    }
}

fn parse_trace_id(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lower_hex = |t: &str, len: usize| {
        t.len() == len
            && t.bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let zero = |t: &str| t.bytes().all(|b| b == b'0');
    let well_formed = lower_hex(version, 2)
        && version != "ff"
        && (version != "00" || parts.next().is_none())
        && lower_hex(trace, 32)
        && !zero(trace)
        && lower_hex(span, 16)
        && !zero(span)
        && lower_hex(flags, 2);
    well_formed.then(|| trace.to_owned())
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// axum middleware: puts the [`TraceContext`] into the request's and the answer's extensions and
/// tells the caller its trace id. Without random numbers there is no service: 503.
pub async fn trace_requests(mut request: Request, next: Next) -> Response {
    let Ok(trace) = TraceContext::continue_from(request.headers()) else {
        return crate::http::refuse(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "random_failure",
        );
    };
    request.extensions_mut().insert(trace.clone());
    let mut response = next.run(request).await;
    if let Some(header) = trace.header() {
        response.headers_mut().insert(TRACEPARENT, header);
    }
    response.extensions_mut().insert(trace);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace_of(value: &str) -> TraceContext {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        TraceContext::continue_from(&headers).unwrap()
    }

    #[test]
    fn only_a_well_formed_header_is_continued() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let good = trace_of(&format!("00-{id}-00f067aa0ba902b7-01"));
        assert_eq!(good.trace_id(), id);
        assert_ne!(good.span_id(), "00f067aa0ba902b7");
        for bad in [
            format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
            format!("ff-{id}-00f067aa0ba902b7-01"),
            format!("00-{id}-0000000000000000-01"),
            format!("00-{id}-00f067aa0ba902b7-01-x"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            id.to_owned(),
        ] {
            let fresh = trace_of(&bad);
            assert_ne!(fresh.trace_id(), id, "{bad}");
            assert_eq!(fresh.trace_id().len(), 32);
        }
    }
}
