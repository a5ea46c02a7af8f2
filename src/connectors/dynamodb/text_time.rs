//! Dates, times and timestamps as the text that DynamoDB items hold: written as Flink does, read in the ISO forms too.
//! Instants are written in UTC with a `Z`; a timestamp without a zone is written as it stands.

use std::fmt::Write;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

/// Nanoseconds in a second.
pub const NANOS: i128 = 1_000_000_000;
const SECONDS_A_DAY: i64 = 86_400;

/// Days since 1970-01-01 as `yyyy-MM-dd`.
pub fn date_text(days: i64) -> Option<String> {
    let date = NaiveDate::from_epoch_days(i32::try_from(days).ok()?)?;
    (0..=9999).contains(&date.year()).then(|| format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day()))
}

/// Nanoseconds since midnight as `HH:mm:ss[.fraction]`.
pub fn time_text(nanos: i64) -> Option<String> {
    let seconds = u32::try_from(nanos.div_euclid(NANOS as i64)).ok()?;
    let fraction = u32::try_from(nanos.rem_euclid(NANOS as i64)).ok()?;
    let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, fraction)?;
    let mut text = String::with_capacity(18);
    push_time(&mut text, time);
    Some(text)
}

/// Nanoseconds since 1970 as `yyyy-MM-dd HH:mm:ss[.fraction]`, the fraction in groups of three digits.
pub fn timestamp_text(nanos: i128) -> Option<String> {
    let seconds = i64::try_from(nanos.div_euclid(NANOS)).ok()?;
    let mut text = date_text(seconds.div_euclid(SECONDS_A_DAY))?;
    let time = NaiveTime::from_num_seconds_from_midnight_opt(
        seconds.rem_euclid(SECONDS_A_DAY) as u32,
        nanos.rem_euclid(NANOS) as u32,
    )?;
    text.push(' ');
    push_time(&mut text, time);
    Some(text)
}

fn push_time(text: &mut String, time: NaiveTime) {
    let _ = write!(text, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    match time.nanosecond() {
        0 => {}
        nanos if nanos % 1_000_000 == 0 => {
            let _ = write!(text, ".{:03}", nanos / 1_000_000);
        }
        nanos if nanos % 1_000 == 0 => {
            let _ = write!(text, ".{:06}", nanos / 1_000);
        }
        nanos => {
            let _ = write!(text, ".{nanos:09}");
        }
    }
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
