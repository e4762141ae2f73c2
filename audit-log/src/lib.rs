//! Typed audit events that nobody can change unseen: canonical JSON in an SM3 hash chain, durable
//! before they are acknowledged, under heads signed with SM2, checked offline with a public key.
//!
//! ```text
//!  Event ──► canonical bytes ──► leaf ──► queue ──► batch: link, tree, frames ──► one sync ──► Receipt
//!  who, when, RFC 8785           SM3      bounded   one writer thread             Storage      durable
//!  what, outcome, details                                     │
//!                                                             ▼ every second, and at the end
//!                        Verifier ◄── files, public key ── signed head (CheckpointSigner)
//!                        offline      head kept outside
//! ```
//!
//! It is for services that must show an assessor (GB/T 22239-2019 8.1.4.3, 8.1.4.7) what happened,
//! and that it was not touched since.
//!
//! It is not for debug logs or metrics (every event waits for the disk), not a database (events are
//! read in sequence), and no secret store: what is written is readable by whoever reads the disk.
//! Use a [`Pseudonymizer`] for people, and put no personal data into details.
//!
//! # What is detected, and what is not
//! The [`Verifier`] finds edits, insertions, deletions, reordering, swapped, copied or missing
//! segments, and forged heads. Whoever owns the disk can still cut off what is newer than the last
//! head that somebody *else* keeps: send heads ([`AuditLog::head`]) to another volume or party, and
//! give them to [`Verifier::expect_head`]. Every report states how many records are newer than the
//! last head. Whoever owns the signing key can write a new log: keep it in a device.
//!
//! # Example
//! ```
//! use audit_log::{
//!     AuditLog, Config, Details, Event, FsStorage, Kind, Outcome, Sm2CheckpointSigner,
//!     SystemClock, Verifier, Who,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let directory = folder.path().join("audit");
//! let signer = Sm2CheckpointSigner::generate("audit-2026")?;
//! let public_key = signer.verifying_key()?;
//!
//! let log = AuditLog::open(
//!     Config::new("core-banking/host-1"),
//!     FsStorage::open(&directory)?,
//!     signer,
//!     SystemClock::new(),
//! )?;
//! // The five assessed fields are arguments: leaving one out does not compile.
//! let event = Event::new(
//!     log.now(),
//!     Who::subject("0000000743a1").tenant("bank-a").address("192.0.2.7"),
//!     Kind::AuthorizationDecision,
//!     Outcome::denied("tenant mismatch"),
//!     Details::new().with("policy", "p-17"),
//! )
//! .action("GET /api/v1/customers/{id}")
//! .resource("customer/17");
//! let receipt = log.append(event)?;
//! // Blocks until the disk has it; `receipt.durable().await` in asynchronous code.
//! assert_eq!(receipt.wait()?.sequence, 0);
//! let head = log.close()?.expect("closing signs a head");
//!
//! // Elsewhere, with nothing but the files, the public key and a head kept outside:
//! let report = Verifier::new([public_key]).expect_head(head).verify_dir(&directory)?;
//! assert!(report.is_intact(), "{report}");
//! # Ok(())
//! # }
//! ```
//!
//! # When things fail
//! Nothing is acknowledged before `fdatasync`. After a failed write or sync nothing is tried again:
//! every later append fails, and opening the log anew finds out what is on disk. A crash leaves at
//! most one unfinished batch; it is kept aside in a file of its own, and a signed event says so.
//! Stored bytes that no crash explains are an [`Error::Damaged`] with file and offset; the log does
//! not open, and nothing is changed. When the queue is full, producers wait or are refused
//! ([`WhenFull`]); nothing is dropped.
//!
//! # Features
//! | feature | adds |
//! |---|---|
//! | `accel` (default) | SM2 and SM3 by `sm-accel`: constant time, SIMD where the CPU has it; without it, RustCrypto |
//! | `tower` | `AuditLayer`: each request an event, answered or not, durable before its answer leaves; 503 if that fails |
//! | `axum` | `AuditDetails` as an extractor, for handlers that have something to add |
//!
//! Turning one on changes nothing that is there without it.
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
pub use layer::{Abandoned, AuditDetails, AuditFailure, AuditLayer, AuditService, outcome_of};
pub use mask::Pseudonymizer;
pub use queue::Status;
pub use random::{OsRandomness, Randomness};
pub use receipt::{Committed, Durable, Receipt};
pub use storage::{FsStorage, Storage};
pub use verify::{Report, Verifier};
