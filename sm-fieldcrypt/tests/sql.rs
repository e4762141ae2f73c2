//! The registry and sealed columns in real databases: SQLite, and a PostgreSQL server that the test starts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    missing_docs
)]

mod common;
mod postgres_server;

use common::{Bench, user};
use postgres_server::Server;
use sm_fieldcrypt::{
    BlindIndex, ChunkedHeader, Encrypted, Error, FieldClass, FieldContext, KeyRing, KeyState,
    PostgresStore, PreparedIndex, PreparedKey, RegistryStore, Rewrapped, SqliteStore, Suite,
};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{ColumnIndex, Decode, FromRow, PgPool, Row, SqlitePool, Type};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

async fn sqlite(file: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .busy_timeout(std::time::Duration::from_secs(20));
    let pool = SqlitePoolOptions::new().max_connections(4);
    pool.connect_with(options).await.unwrap()
}

async fn ring(store: Arc<dyn RegistryStore>) -> KeyRing {
    ring_at(store, &Bench::new()).await
}

async fn ring_at(store: Arc<dyn RegistryStore>, bench: &Bench) -> KeyRing {
    KeyRing::builder(bench.kek.clone(), store)
        .clock(bench.clock.clone())
        .class(FieldClass::identity_number())
        .class(FieldClass::new(20, "route", Suite::CtrHmacSm3).chunked(10))
        .index(BlindIndex::equality("by_id", "customers", "id_no"))
        .create_registry()
        .auto_rotate()
        .build()
        .await
        .unwrap()
}

/// What a store promises, whatever is behind it.
async fn compares_and_swaps(store: &dyn RegistryStore) {
    assert_eq!(store.load().await.unwrap(), None);
    let conflict = |result: Result<(), Error>| matches!(result, Err(Error::RegistryConflict));
    assert!(conflict(store.replace(Some(b"zero"), b"one").await));
    store.replace(None, b"one").await.unwrap();
    assert!(conflict(store.replace(None, b"two").await));
    assert!(conflict(store.replace(Some(b"zero"), b"two").await));
    assert_eq!(store.load().await.unwrap().unwrap(), b"one");
    store.replace(Some(b"one"), b"two").await.unwrap();
    assert_eq!(store.load().await.unwrap().unwrap(), b"two");
}

/// Many writers, each change from what was read: none is lost.
async fn races(store: Arc<dyn RegistryStore>) {
    store.replace(None, &0_u64.to_be_bytes()).await.unwrap();
    let writers = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut done = 0;
            while done < 10 {
                let found = store.load().await.unwrap().unwrap();
                let count = u64::from_be_bytes(found.clone().try_into().unwrap());
                match store
                    .replace(Some(&found), &(count + 1).to_be_bytes())
                    .await
                {
                    Ok(()) => done += 1,
                    Err(Error::RegistryConflict) => {}
                    Err(e) => panic!("{e}"),
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let found = store.load().await.unwrap().unwrap();
    assert_eq!(found, 40_u64.to_be_bytes());
}

/// Two nodes over one database: what one does, the other notices.
async fn two_nodes(store: Arc<dyn RegistryStore>) {
    let (here, there) = (ring(store.clone()).await, ring(store).await);
    let cell = FieldContext::new("bank-a", "customers", "id_no").row(1_i64);
    let key = here
        .prepare("identity_number", "bank-a", &user())
        .await
        .unwrap();
    let sealed = key.seal(b"110101199003074610", &cell).unwrap();
    there.refresh().await.unwrap();
    let key = there
        .prepare("identity_number", "bank-a", &user())
        .await
        .unwrap();
    assert_eq!(
        key.open(&sealed, &cell).unwrap().expose(),
        b"110101199003074610"
    );
    there
        .rotate("identity_number", None, &user())
        .await
        .unwrap();
    here.refresh().await.unwrap();
    assert_eq!(here.keys(), there.keys());
    there
        .change_state("identity_number", 1, KeyState::Destroyed, &user())
        .await
        .unwrap();
    here.refresh().await.unwrap();
    let key = here
        .prepare("identity_number", "bank-a", &user())
        .await
        .unwrap();
    assert!(key.open(&sealed, &cell).is_err());
}

#[tokio::test]
async fn sqlite_keeps_registries() {
    let dir = tempfile::tempdir().unwrap();
    let pool = sqlite(&dir.path().join("db")).await;
    let store = SqliteStore::new(pool.clone());
    let e = store.load().await.unwrap_err();
    assert!(matches!(e, Error::Storage { action: "read", .. }), "{e}");
    store.create_table().await.unwrap();
    store.create_table().await.unwrap();
    compares_and_swaps(&store).await;
    races(Arc::new(store.clone().name("races"))).await;
    let other = store.clone().table("other_keys").unwrap();
    other.create_table().await.unwrap();
    two_nodes(Arc::new(other)).await;
    assert!(store.table("x; DROP TABLE y").is_err());
    // A row that was made huge is not read.
    sqlx::query(
        "UPDATE sm_fieldcrypt_registry SET registry = zeroblob(67108865) WHERE name = 'default'",
    )
    .execute(&pool)
    .await
    .unwrap();
    let e = SqliteStore::new(pool.clone()).load().await.unwrap_err();
    assert!(e.to_string().contains("longer than 64 MiB"), "{e}");
    // A text, whose length SQLite counts up to the first NUL.
    sqlx::query(
        "UPDATE sm_fieldcrypt_registry SET registry = 'x' || char(0) || 'y' WHERE name = 'default'",
    )
    .execute(&pool)
    .await
    .unwrap();
    let e = SqliteStore::new(pool).load().await.unwrap_err();
    assert!(e.to_string().contains("not bytes"), "{e}");
}

#[tokio::test]
async fn postgres_keeps_registries_and_its_loss_is_an_error() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let pool = server.pool().await;
    let store = PostgresStore::new(pool);
    store.create_table().await.unwrap();
    compares_and_swaps(&store).await;
    races(Arc::new(store.clone().name("races"))).await;
    let shared = Arc::new(store.clone().name("nodes"));
    two_nodes(shared.clone()).await;
    // Without its database a ring goes on with what it knows, and then no longer: the clock stands still here.
    let ring = ring(shared).await;
    let user = user();
    ring.prepare("identity_number", "bank-a", &user)
        .await
        .unwrap();
    server.kill();
    ring.prepare("identity_number", "bank-a", &user)
        .await
        .unwrap();
    let e = ring.refresh().await.unwrap_err();
    assert!(matches!(e, Error::Storage { action: "read", .. }), "{e}");
    let e = ring
        .rotate("identity_number", None, &user)
        .await
        .unwrap_err();
    assert!(matches!(e, Error::Storage { .. }), "{e}");
}

/// A customer as a service has it.
#[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
struct Customer {
    id: i64,
    id_no: Encrypted<String>,
    id_no_index: Vec<u8>,
}

impl<'r, R: Row> FromRow<'r, R> for Customer
where
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            id_no: row.try_get("id_no")?,
            id_no_index: row.try_get("id_no_index")?,
        })
    }
}

