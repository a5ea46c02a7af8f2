//! The frame guard: cuts exactly one message off the input and looks at every length in it before pgwire decodes it.
//! Knows nothing of sessions. What a reader would get wrong: pgwire 0.42.1 reads past the end of a frame, runs bytes left
//! over in one as a new message, and panics on short bodies, so it only ever sees a buffer that holds one checked message.

use std::panic::AssertUnwindSafe;

use bytes::{Buf, BytesMut};
use pgwire::messages::{DecodeContext, PgWireFrontendMessage, ProtocolVersion};

use crate::error::{Error, Result, SqlState};

/// `SSLRequest`, `GSSENCRequest` and `CancelRequest` in place of a protocol version.
const SSL_REQUEST: i32 = 80_877_103;
const GSSENC_REQUEST: i32 = 80_877_104;
const CANCEL_REQUEST: i32 = 80_877_102;

/// Start-up packets are small; Postgres has the same bound.
const STARTUP_BYTES_MAX: usize = 10_000;
/// A message of a login is one of SASL; PostgreSQL's bound for these.
const LOGIN_BYTES_MAX: usize = 1024;
/// What no message may exceed; Postgres has the same bound.
const PROTOCOL_BYTES_MAX: usize = 0x3fff_ffff;
/// Tag and length.
const HEAD_BYTES: usize = 5;

/// A message before the session is open.
#[derive(Debug)]
pub enum StartupFrame {
    /// TLS is asked for.
    Ssl,
    /// Encryption by GSSAPI is asked for.
    Gss,
    /// Another session's statement is to be cancelled.
    Cancel {
        /// Its process id.
        process_id: i32,
        /// Its secret.
        secret: Vec<u8>,
    },
    /// A session is to be opened.
    Startup {
        /// Version asked for.
        version: (u16, u16),
        /// `user`, `database` and settings.
        parameters: Vec<(String, String)>,
    },
}

/// A message of an open session.
#[derive(Debug)]
pub enum Frame {
    /// What pgwire decodes.
    Message(PgWireFrontendMessage),
    /// The old function call sub-protocol, which we do not have.
    FunctionCall,
}

/// One whole message, its length already proved.
#[derive(Debug)]
pub struct RawFrame {
    tag: u8,
    bytes: BytesMut,
}

/// The head of a message that is larger than is taken: its body is still to come, and to be passed over.
#[derive(Debug, PartialEq, Eq)]
pub struct Oversized {
    tag: u8,
    /// Bytes of the body.
    pub body_bytes: usize,
}

/// What stands first in the input.
#[derive(Debug)]
pub enum Next {
    /// Not all of a message is there; so many bytes are missing at least.
    Incomplete(usize),
    /// A message, taken off the input.
    Frame(RawFrame),
    /// A message that is not read; its head is taken off the input.
    Oversized(Oversized),
}

impl RawFrame {
    /// Whether an error in it skips everything up to the next Sync.
    pub fn is_extended(&self) -> bool {
        is_extended(self.tag)
    }

    /// The tag.
    pub fn tag(&self) -> u8 {
        self.tag
    }

    /// Its length with its head.
    pub fn byte_count(&self) -> usize {
        self.bytes.len()
    }
}

impl Oversized {
    /// As [`RawFrame::is_extended`].
    pub fn is_extended(&self) -> bool {
        is_extended(self.tag)
    }

    /// Whether it is part of a COPY, which is passed over anyway.
    pub fn is_copy_data(&self) -> bool {
        self.tag == b'd'
    }
}

fn is_extended(tag: u8) -> bool {
    matches!(tag, b'P' | b'B' | b'D' | b'E' | b'C' | b'H')
}

fn violation(message: impl Into<String>) -> Error {
    Error::invalid(message).code(SqlState::ProtocolViolation)
}

