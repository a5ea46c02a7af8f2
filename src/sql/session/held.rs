//! What a session holds between its statements: prepared statements, and portals with their parameters and rows. It is bounded
//! by bytes; a session is not to hold the memory of all.

use datafusion::arrow::datatypes::Schema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::{Prepared, Session};
use crate::error::{Error, Result, SqlState};
use crate::sql::planning::planned::Planned;
use crate::threads::with_deep_stack;

/// Bytes that a session's prepared statements and portals may hold.
pub const HELD_BYTES_MAX: usize = 64 << 20;

/// What a statement holds beside its plan and its text; measured, the parsed statement among it.
const STATEMENT_BYTES: usize = 6 << 10;
/// Text, for each byte of it: the statement itself, and its literals once more in what was parsed.
const BYTES_OF_TEXT: usize = 3;
/// A node of a plan with the one of the parsed statement behind it, and a column of its schema.
const NODE_BYTES: usize = 1 << 10;
const FIELD_BYTES: usize = 128;
/// A planned job, for each byte of its statement.
const JOB_BYTES_OF_TEXT: usize = 128;

impl Session {
    /// Keeps account of something that stays until [`Self::release_bytes`].
    ///
    /// # Errors
    /// 53400: the session holds too much.
    pub fn hold_bytes(&mut self, bytes: usize) -> Result<()> {
        // One large thing beside little else is as large as a message may be.
        let is_full = self.held_bytes > HELD_BYTES_MAX / 4;
        if is_full && self.held_bytes.saturating_add(bytes) > HELD_BYTES_MAX {
            return Err(Error::invalid(format!(
                "the prepared statements and portals of this session would hold more than {} MiB",
                HELD_BYTES_MAX >> 20
            ))
            .code(SqlState::ConfigurationLimitExceeded)
            .hint("DEALLOCATE statements and close portals that are no longer needed."));
        }
        self.held_bytes += bytes;
        Ok(())
    }

    /// Something held is gone.
    pub fn release_bytes(&mut self, bytes: usize) {
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
    }
}

impl Prepared {
    /// About how much memory it holds.
    pub fn held_bytes(&self) -> usize {
        let text = self.inner.text.text.len();
        let plan = match self.inner.plan.as_ref().map(|cached| &cached.planned) {
            Some(Planned::Query { plan, .. } | Planned::BoundedInsert { plan }) => with_deep_stack(|| of_plan(plan)),
            Some(Planned::LocalWrite(write)) => {
                with_deep_stack(|| write.plans().into_iter().map(|plan| of_plan(plan)).sum())
            }
            Some(Planned::Job(_)) => text * JOB_BYTES_OF_TEXT,
            None => 0,
        };
        STATEMENT_BYTES + text * BYTES_OF_TEXT + plan + self.result.as_deref().map_or(0, of_schema)
    }
}

fn of_schema(schema: &Schema) -> usize {
    schema.fields().len() * FIELD_BYTES
}

fn of_plan(plan: &LogicalPlan) -> usize {
    let mut bytes = 0;
    let walked = plan.apply_with_subqueries(|node| {
        bytes += NODE_BYTES + of_schema(node.schema().as_arrow());
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                bytes += NODE_BYTES;
                if let Expr::Literal(value, _) = expr {
                    bytes += value.size();
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    // The walk does nothing that can fail.
    debug_assert!(walked.is_ok());
    bytes
}
