//! Plans of changes of rows that the server keeps: INSERT, UPDATE and DELETE become queries for the rows that they are about; CHECK,
//! RETURNING and ON CONFLICT become queries over rows that are given when they run.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{self, Ident, visit_expressions_mut};

use super::defaults::default_text;
use super::insert::{InsertInto, InsertPlan};
use super::row_changes::{Assignment, ChangeRows, ConflictTarget, OnConflict};
use super::{Planner, sql_type};
use crate::catalog::TableEntry;
use crate::catalog::rights::Privilege;
use crate::connectors::local::{LocalTable, ROW_KEY};
use crate::connectors::{ColumnDeclaration, ColumnKind};
use crate::data_type;
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::{self, Cursor, Hints, Places};
use crate::sql::planning::assignment;
use crate::sql::planning::error_map::refine;
use crate::sql::planning::given_rows::GivenTable;
use crate::sql::planning::names::{Target, pick};
use crate::sql::planning::planned::{Conflict, LocalWrite, Returning, SharedPlan, WriteKind};
use crate::sql::planning::result_names::rename;

/// Number of a row among those that are given.
const NUMBER: &str = "#number";
/// As the row that could not be inserted is called.
const EXCLUDED: &str = "excluded";

/// What a statement says beside its rows: what is planned over them.
struct Said<'a> {
    table: &'a [Ident],
    alias: Option<&'a Ident>,
    hints: &'a Hints,
    places: &'a Places,
    parameter_types: &'a [Option<DataType>],
}

fn local_table(entry: &TableEntry, verb: &str, written: &str) -> Result<Arc<LocalTable>> {
    if entry.declaration.local.is_none() {
        return Err(Error::unsupported(format!(
            "{verb} is not supported of table \"{written}\", whose rows connector \"{}\" keeps",
            entry.declaration.connector().unwrap_or_default()
        ))
        .hint("INSERT INTO … SELECT writes new rows; a table with a key is written by key."));
    }
    Ok(Arc::new(LocalTable::of(&entry.declaration)?))
}

impl Planner {
    /// The table that a statement changes, which the server keeps.
    ///
    /// # Errors
    /// It is none, or does not exist.
    pub fn changed_table(&self, table: &[Ident], verb: &str) -> Result<(Target, &TableEntry, Arc<LocalTable>)> {
        let written = table.iter().map(parser::fold).collect::<Vec<_>>().join(".");
        let target = self.names.find_relation(table)?.ok_or_else(|| self.names.missing_relation(table))?;
        if let Some(privilege) = Privilege::of(verb) {
            self.permit(&target, privilege)?;
        }
        let Some(entry) = self.entry(&target) else {
            let what = verb.to_lowercase();
            return Err(Error::invalid(format!("cannot {what} \"{written}\": it is not a declared table"))
                .code(SqlState::WrongObjectType));
        };
        let local = local_table(entry, verb, &written)?;
        Ok((target, entry, local))
    }

    /// Plans the defaults and the constraints of a declaration once.
    ///
    /// # Errors
    /// One cannot be planned, or is of another type.
    pub fn check_local_table(&self, entry: &TableEntry) -> Result<()> {
        let schema = entry.declaration.schema()?;
        for field in schema.fields() {
            self.default_of(entry, field)
                .map_err(|error| error.context(format!("default of column \"{}\"", field.name())))?;
        }
        let df_schema = DFSchema::try_from(schema.as_ref().clone())?;
        for check in &entry.checks {
            let checked = || -> Result<()> {
                let expr = self.expression(&check.expression, &schema, &df_schema)?;
                let data_type = expr.get_type(&df_schema).map_err(|error| refine(error, None))?;
                match data_type {
                    DataType::Boolean | DataType::Null => Ok(()),
                    other => Err(Error::invalid(format!(
                        "argument of CHECK must be type boolean, not type {}",
                        data_type::to_postgres(&other)
                    ))
                    .code(SqlState::DatatypeMismatch)),
                }
            };
            checked().map_err(|error| error.context(format!("constraint \"{}\"", check.name)))?;
        }
        Ok(())
    }

