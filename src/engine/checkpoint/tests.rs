use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray, UInt8Array};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::arrow::record_batch::RecordBatch;
use object_store::memory::InMemory;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::compaction::Compaction;
use super::storage::Storage;
use super::*;
use crate::connectors::Position;
use crate::engine::key_group::{KEY_GROUPS, key_groups, range_of};
use crate::engine::state::TableDelta;
use crate::error::{ErrorKind, Result};

/// A key and its new value; `None` deletes it.
pub(super) type Change = (String, Option<i64>);

type Model = BTreeMap<String, i64>;

/// What changes come to.
pub(super) fn model_of(changes: &[Change]) -> Model {
    let mut model = Model::new();
    apply(&mut model, changes);
    model
}

fn apply(model: &mut Model, changes: &[Change]) {
    for (key, value) in changes {
        match value {
            Some(value) => model.insert(key.clone(), *value),
            None => model.remove(key),
        };
    }
}

/// Changes in the columns of a table's delta.
pub(super) fn rows_of(changes: &[Change]) -> RecordBatch {
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values(changes.iter().map(|(key, _)| key)));
    let groups = key_groups(&[Arc::clone(&keys)], changes.len()).unwrap();
    RecordBatch::try_from_iter_with_nullable([
        ("key_group", Arc::new(UInt8Array::from(groups)) as ArrayRef, false),
        ("deleted", Arc::new(changes.iter().map(|(_, value)| Some(value.is_none())).collect::<BooleanArray>()), false),
        ("key", keys, true),
        ("value", Arc::new(changes.iter().map(|(_, value)| *value).collect::<Int64Array>()), true),
    ])
    .unwrap()
}

/// Rows of a delta as changes.
pub(super) fn show(rows: &RecordBatch) -> Vec<Change> {
    let (deleted, keys) = (rows.column(1).as_boolean(), rows.column(2).as_string::<i32>());
    let values = rows.column(3).as_primitive::<Int64Type>();
    let value = |row: usize| (!values.is_null(row)).then(|| values.value(row));
    let change = |row: usize| {
        assert_eq!(deleted.value(row), value(row).is_none());
        (keys.value(row).to_owned(), value(row))
    };
    (0..rows.num_rows()).map(change).collect()
}

fn delta(operator: &str, table: &str, changes: &[Change]) -> OperatorDelta {
    let delta = TableDelta { table: table.to_owned(), key_columns: 1, rows: rows_of(changes) };
    OperatorDelta { operator: operator.to_owned(), delta }
}

fn changes(text: &str) -> Vec<Change> {
    let change = |word: &str| match word.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.parse().unwrap())),
        None => (word.strip_prefix('-').unwrap().to_owned(), None),
    };
    text.split_whitespace().map(change).collect()
}

fn model(text: &str) -> Model {
    model_of(&changes(text))
}

fn positions(epoch: u64) -> Positions {
    Positions::from([(
        "source-0".to_owned(),
        BTreeMap::from([("t/0".to_owned(), Position::Offset(epoch as i64 * 10))]),
    )])
}

async fn write(store: &CheckpointStore, epoch: u64, text: &str) -> Manifest {
    store.write(epoch, positions(epoch), vec![delta("op", "t", &changes(text))]).await.unwrap()
}

async fn read(store: &CheckpointStore, manifest: &Manifest, operator: &str, table: &str) -> Result<Model> {
    let mut model = Model::new();
    let mut take = |of: &str, rows: &RecordBatch| {
        if of == table {
            apply(&mut model, &show(rows));
        }
        Ok(())
    };
    store.read_state(manifest, operator, 0..KEY_GROUPS, &mut take).await?;
    Ok(model)
}

/// Waits for the compaction under way, if any.
async fn compacted(store: &CheckpointStore) {
    while matches!(store.inner.known.lock().compaction, Compaction::Running { .. }) {
        tokio::task::yield_now().await;
    }
}

fn in_memory() -> CheckpointStore {
    again_in(&(Arc::new(InMemory::new()) as Arc<dyn object_store::ObjectStore>))
}

