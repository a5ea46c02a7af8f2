use super::super::log::LogRecord;
use super::{Features, Month, Orders, Sum, cents};

const NOW_MS: i64 = 1_763_700_000_000; // 2025-11-21

fn orders(lines: &[&str]) -> Orders {
    let log: Vec<LogRecord> = lines
        .iter()
        .zip(0..)
        .map(|(line, offset)| LogRecord { partition: 0, offset, payload: line.as_bytes().to_vec() })
        .collect();
    Orders::of(&log)
}

fn order(order_id: i64, amount: &str, discount: &str, created_at: &str) -> String {
    format!(
        r#"{{"order_id":{order_id},"order_amount":{amount},"coupon_discount_amount":{discount},"user_id":7,"created_at":"{created_at}"}}"#
    )
}

#[test]
fn cents_are_exact_or_nothing() {
    for (text, expected) in [
        ("12.34", Some(1234)),
        ("12.3", Some(1230)),
        ("12", Some(1200)),
        ("0", Some(0)),
        ("12.3400", Some(1234)),
        ("-0.01", Some(-1)),
        ("12.345", None),
        ("1e3", None),
        ("null", None),
    ] {
        assert_eq!(cents(text), expected, "{text}");
    }
}

#[test]
fn month_and_year_cover_twelve_months_once() {
    let lines = [
        order(1, "1.00", "null", "2024-11-30 23:59:59.999"), // thirteen months back: not counted
        order(2, "2.00", "0.50", "2024-12-01 00:00:00.000"),
        order(3, "4.00", "null", "2025-10-31 23:59:59.999"),
        order(4, "8.00", "null", "2025-11-01 00:00:00.000"),
        order(5, "16.00", "1.25", "2025-11-20 10:00:00.000"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let features = orders(&lines).features(Month::at(NOW_MS));
    let month = Sum { orders: 2, amount_cents: 2400, discount_cents: 125 };
    let year = Sum { orders: 4, amount_cents: 3000, discount_cents: 175 };
    assert_eq!(features[&7], Features { month, year });
    assert_eq!(features[&7].to_string(), "month 2_24.00_1.25 year 4_30.00_1.75");
}

#[test]
fn the_last_record_of_an_order_counts_and_broken_ones_do_not() {
    let created = order(1, "5.00", "null", "2025-11-02 00:00:00.000");
    let completed = order(1, "6.00", "null", "2025-11-02 00:00:00.000");
    let lines = [
        created.as_str(),
        completed.as_str(),
        &created[..30],
        "<html>",
        r#"{"order_id":9,"user_id":null,"created_at":"2025-11-02 00:00:00.000"}"#,
        r#"{"order_id":2,"user_id":7,"created_at":"2025-11-02 00:00:00.000"}"#,
        r#"{"order_id":3,"order_amount":3.00,"user_id":8}"#,
    ];
    let orders = orders(&lines);
    assert_eq!((orders.records, orders.broken, orders.without_user, orders.user_count()), (7, 2, 1, 2));
    let features = orders.features(Month::at(NOW_MS));
    assert_eq!(features[&7].month, Sum { orders: 2, amount_cents: 600, discount_cents: 0 });
    assert_eq!(features[&8], Features::default());
}
