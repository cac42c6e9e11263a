//! What `object_store` does not ask a bucket: its lock, and the uploads in it that nobody finished.
//! Promise: only uploads older than any landing takes are ended, and only under the folder that was asked for.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::{
    HeaderValue,
    aws::{AwsAuthorizer, AwsCredential},
    client::{HttpRequest, HttpRequestBody},
    path::Path,
};
use quick_xml::{Reader, events::Event};
use url::Url;

use super::S3;
use crate::{
    aws::{Account, Service},
    error::{Error, ErrorKind, Result},
};

const TRIES_MAX: u32 = 4;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(250);
/// A page of a list is at most 1,000 entries of some hundred bytes.
const ANSWER_BYTES_MAX: usize = 8 << 20;
const PAGES_MAX: usize = 1000;

/// The base URL of a bucket's requests.
pub(super) fn endpoint(account: &Account, bucket: &str, path_style: bool) -> object_store::Result<String> {
    let region = &account.reach().region;
    let standard = || format!("https://s3.{region}.amazonaws.com");
    let set = account.reach().endpoint(Service::S3).map_or_else(standard, ToOwned::to_owned);
    let set = set.trim_end_matches('/');
    match (path_style, set.split_once("://")) {
        (false, Some((scheme, rest))) => Ok(format!("{scheme}://{bucket}.{rest}")),
        _ => Ok(set.to_owned()),
    }
}

/// An upload that was begun and neither finished nor ended.
#[derive(Debug, PartialEq, Eq)]
struct Unfinished {
    key: String,
    upload: String,
    begun: DateTime<Utc>,
}

impl S3 {
    /// That the bucket keeps every object in compliance mode for some time, whoever asks; or, where each object that must be
    /// kept gets its own retention, that the bucket can.
    ///
    /// # Errors
    /// `Setup` when it does not.
    pub async fn check_lock(&self) -> Result<()> {
        let (status, text) = self.ask("GET", None, &[("object-lock", "")], "").await?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let bucket = &self.place.bucket;
        let (setting, wanted, mend) = match self.usage.retain {
            Some(_) => ("aws.retain", "<ObjectLockEnabled>Enabled</ObjectLockEnabled>", "make the bucket with Object Lock"),
            None => (
                "aws.lock",
                "<Mode>COMPLIANCE</Mode>",
                "make the bucket with Object Lock, and a default retention in compliance mode, or set aws.retain",
            ),
        };
        match status {
            200 if text.contains(wanted) => Ok(()),
            200 | 404 => {
                Err(Error::new(ErrorKind::Setup, format!("bucket `{bucket}` is not locked as {setting} asks for: {mend}")))
            }
            403 => Err(Error::new(
                ErrorKind::Setup,
                format!("this role may not s3:GetBucketObjectLockConfiguration of bucket `{bucket}`"),
            )),
            status => Err(Error::new(ErrorKind::Setup, format!("the lock of bucket `{bucket}` cannot be read: status {status}"))),
        }
    }

    /// Ends uploads under a folder that began before `oldest`; says how many there were.
    pub async fn end_uploads(&self, folder: &Path, oldest: DateTime<Utc>, dry_run: bool) -> Result<usize> {
        let prefix = format!("{}/", self.full_path(folder));
        let (mut ended, mut marker) = (0, None::<(String, String)>);
        for _ in 0..PAGES_MAX {
            let mut query = vec![("uploads", ""), ("prefix", prefix.as_str())];
            if let Some((key, upload)) = &marker {
                query.extend([("key-marker", key.as_str()), ("upload-id-marker", upload.as_str())]);
            }
            let (status, text) = self.ask("GET", None, &query, "").await?;
            if status != 200 {
                let message = format!("unfinished uploads of bucket `{}` cannot be listed: status {status}", self.place.bucket);
                return Err(Error::new(ErrorKind::Setup, message));
            }
            let (found, more) = unfinished(&text).ok_or_else(|| self.unread())?;
            // The store was asked for a prefix, and is not believed.
            for upload in found.iter().filter(|upload| upload.begun <= oldest && upload.key.starts_with(&prefix)) {
                if !dry_run {
                    self.end(upload).await?;
                }
                ended += 1;
            }
            match found.into_iter().next_back() {
                Some(last) if more => marker = Some((last.key, last.upload)),
                _ => break,
            }
        }
        Ok(ended)
    }

    async fn end(&self, upload: &Unfinished) -> Result<()> {
        let (status, _) = self.ask("DELETE", Some(&upload.key), &[("uploadId", &upload.upload)], "").await?;
        match status {
            200..=299 | 404 => Ok(()),
            status => Err(Error::new(
                ErrorKind::Setup,
                format!("an unfinished upload of `{}` cannot be ended: status {status}", upload.key),
            )),
        }
    }

    fn unread(&self) -> Error {
        Error::new(ErrorKind::Internal, format!("the answer of bucket `{}` does not read", self.place.bucket))
    }