/// Another store over the same objects, as after a restart.
fn again_in(objects: &Arc<dyn object_store::ObjectStore>) -> CheckpointStore {
    CheckpointStore::on(Storage::object(Arc::clone(objects), "jobs", "s3://bucket/jobs").inside("job"), "job")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("job")).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn state_is_that_of_the_checkpoint_before_and_what_changed_since() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(folder.path(), "job");
    assert!(store.load().await.unwrap().manifests.is_empty());
    write(&store, 1, "a=1 b=2").await;
    let second = store
        .write(
            2,
            positions(2),
            vec![
                delta("op", "t", &changes("-a c=3")),
                delta("op", "u", &changes("x=9")),
                delta("other", "t", &changes("y=8")),
            ],
        )
        .await
        .unwrap();
    // Nothing changed: the manifest alone.
    let third = store.write(3, positions(3), vec![delta("op", "t", &[])]).await.unwrap();
    assert_eq!((second.files.len(), third.files.clone()), (2, second.files.clone()));

    let store = CheckpointStore::new(folder.path(), "job");
    let stored = store.load().await.unwrap();
    assert_eq!((stored.manifests.len(), stored.damaged.len()), (3, 0));
    let first = stored.manifest(1).unwrap();
    assert_eq!(read(&store, first, "op", "t").await.unwrap(), model("a=1 b=2"));
    let third = stored.manifest(3).unwrap();
    assert_eq!(third.positions, positions(3));
    assert_eq!(read(&store, third, "op", "t").await.unwrap(), model("b=2 c=3"));
    assert_eq!(read(&store, third, "op", "u").await.unwrap(), model("x=9"));
    assert_eq!(read(&store, third, "other", "t").await.unwrap(), model("y=8"));
    assert_eq!(read(&store, third, "nobody", "t").await.unwrap(), Model::new());
}

#[tokio::test]
async fn each_task_reads_the_rows_of_its_key_groups() {
    let store = in_memory();
    let all: Vec<Change> = (0..1000).map(|key| (format!("key {key}"), Some(key))).collect();
    let manifest = store.write(1, positions(1), vec![delta("op", "t", &all)]).await.unwrap();
    let mut together = Model::new();
    for task in 0..3 {
        let groups = range_of(task, 3);
        let mut rows = 0;
        let mut take = |_: &str, batch: &RecordBatch| {
            let of_groups = batch.column(0).as_primitive::<datafusion::arrow::datatypes::UInt8Type>();
            assert!(of_groups.values().iter().all(|group| groups.contains(&usize::from(*group))));
            rows += batch.num_rows();
            apply(&mut together, &show(batch));
            Ok(())
        };
        store.read_state(&manifest, "op", groups.clone(), &mut take).await.unwrap();
        assert!(rows > 200, "task {task} has {rows} rows");
    }
    assert_eq!(together, model_of(&all));
}

#[tokio::test]
async fn old_checkpoints_go_with_the_files_that_only_they_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(folder.path(), "job").with_retained(2);
    for epoch in 1..=9 {
        let manifest = write(&store, epoch, &format!("a={epoch}")).await;
        store.settle(epoch).await.unwrap();
        compacted(&store).await;
        assert_eq!(read(&store, &manifest, "op", "t").await.unwrap(), model(&format!("a={epoch}")));
    }
    // The eight files of epoch 8 were compacted into one; epoch 9 names that and its own.
    let manifests = store.load().await.unwrap().manifests;
    assert_eq!(
        manifests.iter().map(|manifest| (manifest.epoch, manifest.files.len())).collect::<Vec<_>>(),
        [(8, 8), (9, 2)]
    );
    let tenth = write(&store, 10, "a=10").await;
    store.settle(10).await.unwrap();
    assert_eq!(tenth.files.len(), 3);
    assert_eq!(names(folder.path()).len(), 2 + 3, "{:?}", names(folder.path()));
    let stored = CheckpointStore::new(folder.path(), "job").load().await.unwrap();
    assert_eq!(stored.manifests.len(), 2);
}

