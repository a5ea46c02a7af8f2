//! How the options of a format are taken: out of those of its table, behind the name of the format (`value.json.…`).
//! Knows no format. Messages name an option without what stands before the format's name.

use crate::error::{Error, Result};
use crate::options::{Named, OptionEntry, OptionReader};

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

    fn named<'e>(&self, option: &'e OptionEntry) -> Named<'e> {
        option.behind(self.prefix, self.format)
    }

    /// Takes a text, or the default.
    pub(super) fn text(&mut self, option: &OptionEntry) -> Result<String> {
        self.options.take_text_or(self.named(option))
    }

    /// Takes an option that is true or false.
    pub(super) fn flag(&mut self, option: &OptionEntry) -> Result<bool> {
        self.options.take_flag_or(self.named(option))
    }

    /// Takes an option that is one of some words, as its entry writes it.
    pub(super) fn choice(&mut self, option: &OptionEntry) -> Result<&'static str> {
        self.options.take_choice_or(self.named(option))
    }

    /// Takes a regular expression that a whole name must match.
    pub(super) fn pattern(&mut self, option: &OptionEntry) -> Result<Option<regex::Regex>> {
        let option = self.named(option);
        let given = self.options.take(option.clone());
        given
            .map(|pattern| {
                regex::Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
                    Error::invalid(format!("{option}: '{pattern}' is no regular expression"))
                        .detail(format!("{error}."))
                })
            })
            .transpose()
    }
}
