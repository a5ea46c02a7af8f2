//! What names mean at a place: relations, aliases, columns that joins merge.

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectNamePart, Query, SelectItem, SetExpr, TableAlias};

/// A relation in FROM: how it is called, and its columns where they are known.
#[derive(Debug, Clone)]
pub(super) struct ScopedRelation {
    pub(super) alias: String,
    pub(super) columns: Option<Vec<String>>,
}

/// What names mean at a place: the relations of a SELECT, and the aliases of its list.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) relations: Vec<ScopedRelation>,
    pub(super) aliases: Vec<String>,
    /// Those that are written with AS.
    pub(super) explicit: Vec<String>,
    /// Columns that USING and NATURAL merge; the newest first.
    pub(super) merged: Vec<Merged>,
}

/// Columns of a query's result; `None` where they cannot be told.
pub(super) type Output = Option<Vec<String>>;

/// A column that two sides of a join share.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    pub(super) name: String,
    pub(super) value: Expr,
    /// The first relation of its item of FROM, before whose columns it is shown.
    pub(super) first: usize,
    /// Relations whose columns of that name it stands for.
    pub(super) of: Vec<usize>,
}

impl Merged {
    /// In a scope that has so many relations before.
    pub(super) fn moved(mut self, by: usize) -> Self {
        self.first += by;
        self.of.iter_mut().for_each(|of| *of += by);
        self
    }
}

pub(super) fn find_relation<'s>(relations: &'s [ScopedRelation], ident: &Ident) -> Option<&'s ScopedRelation> {
    relations
        .iter()
        .find(|relation| relation.alias == ident.value)
        .or_else(|| relations.iter().find(|relation| relation.alias.eq_ignore_ascii_case(&ident.value)))
}

pub(super) fn columns_of_alias(alias: Option<&mut TableAlias>) -> Option<Vec<String>> {
    let alias = alias?;
    (!alias.columns.is_empty()).then(|| alias.columns.iter().map(|column| column.name.value.clone()).collect())
}

pub(super) fn renamed_columns(output: Output, renamed: Option<Vec<String>>) -> Output {
    match (output, renamed) {
        (output, None) => output,
        (None, Some(renamed)) => Some(renamed),
        (Some(mut output), Some(renamed)) => {
            for (name, new) in output.iter_mut().zip(renamed) {
                *name = new;
            }
            Some(output)
        }
    }
}

pub(super) fn first_branch_columns(query: &Query) -> Output {
    fn of(body: &SetExpr) -> Output {
        match body {
            SetExpr::Select(select) => select
                .projection
                .iter()
                .map(|item| match item {
                    SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
                    SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(ident.value.clone()),
                    _ => None,
                })
                .collect(),
            SetExpr::SetOperation { left, .. } => of(left),
            SetExpr::Query(query) => of(&query.body),
            _ => None,
        }
    }
    of(&query.body)
}

pub(super) fn ident_mut(part: &mut ObjectNamePart) -> Option<&mut Ident> {
    match part {
        ObjectNamePart::Identifier(ident) => Some(ident),
        ObjectNamePart::Function(_) => None,
    }
}