    /// A query over a table that is read through `provider` where the query names it first.
    fn plan_over(
        &self,
        target: &Target,
        provider: Arc<dyn TableProvider>,
        said: &Said<'_>,
        items: Vec<ast::SelectItem>,
        selection: Option<ast::Expr>,
    ) -> Result<(LogicalPlan, Option<Vec<String>>)> {
        let query = select(items, target, said, selection)?;
        *self.changed.lock() = Some((target.clone(), provider));
        let planned = self.plan_query(&query, said.hints, Some(said.places), said.parameter_types);
        self.changed.lock().take();
        planned
    }

    /// Completes the plan of an INSERT.
    ///
    /// # Errors
    /// ON CONFLICT or RETURNING cannot be planned.
    pub fn plan_local_insert(
        &self,
        insert: &InsertInto,
        planned: InsertPlan,
        parameter_types: &[Option<DataType>],
        places: &Places,
    ) -> Result<LocalWrite> {
        let (target, entry, table) = self.changed_table(&insert.table, "INSERT")?;
        let hints = Hints::default();
        let said = Said { table: &insert.table, alias: insert.alias.as_ref(), hints: &hints, places, parameter_types };
        if insert.conflict.as_ref().is_some_and(|conflict| conflict.update.is_some()) {
            self.permit(&target, Privilege::Update)?;
            self.permit(&target, Privilege::Select)?;
        }
        if insert.returning.is_some() {
            self.permit(&target, Privilege::Select)?;
        }
        let conflict = match &insert.conflict {
            Some(conflict) => Some(self.plan_conflict(conflict, &target, entry, &table, &said)?),
            None => None,
        };
        let numbered = table.numbered.iter().copied().filter(|column| !planned.given().contains(column)).collect();
        let kind = WriteKind::Insert { numbered, conflict };
        let returning = insert.returning.as_ref().map(|(items, _)| items);
        self.write(target.clone(), entry, table, kind, self.share(planned.plan), returning, &said)
    }

    /// Plans an UPDATE or a DELETE.
    ///
    /// # Errors
    /// Names, types, constructs; with SQLSTATE and position.
    pub fn plan_change(
        &self,
        change: &ChangeRows,
        parameter_types: &[Option<DataType>],
        places: &Places,
    ) -> Result<LocalWrite> {
        let kind = if change.assignments.is_some() { WriteKind::Update } else { WriteKind::Delete };
        let found = self.changed_table(&change.table, kind.verb());
        let (target, entry, table) = found.map_err(|error| error.at(change.position))?;
        self.permit_change(&target, change)?;
        let said =
            Said { table: &change.table, alias: change.alias.as_ref(), hints: &change.hints, places, parameter_types };
        // The key of each row is one more column, of the first table alone: others of that name have none.
        let mut declaration = entry.declaration.clone();
        declaration.columns.push(ColumnDeclaration {
            name: ROW_KEY.to_owned(),
            sql_type: "BYTES".to_owned(),
            nullable: false,
            kind: ColumnKind::Metadata { key: ROW_KEY.to_owned(), is_virtual: true },
        });
        let provider = self.server.open_table(&declaration, false)?;
        let mut items = vec![item(column(ROW_KEY), ROW_KEY)];
        let values = self.new_values(change.assignments.as_deref().unwrap_or_default(), entry, &table)?;
        items.extend(values);
        let (plan, _) = self.plan_over(&target, provider, &said, items, change.selection.clone())?;
        let plan = self.assigned(plan, 1, entry, &table, places)?;
        let rows = self.share(plan);
        self.write(target.clone(), entry, table, kind, rows, change.returning.as_ref(), &said)
    }

    /// Each column of a table, by name, with its new value where one is assigned.
    fn new_values(
        &self,
        assignments: &[Assignment],
        entry: &TableEntry,
        table: &LocalTable,
    ) -> Result<Vec<ast::SelectItem>> {
        let names: Vec<&String> = table.schema.fields().iter().map(|field| field.name()).collect();
        let mut values: Vec<ast::Expr> = names.iter().map(|name| column(name)).collect();
        let mut seen = Vec::new();
        for assignment in assignments {
            let found = pick(&assignment.column.value, names.iter().copied());
            let at = found.and_then(|found| names.iter().position(|name| *name == found)).ok_or_else(|| {
                let message =
                    format!("column \"{}\" of relation \"{}\" does not exist", assignment.column.value, table.relation);
                Error::not_found(message).code(SqlState::UndefinedColumn).at(assignment.position)
            })?;
            if seen.contains(&at) {
                return Err(Error::invalid(format!("multiple assignments to same column \"{}\"", names[at]))
                    .code(SqlState::SyntaxError)
                    .at(assignment.position));
            }
            seen.push(at);
            let field = table.schema.field(at);
            values[at] = match &assignment.value {
                Some(value) => typed(value.clone(), field.data_type()),
                None if table.numbered.contains(&at) => {
                    return Err(Error::unsupported("SET of a numbered column to DEFAULT is not supported")
                        .at(assignment.position));
                }
                None => default_text(entry, field)?,
            };
        }
        Ok(values.into_iter().zip(&names).map(|(value, name)| item(value, name)).collect())
    }

