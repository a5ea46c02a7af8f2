use super::*;

const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
const TIME: DataType = DataType::Time64(TimeUnit::Microsecond);

fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn of(text: &str, to: &DataType) -> i64 {
    value(text, to, chrono_tz::Europe::Berlin).unwrap_or_else(|error| panic!("{text}: {error}"))
}

const SECOND: i64 = 1_000_000;
/// 2024-01-01 10:00:00.
const TEN: i64 = 1_704_103_200 * SECOND;

#[test]
fn timestamps_are_read_with_and_without_seconds_and_zones() {
    let forms =
        ["2024-01-01 10:00", "2024-1-1 10:00:00", "2024-01-01T10:00:00.000", "20240101 10:00", "2024/01/01 10:00 AM"];
    for text in forms {
        assert_eq!(of(text, &TIMESTAMP), TEN, "{text}");
    }
    // A TIMESTAMP passes over the zone, a TIMESTAMP_LTZ heeds it.
    for text in
        ["2024-01-01 10:00:00+02", "2024-01-01 10:00:00 -03:30", "2024-01-01 10:00:00Z", "2024-01-01 10:00 Asia/Tokyo"]
    {
        assert_eq!(of(text, &TIMESTAMP), TEN, "{text}");
    }
    assert_eq!(of("2024-01-01 10:00:00+02", &instant_type()), TEN - 7_200 * SECOND);
    assert_eq!(of("2024-01-01 10:00:00-0330", &instant_type()), TEN + 12_600 * SECOND);
    assert_eq!(of("2024-01-01 10:00 Asia/Tokyo", &instant_type()), TEN - 9 * 3_600 * SECOND);
    assert_eq!(of("2024-01-01 10:00", &instant_type()), TEN - 3_600 * SECOND);
    assert_eq!(of("2024-01-01 24:00", &TIMESTAMP), TEN + 14 * 3_600 * SECOND);
    assert_eq!(of("epoch", &TIMESTAMP), 0);
    assert_eq!(of("10000-01-01 00:00:00", &TIMESTAMP), 253_402_300_800 * SECOND);
}

#[test]
fn more_than_six_digits_of_a_second_are_rounded() {
    assert_eq!(of("2024-01-01 10:00:00.1234567", &TIMESTAMP), TEN + 123_457);
    assert_eq!(of("2024-01-01 10:00:00.12345649999", &TIMESTAMP), TEN + 123_456);
    assert_eq!(of("2024-01-01 10:00:00.9999999", &TIMESTAMP), TEN + SECOND);
    assert_eq!(of("1969-12-31 23:59:59.9999995", &TIMESTAMP), 0);
    assert_eq!(of("10:00:00.9999999", &TIME), 36_001 * SECOND);
    let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
    assert_eq!(of("2024-01-01 10:00:00.1234567895", &nanos), TEN * 1_000 + 123_456_790);
}

#[test]
fn clocks_that_are_put_forward_and_back_are_read_as_in_postgresql() {
    // 02:30 is passed over on 31 March, and shown twice on 27 October.
    assert_eq!(of("2024-03-31 02:30", &instant_type()), of("2024-03-31 01:30:00Z", &instant_type()));
    assert_eq!(of("2024-10-27 02:30", &instant_type()), of("2024-10-27 01:30:00Z", &instant_type()));
}

#[test]
fn what_is_no_date_is_told_from_one_out_of_range() {
    let code = |text, to| value(text, to, chrono_tz::UTC).unwrap_err().sqlstate().code();
    for text in [
        "",
        "never",
        "10:00",
        "2024-01-01x",
        "24-01-01",
        "2024-01-01 10",
        "2024-01-01 10:0",
        "2024-01-01 10:00 Nowhere/At",
    ] {
        assert_eq!(code(text, &TIMESTAMP), "22007", "{text}");
    }
    for text in ["2024-13-01", "2024-02-30", "0000-01-01", "2024-01-01 25:00", "2024-01-01 10:60", "999999-01-01"] {
        assert_eq!(code(text, &TIMESTAMP), "22008", "{text}");
    }
    assert_eq!(code("2024-01-01", &TIME), "22007");
    assert_eq!(code("24:00", &TIME), "22008");
    assert_eq!(code("3000-01-01 00:00:00", &DataType::Timestamp(TimeUnit::Nanosecond, None)), "22008");
}
