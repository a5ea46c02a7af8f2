use datafusion::arrow::array::{ArrayRef, Int32Array, StringArray, TimestampMillisecondArray};
use datafusion::arrow::record_batch::RecordBatch;

use super::*;

fn batch() -> RecordBatch {
    let columns: [(&str, ArrayRef); 3] = [
        ("a", Arc::new(Int32Array::from(vec![1, 2]))),
        ("b", Arc::new(StringArray::from(vec![Some("x"), None]))),
        ("c", Arc::new(TimestampMillisecondArray::from(vec![0, 1500]))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn changes_print_as_in_flink() {
    let changes = ChangeBatch::changes(batch(), [RowKind::Insert, RowKind::Delete].into());
    let expected = "id> +I[1, x, 1970-01-01T00:00:00]\nid> -D[2, null, 1970-01-01T00:00:01.500]\n";
    assert_eq!(lines("id", &changes).unwrap(), expected);
    assert!(lines("", &changes).unwrap().starts_with("+I["));
}
