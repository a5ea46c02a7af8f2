//! Rewrites a query's tree so that every name is the exact name of what it means: relations (with their OPTIONS hints), columns
//! without regard to case, parameters of a function's body. DataFusion then matches names literally.

mod age;
mod any;
mod calendar;
mod collected;
mod columns;
mod documents;
mod doubles;
mod exprs;
mod from;
mod intervals;
mod merged;
mod moments;
mod multiset;
mod operators;
mod order;
mod scope;
mod series;
mod written;

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, Cte, DataType as SqlType, Expr, Function, GroupByExpr, Ident, LimitClause, ObjectName,
    OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Value, ValueWithSpan, Values,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use self::scope::{Output, Scope, ScopedRelation, find_relation, first_branch_columns, ident_mut, renamed_columns};
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::{Hints, Places, fold};
use crate::sql::planning::names::{Names, Target, pick};
use crate::sql::planning::plan_size::{COLUMNS_MAX, Size, WITH_QUERIES_MAX, check_grouping};
use crate::sql::planning::result_names::column_name;
use crate::sql::planning::state_ttl_hint;

pub use self::written::placeholder;

/// How a parameter of a function's body is written into its tree.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The type it is cast to, if its type matters.
    pub cast: Option<SqlType>,
}

/// A relation that is known to the plan.
pub struct Registered {
    /// What it is read through.
    pub provider: Arc<dyn TableProvider>,
    /// The mark that its table in FROM gets, if a hint makes it different from the table of that name.
    pub mark: Option<Expr>,
}

/// What the resolver asks of whoever knows the relations and the functions.
pub trait Relations {
    /// What names mean.
    fn names(&self) -> &Names;
    /// Makes a relation known to the plan.
    fn register(&self, target: &Target, options: &[(String, String)]) -> Result<Registered>;
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
    /// Whether a query orders its rows.
    pub has_order: bool,
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
            has_order: false,
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
        let relations = vec![ScopedRelation { alias: String::new(), columns: Some(columns) }];
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
        self.has_order |= query.order_by.is_some();
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
            scope.relations.push(ScopedRelation { alias: String::new(), columns: None });
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
            return Err(self.place(Error::invalid(message).code(SqlState::StatementTooComplex), cte.alias.name.span));
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
                        return Err(Error::invalid(message).code(SqlState::SyntaxError));
                    }
                    let none = Values { explicit_row: false, value_keyword: false, rows: Vec::new() };
                    let empty = || Box::new(SetExpr::Values(none.clone()));
                    let (left, right) = (std::mem::replace(left, empty()), std::mem::replace(right, empty()));
                    *body = multiset::write_out(*op, *left, *right, output.as_deref())?;
                }
                Ok((output, None))
            }
            SetExpr::Values(values) => {
                documents::of_values(&mut values.rows);
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
                let (_, registered) = self.relation(&mut name)?;
                Err(Error::unsupported(format!(
                    "TABLE is not supported; write SELECT * FROM, which gives {} columns",
                    registered.map_or(0, |registered| registered.provider.schema().fields().len())
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
            state_ttl_hint::apply(select, &hint, &is_aggregate)?;
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
                return Err(Error::invalid(error).code(SqlState::TooManyColumns));
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
            self.expr(window, &with_aliases)?;
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
                    return Err(self.place(error.code(SqlState::UndefinedTable), wanted.span));
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
            && let Some(exact) = pick(&ident.value, scope.aliases.iter())
        {
            ident.value.clone_from(exact);
            ident.quote_style = Some('"');
            return Ok(());
        }
        self.expr(expr, scopes)
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
