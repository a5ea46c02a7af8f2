//! STOP, PAUSE, RESUME and DROP JOB, DESCRIBE JOB. What is wanted is written to the catalog; the supervisor does it after the commit.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::dialect::Cursor;
use super::super::session::{Outcome, Session};
use super::{done, text_rows, text_schema};
use crate::catalog::{Change, DesiredState, Snapshot};
use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Stop,
    Pause,
    Resume,
    Drop,
    Describe,
}

/// STOP | PAUSE | RESUME | DROP | DESCRIBE JOB name
#[derive(Debug, Clone)]
pub struct JobControl {
    action: Action,
    name: String,
    if_exists: bool,
}

impl JobControl {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error; WITH SAVEPOINT is refused.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        let action = if cursor.word("STOP") {
            Action::Stop
        } else if cursor.word("PAUSE") {
            Action::Pause
        } else if cursor.word("RESUME") {
            Action::Resume
        } else if cursor.word("DROP") {
            Action::Drop
        } else if cursor.word("DESCRIBE") || cursor.word("DESC") {
            Action::Describe
        } else {
            return Err(cursor.error());
        };
        cursor.expect_word("JOB")?;
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        let name = cursor.ident_or_string()?;
        while action == Action::Stop && cursor.word("WITH") {
            let position = cursor.position();
            if cursor.word("SAVEPOINT") {
                return Err(Error::unsupported("STOP JOB … WITH SAVEPOINT is not supported yet")
                    .hint("PAUSE JOB keeps the checkpoint, so that the job can be resumed.")
                    .at(position));
            }
            cursor.expect_word("DRAIN")?; // a job stops after what it has read is written, so that nothing is left to drain
        }
        if cursor.peek() == Token::Period {
            return Err(cursor.error());
        }
        Ok(Self { action, name, if_exists })
    }

    /// The columns of DESCRIBE JOB.
    pub fn schema(&self) -> Option<SchemaRef> {
        (self.action == Action::Describe).then(|| text_schema(&["property", "value"]))
    }

    fn find(&self, snapshot: &Snapshot) -> Result<Option<String>> {
        if snapshot.jobs.contains_key(&self.name) {
            return Ok(Some(self.name.clone()));
        }
        let same = |name: &&String| name.eq_ignore_ascii_case(&self.name);
        let by_id = snapshot.jobs.values().find(|job| job.id == self.name).map(|job| job.name.clone());
        let mut found = snapshot.jobs.keys().filter(same);
        match (by_id, found.next(), found.next()) {
            (Some(name), _, _) => Ok(Some(name)),
            (None, Some(name), None) => Ok(Some(name.clone())),
            (None, Some(_), Some(_)) => Err(Error::invalid(format!(
                "job name \"{}\" is ambiguous; write it in double quotes as it was created",
                self.name
            ))),
            (None, None, _) if self.if_exists => Ok(None),
            (None, None, _) => {
                Err(Error::not_found(format!("job \"{}\" does not exist", self.name)).hint("SHOW JOBS lists them."))
            }
        }
    }

    /// Acts.
    ///
    /// # Errors
    /// There is no such job, or it is not in a state for that.
    pub async fn execute(&self, session: &mut Session) -> Result<Outcome> {
        let snapshot = session.snapshot()?;
        let tag = match self.action {
            Action::Stop => "STOP JOB",
            Action::Pause => "PAUSE JOB",
            Action::Resume => "RESUME JOB",
            Action::Drop => "DROP JOB",
            Action::Describe => "DESCRIBE",
        };
        let Some(name) = self.find(&snapshot)? else {
            session.notice(format!("job \"{}\" does not exist, skipping", self.name));
            return Ok(done(tag));
        };
        let job = &snapshot.jobs[&name];
        let desired = match self.action {
            Action::Describe => return self.describe(session, &snapshot, &name),
            Action::Drop => {
                if job.desired != DesiredState::Stopped && !session.is_pending_job(&name) {
                    session.stop_before_drop(&name).await?;
                }
                session.change(Change::DropJob { name })?;
                return Ok(done(tag));
            }
            Action::Stop => DesiredState::Stopped,
            Action::Pause => DesiredState::Paused,
            Action::Resume => DesiredState::Running,
        };
        if job.desired == DesiredState::Stopped && desired != DesiredState::Stopped {
            return Err(Error::invalid(format!("job \"{name}\" is stopped for good"))
                .code("55000")
                .hint("Submit the INSERT again as a new job."));
        }
        session.change(Change::SetJobState { name: name.clone(), desired })?;
        session.settle_after_commit(name);
        Ok(done(tag))
    }

    fn describe(&self, session: &Session, snapshot: &Snapshot, name: &str) -> Result<Outcome> {
        let job = &snapshot.jobs[name];
        let status = session.server().jobs.status().into_iter().find(|status| status.name == name);
        let desired = format!("{:?}", job.desired).to_uppercase();
        let created = chrono::DateTime::from_timestamp_millis(job.created_ms)
            .map(|created| created.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
        let mut rows = vec![
            vec![Some("name".to_owned()), Some(job.name.clone())],
            vec![Some("id".to_owned()), Some(job.id.clone())],
            vec![Some("state".to_owned()), status.as_ref().map(|status| status.state.to_owned())],
            vec![Some("desired".to_owned()), Some(desired)],
            vec![Some("created".to_owned()), created],
            vec![Some("last_error".to_owned()), status.and_then(|status| status.last_error)],
            vec![Some("statement".to_owned()), Some(job.statement.clone())],
        ];
        if let Ok(dataflow) = serde_json::from_value::<crate::engine::dataflow::Dataflow>(job.dataflow.clone()) {
            rows.push(vec![Some("dataflow".to_owned()), Some(dataflow.explain().join("\n"))]);
        }
        text_rows("DESCRIBE", text_schema(&["property", "value"]), &rows)
    }
}
