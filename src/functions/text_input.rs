//! Text read as PostgreSQL reads the literals of bytea (`\xdeadbeef`, `a\\b\001`) and of arrays (`{1,NULL,"a,b"}`): bytea_input(text) and
//! array_input(text, type), whose type is that of its second argument, a NULL.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Int32Array, IntervalMonthDayNanoArray, ListArray, StringArray,
    new_null_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{CastOptions, cast_with_options, concat};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use datafusion::scalar::ScalarValue;

use super::entry::{Entry, Maker};
use super::intervals::is_interval;
use super::{ColumnFunction, datetime_input, interval_input, no_such_call, numeric};
use crate::data_type::is_unconstrained_numeric;
use crate::error::{Error, SqlState};

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::internal(BYTEA, "CAST of a text to BYTEA.", Maker::Plain(bytea)),
    Entry::internal(BYTEA_LENGTH, "How many bytes such a text has.", Maker::Plain(bytea_length)),
    Entry::internal(ARRAY, "CAST of a text to an array.", Maker::Plain(array)),
];

/// Name of the function that reads bytes.
pub const BYTEA: &str = "bytea_input";
/// Name of the length of bytes.
pub const BYTEA_LENGTH: &str = "bytea_length";
/// Name of the function that reads arrays.
pub const ARRAY: &str = "array_input";

/// `bytea_input(text)`
pub fn bytea() -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| match arguments {
        [_] => Ok(vec![DataType::Utf8]),
        _ => Err(no_such_call(BYTEA, arguments, "CAST(text AS BYTEA)")),
    };
    ColumnFunction::udf(BYTEA, Volatility::Immutable, coerce, DataType::Binary, |arguments, _| {
        let bytes = read_bytes(arguments[0].as_string::<i32>())?;
        Ok(Arc::new(bytes))
    })
}

/// `bytea_length(bytes)`
pub fn bytea_length() -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| match arguments {
        [_] => Ok(vec![DataType::Binary]),
        _ => Err(no_such_call("length", arguments, "length(value)")),
    };
    ColumnFunction::udf(BYTEA_LENGTH, Volatility::Immutable, coerce, DataType::Int32, |arguments, _| {
        let bytes = arguments[0].as_binary::<i32>();
        let lengths = bytes.iter().map(|bytes| bytes.and_then(|bytes| i32::try_from(bytes.len()).ok()));
        Ok(Arc::new(lengths.collect::<Int32Array>()))
    })
}

/// `array_input(text, NULL of the array's type)`
pub fn array() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(ArrayInput { signature: Signature::user_defined(Volatility::Immutable) }))
}

/// A call that reads an array. `is_try`: text that is none is NULL.
///
/// # Errors
/// The type has no NULL.
pub fn call_array(text: Expr, to: &DataType, is_try: bool) -> Result<Expr> {
    let mut arguments = vec![text, lit(ScalarValue::try_from(to)?)];
    if is_try {
        arguments.push(lit(true));
    }
    Ok(array().call(arguments))
}

fn read_bytes(texts: &StringArray) -> Result<BinaryArray> {
    let bytes: Vec<Option<Vec<u8>>> =
        texts.iter().map(|text| text.map(parse_bytes).transpose()).collect::<Result<_, Error>>()?;
    Ok(bytes.iter().map(Option::as_deref).collect())
}

/// Bytes as PostgreSQL reads them.
///
/// # Errors
/// Text that is none (22P02, 22023).
pub fn parse_bytes(text: &str) -> Result<Vec<u8>, Error> {
    if let Some(hex) = text.strip_prefix("\\x") {
        return parse_hex(hex);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first != b'\\' {
            bytes.push(first);
            rest = after;
            continue;
        }
        let octal = |digit: u8, most: u8| (b'0'..=most).contains(&digit).then(|| digit - b'0');
        match after {
            [b'\\', after @ ..] => {
                bytes.push(b'\\');
                rest = after;
            }
            [high, middle, low, after @ ..] => {
                let (Some(high), Some(middle), Some(low)) =
                    (octal(*high, b'3'), octal(*middle, b'7'), octal(*low, b'7'))
                else {
                    return Err(invalid_bytes());
                };
                bytes.push(high * 64 + middle * 8 + low);
                rest = after;
            }
            _ => return Err(invalid_bytes()),
        }
    }
    Ok(bytes)
}

