//! What a message of the queue says: SNS's envelope around SES's receipt, as Amazon documents both, and nothing else.
//! Promise: bucket, folder and topic are held against the set ones; every list and text is bounded; what is refused is told in
//! words that repeat nothing of the message.

use std::fmt;

use bonded_schemas::{ServiceFindings, ServiceVerdict};
use chrono::{DateTime, Utc};
use serde::Deserialize;

/// SQS's own limit.
const BODY_BYTES_MAX: usize = 1 << 20;
/// SES takes 50 recipients a message from its own clients; others' servers send more.
const RECIPIENTS_MAX: usize = 1_000;
/// Longest address of RFC 5321 with room.
const ADDRESS_BYTES_MAX: usize = 320;
const ID_BYTES_MAX: usize = 128;
/// The object that SES puts into a bucket when a rule is made.
const SETUP_OBJECT: &str = "AMAZON_SES_SETUP_NOTIFICATION";
/// What SES says on a topic when it is first named to it.
const SETUP_WORDS: &str = "Successfully validated SNS topic for Amazon SES";
const SETUP_TYPE: &str = "AmazonSnsSubscriptionSucceeded";

/// Where mails lie, as set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub bucket: String,
    /// Empty, or ends with a slash.
    pub prefix: String,
    /// Who fills the queue; any topic when absent, for then the queue's policy alone says so.
    pub topic_arn: Option<String>,
}

/// What a message of the queue is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    Mail(Box<Received>),
    /// Amazon tries the way out; there is no mail.
    SetUp,
}

/// A mail that lies in the bucket.
#[derive(Clone, PartialEq, Eq)]
pub struct Received {
    /// Its name below the folder.
    pub id: String,
    /// RCPT TO of the rule that took it.
    pub recipients: Vec<String>,
    /// MAIL FROM; empty for bounces.
    pub mail_from: String,
    pub findings: ServiceFindings,
}

/// Addresses are secrets.
impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Received({}, {} recipients)", self.id, self.recipients.len())
    }
}

/// Why a message is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread(pub &'static str);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfTopic {
    r#type: String,
    topic_arn: String,
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfService {
    notification_type: String,
    #[serde(default)]
    receipt: Option<OfReceipt>,
    #[serde(default)]
    mail: Option<OfMail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfReceipt {
    timestamp: DateTime<Utc>,
    recipients: Vec<String>,
    #[serde(default)]
    spam_verdict: Option<Status>,
    #[serde(default)]
    virus_verdict: Option<Status>,
    #[serde(default)]
    spf_verdict: Option<Status>,
    #[serde(default)]
    dkim_verdict: Option<Status>,
    #[serde(default)]
    dmarc_verdict: Option<Status>,
    action: Action,
}

#[derive(Deserialize)]
struct Status {
    status: Said,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Said {
    Pass,
    Fail,
    Gray,
    ProcessingFailed,
    /// SES did not look.
    Disabled,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    r#type: String,
    #[serde(default)]
    topic_arn: Option<String>,
    #[serde(default)]
    bucket_name: String,
    #[serde(default)]
    object_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfMail {
    source: String,
    message_id: String,
}

/// What S3 says by itself, and is of no use here.
#[derive(Deserialize)]
struct OfBucket {
    #[serde(rename = "Records", default)]
    records: Vec<serde::de::IgnoredAny>,
    #[serde(rename = "Event", default)]
    event: String,
}

/// # Errors
/// What is not as it must be, in words of our own.
pub fn read(body: &str, place: &Place) -> Result<Notice, Unread> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Unread("it is longer than a message of a queue can be"));
    }
    let Ok(of_topic) = serde_json::from_str::<OfTopic>(body) else { return Err(no_envelope(body)) };
    if of_topic.r#type != "Notification" {
        return Err(Unread("it is no notification of a topic"));
    }
    if place.topic_arn.as_ref().is_some_and(|topic| *topic != of_topic.topic_arn) {
        return Err(Unread("it is of another topic than ses.topic_arn"));
    }
    if of_topic.message.starts_with(SETUP_WORDS) {
        return Ok(Notice::SetUp);
    }
    let Ok(notification) = serde_json::from_str::<OfService>(&of_topic.message) else {
        return Err(event_of_bucket(&of_topic.message).unwrap_or(Unread("what the topic brought is no notification of SES")));
    };
    match (notification.notification_type.as_str(), notification.receipt, notification.mail) {
        (SETUP_TYPE, ..) => Ok(Notice::SetUp),
        ("Received", Some(receipt), Some(mail)) => received(receipt, mail, &of_topic.topic_arn, place),
        ("Received", ..) => Err(Unread("a notification of SES without its receipt or its mail")),
        _ => Err(Unread("a notification of SES that is not of a received mail: another topic is for these")),
    }
}

