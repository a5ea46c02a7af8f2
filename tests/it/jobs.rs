//! What statements do to jobs that are there, what the server does with jobs that end it, and what is left of those that are dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, SimpleQueryMessage};

use crate::backends::{PATIENCE, unique};
use crate::conformance::kafka::create_topic;
use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, until};

/// A session that keeps what it is told beside results.
struct Told {
    client: tokio_postgres::Client,
    notices: mpsc::UnboundedReceiver<String>,
}

impl Told {
    async fn connect(server: &ServerProcess) -> Self {
        let settings = format!("host=127.0.0.1 port={} user=test dbname=streamgate", server.port);
        let (client, mut connection) = tokio_postgres::connect(&settings, tokio_postgres::NoTls).await.unwrap();
        let (sender, notices) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notice(notice) = message {
                    let _ = sender.send(format!("{}: {}", notice.severity(), notice.message()));
                }
            }
        });
        Self { client, notices }
    }

    /// What the statements tell.
    async fn run(&mut self, statements: &str) -> Vec<String> {
        if let Err(error) = self.client.batch_execute(statements).await {
            panic!("{statements}\n{error:?}");
        }
        std::iter::from_fn(|| self.notices.try_recv().ok()).collect()
    }

    async fn error(&self, statements: &str) -> (SqlState, String, String) {
        let error = self.client.batch_execute(statements).await.expect_err(statements);
        let error = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
        (error.code().clone(), error.message().to_owned(), error.hint().unwrap_or_default().to_owned())
    }
}

fn kafka_tables(topic: &str, options: &str) -> String {
    format!(
        "CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '20');
         CREATE TABLE copies (n BIGINT) WITH ('connector' = 'kafka', 'topic' = '{topic}', 'format' = 'json'{options})"
    )
}

