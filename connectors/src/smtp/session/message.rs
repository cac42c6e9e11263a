//! The part of a session in which a message comes: by DATA to its dot, or by BDAT in chunks.
//! Promise: its bytes are never read as commands, whether somebody takes them or not; it is answered for once it is kept.

use std::time::Duration;

use bonded_schemas::Envelope;
use bytes::Bytes;
use tokio::time::Instant;

use super::Session;
use crate::smtp::{Kind, Outcome, end_of_data::EndOfData, reply, transaction::Message, wire::Cut};

impl Session {
    pub(super) async fn data(&mut self) -> Result<(), Cut> {
        if self.wire.has_more() {
            // What follows would be read as commands where DATA is refused, and as a message where it is not: by RFC 2920
            // a client waits for the answer.
            return self.cut(reply::DATA_NOT_LAST);
        }
        if let Some(missing) = self.missing() {
            return self.error(missing);
        }
        let Some(mut message) = Message::begin(&self.server, self.envelope(), self.recipients.clone()).await else {
            self.forget();
            self.wire.answer(reply::BUSY);
            return Ok(());
        };
        self.wire.answer(reply::GO_AHEAD);
        let mut end = EndOfData::default();
        loop {
            let asked_at = Instant::now();
            let sent = self.wire.bytes(self.server.limits.data_time).await?;
            let mut part = Vec::with_capacity(sent.len());
            let (used, is_end) = end.take(sent, &mut part);
            self.wire.used(used);
            let took = asked_at.elapsed();
            message.add(part.into()).await;
            if is_end {
                break;
            }
            self.keep_pace(&mut message, took)?;
        }
        self.finish(message).await;
        Ok(())
    }

    pub(super) async fn chunk(&mut self, size_bytes: usize, is_last: bool) -> Result<(), Cut> {
        if let Some(missing) = self.missing() {
            self.skip(size_bytes).await?;
            return self.error(missing);
        }
        let mut message = match self.chunks.take() {
            Some(message) => message,
            None => match Message::begin(&self.server, self.envelope(), self.recipients.clone()).await {
                Some(message) => message,
                None => {
                    self.skip(size_bytes).await?;
                    self.forget();
                    self.wire.answer(reply::BUSY);
                    return Ok(());
                }
            },
        };
        let mut left = size_bytes;
        while left > 0 {
            let asked_at = Instant::now();
            let sent = self.wire.bytes(self.server.limits.data_time).await?;
            let part = sent.len().min(left);
            let bytes = sent.split_to(part).freeze();
            self.wire.used(0);
            left -= part;
            let took = asked_at.elapsed();
            // A piece of a buffer would hold the whole of it.
            message.add(Bytes::copy_from_slice(&bytes)).await;
            self.keep_pace(&mut message, took)?;
        }
        if is_last {
            self.finish(message).await;
        } else if message.is_too_large() {
            self.forget();
            self.wire.answer(reply::TOO_LARGE);
        } else {
            self.chunks = Some(message);
            self.wire.answer(reply::CHUNK_OK);
        }
        Ok(())
    }

    fn keep_pace(&mut self, message: &mut Message, took: Duration) -> Result<(), Cut> {
        if message.is_endless() {
            return self.cut(reply::TOO_LARGE);
        }
        match message.is_too_slow(took, &self.server) {
            true => Err(Cut::TooSlow),
            false => Ok(()),
        }
    }

    async fn finish(&mut self, message: Message) {
        let outcomes = message.finish(self.server.limits.keep_time).await;
        self.forget();
        match self.kind {
            Kind::Lmtp => outcomes.iter().for_each(|outcome| self.wire.answer(of(*outcome))),
            // SMTP has one answer for all recipients. If one of them has to come again, all do: those that were kept
            // are known by their bytes, so nothing is doubled.
            Kind::Smtp | Kind::Smtps => {
                let worst = [Outcome::Later, Outcome::TooLarge].into_iter().find(|bad| outcomes.contains(bad));
                self.wire.answer(of(worst.unwrap_or(Outcome::Kept)));
            }
        }
    }

    /// What is still to come before a message.
    fn missing(&self) -> Option<&'static str> {
        match () {
            () if self.sender.is_none() => Some(reply::SENDER_FIRST),
            () if self.recipients.is_empty() => Some(reply::RECIPIENT_FIRST),
            () => None,
        }
    }

    /// A chunk that nobody takes: its bytes are no commands.
    pub(super) async fn skip(&mut self, size_bytes: usize) -> Result<(), Cut> {
        if size_bytes as u64 > self.server.limits.message_bytes_max {
            return self.cut(reply::TOO_LARGE);
        }
        let mut left = size_bytes;
        while left > 0 {
            let sent = self.wire.bytes(self.server.limits.data_time).await?.len().min(left);
            self.wire.used(sent);
            left -= sent;
        }
        Ok(())
    }

    fn envelope(&self) -> Envelope {
        Envelope {
            identifier: String::new(),
            peer: self.peer,
            helo: self.helo.clone(),
            mail_from: self.sender.clone(),
            tls: self.tls.clone(),
            service: None,
        }
    }
}

fn of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Kept => reply::KEPT,
        Outcome::Later => reply::NOT_KEPT,
        Outcome::TooLarge => reply::TOO_LARGE,
    }
}