fn invalid_bytes() -> Error {
    Error::row("invalid input syntax for type bytea").code(SqlState::InvalidTextRepresentation)
}

fn parse_hex(text: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut digits = text.chars();
    let digit = |of: char| {
        let digit = of.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        digit.ok_or_else(|| {
            Error::row(format!("invalid hexadecimal digit: \"{of}\"")).code(SqlState::InvalidParameterValue)
        })
    };
    while let Some(first) = digits.next() {
        if first.is_ascii_whitespace() {
            continue;
        }
        let high = digit(first)?;
        let low = digits.next().ok_or_else(|| {
            Error::row("invalid hexadecimal data: odd number of digits").code(SqlState::InvalidParameterValue)
        })?;
        bytes.push(high * 16 + digit(low)?);
    }
    Ok(bytes)
}

/// An array's literal: items, or arrays within it.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Item(Option<String>),
    Array(Vec<Node>),
}

struct Literal<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Literal<'a> {
    fn read(text: &'a str) -> Result<Node, Error> {
        let mut literal = Literal { text, rest: text.trim_start() };
        if literal.rest.starts_with('[') {
            return Err(Error::unsupported("an array literal that gives its bounds is not supported"));
        }
        if !literal.rest.starts_with('{') {
            return Err(literal.malformed("Array value must start with \"{\" or dimension information."));
        }
        let node = literal.array()?;
        if !literal.rest.trim_start().is_empty() {
            return Err(literal.malformed("Junk after closing right brace."));
        }
        Ok(node)
    }

    fn malformed(&self, detail: &str) -> Error {
        Error::row(format!("malformed array literal: \"{}\"", self.text))
            .code(SqlState::InvalidTextRepresentation)
            .detail(detail)
    }

    fn next(&mut self) -> Result<char, Error> {
        let mut chars = self.rest.chars();
        let next = chars.next().ok_or_else(|| self.malformed("Unexpected end of input."))?;
        self.rest = chars.as_str();
        Ok(next)
    }

    fn array(&mut self) -> Result<Node, Error> {
        self.next()?;
        let mut nodes = Vec::new();
        self.rest = self.rest.trim_start();
        if let Some(rest) = self.rest.strip_prefix('}') {
            self.rest = rest;
            return Ok(Node::Array(nodes));
        }
        loop {
            self.rest = self.rest.trim_start();
            nodes.push(if self.rest.starts_with('{') { self.array()? } else { self.item()? });
            self.rest = self.rest.trim_start();
            match self.next()? {
                ',' => {}
                '}' => return Ok(Node::Array(nodes)),
                found => return Err(self.malformed(&format!("Unexpected \"{found}\" character."))),
            }
        }
    }

    fn item(&mut self) -> Result<Node, Error> {
        let mut item = String::new();
        if let Some(rest) = self.rest.strip_prefix('"') {
            self.rest = rest;
            loop {
                match self.next()? {
                    '"' => return Ok(Node::Item(Some(item))),
                    '\\' => item.push(self.next()?),
                    other => item.push(other),
                }
            }
        }
        // Blanks at the end do not count, unless they are escaped.
        let mut kept = 0;
        let mut is_escaped = false;
        loop {
            match self.rest.chars().next() {
                None => return Err(self.malformed("Unexpected end of input.")),
                Some(',' | '}') => break,
                Some(found @ ('{' | '"')) => {
                    return Err(self.malformed(&format!("Unexpected \"{found}\" character.")));
                }
                Some('\\') => {
                    self.next()?;
                    item.push(self.next()?);
                    kept = item.len();
                    is_escaped = true;
                }
                Some(other) => {
                    self.next()?;
                    item.push(other);
                    if !other.is_whitespace() {
                        kept = item.len();
                    }
                }
            }
        }
        item.truncate(kept);
        if item.is_empty() {
            return Err(self.malformed("Unexpected end of an element."));
        }
        Ok(Node::Item(if !is_escaped && item.eq_ignore_ascii_case("NULL") { None } else { Some(item) }))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ArrayInput {
    signature: Signature,
}

impl ScalarUDFImpl for ArrayInput {
    fn name(&self) -> &str {
        ARRAY
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [_, to @ DataType::List(_)] => Ok(vec![DataType::Utf8, to.clone()]),
            [_, to @ DataType::List(_), _] => Ok(vec![DataType::Utf8, to.clone(), DataType::Boolean]),
            _ => Err(no_such_call(ARRAY, arguments, "CAST(text AS ARRAY<type>)")),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(self.coerce_types(arguments)?.swap_remove(1))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = args.config_options.execution.time_zone.clone().unwrap_or_else(|| "UTC".to_owned());
        let to = args.return_type().clone();
        let is_try = args.args.len() > 2;
        let (texts, is_scalar) = match args.args.into_iter().next() {
            Some(ColumnarValue::Array(texts)) => (texts, false),
            Some(ColumnarValue::Scalar(text)) => (text.to_array()?, true),
            None => return Err(Error::internal("array_input without an argument").into()),
        };
        let texts = texts.as_string::<i32>();
        let arrays = if is_try {
            let one = |text: Option<&str>| {
                let array = text.and_then(|text| Literal::read(text).ok());
                build(&[array], &to, &zone).or_else(|_| Ok(new_null_array(&to, 1)))
            };
            let arrays = texts.iter().map(one).collect::<Result<Vec<ArrayRef>>>()?;
            let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
            if arrays.is_empty() { new_null_array(&to, 0) } else { concat(&arrays)? }
        } else {
            let arrays = texts.iter().map(|text| text.map(Literal::read).transpose());
            build(&arrays.collect::<Result<Vec<Option<Node>>, Error>>()?, &to, &zone)?
        };
        Ok(if is_scalar {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&arrays, 0)?)
        } else {
            ColumnarValue::Array(arrays)
        })
    }
}

