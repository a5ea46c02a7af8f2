//! Text read as an interval, as PostgreSQL reads it: `1 day 02:03:04`, `1-2`, `1 2:03`, `3 weeks ago`, `P1DT2H`; and with the units that
//! stand outside the quotes in both dialects: `'1-2' YEAR TO MONTH`, `'02:03' MINUTE TO SECOND`, `'90' MINUTE`. interval_input(text) is
//! the cast.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, IntervalMonthDayNanoArray};
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano};
use datafusion::logical_expr::{Expr, ScalarUDF, Volatility, lit};
use datafusion::scalar::ScalarValue;

use super::entry::{Entry, Maker};
use super::intervals::INTERVAL;
use super::{ColumnFunction, no_such_call};
use crate::error::{Error, Result, SqlState};

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::internal(NAME, "CAST of a text to an interval.", Maker::Plain(|| interval_input(false))),
    Entry::internal(TRY, "TRY_CAST of a text to an interval.", Maker::Plain(|| interval_input(true))),
];

/// Name of the cast of text.
pub const NAME: &str = "interval_input";
/// Name of the cast that gives NULL for what cannot be read.
pub const TRY: &str = "try_interval_input";

/// Parts of what a fraction is counted in.
const WHOLE: i128 = 1_000_000_000;
const NANOS_OF_A_SECOND: i128 = 1_000_000_000;
const NANOS_OF_A_DAY: i128 = 86_400 * NANOS_OF_A_SECOND;
const NANOS_OF_A_MICRO: i128 = 1_000;

/// `interval_input(text)`, or `try_interval_input(text)`.
pub fn interval_input(is_try: bool) -> Arc<ScalarUDF> {
    let coerce = |arguments: &[DataType]| match arguments {
        [_] => Ok(vec![DataType::Utf8]),
        _ => Err(no_such_call("interval", arguments, "CAST(text AS INTERVAL)")),
    };
    let name = if is_try { TRY } else { NAME };
    let body: super::Body = if is_try {
        |arguments, _| {
            let texts = arguments[0].as_string::<i32>().iter();
            Ok(Arc::new(texts.map(|text| parse(text?, None).ok()).collect::<IntervalMonthDayNanoArray>()))
        }
    } else {
        |arguments, _| {
            let texts = arguments[0].as_string::<i32>().iter();
            let intervals = texts.map(|text| text.map(|text| parse(text, None)).transpose());
            Ok(Arc::new(intervals.collect::<Result<IntervalMonthDayNanoArray>>()?))
        }
    };
    ColumnFunction::udf(name, Volatility::Immutable, coerce, INTERVAL, body)
}

/// A call that reads text; of a text that is written, its value.
///
/// # Errors
/// A text that is written and is none.
pub fn call(text: Expr, is_try: bool) -> Result<Expr> {
    if let (Expr::Literal(value, _), false) = (&text, is_try)
        && let Some(Some(text)) = value.try_as_str()
    {
        let read = parse(text, None).map_err(Error::of_every_row)?;
        return Ok(lit(ScalarValue::IntervalMonthDayNano(Some(read))));
    }
    Ok(interval_input(is_try).call(vec![text]))
}

/// A unit of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// A thousand years.
    Millennium,
    /// A hundred years.
    Century,
    /// Ten years.
    Decade,
    /// Twelve months.
    Year,
    /// Three months.
    Quarter,
    /// A month.
    Month,
    /// Seven days.
    Week,
    /// A day.
    Day,
    /// Sixty minutes.
    Hour,
    /// Sixty seconds.
    Minute,
    /// A second.
    Second,
    /// A thousandth of a second.
    Millisecond,
    /// A millionth of a second.
    Microsecond,
    /// A thousandth of a microsecond.
    Nanosecond,
}

