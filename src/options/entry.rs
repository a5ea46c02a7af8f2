//! What is known of an option of WITH in one place: its name, what values it takes, its default, what it does, whether it is a secret. The
//! entries of a connector or format stand in the file that takes them, and the reader takes an option by its entry alone. Also how a value
//! is read that a kind says all of: words, flags, whole numbers. Knows no option.

use std::borrow::Cow;
use std::fmt::Display;

use crate::error::{Error, Result};

/// The values that an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionKind {
    /// Any text.
    Text,
    /// Texts with semicolons between.
    List,
    /// true or false.
    Flag,
    /// A whole number, from the first to the second.
    Whole(i64, i64),
    /// A number, of a kind that whoever takes it knows.
    Number,
    /// A duration as Flink writes it.
    Duration,
    /// A regular expression.
    Pattern,
    /// The name of a format.
    Format,
    /// One of some words; case, `-` and `_` do not count.
    Choice {
        /// What it can be, as users write it.
        known: &'static [&'static str],
        /// What it cannot be here, though elsewhere.
        refused: &'static [&'static str],
    },
    /// Known, but not implemented: nothing but its default, or nothing at all.
    Refused,
}

/// What holds if an option is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionDefault {
    /// It must be given.
    Required,
    /// It is as if there were no such option.
    Absent,
    /// A value, as users would write it.
    Value(&'static str),
    /// What a few words say.
    Told(&'static str),
}

/// An option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionEntry {
    /// As users write it, of a format without what stands before it. `#` is the name of a column, `*` at the end is any name.
    pub name: &'static str,
    /// Other names of it.
    pub aliases: &'static [&'static str],
    /// What values it takes.
    pub kind: OptionKind,
    /// What holds without it.
    pub default: OptionDefault,
    /// Whether its value is kept apart from the catalog and never shown.
    pub is_secret: bool,
    /// What it does: a sentence or two.
    pub documentation: &'static str,
}

/// The options of a connector or format, in groups, which others may share.
pub type OptionGroups = &'static [&'static [OptionEntry]];

/// Writes entries as constants, and the list of all of them.
macro_rules! option_entries {
    ($(#[$meta:meta])* $visibility:vis $list:ident: $($name:ident = $entry:expr;)+) => {
        $(const $name: $crate::options::OptionEntry = $entry;)+
        $(#[$meta])*
        $visibility const $list: &[$crate::options::OptionEntry] = &[$($name),+];
    };
}
pub(crate) use option_entries;

impl OptionEntry {
    /// An option of some kind, which may be left out.
    pub const fn new(name: &'static str, kind: OptionKind, documentation: &'static str) -> Self {
        Self { name, aliases: &[], kind, default: OptionDefault::Absent, is_secret: false, documentation }
    }

    /// An option that is one of some words.
    pub const fn choice(name: &'static str, known: &'static [&'static str], documentation: &'static str) -> Self {
        Self::new(name, OptionKind::Choice { known, refused: &[] }, documentation)
    }

    /// An option that is true or false.
    pub const fn flag(name: &'static str, default: &'static str, documentation: &'static str) -> Self {
        Self::new(name, OptionKind::Flag, documentation).or(default)
    }

    /// An option that is known and not implemented.
    pub const fn refused(name: &'static str, documentation: &'static str) -> Self {
        Self::new(name, OptionKind::Refused, documentation)
    }

    /// The value that holds without it.
    #[must_use]
    pub const fn or(mut self, value: &'static str) -> Self {
        self.default = OptionDefault::Value(value);
        self
    }

    /// What holds without it, in words.
    #[must_use]
    pub const fn or_else(mut self, words: &'static str) -> Self {
        self.default = OptionDefault::Told(words);
        self
    }

    /// It must be given.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.default = OptionDefault::Required;
        self
    }

    /// Its value is kept apart and never shown.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// Other names that mean the same.
    #[must_use]
    pub const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Words that a choice has elsewhere and not here.
    #[must_use]
    pub const fn refusing(mut self, refused: &'static [&'static str]) -> Self {
        if let OptionKind::Choice { known, .. } = self.kind {
            self.kind = OptionKind::Choice { known, refused };
        }
        self
    }

    /// Its name and its other names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Whether a name, which may end with `*` itself, is this option's. Case does not count.
    pub fn covers(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.names().map(str::to_ascii_lowercase).any(|own| match (own.split_once('#'), own.strip_suffix('*')) {
            (Some((before, after)), _) => name.strip_prefix(before).is_some_and(|rest| rest.ends_with(after)),
            (_, Some(before)) => name.starts_with(before),
            _ => own == name,
        })
    }

    /// The option of one column.
    pub fn of(&self, column: &str) -> Named<'_> {
        let name = self.name.replacen('#', column, 1);
        Named { entry: self, shown: name.clone().into(), name: name.into() }
    }

    /// The option of a format, which stands behind the format's name and, where a table has several formats, another word.
    pub fn behind(&self, place: &str, format: &str) -> Named<'_> {
        let shown = format!("{format}.{}", self.name);
        Named { entry: self, name: format!("{place}{shown}").into(), shown: shown.into() }
    }

    /// The value that holds without it, if it is one.
    pub fn default_value(&self) -> Option<&'static str> {
        match self.default {
            OptionDefault::Value(value) => Some(value),
            _ => None,
        }
    }
}

