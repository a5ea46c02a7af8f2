//! Relations in FROM: tables with their hints, functions, queries, and how they are joined.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, TableAlias,
    TableFactor, TableWithJoins,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::merged::{Before, Kept};
use super::scope::{Scope, ScopedRelation, columns_of_alias, ident_mut, renamed_columns};
use super::{Registered, Resolver, WithQuery, merged};
use crate::error::{Error, Result};
use crate::sql::parser::fold;
use crate::sql::planning::names::pick;
use crate::sql::planning::plan_size::Size;
use crate::sql::planning::row_functions;

impl Resolver<'_> {
    pub(super) fn table_with_joins(
        &mut self,
        from: &mut TableWithJoins,
        outer: &[Scope],
        scope: &mut Scope,
    ) -> Result<()> {
        let first = scope.relations.len();
        // Those of this item stand behind those of the items before it only while it is read.
        let earlier = std::mem::take(&mut scope.merged);
        self.table_factor(&mut from.relation, outer, scope)?;
        for Join { relation, join_operator, .. } in &mut from.joins {
            let before = Before { relations: scope.relations.len(), merged: scope.merged.len(), first };
            self.table_factor(relation, outer, scope)?;
            let kept = match join_operator {
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) => Some(Kept::Right),
                JoinOperator::FullOuter(_) => Some(Kept::Both),
                JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => {
                    Some(Kept::Left)
                }
                _ => None,
            };
            let constraint = match join_operator {
                JoinOperator::Join(constraint)
                | JoinOperator::Inner(constraint)
                | JoinOperator::Left(constraint)
                | JoinOperator::LeftOuter(constraint)
                | JoinOperator::Right(constraint)
                | JoinOperator::RightOuter(constraint)
                | JoinOperator::FullOuter(constraint)
                | JoinOperator::CrossJoin(constraint)
                | JoinOperator::Semi(constraint)
                | JoinOperator::LeftSemi(constraint)
                | JoinOperator::RightSemi(constraint)
                | JoinOperator::Anti(constraint)
                | JoinOperator::LeftAnti(constraint)
                | JoinOperator::RightAnti(constraint) => constraint,
                _ => return Err(Error::unsupported("this kind of join is not supported")),
            };
            match constraint {
                JoinConstraint::On(expr) => {
                    let mut scopes = outer.to_vec();
                    scopes.push(scope.clone());
                    self.expr(expr, &scopes)?;
                }
                JoinConstraint::Using(names) => {
                    for name in names {
                        if let Some(ident) = name.0.last_mut().and_then(ident_mut) {
                            let known = scope.relations[..before.relations].iter();
                            let known = known.filter_map(|relation| relation.columns.as_ref()).flatten();
                            if let Some(exact) = pick(&ident.value, known) {
                                ident.value.clone_from(exact);
                            }
                        }
                    }
                }
                JoinConstraint::Natural | JoinConstraint::None => {}
            }
            if let Some(kept) = kept {
                merged::merge(constraint, kept, scope, before)?;
            }
        }
        scope.merged.extend(earlier);
        Ok(())
    }

    pub(super) fn table_factor(&mut self, factor: &mut TableFactor, outer: &[Scope], scope: &mut Scope) -> Result<()> {
        if !matches!(factor, TableFactor::Table { args: None, .. } | TableFactor::NestedJoin { .. }) {
            self.count(Size::default(), Span::empty())?;
        }
        row_functions::write_as_unnest(factor);
        match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                let span = name.0.last().and_then(|part| part.as_ident()).map_or(Span::empty(), |ident| ident.span);
                if version.is_some() {
                    let error = Error::unsupported("FOR SYSTEM_TIME AS OF is not supported yet")
                        .hint("Write a lookup function: CREATE FUNCTION … LANGUAGE SQL.");
                    return Err(self.place(error, span));
                }
                let unsupported = !with_hints.is_empty()
                    || *with_ordinality
                    || !partitions.is_empty()
                    || json_path.is_some()
                    || sample.is_some()
                    || !index_hints.is_empty();
                if unsupported {
                    return Err(self.place(Error::unsupported("this clause after a table is not supported"), span));
                }
                match args {
                    Some(args) => {
                        self.arguments(&mut args.args, outer, scope)?;
                        scope.relations.push(function_relation(name, alias.as_mut()));
                    }
                    None => self.table(name, alias.as_mut(), with_hints, scope)?,
                }
            }
            TableFactor::Derived { lateral, subquery, alias, sample } => {
                if sample.is_some() {
                    return Err(Error::unsupported("TABLESAMPLE is not supported"));
                }
                self.derived(*lateral, subquery, alias.as_mut(), outer, scope)?;
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                self.nested_join(table_with_joins, alias.as_ref(), outer, scope)?;
            }
            TableFactor::UNNEST { alias, array_exprs, .. } => {
                self.unnest(array_exprs, alias.as_mut(), outer, scope)?;
            }
            TableFactor::Function { with_ordinality: true, .. } => {
                return Err(Error::unsupported("WITH ORDINALITY is supported of UNNEST only"));
            }
            TableFactor::Function { name, args, alias, .. } => {
                for arg in args {
                    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg {
                        let mut scopes = outer.to_vec();
                        scopes.push(scope.clone());
                        self.expr(expr, &scopes)?;
                    }
                }
                scope.relations.push(function_relation(name, alias.as_mut()));
            }
            TableFactor::TableFunction { .. } => {
                return Err(Error::unsupported("TABLE(…) in FROM is not supported yet"));
            }
            TableFactor::MatchRecognize { .. } => {
                return Err(Error::unsupported("MATCH_RECOGNIZE is not supported yet"));
            }
            _ => return Err(Error::unsupported("this kind of table in FROM is not supported")),
        }
        Ok(())
    }

    /// The arguments of a function in FROM, which may name columns of what stands before it.
    fn arguments(&mut self, args: &mut [FunctionArg], outer: &[Scope], scope: &Scope) -> Result<()> {
        for arg in args {
            let (FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
            | FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. }) = arg
            else {
                continue;
            };
            let mut scopes = outer.to_vec();
            scopes.push(scope.clone());
            self.expr(expr, &scopes)?;
        }
        Ok(())
    }

    /// A table, a view or a WITH query by its name; `hints` gets the mark that makes it different from others of that name.
    fn table(
        &mut self,
        name: &mut ObjectName,
        mut alias: Option<&mut TableAlias>,
        hints: &mut Vec<Expr>,
        scope: &mut Scope,
    ) -> Result<()> {
        let (bare, registered) = self.relation(name)?;
        let columns = match registered {
            Some(Registered { provider, mark }) => {
                hints.extend(mark);
                Some(provider.schema().fields().iter().map(|field| field.name().clone()).collect())
            }
            None => self.with_query(&bare).and_then(|with| with.output.clone()),
        };
        let renamed = columns_of_alias(alias.as_deref_mut());
        let alias = alias.map_or(bare, |alias| alias.name.value.clone());
        scope.relations.push(ScopedRelation { alias, columns: renamed_columns(columns, renamed) });
        Ok(())
    }

    /// A query in brackets; one that is LATERAL sees what stands before it.
    fn derived(
        &mut self,
        lateral: bool,
        subquery: &mut Query,
        mut alias: Option<&mut TableAlias>,
        outer: &[Scope],
        scope: &mut Scope,
    ) -> Result<()> {
        let output = if lateral {
            let mut scopes = outer.to_vec();
            scopes.push(scope.clone());
            self.query(subquery, &scopes)?
        } else {
            self.query(subquery, outer)?
        };
        let renamed = columns_of_alias(alias.as_deref_mut());
        let name = alias.map_or_else(String::new, |alias| alias.name.value.clone());
        scope.relations.push(ScopedRelation { alias: name, columns: renamed_columns(output, renamed) });
        Ok(())
    }

    /// A join in brackets: its relations stand in the scope as they are, or as one under its alias.
    fn nested_join(
        &mut self,
        table_with_joins: &mut TableWithJoins,
        alias: Option<&TableAlias>,
        outer: &[Scope],
        scope: &mut Scope,
    ) -> Result<()> {
        let mut inner = Scope::default();
        self.table_with_joins(table_with_joins, outer, &mut inner)?;
        match alias {
            None => {
                let moved = scope.relations.len();
                scope.merged.extend(inner.merged.into_iter().map(|merged| merged.moved(moved)));
                scope.relations.extend(inner.relations);
            }
            Some(_) if !inner.merged.is_empty() => {
                return Err(Error::unsupported("an alias of a join by USING or NATURAL is not supported yet")
                    .hint("Write (SELECT * FROM a JOIN b USING (c)) AS alias."));
            }
            Some(alias) => {
                let columns = inner.relations.into_iter().map(|relation| relation.columns);
                let columns = columns.collect::<Option<Vec<_>>>().map(|columns| columns.concat());
                scope.relations.push(ScopedRelation { alias: alias.name.value.clone(), columns });
            }
        }
        Ok(())
    }

    /// UNNEST of arrays, which may be of columns of what stands before it.
    fn unnest(
        &mut self,
        arrays: &mut [Expr],
        mut alias: Option<&mut TableAlias>,
        outer: &[Scope],
        scope: &mut Scope,
    ) -> Result<()> {
        let mut scopes = outer.to_vec();
        scopes.push(scope.clone());
        for expr in arrays {
            self.expr(expr, &scopes)?;
        }
        let columns = columns_of_alias(alias.as_deref_mut());
        let name = alias.map_or_else(|| "unnest".to_owned(), |alias| alias.name.value.clone());
        scope.relations.push(ScopedRelation { alias: name, columns });
        Ok(())
    }

    /// Finds a relation and writes its exact name; gives the name it is called by, and what is known of it unless it is a CTE.
    pub(super) fn relation(&mut self, name: &mut ObjectName) -> Result<(String, Option<Registered>)> {
        let idents: Vec<Ident> = name.0.iter().filter_map(|part| part.as_ident().cloned()).collect();
        let Some(last) = idents.last().cloned().filter(|_| idents.len() == name.0.len()) else {
            return Err(Error::unsupported("this name of a table is not supported"));
        };
        let options = self
            .places
            .and_then(|places| places.of(last.span))
            .and_then(|position| self.hints.options.remove(&position));
        if idents.len() == 1 {
            let names = self.ctes.iter().rev().map(|with| &with.name);
            if let Some(cte) = pick(&fold(&last), names).cloned() {
                let size = self.with_query(&cte).map(|with| with.size).unwrap_or_default();
                self.count(size, last.span)?;
                if options.is_some() {
                    return Err(self.place(Error::invalid("hint OPTIONS needs a declared table"), last.span));
                }
                *name = ObjectName::from(vec![Ident { value: cte.clone(), quote_style: Some('"'), span: last.span }]);
                return Ok((cte.clone(), None));
            }
        }
        self.reads_relations = true;
        let target = self
            .relations
            .names()
            .find_relation(&idents)
            .map_err(|error| self.place(error, idents[0].span))?
            .ok_or_else(|| self.place(self.relations.names().missing_relation(&idents), idents[0].span))?;
        let registered = self
            .relations
            .register(&target, &options.unwrap_or_default())
            .map_err(|error| if error.position().is_some() { error } else { self.place(error, last.span) })?;
        self.count(self.relations.size_of(&target.schema, &target.name), last.span)?;
        *name = ObjectName::from(vec![
            Ident { value: target.schema, quote_style: Some('"'), span: idents[0].span },
            Ident { value: target.name.clone(), quote_style: Some('"'), span: last.span },
        ]);
        Ok((target.name, Some(registered)))
    }

    pub(super) fn with_query(&self, name: &str) -> Option<&WithQuery> {
        self.ctes.iter().rev().find(|with| with.name == name)
    }

    /// A relation of that size is named here.
    pub(super) fn count(&mut self, of: Size, span: Span) -> Result<()> {
        self.size.relations = self.size.relations.saturating_add(of.relations.max(1));
        self.size.nested = self.size.nested.max(self.within + of.nested);
        self.size.depth = self.size.depth.max(of.depth + 1);
        self.size.check().map_err(|error| self.place(error, span))
    }
}

/// A function in FROM, by its alias or else its name.
fn function_relation(name: &ObjectName, mut alias: Option<&mut TableAlias>) -> ScopedRelation {
    let function = name.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default();
    let columns = columns_of_alias(alias.as_deref_mut());
    let alias = alias.map_or(function, |alias| alias.name.value.clone());
    ScopedRelation { alias, columns }
}
