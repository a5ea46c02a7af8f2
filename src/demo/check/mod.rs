//! Compares every user's features, as DynamoDB has them, with what an independent computation makes of the log.
//! Rule for the month: features are as of the month in which the user's last order was processed. If the month changes while the demo
//! runs, those of either month are right, and the report says so.

pub mod expected;
pub mod log;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use rdkafka::ClientConfig;

use self::expected::{Features, Month, Orders, Sum};
use super::backends::{FEATURES_TABLE, MONTHLY_TABLE, failed};
use crate::error::{Error, Result};

/// Differences that are named; beyond, they are counted.
const NAMED_MAX: usize = 20;

/// Compares, prints what was compared.
///
/// # Errors
/// Any difference; users, expected and found values are named.
pub async fn check(kafka: &ClientConfig, dynamodb: &aws_sdk_dynamodb::Client, months: [Month; 2]) -> Result<()> {
    let orders = Orders::of(&log::read(kafka).await?);
    let found = read_features(dynamodb).await?;
    let monthly = read_monthly(dynamodb).await?;
    if months[0] != months[1] {
        println!(
            "check: the month changed from {} to {} during the run; features of either month are accepted",
            months[0], months[1]
        );
    }
    let mut differences = differences(&months.map(|month| orders.features(month)), &found);
    differences.extend(monthly_differences(&orders.monthly(), &monthly));
    println!(
        "check: {} records in the log ({} broken, {} without a user), {} users, {} items of {FEATURES_TABLE}, {} of {MONTHLY_TABLE}, month {}",
        orders.records,
        orders.broken,
        orders.without_user,
        orders.user_count(),
        found.len(),
        monthly.len(),
        months[1],
    );
    if differences.is_empty() {
        println!("check: all features and all monthly sums are equal to the independent computation");
        return Ok(());
    }
    for difference in differences.iter().take(NAMED_MAX) {
        println!("check: DIFFERENCE {difference}");
    }
    let named = differences.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
    Err(Error::corrupt(format!("check failed: {} items differ: {named}", differences.len())))
}

/// What differs: a user without an item, an item without a user, another value.
fn differences(accepted: &[BTreeMap<i32, Features>; 2], found: &BTreeMap<String, Found>) -> Vec<String> {
    let mut differences = Vec::new();
    for (user, expected) in &accepted[1] {
        match found.get(&user.to_string()) {
            None => differences.push(format!("user {user}: expected {expected}, found no item")),
            Some(found) => {
                let as_expected = accepted.iter().any(|features| {
                    features.get(user).is_some_and(|expected| found.features.as_ref() == Some(expected))
                });
                if !as_expected {
                    differences.push(format!("user {user}: expected {expected}, found {}", found.text));
                }
            }
        }
    }
    for (user, found) in found {
        if !user.parse().is_ok_and(|user: i32| accepted[1].contains_key(&user)) {
            differences.push(format!("user {user}: expected no item, found {}", found.text));
        }
    }
    differences
}

/// An item of user_features.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its features, if they can be read as such.
    pub features: Option<Features>,
    /// Its attributes, for messages.
    pub text: String,
}

const ATTRIBUTES: [&str; 6] = [
    "total_orders_lastest_month",
    "total_order_amount_latest_month",
    "total_discount_amount_latest_month",
    "total_orders_latest_year",
    "total_order_amount_latest_year",
    "total_discount_amount_latest_year",
];

impl Found {
    /// Reads an item.
    pub fn of(item: &std::collections::HashMap<String, AttributeValue>) -> Self {
        let values = ATTRIBUTES.map(|name| text_of(item.get(name)));
        let features = || {
            let sum = |values: &[String]| {
                Some(Sum {
                    orders: values[0].parse().ok()?,
                    amount_cents: expected::cents(&values[1])?,
                    discount_cents: expected::cents(&values[2])?,
                })
            };
            Some(Features { month: sum(&values[..3])?, year: sum(&values[3..])? })
        };
        let text = format!("month {} year {}", values[..3].join("_"), values[3..].join("_"));
        Self { features: features(), text }
    }
}

fn text_of(value: Option<&AttributeValue>) -> String {
    match value {
        Some(AttributeValue::N(text) | AttributeValue::S(text)) => text.clone(),
        Some(AttributeValue::Null(_)) => "NULL".to_owned(),
        Some(other) => format!("{other:?}"),
        None => "absent".to_owned(),
    }
}

/// What differs in the monthly table.
fn monthly_differences(
    expected: &BTreeMap<(i32, String), Sum>,
    found: &BTreeMap<(String, String), String>,
) -> Vec<String> {
    let mut differences = Vec::new();
    for ((user, month), sum) in expected {
        match found.get(&(user.to_string(), month.clone())) {
            Some(found) if *found == sum.to_string() => {}
            Some(found) => differences.push(format!("user {user}, month {month}: expected {sum}, found {found}")),
            None => differences.push(format!("user {user}, month {month}: expected {sum}, found no item")),
        }
    }
    for (user, month) in found.keys() {
        if !user.parse().is_ok_and(|user: i32| expected.contains_key(&(user, month.clone()))) {
            differences.push(format!("user {user}, month {month}: expected no item"));
        }
    }
    differences
}

/// All items of order_sum_monthly by user and month, as [`Sum`] prints.
async fn read_monthly(dynamodb: &aws_sdk_dynamodb::Client) -> Result<BTreeMap<(String, String), String>> {
    let mut found = BTreeMap::new();
    let mut pages = dynamodb.scan().table_name(MONTHLY_TABLE).consistent_read(true).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| failed("cannot read the monthly sums", &error))?;
        for item in page.items() {
            let cents = |name: &str| match item.get(name) {
                // A sum over nothing but NULLs is NULL.
                Some(AttributeValue::Null(_)) | None => Some(0),
                Some(value) => expected::cents(&text_of(Some(value))),
            };
            let sums = text_of(item.get("order_total"))
                .parse()
                .ok()
                .zip(cents("total_amount").zip(cents("discount_amount")))
                .map(|(orders, (amount_cents, discount_cents))| Sum { orders, amount_cents, discount_cents });
            let text = sums.map_or_else(|| format!("{item:?}"), |sum| sum.to_string());
            found.insert((text_of(item.get("user_id")), text_of(item.get("month"))), text);
        }
    }
    Ok(found)
}

/// All items of user_features by user.
async fn read_features(dynamodb: &aws_sdk_dynamodb::Client) -> Result<BTreeMap<String, Found>> {
    let mut found = BTreeMap::new();
    let mut pages = dynamodb.scan().table_name(FEATURES_TABLE).consistent_read(true).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| failed("cannot read the features", &error))?;
        for item in page.items() {
            found.insert(text_of(item.get("user_id")), Found::of(item));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
