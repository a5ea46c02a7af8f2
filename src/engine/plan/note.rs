//! An extension node that gives the rows of its input as they are and says something about them. Filters, limits and unused columns
//! pass through it, so that it costs a plan nothing.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use datafusion::common::DFSchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

/// What is said about rows.
pub(crate) trait Note: fmt::Debug + Clone + Eq + Hash + Send + Sync + 'static {
    /// The node's name.
    const NAME: &'static str;

    /// As EXPLAIN shows it.
    fn describe(&self) -> String;

    /// Expressions over the input's columns.
    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    /// The same with its expressions rewritten; as many as [`Self::expressions`] gives.
    fn with_expressions(&self, _expressions: Vec<Expr>) -> Self {
        self.clone()
    }
}

/// Rows and what is said about them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Noted<N: Note> {
    note: N,
    input: LogicalPlan,
}

impl<N: Note> Noted<N> {
    /// The node over a plan.
    pub fn over(input: LogicalPlan, note: N) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(Self { note, input }) })
    }

    /// What a plan's topmost node says, if it says such a thing, and the plan below.
    pub fn of(plan: &LogicalPlan) -> Option<(&N, &LogicalPlan)> {
        let LogicalPlan::Extension(extension) = plan else { return None };
        let noted = extension.node.as_any().downcast_ref::<Self>()?;
        Some((&noted.note, &noted.input))
    }

    pub(super) fn input(&self) -> &LogicalPlan {
        &self.input
    }
}

impl<N: Note> PartialOrd for Noted<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl<N: Note> UserDefinedLogicalNodeCore for Noted<N> {
    fn name(&self) -> &str {
        N::NAME
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        self.note.expressions()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        HashSet::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", N::NAME, self.note.describe())
    }

    fn with_exprs_and_inputs(&self, expressions: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let input = inputs.pop().ok_or_else(|| DataFusionError::Internal(format!("{} without an input", N::NAME)))?;
        Ok(Self { note: self.note.with_expressions(expressions), input })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let mut needed = output_columns.to_vec();
        for expression in self.note.expressions() {
            for column in expression.column_refs() {
                needed.push(self.input.schema().maybe_index_of_column(column)?);
            }
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }
}
