//! The standard's error codes.

use std::fmt;

macro_rules! codes {
    ($($variant:ident = $code:literal, $name:literal, $meaning:literal;)*) => {
        /// Why a device refused a call: a code of GM/T 0018, appendix A, or a vendor's own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum DeviceCode {
            $(#[doc = concat!("`", $name, "`: ", $meaning, ".")] $variant,)*
            /// A code that the standard does not name.
            Vendor(u32),
        }

        impl DeviceCode {
            /// The code that a call returned. Zero, which is success, is no reason and stays a number.
            #[must_use]
            pub const fn from_code(code: u32) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    other => Self::Vendor(other),
                }
            }

            /// Its number.
            #[must_use]
            pub const fn code(self) -> u32 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Vendor(code) => code,
                }
            }

            /// Its name in the standard, e.g. `SDR_COMMFAIL`; `vendor code` for others.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Vendor(_) => "vendor code",
                }
            }

            /// What it means, in a few words.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                    Self::Vendor(_) => "see the vendor's manual",
                }
            }
        }

        #[cfg(test)]
        const ALL: &[DeviceCode] = &[$(DeviceCode::$variant,)*];
    };
}

codes! {
    Unknown = 0x0100_0001, "SDR_UNKNOWERR", "unknown error";
    NotSupported = 0x0100_0002, "SDR_NOTSUPPORT", "the call is not supported";
    Communication = 0x0100_0003, "SDR_COMMFAIL", "communication with the device failed";
    Hardware = 0x0100_0004, "SDR_HARDFAIL", "the computing module does not answer";
    OpenDevice = 0x0100_0005, "SDR_OPENDEVICE", "the device cannot be opened";
    OpenSession = 0x0100_0006, "SDR_OPENSESSION", "a session cannot be opened";
    PermissionDenied = 0x0100_0007, "SDR_PARDENY", "no right to use the private key";
    NoSuchKey = 0x0100_0008, "SDR_KEYNOTEXIST", "there is no such key";
    AlgorithmNotSupported = 0x0100_0009, "SDR_ALGNOTSUPPORT", "the algorithm is not supported";
    ModeNotSupported = 0x0100_000A, "SDR_ALGMODNOTSUPPORT", "the algorithm's mode is not supported";
    PublicKeyOperation = 0x0100_000B, "SDR_PKOPERR", "the public key operation failed";
    PrivateKeyOperation = 0x0100_000C, "SDR_SKOPERR", "the private key operation failed";
    Sign = 0x0100_000D, "SDR_SIGNERR", "signing failed";
    Verify = 0x0100_000E, "SDR_VERIFYERR", "verification failed";
    SymmetricOperation = 0x0100_000F, "SDR_SYMOPERR", "the symmetric operation failed";
    Step = 0x0100_0010, "SDR_STEPERR", "the steps of a calculation are out of order";
    FileSize = 0x0100_0011, "SDR_FILESIZEERR", "a file, or input data, has a length out of bounds";
    NoSuchFile = 0x0100_0012, "SDR_FILENOEXIST", "there is no such file";
    FileOffset = 0x0100_0013, "SDR_FILEOFSERR", "the offset is outside the file";
    KeyType = 0x0100_0014, "SDR_KEYTYPEERR", "the key is of another type";
    Key = 0x0100_0015, "SDR_KEYERR", "the key is wrong";
    EncryptedData = 0x0100_0016, "SDR_ENCDATAERR", "the ECC ciphertext is wrong";
    Random = 0x0100_0017, "SDR_RANDERR", "random bytes cannot be produced";
    PrivateKeyRight = 0x0100_0018, "SDR_PRKRERR", "the right to use the private key cannot be had";
    Mac = 0x0100_0019, "SDR_MACERR", "the MAC operation failed";
    FileExists = 0x0100_001A, "SDR_FILEEXISTS", "the file exists already";
    FileWrite = 0x0100_001B, "SDR_FILEWERR", "the file cannot be written";
    NoBuffer = 0x0100_001C, "SDR_NOBUFFER", "there is not enough space";
    InputArgument = 0x0100_001D, "SDR_INARGERR", "an input argument is wrong";
    OutputArgument = 0x0100_001E, "SDR_OUTARGERR", "an output argument is wrong";
    UserId = 0x0100_001F, "SDR_USERIDERR", "the user id is wrong";
}

impl DeviceCode {
    /// Whether it says that the session, or the device behind it, is gone, so that opening anew may help. Of the
    /// vendors' codes [`PoolOptions::lost`](crate::PoolOptions) tells.
    #[must_use]
    pub const fn is_loss(self) -> bool {
        matches!(
            self,
            Self::Communication | Self::Hardware | Self::OpenDevice | Self::OpenSession
        )
    }

    /// Whether it says that the device does not do what was asked, now or later.
    #[must_use]
    pub const fn is_unsupported(self) -> bool {
        matches!(
            self,
            Self::NotSupported | Self::AlgorithmNotSupported | Self::ModeNotSupported
        )
    }
}

impl fmt::Display for DeviceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (0x{:08x}), {}",
            self.name(),
            self.code(),
            self.meaning()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL, DeviceCode};

    #[test]
    fn codes_are_the_standards_without_a_gap() {
        assert_eq!(ALL.len(), 0x1F);
        for (code, known) in (0x0100_0001_u32..).zip(ALL) {
            assert_eq!(known.code(), code);
            assert_eq!(DeviceCode::from_code(code), *known);
            assert!(known.name().starts_with("SDR_"));
            assert!(known.to_string().contains(known.meaning()));
        }
    }

    #[test]
    fn vendors_codes_stay_numbers() {
        for code in [0, 1, 0x0100_0000, 0x0100_0020, 0x0101_0101, u32::MAX] {
            let vendor = DeviceCode::from_code(code);
            assert_eq!(vendor, DeviceCode::Vendor(code));
            assert_eq!(vendor.code(), code);
        }
        assert_eq!(
            DeviceCode::Vendor(0x0101_0101).to_string(),
            "vendor code (0x01010101), see the vendor's manual"
        );
    }

    #[test]
    fn loss_and_lack_are_told_apart() {
        let named = |is: fn(DeviceCode) -> bool| -> Vec<&str> {
            ALL.iter().filter(|c| is(**c)).map(|c| c.name()).collect()
        };
        assert_eq!(
            named(DeviceCode::is_loss),
            [
                "SDR_COMMFAIL",
                "SDR_HARDFAIL",
                "SDR_OPENDEVICE",
                "SDR_OPENSESSION"
            ]
        );
        assert_eq!(
            named(DeviceCode::is_unsupported),
            [
                "SDR_NOTSUPPORT",
                "SDR_ALGNOTSUPPORT",
                "SDR_ALGMODNOTSUPPORT"
            ]
        );
    }
}
