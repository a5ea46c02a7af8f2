use std::sync::Arc;

use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::runtime_env::RuntimeEnv;

use super::QueryMemory;

#[test]
fn a_statement_draws_on_its_own_pool_and_on_the_servers() {
    let memory = QueryMemory::new(1000, None).unwrap();
    let base = RuntimeEnv::default();
    // Two sessions: one alone is bounded by its own part.
    let (session, another) = (memory.for_session(), memory.for_session());
    let (first, second) = (session.for_statement(600, &base), another.for_statement(600, &base));
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
    assert!(session.reserve("a message", 1).is_err());
    drop(one);
    let held = session.reserve("a message", 600).unwrap();
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
    let runtime = memory.for_session().for_statement(1000, &RuntimeEnv::default());
    let of = |name: &str| MemoryConsumer::new(name).register(&runtime.memory_pool);
    let (other, merge) = (of("ExternalSorter[0]"), of("ExternalSorterMerge[1]"));
    other.try_grow(1000).unwrap();
    other.try_grow(1).unwrap_err();
    merge.try_grow(250).unwrap();
    merge.try_grow(1).unwrap_err();
    drop((other, merge));
    assert_eq!((runtime.memory_pool.reserved(), memory.used()), (0, 0));
}

#[test]
fn the_statements_of_a_session_share_its_part_and_leave_the_rest_to_others() {
    let memory = QueryMemory::new(1000, None).unwrap().with_session_bytes(700);
    let base = RuntimeEnv::default();
    let (session, other) = (memory.for_session(), memory.for_session());
    let of = |runtime: &Arc<RuntimeEnv>| MemoryConsumer::new("test").register(&runtime.memory_pool);
    let (first, second) = (session.for_statement(600, &base), session.for_statement(600, &base));
    let (one, two) = (of(&first), of(&second));
    one.try_grow(600).unwrap();
    let error = two.try_grow(101).unwrap_err().to_string();
    assert!(error.contains("session_memory"), "{error}");
    assert_eq!(second.memory_pool.reserved(), 0);
    assert!(session.reserve("a message", 101).is_err());
    let held = other.reserve("a message", 400).unwrap();
    // Refused by the server: nothing of it stays with the session.
    assert!(two.try_grow(1).unwrap_err().to_string().contains("query_memory"));
    drop(held);
    two.try_grow(100).unwrap();
    drop((one, two));
    assert_eq!(memory.used(), 0);
}
