//! `WATERMARK FOR column AS expression` of a table, over its scan: computed columns are written out in the expression, so that it is
//! one over the columns that the connector reads.

use datafusion::logical_expr::{Expr, LogicalPlan};

use super::note::{Note, Noted};

/// How event time advances in a table's rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Watermark {
    /// The column that is the event time; may be a computed one.
    pub column: String,
    /// The watermark of a row, over the scan's columns; a timestamp.
    pub expression: Expr,
}

impl Watermark {
    /// The declaration over a table's scan.
    pub fn over(self, input: LogicalPlan) -> LogicalPlan {
        Noted::over(input, self)
    }

    /// The declaration that a plan's topmost node is, and the plan below.
    pub fn of(plan: &LogicalPlan) -> Option<(&Self, &LogicalPlan)> {
        Noted::of(plan)
    }
}

impl Note for Watermark {
    const NAME: &'static str = "Watermark";

    fn describe(&self) -> String {
        format!("{} AS {}", self.column, self.expression)
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.expression.clone()]
    }

    fn with_expressions(&self, mut expressions: Vec<Expr>) -> Self {
        Self { column: self.column.clone(), expression: expressions.pop().unwrap_or_else(|| self.expression.clone()) }
    }
}
