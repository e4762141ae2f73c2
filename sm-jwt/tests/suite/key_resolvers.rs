//! Keys that come and go: sets that are replaced, and resolvers that look for newer keys.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::keys::*;
use crate::support::*;
use serde_json::{Value, json};
use sm_jwt::*;

/// A refresh replaces the whole set (CVE-2025-22149).
#[tokio::test]
async fn hazard_removed_keys_still_trusted() {
    for cached in [false, true] {
        let keys = SharedKeySet::new(set(&[("a", D), ("b", OTHER_D)]));
        let mut builder = Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
            .issuer_keys(ISSUER, Arc::new(keys.clone()))
            .audience(AUDIENCE)
            .clock(Arc::new(clock()));
        if cached {
            builder = builder.cache_signatures(1000);
        }
        let verifier = builder.build().unwrap();
        let (by_a, by_b) = (token_by(&D, "a"), token_by(&OTHER_D, "b"));
        for token in [&by_a, &by_b] {
            assert_eq!(outcome(&verifier, token), "ok");
            assert_eq!(accepted(&verifier, token).await, "ok");
        }
        // Read before, verified after: the newer set counts.
        let read = UnverifiedToken::parse(&by_a, verifier.limits()).unwrap();
        keys.replace(set(&[("b", OTHER_D)]));
        let result = verifier.verify::<NoExtra>(read);
        assert_eq!(code_of(&result), "unknown_key");
        assert_eq!(outcome(&verifier, &by_a), "unknown_key");
        assert_eq!(accepted(&verifier, &by_a).await, "unknown_key");
        assert_eq!(outcome(&verifier, &by_b), "ok");
        // Another key under the old name is another key.
        keys.replace(set(&[("a", THIRD_D), ("b", OTHER_D)]));
        assert_eq!(outcome(&verifier, &by_a), "bad_signature");
        assert_eq!(outcome(&verifier, &token_by(&THIRD_D, "a")), "ok");
        // The same key under another name, too.
        keys.replace(set(&[("c", D), ("b", OTHER_D)]));
        assert_eq!(outcome(&verifier, &by_a), "unknown_key");
        assert_eq!(outcome(&verifier, &token_by(&D, "c")), "ok");
        // And in another profile.
        let profile = Profile::default().with_user_id("").unwrap();
        let other = [(kid("a"), key_of(&D).verifying_key().clone(), profile)];
        keys.replace(KeySet::new(other).unwrap());
        assert_eq!(outcome(&verifier, &by_a), "bad_signature");
        // An empty set trusts nobody.
        keys.replace(KeySet::new([]).unwrap());
        for token in [&by_a, &by_b] {
            assert_eq!(outcome(&verifier, token), "unknown_key");
        }
        // And back: what was trusted once is trusted when an operator says so again, and not before.
        keys.replace(set(&[("a", D)]));
        assert_eq!(outcome(&verifier, &by_a), "ok");
        assert_eq!(keys.keys().len(), 1);
    }
}

/// Whoever verifies while a set is replaced sees the old one or the new one, whole.
#[test]
fn sets_change_under_verification() {
    let keys = SharedKeySet::new(set(&[("a", D)]));
    let verifier = Arc::new(verifier(Arc::new(keys.clone())));
    let (by_old, by_new) = (token_by(&D, "a"), token_by(&OTHER_D, "a"));
    std::thread::scope(|scope| {
        let stop = Arc::new(AtomicUsize::new(0));
        for token in [&by_old, &by_new] {
            let (verifier, stop) = (verifier.clone(), stop.clone());
            scope.spawn(move || {
                while stop.load(Ordering::SeqCst) == 0 {
                    let outcome = outcome(&verifier, token);
                    assert!(matches!(outcome, "ok" | "bad_signature"), "{outcome}");
                }
            });
        }
        for _ in 0..50 {
            keys.replace(set(&[("a", OTHER_D)]));
            assert_eq!(outcome(&verifier, &by_old), "bad_signature");
            assert_eq!(outcome(&verifier, &by_new), "ok");
            keys.replace(set(&[("a", D)]));
            assert_eq!(outcome(&verifier, &by_old), "ok");
            assert_eq!(outcome(&verifier, &by_new), "bad_signature");
        }
        stop.store(1, Ordering::SeqCst);
    });
}

