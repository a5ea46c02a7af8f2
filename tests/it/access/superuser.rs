//! The first superuser: by `streamgate init`, and by the environment at the first start.

use std::path::Path;
use std::process::{Output, Stdio};

use super::PASSWORD;
use crate::scripts::Psql;
use crate::server::{BackendsOfProcess, ServerProcess, until};

fn init(backends: &BackendsOfProcess, data_dir: &Path, password: Option<&str>) -> Output {
    let mut command = backends.command("init", data_dir, 1);
    command.args(["--superuser", "root"]).stdin(Stdio::null());
    if let Some(password) = password {
        command.env("STREAMGATE_SUPERUSER_PASSWORD", password);
    }
    command.output().unwrap()
}

/// What psql prints as a user with a password.
fn psql(server: &ServerProcess, user: &str, password: &str) -> String {
    let output = std::process::Command::new("psql")
        .args(["-X", "-w", "-h", "127.0.0.1", "-p", &server.port.to_string(), "-U", user, "-d", "streamgate", "-Atc"])
        .arg("SELECT current_user")
        .env("PGPASSWORD", password)
        .output()
        .unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
}

async fn ready(server: &ServerProcess, user: &str) {
    until(crate::server::JOB_PATIENCE, "the superuser comes in", async || {
        (psql(server, user, PASSWORD) == user).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn init_makes_the_superuser_and_gives_it_a_new_password() {
    if !Psql::is_there() {
        return;
    }
    let backends = BackendsOfProcess::take().await;
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let text = |output: &Output| String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    let without = init(&backends, &data_dir, None);
    assert!(!without.status.success() && text(&without).contains("there is no terminal to ask"), "{}", text(&without));
    let short = init(&backends, &data_dir, Some("canary"));
    assert!(!short.status.success() && !text(&short).contains("canary"), "{}", text(&short));
    let made = init(&backends, &data_dir, Some("first password"));
    assert!(made.status.success() && text(&made).contains("the superuser is made"), "{}", text(&made));
    let again = init(&backends, &data_dir, Some(PASSWORD));
    assert!(again.status.success() && text(&again).contains("has a new password"), "{}", text(&again));

    let server = ServerProcess::spawn(&backends, &data_dir, &[]);
    ready(&server, "root").await;
    assert!(psql(&server, "root", "first password").contains("password authentication failed for user \"root\""));
    assert!(
        psql(&server, "test", "x").contains("password authentication failed for user \"test\""),
        "nobody else comes in"
    );
    let beside = init(&backends, &data_dir, Some(PASSWORD));
    assert!(!beside.status.success(), "not beside a server that runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_makes_the_superuser_once() {
    if !Psql::is_there() {
        return;
    }
    let backends = BackendsOfProcess::take().await;
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let settings = |password: &str| {
        [("STREAMGATE_SUPERUSER", "boss".to_owned()), ("STREAMGATE_SUPERUSER_PASSWORD", password.to_owned())]
    };
    let server = ServerProcess::spawn(&backends, &data_dir, &settings(PASSWORD));
    ready(&server, "boss").await;
    assert!(server.terminate().success());
    let server = ServerProcess::spawn(&backends, &data_dir, &settings("another password"));
    ready(&server, "boss").await;
    assert!(psql(&server, "boss", "another password").contains("password authentication failed"));
    let log = server.whole_log().join("\n");
    assert!(!log.contains(PASSWORD) && !log.contains("another password"), "{log}");
    let other = folder.path().join("other");
    let mut named = ServerProcess::spawn(&backends, &other, &[("STREAMGATE_SUPERUSER", "boss".to_owned())]);
    let status = until(crate::server::JOB_PATIENCE, "it ends", async || named.ended()).await;
    assert!(!status.success() && named.log().contains("superuser \"boss\" has no password"), "{}", named.log());
}
