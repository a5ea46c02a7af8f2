use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::*;

fn parsed(text: &str) -> Query {
    *Parser::new(&PostgreSqlDialect {}).try_with_sql(text).unwrap().parse_query().unwrap()
}

fn balanced(text: &str) -> Query {
    let mut tree = parsed(text);
    query(&mut tree);
    tree
}

fn depth(body: &SetExpr) -> usize {
    match body {
        SetExpr::SetOperation { left, right, .. } => 1 + depth(left).max(depth(right)),
        _ => 0,
    }
}

#[test]
fn what_is_short_stays() {
    let text = "SELECT 1 WHERE a OR b OR c AND d AND e UNION ALL SELECT 2 UNION ALL SELECT 3";
    assert_eq!(balanced(text), parsed(text));
}

#[test]
fn a_long_chain_keeps_its_operands_in_order() {
    let terms: Vec<String> = (0..1000).map(|i| format!("x = {i}")).collect();
    let tree = balanced(&format!("SELECT 1 WHERE {}", terms.join(" OR ")));
    // Printing shows the order; a tree as deep as it is long would print the same.
    assert_eq!(tree.to_string(), format!("SELECT 1 WHERE {}", terms.join(" OR ")));
    let SetExpr::Select(select) = *tree.body else { panic!() };
    fn depth(expr: &Expr) -> usize {
        match expr {
            Expr::BinaryOp { left, right, op: BinaryOperator::Or } => 1 + depth(left).max(depth(right)),
            _ => 0,
        }
    }
    assert_eq!(depth(&select.selection.unwrap()), 10);
}

#[test]
fn chains_of_unions_on_each_other_are_balanced_each_for_itself() {
    let all = vec!["SELECT 1"; 100].join(" UNION ALL ");
    let distinct = vec!["SELECT 2"; 100].join(" UNION ");
    let text = format!("{all} UNION {distinct}");
    let tree = balanced(&text);
    assert_eq!(tree.to_string(), text);
    assert!(depth(&tree.body) <= 14, "{}", depth(&tree.body));
}

#[test]
fn what_is_not_associative_stays() {
    let text = vec!["SELECT 1"; 100].join(" EXCEPT ");
    assert_eq!(depth(&balanced(&text).body), 99);
}
