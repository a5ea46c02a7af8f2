//! A server process of the binary that is being tested: on free ports, ready when it answers, ended by its process id.
//! On embedded backends each process has its own; on real ones they share topics and tables, so that `BackendsOfProcess::take` lets
//! one test at a time use the names of the scripts, and clears them first.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, thread};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio_postgres::SimpleQueryMessage;

use crate::backends::{Backends, PATIENCE, dynamodb_at, kafka_at};

/// How long a job may take for what a test gave it.
pub const JOB_PATIENCE: Duration = Duration::from_secs(120);

/// The topics and the DynamoDB tables that the scripts name.
pub const TOPIC: &str = "orders";
pub const SOURCE_TOPIC: &str = "test_source";
pub const TABLES: [&str; 4] = ["order_detail_latest_month", "order_sum_monthly", "user_features", "test_table"];

static NAMES_OF_THE_SCRIPTS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Backends for one server process.
pub struct BackendsOfProcess {
    pub bootstrap_servers: String,
    pub dynamodb_endpoint: String,
    environment: Vec<(&'static str, String)>,
    _turn: Option<tokio::sync::MutexGuard<'static, ()>>,
}

impl BackendsOfProcess {
    /// Those that the tests of this run share: they outlive the server, so its names must be from `unique`.
    pub fn shared() -> Self {
        Self::outside(Backends::get(), None)
    }

    pub async fn take() -> Self {
        if env::var("STREAMGATE_TEST_KAFKA").is_err() {
            let (kafka, dynamodb) = (free_port(), free_port());
            return Self {
                bootstrap_servers: format!("127.0.0.1:{kafka}"),
                dynamodb_endpoint: format!("http://127.0.0.1:{dynamodb}"),
                environment: vec![
                    ("STREAMGATE_KAFKA_EMBEDDED_PORT", kafka.to_string()),
                    ("STREAMGATE_AWS_EMBEDDED_PORT", dynamodb.to_string()),
                ],
                _turn: None,
            };
        }
        let turn = NAMES_OF_THE_SCRIPTS.lock().await;
        let backends = Self::outside(Backends::get(), Some(turn));
        backends.clear().await;
        backends
    }

    fn outside(given: &Backends, turn: Option<tokio::sync::MutexGuard<'static, ()>>) -> Self {
        Self {
            bootstrap_servers: given.bootstrap_servers.clone(),
            dynamodb_endpoint: given.dynamodb_endpoint.clone(),
            environment: vec![
                ("STREAMGATE_KAFKA_BOOTSTRAP_SERVERS", given.bootstrap_servers.clone()),
                ("STREAMGATE_AWS_ENDPOINT", given.dynamodb_endpoint.clone()),
                ("STREAMGATE_AWS_REGION", "us-east-1".to_owned()),
                ("STREAMGATE_AWS_ACCESS_KEY_ID", "test".to_owned()),
                ("STREAMGATE_AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ],
            _turn: turn,
        }
    }

    pub fn kafka(&self) -> ClientConfig {
        kafka_at(&self.bootstrap_servers)
    }

    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        dynamodb_at(&self.dynamodb_endpoint)
    }

    async fn clear(&self) {
        let dynamodb = self.dynamodb();
        for table in TABLES {
            // Most are not there.
            dynamodb.delete_table().table_name(table).send().await.ok();
        }
        let admin: AdminClient<DefaultClientContext> = self.kafka().create().unwrap();
        admin.delete_topics(&[TOPIC, SOURCE_TOPIC], &AdminOptions::new()).await.unwrap();
        let mut kafka = self.kafka();
        kafka.set("group.id", "clear").set("allow.auto.create.topics", "false");
        let consumer: BaseConsumer = kafka.create().unwrap();
        until(PATIENCE, "the topics are deleted", async || {
            let metadata = consumer.fetch_metadata(None, PATIENCE).unwrap();
            let there = metadata.topics().iter().any(|topic| [TOPIC, SOURCE_TOPIC].contains(&topic.name()));
            (!there).then_some(())
        })
        .await;
    }

    /// The binary (`STREAMGATE_TEST_SERVER` names another one, a release build say), with these backends and nothing else of the
    /// environment's settings.
    pub fn command(&self, subcommand: &str, data_dir: &Path, port: u16) -> Command {
        let binary = env::var_os("STREAMGATE_TEST_SERVER").unwrap_or_else(|| env!("CARGO_BIN_EXE_streamgate").into());
        let mut command = Command::new(binary);
        for (name, _) in env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("STREAMGATE_") || name_text.starts_with("AWS_") {
                command.env_remove(&name);
            }
        }
        command.arg(subcommand).arg("--data-dir").arg(data_dir).arg("--listen").arg(format!("127.0.0.1:{port}"));
        command.envs(self.environment.iter().map(|(name, value)| (*name, value.as_str())));
        command
    }
}

/// A running `streamgate serve`.
pub struct ServerProcess {
    child: Child,
    pub port: u16,
    log: PathBuf,
}

impl ServerProcess {
    /// Starts and waits until a session opens.
    pub async fn start(backends: &BackendsOfProcess, data_dir: &Path) -> Self {
        let mut server = Self::spawn(backends, data_dir, &[]);
        if let Some(status) = server.until_it_answers().await {
            panic!("the server ended with {status}:\n{}", server.log());
        }
        server
    }

