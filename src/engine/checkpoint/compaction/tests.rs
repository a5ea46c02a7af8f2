use super::*;
use crate::engine::checkpoint::tests::{Change, model_of, rows_of, show};

/// Compacts chains of changes held in memory.
fn compaction(chain: &[&[Change]], is_base: bool, pass_bytes: u64) -> Vec<(String, Option<i64>)> {
    let mut parts = Vec::new();
    let mut files = Vec::new();
    for (index, changes) in chain.iter().enumerate() {
        let (file, bytes) = written(|file| file.table("op", "t", 1, &rows_of(changes)));
        let range = state_file::index_range(&file);
        let parts_of = state_file::decode_index(&file, &bytes[range.start as usize..]).unwrap();
        parts.extend(parts_of.into_iter().map(|part| (index.to_string(), part)));
        files.push(Bytes::from(bytes));
    }
    let read = |name: &str, range: Range<u64>| {
        Ok(files[name.parse::<usize>().unwrap()].slice(range.start as usize..range.end as usize))
    };
    let (file, bytes) = written(|file| compact_parts(&parts, is_base, pass_bytes, &read, file));
    let bytes = Bytes::from(bytes);
    let range = state_file::index_range(&file);
    let mut rows = Vec::new();
    for part in state_file::decode_index(&file, &bytes[range.start as usize..]).unwrap() {
        let range = part.range();
        rows.extend(show(
            &part.decode(bytes.slice(range.start as usize..range.end as usize), &(0..KEY_GROUPS)).unwrap(),
        ));
    }
    rows.sort();
    rows
}

fn written(write_tables: impl FnOnce(&mut StateFileWriter<'_>) -> Result<()>) -> (StateFile, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut write = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    let mut file = StateFileWriter::begin(&mut write, u64::MAX).unwrap();
    write_tables(&mut file).unwrap();
    let file = file.finish("name", 1).unwrap();
    (file, bytes)
}

fn change(key: &str, value: Option<i64>) -> Change {
    (key.to_owned(), value)
}

#[test]
fn the_newest_row_of_a_key_stays_and_a_deletion_only_where_something_is_before() {
    let chain: &[&[Change]] = &[
        &[change("a", Some(1)), change("b", Some(2)), change("c", Some(3))],
        &[change("a", Some(4)), change("b", None), change("d", None)],
        &[change("e", Some(5))],
    ];
    let kept = vec![change("a", Some(4)), change("c", Some(3)), change("e", Some(5))];
    assert_eq!(compaction(chain, true, u64::MAX), kept);
    let mut with_deletions = kept;
    with_deletions.extend([change("b", None), change("d", None)]);
    with_deletions.sort();
    assert_eq!(compaction(chain, false, u64::MAX), with_deletions);
}

#[test]
fn in_many_passes_the_same_comes_out() {
    let chain: Vec<Vec<Change>> = (0..4i64)
        .map(|round| {
            (0..300i64)
                .filter(|key| key % (round + 1) == 0)
                .map(|key| change(&format!("key {key}"), (key % 7 != round).then_some(key * 10 + round)))
                .collect()
        })
        .collect();
    let chain: Vec<&[Change]> = chain.iter().map(Vec::as_slice).collect();
    let expected: Vec<Change> = model_of(&chain.concat()).into_iter().map(|(key, value)| (key, Some(value))).collect();
    for pass_bytes in [u64::MAX, 2000, 1] {
        assert_eq!(compaction(&chain, true, pass_bytes), expected);
    }
}

#[test]
fn a_compaction_takes_the_place_of_the_files_that_it_stands_for_and_of_no_others() {
    let file =
        |name: &str| StateFile { name: name.to_owned(), epoch: 1, bytes: 1, rows: 1, index_bytes: 1, index_crc32c: 0 };
    let names = |files: Vec<StateFile>| files.into_iter().map(|file| file.name).collect::<Vec<_>>();
    let compaction = Compaction::Ready { replaced: vec!["b".to_owned(), "c".to_owned()], with: file("x") };
    let chain = |text: &str| text.split(' ').map(file).collect::<Vec<_>>();
    assert_eq!(names(compaction.replace_in(chain("a b c d"))), ["a", "x", "d"]);
    assert_eq!(names(compaction.replace_in(chain("a b d"))), ["a", "b", "d"]);
    assert_eq!(names(compaction.replace_in(Vec::new())), Vec::<String>::new());
    assert_eq!(names(Compaction::Idle.replace_in(chain("a b"))), ["a", "b"]);
}

#[test]
fn a_compaction_takes_a_part_of_the_memory_for_state() {
    let mb = |count: u64| count << 20;
    let of = [(1, mb(1) / 2), (mb(16), mb(1) / 2), (mb(64), mb(2)), (mb(1024), mb(32)), (u64::MAX, mb(32))];
    assert!(of.into_iter().all(|(memory, pass)| pass_bytes(memory) == pass));
}
