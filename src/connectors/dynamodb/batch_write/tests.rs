use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use serde_json::{Value, json};

use super::*;

const TEXT: &str = "a \"quote\", a \\ and a \u{1} \u{1F600}";

fn all_kinds() -> Vec<(&'static str, Encoded<'static>, Value)> {
    let map = HashMap::from([
        ("inner".to_owned(), AttributeValue::L(vec![AttributeValue::N("1".to_owned()), AttributeValue::Null(true)])),
        ("s".to_owned(), AttributeValue::S(TEXT.to_owned())),
        ("b".to_owned(), AttributeValue::B(Blob::new([0_u8, 255]))),
        ("bool".to_owned(), AttributeValue::Bool(true)),
    ]);
    let map_json = json!({"inner": {"L": [{"N": "1"}, {"NULL": true}]}, "s": {"S": TEXT}, "b": {"B": "AP8="}, "bool": {"BOOL": true}});
    vec![
        ("s", Encoded::Text(TEXT), json!({"S": TEXT})),
        ("n", Encoded::Number("-1.5E+7"), json!({"N": "-1.5E+7"})),
        ("b", Encoded::Binary(&[0, 255]), json!({"B": "AP8="})),
        ("yes", Encoded::Bool(true), json!({"BOOL": true})),
        ("no", Encoded::Bool(false), json!({"BOOL": false})),
        ("null", Encoded::Null, json!({"NULL": true})),
        ("a \"name\"", Encoded::Nested(AttributeValue::M(map)), json!({"M": map_json})),
    ]
}

#[test]
fn requests_have_the_form_of_the_api() {
    let mut json = WriteJson::default();
    let mut item = serde_json::Map::new();
    json.begin_put();
    for (name, value, expected) in all_kinds() {
        json.attribute(&AttributeName::new(name), &value);
        item.insert(name.to_owned(), expected);
    }
    let put = json.finish();
    json.begin_delete();
    json.attribute(&AttributeName::new("s"), &Encoded::Text("k"));
    assert_eq!(json.bytes(), 2);
    let body: Value = serde_json::from_slice(&body("orders", &[put, json.finish()])).unwrap();
    let delete = json!({"DeleteRequest": {"Key": {"s": {"S": "k"}}}});
    assert_eq!(body, json!({"RequestItems": {"orders": [{"PutRequest": {"Item": item}}, delete]}}));
}
