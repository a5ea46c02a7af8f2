//! The one place that every statement passes: a message is split, each statement is read, let in, planned and run.
//!
//! A statement is read and planned by `prepare`, and run by `execute`. The plan made by `prepare` is good for the first execution;
//! later ones plan again when the catalog, the settings or the time may have changed.

mod parameters;
mod prepare;
mod prepared;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::scalar::ScalarValue;

use crate::error::{Error, Result, SqlState};
use crate::sql::parser::splitter::{self, StatementText};
use crate::sql::planning::planned::Planned;
use crate::sql::session::{InSet, Outcome, Prepared, Runnable, Running, Session, TransactionStatus};
use crate::sql::statements::shipped_tables::declare_missing;
use crate::sql::statements::{Statement, insert, query};
use crate::threads::Deep;

impl Session {
    /// Splits a message into statements: at semicolons outside of quotes, comments, dollar quotes and `BEGIN STATEMENT SET … END`.
    ///
    /// # Errors
    /// An unterminated quote or comment (42601 with its position).
    pub fn split(&self, message: &str) -> Result<Vec<StatementText>> {
        splitter::split(message)
    }

    /// Analyses a statement. `parameter_types`: what the client said of `$1 …`, `None` where it left the type to us.
    ///
    /// # Errors
    /// Syntax, unknown names, types; with SQLSTATE and position. The caller reports the error; the session then fails its block by itself.
    pub async fn prepare(
        &mut self,
        statement: &StatementText,
        parameter_types: &[Option<DataType>],
    ) -> Result<Prepared> {
        let mut result = self.prepare_inner(statement, parameter_types).await;
        while let Err(error) = &result
            && declare_missing(self, error).await
        {
            result = self.prepare_inner(statement, parameter_types).await;
        }
        if let Err(error) = &result
            && let Err(untold) = self.audit_refused(&statement.text, error).await
        {
            result = Err(untold);
        }
        self.note_failure(result)
    }

    fn note_failure<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.fail();
        }
        result
    }

    /// Whether a statement may run where the session stands.
    ///
    /// # Errors
    /// The block failed (25P02), or a statement set is open in which it cannot stand.
    fn admit(&self, statement: &dyn Runnable) -> Result<()> {
        if let Some(set) = &self.set {
            return set.admit(statement);
        }
        if self.block == TransactionStatus::Failed && !statement.ends_block() {
            return Err(Error::invalid(
                "current transaction is aborted, commands ignored until end of transaction block",
            )
            .code(SqlState::InFailedSqlTransaction));
        }
        Ok(())
    }

    /// Whether the session's role may run a statement.
    ///
    /// # Errors
    /// 42501: it may not.
    fn permit(&mut self, statement: &dyn Runnable) -> Result<()> {
        match statement.wants() {
            Some(what) if !self.is_superuser()? => Err(Error::denied(format!("permission denied for {what}"))
                .detail("Only roles with the SUPERUSER attribute may do that.")),
            _ => Ok(()),
        }
    }

    /// Runs a prepared statement. Cancel safe: dropping the future (CancelRequest, time-out) ends the work.
    ///
    /// # Errors
    /// Whatever the statement may raise.
    pub async fn execute(&mut self, prepared: &Prepared, parameters: Vec<ScalarValue>) -> Result<Outcome> {
        let inner = &prepared.inner;
        let makes_job = inner.plan.as_ref().is_some_and(|plan| matches!(plan.planned, Planned::Job(_)));
        let audited = self.audit(&inner.text.text, makes_job, inner.statement.ends_block());
        let result = self.execute_inner(prepared, parameters).await;
        let result = self.audited(audited, &inner.text.text, result).await;
        self.note_failure(result)
    }

    async fn execute_inner(&mut self, prepared: &Prepared, parameters: Vec<ScalarValue>) -> Result<Outcome> {
        let inner = prepared.inner.clone();
        self.admit(inner.statement.as_ref())?;
        self.permit(inner.statement.as_ref())?;
        if let Some(what) = inner.statement.writes() {
            self.refuse_read_only(what)?;
        }
        if !inner.statement.needs_plan() {
            return inner.statement.execute(self).await;
        }
        if parameters.len() != prepared.parameter_types.len() {
            return Err(Error::invalid(format!(
                "bind message supplies {} parameters, but prepared statement requires {}",
                parameters.len(),
                prepared.parameter_types.len()
            ))
            .code(SqlState::ProtocolViolation));
        }
        let snapshot = self.snapshot()?;
        if let Some(cached) = &inner.plan
            && cached.is_good(&snapshot, self.settings.generation)
        {
            return inner.statement.run(self, &cached.planned, prepared.result.clone(), parameters).await;
        }
        let given: Vec<Option<DataType>> = if inner.given_types.iter().any(Option::is_some) || parameters.is_empty() {
            inner.given_types.clone()
        } else {
            Vec::new()
        };
        let again = self.prepare_inner(&inner.text, &given).await?;
        if again.result.as_ref().map(|schema| schema.fields().len())
            != prepared.result.as_ref().map(|schema| schema.fields().len())
        {
            return Err(Error::stale_plan());
        }
        let plan = again.inner.plan.as_ref().ok_or_else(|| Error::internal("a query has no plan"))?;
        inner.statement.run(self, &plan.planned, again.result.clone(), parameters).await
    }
}

impl Runnable for Deep<Statement> {
    fn writes(&self) -> Option<&'static str> {
        Statement::writes(self)
    }

    fn wants(&self) -> Option<&'static str> {
        Statement::wants(self)
    }

    fn ends_block(&self) -> bool {
        Statement::ends_block(self)
    }

    fn in_set(&self) -> InSet {
        Statement::in_set(self)
    }

    fn needs_plan(&self) -> bool {
        matches!(
            **self,
            Statement::Query(_)
                | Statement::Insert(_)
                | Statement::Change(_)
                | Statement::Explain(_)
                | Statement::OverQuery(_)
        )
    }

    fn execute<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(async move {
            match &**self {
                Statement::Empty => Ok(Outcome::Empty),
                Statement::Query(_)
                | Statement::Insert(_)
                | Statement::Change(_)
                | Statement::Explain(_)
                | Statement::OverQuery(_) => Err(Error::internal("a query runs through its plan")),
                Statement::Control(control) => control.run(session).await,
                Statement::Prepared(statement) => prepared::execute(statement, session).await,
            }
        })
    }

    fn run<'a>(
        &'a self,
        session: &'a mut Session,
        planned: &'a Planned,
        result: Option<SchemaRef>,
        parameters: Vec<ScalarValue>,
    ) -> Running<'a> {
        Box::pin(async move {
            match (&**self, planned) {
                (Statement::Explain(explain), _) => explain.execute(session, planned).await,
                (Statement::OverQuery(statement), _) => statement.run(session, planned, parameters).await,
                (_, Planned::Query { .. }) => query::run(session, planned, result, parameters).await,
                (_, Planned::BoundedInsert { .. } | Planned::Job(_) | Planned::LocalWrite(_)) => {
                    insert::run(session, planned, parameters).await
                }
            }
        })
    }
}

#[cfg(test)]
mod memory_connector;
#[cfg(test)]
mod tests;
