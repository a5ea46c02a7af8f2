//! Kinds of expressions and queries, each as large as wanted.

use std::fmt::Write as _;

pub fn repeated(count: usize, separator: &str, item: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for index in 0..count {
        if index > 0 {
            text.push_str(separator);
        }
        text.push_str(&item(index));
    }
    text
}

pub fn nested(count: usize, before: &str, inner: &str, after: &str) -> String {
    format!("{}{inner}{}", before.repeat(count), after.repeat(count))
}

/// A kind of tree, and how one of a size is written.
pub type Kind = (&'static str, fn(usize) -> String);

/// Expressions over a column `x`, which is 1, as large as wanted.
pub const EXPRESSIONS: &[Kind] = &[
    ("OR", |n| format!("({}) OR x = 1", repeated(n, " OR ", |i| format!("x = {}", i + 2)))),
    ("AND", |n| repeated(n, " AND ", |i| format!("x <> {}", i + 2))),
    ("mixed AND and OR", |n| repeated(n, " ", |i| format!("{} x = {i}", ["OR", "AND"][i % 2])).replacen("OR", "", 1)),
    ("+", |n| repeated(n, " + ", |_| "x".to_owned())),
    ("-", |n| repeated(n, " - ", |_| "x".to_owned())),
    ("*", |n| repeated(n, " * ", |_| "x".to_owned())),
    ("/", |n| repeated(n, " / ", |_| "x".to_owned())),
    ("%", |n| format!("x{}", " % 2".repeat(n))),
    ("<", |n| format!("x < 2{}", " < true".repeat(n))),
    ("LIKE", |n| repeated(n, " AND ", |i| format!("CAST(x AS STRING) NOT LIKE '%a{i}%'"))),
    ("nested LIKE", |n| nested(n, "CAST(", "x", " AS STRING) LIKE '%'")),
    ("~", |n| repeated(n, " AND ", |i| format!("CAST(x AS STRING) !~ 'a{i}'"))),
    ("||", |n| repeated(n, " || ", |_| "CAST(x AS STRING)".to_owned())),
    ("::", |n| format!("x{}", "::bigint".repeat(n))),
    ("IS NULL", |n| format!("x{}", " IS NULL".repeat(n))),
    ("=", |n| format!("x = 1{}", " = true".repeat(n))),
    ("NOT", |n| format!("{} true", "NOT ".repeat(n))),
    ("minus signs", |n| format!("{} x", "- ".repeat(n))),
    ("IN", |n| format!("x IN ({})", repeated(n, ", ", |i| i.to_string()))),
    ("CASE", |n| format!("CASE {} END", repeated(n, " ", |i| format!("WHEN x = {i} THEN {i}")))),
    ("CASE x", |n| format!("CASE x {} END", repeated(n, " ", |i| format!("WHEN {i} THEN {i}")))),
    ("nested CASE", |n| nested(n, "CASE WHEN x = 1 THEN ", "x", " ELSE 2 END")),
    ("ELSE CASE", |n| nested(n, "CASE WHEN x = 2 THEN 2 ELSE ", "x", " END")),
    ("COALESCE", |n| nested(n, "coalesce(", "x", ", 2)")),
    ("BETWEEN", |n| nested(n, "(", "x", " BETWEEN 0 AND 5)::int")),
    ("BETWEEN SYMMETRIC", |n| nested(n, "(1 BETWEEN SYMMETRIC ", "x", " AND 2)::int")),
    ("ROW", |n| nested(n, "row(", "x", ")")),
    ("casts of comparisons", |n| nested(n, "(", "x", " = 1)::int")),
    ("brackets", |n| nested(n, "(", "x", ")")),
    ("functions", |n| nested(n, "abs(", "x", ")")),
    ("functions of several arguments", |n| nested(n, "replace(", "CAST(x AS STRING)", ", 'b', 'c')")),
    ("casts", |n| nested(n, "CAST(", "x", " AS BIGINT)")),
    ("arrays", |n| nested(n, "ARRAY[", "x", "]")),
    ("an array", |n| format!("ARRAY[{}]", repeated(n, ", ", |i| i.to_string()))),
    ("arguments", |n| format!("coalesce({})", repeated(n, ", ", |_| "x".to_owned()))),
    ("a mistake within functions", |n| nested(n, "floor(", "1 1", ")")),
    ("a mistake within NOT", |n| nested(n, "NOT (", "1 1", ")")),
];

/// Queries of one row and one column, as large as wanted.
pub const QUERIES: &[Kind] = &[
    ("UNION ALL", |n| format!("SELECT count(*) FROM ({}) u", repeated(n, " UNION ALL ", |i| format!("SELECT {i}")))),
    ("UNION", |n| format!("SELECT count(*) FROM ({}) u", repeated(n, " UNION ", |i| format!("SELECT {i}")))),
    ("EXCEPT", |n| format!("SELECT count(*) FROM ({}) u", repeated(n, " EXCEPT ", |i| format!("SELECT {}", i + 1)))),
    ("INTERSECT", |n| format!("SELECT count(*) FROM ({}) u", repeated(n, " INTERSECT ", |_| "SELECT 1".to_owned()))),
    ("VALUES", |n| {
        format!("SELECT count(*) FROM (VALUES {}) v(a, b)", repeated(n, ", ", |i| format!("({i}, 'a{i}')")))
    }),
    ("JOIN", |n| {
        let join = |i: usize| {
            if i == 0 { "(VALUES (1)) t0(a)".to_owned() } else { format!("(VALUES (1)) t{i}(a) ON t{i}.a = t0.a") }
        };
        format!("SELECT count(*) FROM {}", repeated(n, " JOIN ", join))
    }),
    ("relations", |n| format!("SELECT count(*) FROM {}", repeated(n, ", ", |i| format!("(VALUES (1)) t{i}(a)")))),
    ("queries in FROM", |n| {
        let aliases = (0..n).fold(String::new(), |mut text, i| {
            let _ = write!(text, ") t{i}");
            text
        });
        format!(
            "SELECT * FROM {}SELECT 1 AS a{aliases}",
            "(SELECT * FROM ".repeat(n).trim_end_matches("SELECT * FROM ")
        )
    }),
    ("scalar sub-queries", |n| format!("SELECT {}", nested(n, "(SELECT ", "1", ")"))),
    ("EXISTS", |n| format!("SELECT 1 WHERE {}", nested(n, "EXISTS (SELECT 1 WHERE ", "true", ")"))),
    ("IN of sub-queries", |n| format!("SELECT 1 WHERE {}", nested(n, "1 IN (SELECT 1 WHERE ", "true", ")"))),
    ("WITH that doubles", |n| {
        let query = |i: usize| match i {
            0 => "c0 AS (SELECT 1 AS a)".to_owned(),
            i => format!("c{i} AS (SELECT x.a FROM c{0} x, c{0} y)", i - 1),
        };
        format!("WITH {} SELECT count(*) FROM c{}", repeated(n, ", ", query), n - 1)
    }),
    ("WITH", |n| {
        let query = |i: usize| match i {
            0 => "c0 AS (SELECT 1 AS a)".to_owned(),
            i => format!("c{i} AS (SELECT a FROM c{})", i - 1),
        };
        format!("WITH {} SELECT * FROM c{}", repeated(n, ", ", query), n - 1)
    }),
    ("CUBE", |n| {
        let sets = repeated(n, ", ", |i| format!("x + {i}"));
        format!("SELECT count(*) FROM (SELECT 1 FROM (VALUES (1)) v(x) GROUP BY CUBE ({sets})) c")
    }),
    ("queries of WITH", |n| {
        format!("WITH {} SELECT * FROM c0", repeated(n, ", ", |i| format!("c{i} AS (SELECT 1 AS a)")))
    }),
    ("joins in brackets", |n| {
        format!(
            "SELECT count(*) FROM {}",
            nested(n, "((SELECT * FROM ", "(VALUES (1)) v(a)", ") a JOIN (VALUES (1)) b(b) ON true)")
        )
    }),
    ("columns", |n| format!("SELECT {}", repeated(n, ", ", |_| "1".to_owned()))),
    ("GROUP BY", |n| {
        format!("SELECT count(*) FROM (VALUES (1)) v(x) GROUP BY {}", repeated(n, ", ", |i| format!("x + {i}")))
    }),
    ("ORDER BY", |n| format!("SELECT x FROM (VALUES (1)) v(x) ORDER BY {}", repeated(n, ", ", |i| format!("x + {i}")))),
];

pub fn of(kind: &str, size: usize) -> String {
    if let Some((_, expression)) = EXPRESSIONS.iter().find(|(name, _)| *name == kind) {
        return format!("SELECT {} FROM (VALUES (CAST(1 AS BIGINT))) v(x)", expression(size));
    }
    let (_, query) = QUERIES.iter().find(|(name, _)| *name == kind).unwrap();
    query(size)
}
