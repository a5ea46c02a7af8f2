//! The harness for stateful operators: changes as text, operators run with random batches, flushes and restarts over several
//! tasks, and the oracle: what comes out, folded, is what DataFusion says of the rows that are left.
//! A new aggregate is covered by adding its SQL.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use datafusion::arrow::compute::{cast, concat_batches, filter_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::datasource::MemTable;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::SessionConfig;
use proptest::prelude::*;

use super::group_aggregate::GroupAggregate;
use super::{Operator, project::Project};
use crate::changelog::{ChangeBatch, Changelog, RowKind};
use crate::clock::{Clock, ManualClock};
use crate::engine::aggregate::{self, GroupAggregateSpec};
use crate::engine::expression::{ExpressionScope, StoredExpression, output_schema};
use crate::engine::key_group::{key_groups, owner_of, range_of};
use crate::engine::state::{MemoryBudget, Spill, StateSize, TableDelta};
use crate::engine::testing::declare;
use crate::error::Result;

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());

/// Waits for what never waits in tests.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

/// A schema from `name type, …`.
pub fn schema(columns: &str) -> SchemaRef {
    declare("t", columns, 0).schema().unwrap()
}

/// Rows of a schema from cells, NULL for `None`.
pub fn rows(schema: &SchemaRef, cells: &[Vec<Option<String>>]) -> RecordBatch {
    let column = |index: usize| -> ArrayRef {
        let texts: StringArray = cells.iter().map(|row| row[index].as_deref()).collect();
        cast(&texts, schema.field(index).data_type()).unwrap()
    };
    RecordBatch::try_new(Arc::clone(schema), (0..schema.fields().len()).map(column).collect()).unwrap()
}

/// Changes from text: a line a row, its kind (`+`, `-`, `-U`, `+U`), then the cells, `NULL` for NULL. A `-` row may leave out cells
/// at its end.
pub fn changes(schema: &SchemaRef, text: &str) -> ChangeBatch {
    let (mut kinds, mut cells) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        kinds.push(match words.next().unwrap() {
            "+" => RowKind::Insert,
            "-" => RowKind::Delete,
            "-U" => RowKind::UpdateBefore,
            "+U" => RowKind::UpdateAfter,
            other => panic!("no kind of change: {other}"),
        });
        let mut row: Vec<Option<String>> =
            words.map(|word| Some(word.to_owned()).filter(|word| word != "NULL")).collect();
        row.resize(schema.fields().len(), None);
        cells.push(row);
    }
    let rows = rows(schema, &cells);
    if kinds.iter().all(|kind| *kind == RowKind::Insert) {
        return ChangeBatch::inserts(rows);
    }
    ChangeBatch::changes(rows, kinds.into())
}

/// A row's cells as text.
pub fn cells(batch: &RecordBatch, row: usize) -> Vec<String> {
    let cell = |column: &ArrayRef| match column.is_null(row) {
        true => "NULL".to_owned(),
        false => array_value_to_string(column, row).unwrap(),
    };
    batch.columns().iter().map(cell).collect()
}

/// Changes as text, as [`changes`] reads them.
pub fn text(batch: &ChangeBatch) -> String {
    let line = |row: usize| {
        let kind = match batch.kind(row) {
            RowKind::Insert => "+",
            RowKind::Delete => "-",
            RowKind::UpdateBefore => "-U",
            RowKind::UpdateAfter => "+U",
        };
        format!("{kind} {}", cells(batch.rows(), row).join(" "))
    };
    (0..batch.len()).map(line).collect::<Vec<_>>().join("\n")
}

