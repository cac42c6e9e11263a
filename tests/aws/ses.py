"""Stands in for Amazon SES on this machine: takes mail by SMTP as its receipt rule does, puts each into a bucket, says so on a topic.

    ses.py DOMAIN S3-ENDPOINT BUCKET PREFIX SNS-ENDPOINT TOPIC-ARN

Bucket and topic are emulators'. What it writes above a mail, and what it says of it, is as AWS documents and shows it. It finds
malware where EICAR's test file is, and no proof of a sender at forger.example. First line out: the port. Then a line a mail: its
notification, as JSON. Ends with its standard input. Needs aiosmtpd (tests/setup.sh).
"""

import asyncio
import email.utils
import hashlib
import json
import secrets
import string
import sys
import urllib.parse
import urllib.request
from datetime import datetime, timezone

from aiosmtpd.smtp import SMTP

DOMAIN, S3, BUCKET, PREFIX, SNS, TOPIC = sys.argv[1:]
MAIL_BYTES_MAX = 40 << 20
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!"


def send(method, url, body, **headers):
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def publish(message):
    form = {"Action": "Publish", "Version": "2010-03-31", "TopicArn": TOPIC, "Subject": "Amazon SES Email Receipt Notification",
            "Message": message}
    region = TOPIC.split(":")[3]
    signed = f"AWS4-HMAC-SHA256 Credential=test/20260101/{region}/sns/aws4_request, SignedHeaders=host, Signature=0"
    send("POST", f"{SNS}/", urllib.parse.urlencode(form).encode(), **{
        "Content-Type": "application/x-www-form-urlencoded", "Authorization": signed,
    })


def take(sender, recipients, helo, content):
    now = datetime.now(timezone.utc)
    id = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(40))
    _, _, domain = sender.rpartition("@")
    good = "fail" if domain == "forger.example" else "pass"
    virus = "FAIL" if EICAR in content else "PASS"
    _, of = email.utils.parseaddr(next((l[5:].decode("latin-1").strip() for l in content.split(b"\r\n") if l[:5].lower() == b"from:"), ""))
    of = of.rpartition("@")[2]
    head = (
        f"Return-Path: <{sender}>\r\n"
        f"Received: from {helo} ({helo} [192.0.2.7])\r\n by inbound-smtp.us-east-1.amazonaws.com with SMTP id {id}\r\n"
        f" for {recipients[0]};\r\n {email.utils.format_datetime(now)} (UTC)\r\n"
        f"X-SES-Spam-Verdict: PASS\r\nX-SES-Virus-Verdict: {virus}\r\n"
        f"Received-SPF: {good} (spfCheck: domain of {domain}) client-ip=192.0.2.7; envelope-from={sender}; helo={helo};\r\n"
        f"Authentication-Results: amazonses.com;\r\n spf={good} (spfCheck: domain of {domain}) client-ip=192.0.2.7; envelope-from={sender};"
        f" helo={helo};\r\n dkim={good} header.i=@{of};\r\n dmarc={good} header.from={of};\r\n"
    ).encode()
    stored = head + content
    send("PUT", f"{S3}/{BUCKET}/{PREFIX}{id}", stored, **{"Content-Type": "application/octet-stream"})
    status = lambda word: {"status": word.upper()}
    stamp = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03}Z"
    notification = {
        "notificationType": "Received",
        "mail": {
            "timestamp": stamp, "source": sender, "messageId": id, "destination": recipients, "headersTruncated": False,
            "headers": [{"name": "Return-Path", "value": f"<{sender}>"}],
            "commonHeaders": {"returnPath": sender, "subject": "as the mail has it"},
        },
        "receipt": {
            "timestamp": stamp, "processingTimeMillis": 222, "recipients": recipients,
            "spamVerdict": status("pass"), "virusVerdict": status(virus),
            "spfVerdict": status(good), "dkimVerdict": status(good), "dmarcVerdict": status(good),
            **({"dmarcPolicy": "reject"} if good == "fail" else {}),
            "action": {"type": "S3", "topicArn": TOPIC, "bucketName": BUCKET, "objectKeyPrefix": PREFIX, "objectKey": PREFIX + id},
        },
    }
    told = json.dumps(notification)
    publish(told)
    print(json.dumps({"notification": notification, "sha256": hashlib.sha256(stored).hexdigest()}), flush=True)


class Rule:
    """Every address of the domain is taken, for SES knows no other."""

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.rpartition("@")[2].lower() != DOMAIN:
            return "550 5.1.1 Requested action not taken: mailbox unavailable"
        envelope.rcpt_tos.append(address)
        return "250 Ok"

    async def handle_DATA(self, server, session, envelope):
        arguments = (envelope.mail_from or "", envelope.rcpt_tos, session.host_name, envelope.original_content)
        await asyncio.get_running_loop().run_in_executor(None, take, *arguments)
        return "250 OK"


async def main():
    loop = asyncio.get_running_loop()
    rule = Rule()
    make = lambda: SMTP(rule, data_size_limit=MAIL_BYTES_MAX, enable_SMTPUTF8=False, hostname="inbound-smtp.us-east-1.amazonaws.com")
    server = await loop.create_server(make, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main())
