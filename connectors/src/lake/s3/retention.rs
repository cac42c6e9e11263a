//! Object Lock for what must outlive everybody's wishes: received files, their notes, and sealed segments of the trail.
//! Promise: each of them is kept in compliance mode from the answer to its writing on, whoever wrote it first. One that was
//! written, not answered for and never tried again gets its retention from [`S3::retain_young`] while it is young.
//! Never: staging and tables are locked, which maintenance removes.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, path::Path};

use super::S3;
use crate::{
    clock::{Clock, SystemClock},
    error::{Error, ErrorKind, Result},
};

/// `tenants/<tenant>/raw/...` but for staging, and `tenants/<tenant>/audit/...`: what is written once.
pub(super) fn is_kept(location: &Path) -> bool {
    let mut parts = location.as_ref().split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("tenants"), Some(_), Some("raw"), Some(name)) => name != "staging",
        (Some("tenants"), Some(_), Some("audit"), Some(_)) => true,
        _ => false,
    }
}

impl S3 {
    /// Keeps an object that was just written, where it is one of those.
    pub(super) async fn retain(&self, location: &Path, version: Option<&str>) -> Result<()> {
        match self.usage.retain {
            Some(retain) if is_kept(location) => self.put_retention(location, version, retain).await,
            _ => Ok(()),
        }
    }

    /// Keeps an object that was written in parts, or by a process that died, where it is one of those and is not kept yet.
    pub async fn retain_once(&self, path: &str) -> Result<()> {
        let location = Path::from(path);
        match self.usage.retain {
            Some(retain) if is_kept(&location) && !self.is_retained(&location).await? => {
                self.put_retention(&location, None, retain).await
            }
            _ => Ok(()),
        }
    }

    /// The same of one that is there already.
    pub async fn keep(&self, location: &Path) -> Result<()> {
        match self.usage.retain {
            Some(retain) if is_kept(location) && !self.is_retained(location).await? => {
                self.put_retention(location, None, retain).await
            }
            _ => Ok(()),
        }
    }

    /// Gives those under a tenant's folder that were written since their retention if they have none; says how many had none.
    pub async fn retain_young(&self, folder: &Path, since: DateTime<Utc>, dry_run: bool) -> Result<usize> {
        let Some(retain) = self.usage.retain else { return Ok(0) };
        let mut mended = 0;
        // Not the tables beside them, which are listed for themselves and are many.
        let (raw, audit) = (folder.clone().join("raw"), folder.clone().join("audit"));
        let mut listed = self.list(Some(&raw)).chain(self.list(Some(&audit)));
        while let Some(found) = listed.try_next().await? {
            if found.last_modified < since || !is_kept(&found.location) || self.is_retained(&found.location).await? {
                continue;
            }
            if !dry_run {
                self.put_retention(&found.location, None, retain).await?;
            }
            mended += 1;
        }
        Ok(mended)
    }

    /// Whether the object's newest version is kept in compliance mode.
    pub async fn is_retained(&self, location: &Path) -> Result<bool> {
        let (status, text) = self.ask("GET", Some(&self.full_path(location)), &[("retention", "")], "").await?;
        match status {
            200 => Ok(String::from_utf8_lossy(&text).contains("<Mode>COMPLIANCE</Mode>")),
            // NoSuchObjectLockConfiguration.
            404 => Ok(false),
            status => Err(self.unretained(location, "cannot be asked for", status)),
        }
    }

    async fn put_retention(&self, location: &Path, version: Option<&str>, retain: Duration) -> Result<()> {
        let until = (SystemClock.now() + retain).to_rfc3339_opts(SecondsFormat::Secs, true);
        let body = format!(
            "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>COMPLIANCE</Mode>\
             <RetainUntilDate>{until}</RetainUntilDate></Retention>"
        );
        let mut query = vec![("retention", "")];
        query.extend(version.map(|version| ("versionId", version)));
        match self.ask("PUT", Some(&self.full_path(location)), &query, &body).await? {
            (200..=299, _) => Ok(()),
            (status, _) => Err(self.unretained(location, "cannot be set", status)),
        }
    }

    fn unretained(&self, location: &Path, what: &str, status: u16) -> Error {
        let kind = match status {
            429 | 500.. => ErrorKind::Retry,
            403 => ErrorKind::Refused,
            _ => ErrorKind::Setup,
        };
        let mend = "aws.retain needs a bucket with Object Lock, and s3:GetObjectRetention and s3:PutObjectRetention";
        Error::new(kind, format!("the retention of `{location}` {what}: status {status}; {mend}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_once_is_kept_and_nothing_else() {
        let kept = |path: &str| is_kept(&Path::from(path));
        for path in ["tenants/acme/raw/9f", "tenants/acme/raw/notes/9f", "tenants/acme/raw/tenant.json", "tenants/acme/audit/1-2"]
        {
            assert!(kept(path), "{path}");
        }
        for path in ["tenants/acme/raw/staging/x", "tenants/acme/warehouse/raw/x", "tenants/acme/raw", "raw/x", "bonded.probe"] {
            assert!(!kept(path), "{path}");
        }
    }
}
