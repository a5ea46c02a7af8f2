//! Documents as they are written: `jsonb` has one form for equal documents (keys by length and bytes, each once; a blank behind `:` and
//! `,`; numbers without exponent), `json` made of values has no blanks.

use crate::error::{Error, Result, SqlState};
use crate::functions::json::document::{DEPTH_MAX, Node, node, too_deep};

/// The most digits of a number that is written with an exponent: beyond a double's.
const DIGITS_MAX: usize = 400;

/// The one form of a document.
///
/// # Errors
/// 22P02: it is none; 22P05: a text has `\u0000`; 54001: it is nested too deep; 22003: a number is too long without its exponent.
pub(super) fn canonical(text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    write(text, 0, &mut out)?;
    Ok(out)
}

fn write(text: &str, depth: usize, out: &mut String) -> Result<()> {
    if depth > DEPTH_MAX {
        return Err(too_deep());
    }
    match node(text)? {
        Node::Null => out.push_str("null"),
        Node::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        Node::Number(digits) => number(digits, out)?,
        Node::String(text) => checked_quote(&text, out)?,
        Node::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push_str(", ");
                }
                write(item, depth + 1, out)?;
            }
            out.push(']');
        }
        Node::Object(mut entries) => {
            // Stable, so that the last one of a key stays last.
            entries.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
            out.push('{');
            let mut is_first = true;
            for (place, (key, value)) in entries.iter().enumerate() {
                if entries.get(place + 1).is_some_and(|(next, _)| next == key) {
                    continue;
                }
                if !std::mem::take(&mut is_first) {
                    out.push_str(", ");
                }
                checked_quote(key, out)?;
                out.push_str(": ");
                write(value, depth + 1, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn checked_quote(text: &str, out: &mut String) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::row("unsupported Unicode escape sequence")
            .code(SqlState::UntranslatableCharacter)
            .detail("\\u0000 cannot be converted to text."));
    }
    quote(text, out);
    Ok(())
}

/// A text as a string of a document.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// A number without its exponent, with the digits behind the point that it was written with.
fn number(written: &str, out: &mut String) -> Result<()> {
    let (sign, digits) = written.strip_prefix('-').map_or(("", written), |digits| ("-", digits));
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_zero = whole.bytes().chain(fraction.bytes()).all(|digit| digit == b'0');
    let too_long = || Error::row("value overflows numeric format").code(SqlState::NumericValueOutOfRange);
    let exponent: i64 = exponent.parse().map_err(|_| too_long())?;
    let point = i64::try_from(whole.len()).map_err(|_| too_long())? + exponent;
    let scale = usize::try_from(i64::try_from(fraction.len()).map_err(|_| too_long())? - exponent).unwrap_or(0);
    if exponent != 0 && usize::try_from(point.unsigned_abs()).map_err(|_| too_long())?.max(scale) > DIGITS_MAX {
        return Err(too_long());
    }
    if !is_zero {
        out.push_str(sign);
    }
    let digits = format!("{whole}{fraction}");
    let before = usize::try_from(point).unwrap_or(0);
    let zeros = usize::try_from(-point).unwrap_or(0);
    let mut integer: String = digits.chars().take(before).collect();
    integer.extend(std::iter::repeat_n('0', before.saturating_sub(digits.len())));
    let integer = integer.trim_start_matches('0');
    out.push_str(if integer.is_empty() { "0" } else { integer });
    if scale > 0 {
        out.push('.');
        out.extend(std::iter::repeat_n('0', zeros.min(scale)));
        out.extend(digits.chars().skip(before).take(scale - zeros.min(scale)));
    }
    Ok(())
}

/// A document without blanks between its parts, otherwise as it is.
///
/// # Errors
/// 22P02: it is none; 54001: it is nested too deep.
pub(super) fn compact(text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    squeeze(text, 0, &mut out)?;
    Ok(out)
}

fn squeeze(text: &str, depth: usize, out: &mut String) -> Result<()> {
    if depth > DEPTH_MAX {
        return Err(too_deep());
    }
    match node(text)? {
        Node::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                squeeze(item, depth + 1, out)?;
            }
            out.push(']');
        }
        Node::Object(entries) => {
            out.push('{');
            for (place, (key, value)) in entries.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                quote(key, out);
                out.push(':');
                squeeze(value, depth + 1, out)?;
            }
            out.push('}');
        }
        _ => out.push_str(text),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
