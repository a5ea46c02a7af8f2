//! How COPY writes and reads rows: the format and its options, as they are read from the statement. Knows no rows.
//! https://www.postgresql.org/docs/16/sql-copy.html

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, Result, SqlState};
use crate::sql::parser::{Cursor, fold};

/// The format of COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyFormat {
    /// Columns between delimiters, special characters behind a backslash.
    Text(TextFormat),
    /// Comma-separated values.
    Csv(CsvFormat),
    /// As values of the protocol.
    Binary,
}

/// Options of the text format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFormat {
    /// Between columns.
    pub delimiter: u8,
    /// What stands for NULL.
    pub null: String,
    /// Whether the names of columns come first.
    pub header: bool,
}

/// Options of the csv format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvFormat {
    /// Between columns.
    pub delimiter: u8,
    /// What stands for NULL, without quotes.
    pub null: String,
    /// Whether the names of columns come first.
    pub header: bool,
    /// Around values that need it.
    pub quote: u8,
    /// Before a quote in a value.
    pub escape: u8,
    /// Columns whose values are always quoted.
    pub force_quote: ForceQuote,
}

/// Columns whose values are always quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForceQuote {
    /// These.
    Columns(Vec<String>),
    /// All.
    All,
}

/// How COPY … FROM reads rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyInput {
    /// The format.
    pub format: CopyFormat,
    /// Whether the header must have the names of the columns.
    pub header_matches: bool,
    /// Columns of csv in which no text without quotes is NULL.
    pub force_not_null: ForceQuote,
    /// Columns of csv in which a text in quotes is NULL, too, if it is what stands for it.
    pub force_null: ForceQuote,
}

impl ForceQuote {
    /// Whether a column is one of them.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Columns(columns) => columns.iter().any(|column| column == name),
        }
    }
}

/// The options as they are written, before they are put together.
#[derive(Default)]
struct Written {
    is_input: bool,
    header_matches: bool,
    force_not_null: Option<ForceQuote>,
    force_null: Option<ForceQuote>,
    format: Option<String>,
    delimiter: Option<String>,
    null: Option<String>,
    header: bool,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: Option<ForceQuote>,
}

impl CopyFormat {
    /// Reads the options behind COPY … TO STDOUT, in either form: `(FORMAT csv, HEADER)` or `CSV HEADER`.
    ///
    /// # Errors
    /// A syntax error; an unknown option or one that does not fit the format (22023, 0A000).
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        Written::read(cursor, false)?.checked()
    }
}

impl CopyInput {
    /// Reads the options behind COPY … FROM STDIN, in either form.
    ///
    /// # Errors
    /// As [`CopyFormat::parse`].
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        let mut written = Written::read(cursor, true)?;
        let none = || ForceQuote::Columns(Vec::new());
        let header_matches = written.header_matches;
        let (force_not_null, force_null) = (written.force_not_null.take(), written.force_null.take());
        let of_csv = force_not_null.is_some() || force_null.is_some();
        let format = written.checked()?;
        if of_csv && !matches!(format, CopyFormat::Csv(_)) {
            return Err(
                Error::unsupported("COPY FORCE_NOT_NULL and FORCE_NULL require CSV mode").hint("Add FORMAT csv.")
            );
        }
        Ok(Self {
            format,
            header_matches,
            force_not_null: force_not_null.unwrap_or_else(none),
            force_null: force_null.unwrap_or_else(none),
        })
    }
}

