use super::*;

fn of(months: i32, days: i32, nanos: i64) -> IntervalMonthDayNano {
    IntervalMonthDayNano::new(months, days, nanos)
}

const HOUR: i64 = 3_600_000_000_000;

#[test]
fn products_and_quotients_are_those_of_postgresql() {
    assert_eq!(times(of(0, 1, 0), 2.0).unwrap(), of(0, 2, 0));
    assert_eq!(times(of(0, 1, 0), 1.5).unwrap(), of(0, 1, 12 * HOUR));
    assert_eq!(times(of(1, 0, 0), 1.5).unwrap(), of(1, 15, 0));
    assert_eq!(times(of(1, 0, 0), 0.1).unwrap(), of(0, 3, 0));
    assert_eq!(divided(of(0, 1, 0), 2.0).unwrap(), of(0, 0, 12 * HOUR));
    assert_eq!(divided(of(1, 1, HOUR), 2.0).unwrap(), of(0, 15, 12 * HOUR + HOUR / 2));
    assert_eq!(divided(of(0, 0, HOUR), 3.0).unwrap(), of(0, 0, HOUR / 3));
    assert_eq!(times(of(0, -1, 0), 0.5).unwrap(), of(0, 0, -12 * HOUR));
    assert_eq!(divided(of(0, 1, 0), 0.0).unwrap_err().sqlstate().code(), "22012");
    assert_eq!(times(of(1, 0, 0), 1e12).unwrap_err().sqlstate().code(), "22008");
    assert_eq!(times(of(1, 0, 0), f64::NAN).unwrap_err().sqlstate().code(), "22008");
}

#[test]
fn keys_are_in_the_order_of_lengths_and_give_their_interval_again() {
    let ordered = [
        of(-1, 0, 0),
        of(0, -1, 0),
        of(0, 0, -1),
        of(0, 0, 0),
        of(0, 0, 23 * HOUR),
        of(0, 1, 0),
        of(0, 0, 25 * HOUR),
        of(0, 31, 0),
    ];
    let keys = ordered.map(key);
    assert!(keys.is_sorted());
    for (interval, key) in ordered.iter().zip(&keys) {
        assert_eq!(interval_of(key).unwrap(), *interval);
    }
    assert_eq!(key(of(1, 0, 0))[..16], key(of(0, 30, 0))[..16]);
    assert_eq!(key(of(0, 1, 0))[..16], key(of(0, 0, 24 * HOUR))[..16]);
}
