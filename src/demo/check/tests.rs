use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;

use super::expected::{Features, Sum};
use super::{ATTRIBUTES, Found, differences};

fn item(values: [&str; 6]) -> Found {
    let item: HashMap<String, AttributeValue> = ATTRIBUTES
        .iter()
        .zip(values)
        .map(|(name, value)| ((*name).to_owned(), AttributeValue::N(value.to_owned())))
        .collect();
    Found::of(&item)
}

fn features(orders: i64, cents: i64) -> Features {
    let sum = Sum { orders, amount_cents: cents, discount_cents: 0 };
    Features { month: sum, year: sum }
}

#[test]
fn each_kind_of_difference_is_named() {
    let expected = BTreeMap::from([(1, features(1, 150)), (2, features(2, 250)), (3, features(3, 300))]);
    let found = BTreeMap::from([
        ("1".to_owned(), item(["1", "1.5", "0", "1", "1.50", "0"])),
        ("2".to_owned(), item(["2", "2.501", "0", "2", "2.5", "0"])),
        ("4".to_owned(), item(["0", "0", "0", "0", "0", "0"])),
    ]);
    assert_eq!(
        differences(&[expected.clone(), expected], &found),
        [
            "user 2: expected month 2_2.50_0.00 year 2_2.50_0.00, found month 2_2.501_0 year 2_2.5_0",
            "user 3: expected month 3_3.00_0.00 year 3_3.00_0.00, found no item",
            "user 4: expected no item, found month 0_0_0 year 0_0_0",
        ]
    );
}

#[test]
fn when_the_month_changes_features_of_either_are_right() {
    let before = BTreeMap::from([(1, features(5, 500)), (2, features(6, 600))]);
    let after = BTreeMap::from([(1, features(1, 100)), (2, features(0, 0))]);
    let found = BTreeMap::from([
        ("1".to_owned(), item(["1", "1", "0", "1", "1", "0"])),
        ("2".to_owned(), item(["6", "6", "0", "6", "6", "0"])),
    ]);
    assert!(differences(&[before, after], &found).is_empty());
}
