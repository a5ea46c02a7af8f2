//! Turns what clients write and DataFusion cannot plan into what it can, on the syntax tree: qualified operators, functions and
//! types, `COLLATE`, casts to `regclass` and kin, `array(select …)`, correlated subqueries on the system catalog.
//! Never matches a whole statement's text; a statement that uses none of these stays as it is.
//!
//! The rule that carries most of psql's `\d`: a select whose FROM joins a relation that never has rows here has none either,
//! so its subqueries need not be planned.

mod expressions;
mod kinds;
mod single_row;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArguments, GroupByExpr, Ident, JoinOperator, ObjectName, ObjectNamePart,
    OrderByKind, Query, Select, SelectItem, SetExpr, Statement, TableFactor, TableWithJoins, Value, VisitMut, Visitor,
    VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use expressions::{call, call_with, cast, is_word, name_of, null, take};
use single_row::single_row;

use super::{is_always_empty, relation};
use crate::functions::expand_array::EXPAND_ARRAY;
use crate::sql::planning::result_names::{MARK, UNNAMED_COLUMN, column_name};

/// Rewrites a statement in place.
pub fn rewrite(statement: &mut Statement) {
    let _ = statement.visit(&mut Rewriter);
}

struct Rewriter;

impl VisitorMut for Rewriter {
    type Break = ();

    fn post_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
        // pg_catalog comes first in every search path.
        if let [ObjectNamePart::Identifier(ident)] = &name.0[..]
            && ident.value.len() > 3
            && ident.value[..3].eq_ignore_ascii_case("pg_")
            && relation::pg_catalog().iter().any(|shape| shape.name.eq_ignore_ascii_case(&ident.value))
        {
            name.0.insert(0, ObjectNamePart::Identifier(Ident::new("pg_catalog")));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        kinds::leave_out(select);
        if joins_an_empty_relation(&select.from) && !is_aggregate(select) && has_subquery(select) {
            nullify(select);
        }
        let names: Vec<Option<Ident>> = select.projection.iter().map(shown_name).collect();
        for item in &mut select.projection {
            show_registered(item, &names);
        }
        name_duplicates(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, .. } | TableFactor::Function { name, .. } => {
                // Table functions: `pg_catalog.generate_series(…)`.
                if let [schema, ObjectNamePart::Identifier(ident)] = &name.0[..]
                    && is_word(schema, "pg_catalog")
                    && !relation::pg_catalog().iter().any(|shape| shape.name.eq_ignore_ascii_case(&ident.value))
                {
                    name.0.remove(0);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        rewrite_expr(expr);
        ControlFlow::Continue(())
    }
}

fn text_array() -> Expr {
    let empty = Expr::Array(Array { elem: Vec::new(), named: true });
    cast(empty, DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(DataType::Text), None)))
}

fn rewrite_expr(expr: &mut Expr) {
    match expr {
        Expr::Collate { expr: inner, collation } if is_of_bytes(collation) => *expr = take(inner),
        Expr::BinaryOp { op, .. } => {
            if let BinaryOperator::PGCustomBinaryOperator(parts) = op
                && let Some(plain) = parts.last().and_then(|name| operator(name))
            {
                *op = plain;
            }
        }
        Expr::Function(function) => {
            if let Some(new) = rewrite_function(function) {
                *expr = new;
            }
        }
        Expr::Cast { .. } => rewrite_cast(expr),
        Expr::Subquery(query) => {
            if is_empty_query(query) {
                *expr = cast(null(), DataType::Text);
            } else {
                if !matches!(query.body.as_ref(), SetExpr::Select(select) if is_aggregate(select)) {
                    single_row(query);
                }
            }
        }
        Expr::Exists { subquery, negated } if is_empty_query(subquery) => {
            *expr = Expr::Value(Value::Boolean(*negated).into());
        }
        _ => {}
    }
}

fn operator(name: &str) -> Option<BinaryOperator> {
    Some(match name {
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        ">" => BinaryOperator::Gt,
        "<=" => BinaryOperator::LtEq,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "||" => BinaryOperator::StringConcat,
        _ => return None,
    })
}

