//! Names of schemas, relations and functions: how they fold, where they are looked up, what was meant.
//! Exact first, else uniquely without regard to case; unquoted names fold to lower case before.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::Ident;

use super::shipped;
use crate::catalog::Snapshot;
use crate::error::{Error, Result, SqlState};
use crate::nearest::nearest;
use crate::sql::parser::fold;

/// Schema of a session's temporary tables; never stored.
pub const TEMPORARY_SCHEMA: &str = "pg_temp";

/// A relation, fully named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Database.
    pub database: String,
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
}

impl Target {
    /// `schema`.`name` in backticks, for SHOW CREATE TABLE.
    pub fn qualified(&self) -> String {
        let quote = |name: &str| format!("`{}`", name.replace('`', "``"));
        if self.schema == TEMPORARY_SCHEMA {
            return quote(&self.name);
        }
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.database, self.schema, self.name)
    }
}

/// What names mean in a session, at a moment.
#[derive(Clone)]
pub struct Names {
    /// The catalog with the transaction's own changes.
    pub snapshot: Arc<Snapshot>,
    /// The connected database.
    pub database: String,
    /// Schemas searched, in order.
    pub search_path: Vec<String>,
    /// System schemas with their relations.
    pub system: Arc<Vec<(String, Vec<String>)>>,
    /// Names of temporary tables.
    pub temporary: BTreeSet<String>,
}

/// The text of the error about a relation that is not there.
pub fn missing_text(written: &str) -> String {
    format!("relation \"{written}\" does not exist")
}

/// Picks a name: exact first, else the only one that differs in case alone.
pub fn pick<'a>(wanted: &str, names: impl Iterator<Item = &'a String> + Clone) -> Option<&'a String> {
    if let Some(exact) = names.clone().find(|name| *name == wanted) {
        return Some(exact);
    }
    let folded = wanted.to_lowercase();
    let mut similar = names.filter(|name| name.to_lowercase() == folded);
    let first = similar.next()?;
    similar.all(|name| name == first).then_some(first)
}

impl Names {
    /// The schema that a name means.
    pub fn find_schema(&self, ident: &Ident) -> Option<String> {
        let wanted = fold(ident);
        if let Some((name, _)) = self.system.iter().find(|(name, _)| name.eq_ignore_ascii_case(&wanted)) {
            return Some(name.clone());
        }
        pick(&wanted, self.snapshot.databases.get(&self.database)?.schemas.keys()).cloned()
    }

    /// The first schema of the search path that exists.
    pub fn current_schema(&self) -> Option<String> {
        let schemas = &self.snapshot.databases.get(&self.database)?.schemas;
        self.search_path.iter().find(|schema| schemas.contains_key(*schema)).cloned()
    }

    /// Names of another database are refused.
    ///
    /// # Errors
    /// It is one (0A000).
    pub fn refuse_other_database(&self, ident: &Ident) -> Result<()> {
        let written = fold(ident);
        if written.eq_ignore_ascii_case(&self.database) || written == "default_catalog" {
            return Ok(());
        }
        Err(Error::unsupported(format!("cross-database references are not implemented: \"{written}\"")))
    }

    /// Where a new object with that name goes.
    ///
    /// # Errors
    /// The schema does not exist.
    pub fn target(&self, name: &[Ident]) -> Result<Target> {
        let (schema, object) = match name {
            [object] => {
                let schema = self.current_schema().ok_or_else(|| {
                    Error::not_found("no schema has been selected to create in").code(SqlState::InvalidSchemaName)
                })?;
                (schema, object)
            }
            [schema, object] => (self.existing_schema(schema)?, object),
            [database, schema, object] => {
                self.refuse_other_database(database)?;
                (self.existing_schema(schema)?, object)
            }
            _ => {
                return Err(
                    Error::invalid("improper qualified name (too many dotted names)").code(SqlState::SyntaxError)
                );
            }
        };
        if self.system.iter().any(|(name, _)| *name == schema) {
            return Err(Error::denied(format!("permission denied for schema {schema}")));
        }
        Ok(Target { database: self.database.clone(), schema, name: fold(object) })
    }

