//! EXISTS outside of WHERE: a number of rows, or a join that marks the rows that have a partner.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::functions_aggregate::count::count;
use datafusion::logical_expr::expr::Exists;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, Subquery, lit, not};

use super::shape::{below_projections, contains, correlates_by_equality, is_correlated, unsupported};

/// EXISTS outside of WHERE, where DataFusion knows scalar sub-queries only: those correlated by equality become the number of rows, which
/// is not 0, the others a column of their own by which a join marks the rows that have a partner.
pub(super) struct Marks {
    pub(super) input: LogicalPlan,
    count: usize,
}

impl Marks {
    pub(super) fn over(input: Arc<LogicalPlan>) -> Self {
        Self { input: Arc::unwrap_or_clone(input), count: 0 }
    }

    /// The expression without EXISTS.
    pub(super) fn found(&mut self, expr: Expr) -> Result<Expr> {
        let rewritten = expr.transform_up(|expr| {
            let Expr::Exists(Exists { subquery, negated }) = expr else { return Ok(Transformed::no(expr)) };
            if !correlates_by_equality(&subquery.subquery) {
                let mark = self.mark(&subquery.subquery)?;
                return Ok(Transformed::yes(if negated { not(mark) } else { mark }));
            }
            let counting = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone())
                .aggregate(Vec::<Expr>::new(), vec![count(lit(1_i64)).alias("rows")])?
                .project([Expr::Column(Column::new_unqualified("rows"))])?
                .build()?;
            let rows = Expr::ScalarSubquery(Subquery { subquery: Arc::new(counting), ..subquery });
            Ok(Transformed::yes(if negated { rows.eq(lit(0_i64)) } else { rows.gt(lit(0_i64)) }))
        })?;
        Ok(rewritten.data)
    }

    /// Joins the input with the rows of a sub-query whose correlation stands in its own WHERE; the column that tells whether there is one.
    fn mark(&mut self, subquery: &LogicalPlan) -> Result<Expr> {
        let refused = || unsupported("IN or EXISTS outside of WHERE whose correlation is no equality");
        let LogicalPlan::Filter(filter) = below_projections(subquery) else { return Err(refused()) };
        let schema = self.input.schema().clone();
        let is_outside =
            |column: &Expr| matches!(column, Expr::OuterReferenceColumn(_, column) if !schema.has_column(column));
        if is_correlated(&filter.input) || contains(&filter.predicate, is_outside) {
            return Err(refused());
        }
        let relation = format!("#mark_{}", self.count);
        self.count += 1;
        let mut used: Vec<Column> = filter.predicate.column_refs().into_iter().cloned().collect();
        used.sort();
        let own = |at: usize| format!("#column_{at}");
        let condition = filter.predicate.clone().transform_up(|expr| {
            Ok(match expr {
                Expr::OuterReferenceColumn(_, column) => Transformed::yes(Expr::Column(column)),
                Expr::Column(column) => match used.iter().position(|known| *known == column) {
                    Some(at) => Transformed::yes(Expr::Column(Column::new(Some(relation.as_str()), own(at)))),
                    None => Transformed::no(Expr::Column(column)),
                },
                other => Transformed::no(other),
            })
        })?;
        let columns = used.iter().enumerate().map(|(at, column)| Expr::Column(column.clone()).alias(own(at)));
        let rows = LogicalPlanBuilder::from(filter.input.as_ref().clone())
            .project(columns.chain([lit(true).alias("#row")]))?
            .alias(relation.as_str())?
            .build()?;
        let input = std::mem::take(&mut self.input);
        self.input = LogicalPlanBuilder::from(input).join_on(rows, JoinType::LeftMark, [condition.data])?.build()?;
        Ok(Expr::Column(Column::new(Some(relation.as_str()), "mark")))
    }
}
