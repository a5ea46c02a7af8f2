//! The one error type: a kind that says what can be done, and a text that says what happened.
//! Knows nothing of the wire; `sqlstate` is the only word of Postgres in it.

use std::fmt;

use datafusion::error::DataFusionError;

/// What can be done about an error; its text says what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Correct the statement, the option or the record.
    Invalid,
    /// Create the object first.
    NotFound,
    /// An outside system did not answer: the job backs off and tries again.
    Unavailable,
    /// Stored data cannot be read: stop, keep it, tell.
    Corrupt,
    /// A defect of ours.
    Internal,
}

/// An error with its kind, message (lower case, no full stop), and optional detail and hint (sentences).
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    sqlstate: Option<&'static str>,
    position: Option<usize>,
}

/// Result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None, hint: None, sqlstate: None, position: None }
    }

    /// The statement, option or record must be corrected.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Something named does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// An outside system did not answer; trying again may help.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Stored data cannot be read.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// A defect of ours.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Valid SQL that is not there yet (SQLSTATE 0A000).
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message).code("0A000")
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
    pub fn code(mut self, sqlstate: &'static str) -> Self {
        self.sqlstate = Some(sqlstate);
        self
    }

    /// Sets the place in the statement: characters from its start, counted from 1.
    #[must_use]
    pub fn at(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }

    /// Puts what was being done in front of the message.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
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
        self.position
    }

    /// The five-character SQLSTATE.
    pub fn sqlstate(&self) -> &'static str {
        self.sqlstate.unwrap_or(match self.kind {
            ErrorKind::Invalid => "22023",
            ErrorKind::NotFound => "42704",
            ErrorKind::Unavailable => "58000",
            ErrorKind::Corrupt => "XX001",
            ErrorKind::Internal => "XX000",
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

impl std::error::Error for Error {}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

impl From<DataFusionError> for Error {
    /// Finds our own error inside, else sorts DataFusion's by variant.
    fn from(error: DataFusionError) -> Self {
        if let DataFusionError::External(inner) = error.find_root()
            && let Some(own) = inner.downcast_ref::<Error>()
        {
            return own.clone();
        }
        let text = error.strip_backtrace();
        match error.find_root() {
            DataFusionError::NotImplemented(_) => Error::unsupported(text),
            DataFusionError::SQL(..) => Error::invalid(text).code("42601"),
            DataFusionError::SchemaError(..) => Error::invalid(text).code("42703"),
            DataFusionError::Plan(_) => Error::invalid(text).code("42000"),
            DataFusionError::ResourcesExhausted(_) => Error::invalid(text).code("53200"),
            DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => Error::invalid(text).code("22000"),
            _ => Error::internal(text),
        }
    }
}

impl From<datafusion::arrow::error::ArrowError> for Error {
    fn from(error: datafusion::arrow::error::ArrowError) -> Self {
        DataFusionError::from(error).into()
    }
}
