//! Monotonic writes against the embedded store: late writes, deletes, restarts, jobs created anew, lost answers.

use datafusion::arrow::datatypes::{DataType, Field, Schema};

use super::*;

fn monotonic(options: &[(&str, &str)]) -> TableDeclaration {
    let mut all = vec![("sink.write-mode", "monotonic")];
    all.extend(options);
    orders(&all)
}

/// Kind, order, status and count of rows of user 1.
type Row = (RowKind, i32, &'static str, i64);

fn batch(declaration: &TableDeclaration, changes: &[Row]) -> ChangeBatch {
    let data: Vec<_> = changes.iter().map(|(_, order, status, _)| (Some(1), *order, 0.0, *status)).collect();
    let plain = rows(declaration, &data);
    let mut fields: Vec<_> = plain.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("version", DataType::Int64, false)));
    let mut columns = plain.columns().to_vec();
    columns.push(Arc::new(changes.iter().map(|row| Some(row.3)).collect::<Int64Array>()));
    let versioned = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    ChangeBatch::changes(versioned, changes.iter().map(|row| row.0).collect())
}

/// A job's writer, begun at an epoch.
struct Job {
    declaration: TableDeclaration,
    writer: Box<dyn SinkWriter>,
    metrics: Arc<ConnectorMetrics>,
}

impl Job {
    async fn start(store: &Store, declaration: &TableDeclaration, job_id: &str, epoch: u64) -> Self {
        let (mut context, metrics) = context();
        (context.job_id, context.epoch) = (job_id.to_owned(), epoch);
        let sink = store.open(declaration).sink.unwrap();
        assert!(sink.wants_version());
        Self { declaration: declaration.clone(), writer: sink.open(context).await.unwrap(), metrics }
    }

    /// Writes each row by itself, so that none replaces another before it is sent.
    async fn write(&mut self, changes: &[Row]) {
        for row in changes {
            self.writer.write(batch(&self.declaration, &[*row])).await.unwrap();
            self.writer.flush().await.unwrap();
        }
    }
}

/// Order and status of user 1, as a query sees them and a lookup does.
async fn seen(store: &Store, declaration: &TableDeclaration) -> String {
    let table = store.open(declaration);
    let text = |batches: &[RecordBatch], key: usize, status: usize| {
        let mut lines = Vec::new();
        for batch in batches {
            let orders = batch.column(key).as_primitive::<datafusion::arrow::datatypes::Int32Type>();
            let states = batch.column(status).as_string::<i32>();
            lines.extend((0..batch.num_rows()).map(|row| format!("{} {}", orders.value(row), states.value(row))));
        }
        lines.sort();
        lines.join(", ")
    };
    let mut found = Vec::new();
    for filters in [vec![], vec![col("user_id").eq(lit(1))]] {
        found.push(text(&read(&table, &[1, 3], filters, None).await.unwrap().1, 0, 1));
    }
    found.push(text(&[lookup(&table, declaration, &[0], &[vec![1]], &[1, 3]).await.0.rows], 0, 1));
    found.dedup();
    assert_eq!(found.len(), 1, "all ways of reading agree");
    found.remove(0)
}

/// The stored item of an order, as it is.
async fn stored(store: &Store, order: i32) -> value::item::Item {
    use aws_sdk_dynamodb::types::AttributeValue::N;
    let remote = store.connector().remote_table(
        &mut OptionReader::new(&orders(&[]).options, &|_| Err(Error::internal("no secrets"))).unwrap(),
        &orders(&[]),
    );
    let client = remote.unwrap().client().await;
    let get = client.get_item().table_name("orders").key("user_id", N("1".into()));
    get.key("order_id", N(order.to_string())).send().await.unwrap().item.unwrap_or_default()
}

fn version(item: &value::item::Item) -> i64 {
    item["_v"].as_n().unwrap().parse().unwrap()
}

use RowKind::{Delete as D, Insert as I, UpdateAfter as UA, UpdateBefore as UB};