/// Strips `pg_catalog.`; gives the replacement of `array(select …)`.
fn rewrite_function(function: &mut Function) -> Option<Expr> {
    if let [schema, name] = &function.name.0[..]
        && (is_word(schema, "pg_catalog") || is_word(schema, "information_schema") && is_word(name, EXPAND_ARRAY))
    {
        function.name.0.remove(0);
    }
    if function.name.0.len() == 1
        && is_word(&function.name.0[0], "array")
        && let FunctionArguments::Subquery(query) = &mut function.args
    {
        return Some(array_of(query));
    }
    if function.name.0.len() == 1
        && is_word(&function.name.0[0], "generate_subscripts")
        && let FunctionArguments::List(list) = &mut function.args
        && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(array))) = list.args.first_mut()
    {
        // The numbers from 1 to the array's length, a row each.
        let length = cast(call("array_length", take(array)), DataType::BigInt(None));
        let one = Expr::Value(Value::Number("1".to_owned(), false).into());
        return Some(call("unnest", call_with("generate_series", vec![one, length])));
    }
    if function.name.0.len() == 1 && is_word(&function.name.0[0], "pg_listening_channels") {
        return Some(call("unnest", Expr::Function(function.clone())));
    }
    None
}

/// `array(select e …)`: the values of a subquery, as an aggregate.
fn array_of(query: &mut Query) -> Expr {
    if is_empty_query(query) || unnests(query) {
        return text_array();
    }
    let is_plain = query.limit_clause.is_none() && query.fetch.is_none() && query.with.is_none();
    let order = query.order_by.as_ref().map(|order| &order.kind);
    let Some(order) = (match order {
        None => Some(Vec::new()),
        Some(OrderByKind::Expressions(order)) => Some(order.clone()),
        Some(_) => None,
    }) else {
        return array_over(query);
    };
    let SetExpr::Select(select) = query.body.as_mut() else { return array_over(query) };
    let is_plain = is_plain && select.distinct.is_none() && !is_aggregate(select);
    let [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] = &mut select.projection[..]
    else {
        return array_over(query);
    };
    // By its number or its name it is the item itself.
    let by_expression =
        order.iter().all(|by| !matches!(by.expr, Expr::Value(_) | Expr::Identifier(_)) || by.expr == *item);
    if !is_plain || !by_expression {
        return array_over(query);
    }
    // The order of the elements is the order of the rows.
    *item = call("array_agg", take(item));
    if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = item
        && !order.is_empty()
    {
        list.clauses.push(FunctionArgumentClause::OrderBy(order));
    }
    query.order_by = None;
    or_empty(query.clone())
}

/// The array of a query that is more than a list of rows.
fn array_over(query: &Query) -> Expr {
    let text = "SELECT array_agg(\"#item\") FROM (SELECT 1) AS \"#items\"(\"#item\")";
    let read = Parser::parse_sql(&PostgreSqlDialect {}, text).ok().and_then(|mut read| read.pop());
    let Some(Statement::Query(mut over)) = read else { return Expr::Subquery(Box::new(query.clone())) };
    if let SetExpr::Select(select) = over.body.as_mut()
        && let Some(TableFactor::Derived { subquery, .. }) = select.from.first_mut().map(|from| &mut from.relation)
    {
        **subquery = query.clone();
    }
    or_empty(*over)
}

/// No rows are an empty array.
fn or_empty(query: Query) -> Expr {
    let empty = Expr::Array(Array { elem: Vec::new(), named: true });
    call_with("coalesce", vec![Expr::Subquery(Box::new(query)), empty])
}

fn unnests(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    select.from.iter().any(|item| match &item.relation {
        TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => {
            name.0.last().is_some_and(|part| is_word(part, "unnest"))
        }
        TableFactor::UNNEST { .. } => true,
        _ => false,
    })
}

/// Whether a collation is by bytes, as all strings are compared; another one is left for its refusal.
fn is_of_bytes(collation: &ObjectName) -> bool {
    let name = collation.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.as_str());
    matches!(name, Some("C" | "POSIX" | "default" | "ucs_basic"))
}

/// The bare name of a type that only the system catalog has: `pg_catalog.regclass` → `regclass`.
fn catalog_type(data_type: &DataType) -> Option<String> {
    match data_type {
        DataType::Regclass => Some("regclass".to_owned()),
        DataType::Custom(name, _) => match &name.0[..] {
            [ObjectNamePart::Identifier(ident)] => Some(ident.value.to_lowercase()),
            [schema, ObjectNamePart::Identifier(ident)]
                if is_word(schema, "pg_catalog") || is_word(schema, "information_schema") =>
            {
                Some(ident.value.to_lowercase())
            }
            _ => None,
        },
        _ => None,
    }
}

