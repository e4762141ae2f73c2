//! axum extractors over what [`AuthenticateLayer`](crate::AuthenticateLayer) leaves in a request.

use std::convert::Infallible;
use std::ops::Deref;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;

use crate::authenticator::Identity;
use crate::claims::NoExtra;
use crate::verified::VerifiedToken;

/// The request's verified token; 401 when there is none.
///
/// `C` must be the layer's. `Option<Verified<C>>` serves routes that are also open without a layer.
#[derive(Debug)]
pub struct Verified<C = NoExtra>(pub VerifiedToken<C>);

impl<C> Clone for Verified<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C> Deref for Verified<C> {
    type Target = VerifiedToken<C>;

    fn deref(&self) -> &VerifiedToken<C> {
        &self.0
    }
}

/// The request has no verified token: 401 with a bare `Bearer` challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAuthenticated;

impl IntoResponse for NotAuthenticated {
    fn into_response(self) -> Response {
        let challenge = HeaderValue::from_static("Bearer");
        (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response()
    }
}

/// Who asks, whichever way that was found out; 401 when nobody found out.
impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = NotAuthenticated;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NotAuthenticated> {
        parts.extensions.get().cloned().ok_or(NotAuthenticated)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Identity {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().cloned())
    }
}

fn verified<C: Send + Sync + 'static>(parts: &Parts) -> Option<Verified<C>> {
    parts.extensions.get().cloned().map(Verified)
}

impl<C, S> FromRequestParts<S> for Verified<C>
where
    C: Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = NotAuthenticated;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NotAuthenticated> {
        verified(parts).ok_or(NotAuthenticated)
    }
}

impl<C, S> OptionalFromRequestParts<S> for Verified<C>
where
    C: Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(verified(parts))
    }
}
