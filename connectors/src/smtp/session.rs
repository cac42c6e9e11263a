//! One connection, as the commands of RFC 5321 (SMTP), RFC 2033 (LMTP), RFC 3030 (BDAT) and RFC 3207 (STARTTLS).
//! Promise: what was sent in the clear before TLS is forgotten with it; a command in the wrong place is refused; who makes
//! too many errors, or guesses recipients, is cut.
//! Never: a message is taken that has no recipient of ours; 250 is answered before the postbox said that it is kept.

use std::{net::IpAddr, sync::Arc};

use smtp_proto::{Error as Unreadable, MAIL_BODY_7BIT, MAIL_BODY_8BITMIME, MAIL_SMTPUTF8, MailFrom, RcptTo, Request};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    Admission, Kind, Mailbox, reply,
    server::Server,
    transaction::Message,
    wire::{Cut, Line, Socket, Wire},
};

mod message;

/// Of what a client says of itself and of the sender, kept with the message.
const NAME_CHARS_MAX: usize = 320;

pub(super) struct Session {
    server: Arc<Server>,
    wire: Wire,
    kind: Kind,
    peer: Option<IpAddr>,
    tls: Option<String>,
    counted: Counted,
    helo: Option<String>,
    sender: Option<String>,
    recipients: Vec<Mailbox>,
    /// BDAT began, and its last chunk did not come yet.
    chunks: Option<Message>,
}

/// What outlives the change to TLS.
#[derive(Clone, Copy, Default)]
struct Counted {
    commands: u32,
    errors: u32,
    refused: u32,
}

enum Next {
    Bye,
    Tls,
}

impl Session {
    pub async fn run(
        server: Arc<Server>,
        socket: Box<dyn Socket>,
        peer: Option<IpAddr>,
        kind: Kind,
        mut stop: watch::Receiver<bool>,
    ) {
        let ends_at = Instant::now() + server.limits.session_time;
        let mut counted = Counted::default();
        let (mut socket, mut tls) = (socket, None);
        let mut shakes_hands = kind == Kind::Smtps;
        let mut greets = true;
        loop {
            if shakes_hands {
                let Some((secured, how)) = handshake(&server, socket).await else { return };
                (socket, tls) = (secured, Some(how));
            }
            let mut session = Session {
                server: server.clone(),
                wire: Wire::new(socket, ends_at),
                kind,
                peer,
                tls: tls.clone(),
                counted,
                helo: None,
                sender: None,
                recipients: Vec::new(),
                chunks: None,
            };
            if greets {
                let protocol = if kind == Kind::Lmtp { "LMTP" } else { "ESMTP" };
                session.wire.answer(&format!("220 {} {protocol}", server.name));
                greets = false;
            }
            match session.talk(&mut stop).await {
                Ok(Next::Tls) => {
                    counted = session.counted;
                    socket = session.wire.into_socket();
                    shakes_hands = true;
                }
                Ok(Next::Bye) => return session.wire.close(server.limits.greeting_time).await,
                Err(cut) => {
                    let last_word = match cut {
                        Cut::TooSlow => reply::TOO_SLOW,
                        Cut::Stopping => reply::STOPPING,
                        Cut::Gone => return,
                        Cut::Told => return session.wire.close(server.limits.greeting_time).await,
                    };
                    session.wire.answer(last_word);
                    return session.wire.close(server.limits.greeting_time).await;
                }
            }
        }
    }

    async fn talk(&mut self, stop: &mut watch::Receiver<bool>) -> Result<Next, Cut> {
        let limits = self.server.limits.clone();
        loop {
            if self.wire.is_full() {
                self.wire.flush(limits.command_time).await?;
            }
            let line = tokio::select! {
                line = self.wire.line(limits.line_bytes_max, limits.command_time) => line?,
                // An error means that nobody is left who could ask for a stop.
                _ = stop.wait_for(|stop| *stop) => return Err(Cut::Stopping),
            };
            self.counted.commands += 1;
            if self.counted.commands > limits.commands_max {
                return self.cut(reply::TOO_MANY_COMMANDS);
            }
            let mut line = match line {
                Line::Whole(line) if line.iter().any(|byte| matches!(byte, b'\r' | 0)) => {
                    self.error(reply::BARE_NEWLINE)?;
                    continue;
                }
                Line::Whole(line) => line,
                Line::TooLong => {
                    self.error(reply::LINE_TOO_LONG)?;
                    continue;
                }
                Line::Bare => {
                    self.error(reply::BARE_NEWLINE)?;
                    continue;
                }
            };
            line.extend_from_slice(b"\r\n");
            match Request::parse(&mut line.iter()) {
                Ok(Request::Quit) => {
                    self.wire.answer(reply::BYE);
                    return Ok(Next::Bye);
                }
                Ok(Request::StartTls) => {
                    if self.may_start_tls()? {
                        self.wire.answer(reply::READY_FOR_TLS);
                        self.wire.flush(limits.command_time).await?;
                        return Ok(Next::Tls);
                    }
                }
                Ok(request) => self.answer(request.into_owned()).await?,
                Err(unreadable) => self.unreadable(&unreadable)?,
            }
        }
    }

