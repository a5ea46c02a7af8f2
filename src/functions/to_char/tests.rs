//! The examples of PostgreSQL's documentation (table 9.31) in the C locale, and what psql 16 gives for others.

use chrono::NaiveDate;

use super::*;

fn number(value: &str, pattern: &str) -> String {
    number::print(&number::parse(pattern).unwrap(), value)
}

#[test]
fn numbers_are_as_in_the_documentation() {
    for (value, pattern, expected) in [
        ("-0.1", "99.99", "  -.10"),
        ("-0.1", "FM9.99", "-.1"),
        ("-0.1", "FM90.99", "-0.1"),
        ("0.1", "0.9", " 0.1"),
        ("12", "9990999.9", "    0012.0"),
        ("12", "FM9990999.9", "0012."),
        ("485", "999", " 485"),
        ("-485", "999", "-485"),
        ("485", "9 9 9", " 4 8 5"),
        ("1485", "9,999", " 1,485"),
        ("1485", "9G999", " 1,485"),
        ("148.5", "999.999", " 148.500"),
        ("148.5", "FM999.999", "148.5"),
        ("148.5", "FM999.990", "148.500"),
        ("3148.5", "9G999D999", " 3,148.500"),
        ("-485", "999S", "485-"),
        ("-485", "999MI", "485-"),
        ("485", "999MI", "485 "),
        ("485", "FM999MI", "485"),
        ("485", "PL999", "+485"),
        ("485", "SG999", "+485"),
        ("-485", "SG999", "-485"),
        ("-485", "9SG99", "4-85"),
        ("-485", "999PR", "<485>"),
        ("454", "RN", "          CDLIV"),
        ("454", "FMRN", "CDLIV"),
        ("5.2", "FMRN", "V"),
        ("482", "999th", " 482nd"),
        ("485", "\"Good number:\"999", "Good number: 485"),
        ("485.8", "\"Pre:\"999\" Post:\" .999", "Pre: 485 Post: .800"),
        ("12", "99V999", " 12000"),
        ("12.4", "99V999", " 12400"),
        ("12.45", "99V9", " 125"),
        ("0.0004859", "9.99EEEE", " 4.86e-04"),
        ("9.996", "9.99EEEE", " 1.00e+01"),
        ("1234567.891", "FM9,999,999.00", "1,234,567.89"),
        ("1234", "999", " ###"),
        ("0", "FM990.00", "0.00"),
        ("-0.001", "FM990.00", "0.00"),
        ("12", "S999", " +12"),
    ] {
        assert_eq!(number(value, pattern), expected, "{value} {pattern}");
    }
}

#[test]
fn patterns_of_numbers_that_contradict_themselves_are_refused() {
    for pattern in ["9.9.9", "9V9.9", "S9MI", "9PRS", "9EEEEV9", "RN9"] {
        assert_eq!(number::parse(pattern).unwrap_err().sqlstate().code(), "42601", "{pattern}");
    }
}

fn time(pattern: &str) -> String {
    let at = NaiveDate::from_ymd_opt(2024, 1, 5).unwrap().and_hms_micro_opt(13, 4, 9, 56_789).unwrap();
    let zone = Zone { name: "CET".to_owned(), east: 3600 };
    datetime::print(&datetime::parse(pattern), &Moment::of(at, Some(zone)))
}

#[test]
fn times_are_as_in_postgresql() {
    for (pattern, expected) in [
        ("YYYY-MM-DD HH24:MI:SS", "2024-01-05 13:04:09"),
        ("HH12:MI:SS AM", "01:04:09 PM"),
        ("HH:MI p.m.", "01:04 p.m."),
        ("Day, DD Month YYYY", "Friday   , 05 January   2024"),
        ("FMDay, FMDD FMMonth", "Friday, 5 January"),
        ("DY Mon mon MON", "FRI Jan jan JAN"),
        ("MS US FF3 FF1", "056 056789 056 0"),
        ("Y,YYY YYY YY Y CC", "2,024 024 24 4 21"),
        ("IYYY-IW-ID IDDD", "2024-01-5 005"),
        ("DDD D WW W Q J", "005 6 01 1 1 2460315"),
        ("SSSS", "47049"),
        ("DDth FMDDTH", "05th 5TH"),
        ("TZ TZH:TZM OF tz", "CET +01:00 +01 cet"),
        ("\"at\" HH24 \"o''clock\"", "at 13 o''clock"),
        ("YYYY\\\"", "2024\""),
        ("RM rm AD B.C.", "I    i    AD A.D."),
    ] {
        assert_eq!(time(pattern), expected, "{pattern}");
    }
}

#[test]
fn intervals_may_have_many_hours() {
    let interval = Moment::of_interval(14, 3, 36 * 3_600_000_000 + 61_000_000);
    assert_eq!(datetime::print(&datetime::parse("YYYY MM DD HH24:MI:SS"), &interval), "0001 02 03 36:01:01");
}
