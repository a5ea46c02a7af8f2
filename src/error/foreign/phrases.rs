//! The sentences of DataFusion and Arrow that are known, and what is told in their place: Postgres' words where it has some.

use datafusion::arrow::datatypes::DataType;

use super::sql_words::{in_sql_words, leading_type};
use crate::data_type::to_postgres;
use crate::error::{Error, SqlState};

const CASTS: &str = "You might need to add explicit type casts.";

/// What a sentence is told as, if it is known.
pub fn reworded(text: &str) -> Option<Error> {
    of_values(text)
        .or_else(|| of_functions(text))
        .or_else(|| of_operators(text))
        .or_else(|| of_types(text))
        .or_else(|| of_clauses(text))
        .or_else(|| of_grouping(text))
        .or_else(|| of_sub_queries(text))
}

/// What stands between two pieces of a text.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

fn behind<'t>(text: &'t str, before: &str) -> Option<&'t str> {
    text.split_once(before).map(|(_, rest)| rest)
}

fn type_name(text: &str) -> String {
    leading_type(text.trim()).map_or_else(|| in_sql_words(text.trim()), |(data_type, _)| to_postgres(&data_type))
}

fn mismatch(message: String) -> Error {
    Error::invalid(message).code(SqlState::DatatypeMismatch)
}

/// Texts that are no values of a type.
fn of_unread_text(text: &str) -> Option<Error> {
    let uncast = ["annot cast string '", "annot cast value '"].iter().find_map(|start| behind(text, start));
    let (value, to) = uncast.and_then(|rest| rest.rsplit_once("' to value of "))?;
    let to_integer = matches!(to.split([' ', '(', '.']).next(), Some("Int8" | "Int16" | "Int32" | "Int64"));
    let digits = value.trim().trim_start_matches(['-', '+']);
    if to_integer && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let to = type_name(to.split([' ', '.']).next().unwrap_or(to));
        let message = format!("value \"{value}\" is out of range for type {to}");
        return Some(Error::row(message).code(SqlState::NumericValueOutOfRange));
    }
    let name = match to.split([' ', '(']).next().unwrap_or_default() {
        decimal if decimal.starts_with("Decimal") => "numeric".to_owned(),
        other => type_name(other),
    };
    Some(
        Error::row(format!("invalid input syntax for type {name}: \"{value}\""))
            .code(SqlState::InvalidTextRepresentation),
    )
}

/// Dates, times and timestamps that cannot be read or are beyond their range.
fn of_moments(text: &str) -> Option<Error> {
    if ["timestamp", "date", "time"].iter().any(|of| text.contains(&format!("rror parsing {of}"))) {
        let value = text.split('\'').nth(1).unwrap_or_default();
        return Some(
            Error::row(format!("invalid input syntax for type timestamp: \"{value}\""))
                .code(SqlState::InvalidDatetimeFormat),
        );
    }
    if text.contains("ate arithmetic overflow")
        || (text.contains("cast to Interval") && text.contains("Overflowing on"))
    {
        return Some(Error::row("date out of range").code(SqlState::DatetimeFieldOverflow));
    }
    if text.contains("imestamp out of range") {
        return Some(Error::row("timestamp out of range").code(SqlState::DatetimeFieldOverflow));
    }
    if ["onth value '", "ay value '", "ear value '"].iter().any(|field| text.contains(field))
        && text.contains("out of range")
    {
        return Some(Error::row("date field value out of range").code(SqlState::DatetimeFieldOverflow));
    }
    if text.contains("imestamp") && text.contains("exceeds the representable i64 range") {
        return Some(
            Error::row("timestamp out of range")
                .code(SqlState::DatetimeFieldOverflow)
                .hint("TIMESTAMP(9) holds 1677 to 2262."),
        );
    }
    None
}

