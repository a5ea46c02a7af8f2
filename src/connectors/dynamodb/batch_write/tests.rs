use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use serde_json::{Value, json};

use super::*;

fn all_kinds() -> Vec<(&'static str, AttributeValue, Value)> {
    let text = "a \"quote\", a \\ and a \u{1} \u{1F600}".to_owned();
    let map = HashMap::from([("inner".to_owned(), AttributeValue::L(vec![AttributeValue::N("1".to_owned())]))]);
    vec![
        ("s", AttributeValue::S(text.clone()), json!({"S": text})),
        ("n", AttributeValue::N("-1.5E+7".to_owned()), json!({"N": "-1.5E+7"})),
        ("b", AttributeValue::B(Blob::new([0_u8, 255])), json!({"B": "AP8="})),
        ("bool", AttributeValue::Bool(false), json!({"BOOL": false})),
        ("null", AttributeValue::Null(true), json!({"NULL": true})),
        ("ss", AttributeValue::Ss(vec!["x".to_owned(), "y".to_owned()]), json!({"SS": ["x", "y"]})),
        ("ns", AttributeValue::Ns(vec!["1".to_owned()]), json!({"NS": ["1"]})),
        ("bs", AttributeValue::Bs(vec![Blob::new([1_u8])]), json!({"BS": ["AQ=="]})),
        ("a \"name\"", AttributeValue::M(map), json!({"M": {"inner": {"L": [{"N": "1"}]}}})),
    ]
}

#[test]
fn requests_have_the_form_of_the_api() {
    let (mut put, mut delete) = (WriteJson::put(), WriteJson::delete());
    let mut item = serde_json::Map::new();
    for (name, value, expected) in all_kinds() {
        put.attribute(name, &value);
        item.insert(name.to_owned(), expected);
    }
    delete.attribute("s", &AttributeValue::S("k".to_owned()));
    assert_eq!(delete.bytes(), 2);
    let body: Value = serde_json::from_slice(&body("orders", &[put.finish(), delete.finish()])).unwrap();
    let delete = json!({"DeleteRequest": {"Key": {"s": {"S": "k"}}}});
    assert_eq!(body, json!({"RequestItems": {"orders": [{"PutRequest": {"Item": item}}, delete]}}));
}
