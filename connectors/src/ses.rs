//! Mail by Amazon SES, without tenants: the queue that its notifications come by, what one says, and the bucket with the mails.
//! Promise: a notification that is not exactly SES's, or names another bucket, folder or topic than the set ones, is refused and
//! nothing is fetched for it; a mail is streamed, and is whole or an error.
//! Never: a mail is removed; anything but the envelope's recipients, which SES tells beside the mail, says whom it is for.
//!
//! SNS's signature is not checked: the queue's policy takes messages of the one topic only, and the topic's of SES's role only
//! (config/aws/mail.yaml), while checking one means fetching a certificate from wherever the message says. Whoever could write
//! into the queue past both still names a mail that lies in our bucket and an address that only its tenant was told.

mod bucket;
mod notification;
mod queue;
#[cfg(test)]
mod tests;

pub use bucket::{MailBucket, Seen, Stored};
pub use notification::{Notice, Place, Received, Unread, read};
pub use queue::{Counts, Letter, MailQueue, Redrive};