/// Values that do not fit: rows in error.
fn of_values(text: &str) -> Option<Error> {
    if text.contains("ivide by zero") || text.contains("ivision by zero") {
        return Some(Error::row("division by zero").code(SqlState::DivisionByZero));
    }
    if let Some(known) = of_codes(text) {
        return Some(known);
    }
    if let Some(known) = of_unread_text(text) {
        return Some(known);
    }
    if let Some(known) = of_moments(text) {
        return Some(known);
    }
    if let Some((value, to)) = behind(text, "an't cast value ").and_then(|rest| rest.rsplit_once(" to type ")) {
        let message = format!("value \"{value}\" is out of range for type {}", type_name(to));
        return Some(Error::row(message).code(SqlState::NumericValueOutOfRange));
    }
    if let Some((value, rest)) = text.split_once(" is too large to store in a Decimal") {
        let value = value.rsplit(' ').next().unwrap_or_default();
        let digits = between(rest, "precision ", ".").unwrap_or("fewer");
        return Some(
            Error::row(format!("numeric field overflow: {value} has more than {digits} digits"))
                .code(SqlState::NumericValueOutOfRange),
        );
    }
    if let Some(operation) = behind(text, "verflow happened on: ") {
        return Some(Error::row(format!("value out of range: {operation}")).code(SqlState::NumericValueOutOfRange));
    }
    if let Some((kind, call)) = text.split_once("Array overflow on ") {
        let kind = type_name(kind.rsplit(' ').next().unwrap_or_default());
        return Some(Error::row(format!("{kind} out of range: {call}")).code(SqlState::NumericValueOutOfRange));
    }
    if text.contains("verflow") || text.contains("too large to store") {
        return Some(Error::row(super::lower_first(&in_sql_words(text))).code(SqlState::NumericValueOutOfRange));
    }
    if text.contains("non-nullable") {
        return Some(Error::row(super::lower_first(&in_sql_words(text))).code(SqlState::NotNullViolation));
    }
    if let Some(value) = behind(text, "nvalid input syntax for type interval: ") {
        return Some(
            Error::row(format!("invalid input syntax for type interval: {value}"))
                .code(SqlState::InvalidDatetimeFormat),
        );
    }
    if let Some(digits) = between(text, "ecimal precision ", " exceeds the maximum") {
        let message = format!("a number of {digits} digits is too long: 76 are the most");
        return Some(Error::invalid(message).code(SqlState::NumericValueOutOfRange));
    }
    None
}

/// Values that have an SQLSTATE of their own.
fn of_codes(text: &str) -> Option<Error> {
    const CODES: &[(&str, SqlState, &str)] = &[
        (
            "ero raised to a negative power is undefined",
            SqlState::InvalidArgumentForPowerFunction,
            "zero raised to a negative power is undefined",
        ),
        (
            "square root of a negative number",
            SqlState::InvalidArgumentForPowerFunction,
            "cannot take square root of a negative number",
        ),
        (
            "TILE requires a positive integer",
            SqlState::InvalidArgumentForNtile,
            "argument of ntile must be greater than zero",
        ),
        ("field position must not be zero", SqlState::InvalidParameterValue, "field position must not be zero"),
        (
            "nvalid Unicode scalar value",
            SqlState::InvalidParameterValue,
            "requested character is not a valid Unicode character",
        ),
        ("step can't be 0", SqlState::InvalidParameterValue, "step size cannot equal zero"),
    ];
    if text.contains("calar subquery returned more than one row") {
        let message = "more than one row returned by a subquery used as an expression";
        return Some(Error::invalid(message).code(SqlState::CardinalityViolation));
    }
    if text.contains("DISTINCT ON expressions must match initial ORDER BY expressions") {
        let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
        return Some(Error::invalid(message).code(SqlState::InvalidColumnReference));
    }
    let (_, code, message) = CODES.iter().find(|(part, ..)| text.contains(part))?;
    Some(Error::row(*message).code(*code))
}

