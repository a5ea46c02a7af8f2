use super::{FIRST_USER_ID, Generator};

const NOW_MS: i64 = 1_763_700_000_000; // 2025-11-21

#[test]
fn the_same_seed_makes_the_same_records() {
    let make = || {
        let mut generator = Generator::new(7, 50, 1);
        (0..500).map(|_| generator.live(NOW_MS)).collect::<Vec<_>>()
    };
    assert_eq!(make(), make());
}

#[test]
fn every_kind_of_record_comes_and_the_first_user_orders_most() {
    let mut generator = Generator::new(1, 100, 1);
    let records: Vec<_> = (0..5000).map(|_| generator.live(NOW_MS)).collect();
    let parsed: Vec<Option<serde_json::Value>> =
        records.iter().map(|record| serde_json::from_str(&record.payload).ok()).collect();
    let count = |test: &dyn Fn(&serde_json::Value) -> bool| {
        parsed.iter().flatten().filter(|value| value.is_object() && test(value)).count()
    };
    assert!(parsed.iter().any(Option::is_none));
    assert!(count(&|value| value["user_id"].is_null()) > 0);
    assert!(count(&|value| value.get("order_amount").is_none()) > 0);
    assert!(count(&|value| value.get("created_at").is_none()) > 0);
    assert!(count(&|value| value["coupon_code"].is_null()) > 1000);
    assert!(count(&|value| value["coupon_code"].is_string()) > 500);
    assert!(count(&|value| value["order_status"] == "2") > 500);
    let of_user = |id: i32| count(&|value| value["user_id"] == id);
    assert!(of_user(FIRST_USER_ID) > 5 * of_user(FIRST_USER_ID + 50));
}

#[test]
fn history_ends_now_and_spans_more_than_a_year() {
    let mut generator = Generator::new(3, 10, 1);
    let mut months: Vec<String> = (0..2000)
        .map(|_| {
            let value: serde_json::Value = serde_json::from_str(&generator.history(NOW_MS).payload).unwrap();
            let created_at = value["created_at"].as_str().unwrap().to_owned();
            assert!(created_at.as_str() <= "2025-11-21 04:40:00.000", "{created_at}");
            created_at[..7].to_owned()
        })
        .collect();
    months.sort_unstable();
    months.dedup();
    assert_eq!(months.len(), 14);
    assert_eq!((months[0].as_str(), months[13].as_str()), ("2024-10", "2025-11"));
}
