use datafusion::arrow::array::{BooleanArray, Int64Array, StringArray, StringViewArray, UInt8Array};

use super::*;
use crate::error::ErrorKind;

/// Rows of the given key groups; the key is a number, the value a text.
fn rows(groups: &[u8]) -> RecordBatch {
    let keys: Vec<i64> = (0..).take(groups.len()).collect();
    let texts: Vec<String> =
        keys.iter().map(|key| format!("a value that is long enough to be out of line {key}")).collect();
    RecordBatch::try_from_iter([
        ("key_group", Arc::new(UInt8Array::from(groups.to_vec())) as ArrayRef),
        ("deleted", Arc::new(BooleanArray::from(vec![false; groups.len()])) as ArrayRef),
        ("key", Arc::new(Int64Array::from(keys)) as ArrayRef),
        ("text", Arc::new(StringArray::from(texts.clone())) as ArrayRef),
        ("view", Arc::new(StringViewArray::from(texts)) as ArrayRef),
    ])
    .unwrap()
}

fn write(tables: &[(&str, &str, &RecordBatch)]) -> Result<(StateFile, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut write = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    let mut file = StateFileWriter::begin(&mut write, u64::MAX)?;
    for (operator, table, rows) in tables {
        file.table(operator, table, 1, rows)?;
    }
    let file = file.finish("name", 1)?;
    Ok((file, bytes))
}

fn read(file: &StateFile, bytes: &[u8], operator: &str, groups: Range<usize>) -> Vec<(i64, u8)> {
    let slice = |range: Range<u64>| &bytes[range.start as usize..range.end as usize];
    let mut found = Vec::new();
    for part in decode_index(file, slice(index_range(file))).unwrap() {
        if part.operator == operator && part.overlaps(&groups) {
            let rows = part.decode(Bytes::copy_from_slice(slice(part.range())), &groups).unwrap();
            let keys = rows.column(2).as_primitive::<datafusion::arrow::datatypes::Int64Type>();
            found.extend(keys.values().iter().copied().zip(groups_of(&rows).unwrap().iter().copied()));
        }
    }
    found
}

#[test]
fn rows_come_back_by_operator_and_key_group() {
    let (one, other) = (rows(&[5, 1, 127, 1]), rows(&[64]));
    let (file, bytes) = write(&[("a", "t", &one), ("b", "t", &other)]).unwrap();
    assert_eq!((file.bytes, file.rows), (bytes.len() as u64, 5));
    assert_eq!(read(&file, &bytes, "a", 0..128), vec![(1, 1), (3, 1), (0, 5), (2, 127)]);
    assert_eq!(read(&file, &bytes, "a", 2..127), vec![(0, 5)]);
    assert_eq!(read(&file, &bytes, "b", 64..65), vec![(0, 64)]);
    assert_eq!(read(&file, &bytes, "b", 0..64), vec![]);
}

#[test]
fn a_large_table_has_many_parts_and_each_of_them_few_groups() {
    let groups: Vec<u8> = (0..40_000u32).map(|row| (row * 7 % 128) as u8).collect();
    let table = rows(&groups);
    let (file, bytes) = write(&[("a", "t", &table)]).unwrap();
    let parts = decode_index(&file, &bytes[index_range(&file).start as usize..]).unwrap();
    assert!(parts.len() > 3, "{} parts", parts.len());
    // Views are written without what other parts have.
    assert!(parts.iter().all(|part| part.bytes < 2 * PART_BYTES.1));
    assert!(parts.windows(2).all(|pair| pair[0].groups.1 <= pair[1].groups.0));
    assert_eq!(read(&file, &bytes, "a", 0..128).len(), 40_000);
    assert_eq!(read(&file, &bytes, "a", 3..4).len(), groups.iter().filter(|group| **group == 3).count());
}

#[test]
fn every_flipped_bit_is_noticed_before_anything_is_believed() {
    let table = rows(&[5, 1]);
    let (file, bytes) = write(&[("a", "t", &table)]).unwrap();
    let index = index_range(&file).start as usize;
    let parts = decode_index(&file, &bytes[index..]).unwrap();
    for bit in MAGIC.len() * 8..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let error = match bit / 8 < index {
            true => parts[0].decode(Bytes::copy_from_slice(&damaged[MAGIC.len()..index]), &(0..128)).unwrap_err(),
            false => decode_index(&file, &damaged[index..]).unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}");
    }
}

#[test]
fn rows_of_another_shape_are_a_defect_that_is_named() {
    let table = rows(&[200]);
    assert_eq!(
        write(&[("a", "t", &table)]).unwrap_err().message(),
        "state \"t\" of operator a has rows without a key group"
    );
    let table = rows(&[1]).project(&[0, 1]).unwrap();
    assert_eq!(write(&[("a", "t", &table)]).unwrap_err().message(), "state \"t\" of operator a has too few columns");
    let table = rows(&[1]).project(&[0, 2, 2]).unwrap();
    assert_eq!(
        write(&[("a", "t", &table)]).unwrap_err().message(),
        "state \"t\" of operator a does not say which rows are deleted"
    );
}
