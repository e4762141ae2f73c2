//! A cryptographic device of GM/T 0018 (SDF): its vendor's C library, loaded at run time, behind a safe surface.
//!
//! A bank's hardware module or card comes with a shared library whose calls the standard names: `SDF_OpenDevice`,
//! `SDF_Encrypt` and so on. This crate loads it, checks every length both ways, closes every handle, lends sessions to one
//! thread at a time, opens them anew when the device was lost, and says which call failed and why.
//!
//! It is not a device: keys, random bytes and SM4 are the device's, and so is their quality. It does not certify anything.
//! RSA, SM2 and file calls are not wrapped.
//!
//! ```text
//!   Library ── Device ── Session ── Key        handles, each closed by drop, none outliving what it stands on
//!      │                    │
//!      │                   Pool                bounded, lends sessions, notices losses
//!   symbols                 │
//!      └── calls ───────── buffers             answers no longer than their room, and nothing written behind it
//! ```
//!
//! ```no_run
//! use sm_sdf::{Key, Library, Mode, Pool, PoolOptions};
//!
//! # fn main() -> Result<(), sm_sdf::Error> {
//! let library = Library::open("/opt/vendor/lib/libsdf.so")?;
//! let pool = Pool::open(library, PoolOptions::default())?;
//!
//! // A working key is made in the device and leaves it only under KEK 1.
//! let wrapped = pool.run(|session| Ok(Key::generate(session, 1, 128)?.1))?;
//!
//! let sealed = pool.run(|session| {
//!     let key = Key::cached(session, &wrapped)?; // imported once a session
//!     let mut iv = [0; 16];
//!     session.random(&mut iv)?;
//!     key.encrypt(Mode::Cbc(&iv), b"sixteen bytes of")
//! })?;
//! # let _ = sealed;
//! # Ok(())
//! # }
//! ```
//!
//! # Editions
//! The calls of the 2012 edition that this crate uses must be there; the library is refused without them, naming the first
//! that lacks. `SDF_AuthEnc`, `SDF_AuthDec` and `SDF_HMACInit`, `Update`, `Final` came in 2023: [`Library::has_auth_enc`] and
//! [`Library::has_hmac`] tell whether they are there. Algorithm ids differ from vendor to vendor, and so does a parameter of
//! `SDF_AuthDec`: see [`LibraryOptions`].
//!
//! # Threads
//! The standard keeps the state of multi-step calculations in the session, so a session is for one thread at a time;
//! [`Session`] is `Send` and not `Sync`, and the pool lends it so. Different sessions on one device may be used at once: that
//! is what they are for. Handles belong to the process, not to the thread that got them. For a library that is not safe even
//! so, [`LibraryOptions::one_call_at_a_time`] lets no two calls overlap.
//!
//! # Trust
//! The library is code in this process. Its answers are checked as far as they can be: a length beyond the room it was given,
//! a null handle and bytes written up to 64 bytes past a buffer are errors. Against a library that does worse nothing helps.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod abi;
mod buffer;
mod code;
mod device;
mod error;
mod info;
mod key;
mod library;
mod options;
mod pool;
mod session;
mod symbols;
mod wrapped;

pub use code::DeviceCode;
pub use device::Device;
pub use error::Error;
pub use info::DeviceInfo;
pub use key::{Key, Mode};
pub use library::Library;
pub use options::{AlgorithmIds, LibraryOptions, TagLength};
pub use pool::{Pool, PoolOptions, PoolStatus};
pub use session::{PrivateKeyAccess, Session};
pub use wrapped::WrappedKey;

/// The example of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
