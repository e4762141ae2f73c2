//! Opens a service's audit stream from its configuration.

use audit_log::{
    AuditLog, Config, FsStorage, Pseudonymizer, Sm2CheckpointSigner, SystemClock, WhenFull,
};

use crate::adapters::Audit;
use crate::config::AuditConfig;
use crate::error::{BadInput, Failure, read_text};

const MAX_KEY_BYTES: u64 = 16 << 10;
/// Events that may wait for the disk. A full queue refuses, and so do the requests behind it:
/// waiting would block the threads that serve everybody.
const QUEUE: usize = 16_384;
/// Number of the pseudonym key, which stands before every pseudonym.
const PSEUDONYM_KEY_ID: u32 = 1;

/// Opens the stream, recovering what a crash left.
///
/// # Errors
/// A key file is malformed, the stream is damaged, or another process holds it.
pub fn open_audit(config: &AuditConfig) -> Result<Audit, Failure> {
    let pem = zeroize::Zeroizing::new(read_text(&config.signing_key, MAX_KEY_BYTES)?);
    let signer = Sm2CheckpointSigner::from_pkcs8_pem(&config.key_id, &pem)
        .map_err(|e| BadInput::file(&config.signing_key, e))?;
    let secret = config.pseudonym_key.load()?;
    let pseudonyms = Pseudonymizer::new(PSEUDONYM_KEY_ID, secret.expose())
        .map_err(|e| BadInput::new("pseudonym_key", e))?;
    let storage = FsStorage::open(&config.dir).map_err(|e| BadInput::file(&config.dir, e))?;
    let settings = Config::new(&config.stream).queue(QUEUE, WhenFull::FailClosed);
    let log = AuditLog::open(settings, storage, signer, SystemClock::new())
        .map_err(|e| BadInput::file(&config.dir, e))?;
    Ok(Audit::new(log, pseudonyms))
}
