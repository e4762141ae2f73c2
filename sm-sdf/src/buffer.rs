//! Buffers that a device reads from and writes into.

use crate::error::Error;
use std::ffi::{c_uchar, c_uint};
use zeroize::Zeroizing;

/// Bytes after the room a device is given. It has no business there; whether it kept out is checked.
const GUARD: usize = 64;
const PATTERN: u8 = 0xA5;

/// Something for an empty input to point to: some libraries refuse a null pointer even with the length 0.
static NOTHING: u8 = 0;

/// A length as the interface takes it.
pub(crate) fn length(what: &'static str, bytes: usize) -> Result<c_uint, Error> {
    c_uint::try_from(bytes).map_err(|_| Error::Argument {
        what,
        got: bytes,
        expected: "a length of 32 bits",
    })
}

/// Where input bytes are, for a C parameter that lacks `const`.
pub(crate) fn pointer(bytes: &[u8]) -> *mut c_uchar {
    if bytes.is_empty() {
        (&raw const NOTHING).cast_mut()
    } else {
        bytes.as_ptr().cast_mut()
    }
}

/// Room for an answer: wiped on drop, guarded behind, and read only as far as it reaches.
pub(crate) struct Output {
    bytes: Zeroizing<Vec<u8>>,
    room: usize,
    length: c_uint,
}

impl Output {
    pub(crate) fn new(room: usize) -> Result<Self, Error> {
        let length = length("an answer", room)?;
        let total = room.saturating_add(GUARD);
        let mut bytes = Zeroizing::new(vec![0; total]);
        bytes.iter_mut().skip(room).for_each(|b| *b = PATTERN);
        Ok(Self {
            bytes,
            room,
            length,
        })
    }

    /// Where the answer and its length go; the length says how much room there is. Both stay valid while `self` does
    /// and is not touched.
    pub(crate) fn pointers(&mut self) -> (*mut c_uchar, *mut c_uint) {
        (self.bytes.as_mut_ptr(), &raw mut self.length)
    }

    /// The answer, of at most as many bytes as there was room.
    pub(crate) fn up_to_room(mut self, call: &'static str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let guard = self.bytes.get(self.room..).unwrap_or_default();
        if guard.iter().any(|b| *b != PATTERN) {
            return Err(Error::Overrun { call });
        }
        let got = usize::try_from(self.length).unwrap_or(usize::MAX);
        if got > self.room {
            return Err(Error::AnswerLength {
                call,
                got,
                expected: self.room,
            });
        }
        self.bytes.truncate(got);
        Ok(self.bytes)
    }

    /// The answer, of exactly as many bytes as there was room.
    pub(crate) fn whole(self, call: &'static str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let expected = self.room;
        let bytes = self.up_to_room(call)?;
        if bytes.len() == expected {
            Ok(bytes)
        } else {
            Err(Error::AnswerLength {
                call,
                got: bytes.len(),
                expected,
            })
        }
    }

    /// The answer, of exactly `N` bytes; there must have been room for `N`.
    pub(crate) fn array<const N: usize>(self, call: &'static str) -> Result<[u8; N], Error> {
        let bytes = self.whole(call)?;
        bytes
            .as_slice()
            .try_into()
            .map_err(|_| Error::AnswerLength {
                call,
                got: bytes.len(),
                expected: N,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_only_as_far_as_there_is_room() {
        for (says, ok) in [
            (0, true),
            (7, true),
            (8, true),
            (9, false),
            (u32::MAX, false),
        ] {
            let mut output = Output::new(8).unwrap();
            output.length = says;
            assert_eq!(output.up_to_room("SDF_X").is_ok(), ok, "{says}");
        }
        let mut output = Output::new(8).unwrap();
        output.length = 7;
        assert!(matches!(
            output.whole("SDF_X"),
            Err(Error::AnswerLength {
                got: 7,
                expected: 8,
                ..
            })
        ));
    }

    #[test]
    fn writing_past_the_room_is_noticed() {
        for past in [8, 8 + GUARD - 1] {
            let mut output = Output::new(8).unwrap();
            output.bytes[past] = 0;
            assert!(matches!(
                output.whole("SDF_X"),
                Err(Error::Overrun { call: "SDF_X" })
            ));
        }
        assert_eq!(Output::new(8).unwrap().array::<8>("SDF_X").unwrap(), [0; 8]);
    }

    #[test]
    fn an_empty_input_points_somewhere() {
        assert!(!pointer(&[]).is_null());
        let bytes = [1, 2];
        assert_eq!(pointer(&bytes).cast_const(), bytes.as_ptr());
    }
}
