//! The pool: sessions lent to one thread at a time, lost, found again, and never more than there may be.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use sm_sdf::{DeviceCode, Error, Key, Library, Mode, Pool, PoolOptions, Session, WrappedKey};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Barrier, mpsc};
use std::time::{Duration, Instant};
use support::TestDevice;

const COMMFAIL: u32 = 0x0100_0003;

fn pool(device: &TestDevice, options: PoolOptions) -> Pool {
    Pool::open(Library::open(device.path()).unwrap(), options).unwrap()
}

fn working_key(pool: &Pool) -> WrappedKey {
    pool.run(|session| Ok(Key::generate(session, 1, 128)?.1))
        .unwrap()
}

#[test]
fn sessions_and_keys_are_used_again() {
    let device = TestDevice::new();
    let pool = pool(&device, PoolOptions::default());
    let wrapped = working_key(&pool);
    for _ in 0..10 {
        pool.run(|session| Key::cached(session, &wrapped)?.hmac_sm3(&[b"x"]))
            .unwrap();
    }
    assert_eq!(
        (device.get("opened_sessions"), device.get("imports")),
        (1, 1)
    );
    assert_eq!((pool.status().idle, pool.status().in_use), (1, 0));
    drop(pool);
    device.assert_nothing_left();
}

/// Eight threads work while sessions and the device are lost all the time. Every answer is right.
#[test]
fn losses_under_eight_threads() {
    let device = TestDevice::new();
    let pool = pool(
        &device,
        PoolOptions {
            sessions: 5,
            attempts: 50,
            ..PoolOptions::default()
        },
    );
    let wrapped = working_key(&pool);
    let mac = |session: &Session, message: &[u8]| -> Result<[u8; 32], Error> {
        Key::cached(session, &wrapped)?.hmac_sm3(&[message, b"tail"])
    };
    let expected: Vec<[u8; 32]> = (0..8_u8)
        .map(|thread| pool.run(|s| mac(s, &[thread])).unwrap())
        .collect();
    let (done, rounds) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8_u8)
            .map(|thread| {
                let (pool, expected, rounds) = (&pool, &expected, &rounds);
                let mac = &mac;
                scope.spawn(move || {
                    for _ in 0..150 {
                        let got = pool.run(|s| mac(s, &[thread])).unwrap();
                        assert_eq!(got, expected[usize::from(thread)]);
                        rounds.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let (device, done, rounds) = (&device, &done, &rounds);
        scope.spawn(move || {
            // As the work goes on: whatever the machine's speed, a loss comes after so many rounds.
            let mut next = 0;
            for what in (0..3).cycle() {
                while rounds.load(Ordering::Relaxed) < next && !done.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                if done.load(Ordering::Relaxed) {
                    break;
                }
                match what {
                    0 => device.lose_sessions(),
                    1 => device.lose_device(),
                    _ => device.lose_keys(),
                }
                next = rounds.load(Ordering::Relaxed) + 40;
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(rounds.load(Ordering::Relaxed), 8 * 150);
    let status = pool.status();
    assert!(status.losses > 0 && status.reopened > 0, "{status:?}");
    assert!(status.idle <= 5 && status.in_use == 0, "{status:?}");
    assert_eq!(device.get("overlaps"), 0);
    drop(pool);
    device.assert_nothing_left();
}

/// Session, then device: each loss costs what it must.
#[test]
fn a_lost_session_costs_a_session_and_a_lost_device_a_device() {
    let device = TestDevice::new();
    let pool = pool(&device, PoolOptions::default());
    let wrapped = working_key(&pool);
    let work = || pool.run(|s| Key::cached(s, &wrapped)?.encrypt(Mode::Ecb, &[1; 16]));
    let first = work().unwrap();
    device.lose_sessions();
    assert_eq!(work().unwrap(), first);
    assert_eq!(
        (device.get("opened_sessions"), device.get("opened_devices")),
        (2, 1)
    );
    assert_eq!((pool.status().losses, pool.status().reopened), (1, 0));
    device.lose_device();
    assert_eq!(work().unwrap(), first);
    assert_eq!(
        (device.get("opened_devices"), pool.status().reopened),
        (2, 1)
    );
    assert_eq!((device.get("devices"), device.get("sessions")), (1, 1));
    // The session is there, the keys in it are not.
    device.lose_keys();
    assert_eq!(work().unwrap(), first);
    assert_eq!(device.get("opened_devices"), 2);
    drop(pool);
    device.assert_nothing_left();
}

/// Sessions can be had and no good: then the device itself is opened anew.
#[test]
fn a_second_loss_in_a_row_costs_the_device() {
    let device = TestDevice::new();
    let pool = pool(&device, PoolOptions::default());
    for (refusals, sessions, devices) in [(1, 2, 1), (2, 4, 2)] {
        device.refuse("SDF_HashInit", COMMFAIL, refusals);
        pool.run(|s| s.sm3(&[b"x"])).unwrap();
        assert_eq!(device.get("opened_sessions"), sessions);
        assert_eq!(device.get("opened_devices"), devices);
    }
    drop(pool);
    device.assert_nothing_left();
}

/// A session that was in use when others were lost is one of those, though nothing went wrong in it yet.
#[test]
fn what_was_open_before_a_loss_is_not_lent_after_it() {
    let device = TestDevice::new();
    let pool = pool(&device, PoolOptions::default());
    pool.run(|outer| {
        outer.sm3(&[b"x"])?;
        device.lose_sessions();
        std::thread::scope(|scope| {
            // Two more, of which the first is opened after the loss: it must lose to notice.
            device.refuse("SDF_HashInit", COMMFAIL, 1);
            scope.spawn(|| pool.run(|s| s.sm3(&[b"x"])).unwrap());
        });
        Ok(())
    })
    .unwrap();
    let status = pool.status();
    assert_eq!((status.losses, status.idle, status.in_use), (1, 1, 0));
    pool.run(|s| s.sm3(&[b"x"])).unwrap();
    assert_eq!(pool.status().losses, 1);
    drop(pool);
    device.assert_nothing_left();
}

#[test]
fn a_device_that_stays_away_is_an_error_and_its_return_is_noticed() {
    let device = TestDevice::new();
    let pool = pool(&device, PoolOptions::default());
    let work = || pool.run(|s| s.sm3(&[b"abc"]));
    work().unwrap();
    device.lose_device();
    device.refuse("SDF_OpenDevice", 0x0100_0005, u32::MAX);
    for _ in 0..3 {
        let e = work().unwrap_err();
        assert!(
            matches!(
                e,
                Error::Device {
                    call: "SDF_OpenDevice",
                    code: DeviceCode::OpenDevice
                }
            ),
            "{e}"
        );
        assert_eq!(pool.status().in_use, 0);
    }
    device.well();
    assert_eq!(work().unwrap()[0], 0x66);
    drop(pool);
    device.assert_nothing_left();
}

#[test]
fn attempts_are_bounded_and_only_losses_are_tried_again() {
    let device = TestDevice::new();
    let pool = pool(
        &device,
        PoolOptions {
            lost: vec![0x0101_0203],
            ..PoolOptions::default()
        },
    );
    let tries = |code: u32| {
        device.refuse("SDF_HashInit", code, u32::MAX);
        let count = Cell::new(0);
        let result = pool.run(|s| {
            count.set(count.get() + 1);
            s.sm3(&[b"x"])
        });
        device.well();
        assert_eq!(
            result.unwrap_err().device_code().map(DeviceCode::code),
            Some(code)
        );
        count.get()
    };
    assert_eq!(tries(COMMFAIL), 3);
    assert_eq!(tries(0x0101_0203), 3);
    assert_eq!(tries(0x0101_0204), 1);
    assert_eq!(tries(0x0100_000F), 1);
    // A vendor's code for a loss that passes.
    device.refuse("SDF_HashInit", 0x0101_0203, 1);
    assert!(pool.run(|s| s.sm3(&[b"x"])).is_ok());
    drop(pool);
    device.assert_nothing_left();
}

/// A calculation that failed half-way leaves its session in the middle of it. Nobody gets that session.
#[test]
fn a_session_that_failed_is_not_lent_again() {
    let device = TestDevice::new();
    let pool = pool(&device, PoolOptions::default());
    pool.run(|s| s.sm3(&[b"x"])).unwrap();
    device.refuse("SDF_HashFinal", 0x0100_000F, 1);
    pool.run(|s| s.sm3(&[b"x"])).unwrap_err();
    assert_eq!((device.get("sessions"), pool.status().idle), (0, 0));
    // Also when the work itself makes nothing of it.
    device.refuse("SDF_HashFinal", 0x0100_000F, 1);
    pool.run(|s| {
        let _ = s.sm3(&[b"x"]);
        Ok(())
    })
    .unwrap();
    assert_eq!(device.get("sessions"), 0);
    drop(pool);
    device.assert_nothing_left();
}

#[test]
fn an_exhausted_pool_says_so_in_time() {
    let device = TestDevice::new();
    let wait = Duration::from_millis(50);
    let pool = pool(
        &device,
        PoolOptions {
            sessions: 2,
            wait,
            ..PoolOptions::default()
        },
    );
    let (both_in, finish) = (Barrier::new(3), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                pool.run(|_| {
                    both_in.wait();
                    while !finish.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Ok(())
                })
                .unwrap();
            });
        }
        both_in.wait();
        let start = Instant::now();
        let e = pool.run(|_| Ok(())).unwrap_err();
        assert!(start.elapsed() >= wait);
        assert!(matches!(e, Error::PoolExhausted { sessions: 2, .. }), "{e}");
        assert!(
            e.to_string()
                .starts_with("all 2 sessions of the pool were in use for "),
            "{e}"
        );
        assert_eq!((pool.status().in_use, device.get("sessions")), (2, 2));
        finish.store(true, Ordering::Relaxed);
    });
    assert!(pool.run(|_| Ok(())).is_ok());
    assert!(device.get("opened_sessions") <= 2);
    drop(pool);
    device.assert_nothing_left();
}

#[test]
fn a_waiting_thread_gets_the_session_that_becomes_free() {
    let device = TestDevice::new();
    let pool = pool(
        &device,
        PoolOptions {
            sessions: 1,
            wait: Duration::from_secs(60),
            ..PoolOptions::default()
        },
    );
    let (is_in, entered) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pool.run(|_| {
                is_in.send(()).unwrap();
                std::thread::sleep(Duration::from_millis(30));
                Ok(())
            })
            .unwrap();
        });
        entered.recv().unwrap();
        assert!(pool.run(|s| s.sm3(&[])).is_ok());
    });
    assert_eq!(device.get("opened_sessions"), 1);
    drop(pool);
    device.assert_nothing_left();
}

