//! What planning a query costs, counted while its names are resolved: it takes time by the relations that are read, by how deep
//! queries stand on each other and in expressions, and by the sets of GROUP BY.

use datafusion::sql::sqlparser::ast::Expr;

use crate::error::{Error, Result, SqlState};

/// Relations of a statement, once its views and queries of WITH are written out. Planning takes time by their number.
const RELATIONS_MAX: usize = 1_000;
/// Sub-queries of expressions within each other. DataFusion's checks of a plan take twice the time for each further level.
const NESTED_MAX: usize = 12;
/// Views and queries of WITH that read each other, each from the one before it.
const DEPTH_MAX: usize = 300;
/// Queries of WITH of a statement.
pub const WITH_QUERIES_MAX: usize = 1_000;
/// Columns of one CUBE, as in PostgreSQL.
const CUBE_MAX: usize = 12;
/// Sets of a GROUP BY, as in PostgreSQL.
const GROUPING_SETS_MAX: usize = 4_096;
/// Columns of a result, as in PostgreSQL.
pub const COLUMNS_MAX: usize = 1_664;

/// What planning a query costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Relations read, each as often as the queries of WITH and the views that read it are named.
    pub relations: usize,
    /// Sub-queries of expressions that stand within each other.
    pub nested: usize,
    /// Views and queries of WITH on the longest way down to a table.
    pub depth: usize,
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
        } else if self.depth > DEPTH_MAX {
            format!("more than {DEPTH_MAX} views and queries of WITH read each other in a row")
        } else {
            return Ok(());
        };
        Err(Error::invalid(format!("the statement is too complex: {what}")).code(SqlState::StatementTooComplex))
    }
}

/// Refuses a GROUP BY of too many sets: each is a pass over the rows.
///
/// # Errors
/// 54011 for a CUBE that is too wide, 54001 for too many sets.
pub fn check_grouping(exprs: &[Expr]) -> Result<()> {
    let mut sets = 1_usize;
    for expr in exprs {
        let of_this = match expr {
            Expr::Cube(columns) if columns.len() > CUBE_MAX => {
                return Err(
                    Error::invalid(format!("CUBE is limited to {CUBE_MAX} elements")).code(SqlState::TooManyColumns)
                );
            }
            Expr::Cube(columns) => 1 << columns.len(),
            Expr::Rollup(columns) => columns.len() + 1,
            Expr::GroupingSets(sets) => sets.len(),
            _ => 1,
        };
        sets = sets.saturating_mul(of_this);
    }
    if sets > GROUPING_SETS_MAX {
        let error = format!("too many grouping sets present (maximum {GROUPING_SETS_MAX})");
        return Err(Error::invalid(error).code(SqlState::StatementTooComplex));
    }
    Ok(())
}
