//! Hint STATE_TTL of a query block: each relation that it names becomes a query of its own, which is planned with
//! [`StateTtl`](crate::engine::plan::StateTtl) over it: that tells the aggregate above how long it keeps state of these rows. The
//! relation's own alias stays outside, so that columns mean what they meant.

use std::ops::ControlFlow;
use std::time::Duration;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, Select, SetExpr, TableAlias, TableFactor, Visit, Visitor,
};

use crate::error::{Error, Result, SqlState};
use crate::sql::parser::{self, StateTtl};
use crate::sql::planning::hinted_relations::mark_state_ttl;

/// Applies a hint to a block whose relations are resolved. `is_aggregate` knows the names of aggregate functions.
///
/// # Errors
/// It names what is no relation of the block, or the block keeps no state.
pub fn apply(select: &mut Select, hint: &StateTtl, is_aggregate: &dyn Fn(&str) -> bool) -> Result<()> {
    let mut used = vec![false; hint.relations.len()];
    let mut known = Vec::new();
    let factors = select.from.iter_mut().flat_map(|from| {
        std::iter::once(&mut from.relation).chain(from.joins.iter_mut().map(|join| &mut join.relation))
    });
    for factor in factors {
        let names = names_of(factor);
        let mut chosen: Option<Duration> = None;
        for (place, (relation, ttl)) in hint.relations.iter().enumerate() {
            let last = relation.rsplit('.').next().unwrap_or(relation).trim_matches(['`', '"']);
            if names.iter().any(|name| name.eq_ignore_ascii_case(last)) {
                used[place] = true;
                chosen = Some(*ttl);
            }
        }
        known.extend(names);
        if let Some(ttl) = chosen {
            mark(factor, ttl).map_err(|error| error.at(hint.position))?;
        }
    }
    if let Some(place) = used.iter().position(|used| !used) {
        let error = Error::invalid(format!(
            "hint STATE_TTL names \"{}\", which is no relation of its query",
            hint.relations[place].0
        ));
        return Err(error
            .code(SqlState::UndefinedTable)
            .hint(format!("There are: {}.", known.join(", ")))
            .at(hint.position));
    }
    if !aggregates(select, is_aggregate) {
        return Err(Error::unsupported("hint STATE_TTL stands in a query without aggregates, which keeps no state")
            .hint("Write it after the SELECT that has GROUP BY.")
            .at(hint.position));
    }
    Ok(())
}

/// The alias of a relation, and the table's own name.
fn names_of(factor: &TableFactor) -> Vec<String> {
    let (alias, name) = match factor {
        TableFactor::Table { alias, name, .. } => {
            (alias, name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.clone()))
        }
        TableFactor::Derived { alias, .. } => (alias, None),
        _ => return Vec::new(),
    };
    alias.as_ref().map(|alias| alias.name.value.clone()).into_iter().chain(name).collect()
}

/// `t AS x` → `(SELECT * FROM t) AS x`
fn mark(factor: &mut TableFactor, ttl: Duration) -> Result<()> {
    let name = names_of(factor).into_iter().next().unwrap_or_default();
    let (TableFactor::Table { alias, .. } | TableFactor::Derived { lateral: false, alias, .. }) = factor else {
        return Err(Error::unsupported("hint STATE_TTL over this kind of relation is not supported"));
    };
    let named = TableAlias { explicit: true, name: Ident::with_quote('"', name), columns: Vec::new(), at: None };
    let own = alias.take().unwrap_or(named);
    let (mut query, _) = parser::parse_query("SELECT * FROM t")?;
    mark_state_ttl(&mut query, ttl);
    let SetExpr::Select(select) = query.body.as_mut() else { return Err(Error::internal("expected a SELECT")) };
    let Some(from) = select.from.first_mut() else { return Err(Error::internal("expected a SELECT with FROM")) };
    std::mem::swap(&mut from.relation, factor);
    *factor = TableFactor::Derived { lateral: false, subquery: query, alias: Some(own), sample: None };
    Ok(())
}

/// Whether a block groups rows.
fn aggregates(select: &Select, is_aggregate: &dyn Fn(&str) -> bool) -> bool {
    struct Calls<'a>(&'a dyn Fn(&str) -> bool);
    impl Visitor for Calls<'_> {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if let Expr::Function(function) = expr
                && function.over.is_none()
                && let Some(name) = function.name.0.last().and_then(|part| part.as_ident())
                && (self.0)(&name.value)
            {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
    }
    let groups = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(expressions, modifiers) => !expressions.is_empty() || !modifiers.is_empty(),
    };
    let mut calls = Calls(is_aggregate);
    groups
        || select.distinct.is_some()
        || select.projection.visit(&mut calls).is_break()
        || select.having.visit(&mut calls).is_break()
}
