//! Sub-queries of predicates by three-valued logic. What DataFusion makes joins of is right for EXISTS and IN of a WHERE, and wrong
//! for NOT IN beside NULLs, for IN as a value, and for aggregates without GROUP BY, which always give a row. Those are written out
//! here with EXISTS and counts; correlations that would be pulled out of where they mean something else are refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::functions_aggregate::count::count;
use datafusion::logical_expr::expr::{BinaryExpr, Case, Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{merge_schema, split_conjunction};
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, FetchType, Filter, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, Projection,
    SkipType, Subquery, lit, not,
};
use datafusion::optimizer::AnalyzerRule;

use crate::error::Error;

/// See the head of this file.
#[derive(Debug)]
pub struct Subqueries;

impl AnalyzerRule for Subqueries {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(rewrite)?.data)
    }

    fn name(&self) -> &'static str {
        "subqueries"
    }
}

fn unsupported(what: &str) -> datafusion::error::DataFusionError {
    Error::unsupported(format!("{what} is not supported yet")).hint("Write it as a join.").into()
}

fn is_predicate(expr: &Expr) -> bool {
    matches!(expr, Expr::InSubquery(_) | Expr::Exists(_))
}

/// The closures below do not fail.
fn contains(expr: &Expr, is: impl Fn(&Expr) -> bool) -> bool {
    expr.exists(|expr| Ok(is(expr))).unwrap_or(true)
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let plan = plan.map_expressions(|expr| expr.transform_up(in_of_set_comparison))?.data;
    let plan = match plan {
        LogicalPlan::Filter(filter) if names_meet(&filter) => with_own_names(filter)?,
        plan => plan,
    };
    let mut has_predicates = false;
    plan.apply_expressions(|expr| {
        expr.apply(|expr| {
            match expr {
                Expr::Exists(Exists { subquery, .. }) => check(subquery, Role::Exists)?,
                Expr::InSubquery(InSubquery { subquery, .. }) => check(subquery, Role::In)?,
                Expr::ScalarSubquery(subquery) => check(subquery, Role::Scalar)?,
                Expr::SetComparison(SetComparison { subquery, .. }) => {
                    check(subquery, Role::In)?;
                    if !matches!(plan, LogicalPlan::Filter(_)) {
                        return Err(unsupported("ANY or ALL of a sub-query outside of WHERE"));
                    }
                }
                _ => return Ok(TreeNodeRecursion::Continue),
            }
            has_predicates |= is_predicate(expr);
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    if let LogicalPlan::Join(join) = &plan {
        for side in [&join.left, &join.right] {
            if let LogicalPlan::Subquery(subquery) = below_projections(side) {
                check(subquery, Role::Lateral)?;
            }
        }
    }
    if !has_predicates {
        return Ok(Transformed::no(plan));
    }
    match plan {
        LogicalPlan::Filter(mut filter) => {
            filter.predicate = condition(filter.predicate, filter.input.schema(), true)?;
            Ok(Transformed::yes(LogicalPlan::Filter(filter)))
        }
        LogicalPlan::Projection(_) => {
            let schema = merge_schema(&plan.inputs());
            let preserver = NamePreserver::new(&plan);
            let LogicalPlan::Projection(Projection { expr, input, .. }) = plan else {
                return Err(Error::internal("expected a projection").into());
            };
            let mut marks = Marks::over(input);
            let columns = expr.into_iter().map(|expr| {
                if !contains(&expr, is_predicate) {
                    return Ok(expr);
                }
                let name = preserver.save(&expr);
                Ok(name.restore(marks.found(value(expr, &schema)?)?))
            });
            let columns = columns.collect::<Result<Vec<_>>>()?;
            let projection = Projection::try_new(columns, Arc::new(marks.input))?;
            Ok(Transformed::yes(LogicalPlan::Projection(projection)))
        }
        LogicalPlan::Aggregate(aggregate) => Ok(Transformed::yes(computed_before(aggregate)?)),
        LogicalPlan::Sort(_) => Err(unsupported("IN or EXISTS of a sub-query in ORDER BY")),
        LogicalPlan::Join(_) => Err(unsupported("IN or EXISTS of a sub-query in the condition of a join")),
        LogicalPlan::Window(_) => Err(unsupported("IN or EXISTS of a sub-query in a window function")),
        _ => Err(unsupported("IN or EXISTS of a sub-query in this place")),
    }
}

/// Whether a correlated condition names a column that has a namesake: `x.id` beside `y.id`. What DataFusion pulls out of a sub-query it
/// knows by the name alone, and takes one for the other.
fn names_meet(filter: &Filter) -> bool {
    if !contains(&filter.predicate, |expr| matches!(expr, Expr::OuterReferenceColumn(..))) {
        return false;
    }
    let fields = filter.input.schema().fields();
    let has_namesake = |column: &&Column| fields.iter().filter(|field| *field.name() == column.name).count() > 1;
    filter.predicate.column_refs().iter().any(has_namesake)
}

/// The filter over copies of its columns, under names of their own.
fn with_own_names(filter: Filter) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = filter.input.schema().columns().into_iter().map(Expr::Column).collect();
    let mut used: Vec<Column> = filter.predicate.column_refs().into_iter().cloned().collect();
    used.sort();
    let own = |at: usize| format!("#outer_{at}");
    let copies = used.iter().enumerate().map(|(at, column)| Expr::Column(column.clone()).alias(own(at)));
    let with_copies: Vec<Expr> = columns.iter().cloned().chain(copies).collect();
    let predicate = filter.predicate.transform_up(|expr| {
        Ok(match expr {
            Expr::Column(column) => match used.iter().position(|known| *known == column) {
                Some(at) => Transformed::yes(Expr::Column(Column::new_unqualified(own(at)))),
                None => Transformed::no(Expr::Column(column)),
            },
            other => Transformed::no(other),
        })
    })?;
    LogicalPlanBuilder::from(Arc::unwrap_or_clone(filter.input))
        .project(with_copies)?
        .filter(predicate.data)?
        .project(columns)?
        .build()
}

/// `= ANY` is IN, `<> ALL` is NOT IN.
fn in_of_set_comparison(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::SetComparison(comparison) = expr else { return Ok(Transformed::no(expr)) };
    let negated = match (comparison.op, &comparison.quantifier) {
        (Operator::Eq, SetQuantifier::Any) => false,
        (Operator::NotEq, SetQuantifier::All) => true,
        _ => {
            let mut comparison = comparison;
            comparison.subquery.subquery = Arc::new(with_own_value(&comparison.subquery.subquery)?);
            return Ok(Transformed::yes(Expr::SetComparison(comparison)));
        }
    };
    let SetComparison { expr, subquery, .. } = comparison;
    Ok(Transformed::yes(Expr::InSubquery(InSubquery { expr, subquery, negated })))
}

/// Computes the arguments of an aggregate that have sub-queries in a projection before it.
fn computed_before(aggregate: Aggregate) -> Result<LogicalPlan> {
    let schema = aggregate.input.schema().clone();
    let plan = LogicalPlan::Aggregate(aggregate);
    let preserver = NamePreserver::new(&plan);
    let LogicalPlan::Aggregate(Aggregate { input, group_expr, aggr_expr, .. }) = plan else {
        return Err(Error::internal("expected an aggregate").into());
    };
    let mut marks = Marks::over(input);
    let mut columns: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    let mut replace = |expr: Expr| {
        let name = preserver.save(&expr);
        let replaced = expr.transform_down(|expr| {
            if !is_predicate(&expr) {
                return Ok(Transformed::no(expr));
            }
            let column = format!("#predicate_{}", columns.len());
            columns.push(marks.found(value(expr, &schema)?)?.alias(&column));
            let column = Expr::Column(Column::new_unqualified(column));
            Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
        })?;
        Ok::<_, datafusion::error::DataFusionError>(name.restore(replaced.data))
    };
    let group_expr = group_expr.into_iter().map(&mut replace).collect::<Result<Vec<_>>>()?;
    let aggr_expr = aggr_expr.into_iter().map(&mut replace).collect::<Result<Vec<_>>>()?;
    let input = LogicalPlanBuilder::from(marks.input).project(columns)?.build()?;
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), group_expr, aggr_expr)?))
}

