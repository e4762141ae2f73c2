//! The HTTP side: authenticate, load the row, decide on it, use keys, answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use abac_engine::{Decision, Engine};
use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use sm_fieldcrypt::{KeyUser, mask};
use sm_jwt::Verifier;

use super::fields::{COLUMNS, Column, Fields};
use super::store::{CustomerRow, PaymentRow, Store};
use crate::adapters::{Audit, StaffToken, access_request};
use crate::customers::{check_card_number, check_device_serial, check_track};
use crate::http::refuse;
use crate::issuer::{Payment, PaymentClaims};
use crate::trace::{TraceContext, hex};

/// The header that carries a one-time transaction token.
pub const TRANSACTION_TOKEN: &str = "x-transaction-token";
/// The only obligation that this service knows how to meet; a decision with another is not used.
const MASK: &str = "mask";

/// What the handlers need.
#[derive(Debug, Clone)]
pub struct Bank {
    pub(crate) store: Store,
    pub(crate) fields: Fields,
    pub(crate) engine: Engine,
    pub(crate) audit: Audit,
    pub(crate) payments: Arc<Verifier>,
}

/// The routes behind the authentication layer.
pub fn routes(bank: Bank) -> Router {
    Router::new()
        .route("/api/v1/customers/{customer_id}", get(read_customer))
        .route("/api/v1/customers/{customer_id}/device", put(bind_device))
        .route("/api/v1/payments", post(pay))
        .with_state(bank)
}

/// A customer as answered. Masked columns carry their masked form, or nothing where a column has
/// none, and are listed in `masked`.
#[derive(Serialize)]
struct CustomerView {
    customer_id: String,
    tenant_id: String,
    branch: String,
    name: Option<String>,
    id_number: Option<String>,
    card_number: Option<String>,
    phone: Option<String>,
    device_serial: Option<String>,
    track: Option<String>,
    masked: Vec<String>,
}

/// A device binding.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Device {
    device_serial: String,
    track: String,
}

/// A refusal or failure, with the decision behind it where there is one.
struct ApiError {
    status: StatusCode,
    code: &'static str,
    decision: Option<Box<Decision>>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str) -> Self {
        Self {
            status,
            code,
            decision: None,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let mut response = refuse(self.status, self.code);
        if let Some(decision) = self.decision {
            response.extensions_mut().insert(*decision);
        }
        response
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(_: sqlx::Error) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "database_failure")
    }
}

impl From<sm_fieldcrypt::Error> for ApiError {
    fn from(error: sm_fieldcrypt::Error) -> Self {
        use sm_fieldcrypt::Error as E;
        match error {
            E::Refused { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "key_use_refused"),
            // A cell that does not open in its place was moved, changed or sealed by nobody we know.
            E::Open
            | E::Envelope { .. }
            | E::Policy { .. }
            | E::Window { .. }
            | E::UnknownKey { .. } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "field_integrity")
            }
            _ => Self::new(StatusCode::SERVICE_UNAVAILABLE, "key_failure"),
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), "malformed_body")
    }
}

async fn read_customer(
    State(bank): State<Bank>,
    Extension(caller): Extension<StaffToken>,
    Extension(trace): Extension<TraceContext>,
    Path(customer_id): Path<String>,
) -> Result<impl IntoResponse, ApiError> {
    let (row, decision) = bank
        .decide_on_row(&caller, &customer_id, "read", "customer:profile")
        .await?;
    let masked: BTreeSet<String> = decision
        .strings(MASK)
        .into_iter()
        .map(ToOwned::to_owned)
        .collect();
    let user = bank.audit.key_user(&caller, &trace);
    let view = bank.view(row, &masked, &user).await?;
    Ok((Extension(decision), Json(view)))
}

async fn bind_device(
    State(bank): State<Bank>,
    Extension(caller): Extension<StaffToken>,
    Extension(trace): Extension<TraceContext>,
    Path(customer_id): Path<String>,
    body: Result<Json<Device>, JsonRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let (row, decision) = bank
        .decide_on_row(&caller, &customer_id, "update", "customer:device")
        .await?;
    let Json(device) = body?;
    check_device_serial(&device.device_serial)
        .map_err(|_| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_device_serial"))?;
    check_track(&device.track)
        .map_err(|_| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_track"))?;
    let user = bank.audit.key_user(&caller, &trace);
    let seal = async |column, value| {
        bank.fields
            .seal(column, &row.tenant_id, &row.customer_id, value, &user)
            .await
    };
    let serial = seal(Column::DeviceSerial, &device.device_serial).await?;
    let track = seal(Column::Track, &device.track).await?;
    bank.store
        .update_device(&row.tenant_id, &row.customer_id, &serial, &track)
        .await?;
    Ok((StatusCode::NO_CONTENT, Extension(decision)))
}

#[derive(Debug, Serialize)]
struct Paid {
    payment_id: String,
}

async fn pay(
    State(bank): State<Bank>,
    Extension(caller): Extension<StaffToken>,
    Extension(trace): Extension<TraceContext>,
    headers: HeaderMap,
    body: Result<Json<Payment>, JsonRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let Json(payment) = body?;
    let (row, decision) = bank
        .decide_on_row(&caller, &payment.customer_id, "create", "customer:payment")
        .await?;
    if payment.amount_fen == 0 || check_card_number(&payment.payee_card).is_err() {
        return Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad_payment",
        ));
    }
    let token_id = bank
        .consume_payment_token(&caller, &headers, &payment)
        .await?;
    let payment_id = new_id()?;
    let user = bank.audit.key_user(&caller, &trace);
    let payee_card = bank
        .fields
        .seal_payee(&row.tenant_id, &payment_id, &payment.payee_card, &user)
        .await?;
    let created_at = unix_seconds();
    let stored = PaymentRow {
        payment_id,
        tenant_id: row.tenant_id,
        customer_id: row.customer_id,
        payee_card,
        amount_fen: payment.amount_fen,
        token_id,
        created_at,
    };
    bank.store
        .insert_payment(&stored)
        .await
        .map_err(|e| match e.as_database_error() {
            // The replay store forgot the token, the database did not.
            Some(e) if e.is_unique_violation() => {
                ApiError::new(StatusCode::UNAUTHORIZED, "replayed")
            }
            _ => e.into(),
        })?;
    let paid = Paid {
        payment_id: stored.payment_id,
    };
    Ok((StatusCode::CREATED, Extension(decision), Json(paid)))
}

