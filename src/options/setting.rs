//! Settings: of what kind their values are, and how one that is taken is kept and shown. Which settings there are is told by those
//! who use them.

use super::{parse_duration, parse_memory_size};
use crate::error::{Error, Result, SqlState};

/// The kind of a setting's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// on | off
    Bool,
    /// A whole number between bounds.
    Integer(i64, i64),
    /// One of these.
    Choice(&'static [&'static str]),
    /// A duration in milliseconds, Postgres' way; 0 means none.
    Milliseconds,
    /// A duration as Flink writes it, not 0.
    FlinkDuration,
    /// A duration as Flink writes it; 0 means none.
    FlinkDurationOrNone,
    /// true | false, as Flink writes it.
    FlinkBool,
    /// A whole number from 1 up to a bound; -1 means none.
    CountOrNone(i64),
    /// Bytes with a unit.
    MemorySize,
    /// An IANA time zone or a fixed offset.
    Zone,
    /// A list of schemas.
    Path,
    /// Known, but without effect: only the default is taken.
    DefaultOnly,
    /// Cannot be set.
    ReadOnly,
}

impl Kind {
    /// What users may write, in words.
    pub fn describe(self) -> String {
        match self {
            Kind::Text => "text".to_owned(),
            Kind::Bool => "on, off".to_owned(),
            Kind::FlinkBool => "true, false".to_owned(),
            Kind::Integer(least, most) => format!("{least} to {most}"),
            Kind::CountOrNone(i64::MAX) => "-1, or a number from 1".to_owned(),
            Kind::CountOrNone(most) => format!("-1, or 1 to {most}"),
            Kind::Choice(choices) => choices.join(", "),
            Kind::Milliseconds => "milliseconds, or a number with us, ms, s, min, h, d; 0: none".to_owned(),
            Kind::FlinkDuration => "duration".to_owned(),
            Kind::FlinkDurationOrNone => "duration; 0: none".to_owned(),
            Kind::MemorySize => "size in bytes, or with kb, mb, gb".to_owned(),
            Kind::Zone => "IANA time zone, or an offset of whole hours".to_owned(),
            Kind::Path => "list of schemas".to_owned(),
            Kind::DefaultOnly => "its default only".to_owned(),
            Kind::ReadOnly => "cannot be set".to_owned(),
        }
    }
}