/// A predicate of WHERE, of which NULL means the same as FALSE. `is_whole`: the WHERE, or what AND makes it of.
fn condition(expr: Expr, schema: &DFSchema, is_whole: bool) -> Result<Expr> {
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let is_whole = is_whole && op == Operator::And;
            let (left, right) = (condition(*left, schema, is_whole)?, condition(*right, schema, is_whole)?);
            Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })
        }
        Expr::Not(inner) => match *inner {
            Expr::InSubquery(predicate) => {
                let negated = !predicate.negated;
                condition(Expr::InSubquery(InSubquery { negated, ..predicate }), schema, is_whole)?
            }
            Expr::Exists(predicate) => {
                let negated = !predicate.negated;
                exists(Exists { negated, ..predicate })?
            }
            inner => value(not(inner), schema)?,
        },
        Expr::Exists(predicate) => exists(predicate)?,
        Expr::InSubquery(predicate) if compares_one_row(&predicate) => value(Expr::InSubquery(predicate), schema)?,
        Expr::InSubquery(predicate) if !predicate.negated => Expr::InSubquery(predicate),
        Expr::InSubquery(predicate) => {
            let is_column = matches!(predicate.expr.as_ref(), Expr::Column(_));
            if is_whole && is_column && predicate.subquery.outer_ref_columns.is_empty() {
                // An anti join that knows NULLs, for one column on each side.
                return Ok(Expr::InSubquery(predicate));
            }
            let parts = Parts::of(&predicate, schema)?;
            let mut absent = parts.found(true)?;
            if let Some(unknown) = parts.unknown()? {
                absent = absent.and(not(unknown));
            }
            absent
        }
        other if contains(&other, is_predicate) => value(other, schema)?,
        other => other,
    })
}

