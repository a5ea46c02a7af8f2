//! A client's socket with its two buffers. Knows frames only as bytes; both directions are cancel safe.

use bytes::{Buf, BytesMut};
use pgwire::messages::PgWireBackendMessage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::error::{Error, SqlState};

/// Output is flushed when it is larger than this.
pub const FLUSH_BYTES: usize = 64 << 10;
/// The least room for which is read.
const READ_BYTES_MIN: usize = 8 << 10;
/// While a statement runs, this much of what the client sends ahead is read; more stays in the socket.
const READ_AHEAD_BYTES_MAX: usize = 1 << 20;

/// What ends a statement before its end.
#[derive(Debug)]
pub enum Failure {
    /// Tell the client, go on.
    Statement(Error),
    /// Nobody is there to be told.
    Gone,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Statement(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(_: std::io::Error) -> Self {
        Failure::Gone
    }
}

/// A client's socket.
pub struct Connection {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    /// Bytes read and not yet taken.
    pub input: BytesMut,
    /// Bytes to send.
    pub output: BytesMut,
}

impl Connection {
    /// Takes a socket over.
    pub fn new(stream: TcpStream) -> Self {
        // Only latency depends on it.
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        Self { reader, writer, input: BytesMut::new(), output: BytesMut::new() }
    }

    /// Puts a message into the output.
    ///
    /// # Errors
    /// It is too large for the protocol.
    pub fn send(&mut self, message: &PgWireBackendMessage) -> Result<(), Error> {
        let start = self.output.len();
        message.encode(&mut self.output).map_err(|error| {
            self.output.truncate(start);
            Error::invalid(format!("a message to the client cannot be sent: {error}"))
                .code(SqlState::ProgramLimitExceeded)
        })
    }

    /// Sends the output.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn flush(&mut self) -> std::io::Result<()> {
        while !self.output.is_empty() {
            if self.writer.write_buf(&mut self.output).await? == 0 {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
        }
        if self.output.capacity() > FLUSH_BYTES * 4 {
            self.output = BytesMut::new();
        }
        Ok(())
    }

    /// Reads more input, of which at least `wanted` bytes are to come: room is made for them by doubling, so that nobody gets
    /// memory by only announcing what he sends, and what is there is not copied for each piece that arrives.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn fill(&mut self, wanted: usize) -> std::io::Result<()> {
        let room = wanted.clamp(READ_BYTES_MIN, self.input.len().max(READ_BYTES_MIN));
        if self.input.capacity() - self.input.len() < READ_BYTES_MIN {
            self.input.reserve(room);
        }
        if self.reader.read_buf(&mut self.input).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Passes over up to `bytes` of the input; gives how many.
    pub fn discard(&mut self, bytes: usize) -> usize {
        let count = bytes.min(self.input.len());
        self.input.advance(count);
        count
    }

    /// Gives back the memory of a large message that was taken off the input.
    pub fn shrink_input(&mut self) {
        self.input = BytesMut::from(&self.input[..]);
    }

    /// Sends the output, then reads ahead; comes back only when the client is gone.
    pub async fn flush_and_watch(&mut self) {
        if self.flush().await.is_err() {
            return;
        }
        while self.input.len() < READ_AHEAD_BYTES_MAX {
            if self.fill(0).await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}
