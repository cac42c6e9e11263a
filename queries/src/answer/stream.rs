//! Answers as they go over a wire: pieces of bytes, a batch at a time.
//! Promise: at most one batch's bytes are held; an error ends the stream as an error, never as a shorter answer.

use std::fmt;

use bytes::Bytes;
use datafusion::arrow::{
    array::RecordBatch,
    csv,
    datatypes::SchemaRef,
    ipc::writer::StreamWriter,
    json::{self, writer::LineDelimited},
};
use futures::{Stream, stream};

use super::{
    Answer,
    write::{flat, not_written, without_metadata},
};
use crate::error::Result;

/// How an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// The Arrow IPC streaming format.
    Arrow,
    /// RFC 4180 with a header, as [`super::Format::Csv`].
    Csv,
    /// One JSON object a line, as [`super::Format::JsonLines`].
    JsonLines,
}

enum Writer {
    Arrow { writer: Box<StreamWriter<Vec<u8>>>, schema: SchemaRef },
    Csv { header: bool },
    JsonLines,
}

struct Sending {
    answer: Answer,
    writer: Writer,
    ended: bool,
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("answer", &self.answer).finish_non_exhaustive()
    }
}

impl Answer {
    /// The whole answer in pieces; dropping the stream stops the work.
    ///
    /// # Errors
    /// Each piece as [`Answer::next`]. What came before an error is not the whole answer.
    pub fn stream(self, wire: Wire) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let writer = match wire {
            Wire::Arrow => {
                let schema = without_metadata(&self.schema());
                Writer::Arrow { writer: Box::new(StreamWriter::try_new(Vec::new(), &schema).map_err(not_written)?), schema }
            }
            Wire::Csv => Writer::Csv { header: true },
            Wire::JsonLines => Writer::JsonLines,
        };
        let sending = Sending { answer: self, writer, ended: false };
        Ok(stream::try_unfold(sending, |mut sending| async move {
            loop {
                if sending.ended {
                    return Ok(None);
                }
                let piece = match sending.answer.next().await? {
                    Some(batch) => sending.batch(&batch)?,
                    None => {
                        sending.ended = true;
                        sending.end()?
                    }
                };
                if !piece.is_empty() {
                    return Ok(Some((piece, sending)));
                }
            }
        }))
    }
}

impl Sending {
    fn batch(&mut self, batch: &RecordBatch) -> Result<Bytes> {
        Ok(match &mut self.writer {
            Writer::Arrow { writer, schema } => {
                let plain = RecordBatch::try_new(schema.clone(), batch.columns().to_vec())?;
                writer.write(&plain).map_err(not_written)?;
                std::mem::take(writer.get_mut()).into()
            }
            Writer::Csv { header } => {
                let with_header = std::mem::take(header);
                written_csv(batch, with_header)?
            }
            Writer::JsonLines => {
                let mut out = Vec::new();
                let mut writer = json::WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut out);
                writer.write(batch).map_err(not_written)?;
                writer.finish().map_err(not_written)?;
                out.into()
            }
        })
    }

    fn end(&mut self) -> Result<Bytes> {
        Ok(match &mut self.writer {
            Writer::Arrow { writer, .. } => {
                writer.finish().map_err(not_written)?;
                std::mem::take(writer.get_mut()).into()
            }
            // Without a row there is a header still.
            Writer::Csv { header: true } => written_csv(&RecordBatch::new_empty(self.answer.schema()), true)?,
            Writer::Csv { header: false } | Writer::JsonLines => Bytes::new(),
        })
    }
}

fn written_csv(batch: &RecordBatch, header: bool) -> Result<Bytes> {
    let mut out = Vec::new();
    let mut writer = csv::WriterBuilder::new().with_header(header).build(&mut out);
    writer.write(&flat(batch)?).map_err(not_written)?;
    drop(writer);
    Ok(out.into())
}
