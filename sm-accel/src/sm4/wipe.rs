//! Wiping of whole buffers at once: byte by byte, as volatile writes have it, would cost as much as the cipher.

/// Zeros that the compiler may not leave out.
pub(super) fn wipe<T: Copy + Default>(buffer: &mut [T]) {
    buffer.fill(T::default());
    zeroize::optimization_barrier(buffer);
}
