//! Functions by name: the server's own, those of the computed schemas, and the user's, whose bodies are planned once for a statement.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::logical_expr::{LogicalPlan, ScalarUDF, cast};
use datafusion::sql::planner::SqlToRel;
use datafusion::sql::sqlparser::ast;

use super::{Planner, sql_type};
use crate::catalog::{DEFAULT_DATABASE, DEFAULT_SCHEMA, FunctionEntry};
use crate::data_type;
use crate::engine::lookup::LookupFunction;
use crate::error::{Error, Result, SqlState};
use crate::functions::aggregations::aggregations;
use crate::functions::entry::Maker;
use crate::functions::registry::{is_left_out, of_tree, scalars};
use crate::functions::windows::windows;
use crate::sql::parser::{self, Places};
use crate::sql::planning::error_map::refine;
use crate::sql::planning::resolver::{Parameter, Resolver};
use crate::sql::planning::user_function::SqlFunction;
use crate::sql::planning::{integer_literals, missing_functions, shipped};

impl Planner {
    /// Whether statements can call a function of that name that is part of the server.
    pub fn is_built_in(&self, name: &str) -> bool {
        let scalar = scalars().find(name).is_some_and(|entry| entry.is_public());
        scalar
            || aggregations().find(name).is_some()
            || windows().find(name).is_some()
            || self.system_function(name).is_some()
            // They are refused where their arguments are still seen.
            || self.state.higher_order_functions().contains_key(name)
    }

    /// Whether a function of that name is part of the server, or of the plans that it makes.
    pub fn is_reserved(&self, name: &str) -> bool {
        self.is_built_in(name) || scalars().find(name).is_some() || is_left_out(name)
    }

    /// The scalar function of that name that statements can call.
    pub(super) fn built_in(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let name = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
        let Some(entry) = scalars().find(&name).filter(|entry| entry.is_public()) else {
            return self.system_function(&name);
        };
        match entry.maker {
            Maker::OfEngine => self.state.scalar_functions().get(entry.name).cloned(),
            Maker::OfClock(_) => {
                self.uses_time.store(true, Ordering::Relaxed);
                entry.make(&self.clock, self.volatile)
            }
            Maker::Plain(_) | Maker::OfLanguage => entry.make(&self.clock, self.volatile),
        }
    }

    fn system_function(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.server.system_schemas.iter().find_map(|schema| schema.function(name, &self.view))
    }

    /// Plans the user's function behind a call, so that its errors are told and not taken for a missing function.
    ///
    /// # Errors
    /// There is no function of that name.
    pub(super) fn note_call(&self, function: &mut ast::Function) -> Result<()> {
        let idents: Vec<ast::Ident> = function.name.0.iter().filter_map(|part| part.as_ident().cloned()).collect();
        let Some(last) = idents.last().filter(|last| of_tree(&last.value).is_none()) else { return Ok(()) };
        let key = if idents.len() == 1 { last.value.to_lowercase() } else { function.name.to_string() };
        // DataFusion takes quoted names as they are written.
        if idents.len() == 1 && last.quote_style.is_some() {
            function.name = ast::ObjectName::from(vec![ast::Ident { value: key.clone(), ..last.clone() }]);
        }
        // Planned once: each level of functions that call each other twice would double the time.
        if self.functions.lock().contains_key(&key) || (idents.len() == 1 && self.is_built_in(&key)) {
            return Ok(());
        }
        let snapshot = &self.names.snapshot;
        let found = match self.names.find_function(&idents) {
            Some((database, schema, name)) => {
                self.permit_call(&database, &schema, &name)?;
                snapshot
                    .schema(&database, &schema)
                    .and_then(|entries| entries.functions.get(&name))
                    .map(|entry| (name, schema, entry))
            }
            // One that the server brings along reads the tables that the session sees.
            None => shipped::function(&idents).map(|(name, entry)| {
                (name.to_owned(), self.names.current_schema().unwrap_or_else(|| DEFAULT_SCHEMA.to_owned()), entry)
            }),
        };
        let Some((name, schema, entry)) = found else {
            let name = last.value.to_lowercase();
            let is_there = idents.len() > 1 && self.is_built_in(&name);
            return if is_there { Ok(()) } else { Err(self.missing_function(&function.name.to_string(), &name)) };
        };
        match self.function(&name, &schema, entry) {
            Ok(udf) => {
                self.functions.lock().insert(key, udf);
            }
            Err(error) => {
                *self.failed.lock() = Some(error.context(format!("function \"{name}\"")));
            }
        }
        Ok(())
    }