#[tokio::test]
async fn what_was_prepared_and_not_decided_is_discarded_with_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(folder.path(), "job");
    write(&store, 1, "a=1").await;
    write(&store, 2, "a=2").await;
    std::fs::write(folder.path().join("job/00000000000000000003.checkpoint.new"), "torn").unwrap();
    std::fs::write(folder.path().join("job/00000000000000000003-00000000.state"), "torn").unwrap();
    let store = CheckpointStore::new(folder.path(), "job");
    store.discard_after(1).await.unwrap();
    let stored = store.load().await.unwrap();
    assert_eq!((stored.manifests.len(), names(folder.path()).len()), (1, 2));
    // The epoch is written anew, on what was decided.
    let second = write(&store, 2, "b=2").await;
    assert_eq!(read(&store, &second, "op", "t").await.unwrap(), model("a=1 b=2"));
    store.discard_after(0).await.unwrap();
    assert_eq!(names(folder.path()), Vec::<String>::new());
    store.remove().await.unwrap();
    assert!(!folder.path().join("job").exists());
}

#[tokio::test]
async fn an_epoch_is_prepared_again_after_its_transaction_failed() {
    for store in [CheckpointStore::new(tempfile::tempdir().unwrap().path(), "job"), in_memory()] {
        write(&store, 1, "a=1").await;
        write(&store, 2, "a=2").await;
        let again = write(&store, 2, "b=2").await;
        assert_eq!(read(&store, &again, "op", "t").await.unwrap(), model("a=1 b=2"));
        store.settle(2).await.unwrap();
        assert_eq!(store.load().await.unwrap().manifest(2), Some(&again));
    }
}

#[tokio::test]
async fn in_an_object_store_a_second_writer_of_the_same_epoch_is_told() {
    let objects: Arc<dyn object_store::ObjectStore> = Arc::new(InMemory::new());
    let (zombie, owner) = (again_in(&objects), again_in(&objects));
    write(&zombie, 1, "a=1").await;
    write(&owner, 2, "a=2").await;
    let error = zombie.write(2, positions(2), vec![delta("op", "t", &changes("z=1"))]).await.unwrap_err();
    assert_eq!(error.message(), "another process has written checkpoint 2 of this job");
    let store = again_in(&objects);
    let stored = store.load().await.unwrap();
    assert_eq!(read(&store, stored.manifest(2).unwrap(), "op", "t").await.unwrap(), model("a=2"));
}

#[tokio::test]
async fn a_savepoint_is_whole_by_itself_and_another_job_begins_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(&folder.path().join("jobs"), "0123-4567-89");
    write(&store, 4, "a=1 b=2").await;
    let fifth = write(&store, 5, "a=5").await;
    let target = folder.path().join("savepoints").display().to_string();
    let path = store.savepoint(&fifth, &target).await.unwrap();
    assert!(path.starts_with(&format!("file://{target}/savepoint-012345-")), "{path}");
    store.remove().await.unwrap();

    for begun in [CheckpointStore::new(&folder.path().join("jobs"), "new"), in_memory()] {
        let adopted = begun.adopt(&path).await.unwrap();
        assert_eq!((adopted.epoch, adopted.origin, &adopted.positions), (1, Origin::Adopted, &positions(5)));
        assert_eq!(read(&begun, &adopted, "op", "t").await.unwrap(), model("a=5 b=2"));
        let second = write(&begun, 2, "c=3").await;
        begun.settle(2).await.unwrap();
        assert_eq!(read(&begun, &second, "op", "t").await.unwrap(), model("a=5 b=2 c=3"));
        // A restart adopts nothing anew; the savepoint stays.
        assert_eq!(begun.adopt(&path).await.unwrap(), adopted);
    }
}