/// Runs texts through an operator, each followed by a flush; a line `--` between what the flushes give. A text `!` takes a
/// snapshot, whose tables and rows are printed.
pub fn run(operator: &mut dyn Operator, input: &SchemaRef, texts: &[&str]) -> String {
    let mut out = Vec::new();
    for step in texts {
        if *step == "!" {
            out.extend(operator.snapshot().unwrap().iter().map(delta_text));
            continue;
        }
        let now = block_on(operator.process(0, changes(input, step))).unwrap().rows;
        let later = flushed(operator);
        out.push([text(&now), text(&later)].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n"));
    }
    out.join("\n--\n")
}

/// All that an operator holds back.
pub fn flushed(operator: &mut dyn Operator) -> ChangeBatch {
    let parts: Vec<ChangeBatch> = std::iter::from_fn(|| operator.flush().unwrap()).collect();
    ChangeBatch::concat(&operator.schema(), &parts).unwrap()
}

/// A table's changes as text, without the key group.
pub fn delta_text(delta: &TableDelta) -> String {
    let mut lines = vec![format!("{} (key {})", delta.table, delta.key_columns)];
    for row in 0..delta.rows.num_rows() {
        let cells = cells(&delta.rows, row);
        lines.push(format!("{} {}", if cells[1] == "true" { "-" } else { "+" }, cells[2..].join(" ")));
    }
    lines.join("\n")
}

/// A `SELECT keys, aggregates FROM t GROUP BY keys`, planned: a projection and a group aggregate behind it.
pub struct Planned {
    pub sql: String,
    pub input: SchemaRef,
    pub expressions: Vec<StoredExpression>,
    pub projected: SchemaRef,
    pub spec: GroupAggregateSpec,
    /// Where operators spill what is not touched, all of it; `None` keeps it in memory.
    pub spill: Option<tempfile::TempDir>,
    scope: ExpressionScope,
}

/// Spills all that is not touched.
pub fn spill(folder: &tempfile::TempDir) -> Spill {
    static FOLDERS: AtomicUsize = AtomicUsize::new(0);
    let name = FOLDERS.fetch_add(1, Ordering::Relaxed).to_string();
    Spill::new(folder.path().join(name), &MemoryBudget::new(1))
}

/// A session that runs queries in the order of their rows.
fn session() -> SessionContext {
    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    session.register_udaf(crate::functions::exact_sums::sum());
    session.register_udaf(crate::functions::exact_sums::avg());
    session
}

fn register(session: &SessionContext, schema: &SchemaRef, rows: RecordBatch) {
    session.register_table("t", Arc::new(MemTable::try_new(Arc::clone(schema), vec![vec![rows]]).unwrap())).unwrap();
}

/// Plans a statement over table `t` of these columns.
pub fn plan(columns: &str, sql: &str, input: Changelog, emits: Changelog) -> Result<Planned> {
    let schema = schema(columns);
    let session = session();
    register(&session, &schema, RecordBatch::new_empty(Arc::clone(&schema)));
    let state = session.state();
    let plan = block_on(state.create_logical_plan(sql))?;
    let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})?;
    let mut node = &plan;
    let aggregate = loop {
        match node {
            LogicalPlan::Aggregate(aggregate) => break aggregate,
            other => node = other.inputs()[0],
        }
    };
    let input_schema = aggregate.input.schema();
    let mut projection: Vec<Expr> = aggregate.group_expr.clone();
    let mut column = |expr: &Expr| {
        Ok(projection.iter().position(|other| other == expr).unwrap_or_else(|| {
            projection.push(expr.clone());
            projection.len() - 1
        }))
    };
    let aggregates = aggregate
        .aggr_expr
        .iter()
        .map(|expr| aggregate::of_expr(expr, input_schema, &mut column))
        .collect::<Result<Vec<_>>>()?;
    let expressions =
        projection.iter().map(|expr| StoredExpression::new(expr, input_schema)).collect::<Result<Vec<_>>>()?;
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let scope = ExpressionScope::new("UTC", &clock);
    let compiled = expressions.iter().map(|expr| expr.compile(&schema, &scope)).collect::<Result<Vec<_>>>()?;
    let projected = output_schema(&compiled, &schema)?;
    let spec = GroupAggregateSpec {
        keys: (0..aggregate.group_expr.len()).collect(),
        aggregates,
        input,
        emits,
        version: false,
        emit_unchanged: false,
        state_ttl_ms: None,
    };
    Ok(Planned { sql: sql.to_owned(), input: schema, expressions, projected, spec, spill: None, scope })
}

