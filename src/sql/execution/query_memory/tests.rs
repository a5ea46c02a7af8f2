use std::sync::Arc;

use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::runtime_env::RuntimeEnv;

use super::QueryMemory;

#[test]
fn a_statement_draws_on_its_own_pool_and_on_the_servers() {
    let memory = QueryMemory::new(1000, None).unwrap();
    let base = RuntimeEnv::default();
    let (first, second) = (memory.for_statement(600, &base), memory.for_statement(600, &base));
    let of = |runtime: &Arc<RuntimeEnv>| MemoryConsumer::new("test").register(&runtime.memory_pool);
    let (one, other) = (of(&first), of(&second));
    let error = one.try_grow(601).unwrap_err().to_string();
    assert!(error.contains("query.memory.limit"), "{error}");
    one.try_grow(600).unwrap();
    let error = other.try_grow(401).unwrap_err().to_string();
    assert!(error.contains("query_memory"), "{error}");
    // What was refused by the server is not held back in the statement.
    assert_eq!((second.memory_pool.reserved(), memory.used()), (0, 600));
    other.try_grow(400).unwrap();
    assert!(memory.reserve("a message", 1).is_err());
    drop(one);
    let held = memory.reserve("a message", 600).unwrap();
    assert_eq!(memory.used(), 1000);
    drop((held, other));
    assert_eq!(memory.used(), 0);
}

#[test]
fn what_a_killed_process_left_on_disk_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("queries");
    std::fs::create_dir_all(folder.join("left")).unwrap();
    QueryMemory::new(1000, Some(&folder)).unwrap();
    assert!(!folder.join("left").exists() && folder.exists());
}

#[test]
fn a_sort_that_writes_files_is_not_ended_by_its_brothers() {
    let memory = QueryMemory::new(2000, None).unwrap();
    let runtime = memory.for_statement(1000, &RuntimeEnv::default());
    let of = |name: &str| MemoryConsumer::new(name).register(&runtime.memory_pool);
    let (other, merge) = (of("ExternalSorter[0]"), of("ExternalSorterMerge[1]"));
    other.try_grow(1000).unwrap();
    other.try_grow(1).unwrap_err();
    merge.try_grow(250).unwrap();
    merge.try_grow(1).unwrap_err();
    drop((other, merge));
    assert_eq!((runtime.memory_pool.reserved(), memory.used()), (0, 0));
}