/// Calls of functions with arguments that they do not take.
fn of_functions(text: &str) -> Option<Error> {
    let no_such = |call: &str| {
        Error::not_found(format!("function {call} does not exist"))
            .code(SqlState::UndefinedFunction)
            .hint(format!("No function matches the given name and argument types. {CASTS}"))
    };
    if let Some(name) = between(text, "nvalid function '", "'") {
        return Some(Error::not_found(format!("function {name} does not exist")).code(SqlState::UndefinedFunction));
    }
    if let Some(call) = between(text, "given name and argument types '", "'.") {
        let call = in_sql_words(call);
        return Some(match call.split_once('(') {
            Some(("array_element", of)) => {
                let of = of.split(", ").next().unwrap_or(of);
                mismatch(format!("cannot subscript type {of} because it does not support subscripting"))
            }
            Some(("make_array", of)) => {
                mismatch(format!("ARRAY types {} cannot be matched", of.trim_end_matches(')').replace(", ", " and ")))
            }
            _ => no_such(&call),
        });
    }
    let name = between(text, "unction '", "'")?;
    let takes = behind(text, " expects ").and_then(|rest| rest.split_once(" arguments but received "));
    let (wanted, given) = takes.unwrap_or_default();
    let given: String = given.chars().take_while(char::is_ascii_digit).collect();
    if let Some(found) = between(text, "(DataType: ", ").").or_else(|| between(text, "(DataType: ", ")")) {
        let message = format!("function {name} does not take an argument of type {}", type_name(found));
        return Some(Error::not_found(message).code(SqlState::UndefinedFunction).hint(CASTS));
    }
    if takes.is_some() {
        let plural = if wanted == "1" { "" } else { "s" };
        let message = format!("function {name} takes {wanted} argument{plural}, not {given}");
        return Some(Error::not_found(message).code(SqlState::UndefinedFunction));
    }
    text.contains("failed to match any signature").then(|| no_such(name))
}

/// `Int64 + List(Utf8)`, which a text begins with.
fn operation(text: &str) -> Option<(DataType, &str, DataType)> {
    let (left, rest) = leading_type(text)?;
    let rest = rest.strip_prefix(' ')?;
    // The operator may be of two words; the type behind it begins with a capital, as do AND and OR.
    let right = rest.match_indices(' ').find_map(|(at, _)| Some((at, leading_type(&rest[at + 1..])?.0)))?;
    Some((left, &rest[..right.0], right.1))
}

/// Operands that an operator does not take.
fn of_operators(text: &str) -> Option<Error> {
    const BEFORE: &[&str] = &[
        "annot coerce arithmetic expression ",
        "annot infer common argument type for comparison operation ",
        "annot infer common argument type for logical boolean operation ",
        "annot get result type for temporal operation ",
        "annot get result type for arithmetic operation ",
    ];
    let no_such = |left: &str, operator: &str, right: &str| {
        Error::not_found(format!("operator does not exist: {left} {operator} {right}"))
            .code(SqlState::UndefinedFunction)
            .hint(CASTS)
    };
    if let Some((left, operator, right)) = BEFORE.iter().find_map(|before| behind(text, before)).and_then(operation) {
        let other = if left == DataType::Boolean { &right } else { &left };
        return Some(match operator {
            "AND" | "OR" => {
                mismatch(format!("argument of {operator} must be type boolean, not type {}", to_postgres(other)))
            }
            _ => no_such(&to_postgres(&left), operator, &to_postgres(&right)),
        });
    }
    if let Some(rest) = behind(text, "isn't a common type to coerce ")
        && let Some((types, operator)) = rest.split_once(" in ")
        && let Some((left, right)) = types.split_once(" and ")
    {
        let operator = operator.split(" expression").next().unwrap_or(operator);
        return Some(no_such(&type_name(left), operator, &type_name(right)));
    }
    if let Some(rest) = behind(text, "expr type ").filter(|rest| rest.contains(" can't cast to "))
        && let Some((left, right)) = rest.split_once(" can't cast to ")
    {
        return Some(no_such(&type_name(left), "=", &type_name(right)));
    }
    if let Some((left, right)) = behind(text, "nvalid comparison operation: ").and_then(|rest| rest.split_once(" == "))
    {
        return Some(no_such(&type_name(left), "=", &type_name(right)));
    }
    if text.contains("unnest() can only be applied to") {
        return Some(
            Error::not_found("unnest() takes an array or a map").code(SqlState::UndefinedFunction).hint(CASTS),
        );
    }
    if let Some(found) = behind(text, "operator 'NOT' requires a boolean expression, got ") {
        return Some(mismatch(format!("argument of NOT must be type boolean, not type {}", type_name(found))));
    }
    let sign = between(text, "nary operator '", "' only supports")?;
    let message = format!("operator {sign} takes numbers, intervals and timestamps only");
    Some(Error::not_found(message).code(SqlState::UndefinedFunction).hint(CASTS))
}

