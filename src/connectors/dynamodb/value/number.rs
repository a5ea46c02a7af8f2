//! DynamoDB's numbers as text, exactly: to integers and decimals and back. Nothing here passes through a float,
//! except where the declared type is one.

use std::fmt::{Display, LowerExp, Write as _};
use std::io::Write as _;
use std::ops::Range;

use datafusion::arrow::datatypes::i256;

/// Significant digits that an N attribute can hold.
pub const SIGNIFICANT_DIGITS_MAX: usize = 38;
/// Magnitudes of floats that Rust shows as [`Number::to_text`] does: without an exponent, and within DynamoDB's range.
const PLAIN_FLOATS: Range<f64> = 1e-20..1e30;

/// A decimal number: `digits × 10^exponent`, without leading or trailing zeros, so that equal numbers are equal values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Number {
    /// Reads `-12.50`, `1e3`, `.5`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, text) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut digits = Vec::with_capacity(whole.len() + fraction.len());
        for byte in whole.bytes().chain(fraction.bytes()) {
            if !byte.is_ascii_digit() {
                return None;
            }
            digits.push(byte - b'0');
        }
        Some(Self::normal(negative, digits, exponent.checked_sub(fraction.len() as i64)?))
    }

    /// `unscaled × 10^-scale`.
    pub fn from_scaled(unscaled: &str, scale: i8) -> Option<Self> {
        let mut number = Self::parse(unscaled)?;
        if !number.digits.is_empty() {
            number.exponent -= i64::from(scale);
        }
        Some(number)
    }

    fn normal(negative: bool, mut digits: Vec<u8>, mut exponent: i64) -> Self {
        while digits.last() == Some(&0) {
            digits.pop();
            exponent += 1;
        }
        let leading = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..leading);
        if digits.is_empty() {
            return Self { negative: false, digits, exponent: 0 };
        }
        Self { negative, digits, exponent }
    }

    /// How many digits count.
    pub fn significant_digits(&self) -> usize {
        self.digits.len()
    }

    /// Whether DynamoDB can hold it: 38 digits, magnitude from 1E-130 to 9.99…E+125.
    pub fn fits_dynamodb(&self) -> bool {
        let magnitude = self.exponent + self.digits.len() as i64 - 1;
        self.digits.is_empty() || (self.digits.len() <= SIGNIFICANT_DIGITS_MAX && (-130..=125).contains(&magnitude))
    }

    /// As text: plain where that is short, else with an exponent. Equal numbers give equal texts.
    pub fn to_text(&self) -> String {
        if self.digits.is_empty() {
            return "0".to_owned();
        }
        let mut text = String::with_capacity(self.digits.len() + 4);
        if self.negative {
            text.push('-');
        }
        let count = self.digits.len() as i64;
        let digit = |digit: &u8| char::from(b'0' + digit);
        if self.exponent >= 0 && count + self.exponent <= SIGNIFICANT_DIGITS_MAX as i64 {
            text.extend(self.digits.iter().map(digit));
            text.extend(std::iter::repeat_n('0', self.exponent as usize));
        } else if self.exponent < 0 && self.exponent >= -(SIGNIFICANT_DIGITS_MAX as i64) {
            let point = count + self.exponent;
            if point > 0 {
                text.extend(self.digits[..point as usize].iter().map(digit));
                text.push('.');
                text.extend(self.digits[point as usize..].iter().map(digit));
            } else {
                text.push_str("0.");
                text.extend(std::iter::repeat_n('0', -point as usize));
                text.extend(self.digits.iter().map(digit));
            }
        } else {
            text.extend(self.digits.iter().map(digit));
            let _ = write!(text, "E{}", self.exponent);
        }
        text
    }

    /// The unscaled integer of a decimal with this precision and scale; `None` if it would lose digits or does not fit.
    pub fn to_scaled(&self, precision: u8, scale: i8) -> Option<i256> {
        if self.digits.is_empty() {
            return Some(i256::ZERO);
        }
        let zeros = self.exponent + i64::from(scale);
        if zeros < 0 || self.digits.len() as i64 + zeros > i64::from(precision) {
            return None;
        }
        let mut text = String::with_capacity(self.digits.len() + zeros as usize + 1);
        if self.negative {
            text.push('-');
        }
        text.extend(self.digits.iter().map(|digit| char::from(b'0' + digit)));
        text.extend(std::iter::repeat_n('0', zeros as usize));
        i256::from_string(&text)
    }

    /// The integer, if it is one of at most 38 digits.
    pub fn to_i128(&self) -> Option<i128> {
        self.to_scaled(SIGNIFICANT_DIGITS_MAX as u8, 0)?.to_i128()
    }

    /// `self × 10^digits` without what lies behind the point (towards minus infinity), for times finer than a column.
    pub fn floor_scaled(&self, digits: i64) -> Option<i128> {
        let exponent = self.exponent.checked_add(digits)?;
        if exponent >= 0 {
            return Self { negative: self.negative, digits: self.digits.clone(), exponent }.to_i128();
        }
        let keep = self.digits.len() as i64 + exponent;
        let kept = if keep > 0 { self.digits[..keep as usize].to_vec() } else { Vec::new() };
        let whole = Self::normal(self.negative, kept, 0).to_i128()?;
        Some(if self.negative { whole - 1 } else { whole })
    }
}

