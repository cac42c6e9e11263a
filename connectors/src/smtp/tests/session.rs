//! What a well-behaved client gets.

use super::*;

#[tokio::test]
async fn a_message_is_kept_to_the_byte_with_its_envelope() {
    let server = Running::plain(Kind::Smtp, limits()).await;
    let mut client = server.client().await;
    let hello = client.ask("EHLO sender.example").await;
    for keyword in ["SIZE 1048576", "PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8", "STARTTLS", "ENHANCEDSTATUSCODES"] {
        assert!(hello.contains(keyword), "{hello}");
    }
    assert!(!hello.contains("AUTH"), "{hello}");
    client.expect("MAIL FROM:<ace@sender.example> SIZE=100 BODY=8BITMIME", "250 2.1.0").await;
    client.expect(&format!("RCPT TO:<{OURS}>"), "250 2.1.5").await;
    client.expect("DATA", "354").await;
    client.send("Subject: r\u{e9}port\r\n\r\n..dotted\r\nbare\nline\r\n.\r\n").await;
    assert_eq!(client.reply().await, "250 2.0.0 kept");
    client.expect("QUIT", "221").await;
    assert!(client.hung_up().await);
    let kept = server.kept();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].bytes, "Subject: r\u{e9}port\r\n\r\n.dotted\r\nbare\nline\r\n".as_bytes());
    assert_eq!(
        kept[0].envelope,
        Envelope {
            identifier: String::new(),
            peer: Some("127.0.0.1".parse().unwrap()),
            helo: Some("sender.example".into()),
            mail_from: Some("ace@sender.example".into()),
            tls: None,
            service: None,
        }
    );
}

#[tokio::test]
async fn commands_that_come_at_once_are_answered_in_order() {
    let server = Running::plain(Kind::Smtp, limits()).await;
    let mut client = server.known().await;
    client
        .send(format!("MAIL FROM:<>\r\nRCPT TO:<{OURS}>\r\nRCPT TO:<nobody@reports.example>\r\nRCPT TO:<{THEIRS}>\r\nDATA\r\n"))
        .await;
    let mut codes = Vec::new();
    for _ in 0..5 {
        codes.push(client.reply().await[..3].to_owned());
    }
    assert_eq!(codes, ["250", "250", "550", "250", "354"]);
    // The next transaction rides along with the end of this one.
    client.send(format!("one\r\n.\r\nMAIL FROM:<a@sender.example>\r\nRCPT TO:<{OURS}>\r\nNOOP\r\n")).await;
    for begins in ["250 2.0.0 kept", "250 2.1.0", "250 2.1.5", "250 2.0.0 ok"] {
        assert!(client.reply().await.starts_with(begins));
    }
    let kept = server.kept();
    assert_eq!(kept.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["in-lantern", "in-kettle"]);
    assert_eq!(kept[0].envelope.mail_from.as_deref(), Some(""), "a bounce");
}

