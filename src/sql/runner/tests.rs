mod toys;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::cast;
use futures::StreamExt;

use super::*;
use crate::catalog::Catalog;
use crate::clock::{Clock, ManualClock};
use crate::connectors::{ConnectorDefaults, Registry};
use crate::jobs::Jobs;
use crate::sql::job_relations::JobRelations;
use crate::sql::{SessionOptions, SqlServer, SystemSchema};

struct Harness {
    session: Session,
    directory: tempfile::TempDir,
}

fn server(directory: &std::path::Path) -> Arc<SqlServer> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_700_000_000_000));
    let defaults = ConnectorDefaults {
        kafka_bootstrap_servers: Some("127.0.0.1:1".to_owned()),
        kafka_properties: BTreeMap::new(),
        kafka_is_embedded: true,
        dynamodb_endpoint: Some("http://127.0.0.1:1".to_owned()),
        aws_region: Some("us-east-1".to_owned()),
        aws_credentials: Some(("a".to_owned(), "b".to_owned())),
        dynamodb_is_embedded: true,
        places: Arc::new(crate::places::Places::anywhere()),
        clock: clock.clone(),
    };
    let catalog = Catalog::open(directory).unwrap();
    let connectors = Registry::new(&defaults)
        .with(Arc::new(super::memory_connector::MemoryConnector::default()))
        .with(Arc::new(crate::connectors::letters::LettersConnector));
    let runtime = tokio::runtime::Handle::current();
    let jobs = Jobs::new(runtime, catalog.clone(), connectors.clone(), clock.clone(), directory.join("jobs"));
    let relations: Arc<dyn SystemSchema> = Arc::new(JobRelations::new(jobs.clone()));
    Arc::new(SqlServer::new(catalog, jobs, connectors, vec![relations], clock, BTreeMap::new()).unwrap())
}

fn open(server: &Arc<SqlServer>) -> Session {
    let options = SessionOptions {
        user: "me".to_owned(),
        database: "streamgate".to_owned(),
        settings: Vec::new(),
        process_id: 7,
    };
    Session::open(server.clone(), options).unwrap()
}

impl Harness {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let session = open(&server(directory.path()));
        Self { session, directory }
    }

    /// Runs a message as a simple query does; gives rows as text, tags, and the error at last.
    async fn run(&mut self, message: &str) -> Vec<String> {
        run(&mut self.session, message).await
    }

    async fn error(&mut self, message: &str) -> Error {
        let statements = self.session.split(message).unwrap();
        let mut result = Ok(());
        for statement in &statements {
            result = execute(&mut self.session, statement, &[], Vec::new()).await.map(|_| ());
            if result.is_err() {
                break;
            }
        }
        self.session.end_of_message().await.unwrap();
        result.expect_err(message)
    }
}

async fn execute(
    session: &mut Session,
    statement: &StatementText,
    types: &[Option<DataType>],
    parameters: Vec<ScalarValue>,
) -> Result<Vec<String>> {
    let prepared = session.prepare(statement, types).await?;
    let outcome = session.execute(&prepared, parameters).await?;
    lines(prepared, outcome).await
}

async fn lines(prepared: Prepared, outcome: Outcome) -> Result<Vec<String>> {
    match outcome {
        Outcome::Empty => Ok(vec!["(empty)".to_owned()]),
        Outcome::CopyOut { .. } => Ok(vec!["(copy)".to_owned()]),
        Outcome::Done { tag } => Ok(vec![tag]),
        Outcome::Rows { schema, mut stream, .. } => {
            let told = prepared.result.expect("rows have columns");
            let names = |schema: &SchemaRef| schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
            assert_eq!(names(&told), names(&schema));
            let types = |schema: &SchemaRef| schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
            assert_eq!(types(&told), types(&schema));
            let mut lines = vec![names(&schema).join("|")];
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                let texts: Vec<_> = batch
                    .columns()
                    .iter()
                    .map(|column| {
                        if crate::data_type::is_unconstrained_numeric(column.data_type()) {
                            let numbers = column.as_primitive::<datafusion::arrow::datatypes::Decimal256Type>().clone();
                            let texts: datafusion::arrow::array::StringArray =
                                numbers.iter().map(|number| number.map(crate::functions::numeric::print)).collect();
                            Arc::new(texts) as datafusion::arrow::array::ArrayRef
                        } else {
                            cast(column, &DataType::Utf8).unwrap()
                        }
                    })
                    .collect();
                for row in 0..batch.num_rows() {
                    let values: Vec<&str> = texts
                        .iter()
                        .map(|text| if text.is_null(row) { "NULL" } else { text.as_string::<i32>().value(row) })
                        .collect();
                    lines.push(values.join("|"));
                }
            }
            Ok(lines)
        }
    }
}

async fn run(session: &mut Session, message: &str) -> Vec<String> {
    let mut all = Vec::new();
    for statement in session.split(message).unwrap() {
        match execute(session, &statement, &[], Vec::new()).await {
            Ok(lines) => all.extend(lines),
            Err(error) => {
                all.push(format!("{}: {}", error.sqlstate().code(), error.message()));
                break;
            }
        }
    }
    if let Err(error) = session.end_of_message().await {
        all.push(format!("{}: {}", error.sqlstate().code(), error.message()));
    }
    all
}

const TABLE: &str = "CREATE TABLE orders (order_id INT, userId STRING, amount FLOAT, created_at TIMESTAMP(3)) \
                     WITH ('connector' = 'memory', 'name' = 'orders')";

#[tokio::test]
async fn constants_and_names_of_columns() {
    let mut h = Harness::new();
    assert_eq!(h.run("select 1").await, ["?column?", "1"]);
    assert_eq!(h.run("select 1, 1, 'a' as x, 2 as x").await, ["?column?|?column?|x|x", "1|1|a|2"]);
    assert_eq!(h.run("select count(*), lower('A')").await, ["count|lower", "1|a"]);
    assert_eq!(h.run("select 1 as \"Total\"; select 2").await, ["Total", "1", "?column?", "2"]);
    assert_eq!(h.run("-- nothing").await, Vec::<String>::new());
    assert_eq!(h.run("values (1, 'a'), (2, 'b')").await, ["column1|column2", "1|a", "2|b"]);
    assert_eq!(h.run("with A as (select 1 as Xy) select xY from a order by XY").await, ["Xy", "1"]);
}

