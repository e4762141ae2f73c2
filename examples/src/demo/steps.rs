//! The steps: what a client, a thief and an intruder try, and what must come of it.

use std::path::Path;
use std::sync::Arc;

use axum::http::Method;
use serde_json::{Value, json};
use sm_jwt::ManualClock;

use super::Cast;
use super::client::{Answer, Client, Send};
use super::report::Report;
use super::services::Services;
use super::tamper;
use crate::config::AuditConfig;
use crate::core_banking::api::TRANSACTION_TOKEN;
use crate::customers::Customer;
use crate::error::{BadInput, Failure, read_text};
use crate::gateway::proxy::TENANT;
use crate::issuer::Issuer;

/// Every step that needs the services up.
pub(super) async fn drive(
    report: &mut Report,
    services: &Services,
    customers: &[Customer],
    cast: &Cast<'_>,
) -> Result<(), Failure> {
    let client = Client::new(services.gateway);
    at_rest(report, services, customers).await?;
    let tokens = logins(report, services, &client).await?;
    reads_and_writes(report, &client, &tokens, cast).await?;
    tokens_tried_again(report, services, &client, &tokens, cast).await?;
    payments(report, services, &client, &tokens, cast).await?;
    swapped_ciphertexts(report, services, &client, &tokens, cast).await
}

struct Tokens {
    manager: String,
    analyst: String,
    stranger: String,
}

fn profile(customer: &Customer) -> String {
    format!("/api/v1/customers/{}", customer.customer_id)
}

async fn at_rest(
    report: &mut Report,
    services: &Services,
    customers: &[Customer],
) -> Result<(), Failure> {
    report.step(
        "customers loaded, sensitive columns sealed",
        format!("{} rows", customers.len()),
        format!(
            "{} rows",
            services
                .bank
                .store()
                .count_customers()
                .await
                .map_err(Failure::other)?
        ),
    );
    let database = &services.core_banking_config.database;
    let (found, searched) = tamper::plaintexts_in_database(database, customers)?;
    report.step(
        "database files searched for identity, card and phone numbers, serials, tracks",
        format!("0 of {searched} values in clear"),
        format!("{found} of {searched} values in clear"),
    );
    Ok(())
}

async fn logins(
    report: &mut Report,
    services: &Services,
    client: &Client,
) -> Result<Tokens, Failure> {
    let login = async |user: usize, password: Option<&str>| -> Result<Answer, Failure> {
        let user = services
            .users
            .get(user)
            .ok_or_else(|| Failure::other("no such user"))?;
        let body = json!({
            "tenant": user.staff.tenant,
            "user": user.staff.user,
            "password": password.unwrap_or(&user.password),
        });
        client
            .send(
                Method::POST,
                "/api/v1/session/login",
                Send::default().body(&body),
            )
            .await
    };
    let wrong = login(0, Some("wrong")).await?;
    report.step(
        "login with a wrong password",
        "401 wrong_user_or_password",
        wrong.summary(),
    );
    let mut tokens = Vec::new();
    for user in 0..services.users.len() {
        let token = login(user, None)
            .await?
            .text("token")
            .map(ToOwned::to_owned);
        tokens.extend(token);
    }
    report.step(
        "login of a manager, an analyst, and a manager of another bank",
        "3 access tokens",
        format!("{} access tokens", tokens.len()),
    );
    match <[String; 3]>::try_from(tokens) {
        Ok([manager, analyst, stranger]) => Ok(Tokens {
            manager,
            analyst,
            stranger,
        }),
        Err(_) => Err(Failure::other("no token, no further steps")),
    }
}

fn clear_columns(answer: &Answer, customer: &Customer) -> usize {
    let clear = [
        ("name", &customer.name),
        ("id_number", &customer.id_number),
        ("card_number", &customer.card_number),
        ("phone", &customer.phone),
        ("device_serial", &customer.device_serial),
        ("track", &customer.track),
    ];
    clear
        .iter()
        .filter(|(member, value)| answer.text(member) == Some(value))
        .count()
}

