//! A session with the token, and what becomes of it when the token goes away.

use crate::error::Error;
use crate::kek::pkcs11::config::{Pkcs11Config, Pkcs11Token, Pkcs11Wrapping};
use crate::kek::pkcs11::fault::Fault;
use crate::kek::pkcs11::keys::{self, KeyKind};
use crate::random::{OsRandom, RandomSource};
use crate::secret::SecretBytes;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::RawAuthPin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use zeroize::Zeroize;

/// Waits before a call is made again in a new session; as many times, and no more.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(250)];
/// Longest message that is given to the token at once, in bytes.
const MAX_PART: usize = 16 << 10;
const IV: usize = 16;
/// Over this the keys' fingerprint is made. No other MAC begins like it.
const FINGERPRINT_LABEL: &[u8] = b"SMFCP1/id";

/// A module, what is wanted of it, and at most one session, used by one call at a time.
pub(super) struct Link {
    module: Pkcs11,
    config: Pkcs11Config,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    /// What the token has said to the PIN, once it has refused it.
    pin_refused: Option<String>,
    /// Of the keys that were found first.
    fingerprint: Option<[u8; 8]>,
}

impl Link {
    /// Loads the module. No call is made to a token yet.
    pub(super) fn load(config: Pkcs11Config) -> Result<Self, Error> {
        config.validate()?;
        let module = Pkcs11::new(&config.module).map_err(|e| Error::Kek {
            provider: config.public_name(),
            reason: format!("the module {} does not load: {e}", config.module.display()),
        })?;
        // The module is never unloaded, for it may have started threads, and others in this process may use it.
        std::mem::forget(module.clone());
        Ok(Self {
            module,
            config,
            state: Mutex::default(),
        })
    }

    pub(super) fn config(&self) -> &Pkcs11Config {
        &self.config
    }

    /// Connects, and gives the fingerprint of the keys there.
    pub(super) fn fingerprint(&self) -> Result<[u8; 8], Error> {
        self.call(Connection::fingerprint)
    }

    /// Makes both keys on the token, unless there is one of their names.
    pub(super) fn create_keys(&self) -> Result<(), Error> {
        let mut state = self.state();
        // Not repeated: half of it may have been done.
        self.session(&mut state, true)
            .and_then(|session| create_keys(&session, &self.config))
            .map_err(|fault| self.error(fault))
    }