/// An option as it is asked for.
#[derive(Debug, Clone)]
pub struct Named<'a> {
    /// What is known of it.
    pub entry: &'a OptionEntry,
    /// By which name it is given.
    pub name: Cow<'a, str>,
    /// How messages name it.
    shown: Cow<'a, str>,
}

impl<'a> From<&'a OptionEntry> for Named<'a> {
    fn from(entry: &'a OptionEntry) -> Self {
        Self { entry, name: entry.name.into(), shown: entry.name.into() }
    }
}

impl Display for Named<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "option \"{}\"", self.shown)
    }
}

impl Named<'_> {
    /// The value that holds without it.
    ///
    /// # Errors
    /// The entry has none.
    pub fn default_value(&self) -> Result<&'static str> {
        self.entry.default_value().ok_or_else(|| Error::internal(format!("{self} has no default")))
    }

    /// Reads the word of a choice, as the entry writes it.
    ///
    /// # Errors
    /// It is none of them, or not implemented (SQLSTATE 0A000).
    pub fn word(&self, text: &str) -> Result<&'static str> {
        let OptionKind::Choice { known, refused } = self.entry.kind else {
            return Err(Error::internal(format!("{self} is no choice")));
        };
        let find = |words: &'static [&'static str]| words.iter().find(|word| normal(word) == normal(text)).copied();
        if let Some(word) = find(known) {
            return Ok(word);
        }
        let error = match find(refused) {
            Some(word) => Error::unsupported(format!("{self} = '{word}' is not supported yet")),
            None => Error::invalid(format!("{self} cannot be '{}'", text.trim())),
        };
        Err(error.hint(format!("Known values: {}.", known.join(", "))))
    }

    /// Reads true or false.
    ///
    /// # Errors
    /// It is neither.
    pub fn flag(&self, text: &str) -> Result<bool> {
        match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(Error::invalid(format!("{self} is true or false, not '{other}'"))),
        }
    }

    /// Reads a whole number.
    ///
    /// # Errors
    /// It is none, or outside of the entry's bounds.
    pub fn whole<T: TryFrom<i64>>(&self, text: &str) -> Result<T> {
        let OptionKind::Whole(least, most) = self.entry.kind else {
            return Err(Error::internal(format!("{self} is no whole number")));
        };
        let number = text.trim().parse().ok().filter(|number| (least..=most).contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
            Error::invalid(format!("{self} is a whole number {}, not '{}'", bounds(least, most), text.trim()))
        })
    }
}

/// The bounds of whole numbers in words.
pub fn bounds(least: i64, most: i64) -> String {
    match most {
        i64::MAX => format!("from {least} on"),
        most => format!("from {least} to {most}"),
    }
}

/// Words are read without regard to case, `-` and `_` alike.
fn normal(word: &str) -> String {
    word.trim().to_ascii_lowercase().replace('_', "-")
}
