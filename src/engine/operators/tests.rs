//! Every operator that keeps state, beside itself with too little memory: what comes out, and what checkpoints hold, is the same.

use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use expect_test::expect;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::changelog_normalize::ChangelogNormalize;
use super::sink_materializer::SinkMaterializer;
use super::testing::*;
use super::*;
use crate::changelog::{Changelog, RowKind};
use crate::clock::ManualClock;

const COLUMNS: &str = "v INT, k VARCHAR, s VARCHAR";

/// One step of a run.
#[derive(Debug, Clone)]
enum Act {
    /// A row comes or is taken back: which, key, value.
    Change(bool, u8, u8),
    EndBatch,
    Flush,
    Barrier,
    /// Checkpoint, and go on from it with so many tasks.
    Restart(usize),
    /// Time passes, in milliseconds.
    Wait(i64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        24 => (prop::bool::weighted(0.3), 0..30u8, 0..4u8).prop_map(|(back, key, value)| Act::Change(back, key, value)),
        5 => Just(Act::EndBatch),
        2 => Just(Act::Flush),
        4 => Just(Act::Barrier),
        1 => (1..4usize).prop_map(Act::Restart),
        2 => (0..80i64).prop_map(Act::Wait),
    ];
    prop::collection::vec(act, 1..200)
}

/// Makes an operator, with or without a spill.
type Build<'a> = &'a dyn Fn(&ManualClock, Option<Spill>) -> Box<dyn Operator>;

/// Runs acts through an operator that `build` makes, with and without a spill.
fn compare(
    input: &SchemaRef,
    appends: bool,
    build: Build<'_>,
    project: &dyn Fn(ChangeBatch) -> ChangeBatch,
    keys: &[usize],
    acts: &[Act],
) -> std::result::Result<u64, TestCaseError> {
    let (clock, folder) = (ManualClock::at(0), tempfile::tempdir().unwrap());
    let (plain, spilling) = (|| build(&clock, None), || build(&clock, Some(spill(&folder))));
    let mut plain = Tasks::new(&plain, keys.to_vec());
    let mut spilling = Tasks::new(&spilling, keys.to_vec());
    let (mut now_ms, mut most) = (0, 0);
    let (mut cells, mut kinds) = (Vec::new(), Vec::new());
    for act in acts.iter().chain([&Act::EndBatch, &Act::Barrier]) {
        if let Act::Change(back, key, value) = act {
            cells.push(vec![Some(value.to_string()), Some(format!("key {key}")), Some(format!("s{}", value % 2))]);
            kinds.push(if *back && !appends { RowKind::Delete } else { RowKind::Insert });
            continue;
        }
        if !cells.is_empty() {
            let rows = rows(input, &std::mem::take(&mut cells));
            let kinds = std::mem::take(&mut kinds);
            let batch = match appends {
                true => ChangeBatch::inserts(rows),
                false => ChangeBatch::changes(rows, kinds.into()),
            };
            let batch = project(batch);
            plain.process(&batch);
            spilling.process(&batch);
        }
        match act {
            Act::Flush => {
                plain.flush();
                spilling.flush();
            }
            Act::Barrier => prop_assert_eq!(spilling.barrier(), plain.barrier()),
            Act::Restart(tasks) => {
                plain.restart(*tasks);
                spilling.restart(*tasks);
            }
            Act::Wait(ms) => {
                now_ms += ms;
                clock.set(now_ms);
            }
            _ => {}
        }
        let outputs = |tasks: &Tasks<'_>| tasks.output.iter().map(text).collect::<Vec<_>>();
        prop_assert_eq!(outputs(&spilling), outputs(&plain));
        plain.output.clear();
        spilling.output.clear();
        let (size, expected) = (spilling.state_size(), plain.state_size());
        most = most.max(size.spilled_bytes);
        prop_assert_eq!(expected.spilled_bytes, 0);
    }
    Ok(most)
}

fn run_cases(cases: u32, mut compare: impl FnMut(Vec<Act>) -> std::result::Result<u64, TestCaseError>) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let spilled = std::cell::Cell::new(0);
    let compare = std::cell::RefCell::new(&mut compare);
    let run = |acts| {
        spilled.set(spilled.get() + u64::from((compare.borrow_mut())(acts)? > 0));
        Ok(())
    };
    runner.run(&acts(), run).unwrap();
    assert!(spilled.get() > u64::from(cases) / 2, "only {} of {cases} runs have spilled", spilled.get());
}

