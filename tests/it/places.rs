//! Hosts and folders that statements may name: those of the configuration, and none that is link-local.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, until};

/// A server that may use one folder beside its own, and two hosts.
struct Confined {
    server: ServerProcess,
    backends: BackendsOfProcess,
    _folder: TempDir,
    data: PathBuf,
    allowed: PathBuf,
}

impl Confined {
    async fn start() -> Self {
        let backends = BackendsOfProcess::take().await;
        let folder = TempDir::new().unwrap();
        let (data, allowed) = (folder.path().join("data"), folder.path().join("allowed"));
        fs::create_dir_all(&allowed).unwrap();
        let mut server = ServerProcess::spawn(
            &backends,
            &data,
            &[
                ("STREAMGATE_ALLOWED_FOLDERS", allowed.display().to_string()),
                // The hosts of the default backends need not be named.
                ("STREAMGATE_ALLOWED_HOSTS", "2852039166,169.254.169.254.nip.invalid".to_owned()),
            ],
        );
        assert!(server.until_it_answers().await.is_none(), "{}", server.log());
        Self { server, backends, _folder: folder, data, allowed }
    }

    /// SQLSTATE and message of a statement that must fail.
    async fn refused(&self, statement: &str) -> String {
        let error = self.server.connect().await.batch_execute(statement).await.expect_err(statement);
        let error = error.as_db_error().unwrap().clone();
        assert!(!error.message().contains("canary"), "{error:?}");
        format!("{} {}", error.code().code(), error.message())
    }

    /// Tables for jobs.
    async fn declare(&self) {
        self.server
            .execute(
                "CREATE TABLE numbers (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '5'); \
                 CREATE TABLE sink (id INT) WITH ('connector' = 'blackhole')",
            )
            .await;
    }
}

fn dynamodb(options: &str) -> String {
    format!(
        "CREATE TABLE t (id INT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'dynamodb', 'table-name' = 't', {options})"
    )
}

fn kafka(servers: &str) -> String {
    format!(
        "CREATE TABLE t (id INT) WITH ('connector' = 'kafka', 'topic' = 't', 'format' = 'json', 'properties.bootstrap.servers' = '{servers}')"
    )
}

/// A job that keeps its checkpoints there.
fn submit(place: &Path, job: &str) -> String {
    let place = place.display();
    format!("SET 'state.checkpoints.dir' = '{place}'; CREATE JOB {job} AS INSERT INTO sink SELECT id FROM numbers")
}

/// Statements, and how what is said of them begins.
fn beyond() -> Vec<(String, &'static str)> {
    vec![
        // Hosts: metadata services never, others only where they are named.
        (
            dynamodb("'aws.endpoint' = 'http://169.254.169.254'"),
            "42501 option \"aws.endpoint\": host \"169.254.169.254\" is link-local",
        ),
        (dynamodb("'aws.endpoint' = 'http://[::ffff:169.254.169.254]:80'"), "42501 option \"aws.endpoint\""),
        (
            dynamodb("'aws.endpoint' = 'http://example.com'"),
            "42501 option \"aws.endpoint\": host \"example.com\" is not one",
        ),
        (
            dynamodb("'aws.endpoint' = 'http://u:canary@127.0.0.1'"),
            "22023 option \"aws.endpoint\": a user and password",
        ),
        (dynamodb("'aws.endpoint' = '127.0.0.1:8000'"), "22023 option \"aws.endpoint\""),
        (
            dynamodb("'aws.endpoint' = 'http://metadata.google.internal/x'"),
            "42501 option \"aws.endpoint\": host \"metadata.google.internal\" is link-local",
        ),
        // An option that no connector looks into, in WITH and in a hint.
        (
            kafka("127.0.0.1:1").replace(
                "'topic' =",
                "'properties.sasl.oauthbearer.token.endpoint.url' = 'https://u:canary@127.0.0.1/', 'topic' =",
            ),
            "22023 option \"properties.sasl.oauthbearer.token.endpoint.url\": a user and password",
        ),
        (kafka("169.254.169.254:80"), "42501 option \"properties.bootstrap.servers\""),
        (kafka("127.0.0.1:1,example.com:9092"), "42501 option \"properties.bootstrap.servers\": host \"example.com\""),
        (kafka("SASL://u:canary@127.0.0.1:1"), "22023 option \"properties.bootstrap.servers\": a user and password"),
        // Files.
        (
            dynamodb("'aws.credentials.provider' = 'PROFILE', 'aws.credentials.profile.path' = '/etc/passwd'"),
            "42501 option \"aws.credentials.profile.path\": \"/etc/passwd\" is outside",
        ),
        (
            dynamodb(
                "'aws.credentials.provider' = 'WEB_IDENTITY_TOKEN', 'aws.credentials.role.arn' = 'a', \
                      'aws.credentials.webIdentityToken.file' = '/proc/self/environ'",
            ),
            "42501 option \"aws.credentials.webIdentityToken.file\"",
        ),
        (
            "SET 'state.checkpoints.dir' = 's3://key:canary@bucket/x'".to_owned(),
            "22023 setting \"state.checkpoints.dir\"",
        ),
    ]
}

