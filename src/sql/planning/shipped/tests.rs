use super::*;
use crate::sql::statements::parse;

#[test]
fn every_script_is_read() {
    let names: Vec<&str> = functions().keys().map(String::as_str).collect();
    assert_eq!(names, ["latest_month_order_sum", "latest_year_order_sum"]);
    for script in FUNCTION_SCRIPTS {
        read(script).unwrap();
    }
    for table in tables() {
        let declaration = declaration(table).unwrap();
        assert_eq!(parse(declaration.trim_end_matches(';')).unwrap().writes(), Some("CREATE TABLE"), "{declaration}");
        assert!(declaration.starts_with(&format!("CREATE TABLE IF NOT EXISTS {table} (")), "{declaration}");
    }
}
