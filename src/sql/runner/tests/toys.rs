//! docs/adding.md holds: a connector, a format and a function that were written by it, driven by statements.

use datafusion::arrow::array::{ArrayRef, Int32Array, StringArray};
use datafusion::arrow::datatypes::{Field, Fields, Schema};
use datafusion::arrow::record_batch::RecordBatch;

use super::*;
use crate::changelog::ChangeBatch;
use crate::formats::{self, Decoded, Decoder};
use crate::options::{OptionReader, OptionValue};

const LETTERS: &str = "CREATE TABLE letters (place INT, letter STRING) WITH ('connector' = 'letters', 'count' = '3')";

#[tokio::test]
async fn a_connector_is_read_by_queries() {
    let mut h = Harness::new();
    assert_eq!(h.run(LETTERS).await, ["CREATE TABLE"]);
    assert_eq!(h.run("SELECT * FROM letters").await, ["place|letter", "1|a", "2|b", "3|c"]);
    assert_eq!(h.run("SELECT letter FROM letters WHERE place > 1 LIMIT 1").await, ["letter", "b"]);
    assert_eq!(h.run("SELECT letter FROM letters LIMIT 2").await, ["letter", "a", "b"]);
    assert_eq!(h.run("SELECT count(*) FROM letters").await, ["count", "3"]);
    let hinted = "SELECT letter FROM letters /*+ OPTIONS('upper-case' = 'true', 'count' = '2') */";
    assert_eq!(h.run(hinted).await, ["letter", "A", "B"]);
    let plan = h.run("EXPLAIN SELECT letter FROM letters").await.join("\n");
    assert!(plan.contains("letters, 3 rows"), "{plan}");
}

#[tokio::test]
async fn a_connector_takes_its_options_and_says_what_it_has_not() {
    let mut h = Harness::new();
    let error = h.error(&LETTERS.replace("'count'", "'cuont'")).await;
    assert!(error.message().contains("unknown option \"cuont\" (did you mean \"count\"?)"), "{error}");
    for (from, to, code) in [("'3'", "'27'", "22023"), ("'3'", "'x'", "22023"), ("place INT", "place DATE", "0A000")] {
        let error = h.error(&LETTERS.replace(from, to)).await;
        assert_eq!(error.sqlstate().code(), code, "{to}: {error}");
    }
    h.run(LETTERS).await;
    let error = h.error("INSERT INTO letters VALUES (1, 'a')").await;
    assert!(!error.message().is_empty() && error.sqlstate().code() != "XX000", "{error}");
    h.run("CREATE TABLE sink (letter STRING) WITH ('connector' = 'blackhole')").await;
    assert_eq!(h.run("INSERT INTO sink SELECT letter FROM letters").await, ["INSERT 0 3"]);
}

#[tokio::test]
async fn a_connector_declares_secrets() {
    let mut h = Harness::new();
    h.run(&LETTERS.replace("'count' = '3'", "'count' = '3', 'cipher.shift' = '24'")).await;
    assert_eq!(h.run("SELECT letter FROM letters").await, ["letter", "y", "z", "a"]);
    let shown = h.run("SHOW CREATE TABLE letters").await.join("\n");
    assert!(shown.contains("'cipher.shift' = '******'"), "{shown}");
    let masked = crate::sql::parser::secret_options::mask("x 'cipher.shift' = '24', 'count' = '3'");
    assert_eq!(masked, "x 'cipher.shift' = '******', 'count' = '3'");
}

fn fields() -> Fields {
    vec![Field::new("id", DataType::Int32, false), Field::new("name", DataType::Utf8, true)].into()
}

fn open_kv(options: &[(&str, &str)]) -> Result<Arc<dyn formats::Format>> {
    let given = options.iter().map(|(name, value)| ((*name).to_owned(), OptionValue::Plain((*value).to_owned())));
    let mut options = OptionReader::new(&given.collect(), &|_| unreachable!("no secrets here"))?;
    let format = formats::open("kv", "value.", &mut options)?;
    options.finish()?;
    Ok(format)
}

fn names(decoder: &mut dyn Decoder) -> Vec<Option<String>> {
    let columns = decoder.finish().unwrap();
    columns[0].as_string::<i32>().iter().map(|name| name.map(str::to_owned)).collect()
}

