//! Reads the body of a lookup function: one expression over aggregates of the rows that one table has of a key.
//! What is not a lookup is refused with the way out, at CREATE FUNCTION.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, TableScan};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::StoredLookupFunction;
use crate::connectors::table_provider::ConnectorTable;
use crate::connectors::{Lookup, TableDeclaration};
use crate::engine::expression::StoredExpression;
use crate::error::{Error, Result};

/// A planned lookup function: its stored form and the opened table.
#[derive(Clone)]
pub(crate) struct LookupFunction {
    pub(super) stored: StoredLookupFunction,
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) return_type: DataType,
    pub(super) arity: usize,
    pub(super) time_zone: String,
}

impl fmt::Debug for LookupFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LookupFunction({} from {})", self.stored.name, self.stored.table.name)
    }
}

impl LookupFunction {
    /// Reads a function's body: `SELECT <expression over aggregates> FROM table WHERE key = $1 [AND …]`, analysed (names and
    /// types resolved, parameters as placeholders) but not optimised. `None` if the body reads no table, so that it is an
    /// ordinary SQL function.
    ///
    /// # Errors
    /// It reads a table in a way that is not a lookup (0A000 with the way out).
    pub fn from_body(name: &str, body: &LogicalPlan, time_zone: &str) -> Result<Option<Self>> {
        if !reads_a_table(body)? {
            return Ok(None);
        }
        let refuse = |what: String| {
            Error::unsupported(format!("the body of function \"{name}\" {what}")).hint(
                "A lookup function selects one expression over aggregates of one table: \
                 SELECT COUNT(*) FROM t WHERE key = parameter [AND …].",
            )
        };
        let (result, aggregate) = result_over_aggregate(body)
            .and_then(|(result, plan)| match plan {
                LogicalPlan::Aggregate(aggregate) => Some((result, aggregate)),
                _ => None,
            })
            .ok_or_else(|| refuse("does not aggregate one table's rows".to_owned()))?;
        if !aggregate.group_expr.is_empty() {
            return Err(refuse("has GROUP BY: it must give one row for each key".to_owned()));
        }
        let aggregate_schema = Arc::clone(&aggregate.schema);
        let (scan, conjuncts) = scan_below(&aggregate.input).map_err(refuse)?;
        let provider = ConnectorTable::of(&scan.source)
            .ok_or_else(|| refuse("reads a relation that is not a declared table".to_owned()))?;
        let table = ConnectorTable::from_provider(provider.as_ref())
            .ok_or_else(|| refuse("reads no declared table".to_owned()))?;
        let declaration = table.declaration();
        let lookup = table
            .table()
            .lookup
            .clone()
            .ok_or_else(|| refuse(format!("reads \"{}\", which cannot be looked up by key", declaration.name)))?;
        let ByKey { key_columns, key_arguments, rest } = ByKey::of(conjuncts, declaration).map_err(refuse)?;
        if aggregate.aggr_expr.iter().any(has_placeholder) || has_placeholder(&result) {
            return Err(refuse("uses a parameter outside of key equalities".to_owned()));
        }

        // Fetch what predicate and aggregates use, by declared index; then make their columns positional over that.
        let mut used = used_columns(rest.iter().chain(&aggregate.aggr_expr), declaration).map_err(refuse)?;
        if used.is_empty() {
            used.push(key_columns[0]);
        }
        // Names resolve against the aggregate's input; the alias only changes the qualifier, so columns are found by name.
        let fetched = Arc::new(fetched_schema(aggregate.input.schema(), declaration, &used)?);
        let predicate = conjunction(rest)
            .map(|predicate| StoredExpression::new(&simplified(predicate, &fetched)?, &fetched))
            .transpose()?;
        let aggregates = aggregate
            .aggr_expr
            .iter()
            .map(|expression| StoredExpression::new(&simplified(expression.clone(), &fetched)?, &fetched))
            .collect::<Result<Vec<_>>>()?;
        let result = simplified(result, &aggregate_schema)?;
        let return_type = result.get_type(&aggregate_schema)?;
        let arity = key_arguments.iter().max().map_or(0, |last| last + 1);
        let stored = StoredLookupFunction {
            name: name.to_owned(),
            table: declaration.as_ref().clone(),
            key_columns,
            key_arguments,
            projection: used,
            predicate,
            aggregates,
            result: StoredExpression::new(&result, &aggregate_schema)?,
        };
        Ok(Some(Self { stored, lookup, return_type, arity, time_zone: time_zone.to_owned() }))
    }

    /// Its stored form.
    pub fn stored(&self) -> &StoredLookupFunction {
        &self.stored
    }

    /// Type of its result.
    pub fn return_type(&self) -> &DataType {
        &self.return_type
    }
}

/// The scan below the aggregates, and what its rows must fulfil; or what of the body is not so.
fn scan_below(plan: &LogicalPlan) -> Result<(&TableScan, Vec<Expr>), String> {
    let mut conjuncts = Vec::new();
    let mut input = plan;
    let scan = loop {
        match input {
            LogicalPlan::Filter(node) => {
                conjuncts.extend(split_conjunction_owned(node.predicate.clone()));
                input = node.input.as_ref();
            }
            LogicalPlan::SubqueryAlias(node) => input = node.input.as_ref(),
            LogicalPlan::TableScan(scan) => break scan,
            other => return Err(format!("has {} between the table and its aggregates", operator_name(other))),
        }
    };
    conjuncts.extend(scan.filters.iter().cloned());
    Ok((scan, conjuncts))
}

