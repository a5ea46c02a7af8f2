//! `SET 'state.memory.budget'`: jobs whose state is many times larger keep the rest on disk, for every operator that keeps state, and
//! give the same results, also after kill -9.

use std::fs;
use std::path::Path;

use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use tempfile::TempDir;

use crate::backends::unique;
use crate::conformance::kafka::create_topic;
use crate::faults::dynamodb_proxy::{DynamoDbProxy, Faults};
use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, until};

const KEYS: usize = 10_000;
const BUDGET: u64 = 160 << 10;

/// The jobs, and by job the operator that keeps state of every key.
const OPERATORS: [(&str, &str); 4] = [
    ("insert_into_counts", "aggregate"),
    ("insert_into_names", "aggregate"),
    ("insert_into_names", "sink-materializer"),
    ("insert_into_totals", "normalize"),
];

/// What is on disk below a job's folders named `spill`.
fn spilled_files(data_dir: &Path) -> Vec<String> {
    let jobs = fs::read_dir(data_dir.join("jobs")).unwrap().flatten();
    let runs = jobs.filter_map(|job| fs::read_dir(job.path().join("spill")).ok()).flatten().flatten();
    runs.map(|run| run.path().display().to_string()).collect()
}

struct Trial {
    backends: BackendsOfProcess,
    events: String,
    profiles: String,
    names: String,
}

