//! What a newcomer does in the first ten minutes, word for word: the blocks of README, sql/pipeline.sql and the users' scripts, each on a
//! fresh `streamgate serve` with nothing made for them. The blocks are taken from README itself.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::scripts::{Months, Psql, create_table, items, order, produce};
use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, TOPIC, until};

/// Programs of a developer's blocks, which these tests do not run: they are the tests, or build the binary.
const OF_DEVELOPERS: [&str; 4] = ["cargo", ".ci/run", "exports=$(tests/backends/backends", "STREAMGATE_TEST_LONG=20"];

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The indented blocks of README, as they are typed.
fn blocks(readme: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in readme.lines() {
        match line.strip_prefix("    ") {
            Some(typed) if is_open => {
                let block = blocks.last_mut().unwrap();
                block.push_str(typed);
                block.push('\n');
            }
            Some(typed) => {
                blocks.push(format!("{typed}\n"));
                is_open = true;
            }
            None => is_open = false,
        }
    }
    blocks
}

/// What a block's lines are, comments and continued ones apart.
fn programs(block: &str) -> Vec<&str> {
    let mut programs = Vec::new();
    let mut in_document = false;
    for line in block.lines() {
        if in_document {
            in_document = line != "SQL";
            continue;
        }
        in_document = line.contains("<<'SQL'");
        programs.extend(line.split_whitespace().next());
    }
    programs
}

/// Runs a block in a shell whose `psql` goes to the server under test instead of the port that is written.
async fn run(block: &str, server: &ServerProcess, folder: &Path) -> Output {
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let shim = bin.join("psql");
    std::fs::write(
        &shim,
        format!(
            "#!/bin/sh\nPATH=${{PATH#*:}}\nfor a; do shift; [ \"$a\" = 5439 ] && a={}; set -- \"$@\" \"$a\"; done\nexec psql -X \"$@\"\n",
            server.port
        ),
    )
    .unwrap();
    std::fs::set_permissions(&shim, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("bash");
    command
        .args(["-e", "-c", block])
        .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()))
        .env("PGUSER", "test")
        .env("PGCONNECT_TIMEOUT", "10")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !err.contains("ERROR:"), "{block}\n{err}\n{}", server.log());
    output
}

