//! The gateway: authenticate -> tenant -> authorize -> upstream -> audit.

pub mod proxy;
pub mod session;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get, post};

use self::proxy::Upstream;
use self::session::Sessions;
use crate::adapters::{Audit, authenticated, authorized};
use crate::audit_stream::open_audit;
use crate::config::GatewayConfig;
use crate::core_banking::load_policies;
use crate::error::Failure;
use crate::issuer::{Issuer, access_verifier, load_public_half};
use crate::users::Users;

/// The gateway, ready to be served.
#[derive(Debug, Clone)]
pub struct Gateway {
    sessions: Sessions,
    upstream: Upstream,
    access: Arc<sm_jwt::Verifier>,
    engine: abac_engine::Engine,
    audit: Audit,
}

impl Gateway {
    /// Opens everything that a configuration names.
    ///
    /// # Errors
    /// [`BadInput`](crate::error::BadInput) for the file that is at fault, else what failed.
    pub fn open(config: &GatewayConfig) -> Result<Self, Failure> {
        let key = load_public_half(&config.token_signing_key)?;
        let issuer = Issuer::load(&config.token_signing_key, &config.tokens)?;
        Ok(Self {
            sessions: Sessions::new(issuer, Users::load(&config.users)?),
            upstream: Upstream::new(config),
            access: Arc::new(access_verifier(&key, &config.tokens)?),
            engine: load_policies(&config.policies)?,
            audit: open_audit(&config.audit)?,
        })
    }

    /// The whole HTTP service.
    pub fn router(&self) -> Router {
        let confirmed = Router::new()
            .route(
                "/api/v1/session/transaction-token",
                post(session::confirm_payment),
            )
            .with_state(self.sessions.clone());
        let proxied = Router::new()
            .route("/api/v1/{*rest}", any(proxy::forward))
            .with_state(self.upstream.clone());
        let inside = authorized(confirmed.merge(proxied), self.engine.clone());
        let inside = authenticated(inside, Arc::clone(&self.access));
        let login = Router::new()
            .route("/api/v1/session/login", post(session::login))
            .with_state(self.sessions.clone());
        // What is forwarded has a limit of its own, in the configuration.
        let routes = inside
            .merge(login)
            .layer(DefaultBodyLimit::max(session::MAX_BODY_BYTES));
        self.audit
            .audited(routes)
            .merge(Router::new().route("/healthz", get(async || "ok\n")))
    }

    /// Ends the audit stream with a signed head.
    ///
    /// # Errors
    /// The last records did not become durable.
    pub async fn close(self) -> Result<(), Failure> {
        self.audit.close().await
    }
}
