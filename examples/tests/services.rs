//! Attacks on the two services over real sockets, and whether the audit streams have them all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use audit_log::{CheckpointVerifyingKey, Verifier};
use axum::http::Method;
use examples::core_banking::store::Store;
use examples::customers::{Customer, generate_customers};
use examples::demo::client::{Client, Send};
use examples::demo::services::Services;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Both services and a few customers.
struct Bank {
    dir: TempDir,
    services: Services,
    customers: Vec<Customer>,
}

/// The records of both streams, each as canonical JSON.
struct Records {
    gateway: Vec<String>,
    core_banking: Vec<String>,
}

impl Bank {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let services = Services::start(dir.path(), &examples::setup::sample_staff())
            .await
            .unwrap();
        let customers = generate_customers(24, 5);
        services.bank.import(&customers).await.unwrap();
        Self {
            dir,
            services,
            customers,
        }
    }

    fn customer_of(&self, tenant: &str, branch: &str) -> &Customer {
        self.customers
            .iter()
            .find(|c| c.tenant_id == tenant && c.branch == branch)
            .unwrap()
    }

    /// A customer of the bank and branch of `lin`.
    fn ours(&self) -> &Customer {
        self.customer_of("jiangnan-bank", "suzhou-01")
    }

    async fn login(&self, user: &str) -> String {
        let found = self.services.users.iter().find(|u| u.staff.user == user);
        let found = found.unwrap();
        let login = json!({
            "tenant": found.staff.tenant, "user": user, "password": found.password,
        });
        let path = "/api/v1/session/login";
        self.post(path, Send::default().body(&login), "token").await
    }

    async fn post(&self, path: &str, what: Send<'_>, member: &str) -> String {
        let gateway = Client::new(self.services.gateway);
        let answer = gateway.send(Method::POST, path, what).await.unwrap();
        answer.text(member).expect("a token").to_owned()
    }

    /// Stops both and reads what they recorded; neither stream may have a gap.
    async fn stop(self) -> Records {
        self.services.stop().await.unwrap();
        let read = |service: &str| records(self.dir.path(), service);
        Records {
            gateway: read("gateway"),
            core_banking: read("core-banking"),
        }
    }
}

fn records(dir: &Path, service: &str) -> Vec<String> {
    let pem = std::fs::read_to_string(dir.join(format!("keys/{service}-audit.pub.pem"))).unwrap();
    let key = CheckpointVerifyingKey::from_spki_pem(format!("{service}-audit-1"), &pem).unwrap();
    let mut read = Vec::new();
    let report = Verifier::new([key])
        .verify_dir_with(dir.join("audit").join(service), |record| {
            read.push(String::from_utf8(record.bytes.to_vec()).unwrap());
        })
        .unwrap();
    assert!(report.is_intact(), "{report}");
    read
}

/// How many records contain a text.
fn count(records: &[String], text: &str) -> usize {
    records.iter().filter(|r| r.contains(text)).count()
}

