//! Types of the C interface, as GM/T 0018 lays them out. `ULONG` is 32 bits wide on every platform.

use std::ffi::{c_int, c_uchar, c_uint, c_void};

/// A device, a session or a key. Opaque: a pointer for most vendors, a small number for some.
pub(crate) type Handle = *mut c_void;

/// What every call returns.
pub(crate) type Status = c_int;

/// `DEVICEINFO`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct DeviceInfoC {
    pub(crate) issuer_name: [c_uchar; 40],
    pub(crate) device_name: [c_uchar; 16],
    pub(crate) device_serial: [c_uchar; 16],
    pub(crate) device_version: c_uint,
    pub(crate) standard_version: c_uint,
    pub(crate) asymmetric: [c_uint; 2],
    pub(crate) symmetric: c_uint,
    pub(crate) hash: c_uint,
    pub(crate) buffer_size: c_uint,
}

impl DeviceInfoC {
    pub(crate) const fn zeroed() -> Self {
        Self {
            issuer_name: [0; 40],
            device_name: [0; 16],
            device_serial: [0; 16],
            device_version: 0,
            standard_version: 0,
            asymmetric: [0; 2],
            symmetric: 0,
            hash: 0,
            buffer_size: 0,
        }
    }
}

/// `ECCrefPublicKey`: only its address is passed, and always none.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct EccPublicKeyC {
    pub(crate) bits: c_uint,
    pub(crate) x: [c_uchar; 64],
    pub(crate) y: [c_uchar; 64],
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{align_of, offset_of, size_of};

    #[test]
    fn layouts_are_the_standards() {
        assert_eq!(size_of::<Status>(), 4);
        assert_eq!(
            (size_of::<DeviceInfoC>(), align_of::<DeviceInfoC>()),
            (100, 4)
        );
        assert_eq!(offset_of!(DeviceInfoC, device_name), 40);
        assert_eq!(offset_of!(DeviceInfoC, device_serial), 56);
        assert_eq!(offset_of!(DeviceInfoC, device_version), 72);
        assert_eq!(offset_of!(DeviceInfoC, asymmetric), 80);
        assert_eq!(offset_of!(DeviceInfoC, buffer_size), 96);
        assert_eq!(
            (size_of::<EccPublicKeyC>(), align_of::<EccPublicKeyC>()),
            (132, 4)
        );
        assert_eq!(offset_of!(EccPublicKeyC, y), 68);
    }
}
