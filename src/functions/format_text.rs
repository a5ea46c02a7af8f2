//! format(pattern, value, …) as in PostgreSQL: `%s` a value as it is, `%I` as a name, `%L` as a literal, `%%` a percent sign; with a
//! place (`%2$s`), `-` for the left, a width (`%10s`, `%*s`, `%*2$s`). Values of any type are taken as text.

use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::entry::{Entry, Maker};
use super::quoting::{quote_ident, quote_literal};
use super::{ColumnFunction, no_such_call, sizes};
use crate::error::{Error, Result, SqlState};

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] = &[Entry::public(
    NAME,
    &["text, any... → text"],
    "A text with values in it: `%s` as it is, `%I` as a quoted name, `%L` as a quoted literal, `%%` a percent sign; `%2$s` takes the second, \
     `%-10s` fills up with blanks.",
    Maker::Plain(format_text),
)
.stable()
.example("format('%s of %L', 1, 'a')", "1 of 'a'")];

const NAME: &str = "format";

/// The widest a value is filled up with blanks.
const WIDTH_MAX: usize = 65_536;

/// The function.
fn format_text() -> Arc<ScalarUDF> {
    ColumnFunction::large(NAME, Volatility::Stable, coerce, DataType::Utf8, evaluate, |sizes| {
        sizes::formatted(sizes, WIDTH_MAX)
    })
}

fn coerce(arguments: &[DataType]) -> DataFusionResult<Vec<DataType>> {
    if arguments.is_empty() {
        return Err(no_such_call(NAME, arguments, "format('%s', value)"));
    }
    Ok(vec![DataType::Utf8; arguments.len()])
}

fn evaluate(arguments: &[ArrayRef], _zone: &str) -> DataFusionResult<ArrayRef> {
    let texts: Vec<&StringArray> = arguments.iter().map(|argument| argument.as_string::<i32>()).collect();
    let (patterns, values) = (texts[0], &texts[1..]);
    let formatted = (0..patterns.len()).map(|row| {
        if patterns.is_null(row) {
            return Ok(None);
        }
        let value = |place: usize| values.get(place).map(|text| text.is_valid(row).then(|| text.value(row)));
        format(patterns.value(row), &value).map(Some)
    });
    Ok(Arc::new(formatted.collect::<Result<StringArray>>()?))
}

fn wrong(what: String) -> Error {
    Error::row(what).code(SqlState::InvalidParameterValue)
}

/// One `%…` of a pattern.
#[derive(Debug, Default)]
struct Conversion {
    /// Of the value, from 0.
    place: Option<usize>,
    is_left: bool,
    width: usize,
}

/// `value` gives the text of the value at a place from 0: `None` if there is no such value, `Some(None)` if it is NULL.
fn format<'a>(pattern: &str, value: &dyn Fn(usize) -> Option<Option<&'a str>>) -> Result<String> {
    let mut text = String::new();
    let mut chars = pattern.chars().peekable();
    let mut next = 0;
    while let Some(char) = chars.next() {
        if char != '%' {
            text.push(char);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            text.push('%');
            continue;
        }
        let conversion = conversion(&mut chars, &mut next, value)?;
        let kind = chars.next().ok_or_else(|| wrong("unterminated format() type specifier".to_owned()))?;
        let place = conversion.place.unwrap_or(next);
        next = place + 1;
        if !matches!(kind, 's' | 'I' | 'L') {
            return Err(wrong(format!("unrecognized format() type specifier \"{kind}\""))
                .hint("Write %s, %I or %L, and %% for a percent sign."));
        }
        let given = value(place).ok_or_else(|| wrong("too few arguments for format()".to_owned()))?;
        let shown = match (kind, given) {
            ('s', given) => given.unwrap_or_default().to_owned(),
            ('I', Some(name)) => quote_ident(name),
            ('I', None) => {
                let error = Error::row("null values cannot be formatted as an SQL identifier");
                return Err(error.code(SqlState::NullValueNotAllowed));
            }
            (_, Some(literal)) => quote_literal(literal),
            (_, None) => "NULL".to_owned(),
        };
        let blanks = " ".repeat(conversion.width.saturating_sub(shown.chars().count()));
        let parts = if conversion.is_left { [shown, blanks] } else { [blanks, shown] };
        text.extend(parts);
    }
    Ok(text)
}

