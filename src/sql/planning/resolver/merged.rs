//! Columns that USING and NATURAL merge: of a RIGHT JOIN the right one's, of a FULL JOIN whichever there is, else the left one's. Such
//! joins are written out as ON, and the merged column's name as what it means; DataFusion would take the left one's always.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Ident, JoinConstraint, SelectItem, Value};

use super::scope::{Merged, Scope, ScopedRelation};
use super::written::call;
use crate::error::{Error, Result, SqlState};
use crate::sql::planning::names::pick;

/// Which rows a join keeps without a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// Those of neither side, or of the left one.
    Left,
    Right,
    Both,
}

/// What a scope had before the right side of a join.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    pub relations: usize,
    pub merged: usize,
    /// The first relation of the item of FROM.
    pub first: usize,
}

/// A side's column: its value, and the relations that it is of.
struct Found {
    name: String,
    value: Expr,
    of: Vec<usize>,
}

/// Writes a join by the names of columns out as ON, and notes what those names mean behind it.
///
/// # Errors
/// A column that is not there, or twice; a relation whose columns cannot be told.
pub(super) fn merge(constraint: &mut JoinConstraint, kept: Kept, scope: &mut Scope, before: Before) -> Result<()> {
    let is_known = |relation: &ScopedRelation| relation.columns.is_some() && !relation.alias.is_empty();
    if matches!(constraint, JoinConstraint::On(_) | JoinConstraint::None) {
        return Ok(());
    }
    if !scope.relations[before.first..].iter().all(is_known) {
        if kept == Kept::Left && scope.merged.is_empty() {
            return Ok(()); // DataFusion takes the left one's
        }
        return Err(Error::unsupported("USING and NATURAL need relations with a name and known columns")
            .hint("Give the sub-query or the function an alias with its columns, or write ON."));
    }
    let names: Vec<String> = match constraint {
        JoinConstraint::Using(names) => names
            .iter()
            .filter_map(|name| name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.clone()))
            .collect(),
        _ => {
            let right = shown(scope, before.relations..scope.relations.len(), &scope.merged[before.merged..]);
            let left = shown(scope, before.first..before.relations, &scope.merged[..before.merged]);
            left.into_iter().filter(|name| right.contains(name)).collect()
        }
    };
    let mut condition: Option<Expr> = None;
    let mut merged = Vec::new();
    for name in &names {
        let left = find(scope, name, before.first..before.relations, &scope.merged[..before.merged], "left")?;
        let of_right = before.relations..scope.relations.len();
        let right = find(scope, name, of_right, &scope.merged[before.merged..], "right")?;
        let equal = binary(left.value.clone(), BinaryOperator::Eq, right.value.clone());
        condition = Some(match condition {
            None => equal,
            Some(condition) => binary(condition, BinaryOperator::And, equal),
        });
        let value = match kept {
            Kept::Left => left.value,
            Kept::Right => right.value,
            Kept::Both => coalesce(left.value, right.value),
        };
        let of = left.of.into_iter().chain(right.of).collect();
        merged.push(Merged { name: left.name, value, first: before.first, of });
    }
    let is_replaced = |known: &Merged| {
        merged.iter().any(|new: &Merged| new.name == known.name && known.of.iter().any(|of| new.of.contains(of)))
    };
    scope.merged.retain(|known| !is_replaced(known));
    // The newest are shown first.
    merged.append(&mut scope.merged);
    scope.merged = merged;
    *constraint = JoinConstraint::On(condition.unwrap_or_else(|| Expr::value(Value::Boolean(true))));
    Ok(())
}

impl Scope {
    /// What an unqualified name means, if it is a merged column's.
    pub(super) fn merged_column(&self, name: &str) -> Option<(&str, &Expr)> {
        if self.merged.is_empty() {
            return None;
        }
        let exact = pick(name, self.merged.iter().map(|merged| &merged.name))?;
        // Beside another column of that name it is ambiguous.
        let found = self.merged.iter().filter(|merged| merged.name == *exact).collect::<Vec<_>>();
        let [merged] = found[..] else { return None };
        let is_other = |(at, relation): (usize, &ScopedRelation)| {
            !merged.of.contains(&at) && relation.columns.iter().flatten().any(|column| column == exact)
        };
        if self.relations.iter().enumerate().any(is_other) {
            return None;
        }
        Some((&merged.name, &merged.value))
    }

    /// The columns of `*`, where some are merged.
    pub(super) fn wildcard(&self) -> Option<Vec<SelectItem>> {
        if self.merged.is_empty() {
            return None;
        }
        let mut items = Vec::new();
        for (at, relation) in self.relations.iter().enumerate() {
            for merged in self.merged.iter().filter(|merged| merged.first == at) {
                let alias = Ident::with_quote('"', merged.name.clone());
                items.push(SelectItem::ExprWithAlias { expr: merged.value.clone(), alias });
            }
            for column in relation.columns.as_ref()? {
                if !self.merged.iter().any(|merged| merged.of.contains(&at) && merged.name == *column) {
                    items.push(SelectItem::UnnamedExpr(column_of(relation, column)));
                }
            }
        }
        Some(items)
    }
}

fn find(scope: &Scope, name: &str, relations: std::ops::Range<usize>, merged: &[Merged], side: &str) -> Result<Found> {
    let names = shown(scope, relations.clone(), merged);
    let Some(exact) = pick(name, names.iter()) else {
        let message = format!("column \"{name}\" specified in USING clause does not exist in {side} table");
        return Err(Error::not_found(message).code(SqlState::UndefinedColumn));
    };
    if names.iter().filter(|name| *name == exact).count() > 1 {
        let message = format!("common column name \"{exact}\" appears more than once in {side} table");
        return Err(Error::invalid(message).code(SqlState::AmbiguousColumn));
    }
    if let Some(found) = merged.iter().find(|merged| merged.name == *exact) {
        return Ok(Found { name: exact.clone(), value: found.value.clone(), of: found.of.clone() });
    }
    let of = relations.clone().find(|at| scope.relations[*at].columns.iter().flatten().any(|column| column == exact));
    let at = of.ok_or_else(|| Error::internal("a column of a join without a relation"))?;
    Ok(Found { name: exact.clone(), value: column_of(&scope.relations[at], exact), of: vec![at] })
}

/// The names that a side shows.
fn shown(scope: &Scope, relations: std::ops::Range<usize>, merged: &[Merged]) -> Vec<String> {
    let mut names: Vec<String> = merged.iter().map(|merged| merged.name.clone()).collect();
    for at in relations {
        let is_free = |column: &&String| !merged.iter().any(|one| one.of.contains(&at) && one.name == **column);
        names.extend(scope.relations[at].columns.iter().flatten().filter(is_free).cloned());
    }
    names
}

fn column_of(relation: &ScopedRelation, column: &str) -> Expr {
    Expr::CompoundIdentifier(vec![Ident::with_quote('"', relation.alias.clone()), Ident::with_quote('"', column)])
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn coalesce(left: Expr, right: Expr) -> Expr {
    call("coalesce", vec![left, right])
}