    /// Starts with the faults of `src/fault.rs`, and does not wait. The log goes to a file beside the data folder.
    pub fn spawn(backends: &BackendsOfProcess, data_dir: &Path, faults: &[(&str, String)]) -> Self {
        let port = free_port();
        fs::create_dir_all(data_dir).unwrap();
        let log = data_dir.with_extension("log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = backends
            .command("serve", data_dir, port)
            .envs(faults.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, port, log }
    }

    /// Waits until a session opens; gives the status of a process that ends before.
    pub async fn until_it_answers(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + JOB_PATIENCE;
        while self.try_connect().await.is_none() {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            assert!(Instant::now() < deadline, "the server does not answer:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it held so far, in bytes.
    pub fn peak_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() << 10
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Sends a signal (`-STOP`).
    pub fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    pub async fn try_connect(&self) -> Option<tokio_postgres::Client> {
        let settings =
            format!("host=127.0.0.1 port={} user=test dbname=streamgate options='-c TimeZone=UTC'", self.port);
        let (client, connection) = tokio_postgres::connect(&settings, tokio_postgres::NoTls).await.ok()?;
        tokio::spawn(connection);
        Some(client)
    }

    /// A session in UTC.
    pub async fn connect(&self) -> tokio_postgres::Client {
        match self.try_connect().await {
            Some(client) => client,
            None => panic!("cannot connect:\n{}", self.log()),
        }
    }

    /// Runs a script of statements; an error shows the server's log.
    pub async fn execute(&self, script: &str) {
        if let Err(error) = self.connect().await.batch_execute(script).await {
            panic!("{script}\n{error:?}\n{}", self.log());
        }
    }

    /// Rows of a query as texts, columns joined by `|`.
    pub async fn query(&self, query: &str) -> Vec<String> {
        let messages = match self.connect().await.simple_query(query).await {
            Ok(messages) => messages,
            Err(error) => panic!("{query}\n{error:?}\n{}", self.log()),
        };
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| (0..row.len()).map(|i| row.get(i).unwrap_or("NULL")).collect::<Vec<_>>().join("|")).collect()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, then waits for the end.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal("-TERM");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not end:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let lines = self.whole_log();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// The lines of its log.
    pub fn whole_log(&self) -> Vec<String> {
        fs::read_to_string(&self.log).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A port that was free a moment ago and that no other caller in this process was given.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut given = GIVEN.lock().unwrap();
        if !given.contains(&port) {
            given.push(port);
            return port;
        }
    }
}

/// Asks again until there is an answer.
pub async fn until<T>(patience: Duration, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
