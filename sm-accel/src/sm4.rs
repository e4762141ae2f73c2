//! SM4 (GB/T 32907-2016) and its modes.

#[cfg(feature = "aead")]
mod aead;
mod cbc;
mod ccm;
mod chain;
mod constants;
mod counters;
mod ctr;
mod gcm;
mod ghash;
mod jobs;
mod keys;
mod keystream;
mod lanes;
mod portable;
mod sbox;
mod side_by_side;
mod tag;
mod traits;
mod wipe;

#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod aesni;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod affine;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod byte_sliced;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod gfni_avx2;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod gfni_avx512;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod vaes;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod vectors;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod word_vectors;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod words;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod words_aes;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod words_gfni;

pub use cbc::{CbcJob, cbc_decrypt_many, cbc_encrypt_many};
pub use ccm::Sm4Ccm;
pub use ctr::{CtrJob, ctr_many};
pub use gcm::Sm4Gcm;
pub use jobs::{OpenJob, SealJob};
pub use keys::Sm4;

use crate::cpu::{Backend, Kernels};

pub(crate) use ghash::kernel_name as ghash_kernel_name;

pub(crate) fn kernel_name(backend: Backend) -> &'static str {
    match backend.kernels() {
        Kernels::Portable => "bit-sliced, 16 blocks",
        Kernels::Avx2Aesni(_) => "byte-sliced AVX2 and AES-NI, 32 blocks",
        Kernels::Avx2Vaes(_) => "byte-sliced AVX2 and VAES, 32 blocks",
        Kernels::Avx2Gfni(_) => "byte-sliced AVX2 and GFNI, 32 blocks",
        Kernels::Avx512Gfni(_) => "byte-sliced AVX-512 and GFNI, 64 blocks",
    }
}
