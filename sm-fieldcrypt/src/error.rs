//! The crate's one error type.
//!
//! Messages are lower case, say what went wrong and where, and never carry plaintext, keys or tags.

use std::path::PathBuf;

/// Everything that can go wrong in this crate.
///
/// [`Error::Open`] is deliberately opaque: a wrong IV, ciphertext, tag, padding, key or context is one and the
/// same value with no `source()`, so that nobody can tell them apart. Faults of the public header (which
/// anybody can read) are named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The sealed value is not authentic under this key and context. Nothing more is said, on purpose.
    #[error("the sealed value does not open")]
    Open,

    /// The bytes are not an envelope of wire format v1.
    #[error("envelope: {what} (at byte {offset})")]
    Envelope {
        /// What is wrong.
        what: &'static str,
        /// Where, in bytes from the start.
        offset: usize,
    },

    /// A well-formed request for something this version does not do.
    #[error("not supported by this version: {what}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
    },

    /// The envelope's public header is not what the field class prescribes. No key was used.
    #[error("envelope does not fit field class {class:?}: {what}")]
    Policy {
        /// Name of the field class.
        class: String,
        /// Which part of the header differs.
        what: &'static str,
    },

    /// The envelope's window is impossible for its field key. No key was used.
    #[error("envelope window {window} of field key {fek_id}: {what}")]
    Window {
        /// Field key id.
        fek_id: u32,
        /// Window start, Unix minutes.
        window: u32,
        /// Which rule it breaks.
        what: &'static str,
    },

    /// No such field key for this class and tenant. If another node has just rotated, refresh the ring and
    /// prepare again.
    #[error("no field key {fek_id} for class {class}")]
    UnknownKey {
        /// Field class id.
        class: u16,
        /// Field key id.
        fek_id: u32,
    },

    /// The field key exists, but its state forbids the operation.
    #[error("field key {fek_id} of class {class} is {state}: {what}")]
    KeyState {
        /// Field class id.
        class: u16,
        /// Field key id.
        fek_id: u32,
        /// Its state.
        state: &'static str,
        /// What was refused.
        what: &'static str,
    },

    /// No field class of that name is configured.
    #[error("unknown field class {name:?}")]
    UnknownClass {
        /// The name asked for.
        name: String,
    },

    /// No index of that name is configured.
    #[error("unknown index {name:?}")]
    UnknownIndex {
        /// The name asked for.
        name: String,
    },

    /// The tenant has no version of the index that may be used so: make or rotate one.
    #[error("index {index:?} has no usable version for tenant {tenant:?}: rotate it")]
    NoIndexKey {
        /// Name of the index.
        index: String,
        /// The tenant.
        tenant: String,
    },

    /// A version of an index does not allow the operation.
    #[error("version {version} of index {index:?}: {what}")]
    IndexState {
        /// Name of the index.
        index: String,
        /// The version.
        version: u16,
        /// What was refused.
        what: &'static str,
    },

    /// The class (and tenant) has no field key that may seal now: make or rotate one.
    #[error("field class {class:?} has no field key that may seal now{}: rotate it", tenant_suffix(.tenant.as_deref()))]
    NoKey {
        /// Name of the field class.
        class: String,
        /// Tenant, for classes with a key per tenant.
        tenant: Option<String>,
    },

    /// The field context or the tenant does not fit the class or the prepared key.
    #[error("field context: {what}")]
    Context {
        /// What is wrong.
        what: &'static str,
    },

    /// The plaintext is longer than one sealed value may be.
    #[error("plaintext of {length} bytes is over the limit of {limit}")]
    TooLong {
        /// Its length in bytes.
        length: u64,
        /// The limit in bytes.
        limit: u64,
    },

    /// A value, key or IV to be imported is not in the form of the system that it comes from.
    #[error("imported {part}: {what} (at byte {offset})")]
    Import {
        /// `value`, `key` or `iv`.
        part: &'static str,
        /// What is wrong.
        what: &'static str,
        /// Where, in bytes from the start of the text.
        offset: usize,
    },

    /// An imported value does not decrypt: its key or IV is another, or it is damaged. Nothing more is said.
    #[error("the imported value does not decrypt")]
    ImportOpen,

    /// A value that FF1 does not take under its alphabet.
    #[cfg(feature = "ff1")]
    #[error("value for ff1: {what} (at byte {offset})")]
    Ff1 {
        /// What is wrong.
        what: &'static str,
        /// Where, in bytes from the start.
        offset: usize,
    },

    /// A range that a chunked value does not have.
    #[error("bytes {start} to {end} of a plaintext of {length}")]
    Range {
        /// The first byte.
        start: u64,
        /// The byte behind the last one.
        end: u64,
        /// Length of the plaintext in bytes.
        length: u64,
    },

    /// The prepared key is older than the registry cache may be. Prepare it again.
    #[error("the prepared key has outlived the registry cache: prepare it again")]
    PreparedExpired,

    /// A key-use guard or a fail-closed observer refused.
    #[error("key use refused by the {by}: {reason}")]
    Refused {
        /// `guard` or `observer`.
        by: &'static str,
        /// The reason it gave.
        reason: String,
    },

    /// The random generator failed. Nothing was sealed.
    #[error("random generator failed: {reason}")]
    Random {
        /// What the generator said.
        reason: String,
    },

    /// A KEK provider failed.
    #[error("kek provider {provider}: {reason}")]
    Kek {
        /// Id of the provider.
        provider: String,
        /// What it said.
        reason: String,
    },

    /// A wrapped key is not authentic under this KEK and context.
    #[error("kek provider {provider}: the wrapped key does not unwrap")]
    KekUnwrap {
        /// Id of the provider.
        provider: String,
    },

    /// The sealed KEK file is malformed.
    #[error("kek file {}: {what}", path.display())]
    KekFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },

    /// The sealed KEK file does not open: wrong passphrase or damaged file, which cannot be told apart.
    #[error("kek file {}: wrong passphrase or damaged file", path.display())]
    KekUnseal {
        /// The file.
        path: PathBuf,
    },

    /// The registry's bytes are malformed.
    #[error("registry: {what} (at byte {offset})")]
    Registry {
        /// What is wrong.
        what: &'static str,
        /// Where, in bytes from the start.
        offset: usize,
    },

    /// Storage holds no registry.
    #[error("registry: there is none in storage")]
    RegistryMissing,

    /// The registry is written under another KEK.
    #[error("registry belongs to kek {found:?}, but the provider is {provider:?}")]
    RegistryKek {
        /// KEK id the registry names.
        found: String,
        /// Id of the provider at hand.
        provider: String,
    },

    /// The registry is well-formed but not authentic.
    #[error("registry: {what} is not authentic")]
    RegistryIntegrity {
        /// Which part.
        what: String,
    },

    /// The registry is older than one already seen.
    #[error("registry was rolled back: epoch {found} after epoch {seen}")]
    RegistryRolledBack {
        /// Highest epoch seen before.
        seen: u64,
        /// Epoch found now.
        found: u64,
    },

    /// Two different registries with the same epoch: one of them comes from a fork of the history.
    #[error("registry was forked: epoch {epoch} has two contents")]
    RegistryForked {
        /// The epoch.
        epoch: u64,
    },

    /// Another writer holds the registry's lock.
    #[error("registry {}: locked by another process", path.display())]
    RegistryLocked {
        /// The lock file.
        path: PathBuf,
    },

    /// The registry changed between reading and replacing it. The ring reads again and retries.
    #[error("registry changed under the writer")]
    RegistryConflict,

    /// A limit of the registry format is reached.
    #[error("registry is full: {what}")]
    RegistryFull {
        /// Which limit.
        what: &'static str,
    },

    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, e.g. `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },

    /// A database operation on the registry failed.
    #[error("cannot {action} the registry in its database: {source}")]
    Storage {
        /// What was attempted, e.g. `read`.
        action: &'static str,
        /// The driver's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// What was sealed is no value of the type that it was opened as.
    #[error("the opened value: {what}")]
    FieldValue {
        /// What it is not.
        what: &'static str,
    },

    /// The ring or a class is configured in a way that cannot work.
    #[error("configuration: {what}")]
    Config {
        /// What is wrong.
        what: String,
    },
}

fn tenant_suffix(tenant: Option<&str>) -> String {
    tenant
        .map(|t| format!(" for tenant {t:?}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::Error;
    use std::error::Error as _;

    #[test]
    fn the_opening_error_says_nothing() {
        assert_eq!(Error::Open.to_string(), "the sealed value does not open");
        assert!(Error::Open.source().is_none());
    }

    #[test]
    fn messages_name_place_and_tenant() {
        let e = Error::NoKey {
            class: "card".into(),
            tenant: Some("bank-a".into()),
        };
        assert_eq!(
            e.to_string(),
            "field class \"card\" has no field key that may seal now for tenant \"bank-a\": rotate it"
        );
        let e = Error::Envelope {
            what: "too short",
            offset: 3,
        };
        assert_eq!(e.to_string(), "envelope: too short (at byte 3)");
    }
}