    fn may_start_tls(&mut self) -> Result<bool, Cut> {
        match (self.kind, &self.tls, &self.server.certificate) {
            (Kind::Smtp, None, Some(_)) => Ok(true),
            (_, Some(_), _) => self.error(reply::TLS_TWICE).map(|()| false),
            _ => self.error(reply::NOT_SERVED).map(|()| false),
        }
    }

    async fn answer(&mut self, request: Request<String>) -> Result<(), Cut> {
        let is_hello =
            matches!(request, Request::Ehlo { .. } | Request::Helo { .. } | Request::Lhlo { .. } | Request::Noop { .. });
        if self.owes_tls() && !is_hello {
            if let Request::Bdat { chunk_size, .. } = request {
                self.skip(chunk_size).await?;
            }
            return self.error(reply::TLS_FIRST);
        }
        if self.chunks.is_some() && !matches!(request, Request::Bdat { .. } | Request::Rset | Request::Noop { .. }) {
            return self.error(reply::CHUNKS_BEGAN);
        }
        match request {
            Request::Ehlo { host } if self.kind != Kind::Lmtp => self.hello(&host, true),
            Request::Lhlo { host } if self.kind == Kind::Lmtp => self.hello(&host, true),
            Request::Helo { host } if self.kind != Kind::Lmtp => self.hello(&host, false),
            Request::Mail { from } => self.sender(from)?,
            Request::Rcpt { to } => self.recipient(to).await?,
            Request::Data => self.data().await?,
            Request::Bdat { chunk_size, is_last } => self.chunk(chunk_size, is_last).await?,
            Request::Rset => {
                self.forget();
                self.wire.answer(reply::OK);
            }
            Request::Noop { .. } => self.wire.answer(reply::OK),
            Request::Help { .. } => self.wire.answer(reply::HELP),
            Request::Vrfy { .. } => self.wire.answer(reply::CANNOT_VERIFY),
            Request::Ehlo { .. } | Request::Lhlo { .. } | Request::Helo { .. } => self.error(reply::UNKNOWN)?,
            // BURL would fetch from elsewhere, ETRN and ATRN give out; there is nobody to sign in.
            Request::Expn { .. }
            | Request::Auth { .. }
            | Request::Etrn { .. }
            | Request::Atrn { .. }
            | Request::Burl { .. }
            | Request::StartTls
            | Request::Quit => self.error(reply::NOT_SERVED)?,
        }
        Ok(())
    }

    fn owes_tls(&self) -> bool {
        self.kind == Kind::Smtp && self.server.tls_required && self.tls.is_none()
    }

    fn hello(&mut self, host: &str, extended: bool) {
        self.forget();
        self.helo = Some(told(host));
        let name = self.server.name.clone();
        if !extended {
            return self.wire.answer(&format!("250 {name}"));
        }
        self.wire.answer(&format!("250-{name}"));
        self.wire.answer(&format!("250-SIZE {}", self.server.limits.message_bytes_max));
        for keyword in ["PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8"] {
            self.wire.answer(&format!("250-{keyword}"));
        }
        if self.kind == Kind::Smtp && self.tls.is_none() && self.server.certificate.is_some() {
            self.wire.answer("250-STARTTLS");
        }
        self.wire.answer("250 ENHANCEDSTATUSCODES");
    }

