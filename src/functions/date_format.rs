//! `DATE_FORMAT(time, pattern)` of Flink: patterns of Java's DateTimeFormatter (`yyyy-MM-dd HH:mm:ss.SSS`).
//! Times with a zone are shown in the session's zone; text that is no time gives NULL.

use std::fmt::Write;
use std::sync::Arc;

use chrono::{Datelike, NaiveDateTime, Timelike};
use datafusion::arrow::array::{Array, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::arguments::{local_times, text, zone};
use crate::error::{Error, Result};

/// See the module.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct DateFormat {
    signature: Signature,
}

impl DateFormat {
    /// The function.
    pub fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for DateFormat {
    fn name(&self) -> &str {
        "date_format"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let rows = arguments.number_rows;
        let times = local_times(&arguments.args[0], rows, zone(&arguments.config_options))?;
        let patterns = text(&arguments.args[1], rows)?;
        let mut result = StringBuilder::new();
        let mut compiled: Option<(String, Pattern)> = None;
        let mut line = String::new();
        for (row, time) in times.into_iter().enumerate() {
            let Some(time) = time.filter(|_| patterns.is_valid(row)) else {
                result.append_null();
                continue;
            };
            let source = patterns.value(row);
            if compiled.as_ref().is_none_or(|(known, _)| known != source) {
                compiled = Some((source.to_owned(), Pattern::parse(source)?));
            }
            line.clear();
            if let Some((_, pattern)) = &compiled {
                pattern.write(time, &mut line);
            }
            result.append_value(&line);
        }
        Ok(ColumnarValue::Array(Arc::new(result.finish())))
    }
}

/// A compiled pattern.
#[derive(Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(char, usize),
}

impl Pattern {
    /// Compiles a pattern: letters are fields, `'text'` is literal, `''` is a quote.
    ///
    /// # Errors
    /// A letter that we have no field for, or a quote without end.
    pub fn parse(pattern: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut letters = pattern.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '\'' => {
                    let mut literal = String::new();
                    let mut closed = false;
                    while let Some(next) = letters.next() {
                        if next != '\'' {
                            literal.push(next);
                        } else if letters.peek() == Some(&'\'') {
                            letters.next();
                            literal.push('\'');
                        } else {
                            closed = true;
                            break;
                        }
                    }
                    if !closed {
                        return Err(Error::invalid(format!("date pattern \"{pattern}\" has a quote without end")));
                    }
                    parts.push(Part::Literal(if literal.is_empty() { "'".to_owned() } else { literal }));
                }
                'y' | 'u' | 'M' | 'L' | 'd' | 'D' | 'H' | 'k' | 'h' | 'K' | 'm' | 's' | 'S' | 'a' | 'E' | 'e' | 'Q'
                | 'q' => {
                    let mut width = 1;
                    while letters.next_if_eq(&letter).is_some() {
                        width += 1;
                    }
                    parts.push(Part::Field(letter, width));
                }
                letter if letter.is_ascii_alphabetic() => {
                    return Err(Error::unsupported(format!(
                        "date pattern \"{pattern}\": letter '{letter}' is not supported"
                    ))
                    .hint("Use y M d H h m s S a E D Q, and quote text as 'text'."));
                }
                other => parts.push(Part::Literal(other.to_string())),
            }
        }
        Ok(Self(parts))
    }

    /// Writes a time.
    pub fn write(&self, time: NaiveDateTime, out: &mut String) {
        for part in &self.0 {
            // Writing to a String cannot fail.
            let _ = match part {
                Part::Literal(text) => out.write_str(text),
                Part::Field(letter, width) => write_field(*letter, *width, time, out),
            };
        }
    }
}

fn write_field(letter: char, width: usize, time: NaiveDateTime, out: &mut String) -> std::fmt::Result {
    match letter {
        'y' | 'u' if width == 2 => write!(out, "{:02}", time.year().rem_euclid(100)),
        'y' | 'u' => write!(out, "{:0width$}", time.year()),
        'M' | 'L' if width >= 4 => write!(out, "{}", time.format("%B")),
        'M' | 'L' if width == 3 => write!(out, "{}", time.format("%b")),
        'M' | 'L' => write!(out, "{:0width$}", time.month()),
        'd' => write!(out, "{:0width$}", time.day()),
        'D' => write!(out, "{:0width$}", time.ordinal()),
        'H' => write!(out, "{:0width$}", time.hour()),
        'k' => write!(out, "{:0width$}", if time.hour() == 0 { 24 } else { time.hour() }),
        'h' => write!(out, "{:0width$}", time.hour12().1),
        'K' => write!(out, "{:0width$}", time.hour() % 12),
        'm' => write!(out, "{:0width$}", time.minute()),
        's' => write!(out, "{:0width$}", time.second()),
        'S' => {
            let nanos = format!("{:09}", time.nanosecond() % 1_000_000_000);
            write!(out, "{:0<width$}", &nanos[..width.min(9)])
        }
        'a' => out.write_str(if time.hour() < 12 { "AM" } else { "PM" }),
        'E' if width >= 4 => write!(out, "{}", time.format("%A")),
        'E' => write!(out, "{}", time.format("%a")),
        'e' => write!(out, "{:0width$}", time.weekday().num_days_from_sunday() + 1),
        _ => write!(out, "{:0width$}", (time.month() - 1) / 3 + 1),
    }
}

#[cfg(test)]
mod tests;
