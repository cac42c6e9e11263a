//! Sealed things as arbitrary bytes: a raw object, its note, a document, an AGS1 stream. Shared as `entry` is.
//! Promise: whatever lies in the store, it opens as exactly what was sealed, or not at all.
//! Never: no disk but a temporary keyring; the store is in memory.

use std::sync::{Arc, Mutex};

use bonded_connectors::{
    clock::SystemClock,
    keys::{
        KeyId, Keys,
        keyring::{Keyring, RootSource},
    },
    raw::RawZone,
    seal::{Ags1Opener, DocumentKey, TenantSecret},
};
use bonded_schemas::TenantScope;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, memory::InMemory, path::Path};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const PLAIN: &[u8] = b"Entry Summary Number,Entry Date\nXZ910000017,01/31/2026\n";
const CONTEXT: [&str; 2] = ["fuzz", "document"];
const STREAM_KEY: [u8; 32] = [7; 32];

/// A tenant with one landed object, and what lies in the store for it.
pub struct Vault {
    runtime: Mutex<Runtime>,
    zone: RawZone,
    store: Arc<dyn ObjectStore>,
    scope: TenantScope,
    key: KeyId,
    documents: DocumentKey,
    path: String,
    /// The landed object as stored, and a sealed document: what a mutation starts from.
    pub object: Vec<u8>,
    pub document: Vec<u8>,
    _keyring: TempDir,
}

impl Default for Vault {
    fn default() -> Self {
        Self::new()
    }
}

impl Vault {
    #[allow(clippy::disallowed_methods, reason = "a fuzzer makes its own tenant")]
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let folder = TempDir::new().expect("a temporary folder");
        let keyring = Keyring::create(&folder.path().join("keys"), RootSource::KeyFile, Arc::new(SystemClock));
        let keys: Arc<dyn Keys> = Arc::new(keyring.expect("a keyring"));
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let zone = RawZone::new(store.clone(), keys.clone());
        let scope = TenantScope::establish("fictional-fuzz".parse().expect("a tenant's name"), "console:fuzz");
        let (names, documents) = TenantSecret::generate().derive();
        let (key, path, object) = runtime.block_on(async {
            let key = keys.create_key(scope.tenant()).await.expect("a key");
            let landed = zone.land(&scope, &key, &names, &mut &PLAIN[..], 1 << 20).await.expect("landed");
            let object = store.get(&Path::from(landed.path.as_str())).await.expect("stored").bytes().await.expect("read");
            (key, landed.path, object.to_vec())
        });
        let document = documents.seal(&CONTEXT, PLAIN);
        Self { runtime: Mutex::new(runtime), zone, store, scope, key, documents, path, object, document, _keyring: folder }
    }

    /// Puts the bytes in the place of each sealed thing and opens it.
    pub fn open(&self, bytes: &[u8]) {
        let runtime = self.runtime.lock().expect("one at a time");
        runtime.block_on(async {
            let place = Path::from(self.path.as_str());
            self.store.put(&place, PutPayload::from(bytes.to_vec())).await.expect("memory takes it");
            if let Ok(plain) = self.read().await {
                assert_eq!(bytes, self.object, "other bytes opened as the landed object");
                assert_eq!(plain, PLAIN);
            }
            if let Ok(plain) = self.documents.open(&CONTEXT, bytes) {
                assert_eq!(bytes, self.document, "other bytes opened as the document");
                assert_eq!(&plain[..], PLAIN);
            }
        });
        stream(bytes);
    }

    async fn read(&self) -> bonded_connectors::error::Result<Vec<u8>> {
        let mut reader = self.zone.open(&self.scope, &self.key, &self.path).await?;
        let range = reader.read_range(0, PLAIN.len() as u64).await;
        let mut plain = Vec::new();
        while let Some(chunk) = reader.next_chunk().await? {
            plain.extend_from_slice(&chunk);
        }
        assert_eq!(range?, plain, "a range is what the stream has there");
        Ok(plain)
    }
}

/// The first eight bytes are the length that somebody claims; nothing sealed under another key may open.
fn stream(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return };
    drop(Ags1Opener::check_header(&rest[..rest.len().min(8)]));
    let Ok(mut opener) = Ags1Opener::new(&STREAM_KEY, b"fuzz", u64::from_le_bytes(*length)) else { return };
    let range = opener.sealed_range(opener.block_count() - 1);
    assert!(range.start < range.end);
    assert!(opener.open_next(&mut rest.to_vec()).is_err(), "bytes that nobody sealed opened");
    assert!(opener.finish().is_err());
}
