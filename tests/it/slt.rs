//! The files under `tests/slt`, statement by statement over the wire. Every file has a schema of its own; `{unique}` in it is a
//! name that no other file and no other run has, for topics and DynamoDB tables.
//! Files of `tests/slt/streaming` are run twice: at `subtest restart` the second run kills the server (SIGKILL) and starts it again.
//! One file: `STREAMGATE_SLT=distinct cargo test --test it -- slt`.

mod expressions;
mod inserted;

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Record, Runner};
use tempfile::TempDir;
use tokio_postgres::SimpleQueryMessage;

use crate::backends::unique;
use crate::server::{BackendsOfProcess, ServerProcess};

/// The folder whose files are run again with a kill inside.
const STREAMING: &str = "streaming";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt")
}

/// Files with that extension in the sub-folders of `tests/slt` that STREAMGATE_SLT does not leave out.
fn files(extension: &str) -> Vec<PathBuf> {
    let wanted = env::var("STREAMGATE_SLT").unwrap_or_default();
    let mut found: Vec<PathBuf> = fs::read_dir(root())
        .unwrap()
        .filter_map(|area| fs::read_dir(area.unwrap().path()).ok())
        .flat_map(|area| area.map(|file| file.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .filter(|path| path.to_string_lossy().contains(&wanted))
        .collect();
    found.sort();
    found
}

fn is_streaming(file: &Path) -> bool {
    file.parent().unwrap().ends_with(STREAMING)
}

/// What the server says of a statement: SQLSTATE, message, detail and hint.
#[derive(Debug)]
struct Refusal {
    code: String,
    text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.text)
    }
}

impl std::error::Error for Refusal {}

impl From<tokio_postgres::Error> for Refusal {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(error) = error.as_db_error() else {
            return Self { code: "08006".to_owned(), text: error.to_string() };
        };
        let parts = [Some(error.message()), error.detail(), error.hint()];
        let text = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
        Self { code: error.code().code().to_owned(), text }
    }
}

/// A session as sqllogictest uses it.
struct Wire(tokio_postgres::Client);

#[async_trait::async_trait]
impl AsyncDB for Wire {
    type Error = Refusal;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refusal> {
        let mut rows = None;
        let mut count = 0;
        for message in self.0.simple_query(sql).await? {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    rows = Some((vec![DefaultColumnType::Any; columns.len()], Vec::new()));
                }
                SimpleQueryMessage::Row(row) => {
                    let values = (0..row.len()).map(|column| match row.get(column) {
                        None => "NULL".to_owned(),
                        Some("") => "(empty)".to_owned(),
                        Some(text) => text.to_owned(),
                    });
                    if let Some((_, rows)) = &mut rows {
                        rows.push(values.collect());
                    }
                }
                SimpleQueryMessage::CommandComplete(changed) => count = changed,
                _ => {}
            }
        }
        Ok(match rows {
            Some((types, rows)) => DBOutput::Rows { types, rows },
            None => DBOutput::StatementComplete(count),
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &'static str {
        "streamgate"
    }

    async fn sleep(duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn error_sql_state(error: &Refusal) -> Option<String> {
        Some(error.code.clone())
    }
}

/// A server that a file may have killed and started again.
struct Bench {
    backends: BackendsOfProcess,
    folder: TempDir,
    server: ServerProcess,
}

impl Bench {
    async fn start() -> Self {
        let backends = BackendsOfProcess::take().await;
        let folder = TempDir::new().unwrap();
        let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
        Self { backends, folder, server }
    }

    async fn kill_and_restart(self) -> Self {
        let Self { backends, folder, server } = self;
        server.kill();
        let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
        Self { backends, folder, server }
    }

    /// A session in a schema of that name.
    async fn session(&self, schema: &str) -> tokio_postgres::Client {
        let client = self.server.connect().await;
        client.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}; USE {schema}")).await.unwrap();
        client
    }

    /// Runs a file; gives the bench back, what is wrong, and how many restarts the file has.
    async fn run(mut self, file: &Path, kills: bool) -> (Self, Vec<String>, usize) {
        let name = unique("slt").replace('-', "_");
        let text = fs::read_to_string(file).unwrap().replace("{unique}", &name);
        let shown = file.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let records = match sqllogictest::parse_with_name::<DefaultColumnType>(&text, shown) {
            Ok(records) => records,
            Err(error) => return (self, vec![error.to_string()], 0),
        };
        let mut restarts = 0;
        let mut wrong = Vec::new();
        let mut runner = self.runner(&name).await;
        for record in records {
            match record {
                Record::Subtest { name: what, .. } if what == "restart" => {
                    restarts += 1;
                    if kills {
                        self = self.kill_and_restart().await;
                        runner = self.runner(&name).await;
                    }
                }
                Record::Halt { .. } => break,
                record => {
                    if let Err(error) = runner.run_async(record).await {
                        wrong.push(format!("{}{error}", if kills { "with a kill: " } else { "" }));
                        // What follows in a streaming file would wait for rows in vain.
                        if is_streaming(file) {
                            break;
                        }
                    }
                }
            }
        }
        (self, wrong, restarts)
    }

    async fn runner(
        &self,
        schema: &str,
    ) -> Runner<Wire, impl FnMut() -> std::future::Ready<Result<Wire, Refusal>> + use<>> {
        let mut session = Some(self.session(schema).await);
        Runner::new(move || {
            let one = || Refusal { code: "08006".to_owned(), text: "a file has one session".to_owned() };
            std::future::ready(session.take().map(Wire).ok_or_else(one))
        })
    }
}

