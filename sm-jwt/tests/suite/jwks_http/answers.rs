//! What an answer must be, TLS, configurations, and the end of the task.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use tokio::time::advance;

#[test]
fn a_wrong_answer_is_a_failed_fetch_and_replaces_nothing() {
    with_still_time(async {
        let key = Key::new("good");
        let other = Key::new("other");
        let good = jwks(&[&key]);
        let server = Server::start(Reply::json(good.clone()));
        let keys = RemoteKeys::connect(config(&server).max_bytes(4096))
            .await
            .unwrap();
        let verifier = verifier(&keys);
        let fill = |length: usize| format!("{{\"keys\":[],\"x\":\"{}\"}}", "y".repeat(length));
        let private = SigningKey::generate()
            .unwrap()
            .to_jwk(Some(&kid("private")));
        let json = |text: &str| Reply::json(text);
        let answers = [
            (json("{\"keys\":["), "JWK set: "),
            (json("[]"), "not a JSON object"),
            (json("{}"), "no `keys`"),
            (json(""), "not a JSON object"),
            (
                json("{\"keys\":[],\"keys\":[]}"),
                "the same JSON member twice",
            ),
            (
                json(&format!("{{\"keys\":[{0},{0}]}}", other.jwk())),
                "two keys have one `kid`",
            ),
            (json(&format!("{{\"keys\":[{}]}}", *private)), "private key"),
            (
                json(&format!(
                    "{{\"keys\":[{}]}}",
                    other.signer.verifying_key().to_jwk(None)
                )),
                "no `kid`",
            ),
            (
                Reply::json("").body(Content::Whole(vec![0xFF; 100])),
                "not UTF-8",
            ),
            (json(&fill(5000)), "longer than its limit of 4096"),
            (
                Reply::json("").body(Content::Chunks(vec![vec![b' '; 1000]; 5])),
                "longer than its limit of 4096",
            ),
            (
                Reply::json("").body(Content::Endless),
                "longer than its limit of 4096",
            ),
            (
                json(&good).header("content-type", "text/html"),
                "content type",
            ),
            (json(&good).without_header("content-type"), "content type"),
            (
                json(&good).add_header("content-type", "text/html"),
                "content type",
            ),
            (
                json(&good).header("content-encoding", "gzip"),
                "content encoding",
            ),
            (json(&good).header("x", "y".repeat(100_000)), "no answer"),
            (
                (0..100).fold(json(&good), |reply, i| reply.add_header("x", i.to_string())),
                "no answer",
            ),
            (
                Reply {
                    status: 302,
                    ..json(&good)
                }
                .header("location", server.url("/else")),
                "redirect (302)",
            ),
            (
                Reply {
                    status: 308,
                    ..json(&good)
                }
                .header("location", server.url("/else")),
                "redirect (308)",
            ),
            (
                Reply {
                    status: 304,
                    ..json("")
                },
                "redirect (304)",
            ),
            (
                Reply {
                    status: 201,
                    ..json(&good)
                },
                "status 201",
            ),
            (
                Reply {
                    status: 404,
                    ..json(&good)
                },
                "status 404",
            ),
            (
                Reply {
                    status: 500,
                    ..json(&good)
                },
                "status 500",
            ),
            (
                json("").body(Content::Breaks(good[..40].into())),
                "no answer",
            ),
        ];
        for (answer, why) in answers {
            let before = keys.status();
            server.reply(answer);
            next_fetch(&keys).await;
            let status = keys.status();
            assert_eq!(status.failures, before.failures + 1, "{why}");
            let error = status.last_error.unwrap();
            assert!(error.contains(why), "{error}: not {why}");
            assert!(error.starts_with(&server.url("/keys")), "{error}");
            assert!(error.len() < 500 && !error.contains("yyyy"), "{error}");
            assert_eq!(accept(&verifier, &key.token()).await, "ok", "{why}");
            assert_eq!(keys.current().unwrap().len(), 1);
            // A good one in between: the tolerance begins anew.
            server.reply(Reply::json(good.clone()));
            next_fetch(&keys).await;
            assert_eq!(keys.status().failures_in_a_row, 0);
        }
        let mut seen = 0;
        while let Some(request) = server.next_request() {
            assert_eq!(request.path, "/keys", "a redirect was followed");
            seen += 1;
        }
        assert_eq!(seen, server.requests());
    });
}

