//! The axum extractor of the decision that the layer left.

use axum_core::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;

use crate::decision::Decision;

/// The allow decision on the request at hand, for its obligations. Without the layer there is none, and the extractor
/// refuses with 403: a route that forgot the layer is closed, not open.
#[derive(Clone, Debug)]
pub struct Decided(pub Decision);

impl<S: Sync> FromRequestParts<S> for Decided {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        match parts.extensions.get::<Decision>() {
            Some(decision) if decision.is_allow() => Ok(Self(decision.clone())),
            _ => Err(StatusCode::FORBIDDEN),
        }
    }
}
