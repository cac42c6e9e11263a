//! The lake's bucket: where it is, what time it is there, what it encrypts with, keeps, locks, lets in and tidies up.

use bonded_connectors::lake::{Aspect, Kept, S3};

use super::{Chart, Verdict, clocks};
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::Lakehouse,
};

const PUBLIC: [&str; 4] = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];

pub(super) async fn look(house: &Lakehouse, chart: &mut Chart) -> Result<()> {
    let Some(bucket) = house.lake.bucket() else {
        chart.not_asked("bucket", "the lake is a folder");
        return Ok(());
    };
    let name = bucket.bucket_name();
    let before = house.clock.now();
    let (region, date) = bucket.whereabouts().await?;
    let (residency, endpoint) = (house.settings.aws.residency()?, house.settings.aws.s3_endpoint.as_deref());
    match residency.bucket_region(&format!("bucket `{name}`"), endpoint, &region) {
        Ok(()) => chart.ok(format!("bucket {name}: region"), region),
        Err(error) => chart.failed(format!("bucket {name}: region"), &error.into()),
    }
    match date {
        // It is told in whole seconds, cut off.
        Some(date) => {
            clocks::compare(house, &format!("bucket {name}: clock"), before - chrono::TimeDelta::seconds(1), date, chart)
        }
        None => chart.not_asked(format!("bucket {name}: clock"), "the store tells no date"),
    }
    for aspect in Aspect::ALL {
        let object = format!("bucket {name}: {}", aspect.as_str());
        match asked(bucket, aspect).await {
            Ok(kept) => {
                let (verdict, what, mend) = judged(aspect, kept.as_ref(), Locks::of(house));
                chart.note(verdict, object, what, mend.map(str::to_owned));
            }
            Err(error) if error.kind() == ErrorKind::Refused => {
                chart.warn(
                    object,
                    error.to_string(),
                    "allow this role to read the bucket's configuration (s3:Get*Configuration)",
                );
            }
            Err(error) => chart.failed(object, &error),
        }
    }
    Ok(())
}

async fn asked(bucket: &S3, aspect: Aspect) -> Result<Option<Kept>> {
    bucket.aspect(aspect).await.map_err(Error::from)
}

/// What the settings ask Object Lock for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locks {
    Nothing,
    /// By the bucket's default retention.
    Everything,
    /// What is written once, each by itself.
    Written,
}

impl Locks {
    fn of(house: &Lakehouse) -> Self {
        match (house.settings.aws.retain.is_some(), house.settings.aws.lock) {
            (true, _) => Self::Written,
            (false, true) => Self::Everything,
            (false, false) => Self::Nothing,
        }
    }
}

/// What a configuration is worth, by itself.
pub(super) fn judged(aspect: Aspect, kept: Option<&Kept>, locks: Locks) -> (Verdict, String, Option<&'static str>) {
    let get = |path: &str| kept.and_then(|kept| kept.get(path)).unwrap_or_default();
    let ok = |what: String| (Verdict::Ok, what, None);
    match aspect {
        Aspect::Encryption => match get("Rule/ApplyServerSideEncryptionByDefault/SSEAlgorithm") {
            "" => (
                Verdict::Warn,
                "encrypts nothing by itself".into(),
                Some("set default encryption (aws:kms); what Bonded writes is sealed besides"),
            ),
            algorithm => ok(format!("{algorithm} by default")),
        },
        Aspect::Versioning => match get("Status") {
            "Enabled" => ok("keeps versions".into()),
            _ => (
                Verdict::Fail,
                "keeps no versions: what is deleted or overwritten by whoever may, is gone".into(),
                Some("enable versioning on the bucket"),
            ),
        },
        Aspect::Lock => match (get("Rule/DefaultRetention/Mode"), locks) {
            ("COMPLIANCE", Locks::Written) => (
                Verdict::Warn,
                "keeps each object in compliance mode, tables and what lies in staging among them".into(),
                Some("take the default retention away: aws.retain keeps what must be kept, and maintenance removes the rest"),
            ),
            ("COMPLIANCE", _) => ok("keeps each object in compliance mode, whoever asks".into()),
            (_, Locks::Written) if get("ObjectLockEnabled") == "Enabled" => {
                ok("keeps received files and the trail's segments in compliance mode, as aws.retain says".into())
            }
            (_, Locks::Nothing) => (Verdict::NotAsked, "not in compliance mode, and aws.lock does not ask for it".into(), None),
            (_, Locks::Written) => (
                Verdict::Fail,
                "has no Object Lock, which aws.retain asks for".into(),
                Some("Object Lock is chosen when a bucket is made: make another, and move the lake by backup and restore"),
            ),
            (_, Locks::Everything) => (
                Verdict::Fail,
                "is not locked as aws.lock asks for".into(),
                Some("set a default retention in compliance mode; Object Lock is chosen when a bucket is made"),
            ),
        },
        Aspect::PublicAccess => match PUBLIC.iter().filter(|switch| get(switch) != "true").count() {
            0 => ok("lets no stranger in".into()),
            open => (
                Verdict::Fail,
                format!("{open} of the 4 switches that keep strangers out are off"),
                Some("block all public access on the bucket"),
            ),
        },
        Aspect::Lifecycle => {
            let expires = ["Rule/Expiration/Days", "Rule/Expiration/Date"].iter().any(|path| !get(path).is_empty());
            let tidies = kept.is_some_and(|kept| kept.has("AbortIncompleteMultipartUpload/DaysAfterInitiation"));
            match (expires, tidies) {
                (true, _) => (
                    Verdict::Fail,
                    "has a rule that deletes objects after a time: tables and received files are among them".into(),
                    Some("take Expiration out of the bucket's lifecycle; `bonded maintain` removes what may go"),
                ),
                (false, false) => (
                    Verdict::Warn,
                    "does not end uploads that nobody finished".into(),
                    Some("a lifecycle rule AbortIncompleteMultipartUpload after 7 days; `bonded maintain` ends those of tenants"),
                ),
                (false, true) => ok("ends uploads that nobody finished, and deletes nothing that is in use".into()),
            }
        }
    }
}