impl Written {
    fn read(cursor: &mut Cursor, is_input: bool) -> Result<Self> {
        cursor.word("WITH");
        let mut written = Written { is_input, ..Written::default() };
        if cursor.token(&Token::LParen) {
            loop {
                written.option(cursor)?;
                if !cursor.token(&Token::Comma) {
                    break;
                }
            }
            cursor.expect(&Token::RParen)?;
        } else {
            while !matches!(cursor.peek(), Token::EOF | Token::SemiColon) {
                written.old_option(cursor)?;
            }
        }
        Ok(written)
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::invalid(message).code(SqlState::InvalidParameterValue)
}

impl Written {
    fn option(&mut self, cursor: &mut Cursor) -> Result<()> {
        let position = cursor.position();
        let name = fold(&cursor.ident()?);
        match name.as_str() {
            "format" => self.format = Some(cursor.ident_or_string()?.to_lowercase()),
            "delimiter" => self.delimiter = Some(cursor.string()?),
            "null" => self.null = Some(cursor.string()?),
            "header" if self.is_input && cursor.peek_words(&["MATCH"]) => {
                cursor.take();
                (self.header, self.header_matches) = (true, true);
            }
            "header" => self.header = boolean(cursor)?,
            "quote" => self.quote = Some(cursor.string()?),
            "escape" => self.escape = Some(cursor.string()?),
            "force_quote" if self.is_input => {
                return Err(invalid("COPY FORCE_QUOTE cannot be used with COPY FROM").at(position));
            }
            "force_quote" => self.force_quote = Some(force_quote(cursor)?),
            "force_not_null" if self.is_input => self.force_not_null = Some(force_quote(cursor)?),
            "force_null" if self.is_input => self.force_null = Some(force_quote(cursor)?),
            "freeze" | "default" | "on_error" | "log_verbosity" if self.is_input => {
                return Err(Error::unsupported(format!("COPY {name} is not supported")).at(position));
            }
            "encoding" => utf8(&cursor.ident_or_string()?)?,
            "force_not_null" | "force_null" | "freeze" | "default" | "on_error" | "log_verbosity" => {
                return Err(invalid(format!("COPY {name} only available using COPY FROM")).at(position));
            }
            _ => {
                return Err(Error::invalid(format!("option \"{name}\" not recognized"))
                    .code(SqlState::SyntaxError)
                    .at(position));
            }
        }
        Ok(())
    }

    /// The form of PostgreSQL before 9.0, which tools still write.
    fn old_option(&mut self, cursor: &mut Cursor) -> Result<()> {
        if cursor.word("BINARY") {
            self.format = Some("binary".to_owned());
        } else if cursor.word("CSV") {
            self.format = Some("csv".to_owned());
        } else if cursor.word("HEADER") {
            self.header = true;
        } else if cursor.word("DELIMITER") {
            cursor.word("AS");
            self.delimiter = Some(cursor.string()?);
        } else if cursor.word("NULL") {
            cursor.word("AS");
            self.null = Some(cursor.string()?);
        } else if cursor.word("QUOTE") {
            cursor.word("AS");
            self.quote = Some(cursor.string()?);
        } else if cursor.word("ESCAPE") {
            cursor.word("AS");
            self.escape = Some(cursor.string()?);
        } else if self.is_input && cursor.words(&["FORCE", "NOT", "NULL"]) {
            self.force_not_null = Some(force_quote(cursor)?);
        } else if self.is_input && cursor.words(&["FORCE", "NULL"]) {
            self.force_null = Some(force_quote(cursor)?);
        } else if !self.is_input && cursor.words(&["FORCE", "QUOTE"]) {
            self.force_quote = Some(force_quote(cursor)?);
        } else if cursor.word("ENCODING") {
            utf8(&cursor.string()?)?;
        } else {
            return Err(cursor.error());
        }
        Ok(())
    }

    fn checked(self) -> Result<CopyFormat> {
        let is_csv = match self.format.as_deref() {
            Some("binary") => {
                if self.header || self.delimiter.is_some() || self.null.is_some() {
                    return Err(Error::invalid("cannot specify DELIMITER, NULL or HEADER in BINARY mode")
                        .code(SqlState::SyntaxError));
                }
                self.refuse_of_csv()?;
                return Ok(CopyFormat::Binary);
            }
            Some("csv") => true,
            None | Some("text") => false,
            Some(other) => return Err(invalid(format!("COPY format \"{other}\" not recognized"))),
        };
        let delimiter = one_byte("delimiter", self.delimiter.as_deref().unwrap_or(if is_csv { "," } else { "\t" }))?;
        let null = self.null.clone().unwrap_or_else(|| if is_csv { String::new() } else { "\\N".to_owned() });
        if null.contains(['\r', '\n']) {
            return Err(invalid("COPY null representation cannot use newline or carriage return"));
        }
        if null.as_bytes().contains(&delimiter) {
            return Err(invalid("COPY delimiter character must not appear in the NULL specification"));
        }
        if !is_csv {
            self.refuse_of_csv()?;
            if delimiter.is_ascii_lowercase() || delimiter.is_ascii_digit() || matches!(delimiter, b'\\' | b'.') {
                return Err(invalid(format!("COPY delimiter cannot be \"{}\"", char::from(delimiter))));
            }
            return Ok(CopyFormat::Text(TextFormat { delimiter, null, header: self.header }));
        }
        let quote = one_byte("quote", self.quote.as_deref().unwrap_or("\""))?;
        let escape = self.escape.as_deref().map_or(Ok(quote), |escape| one_byte("escape", escape))?;
        if delimiter == quote {
            return Err(invalid("COPY delimiter and quote must be different"));
        }
        if null.as_bytes().contains(&quote) {
            return Err(invalid("CSV quote character must not appear in the NULL specification"));
        }
        let force_quote = self.force_quote.unwrap_or(ForceQuote::Columns(Vec::new()));
        Ok(CopyFormat::Csv(CsvFormat { delimiter, null, header: self.header, quote, escape, force_quote }))
    }

