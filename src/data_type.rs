//! Type names of Flink and Postgres, to Arrow and back. Knows no values.
//! `FLOAT` is Flink's (four bytes). A NUMERIC without precision is (10, 0) in declarations and unconstrained in queries.

mod named_text;
mod printed;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, TimeUnit};

use crate::error::{Error, Result, SqlState};
pub use named_text::{NamedText, TYPE_KEY};
pub use printed::{to_flink, to_postgres};

/// Precision of a numeric without type modifier, see [`unconstrained_numeric`].
pub const NUMERIC_PRECISION: u8 = 76;
/// Scale of a numeric without type modifier.
pub const NUMERIC_SCALE: i8 = 38;

/// Postgres' `numeric` without type modifier: printed with trailing zeros trimmed.
pub fn unconstrained_numeric() -> DataType {
    DataType::Decimal256(NUMERIC_PRECISION, NUMERIC_SCALE)
}

/// Whether a type is Postgres' `numeric` without type modifier.
pub fn is_unconstrained_numeric(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal256(NUMERIC_PRECISION, NUMERIC_SCALE))
}

/// Reads a declared type: `INT`, `VARCHAR(255)`, `DECIMAL(10, 2)`, `TIMESTAMP(3)`, `ARRAY<STRING>`, `ROW<a INT, b STRING>` …
///
/// # Errors
/// The text is no type we have.
pub fn parse(text: &str) -> Result<DataType> {
    parse_with(text, DataType::Decimal128(10, 0))
}

/// Reads a type of a query (CAST, parameters): as [`parse`], but NUMERIC without precision is unconstrained.
///
/// # Errors
/// The text is no type we have.
pub fn parse_in_query(text: &str) -> Result<DataType> {
    parse_with(text, unconstrained_numeric())
}

/// Key of a field within a type that has the words in which its own type is written: lengths and digits, which Arrow has not.
pub const WRITTEN: &str = "written";

/// As [`parse_in_query`], with [`WRITTEN`] in the fields within.
///
/// # Errors
/// The text is no type we have.
pub fn parse_marked(text: &str) -> Result<DataType> {
    read(TypeReader { text, tokens: tokenize(text)?, next: 0, numeric: unconstrained_numeric(), marks: true })
}

fn parse_with(text: &str, numeric: DataType) -> Result<DataType> {
    read(TypeReader { text, tokens: tokenize(text)?, next: 0, numeric, marks: false })
}

fn read(mut reader: TypeReader<'_>) -> Result<DataType> {
    let data_type = reader.data_type()?;
    reader.skip_nullability();
    match reader.peek() {
        None => Ok(data_type),
        Some(_) => Err(reader.unknown()),
    }
}

/// How long the values of a type are: CHAR(n), VARCHAR(n), BINARY(n), VARBINARY(n).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeLength {
    /// Characters, or bytes.
    pub length: usize,
    /// Whether shorter values are filled up: CHAR with blanks, BINARY with zeros.
    pub is_padded: bool,
}

impl TypeLength {
    /// What a type says of it, as it is written in a declaration or a CAST; `None` if nothing. CHAR and BINARY alone are of one,
    /// VARCHAR and VARBINARY alone of any length.
    pub fn of(text: &str) -> Option<Self> {
        let tokens = tokenize(text).ok()?;
        // The type `"char"` of pg_catalog is another one.
        let Some(TypeToken::Word(word)) = tokens.first() else { return None };
        let is_varying = matches!(tokens.get(1), Some(TypeToken::Word(word)) if word.eq_ignore_ascii_case("VARYING"));
        let rest = &tokens[if is_varying { 2 } else { 1 }..];
        let is_padded = match word.to_ascii_uppercase().as_str() {
            "CHAR" | "CHARACTER" | "BINARY" => !is_varying,
            "BPCHAR" => true,
            "VARCHAR" | "VARBINARY" => false,
            _ => return None,
        };
        let length = match rest {
            [TypeToken::Sign('('), TypeToken::Number(length), TypeToken::Sign(')'), after @ ..] => {
                // An array of such texts has no length itself.
                if matches!(after.first(), Some(TypeToken::Sign('['))) {
                    return None;
                }
                usize::try_from(*length).ok()?
            }
            [] if is_padded && !word.eq_ignore_ascii_case("BPCHAR") => 1,
            [TypeToken::Word(word), ..]
                if is_padded && (word.eq_ignore_ascii_case("NOT") || word.eq_ignore_ascii_case("NULL")) =>
            {
                1
            }
            _ => return None,
        };
        Some(Self { length, is_padded })
    }

