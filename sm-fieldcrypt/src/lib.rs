//! SM4 encryption of single database fields, with a key hierarchy.
//!
//! A service seals an identity number, a card number or a track before it goes into its row, and opens it after
//! reading. Every sealed value names its key, is authenticated (encrypt-then-MAC with HMAC-SM3), and is bound to its
//! tenant, table, column and row: moved anywhere else, it does not open. Keys form a hierarchy, so that rotating or
//! losing one is not rotating or losing all.
//!
//! ```text
//!   KEK (L1)        sealed file or HSM               a year     wraps field keys, authenticates the registry
//!   KEK (L1)        sealed file, or a device         a year     wraps field keys, authenticates the registry
//!    │ unwrap
//!   FEK (L2)        one a field class (and tenant)   a month    32 random bytes, wrapped in the registry
//!    │ HKDF-SM3: suite, class, key id, time window, process salt, tenant
//!   session (L3)    SM4 key + MAC key                minutes    never stored
//!    │
//!    ├─ seal:  draw IV → pad → encrypt → tag over header, IV, place, ciphertext → envelope
//!    └─ open:  parse → class policy → key state, window → guard → tag → decrypt → unpad → observer → plaintext
//! ```
//!
//! ```
//! use sm_fieldcrypt::{FieldClass, FieldContext, FileStore, KeyRing, KeyUser, SoftwareKek, mask};
//! # use sm_fieldcrypt::SecretBytes;
//! use std::sync::Arc;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), sm_fieldcrypt::Error> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let registry = dir.path().join("fields.registry");
//! // In a service: SoftwareKek::open("kek.sealed", passphrase)?, on a blocking thread.
//! let kek = SoftwareKek::from_key_bytes(SecretBytes::new(vec![7; 32]))?;
//! let ring = KeyRing::builder(Arc::new(kek), Arc::new(FileStore::new(registry)))
//!     .class(FieldClass::identity_number())
//!     .class(FieldClass::bank_card())
//!     .create_registry()
//!     .auto_rotate()
//!     .build()
//!     .await?;
//!
//! // Once a request: who asks, for which class and tenant.
//! let user = KeyUser::new("user:42").trace("4bf92f3577b34da6a3ce929d0e0e4736");
//! let key = ring.prepare("identity_number", "bank-a", &user).await?;
//!
//! // Synchronous from here on.
//! let cell = FieldContext::new("bank-a", "customers", "id_no").row(42_i64);
//! let sealed = key.seal(b"110101199003074610", &cell)?;
//! let opened = key.open(&sealed, &cell)?;
//! assert_eq!(opened.expose_str(), Some("110101199003074610"));
//! assert_eq!(mask::identity_number("110101199003074610"), "110***********4610");
//!
//! // The same bytes in another customer's row are refused.
//! let elsewhere = FieldContext::new("bank-a", "customers", "id_no").row(43_i64);
//! assert!(key.open(&sealed, &elsewhere).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # What it is not for
//! - Passwords: hash them.
//! - Writing in place: a change of a chunked value seals the whole value anew.
//! - Searching by range or by part: a [`BlindIndex`] finds equal values and beginnings, and says what it gives away.
//! - Hiding lengths: SM4-CBC hides them up to the block, the other suites not at all.
//! - Freshness: an *older* value of the same cell opens in that cell, unless the row key carries a version.
//! - Being a certified module. Field keys are held in process memory (wiped on drop, not locked), and HKDF-SM3 is built
//!   on approved HMAC-SM3 but is not itself a GM standard. Without feature `accel`, SM4 is RustCrypto's table-driven
//!   one, which leaks to whoever shares the processor's cache.
//!
//! # Rules of thumb
//! - Assign primary keys before the INSERT: the row is part of what is authenticated.
//! - Use stable ids for table and column in [`FieldContext`]; a rename in the database then breaks nothing.
//! - Call [`KeyRing::prepare`] once a request. A [`PreparedKey`] works for at most 60 seconds, so that a key disabled
//!   elsewhere is noticed.
//! - Register a [`KeyUseGuard`] and a [`KeyUseObserver`]: they see every use of every key, the KEK's included.
//! - Without an [`EpochAnchor`], a registry rolled back while *no* node is running goes unnoticed.
//! - Destroying a field key shreds what was sealed under it only once the registry's backups are gone too, or the KEK
//!   is destroyed, and caches have expired.
//!
//! # Coming from elsewhere
//! [`ShardingSphereSm4`] opens columns of Apache ShardingSphere's `SM4` encryptor and seals them anew.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `serde` | no | `Encrypted<T>` in serde: text in formats for people, bytes in others |
//! | `sqlx` | no | `Encrypted<T>` as a column, `SqliteStore` and `PostgresStore` for the registry |
//! | `accel` | yes | SM3 and SM4 by `sm-accel`: constant time, SIMD where the CPU has it. Without it, RustCrypto. |
//! | `pkcs11` | no | `Pkcs11Kek`: a KEK on a PKCS#11 token, whose vendor's module is loaded at run time. |
//! | `ff1` | no | `Ff1Key`: format-preserving encryption (NIST SP 800-38G) with SM4. Deterministic, unauthenticated, not a GM mode. |
//! | `sdf` | no | `SdfKek` and `SdfRandom`: the KEK in a GM/T 0018 device, by `sm-sdf`, which loads the vendor's C library at run time. |
//!
//! The crate needs no executor, and no C library unless you bring a device's; `sqlx` brings Tokio and SQLite.
//!
//! The wire format and the registry's format are described in the crate's README and versioned: values sealed by this
//! version stay readable.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod aead;
mod aggregate;
mod alert;
mod chunk_size;
mod chunked;
mod class;
mod clock;
mod context;
mod crypto;
mod derive;
mod durable;
mod encrypted;
mod envelope;
mod error;
mod etm;
#[cfg(feature = "ff1")]
mod ff1;
mod fieldkey;
mod hexadecimal;
mod index;
mod kek;
mod keyring;
pub mod mask;
mod observe;
mod octets;
mod offload;
mod random;
mod range;
mod record;
mod registry;
mod resources;
mod rewrap;
mod rotation;
mod seal;
mod secret;
mod session;
mod shardingsphere;
#[cfg(feature = "sqlx")]
mod sql;
mod store;
mod stream;
mod view;