    fn refuse_of_csv(&self) -> Result<()> {
        let given = [
            ("QUOTE", self.quote.is_some()),
            ("ESCAPE", self.escape.is_some()),
            ("FORCE_QUOTE", self.force_quote.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => {
                Err(Error::unsupported(format!("COPY {option} requires CSV mode")).hint("Add FORMAT csv."))
            }
            None => Ok(()),
        }
    }
}

fn one_byte(option: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [b'\r' | b'\n'] => Err(invalid(format!("COPY {option} cannot be newline or carriage return"))),
        [byte] => Ok(*byte),
        _ => Err(Error::unsupported(format!("COPY {option} must be a single one-byte character"))),
    }
}

fn utf8(name: &str) -> Result<()> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    if plain.eq_ignore_ascii_case("utf8") || plain.eq_ignore_ascii_case("unicode") {
        return Ok(());
    }
    Err(Error::unsupported(format!("COPY ENCODING \"{name}\" is not supported")).hint("Texts are UTF8."))
}

/// `HEADER`, `HEADER true`, `HEADER off`, `HEADER 1`
fn boolean(cursor: &mut Cursor) -> Result<bool> {
    if matches!(cursor.peek(), Token::Comma | Token::RParen) {
        return Ok(true);
    }
    let position = cursor.position();
    let word = match cursor.peek() {
        Token::Number(number, _) => {
            cursor.take();
            number
        }
        _ => cursor.ident_or_string()?,
    };
    match word.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        "match" => Err(invalid("cannot use \"match\" with HEADER in COPY TO").at(position)),
        _ => {
            Err(Error::invalid("header requires a Boolean value or \"match\"").code(SqlState::SyntaxError).at(position))
        }
    }
}

fn force_quote(cursor: &mut Cursor) -> Result<ForceQuote> {
    if cursor.token(&Token::Mul) {
        return Ok(ForceQuote::All);
    }
    if matches!(cursor.peek(), Token::LParen) {
        return Ok(ForceQuote::Columns(cursor.idents()?.iter().map(fold).collect()));
    }
    let mut columns = vec![fold(&cursor.ident()?)];
    while cursor.token(&Token::Comma) {
        columns.push(fold(&cursor.ident()?));
    }
    Ok(ForceQuote::Columns(columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(text: &str) -> Result<CopyFormat> {
        let mut cursor = Cursor::new(text)?;
        let format = CopyFormat::parse(&mut cursor)?;
        cursor.end()?;
        Ok(format)
    }

    #[test]
    fn both_forms_say_the_same() {
        let csv = format("WITH (FORMAT csv, HEADER true, DELIMITER ';', NULL 'n', FORCE_QUOTE (a, \"B\"))").unwrap();
        assert_eq!(csv, format("CSV HEADER DELIMITER ';' NULL AS 'n' FORCE QUOTE a, \"B\"").unwrap());
        assert_eq!(format("").unwrap(), format("(FORMAT text, DELIMITER E'\\t', NULL '\\N', HEADER off)").unwrap());
        assert_eq!(format("(FORMAT binary)").unwrap(), format("BINARY").unwrap());
    }

    #[test]
    fn options_that_do_not_fit_are_refused() {
        for (options, code) in [
            ("(FORMAT xml)", "22023"),
            ("(DELIMITER 'ab')", "0A000"),
            ("(DELIMITER 'a')", "22023"),
            ("(DELIMITER '|', NULL '|')", "22023"),
            ("(QUOTE '''')", "0A000"),
            ("(FORMAT csv, DELIMITER '\"')", "22023"),
            ("(FORMAT binary, HEADER)", "42601"),
            ("(HEADER match)", "22023"),
            ("(HEADER maybe)", "42601"),
            ("(ENCODING 'LATIN1')", "0A000"),
            ("(NULL E'\\n')", "22023"),
            ("(FREEZE)", "22023"),
            ("(NONSENSE 1)", "42601"),
            ("CSV NONSENSE", "42601"),
        ] {
            assert_eq!(format(options).unwrap_err().sqlstate().code(), code, "{options}");
        }
    }
}
