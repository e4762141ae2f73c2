//! The two keys on the token: found, checked, made.

use crate::kek::pkcs11::config::{KeyName, Pkcs11Mechanisms, Pkcs11Wrapping};
use crate::kek::pkcs11::fault::Fault;
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use std::ffi::c_ulong;

/// Shortest integrity key that is accepted, and the length of a new one, in bytes.
const MAC_KEY_BYTES: u32 = 32;
/// Shortest wrapping key that is accepted, in bytes.
const MIN_KEY_BYTES: u32 = 16;

/// What a secret key may be used for, in the order of [`USAGE_ATTRIBUTES`].
type Usages = [bool; 7];

const USAGE_ATTRIBUTES: [(AttributeType, &str); 7] = [
    (AttributeType::Wrap, "CKA_WRAP"),
    (AttributeType::Unwrap, "CKA_UNWRAP"),
    (AttributeType::Encrypt, "CKA_ENCRYPT"),
    (AttributeType::Decrypt, "CKA_DECRYPT"),
    (AttributeType::Sign, "CKA_SIGN"),
    (AttributeType::Verify, "CKA_VERIFY"),
    (AttributeType::Derive, "CKA_DERIVE"),
];

/// What one of the keys must be.
pub(super) struct KeyKind {
    what: &'static str,
    key_type: u32,
    generation: u32,
    /// Told to the token when the key is made.
    bytes: Option<u32>,
    min_bytes: u32,
    needs: Usages,
    /// Needed or not, all the same.
    allows: Usages,
}

impl KeyKind {
    pub(super) fn wrapping(mechanisms: &Pkcs11Mechanisms) -> Self {
        let wraps = matches!(mechanisms.wrapping, Pkcs11Wrapping::KeyWrap(_));
        let needs = [wraps, wraps, !wraps, !wraps, false, false, false];
        Self {
            what: "wrapping key",
            key_type: mechanisms.key_type,
            generation: mechanisms.key_generation,
            bytes: mechanisms.key_bytes,
            min_bytes: MIN_KEY_BYTES,
            needs,
            allows: needs,
        }
    }

    pub(super) fn integrity(mechanisms: &Pkcs11Mechanisms) -> Self {
        Self {
            what: "integrity key",
            key_type: mechanisms.mac_key_type,
            generation: mechanisms.mac_key_generation,
            bytes: Some(MAC_KEY_BYTES),
            min_bytes: MAC_KEY_BYTES,
            needs: [false, false, false, false, true, false, false],
            // To verify a MAC tells nothing that making it does not.
            allows: [false, false, false, false, true, true, false],
        }
    }
}

/// A mechanism by its number, with an IV or without.
pub(super) fn mechanism(number: u32, iv: Option<&[u8; 16]>) -> Result<Mechanism<'_>, Fault> {
    let wide = c_ulong::from(number);
    // A vendor's first: the other conversion logs what it does not know.
    let kind = MechanismType::new_vendor_defined(wide)
        .or_else(|_| MechanismType::try_from(wide))
        .map_err(|_| Fault::Other(format!("unknown mechanism {number:#X}")))?;
    Ok(Mechanism::VendorDefined(VendorDefinedMechanism::new(
        kind, iv,
    )))
}

fn key_type(number: u32) -> Result<KeyType, Fault> {
    KeyType::try_from(c_ulong::from(number))
        .map_err(|_| Fault::Other(format!("unknown key type {number:#X}")))
}

/// The one secret key of that name, checked to be what it must be.
pub(super) fn find(
    session: &Session,
    name: &KeyName,
    kind: &KeyKind,
) -> Result<ObjectHandle, Fault> {
    let found = of_name(session, name)?;
    let complain = |rest: String| {
        let what = kind.what;
        Err(Fault::Other(format!("{what} {:?}: {rest}", name.label)))
    };
    match found.as_slice() {
        [] => complain("there is none on the token".into()),
        [key] => match check(session, *key, kind)? {
            None => Ok(*key),
            Some(fault) => complain(fault),
        },
        several => complain(format!(
            "there are {} on the token, and nothing tells which one is meant",
            several.len()
        )),
    }
}

