use super::Unit;

fn number(text: &str) -> i64 {
    text.parse::<chrono::NaiveDateTime>().unwrap().and_utc().timestamp()
}

fn check(unit: &str, time: &str, start: &str) {
    assert_eq!(Unit::parse(unit).unwrap().of_number(number(time), 1), Some(number(start)), "{unit} of {time}");
}

#[test]
fn units_begin_where_postgres_begins_them() {
    check("hour", "2024-05-16T10:11:12", "2024-05-16T10:00:00");
    check("day", "1969-05-16T10:11:12", "1969-05-16T00:00:00");
    check("week", "2024-05-16T10:11:12", "2024-05-13T00:00:00");
    check("week", "0001-01-01T10:11:12", "0001-01-01T00:00:00");
    check("month", "2024-05-16T10:11:12", "2024-05-01T00:00:00");
    check("quarter", "2024-05-16T10:11:12", "2024-04-01T00:00:00");
    check("year", "9999-12-31T23:59:59", "9999-01-01T00:00:00");
    check("decade", "2024-05-16T10:11:12", "2020-01-01T00:00:00");
    check("century", "2000-05-16T10:11:12", "1901-01-01T00:00:00");
    check("millennium", "2024-05-16T10:11:12", "2001-01-01T00:00:00");
}

#[test]
fn a_day_begins_by_the_clock_of_the_zone() {
    let zone = chrono_tz::Europe::Berlin;
    // 2024-03-31 12:00 in summer time; the day began in winter time.
    let noon = number("2024-03-31T10:00:00");
    assert_eq!(Unit::parse("day").unwrap().of_local(noon, 1, zone), Some(number("2024-03-30T23:00:00")));
    // The hour from 2 to 3 comes twice in October: each begins for itself.
    for (time, start) in
        [("2024-10-27T00:30:00", "2024-10-27T00:00:00"), ("2024-10-27T01:30:00", "2024-10-27T01:00:00")]
    {
        assert_eq!(Unit::parse("hour").unwrap().of_local(number(time), 1, zone), Some(number(start)));
    }
}
