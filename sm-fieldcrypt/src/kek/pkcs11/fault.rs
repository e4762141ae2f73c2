//! What a failed call means for the next one.

use cryptoki::error::{Error as CryptokiError, RvError};

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// Session, login or token is gone, or may be: a new session may do better.
    Lost(String),
    /// The token refused the PIN. Trying again would use up what attempts it allows.
    Pin(String),
    /// The token says that this is no key wrapped by its wrapping key.
    NotAuthentic,
    /// Anything else: it would fail again.
    Other(String),
}

impl From<CryptokiError> for Fault {
    fn from(error: CryptokiError) -> Self {
        let CryptokiError::Pkcs11(code, function) = &error else {
            return Self::Other(error.to_string());
        };
        let text = format!("C_{function:?}: {}", ckr_name(code));
        match code {
            RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::UserNotLoggedIn
            | RvError::DeviceError
            | RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SlotIdInvalid
            | RvError::CryptokiNotInitialized
            | RvError::KeyHandleInvalid
            | RvError::ObjectHandleInvalid
            | RvError::WrappingKeyHandleInvalid
            | RvError::UnwrappingKeyHandleInvalid
            | RvError::OperationActive
            | RvError::FunctionCanceled
            | RvError::FunctionFailed
            | RvError::GeneralError => Self::Lost(text),
            RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired
            | RvError::PinLocked => Self::Pin(text),
            RvError::WrappedKeyInvalid
            | RvError::WrappedKeyLenRange
            | RvError::EncryptedDataInvalid
            | RvError::EncryptedDataLenRange => Self::NotAuthentic,
            _ => Self::Other(text),
        }
    }
}

/// The name of a return value as the standard has it.
pub(super) fn ckr_name(code: &RvError) -> String {
    if let RvError::VendorDefined(number) | RvError::UnknownErrorCode(number) = code {
        return format!("CKR {number:#010X}");
    }
    let mut name = String::from("CKR");
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::{Fault, ckr_name};
    use cryptoki::context::Function;
    use cryptoki::error::{Error, RvError};

    #[test]
    fn return_values_have_their_names() {
        for (code, name) in [
            (RvError::PinIncorrect, "CKR_PIN_INCORRECT"),
            (RvError::SessionHandleInvalid, "CKR_SESSION_HANDLE_INVALID"),
            (RvError::VendorDefined(0x8000_0001), "CKR 0x80000001"),
        ] {
            assert_eq!(ckr_name(&code), name);
        }
    }

    #[test]
    fn only_what_a_new_session_may_mend_is_lost() {
        let fault = |code| Fault::from(Error::Pkcs11(code, Function::Sign));
        assert!(
            matches!(fault(RvError::DeviceRemoved), Fault::Lost(t) if t == "C_Sign: CKR_DEVICE_REMOVED")
        );
        assert!(matches!(fault(RvError::PinLocked), Fault::Pin(_)));
        assert!(matches!(
            fault(RvError::WrappedKeyInvalid),
            Fault::NotAuthentic
        ));
        assert!(matches!(fault(RvError::MechanismInvalid), Fault::Other(_)));
        assert!(matches!(Fault::from(Error::InvalidValue), Fault::Other(_)));
    }
}