    pub(super) fn missing_function(&self, written: &str, name: &str) -> Error {
        let of_session = self.names.current_schema().unwrap_or_else(|| DEFAULT_SCHEMA.to_owned());
        let entries = self.names.snapshot.schema(DEFAULT_DATABASE, &of_session);
        let own = entries.into_iter().flat_map(|entries| entries.functions.keys().map(String::as_str));
        let there = own.chain(scalars().public_names()).chain(aggregations().public_names());
        let of_tables = self.state.table_functions().keys().map(String::as_str);
        let of_schemas = self.server.system_schemas.iter().flat_map(|schema| schema.functions());
        let there = there.chain(windows().public_names()).chain(of_tables);
        missing_functions::missing(
            written,
            name,
            there.chain(of_schemas.flat_map(|about| about.names()).map(|name| -> &str { name })),
        )
    }

    /// Plans a user's function.
    ///
    /// # Errors
    /// Its body cannot be planned, or gives another type than declared.
    pub fn function(&self, name: &str, schema: &str, entry: &FunctionEntry) -> Result<Arc<ScalarUDF>> {
        let nested = self.nested(schema, true, self.asking.in_function())?;
        self.note_text(entry.body.len());
        let (query, hints) = parser::parse_query(&entry.body)?;
        let places = Places::new(&entry.body);
        let plain: Vec<Parameter> =
            entry.parameters.iter().map(|(name, _)| Parameter { name: name.clone(), cast: None }).collect();
        let mut tree = query.clone();
        let mut resolver = Resolver::new(&nested, hints.clone(), Some(&places)).with_parameters(plain);
        resolver.resolve(&mut tree).map_err(without_position)?;
        self.has_order.fetch_or(resolver.has_order, Ordering::Relaxed);
        if resolver.reads_relations {
            let plan = nested.plan_tree(*tree)?;
            let plan = nested.analyze(&plan).map_err(|error| without_position(refine(error, None)))?;
            let lookup = LookupFunction::from_body(name, &plan, &self.time_zone())?.ok_or_else(|| {
                Error::unsupported("a body that reads a table must aggregate the rows of one key")
                    .hint("Write SELECT <aggregates> FROM t WHERE key = parameter.")
            })?;
            return Ok(lookup.into_udf(self.server.clock.clone()));
        }
        let typed = entry
            .parameters
            .iter()
            .map(|(name, sql_text)| {
                let cast = if sql_text == "ANY" { None } else { sql_type(&data_type::parse_in_query(sql_text)?) };
                Ok(Parameter { name: name.clone(), cast })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut tree = query;
        Resolver::new(&nested, hints, Some(&places))
            .with_parameters(typed)
            .resolve(&mut tree)
            .map_err(without_position)?;
        if let Some(error) = nested.failed.lock().take() {
            return Err(without_position(error));
        }
        let plan = nested.plan_tree(*tree)?;
        let LogicalPlan::Projection(projection) = &plan else {
            return Err(Error::unsupported("the body of a function must be SELECT of one expression"));
        };
        let (LogicalPlan::EmptyRelation(_), [expr]) = (projection.input.as_ref(), &projection.expr[..]) else {
            return Err(Error::unsupported("the body of a function must be SELECT of one expression")
                .code(SqlState::InvalidFunctionDefinition));
        };
        let returns = data_type::parse_in_query(&entry.returns)?;
        let parameters = entry
            .parameters
            .iter()
            .map(
                |(_, sql_type)| {
                    if sql_type == "ANY" { Ok(None) } else { data_type::parse_in_query(sql_type).map(Some) }
                },
            )
            .collect::<Result<Vec<_>>>()?;
        let body = cast(expr.clone().unalias(), returns.clone());
        Ok(Arc::new(ScalarUDF::from(SqlFunction::new(name, parameters, returns, body)?)))
    }

    fn plan_tree(&self, mut query: ast::Query) -> Result<LogicalPlan> {
        self.name_internal(&mut query);
        integer_literals::of_query(&mut query);
        SqlToRel::new_with_options(self, Self::options())
            .sql_statement_to_plan(ast::Statement::Query(Box::new(query)))
            .map_err(|error| without_position(refine(error, None)))
    }
}

fn without_position(error: Error) -> Error {
    // A position in a body's text means nothing in the statement that calls it.
    let mut plain = Error::invalid(error.message()).code(error.sqlstate());
    if let Some(detail) = error.detail_text() {
        plain = plain.detail(detail);
    }
    if let Some(hint) = error.hint_text() {
        plain = plain.hint(hint);
    }
    plain
}
