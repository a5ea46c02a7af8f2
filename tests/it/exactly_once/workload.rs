//! Orders, the jobs that compute from them, and a server that may be killed. All of it follows from a seed.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use tempfile::TempDir;

use crate::backends::unique;
use crate::conformance::kafka::create_topic;
use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess};

const PARTITIONS: i32 = 4;
const USERS: u32 = 60;
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(120);

/// One order as it was written.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    pub id: u64,
    pub user: u32,
    pub cents: u64,
    pub month: u32,
    pub partition: i32,
}

/// What a job does; each writes a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Kafka → filter and projection → Kafka, exactly-once.
    Filtered,
    /// GROUP BY user → upsert-kafka, exactly-once.
    PerUser,
    /// GROUP BY user and month → DynamoDB, written at once.
    Monthly,
    /// GROUP BY of a GROUP BY: how many users have so many orders, if that is odd → DynamoDB, written after the decision.
    Spread,
    /// As `PerUser`, by two tasks.
    Parallel,
    /// GROUP BY user → DynamoDB, each write under the condition that the item is older.
    Versioned,
}

pub const ALL: [Job; 6] = [Job::Filtered, Job::PerUser, Job::Monthly, Job::Spread, Job::Parallel, Job::Versioned];

impl Job {
    /// The table that it writes.
    pub fn table(self) -> &'static str {
        match self {
            Job::Filtered => "filtered",
            Job::PerUser => "per_user",
            Job::Monthly => "monthly",
            Job::Spread => "spread",
            Job::Parallel => "parallel",
            Job::Versioned => "versioned",
        }
    }

    pub fn name(self) -> String {
        format!("insert_into_{}", self.table())
    }

    /// Whether its results are in Kafka.
    pub fn writes_kafka(self) -> bool {
        matches!(self, Job::Filtered | Job::PerUser | Job::Parallel)
    }

    /// What it runs, and what the oracle runs over the log.
    pub fn query(self) -> &'static str {
        match self {
            Job::Filtered => "SELECT id, user_id, amount FROM orders WHERE user_id % 10 <> 3",
            Job::PerUser | Job::Parallel | Job::Versioned => {
                "SELECT user_id, COUNT(*), SUM(amount), MIN(amount), MAX(amount) FROM orders GROUP BY user_id"
            }
            Job::Monthly => {
                "SELECT user_id, DATE_FORMAT(created_at, 'yyyy-MM'), COUNT(*), SUM(amount) FROM orders \
                 GROUP BY user_id, DATE_FORMAT(created_at, 'yyyy-MM')"
            }
            Job::Spread => {
                "SELECT n, COUNT(*) FROM (SELECT user_id, COUNT(*) AS n FROM orders GROUP BY user_id) AS counted GROUP BY n \
                 HAVING COUNT(*) % 2 = 1"
            }
        }
    }

    /// The columns of its table.
    pub fn columns(self) -> &'static str {
        match self {
            Job::Filtered => "id, user_id, amount",
            Job::PerUser | Job::Parallel | Job::Versioned => "user_id, orders, total, smallest, largest",
            Job::Monthly => "user_id, order_month, orders, total",
            Job::Spread => "orders, users",
        }
    }

    fn declaration(self, names: &Names) -> String {
        let topic = names.topic(self);
        let kafka = format!(
            "'topic' = '{topic}', 'properties.bootstrap.servers' = '{}', 'sink.delivery-guarantee' = 'exactly-once'{}",
            names.kafka_servers, names.kafka_options
        );
        let by_user = "(user_id INT, orders BIGINT, total DECIMAL(38, 2), smallest DECIMAL(10, 2), \
                       largest DECIMAL(10, 2), PRIMARY KEY (user_id) NOT ENFORCED)";
        let upsert = format!(
            "{by_user} WITH ('connector' = 'upsert-kafka', 'key.format' = 'json', 'value.format' = 'json', {kafka})"
        );
        let dynamodb = format!(
            "WITH ('connector' = 'dynamodb', 'table-name' = '{topic}', 'table.create' = 'if-not-exists'{})",
            names.dynamodb_options
        );
        let columns = match self {
            Job::Filtered => format!(
                "(id BIGINT, user_id INT, amount DECIMAL(10, 2)) WITH ('connector' = 'kafka', 'format' = 'json', \
                 'scan.startup.mode' = 'earliest-offset', {kafka})"
            ),
            Job::PerUser | Job::Parallel => upsert,
            Job::Versioned => {
                format!("{by_user} {}", dynamodb.replace("WITH (", "WITH ('sink.write-mode' = 'monotonic', "))
            }
            Job::Monthly => format!(
                "(user_id INT, order_month STRING, orders BIGINT, total DECIMAL(38, 2), \
                 PRIMARY KEY (user_id, order_month) NOT ENFORCED) {dynamodb}"
            ),
            Job::Spread => format!("(orders BIGINT, users BIGINT, PRIMARY KEY (orders) NOT ENFORCED) {dynamodb}"),
        };
        format!("CREATE TABLE {} {columns}", self.table())
    }

    fn statements(self, names: &Names) -> Vec<String> {
        let insert = format!("INSERT INTO {} {}", self.table(), self.query());
        match self {
            Job::Parallel => vec![
                self.declaration(names),
                "SET 'parallelism.default' = '2'".to_owned(),
                insert,
                "SET 'parallelism.default' = '1'".to_owned(),
            ],
            _ => vec![self.declaration(names), insert],
        }
    }

    /// Its result by a computation of our own: the columns of each row joined by `|`, sorted.
    pub fn expected(self, orders: &[Order]) -> Vec<String> {
        let mut rows: Vec<String> = match self {
            Job::Filtered => orders
                .iter()
                .filter(|order| order.user % 10 != 3)
                .map(|order| format!("{}|{}|{}", order.id, order.user, decimal(order.cents)))
                .collect(),
            Job::PerUser | Job::Parallel | Job::Versioned => {
                let mut users: BTreeMap<u32, (u64, u64, u64, u64)> = BTreeMap::new();
                for order in orders {
                    let user = users.entry(order.user).or_insert((0, 0, u64::MAX, 0));
                    let cents = order.cents;
                    *user = (user.0 + 1, user.1 + cents, user.2.min(cents), user.3.max(cents));
                }
                let row = |(user, (count, sum, least, most)): (u32, (u64, u64, u64, u64))| {
                    format!("{user}|{count}|{}|{}|{}", decimal(sum), decimal(least), decimal(most))
                };
                users.into_iter().map(row).collect()
            }
            Job::Monthly => {
                let mut months: BTreeMap<(u32, u32), (u64, u64)> = BTreeMap::new();
                for order in orders {
                    let month = months.entry((order.user, order.month)).or_default();
                    *month = (month.0 + 1, month.1 + order.cents);
                }
                let row = |((user, month), (count, sum)): ((u32, u32), (u64, u64))| {
                    format!("{user}|2026-{month:02}|{count}|{}", decimal(sum))
                };
                months.into_iter().map(row).collect()
            }
            Job::Spread => {
                let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
                orders.iter().for_each(|order| *counts.entry(order.user).or_default() += 1);
                let mut users: BTreeMap<u64, u64> = BTreeMap::new();
                counts.into_values().for_each(|count| *users.entry(count).or_default() += 1);
                let odd = users.into_iter().filter(|(_, users)| users % 2 == 1);
                odd.map(|(count, users)| format!("{count}|{users}")).collect()
            }
        };
        rows.sort();
        rows
    }
}

