//! The mail door: letters that people are sent.
//! Promise: a letter is handed over whole or not at all; the caller learns whether to try again.
//! Never: a letter's text or its recipient stands in a log or in an error.

use std::fmt;

use async_trait::async_trait;
use lettre::{
    Address, Message,
    message::{Mailbox, MultiPart, header::ContentType},
};

use crate::error::{Error, ErrorKind, Result};

pub mod outbox;
pub mod smtp;
#[cfg(test)]
mod tests;

pub use outbox::Outbox;
pub use smtp::Smtp;

/// One letter to one person, in plain text, and in HTML beside it where there is some.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The same however often it is tried, so that a reader can tell a second copy.
    pub id: String,
    pub to: String,
    pub subject: String,
    pub text: String,
    /// The same words for readers that show it; without a picture, a script or a style sheet from elsewhere.
    pub html: Option<String>,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mail({}, redacted)", self.id)
    }
}

#[async_trait]
pub trait Mailer: Send + Sync + fmt::Debug {
    /// # Errors
    /// `Input` when this letter will never be taken; any other kind may pass.
    async fn send(&self, mail: &Mail) -> Result<()>;
}

/// The sender's address, checked.
pub(crate) fn sender(from: &str) -> Result<Mailbox> {
    from.parse().map_err(|error| Error::new(ErrorKind::Setup, format!("mail.from `{from}` is no address")).with_source(error))
}

pub(crate) fn message(from: &Mailbox, mail: &Mail) -> Result<Message> {
    let unfit = |what: &str| Error::new(ErrorKind::Input, format!("letter {} has {what}", mail.id));
    let to: Address = mail.to.parse().map_err(|_| unfit("no well-formed recipient"))?;
    let domain = from.email.domain();
    let head = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(&mail.subject)
        .message_id(Some(format!("<{}@{domain}>", mail.id)));
    let whole = match &mail.html {
        None => head.header(ContentType::TEXT_PLAIN).body(mail.text.clone()),
        Some(html) => head.multipart(MultiPart::alternative_plain_html(mail.text.clone(), html.clone())),
    };
    whole.map_err(|error| unfit("a form that mail does not take").with_source(error))
}
