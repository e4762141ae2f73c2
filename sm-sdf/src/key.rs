//! Keys inside the device, and what is done with them.

#![allow(unsafe_code)]

use crate::abi::Handle;
use crate::buffer::{Output, length, pointer};
use crate::error::Error;
use crate::options::TagLength;
use crate::session::Session;
use crate::wrapped::WrappedKey;
use std::fmt;
use std::ptr::null_mut;
use zeroize::Zeroizing;

/// Room for a wrapped key: 256 bits as `IV ‖ CBC ‖ padding` need 64 bytes.
const WRAPPED_ROOM: usize = 512;

/// How SM4 is run over whole blocks. Devices do not pad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode<'a> {
    /// Every block by itself.
    Ecb,
    /// Chained, from an IV.
    Cbc(&'a [u8; 16]),
}

/// A key in a session of the device, by its handle; its bytes never leave. Destroyed on drop, unless it is the session's
/// ([`Key::cached`]).
///
/// It cannot outlive its session or be used with another:
///
/// ```compile_fail
/// fn escape(session: sm_sdf::Session, wrapped: &sm_sdf::WrappedKey) -> sm_sdf::Key<'_> {
///     sm_sdf::Key::import(&session, wrapped).unwrap()
/// }
/// ```
pub struct Key<'s> {
    session: &'s Session,
    handle: Handle,
    of_session: bool,
}

impl<'s> Key<'s> {
    /// Makes a new random key of `bits` bits inside the device and wraps it under the KEK at `kek_index`.
    ///
    /// # Errors
    /// [`Error::Device`] with the device's code.
    pub fn generate(
        session: &'s Session,
        kek_index: u32,
        bits: u32,
    ) -> Result<(Self, WrappedKey), Error> {
        const CALL: &str = "SDF_GenerateKeyWithKEK";
        let algorithm = session.device().library().options().algorithms.key_wrap;
        let mut output = Output::new(WRAPPED_ROOM)?;
        let (to, to_length) = output.pointers();
        let mut handle = null_mut();
        session.call(CALL, |symbols, in_session| {
            // SAFETY: the session is open; `to` has the room that `to_length` says, both are valid, and `handle` is a
            // valid place for a handle.
            unsafe {
                (symbols.generate_key_with_kek)(
                    in_session,
                    bits,
                    algorithm,
                    kek_index,
                    to,
                    to_length,
                    &raw mut handle,
                )
            }
        })?;
        // Before anything else can fail: the handle is destroyed with the key.
        let key = Self::new(session, handle, CALL)?;
        let bytes = session.noting(output.up_to_room(CALL))?;
        if bytes.is_empty() {
            return session.noting(Err(Error::AnswerLength {
                call: CALL,
                got: 0,
                expected: WRAPPED_ROOM,
            }));
        }
        Ok((key, WrappedKey::new(kek_index, bytes.to_vec())))
    }

    /// Imports a key that the device wrapped. Destroyed when the result is dropped.
    ///
    /// A wrapped key carries nothing that tells whether it is the right one: under another KEK it may import all the
    /// same, as another key.
    ///
    /// # Errors
    /// [`Error::Device`] with the device's code.
    pub fn import(session: &'s Session, wrapped: &WrappedKey) -> Result<Self, Error> {
        const CALL: &str = "SDF_ImportKeyWithKEK";
        let algorithm = session.device().library().options().algorithms.key_wrap;
        let bytes_length = length("a wrapped key", wrapped.bytes().len())?;
        let mut handle = null_mut();
        session.call(CALL, |symbols, in_session| {
            // SAFETY: the session is open; the wrapped key is `bytes_length` bytes long and only read; `handle` is a
            // valid place for a handle.
            unsafe {
                (symbols.import_key_with_kek)(
                    in_session,
                    algorithm,
                    wrapped.kek_index(),
                    pointer(wrapped.bytes()),
                    bytes_length,
                    &raw mut handle,
                )
            }
        })?;
        Self::new(session, handle, CALL)
    }

    /// As [`Key::import`], but the key stays imported until the session is closed, and is found again here. A session
    /// keeps 16 keys; more are imported each time.
    ///
    /// # Errors
    /// [`Error::Device`] with the device's code.
    pub fn cached(session: &'s Session, wrapped: &WrappedKey) -> Result<Self, Error> {
        if let Some(handle) = session.kept(wrapped) {
            return Ok(Self {
                session,
                handle,
                of_session: true,
            });
        }
        let mut key = Self::import(session, wrapped)?;
        key.of_session = session.keep(wrapped, key.handle);
        Ok(key)
    }

    /// Takes over a handle that the session's device has just given.
    fn new(session: &'s Session, handle: Handle, call: &'static str) -> Result<Self, Error> {
        if handle.is_null() {
            return session.noting(Err(Error::NoHandle { call }));
        }
        Ok(Self {
            session,
            handle,
            of_session: false,
        })
    }