#[tokio::test]
async fn every_file_gives_what_it_says() {
    let mut bench = Bench::start().await;
    let mut wrong = Vec::new();
    for file in files("slt").iter().filter(|file| !is_streaming(file)) {
        let found;
        (bench, found, _) = bench.run(file, false).await;
        wrong.extend(found);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn every_streaming_file_gives_the_same_with_a_kill() {
    let mut bench = Bench::start().await;
    let mut wrong = Vec::new();
    for file in files("slt").iter().filter(|file| is_streaming(file)) {
        for kills in [false, true] {
            let (found, restarts);
            (bench, found, restarts) = bench.run(file, kills).await;
            if restarts == 0 && found.is_empty() {
                wrong.push(format!("{}: no \"subtest restart\"", file.display()));
            }
            wrong.extend(found);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Words that a file calls, in small letters: those before a bracket, and the functions of time that are written without one.
fn called(text: &str) -> impl Iterator<Item = String> {
    let call = regex::Regex::new(r"([a-z_][a-z0-9_]*)`? ?\(|\b((?:current|local)[a-z]*(?:_[a-z]+)?)\b").unwrap();
    let text = text.to_lowercase();
    let names: Vec<String> = call
        .captures_iter(&text)
        .filter_map(|found| found.get(1).or_else(|| found.get(2)).map(|name| name.as_str().to_owned()))
        .collect();
    names.into_iter()
}

#[tokio::test]
async fn every_function_stands_in_a_file() {
    let bench = Bench::start().await;
    let all = bench.server.query("SHOW FUNCTIONS").await;
    let files = files("slt").into_iter().chain(files("txt"));
    let seen: std::collections::HashSet<String> =
        files.flat_map(|file| called(&fs::read_to_string(file).unwrap()).collect::<Vec<_>>()).collect();
    // Most of `list_…` are `array_…` by another name.
    let is_seen = |name: &str| seen.contains(name) || seen.contains(&name.replacen("list_", "array_", 1));
    let missing: Vec<&String> = all.iter().filter(|name| !name.starts_with("latest_") && !is_seen(name)).collect();
    let is_part = env::var("STREAMGATE_SLT").is_ok_and(|word| !word.is_empty());
    assert!(is_part || missing.is_empty(), "no file of tests/slt calls {missing:?}");
}
