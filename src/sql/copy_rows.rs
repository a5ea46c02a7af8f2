//! COPY … FROM: bytes → rows of texts, in the text and csv formats, whatever pieces the bytes come in. Knows no types.
//! https://www.postgresql.org/docs/16/sql-copy.html, "File Formats"

use crate::error::{Error, Result, SqlState};
use crate::sql::copy_format::{CopyFormat, CopyInput, CsvFormat, TextFormat};

/// The most bytes of one row.
const ROW_BYTES_MAX: usize = 64 << 20;

/// What reads rows.
pub struct CopyRows {
    input: CopyInput,
    columns: Vec<String>,
    /// For each column of csv: whether a text without quotes is never NULL, whether one in quotes may be.
    forced: Vec<(bool, bool)>,
    pending: Vec<u8>,
    /// How far `pending` was searched for the end of its row.
    searched: usize,
    /// Within quotes of csv, or behind a backslash of text.
    within: bool,
    line: u64,
    header_passed: bool,
    ended: bool,
}

/// Takes a row: the number of its line from 1, and its values.
pub type Take<'a> = dyn FnMut(u64, Vec<Option<String>>) -> Result<()> + 'a;

impl CopyRows {
    /// One for a table's columns, by name. Binary input is refused before.
    pub fn new(input: CopyInput, columns: Vec<String>) -> Self {
        let forced = columns.iter().map(|name| (input.force_not_null.has(name), input.force_null.has(name))).collect();
        Self {
            input,
            columns,
            forced,
            pending: Vec::new(),
            searched: 0,
            within: false,
            line: 0,
            header_passed: false,
            ended: false,
        }
    }

    /// Takes bytes, and gives the rows that are complete.
    ///
    /// # Errors
    /// 22P04, 22021: a row cannot be read; what `take` gives.
    pub fn push(&mut self, bytes: &[u8], take: &mut Take<'_>) -> Result<()> {
        self.pending.extend_from_slice(bytes);
        let mut begin = 0;
        while let Some(end) = self.end_of_row() {
            let row = self.pending[begin..end].to_vec();
            begin = end + 1;
            self.row(&row, take)?;
        }
        self.pending.drain(..begin);
        self.searched -= begin;
        if self.pending.len() > ROW_BYTES_MAX {
            return Err(Error::invalid(format!("a row of COPY is larger than {ROW_BYTES_MAX} bytes"))
                .code(SqlState::ProgramLimitExceeded)
                .context(self.place(self.line + 1)));
        }
        Ok(())
    }

    /// The last row, which may have no end of line.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(&mut self, take: &mut Take<'_>) -> Result<()> {
        let last = std::mem::take(&mut self.pending);
        if last.is_empty() {
            return Ok(());
        }
        if self.within && matches!(self.input.format, CopyFormat::Csv(_)) {
            return Err(self.wrong("unterminated CSV quoted field", self.line + 1));
        }
        self.row(&last, take)
    }

    /// Where the next row ends: a line feed that is neither in quotes nor behind a backslash.
    fn end_of_row(&mut self) -> Option<usize> {
        while let Some(byte) = self.pending.get(self.searched) {
            let place = self.searched;
            self.searched += 1;
            match &self.input.format {
                CopyFormat::Csv(csv) => {
                    // A quote that is doubled goes in and out again. One behind another escape does not count.
                    if self.within && *byte == csv.escape && csv.escape != csv.quote {
                        match self.pending.get(self.searched) {
                            Some(next) if *next == csv.quote || *next == csv.escape => self.searched += 1,
                            Some(_) => {}
                            None => {
                                self.searched = place;
                                return None;
                            }
                        }
                    } else if *byte == csv.quote {
                        self.within = !self.within;
                    } else if *byte == b'\n' && !self.within {
                        return Some(place);
                    }
                }
                _ => match byte {
                    b'\n' if !self.within => return Some(place),
                    b'\\' => self.within = !self.within,
                    _ => self.within = false,
                },
            }
        }
        None
    }

    fn place(&self, line: u64) -> String {
        format!("line {line}")
    }

    fn wrong(&self, what: impl Into<String>, line: u64) -> Error {
        Error::row(what).code(SqlState::BadCopyFileFormat).context(self.place(line))
    }

    fn row(&mut self, row: &[u8], take: &mut Take<'_>) -> Result<()> {
        self.line += 1;
        let line = self.line;
        if self.ended {
            return Ok(());
        }
        let row = row.strip_suffix(b"\r").unwrap_or(row);
        if row == b"\\." {
            self.ended = true;
            return Ok(());
        }
        let text = std::str::from_utf8(row).ok().filter(|text| !text.contains('\0')).ok_or_else(|| {
            Error::row("invalid byte sequence for encoding \"UTF8\"")
                .code(SqlState::CharacterNotInRepertoire)
                .context(self.place(line))
        })?;
        let has_header = match &self.input.format {
            CopyFormat::Text(text) => text.header,
            CopyFormat::Csv(csv) => csv.header,
            CopyFormat::Binary => false,
        };
        if has_header && !std::mem::replace(&mut self.header_passed, true) {
            return self.header(text, line);
        }
        let values = self.values(text, line)?;
        let (expected, found) = (self.columns.len(), values.len());
        if found < expected {
            return Err(self.wrong(format!("missing data for column \"{}\"", self.columns[found]), line));
        }
        if found > expected {
            return Err(self.wrong("extra data after last expected column", line));
        }
        take(line, values)
    }

    fn header(&self, text: &str, line: u64) -> Result<()> {
        if !self.input.header_matches {
            return Ok(());
        }
        let names = self.values(text, line)?;
        if names.len() != self.columns.len() {
            let message =
                format!("wrong number of fields in header line: got {}, expected {}", names.len(), self.columns.len());
            return Err(self.wrong(message, line));
        }
        let differs =
            names.iter().zip(&self.columns).enumerate().find(|(_, (name, column))| name.as_ref() != Some(column));
        match differs {
            Some((place, (name, column))) => {
                let name = name.as_deref().unwrap_or("NULL");
                let message = format!(
                    "column name mismatch in header line field {}: got \"{name}\", expected \"{column}\"",
                    place + 1
                );
                Err(self.wrong(message, line))
            }
            None => Ok(()),
        }
    }

    fn values(&self, text: &str, line: u64) -> Result<Vec<Option<String>>> {
        match &self.input.format {
            CopyFormat::Csv(csv) => csv_values(text, csv, &self.forced).map_err(|what| self.wrong(what, line)),
            CopyFormat::Text(format) => text_values(text, format).map_err(|what| self.wrong(what, line)),
            CopyFormat::Binary => Err(Error::internal("binary rows are not read here")),
        }
    }
}

