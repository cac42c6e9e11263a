//! The queue, by SQS: long polls, letters that are held while somebody works on them, and what is known of its dead letters.
//! Promise: a letter is gone only when it was said to be done; one whose worker is not heard of comes back by itself, and one
//! that came back too often goes to the dead letters by the queue's own rule.
//! Never: a message is sent; a body is logged, for it names addresses.

use std::{collections::HashMap, error::Error as StdError, fmt, time::Duration};

use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    types::{MessageSystemAttributeName, QueueAttributeName},
};
use serde_json::Value;

use crate::{
    aws::{Account, NO_CREDENTIALS, Service},
    error::{Error, ErrorKind, Result},
};

/// Of one request.
const TAKEN_MAX: usize = 10;
/// Longest that SQS hides a letter, from when it was received.
const HELD_MAX: Duration = Duration::from_secs(12 * 60 * 60);
/// For the answer, beyond the poll itself.
const ANSWER_MAX: Duration = Duration::from_secs(15);

#[derive(Clone)]
pub struct MailQueue {
    client: Client,
    url: String,
    dead_letter_url: Option<String>,
    /// How long a poll waits for a letter.
    wait: Duration,
}

/// One message of the queue, received and hidden from others.
pub struct Letter {
    pub id: String,
    /// How often it was received, this time included.
    pub receives: u32,
    pub body: String,
    handle: String,
}

/// The queue's own rule for letters that nobody can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// Name of the queue of the dead letters.
    pub dead_letters: String,
    pub receives_max: u32,
}

/// Letters, by what SQS counts, which is about right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub waiting: u64,
    /// Held by a worker, or until they are tried again.
    pub held: u64,
}

impl MailQueue {
    /// Asks nobody yet.
    pub fn open(account: &Account, url: &str, dead_letter_url: Option<&str>, wait: Duration) -> Self {
        // The account's own limits are shorter than a long poll.
        let times = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(wait + ANSWER_MAX)
            .operation_timeout((wait + ANSWER_MAX) * 2)
            .build();
        let config = account.config(Service::Sqs).to_builder().timeout_config(times).build();
        Self { client: Client::new(&config), url: url.to_owned(), dead_letter_url: dead_letter_url.map(str::to_owned), wait }
    }

    /// Waits for letters; each is hidden from others for `held`.
    pub async fn receive(&self, most: usize, held: Duration) -> Result<Vec<Letter>> {
        let asked = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(most.clamp(1, TAKEN_MAX) as i32)
            .wait_time_seconds(seconds(self.wait))
            .visibility_timeout(seconds(held))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let answer = asked.send().await.map_err(|error| told("ReceiveMessage", error))?;
        let letter = |message: aws_sdk_sqs::types::Message| {
            let receives = message.attributes.as_ref().and_then(|known| {
                known.get(&MessageSystemAttributeName::ApproximateReceiveCount).and_then(|count| count.parse().ok())
            });
            Some(Letter {
                id: message.message_id?,
                // One that does not say how often it came is as old as can be: it is worth one try and no more.
                receives: receives.unwrap_or(u32::MAX),
                body: message.body.unwrap_or_default(),
                handle: message.receipt_handle?,
            })
        };
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(letter).collect())
    }

    /// Hides the letter for so long from now; not at all gives it back.
    pub async fn hold(&self, letter: &Letter, held: Duration) -> Result<()> {
        let asked = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(&letter.handle);
        let asked = asked.visibility_timeout(seconds(held));
        asked.send().await.map(drop).map_err(|error| told("ChangeMessageVisibility", error))
    }

    /// It is done with, and goes.
    pub async fn done(&self, letter: &Letter) -> Result<()> {
        let asked = self.client.delete_message().queue_url(&self.url).receipt_handle(&letter.handle);
        asked.send().await.map(drop).map_err(|error| told("DeleteMessage", error))
    }

    pub async fn counts(&self) -> Result<Counts> {
        Ok(counted(&self.attributes(&self.url).await?))
    }

    /// `None` where no queue of dead letters is named.
    pub async fn dead_letters(&self) -> Result<Option<Counts>> {
        match &self.dead_letter_url {
            Some(url) => Ok(Some(counted(&self.attributes(url).await?))),
            None => Ok(None),
        }
    }

    /// # Errors
    /// `Setup` when the queue has no dead letters, or others than the named ones.
    pub async fn redrive(&self) -> Result<Redrive> {
        let kept = self.attributes(&self.url).await?;
        let redrive = kept.get(&QueueAttributeName::RedrivePolicy).and_then(|text| redrive(text));
        let redrive = redrive.ok_or_else(|| {
            let mend = "give it a RedrivePolicy with a dead-letter queue and maxReceiveCount 20";
            Error::new(
                ErrorKind::Setup,
                format!("the queue of ses.queue_url has no dead letters, so a bad one would come for ever; {mend}"),
            )
        })?;
        let named = self.dead_letter_url.as_deref().and_then(|url| url.rsplit('/').next());
        match named.is_none_or(|named| named == redrive.dead_letters) {
            true => Ok(redrive),
            false => Err(Error::new(
                ErrorKind::Setup,
                "ses.dead_letter_url is not where the queue of ses.queue_url puts its dead letters",
            )),
        }
    }

    async fn attributes(&self, url: &str) -> Result<HashMap<QueueAttributeName, String>> {
        let mut asked = self.client.get_queue_attributes().queue_url(url);
        for name in [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::RedrivePolicy,
        ] {
            asked = asked.attribute_names(name);
        }
        let answer = asked.send().await.map_err(|error| told("GetQueueAttributes", error))?;
        Ok(answer.attributes.unwrap_or_default())
    }
}

