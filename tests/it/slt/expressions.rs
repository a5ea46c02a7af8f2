//! Every expression of `tests/slt/expressions/*.txt` as a query, as a bounded INSERT and as a job, each over constants and over a
//! table's columns: all six give the value that the file says, as text. A file may begin with `zone name`, the session's time zone; it has
//! lines `column name TYPE = value`, which are the one row of its table, and lines `expression => value` or `expression => error SQLSTATE`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tokio_postgres::{Client, SimpleQueryMessage};

use super::{Bench, Refusal, files, root};
use crate::backends::unique;
use crate::server::{JOB_PATIENCE, until};

struct Column {
    name: String,
    sql_type: String,
    value: String,
}

struct Case {
    line: usize,
    expression: String,
    /// Text of the value, or `error` and the SQLSTATE.
    expected: String,
}

impl Case {
    fn fails(&self) -> bool {
        self.expected.starts_with("error ")
    }
}

/// A file of expressions over one row.
struct Corpus {
    shown: String,
    zone: Option<String>,
    columns: Vec<Column>,
    cases: Vec<Case>,
}

impl Corpus {
    fn read(file: &Path) -> Self {
        let shown = file.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let (mut zone, mut columns, mut cases) = (None, Vec::new(), Vec::new());
        for (index, text) in fs::read_to_string(file).unwrap().lines().enumerate() {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            if let Some(name) = text.strip_prefix("zone ") {
                zone = Some(name.to_owned());
                continue;
            }
            if let Some((head, value)) = text.strip_prefix("column ").and_then(|rest| rest.split_once(" = ")) {
                let (name, sql_type) = head.split_once(' ').unwrap();
                columns.push(Column { name: name.to_owned(), sql_type: sql_type.to_owned(), value: value.to_owned() });
                continue;
            }
            let (expression, expected) =
                text.rsplit_once(" => ").unwrap_or_else(|| panic!("{shown}:{}: no \" => \"", index + 1));
            let (expression, expected) = (expression.trim().to_owned(), expected.trim().to_owned());
            cases.push(Case { line: index + 1, expression, expected });
        }
        Self { shown, zone, columns, cases }
    }

    /// The expression with the columns' values in their place.
    fn with_constants(&self, expression: &str) -> String {
        let mut text = String::new();
        let mut rest = expression;
        let mut before = ' ';
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '\'' => rest[1..].find('\'').map_or(rest.len(), |end| end + 2),
                first if first.is_ascii_alphabetic() => {
                    rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
                }
                first => first.len_utf8(),
            };
            let (word, after) = rest.split_at(length);
            let column = self.columns.iter().find(|column| column.name == word && !['.', '_'].contains(&before));
            match column {
                Some(column) => write!(text, "CAST({} AS {})", column.value, column.sql_type).unwrap(),
                None => text.push_str(word),
            }
            before = word.chars().last().unwrap();
            rest = after;
        }
        text
    }
}

fn as_text<'a>(expressions: impl Iterator<Item = &'a str>) -> String {
    expressions.map(|expression| format!("CAST(({expression}) AS STRING)")).collect::<Vec<_>>().join(", ")
}

/// The one row of a query, if there is one.
async fn row(client: &Client, query: &str) -> Result<Vec<String>, Refusal> {
    let messages = client.simple_query(query).await?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    Ok(row.map_or_else(Vec::new, |row| {
        (0..row.len()).map(|column| row.get(column).unwrap_or("NULL").to_owned()).collect()
    }))
}

/// The value of each expression, asked together or, where one of them fails, each for itself.
async fn values(client: &Client, expressions: &[String], from: &str) -> Vec<Result<String, Refusal>> {
    let texts = as_text(expressions.iter().map(String::as_str));
    if let Ok(values) = row(client, &format!("SELECT {texts} {from}")).await {
        return values.into_iter().map(Ok).collect();
    }
    let mut values = Vec::new();
    for expression in expressions {
        let text = as_text(std::iter::once(expression.as_str()));
        values.push(row(client, &format!("SELECT {text} {from}")).await.map(|mut row| row.swap_remove(0)));
    }
    values
}

struct Check<'a> {
    corpus: &'a Corpus,
    client: &'a Client,
    name: String,
    wrong: Vec<String>,
}

