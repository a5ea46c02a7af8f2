use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::LogicalPlan;
use tokio::sync::watch;

use super::checkpoint::CheckpointStore;
use super::checkpoint::ending::{Ended, Wanted, stopped_before_running};
use super::dataflow::{Dataflow, JobSettings, NodeKind, OperatorKind};
use super::expression::ExpressionScope;
use super::job::JobContext;
use super::lookup::{LookupEvaluator, LookupFunction, for_query};
use super::metrics::JobMetrics;
use super::planner::{PlannedInsert, plan_job};
use super::progress::{ReadBehind, ReadBehindRegistry};
use super::run;
use super::testing::{Memory, declare, plan, rows, session, text, written};
use crate::clock::{Clock, SystemClock};
use crate::connectors::{ConnectorMetrics, Position, SinkKind, TableDeclaration};
use crate::error::{Error, Result};

async fn plan_one(query: &LogicalPlan, sink: &Arc<Memory>, settings: JobSettings) -> Result<Dataflow> {
    plan_job(&[PlannedInsert { query, sink: sink.provider(), columns: None }], settings).await
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn settings(options: &[(&str, &str)]) -> JobSettings {
    JobSettings::new("UTC", options.iter().copied()).unwrap()
}

fn orders() -> Arc<Memory> {
    let declaration = declare("orders", "user_id INT, amount BIGINT, note STRING", 0);
    Memory::new(declaration, "1,10,a\n2,20,b\n1,30,c\n-,40,d\n3,50,e")
}

fn detail() -> Arc<Memory> {
    let declaration = declare("detail", "user_id INT, item STRING, amount BIGINT", 2);
    Memory::new(declaration, "1,a,10\n1,b,5\n2,a,7\n2,b,-\n4,a,1")
}

async fn body(context: &SessionContext, sql: &str) -> LogicalPlan {
    let state = context.state();
    let plan = state.create_logical_plan(sql).await.unwrap();
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).unwrap()
}

async fn function(context: &SessionContext, name: &str, sql: &str) -> Result<Option<LookupFunction>> {
    LookupFunction::from_body(name, &body(context, sql).await, "UTC")
}

const COUNT_AND_SUM: &str = "SELECT CONCAT(CAST(COUNT(*) AS VARCHAR), '_', CAST(COALESCE(SUM(amount), 0) AS VARCHAR)) \
                             FROM detail WHERE user_id = $1 AND item <> 'z'";

async fn context_with_function(tables: &[&Arc<Memory>]) -> SessionContext {
    let context = session(tables);
    let function = function(&context, "total", COUNT_AND_SUM).await.unwrap().unwrap();
    context.register_udf(function.into_udf(clock()).as_ref().clone());
    context
}

#[tokio::test]
async fn a_batch_asks_once_for_each_distinct_key_and_keys_without_rows_aggregate_nothing() {
    let detail = detail();
    let context = session(&[&detail]);
    let function = function(&context, "total", COUNT_AND_SUM).await.unwrap().unwrap();
    let scope = ExpressionScope::new("UTC", &clock());
    let lookup = detail.table().lookup.unwrap();
    let evaluator = LookupEvaluator::new(function.stored().clone(), lookup, &scope).unwrap();

    let keys: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(1), Some(9), Some(1 << 40)]));
    let result = evaluator.evaluate(&[keys], 6, true, &ConnectorMetrics::default()).await.unwrap();
    let result: Vec<_> = result.as_string::<i32>().iter().collect::<Vec<_>>();
    assert_eq!(result, [Some("2_15"), Some("2_7"), Some("0_0"), Some("2_15"), Some("0_0"), Some("0_0")]);
    assert_eq!(detail.keys_asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_key_may_be_text_and_text_that_is_no_number_is_an_error_that_shows_it() {
    let detail = detail();
    let context = session(&[&detail]);
    let function = function(&context, "total", COUNT_AND_SUM).await.unwrap().unwrap();
    let scope = ExpressionScope::new("UTC", &clock());
    let evaluator = LookupEvaluator::new(function.stored().clone(), detail.table().lookup.unwrap(), &scope).unwrap();
    let metrics = ConnectorMetrics::default();

    let keys: ArrayRef = Arc::new(StringArray::from(vec!["2"]));
    let result = evaluator.evaluate(&[keys], 1, true, &metrics).await.unwrap();
    assert_eq!(result.as_string::<i32>().value(0), "2_7");
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["two"]));
    let error = evaluator.evaluate(&[keys], 1, true, &metrics).await.unwrap_err();
    assert_eq!(error.sqlstate().code(), "22P02");
    assert!(error.message().contains("two"), "{error}");
}

