//! COPY … TO STDOUT: from the stream of a result to CopyData messages, a row each, as rows are sent otherwise: a batch at a time, flushed
//! when 64 KiB have come together and whenever the next rows are not there yet.

use bytes::{BufMut, BytesMut};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::copy::{CopyDone, CopyOutResponse};

use super::cancel::Interrupts;
use super::connection::{Connection, FLUSH_BYTES, Failure};
use super::encode::{RowFormat, Rows};
use super::text::Style;
use crate::error::{Error, Result, SqlState};
use crate::sql::copy_format::{CopyFormat, CsvFormat, ForceQuote, TextFormat};

/// What a binary copy begins with: signature, flags, no extension.
const BINARY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with: a row of -1 columns.
const BINARY_END: &[u8] = &(-1_i16).to_be_bytes();

/// Sends a result as a copy; gives the number of its rows.
///
/// # Errors
/// The query fails or is interrupted; the client is gone.
pub(super) async fn run(
    connection: &mut Connection,
    interrupts: &Interrupts,
    mut stream: SendableRecordBatchStream,
    format: &CopyFormat,
    style: Style,
) -> Result<u64, Failure> {
    let writer =
        Writer::new(&RowFormat::new(&stream.schema(), &[i16::from(*format == CopyFormat::Binary)], style)?, format);
    connection.send(&PgWireBackendMessage::CopyOutResponse(writer.response()?))?;
    writer.head(&mut connection.output)?;
    let mut sent = 0;
    loop {
        let next = tokio::select! {
            biased;
            error = interrupts.raised() => return Err(error.into()),
            next = stream.next() => next,
            () = connection.flush_and_watch() => return Err(Failure::Gone),
        };
        let Some(batch) = next else { break };
        let mut rows = writer.format.rows(&batch.map_err(Error::from)?)?;
        while !rows.is_empty() {
            writer.row(&mut rows, &mut connection.output)?;
            sent += 1;
            if connection.output.len() >= FLUSH_BYTES {
                tokio::select! {
                    biased;
                    error = interrupts.raised() => return Err(error.into()),
                    flushed = connection.flush() => flushed?,
                }
            }
        }
    }
    writer.end(&mut connection.output)?;
    connection.send(&PgWireBackendMessage::CopyDone(CopyDone::new()))?;
    Ok(sent)
}

/// Writes rows in one format.
struct Writer<'a> {
    format: RowFormat,
    copy: &'a CopyFormat,
    names: Vec<String>,
    /// Of csv, for each column: whether its values are always quoted.
    forced: Vec<bool>,
}

impl<'a> Writer<'a> {
    fn new(format: &RowFormat, copy: &'a CopyFormat) -> Self {
        let names: Vec<String> = format.names().map(str::to_owned).collect();
        let forced = match copy {
            CopyFormat::Csv(CsvFormat { force_quote: ForceQuote::Columns(columns), .. }) => {
                names.iter().map(|name| columns.contains(name)).collect()
            }
            _ => vec![true; names.len()],
        };
        Self { format: format.clone(), copy, names, forced }
    }

    fn response(&self) -> Result<CopyOutResponse> {
        let code = i16::from(*self.copy == CopyFormat::Binary);
        let columns = i16::try_from(self.names.len())
            .map_err(|_| Error::invalid("too many columns").code(SqlState::TooManyColumns))?;
        Ok(CopyOutResponse::new(i8::from(code == 1), columns, vec![code; self.names.len()]))
    }

    fn head(&self, out: &mut BytesMut) -> Result<()> {
        let (delimiter, header) = match self.copy {
            CopyFormat::Binary => return bytes(out, BINARY_HEAD),
            CopyFormat::Text(text) => (text.delimiter, text.header),
            CopyFormat::Csv(csv) => (csv.delimiter, csv.header),
        };
        if !header {
            return Ok(());
        }
        message(out, |out| {
            for (index, name) in self.names.iter().enumerate() {
                if index > 0 {
                    out.put_u8(delimiter);
                }
                match self.copy {
                    CopyFormat::Csv(csv) => csv_value(name.as_bytes(), csv, false, self.names.len() == 1, out),
                    CopyFormat::Text(text) => text_value(name.as_bytes(), text, out),
                    CopyFormat::Binary => {}
                }
            }
            out.put_u8(b'\n');
            Ok(())
        })
    }

