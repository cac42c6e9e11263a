//! What a message of the queue is read as, by the letter of AWS's documentation; the queue and the bucket on emulators.

use std::time::Duration;

use bonded_schemas::ServiceVerdict;
use serde_json::{Value, json};

use super::{notification::Received, queue::redrive, *};
use crate::{
    aws::{
        Account, Reach,
        private_aws::{PrivateAws, REGION},
    },
    error::ErrorKind,
};

const TOPIC: &str = "arn:aws:sns:us-east-1:111122223333:bonded-mail";
const ID: &str = "d6iitobk75ur44p8kdnnp7g2n800";
const TO: &str = "in-0@reports.example";

fn place() -> Place {
    Place { bucket: "bonded-mail".into(), prefix: "inbound/".into(), topic_arn: Some(TOPIC.into()) }
}

/// As AWS shows it, with an S3 action in place of the example's SNS one.
fn notification() -> Value {
    json!({
        "notificationType": "Received",
        "receipt": {
            "timestamp": "2015-09-11T20:32:33.936Z",
            "processingTimeMillis": 222,
            "recipients": [TO],
            "spamVerdict": { "status": "PASS" },
            "virusVerdict": { "status": "DISABLED" },
            "spfVerdict": { "status": "GRAY" },
            "dkimVerdict": { "status": "PROCESSING_FAILED" },
            "dmarcVerdict": { "status": "FAIL" },
            "dmarcPolicy": "reject",
            "action": {
                "type": "S3", "topicArn": TOPIC, "bucketName": "bonded-mail", "objectKeyPrefix": "inbound/",
                "objectKey": format!("inbound/{ID}")
            }
        },
        "mail": {
            "timestamp": "2015-09-11T20:32:33.936Z",
            "source": "<bounces@sender.example>",
            "messageId": ID,
            "destination": ["somebody@elsewhere.example"],
            "headersTruncated": false,
            "headers": [{ "name": "To", "value": "in-1@reports.example" }],
            "commonHeaders": { "to": ["in-1@reports.example"] }
        }
    })
}

fn letter(message: &str) -> String {
    json!({
        "Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": TOPIC,
        "Subject": "Amazon SES Email Receipt Notification", "Message": message, "Timestamp": "2012-05-02T00:54:06.655Z",
        "SignatureVersion": "1", "Signature": "EXAMPLE", "SigningCertURL": "https://sns.us-east-1.amazonaws.com/x.pem",
        "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe"
    })
    .to_string()
}