/// Types that do not go together, and casts that there are not.
fn of_types(text: &str) -> Option<Error> {
    let matched = |what: &str, left: &str, right: &str| {
        mismatch(format!("{what} types {} and {} cannot be matched", type_name(left), type_name(right)))
    };
    if let Some((from, to)) = behind(text, "nsupported CAST from ").and_then(|rest| rest.split_once(" to ")) {
        let message = format!("cannot cast type {} to {}", type_name(from), type_name(to));
        return Some(Error::invalid(message).code(SqlState::CannotCoerce));
    }
    if text.contains("in CASE WHEN expression") || text.contains("in CASE expression") {
        let types: Vec<&str> =
            text.split(" (").skip(1).filter_map(|rest| rest.split_once(") ").map(|(of, _)| of)).collect();
        if let [left, right] = types[..] {
            return Some(matched("CASE", left, right));
        }
        return Some(mismatch("the types of this CASE cannot be matched".to_owned()).hint(CASTS));
    }
    if let Some(left) = between(text, "Previous inputs were of type ", ", but got incompatible type ")
        && let Some(right) = between(text, "but got incompatible type ", " on column")
    {
        return Some(matched("UNION", left, right));
    }
    if let Some((left, right)) = behind(text, ". Was ").and_then(|rest| rest.split_once(" but found ")) {
        return Some(matched("VALUES", left, right));
    }
    if let Some(of) = between(text, "argument 1: type ", " is not Struct, Map, or Null") {
        let message = format!("type {} is neither a row nor a map: it has no fields", type_name(of));
        return Some(Error::invalid(message).code(SqlState::WrongObjectType));
    }
    if let Some(field) = between(text, "ield ", " not found in struct") {
        return Some(
            Error::not_found(format!("field \"{field}\" does not exist in this row")).code(SqlState::UndefinedColumn),
        );
    }
    if let Some(of) = behind(text, "Min/Max accumulator not implemented for type ") {
        return Some(Error::unsupported(format!("MIN and MAX do not take values of type {}", type_name(of))));
    }
    if let Some((_, found)) =
        text.split_once("non-boolean predicate ").and_then(|(_, rest)| rest.rsplit_once(" returning "))
    {
        return Some(mismatch(format!("argument of WHERE must be type boolean, not type {}", type_name(found))));
    }
    if text.contains("ype mismatch") || text.contains("annot cast") {
        return Some(mismatch(super::lower_first(&in_sql_words(text))).hint(CASTS));
    }
    None
}

/// GROUP BY and ORDER BY of what is not in the select list.
fn of_select_list(text: &str) -> Option<Error> {
    let invalid = |message: &str| Some(Error::invalid(message).code(SqlState::InvalidColumnReference));
    if let Some(position) = between(text, "annot find column with position ", " in SELECT") {
        return invalid(&format!("GROUP BY position {position} is not in select list"));
    }
    if let Some(position) = between(text, "rder by column out of bounds, specified: ", ",") {
        return invalid(&format!("ORDER BY position {position} is not in select list"));
    }
    if text.contains("or SELECT DISTINCT, ORDER BY expressions") {
        return invalid("for SELECT DISTINCT, ORDER BY expressions must appear in select list");
    }
    None
}