    fn existing_schema(&self, ident: &Ident) -> Result<String> {
        self.find_schema(ident).ok_or_else(|| {
            Error::not_found(format!("schema \"{}\" does not exist", fold(ident)))
                .code(SqlState::InvalidSchemaName)
                .hint(format!("CREATE SCHEMA {} (or CREATE DATABASE) makes it.", fold(ident)))
        })
    }

    /// The relation that a name means.
    ///
    /// # Errors
    /// It names another database.
    pub fn find_relation(&self, name: &[Ident]) -> Result<Option<Target>> {
        let target = |schema: &str, name: &String| Target {
            database: self.database.clone(),
            schema: schema.to_owned(),
            name: name.clone(),
        };
        let in_schema = |schema: &str, wanted: &str| -> Option<Target> {
            if let Some((_, relations)) = self.system.iter().find(|(name, _)| name == schema) {
                return pick(wanted, relations.iter()).map(|name| target(schema, name));
            }
            if schema == TEMPORARY_SCHEMA {
                return pick(wanted, self.temporary.iter()).map(|name| target(schema, name));
            }
            let entry = self.snapshot.schema(&self.database, schema)?;
            pick(wanted, entry.tables.keys().chain(entry.views.keys())).map(|name| target(schema, name))
        };
        let (schema, object) = match name {
            [object] => {
                let wanted = fold(object);
                let path = [TEMPORARY_SCHEMA, "pg_catalog"].into_iter().map(str::to_owned);
                let mut path = path.chain(self.search_path.iter().cloned());
                return Ok(path.find_map(|schema| in_schema(&schema, &wanted)));
            }
            [schema, object] => (schema, object),
            [database, schema, object] => {
                self.refuse_other_database(database)?;
                (schema, object)
            }
            _ => {
                return Err(
                    Error::invalid("improper qualified name (too many dotted names)").code(SqlState::SyntaxError)
                );
            }
        };
        Ok(self.find_schema(schema).and_then(|schema| in_schema(&schema, &fold(object))))
    }

    /// The function of a user that a name means.
    pub fn find_function(&self, name: &[Ident]) -> Option<(String, String, String)> {
        let in_schema = |schema: &str, wanted: &str| {
            let entry = self.snapshot.schema(&self.database, schema)?;
            pick(wanted, entry.functions.keys()).map(|name| (self.database.clone(), schema.to_owned(), name.clone()))
        };
        match name {
            [function] => self.search_path.iter().find_map(|schema| in_schema(schema, &fold(function))),
            [.., schema, function] => self.find_schema(schema).and_then(|schema| in_schema(&schema, &fold(function))),
            [] => None,
        }
    }

    /// What is said of a relation that is not there: what was meant, or how to declare it.
    pub fn missing_relation(&self, name: &[Ident]) -> Error {
        let written = name.iter().map(fold).collect::<Vec<_>>().join(".");
        let last = name.last().map(fold).unwrap_or_default();
        let error = Error::not_found(missing_text(&written)).code(SqlState::UndefinedTable);
        if let Some(declaration) = shipped::declaration(&written) {
            return error.hint(format!("Declare it first: {declaration}"));
        }
        match self.near_relations(&last) {
            Some(near) => error.hint(format!("Perhaps you mean \"{near}\".")),
            None => error.hint(format!("CREATE TABLE {written} (…) WITH ('connector' = '…', …) declares it.")),
        }
    }

    /// Relations with a name near to this one, for hints.
    pub fn near_relations(&self, wanted: &str) -> Option<String> {
        let schemas = &self.snapshot.databases.get(&self.database)?.schemas;
        let names = self
            .search_path
            .iter()
            .filter_map(|schema| schemas.get(schema))
            .flat_map(|schema| schema.tables.keys().chain(schema.views.keys()));
        nearest(wanted, names.map(String::as_str)).map(str::to_owned)
    }
}
