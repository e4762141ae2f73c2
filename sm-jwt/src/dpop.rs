//! DPoP: proofs of possession of a key, one a request (RFC 9449).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use crate::base64url;
use crate::claims::{DateSeed, MAX_TOKEN_ID_LEN};
use crate::clock::{Clock, SystemClock};
use crate::compact::Compact;
use crate::crypto::{self, MacKey, VerifyItem, sha256, sm3};
use crate::error::Error;
use crate::json::{Fault, Guard, Seen};
use crate::jwk::JwkSeed;
use crate::key_id::KeyId;
use crate::keys::{SigningKey, VerifyingKey};
use crate::limits::Limits;
use crate::presented::DpopRequest;
use crate::profile::Profile;
use crate::replay::{ReplayEntry, ReplayKey, ReplayStore, STORE_SKEW};
use crate::signing::{Signing, signing_input};
use crate::uri::normal_target;

const TYPE: &str = "dpop+jwt";
const HEADER: &str = "the DPoP header";
const PAYLOAD: &str = "the DPoP payload";

/// How long a proof serves unless another time is set.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(60);
/// The longest time that may be set.
const MAX_MAX_AGE: Duration = Duration::from_secs(600);

fn wrong(rule: &'static str) -> Error {
    Error::DpopProof { rule }
}

/// How a verifier checks DPoP proofs.
///
/// A proof's `jti` is consumed: a proof serves once. The store may be that of single-use tokens.
#[derive(Debug, Clone)]
#[must_use]
pub struct DpopPolicy {
    profile: Profile,
    max_age: Duration,
    store: Arc<dyn ReplayStore>,
    nonces: Option<Arc<DpopNonces>>,
}

impl DpopPolicy {
    /// Proofs signed as the default profile says, at most a minute old, each consumed in `store`.
    pub fn new(store: Arc<dyn ReplayStore>) -> Self {
        Self {
            profile: Profile::default(),
            max_age: DEFAULT_MAX_AGE,
            store,
            nonces: None,
        }
    }

    /// Another `alg`, encoding or user id. The profile's `crv` does not count: a proof's key names its curve.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// How old a proof may be, besides the verifier's leeway: whole seconds, 600 at most.
    ///
    /// Verifiers that share a store have the same: one that takes older proofs would take some that the store, told
    /// by another, has forgotten. Before raising it in a running system, let the store of proofs begin anew.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Asks for a nonce of this server in every proof, so that none can be made in advance.
    pub fn nonces(mut self, nonces: Arc<DpopNonces>) -> Self {
        self.nonces = Some(nonces);
        self
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.max_age <= MAX_MAX_AGE
    }

    #[cfg(feature = "tower")]
    pub(crate) fn algorithm(&self) -> &str {
        self.profile.alg()
    }

    pub(crate) fn store(&self) -> &dyn ReplayStore {
        &*self.store
    }

    /// The nonce that a refused client is to use.
    pub(crate) fn nonce(&self, now: u64) -> Option<String> {
        self.nonces.as_ref().map(|nonces| nonces.at(now))
    }

    /// Every check of RFC 9449 section 4.3 but the replay check, whose entry it gives.
    pub(crate) fn check(
        &self,
        request: &DpopRequest<'_>,
        access_token: &str,
        now: u64,
        leeway: u64,
    ) -> Result<Proof, Error> {
        let (parts, key, claims) = self.read(request.proof)?;
        self.check_signature(&key, &parts)?;
        if claims.method != request.method {
            return Err(wrong("its `htm` is not the request's method"));
        }
        // A client chooses the path: dot segments in it are no fault of this side's.
        let target =
            normal_target(request.uri).ok_or(wrong("the request's own URI has no normal form"))?;
        if normal_target(&claims.uri) != Some(target) {
            return Err(wrong("its `htu` is not the request's URI"));
        }
        let max_age = self.max_age.as_secs();
        if claims.iat > now.saturating_add(leeway) {
            return Err(wrong("its `iat` lies in the future"));
        }
        let end = claims.iat.saturating_add(max_age).saturating_add(leeway);
        if now > end {
            return Err(wrong("it is too old"));
        }
        claims.check_token(access_token)?;
        if let Some(nonces) = &self.nonces {
            let holds = |nonce: &String| nonces.holds(nonce, now);
            if !claims.nonce.as_ref().is_some_and(holds) {
                return Err(Error::DpopNonce {
                    nonce: nonces.at(now),
                });
            }
        }
        let thumbprint = base64url::encode(&key.thumbprint_sm3_bytes());
        let name = ReplayKey::new(TYPE, &thumbprint, &claims.jti);
        // The proof itself is refused from the second after `end` on.
        let keep_until = end.saturating_add(1).saturating_add(STORE_SKEW);
        let entry = ReplayEntry::new(name, claims.iat, keep_until);
        Ok(Proof { key, entry })
    }

