//! Hint STATE_TTL: how long the operator above keeps its state of the rows below.

use std::time::Duration;

use datafusion::logical_expr::LogicalPlan;

use super::note::{Note, Noted};

/// How long state of rows is kept that nothing touches; zero: for ever, whatever `table.exec.state.ttl` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StateTtl(pub Duration);

impl StateTtl {
    /// The hint over a relation's plan.
    pub fn over(self, input: LogicalPlan) -> LogicalPlan {
        Noted::over(input, self)
    }

    /// The hint that a plan's topmost node is, and the plan below.
    pub fn of(plan: &LogicalPlan) -> Option<(&Self, &LogicalPlan)> {
        Noted::of(plan)
    }
}

impl Note for StateTtl {
    const NAME: &'static str = "StateTtl";

    fn describe(&self) -> String {
        format!("{} ms", self.0.as_millis())
    }
}
