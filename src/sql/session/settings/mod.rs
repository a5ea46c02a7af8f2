//! A session's settings: Postgres' names that drivers set and Flink's that scripts set, with types, defaults and scope.
//! What has no effect yet is taken at its default only; nothing is silently ignored.

mod custom;
mod definitions;
#[cfg(test)]
mod reference;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::dataflow::JobSettings;
use crate::error::Result;
use crate::options::parse_memory_size;
use crate::options::setting::{milliseconds, normalize};
use custom::Custom;
use definitions::{ALIASES, DEFINITIONS, Definition, definition, find};

/// Whether transactions only read unless they say otherwise.
pub const DEFAULT_READ_ONLY: &str = "default_transaction_read_only";
/// Whether the transaction only reads.
pub const READ_ONLY: &str = "transaction_read_only";

/// The role that the session acts as; only the session itself sets it.
pub const ROLE: &str = "role";
/// Its value where the session acts as its own role.
pub const NO_ROLE: &str = "none";
/// The role as which the session logged in; only the session itself sets it.
pub const SESSION_AUTHORIZATION: &str = "session_authorization";
/// Whether the role is a superuser; follows from it.
pub const IS_SUPERUSER: &str = "is_superuser";

/// The settings of a session.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, String>,
    /// What the start-up packet set: the values to which RESET goes back.
    initial: BTreeMap<&'static str, String>,
    /// Values before SET LOCAL.
    before_local: BTreeMap<&'static str, Option<String>>,
    /// Names whose value the client has not been told.
    unreported: Option<std::collections::BTreeSet<&'static str>>,
    custom: Custom,
    /// Counts changes, so that cached plans know when they are stale.
    pub generation: u64,
}

