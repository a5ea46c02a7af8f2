//! EXPLAIN [ANALYZE] JOB: a submitted job's dataflow with what each of its nodes did so far. DESCRIBE JOB shows the same.

use datafusion::arrow::datatypes::SchemaRef;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::{job_control, job_text, plan_text};
use crate::engine::dataflow::Dataflow;
use crate::error::Result;
use crate::sql::parser::Cursor;

/// EXPLAIN [ANALYZE] JOB name
#[derive(Debug, Clone)]
pub struct ExplainJob {
    name: String,
}

impl ExplainJob {
    /// Reads the name.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("JOB")?;
        Ok(Self { name: cursor.ident_or_string()? })
    }

    /// Shows it.
    ///
    /// # Errors
    /// There is no such job, or what is stored of it cannot be read.
    pub fn execute(&self, session: &mut Session) -> Result<Outcome> {
        let snapshot = session.snapshot()?;
        let name = job_control::find(&snapshot, &self.name)?;
        let dataflow = Dataflow::from_json(&snapshot.jobs[&name].dataflow)?;
        let status = session.server().jobs.status().into_iter().find(|status| status.name == name);
        plan_text::rows(job_text::lines(&dataflow, status.as_ref()))
    }
}

impl Control for ExplainJob {
    fn result(&self, _session: &Session) -> Option<SchemaRef> {
        Some(plan_text::schema())
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(std::future::ready(self.execute(session)))
    }
}
