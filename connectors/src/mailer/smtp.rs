//! Letters by SMTP.
//! Promise: nothing goes over a network unencrypted; a server that does not answer holds nobody up for ever. A login that was
//! changed is taken up without a restart, and one that is refused costs no letter.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor, message::Mailbox};
use url::{Host, Url};

use super::{Mail, Mailer, message, sender};
use crate::{
    error::{Error, ErrorKind, Result},
    secrets::{Held, Secret},
};

/// Answers to a login: required, too weak, not good.
const LOGIN_REFUSED: [u16; 3] = [530, 534, 535];

type Transport = AsyncSmtpTransport<Tokio1Executor>;

pub struct Smtp {
    url: Held,
    from: Mailbox,
    time_max: Duration,
    /// To the server and with the login that this URL names.
    way: Mutex<(Secret, Transport)>,
}

/// Why a letter was not handed over.
enum Failed {
    /// The server does not take the login.
    Login(u16),
    Otherwise(Error),
}

impl Smtp {
    /// `smtps://user:password@host` or `smtp://user:password@host?tls=required`; without TLS only to this machine.
    ///
    /// # Errors
    /// `Setup` for any other URL; the URL is not shown, since it may hold a password.
    pub fn new(url: &str, from: &str, time_max: Duration) -> Result<Self> {
        Self::by(Held::fixed(url), Secret::new(url), from, time_max)
    }

    /// The same with a URL that may be another one by and by.
    pub async fn held(url: Held, from: &str, time_max: Duration) -> Result<Self> {
        let now = url.now().await?;
        Self::by(url, now, from, time_max)
    }

    fn by(url: Held, now: Secret, from: &str, time_max: Duration) -> Result<Self> {
        let way = (now.clone(), transport(now.reveal(), time_max)?);
        Ok(Self { url, from: sender(from)?, time_max, way: Mutex::new(way) })
    }

    /// The transport of this URL: the last one, while it is the same.
    fn transport(&self, url: &Secret) -> Result<Transport> {
        let mut way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        if way.0.reveal() != url.reveal() {
            *way = (url.clone(), transport(url.reveal(), self.time_max)?);
        }
        Ok(way.1.clone())
    }

    async fn hand_over(&self, url: &Secret, id: &str, message: Message) -> std::result::Result<(), Failed> {
        let transport = self.transport(url).map_err(Failed::Otherwise)?;
        // lettre's own timeout is for each step; a server may take one step after the other.
        let sent = tokio::time::timeout(self.time_max * 4, transport.send(message)).await;
        match sent {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let code = error.status().map(u16::from);
                if let Some(code) = code.filter(|code| LOGIN_REFUSED.contains(code)) {
                    return Err(Failed::Login(code));
                }
                // The answer may repeat the recipient, so only its number is told.
                let code = code.map_or_else(|| "no answer".to_owned(), |code| code.to_string());
                let kind = if error.is_permanent() { ErrorKind::Input } else { ErrorKind::Retry };
                Err(Failed::Otherwise(Error::new(kind, format!("the mail server did not take letter {id}: {code}"))))
            }
            Err(_) => {
                let message = format!("the mail server did not take letter {id} in time");
                Err(Failed::Otherwise(Error::new(ErrorKind::Retry, message)))
            }
        }
    }
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, mail: &Mail) -> Result<()> {
        let message = message(&self.from, mail)?;
        let url = self.url.now().await?;
        let mut sent = self.hand_over(&url, &mail.id, message.clone()).await;
        if matches!(sent, Err(Failed::Login(_)))
            && let Some(other) = self.url.renewed(&url).await?
        {
            sent = self.hand_over(&other, &mail.id, message).await;
        }
        sent.map_err(|failed| match failed {
            // The letter is as good as it was; the set-up is not.
            Failed::Login(code) => {
                Error::new(ErrorKind::Setup, format!("the mail server does not take the login that mail.smtp names: {code}"))
            }
            Failed::Otherwise(error) => error,
        })
    }
}

fn transport(url: &str, time_max: Duration) -> Result<Transport> {
    let parsed = Url::parse(url).map_err(|_| refused("is no URL like smtps://user:password@host"))?;
    let required = parsed.query_pairs().any(|(name, value)| name == "tls" && value == "required");
    match parsed.scheme() {
        "smtps" => {}
        "smtp" if required || is_this_machine(&parsed) => {}
        "smtp" => return Err(refused("is not encrypted: write smtps://, or add ?tls=required")),
        _ => return Err(refused("is neither smtps:// nor smtp://")),
    }
    let builder = Transport::from_url(url).map_err(|_| refused("is not well formed"))?;
    Ok(builder.timeout(Some(time_max)).build())
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        // Of a scheme that is none of the web's, an address stays a name.
        Some(Host::Domain(name)) => name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        None => false,
    }
}

fn refused(what: &str) -> Error {
    Error::new(ErrorKind::Setup, format!("the URL that mail.smtp names {what}"))
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Smtp(from {})", self.from.email.domain())
    }
}