impl Unit {
    /// The unit of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "millennium" | "millennia" | "millenniums" | "mil" | "mils" => Self::Millennium,
            "century" | "centuries" | "cent" | "c" => Self::Century,
            "decade" | "decades" | "dec" | "decs" => Self::Decade,
            "year" | "years" | "yr" | "yrs" | "y" => Self::Year,
            "quarter" | "quarters" | "qtr" => Self::Quarter,
            "month" | "months" | "mon" | "mons" => Self::Month,
            "week" | "weeks" | "w" => Self::Week,
            "day" | "days" | "d" => Self::Day,
            "hour" | "hours" | "hr" | "hrs" | "h" => Self::Hour,
            "minute" | "minutes" | "min" | "mins" | "m" => Self::Minute,
            "second" | "seconds" | "sec" | "secs" | "s" => Self::Second,
            "millisecond" | "milliseconds" | "msec" | "msecs" | "msecond" | "mseconds" | "ms" => Self::Millisecond,
            "microsecond" | "microseconds" | "usec" | "usecs" | "usecond" | "useconds" | "us" => Self::Microsecond,
            "nanosecond" | "nanoseconds" | "ns" => Self::Nanosecond,
            _ => return None,
        })
    }

    fn months(self) -> Option<i128> {
        Some(match self {
            Self::Millennium => 12_000,
            Self::Century => 1_200,
            Self::Decade => 120,
            Self::Year => 12,
            Self::Quarter => 3,
            Self::Month => 1,
            _ => return None,
        })
    }

    fn days(self) -> Option<i128> {
        match self {
            Self::Week => Some(7),
            Self::Day => Some(1),
            _ => None,
        }
    }

    fn nanos(self) -> i128 {
        match self {
            Self::Hour => 3_600 * NANOS_OF_A_SECOND,
            Self::Minute => 60 * NANOS_OF_A_SECOND,
            Self::Millisecond => 1_000_000,
            Self::Microsecond => NANOS_OF_A_MICRO,
            Self::Nanosecond => 1,
            _ => NANOS_OF_A_SECOND,
        }
    }
}

/// The units outside the quotes: `DAY`, or `DAY TO SECOND`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Qualifier {
    /// The first, or the only one.
    pub first: Unit,
    /// The last of several.
    pub last: Option<Unit>,
}