/// An expression whose predicates are true, false or NULL.
fn value(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let rewritten = expr.transform_up(|expr| {
        Ok(match expr {
            Expr::Exists(predicate) => Transformed::yes(exists(predicate)?),
            Expr::InSubquery(predicate) => {
                let found = if compares_one_row(&predicate) {
                    let InSubquery { expr, subquery, .. } = predicate.clone();
                    Expr::eq(*expr, Expr::ScalarSubquery(subquery))
                } else {
                    let parts = Parts::of(&predicate, schema)?;
                    match parts.unknown()? {
                        None => parts.found(false)?,
                        Some(unknown) => Expr::Case(Case {
                            expr: None,
                            when_then_expr: vec![
                                (Box::new(parts.found(false)?), Box::new(lit(true))),
                                (Box::new(unknown), Box::new(lit(ScalarValue::Boolean(None)))),
                            ],
                            else_expr: Some(Box::new(lit(false))),
                        }),
                    }
                };
                Transformed::yes(if predicate.negated { not(found) } else { found })
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(rewritten.data)
}

/// The name of a sub-query's value, which no table has: one that reads the outer table, too, would be compared with itself else.
const VALUE: &str = "#value";

fn with_own_value(subquery: &LogicalPlan) -> Result<LogicalPlan> {
    let (qualifier, field) = subquery.schema().qualified_field(0);
    let value = Expr::Column(Column::from((qualifier, field))).alias(VALUE);
    LogicalPlanBuilder::from(subquery.clone()).project([value])?.build()
}

/// What `x IN (sub-query)` is made of.
struct Parts<'a> {
    predicate: &'a InSubquery,
    /// The sub-query under a name of its own.
    plan: LogicalPlan,
    /// The left side as the sub-query sees it.
    left: Expr,
    left_is_nullable: bool,
    column: Column,
    column_is_nullable: bool,
}

impl<'a> Parts<'a> {
    fn of(predicate: &'a InSubquery, schema: &DFSchema) -> Result<Self> {
        if contains(&predicate.expr, |expr| is_predicate(expr) || matches!(expr, Expr::ScalarSubquery(_))) {
            return Err(unsupported("IN of a sub-query whose left side has a sub-query"));
        }
        let left = predicate.expr.as_ref().clone().transform_up(|expr| {
            Ok(match expr {
                Expr::Column(column) => {
                    let (_, field) = schema.qualified_field_from_column(&column)?;
                    Transformed::yes(Expr::OuterReferenceColumn(field.clone(), column))
                }
                other => Transformed::no(other),
            })
        })?;
        let field = predicate.subquery.subquery.schema().field(0);
        Ok(Self {
            predicate,
            plan: with_own_value(&predicate.subquery.subquery)?,
            left: left.data,
            left_is_nullable: predicate.expr.nullable(schema)?,
            column: Column::new_unqualified(VALUE),
            column_is_nullable: field.is_nullable(),
        })
    }

    fn exists(&self, filter: Option<Expr>, negated: bool) -> Result<Expr> {
        let mut plan = LogicalPlanBuilder::from(self.plan.clone());
        if let Some(filter) = filter {
            plan = plan.filter(filter)?;
        }
        let mut subquery = self.predicate.subquery.clone();
        let plan = plan.build()?;
        subquery.outer_ref_columns = plan.all_out_ref_exprs();
        subquery.subquery = Arc::new(plan);
        Ok(Expr::Exists(Exists { subquery, negated }))
    }

    /// Whether a row is equal.
    fn found(&self, negated: bool) -> Result<Expr> {
        self.exists(Some(Expr::Column(self.column.clone()).eq(self.left.clone())), negated)
    }

    /// Whether a row may be equal, for all that is known; `None`: never.
    fn unknown(&self) -> Result<Option<Expr>> {
        let mut unknown = None;
        if self.column_is_nullable {
            unknown = Some(self.exists(Some(Expr::Column(self.column.clone()).is_null()), false)?);
        }
        if self.left_is_nullable {
            let any = self.predicate.expr.as_ref().clone().is_null().and(self.exists(None, false)?);
            unknown = Some(match unknown {
                Some(unknown) => unknown.or(any),
                None => any,
            });
        }
        Ok(unknown)
    }
}

/// Whether the sub-query is a correlated aggregate without GROUP BY, one row for each row outside.
fn compares_one_row(predicate: &InSubquery) -> bool {
    !predicate.subquery.outer_ref_columns.is_empty() && matches!(one_row(&predicate.subquery.subquery), OneRow::Always)
}

enum OneRow {
    /// Rows as they come.
    No,
    /// An aggregate without GROUP BY.
    Always,
    /// Such a one with HAVING.
    If,
}

fn one_row(plan: &LogicalPlan) -> OneRow {
    match plan {
        LogicalPlan::Projection(projection) => one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => one_row(&alias.input),
        LogicalPlan::Filter(filter) => match one_row(&filter.input) {
            OneRow::No => OneRow::No,
            _ => OneRow::If,
        },
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => OneRow::Always,
        _ => OneRow::No,
    }
}

fn exists(predicate: Exists) -> Result<Expr> {
    let Exists { subquery, negated } = &predicate;
    if subquery.outer_ref_columns.is_empty() {
        return Ok(Expr::Exists(predicate));
    }
    match one_row(&subquery.subquery) {
        OneRow::No => {
            let Exists { subquery, negated } = predicate;
            let plan = without_order(Arc::unwrap_or_clone(subquery.subquery))?;
            Ok(Expr::Exists(Exists { subquery: Subquery { subquery: Arc::new(plan), ..subquery }, negated }))
        }
        OneRow::Always => Ok(lit(!negated)),
        OneRow::If => {
            let LogicalPlan::Filter(filter) = below_projections(&subquery.subquery) else {
                return Err(unsupported("HAVING in this place of a correlated sub-query"));
            };
            if !matches!(one_row(&filter.input), OneRow::Always) {
                return Err(unsupported("HAVING in this place of a correlated sub-query"));
            }
            let plan = LogicalPlanBuilder::from(filter.input.as_ref().clone())
                .project([filter.predicate.clone().alias("having")])?
                .build()?;
            let holds = Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), ..subquery.clone() }).is_true();
            Ok(if *negated { not(holds) } else { holds })
        }
    }
}

/// Whether there is a row does not depend on the order of rows, nor on a LIMIT, of which [`check`] leaves those that take the first ones.
fn without_order(plan: LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Sort(sort) => without_order(Arc::unwrap_or_clone(sort.input)),
        LogicalPlan::Limit(limit) => without_order(Arc::unwrap_or_clone(limit.input)),
        LogicalPlan::Projection(mut projection) => {
            projection.input = Arc::new(without_order(Arc::unwrap_or_clone(projection.input))?);
            Ok(LogicalPlan::Projection(projection))
        }
        other => Ok(other),
    }
}

