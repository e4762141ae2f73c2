//! What can go wrong.

use crate::code::DeviceCode;
use std::path::PathBuf;
use std::time::Duration;

/// Why a call failed. Messages name the device's call and carry no secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The library cannot be loaded.
    #[error("cannot load the device library {}: {reason}", path.display())]
    Load {
        /// Its path.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },

    /// The library lacks a call that every device has.
    #[error("the device library {} lacks {symbol}", path.display())]
    MissingSymbol {
        /// Its path.
        path: PathBuf,
        /// The call.
        symbol: &'static str,
    },

    /// The library lacks a call of the 2023 edition.
    #[error("the device library lacks {call}, a call of GM/T 0018-2023")]
    NotOffered {
        /// The call.
        call: &'static str,
    },

    /// The device refused.
    #[error("{call}: {code}")]
    Device {
        /// The call.
        call: &'static str,
        /// Its reason.
        code: DeviceCode,
    },

    /// The device answered with a length that cannot be.
    #[error("{call}: the device gave {got} bytes where {expected} are right")]
    AnswerLength {
        /// The call.
        call: &'static str,
        /// What the device said.
        got: usize,
        /// What it can be at most, or must be.
        expected: usize,
    },

    /// The device wrote past the buffer it was given. What it gave is not used.
    #[error("{call}: the device wrote past its buffer")]
    Overrun {
        /// The call.
        call: &'static str,
    },

    /// The device reported success and gave no handle.
    #[error("{call}: the device gave no handle")]
    NoHandle {
        /// The call.
        call: &'static str,
    },

    /// The device reported success and gave nothing but zeros for random bytes.
    #[error("SDF_GenerateRandom: the device gave zeros for random bytes")]
    RandomIsZero,

    /// An argument has a length that the call does not take. Nothing was sent to the device.
    #[error("{what} has {got} bytes, expected {expected}")]
    Argument {
        /// Which argument.
        what: &'static str,
        /// Its length in bytes.
        got: usize,
        /// What is taken.
        expected: &'static str,
    },

    /// Every session was in use for as long as the caller would wait.
    #[error("all {sessions} sessions of the pool were in use for {waited:?}")]
    PoolExhausted {
        /// How many there are.
        sessions: usize,
        /// How long was waited.
        waited: Duration,
    },
}

impl Error {
    /// The device's code, if it was the device that refused.
    #[must_use]
    pub fn device_code(&self) -> Option<DeviceCode> {
        match self {
            Self::Device { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the library or the device does not do what was asked, now or later.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        match self {
            Self::NotOffered { .. } => true,
            Self::Device { code, .. } => code.is_unsupported(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_call_code_and_meaning() {
        let e = Error::Device {
            call: "SDF_Encrypt",
            code: DeviceCode::Communication,
        };
        assert_eq!(
            e.to_string(),
            "SDF_Encrypt: SDR_COMMFAIL (0x01000003), communication with the device failed"
        );
        assert!(!e.is_unsupported());
        assert_eq!(e.device_code(), Some(DeviceCode::Communication));
        let e = Error::NotOffered {
            call: "SDF_AuthEnc",
        };
        assert!(e.is_unsupported() && e.device_code().is_none());
    }
}
