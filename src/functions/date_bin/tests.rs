use super::*;

const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400 * MICROS;

fn of(months: i32, days: i32, nanos: i64) -> IntervalMonthDayNano {
    IntervalMonthDayNano::new(months, days, nanos)
}

#[test]
fn strides_are_counted_from_the_origin_in_both_directions() {
    let quarter = of(0, 0, 900_000_000_000);
    assert_eq!(bin(quarter, 1_000 * MICROS, 0, MICROS).unwrap(), 900 * MICROS);
    assert_eq!(bin(quarter, -MICROS, 0, MICROS).unwrap(), -900 * MICROS);
    assert_eq!(bin(quarter, 1_000 * MICROS, 150 * MICROS, MICROS).unwrap(), 150 * MICROS);
    // 9999-12-31 and 0001-01-01.
    assert_eq!(bin(of(0, 1, 0), 2_932_896 * DAY + 5, 0, MICROS).unwrap(), 2_932_896 * DAY);
    assert_eq!(bin(of(0, 1, 0), -719_162 * DAY + 5, 0, MICROS).unwrap(), -719_162 * DAY);
}

#[test]
fn strides_of_months_begin_on_the_day_of_the_origin() {
    // 1970-02-15, by months from 1970-01-20.
    assert_eq!(bin(of(1, 0, 0), 45 * DAY, 19 * DAY, MICROS).unwrap(), 19 * DAY);
    assert_eq!(bin(of(1, 0, 0), 45 * DAY, 0, MICROS).unwrap(), 31 * DAY);
    assert_eq!(bin(of(1, 0, 0), -DAY, 0, MICROS).unwrap(), -31 * DAY);
    assert_eq!(bin(of(1, 1, 0), 0, 0, MICROS).unwrap_err().sqlstate().code(), "0A000");
    assert_eq!(bin(of(0, 0, 0), 0, 0, MICROS).unwrap_err().sqlstate().code(), "22008");
}
