use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, StringArray};

use super::*;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, true), Field::new("v", DataType::Utf8, true)]))
}

/// `+ 1 a` writes, `- 1` deletes.
fn changes(text: &str) -> ChangeBatch {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    let keys: Int64Array = lines.iter().map(|line| line[1].parse::<i64>().unwrap()).collect();
    let values: StringArray = lines.iter().map(|line| line.get(2).copied()).collect();
    let kinds = lines.iter().map(|line| if line[0] == "+" { RowKind::Insert } else { RowKind::Delete }).collect();
    ChangeBatch::changes(RecordBatch::try_new(schema(), vec![Arc::new(keys), Arc::new(values)]).unwrap(), kinds)
}

fn text(batch: Option<ChangeBatch>) -> String {
    let Some(batch) = batch else { return String::new() };
    let keys = batch.rows().column(0).as_primitive::<datafusion::arrow::datatypes::Int64Type>();
    let values = batch.rows().column(1).as_string::<i32>();
    let mut lines: Vec<String> = (0..batch.len())
        .map(|row| match batch.kind(row).is_retraction() {
            true => format!("- {}", keys.value(row)),
            false => format!("+ {} {}", keys.value(row), values.value(row)),
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

fn deferred() -> Deferred {
    Deferred::new(&schema(), &[0]).unwrap()
}

#[test]
fn only_the_last_change_of_a_key_is_written_and_only_once_it_is_decided() {
    let mut deferred = deferred();
    deferred.add(changes("+ 1 a\n+ 2 b\n- 1")).unwrap();
    deferred.add(changes("+ 2 c\n+ 3 d")).unwrap();
    assert!(deferred.take_decided().is_none());
    let delta = deferred.seal().unwrap().unwrap();
    assert_eq!(delta.rows.num_rows(), 3);
    deferred.add(changes("+ 2 later")).unwrap();
    assert_eq!(text(deferred.take_decided()), "+ 2 c\n+ 3 d\n- 1");
    assert!(deferred.take_decided().is_none(), "once");
}

#[test]
fn a_restart_sends_what_the_decided_checkpoint_holds_and_nothing_of_the_one_before() {
    let mut first = deferred();
    first.add(changes("+ 1 a\n+ 2 b")).unwrap();
    let one = first.seal().unwrap().unwrap();
    drop(first.take_decided());
    first.add(changes("- 2\n+ 3 c")).unwrap();
    let two = first.seal().unwrap().unwrap();

    let mut again = deferred();
    for delta in [&one, &two] {
        again.restore(&delta.table, &delta.rows).unwrap();
    }
    again.restored().unwrap();
    assert_eq!(text(again.take_decided()), "+ 3 c\n- 2");
    // An epoch without writes takes the old ones out of the checkpoint.
    let three = again.seal().unwrap().unwrap();
    let mut empty = deferred();
    for delta in [&one, &two, &three] {
        empty.restore(&delta.table, &delta.rows).unwrap();
    }
    empty.restored().unwrap();
    assert!(empty.take_decided().is_none());
    assert!(empty.seal().unwrap().is_none());
}

#[test]
fn state_of_another_table_is_refused() {
    let mut deferred = deferred();
    deferred.add(changes("+ 1 a")).unwrap();
    let delta = deferred.seal().unwrap().unwrap();
    assert!(deferred.restore("groups", &delta.rows).is_err());
    let other: SchemaRef = Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, true)]));
    assert!(Deferred::new(&other, &[0]).unwrap().restore(&delta.table, &delta.rows).is_err());
}