fn shown(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// States of all jobs, and what the first one waits for.
async fn states(server: &ServerProcess) -> Vec<String> {
    server.query("SELECT state, last_error FROM streamgate.jobs ORDER BY name").await
}

/// What a job waits for is in every place where jobs are shown.
async fn every_view_says_that_they_wait(server: &ServerProcess) {
    let reason = "topic \"orders\"";
    let name = server.query("SELECT name FROM streamgate.jobs ORDER BY name").await.remove(0);
    let of_job = "SELECT waits_for FROM streamgate.jobs ORDER BY name";
    for statement in [of_job, "SHOW JOBS", &format!("DESCRIBE JOB {name}"), &format!("EXPLAIN ANALYZE JOB {name}")] {
        until(JOB_PATIENCE, &format!("{statement} names the topic"), async || {
            // SHOW JOBS breaks what is too wide for its column.
            let shown = server.query(statement).await.join("\n");
            shown.split_whitespace().collect::<Vec<_>>().join(" ").contains(reason).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn every_block_of_readme_runs_word_for_word() {
    if !Psql::is_there() {
        return;
    }
    let readme = readme();
    let blocks = blocks(&readme);
    let starts: Vec<&String> =
        blocks.iter().filter(|block| block.lines().any(|line| line.starts_with("streamgate serve"))).collect();
    assert_eq!(starts.len(), 2, "{starts:?}");
    // What a block exports are variables that the binary knows, in front of a start and nothing else.
    let help = Command::new(env!("CARGO_BIN_EXE_streamgate")).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for line in starts.iter().flat_map(|block| block.lines()) {
        let variable = line.strip_prefix("export ").and_then(|rest| rest.split_once('=')).map(|(name, _)| name);
        let is_start = line == "streamgate serve";
        assert!(is_start || variable.is_some_and(|variable| help.contains(variable)), "{line}");
    }
    // Each start has the blocks up to the next one; what comes before the first start is the demo's.
    let mut server: Option<(ServerProcess, TempDir, BackendsOfProcess)> = None;
    let mut ran = 0;
    for block in &blocks {
        if starts.contains(&block) {
            drop(server.take());
            let (backends, folder) = (BackendsOfProcess::take().await, TempDir::new().unwrap());
            let started = ServerProcess::start(&backends, &folder.path().join("data")).await;
            server = Some((started, folder, backends));
            continue;
        }
        let programs = programs(block);
        if programs.iter().all(|program| OF_DEVELOPERS.contains(program)) {
            continue;
        }
        assert!(programs.iter().all(|program| *program == "psql"), "{block}");
        let (server, folder) = match &server {
            Some((server, folder, _)) => (server, folder),
            // The demo's line needs a server of its own: any will do.
            None => {
                let (backends, folder) = (BackendsOfProcess::take().await, TempDir::new().unwrap());
                let started = ServerProcess::start(&backends, &folder.path().join("data")).await;
                let (server, folder, _) = server.insert((started, folder, backends));
                (&*server, &*folder)
            }
        };
        run(block, server, folder.path()).await;
        ran += 1;
        if block.contains("sql/pipeline.sql") {
            // Nothing was made for them: the jobs wait for the topic, say so, and nothing has failed.
            let waits = "RETRYING|topic \"orders\" does not exist yet: the job waits for it and goes on by itself";
            until(JOB_PATIENCE, "the jobs wait", async || (states(server).await == [waits; 3]).then_some(())).await;
            every_view_says_that_they_wait(server).await;
        }
        if block.contains("INSERT INTO kafka_orders") {
            // The topic came with the first record, and the jobs went on by themselves.
            until(JOB_PATIENCE, "the order is in the features", async || {
                let found =
                    server.query("SELECT total_orders_lastest_month FROM user_features WHERE user_id = 7").await;
                (found == ["1"]).then_some(())
            })
            .await;
            assert_eq!(states(server).await, ["RUNNING|NULL"; 3]);
        }
        if block.contains("latest_order") {
            until(JOB_PATIENCE, "the job waits", async || {
                states(server).await[0].starts_with("RETRYING|topic \"orders\"").then_some(())
            })
            .await;
            server.execute("INSERT INTO orders VALUES (2, 7, 0.01)").await;
            until(JOB_PATIENCE, "the order is in DynamoDB", async || {
                let found = server.query("SELECT order_id, amount FROM latest_order WHERE user_id = 7").await;
                (found == ["2|0.01"]).then_some(())
            })
            .await;
        }
    }
    assert!(ran >= 4, "{blocks:?}");
}

#[tokio::test]
async fn the_users_scripts_run_with_nothing_created_but_the_dynamodb_tables() {
    if !Psql::is_there() {
        return;
    }
    let backends = BackendsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    let psql = Psql { port: server.port };
    // Before anything is there: what a function reads is named, with what to do.
    for (function, table) in
        [("latest_month_order_sum", "dynamodb_orders"), ("latest_year_order_sum", "order_sum_monthly")]
    {
        let output = psql.run(&["-c", &format!("SELECT {function}(7)")]).await;
        let text = shown(&output);
        assert!(!output.status.success(), "{text}");
        assert!(text.contains(&format!("function \"{function}\": relation \"{table}\" does not exist")), "{text}");
        assert!(text.contains(&format!("HINT:  Declare it first: CREATE TABLE IF NOT EXISTS {table} (")), "{text}");
    }
    let dynamodb = backends.dynamodb();
    create_table(&dynamodb, "order_detail_latest_month", &[("user_id", "N"), ("order_id", "N")]).await;
    create_table(&dynamodb, "order_sum_monthly", &[("user_id", "N"), ("month", "S")]).await;
    create_table(&dynamodb, "user_features", &[("user_id", "N")]).await;
    create_table(&dynamodb, "test_table", &[("field1", "S")]).await;

    // 1: the schema is made, the empty table is shown; its source is declared nowhere, which is said.
    let output = psql.run(&["-f", "tests/seed/1_connector_v2.sql"]).await;
    let text = shown(&output);
    assert!(text.contains("NOTICE:  schema \"test_database\" did not exist and is created"), "{text}");
    assert!(text.contains("CREATE TABLE") && text.contains("(0 rows)"), "{text}");
    assert!(text.contains("relation \"test_database_source.test_source_table\" does not exist"), "{text}");
    assert!(text.contains("HINT:  CREATE TABLE test_database_source.test_source_table (…)"), "{text}");
    psql.file("tests/seed/2_dynamodb_orders.sql").await;
    psql.file("tests/seed/3_kafka_orders.sql").await;
    let (out, err) = psql.file("tests/seed/4_feature_job.sql").await;
    assert!(out.contains("INSERT 0 0") && err.contains("job \"insert_into_user_features\" submitted"), "{out}\n{err}");
    assert!(err.contains("table \"user_features\" is declared by itself: DynamoDB has a table of that name"), "{err}");
    until(JOB_PATIENCE, "the job waits for its topic", async || {
        states(&server).await[0].starts_with("RETRYING|topic \"orders\" does not exist yet").then_some(())
    })
    .await;
    // The job goes on by itself, from the first record of the topic on.
    crate::conformance::kafka::create_topic(&backends.kafka(), TOPIC, 2).await;
    produce(&backends, TOPIC, &[order(1, 7, "12.34", "null", &Months::now().ago(0))]).await;
    let found = until(JOB_PATIENCE, "the order is in the features", async || {
        let found = items(&dynamodb).await;
        (!found.is_empty()).then_some(found)
    })
    .await;
    assert_eq!(found, ["7|0|0|0|0|0|0"], "nothing fills the tables that the functions read");
    assert_eq!(states(&server).await, ["RUNNING|NULL"]);

    // The functions are shown as others are, can be replaced, and come back.
    assert_eq!(psql.values("SHOW FUNCTIONS LIKE 'latest%'").await, "latest_month_order_sum\nlatest_year_order_sum");
    let all = psql.values("SHOW FUNCTIONS").await;
    assert!(
        ["count", "date_format", "lag", "listagg"].iter().all(|name| all.lines().any(|line| line == *name)),
        "{all}"
    );
    assert_eq!(psql.values("SHOW USER FUNCTIONS").await, "");
    let listed = psql.values("\\df").await;
    assert!(listed.contains("public|latest_month_order_sum|text|user_id bigint|func"), "{listed}");
    let built_in = psql.values("\\df split_part").await;
    assert_eq!(built_in, "pg_catalog|split_part|text|text, text, bigint|func");
    let refused = shown(&psql.run(&["-c", "DROP FUNCTION latest_year_order_sum"]).await);
    assert!(refused.contains("part of the server"), "{refused}");
    let taken =
        "CREATE FUNCTION latest_year_order_sum(user_id BIGINT) RETURNS STRING LANGUAGE SQL AS $$ SELECT 'mine' $$";
    let refused = shown(&psql.run(&["-c", taken]).await);
    assert!(refused.contains("already exists") && refused.contains("CREATE OR REPLACE FUNCTION"), "{refused}");
    server.execute(&taken.replace("CREATE", "CREATE OR REPLACE")).await;
    assert_eq!(psql.values("SELECT latest_year_order_sum(7)").await, "mine");
    assert_eq!(psql.values("SHOW USER FUNCTIONS").await, "latest_year_order_sum");
    assert_eq!(psql.values("\\df").await.lines().count(), 2);
    server.execute("DROP FUNCTION latest_year_order_sum").await;
    assert_eq!(psql.values("SELECT latest_year_order_sum(7)").await, "0_0_0");
}

#[tokio::test]
async fn topics_are_waited_for_or_made() {
    let backends = BackendsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = ServerProcess::start(&backends, &data).await;
    server
        .execute(
            "CREATE TABLE late (id INT) WITH ('connector' = 'kafka', 'topic' = 'late;also_late', 'format' = 'json', \
                 'scan.startup.mode' = 'latest-offset'); \
             CREATE TABLE copy (id INT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'dynamodb', \
                 'table-name' = 'copy', 'table.create' = 'if-not-exists'); \
             CREATE TABLE made (id INT) WITH ('connector' = 'kafka', 'topic' = 'made', 'format' = 'json', \
                 'topic.create' = 'if-not-exists', 'topic.create.partitions' = '3')",
        )
        .await;
    // What is not there has no rows, also in an aggregate, a join and an INSERT.
    let mut client = NoticeClient::connect(&server).await;
    assert_eq!(client.query("SELECT * FROM late").await, Vec::<String>::new());
    assert_eq!(
        client.notices(),
        [
            "topic \"also_late\" does not exist yet, so that it gives no rows",
            "topic \"late\" does not exist yet, so that it gives no rows"
        ]
    );
    assert_eq!(client.query("SELECT count(*) FROM late a JOIN late b ON a.id = b.id").await, ["0"]);
    assert_eq!(client.notices().len(), 2);
    assert_eq!(client.query("SELECT * FROM made").await, Vec::<String>::new());
    assert_eq!(client.notices(), Vec::<String>::new());
    let metadata = partitions(&backends, "made").await;
    assert_eq!(metadata, 3);

    server.execute("CREATE JOB waiting AS INSERT INTO copy SELECT id FROM late").await;
    let state = "SELECT state, last_error FROM streamgate.jobs";
    until(JOB_PATIENCE, "the job waits", async || {
        let found = server.query(state).await;
        (found == ["RETRYING|topic \"also_late\", topic \"late\" do not exist yet: the job waits for them and goes on by itself"])
            .then_some(())
    })
    .await;
    // It waits on over a restart, can be paused, and reads a topic that came from its first record on, whatever the start-up mode.
    assert!(server.terminate().success());
    let server = ServerProcess::start(&backends, &data).await;
    server.execute("PAUSE JOB waiting").await;
    server
        .execute("CREATE TABLE writer (id INT) WITH ('connector' = 'kafka', 'topic' = 'late', 'format' = 'json')")
        .await;
    // When the job sees the topic, its records are there already.
    server.execute("INSERT INTO writer VALUES (1), (2)").await;
    server.execute("RESUME JOB waiting").await;
    until(JOB_PATIENCE, "the rows are copied", async || {
        let found = server.query("SELECT id FROM copy ORDER BY id").await;
        (found == ["1", "2"]).then_some(())
    })
    .await;
    assert_eq!(
        server.query(state).await,
        ["RETRYING|topic \"also_late\" does not exist yet: the job waits for it and goes on by itself"]
    );
    server.execute("STOP JOB waiting WITH SAVEPOINT").await;
    assert_eq!(server.query("SELECT state FROM streamgate.jobs").await, ["STOPPED"]);

    // A schema is made where its name is meant, and a slip of the pen is none.
    let slip = "CREATE TABLE pubilc.t (id INT) WITH ('connector' = 'blackhole')";
    let error = server.connect().await.batch_execute(slip).await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "3F000", "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("Perhaps you mean \"public\"")), "{error:?}");
}

#[tokio::test]
async fn a_job_that_looks_up_waits_for_the_writer_also_of_a_topic_that_is_not_there_yet() {
    let backends = BackendsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
    let table = |name: &str| {
        format!(
            "CREATE TABLE {name} (id BIGINT, n BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'dynamodb', \
             'table-name' = '{name}', 'table.create' = 'if-not-exists')"
        )
    };
    server
        .execute(&format!(
            "CREATE TABLE late (id BIGINT, n BIGINT) WITH ('connector' = 'kafka', 'topic' = 'later', 'format' = 'json', \
             'scan.startup.mode' = 'earliest-offset'); \
             {}; {}; \
             CREATE FUNCTION n_of(i BIGINT) RETURNS BIGINT LANGUAGE SQL AS $$ SELECT sum(n) FROM kept WHERE id = i $$; \
             CREATE JOB writer AS INSERT INTO kept SELECT id, n FROM late; \
             CREATE JOB reader AS INSERT INTO found SELECT id, n_of(id) FROM late",
            table("kept"),
            table("found")
        ))
        .await;
    let waits = "RETRYING|topic \"later\" does not exist yet: the job waits for it and goes on by itself";
    until(JOB_PATIENCE, "both wait", async || (states(&server).await == [waits; 2]).then_some(())).await;
    // The writer has not begun when the topic comes, and the reader may not pass it.
    server.execute("PAUSE JOB writer").await;
    server.execute("INSERT INTO late VALUES (1, 10), (2, 20)").await;
    let reason = "SELECT waits_for FROM streamgate.jobs WHERE name = 'reader'";
    until(JOB_PATIENCE, "the reader waits for the writer", async || {
        (server.query(reason).await == ["job \"writer\", which is PAUSED"]).then_some(())
    })
    .await;
    server.execute("RESUME JOB writer").await;
    until(JOB_PATIENCE, "both have gone on", async || {
        (server.query("SELECT id, n FROM found ORDER BY id").await == ["1|10", "2|20"]).then_some(())
    })
    .await;
}

async fn partitions(backends: &BackendsOfProcess, topic: &'static str) -> usize {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    let mut kafka = backends.kafka();
    kafka.set("group.id", "look").set("allow.auto.create.topics", "false");
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = kafka.create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), JOB_PATIENCE).unwrap();
        metadata.topics()[0].partitions().len()
    })
    .await
    .unwrap()
}

/// A session that keeps its notices.
struct NoticeClient {
    client: tokio_postgres::Client,
    notices: tokio::sync::mpsc::UnboundedReceiver<String>,
}

impl NoticeClient {
    async fn connect(server: &ServerProcess) -> Self {
        let settings = format!("host=127.0.0.1 port={} user=test dbname=streamgate", server.port);
        let (client, mut connection) = tokio_postgres::connect(&settings, tokio_postgres::NoTls).await.unwrap();
        let (sender, notices) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
                if let tokio_postgres::AsyncMessage::Notice(notice) = message {
                    sender.send(notice.message().to_owned()).ok();
                }
            }
        });
        Self { client, notices }
    }

    async fn query(&self, query: &str) -> Vec<String> {
        let messages = self.client.simple_query(query).await.unwrap();
        let rows = messages.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
            _ => None,
        });
        rows.collect()
    }

    /// What came since the last call: notices stand before the end of their statement.
    fn notices(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.notices.try_recv().ok()).collect()
    }
}
