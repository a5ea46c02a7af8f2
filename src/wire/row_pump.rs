//! The one row pump: from the stream of a result to the socket, a batch at a time, for the simple and the extended protocol.
//! Holds at most one batch and one flush; what a reader would get wrong: rows left over by a limit stay here for the next Execute.

use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::cancel::Interrupts;
use super::connection::{Connection, FLUSH_BYTES, Failure};
use super::encode::{RowFormat, Rows};
use crate::error::Error;
use crate::sql::execution::background_stream::BATCHES_AHEAD;

/// A result on its way.
pub struct RowPump {
    stream: SendableRecordBatchStream,
    format: RowFormat,
    rest: Option<Rows>,
    /// Bytes of the largest batch so far.
    batch_bytes: usize,
}

/// How a run of the pump ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pumped {
    /// All rows are out; how many in this run.
    Complete(u64),
    /// The limit was reached; there may be more.
    Suspended,
}

impl RowPump {
    /// A pump for a stream.
    pub fn new(stream: SendableRecordBatchStream, format: RowFormat) -> Self {
        Self { stream, format, rest: None, batch_bytes: 0 }
    }

    /// About how much a result that waits holds: the batch that is being sent, and those that wait behind it.
    pub fn held_bytes(&self) -> usize {
        self.batch_bytes * (1 + BATCHES_AHEAD)
    }

    /// Sends rows until the end, or until `limit`. Rows leave when 64 KiB have come together and whenever the next are not there yet.
    ///
    /// # Errors
    /// The query fails or is interrupted; the client is gone.
    pub async fn run(
        &mut self,
        connection: &mut Connection,
        interrupts: &Interrupts,
        limit: Option<u64>,
    ) -> Result<Pumped, Failure> {
        let mut sent = 0;
        loop {
            while let Some(rows) = &mut self.rest {
                if rows.is_empty() {
                    self.rest = None;
                    break;
                }
                if limit.is_some_and(|limit| sent >= limit) {
                    return Ok(Pumped::Suspended);
                }
                rows.write_next(&mut connection.output)?;
                sent += 1;
                if connection.output.len() >= FLUSH_BYTES {
                    tokio::select! {
                        biased;
                        error = interrupts.raised() => return Err(error.into()),
                        flushed = connection.flush() => flushed?,
                    }
                }
            }
            // As Postgres, a limit that the last row meets exactly suspends without looking further.
            if limit.is_some_and(|limit| sent >= limit) {
                return Ok(Pumped::Suspended);
            }
            let next = tokio::select! {
                biased;
                error = interrupts.raised() => return Err(error.into()),
                next = self.stream.next() => next,
                () = connection.flush_and_watch() => return Err(Failure::Gone),
            };
            match next {
                None => return Ok(Pumped::Complete(sent)),
                Some(batch) => {
                    let batch = batch.map_err(Error::from)?;
                    self.batch_bytes = self.batch_bytes.max(batch.get_array_memory_size());
                    self.rest = Some(self.format.rows(&batch)?);
                }
            }
        }
    }
}
