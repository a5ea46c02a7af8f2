//! Rewrites a query's tree so that every name is the exact name of what it means: relations (with their OPTIONS hints), columns
//! without regard to case, parameters of a function's body. DataFusion then matches names literally.

mod any;
mod calendar;
mod doubles;
mod intervals;
mod merged;
mod moments;
mod multiset;
mod operators;
mod order;
mod series;

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CastKind, Cte, DataType as SqlType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, LimitClause,
    ObjectName, ObjectNamePart, OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    TableAlias, TableFactor, TableWithJoins, Value, ValueWithSpan, Values, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use self::merged::{Before, Kept, Merged};
use super::names::{Names, Target};
use super::plan_size::{COLUMNS_MAX, Size, WITH_QUERIES_MAX, check_grouping};
use super::result_names::column_name;
use crate::error::{Error, Result};
use crate::nearest::nearest;
use crate::sql::parser::{Hints, Places, fold};

/// A relation in FROM: how it is called, and its columns where they are known.
#[derive(Debug, Clone)]
struct Relation {
    alias: String,
    columns: Option<Vec<String>>,
}

/// What names mean at a place: the relations of a SELECT, and the aliases of its list.
#[derive(Debug, Clone, Default)]
struct Scope {
    relations: Vec<Relation>,
    aliases: Vec<String>,
    /// Those that are written with AS.
    explicit: Vec<String>,
    /// Columns that USING and NATURAL merge; the newest first.
    merged: Vec<Merged>,
}

/// Columns of a query's result; `None` where they cannot be told.
type Output = Option<Vec<String>>;

/// What a name of several parts is.
enum Compound {
    /// A column, by so many parts; fields of it follow.
    Column(usize),
    /// A parameter of a function.
    Parameter(Box<Expr>),
    /// It may be a column of a relation whose columns are not known.
    Unknown,
}

/// How a parameter of a function's body is written into its tree.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The type it is cast to, if its type matters.
    pub cast: Option<SqlType>,
}

/// What the resolver asks of whoever knows the relations and the functions.
pub trait Relations {
    /// What names mean.
    fn names(&self) -> &Names;
    /// Makes a relation known to the plan under a name of its own where it has hints; gives the schema part of that name.
    fn register(&self, target: &Target, options: &[(String, String)]) -> Result<(String, Arc<dyn TableProvider>)>;
    /// What a reference to a relation costs.
    fn size_of(&self, schema: &str, name: &str) -> Size;
    /// Whether a name is an aggregate function's.
    fn is_aggregate(&self, name: &str) -> bool;
    /// Plans the user's function behind a call, so that its errors are told and not taken for a missing function.
    fn note_function(&self, function: &mut Function) -> Result<()>;
}

/// Resolves one query.
pub struct Resolver<'p> {
    relations: &'p dyn Relations,
    hints: Hints,
    places: Option<&'p Places>,
    ctes: Vec<WithQuery>,
    parameters: Vec<Parameter>,
    /// Declared types of `$1 …`, cast where they are used.
    parameter_types: Vec<Option<SqlType>>,
    /// Whether a relation was read.
    pub reads_relations: bool,
    /// Whether a parameter was taken for an array of text.
    pub has_array_parameters: bool,
    /// What was met so far.
    pub size: Size,
    /// Sub-queries of expressions around the place.
    within: usize,
    /// Whether the statement's own query comes next, whose columns nobody knows by their names.
    is_top: bool,
}

/// A query of WITH.
struct WithQuery {
    name: String,
    output: Output,
    /// Of a reference to it.
    size: Size,
}

impl<'p> Resolver<'p> {
    /// Makes a resolver for a text whose hints and places are given.
    pub fn new(relations: &'p dyn Relations, hints: Hints, places: Option<&'p Places>) -> Self {
        Self {
            relations,
            hints,
            places,
            ctes: Vec::new(),
            parameters: Vec::new(),
            parameter_types: Vec::new(),
            reads_relations: false,
            has_array_parameters: false,
            size: Size::default(),
            within: 0,
            is_top: false,
        }
    }

