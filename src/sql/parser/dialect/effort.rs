//! Bounds what sqlparser may do for a statement. Where it does not know what comes it tries one way, goes back and tries another;
//! in constructs that stand within each other, each level may double the effort.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use datafusion::sql::sqlparser::parser::ParserError;

/// Expressions and SELECTs that are read for each token, at most; without going back it is less than one.
const READS_OF_TOKEN_MAX: usize = 20;

thread_local! {
    /// What is left for the statement that this thread reads.
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
}

struct Exhausted;

/// Reads with sqlparser a statement of so many tokens.
///
/// # Errors
/// What the parser gives; its limit, if it goes back and forth too often.
pub fn bounded<T>(tokens: usize, read: impl FnOnce() -> Result<T, ParserError>) -> Result<T, ParserError> {
    let before = LEFT.replace(READS_OF_TOKEN_MAX * tokens + 1000);
    let outcome: Result<_, Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(read));
    LEFT.set(before);
    match outcome {
        Ok(read) => read,
        Err(payload) if payload.is::<Exhausted>() => Err(ParserError::RecursionLimitExceeded),
        Err(payload) => resume_unwind(payload),
    }
}

/// Called by the dialect whenever an expression or a SELECT is read. The parser has no error that it does not go back from
/// everywhere, so that the end of its patience unwinds it.
pub fn spend() {
    match LEFT.get().checked_sub(1) {
        Some(left) => LEFT.set(left),
        None => resume_unwind(Box::new(Exhausted)),
    }
}
