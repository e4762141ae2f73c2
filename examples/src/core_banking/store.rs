//! The tables, in SQLite. Sensitive columns arrive here sealed and leave sealed.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow};
use sqlx::{Row, SqlitePool};

use super::fields::COLUMNS;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS customers (
    customer_id   TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL,
    branch        TEXT NOT NULL,
    name          TEXT NOT NULL,
    id_number     BLOB NOT NULL,
    card_number   BLOB NOT NULL,
    phone         BLOB NOT NULL,
    device_serial BLOB NOT NULL,
    track         BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS payments (
    payment_id  TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    customer_id TEXT NOT NULL REFERENCES customers (customer_id),
    payee_card  BLOB NOT NULL,
    amount_fen  INTEGER NOT NULL CHECK (amount_fen > 0),
    token_id    TEXT NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL
) STRICT;
";

/// A customer as stored: labels in clear, the rest sealed in the order of [`COLUMNS`].
#[derive(Clone)]
pub struct CustomerRow {
    /// Primary key; the row key of every sealed column.
    pub customer_id: String,
    /// The bank.
    pub tenant_id: String,
    /// The branch.
    pub branch: String,
    /// The customer's name.
    pub name: String,
    /// Sealed columns.
    pub sealed: [Vec<u8>; COLUMNS.len()],
}

/// A payment as stored.
#[derive(Debug, Clone)]
pub struct PaymentRow {
    /// Primary key; the row key of the sealed card.
    pub payment_id: String,
    /// The bank.
    pub tenant_id: String,
    /// Whose account is debited.
    pub customer_id: String,
    /// Sealed card number of the payee.
    pub payee_card: Vec<u8>,
    /// Amount in fen.
    pub amount_fen: u32,
    /// `jti` of the transaction token: unique here too, whatever became of the replay store.
    pub token_id: String,
    /// Unix seconds.
    pub created_at: u64,
}

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens a database file, making it, for its owner only, and its tables where absent.
    ///
    /// # Errors
    /// The file cannot be opened, or is not a database.
    pub async fn open(path: &Path) -> Result<Self, sqlx::Error> {
        // Names stand in it in clear: SQLite would make it readable for everybody.
        let mut options = std::fs::OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        options.open(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await?;
        sqlx::raw_sql(SCHEMA).execute(&pool).await?;
        Ok(Self { pool })
    }

    /// Inserts customers, all or none.
    ///
    /// # Errors
    /// The database's; a customer id that is already there among them.
    pub async fn insert_customers(&self, rows: &[CustomerRow]) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        for row in rows {
            let mut query = sqlx::query("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
                .bind(&row.customer_id)
                .bind(&row.tenant_id)
                .bind(&row.branch)
                .bind(&row.name);
            for sealed in &row.sealed {
                query = query.bind(sealed.as_slice());
            }
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    /// Number of customers.
    ///
    /// # Errors
    /// The database's.
    pub async fn count_customers(&self) -> Result<u64, sqlx::Error> {
        let row = sqlx::query("SELECT count(*) FROM customers")
            .fetch_one(&self.pool)
            .await?;
        row.try_get::<i64, _>(0).map(i64::unsigned_abs)
    }

    /// One customer, of whatever tenant: the caller decides on the row before using it.
    ///
    /// # Errors
    /// The database's.
    pub async fn customer(&self, customer_id: &str) -> Result<Option<CustomerRow>, sqlx::Error> {
        let row = sqlx::query(
            "SELECT customer_id, tenant_id, branch, name,
                    id_number, card_number, phone, device_serial, track
             FROM customers WHERE customer_id = ?",
        )
        .bind(customer_id)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(customer_row).transpose()
    }

    /// Binds another device to a customer of a tenant.
    ///
    /// # Errors
    /// The database's; `RowNotFound` if the customer went away meanwhile.
    pub async fn update_device(
        &self,
        tenant_id: &str,
        customer_id: &str,
        device_serial: &[u8],
        track: &[u8],
    ) -> Result<(), sqlx::Error> {
        let done = sqlx::query(
            "UPDATE customers SET device_serial = ?, track = ?
             WHERE customer_id = ? AND tenant_id = ?",
        )
        .bind(device_serial)
        .bind(track)
        .bind(customer_id)
        .bind(tenant_id)
        .execute(&self.pool)
        .await?;
        if done.rows_affected() == 1 {
            Ok(())
        } else {
            Err(sqlx::Error::RowNotFound)
        }
    }

    /// Inserts a payment.
    ///
    /// # Errors
    /// The database's; a token id that has paid before among them.
    pub async fn insert_payment(&self, row: &PaymentRow) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?, ?)")
            .bind(&row.payment_id)
            .bind(&row.tenant_id)
            .bind(&row.customer_id)
            .bind(row.payee_card.as_slice())
            .bind(i64::from(row.amount_fen))
            .bind(&row.token_id)
            .bind(i64::try_from(row.created_at).unwrap_or(i64::MAX))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Number of payments.
    ///
    /// # Errors
    /// The database's.
    pub async fn count_payments(&self) -> Result<u64, sqlx::Error> {
        let row = sqlx::query("SELECT count(*) FROM payments")
            .fetch_one(&self.pool)
            .await?;
        row.try_get::<i64, _>(0).map(i64::unsigned_abs)
    }

    /// Closes every connection, so that the file is whole.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn customer_row(row: &SqliteRow) -> Result<CustomerRow, sqlx::Error> {
    let mut sealed: [Vec<u8>; COLUMNS.len()] = Default::default();
    for (cell, column) in sealed.iter_mut().zip(COLUMNS) {
        *cell = row.try_get(column.name())?;
    }
    Ok(CustomerRow {
        customer_id: row.try_get("customer_id")?,
        tenant_id: row.try_get("tenant_id")?,
        branch: row.try_get("branch")?,
        name: row.try_get("name")?,
        sealed,
    })
}
