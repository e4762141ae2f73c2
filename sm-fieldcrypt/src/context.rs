//! Where a value lives: the additional authenticated data (AAD) of its envelope.
//!
//! AAD = u8 version 1, then u32 length ‖ bytes for tenant, table and column, then, if row-bound, the row key:
//! per component u8 type ‖ u32 length ‖ bytes.

use crate::error::Error;
use std::sync::Arc;

const AAD_VERSION: u8 = 1;
const MAX_NAME: usize = 1024;
const MAX_ROW: usize = 64 * 1024;

const TYPE_INT: u8 = 1;
const TYPE_TEXT: u8 = 2;
const TYPE_BYTES: u8 = 3;
const TYPE_UUID: u8 = 4;

/// The primary key of a row, as typed components in order. The type is authenticated: row `7` and row `"7"` are
/// two rows. Assign it before the INSERT.
///
/// ```
/// use sm_fieldcrypt::RowKey;
/// let by_id = RowKey::from(42_i64);
/// let compound = RowKey::new().text("branch-7").int(42);
/// assert_ne!(by_id, compound);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RowKey {
    encoded: Vec<u8>,
}

impl RowKey {
    /// A row key without components; add at least one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an integer component.
    #[must_use]
    pub fn int(self, value: i64) -> Self {
        self.component(TYPE_INT, &value.to_be_bytes())
    }

    /// Adds a text component.
    #[must_use]
    pub fn text(self, value: &str) -> Self {
        self.component(TYPE_TEXT, value.as_bytes())
    }

    /// Adds a bytes component.
    #[must_use]
    pub fn bytes(self, value: &[u8]) -> Self {
        self.component(TYPE_BYTES, value)
    }

    /// Adds a UUID component, in its 16-byte form.
    #[must_use]
    pub fn uuid(self, value: [u8; 16]) -> Self {
        self.component(TYPE_UUID, &value)
    }

    fn component(mut self, kind: u8, value: &[u8]) -> Self {
        self.encoded.push(kind);
        push_prefixed(&mut self.encoded, value);
        self
    }
}

impl From<i64> for RowKey {
    fn from(value: i64) -> Self {
        Self::new().int(value)
    }
}

impl From<&str> for RowKey {
    fn from(value: &str) -> Self {
        Self::new().text(value)
    }
}

/// The place of a value: tenant, table, column and, for row-bound classes, the row. A value opens nowhere else.
///
/// Use stable configured ids for table and column, so that a rename in the database breaks nothing. An *older*
/// value of the same cell still opens there, unless the row key carries a version.
///
/// Cloning, and [`FieldContext::at`] for the next row of the same column, are cheap.
///
/// ```
/// use sm_fieldcrypt::FieldContext;
/// let column = FieldContext::new("bank-a", "customers", "id_no");
/// let cell = column.at(42_i64);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldContext {
    column: Arc<Column>,
    row: Option<RowKey>,
}

#[derive(Debug, PartialEq, Eq)]
struct Column {
    tenant: String,
    /// Version, tenant, table and column as they stand in the AAD.
    encoded: Vec<u8>,
    fault: Option<&'static str>,
}

impl FieldContext {
    /// A column of a tenant's table. Empty or over-long names (over 1024 bytes) are refused when sealing or
    /// opening.
    #[must_use]
    pub fn new(tenant: &str, table: &str, column: &str) -> Self {
        let fault = if [tenant, table, column].iter().any(|name| name.is_empty()) {
            Some("tenant, table and column must not be empty")
        } else if [tenant, table, column]
            .iter()
            .any(|name| name.len() > MAX_NAME)
        {
            Some("tenant, table or column is longer than 1024 bytes")
        } else {
            None
        };
        let mut encoded = vec![AAD_VERSION];
        for name in [tenant, table, column] {
            push_prefixed(&mut encoded, name.as_bytes());
        }
        Self {
            column: Arc::new(Column {
                tenant: tenant.into(),
                encoded,
                fault,
            }),
            row: None,
        }
    }

    /// Sets the row.
    #[must_use]
    pub fn row(mut self, row: impl Into<RowKey>) -> Self {
        self.row = Some(row.into());
        self
    }

    /// The same column at another row.
    #[must_use]
    pub fn at(&self, row: impl Into<RowKey>) -> Self {
        Self {
            column: Arc::clone(&self.column),
            row: Some(row.into()),
        }
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.column.tenant
    }