#[tokio::test]
async fn string_arithmetic_is_exact() {
    let mut h = Harness::new();
    for (expression, expected) in [
        ("'2' + '3'", "5"),
        ("'1.10' + 2", "3.1"),
        ("'10' * '0.1'", "1"),
        ("'1' / '3'", "0.33333333333333333333"),
        ("'7' % 4", "3"),
        ("'0.1' + 0.2", "0.3"),
        ("cast('2' + '3' as string)", "5"),
        ("cast('1.50' as numeric)", "1.5"),
        ("cast(cast(12.1 as float) as numeric)", "12.1"),
        ("cast(null as string) + 1", "NULL"),
        ("1.5 + 1", "2.5"),
        ("cast('12.345' as decimal(10, 2))", "12.35"),
        ("sum(cast(x as numeric))", "0.3"),
    ] {
        let from = if expression.starts_with("sum") { " from (values ('0.1'), ('0.2')) t(x)" } else { "" };
        assert_eq!(h.run(&format!("select {expression} as v{from}")).await, ["v", expected], "{expression}");
    }
    assert_eq!(h.run("select 'x' + '2'").await[..], ["22P02: invalid input syntax for type numeric: \"x\""]);
    assert_eq!(h.run("select '1' / '0'").await[..], ["22012: division by zero"]);
}

#[tokio::test]
async fn functions_of_flink() {
    let mut h = Harness::new();
    for (expression, expected) in [
        ("SPLIT_INDEX('1_2_3', '_', 1)", "2"),
        ("SPLIT_INDEX('1_2_3', '_', 3)", "NULL"),
        ("SPLIT_INDEX('1_2_3', '_', -1)", "NULL"),
        ("SPLIT_INDEX('1_2_3', 95, 0)", "1"),
        ("DATE_FORMAT(TIMESTAMP '2024-03-05 14:07:09.123', 'yyyy-MM-dd HH:mm:ss.SSS')", "2024-03-05 14:07:09.123"),
        ("DATE_FORMAT('2024-03-05 14:07:09', 'yy/M/d h a ''o''''clock'' EEE')", "24/3/5 2 PM o'clock Tue"),
        ("CONCAT_WS('-', 'a', NULL, 1)", "a-1"),
        ("CONCAT_WS(NULL, 'a')", "NULL"),
        ("IFNULL(NULL, 'b')", "b"),
        ("CAST(now() AS STRING)", "2023-11-14 22:13:20+00"),
        ("UNIX_TIMESTAMP()", "1700000000"),
        ("FROM_UNIXTIME(0)", "1970-01-01 00:00:00"),
    ] {
        assert_eq!(h.run(&format!("select {expression} as v")).await, ["v", expected], "{expression}");
    }
    h.run("SET 'table.local-time-zone' = 'Asia/Shanghai'").await;
    assert_eq!(h.run("select DATE_FORMAT(now(), 'yyyy-MM-dd HH') as v").await, ["v", "2023-11-15 06"]);
    assert_eq!(h.run("show timezone").await, ["TimeZone", "Asia/Shanghai"]);
}

#[tokio::test]
async fn tables_fold_and_columns_keep_their_case() {
    let mut h = Harness::new();
    assert_eq!(h.run(&TABLE.replace("orders", "Orders")).await, ["CREATE TABLE"]);
    assert_eq!(h.run("SHOW TABLES").await, ["table name", "orders"]);
    let error = h.error("select nope from ORDERS").await;
    assert_eq!((error.sqlstate().code(), error.position()), ("42703", Some(8)));
    let error = h.error("select usrId from orders").await;
    assert_eq!(error.hint_text(), Some("Perhaps you meant to reference the column \"userId\"."));
    let error = h.error("select * from order_s").await;
    assert_eq!((error.sqlstate().code(), error.message()), ("42P01", "relation \"order_s\" does not exist"));
    assert_eq!(error.position(), Some(15));
    assert_eq!(error.hint_text(), Some("Perhaps you mean \"orders\"."));
    assert_eq!(h.run("DROP TABLE \"Orders\"").await, ["DROP TABLE"]);
    assert_eq!(h.run("DROP TABLE orders").await, ["42P01: table \"orders\" does not exist"]);
    assert_eq!(h.run("DROP TABLE IF EXISTS orders").await, ["DROP TABLE"]);
    assert_eq!(h.session.take_notices().last().unwrap().message, "table \"orders\" does not exist, skipping");
}

#[tokio::test]
async fn blocks_commit_together_or_not_at_all() {
    let mut h = Harness::new();
    h.run("begin").await;
    h.run(TABLE).await;
    assert_eq!(h.run("show tables").await, ["table name", "orders"]);
    assert!(h.session.server().catalog.snapshot().schema("streamgate", "public").unwrap().tables.is_empty());
    assert_eq!(h.run("rollback; show tables").await, ["ROLLBACK", "table name"]);
    h.run("begin").await;
    h.run(TABLE).await;
    h.run("savepoint a").await;
    h.run("create schema s").await;
    assert_eq!(h.run("select nope").await, ["42703: column \"nope\" does not exist"]);
    assert_eq!(h.session.transaction_status(), TransactionStatus::Failed);
    assert!(h.run("select 1").await[0].starts_with("25P02"));
    assert_eq!(h.run("rollback to a").await, ["ROLLBACK"]);
    assert_eq!(h.run("commit").await, ["COMMIT"]);
    assert_eq!(h.run("show databases").await, ["database name", "public"]);
    assert_eq!(h.run("show tables").await, ["table name", "orders"]);
    // A failed message leaves nothing, a failed block ends in ROLLBACK.
    assert_eq!(h.run("create schema t; select nope").await.len(), 2);
    assert_eq!(h.run("show databases").await, ["database name", "public"]);
    h.run("begin").await;
    h.run("select nope").await;
    assert_eq!(h.run("commit").await, ["ROLLBACK"]);
}

#[tokio::test]
async fn secrets_are_never_shown_or_stored_in_the_clear() {
    let mut h = Harness::new();
    let create = "CREATE TABLE k (a INT) WITH ('connector' = 'memory', 'name' = 'k', \
                  'aws.credentials.basic.secretkey' = 'canary-1', 'aws.credentials.basic.accesskeyid' = '')";
    h.run(create).await;
    let shown = h.run("SHOW CREATE TABLE k").await.join("\n");
    if shown.contains("CREATE TABLE") {
        assert!(shown.contains("'aws.credentials.basic.secretkey' = '******'"), "{shown}");
        assert!(shown.contains("'aws.credentials.basic.accesskeyid' = ''"), "{shown}");
    }
    assert!(!shown.contains("canary"));
    for entry in std::fs::read_dir(h.directory.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
    }
}

#[tokio::test]
async fn the_blanked_value_points_at_the_place() {
    let mut h = Harness::new();
    let text = "CREATE TABLE t (a INT) WITH ('connector' = 'kafka', 'key' =,\n'b' = 'c')";
    let error = h.error(text).await;
    assert_eq!(error.sqlstate().code(), "42601");
    assert_eq!(error.position(), Some(text.find("=,").unwrap() + 2));
    assert!(error.hint_text().unwrap().contains("'key' = '…'"));
}