impl Planned {
    /// The group aggregate, which takes projected rows.
    pub fn operator(&self, clock: &ManualClock) -> GroupAggregate {
        // The stored form is what a job is built from.
        let stored = serde_json::from_str(&serde_json::to_string(&self.spec).unwrap()).unwrap();
        let mut operator = GroupAggregate::with_clock(&stored, &self.projected, Arc::new(clock.clone())).unwrap();
        if let Some(folder) = &self.spill {
            operator = operator.spilling_to(spill(folder));
        }
        operator
    }

    /// Input rows as the group aggregate takes them.
    pub fn project(&self, batch: ChangeBatch) -> ChangeBatch {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        let context = super::OperatorContext {
            bad_rows: crate::connectors::BadRows::fail(),
            scope: &self.scope,
            open_lookup: &|_| Err(crate::error::Error::internal("no lookups here")),
            consistent: Arc::new(|| false),
            clock,
            budget: Default::default(),
            spill_folder: std::env::temp_dir(),
        };
        let mut project = Project::new(&self.expressions, &self.input, &context).unwrap();
        block_on(project.process(0, batch)).unwrap().rows
    }

    /// What DataFusion says of rows, by key.
    pub fn oracle(&self, rows: RecordBatch) -> BTreeMap<Vec<String>, Vec<String>> {
        let session = session();
        register(&session, &self.input, rows);
        let batches = block_on(async { session.sql(&self.sql).await.unwrap().collect().await.unwrap() });
        let keys = self.spec.keys.len();
        let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| cells(batch, row)));
        rows.map(|mut row| {
            let values = row.split_off(keys);
            (row, values)
        })
        .collect()
    }

    /// The same for the statement's text: output of each text flushed, `--` between.
    pub fn run(&self, texts: &[&str]) -> String {
        let mut operator = self.operator(&ManualClock::default());
        let outputs = texts.iter().map(|step| {
            if *step == "!" {
                return operator.snapshot().unwrap().iter().map(delta_text).collect::<Vec<_>>().join("\n");
            }
            block_on(operator.process(0, self.project(changes(&self.input, step)))).unwrap();
            text(&flushed(&mut operator))
        });
        outputs.collect::<Vec<_>>().join("\n--\n")
    }
}

/// One step of a random run.
#[derive(Debug, Clone)]
pub enum Step {
    /// A row comes, cells as text.
    Insert(Vec<Option<String>>),
    /// A row that is there, picked by this number, is taken back.
    Retract(usize),
    /// The rows so far are a batch.
    EndBatch,
    /// And the operators are flushed.
    Flush,
    /// Checkpoint, and go on from it with so many tasks.
    Restart(usize),
}

/// Random steps over rows that `row` makes.
pub fn steps(row: impl Strategy<Value = Vec<Option<String>>>, retracting: bool) -> impl Strategy<Value = Vec<Step>> {
    let retractions = if retracting { 8 } else { 0 };
    let step = prop_oneof![
        14 => row.prop_map(Step::Insert),
        retractions => any::<usize>().prop_map(Step::Retract),
        3 => Just(Step::EndBatch),
        2 => Just(Step::Flush),
        1 => (1..4usize).prop_map(Step::Restart),
    ];
    prop::collection::vec(step, 1..80)
}

/// Cells of rows from their columns' choices; a choice `NULL` is NULL.
pub fn row_of(columns: &[&'static [&'static str]]) -> impl Strategy<Value = Vec<Option<String>>> + use<> {
    columns
        .iter()
        .map(|choices| {
            prop::sample::select(*choices).prop_map(|cell| Some(cell.to_owned()).filter(|cell| cell != "NULL"))
        })
        .collect::<Vec<_>>()
}

