//! CREATE FUNCTION … LANGUAGE SQL: the body is planned at once, and kept as text.

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::outcomes::done;
use crate::catalog::rights::Access;
use crate::catalog::{Change, DEFAULT_SCHEMA, FunctionEntry};
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::Cursor;
use crate::sql::parser::function_declaration::FunctionDeclaration;
use crate::sql::planning::shipped;

/// CREATE [OR REPLACE] FUNCTION [IF NOT EXISTS] f(a T, …) RETURNS R LANGUAGE SQL AS '…'
#[derive(Debug, Clone)]
pub struct CreateFunction {
    declaration: FunctionDeclaration,
}

impl CreateFunction {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error, or a language that we do not run.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        Ok(Self { declaration: FunctionDeclaration::parse(cursor)? })
    }

    /// Plans the body once, and keeps its text.
    ///
    /// # Errors
    /// The body cannot be planned, or the name is taken.
    pub async fn execute(&self, session: &mut Session) -> Result<Outcome> {
        let declaration = &self.declaration;
        let target = session.target(&declaration.name)?;
        let name = target.name.to_lowercase();
        if session.planner(true)?.is_reserved(&name) {
            return Err(Error::invalid(format!("function \"{name}\" is built in")).code(SqlState::DuplicateFunction));
        }
        let snapshot = session.snapshot()?;
        let exists = snapshot
            .schema(&target.database, &target.schema)
            .is_some_and(|schema| schema.functions.contains_key(&name));
        let is_shipped = !exists && target.schema == DEFAULT_SCHEMA && shipped::functions().contains_key(name.as_str());
        if (exists || is_shipped) && !declaration.replace {
            if declaration.if_not_exists {
                session.notice(format!("function \"{name}\" already exists, skipping"));
                return Ok(done("CREATE FUNCTION"));
            }
            let error = Error::invalid(format!("function \"{name}\" already exists")).code(SqlState::DuplicateFunction);
            return Err(match is_shipped {
                true => error.hint("The server brings it along. CREATE OR REPLACE FUNCTION puts another in its place."),
                false => error,
            });
        }
        let entry = FunctionEntry {
            oid: 0,
            parameters: declaration.parameters.clone(),
            returns: declaration.returns.clone(),
            body: declaration.body.clone(),
            comment: None,
            access: Access::default(),
        };
        let (called, schema, planned) = (name.clone(), target.schema.clone(), entry.clone());
        session
            .plan(true, move |planner| planner.function(&called, &schema, &planned).map(drop))
            .await
            .map_err(|error| error.context(format!("function \"{name}\"")))?;
        session.change(Change::CreateFunction {
            database: target.database,
            schema: target.schema,
            name,
            entry: Box::new(entry),
            replace: declaration.replace,
        })?;
        Ok(done("CREATE FUNCTION"))
    }
}

impl Control for CreateFunction {
    fn has_own_rules(&self) -> bool {
        true
    }

    fn writes(&self) -> Option<&'static str> {
        Some("CREATE FUNCTION")
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(self.execute(session))
    }
}
