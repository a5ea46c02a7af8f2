//! The configuration at the front door: what the binary refuses at its start, what `doctor` says, and what statements may name.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::backends::PATIENCE;
use crate::scripts::Psql;
use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, free_port, until};

/// Runs a server to its end, which must come by itself.
fn ends(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (Output, String) {
    run(serve(folder), arguments, environment)
}

fn doctor(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (Output, String) {
    let mut command = bare();
    command.arg("doctor").arg("--data-dir").arg(folder.join("data"));
    run(command, arguments, environment)
}

fn run(mut command: Command, arguments: &[&str], environment: &[(&str, &str)]) -> (Output, String) {
    command.args(arguments).envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("{arguments:?} {environment:?} do not end it");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, text)
}

fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamgate"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("STREAMGATE_") || text.starts_with("AWS_") {
            command.env_remove(&name);
        }
    }
    command
}

fn serve(folder: &Path) -> Command {
    let mut command = bare();
    command.arg("serve").arg("--data-dir").arg(folder.join("data"));
    command
}

#[test]
fn what_cannot_be_meant_is_refused_at_the_start() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("streamgate.toml");
    fs::write(&file, "listen = '127.0.0.1:0'\n[kafka]\nbootstrap_servers = '127.0.0.1:1'\n[kafka.properties]\n'sasl.usrname' = 'canary'")
        .unwrap();
    let config = ["--config", file.to_str().unwrap()];
    let slip = folder.path().join("slip.toml");
    fs::write(&slip, "listen = '127.0.0.1:0'\n[kafka]\nbootstrap_server = 'x:1'").unwrap();
    let slip = ["--config", slip.to_str().unwrap()];
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case; 12] = [
        (&["--job-threads", "0"], &[], "job_threads must be at least 1"),
        (
            &slip,
            &[],
            "line 3, column 1, key kafka.bootstrap_server: unknown field `bootstrap_server` (did you mean `bootstrap_servers`?)",
        ),
        (&[], &[("STREAMGATE_JOB_THREDS", "2")], "Did you mean STREAMGATE_JOB_THREADS?"),
        (&[], &[("STREAMGATE_LOG", "debugg")], "did you mean debug?"),
        (&["--listen", "0.0.0.0:0"], &[], "only loopback addresses are allowed"),
        (&["--http-listen", "0.0.0.0"], &[], "cannot listen on 0.0.0.0:5440: only loopback addresses are allowed"),
        (&[], &[("STREAMGATE_HTTP_LISTEN", "no-such-host.invalid")], "http_listen: cannot find address"),
        (&["--listen", "no-such-host.invalid:1"], &[], "cannot find address"),
        (
            &[],
            &[("STREAMGATE_KAFKA_BOOTSTRAP_SERVERS", "u:canary@127.0.0.1:1")],
            "kafka.bootstrap_servers: a user and password in a URL",
        ),
        (
            &[],
            &[("STREAMGATE_AWS_ENDPOINT", "http://u:canary@127.0.0.1:1")],
            "aws.endpoint: a user and password in a URL",
        ),
        (&config, &[], "kafka.properties: unknown client property \"sasl.usrname\""),
        (&config, &[], "Did you mean \"sasl.username\"?"),
    ];
    for (arguments, environment, expected) in cases {
        let (output, text) = ends(folder.path(), arguments, environment);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(text.contains(expected) && !text.contains("canary"), "{arguments:?}: {text}");
    }
}

#[test]
fn doctor_tries_both_backends_and_starts_nothing() {
    let folder = TempDir::new().unwrap();
    let (output, text) = doctor(folder.path(), &["--listen", "localhost:0"], &[]);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("ok     Kafka: embedded") && text.contains("ok     DynamoDB: embedded"), "{text}");
    assert!(!folder.path().join("data").exists(), "nothing is made");
    assert!(text.contains("ok     room on its disk: ") && text.contains("ok     open files: "), "{text}");
    let (output, text) = doctor(folder.path(), &["--listen", "localhost:0", "--max-connections", "2000000000"], &[]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("WRONG  open files: ") && text.contains("Raise the limit (LimitNOFILE"), "{text}");
    // As beside a server that runs.
    fs::create_dir(folder.path().join("data")).unwrap();
    let lock = fs::File::create(folder.path().join("data/catalog.lock")).unwrap();
    lock.lock().unwrap();
    let (output, text) = doctor(folder.path(), &["--listen", "localhost:0"], &[]);
    assert!(output.status.success() && text.contains("/data: in use by a running server"), "{text}");
    drop(lock);
    // Nobody listens there.
    let (kafka, dynamodb) = (free_port(), free_port());
    let settings = [
        ("STREAMGATE_KAFKA_BOOTSTRAP_SERVERS", format!("127.0.0.1:{kafka}")),
        ("STREAMGATE_AWS_ENDPOINT", format!("http://127.0.0.1:{dynamodb}")),
        ("STREAMGATE_AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("STREAMGATE_AWS_SECRET_ACCESS_KEY", "canary".to_owned()),
    ];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (output, text) = doctor(folder.path(), &["--listen", "localhost:0"], &settings);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("WRONG  Kafka at 127.0.0.1:{kafka}: ")), "{text}");
    assert!(text.contains(&format!("WRONG  DynamoDB at http://127.0.0.1:{dynamodb}: ")), "{text}");
    assert!(text.contains("2 things of the configuration do not work") && !text.contains("canary"), "{text}");
}

