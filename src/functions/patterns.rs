//! Patterns of texts: SIMILAR TO, LIKE … ESCAPE and REGEXP_REPLACE. SQL's own patterns are written as regular expressions, each
//! read once for the rows that have it. Where a pattern is wrong that is said, with or without rows.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};
use regex::{NoExpand, Regex, RegexBuilder};

use super::entry::{Entry, Maker};
use super::{ColumnFunction, no_such_call, sizes};
use crate::error::{Error, SqlState};

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::internal(SIMILAR_TO, "SIMILAR TO.", Maker::Plain(similar_to)),
    Entry::internal(LIKE_ESCAPE, "The pattern of LIKE with an escape of its own.", Maker::Plain(like_escape)),
    Entry::public(
        REGEXP_REPLACE,
        &["text, text, text → text", "text, text, text, text → text"],
        "The text with the replacement in place of every match of a regular expression. With \
         flags as a fourth argument only the first match is replaced, unless there is a `g` among \
         them, and `\\1` is the first group.",
        Maker::Plain(regexp_replace),
    )
    .example("REGEXP_REPLACE('a1b2', '[0-9]', '-')", "a-b-"),
];

/// `text SIMILAR TO pattern [ESCAPE escape]` as a call.
pub const SIMILAR_TO: &str = "similar_to";
/// `LIKE pattern ESCAPE escape`: the pattern with a backslash as its escape.
pub const LIKE_ESCAPE: &str = "like_escape";
/// REGEXP_REPLACE
pub const REGEXP_REPLACE: &str = "regexp_replace";

/// What SIMILAR TO escapes with unless ESCAPE says otherwise.
const BACKSLASH: &str = "\\";

/// `similar_to(text, pattern [, escape])`: whether the whole text is one that the pattern describes.
pub fn similar_to() -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| texts(SIMILAR_TO, arguments, 2..=3, "text SIMILAR TO pattern");
    ColumnFunction::udf(SIMILAR_TO, Volatility::Immutable, coerce, DataType::Boolean, |arguments, _| {
        let texts = arguments[0].as_string::<i32>();
        let patterns = arguments[1].as_string::<i32>();
        let escapes = arguments.get(2).map(|escapes| escapes.as_string::<i32>());
        let mut known = Known::default();
        let mut similar = Vec::with_capacity(texts.len());
        for row in 0..texts.len() {
            let escape = escapes.map_or(Some(BACKSLASH), |escapes| value(escapes, row));
            let (Some(pattern), Some(escape)) = (value(patterns, row), escape) else {
                similar.push(None);
                continue;
            };
            let regex = known.get(pattern, escape, |pattern, escape| {
                let regex = of_similar(pattern, escape_character(escape)?)?;
                compile(RegexBuilder::new(&regex).dot_matches_new_line(true), pattern)
            })?;
            similar.push(value(texts, row).map(|text| regex.is_match(text)));
        }
        Ok(Arc::new(BooleanArray::from(similar)))
    })
}

/// `like_escape(pattern, escape)`
pub fn like_escape() -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| texts(LIKE_ESCAPE, arguments, 2..=2, "LIKE pattern ESCAPE escape");
    ColumnFunction::udf(LIKE_ESCAPE, Volatility::Immutable, coerce, DataType::Utf8, |arguments, _| {
        let (patterns, escapes) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
        let mut written = Vec::with_capacity(patterns.len());
        for row in 0..patterns.len() {
            let (Some(pattern), Some(escape)) = (value(patterns, row), value(escapes, row)) else {
                written.push(None);
                continue;
            };
            written.push(Some(with_backslash(pattern, escape_character(escape)?)?));
        }
        Ok(Arc::new(StringArray::from(written)))
    })
}

