//! The rows of an INSERT: the columns of its table in order and type.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::ast::Ident;

use super::{Planner, sql_type};
use crate::catalog::TableEntry;
use crate::connectors::table_provider::ConnectorTable;
use crate::connectors::{ColumnKind, TableDeclaration};
use crate::data_type::{self, NamedText};
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::{self, Hints, Places};
use crate::sql::planning::assignment;
use crate::sql::planning::error_map::refine;
use crate::sql::planning::names::Target;
use crate::sql::planning::resolver::placeholder;

/// What an INSERT writes, and where.
#[derive(Debug, Clone)]
pub struct InsertInto {
    /// The table.
    pub table: Vec<Ident>,
    /// Where its name stands.
    pub position: usize,
    /// OPTIONS hint of the table.
    pub options: Vec<(String, String)>,
    /// The columns that the query gives, if listed.
    pub columns: Vec<(Ident, usize)>,
    /// The query.
    pub source: Box<ast::Query>,
    /// Hints of the query's tables.
    pub hints: Hints,
}

/// A planned INSERT.
pub struct InsertPlan {
    /// The rows: the table's columns in order and type.
    pub plan: LogicalPlan,
    /// The table, opened.
    pub table: Arc<ConnectorTable>,
    /// What its name means.
    pub target: Target,
    /// Columns that the statement lists, in the table's order; absent: it lists none.
    pub columns: Option<Vec<usize>>,
}

impl InsertPlan {
    /// The write of the rows.
    ///
    /// # Errors
    /// The rows do not fit the table.
    pub fn dml(self) -> Result<LogicalPlan> {
        let source = provider_as_source(self.table as Arc<dyn TableProvider>);
        let name = self.target.name.as_str();
        Ok(LogicalPlanBuilder::insert_into(self.plan, name, source, InsertOp::Append)?.build()?)
    }
}

impl Planner {
    /// Plans the rows of an INSERT: the table's columns in order and type.
    ///
    /// # Errors
    /// The table or its columns do not exist, or the query does not fit them.
    pub fn plan_insert(
        &self,
        insert: &InsertInto,
        parameter_types: &[Option<DataType>],
        places: &Places,
    ) -> Result<InsertPlan> {
        let written = insert.table.iter().map(parser::fold).collect::<Vec<_>>().join(".");
        let target = self
            .names
            .find_relation(&insert.table)?
            .ok_or_else(|| self.names.missing_relation(&insert.table).at(insert.position))?;
        let Some(entry) = self.entry(&target) else {
            return Err(Error::invalid(format!("cannot insert into \"{written}\": it is not a declared table"))
                .code(SqlState::WrongObjectType)
                .at(insert.position));
        };
        let table = self
            .connector_table(entry, &insert.options)
            .map_err(|error| if error.position().is_some() { error } else { error.at(insert.position) })?;
        let declaration = table.declaration().clone();
        let chosen = self.insert_columns(insert, entry, &declaration)?;
        let schema = table.schema();
        let fields: Vec<&Field> = chosen.iter().map(|index| schema.field(*index)).collect();
        let mut source = insert.source.clone();
        type_values(&mut source, &fields);
        let (plan, _) = self.plan_query(&source, &insert.hints, Some(places), parameter_types)?;
        let columns = plan.schema().columns();
        if columns.len() != chosen.len() {
            let more = columns.len() > chosen.len();
            let message = if more {
                "INSERT has more expressions than target columns"
            } else {
                "INSERT has more target columns than expressions"
            };
            return Err(Error::invalid(message)
                .code(SqlState::SyntaxError)
                .detail(format!("The query gives {} columns, {} are expected.", columns.len(), chosen.len()))
                .hint("List the columns: INSERT INTO t (a, b) SELECT …")
                .at(insert.position));
        }
        let sources =
            assignment::sources(&plan, |plan| self.analyze(plan)).map_err(|error| refine(error, Some(places)))?;
        let mut exprs = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            let expr = match chosen.iter().position(|chosen| *chosen == index) {
                Some(at) => {
                    let declared = declaration.columns.iter().find(|column| column.name == *field.name());
                    let digits = declared.and_then(|column| data_type::second_digits(&column.sql_type));
                    assignment::assign(Expr::Column(columns[at].clone()), &sources[at], field, digits)?
                }
                None if !field.is_nullable() => {
                    return Err(Error::invalid(format!(
                        "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                        field.name(),
                        target.name
                    ))
                    .code(SqlState::NotNullViolation)
                    .at(insert.position));
                }
                None => lit(ScalarValue::try_from(field.data_type())?),
            };
            exprs.push(expr.alias(field.name()));
        }
        let plan = LogicalPlanBuilder::from(plan).project(exprs)?.build().map_err(|error| refine(error, None))?;
        let columns = (!insert.columns.is_empty()).then(|| {
            let mut listed = chosen;
            listed.sort_unstable();
            listed
        });
        Ok(InsertPlan { plan, table, target, columns })
    }

    fn insert_columns(
        &self,
        insert: &InsertInto,
        entry: &TableEntry,
        declaration: &TableDeclaration,
    ) -> Result<Vec<usize>> {
        let is_virtual =
            |index: usize| matches!(declaration.columns[index].kind, ColumnKind::Metadata { is_virtual: true, .. });
        if insert.columns.is_empty() {
            return Ok((0..declaration.columns.len()).filter(|index| !is_virtual(*index)).collect());
        }
        let mut chosen = Vec::new();
        for (ident, position) in &insert.columns {
            let index = declaration.column_index(&ident.value).ok_or_else(|| {
                let known = entry.columns.iter().find(|column| column.name.eq_ignore_ascii_case(&ident.value));
                if let Some(column) = known {
                    return Error::invalid(format!("column \"{}\" is computed and cannot be written", column.name))
                        .code(SqlState::GeneratedAlways)
                        .at(*position);
                }
                let mut error = Error::not_found(format!(
                    "column \"{}\" of relation \"{}\" does not exist",
                    ident.value,
                    insert.table.last().map(parser::fold).unwrap_or_default()
                ))
                .code(SqlState::UndefinedColumn)
                .at(*position);
                let names = declaration.columns.iter().map(|column| column.name.as_str());
                if let Some(near) = crate::nearest::nearest(&ident.value, names) {
                    error = error.hint(format!("Perhaps you mean \"{near}\"."));
                }
                error
            })?;
            if is_virtual(index) {
                return Err(Error::invalid(format!("column \"{}\" is read only", declaration.columns[index].name))
                    .code(SqlState::GeneratedAlways)
                    .at(*position));
            }
            if chosen.contains(&index) {
                return Err(Error::invalid(format!("column \"{}\" specified more than once", ident.value))
                    .code(SqlState::DuplicateColumn)
                    .at(*position));
            }
            chosen.push(index);
        }
        Ok(chosen)
    }
}

