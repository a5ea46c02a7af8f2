//! Statements run in a session, without the wire: the rows that come, and what the server then holds.

mod declarations;
mod jobs;
mod results;
mod session;
mod statement_sets;
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
        ..SessionOptions::default()
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

    fn job_states(&self) -> Vec<String> {
        let status = self.session.server().jobs.status();
        status.iter().map(|job| format!("{} {}", job.name, job.state)).collect()
    }

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
        Outcome::CopyIn(_) | Outcome::CopyOut { .. } => Ok(vec!["(copy)".to_owned()]),
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

const JOB_TABLES: &str = "CREATE TABLE source (id INT, name STRING) WITH ('connector' = 'datagen', 'rows-per-second' = '5'); \
                          CREATE TABLE target (id INT, name STRING) WITH ('connector' = 'blackhole')";

async fn until_states(h: &Harness, expected: &[&str]) {
    for _ in 0..6000 {
        if h.job_states() == expected {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(h.job_states(), expected);
}
