//! Dates, times and timestamps as the text that DynamoDB items hold: written as Flink does, read in the ISO forms too.
//! Instants are written in UTC with a `Z`; a timestamp without a zone is written as it stands.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use crate::formats::time_text;

/// Nanoseconds in a second.
pub const NANOS: i128 = 1_000_000_000;

/// The days of the years 0000 to 9999, since 1970.
const DAYS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

/// Writes days since 1970-01-01 as `yyyy-MM-dd`; false if the year has no four digits.
pub fn write_date(days: i64, out: &mut Vec<u8>) -> bool {
    DAYS.contains(&days) && time_text::write_date(days as i32, out)
}

/// Writes a time of day as `HH:mm:ss[.fraction]`, the fraction in groups of three digits; false if it is none.
pub fn write_time(seconds: i64, nanos: u32, out: &mut Vec<u8>) -> bool {
    if !(0..time_text::SECONDS_A_DAY).contains(&seconds) {
        return false;
    }
    let fraction = out.len() + "HH:mm:ss.".len();
    time_text::write_time(seconds, nanos, out);
    while out.len() > fraction && !(out.len() - fraction).is_multiple_of(3) {
        out.push(b'0');
    }
    true
}

/// Writes seconds and nanoseconds since 1970 as `yyyy-MM-dd HH:mm:ss[.fraction]`; false if the year has no four digits.
pub fn write_timestamp(seconds: i64, nanos: u32, out: &mut Vec<u8>) -> bool {
    if !write_date(seconds.div_euclid(time_text::SECONDS_A_DAY), out) {
        return false;
    }
    out.push(b' ');
    write_time(seconds.rem_euclid(time_text::SECONDS_A_DAY), nanos, out)
}

/// Reads `yyyy-MM-dd`, as days since 1970.
pub fn parse_date(text: &str) -> Option<i64> {
    let text = text.trim();
    // One form only, so that equal dates are equal texts.
    if text.len() != 10 {
        return None;
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(i64::from(date.to_epoch_days()))
}

/// Reads `HH:mm[:ss[.fraction]]`, as nanoseconds since midnight.
pub fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim();
    let time =
        NaiveTime::parse_from_str(text, "%H:%M:%S%.f").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M")).ok()?;
    Some(i64::from(time.num_seconds_from_midnight()) * NANOS as i64 + i64::from(time.nanosecond()))
}

/// Reads `yyyy-MM-dd[( |T)HH:mm[:ss[.fraction]]][Z|±HH[:mm]]`, as nanoseconds since 1970 (in UTC, if there is an offset).
pub fn parse_timestamp(text: &str) -> Option<i128> {
    let text = text.trim();
    if !text.is_char_boundary(10) || text.len() < 10 {
        return None;
    }
    let (date, rest) = text.split_at(10);
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    if rest.is_empty() {
        return Some(nanos(date.and_time(NaiveTime::MIN)));
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, offset_seconds) = if let Some(time) = rest.strip_suffix(['Z', 'z']) {
        (time, 0)
    } else if let Some(at) = rest.find(['+', '-']) {
        (&rest[..at], parse_offset(&rest[at..])?)
    } else {
        (rest, 0)
    };
    let time = parse_time(time)?;
    Some(nanos(date.and_time(NaiveTime::MIN)) + i128::from(time) - i128::from(offset_seconds) * NANOS)
}

fn parse_offset(text: &str) -> Option<i64> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || !matches!(digits.len(), 2 | 4) {
        return None;
    }
    let hours: i64 = digits[..2].parse().ok()?;
    let minutes: i64 = if digits.len() == 4 { digits[2..].parse().ok()? } else { 0 };
    Some(sign * (hours * 3600 + minutes * 60))
}

fn nanos(at: NaiveDateTime) -> i128 {
    i128::from(at.and_utc().timestamp()) * NANOS + i128::from(at.and_utc().timestamp_subsec_nanos())
}

#[cfg(test)]
mod tests;
