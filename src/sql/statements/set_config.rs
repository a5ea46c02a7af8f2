//! `SELECT set_config(name, value, is_local)`: a query that sets. Drivers and pg_dump send it, alone or beside other results. Where it stands among
//! the results of a SELECT without FROM, its arguments are literals or parameters; anywhere else it would be a query that sets for each row, which
//! is refused. What the other results read of settings (`current_setting`) is of the moment before.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, SelectItem, SetExpr, Value, ValueWithSpan,
    Visit, Visitor,
};

use super::Statement;
use super::over_query::OverQuery;
use super::query::{self, Query};
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::fold;
use crate::sql::planning::planned::Planned;
use crate::sql::session::{Outcome, Running, Session, TransactionStatus};

/// The function.
const NAME: &str = "set_config";

/// A query that sets.
#[derive(Debug, Clone)]
pub struct SetConfig {
    /// What is left of it: the values, under the function's name.
    query: Arc<Query>,
    sets: Vec<OneSetting>,
}

#[derive(Debug, Clone)]
struct OneSetting {
    name: Argument,
    value: Argument,
    is_local: Argument,
}

#[derive(Debug, Clone)]
enum Argument {
    /// `None` is NULL.
    Literal(Option<String>),
    /// The number of a parameter, from 0.
    Parameter(usize),
}

impl Argument {
    fn of(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::Nested(inner) => Self::of(inner),
            Expr::Cast { expr, .. } => Self::of(expr),
            Expr::Value(ValueWithSpan { value, .. }) => match value {
                Value::Null => Some(Self::Literal(None)),
                Value::Boolean(value) => Some(Self::Literal(Some(value.to_string()))),
                Value::Placeholder(name) => {
                    Some(Self::Parameter(name.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)?))
                }
                value => Some(Self::Literal(Some(value.clone().into_string()?))),
            },
            _ => None,
        }
    }

    fn get(&self, parameters: &[ScalarValue]) -> Option<String> {
        match self {
            Self::Literal(value) => value.clone(),
            Self::Parameter(place) => parameters.get(*place).filter(|value| !value.is_null()).map(ToString::to_string),
        }
    }
}

fn is_call(function: &Function) -> bool {
    function.name.0.last().and_then(|part| part.as_ident()).is_some_and(|ident| fold(ident) == NAME)
}

/// How often a query calls it.
fn calls(query: &Query) -> usize {
    struct Calls(usize);
    impl Visitor for Calls {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            self.0 += usize::from(matches!(expr, Expr::Function(function) if is_call(function)));
            ControlFlow::Continue(())
        }
    }
    let mut calls = Calls(0);
    let _ = query.query.visit(&mut calls);
    calls.0
}

impl SetConfig {
    /// The statement that a query is: one that sets, if it calls the function.
    ///
    /// # Errors
    /// It calls it where it cannot be done (0A000).
    pub fn of(query: Query) -> Result<Statement> {
        let calls = calls(&query);
        if calls == 0 {
            return Ok(Statement::Query(Arc::new(query)));
        }
        let refused = || {
            Error::unsupported("set_config() is supported among the results of a SELECT without FROM only, with literals or parameters")
                .hint("Write SET, or SELECT set_config('name', 'value', false).")
        };
        let mut query = query;
        let SetExpr::Select(select) = query.query.body.as_mut() else { return Err(refused()) };
        if !select.from.is_empty() || select.selection.is_some() {
            return Err(refused());
        }
        let mut sets = Vec::new();
        for item in &mut select.projection {
            let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { continue };
            let Expr::Function(function) = expr else { continue };
            if !is_call(function) {
                continue;
            }
            let (set, value) = one(function).ok_or_else(refused)?;
            sets.push(set);
            *expr = value;
            if let SelectItem::UnnamedExpr(expr) = item {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::new(NAME) };
            }
        }
        if sets.len() != calls {
            return Err(refused());
        }
        Ok(Statement::OverQuery(Arc::new(Self { query: Arc::new(query), sets })))
    }

    async fn set_and_answer(
        &self,
        session: &mut Session,
        planned: &Planned,
        parameters: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        for set in &self.sets {
            let name = set
                .name
                .get(&parameters)
                .ok_or_else(|| Error::invalid("SET requires parameter name").code(SqlState::NullValueNotAllowed))?;
            // A flag that is NULL is none.
            let is_local = set.is_local.get(&parameters).map_or(Ok(false), |text| flag(&text))?;
            if is_local {
                if session.transaction_status() == TransactionStatus::Idle {
                    continue; // its transaction ends with it
                }
                session.begin_local(&name)?;
            }
            match set.value.get(&parameters) {
                Some(value) => session.set_setting(&name, &value)?,
                None => session.reset_setting(&name)?,
            }
        }
        query::run(session, planned, None, parameters).await
    }
}

/// A boolean as PostgreSQL reads it.
fn flag(text: &str) -> Result<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Ok(false),
        _ => Err(Error::invalid(format!("invalid input syntax for type boolean: \"{text}\""))
            .code(SqlState::InvalidTextRepresentation)),
    }
}

/// What a call sets, and the value that it gives.
fn one(function: &Function) -> Option<(OneSetting, Expr)> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let args = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    let args = args.collect::<Option<Vec<&Expr>>>()?;
    let [name, value, is_local] = args[..] else { return None };
    let set = OneSetting { name: Argument::of(name)?, value: Argument::of(value)?, is_local: Argument::of(is_local)? };
    Some((set, value.clone()))
}

impl OverQuery for SetConfig {
    fn query(&self) -> &Arc<Query> {
        &self.query
    }

    fn gives_rows(&self) -> bool {
        true
    }

    fn run<'a>(&'a self, session: &'a mut Session, planned: &'a Planned, parameters: Vec<ScalarValue>) -> Running<'a> {
        Box::pin(self.set_and_answer(session, planned, parameters))
    }
}
