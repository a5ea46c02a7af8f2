use super::*;

fn records(split: &str, from: i64, to: i64) -> SkippedRecords {
    SkippedRecords { split: split.to_owned(), from, to }
}

#[test]
fn what_touches_becomes_one() {
    let mut skips = Vec::new();
    for (split, from, to) in
        [("o/0", 7, 8), ("o/1", 8, 9), ("o/0", 20, 30), ("o/0", 8, 9), ("o/0", 5, 6), ("o/0", 6, 21)]
    {
        records(split, from, to).add(&mut skips);
    }
    assert_eq!(skips, [records("o/0", 5, 30), records("o/1", 8, 9)]);
}

#[test]
fn each_row_has_its_records_offset() {
    let mut offsets = RowOffsets::default();
    // A gap after 11, two rows of record 15, none of record 17.
    for (row, rows, offset) in [(0, 1, 10), (1, 1, 11), (2, 1, 14), (3, 2, 15), (5, 1, 16), (6, 0, 17), (6, 1, 18)] {
        offsets.push(row, rows, offset);
    }
    let found: Vec<_> = (0..7).map(|row| offsets.of(row).unwrap()).collect();
    assert_eq!(found, [10, 11, 14, 15, 15, 16, 18]);
    assert_eq!(RowOffsets::default().of(0), None);
}
