//! What the audit log is told of a session's statements: which ones, what they are about, and how they and their transactions ended.
//! A statement within a transaction is told when it is done; if its transaction takes it back, that is told as well.

use super::{Outcome, Session, TransactionStatus};
use crate::audit::{self, Begun, Record};
use crate::error::{Error, Result, SqlState};
use crate::sql::activity::without_secrets;
use crate::sql::parser::command_of;

/// Bytes of a statement that are told.
const STATEMENT_BYTES_MAX: usize = 8 << 10;

/// SQLSTATE of what did not fail.
const SUCCESS: &str = SqlState::SuccessfulCompletion.code();

/// Commands by how they begin: DDL, roles and rights, jobs.
const AUDITED: &[&str] = &[
    "CREATE",
    "DROP",
    "ALTER",
    "GRANT",
    "REVOKE",
    "REASSIGN",
    "COMMENT",
    "TRUNCATE",
    "PAUSE JOB",
    "RESUME JOB",
    "STOP JOB",
    "BEGIN STATEMENT SET",
    "EXECUTE STATEMENT SET",
    "STATEMENT SET",
    "SET ROLE",
    "SET SESSION AUTHORIZATION",
];

/// Words between a command and the name of what it is about.
const BEFORE_NAME: [&str; 12] =
    ["or", "replace", "temporary", "temp", "local", "global", "system", "if", "not", "exists", "on", "stable"];

fn is_audited(command: &str) -> bool {
    AUDITED.iter().any(|begin| command.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
}

/// What a statement names first behind its command, as it is written: `"My".t` of `DROP TABLE IF EXISTS "My".t CASCADE`. Grants name rights
/// first, and are told by their text alone.
fn object_of(text: &str, command: &str) -> Option<String> {
    if !["CREATE ", "DROP ", "ALTER ", "PAUSE ", "RESUME ", "STOP ", "TRUNCATE"]
        .iter()
        .any(|one| command.starts_with(one))
    {
        return None;
    }
    let mut rest = text.trim_start();
    let mut command = command.split(' ');
    let mut expected = command.next();
    loop {
        let end = rest.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(rest.len());
        let word = &rest[..end];
        if expected.is_some_and(|expected| word.eq_ignore_ascii_case(expected)) {
            expected = command.next();
        } else if word.is_empty() || !BEFORE_NAME.iter().any(|before| word.eq_ignore_ascii_case(before)) {
            break;
        }
        rest = rest[end..].trim_start();
    }
    let mut is_quoted = false;
    let end = rest.find(|char: char| {
        is_quoted ^= matches!(char, '"' | '`');
        !(is_quoted || char.is_alphanumeric() || matches!(char, '_' | '$' | '.' | '"' | '`'))
    });
    let name = &rest[..end.unwrap_or(rest.len())];
    (!name.is_empty() && name.len() <= 256).then(|| name.to_owned())
}

/// A statement that the audit log is about, or one that may end a transaction in which there was one.
pub(in crate::sql) struct Audited {
    begun: Begun,
    /// It ends the block that is open.
    ends_block: bool,
    /// It is told for nothing else than that.
    only_ends: bool,
}

impl Session {
    /// A statement begins; absent: the audit log is not about it. `makes_job`: an INSERT that does not end.
    pub(in crate::sql) fn audit(&self, text: &str, makes_job: bool, ends_block: bool) -> Option<Audited> {
        let log = &self.server.audit;
        if !log.is_on() {
            return None;
        }
        let command = command_of(text);
        let only_ends = !is_audited(command) && !makes_job;
        if only_ends && !(ends_block && self.audited.is_some()) {
            return None;
        }
        let begun = Begun::new(log, self.audit_record(text, command));
        Some(Audited { begun, ends_block: ends_block && self.is_in_block(), only_ends })
    }

    fn audit_record(&self, text: &str, command: &'static str) -> Record {
        let backend = self.backend();
        let (user, acts_as) = (backend.user.clone(), self.user());
        Record {
            event: "statement",
            role: (user != acts_as).then(|| acts_as.to_owned()),
            user,
            database: self.database.clone(),
            client: backend.client.map(|client| client.to_string()),
            session: Some(self.process_id),
            command: Some(command),
            object: object_of(text, command),
            statement: Some(without_secrets(text, STATEMENT_BYTES_MAX)),
            ..Record::default()
        }
    }

    /// A statement could not be read, planned or let in. What is refused for want of a right is told whatever it is.
    ///
    /// # Errors
    /// 58030: it cannot be told.
    pub(in crate::sql) async fn audit_refused(&self, text: &str, error: &Error) -> Result<()> {
        let log = &self.server.audit;
        let command = command_of(text);
        let is_denied = error.sqlstate() == SqlState::InsufficientPrivilege;
        if !log.is_on() || !(is_denied || is_audited(command)) {
            return Ok(());
        }
        let mut record = self.audit_record(text, command);
        if error.sqlstate() == SqlState::SyntaxError {
            // Where a secret stands in it, nobody knows.
            record.statement = None;
        }
        log.write(&record, audit::Outcome::Failed, error.sqlstate().code()).await
    }

    /// A statement has ended.
    ///
    /// # Errors
    /// It failed, or what it did cannot be told: then it must not stand.
    pub(in crate::sql) async fn audited(
        &mut self,
        audited: Option<Audited>,
        text: &str,
        result: Result<Outcome>,
    ) -> Result<Outcome> {
        let Some(Audited { begun, ends_block, only_ends }) = audited else {
            if let Err(error) = &result
                && error.sqlstate() == SqlState::InsufficientPrivilege
            {
                self.audit_refused(text, error).await?;
            }
            return result;
        };
        let tag = match &result {
            Ok(Outcome::Done { tag }) => tag.as_str(),
            _ => "",
        };
        let (outcome, sqlstate) = match &result {
            Err(error) => (audit::Outcome::Failed, error.sqlstate().code()),
            Ok(_) if tag == "ROLLBACK" => (audit::Outcome::RolledBack, SUCCESS),
            Ok(_) => (audit::Outcome::Ok, SUCCESS),
        };
        // A commit that failed has rolled back all, and ROLLBACK TO ends nothing.
        let has_ended = self.block == TransactionStatus::Idle && (ends_block || tag == "ROLLBACK");
        if has_ended {
            self.audited.take().into_iter().for_each(Begun::forget);
        } else if result.is_ok() && !only_ends && self.audited.is_none() {
            // If nothing else is heard of the transaction, it was rolled back with the session.
            let record = Record { object: None, statement: None, ..self.audit_record("", "ROLLBACK") };
            let rolled_back = Begun::new(&self.server.audit, record);
            self.audited = Some(rolled_back.ends_as(audit::Outcome::RolledBack, SqlState::ConnectionFailure));
        }
        match begun.end(outcome, sqlstate).await {
            // What a commit makes lasting was told before.
            Err(error) if !only_ends => Err(error),
            _ => result,
        }
    }

    /// The implicit transaction of a message has ended.
    pub(super) async fn audit_end_of_message(&mut self, failed: bool, result: Result<()>) -> Result<()> {
        let Some(before) = self.audited.take() else { return result };
        match (&result, failed) {
            (Ok(()), false) => before.forget(),
            // That it cannot be told is in the server's log; nothing of it stands.
            (Ok(()), true) => drop(before.end(audit::Outcome::RolledBack, SUCCESS).await),
            (Err(error), _) => drop(before.end(audit::Outcome::RolledBack, error.sqlstate().code()).await),
        }
        result
    }
}

#[cfg(test)]
mod tests;