/// A value of setting `name` as it is kept and shown.
///
/// # Errors
/// The setting does not take it (22023), not yet (0A000), or none at all (55P02).
pub fn normalize(name: &str, kind: Kind, default: &str, value: &str) -> Result<String> {
    let invalid = || not_taken(name, value);
    let trimmed = value.trim();
    Ok(match kind {
        Kind::Text if name == "DateStyle" => date_style(value)?,
        Kind::Text | Kind::Path => value.to_owned(),
        Kind::Bool => match trimmed.to_lowercase().as_str() {
            "on" | "true" | "yes" | "1" | "t" | "y" => "on".to_owned(),
            "off" | "false" | "no" | "0" | "f" | "n" => "off".to_owned(),
            _ => {
                return Err(Error::invalid(format!("parameter \"{name}\" requires a Boolean value"))
                    .code(SqlState::InvalidParameterValue));
            }
        },
        Kind::Integer(least, most) => {
            let number: i64 = trimmed.parse().map_err(|_| invalid())?;
            if !(least..=most).contains(&number) {
                return Err(Error::invalid(format!(
                    "{number} is outside the valid range for parameter \"{name}\" ({least} .. {most})"
                ))
                .code(SqlState::InvalidParameterValue));
            }
            number.to_string()
        }
        Kind::Choice(choices) => choice(name, choices, value)?,
        Kind::Milliseconds => display_milliseconds(milliseconds(trimmed).ok_or_else(|| {
            invalid().hint("Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".")
        })?),
        Kind::FlinkDuration | Kind::FlinkDurationOrNone => {
            let duration = parse_duration(trimmed)
                .map_err(|_| invalid().hint("Write a number and a unit, such as 500 ms, 10 s, 5 min, 1 h or 30 d."))?;
            if duration.is_zero() && kind == Kind::FlinkDuration {
                return Err(invalid());
            }
            trimmed.to_owned()
        }
        Kind::FlinkBool => match trimmed.to_lowercase().as_str() {
            "true" | "on" => "true".to_owned(),
            "false" | "off" => "false".to_owned(),
            _ => return Err(invalid().hint("Available values: true, false.")),
        },
        Kind::CountOrNone(most) => {
            let number: i64 = trimmed.parse().map_err(|_| invalid())?;
            if number != -1 && !(1..=most).contains(&number) {
                return Err(invalid().hint(format!("Available values: -1, and 1 to {most}.")));
            }
            number.to_string()
        }
        Kind::MemorySize => {
            parse_memory_size(trimmed)
                .map_err(|_| invalid().hint("Write a number and a unit, such as 512 mb or 4 gb."))?;
            trimmed.to_owned()
        }
        Kind::Zone => zone(trimmed).ok_or_else(invalid)?,
        Kind::DefaultOnly => {
            if !same_value(trimmed, default) {
                return Err(Error::unsupported(format!("\"{name}\" = '{value}' is not supported yet"))
                    .detail(format!("Only its default '{}' is.", default)));
            }
            default.to_owned()
        }
        Kind::ReadOnly => {
            return Err(Error::invalid(format!("parameter \"{name}\" cannot be changed"))
                .code(SqlState::CantChangeRuntimeParam));
        }
    })
}

fn not_taken(name: &str, value: &str) -> Error {
    Error::invalid(format!("invalid value for parameter \"{name}\": \"{value}\"")).code(SqlState::InvalidParameterValue)
}

/// DateStyle as Postgres shows it: always ISO, with the order of day and month.
fn date_style(value: &str) -> Result<String> {
    let lower = value.trim().to_lowercase();
    let is_iso = lower
        .split(',')
        .all(|part| matches!(part.trim(), "iso" | "mdy" | "dmy" | "ymd" | "us" | "european" | "euro" | "default"));
    if !is_iso {
        return Err(Error::unsupported(format!("DateStyle \"{value}\" is not supported, only ISO is")));
    }
    let order = ["dmy", "ymd"].into_iter().find(|order| lower.contains(order)).unwrap_or("mdy");
    Ok(format!("ISO, {}", order.to_uppercase()))
}

/// The choice that a value means; quotes, hyphens and case do not count.
fn choice(name: &str, choices: &[&str], value: &str) -> Result<String> {
    let trimmed = value.trim();
    let plain = |text: &str| text.to_lowercase().replace(['-', '\''], "");
    let wanted = if name == "standard_conforming_strings" && matches!(trimmed, "true" | "1" | "yes") {
        "on".to_owned()
    } else {
        plain(trimmed)
    };
    let wanted = if name == "client_encoding" && matches!(wanted.as_str(), "unicode" | "utf8") {
        "utf8".to_owned()
    } else {
        wanted
    };
    match choices.iter().find(|choice| plain(choice) == wanted) {
        Some(choice) => Ok((*choice).to_owned()),
        None if choices.len() == 1 => {
            Err(Error::unsupported(format!("\"{name}\" = '{value}' is not supported, only '{}' is", choices[0])))
        }
        None => Err(not_taken(name, value).hint(format!("Available values: {}.", choices.join(", ")))),
    }
}

fn same_value(left: &str, right: &str) -> bool {
    let duration = |text: &str| parse_duration(text).ok();
    let boolean = |text: &str| match text.to_lowercase().as_str() {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    };
    left.replace('_', "-").eq_ignore_ascii_case(&right.replace('_', "-"))
        || (boolean(left).is_some() && boolean(left) == boolean(right))
        || (duration(left).is_some() && duration(left) == duration(right))
}

/// An IANA name, or a fixed offset of whole hours, as one that chrono-tz and Arrow know.
fn zone(text: &str) -> Option<String> {
    if let Ok(zone) = text.parse::<chrono_tz::Tz>() {
        return Some(zone.name().to_owned());
    }
    if let Some(zone) = chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(text)) {
        return Some(zone.name().to_owned());
    }
    let offset = text.trim_start_matches("UTC").trim_start_matches("GMT");
    let (sign, digits) = match offset.strip_prefix('-') {
        Some(digits) => ('+', digits),
        None => ('-', offset.strip_prefix('+').unwrap_or(offset)),
    };
    let hours: u32 = match digits.split_once(':') {
        Some((hours, "00")) => hours.parse().ok()?,
        Some(_) => return None,
        None => digits.parse().ok()?,
    };
    match hours {
        0 => Some("UTC".to_owned()),
        // POSIX turns the sign round: Etc/GMT-8 is eight hours east.
        hours if hours <= 14 => {
            format!("Etc/GMT{sign}{hours}").parse::<chrono_tz::Tz>().ok().map(|zone| zone.name().to_owned())
        }
        _ => None,
    }
}

/// Milliseconds as Postgres writes them; absent: it is not a number with a unit of time, or too large.
pub fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let factor = match unit.trim() {
        "" | "ms" => 1.0,
        "us" => 0.001,
        "s" => 1_000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    let ms = (number * factor).round();
    if !(0.0..=2_147_483_647.0).contains(&ms) {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounds are checked above")]
    Some(ms as u64)
}

fn display_milliseconds(ms: u64) -> String {
    for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)] {
        if ms > 0 && ms.is_multiple_of(factor) {
            return format!("{}{unit}", ms / factor);
        }
    }
    if ms == 0 { "0".to_owned() } else { format!("{ms}ms") }
}
