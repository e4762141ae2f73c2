//! Which columns are encrypted, under which field class, and how rows pass through them.

use sm_fieldcrypt::{
    Error, FieldClass, FieldContext, KeyRing, KeyUser, PreparedKey, SecretBytes, Suite,
};

use crate::customers::Customer;

/// An encrypted column of the `customers` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Resident identity number, SM4-CBC.
    IdNumber,
    /// Bank card number, SM4-CBC.
    CardNumber,
    /// Mobile number, SM4-CBC.
    Phone,
    /// Serial number of the bound device, SM4-CTR.
    DeviceSerial,
    /// Track, SM4-CTR.
    Track,
}

/// Every encrypted column, in the order of the table.
pub const COLUMNS: [Column; 5] = [
    Column::IdNumber,
    Column::CardNumber,
    Column::Phone,
    Column::DeviceSerial,
    Column::Track,
];

impl Column {
    /// The column's name, which is also its stable id in the ciphertext's context.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IdNumber => "id_number",
            Self::CardNumber => "card_number",
            Self::Phone => "phone",
            Self::DeviceSerial => "device_serial",
            Self::Track => "track",
        }
    }

    /// The field class whose keys seal it.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::IdNumber => "identity_number",
            Self::CardNumber => "bank_card",
            Self::Phone => "phone",
            Self::DeviceSerial => "device_serial",
            Self::Track => "track",
        }
    }

    fn of(self, customer: &Customer) -> &str {
        match self {
            Self::IdNumber => &customer.id_number,
            Self::CardNumber => &customer.card_number,
            Self::Phone => &customer.phone,
            Self::DeviceSerial => &customer.device_serial,
            Self::Track => &customer.track,
        }
    }
}

/// The field classes of this service.
#[must_use]
pub fn classes() -> [FieldClass; 5] {
    [
        FieldClass::identity_number(),
        FieldClass::bank_card(),
        FieldClass::device_serial(),
        FieldClass::track(),
        FieldClass::new(16, "phone", Suite::CbcHmacSm3),
    ]
}

/// Where a cell stands: the ciphertext opens nowhere else.
fn cell(tenant: &str, table: &str, column: &str, row: &str) -> FieldContext {
    FieldContext::new(tenant, table, column).row(row)
}

/// The service's key ring, seen as cells.
#[derive(Clone)]
pub struct Fields {
    ring: KeyRing,
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fields").finish_non_exhaustive()
    }
}

impl Fields {
    /// Cells sealed under `ring`.
    #[must_use]
    pub fn new(ring: KeyRing) -> Self {
        Self { ring }
    }

    /// Seals one cell of a customer.
    ///
    /// # Errors
    /// No key, or its use was refused.
    pub async fn seal(
        &self,
        column: Column,
        tenant: &str,
        customer_id: &str,
        value: &str,
        user: &KeyUser,
    ) -> Result<Vec<u8>, Error> {
        let key = self.ring.prepare(column.class(), tenant, user).await?;
        key.seal(
            value.as_bytes(),
            &cell(tenant, "customers", column.name(), customer_id),
        )
    }

    /// Opens one cell of a customer.
    ///
    /// # Errors
    /// The ciphertext is not this cell's or was changed, or the key's use was refused.
    pub async fn open(
        &self,
        column: Column,
        tenant: &str,
        customer_id: &str,
        sealed: &[u8],
        user: &KeyUser,
    ) -> Result<SecretBytes, Error> {
        let key = self.ring.prepare(column.class(), tenant, user).await?;
        key.open(
            sealed,
            &cell(tenant, "customers", column.name(), customer_id),
        )
    }

    /// Seals the payee's card of a payment.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub async fn seal_payee(
        &self,
        tenant: &str,
        payment_id: &str,
        card: &str,
        user: &KeyUser,
    ) -> Result<Vec<u8>, Error> {
        let key = self
            .ring
            .prepare(Column::CardNumber.class(), tenant, user)
            .await?;
        key.seal(
            card.as_bytes(),
            &cell(tenant, "payments", "payee_card", payment_id),
        )
    }

    /// Seals one column of many customers of one tenant, in their order.
    ///
    /// # Errors
    /// The first cell that could not be sealed.
    pub async fn seal_column(
        &self,
        column: Column,
        tenant: &str,
        customers: &[&Customer],
        user: &KeyUser,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let key: PreparedKey = self.ring.prepare(column.class(), tenant, user).await?;
        let contexts: Vec<FieldContext> = customers
            .iter()
            .map(|c| cell(tenant, "customers", column.name(), &c.customer_id))
            .collect();
        let items: Vec<(&[u8], &FieldContext)> = customers
            .iter()
            .zip(&contexts)
            .map(|(c, context)| (column.of(c).as_bytes(), context))
            .collect();
        key.seal_many(&items)?.into_iter().collect()
    }
}
