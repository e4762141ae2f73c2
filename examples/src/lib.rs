//! Where the crates meet: a gateway, a banking service and a demo that a bank's team can start from.
//!
//! ```text
//! client -> gateway: authenticate -> authorize -> proxy -> core-banking: authenticate -> row
//!           (sm-jwt)               (abac-engine)          -> decide -> open fields -> answer
//!              \_ audit-log                                  (abac-engine, sm-fieldcrypt)
//!                                                             \_ audit-log
//! ```
//! [`adapters`] is the one place where the crates know of each other.
#![forbid(unsafe_code)]

pub mod adapters;
pub mod audit_stream;
pub mod bankctl;
pub mod config;
pub mod core_banking;
pub mod customers;
pub mod demo;
pub mod error;
pub mod gateway;
pub mod http;
pub mod issuer;
pub mod setup;
pub mod trace;
pub mod users;
