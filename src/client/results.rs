//! Rows as `streamgate sql` prints them: in columns, with `|` between the fields, or as CSV.

use std::io::Write;
use std::time::Duration;

use clap::ValueEnum;
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::{CopyOutStream, SimpleQueryMessage, SimpleQueryRow, SimpleQueryStream};
use unicode_width::UnicodeWidthStr;

use super::connection::told;
use crate::error::{Error, Result};

/// Rows that columns are as wide as: those of the first moment, no more. What comes later, of a result that goes on, may stand out.
const MEASURED_ROWS: usize = 1000;
const MEASURED_TIME: Duration = Duration::from_millis(200);

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// In columns, as psql does
    Aligned,
    /// Fields with | between them, as psql -A
    Unaligned,
    /// Comma-separated values (RFC 4180); NULL is empty, an empty text is ""
    Csv,
}

/// Prints the results of statements.
pub(super) struct Results {
    format: Format,
    tuples_only: bool,
}

/// One row, NULL as None.
type Fields = Vec<Option<String>>;

/// What is known of the result that is being printed.
#[derive(Default)]
struct Table {
    names: Vec<String>,
    widths: Vec<usize>,
    is_open: bool,
    rows: u64,
}

impl Results {
    pub(super) fn new(format: Format, tuples_only: bool) -> Self {
        Self { format, tuples_only }
    }

    /// Prints what a statement gives, to its end.
    ///
    /// # Errors
    /// The statement fails; what came before is printed.
    pub(super) async fn print(&mut self, stream: SimpleQueryStream) -> Result<()> {
        tokio::pin!(stream);
        let (mut table, mut waiting) = (Table::default(), Vec::new());
        let mut measured_until = Instant::now();
        loop {
            let next = match waiting.is_empty() {
                true => Some(stream.next().await),
                false => timeout_at(measured_until, stream.next()).await.ok(),
            };
            match next {
                // Nothing more comes at once: what is there is shown.
                None => self.flush(&mut table, &mut waiting)?,
                Some(None) => return self.flush(&mut table, &mut waiting),
                Some(Some(Err(error))) => {
                    self.flush(&mut table, &mut waiting)?;
                    return Err(told(error));
                }
                Some(Some(Ok(SimpleQueryMessage::RowDescription(columns)))) => {
                    table = Table {
                        names: columns.iter().map(|column| column.name().to_owned()).collect(),
                        ..Table::default()
                    };
                }
                Some(Some(Ok(SimpleQueryMessage::Row(row)))) => {
                    if waiting.is_empty() {
                        measured_until = Instant::now() + if table.is_open { Duration::ZERO } else { MEASURED_TIME };
                    }
                    waiting.push(fields(&row));
                    if waiting.len() == MEASURED_ROWS {
                        self.flush(&mut table, &mut waiting)?;
                    }
                }
                Some(Some(Ok(SimpleQueryMessage::CommandComplete(_)))) => {
                    self.flush(&mut table, &mut waiting)?;
                    self.close(&mut table)?;
                }
                Some(Some(Ok(_))) => {}
            }
        }
    }

    /// Prints the bytes of a COPY as they are.
    pub(super) async fn print_copy(&mut self, stream: CopyOutStream) -> Result<()> {
        tokio::pin!(stream);
        while let Some(piece) = stream.next().await {
            write_out(&piece.map_err(told)?)?;
        }
        Ok(())
    }

    /// Prints how many rows a statement moved.
    pub(super) fn print_count(&self, tag: &str) -> Result<()> {
        match self.tuples_only || self.format == Format::Csv {
            true => Ok(()),
            false => write_out(format!("{tag}\n").as_bytes()),
        }
    }

    fn flush(&self, table: &mut Table, waiting: &mut Vec<Fields>) -> Result<()> {
        if waiting.is_empty() {
            return Ok(());
        }
        let mut text = String::new();
        if !table.is_open {
            self.open(table, waiting, &mut text);
        }
        table.rows += waiting.len() as u64;
        for row in waiting.drain(..) {
            self.line(table, &row, &mut text);
        }
        write_out(text.as_bytes())
    }

