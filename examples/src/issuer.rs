//! Tokens: what the gateway issues and what both services verify, agreed on in one place.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sm_jwt::{
    Claims, Clock, KeyId, MemoryReplayStore, Profile, ReplayPolicy, Signer, SigningKey, TokenType,
    Verifier, VerifyingKey,
};

use crate::config::TokenConfig;
use crate::error::{BadInput, Failure, read_text};
use crate::users::Staff;

const MAX_KEY_BYTES: u64 = 16 << 10;
/// Private claim in `ext`: the session that a token belongs to.
pub const SESSION: &str = "sid";

/// Claims of an access token beside the registered ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaffClaims {
    /// The branch that the member of staff works for.
    pub branch: String,
}

/// Claims of a one-time transaction token: it pays for exactly this, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentClaims {
    /// The payment that was confirmed.
    pub payment: Payment,
}

/// A payment order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// Whose account is debited.
    pub customer_id: String,
    /// Card number of the payee.
    pub payee_card: String,
    /// Amount in fen (1/100 yuan).
    pub amount_fen: u32,
}

impl std::fmt::Debug for Payment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payment")
            .field("customer_id", &self.customer_id)
            .field("amount_fen", &self.amount_fen)
            .finish_non_exhaustive()
    }
}

/// Signs tokens.
#[derive(Debug)]
pub struct Issuer {
    signer: Signer,
    config: TokenConfig,
}

impl Issuer {
    /// An issuer over a PKCS#8 PEM file.
    ///
    /// # Errors
    /// The file is not an SM2 key, or the key id is malformed.
    pub fn load(key_file: &Path, config: &TokenConfig) -> Result<Self, BadInput> {
        let pem = zeroize::Zeroizing::new(read_text(key_file, MAX_KEY_BYTES)?);
        let key = SigningKey::from_pkcs8_pem(&pem).map_err(|e| BadInput::file(key_file, e))?;
        let signer = Signer::new(key, key_id(config)?, Profile::default())
            .map_err(|e| BadInput::file(key_file, e))?;
        Ok(Self {
            signer,
            config: config.clone(),
        })
    }

    /// The same issuer on another clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self {
            signer: self.signer.with_clock(clock),
            config: self.config,
        }
    }

    /// An access token for a session.
    ///
    /// # Errors
    /// The random number generator failed, or a claim is malformed.
    pub fn access_token(&self, staff: &Staff, session: &str) -> Result<String, sm_jwt::Error> {
        let claims = Claims::builder()
            .issuer(&self.config.issuer)
            .audience(&self.config.audience)
            .subject(&staff.user)
            .tenant(&staff.tenant)
            .roles(staff.roles.iter().cloned())
            .amr(["pwd"])
            .ext(SESSION, session)
            .lifetime(self.config.access_lifetime);
        let extra = StaffClaims {
            branch: staff.branch.clone(),
        };
        self.signer.sign(&claims, TokenType::Access, &extra)
    }

    /// A one-time token for one payment of the caller.
    ///
    /// # Errors
    /// As [`access_token`](Self::access_token).
    pub fn payment_token(
        &self,
        caller: &Claims,
        payment: &Payment,
    ) -> Result<String, sm_jwt::Error> {
        let mut claims = Claims::builder()
            .issuer(&self.config.issuer)
            .audience(&self.config.audience)
            .subject(caller.subject())
            .lifetime(self.config.transaction_lifetime);
        if let Some(tenant) = caller.tenant_id() {
            claims = claims.tenant(tenant);
        }
        let extra = PaymentClaims {
            payment: payment.clone(),
        };
        self.signer.sign(&claims, TokenType::Transaction, &extra)
    }
}

/// Reads a verifying key (SPKI PEM).
///
/// # Errors
/// The file is not an SM2 public key.
pub fn load_verifying_key(path: &Path) -> Result<VerifyingKey, BadInput> {
    let pem = read_text(path, MAX_KEY_BYTES)?;
    VerifyingKey::from_spki_pem(&pem).map_err(|e| BadInput::file(path, e))
}

/// Reads the public half of a signing key (PKCS#8 PEM).
///
/// # Errors
/// The file is not an SM2 private key.
pub fn load_public_half(path: &Path) -> Result<VerifyingKey, BadInput> {
    let pem = zeroize::Zeroizing::new(read_text(path, MAX_KEY_BYTES)?);
    let key = SigningKey::from_pkcs8_pem(&pem).map_err(|e| BadInput::file(path, e))?;
    Ok(key.verifying_key().clone())
}

/// The verifier of access tokens: multi-use, bounded by their expiry.
///
/// # Errors
/// The configuration does not make a verifier.
pub fn access_verifier(key: &VerifyingKey, config: &TokenConfig) -> Result<Verifier, Failure> {
    builder(TokenType::Access, ReplayPolicy::MultiUse, key, config)?
        .build()
        .map_err(Failure::other)
}

/// The verifier of transaction tokens: each is accepted once.
///
/// # Errors
/// The configuration does not make a verifier.
pub fn payment_verifier(key: &VerifyingKey, config: &TokenConfig) -> Result<Verifier, Failure> {
    // A store in memory forgets on a restart, so tokens from before it are refused. The issuer runs
    // on this host's clock; the database's unique token id covers the second in which it starts.
    let store = MemoryReplayStore::new(config.replay_capacity, Arc::new(sm_jwt::SystemClock))
        .refusing_earlier_tokens(Duration::ZERO);
    builder(TokenType::Transaction, ReplayPolicy::SingleUse, key, config)?
        .replay_store(Arc::new(store))
        // One clock: a token of a time to come would be taken again by a store that began after it was used.
        .leeway(Duration::ZERO)
        .build()
        .map_err(Failure::other)
}

fn builder(
    kind: TokenType,
    replay: ReplayPolicy,
    key: &VerifyingKey,
    config: &TokenConfig,
) -> Result<sm_jwt::VerifierBuilder, BadInput> {
    let keys = [(key_id(config)?, key.clone(), Profile::default())];
    Ok(Verifier::builder(kind, replay)
        .issuer(&config.issuer, keys)
        .audience(&config.audience)
        .require_tenant())
}

fn key_id(config: &TokenConfig) -> Result<KeyId, BadInput> {
    KeyId::new(&config.key_id).map_err(|e| BadInput::new("key_id", e))
}
