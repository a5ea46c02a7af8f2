//! quote_ident, quote_literal, quote_nullable: names and values as they must be written in a statement of PostgreSQL.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::entry::{Entry, Maker};
use super::{ColumnFunction, no_such_call};

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::public(
        "quote_ident",
        &["text → text"],
        "A name as it must be written, in double quotes if need be.",
        Maker::Plain(|| udf("quote_ident", |arguments, _| each(arguments, |text| text.map(quote_ident)))),
    )
    .stable()
    .example("quote_ident('Order')", "\"Order\""),
    Entry::public(
        "quote_literal",
        &["any → text"],
        "A value as a literal, in single quotes; NULL of NULL.",
        Maker::Plain(|| udf("quote_literal", |arguments, _| each(arguments, |text| text.map(quote_literal)))),
    )
    .stable()
    .example("quote_literal('it''s')", "'it''s'"),
    Entry::public(
        "quote_nullable",
        &["any → text"],
        "A value as a literal, in single quotes; the word NULL of NULL.",
        Maker::Plain(|| {
            udf("quote_nullable", |arguments, _| {
                each(arguments, |text| Some(text.map_or_else(|| "NULL".to_owned(), quote_literal)))
            })
        }),
    )
    .stable()
    .example("quote_nullable(NULL)", "NULL"),
];

/// Words that PostgreSQL 16 takes as names only in quotes: its keywords that are not unreserved.
const KEYWORDS: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "json_array",
    "json_arrayagg",
    "json_object",
    "json_objectagg",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// A name as it must be written: in double quotes unless it is of lower-case letters, digits and underscores, and not a keyword.
pub fn quote_ident(name: &str) -> String {
    let is_plain = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.chars().all(|other| other.is_ascii_lowercase() || other.is_ascii_digit() || other == '_')
        && KEYWORDS.binary_search(&name).is_err();
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A text as a literal; with backslashes in it in the form `E'…'`, which every setting reads alike.
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

fn udf(name: &'static str, body: super::Body) -> Arc<ScalarUDF> {
    let coerce = match name {
        "quote_ident" => |arguments: &[DataType]| one(arguments, "quote_ident"),
        "quote_literal" => |arguments: &[DataType]| one(arguments, "quote_literal"),
        _ => |arguments: &[DataType]| one(arguments, "quote_nullable"),
    };
    ColumnFunction::udf(name, Volatility::Stable, coerce, DataType::Utf8, body)
}

fn one(arguments: &[DataType], name: &str) -> Result<Vec<DataType>> {
    match arguments {
        [_] => Ok(vec![DataType::Utf8]),
        _ => Err(no_such_call(name, arguments, &format!("{name}(value)"))),
    }
}

fn each(arguments: &[ArrayRef], quote: impl Fn(Option<&str>) -> Option<String>) -> Result<ArrayRef> {
    Ok(Arc::new(arguments[0].as_string::<i32>().iter().map(quote).collect::<StringArray>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_they_must_be() {
        assert!(KEYWORDS.is_sorted());
        for (name, expected) in [
            ("a_1", "a_1"),
            ("A", "\"A\""),
            ("a b", "\"a b\""),
            ("select", "\"select\""),
            ("1a", "\"1a\""),
            ("", "\"\""),
            ("a\"b", "\"a\"\"b\""),
        ] {
            assert_eq!(quote_ident(name), expected);
        }
    }
}
