use super::*;
use crate::sql::statements::{Statement, parse};

#[test]
fn every_script_is_read() {
    let names: Vec<&str> = functions().keys().map(String::as_str).collect();
    assert_eq!(names, ["latest_month_order_sum", "latest_year_order_sum"]);
    for script in FUNCTION_SCRIPTS {
        read(script).unwrap();
    }
    for table in tables() {
        let declaration = declaration(table).unwrap();
        assert!(matches!(parse(declaration.trim_end_matches(';')), Ok(Statement::CreateTable(_))), "{declaration}");
        assert!(declaration.starts_with(&format!("CREATE TABLE IF NOT EXISTS {table} (")), "{declaration}");
    }
}
