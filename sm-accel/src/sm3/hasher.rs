//! One message: the free functions, and the hasher behind the `digest` traits.

use core::fmt;

use digest::array::Array;
use digest::block_api::{
    AlgorithmName, Block, BlockSizeUser, Buffer, BufferKindUser, CoreProxy, Eager, FixedOutputCore,
    OutputSizeUser, UpdateCore,
};
use digest::typenum::{U32, U64};
use digest::{FixedOutput, FixedOutputReset, HashMarker, Output, Reset, Update};

use crate::cpu::Backend;
use crate::sm3::compress::{compress, digest_of, finish};
use crate::sm3::rounds::{BLOCK, DIGEST, IV, State};
use crate::sm3::stream::{Stream, copy_prefix};

/// SM3 of `message`: 32 bytes, big-endian words as in GB/T 32905.
///
/// ```
/// let digest = sm_accel::sm3::hash(b"abc");
/// assert_eq!(digest[..4], [0x66, 0xc7, 0xf0, 0xf4]);
/// ```
#[must_use]
pub fn hash(message: &[u8]) -> [u8; DIGEST] {
    hash_with_backend(Backend::active(), message)
}

/// [`hash`] with the kernels of `backend`.
#[must_use]
pub fn hash_with_backend(backend: Backend, message: &[u8]) -> [u8; DIGEST] {
    let mut state = IV;
    let (blocks, rest) = message.as_chunks::<BLOCK>();
    if !blocks.is_empty() {
        compress(backend, &mut state, blocks);
    }
    let mut last = [0; BLOCK];
    copy_prefix(&mut last, rest);
    finish(
        backend,
        &mut state,
        &mut last,
        rest.len(),
        message.len() as u64,
    );
    digest_of(&state)
}

/// SM3 of the concatenation of `parts`.
#[must_use]
pub fn hash_parts(parts: &[&[u8]]) -> [u8; DIGEST] {
    hash_parts_with_backend(Backend::active(), parts)
}

/// [`hash_parts`] with the kernels of `backend`.
#[must_use]
pub fn hash_parts_with_backend(backend: Backend, parts: &[&[u8]]) -> [u8; DIGEST] {
    let mut stream = Stream::new(backend);
    for part in parts {
        stream.update(part);
    }
    stream.finalize()
}

/// SM3 hasher for messages that come in pieces, behind the traits of `digest` 0.11. `hmac`, `hkdf` and `pbkdf2`
/// compose over it; [`HmacKey`](crate::sm3::HmacKey) is faster than `hmac`.
///
/// Wiped on drop: what it hashes may be secret.
#[derive(Clone)]
pub struct Sm3(Stream);

impl Sm3 {
    /// A hasher with the kernels of `backend`; `Sm3::default()` takes [`Backend::active`].
    #[must_use]
    pub fn with_backend(backend: Backend) -> Self {
        Self(Stream::new(backend))
    }
}

impl Default for Sm3 {
    #[inline]
    fn default() -> Self {
        Self::with_backend(Backend::active())
    }
}

impl fmt::Debug for Sm3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sm3 { .. }")
    }
}

impl HashMarker for Sm3 {}

impl zeroize::ZeroizeOnDrop for Sm3 {}

impl BlockSizeUser for Sm3 {
    type BlockSize = U64;
}

impl OutputSizeUser for Sm3 {
    type OutputSize = U32;
}

impl AlgorithmName for Sm3 {
    fn write_alg_name(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sm3")
    }
}

impl Update for Sm3 {
    #[inline]
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

impl FixedOutput for Sm3 {
    #[inline]
    fn finalize_into(mut self, out: &mut Output<Self>) {
        *out = Array(self.0.finalize());
    }
}

impl Reset for Sm3 {
    #[inline]
    fn reset(&mut self) {
        *self = Self::with_backend(self.0.backend);
    }
}

impl FixedOutputReset for Sm3 {
    #[inline]
    fn finalize_into_reset(&mut self, out: &mut Output<Self>) {
        *out = Array(self.0.finalize());
        self.reset();
    }
}

impl CoreProxy for Sm3 {
    type Core = Sm3Core;

    fn compose(core: Sm3Core, buffer: Buffer<Sm3Core>) -> Self {
        let mut stream = Stream::resume(core.backend, &core.state, core.blocks);
        stream.update(buffer.get_data());
        Self(stream)
    }

    fn decompose(self) -> (Sm3Core, Buffer<Sm3Core>) {
        let (state, blocks, buffered) = self.0.parts();
        let core = Sm3Core {
            backend: self.0.backend,
            state: *state,
            blocks,
        };
        // Fewer bytes than a block: never an error.
        let buffer = Buffer::<Sm3Core>::try_new(buffered).unwrap_or_default();
        (core, buffer)
    }
}

/// The block-level core of [`Sm3`], which crates such as `hmac` build on. Wiped on drop.
#[derive(Clone)]
pub struct Sm3Core {
    backend: Backend,
    state: State,
    blocks: u64,
}

impl Default for Sm3Core {
    #[inline]
    fn default() -> Self {
        Self {
            backend: Backend::active(),
            state: IV,
            blocks: 0,
        }
    }
}

impl fmt::Debug for Sm3Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sm3Core { .. }")
    }
}

impl Drop for Sm3Core {
    #[inline]
    fn drop(&mut self) {
        self.state = [0; 8];
        self.blocks = 0;
        zeroize::optimization_barrier(self);
    }
}

impl zeroize::ZeroizeOnDrop for Sm3Core {}

impl HashMarker for Sm3Core {}

impl BlockSizeUser for Sm3Core {
    type BlockSize = U64;
}

impl BufferKindUser for Sm3Core {
    type BufferKind = Eager;
}

impl OutputSizeUser for Sm3Core {
    type OutputSize = U32;
}

impl AlgorithmName for Sm3Core {
    fn write_alg_name(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sm3")
    }
}

impl UpdateCore for Sm3Core {
    #[inline]
    fn update_blocks(&mut self, blocks: &[Block<Self>]) {
        compress(
            self.backend,
            &mut self.state,
            Array::cast_slice_to_core(blocks),
        );
        self.blocks = self.blocks.wrapping_add(blocks.len() as u64);
    }
}

impl FixedOutputCore for Sm3Core {
    #[inline]
    fn finalize_fixed_core(&mut self, buffer: &mut Buffer<Self>, out: &mut Output<Self>) {
        let filled = buffer.get_pos();
        let bytes = self
            .blocks
            .wrapping_mul(BLOCK as u64)
            .wrapping_add(filled as u64);
        let mut last = [0; BLOCK];
        copy_prefix(&mut last, buffer.get_data());
        finish(self.backend, &mut self.state, &mut last, filled, bytes);
        buffer.reset();
        *out = Array(digest_of(&self.state));
    }
}

impl Reset for Sm3Core {
    #[inline]
    fn reset(&mut self) {
        self.state = IV;
        self.blocks = 0;
    }
}
