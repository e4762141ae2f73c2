//! Timing statistics in dudect's way (Reparaz, Balasch, Verbauwhede, 2017): does an operation take another time for one
//! fixed secret than for random ones?
//!
//! Two classes of secrets are measured in random order; Welch's t is taken over all measurements and over those below
//! several percentiles, as interrupts only ever add time. A large |t| that grows with the number of measurements is a
//! leak; a small one proves nothing but that this many measurements did not show one.
//!
//! ```text
//! dudect [--seconds N] [--threshold T] [--backend NAME] [NAME]...    operations whose names contain one of these
//! ```
//!
//! Exit code 1: a |t| above the threshold, or the planted leak unseen.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sm_accel::sm2::{SecretKey, SigningKey};
use sm_accel::sm3::HmacKey;
use sm_accel::sm4::{Sm4, Sm4Ccm, Sm4Gcm};
use sm_accel::{Backend, Report};

#[cfg(target_arch = "x86_64")]
fn cycles() -> u64 {
    // SAFETY: every x86-64 CPU has RDTSC and LFENCE.
    unsafe {
        core::arch::x86_64::_mm_lfence();
        let now = core::arch::x86_64::_rdtsc();
        core::arch::x86_64::_mm_lfence();
        now
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn cycles() -> u64 {
    use std::sync::OnceLock;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// xorshift64*: random enough for classes and secrets of a measurement.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| (self.next() >> 32) as u8)
    }
}

/// Mean and variance as they go (Welford).
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn push(&mut self, x: f64) {
        self.count += 1.0;
        let delta = x - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (x - self.mean);
    }
}

fn welch(a: &Moments, b: &Moments) -> f64 {
    if a.count < 100.0 || b.count < 100.0 {
        return 0.0;
    }
    let variance = |m: &Moments| m.squares / (m.count - 1.0) / m.count;
    let spread = (variance(a) + variance(b)).sqrt();
    if spread == 0.0 {
        0.0
    } else {
        (a.mean - b.mean) / spread
    }
}

/// Measurements that set the percentiles, and are thrown away.
const FIRST: usize = 2_000;
const PERCENTILES: [f64; 9] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95];

/// Secrets are prepared in rounds, so that preparing one is never timed, nor follows its measurement.
const ROUND: usize = 64;

struct Outcome {
    t: f64,
    measurements: usize,
    median: u64,
}

/// `prepare` makes an input of a class, fixed (`true`) or random; `measured` is timed.
fn measure<T>(
    time: Duration,
    mut prepare: impl FnMut(bool, &mut Noise) -> T,
    mut measured: impl FnMut(&mut T),
) -> Outcome {
    let mut noise = Noise(cycles() | 1);
    let mut first = Vec::with_capacity(FIRST);
    let mut limits = [u64::MAX; PERCENTILES.len() + 1];
    let mut moments = [[Moments::default(); 2]; PERCENTILES.len() + 1];
    let mut measurements = 0;
    let start = Instant::now();
    while start.elapsed() < time || first.len() < FIRST {
        let classes = noise.next();
        let mut inputs: Vec<(bool, T)> = (0..ROUND)
            .map(|i| {
                let fixed = (classes >> i) & 1 == 1;
                (fixed, prepare(fixed, &mut noise))
            })
            .collect();
        for (fixed, input) in &mut inputs {
            let before = cycles();
            measured(input);
            let took = cycles() - before;
            if first.len() < FIRST {
                first.push(took);
                if first.len() == FIRST {
                    first.sort_unstable();
                    for (limit, p) in limits.iter_mut().zip(PERCENTILES) {
                        *limit = first[(p * FIRST as f64) as usize];
                    }
                }
                continue;
            }
            measurements += 1;
            for (limit, classes) in limits.iter().zip(&mut moments) {
                if took <= *limit {
                    classes[usize::from(*fixed)].push(took as f64);
                }
            }
        }
    }
    let t = moments
        .iter()
        .map(|[a, b]| welch(a, b))
        .fold(
            0.0,
            |most: f64, t| if t.abs() > most.abs() { t } else { most },
        );
    Outcome {
        t,
        measurements,
        median: first[FIRST / 2],
    }
}

/// A number below the order of the curve.
fn scalar(fixed: bool, noise: &mut Noise) -> [u8; 32] {
    // Few bits set: a fixed secret as different from a random one as a usable key can be.
    let mut bytes = if fixed { [0; 32] } else { noise.bytes() };
    bytes[0] = bytes[0].min(0xfe);
    bytes[31] |= 2;
    bytes
}

fn secret<const N: usize>(fixed: bool, noise: &mut Noise) -> [u8; N] {
    if fixed { [0; N] } else { noise.bytes() }
}

