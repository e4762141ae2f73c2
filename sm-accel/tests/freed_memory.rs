//! What signing leaves in memory that it has given back: neither d nor k, nor the random bytes that k is made from.
#![allow(
    unsafe_code,
    reason = "an allocator, and reading what was given back to it"
)]
#![allow(clippy::unwrap_used)]
#![allow(clippy::arithmetic_side_effects, reason = "numbers modulo n")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use sm_accel::sm2::{SecretKey, SignItem, Signature, SigningKey, sign_many};
use sm2::Scalar;
use sm2::elliptic_curve::PrimeField as _;

/// More blocks than a watched call gives back.
const MOST: usize = 4096;

/// A block that was given back, and how it had been asked for.
struct Slot {
    place: AtomicPtr<u8>,
    size: AtomicUsize,
    alignment: AtomicUsize,
}

/// Keeps what is given back while it is watched.
struct Keeping {
    watching: AtomicBool,
    kept: AtomicUsize,
    slots: [Slot; MOST],
}

#[global_allocator]
static ALLOCATOR: Keeping = Keeping {
    watching: AtomicBool::new(false),
    kept: AtomicUsize::new(0),
    slots: [const {
        Slot {
            place: AtomicPtr::new(core::ptr::null_mut()),
            size: AtomicUsize::new(0),
            alignment: AtomicUsize::new(0),
        }
    }; MOST],
};

// SAFETY: the system's allocator; what is kept is handed out again only after `release`.
unsafe impl GlobalAlloc for Keeping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        if self.watching.load(Ordering::SeqCst) {
            let i = self.kept.fetch_add(1, Ordering::SeqCst);
            if let Some(slot) = self.slots.get(i) {
                slot.place.store(place, Ordering::SeqCst);
                slot.size.store(layout.size(), Ordering::SeqCst);
                slot.alignment.store(layout.align(), Ordering::SeqCst);
            }
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }
}

impl Keeping {
    fn watch<T>(&self, call: impl FnOnce() -> T) -> T {
        self.release();
        self.watching.store(true, Ordering::SeqCst);
        let result = call();
        self.watching.store(false, Ordering::SeqCst);
        let kept = self.kept.load(Ordering::SeqCst);
        assert!(kept <= MOST, "{kept} blocks");
        result
    }

    /// Gives back at last what was kept.
    fn release(&self) {
        let kept = self.kept.swap(0, Ordering::SeqCst);
        for slot in self.slots.iter().take(kept) {
            let size = slot.size.load(Ordering::SeqCst);
            let alignment = slot.alignment.load(Ordering::SeqCst);
            let layout = Layout::from_size_align(size, alignment).unwrap();
            let place = slot.place.swap(core::ptr::null_mut(), Ordering::SeqCst);
            // SAFETY: allocated with this layout, given back once, and kept until now.
            unsafe { System.dealloc(place, layout) };
        }
    }

    /// Whether a kept block has half of `number`, with its bytes in either order: a hash's buffer may hold no more.
    fn has(&self, number: &[u8; 32]) -> bool {
        let mut reversed = *number;
        reversed.reverse();
        let kept = self.kept.load(Ordering::SeqCst);
        self.slots.iter().take(kept).any(|slot| {
            // SAFETY: a block that was given back and is kept; it is read as the bytes that it was left with.
            let block = unsafe {
                core::slice::from_raw_parts(
                    slot.place.load(Ordering::SeqCst),
                    slot.size.load(Ordering::SeqCst),
                )
            };
            let halves = [number, &reversed].map(|number| number.as_chunks::<16>().0);
            block
                .windows(16)
                .any(|window| halves.iter().copied().flatten().any(|half| half == window))
        })
    }
}

fn scalar(bytes: &[u8]) -> Scalar {
    let bytes: [u8; 32] = bytes.try_into().unwrap();
    Option::from(Scalar::from_repr(bytes.into())).unwrap()
}

/// k = s (1 + d) + r d
fn nonce(d: &[u8; 32], signature: &Signature) -> [u8; 32] {
    let d = scalar(d);
    let bytes = signature.to_bytes();
    let (r, s) = bytes.split_at(32);
    (scalar(s) * (Scalar::ONE + d) + scalar(r) * d)
        .to_repr()
        .into()
}

#[test]
fn signing_leaves_no_secret_in_freed_memory() {
    let key = SigningKey::new(SecretKey::generate().unwrap());
    let d: [u8; 32] = *key.secret_key().to_bytes();

    let signature = ALLOCATOR.watch(|| key.sign(b"alone")).unwrap();
    assert!(!ALLOCATOR.has(&d), "d, one signature");
    assert!(!ALLOCATOR.has(&nonce(&d, &signature)), "k, one signature");

    let entropy: [u8; 32] = core::array::from_fn(|i| 0xa0 | i as u8);
    ALLOCATOR.watch(|| key.sign_prehash_with_entropy(&[0x22; 32], &entropy));
    assert!(!ALLOCATOR.has(&entropy), "entropy, one signature");

    let messages: Vec<[u8; 20]> = (0..70).map(|i| [i; 20]).collect();
    let items: Vec<_> = messages.iter().map(|m| SignItem::new(&key, m)).collect();
    let signatures = ALLOCATOR.watch(|| sign_many(&items));
    assert!(!ALLOCATOR.has(&d), "d, many signatures");
    for signature in signatures {
        assert!(
            !ALLOCATOR.has(&nonce(&d, &signature.unwrap())),
            "k, many signatures"
        );
    }

    let items: Vec<_> = items.iter().map(|i| i.with_entropy(&entropy)).collect();
    ALLOCATOR.watch(|| sign_many(&items));
    assert!(!ALLOCATOR.has(&entropy), "entropy, many signatures");

    // The watch itself finds what is left.
    ALLOCATOR.watch(|| drop(std::hint::black_box(Box::new(d))));
    assert!(ALLOCATOR.has(&d));
    ALLOCATOR.release();
}