impl Trial {
    /// Every key once more, in another order each time.
    async fn write(&self, round: usize) {
        let producer: ThreadedProducer<DefaultProducerContext> = self.backends.kafka().create().unwrap();
        for index in 0..KEYS {
            let number = (index * 7919 + round * 5003) % KEYS;
            let key = format!("a key that is not very short {number:06}");
            let event = format!(r#"{{"k":"{key}","name":"the name of {key}","v":{}}}"#, round + 1);
            let profile = (format!(r#"{{"k":"{key}"}}"#), format!(r#"{{"k":"{key}","v":{}}}"#, round + 1));
            loop {
                let record = BaseRecord::<(), _>::to(&self.events).payload(&event);
                match producer.send(record) {
                    Ok(()) => break,
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                }
            }
            loop {
                let record = BaseRecord::to(&self.profiles).key(&profile.0).payload(&profile.1);
                match producer.send(record) {
                    Ok(()) => break,
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                }
            }
        }
        tokio::task::spawn_blocking(move || producer.flush(JOB_PATIENCE)).await.unwrap().unwrap();
    }

    /// Makes the tables, and the jobs with a small budget.
    async fn submit(&self, server: &ServerProcess) {
        let dynamodb = |table: &str| {
            let name = unique(table);
            format!("WITH ('connector' = 'dynamodb', 'table-name' = '{name}', 'table.create' = 'if-not-exists')")
        };
        let session = server.connect().await;
        for statement in [
            format!(
                "CREATE TABLE events (k STRING, name STRING, v INT) WITH ('connector' = 'kafka', 'topic' = '{}', \
                 'format' = 'json', 'scan.startup.mode' = 'earliest-offset')",
                self.events
            ),
            format!(
                "CREATE TABLE profiles (k STRING, v INT, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'upsert-kafka', \
                 'topic' = '{}', 'key.format' = 'json', 'value.format' = 'json')",
                self.profiles
            ),
            format!(
                "CREATE TABLE counts (n BIGINT, keys BIGINT, total BIGINT, PRIMARY KEY (n) NOT ENFORCED) {}",
                dynamodb("counts")
            ),
            format!(
                "CREATE TABLE names (name STRING, k STRING, total BIGINT, PRIMARY KEY (name) NOT ENFORCED) WITH \
                 ('connector' = 'upsert-kafka', 'topic' = '{}', 'key.format' = 'json', 'value.format' = 'json')",
                self.names
            ),
            format!(
                "CREATE TABLE totals (what STRING, keys BIGINT, total BIGINT, PRIMARY KEY (what) NOT ENFORCED) {}",
                dynamodb("totals")
            ),
            format!("SET 'state.memory.budget' = '{} kb'", BUDGET >> 10),
            "SET 'execution.checkpointing.interval' = '300 ms'".to_owned(),
            "INSERT INTO counts SELECT n, COUNT(*), SUM(total) FROM (SELECT k, COUNT(*) AS n, SUM(v) AS total FROM events \
             GROUP BY k) AS q GROUP BY n"
                .to_owned(),
            "INSERT INTO names SELECT MAX(name) AS name, k, SUM(v) FROM events GROUP BY k".to_owned(),
            "INSERT INTO totals SELECT 'all', COUNT(*), SUM(v) FROM profiles".to_owned(),
        ] {
            if let Err(error) = session.batch_execute(&statement).await {
                panic!("{statement}\n{error:?}\n{}", server.log());
            }
        }
    }

    /// Waits for the results after so many rounds.
    async fn expect(&self, server: &ServerProcess, rounds: usize) {
        let (sum, last) = (KEYS * rounds * (rounds + 1) / 2, KEYS * rounds);
        for (query, expected) in [
            ("SELECT n, keys, total FROM counts", format!("{rounds}|{KEYS}|{sum}")),
            ("SELECT COUNT(*), SUM(total) FROM names", format!("{KEYS}|{sum}")),
            ("SELECT what, keys, total FROM totals", format!("all|{KEYS}|{last}")),
        ] {
            until(JOB_PATIENCE, query, async || {
                let found = server.query(query).await;
                (found == [expected.clone()]).then_some(())
            })
            .await;
        }
    }

    /// Waits until what the operators say of their state, keys and bytes in memory and on disk, is as it must be.
    async fn expect_sizes(&self, server: &ServerProcess, fits: impl Fn(u64, u64, u64) -> bool) {
        for (job, operator) in OPERATORS {
            let sizes = format!(
                "SELECT state_keys, state_bytes, spilled_bytes FROM streamgate.job_operators \
                 WHERE job = '{job}' AND operator LIKE '{operator}%' ORDER BY state_keys DESC LIMIT 1"
            );
            until(JOB_PATIENCE, "the sizes of state", async || {
                let seen = server.query(&sizes).await.concat();
                let sizes: Vec<u64> = seen.split('|').map(|size| size.parse().unwrap()).collect();
                println!("{job}, {operator}: {seen}");
                fits(sizes[0], sizes[1], sizes[2]).then_some(())
            })
            .await;
        }
    }
}

async fn trial() -> (Trial, TempDir) {
    let backends = BackendsOfProcess::shared();
    let trial = Trial { backends, events: unique("events"), profiles: unique("profiles"), names: unique("names") };
    for topic in [&trial.events, &trial.profiles, &trial.names] {
        create_topic(&trial.backends.kafka(), topic, 2).await;
    }
    (trial, TempDir::new().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_beyond_the_budget_is_on_disk_and_results_are_the_same_also_after_a_kill() {
    let (trial, folder) = trial().await;
    let data_dir = folder.path().join("data");
    let is_mostly_on_disk = |keys, memory, disk| keys >= KEYS as u64 && memory <= BUDGET * 3 / 2 && disk > 2 * BUDGET;
    let server = ServerProcess::start(&trial.backends, &data_dir).await;
    trial.write(0).await;
    trial.submit(&server).await;
    trial.expect(&server, 1).await;
    trial.write(1).await;
    trial.expect(&server, 2).await;
    trial.expect_sizes(&server, is_mostly_on_disk).await;
    let before = spilled_files(&data_dir);
    assert_eq!(before.len(), 3, "{before:?}");
    server.kill();

    // A full disk: the state does not fit into memory, and goes nowhere else.
    let full = folder.path().join("full");
    fs::write(&full, "").unwrap();
    let faults = [
        ("STREAMGATE_IO_FAULT", "spill:1:ENOSPC".to_owned()),
        ("STREAMGATE_IO_FAULT_WHILE", full.display().to_string()),
    ];
    let mut server = ServerProcess::spawn(&trial.backends, &data_dir, &faults);
    assert_eq!(server.until_it_answers().await, None, "{}", server.log());
    trial.write(2).await;
    until(JOB_PATIENCE, "the jobs tell of the full disk", async || {
        let states = server.query("SELECT state, last_error FROM streamgate.jobs").await;
        let tells = |state: &String| {
            ["RETRYING", "cannot spill state to", "No space left on device"].iter().all(|text| state.contains(text))
        };
        states.iter().all(tells).then_some(())
    })
    .await;
    fs::remove_file(&full).unwrap();
    trial.expect(&server, 3).await;
    trial.expect_sizes(&server, is_mostly_on_disk).await;
    // What the killed process left is gone.
    let now = spilled_files(&data_dir);
    assert!(now.len() == 3 && now.iter().all(|run| !before.contains(run)), "{before:?}, then {now:?}");
    assert!(server.terminate().success());
    assert_eq!(spilled_files(&data_dir), Vec::<String>::new());
}

const MANY: usize = 150_000;

/// So many records, each with a key of its own.
async fn produce_many(backends: &BackendsOfProcess, topic: &str) {
    let producer: ThreadedProducer<DefaultProducerContext> = backends.kafka().create().unwrap();
    for number in 0..MANY {
        let record = format!(r#"{{"k":"a key that is not very short {number:06}"}}"#);
        while producer.send(BaseRecord::<(), _>::to(topic).payload(&record)).is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    tokio::task::spawn_blocking(move || producer.flush(JOB_PATIENCE)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_changed_ends_epochs_early_and_sources_wait_for_them() {
    let backends = BackendsOfProcess::shared();
    let proxy = DynamoDbProxy::start(&backends.dynamodb_endpoint, 3).await;
    let (topic, table) = (unique("many"), unique("counts"));
    create_topic(&backends.kafka(), &topic, 1).await;
    produce_many(&backends, &topic).await;
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    let job = |name: &str, budget: &str| {
        format!(
            "SET 'state.memory.budget' = '{budget}'; \
             CREATE JOB {name} AS INSERT INTO counts SELECT '{name}', n, COUNT(*) FROM \
             (SELECT k, COUNT(*) AS n FROM events GROUP BY k) AS q GROUP BY n"
        )
    };
    server
        .execute(&format!(
            "CREATE TABLE events (k STRING) WITH ('connector' = 'kafka', 'topic' = '{topic}', 'format' = 'json', \
             'scan.startup.mode' = 'earliest-offset'); \
             CREATE TABLE counts (job STRING, n BIGINT, keys BIGINT, PRIMARY KEY (job, n) NOT ENFORCED) WITH ('connector' = \
             'dynamodb', 'table-name' = '{table}', 'table.create' = 'if-not-exists', 'aws.endpoint' = '{}', 'aws.region' = \
             'us-east-1', 'aws.credentials.basic.accesskeyid' = 'a', 'aws.credentials.basic.secretkey' = 's'); \
             SET 'execution.checkpointing.interval' = '1 h'; {}; {}",
            proxy.endpoint(),
            job("small", "1 mb"),
            job("large", "1 gb")
        ))
        .await;
    let read = "SELECT count(*) FROM streamgate.jobs WHERE rows_in = ";
    until(JOB_PATIENCE, "both jobs have read", async || {
        (server.query(&format!("{read}{MANY}")).await == ["2"]).then_some(())
    })
    .await;
    // Within the hour the one has had nothing to end but its start, the other one more than it may keep. So it has written.
    let epochs = "SELECT job, count(*) FROM streamgate.job_checkpoints GROUP BY job ORDER BY job";
    until(JOB_PATIENCE, "epochs have ended early", async || {
        let epochs = server.query(epochs).await;
        let count = |job: &str| {
            epochs.iter().find_map(|line| line.strip_prefix(job)).map_or(0, |count| count.parse::<u32>().unwrap())
        };
        assert!(count("large|") <= 1, "{epochs:?}");
        (count("small|") >= 3).then_some(())
    })
    .await;
    let counted = "SELECT job, keys FROM counts WHERE n = 1";
    let found = server.query(counted).await;
    assert!(found.len() == 1 && found[0].starts_with("small|"), "{found:?}");

    // An epoch that does not end, since its writes are not acknowledged, holds the sources up, and nobody else.
    server.execute("DROP JOB small; DROP JOB large").await;
    proxy.set(Faults { delay: std::time::Duration::from_secs(600), ..Faults::default() });
    server.execute(&format!("SET 'execution.checkpointing.interval' = '1 h'; {}", job("held", "512 kb"))).await;
    let waits =
        "SELECT waits_for LIKE '%a checkpoint of what has changed%state.memory.budget%', rows_in FROM streamgate.jobs";
    let seen = until(JOB_PATIENCE, "its source waits", async || {
        println!("{:?}", server.query("SELECT state, rows_in, waits_for FROM streamgate.jobs").await);
        server.query(waits).await.into_iter().find_map(|line| line.strip_prefix("t|").map(str::to_owned))
    })
    .await;
    assert!((1..MANY).contains(&seen.parse().unwrap()), "{seen} rows");
    assert_eq!(server.query(waits).await, [format!("t|{seen}")], "it reads on");
    proxy.heal();
    server.execute("PAUSE JOB held; RESUME JOB held").await;
    until(JOB_PATIENCE, "it has read all, and waits no more", async || {
        let lag = "SELECT lag, waits_for FROM streamgate.jobs";
        (server.query(lag).await == ["0|NULL"]).then_some(())
    })
    .await;
    // With a savepoint it waits for its last writes, however busy the machine is.
    server.execute("STOP JOB held WITH SAVEPOINT").await;
    // The first request may meet a connection that the proxy has held and then closed.
    let (client, counted) = (server.connect().await, format!("{counted} AND job = 'held'"));
    let keys = until(JOB_PATIENCE, "the proxy answers", async || {
        let rows = client.query(&counted, &[]).await.ok()?;
        Some(rows.iter().map(|row| row.get::<_, i64>(1)).collect::<Vec<_>>())
    })
    .await;
    assert_eq!(keys, [MANY as i64]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_nobody_heeds_is_seen() {
    let (trial, folder) = trial().await;
    let mutant = [("STREAMGATE_MUTANT", "never-spill".to_owned())];
    let mut server = ServerProcess::spawn(&trial.backends, &folder.path().join("data"), &mutant);
    assert_eq!(server.until_it_answers().await, None, "{}", server.log());
    trial.write(0).await;
    trial.submit(&server).await;
    trial.expect(&server, 1).await;
    trial.expect_sizes(&server, |keys, memory, disk| keys >= KEYS as u64 && memory > BUDGET * 3 && disk == 0).await;
}