/// What stands between `%` and its letter.
fn conversion<'a>(
    chars: &mut Peekable<Chars<'_>>,
    next: &mut usize,
    value: &dyn Fn(usize) -> Option<Option<&'a str>>,
) -> Result<Conversion> {
    let mut read = Conversion::default();
    let mut digits = number(chars)?;
    if let Some(place) = digits
        && chars.next_if_eq(&'$').is_some()
    {
        read.place = Some(from_one(place)?);
        digits = None;
    }
    if digits.is_none() {
        while chars.next_if_eq(&'-').is_some() {
            read.is_left = true;
        }
        digits = number(chars)?;
    }
    let mut width = digits.map(|digits| i64::try_from(digits).unwrap_or(i64::MAX));
    if digits.is_none() && chars.next_if_eq(&'*').is_some() {
        let place = match number(chars)? {
            None => *next,
            Some(place) => {
                chars
                    .next_if_eq(&'$')
                    .ok_or_else(|| wrong("width argument position must be ended by \"$\"".to_owned()))?;
                from_one(place)?
            }
        };
        *next = place + 1;
        let given = value(place).ok_or_else(|| wrong("too few arguments for format()".to_owned()))?;
        let is_number =
            |text: &str| text.trim().parse().map_err(|_| wrong(format!("format(): \"{text}\" is not a width")));
        width = given.map(is_number).transpose()?;
    }
    let width = width.unwrap_or_default();
    read.is_left |= width < 0;
    read.width = usize::try_from(width.unsigned_abs())
        .ok()
        .filter(|width| *width <= WIDTH_MAX)
        .ok_or_else(|| wrong(format!("format(): the width {width} is larger than {WIDTH_MAX}")))?;
    Ok(read)
}

fn number(chars: &mut Peekable<Chars<'_>>) -> Result<Option<usize>> {
    let mut digits = String::new();
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    if digits.is_empty() {
        return Ok(None);
    }
    digits.parse().map(Some).map_err(|_| wrong("number is out of range".to_owned()))
}

fn from_one(place: usize) -> Result<usize> {
    place
        .checked_sub(1)
        .ok_or_else(|| wrong("format specifies argument 0, but arguments are numbered from 1".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pattern: &str, values: &[Option<&'static str>]) -> Result<String> {
        format(pattern, &|place| values.get(place).copied())
    }

    #[test]
    fn patterns_are_filled_in_as_in_the_documentation() {
        let foo_bar = [Some("foo"), Some("bar"), Some("baz")];
        for (pattern, values, expected) in [
            ("Hello %s, %1$s", &[Some("World")][..], "Hello World, World"),
            ("Testing %s, %s, %s, %%", &[Some("one"), Some("two"), Some("three")], "Testing one, two, three, %"),
            (
                "INSERT INTO %I VALUES(%L)",
                &[Some("Foo bar"), Some("O'Reilly")],
                "INSERT INTO \"Foo bar\" VALUES('O''Reilly')",
            ),
            ("%L", &[Some("C:\\x")], "E'C:\\\\x'"),
            ("|%10s|", &[Some("foo")], "|       foo|"),
            ("|%-10s|", &[Some("foo")], "|foo       |"),
            ("|%*s|", &[Some("10"), Some("foo")], "|       foo|"),
            ("|%*s|", &[Some("-10"), Some("foo")], "|foo       |"),
            ("|%-*s|", &[Some("10"), Some("foo")], "|foo       |"),
            ("Testing %3$s, %2$s, %1$s", &foo_bar, "Testing baz, bar, foo"),
            ("|%*2$s|", &[Some("foo"), Some("10"), Some("bar")], "|       bar|"),
            ("|%1$*2$s|", &[Some("foo"), Some("10"), Some("bar")], "|       foo|"),
            ("Testing %3$s, %2$s, %s", &foo_bar, "Testing baz, bar, baz"),
            ("%s%L", &[None, None], "NULL"),
        ] {
            assert_eq!(with(pattern, values).unwrap(), expected, "{pattern}");
        }
    }

    #[test]
    fn patterns_that_ask_for_more_are_refused() {
        for (pattern, code) in [
            ("%s", "22023"),
            ("%", "22023"),
            ("%d", "22023"),
            ("%0$s", "22023"),
            ("%*1s", "22023"),
            ("%9999999s", "22023"),
        ] {
            assert_eq!(with(pattern, &[]).unwrap_err().sqlstate().code(), code, "{pattern}");
        }
        assert_eq!(with("%I", &[None]).unwrap_err().sqlstate().code(), "22004");
    }
}