    /// The AAD for a class that is row-bound or not.
    pub(crate) fn aad(&self, row_bound: bool, tenant: &str) -> Result<Vec<u8>, Error> {
        let refuse = |what| Err(Error::Context { what });
        if let Some(what) = self.column.fault {
            return refuse(what);
        }
        if self.column.tenant != tenant {
            return refuse("its tenant is not the one the key was prepared for");
        }
        let row = match (&self.row, row_bound) {
            (None, true) => return refuse("the class is row-bound, but no row is given"),
            (Some(_), false) => return refuse("a row is given, but the class is not row-bound"),
            (Some(row), true) if row.encoded.is_empty() => {
                return refuse("the row key has no components");
            }
            (Some(row), true) if row.encoded.len() > MAX_ROW => {
                return refuse("the row key is longer than 64 KiB");
            }
            (Some(row), true) => row.encoded.as_slice(),
            (None, false) => &[],
        };
        Ok([self.column.encoded.as_slice(), row].concat())
    }

    /// The tweak of FF1: the AAD, of a row if one is given. It is never empty.
    #[cfg(feature = "ff1")]
    pub(crate) fn tweak(&self) -> Result<Vec<u8>, Error> {
        self.aad(self.row.is_some(), &self.column.tenant)
    }
}

pub(crate) fn valid_tenant(tenant: &str) -> Result<(), Error> {
    match tenant.len() {
        0 => Err(Error::Context {
            what: "the tenant must not be empty",
        }),
        1..=MAX_NAME => Ok(()),
        _ => Err(Error::Context {
            what: "the tenant is longer than 1024 bytes",
        }),
    }
}

fn push_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    // Lengths are bounded before use (`MAX_NAME`, `MAX_ROW`), far below u32::MAX.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::{FieldContext, RowKey};

    #[test]
    fn aad_is_laid_out_as_the_wire_format_says() {
        let context = FieldContext::new("t", "tab", "c").row(RowKey::new().int(-2).text("x"));
        let mut expected = vec![
            1, 0, 0, 0, 1, b't', 0, 0, 0, 3, b't', b'a', b'b', 0, 0, 0, 1, b'c',
        ];
        expected.extend([1, 0, 0, 0, 8]);
        expected.extend((-2_i64).to_be_bytes());
        expected.extend([2, 0, 0, 0, 1, b'x']);
        assert_eq!(context.aad(true, "t").unwrap(), expected);
        let context = FieldContext::new("t", "tab", "c");
        assert_eq!(context.aad(false, "t").unwrap(), expected[..18]);
    }

    #[test]
    fn uuid_and_bytes_have_types_of_their_own() {
        let a = RowKey::new().uuid([5; 16]);
        let b = RowKey::new().bytes(&[5; 16]);
        assert_eq!(a.encoded[..5], [4, 0, 0, 0, 16]);
        assert_eq!(b.encoded[..5], [3, 0, 0, 0, 16]);
        assert_eq!(a.encoded[5..], b.encoded[5..]);
    }

    #[test]
    fn components_do_not_run_together() {
        assert_ne!(
            RowKey::new().text("ab").text("c"),
            RowKey::new().text("a").text("bc")
        );
        let a = FieldContext::new("ab", "c", "d").aad(false, "ab").unwrap();
        let b = FieldContext::new("a", "bc", "d").aad(false, "a").unwrap();
        assert_ne!(a, b);
    }

    #[test]
    fn faulty_contexts_are_refused() {
        let ok = FieldContext::new("t", "a", "b");
        assert!(ok.aad(false, "t").is_ok());
        assert!(ok.aad(true, "t").is_err());
        assert!(ok.aad(false, "u").is_err());
        assert!(ok.at(1_i64).aad(false, "t").is_err());
        assert!(ok.at(RowKey::new()).aad(true, "t").is_err());
        assert!(
            ok.at(RowKey::new().bytes(&vec![0; 70_000]))
                .aad(true, "t")
                .is_err()
        );
        for (t, a, b) in [("", "a", "b"), ("t", "", "b"), ("t", "a", "")] {
            assert!(FieldContext::new(t, a, b).aad(false, t).is_err());
        }
        let long = "x".repeat(1025);
        assert!(FieldContext::new("t", &long, "b").aad(false, "t").is_err());
    }
}