impl Qualifier {
    fn least(self) -> Unit {
        self.last.unwrap_or(self.first)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Parts {
    months: i128,
    days: i128,
    nanos: i128,
}

impl Parts {
    /// Adds so many whole and parts of [`WHOLE`] of a unit; what is left of a month are days, of a day its time.
    fn add(&mut self, unit: Unit, whole: i128, fraction: i128) {
        if let Some(months) = unit.months() {
            self.months += whole * months;
            let fraction = fraction * months;
            if unit == Unit::Month {
                let days = fraction * 30;
                self.days += days / WHOLE;
                self.add(Unit::Day, 0, days % WHOLE);
            } else {
                self.months += rounded(fraction, WHOLE);
            }
        } else if let Some(days) = unit.days() {
            self.days += whole * days;
            let fraction = fraction * days;
            self.days += fraction / WHOLE;
            self.nanos += to_micros(fraction % WHOLE * (NANOS_OF_A_DAY / WHOLE));
        } else {
            let nanos = fraction * unit.nanos() / WHOLE;
            self.nanos += whole * unit.nanos() + if unit == Unit::Nanosecond { nanos } else { to_micros(nanos) };
        }
    }

    fn negated(self) -> Self {
        Self { months: -self.months, days: -self.days, nanos: -self.nanos }
    }

    /// Without what is smaller than the last unit, as PostgreSQL does.
    fn cut(mut self, qualifier: Qualifier) -> Self {
        let to = |nanos: i128, unit: i128| nanos / unit * unit;
        match qualifier.least() {
            Unit::Millennium | Unit::Century | Unit::Decade | Unit::Year => {
                self.months = to(self.months, 12);
                (self.days, self.nanos) = (0, 0);
            }
            Unit::Quarter | Unit::Month => (self.days, self.nanos) = (0, 0),
            Unit::Week | Unit::Day => self.nanos = 0,
            unit @ (Unit::Hour | Unit::Minute) => self.nanos = to(self.nanos, unit.nanos()),
            _ => {}
        }
        self
    }
}

fn rounded(value: i128, unit: i128) -> i128 {
    let half = if value < 0 { -unit / 2 } else { unit / 2 };
    (value + half) / unit
}

fn to_micros(nanos: i128) -> i128 {
    rounded(nanos, NANOS_OF_A_MICRO) * NANOS_OF_A_MICRO
}

/// A number with its sign and its fraction in parts of [`WHOLE`].
#[derive(Debug, Clone, Copy)]
struct Number {
    whole: i128,
    fraction: i128,
}

#[derive(Debug, Clone, Copy)]
enum Item {
    Number(Number, Option<Unit>),
    /// Up to three numbers between colons.
    Time {
        is_negative: bool,
        numbers: [Option<Number>; 3],
    },
    YearMonth {
        is_negative: bool,
        years: i128,
        months: i128,
    },
}

/// Reads an interval.
///
/// # Errors
/// Text that is none (22007), or one that does not fit (22015).
pub fn parse(text: &str, qualifier: Option<Qualifier>) -> Result<IntervalMonthDayNano> {
    let invalid = || {
        Error::row(format!("invalid input syntax for type interval: \"{text}\"")).code(SqlState::InvalidDatetimeFormat)
    };
    let out_of_range =
        || Error::row(format!("interval field value out of range: \"{text}\"")).code(SqlState::IntervalFieldOverflow);
    let trimmed = text.trim();
    let parts = match trimmed.strip_prefix(['P', 'p']) {
        Some(rest) => of_iso(rest).ok_or_else(invalid)?,
        None => {
            let (is_negative, rest) = sign_of_all(trimmed, qualifier);
            let items = items(rest).ok_or_else(invalid)?;
            let parts = of_items(&items, qualifier).ok_or_else(invalid)?.ok_or_else(out_of_range)?;
            if is_negative { parts.negated() } else { parts }
        }
    };
    let parts = qualifier.map_or(parts, |qualifier| parts.cut(qualifier));
    let fits = || {
        let (months, days) = (i32::try_from(parts.months).ok()?, i32::try_from(parts.days).ok()?);
        Some(IntervalMonthDayNano::new(months, days, i64::try_from(parts.nanos).ok()?))
    };
    fits().ok_or_else(out_of_range)
}

/// Where several units stand outside the quotes, a sign is that of all of them, as in SQL's standard and in Flink; and `ago` is one.
fn sign_of_all(text: &str, qualifier: Option<Qualifier>) -> (bool, &str) {
    let text = text.strip_prefix('@').map_or(text, str::trim_start);
    let (is_ago, text) = match text.len().checked_sub(3).and_then(|at| Some((text.get(..at)?, text.get(at..)?))) {
        Some((before, end)) if end.eq_ignore_ascii_case("ago") && before.ends_with(char::is_whitespace) => {
            (true, before.trim_end())
        }
        _ => (false, text),
    };
    if qualifier.is_some_and(|qualifier| qualifier.last.is_some())
        && let Some(rest) = text.strip_prefix(['-', '+'])
        && !rest.contains('+')
        && !rest.contains(" -")
    {
        return (text.starts_with('-') != is_ago, rest);
    }
    (is_ago, text)
}

/// The words of an interval: `-1 day`, `2 h`, `02:03:04.5`, `1-2`.
fn items(text: &str) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let is_negative = rest.starts_with('-');
        rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).trim_start();
        let (first, after) = number(rest)?;
        rest = after;
        if rest.starts_with(':') {
            let mut numbers = [Some(first), None, None];
            for place in &mut numbers[1..] {
                let Some(after) = rest.strip_prefix(':') else { break };
                let (next, after) = number(after)?;
                *place = Some(next);
                rest = after;
            }
            items.push(Item::Time { is_negative, numbers });
        } else if let Some(after) = rest.strip_prefix('-')
            && first.fraction == 0
            && after.starts_with(|c: char| c.is_ascii_digit())
        {
            let (months, after) = number(after)?;
            if months.fraction != 0 {
                return None;
            }
            rest = after;
            items.push(Item::YearMonth { is_negative, years: first.whole, months: months.whole });
        } else {
            let sign = if is_negative { -1 } else { 1 };
            let number = Number { whole: first.whole * sign, fraction: first.fraction * sign };
            let behind = rest.trim_start();
            let length = behind.find(|c: char| !c.is_alphabetic()).unwrap_or(behind.len());
            let (word, after) = behind.split_at(length);
            let unit = match word {
                "" => None,
                word => Some(Unit::of_name(word)?),
            };
            if unit.is_some() {
                rest = after;
            }
            items.push(Item::Number(number, unit));
        }
        let behind = rest.trim_start();
        // The next one follows a blank or a unit.
        let is_apart = behind.len() < rest.len() || behind.is_empty();
        let follows_unit = matches!(items.last(), Some(Item::Number(_, Some(_))));
        if !is_apart && !follows_unit {
            return None;
        }
        rest = behind;
    }
    (!items.is_empty()).then_some(items)
}

