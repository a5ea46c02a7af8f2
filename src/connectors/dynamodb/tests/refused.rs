//! Items that DynamoDB does not take: known before they are sent, or found among those of a refused request.

use super::*;
use crate::connectors::bad_rows::{BadRows, LeftOut};
use crate::error::ErrorKind;

fn texts(options: &[(&str, &str)]) -> TableDeclaration {
    let mut all = vec![("table.create", "if-not-exists")];
    all.extend(options);
    declare(&[("user_id", "STRING"), ("order_id", "STRING"), ("status", "STRING")], &["user_id", "order_id"], &all)
}

fn text_rows(table: &TableDeclaration, rows: &[[&str; 3]]) -> RecordBatch {
    let column =
        |index: usize| -> ArrayRef { Arc::new(rows.iter().map(|row| Some(row[index])).collect::<StringArray>()) };
    RecordBatch::try_new(table.schema().unwrap(), (0..3).map(column).collect()).unwrap()
}

async fn lenient(table: &Table) -> (Box<dyn SinkWriter>, Arc<LeftOut>) {
    let left_out = Arc::new(LeftOut::default());
    let context = context().0.with_bad_rows(BadRows::leave_out("test", left_out.clone()));
    (table.sink.as_ref().unwrap().open(context).await.unwrap(), left_out)
}

async fn stored(table: &Table) -> usize {
    count(&read(table, &[0], Vec::new(), None).await.unwrap().1)
}

#[tokio::test]
async fn what_breaks_the_published_limits_is_left_out_before_it_is_sent_and_named() {
    let refused = Arc::new(AtomicUsize::new(0));
    let seen = refused.clone();
    // A request that holds one of them would be refused as a whole.
    let store = Store::with_faults(Arc::new(move |operation, body| {
        if operation == "BatchWriteItem" && body.len() > 300_000 {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        Fault::Pass
    }))
    .await;
    let declaration = texts(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    let (large, long, longer) = ("x".repeat(410_000), "p".repeat(2049), "s".repeat(1025));
    let most = ["p".repeat(2048), "s".repeat(1024)];
    let batch = text_rows(
        &declaration,
        &[["1", "a", "ok"], ["2", "a", &large], [&long, "a", "ok"], ["4", &longer, "ok"], [&most[0], &most[1], "ok"]],
    );
    let (mut writer, left_out) = lenient(&table).await;
    writer.write(ChangeBatch::inserts(batch.clone())).await.unwrap();
    writer.flush().await.unwrap();
    assert_eq!((left_out.rows(), stored(&table).await, refused.load(Ordering::SeqCst)), (3, 2, 0));

    let expected = [
        (1, "the item with user_id = '2', order_id = 'a' has 41", "22001"),
        (2, "the value of key \"user_id\" is longer than the 2048 bytes that DynamoDB permits", "22001"),
        (3, "the value of key \"order_id\" is longer than the 1024 bytes that DynamoDB permits", "22001"),
    ];
    for (row, text, code) in expected {
        let (mut writer, _) = super::writer(&table).await;
        let error = writer.write(ChangeBatch::inserts(batch.slice(row, 1))).await.unwrap_err();
        assert_eq!((error.kind(), error.sqlstate().code()), (ErrorKind::Row, code), "{error}");
        assert!(error.message().contains(text), "{error}");
        assert!(error.detail_text().is_some_and(|detail| detail.contains("is ")), "{error}");
    }
}

/// A store that refuses every request in which there is an item with status `poison`.
async fn particular() -> Store {
    Store::with_faults(Arc::new(|operation, body| {
        if operation == "BatchWriteItem" && body.contains("poison") {
            let body = r#"{"__type":"com.amazon.coral.validate#ValidationException","message":"nesting"}"#;
            return Fault::Answer(400, body.into());
        }
        Fault::Pass
    }))
    .await
}

#[tokio::test]
async fn of_a_refused_request_only_the_item_that_is_at_fault_is_left_out() {
    let store = particular().await;
    let declaration = texts(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    let names: Vec<String> = (0..60).map(|row| row.to_string()).collect();
    let rows: Vec<[&str; 3]> = names
        .iter()
        .enumerate()
        .map(|(row, name)| [name.as_str(), "a", if [7, 8, 41].contains(&row) { "poison" } else { "ok" }])
        .collect();
    let (mut writer, left_out) = lenient(&table).await;
    writer.write(ChangeBatch::inserts(text_rows(&declaration, &rows))).await.unwrap();
    writer.flush().await.unwrap();
    assert_eq!((left_out.rows(), stored(&table).await), (3, 57));
    let last = left_out.last().unwrap();
    assert!(last.contains("ValidationException: nesting") && last.contains("order_id = 'a'"), "{last}");
    // The writes behind them are acknowledged, and the next write of such a key goes out.
    writer.write(ChangeBatch::inserts(text_rows(&declaration, &[["7", "a", "ok"]]))).await.unwrap();
    writer.flush().await.unwrap();
    assert_eq!(stored(&table).await, 58);

    let (mut writer, _) = super::writer(&table).await;
    writer.write(ChangeBatch::inserts(text_rows(&declaration, &rows[40..42]))).await.unwrap();
    let error = writer.flush().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Row);
    assert_eq!(error.detail_text(), Some("The row's key is user_id = '41', order_id = 'a'."));
}

#[tokio::test]
async fn a_table_that_was_made_anew_with_another_key_is_no_fault_of_a_row() {
    let store = Store::with_faults(Arc::new(|operation, _| match operation {
        "BatchWriteItem" => {
            Fault::Answer(400, r#"{"__type":"ValidationException","message":"does not match the schema"}"#.into())
        }
        _ => Fault::Pass,
    }))
    .await;
    let declaration = texts(&[]);
    store.create(&declaration).await.unwrap();
    let table = store.open(&declaration);
    let (mut writer, left_out) = lenient(&table).await;
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version_latest()
        .endpoint_url(&store.endpoint)
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .credentials_provider(aws_sdk_dynamodb::config::Credentials::new("local", "local", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let client = aws_sdk_dynamodb::Client::from_conf(config);
    client.delete_table().table_name("orders").send().await.unwrap();
    store.create(&declare(&[("id", "STRING")], &["id"], &[("table.create", "if-not-exists")])).await.unwrap();
    writer.write(ChangeBatch::inserts(text_rows(&declaration, &[["1", "a", "ok"], ["2", "a", "ok"]]))).await.unwrap();
    let error = writer.flush().await.unwrap_err();
    assert_eq!((error.kind(), left_out.rows()), (ErrorKind::Invalid, 0), "{error}");
    assert!(error.to_string().contains("The table's key is (id) now"), "{error}");
}
