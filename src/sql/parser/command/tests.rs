use super::*;

#[test]
fn a_command_is_known_by_its_first_words() {
    for (text, command) in [
        ("select 1", "SELECT"),
        ("  (SELECT 1)", "SELECT"),
        ("-- a\n/* b /* c */ ' */ insert into t values (1)", "INSERT"),
        ("create or replace temporary view v as select 1", "CREATE VIEW"),
        ("CREATE/**/TABLE t (a INT)", "CREATE TABLE"),
        ("CREATE INDEX i", "CREATE"),
        ("BEGIN", "BEGIN"),
        ("BEGIN STATEMENT SET; INSERT INTO t SELECT 1", "BEGIN STATEMENT SET"),
        ("start transaction read only", "START TRANSACTION"),
        ("stop job j with savepoint", "STOP JOB"),
        ("EXECUTE p(1)", "EXECUTE"),
        ("", "unknown"),
        ("-- only this", "unknown"),
        ("/* never closed", "unknown"),
    ] {
        assert_eq!(command_of(text), command, "{text}");
    }
}

#[test]
fn nothing_of_a_text_that_is_no_command_is_said() {
    for text in ["hunter2", "'secret' select", "selectsecret 1", "\u{1f511}", "SELECT_secret", "or or or"] {
        assert_eq!(command_of(text), "unknown", "{text}");
    }
}