/// The equalities of key columns with arguments, and the rest of a predicate.
struct ByKey {
    key_columns: Vec<usize>,
    key_arguments: Vec<usize>,
    rest: Vec<Expr>,
}

impl ByKey {
    fn of(conjuncts: Vec<Expr>, table: &TableDeclaration) -> Result<Self, String> {
        let (mut key_columns, mut key_arguments, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for conjunct in conjuncts {
            match key_equality(&conjunct) {
                Some((column, argument)) => {
                    let index = table
                        .column_index(&column)
                        .ok_or_else(|| format!("compares an unknown column \"{column}\""))?;
                    match key_columns.iter().position(|known| *known == index) {
                        Some(place) if key_arguments[place] == argument => {}
                        Some(_) => return Err(format!("compares key \"{column}\" with two parameters")),
                        None => {
                            key_columns.push(index);
                            key_arguments.push(argument);
                        }
                    }
                }
                None if has_placeholder(&conjunct) => {
                    return Err(format!("uses a parameter in \"{conjunct}\", which is not an equality with a key"));
                }
                None => rest.push(conjunct),
            }
        }
        if key_columns.is_empty() {
            return Err("has no predicate key = parameter".to_owned());
        }
        Ok(Self { key_columns, key_arguments, rest })
    }
}

/// The columns that expressions use, by declared index and in its order.
fn used_columns<'a>(
    expressions: impl Iterator<Item = &'a Expr>,
    table: &TableDeclaration,
) -> Result<Vec<usize>, String> {
    let mut used: Vec<usize> = Vec::new();
    for expression in expressions {
        for column in expression.column_refs() {
            let index = table
                .column_index(&column.name)
                .ok_or_else(|| format!("uses an unknown column \"{}\"", column.name))?;
            if !used.contains(&index) {
                used.push(index);
            }
        }
    }
    used.sort_unstable();
    Ok(used)
}

/// Some functions (COALESCE) only exist until DataFusion has simplified them away. Time functions are volatile and stay.
fn simplified(expression: Expr, schema: &DFSchemaRef) -> Result<Expr> {
    let context = SimplifyContext::builder().with_schema(Arc::clone(schema)).build();
    Ok(ExprSimplifier::new(context).simplify(expression)?)
}

/// An operator's name, for messages.
pub(in crate::engine) fn operator_name(plan: &LogicalPlan) -> String {
    if matches!(plan, LogicalPlan::Join(_)) {
        return "Join".to_owned();
    }
    let text = plan.display().to_string();
    text.split([':', ' ']).next().unwrap_or_default().to_owned()
}

fn reads_a_table(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::TableScan(_));
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The result expression over the aggregate's columns, with the projections above it folded into one.
fn result_over_aggregate(plan: &LogicalPlan) -> Option<(Expr, &LogicalPlan)> {
    match plan {
        LogicalPlan::SubqueryAlias(node) => {
            let (result, aggregate) = result_over_aggregate(&node.input)?;
            Some((result, aggregate))
        }
        LogicalPlan::Aggregate(node) => {
            let (qualifier, field) = node.schema.qualified_field(0);
            (node.schema.fields().len() == 1)
                .then(|| (Expr::Column(datafusion::common::Column::from((qualifier, field))), plan))
        }
        LogicalPlan::Projection(node) if node.expr.len() == 1 => match node.input.as_ref() {
            LogicalPlan::Aggregate(_) => Some((node.expr[0].clone().unalias(), node.input.as_ref())),
            below => {
                let (inner, aggregate) = result_over_aggregate(below)?;
                let folded = node.expr[0]
                    .clone()
                    .unalias()
                    .transform(|expression| {
                        Ok(match expression {
                            Expr::Column(_) => Transformed::yes(inner.clone()),
                            other => Transformed::no(other),
                        })
                    })
                    .data()
                    .ok()?;
                Some((folded, aggregate))
            }
        },
        _ => None,
    }
}

/// `column = $n` in either order, casts around either side ignored: the key's own type decides.
fn key_equality(expression: &Expr) -> Option<(String, usize)> {
    fn bare(expression: &Expr) -> &Expr {
        match expression {
            Expr::Cast(cast) => bare(&cast.expr),
            Expr::TryCast(cast) => bare(&cast.expr),
            other => other,
        }
    }
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = expression else { return None };
    let (Expr::Column(column), Expr::Placeholder(placeholder)) = (match (bare(left), bare(right)) {
        (column @ Expr::Column(_), placeholder) => (column, placeholder),
        (placeholder, column) => (column, placeholder),
    }) else {
        return None;
    };
    let number: usize = placeholder.id.trim_start_matches('$').parse().ok()?;
    Some((column.name.clone(), number.checked_sub(1)?))
}

fn has_placeholder(expression: &Expr) -> bool {
    expression.exists(|node| Ok(matches!(node, Expr::Placeholder(_)))).unwrap_or(true)
}

/// The fetched columns with the qualifiers under which the body names them.
fn fetched_schema(input: &DFSchema, table: &TableDeclaration, used: &[usize]) -> Result<DFSchema> {
    let fields = used
        .iter()
        .map(|index| {
            let name = &table.columns[*index].name;
            let (qualifier, field) = input
                .iter()
                .find(|(_, field)| field.name() == name)
                .ok_or_else(|| Error::internal(format!("column \"{name}\" is not in the body's input")))?;
            Ok((qualifier.cloned(), Arc::clone(field)))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(DFSchema::new_with_metadata(fields, HashMap::new())?)
}
