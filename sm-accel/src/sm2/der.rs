//! The few DER forms (ITU-T X.690) that SM2 signatures and ciphertexts use, one spelling a value.

/// Tag of INTEGER.
const INTEGER: u8 = 0x02;
/// Tag of OCTET STRING.
const OCTET_STRING: u8 = 0x04;
/// Tag of SEQUENCE.
const SEQUENCE: u8 = 0x30;

/// Reads values from the front of its bytes; `None` for anything that DER does not allow.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The contents of the one SEQUENCE that `bytes` are, to their end.
    pub(crate) fn sequence(bytes: &'a [u8]) -> Option<Self> {
        let mut outer = Self(bytes);
        let contents = outer.value(SEQUENCE)?;
        outer.end()?;
        Some(Self(contents))
    }

    /// An INTEGER in [0, 2^256), big endian.
    pub(crate) fn unsigned(&mut self) -> Option<[u8; 32]> {
        let contents = self.value(INTEGER)?;
        let magnitude = match contents {
            [] => return None,
            // Negative.
            [first, ..] if *first >= 0x80 => return None,
            [0] => contents,
            // A leading zero only where the number would be negative without it.
            [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => rest,
            [0, ..] => return None,
            _ => contents,
        };
        let mut out = [0u8; 32];
        let start = out.len().checked_sub(magnitude.len())?;
        out.get_mut(start..)?.copy_from_slice(magnitude);
        Some(out)
    }

    /// An OCTET STRING.
    pub(crate) fn octets(&mut self) -> Option<&'a [u8]> {
        self.value(OCTET_STRING)
    }

    /// Nothing is left.
    pub(crate) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_first()?;
        if *first != tag {
            return None;
        }
        let (len, rest) = length(rest)?;
        let (value, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some(value)
    }
}

/// A definite length in the fewest bytes, at most 2^32 - 1.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let count = match *first {
        short @ 0..=0x7f => return Some((usize::from(short), rest)),
        0x81..=0x84 => usize::from(*first & 0x7f),
        _ => return None,
    };
    let (digits, rest) = rest.split_at_checked(count)?;
    let len = digits
        .iter()
        .fold(0u32, |len, digit| (len << 8) | u32::from(*digit));
    // The first digit counts, and the short form was not enough.
    if len < 0x80 || digits.first() == Some(&0) {
        return None;
    }
    Some((usize::try_from(len).ok()?, rest))
}

/// Takes the bytes of an encoding.
pub(crate) trait Sink {
    /// Appends.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Only counts.
#[derive(Default)]
pub(crate) struct Length(pub(crate) usize);

impl Sink for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

/// Writes a SEQUENCE of `contents`, which is called twice: once to learn the length.
///
/// `None` when it would be longer than 2^32 - 1 bytes.
pub(crate) fn write_sequence<S: Sink>(
    out: &mut S,
    contents: impl Fn(&mut dyn Sink) -> Option<()>,
) -> Option<()> {
    let mut length = Length::default();
    contents(&mut length)?;
    write_header(out, SEQUENCE, length.0)?;
    contents(out)
}

/// Writes a big-endian number as INTEGER.
pub(crate) fn write_unsigned(out: &mut dyn Sink, number: &[u8; 32]) -> Option<()> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    // Zero itself keeps one digit.
    let digits = number.get(zeros.min(31)..)?;
    let padding: &[u8] = if digits.first().is_some_and(|first| *first >= 0x80) {
        &[0]
    } else {
        &[]
    };
    write_header(out, INTEGER, digits.len().checked_add(padding.len())?)?;
    out.put(padding);
    out.put(digits);
    Some(())
}

/// Writes an OCTET STRING.
pub(crate) fn write_octets(out: &mut dyn Sink, octets: &[u8]) -> Option<()> {
    write_header(out, OCTET_STRING, octets.len())?;
    out.put(octets);
    Some(())
}

fn write_header(out: &mut dyn Sink, tag: u8, len: usize) -> Option<()> {
    let len = u32::try_from(len).ok()?;
    let digits = len.to_be_bytes();
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let significant = digits.get(zeros..)?;
    out.put(&[tag]);
    if len < 0x80 {
        out.put(&[u8::try_from(len).ok()?]);
    } else {
        out.put(&[u8::try_from(significant.len()).ok()? | 0x80]);
        out.put(significant);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<[u8; 32]> {
        let mut reader = Reader::sequence(bytes)?;
        let number = reader.unsigned()?;
        reader.end()?;
        Some(number)
    }

    #[test]
    fn integers_have_one_spelling() {
        let mut two = [0; 32];
        two[31] = 2;
        assert_eq!(read(&[0x30, 3, 2, 1, 2]), Some(two));
        assert_eq!(read(&[0x30, 3, 2, 1, 0]), Some([0; 32]));
        for wrong in [
            &[][..],
            &[0x30],
            &[0x30, 3, 2, 1],
            &[0x31, 3, 2, 1, 2],
            // Trailing bytes, inside and outside.
            &[0x30, 3, 2, 1, 2, 0],
            &[0x30, 4, 2, 1, 2, 0],
            // Long forms of a short length, indefinite length.
            &[0x30, 0x81, 3, 2, 1, 2],
            &[0x30, 4, 2, 0x81, 1, 2],
            &[0x30, 0x80, 2, 1, 2, 0, 0],
            &[0x30, 0x82, 0, 3, 2, 1, 2],
            &[0x30, 0x85, 0, 0, 0, 0, 3, 2, 1, 2],
            // Empty, negative, padded.
            &[0x30, 2, 2, 0],
            &[0x30, 3, 2, 1, 0x80],
            &[0x30, 4, 2, 2, 0, 2],
            &[0x30, 5, 2, 3, 0, 0, 0x80],
            // Not an INTEGER.
            &[0x30, 3, 4, 1, 2],
        ] {
            assert_eq!(read(wrong), None, "{wrong:02x?}");
        }
        // 33 digits are one too many.
        let mut long = vec![0x30, 35, 2, 33];
        long.extend([1; 33]);
        assert_eq!(read(&long), None);
    }

    #[test]
    fn what_is_written_reads() {
        let mut numbers = vec![[0u8; 32], [0xff; 32]];
        for bit in 0..256 {
            let mut number = [0u8; 32];
            number[bit / 8] = 1 << (bit % 8);
            numbers.push(number);
        }
        for number in numbers {
            let mut out = Vec::new();
            write_sequence(&mut out, |out| write_unsigned(out, &number)).unwrap();
            assert_eq!(read(&out), Some(number));
        }
        for len in [0, 1, 127, 128, 255, 256, 65_535, 65_536, 70_000] {
            let octets = vec![7u8; len];
            let mut out = Vec::new();
            write_sequence(&mut out, |out| write_octets(out, &octets)).unwrap();
            let mut reader = Reader::sequence(&out).unwrap();
            assert_eq!(reader.octets(), Some(&octets[..]));
            reader.end().unwrap();
        }
    }
}
