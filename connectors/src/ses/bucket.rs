//! The bucket that SES puts mails into: one of them as a stream, where the bucket is, and whether it can be read.
//! Promise: a mail ends only when all bytes came that its object has; nothing is fetched but by a name below the set folder.
//! Never: anything is written or removed here; the bucket's own lifecycle ends what is old.

use std::fmt;

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, path::Path};

use super::Place;
use crate::{
    aws::Account,
    error::{Error, ErrorKind, Result},
    lake::{S3, Use},
};

pub struct MailBucket {
    s3: S3,
}

/// A mail on its way out of the bucket.
pub struct Stored {
    pub size_bytes: u64,
    bytes: BoxStream<'static, object_store::Result<Bytes>>,
    left: u64,
}

/// What a look into the folder showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Empty,
    /// One of its mails could be read.
    Readable,
}

impl MailBucket {
    /// Asks the bucket for nothing yet.
    pub fn open(account: Account, place: &Place, path_style: bool) -> Result<Self> {
        let url = format!("s3://{}/{}", place.bucket, place.prefix);
        let wrong =
            |error| Error::new(ErrorKind::Setup, "ses.bucket and ses.prefix name no folder of a bucket").with_source(error);
        // What SES wrote lies under its own key; nothing is written here.
        let s3 =
            S3::open(&url, account, Use { path_style, tenant_keys: false, retain: None }).map_err(|error: Error| wrong(error))?;
        Ok(Self { s3 })
    }

    /// The region that the bucket says it is in.
    pub async fn region(&self) -> Result<String> {
        let asked = self.s3.whereabouts().await;
        let (region, _) = asked.map_err(|error| {
            Error::new(error.kind(), format!("the mail bucket `{}` of ses.bucket", self.s3.bucket_name())).with_source(error)
        })?;
        Ok(region)
    }

    /// # Errors
    /// `Input` when it is not there.
    pub async fn mail(&self, id: &str) -> Result<Stored> {
        let found = self.s3.get(&Path::from(id)).await?;
        let size_bytes = found.meta.size;
        Ok(Stored { size_bytes, bytes: found.into_stream(), left: size_bytes })
    }

    /// Reads a byte of one mail, if there is any.
    pub async fn look(&self) -> Result<Seen> {
        let mut listed = self.s3.list(None);
        let Some(first) = listed.next().await.transpose()? else { return Ok(Seen::Empty) };
        if first.size > 0 {
            let options = GetOptions { range: Some(GetRange::Bounded(0..1)), ..GetOptions::default() };
            self.s3.get_opts(&first.location, options).await?.bytes().await?;
        }
        Ok(Seen::Readable)
    }
}

impl Stored {
    /// The next piece, `None` after the last one.
    ///
    /// # Errors
    /// `Retry` when it breaks off or is longer than it said.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let broken = || Error::new(ErrorKind::Retry, "a mail did not come out of its bucket as long as it lies there");
        match self.bytes.next().await.transpose()? {
            Some(bytes) => {
                self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(broken)?;
                Ok(Some(bytes))
            }
            None if self.left == 0 => Ok(None),
            None => Err(broken()),
        }
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stored({} bytes)", self.size_bytes)
    }
}

impl fmt::Debug for MailBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailBucket({})", self.s3.bucket_name())
    }
}
