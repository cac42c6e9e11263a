//! Letters by SMTP.
//! Promise: nothing goes over a network unencrypted; a server that does not answer holds nobody up for ever.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor, message::Mailbox};
use url::{Host, Url};

use super::{Mail, Mailer, message, sender};
use crate::error::{Error, ErrorKind, Result};

pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    time_max: Duration,
}

impl Smtp {
    /// `smtps://user:password@host` or `smtp://user:password@host?tls=required`; without TLS only to this machine.
    ///
    /// # Errors
    /// `Setup` for any other URL; the URL is not shown, since it may hold a password.
    pub fn new(url: &str, from: &str, time_max: Duration) -> Result<Self> {
        let parsed = Url::parse(url).map_err(|_| refused("is no URL like smtps://user:password@host"))?;
        let required = parsed.query_pairs().any(|(name, value)| name == "tls" && value == "required");
        match parsed.scheme() {
            "smtps" => {}
            "smtp" if required || is_this_machine(&parsed) => {}
            "smtp" => return Err(refused("is not encrypted: write smtps://, or add ?tls=required")),
            _ => return Err(refused("is neither smtps:// nor smtp://")),
        }
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| refused("is not well formed"))?;
        Ok(Self { transport: builder.timeout(Some(time_max)).build(), from: sender(from)?, time_max })
    }
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, mail: &Mail) -> Result<()> {
        let message = message(&self.from, mail)?;
        // lettre's own timeout is for each step; a server may take one step after the other.
        let sent = tokio::time::timeout(self.time_max * 4, self.transport.send(message)).await;
        match sent {
            Ok(Ok(_)) => Ok(()),
            // The answer may repeat the recipient, so only its number is told.
            Ok(Err(error)) => {
                let code = error.status().map_or_else(|| "no answer".to_owned(), |code| code.to_string());
                let kind = if error.is_permanent() { ErrorKind::Input } else { ErrorKind::Retry };
                Err(Error::new(kind, format!("the mail server did not take letter {}: {code}", mail.id)))
            }
            Err(_) => Err(Error::new(ErrorKind::Retry, format!("the mail server did not take letter {} in time", mail.id))),
        }
    }
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