#[tokio::test]
async fn a_query_calls_the_function_too() {
    let detail = detail();
    let context = context_with_function(&[&detail]).await;
    let plan = for_query(plan(&context, "SELECT total(1), total('2') AS b").await).unwrap();
    let batches = context.execute_logical_plan(plan).await.unwrap().collect().await.unwrap();
    assert_eq!(text(&batches), ["2_15,2_7"]);
}

#[tokio::test]
async fn bodies_that_are_no_lookup_are_refused_and_those_without_a_table_are_ordinary_functions() {
    let detail = detail();
    let context = session(&[&detail]);
    assert!(function(&context, "f", "SELECT $1 + 1").await.unwrap().is_none());
    for body in [
        "SELECT SUM(amount) FROM detail",
        "SELECT amount FROM detail WHERE user_id = $1",
        "SELECT SUM(amount) FROM detail WHERE user_id = $1 AND amount > $2",
        "SELECT SUM(amount) FROM detail WHERE user_id = $1 GROUP BY item",
    ] {
        let error = function(&context, "f", body).await.unwrap_err();
        assert_eq!(error.sqlstate().code(), "0A000", "{body}");
    }
}

async fn dataflow(context: &SessionContext, sql: &str, sink: &Arc<Memory>) -> Dataflow {
    let dataflow = plan_one(&plan(context, sql).await, sink, settings(&[])).await.unwrap();
    // What is stored is what runs.
    Dataflow::from_json(&dataflow.to_json().unwrap()).unwrap()
}

#[tokio::test]
async fn equal_calls_of_a_row_are_one_call() {
    let (orders, detail) = (orders(), detail());
    let sink = Memory::new(declare("out", "user_id INT, a STRING, b STRING", 1), "");
    let context = context_with_function(&[&orders, &detail, &sink]).await;
    let sql = "SELECT user_id, total(user_id), CONCAT(total(user_id), total(user_id), total(user_id + 1)) FROM orders";
    let dataflow = dataflow(&context, sql, &sink).await;
    let calls_of = |kind: &NodeKind| match kind {
        NodeKind::Operator(OperatorKind::Lookup(spec)) => spec.calls.len(),
        _ => 0,
    };
    let calls: usize = dataflow.nodes.iter().map(|node| calls_of(&node.kind)).sum();
    assert_eq!(calls, 2, "{:#?}", dataflow.explain());
}