#[test]
fn what_comes_too_slowly_is_given_up() {
    with_still_time(async {
        let key = Key::new("a");
        let server = Server::start(reply(&[&key]));
        let keys = RemoteKeys::connect(config(&server)).await.unwrap();
        let verifier = verifier(&keys);
        let start = jwks(&[&key]).as_bytes()[..20].to_vec();
        for slow in [Content::Stalls(start), Content::Silent] {
            let before = keys.status();
            server.reply(reply(&[&key]).body(slow));
            advance(before.next_fetch.unwrap() + Duration::from_millis(1)).await;
            until("the request", || {
                server.requests() == before.fetches as usize + 1
            })
            .await;
            // A token with an unknown name waits for the same fetch, and no longer than that.
            let waiting = {
                let verifier = Arc::clone(&verifier);
                tokio::spawn(async move { accept(&verifier, &token_of("unknown")).await })
            };
            advance(TIMEOUT - Duration::from_millis(10)).await;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(keys.status().failures, before.failures);
            assert!(!waiting.is_finished());
            advance(Duration::from_millis(20)).await;
            until("the timeout", || {
                keys.status().failures == before.failures + 1
            })
            .await;
            assert_eq!(waiting.await.unwrap(), "unknown_key");
            let error = keys.status().last_error.unwrap();
            assert!(error.contains("within 5000 ms"), "{error}");
            assert_eq!(accept(&verifier, &key.token()).await, "ok");
            server.reply(reply(&[&key]));
            next_fetch(&keys).await;
        }
    });
}

#[tokio::test]
async fn connecting_fails_where_the_first_fetch_does() {
    let server = Server::start(Reply::status(500));
    let error = RemoteKeys::connect(config(&server)).await.unwrap_err();
    assert_eq!(error.code(), "keys_unavailable");
    assert!(message(&error).contains("status 500"), "{error}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn tls_with_a_known_ca_alone() {
    let key = Key::new("a");
    let (ca, other_ca) = (Ca::new("127.0.0.1"), Ca::new("127.0.0.1"));
    let server = Server::start_tls(reply(&[&key]), Arc::clone(&ca.server));
    let config = || RemoteKeysConfig::new(server.url("/keys")).lifetime_limits(LIFETIME, LIFETIME);
    let keys = RemoteKeys::connect(config().tls(Arc::new(ca.client())))
        .await
        .unwrap();
    assert_eq!(accept(&verifier(&keys), &key.token()).await, "ok");

    // What a configuration says of protocols above TLS does not count: this client speaks HTTP/1.1.
    let mut http2 = ca.client();
    http2.alpn_protocols = vec![b"h2".to_vec()];
    assert!(
        RemoteKeys::connect(config().tls(Arc::new(http2)))
            .await
            .is_ok()
    );
    assert_eq!(server.requests(), 2);

    let error = RemoteKeys::connect(config().tls(Arc::new(other_ca.client())))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "keys_unavailable");
    assert!(message(&error).contains("UnknownIssuer"), "{error}");

    let elsewhere = Ca::new("login.bank.example");
    let server = Server::start_tls(reply(&[&key]), Arc::clone(&elsewhere.server));
    let config = RemoteKeysConfig::new(server.url("/keys")).tls(Arc::new(elsewhere.client()));
    let error = RemoteKeys::connect(config).await.unwrap_err();
    assert!(message(&error).contains("not valid for name"), "{error}");
    assert_eq!(server.requests(), 0);
}

/// The old set outlives a server whose certificate is no longer the right one.
#[test]
fn tls_that_turns_bad_keeps_the_old_set() {
    with_still_time(async {
        let key = Key::new("a");
        let (ca, other_ca) = (Ca::new("127.0.0.1"), Ca::new("127.0.0.1"));
        let server = Server::start_tls(reply(&[&key]), Arc::clone(&ca.server));
        let config = RemoteKeysConfig::new(server.url("/keys")).tls(Arc::new(ca.client()));
        let keys = RemoteKeys::connect(config).await.unwrap();
        let verifier = verifier(&keys);
        let impostor = Key::new("a");
        let impostors = server.replace_tls(reply(&[&impostor]), Arc::clone(&other_ca.server));
        next_fetch(&keys).await;
        let status = keys.status();
        assert_eq!(status.failures, 1);
        assert!(status.last_error.unwrap().contains("UnknownIssuer"));
        assert_eq!(accept(&verifier, &key.token()).await, "ok");
        assert_eq!(accept(&verifier, &impostor.token()).await, "bad_signature");
        assert_eq!(impostors.requests(), 0);
    });
}

#[tokio::test]
async fn wrong_configurations() {
    let url = "https://issuer.example/keys";
    let second = Duration::from_secs(1);
    let tls = Arc::new(Ca::new("issuer.example").client());
    let good = || RemoteKeysConfig::new(url).tls(Arc::clone(&tls));
    assert!(RemoteKeys::lazy(good()).is_ok());
    for (wrong, why) in [
        (
            RemoteKeysConfig::new("http://issuer.example/keys"),
            "plain HTTP was not allowed",
        ),
        (RemoteKeysConfig::new(url), "TLS configuration"),
        (
            RemoteKeysConfig::new("https://user:secret@issuer.example/").tls(Arc::clone(&tls)),
            "user information",
        ),
        (RemoteKeysConfig::new("keys.json"), "not absolute"),
        (good().timeout(Duration::ZERO), "timeout"),
        (good().timeout(second * 31), "twice the timeout"),
        (good().max_bytes(0), "longer than nothing"),
        (
            good().lifetime_limits(second * 100, second * 99),
            "a second to a day",
        ),
        (
            good().lifetime_limits(Duration::ZERO, second * 99),
            "a second to a day",
        ),
        (
            good().lifetime_limits(second * 100, second * 86_401),
            "a second to a day",
        ),
        (
            good().lifetime_limits(second * 100, second * 3601),
            "outage tolerance",
        ),
        (
            good().outage_tolerance(second * 86_400 * 8),
            "outage tolerance",
        ),
        (good().cool_down(Duration::ZERO), "cool-down"),
    ] {
        let error = RemoteKeys::connect(wrong.clone()).await.unwrap_err();
        assert_eq!(error.code(), "bad_configuration", "{why}");
        assert!(message(&error).contains(why), "{error}");
        assert!(!message(&error).contains("secret"), "{error}");
        assert!(RemoteKeys::lazy(wrong).is_err());
    }
}

