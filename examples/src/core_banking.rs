//! The banking service: customers and payments over HTTP, sensitive columns encrypted.
//!
//! It trusts nobody in front of it: tokens are verified and rows decided here again.

pub mod api;
pub mod fields;
pub mod store;

use std::path::Path;
use std::sync::Arc;

use abac_engine::Engine;
use axum::Router;
use axum::routing::get;
use sm_fieldcrypt::{FileStore, KeyRing, KeyUser, ObserverMode, SoftwareKek};

use self::api::Bank;
use self::fields::{COLUMNS, Fields, classes};
use self::store::{CustomerRow, Store};
use crate::adapters::authenticated;
use crate::audit_stream::open_audit;
use crate::config::CoreBankingConfig;
use crate::customers::Customer;
use crate::error::{BadInput, Failure};
use crate::issuer::{access_verifier, load_verifying_key, payment_verifier};
use crate::trace::TraceContext;

/// The service, ready to be served.
#[derive(Debug, Clone)]
pub struct CoreBanking {
    bank: Bank,
    access: Arc<sm_jwt::Verifier>,
}

impl CoreBanking {
    /// Opens everything that a configuration names.
    ///
    /// # Errors
    /// [`BadInput`] for the file that is at fault, else what failed.
    pub async fn open(config: &CoreBankingConfig) -> Result<Self, Failure> {
        let key = load_verifying_key(&config.token_verifying_key)?;
        let engine = load_policies(&config.policies)?;
        let access = access_verifier(&key, &config.tokens)?;
        let payments = payment_verifier(&key, &config.tokens)?;
        let passphrase = config.kek_passphrase.load()?;
        let kek_path = config.kek.clone();
        // Unsealing derives a key for a while: not on a thread that serves others.
        let kek = tokio::task::spawn_blocking(move || {
            SoftwareKek::open(&kek_path, passphrase.expose())
                .map_err(|e| BadInput::file(&kek_path, e))
        })
        .await
        .map_err(Failure::other)??;
        let audit = open_audit(&config.audit)?;
        let mut ring =
            KeyRing::builder(Arc::new(kek), Arc::new(FileStore::new(&config.field_keys)))
                .observer(Arc::new(audit.clone()), ObserverMode::FailClosed)
                .auto_rotate();
        for class in classes() {
            ring = ring.class(class);
        }
        let ring = ring
            .build()
            .await
            .map_err(|e| BadInput::file(&config.field_keys, e))?;
        let store = Store::open(&config.database)
            .await
            .map_err(|e| BadInput::file(&config.database, e))?;
        let bank = Bank {
            store,
            fields: Fields::new(ring),
            engine,
            audit,
            payments: Arc::new(payments),
        };
        Ok(Self {
            bank,
            access: Arc::new(access),
        })
    }

    /// The whole HTTP service.
    pub fn router(&self) -> Router {
        let routes = authenticated(api::routes(self.bank.clone()), Arc::clone(&self.access));
        self.bank
            .audit
            .audited(routes)
            .merge(Router::new().route("/healthz", get(async || "ok\n")))
    }

    /// Seals and inserts customers, all or none.
    ///
    /// # Errors
    /// A key or the database failed; a customer that is already there is one such failure.
    pub async fn import(&self, customers: &[Customer]) -> Result<(), Failure> {
        let trace = TraceContext::begin().map_err(Failure::other)?;
        let user = KeyUser::new("service:core-banking-import").trace(trace.trace_id());
        let mut tenants: Vec<&str> = customers.iter().map(|c| c.tenant_id.as_str()).collect();
        tenants.sort_unstable();
        tenants.dedup();
        let mut rows = Vec::with_capacity(customers.len());
        for tenant in tenants {
            let ours: Vec<&Customer> = customers.iter().filter(|c| c.tenant_id == tenant).collect();
            let mut sealed: Vec<[Vec<u8>; COLUMNS.len()]> = vec![Default::default(); ours.len()];
            for (i, column) in COLUMNS.into_iter().enumerate() {
                let cells = self
                    .bank
                    .fields
                    .seal_column(column, tenant, &ours, &user)
                    .await;
                for (row, cell) in sealed.iter_mut().zip(cells.map_err(Failure::other)?) {
                    row[i] = cell;
                }
            }
            rows.extend(
                ours.iter()
                    .zip(sealed)
                    .map(|(customer, sealed)| CustomerRow {
                        customer_id: customer.customer_id.clone(),
                        tenant_id: customer.tenant_id.clone(),
                        branch: customer.branch.clone(),
                        name: customer.name.clone(),
                        sealed,
                    }),
            );
        }
        self.bank
            .store
            .insert_customers(&rows)
            .await
            .map_err(|e| match e.as_database_error() {
                Some(e) if e.is_unique_violation() => {
                    let reason = "a customer id is in the database already; none was inserted";
                    BadInput::new("customers", reason).into()
                }
                _ => Failure::other(e),
            })
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.bank.store
    }

    /// Ends the audit stream with a signed head and closes the database.
    ///
    /// # Errors
    /// The last records did not become durable.
    pub async fn close(self) -> Result<(), Failure> {
        let closed = self.bank.audit.close().await;
        self.bank.store.close().await;
        closed
    }
}

/// Reads a policy file.
///
/// # Errors
/// Every error of the file, each with line, column and a caret.
pub fn load_policies(path: &Path) -> Result<Engine, BadInput> {
    Engine::load_file(path).map_err(|e| BadInput::new("", e))
}
