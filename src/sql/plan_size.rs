//! What planning a query costs, counted while its names are resolved: it takes time by the relations that are read, and by how
//! deep queries stand in expressions.

use crate::error::{Error, Result};

/// Relations of a statement, once its views and queries of WITH are written out. Planning takes time by their number.
const RELATIONS_MAX: usize = 1_000;
/// Sub-queries of expressions within each other. DataFusion's checks of a plan take twice the time for each further level.
const NESTED_MAX: usize = 12;
/// Columns of a result, as in PostgreSQL.
pub const COLUMNS_MAX: usize = 1_664;

/// What planning a query costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Relations read, each as often as the queries of WITH and the views that read it are named.
    pub relations: usize,
    /// Sub-queries of expressions that stand within each other.
    pub nested: usize,
}

impl Size {
    /// Refuses what is too large.
    ///
    /// # Errors
    /// 54001
    pub fn check(self) -> Result<()> {
        let what = if self.relations > RELATIONS_MAX {
            format!(
                "it reads more than {RELATIONS_MAX} relations, counted as often as views and queries of WITH name them"
            )
        } else if self.nested > NESTED_MAX {
            format!("more than {NESTED_MAX} sub-queries of expressions stand within each other")
        } else {
            return Ok(());
        };
        Err(Error::invalid(format!("the statement is too complex: {what}")).code("54001"))
    }
}