async fn reads_and_writes(
    report: &mut Report,
    client: &Client,
    tokens: &Tokens,
    cast: &Cast<'_>,
) -> Result<(), Failure> {
    let path = profile(cast.ours);
    let read = async |token: &str, headers: &[(&str, &str)]| {
        client
            .send(Method::GET, &path, Send::token(token).headers(headers))
            .await
    };

    let answer = read(&tokens.manager, &[]).await?;
    report.step(
        "allowed read: the manager reads a customer",
        "200, 6 of 6 columns in clear as in the file",
        format!(
            "{}, {} of 6 columns in clear as in the file",
            answer.summary(),
            { clear_columns(&answer, cast.ours) }
        ),
    );

    let masked = read(&tokens.analyst, &[]).await?;
    report.step(
        "masked read: the analyst reads the same customer (obligation `mask`)",
        "200, 0 of 6 columns in clear, 6 masked",
        format!(
            "{}, {} of 6 columns in clear, {} masked",
            masked.summary(),
            clear_columns(&masked, cast.ours),
            masked
                .json
                .get("masked")
                .and_then(Value::as_array)
                .map_or(0, Vec::len),
        ),
    );
    let shown = |member| masked.text(member).unwrap_or("-");
    report.say(&format!(
        "       the analyst sees  {}  {}  {}  {}",
        shown("name"),
        shown("id_number"),
        shown("card_number"),
        shown("phone")
    ));

    let device = json!({"device_serial": "SN-0001-DEMO0001", "track": "120.62 31.30 1764000000"});
    let put = async |token: &str| {
        let what = Send::token(token).body(&device);
        client
            .send(Method::PUT, &format!("{path}/device"), what)
            .await
    };
    let written = put(&tokens.manager).await?;
    let back = read(&tokens.manager, &[]).await?;
    report.step(
        "write: the manager binds a device, then reads it back",
        "204, then 200 SN-0001-DEMO0001",
        format!(
            "{}, then {} {}",
            written.summary(),
            back.summary(),
            back.text("device_serial").unwrap_or("-")
        ),
    );
    let refused = put(&tokens.analyst).await?;
    report.step("write by the analyst", "403 forbidden", refused.summary());

    let foreign = read(&tokens.stranger, &[(TENANT, &cast.ours.tenant_id)]).await?;
    report.step(
        "cross-tenant: another bank's manager asks for it, with a forged X-Tenant-ID",
        "404 not_found",
        foreign.summary(),
    );
    Ok(())
}

async fn tokens_tried_again(
    report: &mut Report,
    services: &Services,
    client: &Client,
    tokens: &Tokens,
    cast: &Cast<'_>,
) -> Result<(), Failure> {
    let path = profile(cast.ours);
    let read = async |token: &str| client.send(Method::GET, &path, Send::token(token)).await;
    let (first, second) = (read(&tokens.manager).await?, read(&tokens.manager).await?);
    report.step(
        "an access token used twice (multi-use)",
        "200, then 200",
        format!("{}, then {}", first.summary(), second.summary()),
    );

    let config = &services.gateway_config;
    let staff = services
        .users
        .first()
        .ok_or_else(|| Failure::other("no user"))?
        .staff
        .clone();
    let past = crate::core_banking::api::unix_seconds().saturating_sub(7200);
    let expired = Issuer::load(&config.token_signing_key, &config.tokens)?
        .with_clock(Arc::new(ManualClock::new(past)))
        .access_token(&staff, "demo")
        .map_err(Failure::other)?;
    let answer = read(&expired).await?;
    report.step(
        "a token issued two hours ago",
        "401 expired",
        answer.summary(),
    );

    let answer = read(&tampered(&tokens.analyst)).await?;
    report.step(
        "a tampered token: the analyst's, with the role `manager` written in",
        "401 bad_signature",
        answer.summary(),
    );
    let answer = client.send(Method::GET, &path, Send::default()).await?;
    report.step("no token", "401 missing_credentials", answer.summary());
    Ok(())
}

/// The same token with another role in its payload, under the old signature.
fn tampered(token: &str) -> String {
    use base64ct::{Base64UrlUnpadded, Encoding as _};
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return String::new();
    };
    let clear = Base64UrlUnpadded::decode_vec(payload).unwrap_or_default();
    let forged = String::from_utf8_lossy(&clear).replace("analyst", "manager");
    format!(
        "{header}.{}.{signature}",
        Base64UrlUnpadded::encode_string(forged.as_bytes())
    )
}

