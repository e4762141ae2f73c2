//! What differs from vendor to vendor.

/// Algorithm ids as the device knows them. The default are those of GM/T 0006; some vendors have others (one
/// has SM4 at `0x2000`, see [`AlgorithmIds::with_sm4_base`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlgorithmIds {
    /// SM4 in ECB mode.
    pub sm4_ecb: u32,
    /// SM4 in CBC mode.
    pub sm4_cbc: u32,
    /// MAC with SM4: CBC-MAC, as `SDF_CalculateMAC` does it.
    pub sm4_mac: u32,
    /// SM4-GCM, for `SDF_AuthEnc`.
    pub sm4_gcm: u32,
    /// SM3, also for `SDF_HMACInit`.
    pub sm3: u32,
    /// How keys are wrapped under a KEK of the device: ECB in the standard of 2023.
    pub key_wrap: u32,
}

impl Default for AlgorithmIds {
    fn default() -> Self {
        Self {
            sm4_ecb: 0x0000_0401,
            sm4_cbc: 0x0000_0402,
            sm4_mac: 0x0000_0410,
            sm4_gcm: 0x0200_0400,
            sm3: 0x0000_0001,
            key_wrap: 0x0000_0401,
        }
    }
}

impl AlgorithmIds {
    /// The ids of a vendor that has SM4 at `base` instead of `0x400`, with the standard's mode bits.
    #[must_use]
    pub fn with_sm4_base(base: u32) -> Self {
        Self {
            sm4_ecb: base | 0x01,
            sm4_cbc: base | 0x02,
            sm4_mac: base | 0x10,
            sm4_gcm: base | 0x0200_0000,
            key_wrap: base | 0x01,
            ..Self::default()
        }
    }
}

/// How a library's `SDF_AuthDec` takes the length of the tag. The standard prints a pointer (`puiAuthDataLength`), which
/// many take for a misprint: both kinds of library are about. With the wrong choice the library reads a length from an
/// address or an address for a length, so look into the vendor's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TagLength {
    /// `unsigned int *`, as printed in the standard.
    #[default]
    ByPointer,
    /// `unsigned int`.
    ByValue,
}

/// Settings of a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LibraryOptions {
    /// Its algorithm ids.
    pub algorithms: AlgorithmIds,
    /// Its form of `SDF_AuthDec`.
    pub tag_length: TagLength,
    /// Makes one call at a time into the library, for one that is not safe to call from several threads even with a
    /// session each.
    pub one_call_at_a_time: bool,
}

#[cfg(test)]
mod tests {
    use super::AlgorithmIds;

    #[test]
    fn the_standards_base_gives_the_standards_ids() {
        assert_eq!(AlgorithmIds::with_sm4_base(0x400), AlgorithmIds::default());
        let vendor = AlgorithmIds::with_sm4_base(0x2000);
        assert_eq!((vendor.sm4_cbc, vendor.sm3), (0x2002, 1));
    }
}
