use serde_json::json;

use super::*;
use crate::connectors::dynamodb::key::KeyAttribute;

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
    let body: Value = serde_json::from_slice(&body("orders", [put, json.finish()].iter())).unwrap();
    let delete = json!({"DeleteRequest": {"Key": {"s": {"S": "k"}}}});
    assert_eq!(body, json!({"RequestItems": {"orders": [{"PutRequest": {"Item": item}}, delete]}}));
}

#[test]
fn writes_left_out_are_known_by_their_keys() {
    let attribute = |name: &str, attribute_type: &str| KeyAttribute {
        name: name.to_owned(),
        attribute_type: attribute_type.to_owned(),
    };
    let key = KeySchema { partition: attribute("user", "N"), sort: Some(attribute("id", "B")) };
    let answer = json!({"UnprocessedItems": {"orders": [
        {"PutRequest": {"Item": {"id": {"B": "AP8="}, "user": {"N": "7"}, "amount": {"N": "1.5"}}}},
        {"DeleteRequest": {"Key": {"user": {"N": "-8"}, "id": {"B": "AQ=="}}}},
    ]}});
    let wanted = [("7", vec![0, 255]), ("-8", vec![1])]
        .map(|(user, id)| Key::of(&[AttributeValue::N(user.to_owned()), AttributeValue::B(Blob::new(id))]).unwrap());
    assert_eq!(left_out(answer.to_string().as_bytes(), &key).unwrap(), HashSet::from(wanted));
    for nothing in ["{}", r#"{"UnprocessedItems":{}}"#, r#"{"UnprocessedItems":null,"ConsumedCapacity":[]}"#] {
        assert_eq!(left_out(nothing.as_bytes(), &key).unwrap(), HashSet::new());
    }
    let without_key = r#"{"UnprocessedItems":{"orders":[{"DeleteRequest":{"Key":{"user":{"N":"1"}}}}]}}"#;
    for unreadable in ["<html>", without_key] {
        left_out(unreadable.as_bytes(), &key).unwrap_err();
    }
}
