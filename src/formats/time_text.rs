//! Dates and times as Flink's text formats write them: the SQL standard's `2024-01-31 10:00:00.5` and ISO 8601's
//! `2024-01-31T10:00:00.5`, with a `Z` for instants. Strict on reading, as Flink is: the other form is no timestamp.

use std::io::Write;

use chrono::{Datelike, NaiveDate};
use datafusion::arrow::datatypes::TimeUnit;

/// How timestamps are written (`timestamp-format.standard`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standard {
    /// A space between date and time.
    Sql,
    /// A `T` between them; seconds may be left out on reading.
    Iso8601,
}

const DAYS_TO_1970: i32 = 719_163;
/// Seconds of a day.
pub const SECONDS_A_DAY: i64 = 86_400;

/// Bytes of a date without its year: `-MM-dd`.
const BEHIND_YEAR: usize = 6;

/// Days since 1970-01-01 of `yyyy-MM-dd`; years beyond 9999 have a plus, as Java writes them.
pub fn parse_date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    let (year, rest) = bytes.split_at_checked(bytes.len().checked_sub(BEHIND_YEAR)?)?;
    let year = match year {
        [b'+', year @ ..] if (5..=6).contains(&year.len()) => year,
        year if year.len() == 4 => year,
        _ => return None,
    };
    if rest[0] != b'-' || rest[3] != b'-' {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(number(year)?.try_into().ok()?, number(&rest[1..3])?, number(&rest[4..6])?)?;
    Some(date.num_days_from_ce() - DAYS_TO_1970)
}

/// Seconds of the day and nanoseconds of `HH:mm:ss[.fraction]`.
pub fn parse_time(text: &str, seconds_may_lack: bool) -> Option<(i64, u32)> {
    let bytes = text.as_bytes();
    if bytes.len() < 5 || bytes[2] != b':' {
        return None;
    }
    let (hour, minute) = (number(&bytes[0..2])?, number(&bytes[3..5])?);
    let (second, nanos) = match bytes.get(5..) {
        Some([]) if seconds_may_lack => (0, 0),
        Some([b':', rest @ ..]) if rest.len() >= 2 => {
            let nanos = match &rest[2..] {
                [] => 0,
                [b'.', fraction @ ..] if fraction.len() <= 9 => {
                    // Flink reads a bare point as no fraction.
                    let digits = if fraction.is_empty() { 0 } else { number(fraction)? };
                    digits * 10_u32.pow(9 - fraction.len() as u32)
                }
                _ => return None,
            };
            (number(&rest[..2])?, nanos)
        }
        _ => return None,
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some((i64::from(hour * 3600 + minute * 60 + second), nanos))
}

/// Seconds since 1970 and nanoseconds of a timestamp; `with_zone`: a `Z` must follow, else none may.
pub fn parse_timestamp(text: &str, standard: Standard, with_zone: bool) -> Option<(i64, u32)> {
    let text = if with_zone { text.strip_suffix('Z')? } else { text };
    let separator = if standard == Standard::Sql { b' ' } else { b'T' };
    let length = if text.starts_with('+') { text.find('-')? + BEHIND_YEAR } else { 10 };
    if text.as_bytes().get(length) != Some(&separator) || !text.is_char_boundary(length) {
        return None;
    }
    let days = parse_date(&text[..length])?;
    let (seconds, nanos) = parse_time(&text[length + 1..], standard == Standard::Iso8601)?;
    Some((i64::from(days) * SECONDS_A_DAY + seconds, nanos))
}

/// Whether a text is one of MySQL's zero timestamps (`0000-00-00 00:00:00`).
pub fn is_zero_timestamp(text: &str) -> bool {
    text.starts_with("0000-00-00")
}

/// Seconds and nanoseconds as a count of `unit`, what is finer cut off.
pub fn to_unit(seconds: i64, nanos: u32, unit: TimeUnit) -> Option<i64> {
    let (per_second, nanos_per) = factors(unit);
    seconds.checked_mul(per_second)?.checked_add(i64::from(nanos) / nanos_per)
}

/// A count of `unit` as seconds and nanoseconds.
pub fn from_unit(value: i64, unit: TimeUnit) -> (i64, u32) {
    let (per_second, nanos_per) = factors(unit);
    (value.div_euclid(per_second), (value.rem_euclid(per_second) * nanos_per) as u32)
}

fn factors(unit: TimeUnit) -> (i64, i64) {
    match unit {
        TimeUnit::Second => (1, 1_000_000_000),
        TimeUnit::Millisecond => (1_000, 1_000_000),
        TimeUnit::Microsecond => (1_000_000, 1_000),
        TimeUnit::Nanosecond => (1_000_000_000, 1),
    }
}

/// Writes `yyyy-MM-dd`; false if the year is out of chrono's range.
pub fn write_date(days: i32, out: &mut Vec<u8>) -> bool {
    let Some(date) = days.checked_add(DAYS_TO_1970).and_then(NaiveDate::from_num_days_from_ce_opt) else {
        return false;
    };
    match date.year() {
        year @ 0..=9999 => {
            push_digits::<4>(year.unsigned_abs(), out);
        }
        // Writing into a Vec cannot fail.
        year => {
            let _ = write!(out, "{year:+05}");
        }
    }
    out.push(b'-');
    push_digits::<2>(date.month(), out);
    out.push(b'-');
    push_digits::<2>(date.day(), out);
    true
}

/// Writes `HH:mm:ss` and as many digits of the fraction as it has. `seconds` are those of a day.
pub fn write_time(seconds: i64, nanos: u32, out: &mut Vec<u8>) {
    let seconds = seconds.rem_euclid(SECONDS_A_DAY) as u32;
    push_digits::<2>(seconds / 3600, out);
    out.push(b':');
    push_digits::<2>(seconds / 60 % 60, out);
    out.push(b':');
    push_digits::<2>(seconds % 60, out);
    if nanos != 0 {
        out.push(b'.');
        push_digits::<9>(nanos, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// The last `N` decimal digits of a number.
fn push_digits<const N: usize>(number: u32, out: &mut Vec<u8>) {
    let mut digits = [b'0'; N];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits);
}

/// Writes a timestamp; false if the year is out of range.
pub fn write_timestamp(value: i64, unit: TimeUnit, standard: Standard, with_zone: bool, out: &mut Vec<u8>) -> bool {
    let (seconds, nanos) = from_unit(value, unit);
    let Ok(days) = i32::try_from(seconds.div_euclid(SECONDS_A_DAY)) else { return false };
    if !write_date(days, out) {
        return false;
    }
    out.push(if standard == Standard::Sql { b' ' } else { b'T' });
    write_time(seconds.rem_euclid(SECONDS_A_DAY), nanos, out);
    if with_zone {
        out.push(b'Z');
    }
    true
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}
