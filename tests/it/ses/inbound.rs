//! Amazon SES as its mails reach us: SMTP in (`tests/aws/ses.py`), a bucket at LocalStack, topic and queues at MiniStack. Each on
//! names of its own, so that tests share the emulators.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    aws::private_aws::{CREDENTIAL, PrivateAws, REGION},
    mail_in::Client,
    world::MAIL_DOMAIN,
};

/// How often a letter is tried before it is among the dead; config/aws/mail.yaml has more, and longer waits.
pub const RECEIVES_MAX: u32 = 6;
pub const PREFIX: &str = "inbound/";
/// One second, so that a stop is quick; nothing else depends on it.
const WAIT: &str = "1s";

pub struct Inbound {
    s3: &'static PrivateAws,
    others: &'static PrivateAws,
    pub bucket: String,
    pub topic_arn: String,
    pub queue: String,
    pub dead_letters: String,
    port: u16,
    told: Mutex<BufReader<ChildStdout>>,
    /// Its standard input keeps it alive.
    child: Child,
}

/// A mail as the stand-in took it.
pub struct Taken {
    pub notification: Value,
    /// Of the object in the bucket.
    pub sha256: String,
}

impl Taken {
    /// As SES calls the mail.
    pub fn id(&self) -> &str {
        self.notification["mail"]["messageId"].as_str().expect("an id")
    }
}

impl Inbound {
    /// `None`, said aloud, where an emulator or aiosmtpd is not installed.
    pub fn start() -> Option<Self> {
        let (s3, others, python) = (PrivateAws::localstack()?, PrivateAws::ministack()?, python()?);
        let bucket = s3.bucket("mail", false);
        let name = format!("mail-{}", uuid::Uuid::new_v4().simple());
        let dead = sqs(others, "CreateQueue", &json!({ "QueueName": format!("{name}-dead") }));
        let dead_letters = dead["QueueUrl"].as_str().expect("a URL").to_owned();
        let redrive = json!({ "deadLetterTargetArn": arn("sqs", &format!("{name}-dead")), "maxReceiveCount": RECEIVES_MAX });
        let attributes = json!({ "RedrivePolicy": redrive.to_string(), "VisibilityTimeout": "3" });
        let made = sqs(others, "CreateQueue", &json!({ "QueueName": name, "Attributes": attributes }));
        let queue = made["QueueUrl"].as_str().expect("a URL").to_owned();
        let topic_arn = arn("sns", &name);
        sns(others, &[("Action", "CreateTopic"), ("Name", &name)]);
        let endpoint = arn("sqs", &name);
        sns(others, &[("Action", "Subscribe"), ("TopicArn", &topic_arn), ("Protocol", "sqs"), ("Endpoint", &endpoint)]);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("tests/aws/ses.py");
        let arguments = [MAIL_DOMAIN, &s3.endpoint, &bucket, PREFIX, &others.endpoint, &topic_arn];
        let mut child = Command::new(python)
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the stand-in starts");
        let mut told = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        told.read_line(&mut line).expect("readable");
        let port = line.trim().parse().expect("a port");
        let told = Mutex::new(told);
        Some(Self { s3, others, bucket, topic_arn, queue, dead_letters, port, told, child })
    }

