//! The little of DER (X.690) that keys and signatures need: definite minimal lengths, one encoding a
//! value, no bytes left over.

/// Universal tags, and the two context tags of RFC 5915 and RFC 5958.
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const CONTEXT_0: u8 = 0xA0;
pub(crate) const CONTEXT_1: u8 = 0xA1;
pub(crate) const CONTEXT_1_PRIMITIVE: u8 = 0x81;

/// Reads values one after another. Every method is `None` on anything but canonical DER.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Checks that nothing is left.
    pub(crate) fn finish(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    /// The tag of the next value, if there is one.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The contents of the next value, which must have this tag.
    pub(crate) fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        if found != tag {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            0..=0x7F => (usize::from(first), rest),
            0x81 => {
                let (&len, rest) = rest.split_first()?;
                if len < 0x80 {
                    return None;
                }
                (usize::from(len), rest)
            }
            0x82 => {
                let (len, rest) = rest.split_at_checked(2)?;
                let len = u16::from_be_bytes(len.try_into().ok()?);
                if len < 0x100 {
                    return None;
                }
                (usize::from(len), rest)
            }
            // Keys and signatures are far below 64 KiB; 0x80 is the indefinite form.
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some(value)
    }

    /// The contents of the next value if it has this tag; an absent one is `Some(None)`.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Option<&'a [u8]>> {
        if self.peek() != Some(tag) {
            return Some(None);
        }
        self.value(tag).map(Some)
    }

    pub(crate) fn sequence(&mut self) -> Option<Reader<'a>> {
        self.value(SEQUENCE).map(Reader)
    }

    /// A bit string of whole bytes.
    pub(crate) fn bit_string(&mut self) -> Option<&'a [u8]> {
        whole_bytes(self.value(BIT_STRING)?)
    }

    /// A non-negative integer, written big-endian into the whole of `out`.
    pub(crate) fn unsigned(&mut self, out: &mut [u8]) -> Option<()> {
        let value = self.value(INTEGER)?;
        let magnitude = match value {
            // A zero byte in front is there only to keep the number from reading as negative.
            [0, rest @ ..] if rest.first().is_some_and(|&byte| byte >= 0x80) => rest,
            [0] => value,
            [1..=0x7F, ..] => value,
            _ => return None,
        };
        let padding = out.len().checked_sub(magnitude.len())?;
        let (zeros, rest) = out.split_at_mut_checked(padding)?;
        zeros.fill(0);
        rest.copy_from_slice(magnitude);
        Some(())
    }
}

/// The bytes of a bit string's contents, which must have no unused bits.
pub(crate) fn whole_bytes(contents: &[u8]) -> Option<&[u8]> {
    match contents.split_first()? {
        (0, bytes) => Some(bytes),
        _ => None,
    }
}

/// Writes one value of the concatenated `parts`, up to 64 KiB - 1.
pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len = parts.iter().map(|part| part.len()).sum::<usize>();
    // Room for tag and length up front: a secret inside is never moved by growth.
    let mut out = Vec::with_capacity(len.saturating_add(4));
    out.push(tag);
    let [.., high, low] = len.to_be_bytes();
    match len {
        0..=0x7F => out.push(low),
        0x80..=0xFF => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// Writes a non-negative integer given big-endian.
pub(crate) fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let significant = match bytes.iter().position(|&byte| byte != 0) {
        Some(start) => bytes.get(start..).unwrap_or_default(),
        None => &[0],
    };
    let pad: &[u8] = match significant.first() {
        Some(0x80..) => &[0],
        _ => &[],
    };
    tlv(INTEGER, &[pad, significant])
}

/// An object identifier's contents in dotted form, for messages; `?` where it is malformed.
pub(crate) fn dotted(contents: &[u8]) -> String {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc = 0u64;
    let mut open = false;
    for &byte in contents.iter().take(64) {
        let Some(shifted) = arc.checked_mul(128) else {
            return "?".to_owned();
        };
        arc = shifted | u64::from(byte & 0x7F);
        open = byte & 0x80 != 0;
        if !open {
            if arcs.is_empty() {
                let top = (arc / 40).min(2);
                arcs.push(top);
                arc = arc.saturating_sub(top.saturating_mul(40));
            }
            arcs.push(arc);
            arc = 0;
        }
    }
    if open || arcs.is_empty() {
        return "?".to_owned();
    }
    let arcs: Vec<String> = arcs.iter().map(u64::to_string).collect();
    arcs.join(".")
}