/// Cuts one start-up message off the input; `None` while it is incomplete.
///
/// # Errors
/// 08P01: whatever Postgres would close the connection for.
pub fn split_startup(input: &mut BytesMut) -> Result<Option<StartupFrame>> {
    let Some(header) = input.first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(i32::from_be_bytes(*header)).unwrap_or(0);
    if !(8..=STARTUP_BYTES_MAX).contains(&length) {
        return Err(violation("invalid length of startup packet"));
    }
    if input.len() < length {
        return Ok(None);
    }
    let frame = input.split_to(length);
    let mut body = Body(&frame[4..]);
    Ok(Some(match body.i32()? {
        SSL_REQUEST => body.end(StartupFrame::Ssl)?,
        GSSENC_REQUEST => body.end(StartupFrame::Gss)?,
        CANCEL_REQUEST => {
            let process_id = body.i32()?;
            if body.0.len() < 4 || body.0.len() > 256 {
                return Err(violation("invalid length of cancel request packet"));
            }
            StartupFrame::Cancel { process_id, secret: body.0.to_vec() }
        }
        version => {
            let [a, b, c, d] = version.to_be_bytes();
            let version = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            if version.0 != 3 {
                return Err(violation(format!(
                    "unsupported frontend protocol {}.{}: server supports 3.0 to 3.2",
                    version.0, version.1
                ))
                .code(SqlState::FeatureNotSupported));
            }
            let mut parameters = Vec::new();
            loop {
                let name = body.text()?;
                if name.is_empty() {
                    break;
                }
                parameters.push((name.to_owned(), body.text()?.to_owned()));
            }
            body.end(StartupFrame::Startup { version, parameters })?
        }
    }))
}

/// The first message of a SASL login.
#[derive(Debug)]
pub struct SaslStart {
    /// The mechanism that the client chose.
    pub mechanism: String,
    /// The mechanism's first message.
    pub data: String,
}

/// Cuts one message of a login off the input; `None` while it is incomplete.
///
/// # Errors
/// 08P01: another message than one of a login, or a large one: neither is waited for.
pub fn split_login(input: &mut BytesMut) -> Result<Option<Vec<u8>>> {
    let Some(&tag) = input.first() else { return Ok(None) };
    if tag != b'p' {
        return Err(violation(format!("expected SASL response, got message type {tag}")));
    }
    let Some(header) = input.get(1..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(None) };
    let length = usize::try_from(i32::from_be_bytes(*header)).unwrap_or(0);
    if !(4..=LOGIN_BYTES_MAX).contains(&length) {
        return Err(violation(format!("invalid message length: at most {LOGIN_BYTES_MAX} bytes are allowed")));
    }
    if input.len() <= length {
        return Ok(None);
    }
    Ok(Some(input.split_to(length + 1)[HEAD_BYTES..].to_vec()))
}

/// Reads the first message of a SASL login.
///
/// # Errors
/// 08P01, 22021: it is malformed.
pub fn sasl_start(bytes: &[u8]) -> Result<SaslStart> {
    let mut body = Body(bytes);
    let mechanism = body.text()?.to_owned();
    let length = usize::try_from(body.i32()?).map_err(|_| violation("a SASL login without its first message"))?;
    let data = std::str::from_utf8(body.take(length)?).map_err(|_| violation("malformed SCRAM message"))?.to_owned();
    body.end(SaslStart { mechanism, data })
}

/// Cuts one message of an open session off the input, or only its head where it is larger than `bytes_max`.
///
/// # Errors
/// 08P01: the tag or the length is wrong, so that nothing behind it can be trusted; the connection must end.
pub fn split(input: &mut BytesMut, bytes_max: usize) -> Result<Next> {
    let Some(&tag) = input.first() else { return Ok(Next::Incomplete(HEAD_BYTES)) };
    let short = match tag {
        b'Q' | b'P' | b'B' | b'd' | b'F' => false,
        b'E' | b'D' | b'C' | b'H' | b'S' | b'X' | b'c' | b'f' => true,
        // Those of a login among them: it is over.
        _ => return Err(violation(format!("invalid frontend message type {tag}"))),
    };
    let Some(header) = input.get(1..).and_then(|rest| rest.first_chunk::<4>()) else {
        return Ok(Next::Incomplete(HEAD_BYTES - input.len()));
    };
    let length = usize::try_from(i32::from_be_bytes(*header)).unwrap_or(0);
    let limit = if short { STARTUP_BYTES_MAX } else { PROTOCOL_BYTES_MAX };
    if length < 4 {
        return Err(violation("invalid message length"));
    }
    if length > limit {
        return Err(violation(format!("invalid message length: {length} bytes, at most {limit} are allowed")));
    }
    if !short && length > bytes_max {
        input.advance(HEAD_BYTES);
        return Ok(Next::Oversized(Oversized { tag, body_bytes: length - 4 }));
    }
    if input.len() <= length {
        return Ok(Next::Incomplete(length + 1 - input.len()));
    }
    Ok(Next::Frame(RawFrame { tag, bytes: input.split_to(length + 1) }))
}

