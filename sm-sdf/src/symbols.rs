//! The library's functions, found by name.
//!
//! A loaded library is never unloaded: device libraries start threads of their own, and code must not go away from
//! under them. So the functions found here stay valid for the life of the process.

#![allow(unsafe_code)]

use crate::abi::{DeviceInfoC, EccPublicKeyC, Handle, Status};
use crate::error::Error;
use std::ffi::{c_uchar, c_uint};
use std::mem::ManuallyDrop;
use std::path::Path;

/// Declares the functions with their C parameters, `ULONG` being `c_uint` and `BYTE *` being `*mut c_uchar`.
macro_rules! symbols {
    (required { $($need:ident = $need_name:literal ($($need_type:ty),*);)* }
     optional { $($may:ident = $may_name:literal ($($may_type:ty),*);)* }) => {
        /// Functions of a loaded library.
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct Symbols {
            $(pub(crate) $need: unsafe extern "C" fn($($need_type),*) -> Status,)*
            $(pub(crate) $may: Option<unsafe extern "C" fn($($may_type),*) -> Status>,)*
        }

        impl Symbols {
            fn find(library: &libloading::Library, path: &Path) -> Result<Self, Error> {
                Ok(Self {
                    $($need: {
                        // SAFETY: the type is the prototype of GM/T 0018 for this name; a library that exports the
                        // name with another one is not an SDF library, which the caller of `load` vouches for. Null
                        // is `None`.
                        let found = unsafe {
                            library.get::<Option<unsafe extern "C" fn($($need_type),*) -> Status>>(
                                concat!($need_name, "\0").as_bytes(),
                            )
                        };
                        found.ok().and_then(|f| *f).ok_or_else(|| Error::MissingSymbol {
                            path: path.into(),
                            symbol: $need_name,
                        })?
                    },)*
                    $($may: {
                        // SAFETY: as above.
                        let found = unsafe {
                            library.get::<Option<unsafe extern "C" fn($($may_type),*) -> Status>>(
                                concat!($may_name, "\0").as_bytes(),
                            )
                        };
                        found.ok().and_then(|f| *f)
                    },)*
                })
            }
        }
    };
}

symbols! {
    required {
        open_device = "SDF_OpenDevice" (*mut Handle);
        close_device = "SDF_CloseDevice" (Handle);
        open_session = "SDF_OpenSession" (Handle, *mut Handle);
        close_session = "SDF_CloseSession" (Handle);
        get_device_info = "SDF_GetDeviceInfo" (Handle, *mut DeviceInfoC);
        generate_random = "SDF_GenerateRandom" (Handle, c_uint, *mut c_uchar);
        get_private_key_access_right = "SDF_GetPrivateKeyAccessRight"
            (Handle, c_uint, *mut c_uchar, c_uint);
        release_private_key_access_right = "SDF_ReleasePrivateKeyAccessRight" (Handle, c_uint);
        // Session, key bits, algorithm, KEK's index; wrapped key, its length, key.
        generate_key_with_kek = "SDF_GenerateKeyWithKEK"
            (Handle, c_uint, c_uint, c_uint, *mut c_uchar, *mut c_uint, *mut Handle);
        // Session, algorithm, KEK's index, wrapped key, its length; key.
        import_key_with_kek = "SDF_ImportKeyWithKEK"
            (Handle, c_uint, c_uint, *mut c_uchar, c_uint, *mut Handle);
        destroy_key = "SDF_DestroyKey" (Handle, Handle);
        // Session, key, algorithm, IV, input, its length; output, its length.
        encrypt = "SDF_Encrypt"
            (Handle, Handle, c_uint, *mut c_uchar, *mut c_uchar, c_uint, *mut c_uchar, *mut c_uint);
        decrypt = "SDF_Decrypt"
            (Handle, Handle, c_uint, *mut c_uchar, *mut c_uchar, c_uint, *mut c_uchar, *mut c_uint);
        calculate_mac = "SDF_CalculateMAC"
            (Handle, Handle, c_uint, *mut c_uchar, *mut c_uchar, c_uint, *mut c_uchar, *mut c_uint);
        // Session, algorithm, public key, user id, its length.
        hash_init = "SDF_HashInit" (Handle, c_uint, *mut EccPublicKeyC, *mut c_uchar, c_uint);
        hash_update = "SDF_HashUpdate" (Handle, *mut c_uchar, c_uint);
        hash_final = "SDF_HashFinal" (Handle, *mut c_uchar, *mut c_uint);
    }
    optional {
        // Session, key, algorithm, nonce, its length, AAD, its length, input, its length; output, its length, tag, its
        // length.
        auth_enc = "SDF_AuthEnc"
            (Handle, Handle, c_uint, *mut c_uchar, c_uint, *mut c_uchar, c_uint, *mut c_uchar, c_uint,
             *mut c_uchar, *mut c_uint, *mut c_uchar, *mut c_uint);
        // Session, key, algorithm, nonce, its length, AAD, its length, tag, its length, input, its length; output, its
        // length. One function in two forms: `TagLength` says which is the library's, and only that one is called.
        auth_dec_by_pointer = "SDF_AuthDec"
            (Handle, Handle, c_uint, *mut c_uchar, c_uint, *mut c_uchar, c_uint, *mut c_uchar, *mut c_uint,
             *mut c_uchar, c_uint, *mut c_uchar, *mut c_uint);
        auth_dec_by_value = "SDF_AuthDec"
            (Handle, Handle, c_uint, *mut c_uchar, c_uint, *mut c_uchar, c_uint, *mut c_uchar, c_uint,
             *mut c_uchar, c_uint, *mut c_uchar, *mut c_uint);
        hmac_init = "SDF_HMACInit" (Handle, Handle, c_uint);
        hmac_update = "SDF_HMACUpdate" (Handle, *mut c_uchar, c_uint);
        hmac_final = "SDF_HMACFinal" (Handle, *mut c_uchar, *mut c_uint);
    }
}

/// Loads the library at `path` and finds its functions.
pub(crate) fn load(path: &Path) -> Result<Symbols, Error> {
    // SAFETY: loading runs the library's initialisers, code that the deployment chose as it chose this program: whoever
    // may set the path may run code in this process anyway, as the documentation of `Library::open` says.
    let library = unsafe { libloading::Library::new(path) }.map_err(|e| Error::Load {
        path: path.into(),
        reason: e.to_string(),
    })?;
    // Not unloaded, not even when a symbol is missing: its initialisers may have started threads.
    let library = ManuallyDrop::new(library);
    Symbols::find(&library, path)
}