#[tokio::test]
async fn keys_have_profiles() {
    let der = Profile::default().with_encoding(SignatureEncoding::Der);
    let (raw_key, der_key) = (Key::new("raw"), SigningKey::generate().unwrap());
    let der_signer = Signer::new(der_key, kid("der"), der.clone())
        .unwrap()
        .with_clock(Arc::new(clock()));
    let der_jwk = der_signer.verifying_key().to_jwk(Some(&kid("der")));
    let document = format!(r#"{{"keys":[{},{der_jwk}]}}"#, raw_key.jwk());
    let server = Server::start(Reply::json(document));
    let keys = RemoteKeys::connect(config(&server).profile_of(kid("der"), der))
        .await
        .unwrap();
    let verifier = verifier(&keys);
    let der_token = der_signer
        .sign(&claims(), TokenType::Access, &NoExtra)
        .unwrap();
    assert_eq!(accept(&verifier, &raw_key.token()).await, "ok");
    assert_eq!(accept(&verifier, &der_token).await, "ok");

    // The issuer's other keys sign as its profile says.
    let other = Profile::default()
        .with_user_id("someone@bank.example")
        .unwrap();
    let keys = RemoteKeys::connect(config(&server).profile(other))
        .await
        .unwrap();
    assert_eq!(
        accept(&self::verifier(&keys), &raw_key.token()).await,
        "bad_signature"
    );
}

/// A document that is the same as before keeps its set, and with it what was remembered of its signatures.
#[test]
fn the_same_document_is_the_same_set() {
    with_still_time(async {
        let key = Key::new("a");
        let server = Server::start(reply(&[&key]));
        let keys = RemoteKeys::connect(config(&server)).await.unwrap();
        let first = keys.current().unwrap();
        next_fetch(&keys).await;
        assert!(Arc::ptr_eq(&first, &keys.current().unwrap()));
        assert_eq!(keys.status().trusted_for, TOLERANCE);
        server.reply(reply(&[&key, &Key::new("b")]));
        next_fetch(&keys).await;
        assert!(!Arc::ptr_eq(&first, &keys.current().unwrap()));
    });
}

#[test]
fn the_task_ends_with_the_last_handle() {
    with_still_time(async {
        let key = Key::new("a");
        let server = Server::start(reply(&[&key]));
        let keys = RemoteKeys::connect(config(&server)).await.unwrap();
        let clone = keys.clone();
        let verifier = verifier(&keys);
        drop(keys);
        next_fetch(&clone).await;
        drop(clone);
        // The verifier has a handle of its own.
        assert_eq!(accept(&verifier, &key.token()).await, "ok");
        let metrics = tokio::runtime::Handle::current().metrics();
        let tasks = metrics.num_alive_tasks();
        drop(verifier);
        until("the task's end", || metrics.num_alive_tasks() < tasks).await;
        let requests = server.requests();
        advance(TOLERANCE).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(server.requests(), requests);
    });
}

/// Polls a future once, outside of any runtime.
fn now(future: impl Future<Output = &'static str>) -> &'static str {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(code) => code,
        Poll::Pending => "pending",
    }
}

/// A runtime that is gone, or was never there, is no reason to panic or to hang.
#[test]
fn without_a_runtime() {
    let key = Key::new("a");
    let server = Server::start(reply(&[&key]));
    let error = RemoteKeys::lazy(config(&server)).unwrap_err();
    assert_eq!(error.code(), "bad_configuration");

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let keys = runtime
        .block_on(RemoteKeys::connect(config(&server)))
        .unwrap();
    let verifier = verifier(&keys);
    assert_eq!(now(accept(&verifier, &key.token())), "ok");
    // The runtime stands still: nobody fetches.
    assert_eq!(now(accept(&verifier, &token_of("unknown"))), "unknown_key");
    drop(runtime);
    assert_eq!(now(accept(&verifier, &key.token())), "ok");
    assert_eq!(now(accept(&verifier, &token_of("unknown"))), "unknown_key");
    // In another runtime the end of the task is seen.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let code = runtime.block_on(accept(&verifier, &token_of("other")));
    assert_eq!(code, "unknown_key");
}