#[tokio::test]
async fn settings_of_both_worlds() {
    let mut h = Harness::new();
    assert_eq!(h.run("show transaction isolation level").await, ["transaction_isolation", "read committed"]);
    assert_eq!(
        h.run("set statement_timeout = '5min'; show statement_timeout").await[1..],
        ["statement_timeout", "5min"]
    );
    assert_eq!(h.session.statement_timeout(), Some(std::time::Duration::from_secs(300)));
    assert_eq!(h.run("set statement_timeout to 1500; show statement_timeout").await[2], "1500ms");
    assert_eq!(h.run("set execution.checkpointing.interval = '500 ms'").await, ["SET"]);
    assert_eq!(h.run("set 'pipeline.name' = 'x'; show pipeline.name").await[2], "x");
    assert!(h.run("set 'table.exec.source.idle-timeout' = '1 s'").await[0].starts_with("0A000"));
    let error = h.error("set statement_timout = 1").await;
    assert_eq!(
        (error.sqlstate().code(), error.hint_text()),
        ("42704", Some("Perhaps you mean \"statement_timeout\"."))
    );
    h.run("begin; set local timezone = 'Europe/Berlin'; commit").await;
    assert_eq!(h.run("show timezone").await[1], "UTC");
    h.session.take_parameter_changes();
    h.run("set application_name = 'a'; set extra_float_digits = 3").await;
    assert_eq!(h.session.take_parameter_changes(), [("application_name".to_owned(), "a".to_owned())]);
}

#[tokio::test]
async fn parameters_are_inferred_and_bound() {
    let mut h = Harness::new();
    let statement = StatementText {
        text: "select x from (values (1), (2), (3)) t(x) where x >= $1 limit $2".to_owned(),
        offset: 0,
    };
    let prepared = h.session.prepare(&statement, &[]).await.unwrap();
    assert_eq!(prepared.parameter_types, [DataType::Int32, DataType::Int64]);
    for _ in 0..2 {
        let values = vec![ScalarValue::Int32(Some(2)), ScalarValue::Int64(Some(1))];
        let outcome = h.session.execute(&prepared, values).await.unwrap();
        assert_eq!(lines(prepared.clone(), outcome).await.unwrap(), ["x", "2"]);
    }
    let statement = StatementText { text: "select $1".to_owned(), offset: 0 };
    let prepared = h.session.prepare(&statement, &[Some(DataType::Int32)]).await.unwrap();
    assert_eq!(prepared.parameter_types, [DataType::Int32]);
    assert_eq!(prepared.result.unwrap().field(0).data_type(), &DataType::Int32);
    assert_eq!(
        h.run("prepare p (int) as select $1 + 1 as y; execute p (4); deallocate p").await,
        ["PREPARE", "y", "5", "DEALLOCATE"]
    );
}

#[tokio::test]
async fn sql_functions_are_inlined() {
    let mut h = Harness::new();
    assert_eq!(
        h.run("CREATE FUNCTION plus_tax(amount DECIMAL(10,2)) RETURNS DECIMAL(12,3) LANGUAGE SQL AS $$ SELECT amount * 1.1 $$").await,
        ["CREATE FUNCTION"]
    );
    assert_eq!(h.run("select plus_tax(10) as v").await, ["v", "11.000"]);
    assert_eq!(h.run("select PLUS_TAX(x) as v from (values (1), (2)) t(x)").await, ["v", "1.100", "2.200"]);
    assert!(h.run("CREATE FUNCTION bad(a INT) RETURNS INT LANGUAGE SQL AS 'SELECT b'").await[0].starts_with("42703"));
    assert_eq!(h.run("select nope(1)").await[0].split(':').next(), Some("42883"));
}

#[tokio::test]
async fn views_are_planned_where_they_are_used() {
    let mut h = Harness::new();
    assert_eq!(h.run("CREATE VIEW v (A, b) AS SELECT 1, 'x' AS y").await, ["CREATE VIEW"]);
    assert_eq!(h.run("SELECT a, B FROM V").await, ["A|b", "1|x"]);
    assert_eq!(h.run("CREATE OR REPLACE VIEW v AS SELECT 2 AS z; SELECT * FROM v").await, ["CREATE VIEW", "z", "2"]);
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let mut h = Harness::new();
    h.run(TABLE).await;
    for statement in [
        "COPY orders FROM STDIN",
        "LISTEN x",
        "BEGIN STATEMENT SET; SELECT 1; END",
        "EXPLAIN ANALYZE STATEMENT SET BEGIN INSERT INTO orders SELECT * FROM orders; END",
        "SELECT * FROM orders /*+ STATE_TTL('a'='1d') */",
        "SELECT /*+ STATE_TTL('orders'='1d') */ order_id FROM orders",
        "SELECT * FROM orders FOR SYSTEM_TIME AS OF created_at",
        "SELECT * FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(created_at), INTERVAL '1' MINUTE))",
        "CREATE TABLE x LIKE orders",
        "CREATE TABLE x AS SELECT 1",
    ] {
        let error = h.error(statement).await;
        assert_eq!(error.sqlstate().code(), "0A000", "{statement}: {error}");
    }
    assert_eq!(h.error("SELEC 1").await.sqlstate().code(), "42601");
    assert_eq!(h.error("select 1 from").await.sqlstate().code(), "42601");
    assert_eq!(h.error("select 1/0").await.sqlstate().code(), "22012");
    assert_eq!(h.error("select cast('x' as int)").await.sqlstate().code(), "22P02");
}

#[tokio::test]
async fn bounded_inserts_are_counted_and_read_back() {
    let mut h = Harness::new();
    h.run(TABLE).await;
    assert_eq!(
        h.run("INSERT INTO orders VALUES (1, 'a', 1.5, '2024-01-01 10:00:00'), ('2', 7, '2.25', NULL)").await,
        ["INSERT 0 2"]
    );
    assert_eq!(h.run("INSERT INTO Orders (AMOUNT, userid) SELECT '2' + '3', '1.50' + 2").await, ["INSERT 0 1"]);
    assert_eq!(
        h.run("SELECT ORDER_ID, o.userid, Amount, o.* FROM orders O ORDER BY 1 NULLS LAST").await,
        [
            "order_id|userId|amount|order_id|userId|amount|created_at",
            "1|a|1.5|1|a|1.5|2024-01-01T10:00:00",
            "2|7|2.25|2|7|2.25|NULL",
            "NULL|3.5|5.0|NULL|3.5|5.0|NULL",
        ]
    );
    assert_eq!(
        h.run("select userid, sum(amount) as S from orders group by USERID having sum(AMOUNT) > 2 order by s").await,
        ["userId|S", "7|2.25", "3.5|5.0"]
    );
    assert_eq!(
        h.run("INSERT INTO orders (order_id) SELECT 'x'").await,
        ["22P02: invalid input syntax for type integer: \"x\""]
    );
    assert_eq!(h.error("INSERT INTO orders SELECT 1").await.sqlstate().code(), "42601");
    assert_eq!(h.error("INSERT INTO orders (nope) SELECT 1").await.position(), Some(21));
    assert_eq!(h.error("INSERT INTO orders (created_at) SELECT true").await.sqlstate().code(), "42804");
    let insert =
        StatementText { text: "insert into orders (order_id, created_at) values ($1, $2)".to_owned(), offset: 0 };
    let prepared = h.session.prepare(&insert, &[]).await.unwrap();
    assert_eq!(prepared.parameter_types[0], DataType::Int32);
    let values = vec![ScalarValue::Int32(Some(9)), ScalarValue::TimestampMillisecond(Some(0), None)];
    let Outcome::Done { tag } = h.session.execute(&prepared, values).await.unwrap() else { panic!() };
    assert_eq!(tag, "INSERT 0 1");
    let explained = h.run("EXPLAIN SELECT order_id FROM orders WHERE order_id = 1").await.join("\n");
    assert!(explained.contains("streamgate.public.orders: projection [0]"), "{explained}");
    assert_eq!(h.run("SELECT order_id FROM orders /*+ OPTIONS('name'='other') */ AS o").await, ["order_id"]);
    assert!(h.run("SELECT * FROM orders /*+ OPTIONS('nam'='other') */").await[0].contains("did you mean \"name\""));
}

