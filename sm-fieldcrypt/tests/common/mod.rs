//! What the tests share: a KEK, a store, a clock, and rings over them.
#![allow(dead_code, unreachable_pub)]

use sm_fieldcrypt::{
    FieldClass, FieldContext, KeyRing, KeyRingBuilder, KeyUser, ManualClock, MemoryStore,
    SecretBytes, SoftwareKek,
};
use std::sync::Arc;

/// 2026-01-01T00:00:00Z.
pub const NOW: u64 = 1_767_225_600;

pub struct Bench {
    pub kek: Arc<SoftwareKek>,
    pub store: Arc<MemoryStore>,
    pub clock: Arc<ManualClock>,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            kek: kek(1),
            store: Arc::default(),
            clock: Arc::new(ManualClock::new(NOW)),
        }
    }

    /// A builder over this bench, with clock and nothing else.
    pub fn builder(&self) -> KeyRingBuilder {
        KeyRing::builder(self.kek.clone(), self.store.clone()).clock(self.clock.clone())
    }

    /// A builder with the preset classes that makes registry and keys by itself.
    pub fn ready(&self) -> KeyRingBuilder {
        presets()
            .into_iter()
            .fold(self.builder(), KeyRingBuilder::class)
            .create_registry()
            .auto_rotate()
    }

    pub async fn ring(&self) -> KeyRing {
        self.ready().build().await.unwrap()
    }

    pub async fn ring_with(&self, classes: Vec<FieldClass>) -> KeyRing {
        let builder = classes
            .into_iter()
            .fold(self.builder(), KeyRingBuilder::class);
        builder
            .create_registry()
            .auto_rotate()
            .build()
            .await
            .unwrap()
    }
}

pub fn presets() -> Vec<FieldClass> {
    vec![
        FieldClass::identity_number(),
        FieldClass::bank_card(),
        FieldClass::device_serial(),
        FieldClass::track(),
    ]
}

pub fn kek(byte: u8) -> Arc<SoftwareKek> {
    Arc::new(SoftwareKek::from_key_bytes(SecretBytes::new(vec![byte; 32])).unwrap())
}

pub fn user() -> KeyUser {
    KeyUser::new("user:7").trace("4bf92f3577b34da6a3ce929d0e0e4736")
}

/// A cell of tenant `bank-a`.
pub fn context(row: i64) -> FieldContext {
    FieldContext::new("bank-a", "customers", "column").row(row)
}

/// Whether a missing peer fails the test.
pub fn require_peers() -> bool {
    std::env::var_os("REQUIRE_PEERS").is_some_and(|v| v == "1")
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    let text: String = text.split_whitespace().collect();
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}