/// Why the body is no envelope of SNS; S3 may have been told to fill the queue, or the topic to leave its envelope out.
fn no_envelope(body: &str) -> Unread {
    if serde_json::from_str::<OfService>(body).is_ok() {
        return Unread("the topic's envelope is missing: set RawMessageDelivery of its subscription to false");
    }
    event_of_bucket(body).unwrap_or(Unread("it is no message of a topic"))
}

fn event_of_bucket(text: &str) -> Option<Unread> {
    let event: OfBucket = serde_json::from_str(text).ok()?;
    let is_one = !event.records.is_empty() || event.event == "s3:TestEvent";
    is_one.then_some(Unread(
        "an event of S3 says nobody that the mail is for: take the bucket's notification out, and name the topic in SES's S3 action",
    ))
}

fn received(receipt: OfReceipt, mail: OfMail, topic: &str, place: &Place) -> Result<Notice, Unread> {
    let action = &receipt.action;
    if action.r#type != "S3" {
        return Err(Unread("it is of another action than S3's, so its mail lies in no bucket"));
    }
    if action.topic_arn.as_ref().is_some_and(|named| named != topic) {
        return Err(Unread("SES and the topic do not name the same topic"));
    }
    if action.bucket_name != place.bucket {
        return Err(Unread("it names another bucket than ses.bucket"));
    }
    let Some(id) = action.object_key.strip_prefix(&place.prefix) else {
        return Err(Unread("it names an object outside of ses.prefix"));
    };
    if id == SETUP_OBJECT {
        return Ok(Notice::SetUp);
    }
    let is_id = (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_id || id != mail.message_id {
        return Err(Unread("the object that it names is not called as SES calls a mail"));
    }
    let is_address = |address: &String| !address.is_empty() && address.len() <= ADDRESS_BYTES_MAX;
    let recipients = receipt.recipients;
    if recipients.is_empty() || recipients.len() > RECIPIENTS_MAX || !recipients.iter().all(is_address) {
        return Err(Unread("its recipients are none, too many, or too long"));
    }
    if mail.source.len() > ADDRESS_BYTES_MAX {
        return Err(Unread("its sender is too long for an address"));
    }
    let findings = ServiceFindings {
        message_id: id.to_owned(),
        received_at: receipt.timestamp,
        spam: verdict(receipt.spam_verdict),
        virus: verdict(receipt.virus_verdict),
        spf: verdict(receipt.spf_verdict),
        dkim: verdict(receipt.dkim_verdict),
        dmarc: verdict(receipt.dmarc_verdict),
    };
    let mail_from = mail.source.trim().trim_start_matches('<').trim_end_matches('>').to_owned();
    Ok(Notice::Mail(Box::new(Received { id: id.to_owned(), recipients, mail_from, findings })))
}

fn verdict(said: Option<Status>) -> Option<ServiceVerdict> {
    match said?.status {
        Said::Pass => Some(ServiceVerdict::Pass),
        Said::Fail => Some(ServiceVerdict::Fail),
        Said::Gray => Some(ServiceVerdict::Gray),
        Said::ProcessingFailed => Some(ServiceVerdict::ProcessingFailed),
        Said::Disabled => None,
    }
}
