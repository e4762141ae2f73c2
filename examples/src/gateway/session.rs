//! Login and the confirmation of payments: where tokens come from.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use crate::adapters::{SessionNote, StaffToken};
use crate::http::refuse;
use crate::issuer::{Issuer, Payment};
use crate::trace::hex;
use crate::users::Users;

/// Issuer and users.
#[derive(Debug, Clone)]
pub struct Sessions {
    issuer: Arc<Issuer>,
    users: Arc<Users>,
    /// Password checks use 19 MiB each: at most so many at a time, the rest are refused.
    checks: Arc<tokio::sync::Semaphore>,
}

const MAX_PASSWORD_CHECKS: usize = 8;
/// Largest body of a login or a confirmation.
pub(super) const MAX_BODY_BYTES: usize = 16 << 10;

impl Sessions {
    /// Sessions of these users.
    #[must_use]
    pub fn new(issuer: Issuer, users: Users) -> Self {
        Self {
            issuer: Arc::new(issuer),
            users: Arc::new(users),
            checks: Arc::new(tokio::sync::Semaphore::new(MAX_PASSWORD_CHECKS)),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    tenant: String,
    user: String,
    password: zeroize::Zeroizing<String>,
}

#[derive(Serialize)]
struct Token {
    token: String,
}

/// `POST /api/v1/session/login`: password against access token.
pub(super) async fn login(
    State(sessions): State<Sessions>,
    body: Result<Json<Login>, JsonRejection>,
) -> Response {
    let Login {
        tenant,
        user,
        password,
    } = match body {
        Ok(Json(login)) => login,
        Err(rejection) => return refuse(rejection.status(), "malformed_body"),
    };
    let mut note = SessionNote {
        tenant: sessions.users.has_tenant(&tenant).then(|| tenant.clone()),
        user: user.clone(),
        session: None,
    };
    let Ok(permit) = Arc::clone(&sessions.checks).try_acquire_owned() else {
        return (
            Extension(note),
            refuse(StatusCode::TOO_MANY_REQUESTS, "login_busy"),
        )
            .into_response();
    };
    let users = Arc::clone(&sessions.users);
    let checked = tokio::task::spawn_blocking(move || {
        let staff = users.authenticate(&tenant, &user, &password).cloned();
        drop(permit);
        staff
    });
    let response = match checked.await {
        Ok(Some(staff)) => {
            let mut random = [0u8; 16];
            let session = getrandom::fill(&mut random).ok().map(|()| hex(&random));
            let token = session
                .as_ref()
                .and_then(|s| sessions.issuer.access_token(&staff, s).ok());
            match token {
                Some(token) => {
                    note.session = session;
                    Json(Token { token }).into_response()
                }
                None => refuse(StatusCode::SERVICE_UNAVAILABLE, "token_not_issued"),
            }
        }
        Ok(None) => refuse(StatusCode::UNAUTHORIZED, "wrong_user_or_password"),
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "login_failed"),
    };
    (Extension(note), response).into_response()
}

/// `POST /api/v1/session/transaction-token`: the caller confirms one payment and gets the one-time
/// token for it.
pub(super) async fn confirm_payment(
    State(sessions): State<Sessions>,
    Extension(caller): Extension<StaffToken>,
    body: Result<Json<Payment>, JsonRejection>,
) -> Response {
    let Json(payment) = match body {
        Ok(payment) => payment,
        Err(rejection) => return refuse(rejection.status(), "malformed_body"),
    };
    match sessions.issuer.payment_token(caller.claims(), &payment) {
        Ok(token) => Json(Token { token }).into_response(),
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "token_not_issued"),
    }
}