#[tokio::test]
async fn a_damaged_or_missing_savepoint_is_not_adopted() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(folder.path(), "job");
    let manifest = write(&store, 1, "a=1 b=2").await;
    let path = store.savepoint(&manifest, &folder.path().display().to_string()).await.unwrap();
    let state = PathBuf::from(path.strip_prefix("file://").unwrap()).join(&manifest.files[0].name);
    let mut bytes = std::fs::read(&state).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&state, bytes).unwrap();
    let begun = CheckpointStore::new(folder.path(), "new");
    assert_eq!(begun.adopt(&path).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(begun.load().await.unwrap().manifests.is_empty());
    let missing = begun.adopt("/nowhere/at/all").await.unwrap_err();
    assert_eq!(
        (missing.kind(), missing.message()),
        (ErrorKind::NotFound, "savepoint /nowhere/at/all: there is no savepoint here")
    );
    assert_eq!(store.adopt(&path).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_full_disk_costs_the_checkpoint_that_did_not_fit_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(folder.path(), "job");
    write(&store, 1, "a=1").await;
    // In place of a disk without space: the manifest's place is taken by a folder, so that it cannot be renamed there.
    let in_the_way = folder.path().join("job").join("00000000000000000002.checkpoint");
    std::fs::create_dir_all(in_the_way.join("x")).unwrap();
    let failed = store.write(2, positions(2), vec![delta("op", "t", &changes("a=2"))]).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    std::fs::remove_dir_all(&in_the_way).unwrap();
    assert_eq!(names(folder.path()).len(), 2, "nothing is left of the attempt");
    let second = write(&store, 2, "b=2").await;
    assert_eq!(read(&store, &second, "op", "t").await.unwrap(), model("a=1 b=2"));
}

#[tokio::test]
async fn a_checkpoint_that_does_not_read_back_drops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(folder.path(), "job").with_retained(1);
    write(&store, 1, "a=1").await;
    store.settle(1).await.unwrap();
    let second = write(&store, 2, "a=2").await;
    let state = folder.path().join("job").join(&second.files[1].name);
    let mut bytes = std::fs::read(&state).unwrap();
    bytes[30] ^= 4;
    std::fs::write(&state, bytes).unwrap();
    assert_eq!(store.settle(2).await.unwrap_err().kind(), ErrorKind::Corrupt);
    // What a restart finds: the lost one was decided, the one before it serves to rebuild it.
    let store = CheckpointStore::new(folder.path(), "job");
    let stored = store.load().await.unwrap();
    assert_eq!((stored.manifests[0].epoch, stored.damaged[0].epoch), (1, Some(2)));
    store.discard_after(1).await.unwrap();
    let rebuilt = store.write_rebuilt(2, positions(2), vec![delta("op", "t", &changes("a=2"))]).await.unwrap();
    assert_eq!(rebuilt.origin, Origin::Rebuilt);
    let stored = CheckpointStore::new(folder.path(), "job").load().await.unwrap();
    assert_eq!((stored.manifests.len(), stored.damaged.len()), (2, 0));
}

/// What a random run does at its next barrier.
#[derive(Debug, Clone)]
enum Step {
    /// Changes; then the epoch is decided or not.
    Write(Vec<Change>, bool),
    /// The process ends; what is not decided is discarded.
    Restart,
    /// The compaction under way ends before the next step.
    Compact,
}

fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn some_changes() -> impl Strategy<Value = Vec<Change>> {
    let change = (0..40u8, prop::option::weighted(0.7, any::<i64>()));
    prop::collection::btree_map(
        change.clone().prop_map(|(key, _)| format!("key {key}")),
        change.prop_map(|(_, value)| value),
        0..12,
    )
    .prop_map(|changes| changes.into_iter().collect())
}

