use super::*;

#[test]
fn the_object_is_what_a_statement_names_first() {
    let object = |text: &str| object_of(text, command_of(text));
    for (text, expected) in [
        ("CREATE TABLE t (a int)", "t"),
        ("create or replace temporary view \"My View\".v as select 1", "\"My View\".v"),
        ("DROP TABLE IF EXISTS `a b`.t, u", "`a b`.t"),
        ("CREATE ROLE me LOGIN PASSWORD 'x'", "me"),
        ("STOP JOB j WITH SAVEPOINT", "j"),
    ] {
        assert_eq!(object(text).as_deref(), Some(expected), "{text}");
    }
    for text in ["GRANT a TO b", "CREATE", "DROP TABLE", "SELECT 1", "CREATE TABLE 'x'", "CREATE ROLE"] {
        assert_eq!(object(text), None, "{text}");
    }
}

#[test]
fn declarations_rights_and_jobs_are_audited() {
    for text in ["create table t (a int)", "DROP JOB j", "ALTER USER me PASSWORD 'x'", "grant a to b", "stop job j"] {
        assert!(is_audited(command_of(text)), "{text}");
    }
    for text in
        ["select 1", "insert into t values (1)", "update t set a = 1", "begin", "set timezone = 'UTC'", "show tables"]
    {
        assert!(!is_audited(command_of(text)), "{text}");
    }
}
