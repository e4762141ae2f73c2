//! Which kernels this CPU can run, and which are used.
//!
//! A kernel takes a proof token by value. Only detection makes a token, so holding one is the proof that the
//! instructions exist; that proof is what the `// SAFETY:` comments of the dispatchers cite.

use core::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::Error;

/// Name of the environment variable that forces a backend, read once, at first use; empty is as good as not set.
pub const BACKEND_VARIABLE: &str = "SM_ACCEL_BACKEND";

/// Proof that the CPU has AVX2, AES-NI, PCLMULQDQ, BMI1, BMI2 and what comes before them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2Aesni(());

/// Proof of [`Avx2Aesni`], and VAES and VPCLMULQDQ on 256-bit registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2Vaes(Avx2Aesni);

/// Proof of [`Avx2Vaes`], and GFNI on 256-bit registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2Gfni(Avx2Vaes);

/// Proof of [`Avx2Gfni`], and AVX-512 F, BW, DQ and VL: everything on 512-bit registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512Gfni(Avx2Gfni);

/// Proof that the CPU has BMI2 and ADX (`mulx`, `adcx`, `adox`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adx(());

// A wider backend may always call a narrower one's kernels.
macro_rules! implies {
    ($($wide:ident => $narrow:ident),*) => {$(
        impl From<$wide> for $narrow {
            fn from(token: $wide) -> Self {
                token.0.into()
            }
        }
    )*};
}
implies!(Avx2Gfni => Avx2Aesni, Avx512Gfni => Avx2Vaes, Avx512Gfni => Avx2Aesni);

impl From<Avx2Vaes> for Avx2Aesni {
    fn from(token: Avx2Vaes) -> Self {
        token.0
    }
}
impl From<Avx2Gfni> for Avx2Vaes {
    fn from(token: Avx2Gfni) -> Self {
        token.0
    }
}
impl From<Avx512Gfni> for Avx2Gfni {
    fn from(token: Avx512Gfni) -> Self {
        token.0
    }
}

/// A set of kernels that this CPU can run.
///
/// Values come from detection alone, so none can name instructions that the CPU lacks. Every constructor of
/// this crate has a `with_backend` form; the plain form uses [`Backend::active`].
#[derive(Clone, Copy)]
pub struct Backend(Kernels);

/// The token of a backend, for dispatch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kernels {
    Portable,
    Avx2Aesni(Avx2Aesni),
    Avx2Vaes(Avx2Vaes),
    Avx2Gfni(Avx2Gfni),
    Avx512Gfni(Avx512Gfni),
}

impl Backend {
    /// Every backend's name, slowest first. A CPU has a prefix of this list, or nearly.
    pub const NAMES: [&'static str; 5] = [
        "portable",
        "avx2-aesni",
        "avx2-vaes",
        "avx2-gfni",
        "avx512-gfni",
    ];

    /// Plain constant-time Rust: there on every CPU.
    pub const PORTABLE: Self = Self(Kernels::Portable);

    /// The backend in use: the one that [`Backend::force`] or the environment variable
    /// [`BACKEND_VARIABLE`] named, else the fastest.
    ///
    /// A variable that names no backend of this CPU selects `portable`: whoever set it wanted kernels off, and
    /// `portable` is right everywhere. [`report`](crate::report()) then says so.
    pub fn active() -> Self {
        match Self::from_code(FORCED.load(Ordering::Relaxed)) {
            Some(forced) => forced,
            None => from_environment().0,
        }
    }

