//! Look-up functions: SQL functions whose body aggregates the rows of one key of a table.
//! Equal calls of a row are one call; a batch asks once for each distinct key.

use std::sync::Arc;

use datafusion::logical_expr::{LogicalPlan, ScalarUDF};

use crate::clock::Clock;
use crate::error::Result;

/// A planned look-up function.
#[derive(Debug)]
pub struct LookupFunction {}

impl LookupFunction {
    /// Reads a function's body: `SELECT <expressions over aggregates> FROM table WHERE key = $1 [AND …]`, analysed (names and types
    /// resolved, parameters as placeholders) but not optimised. `None` if the body reads no keyed table, so that it is an ordinary SQL function.
    ///
    /// # Errors
    /// It reads a table in a way that is not a look-up (0A000 with the way out).
    pub fn from_body(_name: &str, _body: &LogicalPlan, _time_zone: &str) -> Result<Option<Self>> {
        Ok(None)
    }

    /// The function as DataFusion calls it in queries; a job's planner finds the look-up behind it again.
    pub fn into_udf(self, _clock: Arc<dyn Clock>) -> Arc<ScalarUDF> {
        unreachable!("from_body gives none yet")
    }
}
