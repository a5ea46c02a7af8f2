//! Every query of `tests/slt/queries` as an INSERT that ends: what it writes is what the query shows, row by row, as texts. Those over topics
//! that do not end would be jobs, and are left to the files of `streaming`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use sqllogictest::{DefaultColumnType, Record, parse_with_name};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::{Bench, Refusal, files, root};
use crate::backends::unique;

/// Rows as lists of texts, sorted: neither side promises an order.
async fn rows(client: &Client, query: &str) -> Result<Vec<Vec<String>>, Refusal> {
    let mut rows = Vec::new();
    for message in client.simple_query(query).await? {
        if let SimpleQueryMessage::Row(row) = message {
            rows.push((0..row.len()).map(|column| row.get(column).unwrap_or("NULL").to_owned()).collect());
        }
    }
    rows.sort();
    Ok(rows)
}

fn listed(columns: usize, item: impl Fn(usize) -> String) -> String {
    (1..=columns).map(item).collect::<Vec<_>>().join(", ")
}

/// Whether the last INSERT became a job, which is dropped.
async fn has_jobs(client: &Client) -> bool {
    let jobs = rows(client, "SELECT name FROM streamgate.jobs").await.unwrap();
    for job in &jobs {
        client.batch_execute(&format!("DROP JOB {}", job[0])).await.unwrap();
    }
    !jobs.is_empty()
}

/// One file: its statements, and each of its queries once as a query and once as an INSERT. Gives how many queries there were.
async fn check(bench: &Bench, file: &Path, wrong: &mut Vec<String>) -> usize {
    let name = unique("slt").replace('-', "_");
    let client = bench.session(&name).await;
    let shown = file.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    let text = fs::read_to_string(file).unwrap().replace("{unique}", &name);
    let (mut tables, mut next) = (BTreeSet::new(), 0_usize);
    let mut selected: BTreeMap<usize, (usize, String, Vec<Vec<String>>)> = BTreeMap::new();
    for record in parse_with_name::<DefaultColumnType>(&text, shown.as_str()).unwrap() {
        let (sql, place) = match record {
            Record::Statement { sql, .. } => {
                // Some are to fail; the other test sees to that.
                let _ = client.batch_execute(&sql).await;
                continue;
            }
            Record::Query { sql, loc, .. } => (sql, loc.to_string()),
            _ => continue,
        };
        let is_query = ["SELECT", "WITH", "VALUES", "("].iter().any(|word| sql.trim_start().starts_with(word));
        // Refused queries, SHOW and the like; and what has no columns.
        let Some(columns) = client.prepare(&sql).await.ok().map(|statement| statement.columns().len()) else {
            continue;
        };
        if !is_query || columns == 0 {
            continue;
        }
        let table = format!("copy_of_{columns}");
        if tables.insert(columns) {
            let declared = format!(
                "CREATE TABLE {table} (n INT, {}) WITH ('connector' = 'kafka', 'topic' = '{name}_{table}', 'format' = 'json', \
                 'topic.create' = 'if-not-exists', 'scan.startup.mode' = 'earliest-offset')",
                listed(columns, |column| format!("c{column} STRING"))
            );
            client.batch_execute(&declared).await.unwrap();
        }
        let texts = listed(columns, |column| format!("CAST(c{column} AS STRING)"));
        let of_texts = format!("SELECT {texts} FROM ({sql}) q ({})", listed(columns, |column| format!("c{column}")));
        // What cannot stand in FROM has no such INSERT.
        let Ok(expected) = rows(&client, &of_texts).await else { continue };
        // One that became a job may have written before it was dropped.
        let number = next;
        next += 1;
        let insert = of_texts.replacen("SELECT ", &format!("INSERT INTO {table} SELECT {number}, "), 1);
        match client.batch_execute(&insert).await.map_err(Refusal::from) {
            Ok(()) if text.contains("CREATE TABLE") && has_jobs(&client).await => continue,
            Ok(()) => {}
            // What a job cannot do yet.
            Err(refusal) if refusal.code == "0A000" => continue,
            Err(refusal) => {
                wrong.push(format!("{place}: {sql}\n    as an INSERT: {refusal}"));
                continue;
            }
        }
        selected.insert(number, (columns, format!("{place}: {sql}"), expected));
    }
    for columns in tables {
        let query = format!("SELECT * FROM copy_of_{columns}");
        let mut written: BTreeMap<usize, Vec<Vec<String>>> = BTreeMap::new();
        for mut row in rows(&client, &query).await.unwrap() {
            let number = row.remove(0).parse().unwrap();
            written.entry(number).or_default().push(row);
        }
        for (number, (_, query, expected)) in selected.iter().filter(|(_, (of, ..))| *of == columns) {
            let found = written.remove(number).unwrap_or_default();
            if found != *expected {
                wrong.push(format!("{query}\n    writes {found:?}\n    shows  {expected:?}"));
            }
        }
    }
    selected.len()
}

#[tokio::test]
async fn every_query_writes_what_it_shows() {
    let bench = Bench::start().await;
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in files("slt").iter().filter(|file| file.parent().unwrap().ends_with("queries")) {
        count += check(&bench, file, &mut wrong).await;
    }
    println!("{count} queries");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(count > 200 || std::env::var("STREAMGATE_SLT").is_ok(), "{count} queries");
}
