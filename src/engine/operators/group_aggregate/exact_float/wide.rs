//! Exact sums of any width: digits of base 2^32 over the whole range of doubles, of which only those in use are kept. Infinities
//! and NaN are counted apart.

use crate::error::{Error, Result};

/// Exponent of the lowest bit of the lowest digit: the smallest double.
pub(super) const LOWEST: i32 = -1074;
/// Bits of a digit.
pub(super) const DIGIT: u32 = 32;
const MASK: i64 = 0xffff_ffff;
/// So many values may be added before carries must be propagated.
const PENDING_MAX: u32 = 1 << 30;

/// See the module. Digits are signed while carries are pending.
#[derive(Debug, Clone, Default)]
pub(super) struct Wide {
    /// Place of the first digit that is kept.
    first: u32,
    pending: u32,
    digits: Vec<i64>,
    special: Option<Box<Special>>,
}

/// Values that are no numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Special {
    nan: i64,
    positive: i64,
    negative: i64,
}

impl Wide {
    /// A sum of these digits, the lowest one at place `first`.
    pub fn of_digits(first: u32, digits: Vec<i64>) -> Self {
        Self { first, pending: 0, digits, special: None }
    }

    /// Adds a value or takes it back.
    #[inline]
    pub fn add(&mut self, value: f64, retracted: bool) {
        let bits = value.to_bits();
        let exponent = ((bits >> 52) & 0x7ff) as u32;
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, shift) = match exponent {
            0x7ff => return self.add_special(value, retracted),
            0 => (fraction, 0),
            _ => (fraction | (1 << 52), exponent - 1),
        };
        if mantissa == 0 {
            return;
        }
        let place = shift / DIGIT;
        self.make_room(place);
        let shifted = u128::from(mantissa) << (shift % DIGIT);
        let sign = if value.is_sign_negative() == retracted { 1 } else { -1 };
        let start = (place - self.first) as usize;
        for (digit, offset) in self.digits[start..start + 3].iter_mut().zip([0, 32, 64]) {
            *digit += sign * ((shifted >> offset) as i64 & MASK);
        }
        self.pending += 1;
        if self.pending >= PENDING_MAX {
            self.normalise();
        }
    }

    /// Makes sure that three digits from `place` on are there.
    fn make_room(&mut self, place: u32) {
        if self.digits.is_empty() {
            self.first = place;
        }
        if place < self.first {
            let missing = (self.first - place) as usize;
            self.digits.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = place;
        }
        let length = (place - self.first) as usize + 3;
        if self.digits.len() < length {
            self.digits.reserve_exact(length - self.digits.len());
            self.digits.resize(length, 0);
        }
    }

    fn add_special(&mut self, value: f64, retracted: bool) {
        let special = self.special.get_or_insert_default();
        let count = match value {
            _ if value.is_nan() => &mut special.nan,
            _ if value > 0.0 => &mut special.positive,
            _ => &mut special.negative,
        };
        *count += if retracted { -1 } else { 1 };
        if **special == Special::default() {
            self.special = None;
        }
    }

    fn normalise(&mut self) {
        self.first += normalise(&mut self.digits);
        self.pending = 0;
    }

    /// The sum, rounded once to the nearest double.
    pub fn value(&self) -> f64 {
        match self.special.as_deref() {
            None => Digits::of(self).round(LOWEST),
            Some(special) if special.nan > 0 || (special.positive > 0 && special.negative > 0) => f64::NAN,
            Some(special) if special.positive > 0 => f64::INFINITY,
            Some(special) if special.negative > 0 => f64::NEG_INFINITY,
            Some(_) => f64::NAN,
        }
    }

    /// Whether an infinity or NaN is among the values.
    pub fn is_special(&self) -> bool {
        self.special.is_some()
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.digits.capacity() * size_of::<i64>() + self.special.as_ref().map_or(0, |_| size_of::<Special>())
    }

    /// Appends the stored form: place of the first digit (u16), how many specials follow (0 or 3, u8), the specials (i64), the
    /// digits (u32, the last one signed); little-endian.
    pub fn write_to(&self, bytes: &mut Vec<u8>) {
        let digits = Digits::of(self);
        bytes.extend_from_slice(&(digits.first as u16).to_le_bytes());
        match self.special.as_deref() {
            None => bytes.push(0),
            Some(special) => {
                bytes.push(3);
                for count in [special.nan, special.positive, special.negative] {
                    bytes.extend_from_slice(&count.to_le_bytes());
                }
            }
        }
        for digit in digits.digits {
            bytes.extend_from_slice(&(digit as u32).to_le_bytes());
        }
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// It is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let damaged = || Error::corrupt("the stored sum of a floating-point aggregate is damaged");
        let (first, rest) = bytes.split_first_chunk::<2>().ok_or_else(damaged)?;
        let (specials, mut rest) = rest.split_first().ok_or_else(damaged)?;
        let mut special = None;
        if *specials != 0 {
            let (counts, digits) = rest.split_at_checked(24).ok_or_else(damaged)?;
            let mut counts = counts.as_chunks::<8>().0.iter().map(|count| i64::from_le_bytes(*count));
            let mut next = || counts.next().unwrap_or_default();
            special = Some(Box::new(Special { nan: next(), positive: next(), negative: next() }));
            rest = digits;
        }
        let (digits, odd) = rest.as_chunks::<4>();
        if !odd.is_empty() || digits.len() > 128 {
            return Err(damaged());
        }
        let mut digits: Vec<i64> = digits.iter().map(|digit| i64::from(u32::from_le_bytes(*digit))).collect();
        if let Some(last) = digits.last_mut() {
            *last = i64::from(*last as u32 as i32);
        }
        Ok(Self { first: u32::from(u16::from_le_bytes(*first)), pending: 0, digits, special })
    }
}

