//! gRPC by tonic: an interceptor that checks tokens offline, and how a refusal is said there.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use http::{Response, StatusCode};
use serde::de::DeserializeOwned;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::{Code, Status};

use crate::authenticator::{AuthenticatedBy, Identity};
use crate::claims::NoExtra;
use crate::credentials::{Scheme, token};
use crate::error::Error;
use crate::presented::Presented;
use crate::refusal::{Refusal, RefusalResponse, sealed};
use crate::request_proof::ClientCertificate;
use crate::token::UnverifiedToken;
use crate::verified::VerifiedToken;
use crate::verifier::Verifier;

/// The gRPC status of a failed authentication: `UNAUTHENTICATED`, `UNAVAILABLE` when something failed that this service
/// stands on, `INTERNAL` when it was set up wrongly. Which rule failed is not told.
#[must_use]
pub fn grpc_status(error: &Error) -> Status {
    let (code, message) = match error {
        error if error.is_transient() => (Code::Unavailable, "authentication is not available"),
        error if error.is_wrong_setup() => (Code::Internal, "authentication is set up wrongly"),
        Error::MissingCredentials => (Code::Unauthenticated, "no credentials"),
        _ => (Code::Unauthenticated, "the credentials are not good"),
    };
    Status::new(code, message)
}

/// Says refusals of an [`AuthenticateLayer`](crate::AuthenticateLayer) in gRPC: HTTP status 200, and the status in
/// `grpc-status` (a response of trailers alone).
///
/// ```
/// # fn build(verifier: std::sync::Arc<sm_jwt::Verifier>) {
/// use sm_jwt::{AuthenticateLayer, GrpcRefusal, NoExtra};
/// let layer = AuthenticateLayer::<NoExtra>::new(verifier).on_refusal(GrpcRefusal);
/// // tonic::transport::Server::builder().layer(layer).add_service(...)
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct GrpcRefusal;

impl<B: Default> RefusalResponse<B> for GrpcRefusal {
    fn response(&self, refusal: &Refusal) -> Response<B> {
        let mut status = grpc_status(refusal.error());
        if let Some(nonce) = refusal.nonce()
            && let Ok(nonce) = MetadataValue::try_from(nonce.as_bytes())
        {
            status.metadata_mut().insert("dpop-nonce", nonce);
        }
        status.into_http()
    }

    fn mark(&self, refusal: Refusal, response: &mut Response<B>, _: sealed::Token) {
        // A client reads `grpc-status` only where HTTP says that all is well.
        *response.status_mut() = StatusCode::OK;
        response.extensions_mut().insert(refusal);
    }
}

/// An interceptor that checks bearer tokens offline: no store and no fetch of keys, as interceptors cannot wait. For
/// single-use tokens, revocation and DPoP take the [layer](GrpcRefusal).
///
/// Leaves [`Identity`] and `VerifiedToken<C>` in the request's extensions.
///
/// ```
/// # fn build(verifier: std::sync::Arc<sm_jwt::Verifier>) -> Result<(), sm_jwt::Error> {
/// use sm_jwt::{NoExtra, TokenInterceptor};
/// let interceptor = TokenInterceptor::<NoExtra>::new(verifier)?;
/// // MyServer::with_interceptor(my_service, interceptor)
/// # Ok(())
/// # }
/// ```
pub struct TokenInterceptor<C = NoExtra> {
    verifier: Arc<Verifier>,
    custom: PhantomData<fn() -> C>,
}

impl<C> TokenInterceptor<C> {
    /// Tokens that this verifier accepts offline.
    ///
    /// # Errors
    /// [`Error::ReplayCheckRequired`] and [`Error::RevocationCheckRequired`] for a verifier that has to ask a store.
    pub fn new(verifier: Arc<Verifier>) -> Result<Self, Error> {
        verifier.require_offline()?;
        Ok(Self {
            verifier,
            custom: PhantomData,
        })
    }
}

impl<C: DeserializeOwned + Send + Sync + 'static> TokenInterceptor<C> {
    fn check(&self, request: &tonic::Request<()>) -> Result<VerifiedToken<C>, Error> {
        let (scheme, token) =
            token(request.metadata().as_ref())?.ok_or(Error::MissingCredentials)?;
        if scheme == Scheme::Dpop {
            return Err(Error::ReplayCheckRequired);
        }
        let mut presented = Presented::new();
        if let Some(certificate) = request.extensions().get::<ClientCertificate>() {
            presented = presented.certificate(certificate.as_der());
        }
        let unverified = UnverifiedToken::parse(token, self.verifier.limits())?;
        self.verifier.verify_with(unverified, &presented)
    }
}

impl<C: DeserializeOwned + Send + Sync + 'static> Interceptor for TokenInterceptor<C> {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        let extensions = request.extensions_mut();
        extensions.remove::<Identity>();
        extensions.remove::<VerifiedToken<C>>();
        let token = self.check(&request).map_err(|error| grpc_status(&error))?;
        let extensions = request.extensions_mut();
        extensions.insert(Identity::of_token(AuthenticatedBy::Token, token.claims()));
        extensions.insert(token);
        Ok(request)
    }
}

impl<C> Clone for TokenInterceptor<C> {
    fn clone(&self) -> Self {
        Self {
            verifier: Arc::clone(&self.verifier),
            custom: PhantomData,
        }
    }
}

impl<C> fmt::Debug for TokenInterceptor<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenInterceptor")
            .field("verifier", &self.verifier)
            .finish()
    }
}
