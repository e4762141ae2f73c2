//! What an index is over, and what it gives away.

use crate::error::Error;
use crate::index::kind::{IndexKind, Normalization};

/// An index over one column. Its name is used in calls and events; table and column are the stable ids of
/// [`FieldContext`](crate::FieldContext).
///
/// What a reader of the database learns from the tokens: which rows have **equal** values, and how often each occurs; of
/// a prefix also which rows share it. Where values are few or known in their frequency (sex, branch, family names), that
/// tells them: do not index such columns. Without the index key no value can be tried.
///
/// ```
/// use sm_fieldcrypt::{BlindIndex, Normalization};
/// let by_card = BlindIndex::unique("card_no", "cards", "number").normalized(Normalization::Digits);
/// assert!(by_card.leak().contains("equal"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlindIndex {
    name: String,
    table: String,
    column: String,
    kind: IndexKind,
    normalization: Normalization,
    tag_len: u8,
    override_identity: bool,
}

impl BlindIndex {
    /// Finds rows by a whole value; tokens have 18 bytes.
    #[must_use]
    pub fn equality(name: &str, table: &str, column: &str) -> Self {
        Self::new(name, table, column, IndexKind::Equality)
    }

    /// As [`equality`](Self::equality), for columns in which no value occurs twice: its tokens always have 16 bytes of tag
    /// or more, so that a `UNIQUE` constraint on them refuses no two different values. While two versions are live, search
    /// before inserting: the constraint knows one version only.
    #[must_use]
    pub fn unique(name: &str, table: &str, column: &str) -> Self {
        Self::new(name, table, column, IndexKind::Unique)
    }

    /// Finds rows by the first `characters` of a value, and gives away which rows share them. Refused with
    /// [`Normalization::IdentityNumber`] unless [overridden](Self::allow_prefix_of_identity_number).
    #[must_use]
    pub fn prefix(name: &str, table: &str, column: &str, characters: u16) -> Self {
        Self::new(name, table, column, IndexKind::Prefix(characters))
    }

    fn new(name: &str, table: &str, column: &str, kind: IndexKind) -> Self {
        Self {
            name: name.into(),
            table: table.into(),
            column: column.into(),
            kind,
            normalization: Normalization::Exact,
            tag_len: 16,
            override_identity: false,
        }
    }

    /// How values are made comparable. Fixed for a version when its key is made: a change applies from the next rotation.
    #[must_use]
    pub fn normalized(mut self, normalization: Normalization) -> Self {
        self.normalization = normalization;
        self
    }

    /// Bytes of a tag, 4 to 32 (for uniqueness 16 to 32), 16 unless set. A short one gives away less, and finds other rows
    /// too: open and compare what was found. Fixed as [`normalized`](Self::normalized) is.
    #[must_use]
    pub fn tag_bytes(mut self, bytes: u8) -> Self {
        self.tag_len = bytes;
        self
    }

    /// Allows a prefix index over identity numbers, whose first six digits are the region, and fourteen the birth date too.
    #[must_use]
    pub fn allow_prefix_of_identity_number(mut self) -> Self {
        self.override_identity = true;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The table's stable id.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The column's stable id.
    #[must_use]
    pub fn column(&self) -> &str {
        &self.column
    }

    /// What it finds.
    #[must_use]
    pub fn kind(&self) -> IndexKind {
        self.kind
    }

    pub(crate) fn normalization(&self) -> Normalization {
        self.normalization
    }

    pub(crate) fn tag_len(&self) -> u8 {
        self.tag_len
    }

    /// What its tokens give away to a reader of the database, for a security review.
    #[must_use]
    pub fn leak(&self) -> String {
        let (table, column) = (&self.table, &self.column);
        match self.kind {
            IndexKind::Equality => format!(
                "which rows of {table}.{column} have equal values, and so how often each value occurs"
            ),
            IndexKind::Unique => format!(
                "which rows of {table}.{column} have equal values: none, while the column is unique"
            ),
            IndexKind::Prefix(n) => format!(
                "which rows of {table}.{column} begin with the same {n} characters, and so how often each beginning occurs{}",
                match self.normalization {
                    Normalization::IdentityNumber => {
                        ": region, from 14 characters on the birth date, of known persons"
                    }
                    _ => "",
                }
            ),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let names = [&self.name, &self.table, &self.column];
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
        let fault = if names.iter().any(|name| name.is_empty() || name.len() > 64) {
            "name, table and column need 1 to 64 characters"
        } else if !self.name.bytes().all(is_name) {
            "the name may hold ASCII letters, digits, '_', '-' and '.' only"
        } else if self.kind == IndexKind::Unique && !(16..=32).contains(&self.tag_len) {
            "tags of a unique index have 16 to 32 bytes"
        } else if !(4..=32).contains(&self.tag_len) {
            "tags have 4 to 32 bytes"
        } else if self.kind == IndexKind::Prefix(0) {
            "a prefix has at least one character"
        } else if matches!(self.kind, IndexKind::Prefix(_))
            && self.normalization == Normalization::IdentityNumber
            && !self.override_identity
        {
            "a prefix of identity numbers gives away region and birth date: allow it on purpose"
        } else {
            return Ok(());
        };
        Err(Error::Config {
            what: format!("index {:?}: {fault}", self.name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_indexes_are_refused() {
        let ok = || BlindIndex::equality("i", "t", "c");
        ok().validate().unwrap();
        ok().tag_bytes(4).validate().unwrap();
        for bad in [
            BlindIndex::equality("", "t", "c"),
            BlindIndex::equality("i", "", "c"),
            BlindIndex::equality("i", "t", &"c".repeat(65)),
            BlindIndex::equality("a/b", "t", "c"),
            ok().tag_bytes(3),
            ok().tag_bytes(33),
            BlindIndex::unique("i", "t", "c").tag_bytes(15),
            BlindIndex::prefix("i", "t", "c", 0),
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn hazard_prefix_of_identity_numbers_by_mistake() {
        let prefix = BlindIndex::prefix("i", "t", "id_no", 6);
        let prefix = prefix.normalized(Normalization::IdentityNumber);
        assert!(prefix.validate().is_err());
        let allowed = prefix.allow_prefix_of_identity_number();
        allowed.validate().unwrap();
        assert!(allowed.leak().contains("birth date"));
    }

    #[test]
    fn values_that_mean_the_same_become_the_same() {
        for (normalization, value, expected) in [
            (Normalization::Exact, " aB ", " aB "),
            (
                Normalization::IdentityNumber,
                " 11010119900307461x\n",
                "11010119900307461X",
            ),
            (
                Normalization::Digits,
                "6228 4804-0256 4890",
                "6228480402564890",
            ),
            (
                Normalization::Lowercase,
                " Zhang.San@Example.COM ",
                "zhang.san@example.com",
            ),
            (Normalization::Lowercase, "ÄÖ", "äö"),
        ] {
            assert_eq!(normalization.apply(value), expected);
            let again = normalization.apply(expected);
            assert_eq!(again, expected);
            assert_eq!(
                Normalization::from_id(normalization.id()),
                Some(normalization)
            );
        }
        assert_eq!(Normalization::from_id(0), None);
    }
}