fn aggregates(sql: &str, input: Changelog, emits: Changelog, ttl_ms: Option<u64>, version: bool, cases: u32) {
    let mut planned = plan(COLUMNS, sql, input, emits).unwrap();
    planned.spec.state_ttl_ms = ttl_ms;
    planned.spec.version = version;
    let build = |clock: &ManualClock, spill: Option<Spill>| -> Box<dyn Operator> {
        let operator = planned.operator(clock);
        Box::new(match spill {
            Some(spill) => operator.spilling_to(spill),
            None => operator,
        })
    };
    let keys = planned.spec.keys.clone();
    let project = |batch| planned.project(batch);
    run_cases(cases, |acts| compare(&planned.input, input == Changelog::Append, &build, &project, &keys, &acts));
}

const RETRACTED: &str =
    "SELECT k, count(*), sum(v), min(v), max(s), count(DISTINCT s), array_agg(v), avg(v) FROM t GROUP BY k";

#[test]
fn an_aggregate_of_changes_does_not_depend_on_its_memory() {
    aggregates(RETRACTED, Changelog::Retract, Changelog::Retract, None, false, 30);
    aggregates(RETRACTED, Changelog::Retract, Changelog::Upsert, Some(100), true, 30);
}

#[test]
fn an_aggregate_of_rows_does_not_depend_on_its_memory() {
    let sql = "SELECT k, count(*), sum(v), min(v), max(s), count(DISTINCT v), avg(CAST(v AS DOUBLE)) FROM t GROUP BY k";
    aggregates(sql, Changelog::Append, Changelog::Retract, Some(100), false, 25);
    aggregates(sql, Changelog::Append, Changelog::Upsert, None, true, 25);
    aggregates("SELECT k FROM t GROUP BY k", Changelog::Append, Changelog::Append, None, false, 20);
}

#[test]
fn a_materialisation_does_not_depend_on_its_memory() {
    let input = schema(COLUMNS);
    for (changelog, version, ttl_ms) in [
        (Changelog::Retract, false, None),
        (Changelog::Retract, true, None),
        (Changelog::Retract, false, Some(100)),
        (Changelog::Retract, true, Some(100)),
        (Changelog::Append, true, None),
    ] {
        let build = |clock: &ManualClock, spill: Option<Spill>| -> Box<dyn Operator> {
            let clock: Arc<dyn Clock> = Arc::new(clock.clone());
            let operator = SinkMaterializer::with_clock(&[1], changelog, version, ttl_ms, &input, clock).unwrap();
            Box::new(match spill {
                Some(spill) => operator.spilling_to(spill),
                None => operator,
            })
        };
        let appends = changelog == Changelog::Append;
        run_cases(20, |acts| compare(&input, appends, &build, &|batch| batch, &[1], &acts));
    }
}

#[test]
fn a_normalisation_does_not_depend_on_its_memory() {
    let input = schema(COLUMNS);
    for ttl_ms in [None, Some(100)] {
        let build = |clock: &ManualClock, spill: Option<Spill>| -> Box<dyn Operator> {
            let operator = ChangelogNormalize::with_clock(&[1], ttl_ms, &input, Arc::new(clock.clone())).unwrap();
            Box::new(match spill {
                Some(spill) => operator.spilling_to(spill),
                None => operator,
            })
        };
        run_cases(25, |acts| compare(&input, false, &build, &|batch| batch, &[1], &acts));
    }
}

/// What a barrier stores of one row: a table a line, its columns with their types.
fn stored_form(operator: &mut dyn Operator, batch: ChangeBatch) -> String {
    block_on(operator.process(0, batch)).unwrap();
    flushed(operator);
    let mut tables: Vec<String> = operator.snapshot().unwrap().iter().map(table_text).collect();
    tables.sort();
    tables.join("\n")
}

fn table_text(delta: &TableDelta) -> String {
    let schema = delta.rows.schema();
    let column = |field: &Arc<Field>| format!("{} {}", field.name(), field.data_type());
    let columns: Vec<String> = schema.fields().iter().map(column).collect();
    format!("{} (key {}): {}", delta.table, delta.key_columns, columns.join(", "))
}

