//! Receipts as they are shown: unsealed, and without a person's number where settings forbid it.

use bonded_connectors::store::ledger::LedgerRow;
use bonded_schemas::{Receipt, importer_number::masked_text};

use crate::{
    error::Result,
    lakehouse::{Lakehouse, Tenant},
};

/// The receipt, when the delivery has come to its end.
pub fn unsealed(tenant: &Tenant, row: &LedgerRow) -> Result<Option<Receipt>> {
    row.sealed_receipt.as_ref().map(|sealed| tenant.unseal("receipt", &row.keyed_digest, sealed)).transpose()
}

/// As it may be shown.
pub fn shown(house: &Lakehouse, mut receipt: Receipt) -> Receipt {
    if !house.settings.display.show_ssn {
        mask(&mut receipt);
    }
    receipt
}

/// What it quotes of the file may hold a person's number.
fn mask(receipt: &mut Receipt) {
    let rejects = receipt.rejects.iter_mut().map(|reject| &mut reject.text);
    let examples = receipt.warnings.iter_mut().flat_map(|warning| &mut warning.examples).map(|example| &mut example.text);
    for text in rejects.chain(examples) {
        *text = masked_text(text).into_owned();
    }
}
