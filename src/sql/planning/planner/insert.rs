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

use super::defaults::{default_text, is_default};
use super::row_changes::OnConflict;
use super::{Planner, sql_type};
use crate::catalog::TableEntry;
use crate::catalog::rights::Privilege;
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
    /// By which RETURNING and ON CONFLICT call it.
    pub alias: Option<Ident>,
    /// OPTIONS hint of the table.
    pub options: Vec<(String, String)>,
    /// The columns that the query gives, if listed.
    pub columns: Vec<(Ident, usize)>,
    /// The query; absent: DEFAULT VALUES.
    pub source: Option<Box<ast::Query>>,
    /// In place of a query: rows of the columns as [`Planner::insert_fields`] gives them.
    pub rows: Option<Arc<dyn TableProvider>>,
    /// Hints of the query's tables.
    pub hints: Hints,
    /// ON CONFLICT.
    pub conflict: Option<OnConflict>,
    /// RETURNING, and where it stands.
    pub returning: Option<(Vec<ast::SelectItem>, usize)>,
}

/// A planned INSERT.
pub struct InsertPlan {
    /// The rows: the table's columns in order and type.
    pub plan: LogicalPlan,
    /// The table, opened.
    pub table: Arc<ConnectorTable>,
    /// What its name means.
    pub target: Target,
    /// Columns that the statement gives, in the table's order.
    given: Vec<usize>,
    /// Whether it lists them.
    lists_columns: bool,
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

    /// Columns that the statement lists, in the table's order; absent: it lists none.
    pub fn columns(&self) -> Option<Vec<usize>> {
        self.lists_columns.then(|| self.given.clone())
    }

    /// Columns that the statement gives, in the table's order.
    pub fn given(&self) -> &[usize] {
        &self.given
    }

    /// Whether the server keeps the rows.
    pub fn is_local(&self) -> bool {
        self.table.declaration().local.is_some()
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
        let (target, entry, table) = self.insert_target(insert)?;
        if entry.declaration.local.is_none() {
            insert.refuse_what_is_local()?;
        }
        let declaration = table.declaration().clone();
        let mut chosen = match (&insert.source, &insert.rows) {
            (None, None) => Vec::new(),
            _ => self.insert_columns(insert, entry, &declaration)?,
        };
        let mut source = insert.source.clone();
        if let (Some(source), Some(local)) = (&mut source, &declaration.local) {
            let is_numbered = |index: usize| local.numbered.contains(&declaration.columns[index].name);
            leave_out_numbers(source, &mut chosen, &is_numbered).map_err(|error| error.at(insert.position))?;
        }
        let plan = match (&source, &insert.rows) {
            (Some(source), _) => self.insert_source(source, insert, entry, &table, &chosen, parameter_types, places)?,
            (None, Some(rows)) => LogicalPlanBuilder::scan("copy", provider_as_source(rows.clone()), None)?.build()?,
            (None, None) => LogicalPlanBuilder::empty(true).build()?,
        };
        let columns = plan.schema().columns();
        chosen.truncate(columns.len());
        let sources =
            assignment::sources(&plan, |plan| self.analyze(plan)).map_err(|error| refine(error, Some(places)))?;
        let mut exprs = Vec::new();
        for (index, field) in table.schema().fields().iter().enumerate() {
            let expr = match chosen.iter().position(|chosen| *chosen == index) {
                Some(at) => {
                    let declared = declaration.columns.iter().find(|column| column.name == *field.name());
                    let digits = declared.and_then(|column| data_type::second_digits(&column.sql_type));
                    assignment::assign(Expr::Column(columns[at].clone()), &sources[at], field, digits)?
                }
                None => self.absent_column(entry, field, &target).map_err(|error| error.at(insert.position))?,
            };
            exprs.push(expr.alias(field.name()));
        }
        let plan = LogicalPlanBuilder::from(plan).project(exprs)?.build().map_err(|error| refine(error, None))?;
        let mut given = chosen;
        given.sort_unstable();
        Ok(InsertPlan { plan, table, target, given, lists_columns: !insert.columns.is_empty() })
    }

    /// The table of an INSERT.
    fn insert_target(&self, insert: &InsertInto) -> Result<(Target, &TableEntry, Arc<ConnectorTable>)> {
        let written = insert.table.iter().map(parser::fold).collect::<Vec<_>>().join(".");
        let target = self
            .names
            .find_relation(&insert.table)?
            .ok_or_else(|| self.names.missing_relation(&insert.table).at(insert.position))?;
        self.permit(&target, Privilege::Insert)?;
        let Some(entry) = self.entry(&target) else {
            return Err(Error::invalid(format!("cannot insert into \"{written}\": it is not a declared table"))
                .code(SqlState::WrongObjectType)
                .at(insert.position));
        };
        self.permit_options(&target, entry, &insert.options)?;
        let table = self
            .connector_table(entry, &insert.options)
            .map_err(|error| if error.position().is_some() { error } else { error.at(insert.position) })?;
        Ok((target, entry, table))
    }