/// Propagates carries: all digits but the last become 0 ≤ d < 2^32, the last one -2^31 ≤ d < 2^31, zeros at both ends go
/// (but for one that keeps the last digit in its range).
/// Returns how many went at the low end.
fn normalise(digits: &mut Vec<i64>) -> u32 {
    let mut carry = 0;
    let last = digits.len().saturating_sub(1);
    for digit in digits.iter_mut().take(last) {
        let value = *digit + carry;
        *digit = value & MASK;
        carry = value >> DIGIT;
    }
    if let Some(digit) = digits.last_mut() {
        *digit += carry;
    }
    while let Some(digit) = digits.last_mut()
        && i32::try_from(*digit).is_err()
    {
        let carry = *digit >> DIGIT;
        *digit &= MASK;
        digits.push(carry);
    }
    // A zero stays on top of a digit that would read as a negative one.
    while let [rest @ .., 0] = digits.as_slice()
        && rest.last().is_none_or(|digit| i32::try_from(*digit).is_ok())
    {
        digits.pop();
    }
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    digits.drain(..zeros);
    zeros as u32
}

/// A whole number in units of a lowest bit, normalised.
pub(super) struct Digits {
    pub first: u32,
    pub digits: Vec<i64>,
}

impl Digits {
    pub fn new(first: u32, mut digits: Vec<i64>) -> Self {
        let zeros = normalise(&mut digits);
        Self { first: first + zeros, digits }
    }

    pub fn of(sum: &Wide) -> Self {
        Self::new(sum.first, sum.digits.clone())
    }

    fn absolute(&self) -> (bool, Self) {
        match self.digits.last() {
            Some(last) if *last < 0 => (true, Self::new(self.first, self.digits.iter().map(|digit| -digit).collect())),
            _ => (false, Self { first: self.first, digits: self.digits.clone() }),
        }
    }

    pub fn times(&self, factor: i128) -> Self {
        let mut carry = 0i128;
        let mut digits = Vec::with_capacity(self.digits.len() + 3);
        for digit in &self.digits {
            let value = i128::from(*digit) * factor + carry;
            digits.push(value as i64 & MASK);
            carry = value >> DIGIT;
        }
        while carry != 0 && carry != -1 {
            digits.push(carry as i64 & MASK);
            carry >>= DIGIT;
        }
        digits.push(carry as i64);
        Self::new(self.first, digits)
    }

    pub fn squared(&self) -> Self {
        let digits = self.absolute().1;
        let mut places = vec![0u128; 2 * digits.digits.len() + 3];
        for (i, a) in digits.digits.iter().enumerate() {
            for (j, b) in digits.digits.iter().enumerate() {
                places[i + j] += (*a as u128) * (*b as u128);
            }
        }
        let mut carry = 0u128;
        let product = places
            .into_iter()
            .map(|place| {
                let value = place + carry;
                carry = value >> DIGIT;
                value as i64 & MASK
            })
            .collect();
        Self::new(2 * digits.first, product)
    }

    pub fn minus(&self, other: &Self) -> Self {
        let first = match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, _) => other.first,
            (_, true) => self.first,
            _ => self.first.min(other.first),
        };
        let end = |digits: &Self| digits.first as usize + digits.digits.len();
        let mut difference = vec![0i64; end(self).max(end(other)).saturating_sub(first as usize)];
        for (digits, sign) in [(self, 1), (other, -1)] {
            for (place, digit) in digits.digits.iter().enumerate() {
                difference[(digits.first - first) as usize + place] += sign * digit;
            }
        }
        Self::new(first, difference)
    }

    /// The nearest double; ties to even. `lowest` is the exponent of the lowest bit of digit 0.
    pub fn round(&self, lowest: i32) -> f64 {
        let (negative, absolute) = self.absolute();
        let digits = &absolute.digits;
        let Some(top) = digits.last() else { return 0.0 };
        let digit_bits = DIGIT as usize;
        let bits = digits.len() * digit_bits - (*top as u32).leading_zeros() as usize;
        // Exponent of the highest bit.
        let exponent = bits as i32 - 1 + (absolute.first * DIGIT) as i32 + lowest;
        let keep = 53.min(exponent + 1075);
        if keep < 0 {
            return 0.0;
        }
        let taken = digits.len().min(4);
        let rest = digits.len() - taken;
        let window = digits[rest..].iter().rev().fold(0u128, |window, digit| window << DIGIT | (*digit as u128));
        let sticky = digits[..rest].iter().any(|digit| *digit != 0);
        let width = bits as i32 - (rest * digit_bits) as i32;
        let dropped = width - keep;
        let mut mantissa = window.checked_shr(dropped.max(0) as u32).unwrap_or(0);
        if dropped > 0 {
            let half = 1u128 << (dropped - 1);
            let remainder = window & (half | (half - 1));
            if remainder > half || (remainder == half && (sticky || mantissa & 1 == 1)) {
                mantissa += 1;
            }
        }
        // With fewer bits than are kept the window is the value as it is.
        let scale = exponent + 1 - width.min(keep);
        let value = mantissa as f64 * power_of_two(scale / 2) * power_of_two(scale - scale / 2);
        if negative { -value } else { value }
    }
}

/// 2 to a power; infinite or 0 beyond the normal doubles.
pub(super) fn power_of_two(exponent: i32) -> f64 {
    match exponent {
        ..-1022 => 0.0,
        -1022..=1023 => f64::from_bits(((exponent + 1023) as u64) << 52),
        _ => f64::INFINITY,
    }
}
