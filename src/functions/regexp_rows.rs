//! What a regular expression finds in a text, as arrays: the parts between its matches, and the groups of its matches. Queries make rows of them.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringArray, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{ScalarUDF, Volatility};
use regex::Regex;

use super::ColumnFunction;
use super::entry::{Entry, Maker};
use super::patterns::{Known, texts, value, with_flags};
use crate::data_type::list_of;

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::public(
        SPLIT,
        &["text, text → text[]", "text, text, text → text[]"],
        "The parts of a text between the matches of a regular expression. As regexp_split_to_table each is a row.",
        Maker::Plain(split),
    )
    .example("regexp_split_to_array('a, b,c', ',\\s*')", "{a,b,c}"),
    Entry::public(
        MATCHES,
        &["text, text → text[]", "text, text, text → text[]"],
        "For the first match of a regular expression, or each with the flag `g`, a row with the array of its groups, or of the whole match.",
        Maker::Plain(matches),
    ),
];

const SPLIT: &str = "regexp_split_to_array";
const MATCHES: &str = "regexp_matches";

fn coerce_split(arguments: &[DataType]) -> DataFusionResult<Vec<DataType>> {
    texts(SPLIT, arguments, 2..=3, "regexp_split_to_array(text, pattern [, flags])")
}

fn coerce_matches(arguments: &[DataType]) -> DataFusionResult<Vec<DataType>> {
    texts(MATCHES, arguments, 2..=3, "regexp_matches(text, pattern [, flags])")
}

/// Calls `of_row` with the text, the expression and the flags of each row in which none of them is NULL.
fn each(
    arguments: &[ArrayRef],
    mut of_row: impl FnMut(Option<(&str, &Regex, &str)>) -> DataFusionResult<()>,
) -> DataFusionResult<()> {
    let columns: Vec<&StringArray> = arguments.iter().map(|argument| argument.as_string::<i32>()).collect();
    let mut known = Known::default();
    for row in 0..columns[0].len() {
        let flags = columns.get(2).map_or(Some(""), |flags| value(flags, row));
        let (Some(text), Some(pattern), Some(flags)) = (value(columns[0], row), value(columns[1], row), flags) else {
            of_row(None)?;
            continue;
        };
        let regex = known.get(pattern, flags, with_flags)?;
        of_row(Some((text, regex, flags)))?;
    }
    Ok(())
}

fn split() -> Arc<ScalarUDF> {
    let returns = list_of(DataType::Utf8, true);
    ColumnFunction::udf(SPLIT, Volatility::Immutable, coerce_split, returns, |arguments, _| {
        let mut lists = ListBuilder::new(StringBuilder::new());
        each(arguments, |row| {
            if let Some((text, regex, _)) = row {
                for part in parts(text, regex) {
                    lists.values().append_value(part);
                }
            }
            lists.append(row.is_some());
            Ok(())
        })?;
        Ok(Arc::new(lists.finish()))
    })
}

/// The parts between matches. A match of nothing splits between two characters only, as in PostgreSQL.
fn parts<'a>(text: &'a str, regex: &Regex) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let mut begin = 0;
    for found in regex.find_iter(text) {
        if found.is_empty() && (found.start() == begin || found.end() == text.len()) {
            continue;
        }
        parts.push(&text[begin..found.start()]);
        begin = found.end();
    }
    parts.push(&text[begin..]);
    parts
}

fn matches() -> Arc<ScalarUDF> {
    let returns = list_of(list_of(DataType::Utf8, true), true);
    ColumnFunction::udf(MATCHES, Volatility::Immutable, coerce_matches, returns, |arguments, _| {
        let mut lists = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
        each(arguments, |row| {
            if let Some((text, regex, flags)) = row {
                let most = if flags.contains('g') { usize::MAX } else { 1 };
                for found in regex.captures_iter(text).take(most) {
                    let first = usize::from(found.len() > 1);
                    for group in found.iter().skip(first) {
                        lists.values().values().append_option(group.map(|group| group.as_str()));
                    }
                    lists.values().append(true);
                }
            }
            lists.append(row.is_some());
            Ok(())
        })?;
        Ok(Arc::new(lists.finish()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_as_in_postgresql() {
        for (text, pattern, expected) in [
            ("the quick brown fox", r"\s+", vec!["the", "quick", "brown", "fox"]),
            ("abc", "", vec!["a", "b", "c"]),
            ("abc", r"\s*", vec!["a", "b", "c"]),
            (",a,", ",", vec!["", "a", ""]),
            ("", ",", vec![""]),
        ] {
            assert_eq!(parts(text, &Regex::new(pattern).unwrap()), expected, "{text} by {pattern}");
        }
    }
}