    /// A proof's parts, the key that it names, and what it says.
    fn read<'a>(&self, proof: &'a str) -> Result<(Compact<'a>, VerifyingKey, ProofClaims), Error> {
        let read = || {
            let limits = Limits::default();
            let parts = Compact::parse(proof, &limits)?;
            let guard = Guard::new(&limits);
            let header = guard.read(&parts.header, HeaderSeed(&guard), HEADER, |_| {
                wrong("a header parameter has the wrong type or is not understood")
            })?;
            let (alg, key) = header.finish()?;
            if alg != self.profile.alg() {
                return Err(wrong("its `alg` is another one"));
            }
            let guard = Guard::new(&limits);
            let claims = guard
                .read(&parts.payload, PayloadSeed(&guard), PAYLOAD, |_| {
                    wrong("a claim has the wrong type or an impossible value")
                })?
                .finish()?;
            Ok((parts, key, claims))
        };
        // What is wrong with the proof is never said in the words for a token.
        read().map_err(|error| match error {
            Error::DpopProof { .. } => error,
            other => Error::DpopProofForm(Box::new(other)),
        })
    }

    fn check_signature(&self, key: &VerifyingKey, parts: &Compact<'_>) -> Result<(), Error> {
        const RULE: &str = "its signature does not verify";
        let signature = self
            .profile
            .encoding()
            .decode(&parts.signature)
            .ok_or(wrong(RULE))?;
        let z = crypto::z(
            self.profile.hash(),
            self.profile.user_id(),
            &key.to_sec1_bytes(),
        )
        .ok_or(wrong(RULE))?;
        let item = VerifyItem {
            key: key.point(),
            hash: self.profile.hash(),
            z: &z,
            message: parts.signing_input.as_bytes(),
            signature: &signature,
        };
        match crypto::verify(&item) {
            true => Ok(()),
            false => Err(wrong(RULE)),
        }
    }
}

/// A proof that holds, if its `jti` is fresh.
pub(crate) struct Proof {
    pub(crate) key: VerifyingKey,
    pub(crate) entry: ReplayEntry,
}

/// Nonces that this server gives to clients (RFC 9449 section 8): each is good for the time it was made in and the time
/// after that. Nothing is stored: a nonce is an HMAC-SM3 over its time.
pub struct DpopNonces {
    key: MacKey,
    seconds: u64,
}

impl DpopNonces {
    const LABEL: &'static [u8] = b"smjwt/dpop-nonce/1";

    /// A new one every five minutes, under a random key of this process: a client that meets another process is asked to
    /// try again.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn generate() -> Result<Self, Error> {
        let mut key = zeroize::Zeroizing::new([0u8; 32]);
        crypto::fill_random(&mut *key)?;
        Self::new(&*key, Duration::from_secs(300))
    }

    /// A new one every `period`, under a key of 16 bytes or more that several processes can share.
    ///
    /// # Errors
    /// [`Error::Config`] for a shorter key, and a period outside one second to one day.
    pub fn new(key: &[u8], period: Duration) -> Result<Self, Error> {
        if key.len() < 16 {
            return Err(Error::Config(
                "a key for nonces has at least 16 bytes".to_owned(),
            ));
        }
        let seconds = period.as_secs();
        if !(1..=86_400).contains(&seconds) {
            return Err(Error::Config(
                "nonces are made anew every second to every day".to_owned(),
            ));
        }
        Ok(Self {
            key: MacKey::new(key),
            seconds,
        })
    }

    /// The nonce at a time in seconds since 1970.
    #[must_use]
    pub fn at(&self, unix_seconds: u64) -> String {
        self.of_period(unix_seconds.checked_div(self.seconds).unwrap_or_default())
    }

    fn of_period(&self, period: u64) -> String {
        let mac = self.key.mac(&[Self::LABEL, &period.to_be_bytes()]);
        base64url::encode(mac.get(..16).unwrap_or_default())
    }

    fn holds(&self, nonce: &str, now: u64) -> bool {
        let period = now.checked_div(self.seconds).unwrap_or_default();
        [period, period.saturating_sub(1)]
            .iter()
            .any(|period| bool::from(self.of_period(*period).as_bytes().ct_eq(nonce.as_bytes())))
    }
}

