use super::*;

/// As psql prints a table: its width is what counts.
fn widths(batch: &RecordBatch) -> usize {
    let width = |column: usize| {
        let name = batch.schema().field(column).name().chars().count();
        let cells = (0..batch.num_rows()).flat_map(|row| {
            let text = datafusion::arrow::util::display::array_value_to_string(batch.column(column), row).unwrap();
            text.split('\n').map(|line| line.chars().count()).collect::<Vec<_>>()
        });
        cells.max().unwrap_or(0).max(name)
    };
    (0..batch.num_columns()).map(|column| width(column) + 2).sum::<usize>() + batch.num_columns() - 1
}

fn line(name: &str, waits_for: Option<&str>, last_error: Option<&str>) -> Line {
    Line {
        name: name.to_owned(),
        state: "RETRYING".to_owned(),
        waits_for: waits_for.map(str::to_owned),
        lag: Some(1_234_567),
        rows_per_second: Some(123_456),
        since: Some("11-29 14:03".to_owned()),
        last_error: last_error.map(str::to_owned),
    }
}

#[test]
fn the_table_fits_a_hundred_columns() {
    let long = "14:03:22 cannot read the partitions of topic \"orders\": the broker transport has failed, all brokers are \
                down; 127.0.0.1:9092/bootstrap: connect to ipv4#127.0.0.1:9092 failed: connection refused";
    for (waits, error) in [
        (None, None),
        (Some("topic \"orders\""), None),
        (None, Some(long)),
        (Some("job \"insert_into_dynamodb_orders\", which is PAUSED"), Some(long)),
    ] {
        let lines = [line("insert_into_dynamodb_orders", waits, error), line("short", None, None)];
        let batch = rows(&lines).unwrap();
        assert!(widths(&batch) <= WIDTH, "{} columns: {batch:?}", widths(&batch));
    }
}

#[test]
fn what_fits_stays_on_one_line() {
    let batch = rows(&[line("j", Some("topic \"orders\""), Some("14:03:22 no"))]).unwrap();
    let text = |column| datafusion::arrow::util::display::array_value_to_string(batch.column(column), 0).unwrap();
    assert_eq!((text(2), text(6)), ("topic \"orders\"".to_owned(), "14:03:22 no".to_owned()));
}

#[test]
fn texts_break_at_spaces_and_end_with_a_mark() {
    assert_eq!(wrap("a record was not delivered", 12), "a record was\nnot\ndelivered");
    assert_eq!(wrap("127.0.0.1:9092/bootstrap", 10), "127.0.0.1:\n9092/boots\ntrap");
    assert_eq!(wrap("one two three four five six", 5), "one\ntwo\nthree\nfour…");
    assert_eq!(wrap("\"insert_into_dynamodb_orders\"", 19), "\"insert_into_\ndynamodb_orders\"");
    assert_eq!(wrap("", 5), "");
}

#[test]
fn times_of_today_go_without_the_day() {
    let zone = Tz::Asia__Tokyo;
    let now = 1_700_000_000_000; // 2023-11-15 07:13:20 in Tokyo
    assert_eq!(time(now - 60_000, now, zone), "07:12:20");
    assert_eq!(time(now - 86_400_000, now, zone), "11-14 07:13");
}
