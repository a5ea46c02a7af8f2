//! A password in plain text is nowhere but in the statement that brings it: not in a log line of the finest level, not in what the
//! system catalog shows, not in an error, not in a file.

use std::fs;
use std::path::Path;

use super::refused;
use crate::server::{BackendsOfProcess, ServerProcess};

const CANARY: &str = "c4n4ry-p455w0rd";

/// Files below a folder that have the canary in them.
fn files_with_canary(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with_canary(&path));
        } else if fs::read(&path).unwrap().windows(CANARY.len()).any(|bytes| bytes == CANARY.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_nowhere_in_plain_text() {
    let backends = BackendsOfProcess::take().await;
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let mut server = ServerProcess::spawn(
        &backends,
        &data_dir,
        &[
            ("STREAMGATE_LOG", "trace,rdkafka=info,librdkafka=info".to_owned()),
            ("STREAMGATE_AUDIT_LOG", folder.path().join("audit.log").display().to_string()),
        ],
    );
    assert!(server.until_it_answers().await.is_none(), "{}", server.log());
    let (client, other) = (server.connect().await, server.connect().await);
    let statements = [
        format!("CREATE USER admin SUPERUSER PASSWORD '{CANARY}'"),
        format!("CREATE ROLE r LOGIN PASSWORD $${CANARY}$$"),
        format!("ALTER ROLE r PASSWORD E'{CANARY}'"),
        format!("PREPARE p AS ALTER ROLE r PASSWORD '{CANARY}'; EXECUTE p"),
    ];
    for statement in &statements {
        client.batch_execute(statement).await.unwrap();
    }
    client.execute(&format!("ALTER ROLE r PASSWORD '{CANARY}'"), &[]).await.unwrap();
    // What others see of a session that changed a password last.
    other.batch_execute(&format!("ALTER ROLE r PASSWORD '{CANARY}'")).await.unwrap();
    let mut seen = format!("{:?}", client.simple_query("SELECT query FROM pg_stat_activity").await.unwrap());
    assert!(seen.contains("ALTER ROLE r ******"), "{seen}");
    for wrong in [
        format!("CREATE ROLE s PASSWORD {CANARY}"),
        format!("CREATE ROLE s PASSWORD \"{CANARY}\""),
        format!("CREATE ROLE s PASSWORD = '{CANARY}'"),
        format!("CREATE ROLE s PASSWRD '{CANARY}'"),
        format!("CREATE ROLE s PASSWORD '{CANARY}"),
        format!("CREATE ROLE s PASSWORD 'x' '{CANARY}'"),
        format!("CREATE ROLE r PASSWORD '{CANARY}'"),
        format!("ALTER ROLE nobody PASSWORD '{CANARY}'"),
    ] {
        let refused = refused(&client, &wrong).await;
        assert_ne!(refused, "nothing", "{wrong}");
        seen.push_str(&refused);
    }
    for query in [
        "SELECT * FROM pg_authid",
        "SELECT * FROM pg_roles",
        "SELECT * FROM pg_shadow",
        "SELECT * FROM pg_user",
        "SELECT * FROM pg_stat_activity",
        "SELECT * FROM pg_prepared_statements",
        "SELECT * FROM pg_settings",
        "SHOW ALL",
    ] {
        seen.push_str(&format!("{:?}", client.simple_query(query).await.unwrap()));
    }
    assert!(!seen.contains(CANARY) && !seen.contains("SCRAM-SHA-256$"), "{seen}");
    drop((client, other));
    let log = server.whole_log().join("\n");
    assert!(log.contains("CREATE ROLE r") && log.contains(" TRACE "), "the log is one of the finest level");
    let audit = fs::read_to_string(folder.path().join("audit.log")).unwrap();
    assert!(audit.contains("ALTER ROLE r ******"), "{audit}");
    assert!(server.terminate().success());
    assert_eq!(files_with_canary(folder.path()), [""; 0]);
    // What is kept of it is encrypted.
    for entry in fs::read_dir(data_dir.join("catalog")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("SCRAM-SHA-256$"), "{}", path.display());
    }
}
