//! Sums of doubles without rounding: a fixed-point number over the whole range of doubles. The order of values does not matter and
//! every value can be taken back exactly. Nearly all sums fit into 128 bits, which need no heap; the others are [`wide`].

mod wide;

#[cfg(test)]
mod tests;

use self::wide::{DIGIT, Digits, LOWEST, Wide, power_of_two};
use crate::error::Result;

/// See the module.
#[derive(Debug, Clone)]
pub struct ExactSum(Repr);

#[derive(Debug, Clone)]
enum Repr {
    Near(Near),
    Wide(Box<Wide>),
}

/// A sum of few digits: `value` in units of digit `first`.
#[derive(Debug, Clone, Copy, Default)]
struct Near {
    first: u32,
    value: i128,
}

impl Default for ExactSum {
    fn default() -> Self {
        Self(Repr::Near(Near::default()))
    }
}

impl ExactSum {
    /// Adds a value or takes it back.
    #[inline]
    pub fn add(&mut self, value: f64, retracted: bool) {
        match &mut self.0 {
            Repr::Near(near) => match near.with(value, retracted) {
                Some(sum) => *near = sum,
                None => {
                    let mut wide = near.widened();
                    wide.add(value, retracted);
                    self.0 = Repr::Wide(Box::new(wide));
                }
            },
            Repr::Wide(wide) => wide.add(value, retracted),
        }
    }

    /// The sum, rounded once to the nearest double.
    pub fn value(&self) -> f64 {
        match &self.0 {
            Repr::Near(near) => near.rounded(),
            Repr::Wide(wide) => wide.value(),
        }
    }

    /// Whether an infinity or NaN is among the values.
    pub fn is_special(&self) -> bool {
        matches!(&self.0, Repr::Wide(wide) if wide.is_special())
    }

    fn digits(&self) -> Digits {
        match &self.0 {
            Repr::Near(near) => Digits::of(&near.widened()),
            Repr::Wide(wide) => Digits::of(wide),
        }
    }

    /// `count * squares - sum²`, rounded once: the numerator of a variance.
    pub fn spread(sum: &ExactSum, squares: &ExactSum, count: i64) -> f64 {
        // Squares of sums have twice the lowest exponent: 33 digits and 18 bits lower.
        let lower = LOWEST.unsigned_abs();
        let mut scaled = squares.digits().times(i128::from(count) << (lower % DIGIT));
        scaled.first += lower / DIGIT;
        scaled.minus(&sum.digits().squared()).round(2 * LOWEST)
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Near(_) => 0,
            Repr::Wide(wide) => size_of::<Wide>() + wide.heap_bytes(),
        }
    }

    /// Appends the stored form, see [`Wide::write_to`].
    pub fn write_to(&self, bytes: &mut Vec<u8>) {
        match &self.0 {
            Repr::Near(near) => near.write_to(bytes),
            Repr::Wide(wide) => wide.write_to(bytes),
        }
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// It is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let wide = Wide::from_bytes(bytes)?;
        Ok(Self(match Near::of(&wide) {
            Some(near) => Repr::Near(near),
            None => Repr::Wide(Box::new(wide)),
        }))
    }
}

impl Near {
    /// The sum with a value added or taken back; `None` if it is too wide, or the value is not a number.
    #[inline]
    fn with(self, value: f64, retracted: bool) -> Option<Self> {
        let bits = value.to_bits();
        let exponent = ((bits >> 52) & 0x7ff) as u32;
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, shift) = match exponent {
            0x7ff => return None,
            0 => (fraction, 0),
            _ => (fraction | (1 << 52), exponent - 1),
        };
        if mantissa == 0 {
            return Some(self);
        }
        // At most 84 bits.
        let magnitude = i128::from(mantissa) << (shift % DIGIT);
        let term = if value.is_sign_negative() == retracted { magnitude } else { -magnitude };
        let place = shift / DIGIT;
        if self.value == 0 {
            return Some(Self { first: place, value: term });
        }
        let (first, sum, term) = match place.checked_sub(self.first) {
            Some(0) => (place, self.value, term),
            Some(1) => (self.first, self.value, term << DIGIT),
            Some(_) => return None,
            None => {
                let lower = (self.first - place) * DIGIT;
                let fits = lower < i128::BITS && (self.value << lower) >> lower == self.value;
                (place, fits.then(|| self.value << lower)?, term)
            }
        };
        Some(Self { first, value: sum.checked_add(term)? })
    }

    /// What [`Wide::write_to`] would write: the digits are those of the two's complement.
    fn write_to(self, bytes: &mut Vec<u8>) {
        let low_zeros = if self.value == 0 { 0 } else { self.value.trailing_zeros() / DIGIT };
        let value = self.value >> (low_zeros * DIGIT);
        let bits = match value {
            0 => 0,
            // With the sign.
            _ => i128::BITS + 1 - value.leading_zeros().max(value.leading_ones()),
        };
        bytes.extend_from_slice(&((self.first + low_zeros) as u16).to_le_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&value.to_le_bytes()[..4 * bits.div_ceil(DIGIT) as usize]);
    }

    fn widened(self) -> Wide {
        let (mut digits, mut rest) = (Vec::with_capacity(4), self.value);
        // The last digit is signed.
        let last = loop {
            match i32::try_from(rest) {
                Ok(last) => break last,
                Err(_) => digits.push(i64::from(rest as u32)),
            }
            rest >>= DIGIT;
        };
        digits.push(i64::from(last));
        let Digits { first, digits } = Digits::new(self.first, digits);
        Wide::of_digits(first, digits)
    }

    fn of(wide: &Wide) -> Option<Self> {
        let Digits { first, digits } = Digits::of(wide);
        // A fourth digit would do as well, but leave little room for more.
        if wide.is_special() || digits.len() > 3 {
            return None;
        }
        let value = digits.iter().rev().fold(0_i128, |value, digit| (value << DIGIT) + i128::from(*digit));
        Some(Self { first, value })
    }

    fn rounded(self) -> f64 {
        let exponent = (self.first * DIGIT) as i32 + LOWEST;
        // Where neither the unit is below the normal doubles nor the sum can be above them, scaling is exact.
        if (f64::MIN_EXP - 1..f64::MAX_EXP - 1 - i128::BITS as i32).contains(&exponent) {
            return self.value as f64 * power_of_two(exponent);
        }
        self.widened().value()
    }
}
