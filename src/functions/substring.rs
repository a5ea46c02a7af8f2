//! SUBSTR and SUBSTRING(text, start [, length]), LEFT and RIGHT(text, length), as in Flink: a negative start counts from the end, 0 is
//! the first character, a negative length gives NULL; of LEFT and RIGHT it gives an empty text.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::entry::{Entry, Maker};
use super::{ColumnFunction, no_such_call};

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::public("left", &["text, bigint → text"], "The first characters of a text, so many.", Maker::Plain(left))
        .example("LEFT('abc', 2)", "ab"),
    Entry::public("right", &["text, bigint → text"], "The last characters of a text, so many.", Maker::Plain(right))
        .example("RIGHT('abc', 2)", "bc"),
    Entry::public(
        "substr",
        &["text, bigint → text", "text, bigint, bigint → text"],
        "The characters of a text from a place on, from 1, as many as the third argument says. A \
         negative place counts from the end.",
        Maker::Plain(substr),
    )
    .aliases(&["substring"])
    .example("SUBSTR('abcd', 2, 2)", "bc"),
];

/// The function.
pub fn substr() -> Arc<ScalarUDF> {
    ColumnFunction::udf("substr", Volatility::Immutable, coerce, DataType::Utf8, evaluate)
}

/// LEFT
pub fn left() -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| coerce_end("left", arguments);
    ColumnFunction::udf("left", Volatility::Immutable, coerce, DataType::Utf8, |arguments, _| {
        Ok(ends(arguments, |text, length| part(text, 1, Some(length))))
    })
}

/// RIGHT
pub fn right() -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| coerce_end("right", arguments);
    ColumnFunction::udf("right", Volatility::Immutable, coerce, DataType::Utf8, |arguments, _| {
        Ok(ends(arguments, |text, length| {
            let characters = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
            part(text, characters.saturating_sub(length).max(0).saturating_add(1), None)
        }))
    })
}

/// As many characters of one end; none for a negative number.
fn ends(arguments: &[ArrayRef], end: fn(&str, i64) -> Option<&str>) -> ArrayRef {
    let texts = arguments[0].as_string::<i32>();
    let lengths = arguments[1].as_primitive::<Int64Type>();
    let mut parts = StringBuilder::new();
    for row in 0..texts.len() {
        let is_known = texts.is_valid(row) && lengths.is_valid(row);
        parts.append_option(if is_known { end(texts.value(row), lengths.value(row).max(0)) } else { None });
    }
    Arc::new(parts.finish())
}

fn coerce_end(name: &str, arguments: &[DataType]) -> Result<Vec<DataType>> {
    match (coerce(arguments), arguments) {
        (Ok(types), [_, _]) => Ok(types),
        _ => Err(no_such_call(name, arguments, &format!("{}(text, length)", name.to_uppercase()))),
    }
}

fn coerce(arguments: &[DataType]) -> Result<Vec<DataType>> {
    let is_text = |data_type: &DataType| {
        matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
    };
    let is_number = |data_type: &DataType| data_type.is_integer() || data_type.is_null();
    match arguments {
        [text, numbers @ ..] if is_text(text) && (1..=2).contains(&numbers.len()) && numbers.iter().all(is_number) => {
            let mut types = vec![DataType::Int64; arguments.len()];
            types[0] = DataType::Utf8;
            Ok(types)
        }
        _ => Err(no_such_call("substr", arguments, "SUBSTRING(text, start [, length])")),
    }
}

fn evaluate(arguments: &[ArrayRef], _zone: &str) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let starts = arguments[1].as_primitive::<Int64Type>();
    let lengths = arguments.get(2).map(|lengths| lengths.as_primitive::<Int64Type>());
    let mut parts = StringBuilder::new();
    for row in 0..texts.len() {
        let has_length = lengths.is_none_or(|lengths| lengths.is_valid(row));
        if texts.is_null(row) || starts.is_null(row) || !has_length {
            parts.append_null();
            continue;
        }
        parts.append_option(part(texts.value(row), starts.value(row), lengths.map(|lengths| lengths.value(row))));
    }
    Ok(Arc::new(parts.finish()))
}

/// A part of a text; `None` for a negative length.
fn part(text: &str, start: i64, length: Option<i64>) -> Option<&str> {
    if length.is_some_and(|length| length < 0) {
        return None;
    }
    let length = length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    let is_ascii = text.is_ascii();
    let from = if start < 0 {
        let characters = if is_ascii { text.len() } else { text.chars().count() };
        let back = usize::try_from(start.unsigned_abs()).unwrap_or(usize::MAX);
        match characters.checked_sub(back) {
            Some(from) => from,
            None => return Some(""),
        }
    } else {
        usize::try_from(start.max(1) - 1).unwrap_or(usize::MAX)
    };
    if is_ascii {
        let from = from.min(text.len());
        let to = length.map_or(text.len(), |length| from.saturating_add(length).min(text.len()));
        return Some(&text[from..to]);
    }
    let place =
        |text: &str, characters: usize| text.char_indices().nth(characters).map_or(text.len(), |(place, _)| place);
    let rest = &text[place(text, from)..];
    Some(length.map_or(rest, |length| &rest[..place(rest, length)]))
}