#[test]
fn a_panic_in_the_work_costs_its_session_and_no_place() {
    let device = TestDevice::new();
    let pool = pool(
        &device,
        PoolOptions {
            sessions: 1,
            ..PoolOptions::default()
        },
    );
    let wrapped = working_key(&pool);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool.run(|s| -> Result<(), Error> {
            let _key = Key::import(s, &wrapped)?;
            panic!("expected by the test");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(
        (
            pool.status().in_use,
            device.get("sessions"),
            device.get("keys")
        ),
        (0, 0, 0)
    );
    assert!(pool.run(|s| s.sm3(&[])).is_ok());
    drop(pool);
    device.assert_nothing_left();
}

#[test]
fn a_device_with_too_few_sessions_is_named() {
    let device = TestDevice::new();
    device.set("max_sessions", 0);
    let pool = pool(&device, PoolOptions::default());
    let e = pool.run(|_| Ok(())).unwrap_err();
    assert!(
        matches!(
            e,
            Error::Device {
                call: "SDF_OpenSession",
                code: DeviceCode::OpenSession
            }
        ),
        "{e}"
    );
    let none = PoolOptions {
        sessions: 0,
        ..PoolOptions::default()
    };
    let e = Pool::open(pool.library().clone(), none).unwrap_err();
    assert!(matches!(e, Error::Argument { got: 0, .. }), "{e}");
    drop(pool);
    device.assert_nothing_left();
}

/// For libraries that want it, no two calls overlap.
#[test]
fn one_call_at_a_time() {
    for (alone, most) in [(true, 1), (false, 8)] {
        let device = TestDevice::new();
        let options = sm_sdf::LibraryOptions {
            one_call_at_a_time: alone,
            ..Default::default()
        };
        let library = Library::open_with(device.path(), options).unwrap();
        let pool = Pool::open(library, PoolOptions::default()).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        pool.run(|s| s.sm3(&[&[7; 4096]])).unwrap();
                    }
                });
            }
        });
        let at_once = device.get("at_once");
        assert!((1..=most).contains(&at_once), "{at_once}");
        drop(pool);
        device.assert_nothing_left();
    }
}
