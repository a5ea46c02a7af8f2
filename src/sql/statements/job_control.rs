//! STOP, PAUSE, RESUME and DROP JOB, DESCRIBE JOB. What is wanted is written to the catalog; the supervisor does it after the commit.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::job_text::{self, rfc3339};
use super::outcomes::{done, text_rows, text_schema};
use super::resume_skip::Skip;
use crate::catalog::rights::Privilege;
use crate::catalog::role;
use crate::catalog::{Change, DesiredState, Object, Snapshot};
use crate::connectors::SkippedRecords;
use crate::engine::dataflow::Dataflow;
use crate::error::{Error, ErrorKind, Result, SqlState};
use crate::jobs::JobStatus;
use crate::sql::parser::Cursor;
use crate::sql::privileges;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Stop,
    Pause,
    Resume,
    Drop,
    Describe,
}

/// STOP | PAUSE | RESUME | DROP | DESCRIBE JOB name, and for RESUME: [SKIP …]
#[derive(Debug, Clone)]
pub struct JobControl {
    action: Action,
    name: String,
    if_exists: bool,
    savepoint: Option<SavepointTarget>,
    skip: Option<Skip>,
}

/// WITH SAVEPOINT [TO 'folder']
#[derive(Debug, Clone)]
struct SavepointTarget {
    folder: Option<String>,
}

/// A job by its name as written, its name without regard to case, or its id.
///
/// # Errors
/// There is none (42704), or several.
pub fn find(snapshot: &Snapshot, written: &str) -> Result<String> {
    if snapshot.jobs.contains_key(written) {
        return Ok(written.to_owned());
    }
    let same = |name: &&String| name.eq_ignore_ascii_case(written);
    let by_id = snapshot.jobs.values().find(|job| job.id == written).map(|job| job.name.clone());
    let mut found = snapshot.jobs.keys().filter(same);
    match (by_id, found.next(), found.next()) {
        (Some(name), _, _) => Ok(name),
        (None, Some(name), None) => Ok(name.clone()),
        (None, Some(_), Some(_)) => Err(Error::invalid(format!(
            "job name \"{written}\" is ambiguous; write it in double quotes as it was created"
        ))),
        (None, None, _) => {
            Err(Error::not_found(format!("job \"{written}\" does not exist")).hint("SHOW JOBS lists them."))
        }
    }
}

impl JobControl {
    /// What it changes, if anything.
    pub fn writes(&self) -> Option<&'static str> {
        match self.action {
            Action::Stop => Some("STOP JOB"),
            Action::Pause => Some("PAUSE JOB"),
            Action::Resume => Some("RESUME JOB"),
            Action::Drop => Some("DROP JOB"),
            Action::Describe => None,
        }
    }

    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
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
        let mut savepoint = None;
        while action == Action::Stop && cursor.word("WITH") {
            if cursor.word("SAVEPOINT") {
                let folder = if cursor.word("TO") { Some(cursor.string()?) } else { None };
                savepoint = Some(SavepointTarget { folder });
                continue;
            }
            cursor.expect_word("DRAIN")?; // a job stops after what it has read is written, so that nothing is left to drain
        }
        let skip = match action == Action::Resume && cursor.word("SKIP") {
            true => Some(Skip::parse(cursor)?),
            false => None,
        };
        if cursor.peek() == Token::Period {
            return Err(cursor.error());
        }
        Ok(Self { action, name, if_exists, savepoint, skip })
    }

    /// The columns of DESCRIBE JOB, and of a stop with a savepoint.
    pub fn schema(&self) -> Option<SchemaRef> {
        if self.savepoint.is_some() {
            return Some(savepoint_schema());
        }
        (self.action == Action::Describe).then(|| text_schema(&["property", "value"]))
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
        let name = match find(&snapshot, &self.name) {
            Ok(name) => name,
            Err(error) if self.if_exists && error.kind() == ErrorKind::NotFound => {
                session.notice(format!("job \"{}\" does not exist, skipping", self.name));
                return match self.savepoint {
                    Some(_) => text_rows(tag, savepoint_schema(), &[]),
                    None => Ok(done(tag)),
                };
            }
            Err(error) => return Err(error),
        };
        self.permit(session, &name)?;
        if let Some(savepoint) = &self.savepoint {
            return stop_with_savepoint(session, name, savepoint).await;
        }
        let job = &snapshot.jobs[&name];
        let desired = match self.action {
            Action::Describe => return self.describe(session, &snapshot, &name),
            Action::Drop => {
                if job.desired != DesiredState::Stopped && !session.is_pending_job(&name) {
                    let status = session.server().jobs.status().into_iter().find(|status| status.name == name);
                    session.stop_before_drop(&name).await?;
                    let was = status.map_or("RUNNING", |status| status.state);
                    session.notice_with(
                        format!("job \"{name}\" was {was} and is stopped"),
                        Some("Its state and its position are gone; what it wrote stays.".to_owned()),
                    );
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
                .code(SqlState::ObjectNotInPrerequisiteState)
                .hint("Submit the INSERT again as a new job."));
        }
        if let Some(skip) = &self.skip {
            let place = session.server().jobs.resting_place(&name).await?;
            let records = skip.records(&name, &place)?;
            for SkippedRecords { split, from, to } in &records {
                let text = match to - from {
                    1 => format!("job \"{name}\" goes over the record at offset {from} of {split}"),
                    count => format!("job \"{name}\" goes over {count} offsets of {split}, {from} to {}", to - 1),
                };
                session.notice(text);
            }
            session.change(Change::SkipRecords { name: name.clone(), records })?;
        }
        session.change(Change::SetJobState { name: name.clone(), desired })?;
        session.settle_after_commit(name);
        Ok(done(tag))
    }

    /// Before anything is done: a job is operated by whoever may, and dropped by its owner; it goes on with its owner's rights.
    fn permit(&self, session: &mut Session, name: &str) -> Result<()> {
        let object = Object::Job { name: name.to_owned() };
        match self.action {
            Action::Describe => Ok(()),
            Action::Drop => session.require_owner(&object),
            Action::Stop | Action::Pause => session.require_privilege(&object, Privilege::Operate),
            Action::Resume => {
                session.require_privilege(&object, Privilege::Operate)?;
                privileges::of_job(session.snapshot()?.as_ref(), name)
            }
        }
    }

    fn describe(&self, session: &Session, snapshot: &Snapshot, name: &str) -> Result<Outcome> {
        let job = &snapshot.jobs[name];
        let status = session.server().jobs.status().into_iter().find(|status| status.name == name);
        let dataflow = Dataflow::from_json(&job.dataflow)
            .map_or_else(|error| error.to_string(), |dataflow| job_text::lines(&dataflow, status.as_ref()).join("\n"));
        let desired = format!("{:?}", job.desired).to_uppercase();
        let now = status.as_ref();
        let rows = vec![
            vec![Some("name".to_owned()), Some(job.name.clone())],
            vec![Some("id".to_owned()), Some(job.id.clone())],
            vec![Some("owner".to_owned()), role::name_of(&snapshot.roles, job.access.owner).map(str::to_owned)],
            vec![Some("state".to_owned()), now.map(|now| now.state.to_owned())],
            vec![Some("since".to_owned()), now.and_then(|now| now.since_ms).map(rfc3339)],
            vec![Some("waits_for".to_owned()), now.and_then(JobStatus::waits_for)],
            vec![Some("desired".to_owned()), Some(desired)],
            vec![Some("created".to_owned()), Some(rfc3339(job.created_ms))],
            vec![Some("last_error".to_owned()), now.and_then(|now| now.last_error.clone())],
            vec![Some("last_error_at".to_owned()), now.and_then(|now| now.last_error_ms).map(rfc3339)],
            vec![Some("skips".to_owned()), skipped_text(&job.skips)],
            vec![Some("statement".to_owned()), Some(job.statement.clone())],
            vec![Some("dataflow".to_owned()), Some(dataflow)],
        ];
        text_rows("DESCRIBE", text_schema(&["property", "value"]), &rows)
    }
}

