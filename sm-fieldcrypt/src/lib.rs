//! SM4 encryption of single database fields with a key hierarchy.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod class;
mod clock;
mod context;
mod crypto;
mod derive;
mod durable;
mod envelope;
mod error;
mod etm;
mod fieldkey;
mod kek;
mod keyring;
pub mod mask;
mod observe;
mod offload;
mod random;
mod record;
mod registry;
mod resources;
mod rotation;
mod seal;
mod secret;
mod session;
mod store;
mod view;

pub use class::{FieldClass, Suite};
pub use clock::{Clock, ManualClock, SystemClock};
pub use context::{FieldContext, RowKey};
pub use envelope::{Envelope, Header, from_text, to_text};
pub use error::Error;
pub use kek::provider::KekProvider;
pub use kek::software::SoftwareKek;
pub use keyring::{KeyRing, KeyRingBuilder};
pub use observe::{
    KeyUse, KeyUseGuard, KeyUseObserver, KeyUser, ObserverMode, Operation, Outcome, Refused,
};
pub use offload::BoxFuture;
pub use random::{OsRandom, RandomSource};
pub use record::{KeyInfo, KeyState};
pub use seal::PreparedKey;
pub use secret::SecretBytes;
pub use store::{EpochAnchor, FileStore, MemoryStore, RegistryStore};