    /// In the bucket.
    pub(super) fn full_path(&self, location: &Path) -> String {
        self.place.prefix.parts().chain(location.parts()).collect::<Path>().to_string()
    }

    /// One signed request, tried some times; its status and text.
    pub(super) async fn ask(&self, method: &str, key: Option<&str>, query: &[(&str, &str)], body: &str) -> Result<(u16, Bytes)> {
        let mut tries = 0;
        loop {
            tries += 1;
            let request = self.request(method, key, query, body).await?;
            let answered = async {
                let answer = self.http.execute(request).await?;
                let status = answer.status().as_u16();
                Ok::<_, object_store::client::HttpError>((status, answer.into_body().bytes().await?))
            };
            match answered.await {
                Ok((status, text)) if (status < 500 || tries == TRIES_MAX) && text.len() <= ANSWER_BYTES_MAX => {
                    return Ok((status, text));
                }
                Ok((_, text)) if text.len() > ANSWER_BYTES_MAX => return Err(self.unread()),
                Err(error) if tries == TRIES_MAX => {
                    let message = format!("bucket `{}` cannot be reached: try again", self.place.bucket);
                    return Err(Error::new(ErrorKind::Retry, message).with_source(error));
                }
                _ => tokio::time::sleep(TRY_AGAIN_AFTER * 2_u32.pow(tries)).await,
            }
        }
    }

    pub(super) async fn request(
        &self,
        method: &str,
        key: Option<&str>,
        query: &[(&str, &str)],
        body: &str,
    ) -> Result<HttpRequest> {
        let wrong = || Error::new(ErrorKind::Setup, "the endpoint of S3 makes no URL");
        let mut base = endpoint(&self.account, &self.place.bucket, self.usage.path_style)?;
        if self.usage.path_style {
            base = format!("{base}/{}", self.place.bucket);
        }
        let mut url = Url::parse(&base).map_err(|error| wrong().with_source(error))?;
        if let Some(key) = key {
            url.path_segments_mut().map_err(|()| wrong())?.extend(key.split('/'));
        }
        url.query_pairs_mut().extend_pairs(query);
        let mut request = HttpRequest::new(HttpRequestBody::from(body.to_owned()));
        *request.method_mut() = method.parse().map_err(|_| wrong())?;
        *request.uri_mut() = url.as_str().parse().map_err(|_| wrong())?;
        if !body.is_empty() {
            let digest = ring::digest::digest(&ring::digest::SHA256, body.as_bytes());
            let digest = STANDARD.encode(digest).parse().map_err(|_| wrong())?;
            request.headers_mut().insert("x-amz-sdk-checksum-algorithm", HeaderValue::from_static("SHA256"));
            request.headers_mut().insert("x-amz-checksum-sha256", digest);
        }
        let found = self.account.credentials().await?;
        let credential = AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(ToOwned::to_owned),
        };
        AwsAuthorizer::new(&credential, "s3", &self.account.reach().region).authorize(&mut request, None);
        Ok(request)
    }
}

/// The entries of a `ListMultipartUploadsResult`, and whether there are more.
fn unfinished(text: &[u8]) -> Option<(Vec<Unfinished>, bool)> {
    let mut reader = Reader::from_reader(text);
    let (mut open, mut found, mut more) = (Vec::<String>::new(), Vec::new(), false);
    let (mut key, mut upload, mut begun) = (None, None, None);
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) => open.push(String::from_utf8_lossy(tag.local_name().as_ref()).into_owned()),
            Event::Text(text) => {
                let value = text.decode().ok()?.into_owned();
                match open.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                    [_, "Upload", "Key"] => key = Some(value),
                    [_, "Upload", "UploadId"] => upload = Some(value),
                    [_, "Upload", "Initiated"] => begun = Some(DateTime::parse_from_rfc3339(&value).ok()?.to_utc()),
                    [_, "IsTruncated"] => more = value == "true",
                    _ => {}
                }
            }
            Event::End(tag) => {
                open.pop();
                if tag.local_name().as_ref() == b"Upload" {
                    found.push(Unfinished { key: key.take()?, upload: upload.take()?, begun: begun.take()? });
                }
            }
            Event::Eof => return open.is_empty().then_some((found, more)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_unfinished_uploads_reads() {
        let text = br#"<?xml version="1.0"?><ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Bucket>b</Bucket><KeyMarker/><IsTruncated>true</IsTruncated>
            <Upload><Key>lake/tenants/a/raw/staging/one</Key><UploadId>u+1</UploadId><Initiator><ID>i</ID></Initiator>
            <Initiated>2026-03-01T12:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>"#;
        let (found, more) = unfinished(text).unwrap();
        let begun = "2026-03-01T12:00:00Z".parse().unwrap();
        assert_eq!(found, [Unfinished { key: "lake/tenants/a/raw/staging/one".into(), upload: "u+1".into(), begun }]);
        assert!(more);
        for cut in [&text[..200], b"<a><Upload><Key>k</Key></Upload></a>", b"<ListMultipartUploadsResult>"] {
            assert_eq!(unfinished(cut), None);
        }
    }
}