fn counted(kept: &HashMap<QueueAttributeName, String>) -> Counts {
    let count = |name| kept.get(&name).and_then(|count| count.parse().ok()).unwrap_or(0);
    Counts {
        waiting: count(QueueAttributeName::ApproximateNumberOfMessages),
        held: count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
    }
}

/// `{"deadLetterTargetArn":"arn:...:name","maxReceiveCount":6}`; the number may be text.
pub(super) fn redrive(text: &str) -> Option<Redrive> {
    let policy: Value = serde_json::from_str(text).ok()?;
    let dead_letters = policy["deadLetterTargetArn"].as_str()?.rsplit(':').next()?.to_owned();
    let most = &policy["maxReceiveCount"];
    let receives_max = most.as_u64().or_else(|| most.as_str()?.parse().ok())?;
    Some(Redrive { dead_letters, receives_max: u32::try_from(receives_max).ok().filter(|most| *most > 0)? })
}

fn seconds(time: Duration) -> i32 {
    let whole = time.min(HELD_MAX).as_secs_f64().ceil();
    // At most 43,200.
    whole as i32
}

/// By the service's code; what it says besides may name accounts and roles.
fn told<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let code = match &error {
        SdkError::DispatchFailure(failure) if failure.is_other() => return Error::new(ErrorKind::Setup, NO_CREDENTIALS),
        SdkError::ServiceError(refused) => refused.err().code().unwrap_or("no code").to_owned(),
        SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) | SdkError::ResponseError(_) => {
            return Error::new(ErrorKind::Retry, "the mail queue cannot be reached: try again")
                .with_context("operation", operation);
        }
        _ => return Error::new(ErrorKind::Internal, "the mail queue could not be asked").with_context("operation", operation),
    };
    let short = code.rsplit('.').next().unwrap_or(&code);
    match short {
        "NonExistentQueue" | "QueueDoesNotExist" | "InvalidAddress" => Error::new(
            ErrorKind::Setup,
            "there is no such mail queue in this account and region: see ses.queue_url and aws.region",
        ),
        "AccessDenied" | "AccessDeniedException" => Error::new(
            ErrorKind::Refused,
            format!("this role may not sqs:{operation} on the mail queue: mend its policy or the queue's"),
        ),
        "KmsAccessDenied" | "KmsDisabled" | "KmsInvalidState" | "KmsNotFound" | "KmsInvalidKeyUsage" | "KmsOptInRequired" => {
            Error::new(
                ErrorKind::Refused,
                "the mail queue's key may not be used: enable it, and allow this role kms:Decrypt with it",
            )
        }
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "SignatureDoesNotMatch" => {
            Error::new(ErrorKind::Setup, "the mail queue does not take our credentials: renew them, or mend the machine's clock")
        }
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => {
            Error::new(ErrorKind::Retry, "the letter is not held any more: another takes it")
        }
        _ => Error::new(ErrorKind::Retry, format!("the mail queue did not do {operation}: {code}")),
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Letter({}, received {} times, {} bytes)", self.id, self.receives, self.body.len())
    }
}

impl fmt::Debug for MailQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailQueue").field("url", &self.url).finish_non_exhaustive()
    }
}
