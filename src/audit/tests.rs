use std::fs;

use serde_json::Value;

use super::*;
use crate::clock::ManualClock;

fn record(command: &'static str) -> Record {
    Record { event: "statement", user: "me".to_owned(), command: Some(command), ..Record::default() }
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn log(path: &Path) -> AuditLog {
    AuditLog::open(&AuditTarget::File(path.to_owned()), Arc::new(ManualClock::default())).unwrap()
}

#[tokio::test]
async fn records_are_there_when_write_returns_and_what_stood_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    for command in ["DROP TABLE", "GRANT"] {
        log(&path).write(&record(command), Outcome::Ok, "00000").await.unwrap();
    }
    let lines = lines(&path);
    assert_eq!(lines.len(), 2);
    assert_eq!(
        lines[0],
        serde_json::json!({"time": "1970-01-01T00:00:00.000Z", "event": "statement", "user": "me", "database": "",
            "command": "DROP TABLE", "outcome": "ok", "sqlstate": "00000"})
    );
    assert_eq!(lines[1]["command"], "GRANT");
}

#[tokio::test]
async fn what_is_dropped_is_interrupted_and_what_is_forgotten_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let log = log(&path);
    drop(Begun::new(&log, record("CREATE TABLE")));
    Begun::new(&log, record("CREATE VIEW")).forget();
    drop(Begun::new(&log, record("COMMIT")).ends_as(Outcome::RolledBack, SqlState::AdminShutdown));
    Begun::new(&log, record("DROP VIEW")).end(Outcome::Failed, "42P01").await.unwrap();
    let told: Vec<String> = lines(&path)
        .iter()
        .map(|line| format!("{} {} {}", line["command"], line["outcome"], line["sqlstate"]))
        .collect();
    assert_eq!(
        told,
        [
            r#""CREATE TABLE" "interrupted" "57014""#,
            r#""COMMIT" "rolled_back" "57P01""#,
            r#""DROP VIEW" "failed" "42P01""#
        ]
    );
}

#[tokio::test]
async fn after_a_reopen_lines_are_in_the_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
    let log = log(&path);
    log.write(&record("GRANT"), Outcome::Ok, "00000").await.unwrap();
    fs::rename(&path, &old).unwrap();
    log.write(&record("REVOKE"), Outcome::Ok, "00000").await.unwrap();
    log.reopen().await;
    log.write(&record("DROP ROLE"), Outcome::Ok, "00000").await.unwrap();
    assert_eq!((lines(&old).len(), lines(&path).len()), (2, 1));
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_an_error() {
    let full = AuditLog::open(&AuditTarget::File("/dev/full".into()), Arc::new(ManualClock::default())).unwrap();
    let error = full.write(&record("GRANT"), Outcome::Ok, "00000").await.unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::IoError);
    assert!(AuditLog::open(&AuditTarget::File("/nowhere/audit.log".into()), Arc::new(ManualClock::default())).is_err());
    let off = AuditLog::open(&AuditTarget::Off, Arc::new(ManualClock::default())).unwrap();
    off.write(&record("GRANT"), Outcome::Ok, "00000").await.unwrap();
    assert!(!off.is_on());
}