/// Each value of an INSERT … VALUES is assigned for itself: one row's type says nothing of another's.
fn type_values(query: &mut ast::Query, fields: &[&Field]) {
    let ast::SetExpr::Values(values) = query.body.as_mut() else { return };
    for row in &mut values.rows {
        for (expr, field) in row.content.iter_mut().zip(fields) {
            let data_type = field.data_type();
            let known = match NamedText::of(field) {
                Some(named) if is_untyped(expr) => Some(word(named.name())),
                // What is typed must be of that type.
                Some(_) => None,
                // A text whose type is not written is one of bytes as PostgreSQL reads them.
                None if *data_type == DataType::Binary && is_text_literal(expr) => Some(ast::DataType::Bytea),
                None => sql_type(data_type),
            };
            if let Some(data_type) = known {
                let value = std::mem::replace(expr, placeholder(0, None));
                *expr = ast::Expr::Cast {
                    kind: ast::CastKind::Cast,
                    expr: Box::new(value),
                    data_type,
                    array: false,
                    format: None,
                };
            }
        }
    }
}

/// A type by its name.
fn word(name: &str) -> ast::DataType {
    ast::DataType::Custom(ast::ObjectName::from(vec![ast::Ident::new(name)]), Vec::new())
}

fn is_untyped(expr: &ast::Expr) -> bool {
    let is_plain = |value: &ast::Value| matches!(value, ast::Value::Null | ast::Value::Placeholder(_));
    is_text_literal(expr) || matches!(expr, ast::Expr::Value(ast::ValueWithSpan { value, .. }) if is_plain(value))
}

fn is_text_literal(expr: &ast::Expr) -> bool {
    let ast::Expr::Value(ast::ValueWithSpan { value, .. }) = expr else { return false };
    matches!(
        value,
        ast::Value::SingleQuotedString(_) | ast::Value::EscapedStringLiteral(_) | ast::Value::DollarQuotedString(_)
    )
}
