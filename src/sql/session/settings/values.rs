//! Values of settings: whether a setting takes one, and how that is kept and shown.

use super::definitions::{Definition, Kind};
use crate::engine::key_group::KEY_GROUPS;
use crate::error::{Error, Result};
use crate::options::parse_memory_size;

pub(super) fn normalize(definition: &Definition, value: &str) -> Result<String> {
    let name = definition.name;
    let invalid = || Error::invalid(format!("invalid value for parameter \"{name}\": \"{value}\"")).code("22023");
    let trimmed = value.trim();
    Ok(match definition.kind {
        Kind::Text if name == "DateStyle" => {
            let lower = trimmed.to_lowercase();
            let is_iso = lower.split(',').all(|part| {
                matches!(part.trim(), "iso" | "mdy" | "dmy" | "ymd" | "us" | "european" | "euro" | "default")
            });
            if !is_iso {
                return Err(Error::unsupported(format!("DateStyle \"{value}\" is not supported, only ISO is")));
            }
            let order = ["dmy", "ymd"].into_iter().find(|order| lower.contains(order)).unwrap_or("mdy");
            format!("ISO, {}", order.to_uppercase())
        }
        Kind::Text | Kind::Path => value.to_owned(),
        Kind::Bool => match trimmed.to_lowercase().as_str() {
            "on" | "true" | "yes" | "1" | "t" | "y" => "on".to_owned(),
            "off" | "false" | "no" | "0" | "f" | "n" => "off".to_owned(),
            _ => return Err(Error::invalid(format!("parameter \"{name}\" requires a Boolean value")).code("22023")),
        },
        Kind::Integer(least, most) => {
            let number: i64 = trimmed.parse().map_err(|_| invalid())?;
            if !(least..=most).contains(&number) {
                return Err(Error::invalid(format!(
                    "{number} is outside the valid range for parameter \"{name}\" ({least} .. {most})"
                ))
                .code("22023"));
            }
            number.to_string()
        }
        Kind::Choice(choices) => {
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
                Some(choice) => (*choice).to_owned(),
                None if choices.len() == 1 => {
                    return Err(Error::unsupported(format!(
                        "\"{name}\" = '{value}' is not supported, only '{}' is",
                        choices[0]
                    )));
                }
                None => {
                    return Err(invalid().hint(format!("Available values: {}.", choices.join(", "))));
                }
            }
        }
        Kind::Milliseconds => display_milliseconds(milliseconds(trimmed).map_err(|()| {
            invalid().hint("Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".")
        })?),
        Kind::FlinkDuration | Kind::FlinkDurationOrNone => {
            let duration = crate::options::parse_duration(trimmed)
                .map_err(|_| invalid().hint("Write a number and a unit, such as 500 ms, 10 s, 5 min, 1 h or 30 d."))?;
            if duration.is_zero() && definition.kind == Kind::FlinkDuration {
                return Err(invalid());
            }
            trimmed.to_owned()
        }
        Kind::FlinkBool => match trimmed.to_lowercase().as_str() {
            "true" | "on" => "true".to_owned(),
            "false" | "off" => "false".to_owned(),
            _ => return Err(invalid().hint("Available values: true, false.")),
        },
        Kind::Parallelism | Kind::CountOrNone => {
            let most = if definition.kind == Kind::Parallelism { KEY_GROUPS as i64 } else { i64::MAX };
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
            if !same_value(trimmed, definition.default) {
                return Err(Error::unsupported(format!("\"{name}\" = '{value}' is not supported yet"))
                    .detail(format!("Only its default '{}' is.", definition.default)));
            }
            definition.default.to_owned()
        }
        Kind::ReadOnly => {
            return Err(Error::invalid(format!("parameter \"{name}\" cannot be changed")).code("55P02"));
        }
    })
}

fn same_value(left: &str, right: &str) -> bool {
    let duration = |text: &str| crate::options::parse_duration(text).ok();
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

pub(super) fn milliseconds(text: &str) -> Result<u64, ()> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| ())?;
    let factor = match unit.trim() {
        "" | "ms" => 1.0,
        "us" => 0.001,
        "s" => 1_000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return Err(()),
    };
    let ms = (number * factor).round();
    if !(0.0..=2_147_483_647.0).contains(&ms) {
        return Err(());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounds are checked above")]
    Ok(ms as u64)
}

fn display_milliseconds(ms: u64) -> String {
    for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)] {
        if ms > 0 && ms.is_multiple_of(factor) {
            return format!("{}{unit}", ms / factor);
        }
    }
    if ms == 0 { "0".to_owned() } else { format!("{ms}ms") }
}