#[tokio::test]
async fn the_nine_calls_of_the_feature_job_ask_twice_for_each_distinct_user_of_a_batch() {
    let declaration = declare("orders", "user_id INT, amount BIGINT, note STRING", 0);
    let orders = Memory::new(declaration, "1,10,a\n1,20,b");
    let detail = detail();
    let sink =
        Memory::new(declare("out", "user_id INT, a STRING, b STRING, c STRING, d STRING, e STRING, f STRING", 1), "");
    let context = session(&[&orders, &detail, &sink]);
    for name in ["latest_month_order_sum", "latest_year_order_sum"] {
        let body = "SELECT CONCAT_WS('_', COUNT(*), SUM(to_numeric(amount)), 0) FROM detail WHERE user_id = $1";
        let function = function(&context, name, body).await.unwrap().unwrap();
        context.register_udf(function.into_udf(clock()).as_ref().clone());
    }
    let sql = include_str!("../../tests/seed/4_feature_job.sql");
    let select = sql[sql.find("SELECT").unwrap()..].trim_end().trim_end_matches(';').replace("kafka_orders", "orders");
    let select = format!(
        "SELECT {} FROM ({select}) AS q",
        "user_id, total_orders_lastest_month, total_order_amount_latest_month, total_discount_amount_latest_month, \
         numeric_text(total_orders_latest_year), numeric_text(total_order_amount_latest_year), \
         numeric_text(total_discount_amount_latest_year)"
    );
    let run = prepare(dataflow(&context, &select, &sink).await, vec![orders, Arc::clone(&detail), Arc::clone(&sink)]);
    let (_keep, stop) = watch::channel(Wanted::Run);
    run::run(run.context, stop).await.unwrap();
    assert_eq!(text(&[written(&sink)]), ["1,2,15,0,4,30,0", "1,2,15,0,4,30,0"]);
    assert_eq!(detail.keys_asked.load(Ordering::Relaxed), 2, "one batch, one distinct user, two functions");
}

struct Run {
    context: JobContext,
    _folder: tempfile::TempDir,
}

fn prepare(dataflow: Dataflow, tables: Vec<Arc<Memory>>) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let by_name: BTreeMap<String, Arc<Memory>> =
        tables.into_iter().map(|table| (table.declaration.name.clone(), table)).collect();
    let registry = Arc::new(ReadBehindRegistry::default());
    let context = JobContext {
        job: "job".to_owned(),
        id: "id".to_owned(),
        spill_folder: folder.path().join("spill"),
        open_table: Arc::new(move |table: &TableDeclaration| {
            by_name.get(&table.name).map(Memory::table).ok_or_else(|| Error::not_found("no such table"))
        }),
        checkpoints: CheckpointStore::new(folder.path(), "id"),
        progress: registry.register("job", Vec::new()),
        read_behind: ReadBehind::new(registry, "job", Vec::new()),
        metrics: Arc::new(JobMetrics::new(dataflow.descriptions())),
        skips: Arc::default(),
        dataflow: Arc::new(dataflow),
        clock: clock(),
    };
    Run { context, _folder: folder }
}

#[tokio::test]
async fn a_job_gives_what_the_same_query_gives() {
    let (orders, detail) = (orders(), detail());
    let sink = Memory::new(declare("out", "user_id INT, total STRING, twice BIGINT", 1), "");
    let context = context_with_function(&[&orders, &detail, &sink]).await;
    let sql = "SELECT user_id, total(user_id), amount * 2 FROM orders WHERE amount < 50 AND total(user_id) <> '9_9'";
    let run = prepare(dataflow(&context, sql, &sink).await, vec![orders, detail, Arc::clone(&sink)]);
    let (_keep, stop) = watch::channel(Wanted::Run);
    assert_eq!(run::run(run.context.clone(), stop).await.unwrap(), Ended::Finished);
    assert_eq!(text(&[written(&sink)]), ["-,0_0,80", "1,2_15,20", "1,2_15,60", "2,2_7,40"]);

    let checkpoint = run.context.checkpoints.load().await.unwrap().manifests.pop().unwrap();
    assert_eq!(checkpoint.positions["source-0"]["orders/0"], Position::Offset(5));
}

