//! What a device says of itself.

use crate::abi::DeviceInfoC;

/// `SDF_GetDeviceInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// The vendor.
    pub issuer: String,
    /// The model.
    pub name: String,
    /// The serial number: 8 characters of date, 3 of batch, 5 running.
    pub serial: String,
    /// Version of the device's software.
    pub device_version: u32,
    /// Version of the interface.
    pub standard_version: u32,
    /// Asymmetric algorithms, as bits, and their key lengths, as bits.
    pub asymmetric: [u32; 2],
    /// Symmetric algorithms, as bits.
    pub symmetric: u32,
    /// Hash algorithms, as bits.
    pub hash: u32,
    /// Largest file, in bytes.
    pub buffer_size: u32,
}

impl From<&DeviceInfoC> for DeviceInfo {
    fn from(c: &DeviceInfoC) -> Self {
        Self {
            issuer: text(&c.issuer_name),
            name: text(&c.device_name),
            serial: text(&c.device_serial),
            device_version: c.device_version,
            standard_version: c.standard_version,
            asymmetric: c.asymmetric,
            symmetric: c.symmetric,
            hash: c.hash,
            buffer_size: c.buffer_size,
        }
    }
}

/// Text up to the first NUL, or all of a field that has none. Vendors' names may be in GB 18030: what is not UTF-8
/// is replaced.
fn text(field: &[u8]) -> String {
    let until = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    let bytes = field.get(..until).unwrap_or(field);
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn fields_without_an_end_and_without_sense() {
        assert_eq!(text(b"abc\0def"), "abc");
        assert_eq!(text(b"abc   "), "abc");
        assert_eq!(text(&[b'x'; 16]), "x".repeat(16));
        assert_eq!(text(&[0xFF, 0]), "\u{FFFD}");
        assert_eq!(text(&[]), "");
    }
}