pub use aggregate::AggregatingObserver;
pub use alert::{Alert, AlertRule, AlertSink, AlertingObserver, CountBy};
pub use chunked::ChunkedHeader;
pub use class::{FieldClass, Suite};
pub use clock::{Clock, ManualClock, SystemClock};
pub use context::{FieldContext, RowKey};
pub use encrypted::{Encrypted, FieldValue};
pub use envelope::{Envelope, Header, from_text, to_text};
pub use error::Error;
#[cfg(feature = "ff1")]
pub use ff1::{Ff1Alphabet, Ff1Key};
pub use index::{BlindIndex, IndexInfo, IndexKind, Normalization, PreparedIndex};
#[cfg(feature = "pkcs11")]
pub use kek::pkcs11::{Pkcs11Config, Pkcs11Kek, Pkcs11Mechanisms, Pkcs11Token, Pkcs11Wrapping};
pub use kek::provider::KekProvider;
#[cfg(feature = "sdf")]
pub use kek::sdf::{SdfKek, SdfRandom};
pub use kek::software::SoftwareKek;
pub use keyring::{KeyRing, KeyRingBuilder};
pub use observe::{
    KeyUse, KeyUseGuard, KeyUseObserver, KeyUser, ObserverMode, Operation, Outcome, Refused,
};
pub use offload::BoxFuture;
pub use random::{OsRandom, RandomSource};
pub use record::{KeyInfo, KeyState};
pub use rewrap::Rewrapped;
pub use seal::PreparedKey;
pub use secret::SecretBytes;
pub use shardingsphere::ShardingSphereSm4;
/// The device library under [`SdfKek`]: its `Library` and `Pool` are what a KEK is made with.
#[cfg(feature = "sdf")]
pub use sm_sdf;
#[cfg(feature = "sqlx")]
pub use sql::{PostgresStore, SqliteStore};
pub use store::{EpochAnchor, FileStore, MemoryStore, RegistryStore};
pub use stream::{OpenStream, SealStream};