/// Takes the head of an incomplete message off the input, whose body is to be passed over then.
pub fn give_up(input: &mut BytesMut) -> Option<Oversized> {
    let tag = *input.first()?;
    let length = usize::try_from(i32::from_be_bytes(*input.get(1..)?.first_chunk::<4>()?)).ok()?;
    input.advance(HEAD_BYTES);
    Some(Oversized { tag, body_bytes: length.checked_sub(4)? })
}

/// Decodes a message after every length in it was checked.
///
/// # Errors
/// 08P01 for a malformed body, 22021 for text that is not UTF-8. The connection can go on: the frame is already off the input.
pub fn decode(frame: RawFrame) -> Result<Frame> {
    let RawFrame { tag, mut bytes } = frame;
    check(tag, &bytes[5..])?;
    if tag == b'F' {
        return Ok(Frame::FunctionCall);
    }
    let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
    context.awaiting_frontend_ssl = false;
    context.awaiting_frontend_startup = false;
    let decoded = std::panic::catch_unwind(AssertUnwindSafe(|| PgWireFrontendMessage::decode(&mut bytes, &context)));
    match decoded {
        Ok(Ok(Some(message))) if !bytes.has_remaining() => Ok(Frame::Message(message)),
        Ok(Ok(Some(_))) => Err(violation("invalid message format")),
        Ok(Ok(None)) => Err(violation("insufficient data left in message")),
        Ok(Err(error)) => Err(violation(format!("invalid message: {error}"))),
        Err(_) => Err(violation("invalid message")),
    }
}

/// Walks a body as its tag prescribes.
fn check(tag: u8, bytes: &[u8]) -> Result<()> {
    let mut body = Body(bytes);
    match tag {
        b'Q' | b'f' => {
            body.text()?;
        }
        b'P' => {
            body.text()?;
            body.text()?;
            body.array(4)?;
        }
        b'B' => {
            body.text()?;
            body.text()?;
            let formats = body.array(2)?;
            let parameters = body.values()?;
            if formats > 1 && formats != parameters {
                return Err(violation(format!(
                    "bind message has {formats} parameter formats but {parameters} parameters"
                )));
            }
            body.array(2)?;
        }
        b'D' | b'C' => {
            let kind = body.take(1)?[0];
            if !matches!(kind, b'S' | b'P') {
                return Err(violation(format!("invalid message subtype {kind}")));
            }
            body.text()?;
        }
        b'E' => {
            body.text()?;
            body.i32()?;
        }
        b'F' => {
            body.i32()?;
            body.array(2)?;
            body.values()?;
            body.i16()?;
        }
        b'd' => return Ok(()),
        _ => {}
    }
    body.end(())
}

/// What is left of a body; every read is checked.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, rest) =
            self.0.split_at_checked(count).ok_or_else(|| violation("insufficient data left in message"))?;
        self.0 = rest;
        Ok(head)
    }

    fn i16(&mut self) -> Result<i16> {
        let bytes = self.take(2)?;
        Ok(i16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn i32(&mut self) -> Result<i32> {
        let bytes = self.take(4)?;
        Ok(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn text(&mut self) -> Result<&'a str> {
        let end = self.0.iter().position(|&byte| byte == 0).ok_or_else(|| violation("invalid string in message"))?;
        let text = std::str::from_utf8(self.take(end)?).map_err(|_| {
            Error::invalid("invalid byte sequence for encoding \"UTF8\"").code(SqlState::CharacterNotInRepertoire)
        })?;
        self.take(1)?;
        Ok(text)
    }

    /// A count and as many items of one width; gives the count.
    fn array(&mut self, width: usize) -> Result<usize> {
        let count = usize::try_from(self.i16()?).map_err(|_| violation("invalid number of items in message"))?;
        self.take(count * width)?;
        Ok(count)
    }

    /// A count and as many values, each with its length, -1 for NULL; gives the count.
    fn values(&mut self) -> Result<usize> {
        let count = usize::try_from(self.i16()?).map_err(|_| violation("invalid number of parameters in message"))?;
        for _ in 0..count {
            match self.i32()? {
                -1 => {}
                length => {
                    let length =
                        usize::try_from(length).map_err(|_| violation("invalid parameter length in message"))?;
                    self.take(length)?;
                }
            }
        }
        Ok(count)
    }

    fn end<T>(self, value: T) -> Result<T> {
        if self.0.is_empty() { Ok(value) } else { Err(violation("invalid message format")) }
    }
}

#[cfg(test)]
mod tests;
