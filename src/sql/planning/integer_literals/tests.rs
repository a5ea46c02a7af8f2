use super::*;
use crate::sql::parser;

fn cast(text: &str) -> String {
    let (mut query, _) = parser::parse_query(text).unwrap();
    of_query(&mut query);
    query.to_string()
}

#[test]
fn numbers_whose_type_is_seen_are_int() {
    for (text, expected) in [
        ("SELECT 1", "SELECT CAST(1 AS INT)"),
        ("SELECT -(1) AS x", "SELECT CAST(-(1) AS INT) AS x"),
        ("SELECT -2147483648, 2147483648", "SELECT CAST(-2147483648 AS INT), 2147483648"),
        ("SELECT 1.0, 1e3, '1', CAST(1 AS BIGINT)", "SELECT 1.0, 1e3, '1', CAST(1 AS BIGINT)"),
        ("SELECT a + 1 FROM t WHERE b * 2 > 3", "SELECT a + CAST(1 AS INT) FROM t WHERE b * CAST(2 AS INT) > 3"),
        ("VALUES (1, 'a'), (3000000000, 'b')", "VALUES (CAST(1 AS INT), 'a'), (3000000000, 'b')"),
        (
            "SELECT CASE a WHEN 1 THEN 2 ELSE 3 END FROM t",
            "SELECT CASE a WHEN 1 THEN CAST(2 AS INT) ELSE CAST(3 AS INT) END FROM t",
        ),
        (
            "SELECT * FROM (SELECT 1 UNION SELECT 2)",
            "SELECT * FROM (SELECT CAST(1 AS INT) UNION SELECT CAST(2 AS INT))",
        ),
        ("SELECT COALESCE(a, 0) FROM t", "SELECT COALESCE(a, CAST(0 AS INT)) FROM t"),
        ("SELECT ARRAY[1, 2][1]", "SELECT ARRAY[CAST(1 AS INT), CAST(2 AS INT)][1]"),
    ] {
        assert_eq!(cast(text), expected);
    }
}

#[test]
fn numbers_that_count_or_are_compared_stay() {
    for text in [
        "SELECT a FROM t WHERE a = 1 AND a IN (1, 2) AND a BETWEEN 1 AND 2 ORDER BY 1 LIMIT 1 OFFSET 2",
        "SELECT a FROM t GROUP BY 1 HAVING count(*) > 1",
        "SELECT ROUND(a, 2), SUBSTRING(b FROM 1 FOR 2), LPAD(b, 5) FROM t",
        "SELECT sum(a) OVER (ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING) FROM t",
    ] {
        assert_eq!(cast(text), text);
    }
}