#[tokio::test]
async fn every_clause_is_shown_as_it_was_declared() {
    let mut h = Harness::new();
    let declared = "CREATE TABLE `public`.`t` (
  `a` INT NOT NULL COMMENT 'it''s a',
  `B b` VARCHAR(255),
  `m` BIGINT METADATA FROM 'offset' VIRTUAL,
  `ts` TIMESTAMP(3),
  `c` AS a * 2 COMMENT 'twice',
  `r` ROW<x INT, y ARRAY<STRING>>,
  WATERMARK FOR `ts` AS ts - INTERVAL '5' SECOND,
  PRIMARY KEY (`a`) NOT ENFORCED
)
COMMENT 'all of it'
PARTITIONED BY (`a`)
WITH (
  'connector' = 'memory',
  'name' = 't'
)";
    assert_eq!(h.run(declared).await, ["CREATE TABLE"]);
    assert_eq!(h.run("SHOW CREATE TABLE t").await[1], declared);
    h.run("INSERT INTO t (a, ts) VALUES (21, NULL)").await;
    assert_eq!(h.run("SELECT `b c` FROM t").await[0], "42703: column \"b c\" does not exist");
    assert_eq!(h.run("SELECT C, `b b`, A FROM t").await, ["c|B b|a", "42|NULL|21"]);
    assert_eq!(h.error("INSERT INTO t (c) SELECT 1").await.sqlstate().code(), "428C9");
    assert_eq!(h.run("DESCRIBE t").await.len(), 7);
    let server = h.session.server().clone();
    assert_eq!(run(&mut open(&server), "SHOW CREATE TABLE t").await[1], declared);
}

const JOB_TABLES: &str = "CREATE TABLE source (id INT, name STRING) WITH ('connector' = 'datagen', 'rows-per-second' = '5'); \
                          CREATE TABLE target (id INT, name STRING) WITH ('connector' = 'blackhole')";

