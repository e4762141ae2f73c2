//! The two backends agree: equal where the answer is determined, and each verifies what the other signs.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::sync::Mutex;

use super::{accel, rustcrypto};
use crate::error::RandomError;
use crate::random::Randomness;

/// Counts up, so that both backends draw the same bytes.
struct Counting(Mutex<u8>);

impl Randomness for Counting {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        let mut next = self.0.lock().unwrap();
        for byte in buffer {
            *byte = *next;
            *next = next.wrapping_mul(5).wrapping_add(1);
        }
        Ok(())
    }
}

fn random(start: u8) -> Counting {
    Counting(Mutex::new(start))
}

#[test]
fn hashes_and_macs_are_equal() {
    let message: Vec<u8> = (0..400).map(|i| i as u8).collect();
    let parts: Vec<[&[u8]; 2]> = (0..message.len())
        .map(|len| message[..len].split_at(len / 3).into())
        .collect();
    let messages: Vec<&[&[u8]]> = parts.iter().map(|parts| &parts[..]).collect();
    let ours = accel::sm3_many(&messages);
    assert_eq!(ours, rustcrypto::sm3_many(&messages));
    for (one, parts) in ours.iter().zip(&messages) {
        assert_eq!(*one, accel::sm3(parts));
    }
    for key in [
        &message[..0],
        &message[..63],
        &message[..64],
        &message[..65],
        &message,
    ] {
        assert_eq!(
            accel::hmac_many(&accel::HmacKey::new(key), &messages),
            rustcrypto::hmac_many(&rustcrypto::HmacKey::new(key), &messages)
        );
    }
}

#[test]
fn keys_and_signatures_are_equal_and_cross_verify() {
    for start in 0..12u8 {
        let ours = accel::SecretKey::generate(&random(start)).unwrap();
        let pem = ours.to_pkcs8_pem().unwrap();
        let theirs = rustcrypto::SecretKey::generate(&random(start)).unwrap();
        assert_eq!(*pem, *theirs.to_pkcs8_pem().unwrap());
        let again = accel::SecretKey::from_pkcs8_pem(&pem).unwrap();
        let public = ours.public_key().unwrap();
        let spki = public.to_spki_pem().unwrap();
        assert_eq!(spki, theirs.public_key().unwrap().to_spki_pem().unwrap());

        let message = vec![start; usize::from(start) * 11];
        let signature = again.sign(&message, &random(start)).unwrap();
        assert_eq!(signature, theirs.sign(&message, &random(start)).unwrap());

        let our_key = accel::PublicKey::from_spki_pem(&spki).unwrap();
        let their_key = rustcrypto::PublicKey::from_spki_pem(&spki).unwrap();
        let mut wrong = signature;
        wrong[usize::from(start) * 5] ^= 1;
        let signatures = [signature, wrong, [0; 64], [0xFF; 64], signature];
        let ours: Vec<_> = signatures
            .iter()
            .map(|signature| accel::Signed {
                key: &our_key,
                message: &message,
                signature,
            })
            .collect();
        let theirs: Vec<_> = signatures
            .iter()
            .map(|signature| rustcrypto::Signed {
                key: &their_key,
                message: &message,
                signature,
            })
            .collect();
        let expected = [true, false, false, false, true];
        assert_eq!(accel::verify_many(&ours), expected);
        assert_eq!(rustcrypto::verify_many(&theirs), expected);
    }
}

#[test]
fn a_failing_generator_is_an_error() {
    struct Broken;
    impl Randomness for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
            Err(RandomError::new("broken"))
        }
    }
    struct Zeros;
    impl Randomness for Zeros {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
            buffer.fill(0);
            Ok(())
        }
    }
    assert!(accel::SecretKey::generate(&Broken).is_err());
    assert!(accel::SecretKey::generate(&Zeros).is_err());
    let key = accel::SecretKey::generate(&random(1)).unwrap();
    assert!(key.sign(b"m", &Broken).is_err());
}