#[test]
fn a_format_reads_and_writes_records() {
    let format = open_kv(&[]).unwrap();
    let mut decoder = format.decoder(&fields(), &[1]).unwrap();
    for record in ["id=1;name=a", "name=b=c;id=2;other=x", "id=3"] {
        assert_eq!(decoder.decode(record.as_bytes()).unwrap(), Decoded { rows: 1, ..Decoded::default() }, "{record}");
    }
    for (record, message) in [
        ("name=d", "record field \"id\" is NULL, but declared NOT NULL"),
        ("id=4;name", "record has \"name\" without ="),
    ] {
        assert_eq!(decoder.decode(record.as_bytes()).unwrap_err().message(), message);
    }
    decoder.push_blank();
    decoder.decode(b"id=5;name=e").unwrap();
    decoder.truncate(4);
    assert_eq!(names(decoder.as_mut()), [Some("a".to_owned()), Some("b=c".to_owned()), None, None]);
    assert!(decoder.is_empty());
    // A record that fails in a later column takes back the earlier one.
    let mut decoder = format.decoder(&fields(), &[1, 0]).unwrap();
    let error = decoder.decode(b"name=x;id=y").unwrap_err();
    assert_eq!((error.message(), error.sqlstate().code()), ("record field \"id\" cannot read \"y\" as INT", "22P02"));
    decoder.decode(b"name=x;id=1").unwrap();
    assert_eq!(names(decoder.as_mut()), [Some("x".to_owned())]);

    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int32Array::from(vec![1, 2])), Arc::new(StringArray::from(vec![Some("a,b"), None]))];
    let rows = ChangeBatch::inserts(RecordBatch::try_new(Arc::new(Schema::new(fields())), columns).unwrap());
    let records = format.encoder(&fields()).unwrap().encode(&rows).unwrap();
    assert_eq!((records.record(0), records.record(1)), (&b"id=1;name=a,b"[..], &b"id=2"[..]));
    let commas = open_kv(&[("value.kv.separator", "comma"), ("value.kv.ignore-parse-errors", "true")]).unwrap();
    assert!(commas.encoder(&fields()).unwrap().encode(&rows).is_err());
    let decoded = commas.decoder(&fields(), &[]).unwrap().decode(b"id").unwrap();
    assert_eq!(decoded, Decoded { skipped: 1, ..Decoded::default() });
}

#[tokio::test]
async fn a_format_is_named_in_with() {
    let mut h = Harness::new();
    let table = "CREATE TABLE t (id INT, name STRING) WITH ('connector' = 'kafka', 'topic' = 't', 'format' = 'kv', \
                 'kv.separator' = 'comma')";
    for (from, to, message) in [
        ("kv.separator", "kv.seperator", "unknown option \"kv.seperator\" (did you mean \"kv.separator\"?)"),
        ("'comma'", "'dot'", "option \"kv.separator\" cannot be 'dot'"),
        ("id INT", "id DATE", "format \"kv\" cannot hold column \"id\" of type DATE"),
        ("'kv'", "'kw'", "unknown format \"kw\""),
    ] {
        let error = h.error(&table.replace(from, to)).await;
        assert!(error.message().contains(message), "{error}");
    }
    assert_eq!(h.run(table).await, ["CREATE TABLE"]);
}

#[tokio::test]
async fn a_function_is_called_listed_and_hinted_at() {
    let mut h = Harness::new();
    assert_eq!(h.run("SELECT SHOUT('hi'), yell(NULL)").await, ["shout|yell", "HI!|NULL"]);
    h.run(LETTERS).await;
    assert_eq!(h.run("SELECT shout(letter) AS v FROM letters WHERE place < 3").await, ["v", "A!", "B!"]);
    let error = h.error("SELECT shout(TRUE)").await;
    assert_eq!((error.sqlstate().code(), error.message()), ("42883", "function shout(boolean) does not exist"));
    let error = h.error("SELECT shuot('hi')").await;
    assert!(error.hint_text().is_some_and(|hint| hint.contains("shout")), "{error:?}");
    assert!(h.run("SHOW FUNCTIONS").await.iter().any(|line| line == "shout"));
}