impl Check<'_> {
    fn compare(&mut self, case: &Case, way: &str, found: Result<String, Refusal>) {
        let found = found.unwrap_or_else(|refusal| match case.expected == format!("error {}", refusal.code) {
            true => case.expected.clone(),
            false => format!("error {refusal}"),
        });
        if found != case.expected {
            let (shown, line) = (&self.corpus.shown, case.line);
            self.wrong.push(format!(
                "{shown}:{line}: {}\n    {way}: {found}\n    expected: {}",
                case.expression, case.expected
            ));
        }
    }

    async fn execute(&mut self, what: &str, statement: &str) -> bool {
        let result = self.client.batch_execute(statement).await;
        if let Err(error) = result {
            self.wrong.push(format!("{}: {what}: {}", self.corpus.shown, Refusal::from(error)));
            return false;
        }
        true
    }

    async fn declare(&self, table: &str, columns: &[String]) {
        let statement = format!(
            "CREATE TABLE {table} ({}) WITH ('connector' = 'kafka', 'topic' = '{}_{table}', 'format' = 'json', \
             'json.encode.decimal-as-plain-number' = 'true', 'scan.startup.mode' = 'earliest-offset')",
            columns.join(", "),
            self.name
        );
        self.client.batch_execute(&statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }

    /// Queries over constants and over columns.
    async fn queries(&mut self) {
        let corpus = self.corpus;
        for fails in [false, true] {
            let cases: Vec<&Case> = corpus.cases.iter().filter(|case| case.fails() == fails).collect();
            let constants: Vec<String> = cases.iter().map(|case| corpus.with_constants(&case.expression)).collect();
            for (case, found) in cases.iter().zip(values(self.client, &constants, "").await) {
                self.compare(case, "query over constants", found);
            }
            let expressions: Vec<String> = cases.iter().map(|case| case.expression.clone()).collect();
            for (case, found) in cases.iter().zip(values(self.client, &expressions, "FROM source").await) {
                self.compare(case, "query over columns", found);
            }
        }
    }

    /// Those that give a value, in one INSERT of one wide row, which ends, and in one that is a job.
    async fn inserts(&mut self) {
        let corpus = self.corpus;
        let cases: Vec<&Case> = corpus.cases.iter().filter(|case| !case.fails()).collect();
        let columns: Vec<String> = (0..cases.len()).map(|index| format!("v{index} STRING")).collect();
        let of_columns = as_text(cases.iter().map(|case| case.expression.as_str()));
        let constants: Vec<String> = cases.iter().map(|case| corpus.with_constants(&case.expression)).collect();
        let of_constants = as_text(constants.iter().map(String::as_str));
        let ends = "/*+ OPTIONS('scan.bounded.mode' = 'latest-offset') */";
        for (way, sink, texts, hint) in [
            ("bounded INSERT over columns", "bounded", &of_columns, ends),
            ("bounded INSERT over constants", "bounded_constants", &of_constants, ends),
            ("job over columns", "streamed", &of_columns, ""),
            ("job over constants", "streamed_constants", &of_constants, ""),
        ] {
            self.declare(sink, &columns).await;
            if !self.execute(way, &format!("INSERT INTO {sink} SELECT {texts} FROM source {hint}")).await {
                continue;
            }
            let query = format!("SELECT * FROM {sink}");
            let client = self.client;
            let found = until(JOB_PATIENCE, "the row is there", async || {
                let found = row(client, &query).await.unwrap();
                let failed =
                    row(client, "SELECT last_error FROM streamgate.jobs WHERE state = 'FAILED'").await.unwrap();
                (!found.is_empty() || !failed.is_empty()).then_some((found, failed))
            })
            .await;
            if found.0.is_empty() {
                self.wrong.push(format!("{}: {way}: {:?}", corpus.shown, found.1));
                continue;
            }
            for (case, found) in cases.iter().zip(found.0) {
                self.compare(case, way, Ok(found));
            }
        }
        self.drop_jobs().await;
    }

    /// Those that fail: each INSERT that ends says so, each job says the same.
    async fn failures(&mut self) {
        let corpus = self.corpus;
        let cases: Vec<&Case> = corpus.cases.iter().filter(|case| case.fails()).collect();
        self.declare("refused", &["v STRING".to_owned()]).await;
        let mut jobs = Vec::new();
        for (number, case) in cases.iter().enumerate() {
            let text = as_text(std::iter::once(case.expression.as_str()));
            let bounded = format!(
                "INSERT INTO refused SELECT {text} FROM source /*+ OPTIONS('scan.bounded.mode' = 'latest-offset') */"
            );
            let refusal = self.client.batch_execute(&bounded).await.map_err(Refusal::from);
            let message = refusal.as_ref().err().map_or_else(String::new, |refusal| refusal.text.clone());
            self.compare(case, "bounded INSERT", refusal.map(|()| "no error".to_owned()));
            let job = format!("CREATE JOB refused_{number} AS INSERT INTO refused SELECT {text} FROM source");
            match self.client.batch_execute(&job).await {
                Ok(()) => jobs.push((*case, format!("refused_{number}"), message)),
                Err(error) => self.compare(case, "job", Err(error.into())),
            }
        }
        for (case, job, message) in jobs {
            let query = format!("SELECT last_error FROM streamgate.jobs WHERE name = '{job}' AND state = 'FAILED'");
            let client = self.client;
            let error = until(JOB_PATIENCE, "the job fails", async || row(client, &query).await.unwrap().pop()).await;
            let first = message.split("; ").next().unwrap_or_default();
            let same = error.contains(first);
            self.compare(case, "job", Ok(if same { case.expected.clone() } else { error }));
        }
        self.drop_jobs().await;
    }

    async fn drop_jobs(&self) {
        let jobs = self.client.simple_query("SELECT name FROM streamgate.jobs").await.unwrap();
        for message in jobs {
            if let SimpleQueryMessage::Row(job) = message {
                self.client.batch_execute(&format!("DROP JOB {}", job.get(0).unwrap())).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn expressions_give_one_value_in_queries_bounded_inserts_and_jobs() {
    let bench = Bench::start().await;
    let mut wrong = Vec::new();
    for file in files("txt") {
        let corpus = Corpus::read(&file);
        let name = unique("slt").replace('-', "_");
        let client = bench.session(&name).await;
        if let Some(zone) = &corpus.zone {
            client.batch_execute(&format!("SET TimeZone = '{zone}'")).await.unwrap();
        }
        let mut check = Check { corpus: &corpus, client: &client, name, wrong: Vec::new() };
        let columns: Vec<String> =
            corpus.columns.iter().map(|column| format!("{} {}", column.name, column.sql_type)).collect();
        check.declare("source", &columns).await;
        let row: Vec<String> = corpus.columns.iter().map(|column| column.value.clone()).collect();
        if check.execute("the row", &format!("INSERT INTO source VALUES ({})", row.join(", "))).await {
            check.queries().await;
            check.inserts().await;
            check.failures().await;
        }
        wrong.append(&mut check.wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
