//! A registry in a table of SQLite or PostgreSQL, for services whose nodes share a database and no file system.
//!
//! The table has one row a registry. A change replaces the row if it is still the one that was read, in one statement: the
//! database keeps writers apart. As everywhere, the bytes carry their own tags, and who can write the table can
//! damage the registry and not change it.

use crate::error::Error;
use crate::offload::BoxFuture;
use crate::registry::MAX_REGISTRY;
use crate::store::RegistryStore;
use sqlx::{PgPool, SqlitePool};
use std::fmt;

/// The table's name unless another is given.
const TABLE: &str = "sm_fieldcrypt_registry";
/// The row's name unless another is given.
const NAME: &str = "default";

macro_rules! store {
    (
        $(#[$docs:meta])*
        $store:ident, $pool:ident, $bytes:literal, $fits:literal
    ) => {
        $(#[$docs])*
        #[derive(Clone)]
        pub struct $store {
            pool: $pool,
            table: String,
            name: String,
        }

        impl $store {
            /// A store in the table `sm_fieldcrypt_registry`, in its row `default`. Nothing is touched yet.
            #[must_use]
            pub fn new(pool: $pool) -> Self {
                Self {
                    pool,
                    table: TABLE.into(),
                    name: NAME.into(),
                }
            }

            /// Another table: 1 to 63 ASCII letters, digits and `_`, no digit first.
            ///
            /// # Errors
            /// [`Error::Config`] for any other name.
            pub fn table(mut self, table: &str) -> Result<Self, Error> {
                check_table(table)?;
                self.table = table.into();
                Ok(self)
            }

            /// Another row: one table can have the registries of several services.
            #[must_use]
            pub fn name(mut self, name: &str) -> Self {
                self.name = name.into();
                self
            }

            /// Makes the table if there is none. A service's own account need not have the right to: run it once as who has.
            ///
            /// # Errors
            /// [`Error::Storage`].
            pub async fn create_table(&self) -> Result<(), Error> {
                let table = &self.table;
                let sql = format!(
                    "CREATE TABLE IF NOT EXISTS {table} (name TEXT PRIMARY KEY, registry {} NOT NULL)",
                    $bytes
                );
                let done = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&self.pool).await;
                done.map(drop).map_err(|e| storage("create the table of", e))
            }

            async fn load_bytes(&self) -> Result<Option<Vec<u8>>, Error> {
                let table = &self.table;
                // A row that somebody has made huge is not read.
                let sql = format!(
                    "SELECT CASE WHEN {} <= {MAX_REGISTRY} THEN registry END FROM {table} WHERE name = $1",
                    $fits
                );
                let row: Option<(Option<Vec<u8>>,)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
                    .bind(&self.name)
                    .fetch_optional(&self.pool)
                    .await
                    .map_err(|e| storage("read", e))?;
                match row {
                    None => Ok(None),
                    Some((Some(bytes),)) => Ok(Some(bytes)),
                    Some((None,)) => Err(Error::Registry {
                        what: "longer than 64 MiB, or not bytes",
                        offset: 0,
                    }),
                }
            }

            async fn replace_bytes(
                &self,
                previous: Option<&[u8]>,
                next: &[u8],
            ) -> Result<(), Error> {
                let table = &self.table;
                let changed = match previous {
                    None => {
                        let sql = format!(
                            "INSERT INTO {table} (name, registry) VALUES ($1, $2) \
                             ON CONFLICT (name) DO NOTHING"
                        );
                        let query = sqlx::query(sqlx::AssertSqlSafe(sql));
                        query.bind(&self.name).bind(next).execute(&self.pool).await
                    }
                    Some(previous) => {
                        let sql = format!(
                            "UPDATE {table} SET registry = $2 WHERE name = $1 AND registry = $3"
                        );
                        let query = sqlx::query(sqlx::AssertSqlSafe(sql));
                        let query = query.bind(&self.name).bind(next).bind(previous);
                        query.execute(&self.pool).await
                    }
                };
                match changed.map_err(|e| storage("write", e))?.rows_affected() {
                    0 => Err(Error::RegistryConflict),
                    _ => Ok(()),
                }
            }
        }

        impl RegistryStore for $store {
            fn load<'a>(&'a self) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
                Box::pin(self.load_bytes())
            }

            fn replace<'a>(
                &'a self,
                previous: Option<&'a [u8]>,
                next: &'a [u8],
            ) -> BoxFuture<'a, Result<(), Error>> {
                Box::pin(self.replace_bytes(previous, next))
            }
        }

        impl fmt::Debug for $store {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($store))
                    .field("table", &self.table)
                    .field("name", &self.name)
                    .finish_non_exhaustive()
            }
        }
    };
}

store! {
    /// A registry in SQLite. Durable as the connection is: set `PRAGMA synchronous = FULL` or `EXTRA`, or a loss of power may
    /// take the last change back, which nodes that have seen it then refuse.
    SqliteStore, SqlitePool, "BLOB", "typeof(registry) = 'blob' AND length(registry)"
}

store! {
    /// A registry in PostgreSQL, read and written on the primary: a replica that lags looks like a registry that was put
    /// back, and is refused. Durable unless `synchronous_commit` is off.
    PostgresStore, PgPool, "BYTEA", "octet_length(registry)"
}

fn check_table(table: &str) -> Result<(), Error> {
    let is_name =
        |(i, b): (usize, u8)| b == b'_' || b.is_ascii_alphabetic() || (i > 0 && b.is_ascii_digit());
    match (1..=63).contains(&table.len()) && table.bytes().enumerate().all(is_name) {
        true => Ok(()),
        false => Err(Error::Config {
            what: format!("the table name {table:?}"),
        }),
    }
}

fn storage(action: &'static str, source: sqlx::Error) -> Error {
    Error::Storage {
        action,
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::check_table;

    #[test]
    fn hazard_table_names_are_no_way_into_sql() {
        for good in ["a", "_", "keys_2026", &"k".repeat(63)] {
            check_table(good).unwrap();
        }
        for bad in [
            "",
            "1a",
            "a b",
            "a;DROP TABLE x",
            "a\"",
            "表",
            "a.b",
            &"k".repeat(64),
        ] {
            assert!(check_table(bad).is_err(), "{bad}");
        }
    }
}
