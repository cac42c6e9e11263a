//! What a hostile, broken or slow client gets.

use super::*;

#[tokio::test]
async fn no_second_message_is_smuggled_into_the_first() {
    let server = Running::plain(Kind::Smtp, limits()).await;
    let inner = format!("MAIL FROM:<forged@sender.example>\r\nRCPT TO:<{THEIRS}>\r\nDATA\r\nforged\r\n");
    for end in ["\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\r\n.\r\r\n", "\r\n.\0\r\n", "\r\n\0.\r\n"] {
        let mut client = server.known().await;
        client.begin(OURS).await;
        client.send(format!("before{end}{inner}\r\n.\r\n")).await;
        assert_eq!(client.reply().await, "250 2.0.0 kept", "{end:?}");
        client.expect("QUIT", "221").await;
        let kept = server.kept();
        assert!(kept.iter().all(|one| one.key == "in-lantern"), "{end:?}: a message for another was made");
        let text = String::from_utf8(kept.last().unwrap().bytes.clone()).unwrap();
        assert!(text.starts_with("before") && text.contains("forged@sender.example"), "{end:?}: {text:?}");
    }
    assert_eq!(server.kept().len(), 9, "one message each");
}

#[tokio::test]
async fn what_is_sent_in_the_clear_behind_starttls_is_forgotten() {
    let server = Running::start(Kind::Smtp, limits(), false).await;
    let mut client = server.known().await;
    client.send(format!("STARTTLS\r\nMAIL FROM:<forged@sender.example>\r\nRCPT TO:<{OURS}>\r\n")).await;
    assert!(client.reply().await.starts_with("220"));
    let mut client = server.secured(client.socket).await;
    // The first answer is to the first command inside of TLS: nothing before it was heard.
    client.expect(&format!("RCPT TO:<{OURS}>"), "503").await;
    client.expect("EHLO sender.example", "250").await;
    client.expect(&format!("RCPT TO:<{OURS}>"), "503").await;
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_data_is_cut() {
    let server = Running::plain(Kind::Smtp, limits()).await;
    let mut client = server.known().await;
    client.expect("MAIL FROM:<ace@sender.example>", "250").await;
    client.expect("RCPT TO:<nobody@reports.example>", "550").await;
    client.send(format!("DATA\r\nMAIL FROM:<forged@sender.example>\r\nRCPT TO:<{OURS}>\r\n")).await;
    assert!(client.reply().await.starts_with("554 5.5.0"));
    assert!(client.hung_up().await);
}

#[tokio::test]
async fn a_message_that_breaks_off_is_no_message() {
    let server = Running::plain(Kind::Smtp, limits()).await;
    let mut abrupt = server.known().await;
    abrupt.begin(OURS).await;
    abrupt.send("half\r\n").await;
    drop(abrupt);
    until("the first broke off", || server.broken() == 1).await;

    let mut half_closed = server.known().await;
    half_closed.begin(OURS).await;
    half_closed.send("half\r\n.").await;
    half_closed.socket.shutdown().await.unwrap();
    assert!(half_closed.hung_up().await, "there is nothing to answer");
    until("the second broke off", || server.broken() == 2).await;

    let mut chunked = server.known().await;
    chunked.expect("MAIL FROM:<ace@sender.example>", "250").await;
    chunked.expect(&format!("RCPT TO:<{OURS}>"), "250").await;
    chunked.send("BDAT 4\r\nhalf").await;
    assert!(chunked.reply().await.starts_with("250"));
    chunked.expect("RSET", "250").await;
    until("the third was taken back", || server.broken() == 3).await;
    assert_eq!(server.kept(), []);

    // A client that sent all of it and went away at once: it was told to be whole, so it is kept.
    let mut gone = server.known().await;
    gone.begin(OURS).await;
    gone.send("whole\r\n.\r\n").await;
    gone.socket.shutdown().await.unwrap();
    assert_eq!(gone.reply().await, "250 2.0.0 kept");
    assert_eq!(server.kept().len(), 1);
}

#[tokio::test]
async fn errors_guesses_and_commands_have_an_end() {
    let server = Running::plain(Kind::Smtp, Limits { commands_max: 20, ..limits() }).await;
    let mut wrong = server.known().await;
    for _ in 0..4 {
        wrong.expect("XYZZY", "500").await;
    }
    wrong.expect("XYZZY", "500").await;
    assert!(wrong.reply().await.starts_with("421 4.7.0 too many errors"));
    assert!(wrong.hung_up().await);

    let mut guessing = server.known().await;
    guessing.expect("MAIL FROM:<ace@sender.example>", "250").await;
    for guess in ["in-x@elsewhere.example", "<postmaster", "in-@", "postmaster"] {
        let answer = guessing.ask(&format!("RCPT TO:<{guess}>")).await;
        match answer.as_str() {
            "" => break,
            answer => {
                assert!(answer.starts_with("550 5.1.1 no such recipient here") || answer.starts_with("421"), "{guess}: {answer}")
            }
        }
    }

    let mut busy = server.known().await;
    for _ in 0..19 {
        busy.expect("NOOP", "250").await;
    }
    busy.expect("NOOP", "421 4.7.0 too many commands").await;
    assert!(busy.hung_up().await);
}

#[tokio::test]
async fn a_line_has_a_length_and_an_end() {
    let server = Running::plain(Kind::Smtp, limits()).await;
    let mut client = server.known().await;
    client.expect(&format!("NOOP {}", "x".repeat(3000)), "500 5.5.6").await;
    client.send("NOOP\nNOOP\r\n").await;
    assert!(client.reply().await.starts_with("500 5.5.2"), "an LF alone ends no command");
    assert!(client.reply().await.starts_with("250"));
    client.send("NOOP a\rb\r\n").await;
    assert!(client.reply().await.starts_with("500 5.5.2"));
    // A line without an end is not read for ever.
    client.send("x".repeat(100_000)).await;
    client.reply().await;
    assert!(client.hung_up().await);
}

#[tokio::test]
async fn a_silent_client_and_a_slow_one_are_cut() {
    let quick = Limits {
        command_time: Duration::from_millis(100),
        data_time: Duration::from_millis(100),
        bytes_per_second_min: 10_000,
        ..limits()
    };
    let server = Running::plain(Kind::Smtp, quick).await;
    let mut silent = server.client().await;
    assert!(silent.reply().await.starts_with("421 4.4.2"));
    assert!(silent.hung_up().await);

    let mut paused = server.known().await;
    paused.begin(OURS).await;
    paused.send("half\r\n").await;
    assert!(paused.reply().await.starts_with("421 4.4.2"));

    // Never silent for as long as it may be, and yet too slow: some bytes a second.
    let mut slow = server.known().await;
    slow.begin(OURS).await;
    let mut sent = 0;
    while slow.socket.write_all(b"x\r\n").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        sent += 1;
        assert!(sent < 500, "it is never cut");
    }
    until("both broke off", || server.broken() == 2).await;
    assert_eq!(server.kept(), []);
}