async fn payments(
    report: &mut Report,
    services: &Services,
    client: &Client,
    tokens: &Tokens,
    cast: &Cast<'_>,
) -> Result<(), Failure> {
    let order = |fen: u32| {
        json!({"customer_id": cast.ours.customer_id, "payee_card": cast.neighbour.card_number,
               "amount_fen": fen})
    };
    let confirm = async || -> Result<String, Failure> {
        let body = order(12_345);
        let what = Send::token(&tokens.manager).body(&body);
        let answer = client
            .send(Method::POST, "/api/v1/session/transaction-token", what)
            .await?;
        Ok(answer.text("token").unwrap_or_default().to_owned())
    };
    let pay = async |confirmed: &str, fen: u32| {
        let headers = [(TRANSACTION_TOKEN, confirmed)];
        let body = order(fen);
        let what = Send::token(&tokens.manager).headers(&headers).body(&body);
        client.send(Method::POST, "/api/v1/payments", what).await
    };
    let count = async || {
        services
            .bank
            .store()
            .count_payments()
            .await
            .map_err(Failure::other)
    };

    let confirmed = confirm().await?;
    let paid = pay(&confirmed, 12_345).await?;
    report.step(
        "a payment with its one-time transaction token",
        "201, 1 payment stored",
        format!("{}, {} payment stored", paid.summary(), count().await?),
    );
    let again = pay(&confirmed, 12_345).await?;
    report.step(
        "the same transaction token replayed",
        "401 replayed, 1 payment stored",
        format!("{}, {} payment stored", again.summary(), count().await?),
    );
    let confirmed = confirm().await?;
    let other = pay(&confirmed, 99_999_999).await?;
    report.step(
        "a transaction token used for another amount",
        "401 transaction_token_for_another_payment, 1 payment stored",
        format!("{}, {} payment stored", other.summary(), count().await?),
    );
    Ok(())
}

async fn swapped_ciphertexts(
    report: &mut Report,
    services: &Services,
    client: &Client,
    tokens: &Tokens,
    cast: &Cast<'_>,
) -> Result<(), Failure> {
    let path = profile(cast.ours);
    let (one, other) = (&cast.ours.customer_id, &cast.neighbour.customer_id);
    let database = &services.core_banking_config.database;
    tamper::swap_identity_numbers(database, one, other).await?;
    let swapped = client
        .send(Method::GET, &path, Send::token(&tokens.manager))
        .await?;
    tamper::swap_identity_numbers(database, one, other).await?;
    let back = client
        .send(Method::GET, &path, Send::token(&tokens.manager))
        .await?;
    report.step(
        "two customers' identity ciphertexts swapped in the database, then swapped back",
        "500 field_integrity, then 200",
        format!("{}, then {}", swapped.summary(), back.summary()),
    );
    Ok(())
}

/// The steps on the audit streams, after both services have stopped.
pub(super) fn check_audit(
    report: &mut Report,
    dir: &Path,
    gateway: &AuditConfig,
    bank: &AuditConfig,
) -> Result<(), Failure> {
    let gateway_verifier = verifier(dir, "gateway", gateway)?;
    let bank_verifier = verifier(dir, "core-banking", bank)?;
    let mut denials = 0;
    let mut key_uses = 0;
    let mut clear = 0;
    let front = gateway_verifier
        .verify_dir(&gateway.dir)
        .map_err(Failure::other)?;
    let back = bank_verifier
        .verify_dir_with(&bank.dir, |record| {
            let text = String::from_utf8_lossy(record.bytes);
            denials += usize::from(text.contains("rows-stay-with-their-bank"));
            key_uses += usize::from(text.contains("KEY_USE"));
            clear += usize::from(text.contains("\"lin\"") || text.contains("\"tao\""));
        })
        .map_err(Failure::other)?;
    report.step(
        "both audit streams verified offline: chain, Merkle root, signed heads",
        "2 streams intact",
        format!(
            "{} streams intact",
            u8::from(front.is_intact()) + u8::from(back.is_intact())
        ),
    );
    report.say(&format!(
        "       {} and {} records, {key_uses} of them key uses",
        front.records(),
        back.records(),
    ));
    report.step(
        "the cross-tenant attempt in the stream, under pseudonyms",
        "1 denial by rows-stay-with-their-bank, 0 user names in clear",
        format!("{denials} denial by rows-stay-with-their-bank, {clear} user names in clear"),
    );

    let copy = dir.join("audit/edited");
    tamper::copy_folder(&bank.dir, &copy)?;
    let file = tamper::edit_audit_record(
        &copy,
        "rows-stay-with-their-bank",
        "rows-move-among-the-banks",
    )?;
    let edited = bank_verifier.verify_dir(&copy).map_err(Failure::other)?;
    report.step(
        "one word edited in a copy of the stream, its checksum repaired",
        format!("not intact, problem in {file}"),
        match edited.problems().first() {
            Some(problem) => format!("not intact, problem in {}", problem.file),
            None => "intact".to_owned(),
        },
    );
    if let Some(problem) = edited.problems().first() {
        report.say(&format!("       {}", problem.detail));
    }
    Ok(())
}

fn verifier(
    dir: &Path,
    service: &str,
    audit: &AuditConfig,
) -> Result<audit_log::Verifier, Failure> {
    let path = dir.join(format!("keys/{service}-audit.pub.pem"));
    let pem = read_text(&path, 16 << 10)?;
    let key = audit_log::CheckpointVerifyingKey::from_spki_pem(&audit.key_id, &pem)
        .map_err(|e| BadInput::file(&path, e))?;
    Ok(audit_log::Verifier::new([key]))
}