fn below_projections(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Projection(projection) => below_projections(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => below_projections(&alias.input),
        other => other,
    }
}

/// EXISTS outside of WHERE, where DataFusion knows scalar sub-queries only: those correlated by equality become the number of rows, which
/// is not 0, the others a column of their own by which a join marks the rows that have a partner.
struct Marks {
    input: LogicalPlan,
    count: usize,
}

impl Marks {
    fn over(input: Arc<LogicalPlan>) -> Self {
        Self { input: Arc::unwrap_or_clone(input), count: 0 }
    }

    /// The expression without EXISTS.
    fn found(&mut self, expr: Expr) -> Result<Expr> {
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

/// Whether every condition on what is outside is `column = value`: rows can then be counted by the column.
fn correlates_by_equality(plan: &LogicalPlan) -> bool {
    let here = match plan {
        LogicalPlan::Filter(filter) => split_conjunction(&filter.predicate).into_iter().all(|condition| {
            !condition.contains_outer()
                || matches!(condition, Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right })
                    if (is_column(left) && !right.any_column_refs()) || (is_column(right) && !left.any_column_refs()))
        }),
        _ => true,
    };
    here && plan.inputs().into_iter().all(correlates_by_equality)
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Cast(cast) => matches!(cast.expr.as_ref(), Expr::Column(_)),
        _ => false,
    }
}