/// The secret keys of that name.
pub(super) fn of_name(session: &Session, name: &KeyName) -> Result<Vec<ObjectHandle>, Fault> {
    Ok(session.find_objects(&search(name))?)
}

fn search(name: &KeyName) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Token(true),
        Attribute::Label(name.label.as_bytes().to_vec()),
    ];
    template.extend(name.id.clone().map(Attribute::Id));
    template
}

/// What is wrong with a key, if anything. A protection that the token does not tell of counts as absent, and so
/// does a use.
fn check(session: &Session, key: ObjectHandle, kind: &KeyKind) -> Result<Option<String>, Fault> {
    let held = |attribute: AttributeType| -> Result<Option<Attribute>, Fault> {
        // One at a time: tokens differ in what they answer when one of several is unknown to them.
        Ok(session.get_attributes(key, &[attribute])?.pop())
    };
    let flag = |attribute: AttributeType| -> Result<Option<bool>, Fault> {
        Ok(held(attribute)?.and_then(|attribute| as_flag(&attribute)))
    };
    for (attribute, name, wanted) in [
        (AttributeType::Private, "CKA_PRIVATE", true),
        (AttributeType::Sensitive, "CKA_SENSITIVE", true),
        (AttributeType::Extractable, "CKA_EXTRACTABLE", false),
    ] {
        if flag(attribute)? != Some(wanted) {
            return Ok(Some(format!("{name} must be {wanted}")));
        }
    }
    if held(AttributeType::KeyType)? != Some(Attribute::KeyType(key_type(kind.key_type)?)) {
        return Ok(Some("it is of another key type than configured".into()));
    }
    if let Some(Attribute::ValueLen(length)) = held(AttributeType::ValueLen)?
        && usize::from(length) < usize::try_from(kind.min_bytes).unwrap_or(usize::MAX)
    {
        return Ok(Some(format!("it is shorter than {} bytes", kind.min_bytes)));
    }
    let usages = USAGE_ATTRIBUTES
        .into_iter()
        .zip(kind.needs)
        .zip(kind.allows);
    for (((attribute, name), needed), allowed) in usages {
        let set = flag(attribute)?.unwrap_or(false);
        if needed && !set {
            return Ok(Some(format!("{name} must be true")));
        }
        if set && !allowed {
            return Ok(Some(format!("{name} must be false: one key, one use")));
        }
    }
    Ok(None)
}

fn as_flag(attribute: &Attribute) -> Option<bool> {
    match attribute {
        Attribute::Private(value)
        | Attribute::Sensitive(value)
        | Attribute::Extractable(value)
        | Attribute::Wrap(value)
        | Attribute::Unwrap(value)
        | Attribute::Encrypt(value)
        | Attribute::Decrypt(value)
        | Attribute::Sign(value)
        | Attribute::Verify(value)
        | Attribute::Derive(value) => Some(*value),
        _ => None,
    }
}

/// Generates a key on the token: it never leaves it, and does what it is for and nothing else.
pub(super) fn generate(
    session: &Session,
    name: &KeyName,
    kind: &KeyKind,
) -> Result<ObjectHandle, Fault> {
    let [wrap, unwrap, encrypt, decrypt, sign, ..] = kind.needs;
    let mut template = search(name);
    template.extend([
        Attribute::KeyType(key_type(kind.key_type)?),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Wrap(wrap),
        Attribute::Unwrap(unwrap),
        Attribute::Encrypt(encrypt),
        Attribute::Decrypt(decrypt),
        Attribute::Sign(sign),
        Attribute::Verify(false),
        Attribute::Derive(false),
    ]);
    if let Some(bytes) = kind.bytes {
        template.push(Attribute::ValueLen(Ulong::new(bytes.into())));
    }
    Ok(session.generate_key(&mechanism(kind.generation, None)?, &template)?)
}
