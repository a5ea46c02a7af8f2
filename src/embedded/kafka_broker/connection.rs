//! One client's connection: a frame in, a frame out, in order. What is wrong with a frame ends this connection only.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use bytes::Bytes;

use super::Broker;
use super::protocol;

/// As Kafka's socket.request.max.bytes.
const FRAME_BYTES_MAX: usize = 100 * 1024 * 1024;

/// Serves the connection until the client leaves or the broker stops.
pub fn serve(broker: &Broker, stream: &TcpStream) -> io::Result<()> {
    let client_host = stream.peer_addr()?.ip().to_string();
    let (mut reader, mut writer) = (io::BufReader::new(stream), stream);
    while let Some(frame) = read_frame(&mut reader)? {
        if let Some(answer) = protocol::answer(broker, &client_host, frame)? {
            writer.write_all(&answer)?;
        }
        if broker.is_stopping() {
            break;
        }
    }
    Ok(())
}

/// The next frame, `None` when the client has left between two.
fn read_frame(reader: &mut impl Read) -> io::Result<Option<Bytes>> {
    let mut length = [0; 4];
    match reader.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = usize::try_from(i32::from_be_bytes(length)).ok().filter(|length| *length <= FRAME_BYTES_MAX);
    let length = length.ok_or_else(|| protocol::malformed("length of a frame"))?;
    // Memory grows with what arrives, not with what was announced.
    let mut frame = Vec::with_capacity(length.min(64 * 1024));
    if reader.take(length as u64).read_to_end(&mut frame)? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(Bytes::from(frame)))
}
