//! What a new job, or a table that is dropped, means for the jobs that are there: who runs the same statement, who writes the same
//! table, who uses a table. The session tells it or refuses.

use super::{Existing, Notice, Session, Severity};
use crate::catalog::{Change, DesiredState, JobEntry};
use crate::engine::dataflow::Dataflow;
use crate::error::{Error, Result, SqlState};
use crate::sql::parser;

/// Whether two statements are the same but for blanks, comments and the case of unquoted words.
pub fn is_same_statement(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    match (parser::words(one), parser::words(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// Tables whose writers do not disturb each other.
fn is_shared_without_harm(resource: &str) -> bool {
    resource.starts_with("print://") || resource.starts_with("blackhole://")
}

impl Session {
    /// Whether a job of that name can be created; if there is one that stays, the client is told.
    ///
    /// # Errors
    /// The name is taken (42710).
    pub fn may_create_job(&mut self, name: &str, existing: Existing) -> Result<bool> {
        if existing == Existing::Replace || !self.snapshot()?.jobs.contains_key(name) {
            return Ok(true);
        }
        let exists = format!("job \"{name}\" already exists");
        if existing == Existing::Keep {
            self.notice(format!("{exists}, skipping"));
            return Ok(false);
        }
        Err(Error::invalid(exists)
            .code(SqlState::DuplicateObject)
            .hint("CREATE JOB IF NOT EXISTS keeps it, CREATE OR REPLACE JOB ends it and begins anew."))
    }

    /// Takes away the job whose name a new one is to have.
    pub(super) fn replace_job(&mut self, name: &str) -> Result<()> {
        if !self.snapshot()?.jobs.contains_key(name) {
            return Ok(());
        }
        self.change(Change::DropJob { name: name.to_owned() })?;
        self.notices.push(Notice {
            severity: Severity::Notice,
            message: format!("job \"{name}\" is replaced"),
            detail: Some(
                "The old one ends before the new one begins. Its state and its position are gone; what it wrote stays."
                    .to_owned(),
            ),
            hint: Some(
                "To keep the state: STOP JOB … WITH SAVEPOINT, SET 'execution.savepoint.path', then CREATE OR REPLACE JOB."
                    .to_owned(),
            ),
        });
        Ok(())
    }

    /// Compares a job that is to be submitted with those that are there; false if one of them stays in its place.
    ///
    /// # Errors
    /// One of them runs the same statement into the same table (42710).
    pub(super) fn compare_with_jobs(&mut self, entry: &JobEntry, existing: Existing) -> Result<bool> {
        let jobs = self.server.jobs.clone();
        let mut sinks = jobs.sinks_of(entry);
        sinks.retain(|resource| !is_shared_without_harm(resource));
        let mut others = Vec::new();
        for other in self.snapshot()?.jobs.values().filter(|other| other.desired != DesiredState::Stopped) {
            if existing == Existing::Replace && other.name == entry.name {
                continue;
            }
            let shared: Vec<String> =
                jobs.sinks_of(other).into_iter().filter(|resource| sinks.contains(resource)).collect();
            if shared.is_empty() {
                continue;
            }
            if is_same_statement(&entry.statement, &other.statement) {
                let message = format!("job \"{}\" runs this statement already", other.name);
                if existing == Existing::Keep {
                    self.notice(format!("{message}, skipping"));
                    return Ok(false);
                }
                return Err(Error::invalid(message)
                    .code(SqlState::DuplicateObject)
                    .detail(format!("Both would write {}.", shared.join(", ")))
                    .hint(format!(
                        "CREATE JOB IF NOT EXISTS … AS passes over it, CREATE OR REPLACE JOB \"{0}\" AS ends it and begins \
                         anew, STOP JOB \"{0}\" ends it.",
                        other.name
                    )));
            }
            others.push((other.name.clone(), shared));
        }
        for (other, shared) in others {
            self.notices.push(Notice {
                severity: Severity::Warning,
                message: format!("job \"{other}\" writes the same table"),
                detail: Some(format!(
                    "{}: rows of both come in no order, those of one key overwrite each other.",
                    shared.join(", ")
                )),
                hint: Some(format!("STOP JOB \"{other}\" if the new one takes its place.")),
            });
        }
        Ok(true)
    }

    /// Tells which jobs go on with tables whose declarations are dropped; `is_dropped` gets `database.schema.table`.
    ///
    /// # Errors
    /// As [`Self::snapshot`].
    pub fn tell_jobs_that_use(&mut self, is_dropped: impl Fn(&str) -> bool) -> Result<()> {
        let mut users = Vec::new();
        for job in self.snapshot()?.jobs.values().filter(|job| job.desired != DesiredState::Stopped) {
            let Ok(dataflow) = Dataflow::from_json(&job.dataflow) else { continue };
            let reads = dataflow.sources().any(|(_, source)| is_dropped(&source.table.name));
            let writes = dataflow.sinks().any(|(_, sink)| is_dropped(&sink.table.name));
            let looks_up = dataflow.lookups().any(|function| is_dropped(&function.table.name));
            let uses: Vec<&str> = [(reads, "reads"), (looks_up, "looks up"), (writes, "writes")]
                .into_iter()
                .filter_map(|(does, what)| does.then_some(what))
                .collect();
            if !uses.is_empty() {
                users.push(format!("\"{}\" ({})", job.name, uses.join(", ")));
            }
        }
        if !users.is_empty() {
            self.notices.push(Notice {
                severity: Severity::Notice,
                message: format!("jobs go on with what is dropped: {}", users.join(", ")),
                detail: Some("A job keeps the declarations that it was submitted with.".to_owned()),
                hint: Some("STOP JOB ends one.".to_owned()),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
