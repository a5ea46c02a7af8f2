//! A statement that does something with the rows of a query: DECLARE, COPY … TO. The query is planned with it.

use std::fmt::Debug;
use std::sync::Arc;

use datafusion::scalar::ScalarValue;

use super::query::Query;
use crate::sql::planning::planned::Planned;
use crate::sql::session::{Running, Session};

/// See the module. To add one: a file with its struct, its parse and this; a line that reads it.
pub trait OverQuery: Debug + Send + Sync {
    /// The query.
    fn query(&self) -> &Arc<Query>;

    /// Whether the rows of the query are its result.
    fn gives_rows(&self) -> bool {
        false
    }

    /// Runs it.
    ///
    /// # Errors
    /// Whatever the statement or its query may raise.
    fn run<'a>(&'a self, session: &'a mut Session, planned: &'a Planned, parameters: Vec<ScalarValue>) -> Running<'a>;
}
