//! What a relation is read through: a declared table with its hints and computed columns, a view, a relation that is computed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, TableReference};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlanBuilder};
use datafusion::sql::planner::{PlannerContext, SqlToRel};

use super::Planner;
use crate::catalog::rights::Privilege;
use crate::catalog::{TableEntry, ViewEntry};
use crate::connectors::TableDeclaration;
use crate::connectors::table_provider::ConnectorTable;
use crate::data_type;
use crate::engine::plan;
use crate::error::{Error, Result, SqlState};
use crate::options::OptionValue;
use crate::sql::parser::secret_options::is_secret;
use crate::sql::parser::{Cursor, Hints};
use crate::sql::planning::error_map::refine;
use crate::sql::planning::integer_literals;
use crate::sql::planning::names::{TEMPORARY_SCHEMA, Target};
use crate::sql::planning::resolver::{Registered, Resolver};

impl Planner {
    /// Makes a relation known to the plan.
    ///
    /// # Errors
    /// The relation cannot be opened.
    pub(super) fn register_relation(&self, target: &Target, options: &[(String, String)]) -> Result<Registered> {
        if !options.is_empty() {
            let provider = self.readable(target, options)?;
            let mark = self.hinted.add(provider_as_source(provider.clone()));
            return Ok(Registered { provider, mark: Some(mark) });
        }
        let reference = TableReference::partial(target.schema.clone(), target.name.clone());
        if let Some(source) = self.tables.lock().get(&reference) {
            return Ok(Registered { provider: source_as_provider(source)?, mark: None });
        }
        let provider = self.readable(target, options)?;
        self.tables.lock().insert(reference, provider_as_source(provider.clone()));
        Ok(Registered { provider, mark: None })
    }

    fn readable(&self, target: &Target, options: &[(String, String)]) -> Result<Arc<dyn TableProvider>> {
        self.permit(target, Privilege::Select)?;
        self.provider(target, options)
    }

    /// The declared table that a name means, if it is one.
    pub fn entry(&self, target: &Target) -> Option<&TableEntry> {
        if target.schema == TEMPORARY_SCHEMA {
            return self.temporary.get(&target.name);
        }
        self.names.snapshot.schema(&target.database, &target.schema)?.tables.get(&target.name)
    }

    fn view_entry(&self, target: &Target) -> Option<&ViewEntry> {
        self.names.snapshot.schema(&target.database, &target.schema)?.views.get(&target.name)
    }

    /// What a relation is read through.
    ///
    /// # Errors
    /// Its options, its computed columns or its view's query cannot be used.
    pub fn provider(&self, target: &Target, options: &[(String, String)]) -> Result<Arc<dyn TableProvider>> {
        if let Some(entry) = self.entry(target) {
            self.permit_options(target, entry, options)?;
            let base = self.connector_table(entry, options)?;
            return self.with_declared_columns(target, entry, base);
        }
        if let Some((name, _)) = options.first() {
            return Err(Error::invalid(format!("hint OPTIONS ('{name}') needs a declared table")));
        }
        if let Some(view) = self.view_entry(target) {
            let nested = self.nested(&target.schema, self.volatile, self.asking.in_view(view.access.owner))?;
            let (plan, size) = nested
                .plan_text_counted(&view.query)
                .map_err(|error| error.context(format!("view \"{}\"", target.name)))?;
            self.sizes.lock().insert((target.schema.clone(), target.name.clone()), size);
            let renames: Vec<Expr> = plan
                .schema()
                .columns()
                .into_iter()
                .zip(&view.columns)
                .map(|(column, (name, _))| Expr::Column(column).alias(name))
                .collect();
            let plan = LogicalPlanBuilder::from(plan).project(renames)?.build()?;
            return Ok(Arc::new(ViewTable::new(plan, None)));
        }
        self.server
            .system_schemas
            .iter()
            .find(|schema| schema.name() == target.schema)
            .and_then(|schema| schema.relation(&target.name, &self.view))
            .ok_or_else(|| {
                Error::not_found(format!("relation \"{}\" does not exist", target.name)).code(SqlState::UndefinedTable)
            })
    }

    /// Opens a declared table with the options of a hint over its own.
    ///
    /// # Errors
    /// An option is unknown or does not fit.
    pub fn connector_table(&self, entry: &TableEntry, options: &[(String, String)]) -> Result<Arc<ConnectorTable>> {
        let mut declaration = entry.declaration.clone();
        for (name, value) in options {
            if name == "connector" {
                return Err(Error::invalid("hint OPTIONS cannot change the connector"));
            }
            if is_secret(name) {
                return Err(Error::unsupported(format!("hint OPTIONS cannot hold the secret \"{name}\""))
                    .hint("Write it into WITH of CREATE TABLE, where it is kept encrypted."));
            }
            if value.contains("://") {
                crate::places::refuse_userinfo(&format!("option \"{name}\""), value)?;
            }
            declaration.options.insert(name.clone(), OptionValue::Plain(value.clone()));
        }
        self.server.open_table(&declaration, !options.is_empty())
    }

