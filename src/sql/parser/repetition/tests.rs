use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::*;

fn is_taken(text: &str) -> bool {
    let mut tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().unwrap();
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    check(&tokens, &Places::new(text)).is_ok()
}

fn nested(count: usize, before: &str, after: &str) -> String {
    format!("SELECT {}x{}", before.repeat(count), after.repeat(count))
}

#[test]
fn what_doubles_within_itself_is_bounded() {
    for (before, after) in [
        ("coalesce(", ", 2)"),
        ("IFNULL (", ", 2)"),
        ("nvl(", ", 2)"),
        ("row(", ")"),
        ("(", " between 0 and 5)::int"),
        ("(1 between symmetric ", " and 2)"),
        ("1 between symmetric 0 and ", ""),
        ("case when 1 between symmetric 0 and ", " then 1 end"),
        ("(", " in (0, 1))::int"),
        ("(", " is not distinct from 1)::int"),
        ("(", " = 1)::int"),
        ("(case when ", " = 1 then 1 else 0 end)::int"),
        ("case when 1 = ", " then 1 else 0 end::int"),
        ("CAST(", " + 1 AS INT)"),
        ("try_cast(1.5 + ", " AS INT)"),
        ("CAST(abs(", ") AS INT)"),
        ("abs(", ")::int"),
    ] {
        assert!(is_taken(&nested(6, before, after)), "{before}{after}");
        assert!(!is_taken(&nested(14, before, after)), "{before}{after}");
        assert!(!is_taken(&nested(90, before, after)), "{before}{after}");
    }
}

#[test]
fn what_does_not_is_not() {
    for (before, after) in [
        ("case when ", " = 1 then 1 else 0 end"),
        ("abs(", ")"),
        ("CAST(", " AS INT)"),
        ("(", ")::int"),
        ("(", ")"),
        ("((", " + 1) * 2)"),
        ("(", " and y in (1, 2))"),
        ("symmetric + ", ""),
        ("(", " or (y between 1 and 2))"),
    ] {
        assert!(is_taken(&nested(40, before, after)), "{before}{after}");
    }
    let many = vec!["coalesce(a, b) between 1 and coalesce(c, d) and (e in (1, 2))"; 500].join(" and ");
    assert!(is_taken(&format!("SELECT 1 FROM t WHERE {many}")));
}
