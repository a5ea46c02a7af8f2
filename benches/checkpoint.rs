//! What a checkpoint costs: one million keys of 16 bytes with values of 100, of which 100 000 change from barrier to barrier.
//! `cargo bench --bench checkpoint`; with `-- --test` each once, as a check.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use datafusion::arrow::array::{ArrayRef, BinaryArray, BooleanArray, StringArray, UInt8Array};
use datafusion::arrow::record_batch::RecordBatch;
use streamgate::engine::checkpoint::{CheckpointStore, Manifest, OperatorDelta};
use streamgate::engine::key_group::{KEY_GROUPS, key_groups};
use streamgate::engine::state::TableDelta;
use streamgate::engine::state::cold::ColdTable;
use tokio::runtime::Runtime;

const KEYS: u64 = 1_000_000;
const DIRTY: u64 = 100_000;

fn key(number: u64) -> String {
    format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn delta(numbers: impl Iterator<Item = u64> + Clone) -> Vec<OperatorDelta> {
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values(numbers.clone().map(key)));
    let values: ArrayRef = Arc::new(BinaryArray::from_iter_values(numbers.map(|number| [number as u8; 100])));
    let groups = key_groups(&[Arc::clone(&keys)], keys.len()).expect("text has a key group");
    let rows = RecordBatch::try_from_iter([
        ("key_group", Arc::new(UInt8Array::from(groups)) as ArrayRef),
        ("deleted", Arc::new(BooleanArray::from(vec![false; keys.len()])) as ArrayRef),
        ("key", keys),
        ("value", values),
    ])
    .expect("columns of one length");
    let delta = TableDelta { table: "groups".to_owned(), key_columns: 1, rows };
    vec![OperatorDelta { operator: "aggregate-0".to_owned(), delta }]
}

async fn write(store: &CheckpointStore, epoch: u64, deltas: Vec<OperatorDelta>) -> Manifest {
    store.write(epoch, BTreeMap::new(), deltas).await.expect("the disk takes it")
}

fn checkpoint(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let store = CheckpointStore::new(folder.path(), "job");
    runtime.block_on(write(&store, 1, delta(0..KEYS)));
    let mut group = criterion.benchmark_group("checkpoint");
    group.sample_size(10).measurement_time(Duration::from_secs(10));

    let mut epoch = 1;
    group.bench_function("write 100k of 1M keys", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut taken = Duration::ZERO;
            for _ in 0..rounds {
                epoch += 1;
                let deltas = delta((0..DIRTY).map(|number| (number * 10 + epoch) % KEYS));
                let begun = Instant::now();
                runtime.block_on(write(&store, epoch, deltas));
                taken += begun.elapsed();
                runtime.block_on(store.settle(epoch)).expect("it reads back");
            }
            taken
        });
    });

    let store = CheckpointStore::new(folder.path(), "restored");
    let restored = runtime.block_on(write(&store, 1, delta(0..KEYS)));
    group.bench_function("read 1M rows", |bencher| {
        bencher.iter(|| {
            let mut rows = 0;
            let mut take = |_: &str, batch: &RecordBatch| {
                rows += black_box(batch).num_rows();
                Ok(())
            };
            let read = store.read_state(&restored, "aggregate-0", 0..KEY_GROUPS, &mut take);
            runtime.block_on(read).expect("it reads back");
            assert_eq!(rows as u64, KEYS);
        });
    });
    group.finish();
}

fn cold(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut table = ColdTable::open(&folder.path().join("cold")).expect("the disk takes it");
    let rows: Vec<(String, [u8; 100])> = (0..KEYS).map(|number| (key(number), [number as u8; 100])).collect();
    for rows in rows.chunks(DIRTY as usize) {
        table.put_many(rows.iter().map(|(key, value)| (key.as_bytes(), Some(&value[..])))).expect("the disk takes it");
    }
    let mut group = criterion.benchmark_group("cold");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    let some: Vec<&(String, [u8; 100])> = rows.iter().step_by((KEYS / DIRTY) as usize).collect();
    let keys: Vec<&[u8]> = some.iter().map(|(key, _)| key.as_bytes()).collect();
    group.bench_function("read and write 100k of 1M rows", |bencher| {
        bencher.iter(|| {
            let taken = table.get_many(&keys).expect("the disk gives it");
            assert!(taken.iter().all(Option::is_some));
            table
                .put_many(some.iter().map(|(key, value)| (key.as_bytes(), Some(&value[..]))))
                .expect("the disk takes it");
        });
    });
    let absent: Vec<String> = (KEYS..KEYS + DIRTY).map(key).collect();
    let absent: Vec<&[u8]> = absent.iter().map(String::as_bytes).collect();
    group.bench_function("ask for 100k absent keys", |bencher| {
        bencher.iter(|| assert!(table.get_many(&absent).expect("the disk gives it").iter().all(Option::is_none)));
    });
    group.finish();
}

criterion_group!(benches, checkpoint, cold);
criterion_main!(benches);
