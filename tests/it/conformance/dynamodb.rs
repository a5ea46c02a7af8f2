//! DynamoDB through the AWS SDK: tables, items, conditions, limits, queries, scans.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, DeleteRequest, KeySchemaElement, KeyType, KeysAndAttributes,
    PutRequest, ReturnValue, ScalarAttributeType, Select, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
    WriteRequest,
};

use crate::backends::{Backends, PATIENCE, unique};

type Item = HashMap<String, AttributeValue>;

fn s(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn n(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// An item of user `user` with sort key `order`.
fn order(user: i64, order: i64) -> Item {
    HashMap::from([
        ("user_id".to_owned(), n(user)),
        ("order_id".to_owned(), n(order)),
        ("note".to_owned(), s(format!("o{order}"))),
    ])
}

fn key(user: i64, order: i64) -> Item {
    HashMap::from([("user_id".to_owned(), n(user)), ("order_id".to_owned(), n(order))])
}

fn put(item: Item) -> WriteRequest {
    WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(item)).build().unwrap()).build()
}

pub async fn create_table(client: &Client, name: &str) {
    let attribute = |name: &str| {
        let definition = AttributeDefinition::builder().attribute_name(name);
        definition.attribute_type(ScalarAttributeType::N).build().unwrap()
    };
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    client
        .create_table()
        .table_name(name)
        .attribute_definitions(attribute("user_id"))
        .attribute_definitions(attribute("order_id"))
        .key_schema(key("user_id", KeyType::Hash))
        .key_schema(key("order_id", KeyType::Range))
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let described = client.describe_table().table_name(name).send().await.unwrap().table.unwrap();
        if described.table_status == Some(TableStatus::Active) {
            break;
        }
        assert!(Instant::now() < deadline, "table {name} did not become active");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn table() -> (Client, String) {
    let client = Backends::get().dynamodb();
    let name = unique("conformance");
    create_table(&client, &name).await;
    (client, name)
}

/// Writes everything, what is left unprocessed again, as a writer has to.
async fn write_all(client: &Client, table: &str, requests: Vec<WriteRequest>) {
    for batch in requests.chunks(25) {
        let mut left = Some(HashMap::from([(table.to_owned(), batch.to_vec())]));
        while let Some(requests) = left.filter(|requests| !requests.is_empty()) {
            left = client.batch_write_item().set_request_items(Some(requests)).send().await.unwrap().unprocessed_items;
        }
    }
}

#[tokio::test]
async fn a_table_is_created_once_and_described() {
    let (client, name) = table().await;
    let described = client.describe_table().table_name(&name).send().await.unwrap().table.unwrap();
    let keys: Vec<_> =
        described.key_schema().iter().map(|key| (key.attribute_name.as_str(), key.key_type.clone())).collect();
    assert_eq!(keys, [("user_id", KeyType::Hash), ("order_id", KeyType::Range)]);
    let again = client
        .create_table()
        .table_name(&name)
        .attribute_definitions(
            AttributeDefinition::builder().attribute_name("k").attribute_type(ScalarAttributeType::S).build().unwrap(),
        )
        .key_schema(KeySchemaElement::builder().attribute_name("k").key_type(KeyType::Hash).build().unwrap())
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await;
    assert_eq!(again.unwrap_err().code(), Some("ResourceInUseException"));
    client.delete_table().table_name(&name).send().await.unwrap();
}

#[tokio::test]
async fn a_missing_table_is_resource_not_found() {
    let client = Backends::get().dynamodb();
    let name = unique("missing");
    let not_found = Some("ResourceNotFoundException");
    assert_eq!(client.describe_table().table_name(&name).send().await.unwrap_err().code(), not_found);
    assert_eq!(
        client.get_item().table_name(&name).set_key(Some(key(1, 1))).send().await.unwrap_err().code(),
        not_found
    );
    assert_eq!(client.scan().table_name(&name).send().await.unwrap_err().code(), not_found);
    assert_eq!(
        client.put_item().table_name(&name).set_item(Some(order(1, 1))).send().await.unwrap_err().code(),
        not_found
    );
}

#[tokio::test]
async fn items_are_put_read_updated_and_deleted_under_conditions() {
    let (client, name) = table().await;
    let refused = Some("ConditionalCheckFailedException");
    let put_new = || {
        client
            .put_item()
            .table_name(&name)
            .set_item(Some(order(1, 1)))
            .condition_expression("attribute_not_exists(user_id)")
            .send()
    };
    put_new().await.unwrap();
    assert_eq!(put_new().await.unwrap_err().code(), refused);
    let read = || async {
        client.get_item().table_name(&name).set_key(Some(key(1, 1))).consistent_read(true).send().await.unwrap().item
    };
    assert_eq!(read().await, Some(order(1, 1)));

    let updated = client
        .update_item()
        .table_name(&name)
        .set_key(Some(key(1, 1)))
        .update_expression(
            "SET #c = if_not_exists(#c, :zero) + :one, tags = list_append(:tags, :tags) REMOVE note ADD hits :one",
        )
        .expression_attribute_names("#c", "count")
        .expression_attribute_values(":zero", n(0))
        .expression_attribute_values(":one", n(1))
        .expression_attribute_values(":tags", AttributeValue::L(vec![s("t")]))
        .return_values(ReturnValue::AllNew)
        .send()
        .await
        .unwrap();
    let mut expected = key(1, 1);
    expected.extend([
        ("count".to_owned(), n(1)),
        ("hits".to_owned(), n(1)),
        ("tags".to_owned(), AttributeValue::L(vec![s("t"), s("t")])),
    ]);
    assert_eq!(updated.attributes, Some(expected.clone()));

    let delete_if = |count| {
        let delete =
            client.delete_item().table_name(&name).set_key(Some(key(1, 1))).condition_expression("#c = :count");
        delete.expression_attribute_names("#c", "count").expression_attribute_values(":count", n(count)).send()
    };
    assert_eq!(delete_if(5).await.unwrap_err().code(), refused);
    assert_eq!(read().await, Some(expected));
    delete_if(1).await.unwrap();
    assert_eq!(read().await, None);
}

#[tokio::test]
async fn every_attribute_type_comes_back() {
    let (client, name) = table().await;
    let mut item = order(1, 1);
    item.extend(
        [
            ("s", s("ünï\u{1F600}")),
            ("empty", s("")),
            ("n", AttributeValue::N("-12345678901234567890.123456789012345678".to_owned())),
            ("b", AttributeValue::B(Blob::new([0, 1, 255]))),
            ("bool", AttributeValue::Bool(true)),
            ("null", AttributeValue::Null(true)),
            ("l", AttributeValue::L(vec![s("a"), n(1), AttributeValue::L(vec![])])),
            ("m", AttributeValue::M(HashMap::from([("inner".to_owned(), AttributeValue::M(HashMap::new()))]))),
            ("ss", AttributeValue::Ss(vec!["only".to_owned()])),
            ("ns", AttributeValue::Ns(vec!["7".to_owned()])),
            ("bs", AttributeValue::Bs(vec![Blob::new([1])])),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    client.put_item().table_name(&name).set_item(Some(item.clone())).send().await.unwrap();
    let read = client.get_item().table_name(&name).set_key(Some(key(1, 1))).send().await.unwrap();
    assert_eq!(read.item, Some(item));
}

#[tokio::test]
async fn batches_have_limits_and_distinct_keys() {
    let (client, name) = table().await;
    let invalid = Some("ValidationException");
    let write = |requests: Vec<WriteRequest>| client.batch_write_item().request_items(&name, requests).send();
    let read = |keys: Vec<Item>| {
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).build().unwrap();
        client.batch_get_item().request_items(&name, keys).send()
    };
    write((0..25).map(|index| put(order(1, index))).collect()).await.unwrap();
    assert_eq!(write((0..26).map(|index| put(order(1, index))).collect()).await.unwrap_err().code(), invalid);
    assert_eq!(write(vec![put(order(1, 1)), put(order(1, 1))]).await.unwrap_err().code(), invalid);
    let delete = DeleteRequest::builder().set_key(Some(key(1, 1))).build().unwrap();
    let delete = WriteRequest::builder().delete_request(delete).build();
    assert_eq!(write(vec![put(order(1, 1)), delete.clone()]).await.unwrap_err().code(), invalid);
    write(vec![delete]).await.unwrap();

    let found = read((0..100).map(|index| key(1, index)).collect()).await.unwrap();
    assert_eq!(found.responses.unwrap()[&name].len(), 24);
    assert!(found.unprocessed_keys.is_none_or(|keys| keys.is_empty()));
    assert_eq!(read((0..101).map(|index| key(1, index)).collect()).await.unwrap_err().code(), invalid);
    assert_eq!(read(vec![key(1, 2), key(1, 2)]).await.unwrap_err().code(), invalid);
}

#[tokio::test]
async fn an_item_over_400_kb_is_refused() {
    let (client, name) = table().await;
    let mut item = order(1, 1);
    item.insert("large".to_owned(), s("x".repeat(390_000)));
    client.put_item().table_name(&name).set_item(Some(item.clone())).send().await.unwrap();
    item.insert("large".to_owned(), s("x".repeat(410_000)));
    let refused = client.put_item().table_name(&name).set_item(Some(item)).send().await;
    assert_eq!(refused.unwrap_err().code(), Some("ValidationException"));
}

#[tokio::test]
async fn a_query_reads_a_range_of_one_partition() {
    let (client, name) = table().await;
    let items = (0..30).map(|index| put(order(7, index))).chain([put(order(8, 1))]);
    write_all(&client, &name, items.collect()).await;
    let query = || {
        let query = client.query().table_name(&name).expression_attribute_values(":user", n(7));
        query.key_condition_expression("user_id = :user")
    };
    let orders = |items: &[Item]| -> Vec<i64> {
        items.iter().map(|item| item["order_id"].as_n().unwrap().parse().unwrap()).collect()
    };
    let between = client
        .query()
        .table_name(&name)
        .key_condition_expression("user_id = :user AND order_id BETWEEN :low AND :high")
        .expression_attribute_values(":user", n(7))
        .expression_attribute_values(":low", n(9))
        .expression_attribute_values(":high", n(11))
        .send()
        .await
        .unwrap();
    assert_eq!(orders(between.items()), [9, 10, 11]);

    let last = query().scan_index_forward(false).limit(3).send().await.unwrap();
    assert_eq!(orders(last.items()), [29, 28, 27]);
    let next = query()
        .scan_index_forward(false)
        .limit(3)
        .set_exclusive_start_key(last.last_evaluated_key)
        .send()
        .await
        .unwrap();
    assert_eq!(orders(next.items()), [26, 25, 24]);

    let filtered =
        query().filter_expression("note = :note").expression_attribute_values(":note", s("o5")).send().await.unwrap();
    assert_eq!((orders(filtered.items()), filtered.count, filtered.scanned_count), (vec![5], 1, 30));
    let counted = query().select(Select::Count).send().await.unwrap();
    assert_eq!((counted.count, counted.items().len()), (30, 0));
    let projected = query().projection_expression("note").limit(1).send().await.unwrap();
    assert_eq!(projected.items(), [HashMap::from([("note".to_owned(), s("o0"))])]);
}

#[tokio::test]
async fn a_scan_passes_a_megabyte_page_by_page_and_in_segments() {
    let (client, name) = table().await;
    let items = (0..200).map(|index| {
        let mut item = order(index % 40, index);
        item.insert("filler".to_owned(), s("x".repeat(8_000)));
        put(item)
    });
    write_all(&client, &name, items.collect()).await;

    let mut orders = BTreeSet::new();
    let mut pages = 0;
    let mut from = None;
    loop {
        let page = client.scan().table_name(&name).set_exclusive_start_key(from).send().await.unwrap();
        pages += 1;
        orders.extend(page.items().iter().map(|item| item["order_id"].as_n().unwrap().clone()));
        from = page.last_evaluated_key;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(orders.len(), 200);
    assert!(pages >= 2, "1.6 MB came in {pages} page");

    let mut of_segments = Vec::new();
    for segment in 0..4 {
        let scan = client.scan().table_name(&name).segment(segment).total_segments(4).into_paginator().items().send();
        let items = scan.collect::<Result<Vec<_>, _>>().await.unwrap();
        of_segments.extend(items.iter().map(|item| item["order_id"].as_n().unwrap().clone()));
    }
    assert_eq!(of_segments.len(), 200);
    assert_eq!(of_segments.into_iter().collect::<BTreeSet<_>>(), orders);
}

#[tokio::test]
async fn the_ttl_attribute_is_set_and_described() {
    let (client, name) = table().await;
    let described = || async {
        client.describe_time_to_live().table_name(&name).send().await.unwrap().time_to_live_description.unwrap()
    };
    assert_eq!(described().await.time_to_live_status, Some(TimeToLiveStatus::Disabled));
    let specification = TimeToLiveSpecification::builder().enabled(true).attribute_name("ttl").build().unwrap();
    client.update_time_to_live().table_name(&name).time_to_live_specification(specification).send().await.unwrap();
    let described = described().await;
    assert_eq!(described.attribute_name.as_deref(), Some("ttl"));
    assert!(matches!(described.time_to_live_status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)));
}