    fn row(&self, rows: &mut Rows, out: &mut BytesMut) -> Result<()> {
        message(out, |out| match self.copy {
            CopyFormat::Binary => rows.write_next_values(out),
            CopyFormat::Text(text) => {
                rows.next_texts(|index, value| {
                    if index > 0 {
                        out.put_u8(text.delimiter);
                    }
                    match value {
                        Some(value) => text_value(value, text, out),
                        None => out.put_slice(text.null.as_bytes()),
                    }
                })?;
                out.put_u8(b'\n');
                Ok(())
            }
            CopyFormat::Csv(csv) => {
                let is_alone = self.names.len() == 1;
                rows.next_texts(|index, value| {
                    if index > 0 {
                        out.put_u8(csv.delimiter);
                    }
                    match value {
                        Some(value) => csv_value(value, csv, self.forced[index], is_alone, out),
                        None => out.put_slice(csv.null.as_bytes()),
                    }
                })?;
                out.put_u8(b'\n');
                Ok(())
            }
        })
    }

    fn end(&self, out: &mut BytesMut) -> Result<()> {
        match self.copy {
            CopyFormat::Binary => bytes(out, BINARY_END),
            CopyFormat::Text(_) | CopyFormat::Csv(_) => Ok(()),
        }
    }
}

/// A CopyData message of these bytes.
fn bytes(out: &mut BytesMut, bytes: &[u8]) -> Result<()> {
    message(out, |out| {
        out.put_slice(bytes);
        Ok(())
    })
}

/// A CopyData message; what was begun of one that fails is taken back.
fn message(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut) -> Result<()>) -> Result<()> {
    let start = out.len();
    out.put_u8(b'd');
    out.put_i32(0);
    let written = body(out).and_then(|()| {
        i32::try_from(out.len() - start - 1)
            .map_err(|_| Error::invalid("a row is larger than a message may be").code(SqlState::ProgramLimitExceeded))
    });
    match written {
        Ok(length) => {
            out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

fn text_value(value: &[u8], format: &TextFormat, out: &mut BytesMut) {
    for byte in value {
        let letter = match byte {
            b'\\' => b'\\',
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x0b => b'v',
            byte if *byte == format.delimiter => *byte,
            byte => {
                out.put_u8(*byte);
                continue;
            }
        };
        out.put_slice(&[b'\\', letter]);
    }
}

fn csv_value(value: &[u8], format: &CsvFormat, is_forced: bool, is_alone: bool, out: &mut BytesMut) {
    let is_special = |byte: &u8| *byte == format.delimiter || *byte == format.quote || matches!(byte, b'\n' | b'\r');
    let needs_quotes = is_forced
        // Without quotes it would be NULL, or the end of the data.
        || value == format.null.as_bytes()
        || (is_alone && value == b"\\.")
        || value.iter().any(is_special);
    if !needs_quotes {
        out.put_slice(value);
        return;
    }
    out.put_u8(format.quote);
    for byte in value {
        if *byte == format.quote || *byte == format.escape {
            out.put_u8(format.escape);
        }
        out.put_u8(*byte);
    }
    out.put_u8(format.quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(value: &str, null: &str) -> String {
        let format = CsvFormat {
            delimiter: b',',
            null: null.to_owned(),
            header: false,
            quote: b'"',
            escape: b'"',
            force_quote: ForceQuote::Columns(Vec::new()),
        };
        let mut out = BytesMut::new();
        csv_value(value.as_bytes(), &format, false, true, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn csv_values_are_quoted_where_they_must_be() {
        for (value, expected) in [
            ("a", "a"),
            ("", "\"\""),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\nb", "\"a\nb\""),
            ("\\.", "\"\\.\""),
        ] {
            assert_eq!(csv(value, ""), expected);
        }
        assert_eq!(csv("", "N"), "");
        assert_eq!(csv("N", "N"), "\"N\"");
    }

    #[test]
    fn text_values_are_escaped() {
        let format = TextFormat { delimiter: b'|', null: "\\N".to_owned(), header: false };
        let mut out = BytesMut::new();
        text_value(b"a|b\\c\n\t\r", &format, &mut out);
        assert_eq!(&out[..], b"a\\|b\\\\c\\n\\t\\r");
    }
}
