//! Which kernels are in use, in words.

use core::fmt;

use crate::cpu::{Backend, environment_refused};

/// The kernels that a backend uses, one name a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The backend.
    pub backend: Backend,
    /// SM4 over many blocks at once.
    pub sm4: &'static str,
    /// GHASH.
    pub ghash: &'static str,
    /// SM3 of one message.
    pub sm3: &'static str,
    /// SM3 of many messages.
    pub sm3_lanes: &'static str,
    /// SM2 field arithmetic.
    pub sm2: &'static str,
    /// The environment variable named a backend that this CPU does not have, so `portable` was taken.
    pub environment_refused: bool,
}

/// The kernels in use.
///
/// ```
/// let report = sm_accel::report();
/// println!("{report}");
/// ```
pub fn report() -> Report {
    Report::of(Backend::active())
}

impl Report {
    /// The kernels of `backend`.
    pub fn of(backend: Backend) -> Self {
        Self {
            backend,
            sm4: crate::sm4::kernel_name(backend),
            ghash: crate::sm4::ghash_kernel_name(backend),
            sm3: crate::sm3::kernel_name(backend),
            sm3_lanes: crate::sm3::lanes_kernel_name(backend),
            sm2: crate::sm2::kernel_name(backend),
            environment_refused: environment_refused(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sm-accel backend {}: sm4 {}, ghash {}, sm3 {}, sm3 lanes {}, sm2 {}",
            self.backend, self.sm4, self.ghash, self.sm3, self.sm3_lanes, self.sm2
        )?;
        if self.environment_refused {
            write!(
                f,
                " ({} names a backend that this CPU does not have)",
                crate::cpu::BACKEND_VARIABLE
            )?;
        }
        Ok(())
    }
}
