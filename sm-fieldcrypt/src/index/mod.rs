//! Blind indexes: what is sealed at random is found by a keyed hash beside it.
//!
//! A token = u16 version ‖ tag; tag = HMAC-SM3(index key, u32 length ‖ kind ‖ u16 prefix length ‖ u32 length ‖ normalised
//! value), cut to the index's length. Every (tenant, table, column, kind, version) has a random key of its own, wrapped by the KEK.

mod definition;
mod kind;
mod prepared;
pub(crate) mod record;
mod ring;

pub use definition::BlindIndex;
pub use kind::{IndexKind, Normalization};
pub(crate) use prepared::IndexKey;
pub use prepared::PreparedIndex;
pub use record::IndexInfo;
