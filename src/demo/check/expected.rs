//! What the features must be, computed from the log by plain loops: JSON by serde_json, money as whole cents, months by chrono.
//! Written apart from the engine and kept so: it shares no code with what it checks.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Datelike, NaiveDateTime};
use serde_json::Value;

use super::log::LogRecord;

/// Months since year 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(i32);

impl Month {
    /// The month of a time without zone.
    pub fn of(time: NaiveDateTime) -> Self {
        Self(time.year() * 12 + time.month0() as i32)
    }

    /// The month that it is, in UTC.
    pub fn at(now_ms: i64) -> Self {
        Self::of(DateTime::from_timestamp_millis(now_ms).unwrap_or_default().naive_utc())
    }

    /// The eleven months before.
    fn rest_of_the_year(self) -> std::ops::Range<i32> {
        self.0 - 11..self.0
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

/// Count, amount and discount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Orders.
    pub orders: i64,
    /// Their amounts, in cents.
    pub amount_cents: i64,
    /// Their discounts, in cents.
    pub discount_cents: i64,
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}_{}", self.orders, money(self.amount_cents), money(self.discount_cents))
    }
}

impl Sum {
    fn add(&mut self, other: &Sum) {
        self.orders += other.orders;
        self.amount_cents += other.amount_cents;
        self.discount_cents += other.discount_cents;
    }
}

/// A user's features.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// The current month.
    pub month: Sum,
    /// The current month and the eleven before.
    pub year: Sum,
}

impl std::fmt::Display for Features {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "month {} year {}", self.month, self.year)
    }
}

/// Cents as money.
pub fn money(cents: i64) -> String {
    format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100)
}

/// Facts of the log.
#[derive(Debug, Default)]
pub struct Orders {
    /// Records in the log.
    pub records: u64,
    /// Records that are no JSON object.
    pub broken: u64,
    /// Orders without a user, which have no features.
    pub without_user: u64,
    /// Users with at least one record.
    users: Vec<i32>,
    /// The last record of each order.
    details: HashMap<(i32, i64), Detail>,
    /// By user and month, over all records.
    monthly: BTreeMap<(i32, Month), Sum>,
}

#[derive(Debug, Clone, Copy)]
struct Detail {
    month: Month,
    sum: Sum,
}

impl Orders {
    /// Reads the log's records.
    pub fn of(log: &[LogRecord]) -> Self {
        let mut orders = Self::default();
        for record in log {
            orders.records += 1;
            let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(&record.payload) else {
                orders.broken += 1;
                continue;
            };
            let Some(user) = fields.get("user_id").and_then(Value::as_i64).and_then(|id| i32::try_from(id).ok()) else {
                orders.without_user += 1;
                continue;
            };
            orders.users.push(user);
            let Some(month) = fields.get("created_at").and_then(Value::as_str).and_then(month_of) else { continue };
            let cents = |name: &str| fields.get(name).map_or(0, |value| cents(&value.to_string()).unwrap_or(0));
            let sum =
                Sum { orders: 1, amount_cents: cents("order_amount"), discount_cents: cents("coupon_discount_amount") };
            if let Some(order_id) = fields.get("order_id").and_then(Value::as_i64) {
                orders.details.insert((user, order_id), Detail { month, sum });
            }
            orders.monthly.entry((user, month)).or_default().add(&sum);
        }
        orders.users.sort_unstable();
        orders.users.dedup();
        orders
    }

    /// How many users have features.
    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    /// What the monthly table must hold: by user and month, as `yyyy-MM`.
    pub fn monthly(&self) -> BTreeMap<(i32, String), Sum> {
        self.monthly.iter().map(|((user, month), sum)| ((*user, month.to_string()), *sum)).collect()
    }

    /// Every user's features, were they computed in `month`.
    pub fn features(&self, month: Month) -> BTreeMap<i32, Features> {
        let mut features: BTreeMap<i32, Features> =
            self.users.iter().map(|user| (*user, Features::default())).collect();
        for ((user, _), detail) in &self.details {
            if detail.month == month
                && let Some(of_user) = features.get_mut(user)
            {
                of_user.month.add(&detail.sum);
                of_user.year.add(&detail.sum);
            }
        }
        for ((user, of), sum) in &self.monthly {
            if month.rest_of_the_year().contains(&of.0)
                && let Some(of_user) = features.get_mut(user)
            {
                of_user.year.add(sum);
            }
        }
        features
    }
}

fn month_of(text: &str) -> Option<Month> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok().map(Month::of)
}

/// Cents of a plain decimal number, if it has no more than two digits after the point (zeros aside).
pub fn cents(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 2 || !plain(whole) || !plain(fraction) {
        return None;
    }
    let cents = format!("{whole}{fraction:0<2}").parse::<i64>().ok()?;
    Some(if negative { -cents } else { cents })
}

#[cfg(test)]
mod tests;