/// `regexp_replace(text, pattern, replacement)` is Flink's: every match, by the replacement as it is written.
/// `regexp_replace(text, pattern, replacement, flags)` is Postgres': the first match unless there is a `g`, with `\1` and `\&`.
pub fn regexp_replace() -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| {
        let usage = "REGEXP_REPLACE(text, pattern, replacement [, flags])";
        texts(REGEXP_REPLACE, arguments, 3..=4, usage)
    };
    ColumnFunction::large(
        REGEXP_REPLACE,
        Volatility::Immutable,
        coerce,
        DataType::Utf8,
        |arguments, _| {
            let columns: Vec<&StringArray> = arguments.iter().map(|argument| argument.as_string::<i32>()).collect();
            let mut known = Known::default();
            let mut replaced = Vec::with_capacity(columns[0].len());
            for row in 0..columns[0].len() {
                let flags = columns.get(3).map(|flags| value(flags, row));
                let (Some(pattern), Some(flags)) = (value(columns[1], row), flags.unwrap_or(Some(""))) else {
                    replaced.push(None);
                    continue;
                };
                let is_flinks = columns.len() == 3;
                let regex = known.get(pattern, flags, |pattern, flags| {
                    if is_flinks {
                        compile(&mut RegexBuilder::new(pattern), pattern)
                    } else {
                        with_flags(pattern, flags)
                    }
                })?;
                let (Some(text), Some(replacement)) = (value(columns[0], row), value(columns[2], row)) else {
                    replaced.push(None);
                    continue;
                };
                let all = is_flinks || flags.contains('g');
                let limit = if all { 0 } else { 1 };
                let result: Cow<'_, str> = if is_flinks {
                    regex.replacen(text, limit, NoExpand(replacement))
                } else {
                    regex.replacen(text, limit, of_postgres(replacement).as_str())
                };
                replaced.push(Some(result.into_owned()));
            }
            Ok(Arc::new(StringArray::from(replaced)))
        },
        sizes::regexp_replace,
    )
}

pub(super) fn texts(
    name: &str,
    arguments: &[DataType],
    count: std::ops::RangeInclusive<usize>,
    usage: &str,
) -> Result<Vec<DataType>> {
    let is_text = |data_type: &DataType| {
        matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
    };
    if !count.contains(&arguments.len()) || !arguments.iter().all(is_text) {
        return Err(no_such_call(name, arguments, usage));
    }
    Ok(vec![DataType::Utf8; arguments.len()])
}

pub(super) fn value(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}

/// The pattern of the row before: most often it is the same in every row.
#[derive(Default)]
pub(super) struct Known {
    last: Option<(String, String, Regex)>,
}

impl Known {
    pub(super) fn get(
        &mut self,
        pattern: &str,
        options: &str,
        read: impl Fn(&str, &str) -> Result<Regex, Error>,
    ) -> Result<&Regex, Error> {
        let is_same = |(known, with, _): &(String, String, Regex)| known == pattern && with == options;
        let last = match self.last.take().filter(is_same) {
            Some(last) => last,
            None => (pattern.to_owned(), options.to_owned(), read(pattern, options)?),
        };
        Ok(&self.last.insert(last).2)
    }
}

fn compile(builder: &mut RegexBuilder, pattern: &str) -> Result<Regex, Error> {
    builder.build().map_err(|error| {
        let text = error.to_string();
        // The library draws the pattern with the place first.
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").trim();
        wrong_pattern(pattern).detail(format!("The pattern cannot be read: {}.", reason.trim_end_matches('.')))
    })
}

fn wrong_pattern(pattern: &str) -> Error {
    Error::row(format!("invalid regular expression: '{pattern}'")).code(SqlState::InvalidRegularExpression)
}

fn escape_character(escape: &str) -> Result<Option<char>, Error> {
    let mut characters = escape.chars();
    match (characters.next(), characters.next()) {
        (first, None) => Ok(first),
        _ => Err(Error::row("invalid escape string")
            .code(SqlState::InvalidEscapeSequence)
            .hint("An escape string is empty or one character.")),
    }
}

fn ends_with_escape(pattern: &str) -> Error {
    Error::row(format!("pattern '{pattern}' ends with its escape character")).code(SqlState::InvalidEscapeSequence)
}

/// A pattern of LIKE with a backslash in place of its escape character.
///
/// # Errors
/// Nothing follows the last escape character.
pub fn with_backslash(pattern: &str, escape: Option<char>) -> Result<String, Error> {
    let mut written = String::with_capacity(pattern.len() + 4);
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let literal = if Some(character) == escape {
            Some(characters.next().ok_or_else(|| ends_with_escape(pattern))?)
        } else {
            (character == '\\').then_some(character)
        };
        match literal {
            Some(literal) => written.extend(['\\', literal]),
            None => written.push(character),
        }
    }
    Ok(written)
}