    /// Whether a value of that length is one of the type.
    pub fn admits(self, length: usize) -> bool {
        length == self.length || length < self.length && !self.is_padded
    }

    /// A text cut off or filled up with blanks.
    pub fn fit(self, text: &str) -> Cow<'_, str> {
        // Most texts are shorter in bytes already.
        let chars = if text.is_ascii() { text.len() } else { text.chars().count() };
        if chars > self.length {
            let end = text.char_indices().nth(self.length).map_or(text.len(), |(end, _)| end);
            return Cow::Borrowed(&text[..end]);
        }
        if !self.is_padded || chars == self.length {
            return Cow::Borrowed(text);
        }
        let mut padded = String::with_capacity(text.len() + self.length - chars);
        padded.push_str(text);
        padded.extend(std::iter::repeat_n(' ', self.length - chars));
        Cow::Owned(padded)
    }

    /// Bytes cut off or filled up with zeros.
    pub fn fit_bytes(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        match bytes.get(..self.length) {
            Some(start) => Cow::Borrowed(start),
            None if self.is_padded => {
                let mut padded = bytes.to_vec();
                padded.resize(self.length, 0);
                Cow::Owned(padded)
            }
            None => Cow::Borrowed(bytes),
        }
    }
}

/// The digits of a second that the type of a timestamp or a time says, where its Arrow type has more: `TIMESTAMP(0)`, `TIME(4)`.
pub fn second_digits(text: &str) -> Option<u8> {
    let tokens = tokenize(text).ok()?;
    let [TypeToken::Word(word), TypeToken::Sign('('), TypeToken::Number(digits), ..] = &tokens[..] else { return None };
    let has_seconds = word.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("TIME"));
    if !has_seconds || matches!(tokens.last(), Some(TypeToken::Sign(']'))) {
        return None;
    }
    u8::try_from(*digits).ok().filter(|digits| !matches!(digits, 3 | 6 | 9))
}

#[derive(Debug, Clone, PartialEq)]
enum TypeToken {
    Word(String),
    Quoted(String),
    Number(u64),
    Sign(char),
}

impl TypeToken {
    fn text(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Quoted(word) => format!("`{}`", word.replace('`', "``")),
            Self::Number(number) => number.to_string(),
            Self::Sign(sign) => sign.to_string(),
        }
    }
}

fn tokenize(text: &str) -> Result<Vec<TypeToken>> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
        } else if c == '"' || c == '`' || c == '\'' {
            chars.next();
            let mut word = String::new();
            while let Some(inner) = chars.next() {
                if inner == c {
                    if chars.peek() == Some(&c) {
                        chars.next();
                    } else {
                        break;
                    }
                }
                word.push(inner);
            }
            tokens.push(TypeToken::Quoted(word));
        } else if c.is_ascii_digit() {
            let mut number = String::new();
            while let Some(&digit) = chars.peek()
                && digit.is_ascii_digit()
            {
                number.push(digit);
                chars.next();
            }
            let number =
                number.parse().map_err(|_| Error::invalid(format!("type \"{text}\": a number is too large")))?;
            tokens.push(TypeToken::Number(number));
        } else if c.is_alphanumeric() || c == '_' {
            let mut word = String::new();
            while let Some(&letter) = chars.peek()
                && (letter.is_alphanumeric() || letter == '_')
            {
                word.push(letter);
                chars.next();
            }
            tokens.push(TypeToken::Word(word));
        } else {
            tokens.push(TypeToken::Sign(c));
            chars.next();
        }
    }
    Ok(tokens)
}

struct TypeReader<'a> {
    text: &'a str,
    tokens: Vec<TypeToken>,
    next: usize,
    numeric: DataType,
    /// Whether fields have the words of their types.
    marks: bool,
}