#[test]
fn doctor_says_what_is_wrong_with_the_address_and_the_folder() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("data"), "no folder").unwrap();
    let (output, text) = doctor(folder.path(), &["--listen", "0.0.0.0:0"], &[]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("WRONG  listen 0.0.0.0:0: ") && text.contains("only loopback addresses are allowed"),
        "{text}"
    );
    assert!(text.contains("WRONG  data directory ") && text.contains(" is not a folder"), "{text}");
}

#[test]
fn an_embedded_port_that_is_given_is_taken_or_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (variable, what) in [("STREAMGATE_KAFKA_EMBEDDED_PORT", "Kafka"), ("STREAMGATE_AWS_EMBEDDED_PORT", "DynamoDB")]
    {
        let folder = TempDir::new().unwrap();
        // Whichever starts first is not to stand in another one's way.
        let other = free_port().to_string();
        let settings = [
            ("STREAMGATE_KAFKA_EMBEDDED_PORT", other.as_str()),
            ("STREAMGATE_AWS_EMBEDDED_PORT", "0"),
            (variable, port.as_str()),
        ];
        let (output, text) = ends(folder.path(), &["--listen", "localhost:0"], &settings);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(&format!("cannot start the embedded {what}: ")), "{text}");
    }
}

#[tokio::test]
async fn a_dynamodb_that_is_missing_is_said() {
    if std::env::var("STREAMGATE_TEST_KAFKA").is_ok() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let backends = BackendsOfProcess::take().await;
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let settings = [
        ("STREAMGATE_AWS_ENDPOINT", endpoint.clone()),
        ("STREAMGATE_AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("STREAMGATE_AWS_SECRET_ACCESS_KEY", "canary".to_owned()),
    ];
    let mut server = ServerProcess::spawn(&backends, &folder.path().join("data"), &settings);
    assert!(server.until_it_answers().await.is_none(), "{}", server.log());
    let said = format!("DynamoDB at {endpoint} is not usable");
    until(JOB_PATIENCE, "the missing DynamoDB is said", async || server.log().contains(&said).then_some(())).await;
    assert!(!server.log().contains("canary"));
}

#[tokio::test]
async fn a_kafka_that_is_missing_is_said_and_tried_again() {
    if std::env::var("STREAMGATE_TEST_KAFKA").is_ok() {
        // Nothing of a real cluster is in it.
        return;
    }
    let folder = TempDir::new().unwrap();
    let port = free_port();
    let backends = BackendsOfProcess::take().await;
    let server = ServerProcess::spawn(
        &backends,
        &folder.path().join("data"),
        &[("STREAMGATE_KAFKA_BOOTSTRAP_SERVERS", format!("127.0.0.1:{port}"))],
    );
    let mut server = server;
    assert!(server.until_it_answers().await.is_none(), "{}", server.log());
    let said = format!("Kafka at 127.0.0.1:{port} is not usable");
    until(JOB_PATIENCE, "the missing Kafka is said", async || server.log().contains(&said).then_some(())).await;
    // A broker of another server takes the place.
    let other_folder = TempDir::new().unwrap();
    let other = BackendsOfProcess::take().await;
    let other = ServerProcess::spawn(
        &other,
        &other_folder.path().join("data"),
        &[("STREAMGATE_KAFKA_EMBEDDED_PORT", port.to_string())],
    );
    let said = format!("Kafka at 127.0.0.1:{port} answers now: 1 broker");
    until(JOB_PATIENCE, "it is found", async || server.log().contains(&said).then_some(())).await;
    drop(other);
}

#[tokio::test]
async fn embedded_ports_are_fixed_and_shown() {
    let folder = TempDir::new().unwrap();
    // Whatever else runs on this machine: the next free ones.
    let start = |name: &str| {
        let data = folder.path().join(name);
        let log = folder.path().join(format!("{name}.log"));
        let file = fs::File::create(&log).unwrap();
        let port = free_port();
        let mut command = serve(&data);
        command.args(["--listen", &format!("localhost:{port}")]).stderr(file).stdout(std::process::Stdio::null());
        (command.spawn().unwrap(), log, port)
    };
    let mut servers = [start("a"), start("b")];
    let mut ports = Vec::new();
    for (_, log, port) in &servers {
        let line = until(JOB_PATIENCE, "the server says where it is", async || {
            let text = fs::read_to_string(log).unwrap();
            text.lines().find(|line| line.contains("accepting Postgres clients")).map(str::to_owned)
        })
        .await;
        assert!(line.contains(&format!("psql -h 127.0.0.1 -p {port} streamgate")), "{line}");
        let settings = format!("host=127.0.0.1 port={port} user=test dbname=streamgate");
        let (client, connection) = tokio_postgres::connect(&settings, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        for (name, first) in [("kafka.bootstrap_servers", 9439), ("aws.endpoint", 8439)] {
            let shown = client.simple_query(&format!("SHOW {name}")).await.unwrap();
            let shown = shown.iter().find_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            });
            let shown = shown.unwrap();
            assert!(line.contains(&shown), "{line}\n{shown}");
            let port: u16 = shown.rsplit(':').next().unwrap().parse().unwrap();
            assert!((first..=first + 200).contains(&port), "{shown}");
            assert!(!ports.contains(&port), "{shown} twice");
            ports.push(port);
            assert!(TcpListener::bind(("127.0.0.1", port)).is_err(), "somebody listens there");
        }
        let error = client.simple_query("SET kafka.bootstrap_servers = 'x'").await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "55P02");
    }
    for (child, ..) in &mut servers {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[tokio::test]
async fn psql_is_told_of_databases_and_relations() {
    if !Psql::is_there() {
        return;
    }
    let backends = BackendsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    let output = Command::new("psql")
        .args(["-X", "-h", "127.0.0.1", "-p", &server.port.to_string(), "-U", "test", "postgres", "-c", "SELECT 1"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("database \"postgres\" does not exist"), "{text}");
    assert!(text.contains("There is: streamgate. Connect with psql … streamgate."), "{text}");
    let psql = Psql { port: server.port };
    let listed = psql.values("\\dt streamgate.*").await;
    for relation in ["jobs", "job_operators", "job_checkpoints", "job_errors", "job_splits"] {
        assert!(listed.contains(&format!("streamgate|{relation}|table|")), "{listed}");
    }
    assert_eq!(psql.values("SELECT count(*) FROM streamgate.jobs").await, "0");
}

/// Answers every request with this, as something does that is no DynamoDB.
async fn answers(status: &str, body: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                // A request is small: it comes at once.
                let _ = client.read(&mut [0; 16 << 10]).await;
                let _ = client.write_all(answer.as_bytes()).await;
            });
        }
    });
    endpoint
}

