//! Names of columns, parameters and fields: found in the scopes around the place, and written exactly.

use datafusion::sql::sqlparser::ast::{Expr, Ident};

use super::Resolver;
use super::scope::{Scope, find_relation};
use super::written::placeholder;
use crate::error::{Error, Result, SqlState};
use crate::nearest::nearest;
use crate::sql::parser::fold;
use crate::sql::planning::field_access;
use crate::sql::planning::names::pick;

/// What a name of several parts is.
enum Compound {
    /// A column, by so many parts; fields of it follow.
    Column(usize),
    /// A parameter of a function.
    Parameter(Box<Expr>),
    /// It may be a column of a relation whose columns are not known.
    Unknown,
}

impl Resolver<'_> {
    pub(super) fn column(&self, ident: &Ident, scopes: &[Scope]) -> Result<Option<String>> {
        for scope in scopes.iter().rev() {
            let columns = || scope.relations.iter().filter_map(|relation| relation.columns.as_ref()).flatten();
            if columns().any(|column| *column == ident.value) || scope.aliases.contains(&ident.value) {
                return Ok(Some(ident.value.clone()));
            }
            let mut similar: Vec<&String> =
                columns().filter(|column| column.to_lowercase() == ident.value.to_lowercase()).collect();
            similar.dedup();
            match similar[..] {
                [] => {}
                [column] => return Ok(Some(column.clone())),
                _ => {
                    let error = Error::invalid(format!("column reference \"{}\" is ambiguous", ident.value))
                        .hint("Write it in double quotes, in the case in which it was declared.");
                    return Err(self.place(error.code(SqlState::AmbiguousColumn), ident.span));
                }
            }
            if let Some(alias) = pick(&ident.value, scope.aliases.iter()) {
                return Ok(Some(alias.clone()));
            }
            if scope.relations.iter().any(|relation| relation.columns.is_none()) {
                return Ok(Some(ident.value.clone())); // it may be one of the unknown columns
            }
        }
        Ok(None)
    }

    pub(super) fn identifier(&mut self, ident: &mut Ident, scopes: &[Scope]) -> Result<Option<Expr>> {
        if let Some((name, value)) = self.merged_column(ident, scopes) {
            ident.value = name;
            return Ok(Some(value));
        }
        if let Some(exact) = self.column(ident, scopes)? {
            ident.value = exact;
            ident.quote_style = Some('"');
            return Ok(None);
        }
        if let Some(placeholder) = self.parameter(&ident.value) {
            return Ok(Some(placeholder));
        }
        // A whole row as a value (SELECT t FROM t) is not there.
        let known = scopes
            .iter()
            .flat_map(|scope| &scope.relations)
            .filter_map(|relation| relation.columns.as_ref())
            .flatten()
            .map(String::as_str);
        let mut error =
            Error::not_found(format!("column \"{}\" does not exist", ident.value)).code(SqlState::UndefinedColumn);
        if let Some(near) = nearest(&ident.value, known) {
            error = error.hint(format!("Perhaps you meant to reference the column \"{near}\"."));
        }
        Err(self.place(error, ident.span))
    }

    /// What a name means that is a merged column's in the innermost scope that knows it.
    pub(super) fn merged_column(&self, ident: &Ident, scopes: &[Scope]) -> Option<(String, Expr)> {
        if scopes.iter().all(|scope| scope.merged.is_empty()) {
            return None;
        }
        for scope in scopes.iter().rev() {
            if let Some((name, value)) = scope.merged_column(&ident.value) {
                return Some((name.to_owned(), value.clone()));
            }
            let mut columns = scope.relations.iter().filter_map(|relation| relation.columns.as_ref()).flatten();
            if columns.any(|column| column.eq_ignore_ascii_case(&ident.value)) {
                return None;
            }
        }
        None
    }

    pub(super) fn parameter(&self, name: &str) -> Option<Expr> {
        let index = self.parameters.iter().position(|parameter| parameter.name.eq_ignore_ascii_case(name))?;
        Some(placeholder(index, self.parameters[index].cast.clone()))
    }

    pub(super) fn compound(&mut self, idents: &mut Vec<Ident>, scopes: &[Scope]) -> Result<Option<Expr>> {
        let columns = self.column_of_compound(idents, scopes)?;
        if let Compound::Parameter(parameter) = columns {
            return Ok(Some(*parameter));
        }
        let Compound::Column(length) = columns else { return Ok(None) };
        // What follows the column is a field of it, field by field.
        let fields = idents.split_off(length.min(idents.len()));
        if fields.is_empty() {
            return Ok(None);
        }
        let root = match &idents[..] {
            [column] => Expr::Identifier(column.clone()),
            _ => Expr::CompoundIdentifier(std::mem::take(idents)),
        };
        let access_chain = fields.into_iter().map(field_access::of_field).collect();
        Ok(Some(Expr::CompoundFieldAccess { root: Box::new(root), access_chain }))
    }

    /// Finds what the parts of a name mean, and writes its exact names.
    fn column_of_compound(&mut self, idents: &mut Vec<Ident>, scopes: &[Scope]) -> Result<Compound> {
        // The longest qualifier first: schema.table.column, table.column, column.field.
        for qualifier in (1..idents.len()).rev() {
            let table = idents[qualifier - 1].clone();
            if qualifier > 2 {
                continue;
            }
            let found = scopes.iter().rev().find_map(|scope| find_relation(&scope.relations, &table));
            let Some(relation) = found.cloned() else { continue };
            let column = &mut idents[qualifier];
            if let Some(columns) = &relation.columns {
                let Some(exact) = pick(&column.value, columns.iter()) else {
                    let mut error =
                        Error::not_found(format!("column {}.{} does not exist", relation.alias, column.value))
                            .code(SqlState::UndefinedColumn);
                    if let Some(near) = nearest(&column.value, columns.iter().map(String::as_str)) {
                        error = error
                            .hint(format!("Perhaps you meant to reference the column \"{}.{near}\".", relation.alias));
                    }
                    return Err(self.place(error, table.span));
                };
                column.value.clone_from(exact);
                column.quote_style = Some('"');
            }
            let mut rewritten = vec![Ident { value: relation.alias, quote_style: Some('"'), span: table.span }];
            rewritten.extend(idents[qualifier..].iter().cloned());
            *idents = rewritten;
            return Ok(if relation.columns.is_some() { Compound::Column(2) } else { Compound::Unknown });
        }
        if let Some(exact) = self.column(&idents[0], scopes)? {
            let is_known = scopes.iter().flat_map(|scope| &scope.relations).all(|relation| relation.columns.is_some());
            idents[0].value = exact;
            idents[0].quote_style = Some('"');
            return Ok(if is_known { Compound::Column(1) } else { Compound::Unknown });
        }
        // A parameter qualified by the function's name.
        if let [_, parameter] = &idents[..]
            && let Some(placeholder) = self.parameter(&parameter.value)
        {
            return Ok(Compound::Parameter(Box::new(placeholder)));
        }
        let table = &idents[idents.len().saturating_sub(2)];
        let error = Error::not_found(format!("missing FROM-clause entry for table \"{}\"", fold(table)))
            .code(SqlState::UndefinedTable);
        Err(self.place(error, table.span))
    }
}
