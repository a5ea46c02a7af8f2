//! Where a new object of a session goes: the schema of its name, which is made if it is not there.

use datafusion::sql::sqlparser::ast::Ident;

use super::Session;
use crate::catalog::Change;
use crate::catalog::rights::Access;
use crate::error::{Error, Result, SqlState};
use crate::nearest::nearest;
use crate::sql::parser::fold;
use crate::sql::planning::names::Target;

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
                    .code(SqlState::InvalidSchemaName)
                    .hint(format!("Perhaps you mean \"{near}\"; CREATE SCHEMA {written} makes a new one.")));
            }
            if let [database, _, _] = name {
                names.refuse_other_database(database)?;
            }
            let database = names.database.clone();
            self.change(Change::CreateSchema {
                database,
                schema: written.clone(),
                comment: None,
                access: Access::default(),
            })?;
            self.notice(format!("schema \"{written}\" did not exist and is created"));
            return self.names()?.target(name);
        }
        names.target(name)
    }
}
