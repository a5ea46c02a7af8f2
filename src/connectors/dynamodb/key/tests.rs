use aws_sdk_dynamodb::primitives::Blob;
use proptest::prelude::*;

use super::*;

fn number(text: &str) -> AttributeValue {
    AttributeValue::N(text.to_owned())
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

#[test]
fn equal_numbers_are_equal_keys() {
    for same in ["10", "010", "1e1", "10.0", "+10"] {
        assert_eq!(Key::of([&number(same)]), Key::of([&number("10")]), "{same}");
    }
    for other in ["1", "-10", "100", "10.5"] {
        assert_ne!(Key::of([&number(other)]), Key::of([&number("10")]), "{other}");
    }
    assert_eq!(Key::of([&number("-0")]), Key::of([&number("0")]));
}

#[test]
fn types_and_borders_count() {
    assert_ne!(Key::of([&number("1")]), Key::of([&text("1")]));
    assert_ne!(Key::of([&text("1")]), Key::of([&AttributeValue::B(Blob::new("1"))]));
    assert_ne!(Key::of([&text("ab"), &text("c")]), Key::of([&text("a"), &text("bc")]));
}

#[test]
fn some_values_can_be_no_key() {
    for value in [text(""), AttributeValue::Null(true), AttributeValue::Bool(true), number("x")] {
        assert_eq!(Key::of([&text("a"), &value]), None, "{value:?}");
    }
}

proptest! {
    #[test]
    fn a_row_and_its_item_have_one_key(id in any::<i64>(), name in ".{1,8}", amount in -1e12..1e12f64) {
        let (id_text, amount_text) = (id.to_string(), format!("{amount}"));
        let mut key = KeyWriter::default();
        for value in [Encoded::Number(&id_text), Encoded::Text(&name), Encoded::Number(&amount_text)] {
            prop_assert!(key.push(&value));
        }
        let item = [number(&id_text), text(&name), number(&format!("{amount:e}"))];
        prop_assert_eq!(Key::of(&item), Some(key.finish()));
    }
}