/// What a type of the system catalog is for DataFusion.
fn plain_type(name: &str) -> Option<DataType> {
    Some(match name {
        "text" | "name" | "char" | "varchar" | "bpchar" | "cstring" | "unknown" | "sql_identifier"
        | "character_data" | "yes_or_no" => DataType::Text,
        "oid" | "xid" => DataType::IntUnsigned(None),
        "int2" => DataType::SmallInt(None),
        "int4" | "cardinal_number" => DataType::Integer(None),
        "int8" => DataType::BigInt(None),
        "float4" => DataType::Real,
        "float8" => DataType::Double(datafusion::sql::sqlparser::ast::ExactNumberInfo::None),
        "bool" => DataType::Boolean,
        "numeric" => DataType::Numeric(datafusion::sql::sqlparser::ast::ExactNumberInfo::None),
        "date" => DataType::Date,
        "timestamp" => DataType::Timestamp(None, datafusion::sql::sqlparser::ast::TimezoneInfo::None),
        "timestamptz" => DataType::Timestamp(None, datafusion::sql::sqlparser::ast::TimezoneInfo::Tz),
        _ => return None,
    })
}

/// Types whose values are oids with names: `regclassin` reads one, `regclassout` prints it.
const REGISTERED: &[(&str, &str, &str)] = &[
    ("regclass", "regclassin", "regclassout"),
    ("regtype", "regtypein", "regtypeout"),
    ("regproc", "regprocin", "regprocout"),
    ("regprocedure", "regprocin", "regprocout"),
    ("regnamespace", "regnamespacein", "regnamespaceout"),
    ("regrole", "regrolein", "regroleout"),
];

/// The printing function for an expression that a cast to one of these types made.
fn printer(expr: &Expr) -> Option<&'static str> {
    let Expr::Function(function) = expr else { return None };
    let [ObjectNamePart::Identifier(name)] = &function.name.0[..] else { return None };
    REGISTERED.iter().find(|(_, reader, _)| *reader == name.value).map(|(_, _, printer)| *printer)
}

fn rewrite_cast(expr: &mut Expr) {
    let Expr::Cast { expr: inner, data_type, .. } = expr else { return };
    plain_elements(data_type);
    let name = catalog_type(data_type);
    if let Some((_, reader, _)) = REGISTERED.iter().find(|(of, _, _)| name.as_deref() == Some(*of)) {
        *expr = call(reader, take(inner));
        return;
    }
    if let Some(plain) = name.as_deref().and_then(plain_type) {
        *data_type = plain;
    }
    let to_text = matches!(data_type, DataType::Text | DataType::Varchar(_) | DataType::String(_));
    if to_text && let Some(printer) = printer(inner) {
        *expr = call(printer, take(inner));
    }
}

fn plain_elements(data_type: &mut DataType) {
    if let DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) = data_type
        && let Some(plain) = catalog_type(element).as_deref().and_then(plain_type)
    {
        **element = plain;
    }
}

/// `select x::regclass` shows a name; in comparisons the same expression stays an oid.
fn show_registered(item: &mut SelectItem, names: &[Option<Ident>]) {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { return };
    let Some(printer) = printer(expr) else { return };
    let name = match expr {
        Expr::Function(function) => match &function.args {
            FunctionArguments::List(list) => match list.args.first() {
                Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))) => name_of(argument),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let shown = call(printer, take(expr));
    match item {
        SelectItem::ExprWithAlias { expr, .. } => *expr = shown,
        _ => {
            // `select oid, oid::regclass`: the name is taken.
            let free = |name: &Ident| !names.iter().flatten().any(|taken| taken.value == name.value);
            let alias = name.filter(free).unwrap_or_else(|| Ident::new(printer.trim_end_matches("out")));
            *item = SelectItem::ExprWithAlias { expr: shown, alias };
        }
    }
}

/// Postgres lets columns of a result have one name (`select 1, 1`), DataFusion does not. What makes it another one is not shown.
fn name_duplicates(projection: &mut [SelectItem]) {
    let mut seen = Vec::new();
    for (place, item) in projection.iter_mut().enumerate() {
        let SelectItem::UnnamedExpr(expr) = &mut *item else { continue };
        let text = expr.to_string();
        if seen.contains(&text) {
            let name = match column_name(expr) {
                name if name == UNNAMED_COLUMN => name,
                name => format!("{name}{MARK}"),
            };
            let alias = Ident::with_quote('"', format!("{name}{}", place + 1));
            *item = SelectItem::ExprWithAlias { expr: take(expr), alias };
        } else {
            seen.push(text);
        }
    }
}