    /// The columns that an INSERT gives, in its order.
    ///
    /// # Errors
    /// The table or its columns do not exist.
    pub fn insert_fields(&self, insert: &InsertInto) -> Result<Vec<Field>> {
        let (_, entry, table) = self.insert_target(insert)?;
        let chosen = self.insert_columns(insert, entry, table.declaration())?;
        Ok(chosen.iter().map(|index| table.schema().field(*index).clone()).collect())
    }

    /// What a column gets that an INSERT does not give.
    fn absent_column(&self, entry: &TableEntry, field: &Field, target: &Target) -> Result<Expr> {
        if entry.declaration.local.is_some() {
            return self.default_of(entry, field);
        }
        if !field.is_nullable() {
            return Err(Error::invalid(format!(
                "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                field.name(),
                target.name
            ))
            .code(SqlState::NotNullViolation)
            .of_column(&target.name, field.name()));
        }
        Ok(lit(ScalarValue::try_from(field.data_type())?))
    }

    /// The query of an INSERT, which gives the chosen columns.
    #[expect(clippy::too_many_arguments, reason = "all that the caller has found out")]
    fn insert_source(
        &self,
        source: &ast::Query,
        insert: &InsertInto,
        entry: &TableEntry,
        table: &ConnectorTable,
        chosen: &[usize],
        parameter_types: &[Option<DataType>],
        places: &Places,
    ) -> Result<LogicalPlan> {
        let schema = table.schema();
        let fields: Vec<&Field> = chosen.iter().map(|index| schema.field(*index)).collect();
        let mut source = source.clone();
        if entry.declaration.local.is_some() {
            write_defaults(&mut source, entry, &fields)?;
        }
        type_values(&mut source, &fields);
        let (plan, _) = self.plan_query(&source, &insert.hints, Some(places), parameter_types)?;
        let columns = plan.schema().columns();
        // As in Postgres, the columns at the end get their defaults where the statement lists none.
        let may_be_fewer = entry.declaration.local.is_some() && insert.columns.is_empty();
        if columns.len() > chosen.len() || columns.len() < chosen.len() && !may_be_fewer {
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
        Ok(plan)
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

impl InsertInto {
    /// Refuses the clauses that only a table takes whose rows the server keeps.
    fn refuse_what_is_local(&self) -> Result<()> {
        let gives_defaults = self.source.is_none() && self.rows.is_none();
        let (what, position) = match (gives_defaults, &self.conflict, &self.returning, &self.alias) {
            (true, ..) => ("INSERT … DEFAULT VALUES", self.position),
            (_, Some(conflict), ..) => ("ON CONFLICT", conflict.position),
            (_, _, Some((_, position)), _) => ("RETURNING", *position),
            (.., Some(_)) => ("an alias of the table of INSERT", self.position),
            _ => return Ok(()),
        };
        Err(Error::unsupported(format!("{what} is not supported"))
            .at(position)
            .hint("A table with a key is written by key: the last row of a key stands."))
    }
}

/// DEFAULT in place of the number of a row is what it gets without being listed.
fn leave_out_numbers(
    query: &mut ast::Query,
    chosen: &mut Vec<usize>,
    is_numbered: &dyn Fn(usize) -> bool,
) -> Result<()> {
    let ast::SetExpr::Values(values) = query.body.as_mut() else { return Ok(()) };
    for at in (0..chosen.len()).rev().filter(|at| is_numbered(chosen[*at])).collect::<Vec<_>>() {
        let says_default = |row: &ast::Parens<Vec<ast::Expr>>| row.content.get(at).is_some_and(is_default);
        let count = values.rows.iter().filter(|row| says_default(row)).count();
        if count == 0 {
            continue;
        }
        if count < values.rows.len() {
            return Err(Error::unsupported(
                "DEFAULT for the numbers of some rows and values for others is not supported",
            )
            .hint("Write two INSERTs."));
        }
        for row in &mut values.rows {
            row.content.remove(at);
        }
        chosen.remove(at);
    }
    Ok(())
}

/// DEFAULT in place of a value is the column's default.
fn write_defaults(query: &mut ast::Query, entry: &TableEntry, fields: &[&Field]) -> Result<()> {
    let ast::SetExpr::Values(values) = query.body.as_mut() else { return Ok(()) };
    for row in &mut values.rows {
        for (expr, field) in row.content.iter_mut().zip(fields) {
            if is_default(expr) {
                *expr = default_text(entry, field)?;
            }
        }
    }
    Ok(())
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
                None if *data_type == DataType::Binary && is_text_or_null(expr) => Some(ast::DataType::Bytea),
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
    let is_placeholder = matches!(expr, ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Placeholder(_), .. }));
    is_placeholder || is_text_or_null(expr)
}

fn is_text_or_null(expr: &ast::Expr) -> bool {
    let ast::Expr::Value(ast::ValueWithSpan { value, .. }) = expr else { return false };
    matches!(
        value,
        ast::Value::Null
            | ast::Value::SingleQuotedString(_)
            | ast::Value::EscapedStringLiteral(_)
            | ast::Value::DollarQuotedString(_)
    )
}