/// Writes a float as the shortest decimal text that reads back as the same float; false for NaN, infinities and what is out
/// of range.
pub fn write_float(value: f64, out: &mut Vec<u8>) -> bool {
    write_shortest(value, &value, out)
}

/// As [`write_float`], for single precision: 0.1 is `0.1`, not `0.10000000149011612`.
pub fn write_float32(value: f32, out: &mut Vec<u8>) -> bool {
    write_shortest(f64::from(value), &value, out)
}

fn write_shortest(value: f64, shown: &(impl Display + LowerExp), out: &mut Vec<u8>) -> bool {
    // Writing into a Vec cannot fail.
    if value == 0.0 {
        out.push(b'0');
    } else if PLAIN_FLOATS.contains(&value.abs()) {
        let _ = write!(out, "{shown}");
    } else {
        let number = value.is_finite().then(|| Number::parse(&format!("{shown:e}"))).flatten();
        let Some(number) = number.filter(Number::fits_dynamodb) else { return false };
        out.extend_from_slice(number.to_text().as_bytes());
    }
    true
}

/// Writes `unscaled × 10^-scale`.
///
/// # Errors
/// It has more than 38 significant digits.
pub fn write_decimal(unscaled: i128, scale: i8, out: &mut Vec<u8>) -> Result<(), String> {
    let (Ok(digits), Ok(mut fraction)) = (u64::try_from(unscaled.unsigned_abs()), usize::try_from(scale)) else {
        return write_wide_decimal(&unscaled.to_string(), scale, out);
    };
    if fraction > SIGNIFICANT_DIGITS_MAX {
        return write_wide_decimal(&unscaled.to_string(), scale, out);
    }
    let mut buffer = itoa::Buffer::new();
    let mut digits = buffer.format(digits);
    while fraction > 0
        && let Some(shorter) = digits.strip_suffix('0')
    {
        (digits, fraction) = (shorter, fraction - 1);
    }
    if digits.is_empty() || digits == "0" {
        out.push(b'0');
        return Ok(());
    }
    if unscaled < 0 {
        out.push(b'-');
    }
    if fraction == 0 {
        out.extend_from_slice(digits.as_bytes());
    } else if let Some(whole) = digits.len().checked_sub(fraction).filter(|whole| *whole > 0) {
        out.extend_from_slice(&digits.as_bytes()[..whole]);
        out.push(b'.');
        out.extend_from_slice(&digits.as_bytes()[whole..]);
    } else {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', fraction - digits.len()));
        out.extend_from_slice(digits.as_bytes());
    }
    Ok(())
}

/// As [`write_decimal`], for any number of digits.
///
/// # Errors
/// As there.
pub fn write_wide_decimal(unscaled: &str, scale: i8, out: &mut Vec<u8>) -> Result<(), String> {
    let number = Number::from_scaled(unscaled, scale).ok_or_else(|| format!("cannot read {unscaled}"))?;
    if !number.fits_dynamodb() {
        return Err(format!(
            "{} has {} significant digits, DynamoDB holds {SIGNIFICANT_DIGITS_MAX}",
            number.to_text(),
            number.significant_digits()
        ));
    }
    out.extend_from_slice(number.to_text().as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests;
