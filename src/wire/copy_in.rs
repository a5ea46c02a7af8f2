//! COPY … FROM STDIN: CopyData messages → the rows of an INSERT that runs beside. The client is read only as fast as rows are written.
//! What it still sends behind an error is passed over by whoever reads messages next.

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::PgWireFrontendMessage as Message;
use pgwire::messages::copy::CopyInResponse;

use super::cancel::Interrupts;
use super::client::Client;
use super::connection::{Connection, Failure};
use super::frame::{self, Frame, Next};
use crate::error::{Error, Result, SqlState};
use crate::sql::session::CopyIn;

/// Takes the rows that the client sends; gives their number.
///
/// # Errors
/// A row cannot be read or written, the client gives up (57014) or says something else (08P01), or is gone.
pub(super) async fn run(client: &mut Client<'_>, interrupts: &Interrupts, copy: CopyIn) -> Result<u64, Failure> {
    let CopyIn { columns, pieces, planned } = copy;
    let count =
        i16::try_from(columns).map_err(|_| Error::invalid("too many columns").code(SqlState::TooManyColumns))?;
    let response = CopyInResponse::new(0, count, vec![0; columns]);
    client.connection.send(&PgWireBackendMessage::CopyInResponse(response))?;
    let most = client.shared.options.max_message_bytes;
    let mut work = std::pin::pin!(client.session.copy_in(&planned));
    let connection = &mut client.connection;
    let mut sending = Some(pieces);
    loop {
        let Some(pieces) = &sending else {
            // All is sent; what is left is to be written.
            return tokio::select! {
                biased;
                error = interrupts.raised() => Err(error.into()),
                count = &mut work => Ok(count?),
                () = connection.flush_and_watch() => Err(Failure::Gone),
            };
        };
        let step = tokio::select! {
            biased;
            error = interrupts.raised() => return Err(error.into()),
            // Before the last row it can only have failed.
            count = &mut work => return Ok(count?),
            step = next(connection, most) => step?,
        };
        let (piece, is_last) = match step {
            Sent::Nothing => continue,
            Sent::Data(bytes) => (Ok(bytes), false),
            Sent::Oversized(mut left) => {
                // To its end, whatever happens: what stands in it is no message.
                while left > 0 {
                    left -= connection.discard(left);
                    if left > 0 {
                        connection.fill(0).await?;
                    }
                }
                let error = Error::invalid(format!("a message of COPY is larger than {most} bytes"));
                (Err(error.code(SqlState::ProgramLimitExceeded).hint("Send less at a time.")), true)
            }
            Sent::Done => {
                sending = None;
                continue;
            }
            Sent::Failed(error) => (Err(error), true),
        };
        tokio::select! {
            biased;
            error = interrupts.raised() => return Err(error.into()),
            count = &mut work => return Ok(count?),
            // Nobody takes it only if the work is at its end, which is seen next.
            _ = pieces.send(piece) => {}
        }
        if is_last {
            // What comes behind, Sync above all, is no part of the copy.
            sending = None;
        }
    }
}

/// What the client says during a copy.
enum Sent {
    Data(bytes::Bytes),
    Done,
    Failed(Error),
    /// So many bytes that are too many for a message.
    Oversized(usize),
    /// Flush and Sync, which mean nothing here.
    Nothing,
}

async fn next(connection: &mut Connection, most: usize) -> Result<Sent, Failure> {
    loop {
        match frame::split(&mut connection.input, most)? {
            Next::Incomplete(missing) => {
                connection.flush().await?;
                connection.fill(missing).await?;
            }
            Next::Oversized(message) => {
                return Ok(Sent::Oversized(message.body_bytes));
            }
            Next::Frame(frame) => {
                let tag = frame.tag();
                return Ok(match frame::decode(frame)? {
                    Frame::Message(Message::CopyData(data)) => Sent::Data(data.data),
                    Frame::Message(Message::CopyDone(_)) => Sent::Done,
                    Frame::Message(Message::CopyFail(fail)) => {
                        let error = Error::cancelled(format!("COPY from stdin failed: {}", fail.message));
                        Sent::Failed(error.code(SqlState::QueryCanceled))
                    }
                    Frame::Message(Message::Flush(_) | Message::Sync(_)) => Sent::Nothing,
                    Frame::Message(Message::Terminate(_)) => return Err(Failure::Gone),
                    _ => {
                        let message = format!("unexpected message type 0x{tag:02X} during COPY from stdin");
                        return Err(Error::invalid(message).code(SqlState::ProtocolViolation).into());
                    }
                });
            }
        }
    }
}