fn text_values(line: &str, format: &TextFormat) -> Result<Vec<Option<String>>, &'static str> {
    let delimiter = char::from(format.delimiter);
    let mut values = Vec::new();
    let mut rest = line;
    loop {
        let end = end_of_value(rest, delimiter);
        let raw = &rest[..end];
        values.push(if raw == format.null { None } else { Some(unescaped(raw)?) });
        if end == rest.len() {
            return Ok(values);
        }
        rest = &rest[end + delimiter.len_utf8()..];
    }
}

fn end_of_value(text: &str, delimiter: char) -> usize {
    let mut chars = text.char_indices();
    while let Some((place, char)) = chars.next() {
        if char == delimiter {
            return place;
        }
        if char == '\\' {
            chars.next();
        }
    }
    text.len()
}

fn unescaped(raw: &str) -> Result<String, &'static str> {
    if !raw.contains(['\\', '\r']) {
        return Ok(raw.to_owned());
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes().peekable();
    while let Some(byte) = rest.next() {
        if byte == b'\r' {
            return Err("literal carriage return found in data");
        }
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let Some(next) = rest.next() else {
            bytes.push(b'\\');
            continue;
        };
        let mut digits = |most: usize, radix: u32, mut value: u32| {
            for _ in 0..most {
                match rest.peek().and_then(|digit| char::from(*digit).to_digit(radix)) {
                    Some(digit) => value = value * radix + digit,
                    None => break,
                }
                rest.next();
            }
            value.to_le_bytes()[0]
        };
        bytes.push(match next {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'0'..=b'7' => digits(2, 8, u32::from(next - b'0')),
            b'x' if rest.peek().is_some_and(u8::is_ascii_hexdigit) => {
                let mut value = 0;
                for _ in 0..2 {
                    let Some(digit) = rest.peek().and_then(|digit| char::from(*digit).to_digit(16)) else { break };
                    value = value * 16 + digit;
                    rest.next();
                }
                value.to_le_bytes()[0]
            }
            other => other,
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| "invalid byte sequence for encoding \"UTF8\"")?;
    if text.contains('\0') { Err("invalid byte sequence for encoding \"UTF8\": 0x00") } else { Ok(text) }
}

fn csv_values(line: &str, format: &CsvFormat, forced: &[(bool, bool)]) -> Result<Vec<Option<String>>, &'static str> {
    let (delimiter, quote, escape) =
        (char::from(format.delimiter), char::from(format.quote), char::from(format.escape));
    let mut values = Vec::new();
    let (mut value, mut had_quotes, mut within) = (String::new(), false, false);
    let mut chars = line.chars().peekable();
    loop {
        let char = chars.next();
        match char {
            Some(char) if within => {
                let next = chars.peek().copied();
                if char == escape && next.is_some_and(|next| next == quote || next == escape) {
                    value.extend(next);
                    chars.next();
                } else if char == quote {
                    within = false;
                } else {
                    value.push(char);
                }
            }
            None if within => return Err("unterminated CSV quoted field"),
            Some(char) if char == quote => (within, had_quotes) = (true, true),
            Some(char) if char != delimiter => {
                if char == '\r' {
                    return Err("unquoted carriage return found in data");
                }
                value.push(char);
            }
            end => {
                let (never, always) = forced.get(values.len()).copied().unwrap_or_default();
                let can_be_null = if had_quotes { always } else { !never };
                let value = std::mem::take(&mut value);
                values.push(if can_be_null && value == format.null { None } else { Some(value) });
                had_quotes = false;
                if end.is_none() {
                    return Ok(values);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
