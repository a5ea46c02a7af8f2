use std::collections::BTreeMap;

use super::*;

fn put(table: &mut ColdTable, rows: &[(String, String)]) {
    table.put_many(rows.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes()))).unwrap();
}

fn take(table: &mut ColdTable, keys: &[&str]) -> Vec<Option<String>> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
    let taken = table.take_many(&keys).unwrap();
    taken.into_iter().map(|value| value.map(|value| String::from_utf8(value).unwrap())).collect()
}

fn rows(range: std::ops::Range<u32>, value: &str) -> Vec<(String, String)> {
    range.map(|key| (format!("key {key}"), format!("{value} {key}"))).collect()
}

#[test]
fn what_was_put_is_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = ColdTable::open(&folder.path().join("state/cold")).unwrap();
    put(&mut table, &rows(0..10, "old"));
    put(&mut table, &rows(3..5, "new"));
    assert_eq!(table.len(), 10);
    let expected = [Some("new 3".to_owned()), None, Some("old 9".to_owned())];
    assert_eq!(take(&mut table, &["key 3", "nothing", "key 9"]), expected);
    assert_eq!(take(&mut table, &["key 3", "key 9"]), [None, None]);
    assert_eq!(table.len(), 8);
    let mut shown = BTreeMap::new();
    table
        .for_each(|key, value| {
            shown.insert(key.to_vec(), value.to_vec());
            Ok(())
        })
        .unwrap();
    assert_eq!(shown.len(), 8);
    assert_eq!(shown[&b"key 4"[..]], b"new 4");
    table.clear().unwrap();
    assert!(table.is_empty());
    assert_eq!(take(&mut table, &["key 4"]), [None]);
}

#[test]
fn nothing_outlives_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cold");
    std::fs::write(&path, "of a process that was killed").unwrap();
    let mut table = ColdTable::open(&path).unwrap();
    assert_eq!(table.len(), 0);
    put(&mut table, &rows(0..10, "a"));
    assert!(table.bytes() > 0);
    drop(table);
    assert!(!path.exists());
}

#[test]
fn the_filter_lets_few_absent_keys_through_and_every_present_one() {
    let mut filter = Filter::for_keys(20_000);
    (0..20_000u64).for_each(|key| filter.insert(hash_of(&key.to_le_bytes())));
    assert!((0..20_000u64).all(|key| filter.may_contain(hash_of(&key.to_le_bytes()))));
    let passed = (20_000..40_000u64).filter(|key| filter.may_contain(hash_of(&key.to_le_bytes()))).count();
    assert!(passed < 400, "{passed} of 20000 absent keys pass");
}

#[test]
fn the_filter_and_the_file_do_not_grow_with_what_came_and_went() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = ColdTable::open(&folder.path().join("cold")).unwrap();
    let long = "v".repeat(100);
    let mut largest = 0;
    for round in 0..30 {
        let rows = rows(round * 3000..(round + 1) * 3000, &long);
        put(&mut table, &rows);
        let keys: Vec<&str> = rows.iter().map(|(key, _)| key.as_str()).collect();
        if round == 2 {
            largest = table.bytes();
        }
        assert!(take(&mut table, &keys).iter().all(Option::is_some));
    }
    assert_eq!(table.len(), 0);
    assert!(table.bytes() <= 2 * largest, "{} bytes after {largest}", table.bytes());
    assert!(table.filter.bytes() <= Filter::for_keys(FILTER_KEYS_MIN).bytes());
}
