//! The operators of documents, and comparisons of uuids and documents with texts that are written out, which take their type.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::{access, build, edit, input};
use crate::data_type::{NamedText, to_postgres};
use crate::error::{Error, SqlState};

/// Plans `-> ->> #> #>> @> <@ || - #-` over documents.
#[derive(Debug)]
pub(crate) struct Documents;

impl ExprPlanner for Documents {
    fn plan_binary_op(&self, mut raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator as B;
        let (left, right) = (named(&raw.left, schema), named(&raw.right, schema));
        let is_document = |of: Option<NamedText>| of.is_some_and(NamedText::is_document);
        Ok(match raw.op {
            B::Arrow | B::LongArrow | B::HashArrow | B::HashLongArrow | B::HashMinus => {
                let document = document(raw.left, left, &raw.op, schema)?;
                let function = match raw.op {
                    B::Arrow => access::get(),
                    B::LongArrow => access::get_text(),
                    B::HashArrow => access::get_path(),
                    B::HashLongArrow => access::get_path_text(),
                    _ => edit::delete_path(),
                };
                PlannerResult::Planned(function.call(vec![document, raw.right]))
            }
            B::AtArrow | B::ArrowAt if is_document(left) || is_document(right) => {
                let (whole, part) = if raw.op == B::AtArrow { (raw.left, raw.right) } else { (raw.right, raw.left) };
                PlannerResult::Planned(access::contains().call(vec![whole, part]))
            }
            B::Minus if is_document(left) => PlannerResult::Planned(edit::delete().call(vec![raw.left, raw.right])),
            B::StringConcat if joins_documents(&raw, left, right) => {
                PlannerResult::Planned(edit::concat().call(vec![raw.left, raw.right]))
            }
            B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq => {
                if let Some(named) = left.filter(|_| is_untyped(&raw.right)) {
                    raw.right = input::call(raw.right, named);
                } else if let Some(named) = right.filter(|_| is_untyped(&raw.left)) {
                    raw.left = input::call(raw.left, named);
                }
                PlannerResult::Original(raw)
            }
            _ => PlannerResult::Original(raw),
        })
    }
}

fn named(expr: &Expr, schema: &DFSchema) -> Option<NamedText> {
    match expr {
        // The field of a cast to a text is still its argument's.
        Expr::Cast(cast) => NamedText::of(&cast.field),
        other => NamedText::of(other.to_field(schema).ok()?.1.as_ref()),
    }
}

/// A text or a parameter whose type nobody wrote.
fn is_untyped(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => value.data_type().is_string(),
        Expr::Placeholder(placeholder) => placeholder.field.is_none(),
        _ => false,
    }
}

fn joins_documents(raw: &RawBinaryExpr, left: Option<NamedText>, right: Option<NamedText>) -> bool {
    match (left, right) {
        (Some(NamedText::Jsonb), Some(NamedText::Jsonb)) => true,
        (Some(NamedText::Jsonb), None) => is_untyped(&raw.right),
        (None, Some(NamedText::Jsonb)) => is_untyped(&raw.left),
        _ => false,
    }
}

/// The left side of an operator as a document: rows and maps, which are shown as `jsonb`, are made one.
fn document(expr: Expr, named: Option<NamedText>, operator: &BinaryOperator, schema: &DFSchema) -> Result<Expr> {
    if named.is_some_and(NamedText::is_document) {
        return Ok(expr);
    }
    match expr.get_type(schema)? {
        DataType::Struct(_) | DataType::Map(..) => Ok(build::call_jsonb(expr)),
        other => Err(Error::not_found(format!(
            "operator does not exist: {} {operator} unknown",
            named.map_or_else(|| to_postgres(&other), |named| named.name().to_owned())
        ))
        .code(SqlState::UndefinedFunction)
        .hint("Cast it to a document: (…)::jsonb.")
        .into()),
    }
}