fn shown_name(item: &SelectItem) -> Option<Ident> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.clone()),
        SelectItem::UnnamedExpr(expr) if printer(expr).is_none() => name_of(expr),
        _ => None,
    }
}

fn is_empty_relation(factor: &TableFactor) -> bool {
    let TableFactor::Table { name, args: None, .. } = factor else { return false };
    match &name.0[..] {
        [schema, ObjectNamePart::Identifier(ident)] if is_word(schema, "pg_catalog") => {
            is_always_empty(&ident.value.to_lowercase())
        }
        _ => false,
    }
}

/// Whether one of the inner-joined relations never has rows.
fn joins_an_empty_relation(from: &[TableWithJoins]) -> bool {
    from.iter().any(|item| {
        let preserved = item.joins.iter().any(|join| {
            matches!(
                join.join_operator,
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_)
            )
        });
        let inner = |operator: &JoinOperator| {
            matches!(operator, JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_))
        };
        !preserved
            && (is_empty_relation(&item.relation)
                || item.joins.iter().any(|join| inner(&join.join_operator) && is_empty_relation(&join.relation)))
    })
}

fn is_empty_query(query: &Query) -> bool {
    match query.body.as_ref() {
        SetExpr::Select(select) => {
            (joins_an_empty_relation(&select.from) || is_nullified(select)) && !is_aggregate(select)
        }
        _ => false,
    }
}

const AGGREGATES: &[&str] = &[
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "array_agg",
    "string_agg",
    "bool_and",
    "bool_or",
    "every",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
];

/// Looks for functions and subqueries in expressions.
#[derive(Default)]
struct Finder {
    aggregate: bool,
    subquery: bool,
    depth: usize,
}

impl Visitor for Finder {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => {
                let name = function.name.0.last();
                // An aggregate of a subquery is the subquery's.
                self.aggregate |= self.depth == 0
                    && name.is_some_and(|part| AGGREGATES.iter().any(|aggregate| is_word(part, aggregate)));
                self.subquery |= matches!(function.args, FunctionArguments::Subquery(_));
            }
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => self.subquery = true,
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn find_in(select: &Select) -> Finder {
    use datafusion::sql::sqlparser::ast::Visit;
    let mut finder = Finder::default();
    let _ = select.projection.visit(&mut finder);
    let outside_of_where = finder.aggregate;
    let _ = select.selection.visit(&mut finder);
    finder.aggregate = outside_of_where;
    finder
}

fn has_subquery(select: &Select) -> bool {
    // `array(select …)` of an empty relation has become a cast array by now; a CASE around it would still have to be planned.
    let shown = select.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => matches!(expr, Expr::Case { .. }),
        _ => false,
    });
    shown || find_in(select).subquery
}

fn is_aggregate(select: &Select) -> bool {
    let grouped = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(expressions, _) => !expressions.is_empty(),
    };
    grouped || select.having.is_some() || find_in(select).aggregate
}

/// No rows: NULLs of the same names, from nowhere.
fn nullify(select: &mut Select) {
    let explicit = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    if !select.projection.iter().all(explicit) {
        return;
    }
    for (place, item) in select.projection.iter_mut().enumerate() {
        let alias = match &*item {
            SelectItem::ExprWithAlias { alias, .. } => alias.clone(),
            SelectItem::UnnamedExpr(expr) => {
                let taken =
                    name_of(expr).filter(|_| place == 0 || !matches!(expr, Expr::Function(_) | Expr::Case { .. }));
                taken.unwrap_or_else(|| Ident::new(format!("column{}", place + 1)))
            }
            _ => continue,
        };
        *item = SelectItem::ExprWithAlias { expr: cast(null(), DataType::Text), alias };
    }
    select.from.clear();
    select.selection = Some(Expr::Value(Value::Boolean(false).into()));
}

fn is_nullified(select: &Select) -> bool {
    select.from.is_empty()
        && matches!(&select.selection, Some(Expr::Value(value)) if matches!(value.value, Value::Boolean(false)))
}

#[cfg(test)]
mod tests;
