use super::*;

fn of(text: &str) -> (i32, i32, i64) {
    within(text, None)
}

fn within(text: &str, qualifier: Option<Qualifier>) -> (i32, i32, i64) {
    let interval = parse(text, qualifier).unwrap_or_else(|error| panic!("{text}: {error}"));
    (interval.months, interval.days, interval.nanoseconds)
}

fn to(first: Unit, last: Unit) -> Option<Qualifier> {
    Some(Qualifier { first, last: Some(last) })
}

const SECOND: i64 = 1_000_000_000;

#[test]
fn words_and_times_are_read_as_postgresql_reads_them() {
    assert_eq!(of("1 day"), (0, 1, 0));
    assert_eq!(of("1 year 2 months 3 days 04:05:06.7"), (14, 3, (4 * 3600 + 5 * 60 + 6) * SECOND + SECOND / 10 * 7));
    assert_eq!(of("04:05"), (0, 0, (4 * 3600 + 5 * 60) * SECOND));
    assert_eq!(of("04:05.5"), (0, 0, (4 * 60 + 5) * SECOND + SECOND / 2));
    assert_eq!(of("1 2:03"), (0, 1, (2 * 3600 + 180) * SECOND));
    assert_eq!(of("-1 2:03"), (0, -1, (2 * 3600 + 180) * SECOND));
    assert_eq!(of("1-2"), (14, 0, 0));
    assert_eq!(of("-1-2 +3 -4:05"), (-14, 3, -(4 * 3600 + 300) * SECOND));
    assert_eq!(of("@ 1 week 2days ago"), (0, -9, 0));
    assert_eq!(of("1.5 months 1.5 days .5h"), (1, 16, (12 * 3600 + 1800) * SECOND));
    assert_eq!(of("1.5 years"), (18, 0, 0));
    assert_eq!(of("1d2h"), (0, 1, 7200 * SECOND));
    assert_eq!(of("90"), (0, 0, 90 * SECOND));
    assert_eq!(of("0.1234567 s"), (0, 0, 123_457_000));
    assert_eq!(of("5 nanoseconds"), (0, 0, 5));
    assert_eq!(of("P1Y2M3DT4H5M6.5S"), (14, 3, (4 * 3600 + 306) * SECOND + SECOND / 2));
    assert_eq!(of("P-2W"), (0, -14, 0));
}

#[test]
fn units_outside_the_quotes_say_what_numbers_are() {
    let one = |first| Some(Qualifier { first, last: None });
    assert_eq!(within("90", one(Unit::Minute)), (0, 0, 5400 * SECOND));
    assert_eq!(within("1", one(Unit::Quarter)), (3, 0, 0));
    assert_eq!(within("1-2", to(Unit::Year, Unit::Month)), (14, 0, 0));
    assert_eq!(within("-1-2", to(Unit::Year, Unit::Month)), (-14, 0, 0));
    assert_eq!(within("1 02:03", to(Unit::Day, Unit::Minute)), (0, 1, (7200 + 180) * SECOND));
    // In SQL's standard and in Flink a sign is that of all of it.
    assert_eq!(within("-1 02:03", to(Unit::Day, Unit::Minute)), (0, -1, -(7200 + 180) * SECOND));
    assert_eq!(within("1 2", to(Unit::Day, Unit::Hour)), (0, 1, 7200 * SECOND));
    assert_eq!(within("02:03", to(Unit::Minute, Unit::Second)), (0, 0, 123 * SECOND));
    assert_eq!(within("1 day 02:03:04", one(Unit::Day)), (0, 1, 0));
    assert_eq!(within("02:03:04", to(Unit::Hour, Unit::Minute)), (0, 0, (7200 + 180) * SECOND));
}

#[test]
fn what_is_no_interval_is_told() {
    let code = |text| parse(text, None).unwrap_err().sqlstate().code();
    for text in [
        "",
        "soon",
        "1 fortnight",
        "1 day 2 days",
        "1 2",
        "1:2:3:4",
        "P",
        "P1T",
        "1 day,",
        "--1",
        "5 day x",
        "2023-01-01",
        "04:05-06",
    ] {
        assert_eq!(code(text), "22007", "{text}");
    }
    for text in ["04:65", "04:05:60", "1-13", "3000000000 days"] {
        assert_eq!(code(text), "22015", "{text}");
    }
}
