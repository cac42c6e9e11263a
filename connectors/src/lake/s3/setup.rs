//! How a bucket is set up, as it says itself: where it is, what it encrypts with, whether it keeps versions, locks what is written,
//! lets strangers in, tidies up; and what time it is there.
//! Promise: each aspect is asked for by a signed request of its own, so that one that this role may not ask is told as such.
//! Never: a bucket is changed here.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use quick_xml::{Reader, events::Event};

use super::S3;
use crate::error::{Error, ErrorKind, Result};

const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What a bucket is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    Encryption,
    Versioning,
    Lock,
    PublicAccess,
    Lifecycle,
}

impl Aspect {
    pub const ALL: [Aspect; 5] = [Aspect::Encryption, Aspect::Versioning, Aspect::Lock, Aspect::PublicAccess, Aspect::Lifecycle];

    pub fn as_str(self) -> &'static str {
        match self {
            Aspect::Encryption => "encryption",
            Aspect::Versioning => "versioning",
            Aspect::Lock => "object-lock",
            Aspect::PublicAccess => "publicAccessBlock",
            Aspect::Lifecycle => "lifecycle",
        }
    }
}

/// A configuration: texts by the path of their elements' names, `Rule/Status`, in their order. Empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept(Vec<(String, String)>);

impl Kept {
    /// The names within the outermost element.
    fn read(text: &[u8]) -> Option<Self> {
        let mut reader = Reader::from_reader(text);
        let (mut open, mut found) = (Vec::<String>::new(), Vec::new());
        loop {
            match reader.read_event().ok()? {
                Event::Start(tag) => {
                    open.push(String::from_utf8_lossy(tag.local_name().as_ref()).into_owned());
                    if open.len() > 1 {
                        found.push((open[1..].join("/"), String::new()));
                    }
                }
                Event::Empty(tag) => {
                    let name = String::from_utf8_lossy(tag.local_name().as_ref()).into_owned();
                    found.push((
                        open.iter().skip(1).chain([&name]).map(String::as_str).collect::<Vec<_>>().join("/"),
                        String::new(),
                    ));
                }
                Event::Text(text) => {
                    if let (Some((_, kept)), Ok(text)) = (found.last_mut(), text.decode()) {
                        kept.push_str(text.trim());
                    }
                }
                Event::End(_) => drop(open.pop()?),
                Event::Eof => return open.is_empty().then_some(Self(found)),
                _ => {}
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of the first element at this path.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.0.iter().find(|(at, _)| at == path).map(|(_, text)| text.as_str())
    }

    /// Whether there is an element whose path ends so.
    pub fn has(&self, ending: &str) -> bool {
        self.0.iter().any(|(at, _)| at == ending || at.strip_suffix(ending).is_some_and(|rest| rest.ends_with('/')))
    }
}

impl S3 {
    pub fn bucket_name(&self) -> &str {
        &self.place.bucket
    }

    /// Where the bucket is, and what time it is there: by its own words.
    pub async fn whereabouts(&self) -> Result<(String, Option<DateTime<Utc>>)> {
        let (status, headers, _) = self.once("HEAD", &[]).await?;
        let named = headers.region.filter(|region| !region.is_empty());
        let region = match (status, named) {
            // Told in refusals and redirections as well.
            (_, Some(region)) => region,
            (200, None) => self.location().await?,
            (404, None) => return Err(self.setup("is not there: make it, or name another in `lake`")),
            (status, None) => return Err(self.setup(&format!("does not say which region it is in: status {status}"))),
        };
        Ok((region, headers.date))
    }

    /// As S3 said it before it had a header for it: nothing for the first region, `EU` for the second.
    async fn location(&self) -> Result<String> {
        let (status, _, text) = self.once("GET", &[("location", "")]).await?;
        if status != 200 {
            return Err(self.setup(&format!("does not say which region it is in: status {status}")));
        }
        let text = String::from_utf8_lossy(&text);
        let inner = text.rsplit_once("</LocationConstraint>").and_then(|(before, _)| before.rsplit_once('>'));
        Ok(match inner.map_or("", |(_, region)| region.trim()) {
            "" => "us-east-1".into(),
            "EU" => "eu-west-1".into(),
            region => region.to_owned(),
        })
    }

    /// `None` where the bucket has no such configuration.
    ///
    /// # Errors
    /// `Refused` where this role may not ask; `Setup` where the bucket's answer is none.
    pub async fn aspect(&self, aspect: Aspect) -> Result<Option<Kept>> {
        let (status, _, text) = self.once("GET", &[(aspect.as_str(), "")]).await?;
        let unread = || self.setup(&format!("gives an answer about {} that does not read", aspect.as_str()));
        match status {
            200 => Kept::read(&text).ok_or_else(unread).map(Some),
            404 => Ok(None),
            403 => {
                let message = format!("this role may not ask bucket `{}` for its {}", self.place.bucket, aspect.as_str());
                Err(Error::new(ErrorKind::Refused, message))
            }
            status => Err(self.setup(&format!("does not tell its {}: status {status}", aspect.as_str()))),
        }
    }

    async fn once(&self, method: &str, query: &[(&str, &str)]) -> Result<(u16, Headers, Bytes)> {
        let request = self.request(method, None, query, "").await?;
        let unreached = |error| {
            let message = format!("bucket `{}` cannot be reached: see whether its endpoint answers from here", self.place.bucket);
            Error::new(ErrorKind::Retry, message).with_source(error)
        };
        let answer = self.http.execute(request).await.map_err(unreached)?;
        let status = answer.status().as_u16();
        let text = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let date = text("date").and_then(|date| DateTime::parse_from_rfc2822(&date).ok()).map(|date| date.to_utc());
        let headers = Headers { region: text("x-amz-bucket-region"), date };
        let body = answer.into_body().bytes().await.map_err(unreached)?;
        if body.len() > ANSWER_BYTES_MAX {
            return Err(self.setup("answers without an end"));
        }
        Ok((status, headers, body))
    }

    fn setup(&self, what: &str) -> Error {
        Error::new(ErrorKind::Setup, format!("bucket `{}` {what}", self.place.bucket))
    }
}

struct Headers {
    region: Option<String>,
    date: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aws::{Account, Reach, private_aws::PrivateAws},
        lake::Use,
    };

    async fn bucket(aws: &PrivateAws, name: &str) -> S3 {
        let reach = Reach { region: "us-east-1".into(), endpoint: Some(aws.endpoint.clone()), ..Reach::default() };
        let account = Account::of_tests(reach).await;
        S3::open(&format!("s3://{name}/lake"), account, Use { path_style: true, tenant_keys: false, retain: None }).unwrap()
    }

    #[tokio::test]
    async fn a_real_bucket_says_where_it_is_what_time_it_is_and_how_it_is_set_up() {
        let Some(aws) = PrivateAws::localstack() else { return };
        let locked = bucket(aws, &aws.bucket("setup", true)).await;
        let (region, date) = locked.whereabouts().await.unwrap();
        assert_eq!(region, "us-east-1");
        let ours = crate::clock::Clock::now(&crate::clock::SystemClock);
        assert!((date.expect("a date") - ours).num_seconds().abs() < 60);
        assert_eq!(locked.aspect(Aspect::Versioning).await.unwrap().unwrap().get("Status"), Some("Enabled"));
        let lock = locked.aspect(Aspect::Lock).await.unwrap().unwrap();
        assert_eq!(lock.get("Rule/DefaultRetention/Mode"), Some("COMPLIANCE"), "{lock:?}");
        let encryption = locked.aspect(Aspect::Encryption).await.unwrap().unwrap();
        assert!(encryption.has("ApplyServerSideEncryptionByDefault/SSEAlgorithm"), "{encryption:?}");
        assert_eq!(locked.aspect(Aspect::Lifecycle).await.unwrap(), None);
        let plain = bucket(aws, &aws.bucket("setup", false)).await;
        assert!(plain.aspect(Aspect::Versioning).await.unwrap().is_none_or(|kept| kept.get("Status") != Some("Enabled")));
        assert_eq!(plain.aspect(Aspect::Lock).await.unwrap(), None);
        let none = bucket(aws, "no-such-bucket-of-nordwind").await;
        assert_eq!(none.whereabouts().await.unwrap_err().kind(), ErrorKind::Setup);
    }

    #[tokio::test]
    async fn a_bucket_of_another_region_says_so_to_whoever_asks_in_ours() {
        let Some(aws) = PrivateAws::localstack() else { return };
        let name = format!("setup-{}", uuid::Uuid::new_v4().simple());
        let place = "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>";
        // LocalStack reads the region that is asked off a signature's scope.
        let scope =
            "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        aws.ask("PUT", &format!("/{name}"), &[scope], place);
        assert_eq!(bucket(aws, &name).await.whereabouts().await.unwrap().0, "eu-west-1");
    }

    #[test]
    fn a_configuration_is_read_by_the_paths_of_its_elements() {
        let text = br#"<?xml version="1.0"?><LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule>
            <ID>a</ID><Status>Enabled</Status><Filter/><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>
            </AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>"#;
        let kept = Kept::read(text).unwrap();
        assert_eq!(kept.get("Rule/Status"), Some("Enabled"));
        assert_eq!(kept.get("Rule/AbortIncompleteMultipartUpload/DaysAfterInitiation"), Some("7"));
        assert!(
            kept.has("Rule/Filter")
                && kept.has("AbortIncompleteMultipartUpload")
                && !kept.has("Upload")
                && !kept.has("Expiration")
        );
        assert!(Kept::read(b"<VersioningConfiguration/>").unwrap().has("VersioningConfiguration"));
        assert!(Kept::read(b"<a><b>").is_none() && Kept::read(&text[..200]).is_none());
    }
}
