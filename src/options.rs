//! How options are taken: those of WITH one by one, each by its entry, where what is left over is an error that names the nearest known
//! option. Knows no option by its name, but `connector`.

mod entry;
pub mod setting;
mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use entry::option_entries;
pub use entry::{Named, OptionDefault, OptionEntry, OptionGroups, OptionKind, bounds};
pub use units::{parse_duration, parse_memory_size};

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
    pub fn take<'a>(&mut self, option: impl Into<Named<'a>>) -> Option<String> {
        self.take_name(&option.into().name)
    }

    /// Takes an option, a blank one counting as absent: it means the server's default.
    pub fn take_non_blank<'a>(&mut self, option: impl Into<Named<'a>>) -> Option<String> {
        self.take(option).filter(|value| !value.trim().is_empty())
    }

    /// Takes an option by the one of its names that is given.
    ///
    /// # Errors
    /// Two of them are given.
    pub fn take_alias(&mut self, option: &OptionEntry) -> Result<Option<String>> {
        let mut found: Option<(&str, String)> = None;
        for name in option.names() {
            if let Some(value) = self.take_name(name) {
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
    pub fn require<'a>(&mut self, option: impl Into<Named<'a>>) -> Result<String> {
        let option = option.into();
        self.take_non_blank(option.clone()).ok_or_else(|| {
            Error::invalid(format!("{option} is required")).hint(format!("Add '{}' = '…' to WITH.", option.name))
        })
    }

    /// Takes a text, or the default.
    ///
    /// # Errors
    /// The entry has no default.
    pub fn take_text_or<'a>(&mut self, option: impl Into<Named<'a>>) -> Result<String> {
        let option = option.into();
        let given = self.take(option.clone());
        given.map_or_else(|| option.default_value().map(str::to_owned), Ok)
    }

    /// Takes and parses a number.
    ///
    /// # Errors
    /// The text does not parse.
    pub fn take_parsed<'a, T: FromStr>(&mut self, option: impl Into<Named<'a>>) -> Result<Option<T>>
    where
        T::Err: std::fmt::Display,
    {
        let option = option.into();
        self.take(option.clone()).map(|text| parsed(&option, &text)).transpose()
    }

    /// Takes and parses a number, or the default.
    ///
    /// # Errors
    /// As [`Self::take_parsed`].
    pub fn take_parsed_or<'a, T: FromStr>(&mut self, option: impl Into<Named<'a>>) -> Result<T>
    where
        T::Err: std::fmt::Display,
    {
        let option = option.into();
        parsed(&option, &self.take_text_or(option.clone())?)
    }

    /// Takes a whole number within the bounds that its entry says.
    ///
    /// # Errors
    /// It is none.
    pub fn take_whole<'a, T: TryFrom<i64>>(&mut self, option: impl Into<Named<'a>>) -> Result<Option<T>> {
        let option = option.into();
        self.take(option.clone()).map(|text| option.whole(&text)).transpose()
    }

    /// Takes a whole number, or the default.
    ///
    /// # Errors
    /// As [`Self::take_whole`].
    pub fn take_whole_or<'a, T: TryFrom<i64>>(&mut self, option: impl Into<Named<'a>>) -> Result<T> {
        let option = option.into();
        option.whole(&self.take_text_or(option.clone())?)
    }

    /// Takes an option that is true or false, or the default.
    ///
    /// # Errors
    /// It is neither.
    pub fn take_flag_or<'a>(&mut self, option: impl Into<Named<'a>>) -> Result<bool> {
        let option = option.into();
        option.flag(&self.take_text_or(option.clone())?)
    }

    /// Takes one of the words that its entry says, as it is written there; a blank one means the default.
    ///
    /// # Errors
    /// It is none of them, or not implemented (SQLSTATE 0A000).
    pub fn take_choice_or<'a>(&mut self, option: impl Into<Named<'a>>) -> Result<&'static str> {
        let option = option.into();
        match self.take_non_blank(option.clone()) {
            Some(given) => option.word(&given),
            None => option.word(option.default_value()?),
        }
    }

    /// Takes a duration as Flink writes it: `500 ms`, `5min`, `1 h`, `30 d`; a bare number is milliseconds.
    ///
    /// # Errors
    /// It is not a duration.
    pub fn take_duration<'a>(&mut self, option: impl Into<Named<'a>>) -> Result<Option<Duration>> {
        let option = option.into();
        self.take(option.clone()).map(|text| duration(&option, &text)).transpose()
    }

    /// Takes a duration, or the default.
    ///
    /// # Errors
    /// As [`Self::take_duration`].
    pub fn take_duration_or<'a>(&mut self, option: impl Into<Named<'a>>) -> Result<Duration> {
        let option = option.into();
        duration(&option, &self.take_text_or(option.clone())?)
    }

    /// Takes every option that is left of an entry whose name ends with `*`; the names come without what stands before that.
    pub fn take_all(&mut self, option: &OptionEntry) -> BTreeMap<String, String> {
        let prefix = option.name.trim_end_matches('*');
        let names: Vec<String> = self.left.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        self.asked.insert(option.name.to_owned());
        names
            .into_iter()
            .filter_map(|name| self.left.remove(&name).map(|value| (name[prefix.len()..].to_owned(), value)))
            .collect()
    }

    /// Refuses options that are known but not implemented, unless they state their default.
    ///
    /// # Errors
    /// One of them is given with another value (SQLSTATE 0A000).
    pub fn refuse(&mut self, options: &[&OptionEntry]) -> Result<()> {
        for option in options {
            if let Some(value) = self.take(*option)
                && !value.eq_ignore_ascii_case(option.default_value().unwrap_or_default())
            {
                let error = Error::unsupported(format!("option \"{}\" = '{value}' is not supported yet", option.name));
                return Err(error);
            }
        }
        Ok(())
    }

    /// The names that were asked for, whether or not they were given.
    pub fn asked(&self) -> impl Iterator<Item = &str> {
        self.asked.iter().map(String::as_str)
    }

    fn take_name(&mut self, name: &str) -> Option<String> {
        self.asked.insert(name.to_owned());
        self.left.remove(name)
    }

    /// Ends the reading: nothing may be left over.
    ///
    /// # Errors
    /// An option that nobody asked for, with the nearest known one.
    pub fn finish(&self) -> Result<()> {
        let Some(unknown) = self.left.keys().next() else { return Ok(()) };
        let nearest = nearest(unknown, self.asked());
        let error = match nearest {
            Some(known) => Error::invalid(format!("unknown option \"{unknown}\" (did you mean \"{known}\"?)")),
            None => Error::invalid(format!("unknown option \"{unknown}\"")),
        };
        let known: Vec<_> = self.asked().collect();
        Err(error.detail(format!("Known options: {}.", known.join(", "))))
    }
}

fn parsed<T: FromStr>(option: &Named<'_>, text: &str) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    text.trim().parse().map_err(|error| Error::invalid(format!("{option}: cannot read '{text}': {error}")))
}

fn duration(option: &Named<'_>, text: &str) -> Result<Duration> {
    parse_duration(text).map_err(|error| error.context(option.to_string()))
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
