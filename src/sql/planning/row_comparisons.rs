//! Rows compared with rows: `(a, b) = (1, 2)`, `ROW(a, b) < ROW(1, 2)`, `(a, b) IN ((1, 2), (3, 4))`, `(a, b) [NOT] IN (SELECT …)`, written out column by
//! column before planning, so that a NULL among the columns is unknown and not another value.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query, Select, SelectItem,
    SetExpr, Statement, TableAlias, TableAliasColumnDef, TableFactor, UnaryOperator, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::error::{Error, Result, SqlState};

/// The name of the relation of a sub-query that rows are compared with, and of its columns before their number.
const RELATION: &str = "#rows";
const COLUMN: &str = "#column_";

/// Writes out the comparisons of rows in a query.
///
/// # Errors
/// Rows of different sizes (42601).
pub fn write_out(query: &mut Query) -> Result<()> {
    let mut visitor = Rows { failed: None };
    let _ = VisitMut::visit(query, &mut visitor);
    match visitor.failed {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

struct Rows {
    failed: Option<Error>,
}

impl VisitorMut for Rows {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if let Some(selection) = &mut select.selection {
            self.result_of(|| condition(selection))?;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.result_of(|| rewrite(expr))
    }
}

impl Rows {
    fn result_of(&mut self, rewrite: impl FnOnce() -> Result<()>) -> ControlFlow<()> {
        match rewrite() {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

/// IN of a WHERE, where unknown is the same as false.
fn condition(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
            condition(left)?;
            condition(right)
        }
        Expr::Nested(inner) => condition(inner),
        Expr::InSubquery { expr: row, subquery, negated: false } => {
            let Some(values) = values_of(row) else { return Ok(()) };
            *expr = exists(subquery, &values, std::convert::identity)?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The values of `(a, b)` and `ROW(a, b)`.
fn values_of(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Tuple(values) => Some(values.clone()),
        Expr::Nested(inner) => values_of(inner),
        Expr::Function(function) => {
            let name = function.name.0.last().and_then(|part| part.as_ident())?;
            let FunctionArguments::List(list) = &function.args else { return None };
            if function.name.0.len() != 1 || !name.value.eq_ignore_ascii_case("row") {
                return None;
            }
            let value = |arg: &FunctionArg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value.clone()),
                _ => None,
            };
            list.args.iter().map(value).collect()
        }
        _ => None,
    }
}

/// A comparison of two rows.
fn compared(op: &BinaryOperator, left: Vec<Expr>, right: Vec<Expr>) -> Result<Option<Expr>> {
    Ok(Some(match op {
        BinaryOperator::Eq => equal(left, right)?,
        BinaryOperator::NotEq => not(equal(left, right)?),
        BinaryOperator::Lt | BinaryOperator::LtEq => ordered(&BinaryOperator::Lt, op, left, right)?,
        BinaryOperator::Gt | BinaryOperator::GtEq => ordered(&BinaryOperator::Gt, op, left, right)?,
        _ => return Ok(None),
    }))
}

/// The first columns that differ decide; `strict` is how they do, `last` the operator of the last column.
fn ordered(strict: &BinaryOperator, last: &BinaryOperator, left: Vec<Expr>, right: Vec<Expr>) -> Result<Expr> {
    same_size(&left, &right)?;
    let mut pairs = left.into_iter().zip(right).rev();
    let Some((left, right)) = pairs.next() else { return Err(malformed()) };
    Ok(pairs.fold(joined(left, last.clone(), right), |rest, (left, right)| {
        let decided = joined(left.clone(), strict.clone(), right.clone());
        let equal = joined(left, BinaryOperator::Eq, right);
        joined(decided, BinaryOperator::Or, joined(equal, BinaryOperator::And, rest))
    }))
}

/// Whether a column of two rows is distinct.
fn distinct(left: Vec<Expr>, right: Vec<Expr>) -> Result<Expr> {
    same_size(&left, &right)?;
    let columns = left
        .into_iter()
        .zip(right)
        .map(|(left, right)| Expr::Nested(Box::new(Expr::IsDistinctFrom(Box::new(left), Box::new(right)))));
    columns.reduce(|left, right| joined(left, BinaryOperator::Or, right)).ok_or_else(malformed)
}

fn rewrite(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::BinaryOp { left, op, right } => {
            let is_row = |side: &Expr| matches!(side, Expr::Tuple(_) | Expr::Nested(_) | Expr::Function(_));
            if !is_row(left) || !is_row(right) {
                return Ok(());
            }
            let (Some(left), Some(right)) = (values_of(left), values_of(right)) else { return Ok(()) };
            if let Some(written_out) = compared(op, left, right)? {
                *expr = written_out;
            }
        }
        Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
            let (Some(left), Some(right)) = (values_of(left), values_of(right)) else { return Ok(()) };
            let distinct = distinct(left, right)?;
            *expr = if matches!(expr, Expr::IsDistinctFrom(..)) { distinct } else { not(distinct) };
        }
        Expr::InList { expr: row, list, negated } => {
            let Some(values) = values_of(row) else { return Ok(()) };
            let Some(items) = list.iter().map(values_of).collect::<Option<Vec<_>>>() else { return Ok(()) };
            let mut found: Option<Expr> = None;
            for item in items {
                let equal = equal(values.clone(), item)?;
                found = Some(match found {
                    None => equal,
                    Some(found) => joined(found, BinaryOperator::Or, equal),
                });
            }
            let found = found.unwrap_or_else(|| Expr::value(Value::Boolean(false)));
            *expr = if *negated { not(found) } else { found };
        }
        Expr::InSubquery { expr: row, subquery, negated } => {
            let Some(values) = values_of(row) else { return Ok(()) };
            let found = exists(subquery, &values, std::convert::identity)?;
            let unknown = exists(subquery, &values, |equal| Expr::IsNull(Box::new(Expr::Nested(Box::new(equal)))))?;
            *expr = case(found, unknown, !*negated);
        }
        _ => {}
    }
    Ok(())
}

/// `found` if one of the rows is equal, NULL if one may be, else not `found`.
fn case(found: Expr, unknown: Expr, value: bool) -> Expr {
    let boolean = |value| Expr::value(Value::Boolean(value));
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![
            CaseWhen { condition: found, result: boolean(value) },
            CaseWhen { condition: unknown, result: Expr::value(Value::Null) },
        ],
        else_result: Some(Box::new(boolean(!value))),
    }
}