    /// Encrypts whole blocks.
    ///
    /// # Errors
    /// [`Error::Argument`] unless there are whole blocks; [`Error::Device`] with the device's code.
    pub fn encrypt(&self, mode: Mode<'_>, data: &[u8]) -> Result<Vec<u8>, Error> {
        const CALL: &str = "SDF_Encrypt";
        let data_length = blocks("data to encrypt", data)?;
        let (algorithm, mut iv) = self.mode(mode);
        let mut output = Output::new(data.len())?;
        let (to, to_length) = output.pointers();
        self.session.call(CALL, |symbols, session| {
            // SAFETY: session and key are open; the IV is a copy of 16 bytes, which some libraries write to; the data are
            // `data_length` bytes long and only read; `to` has the room that `to_length` says, both are valid.
            unsafe {
                (symbols.encrypt)(
                    session,
                    self.handle,
                    algorithm,
                    iv.as_mut_ptr(),
                    pointer(data),
                    data_length,
                    to,
                    to_length,
                )
            }
        })?;
        Ok(self.session.noting(output.whole(CALL))?.to_vec())
    }

    /// Decrypts whole blocks.
    ///
    /// # Errors
    /// [`Error::Argument`] unless there are whole blocks; [`Error::Device`] with the device's code.
    pub fn decrypt(&self, mode: Mode<'_>, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        const CALL: &str = "SDF_Decrypt";
        let data_length = blocks("data to decrypt", data)?;
        let (algorithm, mut iv) = self.mode(mode);
        let mut output = Output::new(data.len())?;
        let (to, to_length) = output.pointers();
        self.session.call(CALL, |symbols, session| {
            // SAFETY: as in `encrypt`.
            unsafe {
                (symbols.decrypt)(
                    session,
                    self.handle,
                    algorithm,
                    iv.as_mut_ptr(),
                    pointer(data),
                    data_length,
                    to,
                    to_length,
                )
            }
        })?;
        self.session.noting(output.whole(CALL))
    }

    /// CBC-MAC with SM4 over whole blocks, from a zero IV. By itself it is a MAC for messages of *one* length only: with
    /// messages of several lengths, others can be forged from them.
    ///
    /// # Errors
    /// [`Error::Argument`] unless there are whole blocks; [`Error::Device`] with the device's code.
    pub fn cbc_mac(&self, data: &[u8]) -> Result<[u8; 16], Error> {
        const CALL: &str = "SDF_CalculateMAC";
        let data_length = blocks("data to authenticate", data)?;
        let algorithm = self.session.device().library().options().algorithms.sm4_mac;
        let mut iv = [0; 16];
        let mut output = Output::new(16)?;
        let (to, to_length) = output.pointers();
        self.session.call(CALL, |symbols, session| {
            // SAFETY: as in `encrypt`.
            unsafe {
                (symbols.calculate_mac)(
                    session,
                    self.handle,
                    algorithm,
                    iv.as_mut_ptr(),
                    pointer(data),
                    data_length,
                    to,
                    to_length,
                )
            }
        })?;
        self.session.noting(output.array(CALL))
    }

    /// HMAC-SM3 of the parts, one after the other. Of the 2023 edition.
    ///
    /// # Errors
    /// [`Error::NotOffered`]; [`Error::Device`] with the device's code.
    pub fn hmac_sm3(&self, parts: &[&[u8]]) -> Result<[u8; 32], Error> {
        const INIT: &str = "SDF_HMACInit";
        const UPDATE: &str = "SDF_HMACUpdate";
        const FINAL: &str = "SDF_HMACFinal";
        let library = self.session.device().library();
        let algorithm = library.options().algorithms.sm3;
        let (init, update, end) = {
            let (symbols, _guard) = library.enter();
            (
                symbols.hmac_init.ok_or(Error::NotOffered { call: INIT })?,
                symbols
                    .hmac_update
                    .ok_or(Error::NotOffered { call: UPDATE })?,
                symbols
                    .hmac_final
                    .ok_or(Error::NotOffered { call: FINAL })?,
            )
        };
        self.session.call(INIT, |_, session| {
            // SAFETY: session and key are open.
            unsafe { init(session, self.handle, algorithm) }
        })?;
        for part in parts.iter().filter(|p| !p.is_empty()) {
            let part_length = self
                .session
                .noting(length("a part of the message", part.len()))?;
            self.session.call(UPDATE, |_, session| {
                // SAFETY: the session is open; the part is `part_length` bytes long and only read.
                unsafe { update(session, pointer(part), part_length) }
            })?;
        }
        let mut output = Output::new(32)?;
        let (to, to_length) = output.pointers();
        self.session.call(FINAL, |_, session| {
            // SAFETY: the session is open; `to` has the room that `to_length` says, both are valid.
            unsafe { end(session, to, to_length) }
        })?;
        self.session.noting(output.array(FINAL))
    }

