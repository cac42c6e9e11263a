//! Containers as arbitrary bytes, through the same door as every delivery. Shared as `entry` is.
//! Promise: whatever is packed, the delivery ends in a receipt, and every file in it in one of its own.
//! Never: no lake but one in a temporary folder.

use std::sync::{Arc, Mutex};

use bonded::{
    ingest::{Ingested, Source, ingest},
    lakehouse::{Doors, Lakehouse, Tenant},
    settings::Settings,
};
use bonded_connectors::{
    clock::SystemClock,
    mail::proof::{Names, Recorded},
};
use bonded_schemas::{Channel, DeliveryState, TenantScope};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A lake with one tenant.
pub struct Dock {
    runtime: Mutex<Runtime>,
    house: Lakehouse,
    tenant: Tenant,
    _folder: TempDir,
}

impl Default for Dock {
    fn default() -> Self {
        Self::new()
    }
}

impl Dock {
    #[allow(clippy::disallowed_methods, reason = "a fuzzer makes its own tenant")]
    pub fn new() -> Self {
        // The unpacker reads the raw zone from threads of its own, which need another worker to answer them.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let folder = TempDir::new().expect("a temporary folder");
        let mut settings = Settings { lake: folder.path().join("lake").display().to_string(), ..Settings::default() };
        // Small, so that a run finds the limits.
        settings.ingest.unpack.mail_parts_max = 40;
        settings.ingest.unpack.mail_depth_max = 6;
        settings.ingest.unpack.members_max = 20;
        settings.ingest.unpack.member_bytes_max = 4 << 20;
        settings.ingest.unpack.total_bytes_max = 8 << 20;
        let scope = TenantScope::establish("fictional-fuzz".parse().expect("a tenant's name"), "console:fuzz");
        let (house, tenant) = runtime.block_on(async {
            // Signatures are read, too; no name server is asked.
            let names = Names::recorded(&Recorded::default()).expect("no records");
            let doors = Doors { names: Some(names), ..Doors::new(Arc::new(SystemClock)) };
            let (house, _) = Lakehouse::init(settings, doors).await.expect("a lake");
            house.add_tenant(&scope).await.expect("a tenant");
            let tenant = house.tenant(&scope).await.expect("the tenant");
            (house, tenant)
        });
        Self { runtime: Mutex::new(runtime), house, tenant, _folder: folder }
    }

    pub fn deliver(&self, bytes: &[u8]) {
        self.deliver_by(bytes, Channel::Console);
    }

    /// The same as a mail carrier brings it: whatever it is, it is read as a message.
    pub fn deliver_mail(&self, bytes: &[u8]) {
        self.deliver_by(bytes, Channel::Mail);
    }

    fn deliver_by(&self, bytes: &[u8], channel: Channel) {
        let runtime = self.runtime.lock().expect("one at a time");
        let mut source = bytes;
        let file_name = "fuzzed".to_owned();
        let source = Source { file_name, bytes: &mut source, channel, as_of: None, envelope: None, poa: None };
        let done = runtime.block_on(ingest(&self.house, &self.tenant, source));
        ended(&done.expect("bad bytes are a receipt, not an error"));
    }
}

fn ended(done: &Ingested) {
    assert_ne!(done.receipt.state, DeliveryState::Landed, "a delivery has an end");
    assert_eq!(done.receipt.quarantine.is_some(), done.receipt.state == DeliveryState::Quarantined);
    assert_eq!(done.members.len(), done.receipt.members.len());
    if let Some(mail) = &done.receipt.mail {
        let taken = mail.parts.iter().filter(|part| part.taken).count();
        assert!(done.receipt.state == DeliveryState::Quarantined || taken == done.members.len() || mail.parts_not_listed > 0);
        assert!(mail.parts.iter().all(|part| !part.why.is_empty()));
    }
    done.members.iter().for_each(ended);
}