/// SQL's pattern as a regular expression over the whole text.
fn of_similar(pattern: &str, escape: Option<char>) -> Result<String, Error> {
    let mut regex = String::with_capacity(pattern.len() + 16);
    regex.push_str(r"\A(?:");
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        if Some(character) == escape {
            let escaped = rest.next().ok_or_else(|| ends_with_escape(pattern))?;
            escaped_character(escaped, &mut regex);
            continue;
        }
        match character {
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '(' => regex.push_str("(?:"),
            '[' => of_brackets(&mut rest, escape, &mut regex).ok_or_else(|| wrong_pattern(pattern))?,
            ')' | '|' | '*' | '+' | '?' | '{' | '}' => regex.push(character),
            other => literal(other, &mut regex),
        }
    }
    regex.push_str(r")\z");
    Ok(regex)
}

fn literal(character: char, regex: &mut String) {
    regex.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
}

fn escaped_character(escaped: char, regex: &mut String) {
    match escaped {
        // Classes, as in Postgres.
        'd' | 'D' | 'w' | 'W' | 's' | 'S' => regex.extend(['\\', escaped]),
        other => literal(other, regex),
    }
}

/// What stands in brackets: characters, ranges, classes (`[:alpha:]`). `None` if the brackets stay open.
fn of_brackets(rest: &mut Peekable<Chars<'_>>, escape: Option<char>, regex: &mut String) -> Option<()> {
    regex.push('[');
    if rest.next_if_eq(&'^').is_some() {
        regex.push('^');
    }
    let mut is_first = true;
    loop {
        let character = rest.next()?;
        match character {
            ']' if !is_first => break,
            '[' if rest.peek() == Some(&':') => {
                regex.push('[');
                loop {
                    let inner = rest.next()?;
                    regex.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            character if Some(character) == escape => escaped_character(rest.next()?, regex),
            // Between two characters it is a range, at the ends itself.
            '-' if !is_first && rest.peek() != Some(&']') => regex.push('-'),
            // Each may mean something in brackets of the library's.
            '[' | ']' | '\\' | '^' | '-' | '&' | '~' => regex.extend(['\\', character]),
            other => regex.push(other),
        }
        is_first = false;
    }
    regex.push(']');
    Some(())
}

/// Postgres' regular expression with its flags.
pub(super) fn with_flags(pattern: &str, flags: &str) -> Result<Regex, Error> {
    let text = if flags.contains('q') { Cow::Owned(regex::escape(pattern)) } else { Cow::Borrowed(pattern) };
    let mut builder = RegexBuilder::new(&text);
    builder.dot_matches_new_line(true);
    for flag in flags.chars() {
        match flag {
            'g' | 'q' | 'e' | 't' => {}
            'i' => {
                builder.case_insensitive(true);
            }
            'c' => {
                builder.case_insensitive(false);
            }
            'x' => {
                builder.ignore_whitespace(true);
            }
            's' => {
                builder.dot_matches_new_line(true).multi_line(false);
            }
            'n' | 'm' => {
                builder.dot_matches_new_line(false).multi_line(true);
            }
            'p' => {
                builder.dot_matches_new_line(false).multi_line(false);
            }
            'w' => {
                builder.dot_matches_new_line(true).multi_line(true);
            }
            other => {
                let error = Error::row(format!("invalid regular expression option: \"{other}\""))
                    .code(SqlState::InvalidParameterValue);
                return Err(error.hint("Known are g i c x s n m p w q."));
            }
        }
    }
    compile(&mut builder, pattern)
}

/// Postgres' replacement, in which `\1` is a group and `\&` the match, as the library writes it.
fn of_postgres(replacement: &str) -> String {
    let mut written = String::with_capacity(replacement.len() + 8);
    let mut rest = replacement.chars().peekable();
    while let Some(character) = rest.next() {
        match (character, rest.peek().copied()) {
            ('\\', Some(digit @ '1'..='9')) => {
                rest.next();
                written.push_str("${");
                written.push(digit);
                written.push('}');
            }
            ('\\', Some('&')) => {
                rest.next();
                written.push_str("${0}");
            }
            ('\\', Some('\\')) => {
                rest.next();
                written.push('\\');
            }
            ('$', _) => written.push_str("$$"),
            (other, _) => written.push(other),
        }
    }
    written
}

#[cfg(test)]
mod tests;