impl TypeReader<'_> {
    fn peek(&self) -> Option<&TypeToken> {
        self.tokens.get(self.next)
    }

    fn sign(&mut self, sign: char) -> bool {
        let found = self.peek() == Some(&TypeToken::Sign(sign));
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: char) -> Result<()> {
        if self.sign(sign) { Ok(()) } else { Err(self.unknown()) }
    }

    fn words(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(i, word)| {
            matches!(self.tokens.get(self.next + i), Some(TypeToken::Word(w)) if w.eq_ignore_ascii_case(word))
        });
        if found {
            self.next += words.len();
        }
        found
    }

    fn skip_nullability(&mut self) {
        if !self.words(&["NOT", "NULL"]) {
            self.words(&["NULL"]);
        }
    }

    fn number(&mut self) -> Result<u64> {
        match self.peek() {
            Some(TypeToken::Number(number)) => {
                let number = *number;
                self.next += 1;
                Ok(number)
            }
            _ => Err(self.unknown()),
        }
    }

    fn length(&mut self) -> Result<Option<u64>> {
        if !self.sign('(') {
            return Ok(None);
        }
        let length = self.number()?;
        self.expect(')')?;
        Ok(Some(length))
    }

    fn unknown(&self) -> Error {
        Error::not_found(format!("type \"{}\" does not exist", self.text.trim())).code(SqlState::UndefinedObject)
    }

    /// A field with the words from there on.
    fn field(&self, name: &str, data_type: DataType, nullable: bool, from: usize) -> Field {
        let field = Field::new(name, data_type, nullable);
        if !self.marks {
            return field;
        }
        let words: Vec<String> = self.tokens[from..self.next].iter().map(TypeToken::text).collect();
        field.with_metadata(HashMap::from([(WRITTEN.to_owned(), words.join(" "))]))
    }

    fn data_type(&mut self) -> Result<DataType> {
        let from = self.next;
        let mut data_type = self.scalar()?;
        loop {
            let of_item = self.field("item", data_type.clone(), true, from);
            if self.sign('[') {
                if matches!(self.peek(), Some(TypeToken::Number(_))) {
                    self.next += 1;
                }
                self.expect(']')?;
            } else if matches!(self.peek(), Some(TypeToken::Word(word)) if word.eq_ignore_ascii_case("ARRAY")) {
                self.next += 1;
            } else {
                return Ok(data_type);
            }
            data_type = DataType::List(Arc::new(of_item));
        }
    }

    /// A type inside another one, with its nullability.
    fn element(&mut self) -> Result<(DataType, bool)> {
        let data_type = self.data_type()?;
        if self.words(&["NOT", "NULL"]) {
            return Ok((data_type, false));
        }
        self.words(&["NULL"]);
        Ok((data_type, true))
    }

    fn scalar(&mut self) -> Result<DataType> {
        let mut word = match self.peek() {
            Some(TypeToken::Word(word)) => word.to_ascii_uppercase(),
            Some(TypeToken::Quoted(word)) => word.to_ascii_uppercase(),
            _ => return Err(self.unknown()),
        };
        self.next += 1;
        if word == "PG_CATALOG" && self.sign('.') {
            word = match self.peek() {
                Some(TypeToken::Word(word) | TypeToken::Quoted(word)) => word.to_ascii_uppercase(),
                _ => return Err(self.unknown()),
            };
            self.next += 1;
        }
        Ok(match word.as_str() {
            "BOOLEAN" | "BOOL" => DataType::Boolean,
            "TINYINT" => DataType::Int8,
            "SMALLINT" | "INT2" => DataType::Int16,
            "INT" | "INTEGER" | "INT4" => DataType::Int32,
            "BIGINT" | "INT8" => DataType::Int64,
            "FLOAT" => match self.length()? {
                Some(bits) if bits > 24 => DataType::Float64,
                _ => DataType::Float32,
            },
            "REAL" | "FLOAT4" => DataType::Float32,
            "DOUBLE" => {
                self.words(&["PRECISION"]);
                DataType::Float64
            }
            "FLOAT8" => DataType::Float64,
            "DECIMAL" | "NUMERIC" | "DEC" => self.decimal()?,
            "CHAR" | "CHARACTER" | "VARCHAR" | "BPCHAR" | "STRING" | "TEXT" | "NAME" => {
                if word == "CHARACTER" || word == "CHAR" {
                    self.words(&["VARYING"]);
                }
                self.length()?;
                DataType::Utf8
            }
            "UUID" | "JSON" | "JSONB" => DataType::Utf8,
            "BINARY" | "VARBINARY" | "BYTES" | "BYTEA" => {
                self.length()?;
                DataType::Binary
            }
            "DATE" => DataType::Date32,
            "TIME" => {
                let unit = unit_of(self.precision(0, 9)?);
                self.words(&["WITHOUT", "TIME", "ZONE"]);
                match unit {
                    TimeUnit::Second | TimeUnit::Millisecond => DataType::Time32(TimeUnit::Millisecond),
                    unit => DataType::Time64(unit),
                }
            }
            "TIMESTAMP" => {
                let unit = unit_of(self.precision(6, 9)?);
                if self.words(&["WITH", "LOCAL", "TIME", "ZONE"]) || self.words(&["WITH", "TIME", "ZONE"]) {
                    DataType::Timestamp(unit, Some("UTC".into()))
                } else {
                    self.words(&["WITHOUT", "TIME", "ZONE"]);
                    DataType::Timestamp(unit, None)
                }
            }
            "TIMESTAMP_LTZ" | "TIMESTAMPTZ" => DataType::Timestamp(unit_of(self.precision(6, 9)?), Some("UTC".into())),
            "ARRAY" => self.array()?,
            "MAP" => self.map()?,
            "ROW" => self.row()?,
            "MULTISET" | "INTERVAL" | "RAW" | "VARIANT" => {
                return Err(Error::unsupported(format!("type {word} cannot be used for columns yet"))
                    .hint("Use STRING, ARRAY<…>, MAP<…> or ROW<…>."));
            }
            _ => return Err(self.unknown()),
        })
    }

    fn precision(&mut self, default: u64, most: u64) -> Result<u64> {
        let precision = self.length()?.unwrap_or(default);
        if precision > most {
            return Err(Error::invalid(format!(
                "type \"{}\": precision {precision} must be between 0 and {most}",
                self.text.trim()
            )));
        }
        Ok(precision)
    }

    fn decimal(&mut self) -> Result<DataType> {
        if !self.sign('(') {
            return Ok(self.numeric.clone());
        }
        let precision = self.number()?;
        let scale = if self.sign(',') { self.number()? } else { 0 };
        self.expect(')')?;
        if precision == 0 || precision > u64::from(NUMERIC_PRECISION) || scale > precision {
            return Err(Error::invalid(format!(
                "type \"{}\": precision must be between 1 and {NUMERIC_PRECISION}, scale between 0 and the precision",
                self.text.trim()
            )));
        }
        let precision = u8::try_from(precision).unwrap_or(NUMERIC_PRECISION);
        let scale = i8::try_from(scale).unwrap_or(0);
        Ok(if precision <= 38 {
            DataType::Decimal128(precision, scale)
        } else {
            DataType::Decimal256(precision, scale)
        })
    }

    fn array(&mut self) -> Result<DataType> {
        self.expect('<')?;
        let from = self.next;
        let (element, nullable) = self.element()?;
        let item = self.field("item", element, nullable, from);
        self.expect('>')?;
        Ok(DataType::List(Arc::new(item)))
    }

    fn map(&mut self) -> Result<DataType> {
        self.expect('<')?;
        let from = self.next;
        let (key, _) = self.element()?;
        let key = self.field("key", key, false, from);
        self.expect(',')?;
        let from = self.next;
        let (value, nullable) = self.element()?;
        let value = self.field("value", value, nullable, from);
        self.expect('>')?;
        Ok(map_of(key, value))
    }

    fn row(&mut self) -> Result<DataType> {
        let close = if self.sign('<') {
            '>'
        } else {
            self.expect('(')?;
            ')'
        };
        let mut fields = Vec::new();
        while !self.sign(close) {
            if !fields.is_empty() {
                self.expect(',')?;
            }
            let name = match self.peek() {
                Some(TypeToken::Word(name) | TypeToken::Quoted(name)) => name.clone(),
                _ => return Err(self.unknown()),
            };
            self.next += 1;
            let from = self.next;
            let (data_type, nullable) = self.element()?;
            let field = self.field(&name, data_type, nullable, from);
            if matches!(self.peek(), Some(TypeToken::Quoted(_))) {
                self.next += 1; // a field's description
            }
            fields.push(field);
        }
        Ok(DataType::Struct(Fields::from(fields)))
    }
}

fn unit_of(precision: u64) -> TimeUnit {
    match precision {
        0..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    }
}

/// An array of such items.
pub fn list_of(element: DataType, nullable: bool) -> DataType {
    DataType::List(Arc::new(Field::new("item", element, nullable)))
}

fn map_of(key: Field, value: Field) -> DataType {
    let entries = Fields::from(vec![key, value]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
}

#[cfg(test)]
mod tests;