    /// All backends of this CPU, slowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        detected().iter().copied().flatten()
    }

    /// The backend of that name.
    ///
    /// # Errors
    /// [`Error::UnknownBackend`] for a name outside [`Backend::NAMES`], [`Error::BackendNotOnThisCpu`] when the
    /// CPU lacks its instructions.
    pub fn by_name(name: &str) -> Result<Self, Error> {
        let known = Self::NAMES
            .into_iter()
            .find(|known| *known == name)
            .ok_or(Error::UnknownBackend)?;
        Self::available()
            .find(|backend| backend.name() == known)
            .ok_or(Error::BackendNotOnThisCpu(known))
    }

    /// Makes `backend` the active one for the whole process from now on; `None` goes back to the environment's
    /// or the fastest. Values made before keep the backend that they were made with.
    pub fn force(backend: Option<Self>) {
        FORCED.store(backend.map_or(0, Self::code), Ordering::Relaxed);
    }

    /// Its name, one of [`Backend::NAMES`].
    pub fn name(self) -> &'static str {
        match self.0 {
            Kernels::Portable => "portable",
            Kernels::Avx2Aesni(_) => "avx2-aesni",
            Kernels::Avx2Vaes(_) => "avx2-vaes",
            Kernels::Avx2Gfni(_) => "avx2-gfni",
            Kernels::Avx512Gfni(_) => "avx512-gfni",
        }
    }

    pub(crate) fn kernels(self) -> Kernels {
        self.0
    }

    /// `mulx`, `adcx` and `adox` for big-number arithmetic; `None` in the portable backend.
    pub(crate) fn adx(self) -> Option<Adx> {
        match self.0 {
            Kernels::Portable => None,
            _ => detect_adx(),
        }
    }

    fn code(self) -> u8 {
        match self.0 {
            Kernels::Portable => 1,
            Kernels::Avx2Aesni(_) => 2,
            Kernels::Avx2Vaes(_) => 3,
            Kernels::Avx2Gfni(_) => 4,
            Kernels::Avx512Gfni(_) => 5,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::available().find(|backend| backend.code() == code)
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backend({})", self.name())
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for Backend {
    fn eq(&self, other: &Self) -> bool {
        self.code() == other.code()
    }
}

impl Eq for Backend {}

/// Code of the forced backend, 0 for none.
static FORCED: AtomicU8 = AtomicU8::new(0);

fn from_environment() -> (Backend, bool) {
    static CHOICE: OnceLock<(Backend, bool)> = OnceLock::new();
    let named = || std::env::var_os(BACKEND_VARIABLE).filter(|name| !name.is_empty());
    *CHOICE.get_or_init(|| match named() {
        None => {
            let fastest = Backend::available().last().unwrap_or(Backend::PORTABLE);
            (fastest, false)
        }
        Some(name) => match name.to_str().map(Backend::by_name) {
            Some(Ok(backend)) => (backend, false),
            _ => (Backend::PORTABLE, true),
        },
    })
}

fn detected() -> &'static [Option<Backend>; 5] {
    static DETECTED: OnceLock<[Option<Backend>; 5]> = OnceLock::new();
    DETECTED.get_or_init(|| {
        let aesni = detect_aesni();
        let vaes = aesni.and_then(detect_vaes);
        let gfni = vaes.and_then(detect_gfni);
        let wide = gfni.and_then(detect_avx512);
        [
            Some(Backend::PORTABLE),
            aesni.map(|token| Backend(Kernels::Avx2Aesni(token))),
            vaes.map(|token| Backend(Kernels::Avx2Vaes(token))),
            gfni.map(|token| Backend(Kernels::Avx2Gfni(token))),
            wide.map(|token| Backend(Kernels::Avx512Gfni(token))),
        ]
    })
}

// `is_x86_feature_detected!` asks CPUID, and XGETBV whether the operating system saves the wide registers.
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod detect {
    use super::{Adx, Avx2Aesni, Avx2Gfni, Avx2Vaes, Avx512Gfni};

    macro_rules! has {
        ($($feature:tt),+) => { $(std::arch::is_x86_feature_detected!($feature))&&+ };
    }

    pub(super) fn detect_aesni() -> Option<Avx2Aesni> {
        has!(
            "avx2",
            "aes",
            "pclmulqdq",
            "ssse3",
            "sse4.1",
            "bmi1",
            "bmi2"
        )
        .then_some(Avx2Aesni(()))
    }

    pub(super) fn detect_vaes(token: Avx2Aesni) -> Option<Avx2Vaes> {
        has!("vaes", "vpclmulqdq").then_some(Avx2Vaes(token))
    }

    pub(super) fn detect_gfni(token: Avx2Vaes) -> Option<Avx2Gfni> {
        has!("gfni").then_some(Avx2Gfni(token))
    }

    pub(super) fn detect_avx512(token: Avx2Gfni) -> Option<Avx512Gfni> {
        has!("avx512f", "avx512bw", "avx512dq", "avx512vl").then_some(Avx512Gfni(token))
    }

    pub(super) fn detect_adx() -> Option<Adx> {
        #[cfg(sm_accel_taint)]
        // Valgrind executes ADX but hides it from CPUID; who knows that the CPU has it says so.
        return (has!("bmi1", "bmi2") && std::env::var_os("SM_ACCEL_TAINT_ADX").is_some())
            .then_some(Adx(()));
        #[cfg(not(sm_accel_taint))]
        has!("bmi1", "bmi2", "adx").then_some(Adx(()))
    }
}

#[cfg(not(all(target_arch = "x86_64", not(sm_accel_portable))))]
mod detect {
    use super::{Adx, Avx2Aesni, Avx2Gfni, Avx2Vaes, Avx512Gfni};

    pub(super) fn detect_aesni() -> Option<Avx2Aesni> {
        None
    }

    pub(super) fn detect_vaes(_: Avx2Aesni) -> Option<Avx2Vaes> {
        None
    }

    pub(super) fn detect_gfni(_: Avx2Vaes) -> Option<Avx2Gfni> {
        None
    }

    pub(super) fn detect_avx512(_: Avx2Gfni) -> Option<Avx512Gfni> {
        None
    }

    pub(super) fn detect_adx() -> Option<Adx> {
        None
    }
}

use detect::{detect_adx, detect_aesni, detect_avx512, detect_gfni, detect_vaes};

/// Whether the environment variable named a backend that this CPU does not have.
pub(crate) fn environment_refused() -> bool {
    from_environment().1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_is_always_there_and_names_are_found() {
        assert_eq!(Backend::available().next(), Some(Backend::PORTABLE));
        for backend in Backend::available() {
            assert_eq!(Backend::by_name(backend.name()), Ok(backend));
            assert_eq!(Backend::from_code(backend.code()), Some(backend));
        }
        assert_eq!(Backend::by_name("avx3"), Err(Error::UnknownBackend));
        for name in Backend::NAMES {
            match Backend::by_name(name) {
                Ok(backend) => assert_eq!(backend.name(), name),
                Err(e) => assert_eq!(e, Error::BackendNotOnThisCpu(name)),
            }
        }
    }
}