    /// The table as it was declared: with its computed columns, and its watermark over the scan.
    fn with_declared_columns(
        &self,
        target: &Target,
        entry: &TableEntry,
        base: Arc<ConnectorTable>,
    ) -> Result<Arc<dyn TableProvider>> {
        let has_computed = entry.columns.iter().any(|column| column.computed.is_some());
        if !has_computed && entry.watermarks.is_empty() {
            return Ok(base);
        }
        let schema = base.schema();
        let reference = TableReference::partial(target.schema.clone(), target.name.clone());
        let source = provider_as_source(base);
        let scan = LogicalPlanBuilder::scan(reference, source, None)?;
        let df_schema = scan.schema().clone();
        let mut exprs = Vec::new();
        for column in &entry.columns {
            let expr = match &column.computed {
                None => Expr::Column(df_schema.qualified_field_with_unqualified_name(&column.name)?.into()),
                Some(text) => self
                    .expression(text, &schema, &df_schema)
                    .map_err(|error| error.context(format!("computed column \"{}\"", column.name)))?,
            };
            exprs.push(expr);
        }
        let mut plan = scan.build()?;
        if let Some(watermark) = entry.watermarks.first() {
            let expression = self.watermark(entry, &watermark.expression)?;
            let expression = written_out(expression, entry, &exprs)?;
            plan = plan::Watermark { column: watermark.column.clone(), expression }.over(plan);
        }
        let named = exprs.into_iter().zip(&entry.columns).map(|(expr, column)| expr.alias(&column.name));
        let plan = LogicalPlanBuilder::from(plan).project(named)?.build()?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }

    /// The expression of a watermark, over all columns of a declaration.
    fn watermark(&self, entry: &TableEntry, text: &str) -> Result<Expr> {
        let fields = entry
            .columns
            .iter()
            .map(|column| Ok(Field::new(&column.name, data_type::parse(&column.sql_type)?, true)))
            .collect::<Result<Vec<_>>>()?;
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let df_schema = DFSchema::try_from(schema.as_ref().clone())?;
        let expression = self.expression(text, &schema, &df_schema)?;
        let data_type = expression.get_type(&df_schema)?;
        if !matches!(data_type, DataType::Timestamp(..)) {
            return Err(Error::invalid(format!(
                "the watermark is of type {}, not a timestamp",
                data_type::to_postgres(&data_type)
            ))
            .code(SqlState::DatatypeMismatch));
        }
        Ok(expression)
    }

    pub(super) fn expression(&self, text: &str, schema: &SchemaRef, df_schema: &DFSchema) -> Result<Expr> {
        let mut cursor = Cursor::new(text)?;
        let mut expr = cursor.expr()?;
        cursor.end()?;
        let mut resolver = Resolver::new(self, Hints::default(), None);
        resolver.resolve_over(&mut expr, schema)?;
        self.has_order.fetch_or(resolver.has_order, Ordering::Relaxed);
        self.name_internal(&mut expr);
        integer_literals::of_expr(&mut expr);
        let planner = SqlToRel::new_with_options(self, Self::options());
        planner.sql_to_expr(expr, df_schema, &mut PlannerContext::new()).map_err(|error| refine(error, None))
    }

    /// The type of a computed column's expression.
    ///
    /// # Errors
    /// It cannot be planned.
    pub fn type_of_column_expression(&self, declaration: &TableDeclaration, text: &str) -> Result<DataType> {
        let schema = declaration.schema()?;
        let df_schema = DFSchema::try_from(schema.as_ref().clone())?;
        let expr = self.expression(text, &schema, &df_schema)?;
        let plan = LogicalPlanBuilder::scan(
            "t",
            provider_as_source(Arc::new(datafusion::datasource::empty::EmptyTable::new(schema))),
            None,
        )?
        .project(vec![strip_qualifiers(expr)?])?
        .build()?;
        let plan = self.analyze(&plan).map_err(|error| refine(error, None))?;
        Ok(plan.schema().field(0).data_type().clone())
    }

    /// Plans the watermarks of a declaration once.
    ///
    /// # Errors
    /// An expression cannot be planned.
    pub fn check_watermarks(&self, entry: &TableEntry) -> Result<()> {
        for watermark in &entry.watermarks {
            self.watermark(entry, &watermark.expression)
                .map_err(|error| error.context(format!("watermark of \"{}\"", watermark.column)))?;
        }
        Ok(())
    }
}

/// An expression over all columns of a declaration as one over those that the connector reads; `columns`: what each of them is.
fn written_out(expr: Expr, entry: &TableEntry, columns: &[Expr]) -> Result<Expr> {
    let written = expr.transform(|expr| {
        Ok(match &expr {
            Expr::Column(column) => {
                let place = entry.columns.iter().position(|known| known.name == column.name);
                place.map_or_else(|| Transformed::no(expr.clone()), |place| Transformed::yes(columns[place].clone()))
            }
            _ => Transformed::no(expr),
        })
    })?;
    Ok(written.data)
}

fn strip_qualifiers(expr: Expr) -> Result<Expr> {
    let stripped = expr.transform(|expr| {
        Ok(match expr {
            Expr::Column(mut column) => {
                column.relation = None;
                Transformed::yes(Expr::Column(column))
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(stripped.data)
}