/// Names of the columns in the conditions on what is outside.
fn correlated_columns(plan: &LogicalPlan, names: &mut BTreeSet<String>) {
    if let LogicalPlan::Filter(filter) = plan {
        for condition in split_conjunction(&filter.predicate) {
            if condition.contains_outer() {
                names.extend(condition.column_refs().into_iter().map(|column| column.name.clone()));
            }
        }
    }
    for input in plan.inputs() {
        correlated_columns(input, names);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Exists,
    In,
    Scalar,
    Lateral,
}

/// Refuses correlated sub-queries whose conditions would be taken out of where they mean something else.
fn check(subquery: &Subquery, role: Role) -> Result<()> {
    if subquery.outer_ref_columns.is_empty() {
        return Ok(());
    }
    if role == Role::In && matches!(one_row(&subquery.subquery), OneRow::If) {
        return Err(unsupported("HAVING without GROUP BY in a correlated sub-query of IN"));
    }
    check_plan(&subquery.subquery, role, true)
}

fn is_correlated(plan: &LogicalPlan) -> bool {
    !plan.all_out_ref_exprs().is_empty()
}

fn check_plan(plan: &LogicalPlan, role: Role, at_top: bool) -> Result<()> {
    if !is_correlated(plan) {
        return Ok(());
    }
    let mut stays_at_top = false;
    match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            stays_at_top = at_top;
            let mut names = BTreeSet::new();
            correlated_columns(&alias.input, &mut names);
            if let Some(name) = names.iter().find(|name| alias.schema.index_of_column_by_name(None, name).is_none()) {
                return Err(Error::unsupported(format!(
                    "a condition on what is outside of derived table \"{}\" needs its column \"{name}\"",
                    alias.alias
                ))
                .hint("SELECT the column in the derived table, too.")
                .into());
            }
        }
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) => stays_at_top = at_top,
        LogicalPlan::Join(join) => {
            let (left, right) = match join.join_type {
                JoinType::Left => (false, true),
                JoinType::Right => (true, false),
                JoinType::Inner => (false, false),
                // Those of sub-queries within: only the rows of their left side go on.
                JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (false, true),
                _ => (true, true),
            };
            if (left && is_correlated(&join.left)) || (right && is_correlated(&join.right)) {
                return Err(unsupported("a correlated sub-query in the outer part of a join"));
            }
        }
        LogicalPlan::Aggregate(_) if !correlates_by_equality(plan) => {
            return Err(unsupported("an aggregate in a correlated sub-query whose correlation is no equality"));
        }
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() && !at_top => {
            return Err(unsupported("an aggregate without GROUP BY in this place of a correlated sub-query"));
        }
        LogicalPlan::Window(_) => return Err(unsupported("a window function in a correlated sub-query")),
        LogicalPlan::Limit(limit) => {
            let begins_first = matches!(limit.get_skip_type()?, SkipType::Literal(0));
            let takes_one = matches!(limit.get_fetch_type()?, FetchType::Literal(fetch) if fetch != Some(0));
            if role != Role::Exists || !begins_first || !takes_one {
                return Err(unsupported("LIMIT in a correlated sub-query"));
            }
            stays_at_top = at_top;
        }
        LogicalPlan::Sort(_) => stays_at_top = at_top,
        _ => {}
    }
    for input in plan.inputs() {
        check_plan(input, role, stays_at_top)?;
    }
    Ok(())
}
