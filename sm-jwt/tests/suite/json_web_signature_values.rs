//! Signatures that are none, in the manner of Wycheproof's tests for ECDSA: numbers out of range in both encodings, and
//! every way to spell DER wrongly, on each level of it. The signed text is always a right one.

use std::sync::Arc;

use crate::support::*;
use serde_json::json;
use sm_jwt::*;

const ZERO: [u8; 32] = [0; 32];
const MAX: [u8; 32] = [0xFF; 32];
/// The longest that a signature can be in DER; what is longer is not looked at.
const LONGEST: usize = 72;

fn number(n: u8) -> [u8; 32] {
    let mut bytes = ZERO;
    bytes[31] = n;
    bytes
}

/// a + b, with room for the carry.
fn plus(a: &[u8], b: &[u8]) -> [u8; 33] {
    let mut sum = [0; 33];
    let mut carry = 0;
    let digits = a.iter().rev().zip(b.iter().rev());
    for (out, (a, b)) in sum[1..].iter_mut().rev().zip(digits) {
        let digit = u16::from(*a) + u16::from(*b) + carry;
        *out = digit as u8;
        carry = digit >> 8;
    }
    sum[0] = carry as u8;
    sum
}

/// The INTEGER of -n, for n > 0.
fn negative(n: &[u8]) -> Vec<u8> {
    let ones = [0xFF; 33];
    let mut digits = [0; 33];
    digits[33 - n.len()..].copy_from_slice(n);
    // -n = (-1 - n) + 1
    for (digit, one) in digits.iter_mut().zip(ones) {
        *digit = one - *digit;
    }
    for digit in digits.iter_mut().rev() {
        let (sum, carry) = digit.overflowing_add(1);
        *digit = sum;
        if !carry {
            break;
        }
    }
    // As short as its sign allows.
    let start = digits
        .windows(2)
        .position(|pair| pair[0] != 0xFF || pair[1] < 0x80)
        .unwrap_or(32);
    tlv(2, &digits[start..])
}

fn der_verifier() -> Verifier {
    let profile = Profile::default().with_encoding(SignatureEncoding::Der);
    Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
        .issuer(ISSUER, [(kid(KID), verifying_key(), profile)])
        .audience(AUDIENCE)
        .clock(Arc::new(clock()))
        .build()
        .unwrap()
}

/// The text of a token and its right signature r ‖ s.
struct Signed {
    input: String,
    raw: [u8; 64],
}

impl Signed {
    /// One whose signature is of a certain kind.
    fn find(kind: impl Fn(&[u8; 64]) -> bool) -> Self {
        (0..100_000)
            .map(|id| {
                let payload = with(payload(), json!({ "jti": format!("id-{id}") }));
                let header = header().to_string();
                let input = format!("{}.{}", b64(header), b64(payload.to_string()));
                let raw = raw_signature(input.as_bytes());
                Self { input, raw }
            })
            .find(|signed| kind(&signed.raw))
            .unwrap()
    }

    fn token(&self, signature: &[u8]) -> String {
        format!("{}.{}", self.input, b64(signature))
    }
}

fn refusal(signature: &[u8]) -> &'static str {
    match signature.len() {
        0..=LONGEST => "bad_signature",
        _ => "too_large",
    }
}

/// r or s of every value around what is allowed, also those of right signatures.
#[test]
fn numbers_out_of_range() {
    let signed = Signed::find(|_| true);
    let good = signed.raw;
    let (r, s) = (
        good[..32].try_into().unwrap(),
        good[32..].try_into().unwrap(),
    );
    let values: [(&str, [u8; 32]); 8] = [
        ("zero", ZERO),
        ("one", number(1)),
        ("n - 1", minus(&N, &number(1))),
        ("n", N),
        ("n + 1", plus(&N, &number(1))[1..].try_into().unwrap()),
        ("2^256 - 1", MAX),
        ("the right r", r),
        ("the right s", s),
    ];
    let mut pairs = vec![
        ("r + s = n".to_owned(), r, minus(&N, &r)),
        ("s + r = n".to_owned(), minus(&N, &s), s),
        ("r, and n - s".to_owned(), r, minus(&N, &s)),
        ("n - r, and s".to_owned(), minus(&N, &r), s),
        ("n - r, n - s".to_owned(), minus(&N, &r), minus(&N, &s)),
        // Modulo 2^256: where arithmetic forgets a carry they are the right ones.
        ("r - n, and s".to_owned(), minus(&r, &N), s),
        ("r, and s - n".to_owned(), r, minus(&s, &N)),
    ];
    for (first, r) in values {
        for (second, s) in values {
            pairs.push((format!("r is {first}, s is {second}"), r, s));
        }
    }
    let (mut raw, mut der) = (Vec::new(), Vec::new());
    for (what, r, s) in pairs {
        let bytes = [r, s].concat();
        let expected = match bytes == good {
            true => "ok",
            false => "bad_signature",
        };
        raw.push(case(&*what, signed.token(&bytes), expected));
        der.push(case(&*what, signed.token(&to_der(&bytes)), expected));
    }
    check_table(&access_verifier(), &raw);
    check_table(&der_verifier(), &der);
}

