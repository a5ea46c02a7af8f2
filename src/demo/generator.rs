//! Makes orders as a shop would: a few users order most, some pay with coupons, orders are completed a while after, some records are broken.
//! Same seed, same orders; knows no Kafka.

use std::collections::VecDeque;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, TimeDelta};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// One record for the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Orders of one user share a partition, so that their order is kept; absent for records without a user.
    pub key: Option<String>,
    /// JSON, mostly.
    pub payload: String,
    /// The user whose orders of the current month become one more by this record.
    pub counts_for: Option<i32>,
}

#[derive(Debug, Clone)]
struct Order {
    order_id: i32,
    amount_cents: u64,
    coupon: Option<(&'static str, u64)>,
    user_id: Option<i32>,
    status: &'static str,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
    product_id: i32,
}

/// Users' ids begin here.
pub const FIRST_USER_ID: i32 = 10_001;

const COUPONS: [(&str, u64); 4] = [("WELCOME5", 5), ("SPRING10", 10), ("SUMMER15", 15), ("VIP20", 20)];
const COUPON_SHARE: f64 = 0.3;
const COMPLETION_SHARE: f64 = 0.2;
const NULL_USER_SHARE: f64 = 0.005;
const BROKEN_SHARE: f64 = 0.02;
/// Orders that wait for their completion; the oldest is forgotten beyond that.
const OPEN_ORDERS_MAX: usize = 500;
/// How far back history goes: further than the twelve months that features cover.
const HISTORY_MONTHS: u32 = 14;

/// Makes records, endlessly.
pub struct Generator {
    random: StdRng,
    /// For each user, the share of orders of this and all users before.
    cumulated_shares: Vec<f64>,
    next_order_id: i32,
    open: VecDeque<Order>,
}

impl Generator {
    /// A generator for `users` users whose order ids begin at `first_order_id`.
    pub fn new(seed: u64, users: u32, first_order_id: i32) -> Self {
        let mut sum = 0.0;
        let cumulated: Vec<f64> = (1..=users.max(1))
            .map(|rank| {
                sum += 1.0 / f64::from(rank);
                sum
            })
            .collect();
        Self {
            random: StdRng::seed_from_u64(seed),
            cumulated_shares: cumulated.into_iter().map(|share| share / sum).collect(),
            next_order_id: first_order_id,
            open: VecDeque::new(),
        }
    }

    /// An order of the past, completed, between fourteen months ago and now.
    pub fn history(&mut self, now_ms: i64) -> Record {
        let now = at(now_ms);
        let first_day = NaiveDate::from_ymd_opt(now.year(), now.month(), 1).unwrap_or(NaiveDate::MIN);
        let from = first_day - Months::new(HISTORY_MONTHS - 1);
        let days = u64::try_from((now.date() - from).num_days()).unwrap_or(0);
        let day = from + Days::new(self.random.random_range(0..=days));
        let time = TimeDelta::milliseconds(self.random.random_range(0..86_400_000));
        let created_at = (day.and_time(chrono::NaiveTime::MIN) + time).min(now);
        let mut order = self.order(created_at);
        order.status = "2";
        order.updated_at = (created_at + TimeDelta::minutes(self.random.random_range(1..600))).min(now);
        self.record(&order, false)
    }

    /// What happens now: a new order, the completion of an earlier one, or something broken.
    pub fn live(&mut self, now_ms: i64) -> Record {
        if self.random.random_bool(BROKEN_SHARE) {
            return self.broken(now_ms);
        }
        if self.random.random_bool(COMPLETION_SHARE)
            && let Some(mut order) = self.open.pop_front()
        {
            order.status = "2";
            order.updated_at = at(now_ms);
            return self.record(&order, false);
        }
        let order = self.order(at(now_ms));
        if order.user_id.is_some() {
            self.open.push_back(order.clone());
            if self.open.len() > OPEN_ORDERS_MAX {
                self.open.pop_front();
            }
        }
        self.record(&order, true)
    }

    /// The order that a test hides from the jobs.
    pub fn hidden(&mut self, now_ms: i64) -> Record {
        let mut order = self.order(at(now_ms));
        order.user_id = Some(FIRST_USER_ID);
        self.record(&order, true)
    }

    fn order(&mut self, created_at: NaiveDateTime) -> Order {
        let order_id = self.next_order_id;
        self.next_order_id = self.next_order_id.saturating_add(1);
        let share: f64 = self.random.random();
        let rank = self.cumulated_shares.partition_point(|cumulated| *cumulated < share);
        let rank = rank.min(self.cumulated_shares.len() - 1);
        let user_id = FIRST_USER_ID + i32::try_from(rank).unwrap_or(0);
        // Many small orders, a few large ones.
        let amount_cents = (499.0 / (1.0 - self.random.random_range(0.0..0.995_f64)).powf(0.9)) as u64;
        let coupon = self.random.random_bool(COUPON_SHARE).then(|| {
            let (code, percent) = COUPONS[self.random.random_range(0..COUPONS.len())];
            (code, amount_cents * percent / 100)
        });
        Order {
            order_id,
            amount_cents,
            coupon,
            user_id: (!self.random.random_bool(NULL_USER_SHARE)).then_some(user_id),
            status: "1",
            created_at,
            updated_at: created_at,
            product_id: self.random.random_range(1..=2000),
        }
    }

    fn record(&self, order: &Order, is_new: bool) -> Record {
        let (code, discount) = match order.coupon {
            Some((code, cents)) => (format!("\"{code}\""), money(cents)),
            None => ("null".to_owned(), "null".to_owned()),
        };
        let payload = format!(
            r#"{{"order_id":{},"order_amount":{},"coupon_code":{code},"coupon_discount_amount":{discount},"user_id":{},"order_status":"{}","created_at":"{}","updated_at":"{}","product_id":{}}}"#,
            order.order_id,
            money(order.amount_cents),
            order.user_id.map_or("null".to_owned(), |id| id.to_string()),
            order.status,
            timestamp(order.created_at),
            timestamp(order.updated_at),
            order.product_id,
        );
        Record { key: order.user_id.map(|id| id.to_string()), payload, counts_for: order.user_id.filter(|_| is_new) }
    }

    fn broken(&mut self, now_ms: i64) -> Record {
        let order = self.order(at(now_ms));
        let whole = self.record(&order, true);
        match self.random.random_range(0..4) {
            0 => {
                let length = self.random.random_range(1..whole.payload.len());
                Record { key: None, payload: whole.payload[..length].to_owned(), counts_for: None }
            }
            1 => Record { key: None, payload: "<html>502 Bad Gateway</html>".to_owned(), counts_for: None },
            // An order that nobody priced: it counts, with no amount.
            2 => {
                let (from, to) = (r#""order_amount":"#, r#""user_id":"#);
                let payload = without(&whole.payload, from, to);
                Record { payload, ..whole }
            }
            // An order without a time is in no month.
            _ => {
                let (from, to) = (r#""created_at":"#, r#""product_id":"#);
                let payload = without(&whole.payload, from, to);
                Record { payload, counts_for: None, ..whole }
            }
        }
    }
}

fn without(payload: &str, from: &str, to: &str) -> String {
    match (payload.find(from), payload.find(to)) {
        (Some(from), Some(to)) => format!("{}{}", &payload[..from], &payload[to..]),
        _ => payload.to_owned(),
    }
}

fn at(now_ms: i64) -> NaiveDateTime {
    DateTime::from_timestamp_millis(now_ms).unwrap_or_default().naive_utc()
}

fn timestamp(time: NaiveDateTime) -> String {
    time.format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests;
