//! What a job must have written: the same query over the log's live rows, as a bounded DataFusion query.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::datasource::MemTable;

use super::job::Insert;
use super::log::Log;
use super::sink::{Mode, SinkChange, cells};
use crate::changelog::RowKind;
use crate::engine::testing::session;

type Rows = Vec<Vec<String>>;

/// The rows that DataFusion gives.
pub async fn expected(sql: &str, logs: &[Arc<Log>]) -> Rows {
    let context = session(&[]);
    for log in logs {
        let rows = MemTable::try_new(log.live.schema(), vec![vec![log.live.clone()]]).unwrap();
        context.register_table(log.declaration.name.as_str(), Arc::new(rows)).unwrap();
    }
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| cells(batch, row))).collect()
}

/// Says how a sink's changes differ from the rows expected.
pub fn difference(insert: &Insert, expected: &Rows) -> Option<String> {
    let changes = insert.target.changes.lock();
    match insert.target.mode {
        Mode::Append => {
            let found = counts(&changes);
            let expected = count(expected);
            // At least once: nothing is missing, and nothing is there that was never a result.
            let missing = expected.iter().filter(|(row, count)| found.get(*row).is_none_or(|found| found < count));
            let unknown = found.keys().filter(|row| !expected.contains_key(*row));
            let lines: Vec<String> = missing
                .map(|(row, count)| format!("missing {row:?} ({count})"))
                .chain(unknown.map(|row| format!("unknown {row:?}")))
                .collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        }
        Mode::AppendOnce | Mode::ChangelogOnce => {
            let (found, expected) = (counts(&changes), count(expected));
            let rows = found.keys().chain(expected.keys().filter(|row| !found.contains_key(*row)));
            let differs = |row: &&Vec<String>| found.get(*row) != expected.get(*row);
            let lines: Vec<String> = rows
                .filter(differs)
                .map(|row| format!("{row:?}: {:?} times instead of {:?}", found.get(row), expected.get(row)))
                .collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        }
        Mode::Upsert | Mode::UpsertOnce | Mode::Monotonic => {
            let keys = insert.query.keys;
            let found = fold(&changes, keys);
            // Where several rows have a sink's key, any of them may be the last one.
            let mut candidates: BTreeMap<&[String], Vec<&Vec<String>>> = BTreeMap::new();
            for row in expected {
                candidates.entry(&row[..keys]).or_default().push(row);
            }
            let mut lines = Vec::new();
            for (key, rows) in &candidates {
                match found.get(*key) {
                    Some(row) if rows.contains(&row) => {}
                    other => lines.push(format!("{other:?} instead of {rows:?}\n{}", history(&changes, key))),
                }
            }
            let gone = found.keys().filter(|key| !candidates.contains_key(key.as_slice()));
            lines.extend(gone.map(|key| format!("not deleted: {:?}\n{}", found[key], history(&changes, key))));
            (!lines.is_empty()).then(|| lines.join("\n"))
        }
    }
}

/// The changes of a key, for failures.
fn history(changes: &[SinkChange], key: &[String]) -> String {
    let of_key = changes.iter().filter(|change| change.cells.starts_with(key));
    let lines = of_key.map(|change| format!("    {:?} {:?} {:?}", change.kind, change.cells, change.version));
    lines.collect::<Vec<_>>().join("\n")
}

fn count(rows: &Rows) -> BTreeMap<Vec<String>, i64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row.clone()).or_default() += 1;
    }
    counts
}

/// How often a row was given and not taken back.
fn counts(changes: &[SinkChange]) -> BTreeMap<Vec<String>, i64> {
    let mut counts = BTreeMap::new();
    for change in changes {
        *counts.entry(change.cells.clone()).or_default() += if change.kind.is_retraction() { -1 } else { 1 };
    }
    counts.retain(|_, count: &mut i64| *count != 0);
    counts
}

/// The last row of each key. What comes with a lower version, or the same, is refused.
fn fold(changes: &[SinkChange], keys: usize) -> BTreeMap<Vec<String>, Vec<String>> {
    let mut rows: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    let mut versions: BTreeMap<Vec<String>, i64> = BTreeMap::new();
    for (place, change) in changes.iter().enumerate() {
        let key = change.cells[..keys].to_vec();
        if let Some(version) = change.version {
            if versions.get(&key).is_some_and(|known| *known >= version) {
                continue;
            }
            versions.insert(key.clone(), version);
        }
        // As connectors do: a row taken back goes, unless its successor is next.
        let is_updated_in_place = change.kind == RowKind::UpdateBefore
            && changes
                .get(place + 1)
                .is_some_and(|next| next.kind == RowKind::UpdateAfter && next.cells[..keys] == key);
        if !change.kind.is_retraction() {
            rows.insert(key, change.cells.clone());
        } else if !is_updated_in_place {
            rows.remove(&key);
        }
    }
    rows
}
