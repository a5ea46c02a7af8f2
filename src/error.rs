//! The one error type: a kind that says what can be done, and a text that says what happened.
//! Knows nothing of the wire; `sqlstate` is the only word of Postgres in it.

mod foreign;
mod sqlstate;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::error::DataFusionError;

pub use sqlstate::SqlState;

/// What can be done about an error; its text says what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Correct the statement or the option.
    Invalid,
    /// One row or record does not fit: it can be corrected, or left out while all others go on. Nothing else may be skipped.
    Row,
    /// Create the object first.
    NotFound,
    /// It is not permitted: ask whoever may permit it.
    Denied,
    /// Whoever asked for it wants it no longer, or the time for it is over.
    Cancelled,
    /// An outside system did not answer: the job backs off and tries again.
    Unavailable,
    /// Stored data cannot be read: stop, keep it, tell.
    Corrupt,
    /// An internal error.
    Internal,
}

/// An error with its kind, message (lower case, no full stop), and optional detail and hint (sentences).
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    sqlstate: Option<SqlState>,
    position: Option<NonZeroUsize>,
    /// What few errors have, apart: a result is as large as its error.
    more: Option<Box<More>>,
}

/// What few errors have.
#[derive(Debug, Clone, Default)]
struct More {
    waits_for: Option<Box<str>>,
    routine: Option<&'static str>,
    record: Option<RecordPlace>,
    about: Option<Box<About>>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// The names that an error is about, which drivers give apart from its message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The table.
    pub table: Option<String>,
    /// Its column.
    pub column: Option<String>,
    /// The constraint that does not hold.
    pub constraint: Option<String>,
}

/// Which record of a source an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPlace {
    /// The split it is in: `orders/0`.
    pub split: String,
    /// Its number there, an offset of Kafka. Sources whose records have no such numbers name none.
    pub offset: i64,
}

/// Result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message, detail: None, hint: None, sqlstate: None, position: None, more: None }
    }

    /// The statement or option must be corrected.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// One row or record does not fit.
    pub fn row(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Row, message)
    }

    /// Something named does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// It is not permitted.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Denied, message)
    }

    /// It is wanted no longer.
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Cancelled, message)
    }

    /// An outside system did not answer; trying again may help.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Stored data cannot be read.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// An internal error.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Valid SQL that is not implemented (SQLSTATE 0A000).
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message).code(SqlState::FeatureNotSupported)
    }

    /// Adds a sentence with more facts.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a sentence that says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the SQLSTATE where the kind alone is not precise enough.
    #[must_use]
    pub fn code(mut self, sqlstate: SqlState) -> Self {
        self.sqlstate = Some(sqlstate);
        self
    }

    /// Keeps the error of a library that this one tells in other words.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.more.get_or_insert_default().source = Some(Arc::new(source));
        self
    }

    /// Sets the place in the statement: characters from its start, counted from 1.
    #[must_use]
    pub fn at(mut self, position: usize) -> Self {
        self.position = NonZeroUsize::new(position);
        self
    }

    /// Puts what was being done in front of the message.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// Names what must come before trying again can succeed; follows on "waits for": `topic "orders"`.
    #[must_use]
    pub fn waiting_for(mut self, what: impl Into<Box<str>>) -> Self {
        self.more.get_or_insert_default().waits_for = Some(what.into());
        self
    }

    /// Names the table that it is about, and its column.
    #[must_use]
    pub fn of_column(self, table: impl Into<String>, column: impl Into<String>) -> Self {
        self.named(About { table: Some(table.into()), column: Some(column.into()), constraint: None })
    }

    /// Names the constraint that does not hold, and its table.
    #[must_use]
    pub fn of_constraint(self, table: impl Into<String>, constraint: impl Into<String>) -> Self {
        self.named(About { table: Some(table.into()), column: None, constraint: Some(constraint.into()) })
    }

    fn named(mut self, about: About) -> Self {
        self.more.get_or_insert_default().about = Some(Box::new(about));
        self
    }

    /// The names that it is about, if they are known.
    pub fn about(&self) -> Option<&About> {
        self.more.as_ref()?.about.as_deref()
    }

    /// A prepared statement whose rows would have other columns or types now. Drivers know by Postgres' name for its own check that they
    /// must prepare it anew.
    pub fn stale_plan() -> Self {
        let mut error = Self::unsupported("cached plan must not change result type");
        error.more.get_or_insert_default().routine = Some("RevalidateCachedQuery");
        error
    }

    /// The routine that a driver may look for.
    pub fn routine(&self) -> Option<&'static str> {
        self.more.as_ref()?.routine
    }

    /// What must come first, if it is known.
    pub fn waits_for(&self) -> Option<&str> {
        self.more.as_ref()?.waits_for.as_deref()
    }

    /// Names the record that the error is about, unless one is named already.
    #[must_use]
    pub fn of_record(mut self, split: impl Into<String>, offset: i64) -> Self {
        let record = &mut self.more.get_or_insert_default().record;
        record.get_or_insert_with(|| RecordPlace { split: split.into(), offset });
        self
    }

    /// The same error for what is wrong with every row: a row's error that comes without a row, say.
    #[must_use]
    pub fn of_every_row(mut self) -> Self {
        if self.kind == ErrorKind::Row {
            self.kind = ErrorKind::Invalid;
        }
        self
    }

    /// The record that it is about, if one is known.
    pub fn record(&self) -> Option<&RecordPlace> {
        self.more.as_ref()?.record.as_ref()
    }

    /// What can be done about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message alone.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The detail, if any.
    pub fn detail_text(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The hint, if any.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The place in the statement, in characters counted from 1.
    pub fn position(&self) -> Option<usize> {
        self.position.map(NonZeroUsize::get)
    }

    /// What clients tell it by.
    pub fn sqlstate(&self) -> SqlState {
        self.sqlstate.unwrap_or(match self.kind {
            ErrorKind::Invalid => SqlState::InvalidParameterValue,
            ErrorKind::Row => SqlState::DataException,
            ErrorKind::NotFound => SqlState::UndefinedObject,
            ErrorKind::Denied => SqlState::InsufficientPrivilege,
            ErrorKind::Cancelled => SqlState::QueryCanceled,
            ErrorKind::Unavailable => SqlState::SystemError,
            ErrorKind::Corrupt => SqlState::DataCorrupted,
            ErrorKind::Internal => SqlState::InternalError,
        })
    }

    /// Whether trying the same again later can succeed.
    pub fn is_retryable(&self) -> bool {
        self.kind == ErrorKind::Unavailable
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.more.as_ref()?.source.as_deref()?;
        Some(source)
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}