#[tokio::test]
async fn a_late_write_changes_nothing_and_a_delete_stays() {
    let store = Store::start().await;
    let declaration = monotonic(&[]);
    store.create(&declaration).await.unwrap();
    let mut zombie = Job::start(&store, &declaration, "j", 1).await;
    zombie.write(&[(I, 1, "a", 1), (I, 2, "x", 1)]).await;
    let mut job = Job::start(&store, &declaration, "j", 1).await;
    job.write(&[(UA, 1, "c", 5), (D, 2, "x", 2), (I, 3, "y", 1)]).await;
    assert_eq!(seen(&store, &declaration).await, "1 c, 3 y");
    zombie.write(&[(UA, 1, "b", 4), (UA, 2, "late", 2)]).await;
    assert_eq!(seen(&store, &declaration).await, "1 c, 3 y");
    let tombstone = stored(&store, 2).await;
    assert_eq!((version(&tombstone), tombstone["_deleted"].as_bool()), (2, Ok(&true)));
    assert!(!tombstone.contains_key("status"));
    // A key may come again; an update in place is one write.
    job.write(&[(I, 2, "again", 3)]).await;
    job.writer.write(batch(&declaration, &[(UB, 1, "c", 5), (UA, 1, "d", 6)])).await.unwrap();
    job.writer.flush().await.unwrap();
    assert_eq!(seen(&store, &declaration).await, "1 d, 2 again, 3 y");
    assert!(!stored(&store, 2).await.contains_key("_deleted"));
}

#[tokio::test]
async fn a_replay_never_wins_and_new_rows_do() {
    let store = Store::start().await;
    let declaration = monotonic(&[]);
    store.create(&declaration).await.unwrap();
    let mut first = Job::start(&store, &declaration, "j", 1).await;
    first.write(&[(I, 1, "a", 1), (I, 2, "x", 7)]).await;
    first.writer.barrier(1).await.unwrap();
    first.write(&[(UA, 1, "b", 2), (UA, 1, "c", 3)]).await;
    drop(first);
    // Restored from the checkpoint of epoch 1.
    let mut second = Job::start(&store, &declaration, "j", 2).await;
    second.write(&[(UA, 1, "b", 2)]).await;
    assert_eq!(seen(&store, &declaration).await, "1 c, 2 x");
    second.write(&[(UA, 1, "c", 3), (UA, 1, "d", 4)]).await;
    // Some time later the state of order 2 has expired: its count begins anew, and is not old for that.
    second.write(&[(I, 2, "repeated", 1)]).await;
    store.clock.set(NOW_MS + 600_000);
    second.write(&[(I, 2, "y", 1)]).await;
    assert_eq!(seen(&store, &declaration).await, "1 d, 2 y");
    assert_eq!((version(&stored(&store, 1).await), version(&stored(&store, 2).await)), (4, 8));
    let before = second.metrics.requests.load(Ordering::Relaxed);
    second.write(&[(UA, 2, "z", 2)]).await;
    assert_eq!(second.metrics.requests.load(Ordering::Relaxed), before + 1, "the base is remembered");
}

#[tokio::test]
async fn a_job_created_anew_goes_on_from_the_stored_versions() {
    let store = Store::start().await;
    let declaration = monotonic(&[("sink.version-attribute", "_v")]);
    store.create(&declaration).await.unwrap();
    // An item that was written without versions is simply replaced.
    insert(&store.open(&orders(&[])), rows(&declaration, &[(Some(1), 2, 0.0, "plain")])).await;
    Job::start(&store, &declaration, "old", 1).await.write(&[(I, 1, "a", 1000), (I, 2, "b", 1)]).await;
    let mut job = Job::start(&store, &declaration, "new", 1).await;
    job.write(&[(I, 1, "b", 1), (UA, 1, "c", 2)]).await;
    assert_eq!(seen(&store, &declaration).await, "1 c, 2 b");
    assert_eq!(version(&stored(&store, 1).await), 1002);
    // Restarted before its first checkpoint, it repeats.
    let mut again = Job::start(&store, &declaration, "new", 1).await;
    again.write(&[(I, 1, "b", 1)]).await;
    assert_eq!(seen(&store, &declaration).await, "1 c, 2 b");
    again.write(&[(UA, 1, "c", 2), (UA, 1, "d", 3)]).await;
    assert_eq!(seen(&store, &declaration).await, "1 d, 2 b");
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_counts_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen_calls = calls.clone();
    let store =
        Store::with_faults(Arc::new(move |operation, _| match (operation, seen_calls.load(Ordering::SeqCst)) {
            ("PutItem", call) => {
                seen_calls.fetch_add(1, Ordering::SeqCst);
                match call % 4 {
                    0 => Fault::Lose,
                    1 => throttled(),
                    _ => Fault::Pass,
                }
            }
            _ => Fault::Pass,
        }))
        .await;
    let declaration = monotonic(&[]);
    store.create(&declaration).await.unwrap();
    let mut job = Job::start(&store, &declaration, "j", 1).await;
    for count in 1..=6 {
        job.write(&[(UA, 1, "s", count), (UA, 2, "t", count)]).await;
    }
    assert!(calls.load(Ordering::SeqCst) > 12);
    for order in [1, 2] {
        let item = stored(&store, order).await;
        let by = item["_v_by"].as_m().unwrap();
        assert_eq!((version(&item), by["base"].as_n().unwrap().as_str()), (6, "0"));
    }
}