#[tokio::test]
async fn statements_name_only_the_places_of_the_configuration() {
    let confined = Confined::start().await;
    for (statement, expected) in beyond() {
        let told = confined.refused(&statement).await;
        assert!(told.starts_with(expected), "{statement}\n{told}");
    }
    confined.server.execute(&kafka("127.0.0.1:1").replace("TABLE t", "TABLE hinted")).await;
    let told = confined.refused("SELECT * FROM hinted /*+ OPTIONS('topic' = 'https://u:canary@h/') */").await;
    assert!(told.starts_with("22023 option \"topic\": a user and password"), "{told}");
    // A name that leads to a link-local address: the other form of 169.254.169.254 is looked up, and not called.
    let client = confined.server.connect().await;
    client
        .batch_execute(&dynamodb(
            "'aws.endpoint' = 'http://2852039166', 'aws.region' = 'us-east-1', \
        'aws.credentials.basic.accesskeyid' = 'k', 'aws.credentials.basic.secretkey' = 's'",
        ))
        .await
        .unwrap();
    let error = client.batch_execute("SELECT * FROM t WHERE id = 1").await.unwrap_err();
    let error = error.as_db_error().unwrap().message().to_owned();
    assert!(error.contains("is link-local and is not called") || error.contains("failed to lookup"), "{error}");
}

#[tokio::test]
async fn jobs_keep_their_state_in_the_folders_of_the_configuration() {
    let confined = Confined::start().await;
    confined.declare().await;
    // What a link leads to counts, and not where it stands.
    std::os::unix::fs::symlink("/etc", confined.allowed.join("link")).unwrap();
    let (up, link) = (format!("{}/../x", confined.allowed.display()), format!("{}/link/x", confined.allowed.display()));
    for place in ["/etc/streamgate", "file:///etc", "s3://bucket/prefix", up.as_str(), link.as_str()] {
        let told = confined.refused(&submit(Path::new(place), "j")).await;
        assert!(told.starts_with("42501 setting \"state.checkpoints.dir\""), "{place}\n{told}");
    }
    fs::remove_file(confined.allowed.join("link")).unwrap();
    let told = confined
        .refused("SET 'execution.savepoint.path' = '/etc'; CREATE JOB j AS INSERT INTO sink SELECT id FROM numbers")
        .await;
    assert!(told.starts_with("42501 setting \"execution.savepoint.path\""), "{told}");
    confined.server.execute(&submit(&confined.allowed.join("checkpoints"), "j")).await;
    let checkpoints = "SELECT count(*) > 0 FROM streamgate.job_checkpoints";
    until(JOB_PATIENCE, "the job has a checkpoint", async || {
        (confined.server.query(checkpoints).await == ["t"]).then_some(())
    })
    .await;
    for stop in
        ["STOP JOB j WITH SAVEPOINT TO '/etc'", "SET 'state.savepoints.dir' = '/etc'; STOP JOB j WITH SAVEPOINT"]
    {
        let told = confined.refused(stop).await;
        assert!(told.starts_with("42501 "), "{stop}\n{told}");
    }
    confined.server.execute(&format!("STOP JOB j WITH SAVEPOINT TO '{}'", confined.allowed.display())).await;
    assert!(confined.allowed.join("checkpoints").exists());
    // Nobody else reads what the server writes.
    let mut open = Vec::new();
    let mut folders = vec![confined.data.clone(), confined.allowed.clone()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
            if mode & 0o077 != 0 {
                open.push(path.display().to_string());
            }
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    assert_eq!(open, Vec::<String>::new());
    assert_eq!(fs::metadata(confined.data.join("catalog/catalog.json")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_server_that_is_allowed_less_asks_its_jobs_again() {
    let confined = Confined::start().await;
    confined.declare().await;
    let Confined { server, backends, data, allowed, _folder } = confined;
    server.execute(&submit(&allowed.join("others"), "again")).await;
    assert!(server.terminate().success());
    let server = ServerProcess::start(&backends, &data).await;
    let told = until(JOB_PATIENCE, "the job is not started", async || {
        let failed = "SELECT last_error FROM streamgate.jobs WHERE name = 'again' AND state = 'FAILED'";
        server.query(failed).await.pop()
    })
    .await;
    assert!(told.starts_with("setting \"state.checkpoints.dir\": "), "{told}");
}
