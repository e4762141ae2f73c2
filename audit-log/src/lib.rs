//! Typed audit events in an SM3 hash chain with signed heads
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod appender;
pub mod canonical;
pub mod chain;
mod checkpoint;
mod clock;
mod config;
mod crypto;
mod details;
mod error;
mod event;
mod frame;
mod hex;
#[cfg(feature = "tower")]
mod layer;
mod mask;
pub mod merkle;
mod queue;
mod random;
mod receipt;
mod recovery;
mod segment;
mod storage;
pub mod verify;
mod writer;

pub use appender::AuditLog;
pub use checkpoint::{
    Checkpoint, CheckpointSigner, CheckpointVerifyingKey, SecretPem, SignedCheckpoint,
    Sm2CheckpointSigner,
};
pub use clock::{Clock, ClockSync, EventTime, SystemClock};
pub use config::{Config, WhenFull};
pub use details::{Detail, Details};
pub use error::{Error, RandomError, SignError};
pub use event::{Administration, Event, KeyUse, Kind, MAX_RECORD, Outcome, RECORD_VERSION, Who};
#[cfg(feature = "tower")]
pub use layer::{AuditDetails, AuditFailure, AuditLayer, AuditService, outcome_of};
pub use mask::Pseudonymizer;
pub use queue::Status;
pub use random::{OsRandomness, Randomness};
pub use receipt::{Committed, Durable, Receipt};
pub use storage::{FsStorage, Storage};
pub use verify::{Report, Verifier};