#[tokio::test]
async fn a_tombstone_can_expire() {
    let store = Store::start().await;
    let declaration =
        monotonic(&[("sink.ttl.attribute", "gone_at"), ("sink.ttl", "1 d"), ("sink.tombstone.ttl", "1 h")]);
    store.create(&declaration).await.unwrap();
    let mut job = Job::start(&store, &declaration, "j", 1).await;
    job.write(&[(I, 1, "a", 1), (D, 1, "a", 2), (I, 2, "b", 1)]).await;
    let expires = |seconds: i64| (NOW_MS / 1000 + seconds).to_string();
    assert_eq!(stored(&store, 1).await["gone_at"].as_n(), Ok(&expires(3600)));
    assert_eq!(stored(&store, 2).await["gone_at"].as_n(), Ok(&expires(86_400)));
}

#[tokio::test]
async fn rows_without_a_version_are_refused_with_the_way_out() {
    let store = Store::start().await;
    let declaration = monotonic(&[]);
    store.create(&declaration).await.unwrap();
    let (mut writer, _) = writer(&store.open(&declaration)).await;
    let plain = ChangeBatch::inserts(rows(&declaration, &[(Some(1), 1, 0.0, "s")]));
    let error = writer.write(plain).await.unwrap_err();
    assert_eq!((error.sqlstate().code(), error.hint_text().unwrap().contains("upsert")), ("0A000", true), "{error}");
    for (columns, options) in [
        (("_deleted", "BOOLEAN"), vec![("sink.write-mode", "monotonic")]),
        (("n", "INT"), vec![("sink.write-mode", "monotonic"), ("sink.version-attribute", "n")]),
        (("n", "INT"), vec![("sink.version-attribute", "n")]),
        (("n", "INT"), vec![("sink.write-mode", "monotonic"), ("sink.tombstone.ttl", "1 h")]),
        (("n", "INT"), vec![("sink.write-mode", "newest")]),
    ] {
        let table = declare(&[("id", "INT"), columns], &["id"], &options);
        let mut reader = OptionReader::new(&table.options, &|_| Err(Error::internal("no secrets"))).unwrap();
        assert!(store.connector().open(&mut reader, &table).is_err(), "{options:?}");
    }
}

#[tokio::test]
async fn a_delete_by_a_key_of_one_part_removes_the_item() {
    let store = Store::start().await;
    let declaration = declare(&[("id", "STRING"), ("n", "INT")], &["id"], &[("table.create", "if-not-exists")]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    let batch = |rows: &[(&str, Option<i32>)]| {
        RecordBatch::try_new(
            declaration.schema().unwrap(),
            vec![
                Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>()) as ArrayRef,
                Arc::new(rows.iter().map(|row| row.1).collect::<Int32Array>()),
            ],
        )
        .unwrap()
    };
    insert(&table, batch(&[("a", Some(1)), ("b", Some(2)), ("c", Some(3))])).await;
    let (mut writer, _) = writer(&table).await;
    // Of an upsert source only the key is there; a `-U` alone removes too.
    let changes = ChangeBatch::changes(batch(&[("a", None), ("b", Some(2))]), [D, UB].into());
    writer.write(changes).await.unwrap();
    writer.flush().await.unwrap();
    let (_, batches) = read(&table, &[0], vec![], None).await.unwrap();
    assert_eq!(count(&batches), 1);
    assert_eq!(batches.iter().find(|batch| batch.num_rows() > 0).unwrap().column(0).as_string::<i32>().value(0), "c");
}