impl Settings {
    /// Sets a value for the session.
    ///
    /// # Errors
    /// The setting is unknown (42704), cannot be changed (55P02), or does not take the value (22023).
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        if find(name).is_none()
            && let Some(set) = self.custom.set(name, value)
        {
            self.generation += 1;
            return set;
        }
        let definition = definition(name)?;
        if value.contains("://") {
            crate::places::refuse_userinfo(&format!("setting \"{}\"", definition.name), value)?;
        }
        let value = normalize(definition.name, definition.kind, definition.default, value)?;
        self.put(definition, Some(value));
        Ok(())
    }

    /// Sets what the start-up packet says; RESET comes back to it.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn set_initial(&mut self, name: &str, value: &str) -> Result<()> {
        self.set(name, value)?;
        if let Some(definition) = find(name)
            && let Some(value) = self.values.get(definition.name)
        {
            self.initial.insert(definition.name, value.clone());
        }
        Ok(())
    }

    /// Sets a value that users cannot set.
    pub fn set_fixed(&mut self, name: &str, value: &str) {
        if let Some(definition) = find(name) {
            self.initial.insert(definition.name, value.to_owned());
            self.put(definition, Some(value.to_owned()));
        }
    }

    /// Sets a value that users cannot set, to which RESET does not come back.
    pub fn set_fixed_now(&mut self, name: &str, value: &str) {
        if let Some(definition) = find(name) {
            self.put(definition, Some(value.to_owned()));
        }
    }

    fn put(&mut self, definition: &'static Definition, value: Option<String>) {
        let before = self.current(definition);
        match value {
            Some(value) => self.values.insert(definition.name, value),
            None => self.values.remove(definition.name),
        };
        if before != self.current(definition) {
            self.generation += 1;
            if definition.reported
                && let Some(unreported) = &mut self.unreported
            {
                unreported.insert(definition.name);
            }
        }
    }

    /// Goes back to the default.
    ///
    /// # Errors
    /// The setting is unknown.
    pub fn reset(&mut self, name: &str) -> Result<()> {
        if find(name).is_none() && self.custom.reset(name) {
            self.generation += 1;
            return Ok(());
        }
        let definition = definition(name)?;
        self.put(definition, self.initial.get(definition.name).cloned());
        Ok(())
    }

    /// Goes back to the defaults.
    pub fn reset_all(&mut self) {
        self.generation += u64::from(self.custom.reset_all());
        // Who acts is not among them, as in Postgres.
        let stays = [ROLE, SESSION_AUTHORIZATION, IS_SUPERUSER];
        for definition in DEFINITIONS.iter().filter(|definition| !stays.contains(&definition.name)) {
            self.put(definition, self.initial.get(definition.name).cloned());
        }
    }

    /// Remembers the value before SET LOCAL.
    ///
    /// # Errors
    /// The setting is unknown.
    pub fn begin_local(&mut self, name: &str) -> Result<()> {
        if find(name).is_none() && self.custom.begin_local(name) {
            return Ok(());
        }
        let definition = definition(name)?;
        let before = self.values.get(definition.name).cloned();
        self.before_local.entry(definition.name).or_insert(before);
        Ok(())
    }

    /// Ends the effect of SET LOCAL.
    pub fn end_local(&mut self) {
        self.generation += u64::from(self.custom.end_local());
        for (name, value) in std::mem::take(&mut self.before_local) {
            if let Some(definition) = find(name) {
                self.put(definition, value);
            }
        }
    }

    /// Goes back to the values of another moment (ROLLBACK).
    pub fn restore(&mut self, before: &Settings) {
        self.before_local.clear();
        self.generation += u64::from(self.custom.restore(&before.custom));
        for definition in DEFINITIONS.iter() {
            self.put(definition, before.values.get(definition.name).cloned());
        }
    }

    fn current(&self, definition: &Definition) -> String {
        self.values.get(definition.name).cloned().unwrap_or_else(|| definition.default.to_owned())
    }

    /// A value.
    ///
    /// # Errors
    /// The setting is unknown.
    pub fn get(&self, name: &str) -> Result<String> {
        match self.custom.get(name) {
            Some(value) if find(name).is_none() => Ok(value.clone()),
            _ => Ok(self.current(definition(name)?)),
        }
    }

    /// The name as SHOW writes it over its column.
    pub fn display_name(&self, name: &str) -> String {
        match find(name) {
            Some(definition) if !ALIASES.iter().any(|(alias, _)| *alias == name && name.contains('.')) => {
                definition.name.to_owned()
            }
            _ => name.to_owned(),
        }
    }

    /// All settings with values and descriptions.
    pub fn all(&self) -> Vec<(String, String, &'static str)> {
        DEFINITIONS
            .iter()
            .map(|definition| (definition.name.to_owned(), self.current(definition), definition.description))
            .collect()
    }

    /// All names and values, also those of applications.
    pub fn values(&self) -> Vec<(String, String)> {
        let ours = DEFINITIONS.iter().map(|definition| (definition.name.to_owned(), self.current(definition)));
        ours.chain(self.custom.all().map(|(name, value)| (name.clone(), value.clone()))).collect()
    }

    /// The reported settings that changed since the last call; all of them at first.
    pub fn take_changes(&mut self) -> Vec<(String, String)> {
        let names = self.unreported.replace(std::collections::BTreeSet::new());
        DEFINITIONS
            .iter()
            .filter(|definition| {
                definition.reported && names.as_ref().is_none_or(|names| names.contains(definition.name))
            })
            .map(|definition| (definition.name.to_owned(), self.current(definition)))
            .collect()
    }

    /// The session's time zone, an IANA name.
    pub fn time_zone(&self) -> String {
        self.get("TimeZone").unwrap_or_else(|_| "UTC".to_owned())
    }

    /// Bytes that one statement may compute in.
    pub fn query_memory_bytes(&self) -> usize {
        let bytes = self.get("query.memory.limit").and_then(|text| parse_memory_size(&text)).unwrap_or(1 << 30);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// A duration in milliseconds; `None` for 0.
    pub fn timeout(&self, name: &str) -> Option<Duration> {
        let text = self.get(name).ok()?;
        milliseconds(&text).filter(|ms| *ms > 0).map(Duration::from_millis)
    }

    /// Schemas searched, `$user` replaced.
    pub fn search_path(&self, user: &str) -> Vec<String> {
        let path = self.get("search_path").unwrap_or_default();
        split_path(&path)
            .into_iter()
            .map(|schema| if schema == "$user" { user.to_owned() } else { schema })
            .filter(|schema| !schema.is_empty())
            .collect()
    }

    /// Whether a setting was set to something that has no effect; its description says why.
    pub fn without_effect(&self, name: &str) -> Option<&'static str> {
        let definition = find(name).filter(|definition| definition.name == "table.exec.mini-batch.size")?;
        (self.current(definition) != definition.default).then_some(definition.description)
    }

    /// What a job keeps of the settings.
    ///
    /// # Errors
    /// Never: each of them was read when it was set.
    pub fn of_jobs(&self) -> Result<JobSettings> {
        let set = DEFINITIONS.iter().filter(|definition| definition.of_jobs);
        let set = set.filter_map(|definition| Some((definition.name, self.values.get(definition.name)?.as_str())));
        JobSettings::new(&self.time_zone(), set)
    }
}

fn split_path(path: &str) -> Vec<String> {
    let mut schemas = Vec::new();
    let mut current = String::new();
    let mut quoted = false;
    let mut was_quoted = false;
    for c in path.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                was_quoted = true;
            }
            ',' if !quoted => {
                schemas.push((std::mem::take(&mut current), std::mem::take(&mut was_quoted)));
            }
            c => current.push(c),
        }
    }
    schemas.push((current, was_quoted));
    schemas
        .into_iter()
        .map(|(schema, quoted)| if quoted { schema.trim().to_owned() } else { schema.trim().to_lowercase() })
        .collect()
}

#[cfg(test)]
mod tests;