/// Has one more key after each refresh, and remembers what it was asked for.
#[derive(Debug)]
struct Fetches {
    trusted: SharedKeySet,
    /// `None` is a fetch that fails.
    next: Mutex<Vec<Option<KeySet>>>,
    asked: Mutex<Vec<String>>,
    available: AtomicUsize,
}

impl Fetches {
    fn new(first: KeySet, next: Vec<Option<KeySet>>) -> Arc<Self> {
        Arc::new(Self {
            trusted: SharedKeySet::new(first),
            next: Mutex::new(next),
            asked: Mutex::default(),
            available: AtomicUsize::new(1),
        })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl KeyResolver for Fetches {
    fn current(&self) -> Result<Arc<KeySet>, Error> {
        match self.available.load(Ordering::SeqCst) {
            0 => Err(Error::KeysUnavailable("no set was fetched yet".to_owned())),
            _ => Ok(self.trusted.keys()),
        }
    }

    fn refresh<'a>(&'a self, kid: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async {
            self.asked.lock().unwrap().push(kid.to_owned());
            // Not at once: whoever waits must ask again afterwards.
            tokio::task::yield_now().await;
            if let Some(Some(keys)) = self.next.lock().unwrap().pop() {
                self.trusted.replace(keys);
                self.available.store(1, Ordering::SeqCst);
            }
        })
    }
}

#[tokio::test]
async fn a_refresh_brings_the_key() {
    let both = || set(&[("a", D), ("b", OTHER_D)]);
    let fetches = Fetches::new(set(&[("a", D)]), vec![Some(both())]);
    let verifier = verifier(fetches.clone());
    let (by_a, by_b) = (token_by(&D, "a"), token_by(&OTHER_D, "b"));
    // Offline nothing is fetched.
    assert_eq!(outcome(&verifier, &by_b), "unknown_key");
    let parsed = UnverifiedToken::parse(&by_b, verifier.limits()).unwrap();
    let many = verifier.verify_many::<NoExtra>([parsed]);
    assert_eq!(code_of(&many[0]), "unknown_key");
    assert!(fetches.asked().is_empty());
    // A key that is known sets nothing in motion.
    assert_eq!(accepted(&verifier, &by_a).await, "ok");
    assert!(fetches.asked().is_empty());
    assert_eq!(accepted(&verifier, &by_b).await, "ok");
    assert_eq!(fetches.asked(), ["b"]);
    assert_eq!(accepted(&verifier, &by_b).await, "ok");
    assert_eq!(outcome(&verifier, &by_b), "ok");
    assert_eq!(fetches.asked(), ["b"]);
}

#[tokio::test]
async fn one_refresh_for_a_token_and_no_more() {
    let fetches = Fetches::new(set(&[("a", D)]), vec![None, Some(set(&[("c", THIRD_D)]))]);
    let verifier = verifier(fetches.clone());
    // The refresh brings another key than the one that is wanted.
    assert_eq!(
        accepted(&verifier, &token_by(&OTHER_D, "b")).await,
        "unknown_key"
    );
    assert_eq!(fetches.asked(), ["b"]);
    // It replaced the whole set: the old key has gone with it, and a fetch that fails brings nothing back.
    assert_eq!(accepted(&verifier, &token_by(&D, "a")).await, "unknown_key");
    assert_eq!(fetches.asked(), ["b", "a"]);
    assert_eq!(accepted(&verifier, &token_by(&THIRD_D, "c")).await, "ok");
    // A key that a refresh brought is no more trusted than others: the signature decides.
    let fetches = Fetches::new(set(&[]), vec![Some(set(&[("a", OTHER_D)]))]);
    let verifier = self::verifier(fetches.clone());
    assert_eq!(
        accepted(&verifier, &token_by(&D, "a")).await,
        "bad_signature"
    );
}

