//! Jobs and their Kafka through the front door: rows that are inserted one by one, topics that are deleted or made again, brokers that are
//! away, what waits for a job, sinks of two kinds in one job, and two processes that want one job.

mod away;
mod failures;
mod inserts;
mod lag;
mod owners;
mod topics;
mod two_sinks;
mod waits;

use std::path::PathBuf;
use std::time::Duration;

use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use tempfile::TempDir;

use crate::backends::unique;
use crate::conformance::kafka::{admin, create_topic, eventually, options};
use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, until};

/// A server over the backends that all tests share, and a topic of its own.
struct Bench {
    backends: BackendsOfProcess,
    folder: TempDir,
    server: Option<ServerProcess>,
    topic: String,
}

impl Bench {
    async fn start(partitions: i32) -> Self {
        let backends = BackendsOfProcess::shared();
        let folder = TempDir::new().unwrap();
        let topic = unique("jobs");
        create_topic(&backends.kafka(), &topic, partitions).await;
        let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
        Self { backends, folder, server: Some(server), topic }
    }

    fn server(&self) -> &ServerProcess {
        self.server.as_ref().unwrap()
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// SIGKILL and a new start.
    async fn restart(&mut self) {
        self.server.take().unwrap().kill();
        self.server = Some(ServerProcess::start(&self.backends, &self.data_dir()).await);
    }

    /// SIGKILL and a new start with faults.
    async fn restart_with(&mut self, faults: &[(&str, String)]) {
        self.server.take().unwrap().kill();
        let mut server = ServerProcess::spawn(&self.backends, &self.data_dir(), faults);
        assert!(server.until_it_answers().await.is_none(), "{}", server.log());
        self.server = Some(server);
    }

    /// SIGTERM, which leaves a last checkpoint, and a new start.
    async fn restart_in_order(&mut self) {
        assert!(self.server.take().unwrap().terminate().success());
        self.server = Some(ServerProcess::start(&self.backends, &self.data_dir()).await);
    }

    /// A table over the topic, and one that takes its rows; `options` are the first one's.
    async fn declare(&self, options: &str) {
        let topic = &self.topic;
        let script = format!(
            "CREATE TABLE numbers (id BIGINT) WITH ('connector' = 'kafka', 'topic' = '{topic}', 'format' = 'json', \
               'scan.startup.mode' = 'earliest-offset'{options}); \
             CREATE TABLE taken (id BIGINT) WITH ('connector' = 'blackhole')"
        );
        self.server().execute(&script).await;
    }

    /// The job that takes the rows.
    async fn submit(&self) {
        self.server().execute("CREATE JOB j AS INSERT INTO taken SELECT id FROM numbers").await;
    }

    /// Writes numbers into partition 0.
    fn produce(&self, ids: std::ops::Range<i64>) {
        let records: Vec<String> = ids.map(|id| format!(r#"{{"id":{id}}}"#)).collect();
        self.produce_texts(&records);
    }

    fn produce_texts(&self, records: &[String]) {
        // Each record once, also when an answer is late on a busy machine and the request is sent again.
        let mut config = self.backends.kafka();
        let producer: ThreadedProducer<DefaultProducerContext> =
            config.set("enable.idempotence", "true").create().unwrap();
        for record in records {
            let record = BaseRecord::<(), str>::to(&self.topic).partition(0).payload(record);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(30)).unwrap();
    }

    async fn delete_topic(&self) {
        let results = admin(&self.backends.kafka()).delete_topics(&[&self.topic], &options()).await.unwrap();
        assert_eq!(results, [Ok(self.topic.clone())]);
    }

    /// Deletes the topic and makes another one of its name.
    async fn make_topic_anew(&self, partitions: i32) {
        self.delete_topic().await;
        let config = self.backends.kafka();
        let topic = rdkafka::admin::NewTopic::new(&self.topic, partitions, rdkafka::admin::TopicReplication::Fixed(1));
        // Kafka may take a moment until the name is free.
        let made = async || admin(&config).create_topics([&topic], &options()).await.unwrap().remove(0).is_ok();
        eventually(made, |made| *made).await;
    }

    /// Columns of the job in streamgate.jobs, joined by `|`.
    async fn job(&self, columns: &str) -> String {
        self.server().query(&format!("SELECT {columns} FROM streamgate.jobs WHERE name = 'j'")).await.join("\n")
    }

    async fn until_job(&self, columns: &str, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let deadline = std::time::Instant::now() + JOB_PATIENCE;
        while std::time::Instant::now() < deadline {
            last = self.job(columns).await;
            if is_so(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("waited in vain until {what}; now {columns}: {last}\n{}", self.server().log());
    }

    async fn until_rows(&self, rows: u64) {
        let now = self
            .until_job("rows_in", &format!("{rows} rows are read"), |now| now.parse().is_ok_and(|now: u64| now >= rows))
            .await;
        if now != rows.to_string() {
            // Read twice by a job that was started again, or twice in the log?
            let job = self.job("state, rows_in, restarts, last_error").await;
            let splits = self.server().query("SELECT * FROM streamgate.job_splits").await;
            panic!("more than {rows} rows: {job}; {splits:?}\n{}", self.server().log());
        }
    }

    async fn until_checkpointed(&self, position: i64) {
        until(JOB_PATIENCE, "the position is in a checkpoint", async || {
            // As a number, and as any position is shown.
            let place = "SELECT acknowledged, position FROM streamgate.job_splits WHERE job = 'j'";
            (self.server().query(place).await == [format!("{position}|{position}")]).then_some(())
        })
        .await;
    }
}