fn some_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (some_changes(), prop::bool::weighted(0.85)).prop_map(|(changes, decided)| Step::Write(changes, decided)),
        2 => Just(Step::Compact),
        1 => Just(Step::Restart),
    ]
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn whatever_is_written_folded_and_restored_is_what_the_changes_come_to() {
    let run = |steps: Vec<Step>| {
        runtime().block_on(async {
            let objects: Arc<dyn object_store::ObjectStore> = Arc::new(InMemory::new());
            let mut store = again_in(&objects);
            let mut at = BTreeMap::from([(0, Model::new())]);
            let (mut decided, mut longest) = (0, 0);
            for step in steps {
                match step {
                    Step::Write(changes, is_decided) => {
                        let epoch = decided + 1;
                        let manifest =
                            store.write(epoch, positions(epoch), vec![delta("op", "t", &changes)]).await.unwrap();
                        let mut model = at[&decided].clone();
                        apply(&mut model, &changes);
                        assert_eq!(read(&store, &manifest, "op", "t").await.unwrap(), model);
                        longest = longest.max(manifest.files.len());
                        if is_decided {
                            at.insert(epoch, model);
                            decided = epoch;
                            store.settle(epoch).await.unwrap();
                        }
                    }
                    Step::Compact => compacted(&store).await,
                    Step::Restart => {
                        compacted(&store).await;
                        store = again_in(&objects);
                        store.load().await.unwrap();
                        store.discard_after(decided).await.unwrap();
                    }
                }
            }
            compacted(&store).await;
            let stored = again_in(&objects).load().await.unwrap();
            assert!(stored.damaged.is_empty(), "{:?}", stored.damaged);
            for manifest in stored.manifests.iter().filter(|manifest| manifest.epoch <= decided) {
                assert_eq!(read(&store, manifest, "op", "t").await.unwrap(), at[&manifest.epoch]);
            }
        });
        Ok(())
    };
    runner(64).run(&prop::collection::vec(some_step(), 1..60), run).unwrap();
}

#[derive(Debug, Clone)]
enum Damage {
    Flip(prop::sample::Index, prop::sample::Index, u8),
    Truncate(prop::sample::Index, prop::sample::Index),
    Empty(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    Remove(prop::sample::Index),
    Append(prop::sample::Index),
}

fn some_damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (index(), index(), 0..8u8).prop_map(|(file, byte, bit)| Damage::Flip(file, byte, bit)),
        2 => (index(), index()).prop_map(|(file, length)| Damage::Truncate(file, length)),
        1 => index().prop_map(Damage::Empty),
        2 => (index(), index()).prop_map(|(one, other)| Damage::Swap(one, other)),
        1 => index().prop_map(Damage::Remove),
        1 => index().prop_map(Damage::Append),
    ]
}

fn damage(folder: &Path, damage: &Damage) {
    let names = names(folder);
    let path = |index: &prop::sample::Index| folder.join("job").join(index.get(&names));
    match damage {
        Damage::Flip(file, byte, bit) => {
            let mut bytes = std::fs::read(path(file)).unwrap();
            if !bytes.is_empty() {
                let byte = byte.index(bytes.len());
                bytes[byte] ^= 1 << bit;
                std::fs::write(path(file), bytes).unwrap();
            }
        }
        Damage::Truncate(file, length) => {
            let bytes = std::fs::read(path(file)).unwrap();
            std::fs::write(path(file), &bytes[..length.index(bytes.len() + 1)]).unwrap();
        }
        Damage::Empty(file) => std::fs::write(path(file), []).unwrap(),
        Damage::Swap(one, other) => {
            let (one, other) = (path(one), path(other));
            let bytes = std::fs::read(&one).unwrap();
            std::fs::copy(&other, &one).unwrap();
            std::fs::write(&other, bytes).unwrap();
        }
        Damage::Remove(file) => std::fs::remove_file(path(file)).unwrap(),
        Damage::Append(file) => {
            let mut bytes = std::fs::read(path(file)).unwrap();
            bytes.extend_from_slice(b"more");
            std::fs::write(path(file), bytes).unwrap();
        }
    }
}

