//! EXCEPT ALL and INTERSECT ALL: as EXCEPT and INTERSECT over rows that are numbered among their equals, so that each row counts as often
//! as it is there. DataFusion takes a row away, or keeps it, whenever the other side has one like it.

use datafusion::sql::sqlparser::ast::{
    Ident, Query, SelectItem, SetExpr, SetOperator, SetQuantifier, Statement, TableAliasColumnDef, TableFactor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::error::{Error, Result};

/// The place of the two sides in the text that is parsed.
const LEFT: &str = "#left";
const RIGHT: &str = "#right";

/// Whether a set operation counts its rows.
pub(super) fn counts(op: SetOperator, quantifier: SetQuantifier) -> bool {
    matches!(op, SetOperator::Except | SetOperator::Intersect | SetOperator::Minus)
        && matches!(quantifier, SetQuantifier::All)
}

/// A set operation that counts its rows, over sides whose columns are known.
///
/// # Errors
/// They are not.
pub(super) fn write_out(op: SetOperator, left: SetExpr, right: SetExpr, names: Option<&[String]>) -> Result<SetExpr> {
    let word = if op == SetOperator::Intersect { "INTERSECT" } else { "EXCEPT" };
    let names = names.ok_or_else(|| {
        Error::unsupported(format!("{word} ALL needs queries whose columns are known")).hint("List the columns.")
    })?;
    let columns: Vec<String> = (1..=names.len()).map(|number| format!("\"#{number}\"")).collect();
    let columns = columns.join(", ");
    let side = |name: &str| {
        format!(
            "SELECT {columns}, row_number() OVER (PARTITION BY {columns}) AS \"#times\" FROM (SELECT 1) AS \"{name}\""
        )
    };
    let text = format!("SELECT {columns} FROM ({} {word} {}) AS \"#counted\"", side(LEFT), side(RIGHT));
    let mut query = parse(&text)?;
    let SetExpr::Select(outer) = query.body.as_mut() else { return Err(malformed()) };
    for (item, name) in outer.projection.iter_mut().zip(names) {
        if let SelectItem::UnnamedExpr(expr) = item {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', name) };
        }
    }
    let Some(TableFactor::Derived { subquery, .. }) = outer.from.first_mut().map(|from| &mut from.relation) else {
        return Err(malformed());
    };
    let SetExpr::SetOperation { left: to_left, right: to_right, .. } = subquery.body.as_mut() else {
        return Err(malformed());
    };
    put(to_left, left, names.len())?;
    put(to_right, right, names.len())?;
    Ok(*query.body)
}

/// Puts a side into its place.
fn put(place: &mut SetExpr, side: SetExpr, columns: usize) -> Result<()> {
    let SetExpr::Select(select) = place else { return Err(malformed()) };
    let Some(TableFactor::Derived { subquery, alias: Some(alias), .. }) =
        select.from.first_mut().map(|from| &mut from.relation)
    else {
        return Err(malformed());
    };
    alias.columns = (1..=columns)
        .map(|number| TableAliasColumnDef { name: Ident::with_quote('"', format!("#{number}")), data_type: None })
        .collect();
    match side {
        // Its ORDER BY and LIMIT are its own.
        SetExpr::Query(query) => *subquery = query,
        side => *subquery.body = side,
    }
    Ok(())
}

fn parse(text: &str) -> Result<Box<Query>> {
    let statement = Parser::parse_sql(&PostgreSqlDialect {}, text).ok().and_then(|mut statements| statements.pop());
    match statement {
        Some(Statement::Query(query)) => Ok(query),
        _ => Err(malformed()),
    }
}

fn malformed() -> Error {
    Error::internal("a set operation cannot be written out")
}
