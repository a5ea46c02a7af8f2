use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::filter::Filter;
use super::*;

fn put(table: &mut ColdTable, rows: &[(String, String)]) {
    table.put_many(rows.iter().map(|(key, value)| (key.as_bytes(), Some(value.as_bytes())))).unwrap();
}

fn get(table: &mut ColdTable, keys: &[&str]) -> Vec<Option<String>> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
    let found = table.get_many(&keys).unwrap();
    found.into_iter().map(|value| value.map(|value| String::from_utf8(value).unwrap())).collect()
}

fn rows(range: std::ops::Range<u32>, value: &str) -> Vec<(String, String)> {
    range.map(|key| (format!("key {key}"), format!("{value} {key}"))).collect()
}

/// All rows, shown a few at a time.
fn all(table: &ColdTable) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    let mut from = Some(0);
    while let Some(place) = from {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        from = table
            .scan(place, 7, |key, value| assert_eq!(shown.insert(text(key), text(value)), None, "shown twice"))
            .unwrap();
    }
    shown
}

#[test]
fn the_newest_row_of_a_key_stands() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = ColdTable::open(&folder.path().join("state/cold")).unwrap();
    assert_eq!(get(&mut table, &["key 3"]), [None]);
    put(&mut table, &rows(0..10, "old"));
    put(&mut table, &rows(3..5, "new"));
    let expected = [Some("new 3".to_owned()), None, Some("old 9".to_owned())];
    assert_eq!(get(&mut table, &["key 3", "nothing", "key 9"]), expected);
    table.put_many([(&b"key 9"[..], None)].into_iter()).unwrap();
    assert_eq!(get(&mut table, &["key 9"]), [None]);
    let all = all(&table);
    assert_eq!((all.len(), all["key 4"].as_str()), (9, "new 4"));
}

#[test]
fn nothing_outlives_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cold");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("7"), "of a process that was killed").unwrap();
    let mut table = ColdTable::open(&path).unwrap();
    assert!(!path.join("7").exists());
    put(&mut table, &rows(0..10, "a"));
    assert!(table.bytes() > 0);
    drop(table);
    assert!(!path.exists());
}

#[test]
fn merged_files_hold_what_a_map_holds() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = ColdTable::open(&folder.path().join("cold")).unwrap();
    let mut map = BTreeMap::new();
    let mut random = StdRng::seed_from_u64(7);
    let mut most = 0;
    for round in 0..300 {
        let mut changes = BTreeMap::new();
        for _ in 0..random.random_range(1..60) {
            let value = random.random_bool(0.8).then(|| "v".repeat(random.random_range(0..900)) + &round.to_string());
            changes.insert(format!("key {}", random.random_range(0..500)), value);
        }
        table
            .put_many(changes.iter().map(|(key, value)| (key.as_bytes(), value.as_ref().map(String::as_bytes))))
            .unwrap();
        for (key, value) in changes {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
        }
        let asked: Vec<String> = (0..40).map(|_| format!("key {}", random.random_range(0..600))).collect();
        let found = get(&mut table, &asked.iter().map(String::as_str).collect::<Vec<_>>());
        for (key, found) in asked.iter().zip(found) {
            assert_eq!(found.as_ref(), map.get(key), "{key}");
            assert!(found.is_none() || table.may_contain(key.as_bytes()));
        }
        most = most.max(table.runs.len());
    }
    assert_eq!(all(&table), map);
    assert!((4..RUNS_MAX).contains(&most), "{most} files");
    // Half of what is on disk may have been replaced, not more.
    let bytes: usize = map.iter().map(|(key, value)| key.len() + value.len() + 16).sum();
    assert!(table.bytes() < 4 * bytes as u64, "{} bytes for {bytes}", table.bytes());
}

#[test]
fn a_row_is_written_again_a_logarithmic_number_of_times() {
    let (mut runs, mut written, mut most) = (Vec::new(), 0, 0);
    for _ in 0..4096 {
        runs.push(1);
        if let Some(range) = runs_to_merge(&runs) {
            let sum: u64 = runs[range.clone()].iter().sum();
            written += sum;
            runs.splice(range, [sum]);
        }
        most = most.max(runs.len());
    }
    assert!(written / 4096 <= 12 && most <= 16, "{written} written, {most} files");
}

#[test]
fn the_filter_lets_few_absent_keys_through_and_every_present_one() {
    let hash = |key: u64| key.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mut filter = Filter::for_keys(20_000);
    (0..20_000).for_each(|key| filter.insert(hash(key)));
    assert!((0..20_000).all(|key| filter.may_contain(hash(key))));
    let passed = (20_000..120_000).filter(|key| filter.may_contain(hash(*key))).count();
    assert!(passed < 3_000, "{passed} of 100000 absent keys passed");
}
