//! Settings of applications: any name with a dot (`app.user_id`) that is none of ours, as in PostgreSQL. They have no type and no effect;
//! `current_setting` reads them back. A name that begins as one of Flink's or of ours does is no such setting: it would be a slip of the pen.

use std::collections::BTreeMap;

use super::definitions::{ALIASES, DEFINITIONS};
use crate::error::{Error, Result, SqlState};

/// The most that a session keeps.
const CUSTOM_MAX: usize = 1000;

/// First words of names that Flink and Kafka know.
const OF_OTHERS: &[&str] = &[
    "cluster",
    "env",
    "execution",
    "high-availability",
    "jobmanager",
    "kafka",
    "kubernetes",
    "metrics",
    "parallelism",
    "pipeline",
    "properties",
    "rest",
    "restart-strategy",
    "security",
    "sql-client",
    "state",
    "table",
    "taskmanager",
    "web",
    "yarn",
];

/// What applications set.
#[derive(Debug, Clone, Default)]
pub(super) struct Custom {
    values: BTreeMap<String, String>,
    /// Values before SET LOCAL.
    before_local: BTreeMap<String, Option<String>>,
}

/// The setting's name as it is kept, if it can be an application's.
fn key(name: &str) -> Option<String> {
    let name = name.to_lowercase();
    let is_word = |part: &str| {
        part.starts_with(|first: char| first.is_alphabetic() || first == '_')
            && part.chars().all(|char| char.is_alphanumeric() || matches!(char, '_' | '$'))
    };
    let (first, _) = name.split_once('.')?;
    let begins = |known: &str| known.split_once('.').is_some_and(|(word, _)| word.eq_ignore_ascii_case(first));
    let is_known = OF_OTHERS.contains(&first)
        || DEFINITIONS.iter().any(|definition| begins(definition.name))
        || ALIASES.iter().any(|(alias, _)| begins(alias));
    (!is_known && name.split('.').all(is_word)).then_some(name)
}

impl Custom {
    /// Sets a value; `None` if the name cannot be an application's.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Option<Result<()>> {
        let key = key(name)?;
        if self.values.len() >= CUSTOM_MAX && !self.values.contains_key(&key) {
            let message = format!("a session keeps at most {CUSTOM_MAX} settings of its own");
            return Some(Err(Error::invalid(message).code(SqlState::ProgramLimitExceeded).hint("RESET some of them.")));
        }
        self.values.insert(key, value.to_owned());
        Some(Ok(()))
    }

    /// The value that was set.
    pub(super) fn get(&self, name: &str) -> Option<&String> {
        self.values.get(&name.to_lowercase())
    }

    /// Forgets a value; whether the name can be an application's.
    pub(super) fn reset(&mut self, name: &str) -> bool {
        let key = key(name);
        key.inspect(|key| _ = self.values.remove(key)).is_some()
    }

    /// Forgets all; whether there were any.
    pub(super) fn reset_all(&mut self) -> bool {
        !std::mem::take(&mut self.values).is_empty()
    }

    /// Remembers the value before SET LOCAL; whether the name can be an application's.
    pub(super) fn begin_local(&mut self, name: &str) -> bool {
        let Some(key) = key(name) else { return false };
        let before = self.values.get(&key).cloned();
        self.before_local.entry(key).or_insert(before);
        true
    }

    /// Ends the effect of SET LOCAL; whether it had any.
    pub(super) fn end_local(&mut self) -> bool {
        let had = !self.before_local.is_empty();
        for (key, before) in std::mem::take(&mut self.before_local) {
            match before {
                Some(value) => self.values.insert(key, value),
                // As in PostgreSQL the setting is there from then on, empty.
                None => self.values.insert(key, String::new()),
            };
        }
        had
    }

    /// Goes back to the values of another moment; whether these were others.
    pub(super) fn restore(&mut self, before: &Self) -> bool {
        self.before_local.clear();
        let differs = self.values != before.values;
        self.values.clone_from(&before.values);
        differs
    }

    /// Names and values.
    pub(super) fn all(&self) -> impl Iterator<Item = (&String, &String)> {
        self.values.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_no_setting_of_an_application() {
        for name in ["app.user_id", "request.jwt.claims", "myapp.x"] {
            assert!(key(name).is_some(), "{name}");
        }
        for name in ["table.exec.stat.ttl", "lookup.read-behin", "plain", "a b.c", "1a.b", "state.x", "a."] {
            assert!(key(name).is_none(), "{name}");
        }
    }
}