    fn sender(&mut self, from: MailFrom<String>) -> Result<(), Cut> {
        if self.helo.is_none() {
            return self.error(reply::HELLO_FIRST);
        }
        if self.sender.is_some() {
            return self.error(reply::SENDER_TWICE);
        }
        let served = MAIL_BODY_7BIT | MAIL_BODY_8BITMIME | MAIL_SMTPUTF8;
        let asks_more = from.flags & !served != 0
            || from.trans_id.is_some()
            || from.env_id.is_some()
            || from.solicit.is_some()
            || from.mtrk.is_some()
            || from.auth.is_some()
            || (from.by, from.hold_for, from.hold_until, from.mt_priority) != (0, 0, 0, 0);
        if asks_more {
            return self.error(reply::PARAMETER);
        }
        if from.size as u64 > self.server.limits.message_bytes_max {
            self.wire.answer(reply::TOO_LARGE);
            return Ok(());
        }
        self.sender = Some(told(&from.address));
        self.wire.answer(reply::SENDER_OK);
        Ok(())
    }

    async fn recipient(&mut self, to: RcptTo<String>) -> Result<(), Cut> {
        if self.sender.is_none() {
            return self.error(reply::SENDER_FIRST);
        }
        if to.flags != 0 || to.orcpt.is_some() || to.rrvs != 0 {
            return self.error(reply::PARAMETER);
        }
        if self.recipients.len() >= self.server.limits.recipients_max {
            self.wire.answer(reply::RECIPIENTS_MAX);
            return Ok(());
        }
        match self.server.postbox.recipient(self.peer, &to.address).await {
            Admission::Accept(mailbox) => {
                let mut groups: Vec<&str> = self.recipients.iter().map(|known| known.group.as_str()).collect();
                groups.sort_unstable();
                groups.dedup();
                let is_new = !groups.contains(&mailbox.group.as_str());
                if is_new && groups.len() >= self.server.limits.groups_max {
                    self.wire.answer(reply::RECIPIENTS_MAX);
                } else {
                    self.recipients.push(mailbox);
                    self.wire.answer(reply::RECIPIENT_OK);
                }
                Ok(())
            }
            Admission::Refuse => self.no_recipient(),
            Admission::Later => {
                self.wire.answer(reply::RECIPIENT_LATER);
                Ok(())
            }
        }
    }

    fn no_recipient(&mut self) -> Result<(), Cut> {
        self.wire.answer(reply::NO_RECIPIENT);
        self.counted.refused += 1;
        match self.counted.refused >= self.server.limits.refused_max {
            true => self.cut(reply::TOO_MANY_ERRORS),
            false => Ok(()),
        }
    }

    /// The sender, the recipients and what came of a message.
    fn forget(&mut self) {
        (self.sender, self.chunks) = (None, None);
        self.recipients = Vec::new();
    }

    fn unreadable(&mut self, error: &Unreadable) -> Result<(), Cut> {
        match error {
            _ if self.owes_tls() => self.error(reply::TLS_FIRST),
            Unreadable::UnknownCommand => self.error(reply::UNKNOWN),
            // An address that cannot be one of ours, whatever it is.
            Unreadable::InvalidRecipientAddress if self.sender.is_some() => self.no_recipient(),
            Unreadable::UnsupportedParameter { .. } => self.error(reply::PARAMETER),
            _ => self.error(reply::SYNTAX),
        }
    }

    fn error(&mut self, text: &str) -> Result<(), Cut> {
        self.wire.answer(text);
        self.counted.errors += 1;
        match self.counted.errors >= self.server.limits.errors_max {
            true => self.cut(reply::TOO_MANY_ERRORS),
            false => Ok(()),
        }
    }

    fn cut<T>(&mut self, text: &str) -> Result<T, Cut> {
        self.wire.answer(text);
        Err(Cut::Told)
    }
}

/// As the client wrote it, within bounds and on one line.
fn told(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect()
}

async fn handshake(server: &Server, socket: Box<dyn Socket>) -> Option<(Box<dyn Socket>, String)> {
    let certificate = server.certificate.as_ref()?;
    let secured = match timeout(server.limits.greeting_time, certificate.acceptor().accept(socket)).await {
        Ok(Ok(secured)) => secured,
        Ok(Err(error)) => {
            tracing::debug!(target: "smtp.tls", %error);
            return None;
        }
        Err(_) => return None,
    };
    let (_, connection) = secured.get_ref();
    let version = connection.protocol_version().map_or("", |version| version.as_str().unwrap_or_default());
    let suite = connection.negotiated_cipher_suite().map_or("", |suite| suite.suite().as_str().unwrap_or_default());
    let how = format!("{version} {suite}");
    Some((Box::new(secured), how))
}