fn mail(body: &str) -> Received {
    match read(body, &place()) {
        Ok(Notice::Mail(received)) => *received,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_notification_as_aws_documents_it_is_read() {
    let received = mail(&letter(&notification().to_string()));
    assert_eq!((received.id.as_str(), received.mail_from.as_str()), (ID, "bounces@sender.example"));
    assert_eq!(received.recipients, [TO], "a header, or `destination`, said whom it is for");
    let found = &received.findings;
    assert_eq!((found.spam, found.virus), (Some(ServiceVerdict::Pass), None));
    let proof = (found.spf, found.dkim, found.dmarc);
    assert_eq!(proof, (Some(ServiceVerdict::Gray), Some(ServiceVerdict::ProcessingFailed), Some(ServiceVerdict::Fail)));
    assert_eq!(found.received_at.to_rfc3339(), "2015-09-11T20:32:33.936+00:00");
    assert!(!format!("{received:?}").contains(TO), "an address is a secret");
    // Of any topic, where none is set.
    let any = Place { topic_arn: None, ..place() };
    assert!(read(&letter(&notification().to_string()), &any).is_ok());
}

#[test]
fn what_is_not_exactly_that_is_refused_in_words_that_repeat_nothing_of_it() {
    let mut bad: Vec<(String, String)> = Vec::new();
    let long = "x".repeat(321);
    let many = vec![TO; 1001];
    for (pointer, value) in [
        ("/notificationType", json!("Bounce")),
        ("/notificationType", json!(1)),
        ("/receipt", json!(null)),
        ("/mail", json!(null)),
        ("/receipt/recipients", json!([])),
        ("/receipt/recipients", json!([""])),
        ("/receipt/recipients", json!(TO)),
        ("/receipt/recipients", json!([long])),
        ("/receipt/recipients", json!(many)),
        ("/receipt/timestamp", json!("yesterday")),
        ("/receipt/spamVerdict", json!({ "status": "MAYBE" })),
        ("/receipt/virusVerdict", json!("PASS")),
        ("/receipt/action/type", json!("Lambda")),
        ("/receipt/action/bucketName", json!("walrus-mail")),
        ("/receipt/action/objectKey", json!(format!("walrus/{ID}"))),
        ("/receipt/action/objectKey", json!(format!("inbound/../{ID}"))),
        ("/receipt/action/objectKey", json!("inbound/")),
        ("/receipt/action/objectKey", json!("inbound/walrus")),
        ("/receipt/action/topicArn", json!("arn:aws:sns:us-east-1:111122223333:walrus")),
        ("/mail/messageId", json!("walrus")),
        ("/mail/source", json!(long)),
    ] {
        let mut changed = notification();
        *changed.pointer_mut(pointer).expect("there") = value;
        bad.push((pointer.to_owned(), letter(&changed.to_string())));
    }
    let twice = notification().to_string().replacen("\"recipients\"", "\"recipients\":[\"walrus@x.example\"],\"recipients\"", 1);
    bad.push(("named twice".into(), letter(&twice)));
    let good = letter(&notification().to_string());
    bad.push(("another topic".into(), good.replace(TOPIC, "arn:aws:sns:us-east-1:111122223333:walrus")));
    bad.push(("a question".into(), good.replace("\"Notification\"", "\"SubscriptionConfirmation\"")));
    bad.push(("no envelope".into(), notification().to_string()));
    bad.push(("deep".into(), "[".repeat(100_000)));
    bad.push(("long".into(), format!("{good}{}", " ".repeat(1 << 20))));
    bad.push(("nothing".into(), String::new()));
    for (what, body) in bad {
        match read(&body, &place()) {
            Err(Unread(why)) => assert!(!why.contains("walrus"), "{what}: {why}"),
            Ok(notice) => panic!("{what}: {notice:?}"),
        }
    }
    let why = |body: &str| read(body, &place()).expect_err("refused").0;
    assert!(why(&notification().to_string()).contains("RawMessageDelivery"));
    let event =
        json!({ "Records": [{ "eventSource": "aws:s3", "s3": { "object": { "key": format!("inbound/{ID}") } } }] }).to_string();
    assert!(why(&event).contains("an event of S3") && why(&letter(&event)).contains("an event of S3"));
}

#[test]
fn amazon_trying_the_way_out_is_no_mail_and_no_fault() {
    let mut setup = notification();
    setup["receipt"]["action"]["objectKey"] = json!("inbound/AMAZON_SES_SETUP_NOTIFICATION");
    for message in [
        setup.to_string(),
        "Successfully validated SNS topic for Amazon SES event publishing.".to_owned(),
        json!({ "notificationType": "AmazonSnsSubscriptionSucceeded", "message": "..." }).to_string(),
    ] {
        assert_eq!(read(&letter(&message), &place()), Ok(Notice::SetUp), "{message}");
    }
}

#[test]
fn a_redrive_policy_reads_with_its_number_as_number_or_text() {
    let wanted = Some(Redrive { dead_letters: "mail-dead".into(), receives_max: 6 });
    for most in ["6", "\"6\""] {
        let text =
            format!("{{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:111122223333:mail-dead\",\"maxReceiveCount\":{most}}}");
        assert_eq!(redrive(&text), wanted);
    }
    for bad in
        ["", "{}", "{\"deadLetterTargetArn\":\"a:b\",\"maxReceiveCount\":0}", "{\"deadLetterTargetArn\":1,\"maxReceiveCount\":6}"]
    {
        assert_eq!(redrive(bad), None, "{bad}");
    }
}

/// An emulator's queue with dead letters after three tries.
struct Queue<'a> {
    aws: &'a PrivateAws,
    name: String,
    url: String,
}

impl<'a> Queue<'a> {
    fn new(aws: &'a PrivateAws) -> Self {
        let name = format!("ses-{}", uuid::Uuid::new_v4().simple());
        let mut queue = Self { aws, name: name.clone(), url: String::new() };
        queue.ask("CreateQueue", &json!({ "QueueName": format!("{name}-dead") }));
        let dead = format!("arn:aws:sqs:{REGION}:000000000000:{name}-dead");
        let redrive = json!({ "deadLetterTargetArn": dead, "maxReceiveCount": 3 }).to_string();
        queue.url = queue.ask("CreateQueue", &json!({ "QueueName": name, "Attributes": { "RedrivePolicy": redrive } }));
        queue
    }

    /// The URL in the answer, where there is one.
    fn ask(&self, operation: &str, body: &Value) -> String {
        let target = format!("X-Amz-Target: AmazonSQS.{operation}");
        let scope = format!(
            "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/sqs/aws4_request, SignedHeaders=host, Signature=0"
        );
        let answer = self.aws.ask("POST", "/", &[&target, &scope, "Content-Type: application/x-amz-json-1.0"], &body.to_string());
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        body["QueueUrl"].as_str().unwrap_or_default().to_owned()
    }

    async fn open(&self) -> MailQueue {
        let reach = Reach { region: REGION.into(), sqs_endpoint: Some(self.aws.endpoint.clone()), ..Reach::default() };
        let account = Account::of_tests(reach).await;
        MailQueue::open(&account, &self.url, Some(&format!("{}-dead", self.url)), Duration::from_secs(1))
    }
}

const HELD: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_letter_is_held_given_back_done_or_dead() {
    let Some(aws) = PrivateAws::ministack() else { return };
    let made = Queue::new(aws);
    let queue = made.open().await;
    let wanted = Redrive { dead_letters: format!("{}-dead", made.name), receives_max: 3 };
    assert_eq!(queue.redrive().await.unwrap(), wanted);
    assert!(queue.receive(10, HELD).await.unwrap().is_empty(), "an empty queue");
    for body in ["good", "bad"] {
        made.ask("SendMessage", &json!({ "QueueUrl": made.url, "MessageBody": body }));
    }
    let received = queue.receive(10, HELD).await.unwrap();
    assert_eq!(
        received.iter().map(|letter| (letter.body.as_str(), letter.receives)).collect::<Vec<_>>(),
        [("good", 1), ("bad", 1)]
    );
    assert!(queue.receive(10, HELD).await.unwrap().is_empty(), "held by another");
    assert_eq!(queue.counts().await.unwrap(), Counts { waiting: 0, held: 2 });
    queue.done(&received[0]).await.unwrap();
    queue.hold(&received[1], Duration::ZERO).await.unwrap();
    for receives in [2, 3] {
        let again = queue.receive(10, HELD).await.unwrap();
        assert_eq!(again.iter().map(|letter| (letter.body.as_str(), letter.receives)).collect::<Vec<_>>(), [("bad", receives)]);
        queue.hold(&again[0], Duration::ZERO).await.unwrap();
    }
    assert!(queue.receive(10, HELD).await.unwrap().is_empty(), "tried as often as it may be");
    assert_eq!(queue.dead_letters().await.unwrap(), Some(Counts { waiting: 1, held: 0 }));
    // Whoever held it before does not end it.
    let error = queue.done(&received[1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
}

#[tokio::test]
async fn a_queue_that_is_not_there_or_not_reached_is_told_so() {
    let Some(aws) = PrivateAws::ministack() else { return };
    let account = |endpoint: &str| {
        let reach = Reach { region: REGION.into(), sqs_endpoint: Some(endpoint.to_owned()), ..Reach::default() };
        Account::of_tests(reach)
    };
    let none = format!("{}/000000000000/none", aws.endpoint);
    let queue = MailQueue::open(&account(&aws.endpoint).await, &none, None, Duration::from_secs(1));
    let error = queue.redrive().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Setup && error.to_string().contains("ses.queue_url"), "{error}");
    let queue = MailQueue::open(&account("http://127.0.0.1:1").await, &none, None, Duration::from_secs(1));
    let error = queue.receive(1, HELD).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Retry && error.to_string().contains("cannot be reached"), "{error}");
}

#[tokio::test]
async fn a_mail_comes_out_of_its_bucket_whole_and_nothing_from_outside_of_its_folder() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let bucket = aws.bucket("ses", false);
    let reach = Reach { region: REGION.into(), endpoint: Some(aws.endpoint.clone()), ..Reach::default() };
    let place = Place { bucket: bucket.clone(), ..place() };
    let mails = MailBucket::open(Account::of_tests(reach).await, &place, true).unwrap();
    assert_eq!(mails.region().await.unwrap(), REGION);
    assert_eq!(mails.look().await.unwrap(), Seen::Empty);
    let text = "a line of a mail\r\n".repeat(20_000);
    aws.ask("PUT", &format!("/{bucket}/inbound/{ID}"), &[], &text);
    aws.ask("PUT", &format!("/{bucket}/outside"), &[], "not a mail");
    assert_eq!(mails.look().await.unwrap(), Seen::Readable);
    let mut stored = mails.mail(ID).await.unwrap();
    assert_eq!(stored.size_bytes, text.len() as u64);
    let mut came = Vec::new();
    while let Some(bytes) = stored.next().await.unwrap() {
        came.extend_from_slice(&bytes);
    }
    assert!(came == text.as_bytes());
    for id in ["outside", "../outside", "none"] {
        assert_eq!(mails.mail(id).await.unwrap_err().kind(), ErrorKind::Input, "{id}");
    }
}
