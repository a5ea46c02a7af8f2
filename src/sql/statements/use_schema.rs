//! USE: where unqualified names are looked up first. A Flink catalog is a database, which a session cannot leave.

use datafusion::sql::sqlparser::ast::Ident;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::outcomes::done;
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::{Cursor, fold};

/// USE [CATALOG] name
#[derive(Debug, Clone)]
pub struct UseSchema {
    name: Vec<Ident>,
    catalog: bool,
}

impl UseSchema {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("USE")?;
        if cursor.peek_words(&["MODULES"]) {
            return Err(Error::unsupported("USE MODULES is not supported").at(cursor.position()));
        }
        let catalog = cursor.word("CATALOG");
        Ok(Self { name: cursor.name()?, catalog })
    }

    /// Puts the schema in front of the search path.
    ///
    /// # Errors
    /// There is no such schema.
    pub fn execute(&self, session: &mut Session) -> Result<Outcome> {
        let (database, schema) = match (&self.name[..], self.catalog) {
            ([database], true) => (Some(fold(database)), None),
            ([schema], false) => (None, Some(schema)),
            ([database, schema], false) => (Some(fold(database)), Some(schema)),
            _ => {
                return Err(
                    Error::invalid("improper qualified name (too many dotted names)").code(SqlState::SyntaxError)
                );
            }
        };
        if let Some(database) = database
            && database != session.database()
            && database != "default_catalog"
        {
            if session.snapshot()?.databases.contains_key(&database) {
                return Err(Error::unsupported("a session cannot change its database").hint("Connect again."));
            }
            return Err(
                Error::not_found(format!("database \"{database}\" does not exist")).code(SqlState::InvalidCatalogName)
            );
        }
        let Some(schema) = schema else { return Ok(done("USE")) };
        let names = session.names()?;
        let schema = names.find_schema(schema).ok_or_else(|| {
            Error::not_found(format!("schema \"{}\" does not exist", fold(schema))).code(SqlState::InvalidSchemaName)
        })?;
        let quoted = format!("\"{}\"", schema.replace('"', "\"\""));
        let path = if schema == "public" { quoted } else { format!("{quoted}, public") };
        session.settings_mut().set("search_path", &path)?;
        Ok(done("USE"))
    }
}

impl Control for UseSchema {
    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(std::future::ready(self.execute(session)))
    }
}