fn cell(id: i64) -> FieldContext {
    FieldContext::new("bank-a", "customers", "id_no").row(id)
}

fn id_no(id: i64) -> String {
    format!("11010119900307{id:04}")
}

async fn prepared(ring: &KeyRing) -> (PreparedKey, PreparedIndex) {
    let key = ring.prepare("identity_number", "bank-a", &user()).await;
    let index = ring.prepare_index("by_id", "bank-a", &user()).await;
    (key.unwrap(), index.unwrap())
}

/// What the two databases say differently.
macro_rules! columns {
    ($name:ident, $pool:ty, $bytes:literal) => {
        mod $name {
            use super::*;

            pub(super) async fn create(pool: &$pool) {
                for sql in [
                    concat!("CREATE TABLE customers (id BIGINT PRIMARY KEY, id_no ", $bytes,
                        " NOT NULL, id_no_index ", $bytes, " NOT NULL)"),
                    "CREATE INDEX by_id ON customers (id_no_index)",
                    concat!("CREATE TABLE routes (id BIGINT PRIMARY KEY, route ", $bytes, " NOT NULL)"),
                ] {
                    sqlx::query(sql).execute(pool).await.unwrap();
                }
            }

            pub(super) async fn insert(pool: &$pool, ring: &KeyRing, id: i64) {
                let (key, index) = prepared(ring).await;
                let id_no = super::id_no(id);
                sqlx::query("INSERT INTO customers VALUES ($1, $2, $3)")
                    .bind(id)
                    .bind(Encrypted::seal(&id_no, &key, &cell(id)).unwrap())
                    .bind(index.token(&id_no).unwrap().unwrap())
                    .execute(pool)
                    .await
                    .unwrap();
            }

            /// The customers with this number, by the index over all live versions, opened and compared.
            pub(super) async fn find(pool: &$pool, ring: &KeyRing, wanted: &str) -> Vec<i64> {
                let (key, index) = prepared(ring).await;
                let mut tokens = index.search(wanted).unwrap().into_iter();
                let first = tokens.next().unwrap();
                let rows: Vec<Customer> =
                    sqlx::query_as("SELECT * FROM customers WHERE id_no_index IN ($1, $2)")
                        .bind(first.clone())
                        .bind(tokens.next().unwrap_or(first))
                        .fetch_all(pool)
                        .await
                        .unwrap();
                let is_wanted = |row: &&Customer| row.id_no.open(&key, &cell(row.id)).unwrap() == wanted;
                rows.iter().filter(is_wanted).map(|row| row.id).collect()
            }

            /// Moves one row to the primary key and the newest version of the index, unless it was changed meanwhile.
            pub(super) async fn renew(pool: &$pool, ring: &KeyRing, id: i64) {
                let (key, index) = prepared(ring).await;
                let row: Customer = sqlx::query_as("SELECT * FROM customers WHERE id = $1")
                    .bind(id)
                    .fetch_one(pool)
                    .await
                    .unwrap();
                let new = match key.rewrap(row.id_no.as_bytes(), &cell(id)).unwrap() {
                    Rewrapped::Moved(value) => value,
                    Rewrapped::Current => row.id_no.as_bytes().to_vec(),
                };
                let value = row.id_no.open(&key, &cell(id)).unwrap();
                let token = index.token(&value).unwrap().unwrap();
                assert!(index.is_current(&token).unwrap());
                let done = sqlx::query(
                    "UPDATE customers SET id_no = $2, id_no_index = $3 WHERE id = $1 AND id_no = $4",
                )
                .bind(id)
                .bind(new)
                .bind(token)
                .bind(row.id_no)
                .execute(pool)
                .await
                .unwrap();
                assert_eq!(done.rows_affected(), 1);
            }

            /// Key and index are rotated under writers and readers; no read fails, and no row is missed.
            pub(super) async fn rotated_under_load(pool: &$pool, bench: &Bench, ring: &KeyRing) {
                for id in 0..20 {
                    insert(pool, ring, id).await;
                }
                let stop = Arc::new(AtomicBool::new(false));
                let (reads, written) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(20)));
                let reader = tokio::spawn({
                    let (pool, ring) = (pool.clone(), ring.clone());
                    let (stop, reads) = (stop.clone(), reads.clone());
                    async move {
                        while !stop.load(Ordering::SeqCst) {
                            for id in 0..20 {
                                assert_eq!(find(&pool, &ring, &id_no(id)).await, [id]);
                                reads.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    }
                });
                let writer = tokio::spawn({
                    let (pool, ring) = (pool.clone(), ring.clone());
                    let (stop, reads) = (stop.clone(), reads.clone());
                    let written = written.clone();
                    async move {
                        for id in 20.. {
                            // About as many as the reader reads, whatever the database's speed.
                            while written.load(Ordering::SeqCst) > reads.load(Ordering::SeqCst) + 50
                                && !stop.load(Ordering::SeqCst)
                            {
                                tokio::task::yield_now().await;
                            }
                            if stop.load(Ordering::SeqCst) {
                                break;
                            }
                            insert(&pool, &ring, id).await;
                            written.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
                ring.rotate_ahead("identity_number", None, &user()).await.unwrap();
                ring.rotate_index("by_id", "bank-a", &user()).await.unwrap();
                // Half an hour, in steps in which nobody's keys grow too old.
                for _ in 0..60 {
                    let before = reads.load(Ordering::SeqCst);
                    bench.clock.advance(30);
                    while reads.load(Ordering::SeqCst) < before + 2 {
                        assert!(!reader.is_finished());
                        tokio::task::yield_now().await;
                    }
                }
                for id in 0..20 {
                    renew(pool, ring, id).await;
                }
                // Both have had their turn since.
                let before = (reads.load(Ordering::SeqCst), written.load(Ordering::SeqCst));
                while reads.load(Ordering::SeqCst) < before.0 + 20
                    || written.load(Ordering::SeqCst) <= before.1
                {
                    assert!(!reader.is_finished() && !writer.is_finished());
                    tokio::task::yield_now().await;
                }
                stop.store(true, Ordering::SeqCst);
                reader.await.unwrap();
                writer.await.unwrap();
                // Those that were written with the key or version before, too; then both can go.
                for id in 20..i64::try_from(written.load(Ordering::SeqCst)).unwrap() {
                    renew(pool, ring, id).await;
                }
                for to in [KeyState::DecryptOnly, KeyState::Destroyed] {
                    ring.change_state("identity_number", 1, to, &user()).await.unwrap();
                }
                ring.change_index_state("by_id", "bank-a", 1, KeyState::Destroyed, &user())
                    .await
                    .unwrap();
                for id in 0..i64::try_from(written.load(Ordering::SeqCst)).unwrap() {
                    assert_eq!(find(pool, ring, &id_no(id)).await, [id]);
                }
                assert!(find(pool, ring, "nobody").await.is_empty());
            }

            /// The database gives a part of a long value, and no more is needed.
            pub(super) async fn range_of_a_route(pool: &$pool, ring: &KeyRing) {
                let key = ring.prepare("route", "bank-a", &user()).await.unwrap();
                let cell = FieldContext::new("bank-a", "routes", "route").row(1_i64);
                let route: Vec<u8> = (0..100_000_u32).map(|i| (i % 253) as u8).collect();
                sqlx::query("INSERT INTO routes VALUES (1, $1)")
                    .bind(Encrypted::seal(&route, &key, &cell).unwrap())
                    .execute(pool)
                    .await
                    .unwrap();
                let part = async |range: std::ops::Range<u64>| -> Vec<u8> {
                    let length = i32::try_from(range.end - range.start).unwrap();
                    sqlx::query_scalar("SELECT substr(route, $1, $2) FROM routes WHERE id = 1")
                        .bind(i32::try_from(range.start).unwrap() + 1)
                        .bind(length)
                        .fetch_one(pool)
                        .await
                        .unwrap()
                };
                let front = part(0..ChunkedHeader::LEN as u64).await;
                let header = ChunkedHeader::read(&front).unwrap();
                assert_eq!(header.plaintext_len(), 100_000);
                let wanted = 50_000..52_000;
                let chunks = part(header.sealed_range(&wanted).unwrap()).await;
                assert!(chunks.len() < 4000);
                let opened = key.open_chunks(&header, wanted, &chunks, &cell).unwrap();
                assert_eq!(opened.expose(), &route[50_000..52_000]);
            }
        }
    };
}

columns!(in_sqlite, SqlitePool, "BLOB");
columns!(in_postgres, PgPool, "BYTEA");

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_columns_are_found_rotated_and_read_in_part() {
    let dir = tempfile::tempdir().unwrap();
    let pool = sqlite(&dir.path().join("db")).await;
    sqlx::query("PRAGMA journal_mode = WAL")
        .execute(&pool)
        .await
        .unwrap();
    let store = SqliteStore::new(pool.clone());
    store.create_table().await.unwrap();
    let bench = Bench::new();
    let ring = ring_at(Arc::new(store), &bench).await;
    in_sqlite::create(&pool).await;
    in_sqlite::rotated_under_load(&pool, &bench, &ring).await;
    in_sqlite::range_of_a_route(&pool, &ring).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_columns_are_found_rotated_and_read_in_part() {
    let Some(server) = Server::start() else {
        return;
    };
    let pool = server.pool().await;
    let store = PostgresStore::new(pool.clone());
    store.create_table().await.unwrap();
    let bench = Bench::new();
    let ring = ring_at(Arc::new(store), &bench).await;
    in_postgres::create(&pool).await;
    in_postgres::rotated_under_load(&pool, &bench, &ring).await;
    in_postgres::range_of_a_route(&pool, &ring).await;
}

/// A row in JSON and back; a column that holds plaintext is no sealed one.
#[tokio::test]
async fn encrypted_fields_in_serde_and_columns_that_are_not_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let pool = sqlite(&dir.path().join("db")).await;
    let store = SqliteStore::new(pool.clone());
    store.create_table().await.unwrap();
    let ring = ring(Arc::new(store)).await;
    in_sqlite::create(&pool).await;
    in_sqlite::insert(&pool, &ring, 7).await;
    let row: Customer = sqlx::query_as("SELECT * FROM customers")
        .fetch_one(&pool)
        .await
        .unwrap();
    let json = serde_json::to_string(&row).unwrap();
    assert!(json.contains("\"id_no\":\"smf1:"), "{json}");
    assert_eq!(serde_json::from_str::<Customer>(&json).unwrap(), row);
    for bad in [
        "\"110101199003074610\"",
        "\"smf1:\"",
        "\"smf1:_QE\"",
        "7",
        "null",
        "[253,1]",
    ] {
        assert!(
            serde_json::from_str::<Encrypted<String>>(bad).is_err(),
            "{bad}"
        );
    }
    let key = ring
        .prepare("identity_number", "bank-a", &user())
        .await
        .unwrap();
    // Another type than what was sealed; another row.
    let number: Encrypted<i64> = Encrypted::from_envelope(row.id_no.clone().into_bytes()).unwrap();
    let e = number.open(&key, &cell(7)).unwrap_err();
    assert!(matches!(e, Error::FieldValue { .. }), "{e}");
    assert!(matches!(row.id_no.open(&key, &cell(8)), Err(Error::Open)));
    let sealed = Encrypted::seal(&-5_i64, &key, &cell(9)).unwrap();
    assert_eq!(sealed.open(&key, &cell(9)).unwrap(), -5);
    assert!(!format!("{row:?}").contains("110101"));
    sqlx::query("UPDATE customers SET id_no = $1")
        .bind(&b"110101199003074610"[..])
        .execute(&pool)
        .await
        .unwrap();
    let e = sqlx::query_as::<_, Customer>("SELECT * FROM customers")
        .fetch_one(&pool)
        .await
        .unwrap_err();
    assert!(e.to_string().contains("envelope"), "{e}");
}