    /// Does `work` in a session that is logged in; again, in a new one, when the token or the session was lost.
    pub(super) fn call<T>(
        &self,
        work: impl Fn(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        let mut state = self.state();
        let mut pauses = PAUSES.into_iter();
        loop {
            let done = self.connection(&mut state).and_then(|connection| {
                let done =
                    work(&connection).map_err(|fault| or_login_lost(&connection.session, fault))?;
                // Only here: whatever fails takes its session along, and with it what the call has left behind in
                // the token, an operation or a key. That session closes before another one opens, which after a
                // restart of the module may have the same handle.
                state.connection = Some(connection);
                Ok(done)
            });
            match (done, pauses.next()) {
                (Ok(done), _) => return Ok(done),
                (Err(Fault::Lost(_)), Some(pause)) => std::thread::sleep(pause),
                (Err(fault), _) => return Err(self.error(fault)),
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self, state: &mut State) -> Result<Connection, Fault> {
        if let Some(connection) = state.connection.take()
            && connection.still_holds(&self.config)
        {
            return Ok(connection);
        }
        let session = self.session(state, false)?;
        let mechanisms = &self.config.mechanisms;
        let find = |name, kind: KeyKind| {
            keys::find(&session, name, &kind).map_err(|fault| or_login_lost(&session, fault))
        };
        let wrapping = find(&self.config.wrapping, KeyKind::wrapping(mechanisms))?;
        let integrity = find(&self.config.integrity, KeyKind::integrity(mechanisms))?;
        let connection = Connection {
            session,
            wrapping,
            integrity,
            wraps_by: mechanisms.wrapping,
            mac: mechanisms.mac,
        };
        let fingerprint = connection
            .fingerprint()
            .map_err(|fault| or_login_lost(&connection.session, fault))?;
        match state.fingerprint {
            Some(first) if first != fingerprint => Err(Fault::Other(
                "the token has come back with another integrity key of the same name".into(),
            )),
            _ => {
                state.fingerprint = Some(fingerprint);
                Ok(connection)
            }
        }
    }

    /// A new session, logged in.
    fn session(&self, state: &mut State, writing: bool) -> Result<Session, Fault> {
        if let Some(answer) = &state.pin_refused {
            return Err(Fault::Other(format!(
                "the pin was refused before ({answer}) and is not tried again"
            )));
        }
        let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        match self.module.initialize(arguments) {
            // Another part of this process has done so, or this one, before the session was lost.
            Ok(()) | Err(CryptokiError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(e) => return Err(e.into()),
        }
        let slot = self.slot()?;
        let session = if writing {
            self.module.open_rw_session(slot)?
        } else {
            self.module.open_ro_session(slot)?
        };
        let pin = RawAuthPin::new(Box::new(self.config.pin.expose().to_vec()));
        match session.login_with_raw(UserType::User, &pin) {
            // The login is the process's, not the session's.
            Ok(()) | Err(CryptokiError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(e) => Err(match Fault::from(e) {
                Fault::Pin(answer) => {
                    state.pin_refused = Some(answer.clone());
                    Fault::Pin(answer)
                }
                // Not to be repeated, whatever it means: every try counts.
                Fault::Lost(answer) => Fault::Other(answer),
                other => other,
            }),
        }
    }

    /// The slot of the one token that answers to the name.
    fn slot(&self) -> Result<Slot, Fault> {
        let mut found = None;
        for slot in self.module.get_slots_with_token()? {
            // A slot that does not answer may be anything but the one that is looked for.
            let Ok(info) = self.module.get_token_info(slot) else {
                continue;
            };
            let named = match &self.config.token {
                Pkcs11Token::Label(label) => info.label() == label,
                Pkcs11Token::Serial(serial) => info.serial_number() == serial,
            };
            if named && found.replace(slot).is_some() {
                return Err(Fault::Other("two tokens answer to the name".into()));
            }
        }
        found.ok_or_else(|| Fault::Lost("no token answers to the name".into()))
    }

    fn error(&self, fault: Fault) -> Error {
        let provider = self.config.public_name();
        match fault {
            Fault::NotAuthentic => Error::KekUnwrap { provider },
            Fault::Lost(reason) | Fault::Pin(reason) | Fault::Other(reason) => {
                Error::Kek { provider, reason }
            }
        }
    }
}

/// Without login a token shows no private object and refuses in many words. Whatever it says then is the login's loss,
/// which somebody else's logout may bring about in the midst of a call.
fn or_login_lost(session: &Session, fault: Fault) -> Fault {
    let state = session.get_session_info().map(|info| info.session_state());
    match (fault, state) {
        (fault @ Fault::Pin(_), _) => fault,
        (fault, Ok(SessionState::RoUser | SessionState::RwUser)) => fault,
        (Fault::Lost(said) | Fault::Other(said), _) => Fault::Lost(said),
        (Fault::NotAuthentic, _) => Fault::Lost("the login was lost".into()),
    }
}

fn create_keys(session: &Session, config: &Pkcs11Config) -> Result<(), Fault> {
    let names = [&config.wrapping, &config.integrity];
    let kinds = [
        KeyKind::wrapping(&config.mechanisms),
        KeyKind::integrity(&config.mechanisms),
    ];
    for name in names {
        if !keys::of_name(session, name)?.is_empty() {
            return Err(Fault::Other(format!(
                "there is a key {:?} on the token already",
                name.label
            )));
        }
    }
    let mut made = Vec::new();
    let outcome = (|| {
        for (name, kind) in names.into_iter().zip(&kinds) {
            made.push(keys::generate(session, name, kind)?);
        }
        for (name, kind) in names.into_iter().zip(&kinds) {
            // Nothing on a token is unique: another process may have made its own meanwhile.
            keys::find(session, name, kind)?;
        }
        Ok(())
    })();
    if outcome.is_err() {
        for key in made {
            // What stays behind is refused by the next `create` and by `open`, by name.
            let _ = session.destroy_object(key);
        }
    }
    outcome
}

/// A session that is logged in, and the keys it has found.
pub(super) struct Connection {
    session: Session,
    wrapping: ObjectHandle,
    integrity: ObjectHandle,
    wraps_by: Pkcs11Wrapping,
    mac: u32,
}

impl Connection {
    /// Whether the handles still are those of the keys. Handles are numbers: when another part of the process has
    /// started the module anew, or keys on the token were replaced, they may stand for something else.
    fn still_holds(&self, config: &Pkcs11Config) -> bool {
        [
            (&config.wrapping, self.wrapping),
            (&config.integrity, self.integrity),
        ]
        .into_iter()
        .all(|(name, key)| {
            keys::of_name(&self.session, name).is_ok_and(|found| found.as_slice() == [key])
        })
    }

    /// HMAC under the integrity key.
    pub(super) fn mac(&self, message: &[u8]) -> Result<[u8; 32], Fault> {
        let mechanism = keys::mechanism(self.mac, None)?;
        let tag = if message.len() <= MAX_PART {
            self.session.sign(&mechanism, self.integrity, message)?
        } else {
            self.session.sign_init(&mechanism, self.integrity)?;
            for part in message.chunks(MAX_PART) {
                self.session.sign_update(part)?;
            }
            self.session.sign_final()?
        };
        tag.try_into()
            .map_err(|_| Fault::Other("its mac does not have 32 bytes".into()))
    }

    fn fingerprint(&self) -> Result<[u8; 8], Fault> {
        let mac = self.mac(FINGERPRINT_LABEL)?;
        let (first, _) = mac.split_first_chunk().unwrap_or((&[0; 8], &[]));
        Ok(*first)
    }

    /// A field key, wrapped. Says nothing of its context.
    pub(super) fn wrap(&self, key: &SecretBytes) -> Result<Vec<u8>, Fault> {
        match self.wraps_by {
            Pkcs11Wrapping::KeyWrap(number) => {
                let mechanism = keys::mechanism(number, None)?;
                let mut template = [
                    Attribute::Class(ObjectClass::SECRET_KEY),
                    Attribute::KeyType(KeyType::GENERIC_SECRET),
                    Attribute::Token(false),
                    Attribute::Private(true),
                    Attribute::Sensitive(true),
                    Attribute::Extractable(true),
                    Attribute::Value(key.expose().to_vec()),
                ];
                let object = self.session.create_object(&template);
                for attribute in &mut template {
                    if let Attribute::Value(value) = attribute {
                        value.zeroize();
                    }
                }
                let object = object?;
                let wrapped = self.session.wrap_key(&mechanism, self.wrapping, object)?;
                self.session.destroy_object(object)?;
                Ok(wrapped)
            }
            Pkcs11Wrapping::Cipher(number) => {
                let mut iv = [0_u8; IV];
                OsRandom
                    .fill(&mut iv)
                    .map_err(|e| Fault::Other(e.to_string()))?;
                let mechanism = keys::mechanism(number, Some(&iv))?;
                let text = self
                    .session
                    .encrypt(&mechanism, self.wrapping, key.expose())?;
                Ok([iv.as_slice(), &text].concat())
            }
        }
    }

    /// A field key from what [`Connection::wrap`] has made and a MAC has been found to cover.
    pub(super) fn unwrap(&self, wrapped: &[u8]) -> Result<SecretBytes, Fault> {
        match self.wraps_by {
            Pkcs11Wrapping::KeyWrap(number) => {
                let mechanism = keys::mechanism(number, None)?;
                let template = [
                    Attribute::Class(ObjectClass::SECRET_KEY),
                    Attribute::KeyType(KeyType::GENERIC_SECRET),
                    Attribute::Token(false),
                    Attribute::Private(true),
                    Attribute::Sensitive(false),
                    Attribute::Extractable(true),
                ];
                let object =
                    self.session
                        .unwrap_key(&mechanism, self.wrapping, wrapped, &template)?;
                let value = self
                    .session
                    .get_attributes(object, &[AttributeType::Value])?;
                let key = value.into_iter().find_map(|attribute| match attribute {
                    Attribute::Value(value) => Some(SecretBytes::new(value)),
                    _ => None,
                });
                self.session.destroy_object(object)?;
                key.ok_or_else(|| {
                    Fault::Other(
                        "the token does not give out the unwrapped key: wrap by a cipher".into(),
                    )
                })
            }
            Pkcs11Wrapping::Cipher(number) => {
                let (iv, text) = wrapped
                    .split_first_chunk::<IV>()
                    .ok_or(Fault::NotAuthentic)?;
                let mechanism = keys::mechanism(number, Some(iv))?;
                let key = self.session.decrypt(&mechanism, self.wrapping, text)?;
                Ok(SecretBytes::new(key))
            }
        }
    }
}