    /// Names of parameters that stand for `$1 …`.
    pub fn with_parameters(mut self, parameters: Vec<Parameter>) -> Self {
        self.parameters = parameters;
        self
    }

    /// Types of `$1 …` that the client declared.
    pub fn with_parameter_types(mut self, types: Vec<Option<SqlType>>) -> Self {
        self.parameter_types = types;
        self
    }

    /// Resolves a whole query; afterwards every hint must have met its table.
    ///
    /// # Errors
    /// A name that means nothing, or two things; a construct that is refused.
    pub fn resolve(&mut self, query: &mut Query) -> Result<()> {
        self.is_top = true;
        self.query(query, &[])?;
        if let Some(position) = self.hints.options.keys().next() {
            return Err(Error::unsupported("hint OPTIONS stands after a word that is not the name of a table here")
                .at(*position));
        }
        if let Some(hint) = self.hints.state_ttl.values().next() {
            return Err(Error::unsupported("hint STATE_TTL stands right after SELECT").at(hint.position));
        }
        Ok(())
    }

    /// Resolves an expression over the columns of one relation.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn resolve_over(&mut self, expr: &mut Expr, schema: &SchemaRef) -> Result<()> {
        let columns = schema.fields().iter().map(|field| field.name().clone()).collect();
        let relations = vec![Relation { alias: String::new(), columns: Some(columns) }];
        let scope = Scope { relations, ..Scope::default() };
        self.expr(expr, &[scope])
    }

    fn place(&self, error: Error, span: Span) -> Error {
        match self.places.and_then(|places| places.of(span)) {
            Some(position) => error.at(position),
            None => error,
        }
    }

    fn query(&mut self, query: &mut Query, outer: &[Scope]) -> Result<Output> {
        let is_top = std::mem::take(&mut self.is_top);
        let ctes_before = self.ctes.len();
        if !query.locks.is_empty() {
            return Err(Error::unsupported("FOR UPDATE and FOR SHARE are not supported: there are no row locks"));
        }
        if query.for_clause.is_some() || query.settings.is_some() || query.format_clause.is_some() {
            return Err(Error::unsupported("this clause after the query is not supported"));
        }
        if let Some(with) = &mut query.with {
            let recursive = with.recursive;
            for cte in &mut with.cte_tables {
                self.cte(cte, recursive, outer)?;
            }
        }
        let (output, scope) = self.set_expr(&mut query.body, outer)?;
        let mut inner = outer.to_vec();
        let mut scope = scope.unwrap_or_default();
        scope.aliases.extend(output.clone().unwrap_or_default());
        if output.is_none() {
            scope.relations.push(Relation { alias: String::new(), columns: None });
        }
        inner.push(scope);
        if let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(exprs) = &mut order_by.kind
        {
            let can_rename = is_top && order::can_rename(&query.body);
            for order in exprs.iter_mut() {
                if can_rename && let Some(scope) = inner.last() {
                    order::prefer_columns(&mut order.expr, scope);
                }
                self.order_expr(&mut order.expr, &inner)?;
            }
            if can_rename {
                order::rename(&mut query.body, exprs);
            }
        }
        match &mut query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                if let Some(limit) = limit {
                    self.row_count(limit, outer)?;
                }
                if let Some(offset) = offset {
                    self.row_count(&mut offset.value, outer)?;
                }
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
                self.expr(limit, outer)?;
                self.expr(offset, outer)?;
            }
            None => {}
        }
        if let Some(fetch) = query.fetch.take() {
            // FETCH FIRST n ROWS ONLY is LIMIT n.
            if fetch.with_ties
                || fetch.percent
                || query
                    .limit_clause
                    .as_ref()
                    .is_some_and(|clause| matches!(clause, LimitClause::LimitOffset { limit: Some(_), .. }))
            {
                return Err(Error::unsupported("FETCH … WITH TIES or PERCENT is not supported"));
            }
            let offset = match query.limit_clause.take() {
                Some(LimitClause::LimitOffset { offset, .. }) => offset,
                _ => None,
            };
            let one = Expr::Value(ValueWithSpan { value: Value::Number("1".to_owned(), false), span: Span::empty() });
            let limit = Some(fetch.quantity.unwrap_or(one));
            query.limit_clause = Some(LimitClause::LimitOffset { limit, offset, limit_by: Vec::new() });
        }
        self.ctes.truncate(ctes_before);
        Ok(output)
    }

    fn cte(&mut self, cte: &mut Cte, recursive: bool, outer: &[Scope]) -> Result<()> {
        if self.ctes.len() >= WITH_QUERIES_MAX {
            let message = format!("the statement is too complex: it has more than {WITH_QUERIES_MAX} queries of WITH");
            return Err(self.place(Error::invalid(message).code("54001"), cte.alias.name.span));
        }
        let name = fold(&cte.alias.name);
        cte.alias.name = Ident::with_quote('"', &name);
        let renamed: Option<Vec<String>> =
            (!cte.alias.columns.is_empty()).then(|| cte.alias.columns.iter().map(|c| c.name.value.clone()).collect());
        if recursive {
            let columns = renamed.clone().or_else(|| first_branch_columns(&cte.query));
            self.ctes.push(WithQuery {
                name: name.clone(),
                output: columns,
                size: Size { relations: 1, nested: 0, depth: 1 },
            });
        }
        // It counts where it is named.
        let before = std::mem::take(&mut self.size);
        let within = std::mem::take(&mut self.within);
        let output = self.query(&mut cte.query, outer)?;
        let size = std::mem::replace(&mut self.size, before);
        self.within = within;
        if recursive {
            self.ctes.pop();
        }
        self.ctes.push(WithQuery { name, output: renamed_columns(output, renamed), size });
        Ok(())
    }

    fn set_expr(&mut self, body: &mut SetExpr, outer: &[Scope]) -> Result<(Output, Option<Scope>)> {
        match body {
            SetExpr::Select(select) => {
                let (output, scope) = self.select(select, outer)?;
                Ok((output, Some(scope)))
            }
            SetExpr::Query(query) => Ok((self.query(query, outer)?, None)),
            SetExpr::SetOperation { op, set_quantifier, left, right } => {
                let (output, _) = self.set_expr(left, outer)?;
                let (of_right, _) = self.set_expr(right, outer)?;
                if multiset::counts(*op, *set_quantifier) {
                    if let (Some(left), Some(right)) = (&output, &of_right)
                        && left.len() != right.len()
                    {
                        let message = format!("each {op} query must have the same number of columns");
                        return Err(Error::invalid(message).code("42601"));
                    }
                    let none = Values { explicit_row: false, value_keyword: false, rows: Vec::new() };
                    let empty = || Box::new(SetExpr::Values(none.clone()));
                    let (left, right) = (std::mem::replace(left, empty()), std::mem::replace(right, empty()));
                    *body = multiset::write_out(*op, *left, *right, output.as_deref())?;
                }
                Ok((output, None))
            }
            SetExpr::Values(values) => {
                doubles::of_values(&mut values.rows);
                moments::of_values(&mut values.rows);
                let mut width = 0;
                for row in &mut values.rows {
                    width = width.max(row.content.len());
                    for expr in &mut row.content {
                        self.expr(expr, outer)?;
                    }
                }
                Ok((Some((1..=width).map(|i| format!("column{i}")).collect()), None))
            }
            SetExpr::Table(table) => {
                let mut parts = Vec::new();
                parts.extend(table.schema_name.as_ref().map(|name| Ident::new(name.clone())));
                parts.extend(table.table_name.as_ref().map(|name| Ident::new(name.clone())));
                let mut name = ObjectName::from(parts);
                let (_, provider) = self.relation(&mut name)?;
                Err(Error::unsupported(format!(
                    "TABLE is not supported; write SELECT * FROM, which gives {} columns",
                    provider.map_or(0, |provider| provider.schema().fields().len())
                )))
            }
            _ => Err(Error::unsupported("a statement that changes rows is not supported inside a query")),
        }
    }

    fn select(&mut self, select: &mut Select, outer: &[Scope]) -> Result<(Output, Scope)> {
        if !select.optimizer_hints.is_empty() {
            return Err(Error::unsupported("hints after SELECT are not supported yet"));
        }
        if select.into.is_some() {
            return Err(Error::unsupported("SELECT INTO is not supported").hint("Use CREATE TABLE and INSERT INTO."));
        }
        if !select.lateral_views.is_empty() || select.prewhere.is_some() || !select.connect_by.is_empty() {
            return Err(Error::unsupported("this clause of SELECT is not supported"));
        }
        let mut scope = Scope::default();
        for from in &mut select.from {
            self.table_with_joins(from, outer, &mut scope)?;
        }
        let place = self.places.and_then(|places| places.of(select.select_token.0.span));
        if let Some(hint) = place.and_then(|place| self.hints.state_ttl.remove(&place)) {
            let is_aggregate = |name: &str| self.relations.is_aggregate(name);
            super::state_ttl_hint::apply(select, &hint, &is_aggregate)?;
        }
        let mut scopes = outer.to_vec();
        scopes.push(scope.clone());
        let mut output: Output = Some(Vec::new());
        write_out_wildcards(&mut select.projection, &scope);
        for item in &mut select.projection {
            series::write_out(item);
            let columns = self.select_item(item, &scopes, &scope)?;
            output = match (output, columns) {
                (Some(mut output), Some(columns)) => {
                    output.extend(columns);
                    Some(output)
                }
                _ => None,
            };
            if output.as_ref().is_some_and(|output| output.len() > COLUMNS_MAX) {
                let error = format!("target lists can have at most {COLUMNS_MAX} entries");
                return Err(Error::invalid(error).code("54011"));
            }
        }
        for expr in select.selection.iter_mut() {
            self.expr(expr, &scopes)?;
        }
        scope.aliases = select
            .projection
            .iter()
            .filter_map(|item| match item {
                SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
                _ => None,
            })
            .collect();
        scope.explicit.clone_from(&scope.aliases);
        let mut with_aliases = outer.to_vec();
        with_aliases.push(scope.clone());
        if let GroupByExpr::Expressions(exprs, _) = &mut select.group_by {
            check_grouping(exprs)?;
            for expr in exprs {
                self.expr(expr, &with_aliases)?;
            }
        }
        for expr in select.having.iter_mut().chain(select.qualify.iter_mut()) {
            self.expr(expr, &with_aliases)?;
        }
        if let Some(datafusion::sql::sqlparser::ast::Distinct::On(exprs)) = &mut select.distinct {
            for expr in exprs {
                self.expr(expr, &with_aliases)?;
            }
        }
        for expr in select.sort_by.iter_mut() {
            self.expr(&mut expr.expr, &with_aliases)?;
        }
        for window in &mut select.named_window {
            let mut visitor = Exprs { resolver: self, scopes: &with_aliases, depth: 0, error: None };
            let _ = VisitMut::visit(window, &mut visitor);
            if let Some(error) = visitor.error {
                return Err(error);
            }
        }
        Ok((output, scope))
    }

    fn select_item(&mut self, item: &mut SelectItem, scopes: &[Scope], own: &Scope) -> Result<Output> {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                if let Expr::Identifier(ident) = expr
                    && let Some((name, value)) = self.merged_column(ident, scopes)
                {
                    let alias = Ident::with_quote('"', name.clone());
                    *item = SelectItem::ExprWithAlias { expr: value, alias };
                    return Ok(Some(vec![name]));
                }
                self.expr(expr, scopes)?;
                Ok(Some(vec![column_name(expr)]))
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                self.expr(expr, scopes)?;
                Ok(Some(vec![alias.value.clone()]))
            }
            SelectItem::ExprWithAliases { .. } => {
                Err(Error::unsupported("several aliases of one expression are not supported"))
            }
            SelectItem::Wildcard(_) => Ok(own
                .relations
                .iter()
                .map(|relation| relation.columns.clone())
                .collect::<Option<Vec<_>>>()
                .map(|columns| columns.concat())),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let Some(last) = name.0.last_mut().and_then(ident_mut) else { return Ok(None) };
                let wanted = last.clone();
                let relation = find_relation(&own.relations, &wanted)
                    .or_else(|| scopes.iter().rev().find_map(|scope| find_relation(&scope.relations, &wanted)));
                let Some(relation) = relation else {
                    let error = Error::invalid(format!("missing FROM-clause entry for table \"{}\"", fold(&wanted)));
                    return Err(self.place(error.code("42P01"), wanted.span));
                };
                let columns = relation.columns.clone();
                let alias = relation.alias.clone();
                *name = ObjectName::from(vec![Ident { value: alias, quote_style: Some('"'), span: wanted.span }]);
                Ok(columns)
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(expr), _) => {
                self.expr(expr, scopes)?;
                Ok(None)
            }
        }
    }

    fn table_with_joins(&mut self, from: &mut TableWithJoins, outer: &[Scope], scope: &mut Scope) -> Result<()> {
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
                            if let Some(exact) = super::names::pick(&ident.value, known) {
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

    fn table_factor(&mut self, factor: &mut TableFactor, outer: &[Scope], scope: &mut Scope) -> Result<()> {
        if !matches!(factor, TableFactor::Table { args: None, .. } | TableFactor::NestedJoin { .. }) {
            self.count(Size::default(), Span::empty())?;
        }
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
                        .hint("Write a look-up function: CREATE FUNCTION … LANGUAGE SQL.");
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
                if let Some(args) = args {
                    for arg in &mut args.args {
                        let (FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
                        | FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. }) = arg
                        else {
                            continue;
                        };
                        let mut scopes = outer.to_vec();
                        scopes.push(scope.clone());
                        self.expr(expr, &scopes)?;
                    }
                    let function = name.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default();
                    let columns = columns_of_alias(alias.as_mut());
                    let alias = alias.as_ref().map_or(function, |alias| alias.name.value.clone());
                    scope.relations.push(Relation { alias, columns });
                    return Ok(());
                }
                let (bare, provider) = self.relation(name)?;
                let columns = match provider {
                    Some(provider) => {
                        Some(provider.schema().fields().iter().map(|field| field.name().clone()).collect())
                    }
                    None => self.with_query(&bare).and_then(|with| with.output.clone()),
                };
                let renamed = columns_of_alias(alias.as_mut());
                let alias = alias.as_ref().map_or(bare, |alias| alias.name.value.clone());
                scope.relations.push(Relation { alias, columns: renamed_columns(columns, renamed) });
            }
            TableFactor::Derived { lateral, subquery, alias, sample } => {
                if sample.is_some() {
                    return Err(Error::unsupported("TABLESAMPLE is not supported"));
                }
                let output = if *lateral {
                    let mut scopes = outer.to_vec();
                    scopes.push(scope.clone());
                    self.query(subquery, &scopes)?
                } else {
                    self.query(subquery, outer)?
                };
                let renamed = columns_of_alias(alias.as_mut());
                let name = alias.as_ref().map_or_else(String::new, |alias| alias.name.value.clone());
                scope.relations.push(Relation { alias: name, columns: renamed_columns(output, renamed) });
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
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
                        scope.relations.push(Relation { alias: alias.name.value.clone(), columns });
                    }
                }
            }
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
                if *with_ordinality {
                    return Err(Error::unsupported("WITH ORDINALITY is not supported"));
                }
                let mut scopes = outer.to_vec();
                scopes.push(scope.clone());
                for expr in array_exprs {
                    self.expr(expr, &scopes)?;
                }
                let columns = columns_of_alias(alias.as_mut());
                let name = alias.as_ref().map_or_else(|| "unnest".to_owned(), |alias| alias.name.value.clone());
                scope.relations.push(Relation { alias: name, columns });
            }
            TableFactor::Function { name, args, alias, .. } => {
                for arg in args {
                    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg {
                        let mut scopes = outer.to_vec();
                        scopes.push(scope.clone());
                        self.expr(expr, &scopes)?;
                    }
                }
                let function = name.0.last().and_then(|part| part.as_ident()).map(fold).unwrap_or_default();
                let columns = columns_of_alias(alias.as_mut());
                let alias = alias.as_ref().map_or(function, |alias| alias.name.value.clone());
                scope.relations.push(Relation { alias, columns });
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

    /// Finds a relation and writes its exact name; gives the name it is called by, and the provider unless it is a CTE.
    fn relation(&mut self, name: &mut ObjectName) -> Result<(String, Option<Arc<dyn TableProvider>>)> {
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
            if let Some(cte) = super::names::pick(&fold(&last), names).cloned() {
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
        let (schema, provider) = self
            .relations
            .register(&target, &options.unwrap_or_default())
            .map_err(|error| if error.position().is_some() { error } else { self.place(error, last.span) })?;
        self.count(self.relations.size_of(&schema, &target.name), last.span)?;
        *name = ObjectName::from(vec![
            Ident { value: schema, quote_style: Some('"'), span: idents[0].span },
            Ident { value: target.name.clone(), quote_style: Some('"'), span: last.span },
        ]);
        Ok((target.name, Some(provider)))
    }

    fn with_query(&self, name: &str) -> Option<&WithQuery> {
        self.ctes.iter().rev().find(|with| with.name == name)
    }

    /// A relation of that size is named here.
    fn count(&mut self, of: Size, span: Span) -> Result<()> {
        self.size.relations = self.size.relations.saturating_add(of.relations.max(1));
        self.size.nested = self.size.nested.max(self.within + of.nested);
        self.size.depth = self.size.depth.max(of.depth + 1);
        self.size.check().map_err(|error| self.place(error, span))
    }

    /// A query in an expression.
    fn sub_query(&mut self, query: &mut Query, scopes: &[Scope]) -> Result<()> {
        self.within += 1;
        self.size.nested = self.size.nested.max(self.within);
        self.size.check()?;
        self.query(query, scopes)?;
        self.within -= 1;
        Ok(())
    }

    /// LIMIT and OFFSET: a parameter there is a bigint.
    fn row_count(&mut self, expr: &mut Expr, outer: &[Scope]) -> Result<()> {
        if let Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) = expr
            && let Some(index) = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok())
            && index > 0
        {
            *expr = placeholder(index - 1, Some(SqlType::BigInt(None)));
            return Ok(());
        }
        self.expr(expr, outer)
    }

    /// `= ANY ($1)`: a parameter there that the client gave no type is an array of texts.
    fn array_parameter(&mut self, expr: &mut Expr) {
        if let Expr::Nested(inner) = expr {
            return self.array_parameter(inner);
        }
        if let Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) = expr
            && let Some(index) = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok())
            && index > 0
            && !matches!(self.parameter_types.get(index - 1), Some(Some(_)))
        {
            let texts = ArrayElemTypeDef::SquareBracket(Box::new(SqlType::Text), None);
            *expr = placeholder(index - 1, Some(SqlType::Array(texts)));
            self.has_array_parameters = true;
        }
    }

    /// An ORDER BY expression: a lone name means a column of the result first.
    fn order_expr(&mut self, expr: &mut Expr, scopes: &[Scope]) -> Result<()> {
        if let Expr::Identifier(ident) = expr
            && let Some(scope) = scopes.last()
            && let Some(exact) = super::names::pick(&ident.value, scope.aliases.iter())
        {
            ident.value.clone_from(exact);
            ident.quote_style = Some('"');
            return Ok(());
        }
        self.expr(expr, scopes)
    }

    fn expr(&mut self, expr: &mut Expr, scopes: &[Scope]) -> Result<()> {
        let mut visitor = Exprs { resolver: self, scopes, depth: 0, error: None };
        let _ = VisitMut::visit(expr, &mut visitor);
        visitor.error.map_or(Ok(()), Err)
    }

    fn column(&self, ident: &Ident, scopes: &[Scope]) -> Result<Option<String>> {
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
                    return Err(self.place(error.code("42702"), ident.span));
                }
            }
            if let Some(alias) = super::names::pick(&ident.value, scope.aliases.iter()) {
                return Ok(Some(alias.clone()));
            }
            if scope.relations.iter().any(|relation| relation.columns.is_none()) {
                return Ok(Some(ident.value.clone())); // it may be one of the unknown columns
            }
        }
        Ok(None)
    }

    fn identifier(&mut self, ident: &mut Ident, scopes: &[Scope]) -> Result<Option<Expr>> {
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
        let mut error = Error::not_found(format!("column \"{}\" does not exist", ident.value)).code("42703");
        if let Some(near) = nearest(&ident.value, known) {
            error = error.hint(format!("Perhaps you meant to reference the column \"{near}\"."));
        }
        Err(self.place(error, ident.span))
    }

    /// What a name means that is a merged column's in the innermost scope that knows it.
    fn merged_column(&self, ident: &Ident, scopes: &[Scope]) -> Option<(String, Expr)> {
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

    fn parameter(&self, name: &str) -> Option<Expr> {
        let index = self.parameters.iter().position(|parameter| parameter.name.eq_ignore_ascii_case(name))?;
        Some(placeholder(index, self.parameters[index].cast.clone()))
    }

    fn compound(&mut self, idents: &mut Vec<Ident>, scopes: &[Scope]) -> Result<Option<Expr>> {
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
        let access_chain = fields.into_iter().map(super::field_access::of_field).collect();
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
                let Some(exact) = super::names::pick(&column.value, columns.iter()) else {
                    let mut error =
                        Error::not_found(format!("column {}.{} does not exist", relation.alias, column.value))
                            .code("42703");
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
        let error = Error::not_found(format!("missing FROM-clause entry for table \"{}\"", fold(table))).code("42P01");
        Err(self.place(error, table.span))
    }
}

/// Writes `*` out where columns are merged.
fn write_out_wildcards(projection: &mut Vec<SelectItem>, scope: &Scope) {
    let is_plain = |item: &SelectItem| matches!(item, SelectItem::Wildcard(options) if *options == Default::default());
    if !projection.iter().any(is_plain) {
        return;
    }
    let Some(columns) = scope.wildcard() else { return };
    *projection = std::mem::take(projection)
        .into_iter()
        .flat_map(|item| if is_plain(&item) { columns.clone() } else { vec![item] })
        .collect();
}

/// A parameter's expression, cast to its type where that is known.
pub fn placeholder(index: usize, cast: Option<SqlType>) -> Expr {
    let value = Value::Placeholder(format!("${}", index + 1));
    let expr = Expr::Value(ValueWithSpan { value, span: Span::empty() });
    match cast {
        Some(data_type) => {
            Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
        }
        None => expr,
    }
}

/// A call of a function.
fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// Visits the expressions of a tree; nested queries are resolved in their own scopes.
struct Exprs<'r, 'p> {
    resolver: &'r mut Resolver<'p>,
    scopes: &'r [Scope],
    depth: usize,
    error: Option<Error>,
}

impl VisitorMut for Exprs<'_, '_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if self.depth == 0
            && let Err(error) = self.resolver.sub_query(query, self.scopes)
        {
            self.error = Some(error);
            return ControlFlow::Break(());
        }
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        let is_column = |name: &str| {
            let ident = Ident::new(name);
            self.resolver.column(&ident, self.scopes).is_ok_and(|found| found.is_some())
                || self.resolver.parameter(name).is_some()
        };
        if let Err(error) = operators::before(expr, is_column) {
            self.error = Some(error);
            return ControlFlow::Break(());
        }
        // Before an interval is written out.
        calendar::mark(expr);
        any::write_out(expr);
        let result = match expr {
            Expr::Identifier(ident) => self.resolver.identifier(ident, self.scopes),
            Expr::CompoundIdentifier(idents) => self.resolver.compound(idents, self.scopes),
            Expr::CompoundFieldAccess { root, access_chain } => {
                super::field_access::normalize(root, access_chain);
                Ok(None)
            }
            Expr::Function(function) => {
                let span = function.name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.span);
                let noted = self.resolver.relations.note_function(function);
                noted.map(|()| None).map_err(|error| self.resolver.place(error, span.unwrap_or_else(Span::empty)))
            }
            Expr::Collate { collation, .. } => refuse_collation(collation).map(|()| None),
            Expr::AtTimeZone { .. } => Err(Error::unsupported("AT TIME ZONE is not supported yet")
                .hint("SET TimeZone, then CAST between TIMESTAMP and TIMESTAMP_LTZ.")),
            Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => {
                self.resolver.array_parameter(right);
                Ok(None)
            }
            _ => Ok(None),
        };
        match result {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(replacement)) => {
                *expr = replacement;
                ControlFlow::Continue(())
            }
            Err(error) => {
                self.error = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        operators::after(expr);
        let index = match expr {
            Expr::Interval(interval) => {
                let span = match interval.value.as_ref() {
                    Expr::Value(ValueWithSpan { span, .. }) => *span,
                    _ => Span::empty(),
                };
                if let Err(error) = intervals::write_out(interval) {
                    self.error = Some(self.resolver.place(error, span));
                    return ControlFlow::Break(());
                }
                None
            }
            Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) => {
                name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok())
            }
            Expr::Value(ValueWithSpan { value: Value::Number(..), .. })
            | Expr::SimilarTo { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. } => {
                if let Err(error) = super::literals::write_out(expr) {
                    self.error = Some(error);
                    return ControlFlow::Break(());
                }
                None
            }
            _ => None,
        };
        if let Some(index) = index.and_then(|index| index.checked_sub(1))
            && let Some(Some(sql_type)) = self.resolver.parameter_types.get(index)
        {
            *expr = placeholder(index, Some(sql_type.clone()));
        }
        ControlFlow::Continue(())
    }
}

