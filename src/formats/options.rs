//! How the options of a format are taken: out of those of its table, behind the name of the format (`value.json.…`).
//! Knows no format. Messages name an option without what stands before the format's name.

use crate::error::{Error, Result};
use crate::options::OptionReader;

/// The options of one format.
pub(super) struct FormatOptions<'a> {
    options: &'a mut OptionReader,
    prefix: &'a str,
    format: &'static str,
}

impl<'a> FormatOptions<'a> {
    /// Of `format`, in the place that `prefix` says: `value.`, or nothing.
    pub(super) fn new(options: &'a mut OptionReader, prefix: &'a str, format: &'static str) -> Self {
        Self { options, prefix, format }
    }

    /// The format whose options they are.
    pub(super) fn format(&self) -> &'static str {
        self.format
    }

    /// Takes an option, named without the format.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.options.take(&format!("{}{}.{name}", self.prefix, self.format))
    }

    /// Takes an option that is true or false.
    pub(super) fn flag(&mut self, name: &str, default: bool) -> Result<bool> {
        match self.take(name).map(|value| value.trim().to_ascii_lowercase()) {
            None => Ok(default),
            Some(value) if value == "true" => Ok(true),
            Some(value) if value == "false" => Ok(false),
            Some(value) => {
                Err(Error::invalid(format!("option \"{}.{name}\" is true or false, not '{value}'", self.format)))
            }
        }
    }

    /// Takes an option that is one of the `known` words, however they are written: `ISO-8601`, `iso_8601`.
    pub(super) fn choice(&mut self, name: &str, default: &str, known: &[&str]) -> Result<String> {
        let value = self.take(name);
        let given = value.as_deref().unwrap_or(default).trim();
        let canonical = given.to_ascii_uppercase().replace('_', "-");
        known.iter().find(|known| **known == canonical).map(|_| canonical).ok_or_else(|| {
            Error::invalid(format!("option \"{}.{name}\" cannot be '{given}'", self.format))
                .hint(format!("Known values: {}.", known.join(", ")))
        })
    }

    /// Takes a regular expression that a whole name must match.
    pub(super) fn pattern(&mut self, name: &str) -> Result<Option<regex::Regex>> {
        self.take(name)
            .map(|pattern| {
                regex::Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
                    Error::invalid(format!("option \"{}.{name}\": '{pattern}' is no regular expression", self.format))
                        .detail(format!("{error}."))
                })
            })
            .transpose()
    }
}
