//! What else lies in the raw zone, so that all can be made again from it: the tenant's record, and what people decided.
//! Promise: each is written once and never replaced; a decision opens only as what and where it was written.
//! Never: the record tells more than the control store does in the clear: the tenant's secret is in it under its key.

use bonded_schemas::TenantScope;
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, PutPayload, path::Path};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{NOTE_BYTES_MAX, RawZone, folder};
use crate::{
    error::{Error, ErrorKind, Result},
    seal::{DocumentKey, NameKey},
    store::TenantRecord,
};

const RECORD: &str = "tenant.json";
const DECISIONS: &str = "decisions";
const DECISION_CONTEXT: &str = "bonded-decision-v1";
const PROOF_SUFFIX: &str = ".proof";
const PROOF_CONTEXT: &str = "bonded-mail-proof-v1";
const MARK_OF: &str = "mark of a tenant record";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    tenant: String,
    key_id: String,
    /// Base64, under the tenant's key.
    wrapped_secret: String,
    created_at: String,
    /// Keyed digest of the rest, so that a changed date is seen, too.
    mark: String,
}

impl Record {
    fn text(&self) -> String {
        format!("{}\n{}\n{}\n{}", self.tenant, self.key_id, self.wrapped_secret, self.created_at)
    }
}

impl RawZone {
    /// `tenants/<tenant>/raw/tenant.json`.
    pub fn tenant_record_path(scope: &TenantScope) -> String {
        format!("{}/{RECORD}", folder(scope.tenant()))
    }

    /// The first record stays; says whether this one was written.
    pub async fn put_tenant_record(&self, scope: &TenantScope, names: &NameKey, record: &TenantRecord) -> Result<bool> {
        let mut kept = Record {
            tenant: record.tenant.to_string(),
            key_id: record.key_id.clone(),
            wrapped_secret: record.wrapped_secret.clone(),
            created_at: record.created_at.clone(),
            mark: String::new(),
        };
        kept.mark = names.keyed_digest(MARK_OF, kept.text().as_bytes());
        let json = serde_json::to_vec(&kept)
            .map_err(|error| Error::new(ErrorKind::Internal, "a tenant record cannot be written").with_source(error))?;
        let path = Path::from(Self::tenant_record_path(scope));
        self.put_if_absent(scope.tenant(), &path, PutPayload::from(json)).await
    }

    /// # Errors
    /// `Damaged` when it does not read, or tells of another tenant.
    pub async fn tenant_record(&self, scope: &TenantScope) -> Result<Option<TenantRecord>> {
        let Some(kept) = self.record(scope).await? else { return Ok(None) };
        let Record { key_id, wrapped_secret, created_at, .. } = kept;
        Ok(Some(TenantRecord { tenant: scope.tenant().clone(), key_id, wrapped_secret, created_at }))
    }

    /// Whether the record is to the last byte as it was written; the key for that is in it.
    pub async fn tenant_record_is_whole(&self, scope: &TenantScope, names: &NameKey) -> Result<bool> {
        let Some(kept) = self.record(scope).await? else { return Ok(false) };
        Ok(kept.mark == names.keyed_digest(MARK_OF, kept.text().as_bytes()))
    }

    async fn record(&self, scope: &TenantScope) -> Result<Option<Record>> {
        let path = Self::tenant_record_path(scope);
        let bytes = match self.store.get(&Path::from(path.as_str())).await {
            Ok(found) => found.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged =
            || Error::new(ErrorKind::Damaged, format!("`{path}` is not this tenant's record: restore it from a backup"));
        let kept: Record = serde_json::from_slice(&bytes).map_err(|error| damaged().with_source(error))?;
        // Written once by one program in one form: anything else is not what was written.
        let is_own = kept.tenant == scope.tenant().as_str() && serde_json::to_vec(&kept).is_ok_and(|json| json == *bytes);
        if is_own { Ok(Some(kept)) } else { Err(damaged()) }
    }

    /// Seals beside a mail what was found out of its sender when it first came. The first stays; says whether this one was
    /// written.
    pub async fn put_proof(&self, scope: &TenantScope, documents: &DocumentKey, path: &str, json: &[u8]) -> Result<bool> {
        let beside = super::object_path(scope.tenant(), path)?;
        if json.len() > NOTE_BYTES_MAX {
            let message = format!("the proof of raw object `{path}` has {} bytes, at most {NOTE_BYTES_MAX} are kept", json.len());
            return Err(Error::new(ErrorKind::Input, message));
        }
        let sealed = documents.seal(&[PROOF_CONTEXT, scope.tenant().as_str(), path], json);
        let place = Path::from(format!("{beside}{PROOF_SUFFIX}"));
        self.put_if_absent(scope.tenant(), &place, PutPayload::from(sealed)).await
    }

    /// What lies beside the mail, or none.
    ///
    /// # Errors
    /// `Refused` for another tenant's path; `Damaged` when it is not what was written for this object.
    pub async fn proof(&self, scope: &TenantScope, documents: &DocumentKey, path: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let beside = super::object_path(scope.tenant(), path)?;
        let sealed = match self.store.get(&Path::from(format!("{beside}{PROOF_SUFFIX}"))).await {
            Ok(found) => found.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        documents.open(&[PROOF_CONTEXT, scope.tenant().as_str(), path], &sealed).map(Some)
    }

    /// Keeps what a person decided. Names sort by time.
    pub async fn put_decision(&self, scope: &TenantScope, documents: &DocumentKey, json: &[u8]) -> Result<String> {
        if json.len() > NOTE_BYTES_MAX {
            let message = format!("a decision has {} bytes, at most {NOTE_BYTES_MAX} are kept", json.len());
            return Err(Error::new(ErrorKind::Input, message));
        }
        let path = format!("{}/{DECISIONS}/{}", folder(scope.tenant()), uuid::Uuid::now_v7());
        let sealed = documents.seal(&[DECISION_CONTEXT, scope.tenant().as_str(), &path], json);
        self.put_if_absent(scope.tenant(), &Path::from(path.as_str()), PutPayload::from(sealed)).await?;
        Ok(path)
    }

    /// Paths of all decisions, oldest first.
    pub async fn decisions(&self, scope: &TenantScope) -> Result<Vec<String>> {
        let prefix = Path::from(format!("{}/{DECISIONS}", folder(scope.tenant())));
        let mut found: Vec<String> =
            self.store.list(Some(&prefix)).map_ok(|meta| meta.location.to_string()).try_collect().await?;
        found.sort();
        Ok(found)
    }

    /// # Errors
    /// `Refused` for a path that is no decision of this tenant; `Damaged` when it is not what was written there.
    pub async fn decision(&self, scope: &TenantScope, documents: &DocumentKey, path: &str) -> Result<Zeroizing<Vec<u8>>> {
        if !path.starts_with(&format!("{}/{DECISIONS}/", folder(scope.tenant()))) {
            let message = format!("`{}` is no decision of tenant `{}`", path.escape_default(), scope.tenant());
            return Err(Error::new(ErrorKind::Refused, message));
        }
        let sealed = self.store.get(&Path::from(path)).await?.bytes().await?;
        documents.open(&[DECISION_CONTEXT, scope.tenant().as_str(), path], &sealed)
    }
}
