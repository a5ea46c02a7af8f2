//! What an INSERT may write into a column: the types that are assigned without a cast of the user's, as in Postgres; rows by place, as
//! in Flink. Decided by the types after coercion, so that the cast fits whatever the expression is.

use std::sync::Arc;

use datafusion::arrow::compute::can_cast_types;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, LogicalPlan, cast};

use crate::data_type::{self, NamedText};
use crate::error::{Error, Result, SqlState};
use crate::functions::coercion::{by_place, with_digits};
use crate::functions::json;
use crate::functions::nested::is_nested;
use crate::functions::text_input;

/// A column of the query of an INSERT.
pub struct AssignmentSource {
    data_type: DataType,
    /// What the text is, if it is more than one.
    named: Option<NamedText>,
    /// A text whose type is not written: it takes the column's.
    is_untyped: bool,
}

/// The columns of a query, with their types once they are coerced.
///
/// # Errors
/// What `analyze` gives.
pub fn sources(
    plan: &LogicalPlan,
    analyze: impl Fn(&LogicalPlan) -> datafusion::error::Result<LogicalPlan>,
) -> datafusion::error::Result<Vec<AssignmentSource>> {
    let analysed = match analyze(plan) {
        // A parameter may have no type yet.
        Err(_) if !plan.get_parameter_names()?.is_empty() => plan.clone(),
        analysed => analysed?,
    };
    let fields = analysed.schema().fields().iter().enumerate();
    let source = |(at, field): (usize, &Arc<Field>)| AssignmentSource {
        data_type: field.data_type().clone(),
        named: NamedText::of(field),
        is_untyped: is_untyped(plan, at),
    };
    Ok(fields.map(source).collect())
}

impl AssignmentSource {
    /// A value of an expression that stands for itself.
    pub fn of(expr: &Expr, field: &Field) -> Self {
        Self {
            data_type: field.data_type().clone(),
            named: NamedText::of(field),
            is_untyped: matches!(unalias(expr), Expr::Literal(..)),
        }
    }
}

fn is_untyped(plan: &LogicalPlan, at: usize) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => match projection.expr.get(at).map(unalias) {
            Some(Expr::Literal(..) | Expr::Placeholder(_)) => true,
            // A part of a text is what its column takes it for: scripts cut what lookup functions give into numbers.
            Some(Expr::ScalarFunction(call)) => call.func.name() == "split_index",
            Some(Expr::Column(column)) => match projection.input.schema().maybe_index_of_column(column) {
                Some(at) => is_untyped(&projection.input, at),
                None => false,
            },
            _ => false,
        },
        LogicalPlan::Union(union) => union.inputs.iter().all(|input| is_untyped(input, at)),
        LogicalPlan::Values(values) => {
            values.values.iter().all(|row| matches!(row.get(at), Some(Expr::Literal(..) | Expr::Placeholder(_))))
        }
        LogicalPlan::SubqueryAlias(alias) => is_untyped(&alias.input, at),
        _ => false,
    }
}

fn unalias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unalias(&alias.expr),
        other => other,
    }
}

/// The value for a column; `digits` of a second, if it is a timestamp that has fewer of them than its Arrow type.
///
/// # Errors
/// 42804: the types do not fit.
pub fn assign(expr: Expr, from: &AssignmentSource, field: &Field, digits: Option<u8>) -> Result<Expr> {
    if let Some(named) = NamedText::of(field) {
        return assign_named(expr, from, field, named);
    }
    let (from, is_untyped, to) = (&from.data_type, from.is_untyped, field.data_type());
    if from == to && digits.is_none() {
        return Ok(expr);
    }
    if !(is_assignable(from, to) || (is_untyped && is_text(from))) {
        return Err(Error::invalid(format!(
            "column \"{}\" is of type {} but expression is of type {}",
            field.name(),
            data_type::to_postgres(to),
            data_type::to_postgres(from)
        ))
        .code(SqlState::DatatypeMismatch)
        .hint("You will need to rewrite or cast the expression."));
    }
    if is_text(from) && is_bytes(to) {
        return Ok(text_input::bytea().call(vec![expr]));
    }
    if is_nested(from) && is_nested(to) {
        return Ok(by_place(expr, to, None, false)?);
    }
    if digits.is_some() {
        let to = with_digits(Field::new("", to.clone(), true), digits);
        return Ok(Expr::Cast(Cast::new_from_field(Box::new(expr), Arc::new(to))));
    }
    Ok(cast(expr, to.clone()))
}

/// The value for a column of a uuid or of documents.
fn assign_named(expr: Expr, from: &AssignmentSource, field: &Field, to: NamedText) -> Result<Expr> {
    let is_document = from.named.is_some_and(NamedText::is_document) && to.is_document();
    if from.named == Some(to) {
        return Ok(expr);
    }
    if is_document || from.data_type.is_null() || (from.is_untyped && is_text(&from.data_type)) {
        return Ok(json::cast_to(cast(expr, DataType::Utf8), to));
    }
    let found = from.named.map_or_else(|| data_type::to_postgres(&from.data_type), |named| named.name().to_owned());
    let column = field.name();
    let message = format!("column \"{column}\" is of type {} but expression is of type {found}", to.name());
    Err(Error::invalid(message)
        .code(SqlState::DatatypeMismatch)
        .hint("You will need to rewrite or cast the expression."))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8)
}

fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_))
}

fn is_assignable(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        _ if from == to || from.is_null() => true,
        (DataType::Struct(from), DataType::Struct(to)) => {
            from.len() == to.len()
                && from.iter().zip(to).all(|(from, to)| is_assignable(from.data_type(), to.data_type()))
        }
        (DataType::List(from), DataType::List(to)) => is_assignable(from.data_type(), to.data_type()),
        (DataType::Map(from, _), DataType::Map(to, _)) => is_assignable(from.data_type(), to.data_type()),
        (DataType::Struct(_) | DataType::Map(..), _)
        | (_, DataType::Struct(_) | DataType::Map(..) | DataType::List(_)) => false,
        (from, to) if is_text(to) => is_text(from) || can_cast_types(from, to),
        (DataType::Timestamp(..), DataType::Timestamp(..) | DataType::Date32) => true,
        (DataType::Timestamp(..), DataType::Time32(_) | DataType::Time64(_)) => true,
        (DataType::Date32, DataType::Timestamp(..)) => true,
        (DataType::Time32(_) | DataType::Time64(_), DataType::Time32(_) | DataType::Time64(_)) => true,
        (from, to) => (from.is_numeric() && to.is_numeric()) || (is_bytes(from) && is_bytes(to)),
    }
}

#[cfg(test)]
mod tests;