impl Harness {
    fn job_states(&self) -> Vec<String> {
        let status = self.session.server().jobs.status();
        status.iter().map(|job| format!("{} {}", job.name, job.state)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_submitted_paused_resumed_stopped_and_dropped() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    assert_eq!(h.run("INSERT INTO target SELECT id, name FROM source").await, ["INSERT 0 0"]);
    assert_eq!(h.session.take_notices().last().unwrap().message, "job \"insert_into_target\" submitted");
    assert_eq!(h.run("CREATE JOB One AS INSERT INTO target SELECT * FROM source").await, ["CREATE JOB"]);
    let again = "CREATE JOB one AS INSERT INTO target SELECT * FROM source";
    assert_eq!(h.run(again).await, ["42710: job \"one\" already exists"]);
    assert_eq!(h.run(&again.replace("one", "IF NOT EXISTS one")).await, ["CREATE JOB"]);
    assert_eq!(h.session.take_notices().last().unwrap().message, "job \"one\" already exists, skipping");
    h.run("SET 'pipeline.name' = 'My Job'; INSERT INTO target SELECT * FROM source; RESET 'pipeline.name'").await;
    until_states(&h, &["My Job RUNNING", "insert_into_target RUNNING", "one RUNNING"]).await;
    assert_eq!(h.run("PAUSE JOB one; STOP JOB \"My Job\"").await, ["PAUSE JOB", "STOP JOB"]);
    until_states(&h, &["My Job STOPPED", "insert_into_target RUNNING", "one PAUSED"]).await;
    assert_eq!(h.run("RESUME JOB one").await, ["RESUME JOB"]);
    assert_eq!(h.run("RESUME JOB 'My Job'").await, ["55000: job \"My Job\" is stopped for good"]);
    until_states(&h, &["My Job STOPPED", "insert_into_target RUNNING", "one RUNNING"]).await;
    assert_eq!(h.run("DROP JOB one; DROP JOB 'My Job'; DROP JOB insert_into_target").await.len(), 3);
    assert_eq!(h.run("DROP JOB one").await, ["42704: job \"one\" does not exist"]);
    assert_eq!(h.run("DROP JOB IF EXISTS one").await, ["DROP JOB"]);
    assert!(h.job_states().is_empty() && h.session.server().catalog.snapshot().jobs.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_take_effect_at_commit_and_vanish_at_rollback() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    let block = "CREATE TABLE other (id INT, name STRING) WITH ('connector' = 'blackhole'); \
                 CREATE JOB a AS INSERT INTO other SELECT * FROM source; INSERT INTO target SELECT * FROM source";
    h.run("BEGIN").await;
    assert_eq!(h.run(block).await, ["CREATE TABLE", "CREATE JOB", "INSERT 0 0"]);
    assert!(h.job_states().is_empty());
    assert_eq!(h.run("ROLLBACK; SHOW TABLES").await, ["ROLLBACK", "table name", "source", "target"]);
    assert!(h.job_states().is_empty() && h.session.server().catalog.snapshot().jobs.is_empty());
    h.run("BEGIN").await;
    h.run(block).await;
    assert_eq!(h.run("COMMIT").await, ["COMMIT"]);
    until_states(&h, &["a RUNNING", "insert_into_target RUNNING"]).await;
    // What stops in a block runs on when the block is rolled back, also to a savepoint.
    assert_eq!(h.run("BEGIN; STOP JOB a; ROLLBACK").await, ["BEGIN", "STOP JOB", "ROLLBACK"]);
    h.run("BEGIN; SAVEPOINT s; STOP JOB a; ROLLBACK TO s; CREATE SCHEMA x; COMMIT").await;
    until_states(&h, &["a RUNNING", "insert_into_target RUNNING"]).await;
    // A failed message submits nothing.
    assert_eq!(h.run("CREATE JOB b AS INSERT INTO target SELECT * FROM source; SELECT nope").await.len(), 2);
    assert!(!h.session.server().catalog.snapshot().jobs.contains_key("b"));
    h.run("STOP JOB a; STOP JOB insert_into_target").await;
}

async fn until_states(h: &Harness, expected: &[&str]) {
    for _ in 0..6000 {
        if h.job_states() == expected {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(h.job_states(), expected);
}

#[tokio::test]
async fn jobs_refuse_operators_by_name() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    for (query, operator) in [
        ("SELECT * FROM source ORDER BY id", "Sort"),
        ("SELECT * FROM source LIMIT 3", "Limit"),
        ("SELECT a.id, b.name FROM source a JOIN source b ON a.id = b.id", "Join"),
        ("SELECT id, lag(name) OVER (ORDER BY id) FROM source", "WindowAggr"),
    ] {
        let error = h.error(&format!("INSERT INTO target {query}")).await;
        assert_eq!(error.sqlstate().code(), "0A000", "{query}");
        assert!(
            error.message().starts_with(&format!("operator {operator} cannot run in a job")),
            "{}",
            error.message()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_over_temporary_tables_keep_their_secrets() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    let table = "CREATE TEMPORARY TABLE t (id INT, name STRING, PRIMARY KEY (id) NOT ENFORCED) WITH \
                 ('connector' = 'memory', 'name' = 't', \
                 'aws.credentials.basic.accesskeyid' = 'CANARY', 'aws.credentials.basic.secretkey' = 'CANARY')";
    assert_eq!(h.run(table).await, ["CREATE TABLE"]);
    assert_eq!(h.run("CREATE JOB j AS INSERT INTO t SELECT * FROM source").await, ["CREATE JOB"]);
    assert_eq!(h.run("PAUSE JOB j").await, ["PAUSE JOB"]);
    let server = h.session.server().clone();
    drop(h.session);
    let dataflow = serde_json::to_string(&server.catalog.snapshot().jobs["j"].dataflow).unwrap();
    let mut secrets = 0;
    for (at, _) in dataflow.match_indices("\"secret\":\"") {
        let reference = dataflow[at + 10..].split('"').next().unwrap();
        assert_eq!(server.catalog.secret(reference).unwrap(), "CANARY");
        secrets += 1;
    }
    assert_eq!(secrets, 2, "{dataflow}");
    assert!(!dataflow.contains("CANARY"));
}

#[tokio::test]
async fn casts_go_by_the_time_zone() {
    let mut h = Harness::new();
    h.run("SET TimeZone = 'Asia/Shanghai'").await;
    for (expression, expected) in [
        ("cast(timestamptz '2024-01-01 20:00:00+00' as timestamp)::string", "2024-01-02 04:00:00"),
        ("cast(timestamptz '2024-01-01 20:00:00+00' as date)", "2024-01-02"),
        ("cast('2024-01-01 00:00:00' as timestamptz)::string", "2024-01-01 00:00:00+08"),
        ("cast(timestamp '2024-01-01 00:00:00.5' as timestamptz)::string", "2024-01-01 00:00:00.5+08"),
        ("extract(hour from timestamptz '2024-01-01 20:00:00+00')", "4"),
        ("date_trunc('day', timestamptz '2024-01-01 20:00:00+00')::string", "2024-01-02 00:00:00+08"),
        ("localtimestamp = now()::timestamp", "true"),
    ] {
        assert_eq!(h.run(&format!("select {expression} as v")).await, ["v", expected], "{expression}");
    }
}

#[tokio::test]
async fn functions_of_columns_go_by_the_time_zone_as_those_of_constants() {
    let mut h = Harness::new();
    h.run("CREATE TABLE target (v STRING) WITH ('connector' = 'memory', 'name' = 'target')").await;
    let calls = [
        ("FROM_UNIXTIME(x)", "1970-01-01 09:00:00"),
        ("FROM_UNIXTIME(x, 'HH:mm')", "09:00"),
        ("DATE_FORMAT(t, 'yyyy-MM-dd HH:mm')", "2024-01-02 05:00"),
        ("CONCAT_WS('/', t)", "2024-01-02 05:00:00+09"),
        ("CAST(t AS STRING)", "2024-01-02 05:00:00+09"),
        ("t || ''", "2024-01-02 05:00:00+09"),
        ("CONCAT(t, '')", "2024-01-02 05:00:00+09"),
        ("CAST(s AS TIMESTAMP_LTZ)::string", "2024-01-02 05:00:00+09"),
    ];
    let values = "(VALUES (0, timestamptz '2024-01-01 20:00:00+00', '2024-01-02 05:00:00')) AS v(x, t, s)";
    for (call, expected) in calls {
        // First in UTC: what is kept from there must not be seen later.
        h.run("SET TimeZone = 'UTC'").await;
        let in_utc = h.run(&format!("SELECT {call} AS v FROM {values}")).await;
        h.run("SET TimeZone = 'Asia/Tokyo'").await;
        assert_eq!(h.run(&format!("SELECT {call} AS v FROM {values}")).await, ["v", expected], "{call}");
        h.run(&format!("INSERT INTO target SELECT {call} FROM {values}")).await;
        assert_eq!(h.run("SELECT v FROM target").await.last().unwrap(), expected, "INSERT of {call}");
        h.run("SET TimeZone = 'UTC'").await;
        assert_eq!(h.run(&format!("SELECT {call} AS v FROM {values}")).await, in_utc, "{call} in UTC again");
    }
    h.run("SET TimeZone = 'UTC'; PREPARE p AS SELECT FROM_UNIXTIME(x) AS v FROM (VALUES (0)) t(x)").await;
    assert_eq!(h.run("EXECUTE p").await, ["v", "1970-01-01 00:00:00"]);
    h.run("SET TimeZone = 'Asia/Tokyo'").await;
    assert_eq!(h.run("EXECUTE p").await, ["v", "1970-01-01 09:00:00"]);
}

#[tokio::test]
async fn timestamps_and_strings() {
    let mut h = Harness::new();
    for (expression, expected) in [
        ("(timestamp '2024-01-31 10:00:00' + '1 day')::string", "2024-02-01 10:00:00"),
        ("(timestamp '2024-01-31 10:00:00' - '1 hour')::string", "2024-01-31 09:00:00"),
        ("('1 month' + timestamp '2024-01-31 10:00:00')::string", "2024-02-29 10:00:00"),
        ("date '2024-01-31' + '1 day'", "2024-02-01T00:00:00"),
        ("concat_ws('_', timestamp '2024-01-31 10:00:00')", "2024-01-31 10:00:00"),
        ("1e15::double = 1000000000000000::double", "true"),
    ] {
        assert_eq!(h.run(&format!("select {expression} as v")).await, ["v", expected], "{expression}");
    }
    assert_eq!(h.error("select 'x'::bool").await.sqlstate().code(), "22P02");
}

#[tokio::test]
async fn nothing_is_ignored() {
    let mut h = Harness::new();
    h.run(TABLE).await;
    for refused in ["select 'a' collate \"de_DE\"", "select to_number('1', '9')"] {
        assert_eq!(h.error(refused).await.sqlstate().code(), "0A000", "{refused}");
    }
    assert_eq!(h.run("select * from (select 1, count(*)) t").await, ["?column?|count", "1|1"]);
    assert_eq!(h.run("with x as (select 1, 2) select * from x").await, ["?column?|?column?", "1|2"]);
    h.run("CREATE VIEW v AS SELECT * FROM orders /*+ OPTIONS('name' = 'orders') */").await;
    assert!(h.run("SHOW CREATE VIEW v").await.concat().contains("/*+ OPTIONS"));
    assert_eq!(h.run("USE CATALOG default_catalog").await, ["USE"]);
}

#[tokio::test]
async fn untyped_parameters_of_any_are_arrays() {
    let mut h = Harness::new();
    let text =
        StatementText { text: "select a from (values ('x'), ('y')) t(a) where a = any($1)".to_owned(), offset: 0 };
    let prepared = h.session.prepare(&text, &[None]).await.unwrap();
    assert!(matches!(prepared.parameter_types[..], [DataType::List(_)]), "{:?}", prepared.parameter_types);
}

impl Harness {
    fn dataflow(&self, job: &str) -> crate::engine::dataflow::Dataflow {
        let snapshot = self.session.server().catalog.snapshot();
        crate::engine::dataflow::Dataflow::from_json(&snapshot.jobs[job].dataflow).unwrap()
    }

    /// Tables written, and how many sources are read.
    fn reads_and_writes(&self, job: &str) -> (usize, Vec<String>) {
        let dataflow = self.dataflow(job);
        (
            dataflow.sources().count(),
            dataflow.sinks().map(|(_, sink)| sink.table.name.replace("streamgate.public.", "")).collect(),
        )
    }

    fn job_names(&self) -> Vec<String> {
        self.session.server().catalog.snapshot().jobs.keys().cloned().collect()
    }
}

const TWO_TARGETS: &str = "CREATE TABLE other (id INT) WITH ('connector' = 'blackhole')";
const TWO_INSERTS: [&str; 2] =
    ["INSERT INTO target SELECT * FROM source WHERE id > 5", "INSERT INTO other SELECT id FROM source"];

#[tokio::test(flavor = "multi_thread")]
async fn statement_sets_are_one_job_that_reads_its_source_once() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    h.run(TWO_TARGETS).await;
    let inserts = format!("{}; {};", TWO_INSERTS[0], TWO_INSERTS[1]);
    assert_eq!(h.run(&format!("EXECUTE STATEMENT SET BEGIN {inserts} END; SELECT 1")).await[0], "INSERT 0 0");
    let notice = h.session.take_notices().pop().unwrap();
    assert_eq!(notice.message, "job \"insert_into_target\" submitted");
    assert!(notice.detail.unwrap().starts_with("It holds INSERT INTO target, INSERT INTO other"));
    assert_eq!(h.run(&format!("CREATE JOB a AS BEGIN STATEMENT SET; {inserts} END;")).await, ["CREATE JOB"]);
    h.run("SET 'pipeline.name' = 'b'").await;
    assert_eq!(h.run(&format!("BEGIN STATEMENT SET; {inserts} END;")).await, ["INSERT 0 0"]);
    for job in ["insert_into_target", "a", "b"] {
        assert_eq!(h.reads_and_writes(job), (1, vec!["target".to_owned(), "other".to_owned()]), "{job}");
    }
    assert!(
        h.session.server().catalog.snapshot().jobs["a"].statement.starts_with("EXECUTE STATEMENT SET BEGIN\nINSERT")
    );
    until_states(&h, &["a RUNNING", "b RUNNING", "insert_into_target RUNNING"]).await;
    let plan = h.run(&format!("EXPLAIN STATEMENT SET BEGIN {inserts} END")).await.join("\n");
    assert_eq!((plan.matches("Sink: ").count(), plan.matches("Source: ").count()), (2, 1), "{plan}");
    assert!(h.run(&format!("CREATE JOB a AS EXECUTE STATEMENT SET BEGIN {inserts} END")).await[0].starts_with("42710"));
    h.run("STOP JOB a; STOP JOB b; STOP JOB insert_into_target").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_sets_come_in_pieces_from_psql() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    h.run(TWO_TARGETS).await;
    let first = TWO_INSERTS[0];
    let open = format!("EXECUTE STATEMENT SET BEGIN {first};");
    for (name, pieces, expected) in [
        ("a", vec!["BEGIN STATEMENT SET;", first, TWO_INSERTS[1], "END;"], "BEGIN,INSERT 0 0,INSERT 0 0,INSERT 0 0"),
        ("b", vec![&*open, TWO_INSERTS[1], "END"], "EXECUTE STATEMENT SET,INSERT 0 0,INSERT 0 0"),
    ] {
        h.run(&format!("SET 'pipeline.name' = '{name}'")).await;
        let mut tags = Vec::new();
        for (place, piece) in pieces.iter().enumerate() {
            let is_open = if place == 0 { TransactionStatus::Idle } else { TransactionStatus::Open };
            assert_eq!(h.session.transaction_status(), is_open);
            tags.extend(h.run(piece).await);
        }
        assert_eq!(tags.join(","), expected);
        assert_eq!(h.session.transaction_status(), TransactionStatus::Idle);
        assert_eq!(h.reads_and_writes(name), (1, vec!["target".to_owned(), "other".to_owned()]));
    }
    for piece in [format!("CREATE JOB c AS {open}"), TWO_INSERTS[1].to_owned(), "END".to_owned()] {
        h.run(&piece).await;
    }
    assert_eq!(h.reads_and_writes("c").0, 1);
    for piece in [format!("EXPLAIN {open}"), TWO_INSERTS[1].to_owned()] {
        h.run(&piece).await;
    }
    assert!(h.run("END").await.join("\n").contains("Sink: streamgate.public.target"));
    // psql's ON_ERROR_ROLLBACK puts savepoints around what it sends.
    h.run("RESET 'pipeline.name'").await;
    for piece in ["BEGIN STATEMENT SET", "SAVEPOINT s", first, "RELEASE s", "SAVEPOINT s", "SELECT 1", "ROLLBACK TO s"]
    {
        h.run(piece).await;
    }
    assert_eq!(h.run("END").await, ["INSERT 0 0"]);
    assert_eq!(h.reads_and_writes("insert_into_target").1, ["target"]);
    assert_eq!(h.job_names().len(), 4);
    h.run("DROP JOB a; DROP JOB b; DROP JOB c; DROP JOB insert_into_target").await;
}

#[tokio::test]
async fn an_error_in_a_statement_set_drops_all_of_it() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    for opening in [
        "BEGIN STATEMENT SET",
        "EXECUTE STATEMENT SET BEGIN INSERT INTO nope SELECT 1",
        "EXECUTE STATEMENT SET BEGIN INSRT",
    ] {
        h.run(opening).await;
        h.run("INSERT INTO target SELECT nope FROM source").await;
        assert_eq!(h.session.transaction_status(), TransactionStatus::Failed);
        assert!(h.run(TWO_INSERTS[0]).await[0].starts_with("25P02"), "{opening}");
        assert_eq!(h.run("END").await, ["ROLLBACK"]);
        assert_eq!(h.session.transaction_status(), TransactionStatus::Idle);
    }
    h.run("BEGIN STATEMENT SET").await;
    h.run(TWO_INSERTS[0]).await;
    assert_eq!(h.run("ROLLBACK").await, ["ROLLBACK"]);
    h.run("BEGIN STATEMENT SET").await;
    h.run(TWO_INSERTS[0]).await;
    assert!(h.run("SELECT 1").await[0].starts_with("0A000: only INSERT"));
    assert_eq!(h.run("COMMIT").await, ["ROLLBACK"]);
    assert!(
        h.run(&format!("EXECUTE STATEMENT SET BEGIN {}; INSERT INTO nope SELECT 1; END", TWO_INSERTS[0])).await[0]
            .starts_with("42P01")
    );
    assert!(h.job_names().is_empty());
    // A set that fails in a block fails the block.
    h.run("BEGIN").await;
    h.run("BEGIN STATEMENT SET").await;
    h.run("SELECT 1").await;
    assert_eq!(h.run("END").await, ["ROLLBACK"]);
    assert_eq!(h.session.transaction_status(), TransactionStatus::Failed);
    assert_eq!(h.run("COMMIT").await, ["ROLLBACK"]);
    assert_eq!(h.session.transaction_status(), TransactionStatus::Idle);
    // In a failed block the set's END is not the block's.
    for statement in ["BEGIN", "SELECT nope", "BEGIN STATEMENT SET", TWO_INSERTS[0], "END"] {
        h.run(statement).await;
    }
    assert_eq!(h.session.transaction_status(), TransactionStatus::Failed);
    h.run("ROLLBACK").await;
    assert!(h.job_names().is_empty());
}

#[tokio::test]
async fn bounded_inserts_of_a_statement_set_run_one_after_the_other() {
    let mut h = Harness::new();
    h.run(TABLE).await;
    h.run(JOB_TABLES).await;
    let first = "INSERT INTO orders (order_id) VALUES (1), (2)";
    let second = "INSERT INTO orders (order_id) SELECT order_id + 10 FROM orders";
    assert_eq!(h.run(&format!("EXECUTE STATEMENT SET BEGIN {first}; {second}; END")).await, ["INSERT 0 4"]);
    assert_eq!(h.run("SELECT count(*) FROM orders").await, ["count", "4"]);
    let mixed = format!("EXECUTE STATEMENT SET BEGIN {first}; {}; END", TWO_INSERTS[0]);
    assert_eq!(h.error(&mixed).await.sqlstate().code(), "0A000");
    assert_eq!(h.run("SELECT count(*) FROM orders").await, ["count", "4"]);
    assert!(h.job_names().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn inserts_of_a_block_become_one_job_at_commit() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    h.run("BEGIN").await;
    h.run(TWO_TARGETS).await;
    for insert in TWO_INSERTS {
        assert_eq!(h.run(insert).await, ["INSERT 0 0"]);
    }
    h.run("SAVEPOINT s").await;
    h.run("INSERT INTO other SELECT 1 FROM source").await;
    h.run("ROLLBACK TO s").await;
    h.run("CREATE JOB alone AS INSERT INTO other SELECT id FROM source").await;
    assert_eq!(h.run("COMMIT").await, ["COMMIT"]);
    assert_eq!(h.job_names(), ["alone", "insert_into_target"]);
    assert_eq!(h.reads_and_writes("insert_into_target"), (1, vec!["target".to_owned(), "other".to_owned()]));
    // INSERTs with other settings are another job.
    h.run("BEGIN; SET LOCAL pipeline.name = 'b'").await;
    h.run(TWO_INSERTS[0]).await;
    h.run("SET 'parallelism.default' = '2'").await;
    h.run(TWO_INSERTS[1]).await;
    h.run("COMMIT").await;
    assert_eq!(h.job_names(), ["alone", "b", "b_2", "insert_into_target"]);
    assert_eq!(h.dataflow("b_2").settings.parallelism(), 2);
    h.run("BEGIN").await;
    h.run(TWO_INSERTS[0]).await;
    h.run("ROLLBACK").await;
    // A failed block submits nothing.
    h.run("BEGIN").await;
    h.run(TWO_INSERTS[0]).await;
    h.run("SELECT nope").await;
    assert_eq!(h.run("COMMIT").await, ["ROLLBACK"]);
    assert_eq!(h.job_names().len(), 4);
    h.run("DROP JOB alone; DROP JOB b; DROP JOB b_2; DROP JOB insert_into_target").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_that_looks_up_what_its_block_writes_is_a_job_of_its_own() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    h.run(
        "CREATE TABLE sums (id INT, name STRING, PRIMARY KEY (id) NOT ENFORCED) \
         WITH ('connector' = 'memory', 'name' = 'sums')",
    )
    .await;
    let function =
        "CREATE FUNCTION named(i INT) RETURNS STRING LANGUAGE SQL AS 'SELECT MAX(name) FROM sums WHERE id = i'";
    assert_eq!(h.run(function).await, ["CREATE FUNCTION"]);
    let [fill, lookup] =
        ["INSERT INTO sums SELECT * FROM source", "INSERT INTO target SELECT id, named(id) FROM source"];
    let refused = h.run(&format!("EXECUTE STATEMENT SET BEGIN {fill}; {lookup}; END")).await;
    assert!(
        refused[0].starts_with("0A000: function \"named\" looks up table \"streamgate.public.sums\""),
        "{refused:?}"
    );
    h.run("BEGIN").await;
    for insert in [lookup, fill, "INSERT INTO target SELECT * FROM source"] {
        h.run(insert).await;
    }
    assert_eq!(h.run("COMMIT").await, ["COMMIT"]);
    assert_eq!(h.job_names(), ["insert_into_sums", "insert_into_target"]);
    assert_eq!(h.reads_and_writes("insert_into_sums"), (1, vec!["sums".to_owned(), "target".to_owned()]));
    assert_eq!(h.dataflow("insert_into_target").lookups().count(), 1);
    h.run("DROP JOB insert_into_sums; DROP JOB insert_into_target").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_stops_with_a_savepoint_and_another_starts_from_it() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    let insert = "INSERT INTO target SELECT * FROM source";
    h.run(&format!("CREATE JOB one AS {insert}; CREATE JOB two AS {insert}")).await;
    until_states(&h, &["one RUNNING", "two RUNNING"]).await;
    assert_eq!(h.run("BEGIN; STOP JOB one WITH SAVEPOINT").await[1].split(':').next(), Some("25001"));
    h.run("ROLLBACK").await;
    let answer = h.run("STOP JOB one WITH SAVEPOINT").await;
    assert_eq!(answer[0], "savepoint path");
    let folder = h.directory.path().join("savepoints");
    assert!(answer[1].contains(&folder.display().to_string()), "{answer:?}");
    assert!(h.session.take_notices().pop().unwrap().message.ends_with(&answer[1]));
    let other = h.directory.path().join("elsewhere");
    h.run(&format!("SET 'state.savepoints.dir' = '{}'", other.display())).await;
    let elsewhere = h.run("STOP JOB two WITH SAVEPOINT WITH DRAIN").await;
    assert!(elsewhere[1].contains(&other.display().to_string()), "{elsewhere:?}");
    until_states(&h, &["one STOPPED", "two STOPPED"]).await;
    // At rest it still gives what it has decided last.
    assert!(h.run("STOP JOB two WITH SAVEPOINT").await[1].contains(&other.display().to_string()));
    assert_eq!(h.run("STOP JOB IF EXISTS nope WITH SAVEPOINT TO '/tmp'").await, ["savepoint path"]);

    h.run(&format!("SET 'execution.state-recovery.path' = '{}'", answer[1])).await;
    h.run(&format!("CREATE JOB three AS {insert}")).await;
    let notice = h.session.take_notices().pop().unwrap();
    assert_eq!(notice.message, format!("job \"three\" starts from savepoint {}", answer[1]));
    assert_eq!(h.run("SHOW execution.savepoint.path").await[1], "", "used up");
    until_states(&h, &["one STOPPED", "three RUNNING", "two STOPPED"]).await;
    assert_eq!(h.dataflow("three").settings.savepoint_path.as_deref(), Some(answer[1].as_str()));
    h.run("DROP JOB three").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_shows_what_jobs_do_when_it_is_executed() {
    let mut h = Harness::new();
    h.run(
        "CREATE TABLE ids (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000'); \
         CREATE TABLE nothing (id INT) WITH ('connector' = 'blackhole'); \
         CREATE JOB a AS INSERT INTO nothing SELECT id FROM ids",
    )
    .await;
    let statement = h.session.split("SELECT rows_in FROM streamgate.jobs").unwrap().remove(0);
    let prepared = h.session.prepare(&statement, &[]).await.unwrap();
    let mut answers = std::collections::BTreeSet::new();
    for _ in 0..500 {
        let outcome = h.session.execute(&prepared, Vec::new()).await.unwrap();
        answers.insert(lines(prepared.clone(), outcome).await.unwrap().remove(1));
        if answers.len() > 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(answers.len() > 2, "{answers:?}");
    h.run("DROP JOB a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_what_a_running_job_does() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    h.run("CREATE JOB a AS INSERT INTO target SELECT id, max(name) FROM source GROUP BY id").await;
    until_states(&h, &["a RUNNING"]).await;
    let lines = h.run("EXPLAIN ANALYZE JOB a").await;
    assert_eq!(lines.len(), h.run("EXPLAIN JOB 'A'").await.len());
    let text = lines.join("\n");
    for part in [
        "Source: streamgate.public.source",
        "GroupAggregate: ",
        "rows in ",
        "busy ",
        "back-pressured ",
        "state ",
        "State: RUNNING",
        "Checkpoints: ",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(h.run("DESCRIBE JOB a").await.join("\n").contains("back-pressured"));
    assert_eq!(h.error("EXPLAIN JOB nope").await.sqlstate().code(), "42704");
    h.run("DROP JOB a").await;
}

#[tokio::test]
async fn distinct_counts_are_one_aggregate_in_jobs() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    let explain = "EXPLAIN INSERT INTO target SELECT id, CAST(count(DISTINCT name) AS STRING) FROM source GROUP BY id";
    let plan = h.run(explain).await.join("\n");
    assert_eq!(plan.matches("GroupAggregate").count(), 1, "{plan}");
}

#[tokio::test]
async fn state_ttl_hints_reach_the_aggregate_of_their_query() {
    let mut h = Harness::new();
    h.run(JOB_TABLES).await;
    h.run("CREATE VIEW names AS SELECT id, name FROM source WHERE id > 3; SET 'table.exec.state.ttl' = '5 s'").await;
    for (query, expected) in [
        ("SELECT id, max(name) FROM source GROUP BY id", "5000"),
        ("SELECT /*+ STATE_TTL('source' = '1 d') */ id, max(name) FROM source GROUP BY id", "86400000"),
        ("SELECT /*+ STATE_TTL('S' = '2 s') */ s.id, max(s.name) FROM source s WHERE s.id > 7 GROUP BY s.id", "2000"),
        ("SELECT /*+ STATE_TTL('source' = '3 s') */ x.id, max(NAME) FROM source AS x (id, name) GROUP BY x.id", "3000"),
        ("SELECT /*+ STATE_TTL('names' = '4 s') */ id, max(name) FROM names GROUP BY id", "4000"),
        ("SELECT /*+ STATE_TTL('q' = '6 s') */ id, max(name) FROM (SELECT * FROM source) q GROUP BY id", "6000"),
        (
            "WITH c AS (SELECT * FROM source) SELECT /*+ STATE_TTL('c' = '7 s') */ id, max(name) FROM c GROUP BY id",
            "7000",
        ),
        ("SELECT /*+ STATE_TTL('source' = '8 s') */ DISTINCT id, name FROM source", "8000"),
        (
            "SELECT id + 1, max(m) FROM (SELECT /*+ STATE_TTL('source' = '9 s') */ id, max(name) AS m FROM source GROUP BY id) \
             GROUP BY id + 1",
            "5000,9000",
        ),
    ] {
        let plan = h.run(&format!("EXPLAIN INSERT INTO target {query}")).await.join("\n");
        let found: Vec<&str> =
            plan.split("forgotten after ").skip(1).filter_map(|rest| rest.split(' ').next()).collect();
        assert_eq!(found.join(","), expected, "{query}\n{plan}");
    }
    let plan = h
        .run("EXPLAIN INSERT INTO target SELECT /*+ STATE_TTL('source' = '0 s') */ id, max(name) FROM source GROUP BY id")
        .await
        .join("\n");
    assert!(plan.contains("GroupAggregate") && !plan.contains("forgotten"), "{plan}");
    let error = h.error("SELECT /*+ STATE_TTL('nope' = '1 d') */ count(*) FROM source").await;
    assert_eq!((error.sqlstate().code(), error.position()), ("42P01", Some(8)), "{error}");
    assert!(h.run("SELECT /*+ STATE_TTL('source' = 'soon') */ count(*) FROM source").await[0].contains("STATE_TTL"));
}

#[tokio::test]
async fn settings_without_effect_say_so() {
    let mut h = Harness::new();
    assert_eq!(h.run("SET 'table.exec.mini-batch.size' = '5000'").await, ["SET"]);
    assert!(h.session.take_notices()[0].message.starts_with("table.exec.mini-batch.size: without effect"));
}