#[tokio::test]
async fn a_looked_up_table_is_opened_by_the_task_that_asks_it_and_not_to_learn_its_columns() {
    let (orders, detail) = (orders(), detail());
    let sink = Memory::new(declare("out", "user_id INT, total STRING", 1), "");
    let context = context_with_function(&[&orders, &detail, &sink]).await;
    let sql = "SELECT user_id, total(user_id) FROM orders";
    let mut run = prepare(dataflow(&context, sql, &sink).await, vec![orders, detail, Arc::clone(&sink)]);
    let (opened, open_table) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&run.context.open_table));
    let count = Arc::clone(&opened);
    run.context.open_table = Arc::new(move |table: &TableDeclaration| {
        count.fetch_add(usize::from(table.name == "detail"), Ordering::Relaxed);
        open_table(table)
    });
    let (_keep, stop) = watch::channel(Wanted::Run);
    assert_eq!(run::run(run.context, stop).await.unwrap(), Ended::Finished);
    assert_eq!(opened.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn union_all_reads_every_branch() {
    let orders = orders();
    let sink = Memory::new(declare("out", "user_id INT, amount BIGINT", 0), "");
    let context = session(&[&orders, &sink]);
    let sql = "SELECT user_id, amount FROM orders WHERE amount > 40 UNION ALL SELECT user_id, -amount FROM orders WHERE user_id = 2";
    let dataflow = dataflow(&context, sql, &sink).await;
    assert_eq!(dataflow.sources().count(), 1, "the table is read once");
    let run = prepare(dataflow, vec![orders, Arc::clone(&sink)]);
    let (_keep, stop) = watch::channel(Wanted::Run);
    run::run(run.context, stop).await.unwrap();
    assert_eq!(text(&[written(&sink)]), ["2,-20", "3,50"]);
}

#[tokio::test]
async fn a_restart_goes_on_from_what_was_acknowledged() {
    let declaration = declare("orders", "user_id INT, amount BIGINT, note STRING", 0);
    let orders = Memory::with(declaration, "1,10,a\n2,20,b\n1,30,c\n3,50,e", false, true);
    let sink_declaration = declare("out", "user_id INT, amount BIGINT", 0);
    let deaf = Memory::with(sink_declaration.clone(), "", true, false);
    let sink = Memory::with(sink_declaration, "", true, true);
    let context = session(&[&orders, &sink]);
    let dataflow = dataflow(&context, "SELECT user_id, amount FROM orders", &sink).await;

    // Nothing is acknowledged: nothing may count as done.
    let mut run = prepare(dataflow, vec![Arc::clone(&orders), Arc::clone(&deaf)]);
    let (stopper, stop) = watch::channel(Wanted::Run);
    let first = tokio::spawn(run::run(run.context.clone(), stop));
    while deaf.written.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    stopper.send_replace(Wanted::Stop);
    assert_eq!(first.await.unwrap().unwrap(), Ended::Stopped(None));
    let checkpoint = run.context.checkpoints.load().await.unwrap().manifests.pop().unwrap();
    assert_eq!(checkpoint.positions["source-0"]["orders/0"], Position::Offset(0));

    let tables = [Arc::clone(&orders), Arc::clone(&sink)];
    run.context.open_table = Arc::new(move |table: &TableDeclaration| {
        tables
            .iter()
            .find(|known| known.declaration.name == table.name)
            .map(Memory::table)
            .ok_or_else(|| Error::not_found("no such table"))
    });
    for expected in [["1,10", "1,30", "2,20", "3,50"].to_vec(), Vec::new()] {
        run.context.metrics.splits.lock().clear();
        let (stopper, stop) = watch::channel(Wanted::Run);
        let running = tokio::spawn(run::run(run.context.clone(), stop));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while run.context.metrics.splits.lock().get("orders/0").is_none_or(|split| split.read.offset() < Some(4)) {
            assert!(tokio::time::Instant::now() < deadline, "the rows were not read");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stopper.send_replace(Wanted::Stop);
        assert_eq!(running.await.unwrap().unwrap(), Ended::Stopped(None));
        assert_eq!(text(&[written(&sink)]), expected);
        sink.written.lock().clear();
    }
}

#[tokio::test]
async fn a_job_that_cannot_begin_leaves_no_writer_behind() {
    let orders = orders();
    orders.is_away.store(true, Ordering::Relaxed);
    let sink = Memory::new(declare("out", "user_id INT, amount BIGINT", 0), "");
    let context = session(&[&orders, &sink]);
    let dataflow = dataflow(&context, "SELECT user_id, amount FROM orders", &sink).await;
    let run = prepare(dataflow, vec![orders, Arc::clone(&sink)]);
    let (_keep, stop) = watch::channel(Wanted::Run);
    let error = run::run(run.context, stop).await.unwrap_err();
    assert_eq!(error.message(), "the source is away");
    assert_eq!(sink.open_writers.load(Ordering::Relaxed), 0, "the next start would write beside it");
}

#[tokio::test]
async fn a_job_that_begins_to_run_is_stopped_with_a_savepoint_all_the_same() {
    let orders = orders();
    let sink = Memory::new(declare("out", "user_id INT, amount BIGINT", 0), "");
    let context = session(&[&orders, &sink]);
    let dataflow = dataflow(&context, "SELECT user_id, amount FROM orders", &sink).await;
    let run = prepare(dataflow, vec![orders, sink]);
    let folder = run._folder.path().to_string_lossy().into_owned();
    let (_keep, stop) = watch::channel(Wanted::StopWithSavepoint(folder.clone()));
    let ended = run::run(run.context, stop).await.unwrap();
    assert!(matches!(&ended, Ended::Stopped(Some(place)) if place.contains(&folder)), "{ended:?}");
}

#[tokio::test]
async fn a_job_that_waits_for_its_tables_has_no_savepoint_and_stops_at_once() {
    let (want, mut wanted) = watch::channel(Wanted::StopWithSavepoint("folder".to_owned()));
    let error = stopped_before_running(&mut wanted, Duration::ZERO).await.unwrap_err();
    assert!(error.is_retryable() && error.message().contains("there is no savepoint"), "{error}");
    want.send_replace(Wanted::Stop);
    assert_eq!(stopped_before_running(&mut wanted, Duration::MAX).await.unwrap(), Ended::Stopped(None));
}

#[tokio::test]
async fn what_several_splits_have_ready_is_evaluated_as_one_batch() {
    let declaration = declare("orders", "user_id INT, amount BIGINT, note STRING", 0);
    let orders = Arc::new(Memory::of_parts(3, declaration, "1,10,a\n2,20,b\n1,30,c\n3,50,e", true, true));
    let detail = detail();
    let sink = Memory::new(declare("out", "user_id INT, total STRING, amount BIGINT", 0), "");
    let context = context_with_function(&[&orders, &detail, &sink]).await;
    let dataflow = dataflow(&context, "SELECT user_id, total(user_id), amount FROM orders", &sink).await;
    let run = prepare(dataflow, vec![orders, Arc::clone(&detail), Arc::clone(&sink)]);
    let (_keep, stop) = watch::channel(Wanted::Run);
    assert_eq!(run::run(run.context.clone(), stop).await.unwrap(), Ended::Finished);
    let once = ["1,2_15,10", "1,2_15,30", "2,2_7,20", "3,0_0,50"];
    let mut expected: Vec<&str> = once.iter().flat_map(|row| [*row; 3]).collect();
    expected.sort_unstable();
    assert_eq!(text(&[written(&sink)]), expected);
    assert_eq!(sink.written.lock().len(), 1);
    assert_eq!(detail.key_requests.load(Ordering::Relaxed), 1);
    let checkpoint = run.context.checkpoints.load().await.unwrap().manifests.pop().unwrap();
    let positions = &checkpoint.positions["source-0"];
    assert_eq!(positions.values().cloned().collect::<Vec<_>>(), [4, 4, 4].map(Position::Offset));
}

#[tokio::test]
async fn results_go_on_early_where_they_become_state_and_much_of_the_budget_waits() {
    // More than are evaluated as one batch, and always ready.
    const KEYS: u64 = 5000;
    let text_rows: Vec<String> = (0..4 * KEYS).map(|row| format!("{},1,a", row % KEYS)).collect();
    let mut taken = Vec::new();
    for budget in ["1 gb", "64 kb"] {
        let orders = declare("orders", "user_id INT, amount BIGINT, note STRING", 0);
        let orders = Memory::new(orders, &text_rows.join("\n"));
        let sink = Memory::of_parts(1, declare("out", "n BIGINT, users BIGINT", 1), "", true, true);
        let sink = Arc::new(Memory { kind: SinkKind::Changelog, ..sink });
        let context = session(&[&orders, &sink]);
        let sql =
            "SELECT n, COUNT(*) FROM (SELECT user_id, COUNT(*) AS n FROM orders GROUP BY user_id) AS q GROUP BY n";
        let query = plan(&context, sql).await;
        let options = [("state.memory.budget", budget), ("execution.checkpointing.interval", "1 h")];
        let dataflow = plan_one(&query, &sink, settings(&options)).await.unwrap();
        assert!(dataflow.has_state_behind_state());
        let run = prepare(dataflow, vec![orders, Arc::clone(&sink)]);
        let (_keep, stop) = watch::channel(Wanted::Run);
        assert_eq!(run::run(run.context.clone(), stop).await.unwrap(), Ended::Finished);
        assert!(text(&[written(&sink)]).contains(&format!("4,{KEYS}")));
        let second = run.context.metrics.nodes.iter().rfind(|node| node.id.starts_with("aggregate")).unwrap();
        taken.push(second.rows_in.load(Ordering::Relaxed));
    }
    assert!(taken[0] >= KEYS && taken[1] > taken[0], "{taken:?}");
}

#[tokio::test]
async fn rows_that_cannot_be_evaluated_fail_the_job_or_are_left_out_one_by_one() {
    let declaration = declare("orders", "user_id INT, amount BIGINT, note STRING", 0);
    let text_rows = "1,10,5\n2,20,x\n3,30,7\n4,40,y";
    let orders = Memory::new(declaration, text_rows);
    let sink = Memory::new(declare("out", "user_id INT, amount BIGINT", 0), "");
    let context = session(&[&orders, &sink]);
    let sql = "SELECT user_id, CAST(note AS BIGINT) FROM orders";
    for (mode, expected) in [("off", None), ("log", Some(vec!["1,5", "3,7"]))] {
        let plan = plan(&context, sql).await;
        let dataflow = plan_one(&plan, &sink, settings(&[("error-handling.mode", mode)])).await.unwrap();
        let run = prepare(dataflow, vec![Arc::clone(&orders), Arc::clone(&sink)]);
        sink.written.lock().clear();
        let (_keep, stop) = watch::channel(Wanted::Run);
        let outcome = run::run(run.context.clone(), stop).await;
        match expected {
            None => assert!(outcome.unwrap_err().message().contains('x')),
            Some(expected) => {
                assert_eq!(outcome.unwrap(), Ended::Finished);
                assert_eq!(text(&[written(&sink)]), expected);
                assert_eq!(run.context.metrics.left_out.rows(), 2);
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_run_as_a_job_is_refused_with_the_operators_name() {
    let (orders, detail) = (orders(), detail());
    let sink = Memory::new(declare("out", "user_id INT, amount BIGINT", 0), "");
    let context = session(&[&orders, &detail, &sink]);
    for (sql, operator) in [
        ("SELECT user_id, SUM(amount) OVER (PARTITION BY user_id) FROM orders", "Window"),
        ("SELECT user_id, amount FROM orders ORDER BY 1", "Sort"),
        ("SELECT user_id, amount FROM orders LIMIT 3", "Limit"),
        ("SELECT o.user_id, d.amount FROM orders o JOIN detail d ON o.user_id = d.user_id", "Join"),
    ] {
        let error = plan_one(&plan(&context, sql).await, &sink, settings(&[])).await.unwrap_err();
        assert_eq!(error.sqlstate().code(), "0A000");
        assert!(error.message().contains(operator), "{sql}: {error}");
    }
}

#[test]
fn rows_of_the_test_tables_read_as_declared() {
    let declaration = declare("t", "a INT, b STRING", 0);
    let batch = rows(&declaration, "1,x\n-,y");
    assert!(batch.column(0).is_null(1));
}