impl fmt::Debug for DpopNonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopNonces")
            .field("seconds", &self.seconds)
            .finish_non_exhaustive()
    }
}

/// Makes DPoP proofs: a client's side.
#[derive(Debug)]
pub struct DpopProver {
    signing: Signing,
    clock: Arc<dyn Clock>,
}

impl DpopProver {
    /// Proves possession of `key`, signing as `profile` says.
    ///
    /// # Errors
    /// [`Error::Config`] when the profile's user id cannot be used.
    pub fn new(key: SigningKey, profile: Profile) -> Result<Self, Error> {
        // Proofs name no key: the name is for this side alone.
        let kid = KeyId::new(key.verifying_key().thumbprint_sm3())?;
        Ok(Self {
            signing: Signing::local(key, kid, profile)?,
            clock: Arc::new(SystemClock),
        })
    }

    /// Another clock than the operating system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The key that tokens are bound to: [`Confirmation::dpop_key`](crate::Confirmation::dpop_key).
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        self.signing.key().key()
    }

    /// A proof for one request: its method, its URI, the access token that goes with it, and the nonce that the server asked
    /// for.
    ///
    /// # Errors
    /// [`Error::Config`] for a URI that is not absolute, and [`Error::Random`].
    pub fn proof(
        &self,
        method: &str,
        uri: &str,
        access_token: Option<&str>,
        nonce: Option<&str>,
    ) -> Result<String, Error> {
        let htu = normal_target(uri)
            .ok_or_else(|| Error::Config("the request's URI is not absolute".to_owned()))?;
        let mut jti = [0u8; 16];
        crypto::fill_random(&mut jti)?;
        let jwk: Value = serde_json::from_str(&self.key().canonical_jwk()).unwrap_or_default();
        let alg = self.signing.key().profile().alg();
        let header = json!({ "typ": TYPE, "alg": alg, "jwk": jwk });
        let mut payload = json!({
            "jti": base64url::encode(&jti), "htm": method, "htu": htu,
            "iat": self.clock.unix_seconds(),
        });
        if let Some(members) = payload.as_object_mut() {
            if let Some(token) = access_token {
                let (sha256, sm3) = token_digests(token);
                members.insert("ath".to_owned(), base64url::encode(&sha256).into());
                members.insert("ath#SM3".to_owned(), base64url::encode(&sm3).into());
            }
            if let Some(nonce) = nonce {
                members.insert("nonce".to_owned(), nonce.into());
            }
        }
        self.signing.finish(signing_input(
            header.to_string().as_bytes(),
            payload.to_string().as_bytes(),
        ))
    }
}

/// SHA-256 and SM3 of an access token.
fn token_digests(token: &str) -> ([u8; 32], [u8; 32]) {
    (sha256(&[token.as_bytes()]), sm3(&[token.as_bytes()]))
}

#[derive(Default)]
struct ProofHeader {
    typ: Option<String>,
    alg: Option<String>,
    key: Option<Result<VerifyingKey, Error>>,
    /// What the key itself says that it is for.
    key_alg: Option<String>,
    critical: bool,
}

impl ProofHeader {
    fn finish(self) -> Result<(String, VerifyingKey), Error> {
        if self.critical {
            return Err(wrong("its header has `crit` or `b64`"));
        }
        if self.typ.as_deref() != Some(TYPE) {
            return Err(wrong("its `typ` is not `dpop+jwt`"));
        }
        let alg = self.alg.ok_or(wrong("it has no `alg`"))?;
        if self.key_alg.is_some_and(|key_alg| key_alg != alg) {
            return Err(wrong("its `jwk` is for another `alg`"));
        }
        let key = self
            .key
            .ok_or(wrong("it has no `jwk`"))?
            .map_err(|_| wrong("its `jwk` is not a public SM2 key"))?;
        Ok((alg, key))
    }
}

