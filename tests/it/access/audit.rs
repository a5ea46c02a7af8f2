//! The audit log of a server: logins, declarations, roles and jobs, with who, from where and how it ended, on disk before the answer;
//! nothing of what merely reads or writes rows, and never a secret.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio_postgres::{Client, Config, NoTls};

use super::{PASSWORD, refused};
use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, until};

struct Audited {
    server: ServerProcess,
    log: PathBuf,
    /// Lines that were looked at.
    seen: usize,
    _folder: tempfile::TempDir,
}

impl Audited {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.log");
        let data_dir = folder.path().join("data");
        let faults = [("STREAMGATE_AUDIT_LOG", log.display().to_string())];
        let mut server = ServerProcess::spawn(&BackendsOfProcess::shared(), &data_dir, &faults);
        assert!(server.until_it_answers().await.is_none(), "{}", server.log());
        let seen = lines(&log).len();
        Self { server, log, seen, _folder: folder }
    }

    async fn login(&self, user: &str, password: &str) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.server.port).user(user).password(password).dbname("streamgate");
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// What was told since this was asked last, in short.
    fn told(&mut self) -> Vec<String> {
        let lines = lines(&self.log);
        let new = lines[self.seen..].iter().map(short).collect();
        self.seen = lines.len();
        new
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

fn short(line: &Value) -> String {
    let client = line["client"].as_str().unwrap_or_default();
    assert!(client.starts_with("127.0.0.1:"), "{line}");
    assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
    let words = ["event", "user", "method", "command", "object", "outcome", "sqlstate"];
    words.iter().filter_map(|word| line[*word].as_str()).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_declarations_rights_and_jobs_are_told() {
    let mut audited = Audited::start().await;
    let first = audited.login("me", "").await.unwrap();
    assert_eq!(audited.told(), ["login me trust ok 00000"]);
    first.batch_execute(&format!("CREATE USER admin SUPERUSER PASSWORD '{PASSWORD}'")).await.unwrap();
    assert_eq!(audited.told(), ["statement me CREATE USER admin ok 00000"]);

    let admin = audited.login("admin", PASSWORD).await.unwrap();
    for (user, password) in [("admin", "wrong"), ("nobody", PASSWORD)] {
        assert!(audited.login(user, password).await.is_err());
    }
    let expected = ["login admin scram ok 00000", "login admin scram failed 28P01", "login nobody scram failed 28P01"];
    assert_eq!(audited.told(), expected);

    for statement in [
        "CREATE ROLE readers",
        "CREATE USER reader PASSWORD 'open sesame'",
        "GRANT readers TO reader",
        "CREATE TABLE kept (a INT PRIMARY KEY)",
        "CREATE VIEW v AS SELECT a FROM kept",
        "COMMENT ON TABLE kept IS 'x'",
        "CREATE TABLE many (a INT) WITH ('connector' = 'nothing')",
        "INSERT INTO kept VALUES (1)",
        "UPDATE kept SET a = 2",
        "SELECT a FROM kept",
        "SET search_path = public",
        "SHOW TABLES",
        "DROP VIEW v",
        "DROP TABLE nothing",
        "CREATE TABLE kept (a INT",
    ] {
        let _ = admin.batch_execute(statement).await;
    }
    let told = audited.told();
    assert_eq!(told[0], "statement admin CREATE ROLE readers ok 00000");
    let expected = [
        "statement admin CREATE ROLE readers ok 00000",
        "statement admin CREATE USER reader ok 00000",
        "statement admin GRANT ok 00000",
        "statement admin CREATE TABLE kept ok 00000",
        "statement admin CREATE VIEW v ok 00000",
        "statement admin COMMENT ok 00000",
        "statement admin CREATE TABLE many failed",
        "statement admin DROP VIEW v ok 00000",
        "statement admin DROP TABLE nothing failed 42P01",
        "statement admin CREATE TABLE kept failed 42601",
    ];
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told} for {expected}");
    }
    assert_eq!(told.len(), expected.len(), "{told:?}");

    // What is refused for want of a right is told whatever it is, and so is what a prepared statement does.
    let reader = audited.login("reader", PASSWORD).await.unwrap();
    audited.told();
    assert!(refused(&reader, "INSERT INTO kept VALUES (3)").await.starts_with("42501"));
    assert!(refused(&reader, "DROP TABLE kept").await.starts_with("42501"));
    admin.batch_execute("PREPARE p AS DROP ROLE readers; EXECUTE p").await.unwrap();
    admin.execute("ALTER USER reader PASSWORD 'another one'", &[]).await.unwrap();
    let expected = [
        "statement reader INSERT failed 42501",
        "statement reader DROP TABLE kept failed 42501",
        "statement admin DROP ROLE readers ok 00000",
        "statement admin ALTER USER reader ok 00000",
    ];
    assert_eq!(audited.told(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_takes_back_is_told() {
    let mut audited = Audited::start().await;
    let me = audited.login("me", "").await.unwrap();
    audited.told();
    me.batch_execute("BEGIN; CREATE TABLE t (a INT); COMMIT").await.unwrap();
    assert_eq!(audited.told(), ["statement me CREATE TABLE t ok 00000", "statement me COMMIT ok 00000"]);
    me.batch_execute("BEGIN; DROP TABLE t; ROLLBACK").await.unwrap();
    assert_eq!(audited.told(), ["statement me DROP TABLE t ok 00000", "statement me ROLLBACK rolled_back 00000"]);
    // A failed block ends as a rollback whatever is asked for.
    me.batch_execute("BEGIN; DROP TABLE t").await.unwrap();
    assert!(me.batch_execute("SELECT nowhere").await.is_err());
    me.batch_execute("COMMIT").await.unwrap();
    assert_eq!(audited.told(), ["statement me DROP TABLE t ok 00000", "statement me COMMIT rolled_back 00000"]);
    // One message is one transaction.
    assert!(me.batch_execute("DROP TABLE t; SELECT nowhere").await.is_err());
    assert_eq!(audited.told(), ["statement me DROP TABLE t ok 00000", "statement me ROLLBACK rolled_back 00000"]);
    // Whoever goes away within a block takes it back, too.
    me.batch_execute("BEGIN; DROP TABLE t").await.unwrap();
    audited.told();
    drop(me);
    let told = until(JOB_PATIENCE, "the end of the block is told", async || {
        let told = audited.told();
        (!told.is_empty()).then_some(told)
    })
    .await;
    assert_eq!(told, ["statement me ROLLBACK rolled_back 08006"]);
    let me = audited.login("me", "").await.unwrap();
    me.batch_execute("SELECT a FROM t").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_told_and_inserts_that_end_are_not() {
    let mut audited = Audited::start().await;
    let backends = BackendsOfProcess::shared();
    let topic = crate::backends::unique("audited");
    let me = audited.login("me", "").await.unwrap();
    let with = format!(
        "WITH ('connector' = 'kafka', 'topic' = '{topic}', 'properties.bootstrap.servers' = '{}', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset')",
        backends.bootstrap_servers
    );
    me.batch_execute(&format!(
        "CREATE TABLE source (a INT) {with}; CREATE TABLE sink (a INT) WITH ('connector' = 'blackhole')"
    ))
    .await
    .unwrap();
    me.batch_execute("INSERT INTO source VALUES (1)").await.unwrap();
    audited.told();
    me.batch_execute("CREATE JOB j AS INSERT INTO sink SELECT a FROM source").await.unwrap();
    me.batch_execute("PAUSE JOB j").await.unwrap();
    me.batch_execute("RESUME JOB j").await.unwrap();
    me.batch_execute("STOP JOB j").await.unwrap();
    me.batch_execute("INSERT INTO sink SELECT a FROM source").await.unwrap();
    let expected = [
        "statement me CREATE JOB j ok 00000",
        "statement me PAUSE JOB j ok 00000",
        "statement me RESUME JOB j ok 00000",
        "statement me STOP JOB j ok 00000",
        "statement me INSERT ok 00000",
    ];
    assert_eq!(audited.told(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_opened_again_at_sighup_and_nothing_happens_that_cannot_be_told() {
    let mut audited = Audited::start().await;
    let me = audited.login("me", "").await.unwrap();
    me.batch_execute("CREATE TABLE before (a INT)").await.unwrap();
    let old = audited.log.with_extension("1");
    fs::rename(&audited.log, &old).unwrap();
    audited.server.signal("-HUP");
    until(JOB_PATIENCE, "the new file is there", async || audited.log.exists().then_some(())).await;
    audited.seen = 0;
    me.batch_execute("CREATE TABLE behind (a INT)").await.unwrap();
    assert_eq!(audited.told(), ["statement me CREATE TABLE behind ok 00000"]);
    assert!(fs::read_to_string(&old).unwrap().contains("before"));
    // A disk that takes nothing.
    fs::remove_file(&audited.log).unwrap();
    std::os::unix::fs::symlink("/dev/full", &audited.log).unwrap();
    audited.server.signal("-HUP");
    until(JOB_PATIENCE, "nothing can be told", async || {
        me.batch_execute("CREATE TABLE IF NOT EXISTS other (a INT); DROP TABLE other").await.err()
    })
    .await;
    assert!(refused(&me, "CREATE TABLE untold (a INT)").await.starts_with("58030"));
    assert!(refused(&me, "SELECT a FROM untold").await.starts_with("42P01"));
    assert_eq!(refused(&me, "SELECT a FROM behind").await, "nothing");
    assert!(audited.login("me", "").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_written_keeps_the_server_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let faults = [("STREAMGATE_AUDIT_LOG", folder.path().join("nowhere/audit.log").display().to_string())];
    let mut server = ServerProcess::spawn(&BackendsOfProcess::shared(), &folder.path().join("data"), &faults);
    assert!(!server.until_it_answers().await.unwrap().success());
    assert!(server.log().contains("audit_log"), "{}", server.log());
}