impl Bank {
    /// Loads a row and decides on it. A row of another bank answers exactly as one that does not
    /// exist; the audit record tells them apart.
    async fn decide_on_row(
        &self,
        caller: &StaffToken,
        customer_id: &str,
        action: &str,
        resource: &str,
    ) -> Result<(CustomerRow, Decision), ApiError> {
        let not_found = || ApiError::new(StatusCode::NOT_FOUND, "not_found");
        let forbidden = || ApiError::new(StatusCode::FORBIDDEN, "forbidden");
        let row = self
            .store
            .customer(customer_id)
            .await?
            .ok_or_else(not_found)?;
        let request = access_request(caller)
            .map_err(|_| forbidden())?
            .action(action)
            .resource(resource)
            .resource_attr("tenant_id", row.tenant_id.as_str())
            .resource_attr("branch", row.branch.as_str())
            .build()
            .map_err(|_| forbidden())?;
        let decision = self.engine.decide(&request);
        if decision.is_allow() && decision.check_obligations(&[MASK]).is_ok() {
            return Ok((row, decision));
        }
        let ours = caller.claims().tenant_id() == Some(row.tenant_id.as_str());
        let mut error = if ours { forbidden() } else { not_found() };
        error.decision = Some(Box::new(decision));
        Err(error)
    }

    /// Opens what may be shown; a masked column is opened only if its masked form needs it.
    async fn view(
        &self,
        row: CustomerRow,
        masked: &BTreeSet<String>,
        user: &KeyUser,
    ) -> Result<CustomerView, ApiError> {
        let known = COLUMNS.iter().map(|c| c.name()).chain(["name"]);
        if !masked.iter().all(|m| known.clone().any(|k| k == m)) {
            // A mask that names no column here would silently mask nothing.
            return Err(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "unknown_mask",
            ));
        }
        let mut values: [Option<String>; COLUMNS.len()] = Default::default();
        for ((value, column), sealed) in values.iter_mut().zip(COLUMNS).zip(&row.sealed) {
            let masking: Option<fn(&str) -> String> = match column {
                _ if !masked.contains(column.name()) => Some(str::to_owned),
                Column::IdNumber => Some(mask::identity_number),
                Column::CardNumber => Some(mask::bank_card),
                Column::Phone => Some(mask::phone),
                // No part of these may be shown, so they are not even opened.
                Column::DeviceSerial | Column::Track => None,
            };
            let Some(masking) = masking else { continue };
            let opened = self
                .fields
                .open(column, &row.tenant_id, &row.customer_id, sealed, user)
                .await?;
            let text = opened.expose_str().ok_or_else(|| {
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "field_integrity")
            })?;
            *value = Some(masking(text));
        }
        let [id_number, card_number, phone, device_serial, track] = values;
        let name = if masked.contains("name") {
            mask::name(&row.name)
        } else {
            row.name
        };
        Ok(CustomerView {
            customer_id: row.customer_id,
            tenant_id: row.tenant_id,
            branch: row.branch,
            name: Some(name),
            id_number,
            card_number,
            phone,
            device_serial,
            track,
            masked: masked.iter().cloned().collect(),
        })
    }

    /// Consumes the one-time token that confirms exactly this payment of exactly this caller.
    async fn consume_payment_token(
        &self,
        caller: &StaffToken,
        headers: &HeaderMap,
        payment: &Payment,
    ) -> Result<String, ApiError> {
        let refused = |code| ApiError::new(StatusCode::UNAUTHORIZED, code);
        let mut given = headers.get_all(TRANSACTION_TOKEN).iter();
        let (Some(header), None) = (given.next(), given.next()) else {
            return Err(refused("transaction_token_missing"));
        };
        let text = header
            .to_str()
            .map_err(|_| refused("transaction_token_malformed"))?;
        let token = self
            .payments
            .accept::<PaymentClaims>(text)
            .await
            .map_err(|e| match e {
                sm_jwt::Error::ReplayStore(_) => {
                    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, e.code())
                }
                _ => refused(e.code()),
            })?;
        let (ours, theirs) = (caller.claims(), token.claims());
        if theirs.subject() != ours.subject() || theirs.tenant_id() != ours.tenant_id() {
            return Err(refused("transaction_token_of_another_user"));
        }
        if token.extra().payment != *payment {
            return Err(refused("transaction_token_for_another_payment"));
        }
        Ok(theirs.token_id().to_owned())
    }
}

/// Unix seconds now.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}

fn new_id() -> Result<String, ApiError> {
    let mut random = [0u8; 16];
    getrandom::fill(&mut random)
        .map_err(|_| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "random_failure"))?;
    Ok(hex(&random))
}
