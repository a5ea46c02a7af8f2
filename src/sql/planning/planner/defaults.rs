//! Defaults of columns: what an INSERT or an UPDATE gives them where it says DEFAULT, or nothing.

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::ast;

use super::Planner;
use crate::catalog::TableEntry;
use crate::data_type;
use crate::error::Result;
use crate::sql::parser::Cursor;
use crate::sql::planning::assignment::{self, AssignmentSource};
use crate::sql::planning::error_map::refine;

/// Whether an expression is the word DEFAULT.
pub(super) fn is_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("DEFAULT"))
}

/// The default of a column as a tree; NULL without one.
pub(super) fn default_text(entry: &TableEntry, field: &Field) -> Result<ast::Expr> {
    let column = entry.columns.iter().find(|column| column.name == *field.name());
    let text = column.and_then(|column| column.default.as_deref()).unwrap_or("NULL");
    Cursor::new(text)?.expr()
}

impl Planner {
    /// What a column gets that is not given: its default, or NULL.
    pub(super) fn default_of(&self, entry: &TableEntry, field: &Field) -> Result<Expr> {
        let column = entry.columns.iter().find(|column| column.name == *field.name());
        let Some(text) = column.and_then(|column| column.default.as_deref()) else {
            return Ok(lit(ScalarValue::try_from(field.data_type())?));
        };
        let schema = SchemaRef::new(Schema::empty());
        let expr = self.expression(text, &schema, &DFSchema::empty())?;
        let plan = LogicalPlanBuilder::empty(true).project([expr.clone()])?.build()?;
        let plan = self.analyze(&plan).map_err(|error| refine(error, None))?;
        let source = AssignmentSource::of(&expr, plan.schema().field(0));
        let digits = column.and_then(|column| data_type::second_digits(&column.sql_type));
        assignment::assign(expr, &source, field, digits)
    }
}