/// Operators of one step of a dataflow, a task each, and what they stored.
pub struct Tasks<'a> {
    build: &'a dyn Fn() -> Box<dyn Operator>,
    /// Columns of the input by which rows are dealt out.
    keys: Vec<usize>,
    operators: Vec<Box<dyn Operator>>,
    stored: Vec<TableDelta>,
    pub output: Vec<ChangeBatch>,
}

impl<'a> Tasks<'a> {
    pub fn new(build: &'a dyn Fn() -> Box<dyn Operator>, keys: Vec<usize>) -> Self {
        Self { build, keys, operators: vec![build()], stored: Vec::new(), output: Vec::new() }
    }

    pub fn process(&mut self, batch: &ChangeBatch) {
        let keys: Vec<ArrayRef> = self.keys.iter().map(|key| Arc::clone(batch.rows().column(*key))).collect();
        let groups = key_groups(&keys, batch.len()).unwrap();
        let tasks = self.operators.len();
        for (task, operator) in self.operators.iter_mut().enumerate() {
            let rows: UInt32Array =
                (0..batch.len() as u32).filter(|row| owner_of(groups[*row as usize], tasks) == task).collect();
            self.output.push(block_on(operator.process(0, batch.take(&rows).unwrap())).unwrap().rows);
        }
    }

    pub fn flush(&mut self) {
        for operator in &mut self.operators {
            self.output.push(flushed(operator.as_mut()));
        }
    }

    /// Stores what changed and builds the operators anew, from what was ever stored.
    pub fn restart(&mut self, tasks: usize) {
        self.barrier();
        self.operators = (0..tasks).map(|_| (self.build)()).collect();
        for (task, operator) in self.operators.iter_mut().enumerate() {
            let range = range_of(task, tasks);
            for delta in &self.stored {
                let group = |row: usize| cells(&delta.rows, row)[0].parse::<usize>().unwrap();
                let owned = (0..delta.rows.num_rows()).map(|row| Some(range.contains(&group(row)))).collect();
                operator.restore(&delta.table, &filter_record_batch(&delta.rows, &owned).unwrap()).unwrap();
            }
        }
    }

    /// What all of them keep.
    pub fn state_size(&self) -> StateSize {
        self.operators.iter().map(|operator| operator.state_size()).fold(StateSize::default(), |sum, size| StateSize {
            keys: sum.keys + size.keys,
            memory_bytes: sum.memory_bytes + size.memory_bytes,
            spilled_bytes: sum.spilled_bytes + size.spilled_bytes,
        })
    }

    /// Gives everything out and stores what changed; gives the lines of that, sorted.
    pub fn barrier(&mut self) -> Vec<String> {
        let before = self.stored.len();
        self.flush();
        for operator in &mut self.operators {
            let deltas = operator.snapshot().unwrap();
            for delta in &deltas {
                assert_unique_keys(delta);
            }
            self.stored.extend(deltas);
        }
        let mut lines: Vec<String> = Vec::new();
        for delta in &self.stored[before..] {
            lines.extend(delta_text(delta).lines().skip(1).map(|line| format!("{} {line}", delta.table)));
        }
        lines.sort();
        lines
    }
}

fn assert_unique_keys(delta: &TableDelta) {
    let mut seen = HashMap::new();
    for row in 0..delta.rows.num_rows() {
        let key = cells(&delta.rows, row)[2..2 + delta.key_columns].to_vec();
        assert_eq!(seen.insert(key.clone(), ()), None, "key {key:?} twice in a delta of {}", delta.table);
    }
}