#[tokio::test]
async fn a_second_job_of_a_statement_is_refused_and_replacing_one_begins_anew() {
    let backends = BackendsOfProcess::shared();
    let topic = unique("second");
    create_topic(&backends.kafka(), &topic, 1).await;
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    let mut told = Told::connect(&server).await;
    told.run(&kafka_tables(&topic, "")).await;
    told.run("INSERT INTO copies SELECT n FROM numbers").await;

    let same = "insert into copies\n  select n -- the same\n from numbers";
    for statement in
        [same.to_owned(), format!("CREATE JOB other AS {same}"), format!("CREATE OR REPLACE JOB other AS {same}")]
    {
        let (code, message, hint) = told.error(&statement).await;
        assert_eq!(code, SqlState::DUPLICATE_OBJECT);
        assert_eq!(message, "job \"insert_into_copies\" runs this statement already");
        assert!(hint.contains("CREATE JOB IF NOT EXISTS") && hint.contains("CREATE OR REPLACE JOB"), "{hint}");
    }
    let notices = told.run(&format!("CREATE JOB IF NOT EXISTS other AS {same}")).await;
    assert_eq!(notices, ["NOTICE: job \"insert_into_copies\" runs this statement already, skipping"]);
    assert_eq!(server.query("SELECT name FROM streamgate.jobs").await, ["insert_into_copies"]);

    // Another statement into the same table is only warned of.
    let notices = told.run("CREATE JOB twice AS INSERT INTO copies SELECT n / 2 FROM numbers").await;
    assert_eq!(notices[0], "WARNING: job \"insert_into_copies\" writes the same table");
    assert_eq!(
        told.run("CREATE JOB IF NOT EXISTS twice AS INSERT INTO copies SELECT n / 3 FROM numbers").await.len(),
        1
    );
    let (code, _, hint) = told.error("CREATE JOB twice AS INSERT INTO copies SELECT n / 3 FROM numbers").await;
    assert!(code == SqlState::DUPLICATE_OBJECT && hint.contains("CREATE OR REPLACE JOB"), "{hint}");

    // A replaced job begins anew under its name, and the old one leaves nothing.
    let rows = |query: &'static str| server.query(query);
    let before = rows("SELECT id FROM streamgate.jobs WHERE name = 'twice'").await.remove(0);
    let checkpoints = folder.path().join("data").join("jobs").join(&before);
    until(JOB_PATIENCE, "it has a checkpoint", async || checkpoints.exists().then_some(())).await;
    let notices = told.run("CREATE OR REPLACE JOB twice AS INSERT INTO copies SELECT n / 2 FROM numbers").await;
    assert!(notices.contains(&"NOTICE: job \"twice\" is replaced".to_owned()), "{notices:?}");
    assert_ne!(rows("SELECT id FROM streamgate.jobs WHERE name = 'twice'").await, [before]);
    until(JOB_PATIENCE, "the old checkpoints are gone", async || (!checkpoints.exists()).then_some(())).await;
    until(JOB_PATIENCE, "the new one runs", async || {
        (rows("SELECT state FROM streamgate.jobs WHERE name = 'twice' AND rows_in > 0").await == ["RUNNING"])
            .then_some(())
    })
    .await;

    // Whoever drops what runs is told.
    let notices = told.run("DROP TABLE copies").await;
    assert_eq!(
        notices,
        ["NOTICE: jobs go on with what is dropped: \"insert_into_copies\" (writes), \"twice\" (writes)"]
    );
    assert_eq!(told.run("DROP JOB twice").await, ["NOTICE: job \"twice\" was RUNNING and is stopped"]);
    // A job that is stopped for good stands in nobody's way.
    told.run(&kafka_tables(&topic, "").replace("CREATE TABLE numbers", "CREATE TABLE IF NOT EXISTS numbers")).await;
    assert_eq!(told.run("STOP JOB insert_into_copies").await, [""; 0]);
    let notices = told.run(&format!("CREATE JOB other AS {same}")).await;
    assert_eq!(notices, ["NOTICE: job \"other\" submitted"]);
    assert_eq!(told.run("DROP JOB insert_into_copies; STOP JOB other; DROP JOB other").await, [""; 0]);
    assert_eq!(told.run("DROP TABLE copies, numbers").await, [""; 0]);

    // Whoever drops a whole schema is told as well.
    told.run("CREATE SCHEMA s; USE s").await;
    told.run(&kafka_tables(&topic, "")).await;
    told.run("INSERT INTO copies SELECT n FROM numbers; USE public").await;
    let notices = told.run("DROP SCHEMA s CASCADE").await;
    assert_eq!(notices, ["NOTICE: jobs go on with what is dropped: \"insert_into_copies\" (reads, writes)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_beside_a_stop_with_savepoint_is_no_defect() {
    let backends = BackendsOfProcess::shared();
    let topic = unique("beside");
    create_topic(&backends.kafka(), &topic, 1).await;
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    let told = Told::connect(&server).await;
    told.client.batch_execute(&kafka_tables(&topic, "")).await.unwrap();
    for round in 0..3 {
        let insert = format!("CREATE JOB j{round} AS INSERT INTO copies SELECT n / ({round} + 2) FROM numbers");
        told.client.batch_execute(&insert).await.unwrap();
        let (one, other) = (server.connect().await, server.connect().await);
        let (with_savepoint, stop) = (format!("STOP JOB j{round} WITH SAVEPOINT"), format!("STOP JOB j{round}"));
        let (one, other) = tokio::join!(one.simple_query(&with_savepoint), other.simple_query(&stop));
        other.unwrap();
        if let Err(error) = one {
            // The other one came first.
            let code = error.code().unwrap().clone();
            assert_eq!(code, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "{error:?}");
        }
        let state = format!("SELECT state FROM streamgate.jobs WHERE name = 'j{round}'");
        assert_eq!(server.query(&state).await, ["STOPPED"]);
    }
}

#[tokio::test]
async fn an_expression_that_a_job_cannot_keep_is_refused_when_it_is_submitted() {
    let backends = BackendsOfProcess::shared();
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    let told = Told::connect(&server).await;
    told.client
        .batch_execute(
            "CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '20');
             CREATE TABLE nothing (n BIGINT) WITH ('connector' = 'blackhole')",
        )
        .await
        .unwrap();
    let nested = |levels: i32| {
        let inner = (0..levels)
            .fold("n".to_owned(), |inner, level| format!("CASE WHEN n = {level} THEN {level} ELSE {inner} END"));
        format!("CREATE JOB deep{levels} AS INSERT INTO nothing SELECT {inner} FROM numbers")
    };
    let (code, message, hint) = told.error(&nested(60)).await;
    assert_eq!(code, SqlState::STATEMENT_TOO_COMPLEX, "{message}");
    assert!(message.contains("nested too deeply for a job") && hint.contains("one CASE with several WHENs"), "{hint}");
    // One that it can keep is read again at the next start.
    told.client.batch_execute(&nested(40)).await.unwrap();
    server.kill();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    until(JOB_PATIENCE, "the job runs", async || {
        (server.query("SELECT name, state FROM streamgate.jobs WHERE rows_out > 0").await == ["deep40|RUNNING"])
            .then_some(())
    })
    .await;
}

fn topics(backends: &BackendsOfProcess) -> Vec<String> {
    let mut kafka = backends.kafka();
    kafka.set("group.id", "topics").set("allow.auto.create.topics", "false");
    let consumer: BaseConsumer = kafka.create().unwrap();
    let metadata = consumer.fetch_metadata(None, PATIENCE).unwrap();
    metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_right_after_drop_job_leaves_nothing_for_ever() {
    let backends = BackendsOfProcess::shared();
    let topic = unique("dropped");
    create_topic(&backends.kafka(), &topic, 1).await;
    let folder = TempDir::new().unwrap();
    let data_dir = folder.path().join("data");
    let server = ServerProcess::start(&backends, &data_dir).await;
    server.execute(&kafka_tables(&topic, ", 'sink.delivery-guarantee' = 'exactly-once'")).await;
    server.execute("CREATE JOB j AS INSERT INTO copies SELECT n FROM numbers").await;
    let id = server.query("SELECT id FROM streamgate.jobs").await.remove(0);
    let progress = format!("streamgate-progress-{id}");
    let checkpoints = data_dir.join("jobs").join(&id);
    until(JOB_PATIENCE, "the job has left traces", async || {
        (checkpoints.exists() && topics(&backends).contains(&progress)).then_some(())
    })
    .await;
    server.execute("STOP JOB j").await;
    server.kill();
    // As if the kill had come between the commit of DROP JOB and everything that follows.
    let server = ServerProcess::spawn(&backends, &data_dir, &[("STREAMGATE_KILL_AT", "D0".to_owned())]);
    let mut server = server;
    server.until_it_answers().await;
    let _ = server.connect().await.batch_execute("DROP JOB j").await;
    until(JOB_PATIENCE, "the server is killed", async || server.ended()).await;
    assert!(checkpoints.exists() && topics(&backends).contains(&progress));
    let server = ServerProcess::start(&backends, &data_dir).await;
    assert_eq!(server.query("SELECT count(*) FROM streamgate.jobs").await, ["0"]);
    until(JOB_PATIENCE, "nothing is left", async || {
        (!checkpoints.exists() && !topics(&backends).contains(&progress)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_jobs_are_dropped_one_by_one() {
    // Each has a reader, a checkpoint and a sink: the whole number takes a minute in builds like this one.
    let jobs = if std::env::var("STREAMGATE_TEST_LONG").is_ok() { 200 } else { 30 };
    let backends = BackendsOfProcess::take().await;
    let topic = unique("many");
    let folder = TempDir::new().unwrap();
    let data_dir = folder.path().join("data");
    let server = ServerProcess::start(&backends, &data_dir).await;
    create_topic(&backends.kafka(), &topic, 1).await;
    server.execute(&kafka_tables(&topic, "")).await;
    for job in 0..jobs {
        server.execute(&format!("CREATE JOB j{job} AS INSERT INTO copies SELECT n + {job} FROM numbers")).await;
    }
    let all_run = "SELECT count(*) FROM streamgate.jobs WHERE state = 'RUNNING' AND rows_out > 0";
    until(JOB_PATIENCE, "all run", async || (server.query(all_run).await == [jobs.to_string()]).then_some(())).await;
    let dropped = async {
        for job in 0..jobs {
            server.execute(&format!("DROP JOB j{job}")).await;
        }
    };
    // A drop that waits for the interval of checkpoints, or for the patience of a sink, takes more than a second each.
    tokio::time::timeout(JOB_PATIENCE, dropped).await.expect("all are dropped");
    assert_eq!(server.query("SELECT count(*) FROM streamgate.jobs").await, ["0"]);
    // Beside the jobs' folders lies what the server notes of its own end.
    let folders = || std::fs::read_dir(data_dir.join("jobs")).unwrap().map(|entry| entry.unwrap().file_name());
    until(JOB_PATIENCE, "nothing is left", async || folders().all(|name| name == "death").then_some(())).await;
}

#[tokio::test]
async fn a_server_whose_data_directory_is_gone_ends_and_a_lost_catalog_is_missed() {
    let backends = BackendsOfProcess::shared();
    let folder = TempDir::new().unwrap();
    let data_dir = folder.path().join("data");
    let mut server = ServerProcess::start(&backends, &data_dir).await;
    let moved = folder.path().join("moved");
    fs::rename(&data_dir, &moved).unwrap();
    let status = until(PATIENCE, "the server ends", async || server.ended()).await;
    assert!(!status.success());
    assert!(server.log().contains("was removed or replaced"), "{}", server.log());
    assert!(!data_dir.exists(), "it wrote into what is not there");

    fs::rename(&moved, &data_dir).unwrap();
    fs::remove_file(data_dir.join("catalog").join("catalog.json")).unwrap();
    let mut server = ServerProcess::spawn(&backends, &data_dir, &[]);
    let status = server.until_it_answers().await.expect("it does not start");
    assert!(!status.success());
    let log = server.log();
    assert!(log.contains("catalog") && log.contains("is gone") && log.contains("catalog.marker.json"), "{log}");
}

/// Two jobs that read one topic; `deadly` is the one of them that ends its process.
struct Deadly {
    backends: BackendsOfProcess,
    topic: String,
    folder: TempDir,
}

impl Deadly {
    async fn start() -> Self {
        let backends = BackendsOfProcess::shared();
        let topic = unique("deadly");
        create_topic(&backends.kafka(), &topic, 1).await;
        let deadly = Self { backends, topic, folder: TempDir::new().unwrap() };
        let server = ServerProcess::start(&deadly.backends, &deadly.data_dir()).await;
        server
            .execute(&format!(
                "CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'kafka', 'topic' = '{}', 'format' = 'json', \
                 'scan.startup.mode' = 'earliest-offset');
                 CREATE TABLE nothing (n BIGINT) WITH ('connector' = 'blackhole');
                 CREATE JOB deadly AS INSERT INTO nothing SELECT n FROM numbers;
                 CREATE JOB harmless AS INSERT INTO nothing SELECT n + 1 FROM numbers",
                deadly.topic
            ))
            .await;
        until(JOB_PATIENCE, "both jobs have opened", async || {
            (server.query("SELECT DISTINCT job FROM streamgate.job_splits").await.len() == 2).then_some(())
        })
        .await;
        server.kill();
        deadly
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    async fn send(&self, number: u32) {
        let producer: ThreadedProducer<DefaultProducerContext> = self.backends.kafka().create().unwrap();
        let payload = format!("{{\"n\":{number}}}");
        producer.send(BaseRecord::<(), _>::to(&self.topic).payload(&payload)).map_err(|(error, _)| error).unwrap();
        tokio::task::spawn_blocking(move || producer.flush(JOB_PATIENCE)).await.unwrap().unwrap();
    }

    fn spawn(&self, faults: &[(&str, &str)]) -> ServerProcess {
        let faults: Vec<(&str, String)> = faults.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        ServerProcess::spawn(&self.backends, &self.data_dir(), &faults)
    }

    /// Starts the server again until the job no longer ends it, and gives the server.
    async fn die_until_it_lives(&self, faults: &[(&str, &str)]) -> ServerProcess {
        for _ in 0..10 {
            let mut server = self.spawn(faults);
            let lives = until(JOB_PATIENCE, "the server has died or the job is set aside", async || {
                if server.ended().is_some() {
                    return Some(false);
                }
                let query = "SELECT name FROM streamgate.jobs WHERE state = 'QUARANTINED'";
                let rows = server.try_connect().await?.simple_query(query).await.ok()?;
                rows.iter().any(|row| matches!(row, SimpleQueryMessage::Row(_))).then_some(true)
            });
            if lives.await {
                return server;
            }
        }
        panic!("the job ends the server again and again");
    }

    /// Starts the server `times` times; each time the job ends it.
    async fn die(&self, times: usize, faults: &[(&str, &str)]) {
        for time in 0..times {
            let mut server = self.spawn(faults);
            until(JOB_PATIENCE, &format!("the server has died {} times", time + 1), async || server.ended()).await;
        }
    }
}

async fn states(server: &ServerProcess) -> Vec<String> {
    server.query("SELECT name, state FROM streamgate.jobs ORDER BY name").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_the_server_three_times_is_set_aside_and_the_others_run() {
    let deadly = Deadly::start().await;
    deadly.send(1).await;
    for (faults, sign) in [
        (vec![("STREAMGATE_ABORT_JOB", "deadly")], "it was aborted"),
        // Killed while it holds all the memory that it may.
        (vec![("STREAMGATE_KILL_JOB", "deadly"), ("STREAMGATE_MEMORY_LIMIT", "1")], "of 0 MiB of memory"),
    ] {
        let mut server = if sign == "it was aborted" {
            deadly.die(3, &faults).await;
            let mut server = deadly.spawn(&faults);
            assert!(server.until_it_answers().await.is_none(), "{}", server.log());
            server
        } else {
            // On a busy machine the look at the memory may come too late for one death.
            deadly.die_until_it_lives(&faults).await
        };
        deadly.send(9).await;
        let read = until(JOB_PATIENCE, "the other job reads", async || {
            (server.query("SELECT rows_in FROM streamgate.jobs WHERE name = 'harmless'").await != ["0"]).then_some(())
        });
        read.await;
        assert_eq!(states(&server).await, ["deadly|QUARANTINED", "harmless|RUNNING"], "{}", server.log());
        let error = server.query("SELECT last_error FROM streamgate.jobs WHERE name = 'deadly'").await.concat();
        assert!(error.contains("died 3 times") && error.contains(sign) && error.contains("RESUME JOB"), "{error}");
        // Tried again, one death is enough.
        let _ = server.connect().await.batch_execute("RESUME JOB deadly").await;
        until(JOB_PATIENCE, "the server has died again", async || server.ended()).await;
        let server = ServerProcess::start(&deadly.backends, &deadly.data_dir()).await;
        assert_eq!(states(&server).await[0], "deadly|QUARANTINED");
        // Without the cause it runs, and what was counted is forgotten.
        server.execute("RESUME JOB deadly").await;
        let records = |path: &Path| {
            let names = fs::read_dir(path).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
            names.filter(|name| name.ends_with(".start")).count()
        };
        until(JOB_PATIENCE, "both jobs are out of danger", async || {
            (records(&deadly.data_dir().join("jobs")) == 0).then_some(())
        })
        .await;
        assert_eq!(states(&server).await, ["deadly|RUNNING", "harmless|RUNNING"]);
        server.kill();
        deadly.send(2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_server_on_purpose_blames_no_job_and_held_jobs_wait() {
    let deadly = Deadly::start().await;
    deadly.send(1).await;
    deadly.die(4, &[("STREAMGATE_KILL_JOB", "deadly")]).await;
    // Held, not even the deadly one ends the server.
    let faults = [("STREAMGATE_HOLD_JOBS", "true"), ("STREAMGATE_KILL_JOB", "deadly")];
    let mut server = deadly.spawn(&faults);
    assert!(server.until_it_answers().await.is_none(), "{}", server.log());
    assert_eq!(states(&server).await, ["deadly|HELD", "harmless|HELD"]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.execute("RESUME JOB harmless; CREATE JOB new AS INSERT INTO nothing SELECT n + 2 FROM numbers").await;
    until(JOB_PATIENCE, "what was resumed and what is new runs", async || {
        (states(&server).await == ["deadly|HELD", "harmless|RUNNING", "new|RUNNING"]).then_some(())
    })
    .await;
    server.execute("DROP JOB deadly").await;
    server.kill();
    let server = ServerProcess::start(&deadly.backends, &deadly.data_dir()).await;
    assert_eq!(states(&server).await, ["harmless|RUNNING", "new|RUNNING"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_data_directory_does_not_run_the_same_jobs_until_it_is_adopted() {
    let deadly = Deadly::start().await;
    let copy = deadly.folder.path().join("copy");
    assert!(std::process::Command::new("cp").arg("-a").arg(deadly.data_dir()).arg(&copy).status().unwrap().success());
    let original = ServerProcess::start(&deadly.backends, &deadly.data_dir()).await;
    until(JOB_PATIENCE, "the original runs its jobs", async || {
        (states(&original).await == ["deadly|RUNNING", "harmless|RUNNING"]).then_some(())
    })
    .await;
    let server = ServerProcess::start(&deadly.backends, &copy).await;
    assert_eq!(states(&server).await, ["deadly|HELD", "harmless|HELD"]);
    let why = server.query("SELECT DISTINCT last_error FROM streamgate.jobs").await.concat();
    assert!(why.contains("is a copy of another one") && why.contains("--adopt-data-dir"), "{why}");
    server.kill();
    original.kill();

    let mut server = ServerProcess::spawn(&deadly.backends, &copy, &[("STREAMGATE_ADOPT_DATA_DIR", "true".to_owned())]);
    assert!(server.until_it_answers().await.is_none(), "{}", server.log());
    server.kill();
    // From now on it is no copy.
    let server = ServerProcess::start(&deadly.backends, &copy).await;
    until(JOB_PATIENCE, "the adopted directory's jobs run", async || {
        (states(&server).await == ["deadly|RUNNING", "harmless|RUNNING"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ended_the_server_twice_waits_until_no_other_job_begins() {
    let deadly = Deadly::start().await;
    let server = ServerProcess::start(&deadly.backends, &deadly.data_dir()).await;
    deadly.send(0).await;
    until(JOB_PATIENCE, "both jobs have checkpoints", async || {
        (server.query("SELECT DISTINCT job FROM streamgate.job_checkpoints").await.len() == 2).then_some(())
    })
    .await;
    server.kill();
    deadly.send(1).await;
    deadly.die(2, &[("STREAMGATE_ABORT_JOB", "deadly")]).await;
    // The other one begins, which takes as long as there is this file.
    let slow = deadly.folder.path().join("slow");
    fs::write(&slow, "").unwrap();
    let while_slow = slow.display().to_string();
    let faults = [
        ("STREAMGATE_HOLD_JOBS", "true"),
        ("STREAMGATE_IO_FAULT", "read:1:WAIT"),
        ("STREAMGATE_IO_FAULT_WHILE", &while_slow),
    ];
    let mut server = deadly.spawn(&faults);
    assert!(server.until_it_answers().await.is_none(), "{}", server.log());
    let waits_for = async |job: &str, what: &str| {
        until(JOB_PATIENCE, what, async || {
            let waits = format!("SELECT waits_for FROM streamgate.jobs WHERE name = '{job}'");
            server.query(&waits).await[0].starts_with(what).then_some(())
        })
        .await;
    };
    server.execute("RESUME JOB harmless").await;
    waits_for("harmless", "its checkpoints to be read").await;
    server.execute("RESUME JOB deadly").await;
    waits_for("deadly", "other jobs to begin: it was there when the server died").await;
    fs::remove_file(&slow).unwrap();
    waits_for("deadly", "NULL").await;
    assert_eq!(states(&server).await, ["deadly|RUNNING", "harmless|RUNNING"], "{}", server.log());
}