/// A number without a sign, and what follows it.
fn number(text: &str) -> Option<(Number, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, mut rest) = text.split_at(digits);
    let mut fraction = 0;
    let mut behind = 0;
    if let Some(after) = rest.strip_prefix('.') {
        behind = after.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, after) = after.split_at(behind);
        rest = after;
        let kept = digits.get(..9).unwrap_or(digits);
        let scale = u32::try_from(9 - kept.len()).ok()?;
        fraction = if kept.is_empty() { 0 } else { kept.parse::<i128>().ok()? * 10_i128.pow(scale) };
    }
    if digits + behind == 0 || digits > 18 {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    Some((Number { whole, fraction }, rest))
}

/// The interval of words; inside `None`: a field of the time has too many.
fn of_items(items: &[Item], qualifier: Option<Qualifier>) -> Option<Option<Parts>> {
    let mut parts = Parts::default();
    let mut seen = Vec::new();
    // From the right: a number without a unit before a time is one of days.
    let mut unit_of_none = Some(qualifier.map_or(Unit::Second, Qualifier::least));
    let mut note = |unit: Unit| {
        let is_new = !seen.contains(&unit);
        seen.push(unit);
        is_new
    };
    for item in items.iter().rev() {
        match *item {
            Item::Number(number, unit) => {
                let unit = unit.or(unit_of_none)?;
                if !note(unit) {
                    return None;
                }
                parts.add(unit, number.whole, number.fraction);
                unit_of_none = (unit == Unit::Hour).then_some(Unit::Day);
            }
            Item::Time { is_negative, numbers: [first, second, third] } => {
                let (first, second) = (first?, second?);
                let of_minutes = third.is_none()
                    && (second.fraction != 0
                        || qualifier == Some(Qualifier { first: Unit::Minute, last: Some(Unit::Second) }));
                let none = Number { whole: 0, fraction: 0 };
                let (hours, minutes, seconds) =
                    if of_minutes { (none, first, second) } else { (first, second, third.unwrap_or(none)) };
                if hours.fraction != 0 || minutes.fraction != 0 {
                    return None;
                }
                if !note(Unit::Hour) || !note(Unit::Minute) || !note(Unit::Second) {
                    return None;
                }
                if seconds.whole > 59 || (minutes.whole > 59 && !of_minutes) {
                    return Some(None);
                }
                let mut time = Parts::default();
                time.add(Unit::Hour, hours.whole, 0);
                time.add(Unit::Minute, minutes.whole, 0);
                time.add(Unit::Second, seconds.whole, seconds.fraction);
                parts.nanos += if is_negative { -time.nanos } else { time.nanos };
                unit_of_none = Some(Unit::Day);
            }
            Item::YearMonth { is_negative, years, months } => {
                if !note(Unit::Year) || !note(Unit::Month) {
                    return None;
                }
                if months > 11 {
                    return Some(None);
                }
                let months = years * 12 + months;
                parts.months += if is_negative { -months } else { months };
                unit_of_none = None;
            }
        }
    }
    Some(Some(parts))
}

/// What follows the P of ISO 8601: `1Y2M3DT4H5M6.7S`.
fn of_iso(text: &str) -> Option<Parts> {
    let mut parts = Parts::default();
    let mut rest = text;
    let mut in_time = false;
    let mut count = 0;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(['T', 't']).filter(|_| !in_time) {
            in_time = true;
            rest = after;
            if rest.is_empty() {
                return None;
            }
            continue;
        }
        let sign = if rest.starts_with('-') { -1 } else { 1 };
        let (number, after) = number(rest.strip_prefix(['-', '+']).unwrap_or(rest))?;
        let unit = match (after.chars().next()?.to_ascii_uppercase(), in_time) {
            ('Y', false) => Unit::Year,
            ('M', false) => Unit::Month,
            ('W', false) => Unit::Week,
            ('D', false) => Unit::Day,
            ('H', true) => Unit::Hour,
            ('M', true) => Unit::Minute,
            ('S', true) => Unit::Second,
            _ => return None,
        };
        parts.add(unit, number.whole * sign, number.fraction * sign);
        rest = &after[1..];
        count += 1;
    }
    (count > 0).then_some(parts)
}

#[cfg(test)]
mod tests;