/// Writes bytes that no HTTP client would write, and reads until the service closes.
async fn raw(service: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(service).await.unwrap();
        // The service may have refused before it read everything.
        let _ = stream.write_all(request.as_ref()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::time::timeout(TIME_LIMIT, exchange)
        .await
        .expect("an answer in time")
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("none")
}

fn request(method: &str, target: &str, headers: &[&str], body: &str) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: bank\r\nconnection: close\r\n");
    for header in headers {
        text += header;
        text += "\r\n";
    }
    if !body.is_empty() {
        text += &format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
    }
    text + "\r\n" + body
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_request_reaches_another_banks_row() {
    let bank = Bank::open().await;
    let tao = format!("authorization: Bearer {}", bank.login("tao").await);
    let lin = format!("authorization: Bearer {}", bank.login("lin").await);
    let ours = bank.ours();
    let id = &ours.customer_id;
    let rest = &id[1..];
    let targets = [
        format!("/api/v1/customers/{id}"),
        format!("//api/v1/customers/{id}"),
        format!("/api/v1//customers/{id}"),
        format!("/api/v1/customers//{id}"),
        format!("/api/v1/customers/../customers/{id}"),
        format!("/api/v1/customers/%2e%2e/customers/{id}"),
        format!("/api/v1/customers/%43{rest}"),
        format!("/api/v1/customers/{id}/"),
        format!("/api/v1/customers/{id}%2f"),
        format!("/api/v1/customers/{id}%2fdevice"),
        format!("/api/v1/customers/{id}%00"),
        format!("/api/v1/customers/{id};tenant=jiangnan-bank"),
        format!("/api/v1/customers/{id}?tenant_id=jiangnan-bank"),
        format!("/api/v1/%63ustomers/{id}"),
        format!("http://elsewhere.example/api/v1/customers/{id}"),
        format!("/api/v1/session/login/../../customers/{id}"),
    ];
    let headers = [
        tao.as_str(),
        "x-tenant-id: jiangnan-bank",
        "x-forwarded-for: 10.0.0.1",
        "connection: x-tenant-id, x-forwarded-for",
    ];
    for service in [bank.services.gateway, bank.services.core_banking] {
        for target in &targets {
            for method in ["GET", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get"] {
                let answer = raw(service, request(method, target, &headers, "")).await;
                assert!(
                    ["400", "403", "404", "405"].contains(&status(&answer)),
                    "{method} {target}: {answer}"
                );
                assert!(!answer.contains(&ours.name), "{method} {target}");
            }
        }
        // Two callers in one request are none.
        for both in [
            vec![tao.as_str(), lin.as_str()],
            vec![lin.as_str(), tao.as_str()],
            vec![lin.as_str(), lin.as_str()],
        ] {
            let answer = raw(service, request("GET", &targets[0], &both, "")).await;
            assert_eq!(status(&answer), "400", "{answer}");
            assert!(answer.contains("malformed_credentials"), "{answer}");
        }
        let answer = raw(service, request("GET", &targets[0], &[&lin], "")).await;
        assert_eq!(status(&answer), "200", "the row is there");
        assert!(answer.contains(&ours.name));
    }
    bank.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_recorded_whoever_takes_it() {
    let bank = Bank::open().await;
    let login = "/api/v1/session/login";
    let long_method = "M".repeat(4000);
    let huge = format!("{{\"tenant\":\"{}\"}}", "t".repeat(100_000));
    // A number in the place of a name: it must not be written.
    let number = "992511199001011234";
    let odd_tenant = json!({"tenant": number, "user": number, "password": number}).to_string();
    let anonymous = [
        ("GET", "/nothing-here", "", "404"),
        ("GET", "//api/v1/payments", "", "404"),
        ("GET", "/", "", "404"),
        ("OPTIONS", "*", "", "404"),
        ("CONNECT", "elsewhere.example:443", "", "404"),
        ("GET", "http://elsewhere.example", "", "404"),
        (long_method.as_str(), "/nothing-here", "", "404"),
        ("GET", "/api/v1/customers/C000001", "", "401"),
        ("POST", "/api/v1/payments", "{", "401"),
    ];
    let logins = [
        ("GET", login, "", "405"),
        ("POST", login, "{", "400"),
        ("POST", login, "[]", "422"),
        ("POST", login, huge.as_str(), "413"),
        (
            "POST",
            login,
            r#"{"tenant":"","user":"","password":""}"#,
            "401",
        ),
        (
            "POST",
            login,
            r#"{"tenant":"jiangnan-bank","user":"lin","password":"0"}"#,
            "401",
        ),
        ("POST", login, odd_tenant.as_str(), "401"),
    ];
    for (method, target, body, expected) in anonymous.iter().chain(&logins) {
        let answer = raw(bank.services.gateway, request(method, target, &[], body)).await;
        assert_eq!(status(&answer), *expected, "{target}: {answer}");
    }
    for (method, target, body, expected) in anonymous {
        let answer = raw(
            bank.services.core_banking,
            request(method, target, &[], body),
        )
        .await;
        assert_eq!(status(&answer), expected, "{target}: {answer}");
    }
    let records = bank.stop().await;
    assert_eq!(records.gateway.len(), anonymous.len() + logins.len());
    let key_uses = count(&records.core_banking, "KEY_USE");
    assert_eq!(records.core_banking.len() - key_uses, anonymous.len());
    for stream in [&records.gateway, &records.core_banking] {
        assert_eq!(count(stream, "no_such_route"), 7);
        assert_eq!(count(stream, "\"resource\":\"/nothing-here\""), 2);
    }
    assert_eq!(count(&records.gateway, "LOGIN_FAILURE"), 3);
    assert_eq!(count(&records.gateway, "\"tenant\":\"jiangnan-bank\""), 1);
    assert_eq!(count(&records.gateway, number), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_payments_with_one_token_store_one() {
    let bank = Bank::open().await;
    let lin = bank.login("lin").await;
    let payment = json!({
        "customer_id": bank.ours().customer_id,
        "payee_card": bank.ours().card_number,
        "amount_fen": 12_300,
    });
    let what = Send::token(&lin).body(&payment);
    let path = "/api/v1/session/transaction-token";
    let token = bank.post(path, what, "token").await;
    let core_banking = bank.services.core_banking;
    let attempts: Vec<_> = (0..50)
        .map(|_| {
            let (lin, token, payment) = (lin.clone(), token.clone(), payment.clone());
            tokio::spawn(async move {
                let headers = [("x-transaction-token", token.as_str())];
                let what = Send::token(&lin).body(&payment).headers(&headers);
                let client = Client::new(core_banking);
                let answer = client.send(Method::POST, "/api/v1/payments", what).await;
                answer.unwrap().summary()
            })
        })
        .collect();
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    for attempt in attempts {
        *answers.entry(attempt.await.unwrap()).or_default() += 1;
    }
    let expected = [("201".to_owned(), 1), ("401 replayed".to_owned(), 49)];
    assert_eq!(answers, BTreeMap::from(expected));
    assert_eq!(
        bank.services.bank.store().count_payments().await.unwrap(),
        1
    );
    let records = bank.stop().await;
    let payments = "\"resource\":\"/api/v1/payments\"";
    assert_eq!(count(&records.core_banking, payments), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_token_pays_for_one_payment_of_one_caller() {
    let bank = Bank::open().await;
    let lin = bank.login("lin").await;
    let (tao, mei) = (bank.login("tao").await, bank.login("mei").await);
    let payment = |customer: &Customer, fen: u32| {
        json!({
            "customer_id": customer.customer_id,
            "payee_card": bank.ours().card_number,
            "amount_fen": fen,
        })
    };
    let ours = payment(bank.ours(), 1);
    let theirs = payment(bank.customer_of("beihai-bank", "beihai-01"), 1);
    let pay = async |caller: &str, token: &str, payment: &Value| {
        let headers = [("x-transaction-token", token)];
        let what = Send::token(caller).body(payment).headers(&headers);
        let client = Client::new(bank.services.gateway);
        let answer = client.send(Method::POST, "/api/v1/payments", what).await;
        answer.unwrap().summary()
    };
    let confirm = async |caller: &str, payment: &Value| {
        let path = "/api/v1/session/transaction-token";
        let what = Send::token(caller).body(payment);
        bank.post(path, what, "token").await
    };
    let token = confirm(&lin, &ours).await;
    assert_eq!(
        pay(&mei, &token, &ours).await,
        "403 forbidden",
        "an analyst"
    );
    assert_eq!(pay(&tao, &token, &ours).await, "404 not_found", "a row");
    assert_eq!(
        pay(&tao, &token, &theirs).await,
        "401 transaction_token_of_another_user"
    );
    let token = confirm(&lin, &ours).await;
    assert_eq!(
        pay(&lin, &token, &payment(bank.ours(), 2)).await,
        "401 transaction_token_for_another_payment"
    );
    assert_eq!(pay(&lin, &lin, &ours).await, "401 type_mismatch");
    assert_eq!(
        pay(&token, &token, &ours).await,
        "401 type_mismatch",
        "the other way round"
    );
    assert_eq!(
        bank.services.bank.store().count_payments().await.unwrap(),
        0
    );
    bank.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_limited_however_they_are_framed() {
    let bank = Bank::open().await;
    let lin = format!("authorization: Bearer {}", bank.login("lin").await);
    let head = format!(
        "POST /api/v1/payments HTTP/1.1\r\nhost: bank\r\nconnection: close\r\n{lin}\r\n\
         content-type: application/json\r\n"
    );
    let gateway = bank.services.gateway;
    let declared = format!("{head}content-length: 99999999\r\n\r\n");
    assert_eq!(status(&raw(gateway, declared).await), "413");
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    let chunked = format!(
        "{head}transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(20)
    );
    assert_eq!(status(&raw(gateway, chunked).await), "413");
    // Two ways to say where the body ends are refused, or one is dropped: never both passed on.
    for (framing, expected) in [
        ("content-length: 2\r\ncontent-length: 3", "400"),
        ("transfer-encoding: chunked, identity", "400"),
        ("transfer-encoding: chunked\r\ncontent-length: 1", "422"),
    ] {
        let smuggled = format!("{head}{framing}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n");
        let answer = raw(gateway, smuggled).await;
        assert_eq!(status(&answer), expected, "{framing}: {answer}");
    }
    bank.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_is_recorded_all_the_same() {
    let bank = Bank::open().await;
    let lin = bank.login("lin").await;
    let payment = json!({
        "customer_id": bank.ours().customer_id,
        "payee_card": bank.ours().card_number,
        "amount_fen": 1,
    });
    let what = Send::token(&lin).body(&payment);
    let path = "/api/v1/session/transaction-token";
    let token = bank.post(path, what, "token").await;
    // The service asks for the body once the handler runs; then it gets all or some of it.
    let body = payment.to_string();
    for sent in [body.as_str(), "{"] {
        let head = format!(
            "POST /api/v1/payments HTTP/1.1\r\nhost: bank\r\nexpect: 100-continue\r\n\
             authorization: Bearer {lin}\r\nx-transaction-token: {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let go_away = async {
            let mut stream = TcpStream::connect(bank.services.core_banking)
                .await
                .unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut go_on = [0u8; 12];
            stream.read_exact(&mut go_on).await.unwrap();
            assert_eq!(&go_on, b"HTTP/1.1 100");
            stream.write_all(sent.as_bytes()).await.unwrap();
        };
        tokio::time::timeout(TIME_LIMIT, go_away)
            .await
            .expect("in time");
    }
    let database = bank.services.core_banking_config.database.clone();
    let dir = bank.dir.path().to_owned();
    let Bank {
        services,
        dir: _kept,
        ..
    } = bank;
    services.stop().await.unwrap();
    let records = records(&dir, "core-banking");
    let payments: Vec<String> = records
        .into_iter()
        .filter(|r| r.contains("\"resource\":\"/api/v1/payments\""))
        .collect();
    assert_eq!(payments.len(), 2);
    assert_eq!(count(&payments, "\"status\":201"), 1);
    assert_eq!(count(&payments, "\"status\":400"), 1);
    let store = Store::open(&database).await.unwrap();
    assert_eq!(store.count_payments().await.unwrap(), 1);
    store.close().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn files_with_names_or_keys_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let bank = Bank::open().await;
    let mut looked_at = 0;
    for folder in ["data", "keys", "audit/gateway", "audit/core-banking"] {
        for file in std::fs::read_dir(bank.dir.path().join(folder)).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().to_string_lossy().into_owned();
            let public = name.ends_with(".pub.pem") || name == "token-verifying.pem";
            let mode = file.metadata().unwrap().permissions().mode() & 0o077;
            assert!(public || mode == 0, "{folder}/{name}: {mode:o}");
            looked_at += 1;
        }
    }
    assert!(looked_at > 10, "{looked_at}");
    bank.stop().await;
}
