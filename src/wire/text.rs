//! Values as Postgres prints them: floats, numerics, dates, intervals. Knows no Arrow arrays.

use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use chrono::{Datelike, NaiveDate, Offset, TimeZone, Timelike};

use crate::error::{Error, Result, SqlState};

/// A session's time zone: a name of the tz database, or an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// `Asia/Shanghai`
    Named(chrono_tz::Tz),
    /// `+08:00`, seconds east of Greenwich.
    Fixed(i32),
}

impl Zone {
    /// Reads a zone's name without regard to case, or an ISO offset; anything else is UTC.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Some(zone) = chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(text)) {
            return Zone::Named(*zone);
        }
        let offset = text.strip_prefix(['+', '-']).and_then(|digits| {
            let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
            Some(hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60)
        });
        match offset {
            Some(seconds) if text.starts_with('-') => Zone::Fixed(-seconds),
            Some(seconds) => Zone::Fixed(seconds),
            None => Zone::Fixed(0),
        }
    }

    /// Seconds east of Greenwich at a moment.
    pub fn offset_seconds(self, microseconds: i64) -> i32 {
        match self {
            Zone::Fixed(seconds) => seconds,
            Zone::Named(zone) => chrono::DateTime::from_timestamp(microseconds.div_euclid(1_000_000), 0)
                .map_or(0, |moment| zone.offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc()),
        }
    }

    /// Seconds east of Greenwich at a local time; the earlier one where a clock goes back.
    pub fn offset_of_local(self, local: &chrono::NaiveDateTime) -> i32 {
        match self {
            Zone::Fixed(seconds) => seconds,
            Zone::Named(zone) => zone
                .offset_from_local_datetime(local)
                .earliest()
                .map_or_else(|| zone.offset_from_utc_datetime(local).fix(), |offset| offset.fix())
                .local_minus_utc(),
        }
    }
}

/// How values of this session look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// `TimeZone`
    pub zone: Zone,
}

impl Style {
    /// With the time zone of that name.
    pub fn of_zone(name: &str) -> Self {
        Self { zone: Zone::parse(name) }
    }
}

/// A float in its shortest form that reads back: `1e+20`, `0.1`, `Infinity`. `digits` is where scientific notation begins.
pub fn float(out: &mut BytesMut, shortest: &str, value: f64, digits: i32) {
    if value.is_nan() {
        return out.put_slice(b"NaN");
    }
    if value.is_infinite() {
        return out.put_slice(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
    }
    // `shortest` is Rust's `{:e}`: -1.25e-7
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..digits).contains(&exponent) {
        let _ = write!(out, "{value}");
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{mantissa}e{sign}{:02}", exponent.abs());
    }
}

/// A decimal from the digits of its unscaled value: `-123`, scale 2 → `-1.23`.
pub fn decimal(out: &mut BytesMut, unscaled: &str, scale: i8, trim: bool) {
    let (sign, digits) = match unscaled.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", unscaled),
    };
    let zero = digits.bytes().all(|digit| digit == b'0');
    if !zero {
        out.put_slice(sign.as_bytes());
    }
    let scale_digits = usize::from(scale.unsigned_abs());
    if scale <= 0 {
        out.put_slice(digits.as_bytes());
        if !zero {
            out.put_bytes(b'0', scale_digits);
        }
        return;
    }
    let split = digits.len().saturating_sub(scale_digits);
    let (whole, fraction) = digits.split_at(split);
    out.put_slice(if whole.is_empty() { b"0" } else { whole.as_bytes() });
    let padding = scale_digits - fraction.len();
    let shown = if trim { fraction.trim_end_matches('0') } else { fraction };
    if shown.is_empty() && trim {
        return;
    }
    out.put_u8(b'.');
    out.put_bytes(b'0', padding);
    out.put_slice(shown.as_bytes());
}

/// Days since 1970 → `2024-02-29`, with ` BC` behind years before 1; the era comes last in timestamps, so it is given back.
///
/// # Errors
/// 22008 outside of the years that we can print.
pub fn date(out: &mut BytesMut, days: i64) -> Result<&'static str> {
    let date = i32::try_from(days + 719_163)
        .ok()
        .and_then(NaiveDate::from_num_days_from_ce_opt)
        .ok_or_else(|| Error::invalid("date out of range").code(SqlState::DatetimeFieldOverflow))?;
    let (year, era) = if date.year() > 0 { (date.year(), "") } else { (1 - date.year(), " BC") };
    let _ = write!(out, "{year:04}-{:02}-{:02}", date.month(), date.day());
    Ok(era)
}

/// Microseconds of a day → `03:04:05.06`.
pub fn time(out: &mut BytesMut, microseconds: i64) {
    let seconds = microseconds / 1_000_000;
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    fraction(out, microseconds % 1_000_000);
}

fn fraction(out: &mut BytesMut, microseconds: i64) {
    if microseconds != 0 {
        let digits = format!("{microseconds:06}");
        out.put_u8(b'.');
        out.put_slice(digits.trim_end_matches('0').as_bytes());
    }
}

/// Microseconds since 1970 → `2024-02-29 03:04:05.06`, in a zone with its offset behind: `+08`. `between` separates date and time.
///
/// # Errors
/// 22008 outside of the years that we can print.
pub fn timestamp(out: &mut BytesMut, microseconds: i64, zone: Option<Zone>, between: u8) -> Result<()> {
    const DAY: i64 = 86_400_000_000;
    let offset = zone.map_or(0, |zone| zone.offset_seconds(microseconds));
    let local = microseconds.saturating_add(i64::from(offset) * 1_000_000);
    let era = date(out, local.div_euclid(DAY))?;
    out.put_u8(between);
    time(out, local.rem_euclid(DAY));
    if zone.is_some() {
        let absolute = offset.abs();
        let _ = write!(out, "{}{:02}", if offset < 0 { '-' } else { '+' }, absolute / 3600);
        if absolute % 3600 != 0 {
            let _ = write!(out, ":{:02}", absolute / 60 % 60);
        }
        if absolute % 60 != 0 {
            let _ = write!(out, ":{:02}", absolute % 60);
        }
    }
    out.put_slice(era.as_bytes());
    Ok(())
}

/// An interval in Postgres' own style: `1 year 2 mons -3 days +04:05:06`.
pub fn interval(out: &mut BytesMut, months: i32, days: i32, microseconds: i64) {
    let _ = crate::functions::intervals::write_text(out, months, days, microseconds);
}

/// Microseconds of a clock time.
pub fn microseconds_of(time: chrono::NaiveTime) -> i64 {
    i64::from(time.num_seconds_from_midnight()) * 1_000_000 + i64::from(time.nanosecond() / 1000)
}

#[cfg(test)]
mod tests;