pub fn decimal(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// What a scenario's topics and tables are called, and how the server reaches them.
pub struct Names {
    pub source: String,
    pub kafka_servers: String,
    pub kafka_options: String,
    pub dynamodb_options: String,
    suffix: String,
}

impl Names {
    /// A job's topic, or its DynamoDB table.
    pub fn topic(&self, job: Job) -> String {
        format!("{}-{}", job.table(), self.suffix)
    }
}

/// How a scenario reaches its backends; `Default`: directly.
#[derive(Default)]
pub struct Ways {
    /// A proxy before Kafka.
    pub kafka_servers: Option<String>,
    /// More options of Kafka sinks, as `, 'name' = 'value'`.
    pub kafka_options: String,
    /// A proxy before DynamoDB.
    pub dynamodb_endpoint: Option<String>,
}

/// A server with jobs, and the orders that were written so far.
pub struct Scenario {
    pub backends: BackendsOfProcess,
    pub names: Names,
    pub jobs: Vec<Job>,
    pub orders: Vec<Order>,
    pub rng: StdRng,
    pub folder: TempDir,
    server: Option<ServerProcess>,
    producer: Arc<ThreadedProducer<DefaultProducerContext>>,
}

impl Scenario {
    /// Starts a server, and the jobs on it.
    pub async fn start(backends: BackendsOfProcess, ways: Ways, jobs: &[Job], seed: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
        let suffix = unique("once");
        let source = format!("orders-{suffix}");
        create_topic(&backends.kafka(), &source, PARTITIONS).await;
        let endpoint = match ways.dynamodb_endpoint {
            Some(endpoint) => format!(
                ", 'aws.region' = 'us-east-1', 'aws.endpoint' = '{endpoint}', 'aws.credentials.provider' = 'BASIC', \
                 'aws.credentials.basic.accesskeyid' = 'test', 'aws.credentials.basic.secretkey' = 'test'"
            ),
            None => String::new(),
        };
        let names = Names {
            source,
            kafka_servers: ways.kafka_servers.unwrap_or_default(),
            kafka_options: ways.kafka_options,
            dynamodb_options: endpoint,
            suffix,
        };
        let mut kafka = backends.kafka();
        kafka.set("enable.idempotence", "true").set("message.timeout.ms", "300000");
        kafka.set("reconnect.backoff.max.ms", "200").set("linger.ms", "2");
        let scenario = Self {
            producer: Arc::new(kafka.create().unwrap()),
            backends,
            names,
            jobs: jobs.to_vec(),
            orders: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
            folder,
            server: Some(server),
        };
        let session = scenario.server().connect().await;
        let source = format!(
            "CREATE TABLE orders (id BIGINT, user_id INT, amount DECIMAL(10, 2), created_at TIMESTAMP(3)) WITH \
             ('connector' = 'kafka', 'topic' = '{}', 'properties.bootstrap.servers' = '{}', 'format' = 'json', \
             'properties.reconnect.backoff.max.ms' = '200', 'scan.startup.mode' = 'earliest-offset')",
            scenario.names.source, scenario.names.kafka_servers
        );
        let interval = CHECKPOINT_INTERVAL.as_millis();
        let mut statements = vec![source, format!("SET 'execution.checkpointing.interval' = '{interval} ms'")];
        for job in jobs {
            if job.writes_kafka() {
                create_topic(&scenario.backends.kafka(), &scenario.names.topic(*job), 2).await;
            }
            statements.extend(job.statements(&scenario.names));
        }
        for statement in statements {
            if let Err(error) = session.batch_execute(&statement).await {
                panic!("{statement}\n{error:?}\n{}", scenario.server().log());
            }
        }
        scenario
    }

    /// The server, which must be up.
    pub fn server(&self) -> &ServerProcess {
        self.server.as_ref().expect("the server is up")
    }

    /// Writes some orders, without waiting for them.
    pub fn write(&mut self, count: usize) {
        for _ in 0..count {
            // Some users order much more than others.
            let user = self.rng.random_range(0..USERS).min(self.rng.random_range(0..USERS)) + 1;
            let order = Order {
                id: self.orders.len() as u64,
                user,
                cents: self.rng.random_range(1..1_000_000),
                month: self.rng.random_range(1..=12),
                partition: self.rng.random_range(0..PARTITIONS),
            };
            let payload = format!(
                r#"{{"id":{},"user_id":{user},"amount":{},"created_at":"2026-{:02}-15 10:00:00"}}"#,
                order.id,
                decimal(order.cents),
                order.month
            );
            let record = BaseRecord::<(), _>::to(&self.names.source).payload(&payload).partition(order.partition);
            self.producer.send(record).map_err(|(error, _)| error).unwrap();
            self.orders.push(order);
        }
    }

    /// Waits until everything written is in the log.
    pub async fn flush(&self) {
        let producer = self.producer.clone();
        tokio::task::spawn_blocking(move || producer.flush(JOB_PATIENCE)).await.unwrap().unwrap();
    }

    /// Writes in bursts for a while.
    pub async fn write_for(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            self.burst().await;
        }
    }

    /// A burst and the pause after it.
    pub async fn burst(&mut self) {
        let count = self.rng.random_range(1..40);
        self.write(count);
        let pause = self.rng.random_range(5..40);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    /// kill -9, and nothing is started.
    pub fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill();
        }
    }

    /// SIGTERM, and nothing is started.
    pub fn terminate(&mut self) -> ExitStatus {
        self.server.take().expect("the server is up").terminate()
    }

    /// Starts a server on the same data, with these faults, and does not wait for it.
    pub fn start_again(&mut self, faults: &[(&str, String)]) -> &mut ServerProcess {
        self.kill();
        self.server.insert(ServerProcess::spawn(&self.backends, &self.folder.path().join("data"), faults))
    }

    /// Starts a server on the same data, and waits until it answers.
    pub async fn restart(&mut self, faults: &[(&str, String)]) {
        let server = self.start_again(faults);
        if let Some(status) = server.until_it_answers().await {
            panic!("the server ended with {status}:\n{}", server.log());
        }
    }

    /// Kills the server, if it is up, and starts one that kills itself when the point is passed for the `times`-th time. Orders are
    /// written until it has. At the end no server runs.
    pub async fn kill_at(&mut self, point: &str, times: u64, mutant: Option<&str>) {
        let mut faults = vec![("STREAMGATE_KILL_AT", format!("{point}:{times}"))];
        faults.extend(mutant.map(|mutant| ("STREAMGATE_MUTANT", mutant.to_owned())));
        self.start_again(&faults);
        let deadline = Instant::now() + JOB_PATIENCE;
        loop {
            self.burst().await;
            let server = self.server.as_mut().expect("it was just started");
            if let Some(status) = server.ended() {
                assert_eq!(status.signal(), Some(9), "at {point}:{times}:\n{}", server.log());
                self.server = None;
                return;
            }
            if Instant::now() >= deadline {
                let jobs = server.query("SELECT name, state, last_error FROM streamgate.jobs").await;
                panic!("{point} was not passed {times} times: {jobs:?}\n{}", server.log());
            }
        }
    }
}