    /// A plan whose columns behind the first ones become a table's.
    fn assigned(
        &self,
        plan: LogicalPlan,
        first: usize,
        entry: &TableEntry,
        table: &LocalTable,
        places: &Places,
    ) -> Result<LogicalPlan> {
        let columns = plan.schema().columns();
        let sources =
            assignment::sources(&plan, |plan| self.analyze(plan)).map_err(|error| refine(error, Some(places)))?;
        let mut exprs: Vec<Expr> = columns[..first].iter().cloned().map(Expr::Column).collect();
        for (at, field) in table.schema.fields().iter().enumerate() {
            let declared = entry.declaration.columns.get(at);
            let digits = declared.and_then(|column| data_type::second_digits(&column.sql_type));
            let at = first + at;
            let expr = assignment::assign(Expr::Column(columns[at].clone()), &sources[at], field, digits)?;
            exprs.push(expr.alias(field.name()));
        }
        LogicalPlanBuilder::from(plan).project(exprs)?.build().map_err(|error| refine(error, None))
    }

    fn plan_conflict(
        &self,
        conflict: &OnConflict,
        target: &Target,
        entry: &TableEntry,
        table: &LocalTable,
        said: &Said<'_>,
    ) -> Result<Conflict> {
        let arbiters = arbiters(table, conflict).map_err(|error| error.at(conflict.position))?;
        let Some((assignments, selection)) = &conflict.update else { return Ok(Conflict { arbiters, update: None }) };
        let fields = table.schema.fields();
        let mut given: Vec<Field> = fields.iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let excluded = fields.iter().map(|field| Field::new(excluded(field.name()), field.data_type().clone(), true));
        given.extend(excluded);
        given.push(Field::new(NUMBER, DataType::Int64, false));
        let mut items = vec![item(column(NUMBER), NUMBER)];
        items.extend(self.new_values(assignments, entry, table)?);
        let mut selection = selection.clone();
        for tree in items.iter_mut() {
            name_excluded(tree);
        }
        selection.iter_mut().for_each(name_excluded);
        let provider = GivenTable::provider(Arc::new(Schema::new(given)));
        let (plan, _) = self.plan_over(target, provider, said, items, selection)?;
        let update = Some(self.share(self.assigned(plan, 1, entry, table, said.places)?));
        Ok(Conflict { arbiters, update })
    }

    #[expect(clippy::too_many_arguments, reason = "all that a statement says")]
    fn write(
        &self,
        target: Target,
        entry: &TableEntry,
        table: Arc<LocalTable>,
        kind: WriteKind,
        rows: SharedPlan,
        returning: Option<&Vec<ast::SelectItem>>,
        said: &Said<'_>,
    ) -> Result<LocalWrite> {
        let given = || GivenTable::provider(Arc::clone(&table.schema));
        let checks = match kind {
            WriteKind::Delete => None,
            _ if entry.checks.is_empty() => None,
            _ => {
                let items =
                    entry.checks.iter().map(|check| Ok(item(Cursor::new(&check.expression)?.expr()?, &check.name)));
                let items = items.collect::<Result<Vec<_>>>()?;
                let hints = Hints::default();
                let said = Said { alias: None, hints: &hints, ..*said };
                let (plan, _) = self.plan_over(&target, given(), &said, items, None)?;
                let names = entry.checks.iter().map(|check| check.name.clone()).collect();
                Some((self.share(plan), names))
            }
        };
        let returning = match returning {
            Some(items) => {
                let hints = Hints::default();
                let said = Said { hints: &hints, ..*said };
                let (plan, names) = self.plan_over(&target, given(), &said, items.clone(), None)?;
                let analysed = self.analyze(&plan).map_err(|error| refine(error, None))?;
                let schema = rename(&Arc::new(analysed.schema().as_arrow().clone()), names.as_deref());
                Some(Returning { plan: self.share(plan), schema })
            }
            None => None,
        };
        Ok(LocalWrite { table, target, kind, rows, checks, returning })
    }
}