impl Control for JobControl {
    fn result(&self, _session: &Session) -> Option<SchemaRef> {
        self.schema()
    }

    fn has_own_rules(&self) -> bool {
        true
    }

    fn writes(&self) -> Option<&'static str> {
        JobControl::writes(self)
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(self.execute(session))
    }
}

fn skipped_text(skips: &[SkippedRecords]) -> Option<String> {
    let texts: Vec<_> = skips.iter().map(|skip| format!("{} {} to {}", skip.split, skip.from, skip.to - 1)).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

fn savepoint_schema() -> SchemaRef {
    text_schema(&["savepoint path"])
}

/// Ends a job with a savepoint. It acts at once: what is written to outside systems cannot be rolled back.
async fn stop_with_savepoint(session: &mut Session, name: String, savepoint: &SavepointTarget) -> Result<Outcome> {
    if session.is_in_block() {
        return Err(Error::invalid("STOP JOB … WITH SAVEPOINT cannot run inside a transaction block")
            .code(SqlState::ActiveSqlTransaction));
    }
    session.commit_message().await?;
    let jobs = session.server().jobs.clone();
    let chosen = session.settings().get("state.savepoints.dir")?;
    let places = &session.server().connectors.defaults().places;
    let folder = match (&savepoint.folder, chosen.trim()) {
        (Some(folder), _) => {
            places.check_folder("savepoint", folder)?;
            folder.clone()
        }
        (None, "") => jobs.default_savepoints_folder().display().to_string(),
        (None, chosen) => {
            places.check_folder("setting \"state.savepoints.dir\"", chosen)?;
            chosen.to_owned()
        }
    };
    let catalog = session.server().catalog.clone();
    let stopped = name.clone();
    // A task of its own: a cancelled statement must not leave a job that ended without the catalog's knowing.
    let task = tokio::spawn(async move {
        let place = jobs.stop_with_savepoint(&stopped, &folder).await?;
        let change = Change::SetJobState { name: stopped.clone(), desired: DesiredState::Stopped };
        let committed = tokio::task::spawn_blocking(move || catalog.commit(&[change])).await;
        match committed.map_err(|error| Error::internal(format!("the commit ended without an answer: {error}")))? {
            Ok(_) => jobs.release(&stopped),
            Err(error) => {
                jobs.release(&stopped);
                return Err(error.context(format!("savepoint {place} is there, but the job runs on")));
            }
        }
        Ok::<_, Error>(place)
    });
    let place = task.await.map_err(|error| Error::internal(format!("the stop ended without an answer: {error}")))??;
    session.notice(format!("job \"{name}\" is stopped, its savepoint is {place}"));
    text_rows("STOP JOB", savepoint_schema(), &[vec![Some(place)]])
}
