//! `GROUP BY user_id, month`: count and two decimal sums over 750,000 groups, in batches of 8192 rows.
//! Run by `cargo bench --bench group_aggregate`; throughput is in input rows.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use datafusion::arrow::array::{ArrayRef, Decimal128Array, Int32Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use streamgate::changelog::{ChangeBatch, Changelog};
use streamgate::clock::ManualClock;
use streamgate::engine::aggregate::{AggregateFunction, GroupAggregateSpec, StoredAggregate};
use streamgate::engine::operators::Operator;
use streamgate::engine::operators::group_aggregate::GroupAggregate;

const BATCH_ROWS: usize = 8192;
const USERS: i32 = 62_500;
const MONTHS: u32 = 12;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("user_id", DataType::Int32, true),
        Field::new("month", DataType::Utf8, true),
        Field::new("order_amount", DataType::Decimal128(10, 2), true),
        Field::new("coupon_discount_amount", DataType::Decimal128(10, 2), true),
    ]))
}

fn sum(column: usize) -> StoredAggregate {
    StoredAggregate {
        text: format!("sum(#{column})"),
        function: AggregateFunction::Sum,
        arguments: vec![column],
        distinct: false,
        filter: None,
        parameter: None,
        order_by: Vec::new(),
        ignore_nulls: false,
        data_type: DataType::Decimal128(20, 2),
    }
}

fn operator(emits: Changelog) -> GroupAggregate {
    let count = StoredAggregate {
        text: "count(*)".to_owned(),
        function: AggregateFunction::Count,
        arguments: Vec::new(),
        data_type: DataType::Int64,
        ..sum(0)
    };
    let spec = GroupAggregateSpec {
        keys: vec![0, 1],
        aggregates: vec![count, sum(2), sum(3)],
        input: Changelog::Append,
        emits,
        version: false,
        emit_unchanged: false,
        state_ttl_ms: None,
    };
    GroupAggregate::with_clock(&spec, &schema(), Arc::new(ManualClock::default())).expect("the spec fits the schema")
}

fn batch(random: &mut StdRng, key: impl Fn(&mut StdRng, usize) -> (i32, u32)) -> ChangeBatch {
    let keys: Vec<(i32, u32)> = (0..BATCH_ROWS).map(|row| key(random, row)).collect();
    let amounts = |random: &mut StdRng| -> ArrayRef {
        let values = Decimal128Array::from_iter_values((0..BATCH_ROWS).map(|_| random.random_range(1..100_000)));
        Arc::new(values.with_data_type(DataType::Decimal128(10, 2)))
    };
    let months = keys.iter().map(|(_, month)| format!("2026-{:02}", month + 1));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(keys.iter().map(|(user, _)| *user))),
        Arc::new(StringArray::from_iter_values(months)),
        amounts(random),
        amounts(random),
    ];
    ChangeBatch::inserts(RecordBatch::try_new(schema(), columns).expect("columns fit the schema"))
}

/// An operator that has all groups, checkpointed.
fn filled(emits: Changelog) -> GroupAggregate {
    let mut random = StdRng::seed_from_u64(4);
    let mut operator = operator(emits);
    let groups = USERS as usize * MONTHS as usize;
    for start in (0..groups).step_by(BATCH_ROWS) {
        let batch = batch(&mut random, |_, row| {
            let group = (start + row) % groups;
            ((group / MONTHS as usize) as i32, (group % MONTHS as usize) as u32)
        });
        process(&mut operator, batch);
    }
    flush(&mut operator);
    operator.snapshot().expect("state can be copied");
    operator
}

fn flush(operator: &mut GroupAggregate) {
    while let Some(part) = operator.flush().expect("sums fit") {
        black_box(part);
    }
}

fn process(operator: &mut GroupAggregate, batch: ChangeBatch) {
    futures::executor::block_on(operator.process(0, batch)).expect("rows can be folded");
}

fn group_aggregate(criterion: &mut Criterion) {
    let mut random = StdRng::seed_from_u64(5);
    let batches: Vec<ChangeBatch> = (0..12)
        .map(|_| batch(&mut random, |random, _| (random.random_range(0..USERS), random.random_range(0..MONTHS))))
        .collect();
    let rows = (batches.len() * BATCH_ROWS) as u64;
    for emits in [Changelog::Upsert, Changelog::Retract] {
        let mut operator = filled(emits);
        let mut group = criterion.benchmark_group(format!("group_aggregate_750k/{}", emits.name()));
        group.throughput(Throughput::Elements(rows));
        group.bench_function("flush_each_batch", |bencher| {
            bencher.iter(|| {
                for batch in &batches {
                    process(&mut operator, batch.clone());
                    flush(&mut operator);
                }
            });
        });
        group.bench_function("flush_each_100k_rows", |bencher| {
            bencher.iter(|| {
                for batch in &batches {
                    process(&mut operator, batch.clone());
                }
                flush(&mut operator);
            });
        });
        // Only the copy at the barrier is timed; the changes before it are not.
        group.bench_function("snapshot_of_100k_rows", |bencher| {
            let operator = std::cell::RefCell::new(&mut operator);
            bencher.iter_batched(
                || {
                    let mut operator = operator.borrow_mut();
                    for batch in &batches {
                        process(&mut operator, batch.clone());
                    }
                    flush(&mut operator);
                },
                |()| black_box(operator.borrow_mut().snapshot().expect("state can be copied")),
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = group_aggregate
}
criterion_main!(benches);