/// Checkpoints of other builds are read by these names and types: they may be added to, not changed.
#[test]
fn tables_of_state_keep_their_names_and_columns() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let mut planned = plan(COLUMNS, RETRACTED, Changelog::Retract, Changelog::Upsert).unwrap();
    (planned.spec.state_ttl_ms, planned.spec.version) = (Some(100), true);
    let batch = changes(&planned.input, "+ 1 a x");
    expect![[r#"
        entries-5 (key 2): key_group UInt8, deleted Boolean, key-0 Utf8, column-0 UInt64, column-1 Int32
        groups (key 1): key_group UInt8, deleted Boolean, key-0 Utf8, rows Int64, version Int64, touched_ms Int64, count-0-0 Int64, sum-1-0 Decimal128(38, 0), count-1-1 Int64, count-4-0 Int64, sum-6-0 Decimal128(38, 0), count-6-1 Int64
        values-2 (key 2): key_group UInt8, deleted Boolean, key-0 Utf8, column-0 Int32, column-1 Int64
        values-3 (key 2): key_group UInt8, deleted Boolean, key-0 Utf8, column-0 Utf8, column-1 Int64
        values-4 (key 2): key_group UInt8, deleted Boolean, key-0 Utf8, column-0 Utf8, column-1 Int64"#]]
        .assert_eq(&stored_form(&mut planned.operator(&ManualClock::default()), planned.project(batch.clone())));
    let input = schema(COLUMNS);
    let (key, ttl_ms) = ([1], Some(100));
    let mut operator =
        SinkMaterializer::with_clock(&key, Changelog::Retract, true, ttl_ms, &input, Arc::clone(&clock)).unwrap();
    expect![[r#"
        keys (key 1): key_group UInt8, deleted Boolean, column-1 Utf8, version Int64, touched_ms Int64
        rows (key 2): key_group UInt8, deleted Boolean, column-1 Utf8, arrival UInt64, column-0 Int32, column-2 Utf8"#]]
    .assert_eq(&stored_form(&mut operator, batch.clone()));
    let mut operator = ChangelogNormalize::with_clock(&key, ttl_ms, &input, clock).unwrap();
    expect![[r#"
        rows (key 1): key_group UInt8, deleted Boolean, column-1 Utf8, column-0 Int32, column-2 Utf8, touched_ms Int64"#]]
    .assert_eq(&stored_form(&mut operator, batch));
}

/// Gives an operator `keys` keys of about 100 bytes, in epochs of a fortieth, and says how much it held at most.
fn fill(mut operator: Box<dyn Operator>, input: &SchemaRef, keys: usize, budget: &MemoryBudget) -> u64 {
    let (mut most, epoch) = (0, keys / 40);
    for first in (0..keys).step_by(500) {
        let cells: Vec<Vec<Option<String>>> = (first..first + 500)
            .map(|key| vec![Some("1".to_owned()), Some(format!("key {key:060}")), Some("s".repeat(40))])
            .collect();
        block_on(operator.process(0, ChangeBatch::inserts(rows(input, &cells)))).unwrap();
        flushed(operator.as_mut());
        if (first + 500) % epoch == 0 {
            operator.snapshot().unwrap();
        }
        most = most.max(budget.used());
    }
    let size = operator.state_size();
    assert_eq!(size.keys, keys as u64);
    assert!(size.spilled_bytes > 6 * budget.limit(), "{size:?}");
    most
}

#[test]
fn state_of_many_times_the_budget_stays_within_it() {
    let input = schema(COLUMNS);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let folder = tempfile::tempdir().unwrap();
    let budget = || MemoryBudget::new(1 << 20);
    for name in ["materialisation", "normalisation"] {
        let budget = budget();
        let spill = Spill::new(folder.path().join(name), &budget);
        let operator: Box<dyn Operator> = match name {
            "materialisation" => Box::new(
                SinkMaterializer::with_clock(&[1], Changelog::Retract, false, None, &input, Arc::clone(&clock))
                    .unwrap()
                    .spilling_to(spill),
            ),
            _ => Box::new(
                ChangelogNormalize::with_clock(&[1], None, &input, Arc::clone(&clock)).unwrap().spilling_to(spill),
            ),
        };
        let most = fill(operator, &input, 60_000, &budget);
        // What the operator says of itself, filters, and room for the copies of the next snapshot included.
        assert!(most <= 3 * budget.limit() / 2, "{name}: {most} bytes");
    }
}
