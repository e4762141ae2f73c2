//! What the fuzz targets assert. Shared by `fuzz/fuzz_targets` and the replay of their corpora; public API only.
#![allow(dead_code, unreachable_pub, missing_docs)]

use sm_fieldcrypt::{
    BlindIndex, BoxFuture, ChunkedHeader, Envelope, Error, FieldClass, FieldContext, KekProvider,
    KeyRing, KeyRingBuilder, KeyUser, ManualClock, MemoryStore, PreparedKey, RandomSource,
    SecretBytes, ShardingSphereSm4, SoftwareKek, Suite, from_text, mask, to_text,
};
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

/// Polls a future that is always ready: nothing here waits.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return value;
        }
    }
}

/// Always the same bytes, so that envelopes of the corpus stay valid from run to run.
struct Constant;

impl RandomSource for Constant {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Error> {
        buffer.fill(0x5A);
        Ok(())
    }
}

fn classes() -> [FieldClass; 7] {
    [
        FieldClass::identity_number(),
        FieldClass::bank_card().long_tag(),
        FieldClass::device_serial(),
        FieldClass::track().not_row_bound(),
        FieldClass::new(20, "chunked", Suite::CtrHmacSm3).chunked(10),
        FieldClass::new(21, "gcm", Suite::Gcm),
        FieldClass::new(22, "ccm", Suite::Ccm).not_row_bound(),
    ]
}

fn builder(kek: Arc<dyn KekProvider>, store: Arc<MemoryStore>) -> KeyRingBuilder {
    classes()
        .into_iter()
        .fold(KeyRing::builder(kek, store), KeyRingBuilder::class)
        .index(BlindIndex::prefix("by_issuer", "cards", "number", 6))
        .clock(Arc::new(ManualClock::new(1_767_225_600)))
        .random(Arc::new(Constant))
}

fn user() -> KeyUser {
    KeyUser::new("fuzz")
}

/// Keys of all classes, and the place where each one's values live.
pub fn keys() -> &'static [(PreparedKey, FieldContext)] {
    static KEYS: OnceLock<Vec<(PreparedKey, FieldContext)>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let kek = SoftwareKek::from_key_bytes(SecretBytes::new(vec![1; 32])).unwrap();
        let ring = builder(Arc::new(kek), Arc::default())
            .create_registry()
            .auto_rotate();
        let ring = ready(ring.build()).unwrap();
        classes()
            .into_iter()
            .map(|class| {
                let key = ready(ring.prepare(class.name(), "bank-a", &user())).unwrap();
                let column = FieldContext::new("bank-a", "customers", class.name());
                (
                    key,
                    if class.is_row_bound() {
                        column.row(1_i64)
                    } else {
                        column
                    },
                )
            })
            .collect()
    })
}

/// Parsing loses nothing; at most one class opens a value; what opens is no longer than what was given.
pub fn open_envelope(data: &[u8]) {
    if let Ok(envelope) = Envelope::parse(data) {
        let (iv, text) = (envelope.iv().len(), envelope.ciphertext().len());
        assert_eq!(18 + iv + text + envelope.tag().len(), data.len());
        assert!(matches!(iv, 12 | 16));
    }
    let opened = keys()
        .iter()
        .filter_map(|(key, place)| key.open(data, place).ok());
    // The place of every range is in the value; what the front alone says is what the whole says.
    if let Ok(header) = ChunkedHeader::read(data) {
        let (length, sealed) = (header.plaintext_len(), header.sealed_len());
        assert!(sealed > length);
        for range in [0..0, 0..length, length / 3..length / 2, length..length] {
            let place = header.sealed_range(&range).unwrap();
            assert!(place.start < place.end && place.end <= sealed && place.start >= 39);
        }
        let (key, place) = &keys()[4];
        if let Ok(whole) = key.open(data, place) {
            assert_eq!(whole.len() as u64, length);
            let part = key.open_range(data, length / 3..length, place).unwrap();
            assert_eq!(part.expose(), &whole.expose()[length as usize / 3..]);
        }
    }
    let lengths: Vec<usize> = opened.map(|plain| plain.len()).collect();
    assert!(lengths.len() <= 1);
    assert!(lengths.iter().all(|n| n + 46 <= data.len()));
}

/// Every text that is read is the one text of its bytes.
pub fn read_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(bytes) = from_text(text) {
        assert_eq!(to_text(&bytes), text);
    }
    assert_eq!(from_text(&to_text(data)).unwrap(), data);
}

/// A KEK without secrets: every tag is zero, every key is zero. It lets the fuzzer past the tags.
struct Glass;

impl KekProvider for Glass {
    fn id(&self) -> &str {
        "kek://glass"
    }

    fn wrap_key<'a>(
        &'a self,
        key: &'a SecretBytes,
        _: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        Box::pin(async move { Ok(key.expose().to_vec()) })
    }

    fn unwrap_key<'a>(
        &'a self,
        blob: &'a [u8],
        _: &'a [u8],
    ) -> BoxFuture<'a, Result<SecretBytes, Error>> {
        Box::pin(async move { Ok(SecretBytes::new(blob.to_vec())) })
    }

    fn integrity_macs<'a>(
        &'a self,
        messages: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<[u8; 32]>, Error>> {
        Box::pin(async move { Ok(vec![[0; 32]; messages.len()]) })
    }
}