    /// Encrypts and authenticates with SM4-GCM: ciphertext and tag. The nonce is used once under one key. Of the 2023
    /// edition.
    ///
    /// # Errors
    /// [`Error::NotOffered`]; [`Error::Device`] with the device's code.
    pub fn gcm_seal(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        data: &[u8],
    ) -> Result<(Vec<u8>, [u8; 16]), Error> {
        const CALL: &str = "SDF_AuthEnc";
        let library = self.session.device().library();
        let algorithm = library.options().algorithms.sm4_gcm;
        let auth_enc = library
            .enter()
            .0
            .auth_enc
            .ok_or(Error::NotOffered { call: CALL })?;
        let aad_length = length("additional data", aad.len())?;
        let data_length = length("data to encrypt", data.len())?;
        let mut nonce = *nonce;
        let mut output = Output::new(data.len())?;
        let (to, to_length) = output.pointers();
        let mut tag = Output::new(16)?;
        let (tag_to, tag_length) = tag.pointers();
        self.session.call(CALL, |_, session| {
            // SAFETY: session and key are open; the nonce is a copy of 12 bytes; additional data and data have the lengths
            // that are passed with them and are only read; `to` and `tag_to` have the room that their lengths say, all of
            // them are valid.
            unsafe {
                auth_enc(
                    session,
                    self.handle,
                    algorithm,
                    nonce.as_mut_ptr(),
                    12,
                    pointer(aad),
                    aad_length,
                    pointer(data),
                    data_length,
                    to,
                    to_length,
                    tag_to,
                    tag_length,
                )
            }
        })?;
        let text = self.session.noting(output.whole(CALL))?;
        let tag = self.session.noting(tag.array(CALL))?;
        Ok((text.to_vec(), tag))
    }

    /// Checks and decrypts with SM4-GCM. Of the 2023 edition.
    ///
    /// # Errors
    /// [`Error::NotOffered`]; [`Error::Device`] with the device's code, which for a wrong tag is the vendor's choice
    /// (`SDR_MACERR`, `SDR_VERIFYERR`, `SDR_SYMOPERR` or one of its own).
    pub fn gcm_open(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        data: &[u8],
        tag: &[u8; 16],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        const CALL: &str = "SDF_AuthDec";
        let library = self.session.device().library();
        let options = library.options();
        let algorithm = options.algorithms.sm4_gcm;
        let (by_pointer, by_value) = {
            let (symbols, _guard) = library.enter();
            let missing = || Error::NotOffered { call: CALL };
            (
                symbols.auth_dec_by_pointer.ok_or_else(missing)?,
                symbols.auth_dec_by_value.ok_or_else(missing)?,
            )
        };
        let aad_length = length("additional data", aad.len())?;
        let data_length = length("data to decrypt", data.len())?;
        let mut nonce = *nonce;
        let mut tag = *tag;
        let mut tag_length = 16;
        let mut output = Output::new(data.len())?;
        let (to, to_length) = output.pointers();
        self.session
            .call(CALL, |_, session| match options.tag_length {
                // SAFETY: as in `gcm_seal`; the tag is a copy of 16 bytes, and its length a valid place that says so. The
                // library has this form of the call, as its settings say.
                TagLength::ByPointer => unsafe {
                    by_pointer(
                        session,
                        self.handle,
                        algorithm,
                        nonce.as_mut_ptr(),
                        12,
                        pointer(aad),
                        aad_length,
                        tag.as_mut_ptr(),
                        &raw mut tag_length,
                        pointer(data),
                        data_length,
                        to,
                        to_length,
                    )
                },
                // SAFETY: as above, the tag's length passed as a number.
                TagLength::ByValue => unsafe {
                    by_value(
                        session,
                        self.handle,
                        algorithm,
                        nonce.as_mut_ptr(),
                        12,
                        pointer(aad),
                        aad_length,
                        tag.as_mut_ptr(),
                        tag_length,
                        pointer(data),
                        data_length,
                        to,
                        to_length,
                    )
                },
            })?;
        self.session.noting(output.whole(CALL))
    }

    /// The algorithm id of a mode, and a copy of its IV.
    fn mode(&self, mode: Mode<'_>) -> (u32, [u8; 16]) {
        let ids = &self.session.device().library().options().algorithms;
        match mode {
            Mode::Ecb => (ids.sm4_ecb, [0; 16]),
            Mode::Cbc(iv) => (ids.sm4_cbc, *iv),
        }
    }
}

impl Drop for Key<'_> {
    fn drop(&mut self) {
        if !self.of_session {
            self.session.destroy(self.handle);
        }
    }
}

impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The length of whole blocks.
fn blocks(what: &'static str, data: &[u8]) -> Result<u32, Error> {
    if data.is_empty() || !data.len().is_multiple_of(16) {
        return Err(Error::Argument {
            what,
            got: data.len(),
            expected: "whole blocks of 16",
        });
    }
    length(what, data.len())
}