/// r ‖ s of every other length, and DER in its place.
#[test]
fn wrong_lengths_of_the_raw_form() {
    let signed = Signed::find(|raw| raw[0] != 0 && raw[32] != 0);
    let good = signed.raw;
    let (r, s) = good.split_at(32);
    let token = |signature: &[u8]| signed.token(signature);
    let short = |start: usize| {
        let signed = Signed::find(|raw| raw[start] == 0);
        signed.token(&signed.raw)
    };
    let long = |number: &[u8]| plus(number, &N).to_vec();
    let mut cases = vec![
        case("valid", token(&good), "ok"),
        case("valid, with a short r", short(0), "ok"),
        case("valid, with a short s", short(32), "ok"),
    ];
    for (what, bytes) in [
        (
            "SignatureTooLong: a zero before each",
            [&[0], r, &[0], s].concat(),
        ),
        (
            "TrailingZeros: a zero behind each",
            [r, &[0], s, &[0]].concat(),
        ),
        ("RisTooBig: r + n", [&long(r)[..], &[0], s].concat()),
        ("SisTooBig: s + n", [&[0], r, &long(s)[..]].concat()),
        ("r + n without room for s", [&long(r)[..], s].concat()),
        ("IntegerOverflow: r + 2^256", [&[1], r, &[0], s].concat()),
        ("IntegerOverflow: s + 2^256", [&[0], r, &[1], s].concat()),
        ("a zero in front", [&[0], r, s].concat()),
        ("a zero behind", [r, s, &[0]].concat()),
        ("a zero between", [r, &[0], s].concat()),
        ("r alone", r.to_vec()),
        ("s alone", s.to_vec()),
        ("r, s, r", [r, s, r].concat()),
        ("s, r", [s, r].concat()),
        ("twice", [r, s, r, s].concat()),
        (
            "little-endian",
            r.iter().rev().chain(s.iter().rev()).copied().collect(),
        ),
        ("s, r backwards", good.iter().rev().copied().collect()),
        ("in hexadecimal", hex(&good).into_bytes()),
        ("in base64url twice", b64(good).into_bytes()),
        ("with a recovery byte", [r, s, &[27]].concat()),
        ("a recovery byte in front", [&[27], r, s].concat()),
        ("a point's tag in front", [&[4], r, s].concat()),
        ("two OCTET STRINGs", [tlv(4, r), tlv(4, s)].concat()),
    ] {
        cases.push(case(what, token(&bytes), refusal(&bytes)));
    }
    for len in (0..=80).filter(|len| *len != 64) {
        let bytes: Vec<u8> = good.iter().chain(&[0; 16]).copied().take(len).collect();
        cases.push(case(format!("{len} bytes"), token(&bytes), refusal(&bytes)));
        let zeros = vec![0; len];
        cases.push(case(
            format!("BufferOverflow: {len} zeros"),
            token(&zeros),
            refusal(&zeros),
        ));
    }
    // DER is refused here, whatever its length.
    for (what, kind) in [
        ("both high", [true, true]),
        ("both low", [false, false]),
        ("r high", [true, false]),
    ] {
        let signed = Signed::find(|raw| [raw[0] > 127, raw[32] > 127] == kind);
        let raw = signed.token(&signed.raw);
        cases.push(case(format!("valid, {what}"), raw, "ok"));
        let der = signed.token(&to_der(&signed.raw));
        cases.push(case(format!("DER, {what}"), der, "bad_signature"));
    }
    check_table(&access_verifier(), &cases);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_arithmetic_of_these_tests() {
    assert_eq!(negative(&[1]), [2, 1, 0xFF]);
    assert_eq!(negative(&[0x80]), [2, 1, 0x80]);
    assert_eq!(negative(&[0x81]), [2, 2, 0xFF, 0x7F]);
    assert_eq!(negative(&[1, 0]), [2, 2, 0xFF, 0]);
    let sum = plus(&MAX, &number(1));
    assert!(sum[0] == 1 && sum[1..] == ZERO);
    assert_eq!(
        minus(&plus(&N, &number(7))[1..].try_into().unwrap(), &N),
        number(7)
    );
    assert_eq!(integer(&number(0x80)), [2, 2, 0, 0x80]);
}

/// The values that DER may hold in the place of r or s and that are not r or s.
#[test]
fn numbers_in_der() {
    let mut cases = Vec::new();
    for (what, kind) in [
        ("both high", [true, true]),
        ("both low", [false, false]),
        ("r high", [true, false]),
        ("s high", [false, true]),
    ] {
        let signed = Signed::find(|raw| [raw[0] > 127, raw[32] > 127] == kind);
        let der = signed.token(&to_der(&signed.raw));
        cases.push(case(format!("valid, {what}"), der, "ok"));
        let raw = signed.token(&signed.raw);
        cases.push(case(format!("raw, {what}"), raw, "bad_signature"));
    }
    for (what, start) in [("r", 0), ("s", 32)] {
        let signed = Signed::find(|raw| raw[start] == 0 && (1..128).contains(&raw[start + 1]));
        let der = signed.token(&to_der(&signed.raw));
        cases.push(case(format!("valid, {what} short"), der, "ok"));
        // As long as it would be with 32 bytes: one zero too many.
        let (r, s) = signed.raw.split_at(32);
        let padded = match start {
            0 => [tlv(2, r), integer(s)].concat(),
            _ => [integer(r), tlv(2, s)].concat(),
        };
        let padded = tlv(0x30, &padded);
        cases.push(case(
            format!("{what} short, in 32 bytes"),
            signed.token(&padded),
            "bad_signature",
        ));
    }
    let signed = Signed::find(|raw| raw[0] > 127 && raw[32] > 127);
    let good = signed.raw;
    for (which, start) in [("r", 0), ("s", 32)] {
        let right: [u8; 32] = good[start..start + 32].try_into().unwrap();
        let other = integer(&good[32 - start..64 - start]);
        let shifted = |zeros: usize| {
            let mut bytes = vec![0; zeros];
            bytes.extend(right);
            bytes[0] = 1;
            tlv(2, &bytes)
        };
        for (what, value) in [
            ("n more", integer(&plus(&right, &N))),
            ("n less, negative", negative(&minus(&N, &right))),
            ("negative", negative(&right)),
            ("its zero left out, so negative", tlv(2, &right)),
            ("n minus it", integer(&minus(&N, &right))),
            ("-n minus it", negative(&plus(&N, &right))),
            ("2^256 more", shifted(1)),
            ("2^288 more", shifted(5)),
            ("zero", tlv(2, &[0])),
            ("zero in two bytes", tlv(2, &[0, 0])),
            ("nothing", tlv(2, &[])),
            ("one", tlv(2, &[1])),
            ("minus one", tlv(2, &[0xFF])),
            ("minus one in two bytes", tlv(2, &[0xFF, 0xFF])),
            ("-128", tlv(2, &[0x80])),
            ("n", integer(&N)),
            ("n, negative", negative(&N)),
            ("n - 1", integer(&minus(&N, &number(1)))),
            ("n + 1", integer(&plus(&N, &number(1)))),
            ("2^256 - 1", integer(&MAX)),
            ("2^256", integer(&plus(&MAX, &number(1)))),
            ("a zero too many", tlv(2, &[&[0, 0], &right[..]].concat())),
            ("many zeros", tlv(2, &[&[0; 40], &right[..]].concat())),
            ("an FF in front", tlv(2, &[&[0xFF], &right[..]].concat())),
            (
                "the last byte cut off",
                tlv(2, &[&[0], &right[..31]].concat()),
            ),
            ("a byte behind", tlv(2, &[&[0], &right[..], &[0]].concat())),
            ("NULL", tlv(5, &[])),
            ("TRUE", tlv(1, &[0xFF])),
            ("FALSE", tlv(1, &[0])),
            ("REAL 0", tlv(9, &[])),
            ("REAL 1/4", tlv(9, &[0x80, 0xFE, 1])),
            ("infinity", tlv(9, &[0x40])),
            ("UTF8String 0", tlv(0x0C, b"0")),
            ("empty UTF8String", tlv(0x0C, b"")),
            ("a SEQUENCE of it", tlv(0x30, &integer(&right))),
            ("a SET of it", tlv(0x31, &integer(&right))),
            ("OCTET STRING", tlv(4, &right)),
            ("BIT STRING", tlv(3, &[&[0], &right[..]].concat())),
            ("ENUMERATED", tlv(0x0A, &[&[0], &right[..]].concat())),
            ("[0] IMPLICIT", tlv(0x80, &[&[0], &right[..]].concat())),
            ("[0] EXPLICIT", tlv(0xA0, &integer(&right))),
            ("constructed", tlv(0x22, &integer(&right))),
            ("absent", Vec::new()),
            ("twice", [integer(&right), integer(&right)].concat()),
        ] {
            let body = match start {
                0 => [value, other.clone()].concat(),
                _ => [other.clone(), value].concat(),
            };
            let der = tlv(0x30, &body);
            cases.push(case(
                format!("{which}: {what}"),
                signed.token(&der),
                refusal(&der),
            ));
        }
    }
    check_table(&der_verifier(), &cases);
}

/// Every other way to write the same values: of the SEQUENCE, and of each INTEGER in it.
#[test]
fn encodings_that_are_not_der() {
    // Both low, so that there is room below the limit, and no zero in front of either number.
    let signed = Signed::find(|raw| (1..128).contains(&raw[0]) && (1..128).contains(&raw[32]));
    let good = signed.raw;
    let token = |signature: &[u8]| signed.token(signature);
    let (r, s) = (integer(&good[..32]), integer(&good[32..]));
    let sequence = to_der(&good);
    let mut cases = vec![case("valid", token(&sequence), "ok")];
    let wrap = |r: &[u8], s: &[u8]| tlv(0x30, &[r, s].concat());
    for (what, other) in reencoded(&sequence) {
        cases.push(case(
            format!("sequence: {what}"),
            token(&other),
            refusal(&other),
        ));
    }
    for (what, other) in reencoded(&r) {
        let der = wrap(&other, &s);
        cases.push(case(format!("r: {what}"), token(&der), refusal(&der)));
    }
    for (what, other) in reencoded(&s) {
        let der = wrap(&r, &other);
        cases.push(case(format!("s: {what}"), token(&der), refusal(&der)));
    }
    for (what, der) in [
        ("nothing", Vec::new()),
        ("removing the sequence", [&r[..], &s].concat()),
        ("s and r", wrap(&s, &r)),
        ("r alone", wrap(&r, &[])),
        ("s alone", wrap(&[], &s)),
        ("repeating s", wrap(&r, &[&s[..], &s].concat())),
        ("a third number", wrap(&r, &[&s[..], &[2, 1, 1]].concat())),
        (
            "a version in front",
            wrap(&[&[2, 1, 0], &r[..]].concat(), &s),
        ),
        ("a sequence of the sequence", tlv(0x30, &sequence)),
        ("an octet string of the sequence", tlv(4, &sequence)),
        (
            "a bit string of the sequence",
            tlv(3, &[&[0], &sequence[..]].concat()),
        ),
        (
            "two signatures",
            wrap(&[&r[..], &s].concat(), &[&r[..], &s].concat()),
        ),
        ("in hexadecimal", hex(&sequence).into_bytes()),
        ("r ‖ s in a sequence", tlv(0x30, &good)),
    ] {
        cases.push(case(what, token(&der), refusal(&der)));
    }
    check_table(&der_verifier(), &cases);
}

/// A value of DER, spelt in the ways of BER, cut short, and with something more.
fn reencoded(der: &[u8]) -> Vec<(String, Vec<u8>)> {
    let (tag, len, contents) = (der[0], der[1], &der[2..]);
    assert!(usize::from(len) == contents.len() && len < 128);
    let lengths: [(&str, &[u8]); 17] = [
        ("length in long form", &[0x81, len]),
        ("length with a leading 0", &[0x82, 0, len]),
        ("length with three leading 0s", &[0x84, 0, 0, 0, len]),
        ("length one more", &[len + 1]),
        ("length one less", &[len - 1]),
        ("length 0", &[0]),
        ("length 127", &[127]),
        ("uint32 overflow in the length", &[0x85, 1, 0, 0, 0, len]),
        (
            "uint64 overflow in the length",
            &[0x89, 1, 0, 0, 0, 0, 0, 0, 0, len],
        ),
        ("length 2^31 - 1", &[0x84, 0x7F, 0xFF, 0xFF, 0xFF]),
        ("length 2^31", &[0x84, 0x80, 0, 0, 0]),
        ("length 2^32 - 1", &[0x84, 0xFF, 0xFF, 0xFF, 0xFF]),
        ("length 2^40 - 1", &[0x85, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
        (
            "length 2^64 - 1",
            &[0x88, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        ),
        ("length of the reserved form", &[0xFF]),
        ("indefinite length without an end", &[0x80]),
        ("a length of 126 bytes cut short", &[0xFE]),
    ];
    let mut out: Vec<(String, Vec<u8>)> = lengths
        .iter()
        .map(|(what, length)| ((*what).to_owned(), [&[tag], *length, contents].concat()))
        .collect();
    let parts: [(&str, &[&[u8]]); 27] = [
        ("removed", &[]),
        ("a lonely tag", &[&[tag]]),
        ("a lonely tag and length", &[&[tag, len]]),
        ("a lonely long length", &[&[tag, 0x81]]),
        ("indefinite length", &[&[tag, 0x80], contents, &[0, 0]]),
        (
            "indefinite length, constructed",
            &[&[tag | 0x20, 0x80], contents, &[0, 0]],
        ),
        (
            "indefinite length with a truncated end",
            &[&[tag, 0x80], contents, &[0]],
        ),
        (
            "indefinite length with an end that is none",
            &[&[tag, 0x80], contents, &[0, 1]],
        ),
        (
            "indefinite length with one element more",
            &[&[tag, 0x80], contents, &[5, 0, 0, 0]],
        ),
        (
            "indefinite length with garbage",
            &[&[tag, 0x80], contents, &[6, 0, 0]],
        ),
        ("0s appended inside", &[&[tag, len + 2], contents, &[0, 0]]),
        ("0s prepended inside", &[&[tag, len + 2, 0, 0], contents]),
        ("0s appended behind", &[der, &[0, 0]]),
        ("0s in front", &[&[0, 0], der]),
        (
            "a NULL appended inside",
            &[&[tag, len + 2], contents, &[5, 0]],
        ),
        ("a NULL behind", &[der, &[5, 0]]),
        ("a NULL in front", &[&[5, 0], der]),
        ("a NULL in its place", &[&[5, 0]]),
        ("an empty sequence behind", &[der, &[0x30, 0]]),
        (
            "an empty sequence inside",
            &[&[tag, len + 2, 0x30, 0], contents],
        ),
        ("garbage of a high tag behind", &[der, &[0xBF, 0x7F, 0]]),
        (
            "a NULL with an explicit tag behind",
            &[der, &[0xA0, 2, 5, 0]],
        ),
        ("a NULL with an implicit tag behind", &[der, &[0xA0, 0]]),
        (
            "a tag in high form",
            &[&[tag | 0x1F, tag & 0x1F, len], contents],
        ),
        (
            "an end of contents in front",
            &[&[0, 0, tag, len], contents],
        ),
        ("the value dropped", &[&[tag, 0]]),
        ("the tag dropped", &[&[len], contents]),
    ];
    out.extend(
        parts
            .iter()
            .map(|(what, parts)| ((*what).to_owned(), parts.concat())),
    );
    // Made of a constructed value of one part, and of two.
    let (head, tail) = contents.split_at(contents.len() / 2);
    for (what, outer) in [("of the same tag", tag | 0x20), ("of a sequence", 0x30)] {
        let one = [&[outer, len + 2, tag, len], contents].concat();
        out.push((format!("composed, {what}"), one));
        let two = [tlv(tag, head), tlv(tag, tail)].concat();
        out.push((format!("composed of two, {what}"), tlv(outer, &two)));
        let open = [&[outer, 0x80], &two[..], &[0, 0]].concat();
        out.push((format!("composed with indefinite length, {what}"), open));
    }
    // Every other tag.
    for other in (0..=0xFF).filter(|other| *other != tag) {
        let value = [&[other, len], contents].concat();
        out.push((format!("tag {other:02x}"), value));
    }
    // Cut at every place, without and with the length set right.
    for cut in 1..contents.len() {
        let whole = [&[tag, len], &contents[..cut]].concat();
        out.push((format!("cut behind {cut}"), whole));
        out.push((format!("{cut} bytes alone"), tlv(tag, &contents[..cut])));
        out.push((
            format!("without the first {cut}"),
            tlv(tag, &contents[cut..]),
        ));
    }
    // Every bit of the header.
    for bit in 0..16 {
        let mut value = der.to_vec();
        value[bit / 8] ^= 1 << (bit % 8);
        out.push((format!("bit {bit} flipped"), value));
    }
    out
}
