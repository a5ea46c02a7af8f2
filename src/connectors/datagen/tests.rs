use std::collections::BTreeMap;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{Int32Type, Int64Type};
use futures::TryStreamExt;

use super::*;
use crate::connectors::declaration::{ColumnDeclaration, ColumnKind};
use crate::connectors::source::SplitRequest;
use crate::options::OptionValue;

fn open(columns: &[(&str, &str)], options: &[(&str, &str)]) -> Result<Table> {
    let declaration = TableDeclaration {
        local: None,
        name: "db.public.t".to_owned(),
        columns: columns
            .iter()
            .map(|(name, sql_type)| ColumnDeclaration {
                name: (*name).to_owned(),
                sql_type: (*sql_type).to_owned(),
                nullable: true,
                kind: ColumnKind::Physical,
            })
            .collect(),
        primary_key: Vec::new(),
        partitioned_by: Vec::new(),
        options: options
            .iter()
            .map(|(name, value)| ((*name).to_owned(), OptionValue::Plain((*value).to_owned())))
            .collect::<BTreeMap<_, _>>(),
    };
    let mut reader = OptionReader::new(&declaration.options, &|_| unreachable!("no secrets here")).unwrap();
    let table = DatagenConnector.open(&mut reader, &declaration)?;
    reader.finish()?;
    Ok(table)
}

async fn read(table: &Table, start: Start, batches: usize) -> Vec<SourceBatch> {
    let source = table.source.as_ref().unwrap();
    let mut enumerator = source.enumerator(Restored::default()).unwrap();
    let split = enumerator.discover().await.unwrap().splits.remove(0).split;
    let mut reader = source.open(SplitRequest::new(&split, start, &[0, 1], Arc::default())).await.unwrap();
    let mut read = Vec::new();
    while read.len() < batches
        && let Some(batch) = reader.next().await.unwrap()
    {
        assert_eq!(reader.position(), batch.position);
        read.push(batch);
    }
    read
}

const COLUMNS: &[(&str, &str)] =
    &[("id", "BIGINT"), ("v", "INT"), ("s", "STRING"), ("f", "DOUBLE"), ("t", "TIMESTAMP(3)")];
const SEQUENCE: &[(&str, &str)] = &[
    ("fields.id.kind", "sequence"),
    ("fields.id.start", "5"),
    ("fields.id.end", "104"),
    ("fields.v.min", "-3"),
    ("fields.v.max", "3"),
    ("fields.v.null-rate", "0.3"),
    ("fields.s.length", "7"),
    ("fields.t.max-past", "1 h"),
];

#[tokio::test]
async fn a_reader_that_starts_again_gives_the_same_rows() {
    let table = open(COLUMNS, SEQUENCE).unwrap();
    let all = read(&table, Start::AsDeclared, usize::MAX).await;
    let ids: Vec<i64> = all
        .iter()
        .flat_map(|batch| batch.changes.rows().column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect();
    assert_eq!(ids, (5..=104).collect::<Vec<_>>());
    let values = |batches: &[SourceBatch]| -> Vec<Option<i32>> {
        batches
            .iter()
            .flat_map(|batch| batch.changes.rows().column(1).as_primitive::<Int32Type>().iter().collect::<Vec<_>>())
            .collect()
    };
    let first = values(&all);
    assert!(first.iter().flatten().all(|value| (-3..=3).contains(value)));
    assert!(first.iter().any(Option::is_none) && first.iter().any(Option::is_some));
    assert_eq!(values(&read(&table, Start::At(Position::Offset(37)), usize::MAX).await), first[37..]);
}

#[tokio::test]
async fn a_bounded_table_can_be_queried() {
    let table = open(COLUMNS, &[("number-of-rows", "1000"), ("scan.parallelism", "3")]).unwrap();
    let request = ScanRequest { projection: vec![4, 2], ..ScanRequest::default() };
    let plan = table.scan.as_ref().unwrap().plan(request).await.unwrap();
    let mut rows = 0;
    for partition in plan.partitions {
        let batches: Vec<RecordBatch> = partition.open(100, &Arc::default()).unwrap().try_collect().await.unwrap();
        rows += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        assert_eq!(batches[0].column(1).as_string::<i32>().value(0).len(), 100);
    }
    assert_eq!(rows, 1000);
    assert!(open(COLUMNS, &[]).unwrap().scan.is_none(), "an unbounded one cannot");
}

#[tokio::test]
async fn rows_come_at_the_rate_asked_for() {
    let table = open(&[("id", "BIGINT"), ("v", "INT")], &[("rows-per-second", "100")]).unwrap();
    let begun = Instant::now();
    let rows: usize =
        read(&table, Start::AsDeclared, 50).await.iter().map(|batch| batch.changes.rows().num_rows()).sum();
    let expected = begun.elapsed().as_millis() as f64 / 10.0;
    assert!((rows as f64 - expected).abs() <= 3.0, "{rows} rows, {expected} expected");
}

#[test]
fn bad_options_are_refused() {
    for options in [
        [("fields.id.kind", "zigzag")],
        [("fields.id.kind", "sequence")],
        [("fields.id.max", "x")],
        [("rows-per-second", "0")],
        [("fields.id.null-rate", "2")],
        [("fields.nope.kind", "random")],
    ] {
        assert!(open(COLUMNS, &options).is_err(), "{options:?}");
    }
}