/// Change batches folded: the rows that are left, by key. Panics where a change does not fit what came before.
pub fn fold(batches: &[ChangeBatch], changelog: Changelog, keys: usize) -> BTreeMap<Vec<String>, Vec<String>> {
    let mut left: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for batch in batches {
        for row in 0..batch.len() {
            let mut key = cells(batch.rows(), row);
            let values = key.split_off(keys);
            let old = match batch.kind(row) {
                RowKind::Insert | RowKind::UpdateAfter => left.insert(key.clone(), values.clone()),
                RowKind::Delete | RowKind::UpdateBefore => left.remove(&key),
            };
            if changelog == Changelog::Retract {
                match batch.kind(row) {
                    RowKind::Insert | RowKind::UpdateAfter => assert_eq!(old, None, "{key:?} is there already"),
                    _ => assert_eq!(old, Some(values), "{key:?} was something else"),
                }
            }
        }
    }
    left
}

/// Equal cell by cell; numbers with a fraction or exponent within a relative 1e-9.
pub fn assert_same(
    found: &BTreeMap<Vec<String>, Vec<String>>,
    expected: &BTreeMap<Vec<String>, Vec<String>>,
) -> Result<(), TestCaseError> {
    let near = |a: &str, b: &str| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(x), Ok(y)) => (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-9 * x.abs().max(y.abs()).max(1e-6),
        _ => false,
    };
    let keys = |rows: &BTreeMap<Vec<String>, Vec<String>>| rows.keys().cloned().collect::<Vec<_>>();
    prop_assert_eq!(keys(found), keys(expected));
    for (key, expected) in expected {
        for (column, (found, expected)) in found[key].iter().zip(expected).enumerate() {
            let inexact = found.contains(['.', 'e']) || expected.contains(['.', 'e']);
            prop_assert!(
                found == expected || (inexact && near(found, expected)),
                "key {:?}, value {}: {} instead of {}",
                key,
                column,
                found,
                expected
            );
        }
    }
    Ok(())
}

/// Runs steps and compares with the oracle.
pub fn check(planned: &Planned, steps: &[Step]) -> Result<(), TestCaseError> {
    let build = || -> Box<dyn Operator> { Box::new(planned.operator(&ManualClock::default())) };
    let mut tasks = Tasks::new(&build, planned.spec.keys.clone());
    let mut live: Vec<Vec<Option<String>>> = Vec::new();
    let (mut kinds, mut batch) = (Vec::new(), Vec::new());
    let last = [Step::Flush];
    for step in steps.iter().chain(&last) {
        match step {
            Step::Insert(row) => {
                live.push(row.clone());
                kinds.push(RowKind::Insert);
                batch.push(row.clone());
                continue;
            }
            Step::Retract(_) if live.is_empty() => continue,
            Step::Retract(number) => {
                let row = live[number % live.len()].clone();
                let oldest = live.iter().position(|other| *other == row).unwrap();
                live.remove(oldest);
                kinds.push(RowKind::Delete);
                batch.push(row);
                continue;
            }
            _ => {}
        }
        if !batch.is_empty() {
            let rows = rows(&planned.input, &batch);
            let changes = match planned.spec.input {
                Changelog::Append => ChangeBatch::inserts(rows),
                _ => ChangeBatch::changes(rows, std::mem::take(&mut kinds).into()),
            };
            (kinds, batch) = (Vec::new(), Vec::new());
            tasks.process(&planned.project(changes));
        }
        match step {
            Step::Flush => tasks.flush(),
            Step::Restart(number) => tasks.restart(*number),
            _ => {}
        }
    }
    let found = fold(&tasks.output, planned.spec.emits, planned.spec.keys.len());
    let live = concat_batches(&planned.input, [&rows(&planned.input, &live)]).unwrap();
    let mut expected = planned.oracle(live);
    if planned.spec.keys.is_empty() && tasks.output.iter().all(ChangeBatch::is_empty) {
        // Before the first row a job gives out nothing.
        expected.clear();
    }
    assert_same(&found, &expected)
}