#[tokio::test]
async fn what_a_host_answers_that_is_no_dynamodb_is_not_repeated() {
    let backends = BackendsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    let long = format!("{{\"__type\": \"x#SomeException\", \"message\": \"{}\"}}", "m".repeat(5000));
    for (status, body, expected) in [
        ("403 Forbidden", "<html>the canary of a metadata service</html>", "HTTP status 403"),
        ("404 Not Found", "{\"Token\": \"canary\"}", "HTTP status 404"),
        ("400 Bad Request", long.as_str(), "SomeException: mmm"),
    ] {
        let endpoint = answers(status, body).await;
        let client = server.connect().await;
        let table = format!(
            "CREATE TABLE t (id INT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'dynamodb', 'table-name' = 't', \
             'aws.endpoint' = '{endpoint}', 'aws.region' = 'us-east-1', 'aws.credentials.basic.accesskeyid' = 'k', \
             'aws.credentials.basic.secretkey' = 's')"
        );
        client.batch_execute(&table).await.unwrap();
        let error = client.batch_execute("SELECT * FROM t WHERE id = 1").await.unwrap_err();
        let error = error.as_db_error().unwrap();
        let text = format!("{} {:?} {:?}", error.message(), error.detail(), error.hint());
        assert!(text.contains(expected) && !text.contains("canary") && text.len() < 1000, "{text}");
        client.batch_execute("DROP TABLE t").await.unwrap();
    }
}
