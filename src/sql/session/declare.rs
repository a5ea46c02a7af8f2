//! What a statement presupposes and the session can make: the schema of a new object, and the declaration of a table that DynamoDB has
//! already and that the server knows the columns of.

use datafusion::sql::sqlparser::ast::Ident;

use super::Session;
use crate::catalog::Change;
use crate::error::{Error, Result};
use crate::nearest::nearest;
use crate::sql::parser::dialect::fold;
use crate::sql::planning::names::{Target, missing_text};
use crate::sql::planning::shipped;
use crate::sql::statements::{self, Statement};

impl Session {
    /// Where a new object with that name goes. A schema that is not there yet is made, unless its name looks like a slip of the pen.
    ///
    /// # Errors
    /// The name cannot be one, or is near to that of another schema.
    pub fn target(&mut self, name: &[Ident]) -> Result<Target> {
        let names = self.names()?;
        if let [.., schema, _] = name
            && names.find_schema(schema).is_none()
        {
            let written = fold(schema);
            let known = names.snapshot.databases.get(&names.database).map(|database| &database.schemas);
            let known = known.into_iter().flat_map(|schemas| schemas.keys().map(String::as_str));
            if let Some(near) = nearest(&written, known) {
                return Err(Error::not_found(format!("schema \"{written}\" does not exist"))
                    .code("3F000")
                    .hint(format!("Perhaps you mean \"{near}\"; CREATE SCHEMA {written} makes a new one.")));
            }
            if let [database, _, _] = name {
                names.refuse_other_database(database)?;
            }
            let database = names.database.clone();
            self.change(Change::CreateSchema { database, schema: written.clone(), comment: None })?;
            self.notice(format!("schema \"{written}\" did not exist and is created"));
            return self.names()?.target(name);
        }
        names.target(name)
    }

    /// After an error: declares the table that was missing, if the server knows its columns and DynamoDB has it. Tells whether it did, so
    /// that the statement can be tried again.
    pub(super) async fn declare_missing(&mut self, error: &Error) -> bool {
        if error.sqlstate() != "42P01" {
            return false;
        }
        let Some(table) = shipped::tables().find(|table| error.message().ends_with(&missing_text(table))) else {
            return false;
        };
        let undo = self.pending.len();
        let notices = self.notices.len();
        match self.declare_shipped(table).await {
            Ok(declared) => declared,
            Err(error) => {
                tracing::debug!(table, %error, "not declared by itself");
                self.drop_pending(undo);
                self.notices.truncate(notices);
                false
            }
        }
    }

    async fn declare_shipped(&mut self, table: &str) -> Result<bool> {
        let Some(text) = shipped::declaration(table) else { return Ok(false) };
        let Statement::CreateTable(statement) = statements::parse(text.trim_end_matches(';'))? else {
            return Ok(false);
        };
        if !statement.is_there(self).await? {
            return Ok(false);
        }
        statement.execute(self).await?;
        self.notice_with(
            format!("table \"{table}\" is declared by itself: DynamoDB has a table of that name"),
            Some(text),
        );
        Ok(true)
    }
}