fn build(nodes: &[Option<Node>], to: &DataType, zone: &str) -> Result<ArrayRef> {
    if let DataType::List(item) = to {
        let mut below = Vec::new();
        let mut lengths = Vec::with_capacity(nodes.len());
        let mut valid = Vec::with_capacity(nodes.len());
        for node in nodes {
            let length = match node {
                None | Some(Node::Item(None)) => None,
                Some(Node::Array(items)) => {
                    below.extend(items.iter().cloned().map(Some));
                    Some(items.len())
                }
                Some(Node::Item(Some(_))) => {
                    let message = "an array literal has fewer dimensions than its type";
                    return Err(Error::row(message).code(SqlState::InvalidTextRepresentation).into());
                }
            };
            lengths.push(length.unwrap_or(0));
            valid.push(length.is_some());
        }
        let items = build(&below, item.data_type(), zone)?;
        let nulls = NullBuffer::from(valid);
        return Ok(Arc::new(ListArray::try_new(
            item.clone(),
            OffsetBuffer::from_lengths(lengths),
            items,
            Some(nulls),
        )?));
    }
    let items = nodes.iter().map(|node| match node {
        None => Ok(None),
        Some(Node::Item(text)) => Ok(text.as_deref()),
        Some(Node::Array(_)) => {
            Err(Error::unsupported("an array literal of more dimensions than its type is not supported")
                .hint("Write the type with as many brackets: INT[][]."))
        }
    });
    let items: StringArray = items.collect::<Result<Vec<_>, Error>>()?.into_iter().collect();
    items_of(items, to, zone)
}

/// The items in their type.
fn items_of(items: StringArray, to: &DataType, zone: &str) -> Result<ArrayRef> {
    if matches!(to, DataType::Binary) {
        return Ok(Arc::new(read_bytes(&items)?));
    }
    if is_unconstrained_numeric(to) {
        return numeric::of_texts(&items);
    }
    if datetime_input::is_ours(to) {
        return datetime_input::read(items.iter(), to, zone);
    }
    if is_interval(to) {
        let intervals = items.iter().map(|text| text.map(|text| interval_input::parse(text, None)).transpose());
        return Ok(Arc::new(intervals.collect::<Result<IntervalMonthDayNanoArray, Error>>()?));
    }
    let items: ArrayRef = Arc::new(items);
    Ok(cast_with_options(&items, to, &CastOptions { safe: false, ..CastOptions::default() })?)
}

#[cfg(test)]
mod tests;
