//! How options are taken: those of WITH one by one, where what is left over is an error that names the nearest known option; and
//! how words, lists, durations and sizes are read wherever they stand. Knows no option by its name, but `connector`.

pub mod setting;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nearest::nearest;

/// An option's value: plain, or the reference of a secret that is kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptionValue {
    /// As it was written.
    Plain(String),
    /// Reference into the secret store.
    Secret(String),
}

/// Hands out a table's options; remembers which were asked for.
#[derive(Default)]
pub struct OptionReader {
    left: BTreeMap<String, String>,
    asked: BTreeSet<String>,
}

impl OptionReader {
    /// Reads options, resolving secrets through `resolve`.
    ///
    /// # Errors
    /// A secret that is not there.
    pub fn new(options: &BTreeMap<String, OptionValue>, resolve: &dyn Fn(&str) -> Result<String>) -> Result<Self> {
        let mut left = BTreeMap::new();
        for (name, value) in options {
            let value = match value {
                OptionValue::Plain(text) => text.clone(),
                OptionValue::Secret(reference) => resolve(reference)?,
            };
            left.insert(name.clone(), value);
        }
        left.remove("connector");
        Ok(Self { left, asked: BTreeSet::from(["connector".to_owned()]) })
    }

    /// Takes an option; a blank one (`''`) counts as given.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.asked.insert(name.to_owned());
        self.left.remove(name)
    }

    /// Takes an option, a blank one counting as absent: it means the server's default.
    pub fn take_non_blank(&mut self, name: &str) -> Option<String> {
        self.take(name).filter(|value| !value.trim().is_empty())
    }

    /// Takes the first of several spellings that is given.
    ///
    /// # Errors
    /// Two spellings are given.
    pub fn take_alias(&mut self, names: &[&str]) -> Result<Option<String>> {
        let mut found: Option<(&str, String)> = None;
        for name in names {
            if let Some(value) = self.take(name) {
                if let Some((other, _)) = &found {
                    return Err(Error::invalid(format!("options \"{other}\" and \"{name}\" mean the same; give one")));
                }
                found = Some((name, value));
            }
        }
        Ok(found.map(|(_, value)| value))
    }

    /// Takes an option that must be there.
    ///
    /// # Errors
    /// It is absent or blank.
    pub fn require(&mut self, name: &str) -> Result<String> {
        self.take_non_blank(name).ok_or_else(|| {
            Error::invalid(format!("option \"{name}\" is required")).hint(format!("Add '{name}' = '…' to WITH."))
        })
    }

    /// Takes and parses an option.
    ///
    /// # Errors
    /// The text does not parse.
    pub fn take_parsed<T: FromStr>(&mut self, name: &str) -> Result<Option<T>>
    where
        T::Err: std::fmt::Display,
    {
        self.take(name)
            .map(|text| {
                text.trim()
                    .parse()
                    .map_err(|error| Error::invalid(format!("option \"{name}\": cannot read '{text}': {error}")))
            })
            .transpose()
    }

    /// Takes and parses an option, or the default.
    ///
    /// # Errors
    /// As [`Self::take_parsed`].
    pub fn take_or<T: FromStr>(&mut self, name: &str, default: T) -> Result<T>
    where
        T::Err: std::fmt::Display,
    {
        Ok(self.take_parsed(name)?.unwrap_or(default))
    }

    /// Takes a duration as Flink writes it: `500 ms`, `5min`, `1 h`, `30 d`; a bare number is milliseconds.
    ///
    /// # Errors
    /// It is not a duration.
    pub fn take_duration(&mut self, name: &str) -> Result<Option<Duration>> {
        self.take(name)
            .map(|text| parse_duration(&text).map_err(|error| error.context(format!("option \"{name}\""))))
            .transpose()
    }

    /// Takes every option that begins with `prefix`; the names come without it.
    pub fn take_prefix(&mut self, prefix: &str) -> BTreeMap<String, String> {
        let names: Vec<String> = self.left.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        self.asked.insert(format!("{prefix}…"));
        names
            .into_iter()
            .filter_map(|name| self.left.remove(&name).map(|value| (name[prefix.len()..].to_owned(), value)))
            .collect()
    }

    /// Refuses options that are known but not implemented, unless they state their default.
    ///
    /// # Errors
    /// One of them is given with another value (SQLSTATE 0A000).
    pub fn refuse(&mut self, names_and_defaults: &[(&str, &str)]) -> Result<()> {
        for (name, default) in names_and_defaults {
            if let Some(value) = self.take(name)
                && !value.eq_ignore_ascii_case(default)
            {
                return Err(Error::unsupported(format!("option \"{name}\" = '{value}' is not supported yet")));
            }
        }
        Ok(())
    }

    /// Ends the reading: nothing may be left over.
    ///
    /// # Errors
    /// An option that nobody asked for, with the nearest known one.
    pub fn finish(&self) -> Result<()> {
        let Some(unknown) = self.left.keys().next() else { return Ok(()) };
        let nearest = nearest(unknown, self.asked.iter().map(String::as_str));
        let error = match nearest {
            Some(known) => Error::invalid(format!("unknown option \"{unknown}\" (did you mean \"{known}\"?)")),
            None => Error::invalid(format!("unknown option \"{unknown}\"")),
        };
        let known: Vec<_> = self.asked.iter().map(String::as_str).collect();
        Err(error.detail(format!("Known options: {}.", known.join(", "))))
    }
}

/// Parses a duration as Flink writes it (`TimeUtils.parseDuration`); a bare number is milliseconds.
///
/// # Errors
/// It is not a duration.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let bad = || {
        Error::invalid(format!("cannot read '{text}' as a duration"))
            .hint("Write a number and a unit, such as 500 ms, 10 s, 5 min, 1 h or 30 d.")
    };
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let nanos: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => 1,
        "us" | "µs" | "micro" | "micros" | "microsecond" | "microseconds" => 1_000,
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000_000,
        "m" | "min" | "minute" | "minutes" => 60_000_000_000,
        "h" | "hour" | "hours" => 3_600_000_000_000,
        "d" | "day" | "days" => 86_400_000_000_000,
        _ => return Err(bad()),
    };
    number.checked_mul(nanos).map(Duration::from_nanos).ok_or_else(bad)
}

/// Bytes of a size as Flink writes it: `512 mb`, `1g`, `65536`; units are powers of 1024.
///
/// # Errors
/// It is no such text, zero, or too large.
pub fn parse_memory_size(text: &str) -> Result<u64> {
    let wrong = || {
        Error::invalid(format!("\"{text}\" is no memory size"))
            .hint("Write a number and a unit, as '512 mb' or '2 gb'.")
    };
    let trimmed = text.trim();
    let digits = trimmed.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 0,
        "k" | "kb" | "kibibytes" => 10,
        "m" | "mb" | "mebibytes" => 20,
        "g" | "gb" | "gibibytes" => 30,
        "t" | "tb" | "tebibytes" => 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

/// Enumerations are read without regard to case, `-` and `_` alike.
pub(crate) fn normal(value: &str) -> String {
    value.trim().to_ascii_lowercase().replace('_', "-")
}

/// The parts of a list that a semicolon separates; blank ones are none.
pub(crate) fn list(text: &str) -> Vec<String> {
    list_of(text, ';').into_iter().map(str::to_owned).collect()
}

/// As [`list`], with another separator.
pub(crate) fn list_of(text: &str, separator: char) -> Vec<&str> {
    text.split(separator).map(str::trim).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests;