/// The bytes of a registry under the glass KEK, with `rotations` of every class.
pub fn glass_registry(rotations: usize) -> Vec<u8> {
    let store = Arc::new(MemoryStore::default());
    let ring = ready(
        builder(Arc::new(Glass), store.clone())
            .create_registry()
            .build(),
    )
    .unwrap();
    for class in classes().iter().cycle().take(rotations * 4) {
        ready(ring.rotate(class.name(), None, &user())).unwrap();
    }
    for tenant in ["bank-a", "城商行"].iter().take(rotations) {
        ready(ring.rotate_index("by_issuer", tenant, &user())).unwrap();
    }
    store.bytes().unwrap()
}

/// A registry that is read can be used, changed, written and read again, and nothing in it gets lost.
pub fn load_registry(data: &[u8]) {
    let store = Arc::new(MemoryStore::with_bytes(data.to_vec()));
    let Ok(ring) = ready(builder(Arc::new(Glass), store.clone()).build()) else {
        assert_eq!(store.bytes().as_deref(), Some(data));
        return;
    };
    let before = ring.keys();
    for class in classes() {
        let _ = ready(ring.prepare(class.name(), "bank-a", &user()));
    }
    let _ = ready(ring.prepare_index("by_issuer", "bank-a", &user()))
        .and_then(|index| index.search("622848"));
    let indexes = ring.indexes();
    if ready(ring.rotate_index("by_issuer", "bank-b", &user())).is_ok() {
        let again = ready(builder(Arc::new(Glass), store.clone()).build()).unwrap();
        assert_eq!(again.indexes(), ring.indexes());
        assert_eq!(again.indexes().len(), indexes.len() + 1);
    }
    if ready(ring.rotate("track", None, &user())).is_ok() {
        let again = ready(builder(Arc::new(Glass), store).build()).unwrap();
        assert_eq!(again.keys(), ring.keys());
        assert_eq!(again.keys().len(), before.len() + 1);
        let same = |a: &sm_fieldcrypt::KeyInfo, b: &sm_fieldcrypt::KeyInfo| {
            (a.class, a.fek_id, &a.tenant, a.created) == (b.class, b.fek_id, &b.tenant, b.created)
        };
        assert!(
            before
                .iter()
                .all(|old| again.keys().iter().any(|new| same(old, new)))
        );
    }
}

/// No sealed file that is made up opens, and none costs work before its parameters have been checked.
pub fn parse_kek_file(data: &[u8]) {
    let mut data = data.to_vec();
    // In-bounds iterations would make every run cost 600,000 of them: push them out of bounds.
    if let [_, _, _, _, _, _, _, _, top, ..] = data.as_mut_slice() {
        *top |= 0x80;
    }
    let opened = SoftwareKek::open_bytes(&data, b"correct horse", Path::new("fuzzed.kek"));
    assert!(matches!(opened, Err(Error::KekFile { .. })));
}

/// Masks keep the length in characters and show nothing that was not there.
pub fn mask_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for mask in [
        mask::identity_number,
        mask::bank_card,
        mask::phone,
        mask::name,
        mask::address,
        mask::email,
    ] {
        let masked = mask(&text);
        assert_eq!(masked.chars().count(), text.chars().count());
        assert!(
            text.chars()
                .zip(masked.chars())
                .all(|(a, b)| a == b || b == '*')
        );
    }
}

/// A value, key or IV from elsewhere is refused in words or opens to text, in upper case as in lower; what opens is sealed
/// as what it is.
pub fn import_value(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let key = SecretBytes::new(b"0123456789abcdeffedcba9876543210".to_vec());
    let iv = "000102030405060708090a0b0c0d0e0f";
    let whole = data.len() == 32 && data.iter().all(u8::is_ascii_hexdigit);
    assert_eq!(ShardingSphereSm4::ecb(&data.to_vec().into()).is_ok(), whole);
    assert_eq!(ShardingSphereSm4::cbc(&key, text).is_ok(), whole);
    let (sealing, place) = &keys()[0];
    for legacy in [
        ShardingSphereSm4::cbc(&key, iv).unwrap(),
        ShardingSphereSm4::ecb(&key).unwrap(),
    ] {
        match legacy.open(text) {
            Ok(opened) => {
                assert!(opened.len() < data.len() / 2 && opened.len() + 16 >= data.len() / 2);
                assert!(opened.expose_str().is_some());
                assert_eq!(legacy.open(&text.to_uppercase()).unwrap(), opened);
                let sealed = legacy.reseal(text, sealing, place).unwrap();
                assert_eq!(sealing.open(&sealed, place).unwrap(), opened);
            }
            Err(Error::Import { offset, .. }) => assert!(offset <= data.len()),
            Err(fault) => assert!(matches!(fault, Error::ImportOpen)),
        }
    }
}
