//! Properties over arbitrary input: nothing panics, nothing changed passes, everything issued passes.

use std::time::Duration;

use crate::support::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use sm_jwt::*;

/// Any JSON value, three levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_survived(data in prop::collection::vec(any::<u8>(), 0..400)) {
        crate::fuzz_bodies::parse_token(&data);
        crate::fuzz_bodies::parse_claims(&data);
        crate::fuzz_bodies::parse_jwk(&data);
        crate::fuzz_bodies::parse_pem(&data);
        crate::fuzz_bodies::parse_der(&data);
    }

    #[test]
    fn any_text_in_three_parts_is_survived(
        header in any::<String>(), payload in any::<String>(), signature in any::<Vec<u8>>(),
    ) {
        let token = format!("{}.{}.{}", b64(header), b64(payload), b64(signature));
        crate::fuzz_bodies::parse_token(token.as_bytes());
    }

    /// Whatever stands in a claim, a well-signed token is accepted only when the claim has its type.
    #[test]
    fn any_value_in_any_claim(
        claim in prop::sample::select(vec![
            "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "tenant_id", "roles", "sm2_kid", "ext",
            "amr", "acr", "auth_time",
        ]),
        value in any_json(),
    ) {
        let mut payload = payload();
        payload[claim] = value.clone();
        let token = forge(&header(), &payload);
        crate::fuzz_bodies::parse_token(token.as_bytes());
        if code(&token) == "ok" {
            let typed = match claim {
                "exp" | "nbf" | "iat" | "auth_time" => value.is_u64(),
                "roles" | "amr" => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
                "ext" => value.is_object(),
                "aud" => value.is_string() || value.is_array(),
                _ => value.is_string(),
            };
            prop_assert!(typed, "{} = {}", claim, value);
        }
    }

    /// Anything may stand beside the claims, and `ext` comes back as it was.
    #[test]
    fn any_custom_claims_and_ext(custom in any_json(), ext in any_json()) {
        let token = signer()
            .sign(&claims().ext("any", ext.clone()), TokenType::Access, &json!({ "custom": custom }))
            .unwrap();
        let verified = check(&access_verifier(), &token).unwrap();
        // Through text and back once more: the reader's numbers, not the writer's.
        let expected: Value = serde_json::from_str(&ext.to_string()).unwrap();
        prop_assert_eq!(&verified.claims().ext()["any"], &expected);
    }

    #[test]
    fn any_claims_round_trip(
        subject in "\\PC{1,40}", tenant in "\\PC{1,40}", id in "[!-~]{1,64}",
        roles in prop::collection::vec("\\PC{1,12}", 0..5), lifetime in 1u64..100_000,
    ) {
        let claims = Claims::builder()
            .issuer(ISSUER)
            .subject(&*subject)
            .audience(AUDIENCE)
            .tenant(&*tenant)
            .token_id(&*id)
            .roles(roles.iter().map(String::as_str))
            .lifetime(Duration::from_secs(lifetime));
        let token = signer().sign(&claims, TokenType::Access, &NoExtra).unwrap();
        let verified = check(&access_verifier(), &token).unwrap();
        let claims = verified.claims();
        prop_assert_eq!(claims.subject(), subject);
        prop_assert_eq!(claims.tenant_id(), Some(&*tenant));
        prop_assert_eq!(claims.token_id(), id);
        prop_assert_eq!(claims.roles(), roles);
        prop_assert_eq!(claims.expires_at(), NOW + lifetime);
    }

    /// What a signer gives, verifiers under the same limits read, whatever it was asked for; what they would not read it
    /// does not sign.
    #[test]
    fn what_is_signed_is_read(
        texts in prop::collection::vec("|\\PC{1,8}|[a-z]{1,3}", 9),
        lists in prop::collection::vec(prop::collection::vec("|[a-z]{1,4}", 0..6), 3),
        times in prop::collection::vec(prop::option::of(any::<u64>()), 3),
        (custom, ext) in (any_json(), any_json()),
        (depth, members, bytes) in (0_usize..6, 0_usize..60, 300_usize..900),
    ) {
        let limits = Limits::default()
            .with_depth(depth)
            .with_members(members)
            .with_payload_bytes(bytes);
        let [aud, roles, amr] = &lists[..] else { unreachable!() };
        let mut claims = Claims::builder()
            .issuer(&*texts[0])
            .subject(&*texts[1])
            .audience(AUDIENCE)
            .roles(roles.iter().map(String::as_str))
            .amr(amr.iter().map(String::as_str))
            .ext("any", ext)
            .lifetime(Duration::from_secs(60));
        for aud in aud {
            claims = claims.audience(&**aud);
        }
        // Half of them are not there at all.
        for (at, text) in texts.iter().enumerate().skip(2) {
            if text.len() % 2 == 1 {
                continue;
            }
            claims = match at {
                2 => claims.tenant(&**text),
                3 => claims.acr(&**text),
                4 => claims.client_id(&**text),
                5 => claims.session(&**text),
                6 => claims.scope(text),
                7 => claims.token_id(&**text),
                _ => claims,
            };
        }
        for (at, time) in times.iter().enumerate() {
            let Some(time) = time else { continue };
            claims = match at {
                0 => claims.not_before(*time),
                1 => claims.auth_time(*time),
                _ => claims.issued_at(*time),
            };
        }
        let signed = signer()
            .with_limits(limits)
            .sign(&claims, TokenType::Access, &json!({ "custom": custom }));
        if let Ok(token) = signed {
            let read = UnverifiedToken::parse(&token, &limits);
            prop_assert!(read.is_ok(), "{:?} of {:?}", read.err(), claims);
        }
    }

    /// A token with any one character changed, added or removed is refused.
    #[test]
    fn any_change_is_refused(at in any::<prop::sample::Index>(), to in any::<char>(), kind in 0..3) {
        let token = access_token();
        let at = at.index(token.len());
        let mut changed: Vec<char> = token.chars().collect();
        match kind {
            0 => changed[at] = to,
            1 => changed.insert(at, to),
            _ => {
                changed.remove(at);
            }
        }
        let changed: String = changed.into_iter().collect();
        prop_assume!(changed != token);
        prop_assert_ne!(code(&changed), "ok");
        crate::fuzz_bodies::parse_token(changed.as_bytes());
    }
}
