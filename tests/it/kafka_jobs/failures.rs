//! A sink's writer that fails for good: the job tells why it failed first, whoever of its parts notices it first.

use rdkafka::admin::{NewTopic, TopicReplication};

use super::{Bench, unique};
use crate::conformance::kafka::{admin, options};

/// Intervals of checkpoints: with the long one nothing but the writer's task notices, with the short one an epoch waits for its writes.
const INTERVALS: [&str; 2] = ["1 h", "20 ms"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dynamodb_table_that_is_deleted_under_a_job_is_what_it_tells() {
    let bench = Bench::start(1).await;
    bench.declare("").await;
    let dynamodb = bench.backends.dynamodb();
    for (round, interval) in INTERVALS.iter().enumerate() {
        let table = unique("deleted");
        bench
            .server()
            .execute(&format!(
                "CREATE TABLE items_{round} (id BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'dynamodb', \
                   'table-name' = '{table}', 'table.create' = 'if-not-exists'); \
                 SET 'execution.checkpointing.interval' = '{interval}'; \
                 CREATE JOB j AS INSERT INTO items_{round} SELECT id FROM numbers"
            ))
            .await;
        // A job reads from the beginning; each round brings twenty.
        let first = i64::try_from(round).unwrap() * 20;
        bench.produce(first..first + 10);
        bench.until_job("rows_out", "it has written", |now| now == (first + 10).to_string()).await;
        dynamodb.delete_table().table_name(&table).send().await.unwrap();
        bench.produce(first + 10..first + 20);
        let told = bench.until_job("state, last_error", "it has failed", |now| now.starts_with("FAILED|")).await;
        assert!(told.contains("ResourceNotFoundException") && told.contains(&table), "{interval}: {told}");
        bench.server().execute("DROP JOB j").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_refuses_a_record_is_what_a_job_tells() {
    let bench = Bench::start(1).await;
    bench.declare("").await;
    for (round, interval) in INTERVALS.iter().enumerate() {
        let out = unique("out");
        let small = NewTopic::new(&out, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "1000");
        admin(&bench.backends.kafka()).create_topics([&small], &options()).await.unwrap().remove(0).unwrap();
        bench
            .server()
            .execute(&format!(
                "CREATE TABLE out_{round} (id BIGINT, filler STRING) WITH ('connector' = 'kafka', 'topic' = '{out}', \
                   'format' = 'json'); \
                 SET 'execution.checkpointing.interval' = '{interval}'; \
                 CREATE JOB j AS INSERT INTO out_{round} \
                 SELECT id, repeat('x', CASE WHEN id = 7 THEN 5000 ELSE 1 END) FROM numbers"
            ))
            .await;
        if round == 0 {
            bench.produce(0..10);
        }
        let told = bench.until_job("state, last_error", "it has failed", |now| !now.ends_with("|NULL")).await;
        assert!(told.starts_with("FAILED|") && told.contains(&out), "{interval}: {told}");
        assert!(told.contains("MessageSizeTooLarge") && !told.contains("has ended"), "{interval}: {told}");
        bench.server().execute("DROP JOB j").await;
    }
}
