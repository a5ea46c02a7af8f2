//! Errors of DataFusion, Arrow and regex as ours: a kind, a SQLSTATE, and a sentence in which types, functions and operators have
//! the names that SQL has for them. What is found by no rule, and speaks of what no user can know, goes to the log.

mod phrases;
mod sql_words;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use super::{Error, ErrorKind};

/// The outermost error of our own within another: what it says of the place is not known to what caused it.
fn own(error: &DataFusionError) -> Option<&Error> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(own) = error.downcast_ref::<Error>() {
            return Some(own);
        }
        next = error.source();
    }
    None
}

impl From<DataFusionError> for Error {
    /// Finds our own error inside, else sorts DataFusion's by variant.
    fn from(error: DataFusionError) -> Self {
        Self::classify(error, ErrorKind::Invalid)
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        DataFusionError::from(error).into()
    }
}

impl Error {
    /// Whether an error of DataFusion's has one of our own in it.
    pub(crate) fn is_within(error: &DataFusionError) -> bool {
        own(error).is_some()
    }

    /// An error of DataFusion or Arrow that came while an expression was evaluated over rows. What they have no variant of
    /// their own for is then the values' fault; our own errors keep their kind.
    pub fn of_evaluation(error: DataFusionError) -> Self {
        Self::classify(error, ErrorKind::Row)
    }

    /// Finds our own error inside, else sorts DataFusion's by variant. `unknown`: the kind of an error of execution that says
    /// nothing of itself.
    fn classify(error: DataFusionError, unknown: ErrorKind) -> Self {
        match own(&error) {
            Some(own) => own.clone(),
            None => Self::told(&error, unknown).caused_by(error),
        }
    }

    /// What an error of DataFusion's own is told as.
    fn told(error: &DataFusionError, unknown: ErrorKind) -> Self {
        let root = error.find_root();
        if let DataFusionError::External(inner) = root
            && inner.is::<regex::Error>()
        {
            return invalid_regex(&inner.to_string(), unknown);
        }
        let full = root.message();
        if full.contains("regex parse error") || full.contains("egular expression did not compile") {
            return invalid_regex(&full, unknown);
        }
        let text = full.lines().next().unwrap_or_default();
        let known = match root {
            DataFusionError::SQL(..) => {
                return Error::invalid(lower_first(text)).code(crate::error::SqlState::SyntaxError);
            }
            DataFusionError::ResourcesExhausted(_) => return exhausted(&sql_words::in_sql_words(text)),
            _ => phrases::reworded(text),
        };
        if let Some(known) = known {
            return known;
        }
        let told = lower_first(&sql_words::in_sql_words(text));
        if sql_words::is_foreign(&told) {
            return untold(error);
        }
        match root {
            DataFusionError::NotImplemented(_) => Error::unsupported(told),
            DataFusionError::SchemaError(..) => Error::invalid(told).code(crate::error::SqlState::UndefinedColumn),
            DataFusionError::Plan(_) => {
                Error::invalid(told).code(crate::error::SqlState::SyntaxErrorOrAccessRuleViolation)
            }
            DataFusionError::Execution(_) => Error::new(unknown, told).code(crate::error::SqlState::DataException),
            DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
                ArrowError::ArithmeticOverflow(_) => {
                    Error::row(told).code(crate::error::SqlState::NumericValueOutOfRange)
                }
                ArrowError::CastError(_)
                | ArrowError::ParseError(_)
                | ArrowError::ComputeError(_)
                | ArrowError::InvalidArgumentError(_) => {
                    Error::new(unknown, told).code(crate::error::SqlState::DataException)
                }
                _ => Error::invalid(told).code(crate::error::SqlState::DataException),
            },
            _ => untold(error),
        }
    }
}

/// What has no sentence for users: the log has all of it.
fn untold(error: &DataFusionError) -> Error {
    tracing::warn!(%error, "an error without a sentence of its own");
    match error.find_root() {
        DataFusionError::Plan(_) | DataFusionError::NotImplemented(_) => {
            Error::unsupported("this combination of clauses is not supported yet")
                .hint("The server's log says more. Sub-queries written as joins, or in steps by WITH, often help.")
        }
        _ => Error::internal("a defect of the server: its log says more"),
    }
}

fn exhausted(text: &str) -> Error {
    if text.contains("disk space") {
        return Error::invalid("no space left for the files of this statement")
            .code(crate::error::SqlState::DiskFull)
            .detail(text);
    }
    Error::invalid("out of memory").code(crate::error::SqlState::OutOfMemory).detail(text).hint(
        "SET 'query.memory.limit' = '…' gives a statement more; --session-memory bounds a session, --query-memory all.",
    )
}

/// Of the regex crate's picture of a mistake only its last line, which names it.
fn invalid_regex(text: &str, unknown: ErrorKind) -> Error {
    let line = text.lines().rev().find(|line| line.trim_start().starts_with("error: ")).or(text.lines().last());
    let why = line.unwrap_or_default().trim_start().trim_start_matches("error: ");
    Error::new(unknown, format!("invalid regular expression: {why}"))
        .code(crate::error::SqlState::InvalidRegularExpression)
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        // An acronym or keyword stays as it is.
        (Some(_), Some(second)) if second.is_uppercase() => text.to_owned(),
        (first, _) => first.into_iter().flat_map(char::to_lowercase).chain(chars).collect(),
    }
}

#[cfg(test)]
mod tests;
