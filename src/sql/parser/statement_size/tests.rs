use crate::sql::parser::Cursor;

fn refused(text: &str) -> Option<String> {
    Cursor::new(text).err().map(|error| format!("{} {}", error.sqlstate().code(), error.message()))
}

#[test]
fn what_stands_within_each_other_is_counted_by_brackets_and_cases() {
    let nested = |count: usize| format!("SELECT {}1{}", "(".repeat(count), ")".repeat(count));
    assert_eq!(refused(&nested(super::NESTED_MAX)), None);
    assert!(refused(&nested(super::NESTED_MAX + 1)).unwrap().starts_with("54001 the statement is too complex"));
    assert!(refused(&format!("SELECT {}", "CASE WHEN a THEN ".repeat(200))).is_some());
    assert_eq!(refused(&format!("SELECT {}", "CASE WHEN a THEN 1 END, ".repeat(200))), None);
    assert_eq!(refused(&format!("SELECT {}1", "(1), ".repeat(1000))), None);
}

#[test]
fn operators_on_each_other_are_counted_and_not_those_beside_each_other() {
    assert_eq!(refused(&format!("SELECT 1{}", "::int".repeat(super::OPERATORS_MAX))), None);
    assert!(refused(&format!("SELECT 1{}", "::int".repeat(super::OPERATORS_MAX + 1))).is_some());
    assert!(refused(&format!("SELECT a{}", "[1]".repeat(super::OPERATORS_MAX + 1))).is_some());
    assert_eq!(refused(&format!("SELECT {}1::int", "1::int, ".repeat(5000))), None);
    assert_eq!(refused(&format!("SELECT {}x = 1", "x = 1 OR ".repeat(50_000))), None);
    assert_eq!(refused(&format!("SELECT {}1", "1 + ".repeat(super::ARITHMETIC_MAX - 1))), None);
    assert!(refused(&format!("SELECT {}1", "1 + ".repeat(super::ARITHMETIC_MAX))).is_some());
}

#[test]
fn what_is_read_where_clients_are_answered_is_small() {
    assert!(super::is_trivial("SELECT 1") && super::is_trivial("select $1::int8"));
    assert!(!super::is_trivial("SELECT * FROM v") && !super::is_trivial("SELECT f(1)"));
    assert!(!super::is_small(&"-".repeat(10)) && !super::is_small(&" ".repeat(1000)));
}
