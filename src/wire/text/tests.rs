//! Texts as PostgreSQL 15 prints them.

use bytes::BytesMut;

use super::{Zone, decimal, float, interval, timestamp};

fn written(write: impl FnOnce(&mut BytesMut)) -> String {
    let mut out = BytesMut::new();
    write(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn floats_are_shortest() {
    let text = |value: f64| written(|out| float(out, &format!("{value:e}"), value, 15));
    assert_eq!(text(0.1), "0.1");
    assert_eq!(text(1e15), "1e+15");
    assert_eq!(text(1e14), "100000000000000");
    assert_eq!(text(0.0001), "0.0001");
    assert_eq!(text(0.00001), "1e-05");
    assert_eq!(text(-1.5e300), "-1.5e+300");
    assert_eq!(text(f64::NEG_INFINITY), "-Infinity");
    assert_eq!(text(0.0), "0");
}

#[test]
fn decimals_keep_their_scale_or_lose_their_zeros() {
    let text = |digits: &str, scale, trim| written(|out| decimal(out, digits, scale, trim));
    assert_eq!(text("-12300", 2, false), "-123.00");
    assert_eq!(text("-12300", 2, true), "-123");
    assert_eq!(text("5", 3, false), "0.005");
    assert_eq!(text("0", 2, false), "0.00");
    assert_eq!(text("0", 38, true), "0");
    assert_eq!(text("12", -2, false), "1200");
    assert_eq!(text("1050", 3, true), "1.05");
}

#[test]
fn moments_are_shown_in_the_zone() {
    let text = |micros, zone| written(|out| timestamp(out, micros, zone, b' ').unwrap());
    assert_eq!(text(0, None), "1970-01-01 00:00:00");
    assert_eq!(text(-1, None), "1969-12-31 23:59:59.999999");
    assert_eq!(text(1_500_000, Some(Zone::parse("asia/shanghai"))), "1970-01-01 08:00:01.5+08");
    assert_eq!(text(0, Some(Zone::parse("-03:30"))), "1969-12-31 20:30:00-03:30");
    assert_eq!(text(-62_167_219_200_000_001, None), "0002-12-31 23:59:59.999999 BC");
}

#[test]
fn intervals_look_as_in_postgres() {
    let text = |months, days, micros| written(|out| interval(out, months, days, micros));
    assert_eq!(text(14, 3, 14_706_000_000), "1 year 2 mons 3 days 04:05:06");
    assert_eq!(text(0, 0, 0), "00:00:00");
    assert_eq!(text(-1, 1, 1_000), "-1 mons +1 day 00:00:00.001");
    assert_eq!(text(0, -1, 1_000_000), "-1 days +00:00:01");
    assert_eq!(text(0, 0, -3_600_000_000), "-01:00:00");
}