/// Whoever sends tokens decides how often this happens: what is of no use anyway sets nothing in motion.
#[tokio::test]
async fn hazard_tokens_that_trigger_fetches() {
    let fetches = Fetches::new(set(&[("a", D)]), vec![]);
    let verifier = verifier(fetches.clone());
    let unknown = |header_changes: Value, payload_changes: Value| {
        let header = with(with(header(), json!({ "kid": "new" })), header_changes);
        forge(&header, &with(payload(), payload_changes))
    };
    for (token, expected) in [
        (
            unknown(json!({ "typ": "txn+jwt" }), json!({})),
            "type_mismatch",
        ),
        (unknown(json!({ "typ": "JWT" }), json!({})), "type_mismatch"),
        (
            unknown(json!({}), json!({ "iss": "https://other.example" })),
            "unknown_issuer",
        ),
        (
            unknown(json!({ "crit": ["x"] }), json!({})),
            "critical_header",
        ),
        (
            unknown(json!({ "kid": "k".repeat(257) }), json!({})),
            "bad_header",
        ),
        (unknown(json!({}), json!({ "exp": "x" })), "bad_claim"),
        (unknown(json!({}), json!({ "jti": null })), "missing_claim"),
        ("x".repeat(20_000), "too_large"),
        ("a.b".to_owned(), "not_compact"),
    ] {
        assert_eq!(accepted(&verifier, &token).await, expected);
        assert!(fetches.asked().is_empty(), "{expected}");
    }
    // Another issuer's resolver is not asked.
    let other = Fetches::new(set(&[]), vec![]);
    let two = Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
        .issuer_keys(ISSUER, fetches.clone())
        .issuer_keys("https://other.example", other.clone())
        .audience(AUDIENCE)
        .clock(Arc::new(clock()))
        .build()
        .unwrap();
    let token = unknown(json!({}), json!({ "iss": "https://other.example" }));
    assert_eq!(accepted(&two, &token).await, "unknown_key");
    assert_eq!(
        (fetches.asked().len(), other.asked()),
        (0, vec!["new".to_owned()])
    );
}

#[tokio::test]
async fn keys_that_are_not_at_hand_refuse() {
    let fetches = Fetches::new(set(&[]), vec![Some(set(&[("a", D)])), None]);
    fetches.available.store(0, Ordering::SeqCst);
    let verifier = verifier(fetches.clone());
    let token = token_by(&D, "a");
    assert_eq!(outcome(&verifier, &token), "keys_unavailable");
    assert!(fetches.asked().is_empty());
    let error = verifier.accept::<NoExtra>(&token).await.unwrap_err();
    assert_eq!(error.code(), "keys_unavailable");
    assert!(error.is_transient());
    assert_eq!(accepted(&verifier, &token).await, "ok");
    assert_eq!(fetches.asked(), ["a", "a"]);
    // A set that grew too old is no set, though its key is known.
    fetches.available.store(0, Ordering::SeqCst);
    assert_eq!(outcome(&verifier, &token), "keys_unavailable");
    assert_eq!(accepted(&verifier, &token).await, "keys_unavailable");
}