#[tokio::test]
async fn connections_are_counted_in_all_and_by_network() {
    let server = Running::plain(Kind::Smtp, Limits { peer_connections_max: 2, ..limits() }).await;
    let (first, _second) = (server.client().await, server.client().await);
    let mut third = server.silent().await;
    assert!(third.reply().await.starts_with("421 4.7.0 too many connections"));
    assert!(third.hung_up().await);
    drop(first);
    for attempt in 0.. {
        assert!(attempt < 200, "the seat was not given back");
        if server.silent().await.reply().await.starts_with("220") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let network = |text: &str| super::super::network(text.parse().unwrap());
    assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"), "one subscriber");
    assert_ne!(network("2001:db8:0:1::1"), network("2001:db8::1"));
    assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
}

#[tokio::test]
async fn one_owners_messages_do_not_keep_anothers_waiting() {
    let tight = Limits { landings_max: 2, group_landings_max: 1, data_time: Duration::from_millis(300), ..limits() };
    let server = Running::plain(Kind::Smtp, Limits { bytes_per_second_min: 0, ..tight }).await;
    let mut first = server.known().await;
    first.begin(OURS).await;
    // It goes on, so that its place stays taken.
    let first = tokio::spawn(async move {
        while first.socket.write_all(b"x\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut second = server.known().await;
    second.expect("MAIL FROM:<ace@sender.example>", "250").await;
    second.expect(&format!("RCPT TO:<{OURS}>"), "250").await;
    second.send("DATA\r\n").await;
    let mut other = server.known().await;
    other.begin(THEIRS).await;
    other.send(".\r\n").await;
    assert_eq!(other.reply().await, "250 2.0.0 kept");
    assert!(second.reply().await.starts_with("451 4.3.2"), "its own are all taken: it comes again");
    first.abort();
}