/// Strings are compared by their bytes, so that no other collation can be asked for.
fn refuse_collation(collation: &ObjectName) -> Result<()> {
    let name = collation.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.as_str());
    match name {
        Some("C" | "POSIX" | "default" | "ucs_basic") => Ok(()),
        _ => Err(Error::unsupported(format!(
            "collation {collation} is not supported: strings are compared by their bytes"
        ))),
    }
}

fn ident_mut(part: &mut ObjectNamePart) -> Option<&mut Ident> {
    match part {
        ObjectNamePart::Identifier(ident) => Some(ident),
        ObjectNamePart::Function(_) => None,
    }
}

fn find_relation<'s>(relations: &'s [Relation], ident: &Ident) -> Option<&'s Relation> {
    relations
        .iter()
        .find(|relation| relation.alias == ident.value)
        .or_else(|| relations.iter().find(|relation| relation.alias.eq_ignore_ascii_case(&ident.value)))
}

fn columns_of_alias(alias: Option<&mut TableAlias>) -> Option<Vec<String>> {
    let alias = alias?;
    (!alias.columns.is_empty()).then(|| alias.columns.iter().map(|column| column.name.value.clone()).collect())
}

fn renamed_columns(output: Output, renamed: Option<Vec<String>>) -> Output {
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

fn first_branch_columns(query: &Query) -> Output {
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