/// Signed payloads ask for newer keys in a call of its own, in every form.
#[tokio::test]
async fn signed_payloads_ask_for_their_keys() {
    const TYP: &str = "statement+jws";
    let signer = |d: &[u8; 32], name: &str| {
        let signer = JwsSigner::new(key_of(d), kid(name), Profile::default()).unwrap();
        signer.with_type(TYP).unwrap()
    };
    let (a, b, c) = (
        signer(&D, "a"),
        signer(&OTHER_D, "b"),
        signer(&THIRD_D, "c"),
    );
    let all = || set(&[("a", D), ("b", OTHER_D), ("c", THIRD_D)]);
    let verifier = |fetches: &Arc<Fetches>| {
        let verifier = JwsVerifier::builder(fetches.clone()).typ(TYP);
        verifier.build().unwrap()
    };

    let fetches = Fetches::new(set(&[("a", D)]), vec![None, Some(all())]);
    let compact = b.sign(b"x", JwsForm::Compact).unwrap();
    let reads = verifier(&fetches);
    assert_eq!(code_of(&reads.verify_compact(&compact)), "unknown_key");
    assert!(fetches.asked().is_empty());
    reads.refresh_keys(&compact).await;
    assert_eq!(reads.verify_compact(&compact).unwrap().payload(), b"x");
    reads.refresh_keys(&compact).await;
    let detached = c.sign(b"x", JwsForm::Detached).unwrap();
    reads.refresh_keys(&detached).await;
    assert_eq!(fetches.asked(), ["b"]);

    // Several signatures: one key after the other, until a fetch brought all.
    let fetches = Fetches::new(set(&[("a", D)]), vec![Some(all()), None]);
    let text = JwsSigner::sign_json(&[&a, &b, &c], b"x", JsonPayload::Encoded).unwrap();
    let reads = verifier(&fetches);
    reads.refresh_keys(&text).await;
    assert_eq!(fetches.asked(), ["b", "c"]);
    assert_eq!(reads.verify_json(&text).unwrap().signatures().count(), 3);

    // No set at all, then one.
    let fetches = Fetches::new(set(&[]), vec![Some(all())]);
    fetches.available.store(0, Ordering::SeqCst);
    let reads = verifier(&fetches);
    reads.refresh_keys(&compact).await;
    assert_eq!(reads.verify_compact(&compact).unwrap().payload(), b"x");

    // What does not read, or is of another type, asks for nothing.
    let other = signer(&OTHER_D, "b").with_type("other+jws").unwrap();
    let of_other_type = other.sign(b"x", JwsForm::Compact).unwrap();
    let fetches = Fetches::new(set(&[]), vec![]);
    let reads = verifier(&fetches);
    for text in ["", "a.b.c", "{}", "{", &of_other_type, &"x".repeat(2 << 20)] {
        reads.refresh_keys(text).await;
    }
    assert!(fetches.asked().is_empty());
}

#[tokio::test]
async fn a_shared_set_has_no_way_to_refresh() {
    let keys = SharedKeySet::new(set(&[("a", D)]));
    let verifier = verifier(Arc::new(keys.clone()));
    assert_eq!(
        accepted(&verifier, &token_by(&OTHER_D, "b")).await,
        "unknown_key"
    );
    keys.refresh("b").await;
    assert_eq!(keys.current().unwrap().len(), 1);
    let shown = format!("{keys:?}");
    assert!(shown.contains("\"a\"") && !shown.contains(public_jwk(&D)["x"].as_str().unwrap()));
    // One issuer, one source of keys.
    let twice = access_builder().issuer_keys(ISSUER, Arc::new(keys.clone()));
    assert_eq!(code_of(&twice.build()), "bad_configuration");
    let nameless = access_builder().issuer_keys("", Arc::new(keys));
    assert_eq!(code_of(&nameless.build()), "bad_configuration");
}

/// Two issuers whose keys come from one place: each key speaks for the issuer that the token names, and a signature
/// over one name is none over another.
#[test]
fn issuers_may_not_borrow_from_each_other() {
    let (one, two) = (
        SharedKeySet::new(set(&[("a", D)])),
        SharedKeySet::new(set(&[("a", OTHER_D)])),
    );
    let verifier = Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
        .issuer_keys(ISSUER, Arc::new(one))
        .issuer_keys("https://other.example", Arc::new(two))
        .audience(AUDIENCE)
        .clock(Arc::new(clock()))
        .cache_signatures(100)
        .build()
        .unwrap();
    let token = |d: &[u8; 32], issuer: &str| {
        let header = with(header(), json!({ "kid": "a" }));
        let payload = with(payload(), json!({ "sm2_kid": "a", "iss": issuer }));
        forge_text_by(d, &header.to_string(), &payload.to_string())
    };
    for (d, issuer, expected) in [
        (&D, ISSUER, "ok"),
        (&OTHER_D, "https://other.example", "ok"),
        (&OTHER_D, ISSUER, "bad_signature"),
        (&D, "https://other.example", "bad_signature"),
        (&D, "https://third.example", "unknown_issuer"),
    ] {
        assert_eq!(outcome(&verifier, &token(d, issuer)), expected);
        assert_eq!(outcome(&verifier, &token(d, issuer)), expected);
    }
}