    /// Settles the widths and adds the head.
    fn open(&self, table: &mut Table, rows: &[Fields], text: &mut String) {
        table.is_open = true;
        let head = if self.tuples_only { &[][..] } else { &table.names[..] };
        table.widths = (0..table.names.len())
            .map(|place| {
                let fields = rows.iter().map(|row| row.get(place).and_then(Option::as_deref).unwrap_or_default());
                fields.chain(head.get(place).map(String::as_str)).map(width).max().unwrap_or_default()
            })
            .collect();
        if self.tuples_only {
            return;
        }
        let names: Fields = table.names.iter().cloned().map(Some).collect();
        self.line(table, &names, text);
        if self.format == Format::Aligned {
            let rules: Vec<String> = table.widths.iter().map(|width| "-".repeat(width + 2)).collect();
            *text += &rules.join("+");
            text.push('\n');
        }
    }

    fn close(&self, table: &mut Table) -> Result<()> {
        let mut text = String::new();
        // A statement without columns gives nothing to print.
        if table.names.is_empty() {
            return Ok(());
        }
        if !table.is_open {
            self.open(table, &[], &mut text);
        }
        if !self.tuples_only && self.format != Format::Csv {
            text += &format!("({} row{})\n", table.rows, if table.rows == 1 { "" } else { "s" });
            if self.format == Format::Aligned {
                text.push('\n');
            }
        }
        *table = Table::default();
        write_out(text.as_bytes())
    }

    fn line(&self, table: &Table, row: &Fields, text: &mut String) {
        let field = |field: &Option<String>| match self.format {
            Format::Csv => field.as_deref().map(csv_field).unwrap_or_default(),
            _ => field.clone().unwrap_or_default(),
        };
        let separator = match self.format {
            Format::Aligned => return aligned(&table.widths, row, text),
            Format::Unaligned => "|",
            Format::Csv => ",",
        };
        *text += &row.iter().map(field).collect::<Vec<_>>().join(separator);
        text.push('\n');
    }
}

/// Adds a row in columns. A field of several lines takes as many, each but its last with a + behind it, as psql has it.
fn aligned(widths: &[usize], row: &Fields, text: &mut String) {
    let fields: Vec<Vec<&str>> =
        row.iter().map(|field| field.as_deref().unwrap_or_default().split('\n').collect()).collect();
    let height = fields.iter().map(Vec::len).max().unwrap_or(1);
    for line in 0..height {
        for (place, lines) in fields.iter().enumerate() {
            let part = lines.get(line).copied().unwrap_or_default();
            let goes_on = line + 1 < lines.len();
            let is_last = place + 1 == fields.len();
            let room = widths.get(place).copied().unwrap_or_default().saturating_sub(part.width());
            *text += if place == 0 { " " } else { "| " };
            *text += part;
            if goes_on || !is_last {
                *text += &" ".repeat(room);
                text.push(if goes_on { '+' } else { ' ' });
            }
        }
        text.push('\n');
    }
}

/// Writes to standard output. A reader that has gone away (`| head`) ends the program without a word, as it does psql.
fn write_out(bytes: &[u8]) -> Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(bytes).and_then(|()| output.flush()).map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        _ => Error::internal(format!("cannot write to standard output: {error}")),
    })
}

fn fields(row: &SimpleQueryRow) -> Fields {
    (0..row.len()).map(|place| row.get(place).map(str::to_owned)).collect()
}

/// Cells of a terminal that the longest line takes.
fn width(text: &str) -> usize {
    text.split('\n').map(UnicodeWidthStr::width).max().unwrap_or_default()
}

fn csv_field(text: &str) -> String {
    match text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_columns_and_fields_of_several_lines_go_on() {
        let results = Results::new(Format::Aligned, false);
        let mut table = Table { names: vec!["a".to_owned(), "text".to_owned()], ..Table::default() };
        let rows = [vec![Some("1".to_owned()), Some("one\nand two".to_owned())], vec![None, Some("x".to_owned())]];
        let mut text = String::new();
        results.open(&mut table, &rows, &mut text);
        for row in &rows {
            results.line(&table, row, &mut text);
        }
        assert_eq!(text, " a | text\n---+---------\n 1 | one    +\n   | and two\n   | x\n");
    }

    #[test]
    fn csv_tells_null_from_an_empty_text() {
        let results = Results::new(Format::Csv, true);
        let row = vec![None, Some(String::new()), Some("a,\"b\"".to_owned()), Some("c".to_owned())];
        let mut text = String::new();
        results.line(&Table::default(), &row, &mut text);
        assert_eq!(text, ",\"\",\"a,\"\"b\"\"\",c\n");
    }
}