/// Which keys of a table an ON CONFLICT is about.
fn arbiters(table: &LocalTable, conflict: &OnConflict) -> Result<Vec<usize>> {
    let matching: Vec<usize> = match &conflict.target {
        ConflictTarget::Any if conflict.update.is_some() => {
            return Err(Error::invalid("ON CONFLICT DO UPDATE requires inference specification or constraint name")
                .code(SqlState::SyntaxError)
                .hint("For example, ON CONFLICT (column_name)."));
        }
        ConflictTarget::Any => return Ok((0..table.keys.len()).collect()),
        ConflictTarget::Constraint(name) => {
            let name = parser::fold(name);
            let found = table.keys.iter().position(|key| key.name == name);
            return found.map(|at| vec![at]).ok_or_else(|| {
                Error::not_found(format!("constraint \"{name}\" for table \"{}\" does not exist", table.relation))
                    .code(SqlState::UndefinedObject)
            });
        }
        ConflictTarget::Columns(columns) => {
            let mut wanted = Vec::new();
            for ident in columns {
                let names = table.schema.fields().iter().map(|field| field.name());
                let found = pick(&ident.value, names).and_then(|name| table.schema.index_of(name).ok());
                wanted.push(found.ok_or_else(|| {
                    Error::not_found(format!("column \"{}\" does not exist", ident.value))
                        .code(SqlState::UndefinedColumn)
                })?);
            }
            let of = |columns: &[usize]| {
                let mut sorted = columns.to_vec();
                sorted.sort_unstable();
                sorted.dedup();
                sorted
            };
            let keys = table.keys.iter().enumerate();
            keys.filter(|(_, key)| of(&key.columns) == of(&wanted)).map(|(at, _)| at).collect()
        }
    };
    if matching.is_empty() {
        return Err(Error::invalid(
            "there is no unique or exclusion constraint matching the ON CONFLICT specification",
        )
        .code(SqlState::InvalidColumnReference));
    }
    Ok(matching)
}

fn excluded(name: &str) -> String {
    format!("{EXCLUDED}.{name}")
}

/// The columns of the row that could not be inserted stand beside the table's, under names of their own.
fn name_excluded(tree: &mut impl ast::VisitMut) {
    let _: ControlFlow<()> = visit_expressions_mut(tree, |expr| {
        if let ast::Expr::CompoundIdentifier(parts) = expr
            && let [relation, name] = parts.as_slice()
            && parser::fold(relation) == EXCLUDED
        {
            *expr =
                ast::Expr::Identifier(Ident { value: excluded(&name.value), quote_style: Some('"'), span: name.span });
        }
        ControlFlow::Continue(())
    });
}

fn column(name: &str) -> ast::Expr {
    ast::Expr::Identifier(Ident::with_quote('"', name))
}

fn item(expr: ast::Expr, alias: &str) -> ast::SelectItem {
    ast::SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', alias) }
}

/// A literal or a parameter is of its column's type.
fn typed(expr: ast::Expr, data_type: &DataType) -> ast::Expr {
    let is_parameter = matches!(&expr, ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Placeholder(_), .. }));
    match sql_type(data_type).filter(|_| is_parameter) {
        Some(data_type) => {
            ast::Expr::Cast { kind: ast::CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
        }
        None => expr,
    }
}

/// `SELECT items FROM table AS alias WHERE selection`
fn select(
    items: Vec<ast::SelectItem>,
    target: &Target,
    said: &Said<'_>,
    selection: Option<ast::Expr>,
) -> Result<ast::Query> {
    let (mut query, _) = parser::parse_query("SELECT 1 FROM t AS a")?;
    let unexpected = || Error::internal("a query of the server's own is another one");
    let ast::SetExpr::Select(select) = query.body.as_mut() else { return Err(unexpected()) };
    select.projection = items;
    select.selection = selection;
    match select.from.first_mut().map(|from| &mut from.relation) {
        Some(ast::TableFactor::Table { name, alias: called, .. }) => {
            *name = ast::ObjectName::from(said.table.to_vec());
            if let Some(called) = called {
                let own = || Ident::with_quote('"', &target.name);
                called.name = said.alias.cloned().unwrap_or_else(own);
            }
        }
        _ => return Err(unexpected()),
    }
    Ok(*query)
}