fn main() -> ExitCode {
    let mut seconds = 10.0_f64;
    let mut threshold = 10.0_f64;
    let mut backend = Backend::active();
    let mut wanted: Vec<String> = vec![];
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_default();
        match argument.as_str() {
            "--seconds" => seconds = value().parse().expect("a number of seconds"),
            "--threshold" => threshold = value().parse().expect("a number"),
            "--backend" => backend = Backend::by_name(&value()).expect("a backend of this CPU"),
            _ => wanted.push(argument),
        }
    }
    let time = Duration::from_secs_f64(seconds);
    println!("{}", Report::of(backend));
    println!("{seconds} s an operation, threshold {threshold}");
    let mut good = true;
    let mut run = |name: &str, leaks: bool, test: &mut dyn FnMut() -> Outcome| {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            return;
        }
        let Outcome {
            t,
            measurements,
            median,
        } = test();
        let passed = (t.abs() > threshold) == leaks;
        good &= passed;
        println!(
            "{name:<34} max |t| {:>8.2}  {measurements:>9} measurements, median {median:>7} cycles  {}",
            t.abs(),
            match (passed, leaks) {
                (true, false) => "ok",
                (true, true) => "seen, as it must be",
                (false, false) => "ABOVE THRESHOLD",
                (false, true) => "PLANTED LEAK NOT SEEN",
            }
        );
    };

    // A comparison that stops at the first difference.
    let tag = [0_u8; 256];
    run("planted: early-exit comparison", true, &mut || {
        measure(time, secret::<256>, |input| {
            let equal = black_box(&input[..])
                .iter()
                .zip(black_box(&tag))
                .all(|(a, b)| black_box(a) == b);
            black_box(equal);
        })
    });

    run("sm2 public key from d", false, &mut || {
        measure(time, scalar, |d| {
            black_box(SecretKey::from_bytes_with_backend(backend, d).is_ok());
        })
    });
    let entropy = [7; 32];
    run("sm2 sign, d", false, &mut || {
        measure(
            time,
            |fixed, noise| {
                let d = scalar(fixed, noise);
                SigningKey::new(SecretKey::from_bytes_with_backend(backend, &d).expect("a key"))
            },
            |key| {
                black_box(key.sign_prehash_with_entropy(&[9; 32], &entropy));
            },
        )
    });
    let key =
        SigningKey::new(SecretKey::from_bytes_with_backend(backend, &[0x35; 32]).expect("a key"));
    run("sm2 sign, k (by its entropy)", false, &mut || {
        measure(time, secret::<32>, |entropy| {
            black_box(key.sign_prehash_with_entropy(&[9; 32], entropy));
        })
    });
    run("sm2 key agreement, d", false, &mut || {
        measure(
            time,
            |fixed, noise| {
                let d = scalar(fixed, noise);
                SecretKey::from_bytes_with_backend(backend, &d).expect("a key")
            },
            |own| {
                black_box(own.diffie_hellman(key.secret_key().public_key()).is_ok());
            },
        )
    });

    run("sm3 hmac, key", false, &mut || {
        measure(time, secret::<32>, |bytes| {
            black_box(HmacKey::with_backend(backend, bytes).mac(&[&[5; 64]]));
        })
    });

    run("sm4 key schedule, key", false, &mut || {
        measure(time, secret::<16>, |bytes| {
            black_box(Sm4::with_backend(backend, bytes));
        })
    });
    // The key random or fixed, the text always the same; then the other way round.
    let keyed = |fixed: bool, noise: &mut Noise| Sm4::with_backend(backend, &secret(fixed, noise));
    run("sm4 one block, key", false, &mut || {
        measure(time, keyed, |key| {
            let mut block = [[3; 16]];
            key.cbc_encrypt(&[1; 16], black_box(&mut block));
        })
    });
    let fixed_key = Sm4::with_backend(backend, &[0x77; 16]);
    run("sm4 one block, text", false, &mut || {
        measure(time, secret::<16>, |block| {
            fixed_key.cbc_encrypt(&[1; 16], black_box(core::slice::from_mut(block)));
        })
    });
    let mut buffer = vec![0_u8; 1024];
    run("sm4 ctr 1 KiB, key", false, &mut || {
        measure(time, keyed, |key| {
            key.ctr_xor(&mut [2; 16], black_box(&mut buffer));
        })
    });
    let mut blocks = vec![[0_u8; 16]; 64];
    run("sm4 cbc decrypt 1 KiB, key", false, &mut || {
        measure(time, keyed, |key| {
            key.cbc_decrypt(&[2; 16], black_box(&mut blocks));
        })
    });
    run("sm4 cbc encrypt 256 B, key", false, &mut || {
        measure(time, keyed, |key| {
            key.cbc_encrypt(&[2; 16], black_box(&mut blocks[..16]));
        })
    });
    run("sm4 gcm seal 1 KiB, key", false, &mut || {
        measure(
            time,
            |fixed, noise| Sm4Gcm::with_backend(backend, &secret(fixed, noise)),
            |key| {
                black_box(
                    key.seal_in_place(&[2; 12], b"header", black_box(&mut buffer))
                        .is_ok(),
                );
            },
        )
    });
    run("sm4 ccm seal 256 B, key", false, &mut || {
        measure(
            time,
            |fixed, noise| Sm4Ccm::with_backend(backend, &secret(fixed, noise)),
            |key| {
                black_box(
                    key.seal_in_place(&[2; 12], b"header", black_box(&mut buffer[..256]))
                        .is_ok(),
                );
            },
        )
    });
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