#[test]
fn damage_is_noticed_and_never_gives_other_rows_or_positions() {
    let pristine = tempfile::tempdir().unwrap();
    let mut at: BTreeMap<u64, Model> = BTreeMap::from([(0, Model::new())]);
    runtime().block_on(async {
        let store = CheckpointStore::new(pristine.path(), "job");
        for epoch in 1..=11 {
            let text = format!("a={epoch} k{}={epoch} -k{}", epoch, epoch / 2);
            let mut model = at[&(epoch - 1)].clone();
            apply(&mut model, &changes(&text));
            at.insert(epoch, model);
            write(&store, epoch, &text).await;
            store.settle(epoch).await.unwrap();
            compacted(&store).await;
        }
    });
    let run = |damages: Vec<Damage>| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("job")).unwrap();
        for name in names(pristine.path()) {
            std::fs::copy(pristine.path().join("job").join(&name), folder.path().join("job").join(&name)).unwrap();
        }
        damages.iter().for_each(|one| {
            if !names(folder.path()).is_empty() {
                damage(folder.path(), one)
            }
        });
        runtime().block_on(async {
            let store = CheckpointStore::new(folder.path(), "job");
            let stored = store.load().await.unwrap();
            for manifest in &stored.manifests {
                assert_eq!(manifest.positions, positions(manifest.epoch));
                assert_eq!(read(&store, manifest, "op", "t").await.unwrap(), at[&manifest.epoch]);
            }
            for manifest in stored.damaged.iter().filter_map(|damaged| damaged.manifest.as_ref()) {
                // Read all the same: an error, or the right rows (damage of another operator's part).
                if let Ok(model) = read(&store, manifest, "op", "t").await {
                    assert_eq!(model, at[&manifest.epoch]);
                }
            }
            // The job goes on from what is left.
            let lost: Vec<Lost<'_>> = stored
                .damaged
                .iter()
                .map(|damaged| Lost { epoch: damaged.epoch, manifest: damaged.manifest.as_ref() })
                .collect();
            let facts = Facts { stored: &stored.manifests, lost: &lost, ..Facts::default() };
            if let Resume::At(epoch) = resume_from(&facts) {
                store.discard_after(epoch).await.unwrap();
                let next = write(&store, epoch + 1, "z=1").await;
                store.settle(epoch + 1).await.unwrap();
                let mut model = at[&epoch].clone();
                apply(&mut model, &changes("z=1"));
                assert_eq!(read(&store, &next, "op", "t").await.unwrap(), model);
            }
        });
        Ok(())
    };
    runner(200).run(&prop::collection::vec(some_damage(), 1..4), run).unwrap();
}

#[test]
fn a_damaged_checkpoint_stays_until_it_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = CheckpointStore::new(folder.path(), "job");
        for epoch in 1..=3 {
            write(&store, epoch, &format!("k{epoch}=1")).await;
            store.settle(epoch).await.unwrap();
        }
    });
    let newest = names(folder.path()).into_iter().rfind(|name| name.ends_with(".state")).unwrap();
    let path = folder.path().join("job").join(newest);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    runtime().block_on(async {
        // However often the job is killed meanwhile, it is known that there was a third one, and where it was.
        for _ in 0..2 {
            let store = CheckpointStore::new(folder.path(), "job");
            let stored = store.load().await.unwrap();
            assert_eq!(stored.manifests.last().unwrap().epoch, 2);
            let lost = stored.damaged[0].manifest.as_ref().unwrap();
            assert_eq!((stored.damaged.len(), &lost.positions), (1, &positions(3)));
            store.discard_but_lost(2, 3).await.unwrap();
        }
        let store = CheckpointStore::new(folder.path(), "job");
        store.load().await.unwrap();
        let deltas = vec![delta("op", "t", &changes("k3=1"))];
        store.write_rebuilt(3, positions(3), deltas).await.unwrap();
        let stored = CheckpointStore::new(folder.path(), "job").load().await.unwrap();
        assert_eq!((stored.manifests.len(), stored.damaged.len()), (3, 0));
        let rebuilt = stored.manifests.last().unwrap();
        assert_eq!(read(&store, rebuilt, "op", "t").await.unwrap(), model_of(&changes("k1=1 k2=1 k3=1")));
    });
}