    /// What `bonded` must be told to read mail from here, beside a lake anywhere.
    pub fn settings(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("BONDED_AWS_ENDPOINT", &self.s3.endpoint),
            ("BONDED_AWS_SQS_ENDPOINT", &self.others.endpoint),
            ("BONDED_AWS_PATH_STYLE", "true"),
            ("BONDED_SES_QUEUE_URL", &self.queue),
            ("BONDED_SES_DEAD_LETTER_URL", &self.dead_letters),
            ("BONDED_SES_TOPIC_ARN", &self.topic_arn),
            ("BONDED_SES_BUCKET", &self.bucket),
            ("BONDED_SES_PREFIX", PREFIX),
            ("BONDED_SES_WAIT", WAIT),
            ("BONDED_SES_VISIBILITY", "3s"),
            ("BONDED_SES_RETRY_FIRST", "1s"),
            ("BONDED_SES_RETRY_MAX", "1s"),
            ("AWS_ACCESS_KEY_ID", CREDENTIAL),
            ("AWS_SECRET_ACCESS_KEY", CREDENTIAL),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]
    }

    /// Where S3 is asked, for a line of the test's own before it.
    pub fn s3_endpoint(&self) -> &str {
        &self.s3.endpoint
    }

    /// Sends a mail by SMTP, as a server of the world does; it is taken when this comes back.
    pub fn send(&self, from: &str, to: &[&str], message: &[u8]) -> Taken {
        let mut client = Client::try_connect(self.port, Duration::from_secs(120)).expect("it listens");
        hear(&mut client, "220");
        say(&mut client, "EHLO sender.example", "250");
        say(&mut client, &format!("MAIL FROM:<{from}>"), "250");
        to.iter().for_each(|to| say(&mut client, &format!("RCPT TO:<{to}>"), "250"));
        say(&mut client, "DATA", "354");
        let text: Vec<&[u8]> = message.split_inclusive(|byte| *byte == b'\n').collect();
        for line in text {
            let stuffing: &[u8] = if line.starts_with(b".") { b"." } else { b"" };
            client.try_send(&[stuffing, line].concat()).expect("sent");
        }
        say(&mut client, if message.ends_with(b"\r\n") { "." } else { "\r\n." }, "250");
        let mut line = String::new();
        self.told.lock().unwrap().read_line(&mut line).expect("readable");
        let mut told: Value = serde_json::from_str(&line).expect("JSON");
        let sha256 = told["sha256"].as_str().expect("a digest").to_owned();
        Taken { notification: told["notification"].take(), sha256 }
    }

    /// The topic says this, whoever said it.
    pub fn publish(&self, message: &str) {
        sns(self.others, &[("Action", "Publish"), ("TopicArn", &self.topic_arn), ("Message", message)]);
    }

    /// Past the topic, straight into the queue.
    pub fn put(&self, body: &str) {
        sqs(self.others, "SendMessage", &json!({ "QueueUrl": self.queue, "MessageBody": body }));
    }

    /// What lies among the dead letters.
    pub fn dead(&self) -> u64 {
        count(self.others, &self.dead_letters, "ApproximateNumberOfMessages")
    }

    /// Nothing waits in the queue, and nothing is held.
    pub fn is_drained(&self) -> bool {
        let of = |name| count(self.others, &self.queue, name);
        of("ApproximateNumberOfMessages") + of("ApproximateNumberOfMessagesNotVisible") == 0
    }

    /// Puts the dead letters back, as an operator does when the cause is mended.
    pub fn redrive(&self) {
        let asked = json!({ "QueueUrl": self.dead_letters, "MaxNumberOfMessages": 10 });
        let received = sqs(self.others, "ReceiveMessage", &asked);
        for letter in received["Messages"].as_array().into_iter().flatten() {
            self.put(letter["Body"].as_str().expect("a body"));
            let handle = &letter["ReceiptHandle"];
            sqs(self.others, "DeleteMessage", &json!({ "QueueUrl": self.dead_letters, "ReceiptHandle": handle }));
        }
    }

    /// Another rule of the queue: so many tries.
    pub fn tries(&self, most: u32) {
        let name = self.dead_letters.rsplit('/').next().expect("a name");
        let rule = json!({ "deadLetterTargetArn": arn("sqs", name), "maxReceiveCount": most }).to_string();
        sqs(self.others, "SetQueueAttributes", &json!({ "QueueUrl": self.queue, "Attributes": { "RedrivePolicy": rule } }));
    }

    /// The queue's own rule, gone.
    pub fn without_dead_letters(&self) {
        let asked = json!({ "QueueUrl": self.queue, "Attributes": { "RedrivePolicy": "" } });
        sqs(self.others, "SetQueueAttributes", &asked);
    }

    pub fn objects(&self) -> Vec<String> {
        self.s3.objects(&self.bucket)
    }

    /// What the bucket's lifecycle does after its days.
    pub fn expire(&self, key: &str) {
        self.s3.ask("DELETE", &format!("/{}/{key}", self.bucket), &[], "");
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn say(client: &mut Client, line: &str, code: &str) {
    client.try_send(format!("{line}\r\n").as_bytes()).expect("sent");
    hear(client, code);
}

fn hear(client: &mut Client, code: &str) {
    let line = client.try_reply().expect("an answer");
    assert!(line.starts_with(code), "{line}");
}

fn python() -> Option<PathBuf> {
    let python = PathBuf::from(std::env::var_os("HOME")?).join(".cache/bonded/venv/bin/python");
    let there = Command::new(&python).args(["-c", "import aiosmtpd"]).output().is_ok_and(|output| output.status.success());
    if !there {
        println!("skipped: aiosmtpd is not installed (tests/setup.sh)");
    }
    there.then_some(python)
}

fn arn(service: &str, name: &str) -> String {
    format!("arn:aws:{service}:{REGION}:000000000000:{name}")
}

/// Emulators tell services apart by the scope of a signature, which they do not look at.
fn scope(service: &str) -> String {
    format!(
        "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

fn sqs(aws: &PrivateAws, operation: &str, body: &Value) -> Value {
    let headers = [&scope("sqs"), &format!("X-Amz-Target: AmazonSQS.{operation}"), "Content-Type: application/x-amz-json-1.0"];
    let answer = aws.ask("POST", "/", &headers, &body.to_string());
    let body = answer.split_once("\r\n\r\n").expect("an answer has a body").1;
    if body.is_empty() { Value::Null } else { serde_json::from_str(body).expect("JSON") }
}

fn sns(aws: &PrivateAws, form: &[(&str, &str)]) {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(form).append_pair("Version", "2010-03-31");
    aws.ask("POST", "/", &[&scope("sns"), "Content-Type: application/x-www-form-urlencoded"], &text.finish());
}

fn count(aws: &PrivateAws, queue: &str, attribute: &str) -> u64 {
    let kept = sqs(aws, "GetQueueAttributes", &json!({ "QueueUrl": queue, "AttributeNames": [attribute] }));
    kept["Attributes"][attribute].as_str().and_then(|count| count.parse().ok()).expect("a count")
}
