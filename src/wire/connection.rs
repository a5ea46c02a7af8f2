//! A client's socket with its two buffers. Knows frames only as bytes; both directions are cancel safe.

use std::os::fd::AsRawFd;

use bytes::{Buf, BytesMut};
use pgwire::messages::PgWireBackendMessage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::tls::{Loaded, Secured};
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

/// What bytes go through.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// The socket is with a handshake, which failed if this is seen.
    Gone,
}

/// After so many seconds of silence the other end is asked whether it is there, and then every few seconds; so many answers may be missing.
const KEEPALIVE: [(libc::c_int, libc::c_int, libc::c_int); 4] = [
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
    (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 60),
    (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 10),
    (libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 6),
];
/// Milliseconds that what is sent may go without an acknowledgement; a client that is there and does not read acknowledges.
const UNACKNOWLEDGED_MS_MAX: (libc::c_int, libc::c_int, libc::c_int) =
    (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 120_000);

/// Has the kernel end the connection of a client that has vanished without a word, with a cable or a machine.
fn notice_vanished(stream: &TcpStream) -> std::io::Result<()> {
    for (level, name, value) in KEEPALIVE.into_iter().chain([UNACKNOWLEDGED_MS_MAX]) {
        let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or_default();
        // SAFETY: the socket is open as long as it is borrowed, and the value is a number of that length.
        let failed =
            unsafe { libc::setsockopt(stream.as_raw_fd(), level, name, std::ptr::from_ref(&value).cast(), length) }
                != 0;
        if failed {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// A client's socket.
pub struct Connection {
    stream: Stream,
    /// TLS may hold bytes that it was given.
    is_unsent: bool,
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
        // Without it a client that has vanished is noticed later.
        let _ = notice_vanished(&stream);
        Self { stream: Stream::Plain(stream), is_unsent: false, input: BytesMut::new(), output: BytesMut::new() }
    }

    /// The first byte that is to come, which stays where it is.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn peek(&mut self) -> std::io::Result<u8> {
        let mut first = [0];
        match &self.stream {
            Stream::Plain(stream) if stream.peek(&mut first).await? > 0 => Ok(first[0]),
            _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Goes on in TLS. Nothing may be in the input: it was said in clear.
    ///
    /// # Errors
    /// The handshake fails, or there is something in the input.
    pub async fn secure(&mut self, tls: &Loaded) -> std::io::Result<Secured> {
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(std::io::ErrorKind::NotConnected.into());
        };
        if !self.input.is_empty() {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        let stream = tls.acceptor.accept(stream).await?;
        let secured = tls.secured(stream.get_ref().1);
        self.stream = Stream::Tls(Box::new(stream));
        Ok(secured)
    }

    /// The protocol that was agreed on within TLS.
    pub fn has_alpn(&self) -> bool {
        matches!(&self.stream, Stream::Tls(stream) if stream.get_ref().1.alpn_protocol().is_some())
    }

    /// Sends the output, and says that nothing comes any more.
    pub async fn close(&mut self) {
        if self.flush().await.is_ok()
            && let Stream::Tls(stream) = &mut self.stream
        {
            let _ = stream.shutdown().await;
        }
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
            let written = match &mut self.stream {
                Stream::Plain(stream) => stream.write_buf(&mut self.output).await?,
                Stream::Tls(stream) => {
                    self.is_unsent = true;
                    stream.write_buf(&mut self.output).await?
                }
                Stream::Gone => 0,
            };
            if written == 0 {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
        }
        if let (true, Stream::Tls(stream)) = (self.is_unsent, &mut self.stream) {
            stream.flush().await?;
            self.is_unsent = false;
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
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read_buf(&mut self.input).await?,
            Stream::Tls(stream) => stream.read_buf(&mut self.input).await?,
            Stream::Gone => 0,
        };
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Gives back the room of buffers that are empty.
    pub fn rest(&mut self) {
        for buffer in [&mut self.input, &mut self.output] {
            if buffer.is_empty() {
                *buffer = BytesMut::new();
            }
        }
    }

    /// Waits until there is something to read, without room for it. Within TLS that is not known: it returns at once.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn readable(&self) -> std::io::Result<()> {
        match &self.stream {
            Stream::Plain(stream) => stream.readable().await,
            _ => Ok(()),
        }
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