struct HeaderSeed<'g, 'l>(&'g Guard<'l>);

impl<'de> DeserializeSeed<'de> for HeaderSeed<'_, '_> {
    type Value = ProofHeader;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeaderSeed<'_, '_> {
    type Value = ProofHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let guard = self.0;
        guard.enter(1)?;
        let mut seen = Seen::default();
        let mut header = ProofHeader::default();
        while let Some(name) = guard.next_name(&mut map, &mut seen)? {
            match &*name {
                "typ" => header.typ = Some(map.next_value_seed(guard.string("typ"))?),
                "alg" => header.alg = Some(map.next_value_seed(guard.string("alg"))?),
                "jwk" => {
                    let jwk = map
                        .next_value_seed(JwkSeed::new(guard, 2))
                        .map_err(|_| guard.fail(Fault::Type("jwk")))?;
                    header.key_alg = jwk.alg().map(str::to_owned);
                    header.key = Some(jwk.public_key());
                }
                "crit" | "b64" => {
                    map.next_value_seed(guard.skip(2))?;
                    header.critical = true;
                }
                _ => map.next_value_seed(guard.skip(2))?,
            }
        }
        Ok(header)
    }
}

#[derive(Default)]
struct ProofPayload {
    jti: Option<String>,
    method: Option<String>,
    uri: Option<String>,
    iat: Option<u64>,
    ath: Option<String>,
    ath_sm3: Option<String>,
    nonce: Option<String>,
}

struct ProofClaims {
    jti: String,
    method: String,
    uri: String,
    iat: u64,
    ath: Option<String>,
    ath_sm3: Option<String>,
    nonce: Option<String>,
}

impl ProofPayload {
    fn finish(self) -> Result<ProofClaims, Error> {
        let jti = self.jti.ok_or(wrong("it has no `jti`"))?;
        if jti.is_empty() || jti.len() > MAX_TOKEN_ID_LEN {
            return Err(wrong("its `jti` is empty or too long"));
        }
        Ok(ProofClaims {
            jti,
            method: self.method.ok_or(wrong("it has no `htm`"))?,
            uri: self.uri.ok_or(wrong("it has no `htu`"))?,
            iat: self.iat.ok_or(wrong("it has no `iat`"))?,
            ath: self.ath,
            ath_sm3: self.ath_sm3,
            nonce: self.nonce,
        })
    }
}

impl ProofClaims {
    /// `ath`, `ath#SM3` or both; all that are there must match.
    fn check_token(&self, token: &str) -> Result<(), Error> {
        if self.ath.is_none() && self.ath_sm3.is_none() {
            return Err(wrong("it has no `ath`"));
        }
        let (sha256, sm3) = token_digests(token);
        for (claimed, digest) in [(&self.ath, sha256), (&self.ath_sm3, sm3)] {
            let wanted = base64url::encode(&digest);
            if claimed.as_ref().is_some_and(|claimed| *claimed != wanted) {
                return Err(wrong("its `ath` is another token's"));
            }
        }
        Ok(())
    }
}

struct PayloadSeed<'g, 'l>(&'g Guard<'l>);

impl<'de> DeserializeSeed<'de> for PayloadSeed<'_, '_> {
    type Value = ProofPayload;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PayloadSeed<'_, '_> {
    type Value = ProofPayload;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let guard = self.0;
        guard.enter(1)?;
        let text = |map: &mut A, name| map.next_value_seed(guard.string(name)).map(Some);
        let mut seen = Seen::default();
        let mut claims = ProofPayload::default();
        while let Some(name) = guard.next_name(&mut map, &mut seen)? {
            match &*name {
                "jti" => claims.jti = text(&mut map, "jti")?,
                "htm" => claims.method = text(&mut map, "htm")?,
                "htu" => claims.uri = text(&mut map, "htu")?,
                "iat" => {
                    let date = DateSeed { guard, name: "iat" };
                    claims.iat = Some(map.next_value_seed(date)?);
                }
                "ath" => claims.ath = text(&mut map, "ath")?,
                "ath#SM3" => claims.ath_sm3 = text(&mut map, "ath#SM3")?,
                "nonce" => claims.nonce = text(&mut map, "nonce")?,
                _ => map.next_value_seed(guard.skip(2))?,
            }
        }
        Ok(claims)
    }
}