/// Clauses that are not as they must be.
fn of_clauses(text: &str) -> Option<Error> {
    let invalid = |message: &str, code: SqlState| Some(Error::invalid(message).code(code));
    if let Some(known) = of_select_list(text) {
        return Some(known);
    }
    if let Some((of, _)) = text.split_once(" queries have different number of columns") {
        let of = of.rsplit(' ').next().unwrap_or(of);
        return invalid(&format!("each {of} query must have the same number of columns"), SqlState::SyntaxError);
    }
    if text.contains("LATERAL syntax is not supported for ") {
        let message = "a LATERAL relation or an UNNEST reads columns from the other side of a RIGHT or FULL JOIN";
        let detail = "The combining JOIN type must be INNER or LEFT for a LATERAL reference.";
        return invalid(message, SqlState::InvalidColumnReference).map(|error| error.detail(detail));
    }
    if text.contains("mpty tuple not supported") {
        let error = Error::unsupported("GROUP BY () is not supported yet");
        return Some(error.hint("Without GROUP BY the aggregates are over all rows, too."));
    }
    if text.contains("oin condition should not be empty") {
        return invalid("an outer join needs ON or USING", SqlState::SyntaxError);
    }
    if text.contains("nconsistent data length across values list") {
        return invalid("VALUES lists must all be the same length", SqlState::SyntaxError);
    }
    if let Some(counts) = behind(text, "ource table contains ")
        && let Some((columns, names)) = counts.split_once(" columns but only ")
    {
        let names = names.split(' ').next().unwrap_or_default();
        return invalid(
            &format!("the alias has names for {names} of {columns} columns"),
            SqlState::InvalidColumnReference,
        );
    }
    if let Some(name) = between(text, "WITH query name \"", "\" specified more than once") {
        return invalid(&format!("WITH query name \"{name}\" specified more than once"), SqlState::DuplicateAlias);
    }
    if let Some(name) = between(text, "he window ", " is not defined") {
        return invalid(&format!("window \"{name}\" does not exist"), SqlState::UndefinedObject);
    }
    if let Some((clause, _)) = text.split_once(" must be >= 0") {
        return invalid(
            &format!("{clause} must not be negative"),
            if clause == "LIMIT" {
                SqlState::InvalidRowCountInLimitClause
            } else {
                SqlState::InvalidRowCountInResultOffsetClause
            },
        );
    }
    if let Some(name) = between(text, "laceholder '", "' was not provided") {
        return Some(
            Error::not_found(format!("there is no parameter {name}"))
                .code(SqlState::UndefinedParameter)
                .hint("Parameters are written $1, $2, … and are given when the statement is executed."),
        );
    }
    if let Some(why) = behind(text, "nvalid window frame: ") {
        return invalid(&format!("invalid window frame: {why}"), SqlState::WindowingError);
    }
    if text.contains("RANGE requires exactly one ORDER BY column") {
        return invalid(
            "RANGE with offset PRECEDING or FOLLOWING requires exactly one ORDER BY column",
            SqlState::WindowingError,
        );
    }
    if text.contains("ubstring without for/from") {
        return invalid("SUBSTRING needs FROM or FOR", SqlState::SyntaxError);
    }
    None
}

/// Aggregates and window functions where they cannot stand, columns that are not grouped.
fn of_grouping(text: &str) -> Option<Error> {
    let wrong = |message: String| Some(Error::invalid(message).code(SqlState::GroupingError));
    if text.contains("ggregate functions are not allowed in the WHERE") {
        return wrong("aggregate functions are not allowed in WHERE".to_owned());
    }
    if text.contains("ggregate function calls cannot be nested") {
        return wrong("aggregate function calls cannot be nested".to_owned());
    }
    if text.starts_with("HAVING clause references") {
        return wrong(
            "a column in HAVING must appear in the GROUP BY clause or be used in an aggregate function".to_owned(),
        );
    }
    if let Some(column) = between(text, "column \"", "\" must appear in the GROUP BY clause") {
        let column = column.strip_prefix("public.").unwrap_or(column);
        let message = "must appear in the GROUP BY clause or be used in an aggregate function";
        return wrong(format!("column \"{column}\" {message}"));
    }
    if text.contains("GROUP BY") && text.contains("must be") {
        return wrong(super::lower_first(&in_sql_words(text)));
    }
    let planned = behind(text, "hysical plan does not support logical expression ")?;
    if planned.starts_with("WindowFunction") {
        let message = "window functions are not allowed in WHERE, GROUP BY or HAVING";
        return Some(
            Error::invalid(message)
                .code(SqlState::WindowingError)
                .hint("Compute them in a sub-query, and filter outside of it."),
        );
    }
    Some(
        Error::unsupported("this kind of sub-query is not supported in this place yet")
            .hint("Write it as a join, or aggregate its result."),
    )
}

/// Sub-queries that are not as they must be.
fn of_sub_queries(text: &str) -> Option<Error> {
    if text.contains("he subquery should only return one column") {
        return Some(Error::invalid("subquery must return only one column").code(SqlState::SyntaxError));
    }
    if text.contains("orrelated scalar subquery must be aggregated") {
        return Some(
            Error::unsupported(
                "a sub-query that refers to its outer query and may give several rows is not supported yet",
            )
            .hint("Aggregate it (MAX, SUM …), or write it as a join."),
        );
    }
    None
}
