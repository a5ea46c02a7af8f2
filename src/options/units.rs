//! How durations and sizes are read, as Flink writes them, wherever they stand.

use std::time::Duration;

use crate::error::{Error, Result};

/// Parses a duration as Flink writes it (`TimeUtils.parseDuration`); a bare number is milliseconds.
///
/// # Errors
/// It is not a duration.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let bad = || {
        Error::invalid(format!("cannot read '{text}' as a duration"))
            .hint("Write a number and a unit, such as 500 ms, 10 s, 5 min, 1 h or 30 d.")
    };
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let nanos: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => 1,
        "us" | "µs" | "micro" | "micros" | "microsecond" | "microseconds" => 1_000,
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000_000,
        "m" | "min" | "minute" | "minutes" => 60_000_000_000,
        "h" | "hour" | "hours" => 3_600_000_000_000,
        "d" | "day" | "days" => 86_400_000_000_000,
        _ => return Err(bad()),
    };
    number.checked_mul(nanos).map(Duration::from_nanos).ok_or_else(bad)
}

/// Bytes of a size as Flink writes it: `512 mb`, `1g`, `65536`; units are powers of 1024.
///
/// # Errors
/// It is no such text, zero, or too large.
pub fn parse_memory_size(text: &str) -> Result<u64> {
    let wrong = || {
        Error::invalid(format!("\"{text}\" is no memory size"))
            .hint("Write a number and a unit, as '512 mb' or '2 gb'.")
    };
    let trimmed = text.trim();
    let digits = trimmed.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 0,
        "k" | "kb" | "kibibytes" => 10,
        "m" | "mb" | "mebibytes" => 20,
        "g" | "gb" | "gibibytes" => 30,
        "t" | "tb" | "tebibytes" => 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}