/// EXISTS of a row of the sub-query for which `of`, given its equality with the values, holds.
fn exists(subquery: &Query, values: &[Expr], of: impl FnOnce(Expr) -> Expr) -> Result<Expr> {
    if let Some(columns) = columns_of(&subquery.body).filter(|columns| *columns != values.len()) {
        let few = if columns < values.len() { "few" } else { "many" };
        return Err(Error::invalid(format!("subquery has too {few} columns")).code(SqlState::SyntaxError));
    }
    let columns: Vec<Ident> =
        (1..=values.len()).map(|number| Ident::with_quote('"', format!("{COLUMN}{number}"))).collect();
    let left =
        columns.iter().map(|column| Expr::CompoundIdentifier(vec![Ident::with_quote('"', RELATION), column.clone()]));
    let condition = of(equal(left.collect(), values.to_vec())?);
    let alias = TableAlias {
        explicit: true,
        name: Ident::with_quote('"', RELATION),
        columns: columns.into_iter().map(|name| TableAliasColumnDef { name, data_type: None }).collect(),
        at: None,
    };
    let mut query = template()?;
    let SetExpr::Select(select) = query.body.as_mut() else { return Err(malformed()) };
    select.selection = Some(condition);
    let Some(TableFactor::Derived { subquery: inner, alias: named, .. }) =
        select.from.first_mut().map(|from| &mut from.relation)
    else {
        return Err(malformed());
    };
    **inner = subquery.clone();
    *named = Some(alias);
    Ok(Expr::Exists { subquery: query, negated: false })
}

/// How many columns a query has, unless a wildcard hides it.
fn columns_of(body: &SetExpr) -> Option<usize> {
    match body {
        SetExpr::Select(select) => {
            let is_wild =
                |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
            (!select.projection.iter().any(is_wild)).then_some(select.projection.len())
        }
        SetExpr::Query(query) => columns_of(&query.body),
        SetExpr::SetOperation { left, .. } => columns_of(left),
        _ => None,
    }
}

/// A query over a derived table.
fn template() -> Result<Box<Query>> {
    let text = "SELECT 1 AS one FROM (SELECT 1) AS r WHERE true";
    let statement = Parser::parse_sql(&PostgreSqlDialect {}, text).ok().and_then(|mut statements| statements.pop());
    match statement {
        Some(Statement::Query(query)) => Ok(query),
        _ => Err(malformed()),
    }
}

fn malformed() -> Error {
    Error::internal("a comparison of rows cannot be written out")
}

fn not(expr: Expr) -> Expr {
    Expr::Nested(Box::new(Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) }))
}

fn joined(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }))
}

fn same_size(left: &[Expr], right: &[Expr]) -> Result<()> {
    if left.len() != right.len() {
        return Err(Error::invalid("unequal number of entries in row expressions").code(SqlState::SyntaxError));
    }
    Ok(())
}

fn equal(left: Vec<Expr>, right: Vec<Expr>) -> Result<Expr> {
    same_size(&left, &right)?;
    let columns = left.into_iter().zip(right).map(|(left, right)| joined(left, BinaryOperator::Eq, right));
    columns.reduce(|left, right| joined(left, BinaryOperator::And, right)).ok_or_else(malformed)
}