#[tokio::test]
async fn chunks_make_one_message_and_no_byte_in_them_is_a_command() {
    let server = Running::plain(Kind::Smtp, limits()).await;
    let mut client = server.known().await;
    client.expect("MAIL FROM:<ace@sender.example>", "250").await;
    client.expect(&format!("RCPT TO:<{OURS}>"), "250").await;
    client.send("BDAT 9\r\nQUIT\r\n.\r\n").await;
    assert!(client.reply().await.starts_with("250"));
    client.expect("DATA", "503").await;
    client.expect("MAIL FROM:<other@sender.example>", "503").await;
    client.send("BDAT 3\r\nabcBDAT 0 LAST\r\n").await;
    assert!(client.reply().await.starts_with("250"));
    assert_eq!(client.reply().await, "250 2.0.0 kept");
    assert_eq!(server.kept()[0].bytes, b"QUIT\r\n.\r\nabc");
    // A chunk for nobody is skipped, not read as commands.
    client.send("BDAT 6 LAST\r\nQUIT\r\n").await;
    assert!(client.reply().await.starts_with("503"));
    client.expect("NOOP", "250").await;
    assert_eq!(server.kept().len(), 1);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_before_or_after_it_came() {
    let server = Running::plain(Kind::Smtp, Limits { message_bytes_max: 100_000, ..limits() }).await;
    let mut client = server.known().await;
    client.expect("MAIL FROM:<ace@sender.example> SIZE=100001", "552 5.3.4").await;
    client.begin(OURS).await;
    let line = format!("{}\r\n", "x".repeat(998));
    client.send(line.repeat(101) + ".\r\n").await;
    assert!(client.reply().await.starts_with("552 5.3.4"));
    client.expect("MAIL FROM:<ace@sender.example> SIZE=100000", "250").await;
    client.expect(&format!("RCPT TO:<{OURS}>"), "250").await;
    client.send(b"BDAT 100001 LAST\r\n").await;
    client.send("y".repeat(100_001)).await;
    assert!(client.reply().await.starts_with("552 5.3.4"));
    assert_eq!(server.kept(), []);
    until("both broke off for the postbox", || server.broken() == 2).await;
    client.begin(OURS).await;
    client.send(line.repeat(100) + ".\r\n").await;
    assert_eq!(client.reply().await, "250 2.0.0 kept", "exactly as large as may be");
    // One without an end is not waited for.
    client.begin(OURS).await;
    client.send(line.repeat(300)).await;
    assert!(client.reply().await.starts_with("552 5.3.4"));
    assert!(client.hung_up().await);
}

#[tokio::test]
async fn tls_is_put_over_the_connection_and_may_be_required() {
    let server = Running::start(Kind::Smtp, limits(), true).await;
    let mut client = server.known().await;
    client.expect("MAIL FROM:<ace@sender.example>", "530 5.7.0").await;
    client.send("BDAT 6 LAST\r\nQUIT\r\n").await;
    assert!(client.reply().await.starts_with("530"), "and its bytes are no commands");
    client.expect("STARTTLS", "220").await;
    let mut client = server.secured(client.socket).await;
    client.expect("MAIL FROM:<ace@sender.example>", "503").await;
    let hello = client.ask("EHLO sender.example").await;
    assert!(hello.starts_with("250-mx") && !hello.contains("STARTTLS"), "{hello}");
    client.expect("STARTTLS", "503").await;
    client.begin(OURS).await;
    client.send("in secret\r\n.\r\n").await;
    assert_eq!(client.reply().await, "250 2.0.0 kept");
    assert_eq!(server.kept()[0].envelope.tls.as_deref(), Some("TLSv1_3 TLS13_AES_256_GCM_SHA384"));
}

#[tokio::test]
async fn tls_from_the_first_byte_and_a_certificate_that_was_replaced() {
    let server = Running::start(Kind::Smtps, limits(), true).await;
    let socket = TcpStream::connect(server.address).await.unwrap();
    let mut client = server.secured(socket).await;
    assert!(client.reply().await.starts_with("220"));
    client.expect("EHLO sender.example", "250").await;
    client.begin(OURS).await;
    client.send(".\r\n").await;
    assert_eq!(client.reply().await, "250 2.0.0 kept");
    assert_eq!(server.kept()[0].bytes, b"", "an empty message is one");
    let (pem, key) = (server.folder.path().join("other.pem"), server.folder.path().join("other.key"));
    tls::make_development_certificate(&pem, &key, crate::clock::SystemClock.now()).unwrap();
    let certificate = Certificate::read(&pem, &key).unwrap();
    std::fs::write(&pem, "broken").unwrap();
    assert!(!certificate.take_up(), "what does not read changes nothing");
    certificate.acceptor();
}

#[tokio::test]
async fn addresses_in_utf_8_are_taken_as_senders() {
    let server = Running::plain(Kind::Smtp, limits()).await;
    let mut client = server.known().await;
    client.expect("MAIL FROM:<büro@käse.example> SMTPUTF8", "250").await;
    client.expect("RCPT TO:<niemand@käse.example>", "550").await;
    client.expect(&format!("RCPT TO:<{OURS}>"), "250").await;
    client.expect("DATA", "354").await;
    client.send("x\r\n.\r\n").await;
    assert_eq!(client.reply().await, "250 2.0.0 kept");
    assert_eq!(server.kept()[0].envelope.mail_from.as_deref(), Some("büro@käse.example"));
}

#[tokio::test]
async fn nothing_is_told_given_out_or_relayed() {
    let server = Running::plain(Kind::Smtp, Limits { errors_max: 50, ..limits() }).await;
    let mut client = server.known().await;
    client.expect("VRFY in-lantern", "252").await;
    client.expect("VRFY nobody", "252").await;
    for refused in ["EXPN all", "AUTH PLAIN AGEAYg==", "ETRN reports.example", "BURL imap://elsewhere.example LAST"] {
        client.expect(refused, "50").await;
    }
    client.expect("LHLO sender.example", "500").await;
    client.expect("MAIL FROM:<ace@sender.example> BODY=BINARYMIME", "555").await;
    client.expect("MAIL FROM:<ace@sender.example> RET=FULL", "555").await;
    client.expect("MAIL FROM:<ace@sender.example>", "250").await;
    client.expect("MAIL FROM:<again@sender.example>", "503").await;
    client.expect("DATA", "503").await;
    client.expect("RCPT TO:<somebody@elsewhere.example>", "550 5.1.1").await;
    client.expect(&format!("RCPT TO:<{OURS}> NOTIFY=SUCCESS"), "555").await;
    client.expect("RCPT TO:<later@reports.example>", "451").await;
    client.expect("DATA", "503").await;
    client.expect("RSET", "250").await;
    client.expect(&format!("RCPT TO:<{OURS}>"), "503").await;
}

#[tokio::test]
async fn one_recipient_that_fails_sends_the_whole_message_back_by_smtp() {
    let server = Running::plain(Kind::Smtp, limits()).await;
    server.postbox.instead.lock().unwrap().insert("in-kettle".into(), Outcome::Later);
    let mut client = server.known().await;
    client.expect("MAIL FROM:<ace@sender.example>", "250").await;
    client.expect(&format!("RCPT TO:<{OURS}>"), "250").await;
    client.expect(&format!("RCPT TO:<{THEIRS}>"), "250").await;
    client.expect("RCPT TO:<in-third@reports.example>", "452 4.5.3").await;
    client.expect("DATA", "354").await;
    client.send("x\r\n.\r\n").await;
    assert!(client.reply().await.starts_with("451 4.3.0"));
    assert_eq!(server.kept().len(), 1);
}

#[tokio::test]
async fn lmtp_answers_for_each_recipient() {
    let server = Running::plain(Kind::Lmtp, limits()).await;
    server.postbox.instead.lock().unwrap().insert("in-kettle".into(), Outcome::Later);
    let mut client = server.client().await;
    client.expect("EHLO mta.example", "500").await;
    client.expect("LHLO mta.example", "250").await;
    client.begin(OURS).await;
    client.send(".\r\n").await;
    assert_eq!(client.reply().await, "250 2.0.0 kept");
    client.expect("MAIL FROM:<ace@sender.example>", "250").await;
    for recipient in [OURS, THEIRS, "in-lantern+two@reports.example"] {
        client.expect(&format!("RCPT TO:<{recipient}>"), "250").await;
    }
    client.expect("DATA", "354").await;
    client.send("x\r\n.\r\n").await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(client.reply().await[..3].to_owned());
    }
    assert_eq!(codes, ["250", "451", "250"]);
}

#[tokio::test]
async fn a_stop_lets_a_message_end_and_sends_the_idle_away() {
    let server = Running::plain(Kind::Smtp, limits()).await;
    let mut idle = server.known().await;
    let mut busy = server.known().await;
    busy.begin(OURS).await;
    busy.send("first\r\n").await;
    server.stop.send(true).unwrap();
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    busy.send("last\r\n.\r\n").await;
    assert_eq!(busy.reply().await, "250 2.0.0 kept");
    assert!(busy.reply().await.starts_with("421"));
    tokio::time::timeout(PATIENCE, server.serving).await.expect("it ends").unwrap();
    assert_eq!(server.postbox.kept.lock().unwrap()[0].bytes, b"first\r\nlast\r\n");
}
