//! Patterns of numbers: https://www.postgresql.org/docs/16/functions-formatting.html, table 9.29. Numbers come as their decimal digits.

use super::datetime::ordinal_suffix;
use crate::error::{Error, Result, SqlState};

/// A pattern that was read.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    parts: Vec<Part>,
    /// Digit places before the point.
    before: usize,
    /// Digit places behind it.
    behind: usize,
    /// The first place before the point, counted from the left, from which on zeros are shown.
    first_zero: Option<usize>,
    /// Places behind the point up to the last one that is always shown.
    kept: usize,
    /// `V`: so many digits the number is shifted to the left.
    shift: usize,
    fill: bool,
    sign: Sign,
    exponent: bool,
    roman: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Digit,
    Point,
    Group,
    Sign(SignPart),
    Currency,
    Ordinal(bool),
    Literal(char),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SignPart {
    /// `MI`: a minus or a blank.
    Minus,
    /// `PL`: a plus or a blank.
    Plus,
    /// `SG`, and `S` that stands behind.
    Both,
}

/// Where the sign goes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// Beside the first digit; a blank for a plus.
    #[default]
    Blank,
    /// `S`: beside the first digit, also a plus.
    Shown,
    /// `PR`: `<1>`.
    Brackets,
    /// Parts of the pattern say it.
    Parts,
}

/// The most digits of a pattern.
const DIGITS_MAX: usize = 200;

/// Width of a roman number.
const ROMAN_WIDTH: usize = 15;

/// Reads a pattern.
///
/// # Errors
/// Parts that exclude each other, more digits than a number has (42601).
pub(super) fn parse(pattern: &str) -> Result<Pattern> {
    let mut read = Pattern { fill: true, ..Pattern::default() };
    let mut rest = pattern;
    let (mut in_fraction, mut after_shift) = (false, false);
    while let Some(char) = rest.chars().next() {
        let upper = |length: usize| rest.get(..length).map(str::to_ascii_uppercase).unwrap_or_default();
        if upper(4) == "EEEE" {
            read.exponent = true;
            rest = &rest[4..];
            continue;
        }
        if read.two_letters(&upper(2), char)? {
            rest = &rest[2..];
            continue;
        }
        rest = &rest[char.len_utf8()..];
        match char.to_ascii_uppercase() {
            'S' if read.before + read.behind == 0 => read.set_sign(Sign::Shown)?,
            'S' => read.sign_part(SignPart::Both)?,
            '9' | '0' => read.digit(char, in_fraction, after_shift)?,
            '.' | 'D' if in_fraction || after_shift => {
                return Err(wrong("more than one decimal point, or one beside V"));
            }
            '.' | 'D' => {
                in_fraction = true;
                read.parts.push(Part::Point);
            }
            ',' | 'G' => read.parts.push(Part::Group),
            'V' if in_fraction || after_shift => return Err(wrong("V beside a decimal point")),
            'V' => after_shift = true,
            'L' => read.parts.push(Part::Currency),
            '"' => {
                let (quoted, after) = rest.split_once('"').unwrap_or((rest, ""));
                read.parts.extend(quoted.chars().map(Part::Literal));
                rest = after;
            }
            _ => read.parts.push(Part::Literal(char)),
        }
    }
    read.check()
}

fn wrong(what: &str) -> Error {
    Error::row(format!("to_char: the pattern has {what}")).code(SqlState::SyntaxError)
}

impl Pattern {
    /// Takes a part of two letters, given in capitals; whether it is one. `first`: as it was written.
    fn two_letters(&mut self, letters: &str, first: char) -> Result<bool> {
        match letters {
            "FM" => self.fill = false,
            "MI" => self.sign_part(SignPart::Minus)?,
            "PL" => self.sign_part(SignPart::Plus)?,
            "SG" => self.sign_part(SignPart::Both)?,
            "PR" => self.set_sign(Sign::Brackets)?,
            "RN" => self.roman = Some(first == 'R'),
            "TH" => self.parts.push(Part::Ordinal(first == 'T')),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn digit(&mut self, char: char, in_fraction: bool, after_shift: bool) -> Result<()> {
        if self.before + self.behind >= DIGITS_MAX {
            return Err(wrong("too many digits"));
        }
        if in_fraction {
            self.behind += 1;
            if char == '0' {
                self.kept = self.behind;
            }
        } else {
            if char == '0' {
                self.first_zero.get_or_insert(self.before);
            }
            self.before += 1;
            self.shift += usize::from(after_shift);
        }
        self.parts.push(Part::Digit);
        Ok(())
    }

    fn set_sign(&mut self, sign: Sign) -> Result<()> {
        if self.sign != Sign::Blank {
            return Err(wrong("more than one of S, PL, MI, SG and PR"));
        }
        self.sign = sign;
        Ok(())
    }

    fn sign_part(&mut self, part: SignPart) -> Result<()> {
        if !matches!(self.sign, Sign::Blank | Sign::Parts) {
            return Err(wrong("more than one of S, PL, MI, SG and PR"));
        }
        self.sign = Sign::Parts;
        self.parts.push(Part::Sign(part));
        Ok(())
    }

    fn check(self) -> Result<Self> {
        let is_number = self.before + self.behind > 0;
        if self.exponent && (self.sign != Sign::Blank || self.shift > 0 || !is_number) {
            return Err(wrong("EEEE beside what it excludes"));
        }
        if self.roman.is_some() && (is_number || self.exponent) {
            return Err(wrong("RN beside other parts of a number"));
        }
        Ok(self)
    }
}

/// The text of a number, given by its digits: `-12.5`, `NaN`, `Infinity`.
pub(super) fn print(pattern: &Pattern, number: &str) -> String {
    let (is_negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number),
    };
    if pattern.roman.is_some() {
        return roman(pattern, is_negative, digits);
    }
    if pattern.exponent {
        return scientific(pattern, is_negative, digits);
    }
    let is_number = digits.starts_with(|char: char| char.is_ascii_digit());
    let rounded = if is_number { rounded(digits, pattern.behind, pattern.shift) } else { None };
    let Some((whole, fraction)) = rounded.filter(|(whole, _)| whole.len() <= pattern.before) else {
        // A number that does not fit, or that has no digits.
        let before = "#".repeat(pattern.before);
        return Layout { pattern, is_negative, first: 0, whole: &before, fraction: &"#".repeat(pattern.behind) }
            .print();
    };
    let is_zero = [&whole, &fraction].iter().all(|digits| digits.bytes().all(|digit| digit == b'0'));
    let padding = pattern.before - whole.len();
    let first = pattern.first_zero.map_or(padding, |zero| zero.min(padding));
    let all = format!("{}{whole}", "0".repeat(padding));
    let is_negative = is_negative && !is_zero;
    Layout { pattern, is_negative, first, whole: &all, fraction: &fraction }.print()
}

/// Digits before the point, without zeros in front, and exactly so many behind it, rounded half away from zero.
fn rounded(digits: &str, places: usize, shift: usize) -> Option<(String, String)> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let at = |place: usize| fraction.as_bytes().get(place).copied().unwrap_or(b'0');
    let kept = places + shift;
    let mut all: Vec<u8> = whole.bytes().chain((0..kept).map(at)).collect();
    if at(kept) >= b'5' {
        let mut place = all.len();
        loop {
            if place == 0 {
                all.insert(0, b'1');
                break;
            }
            place -= 1;
            if all[place] == b'9' {
                all[place] = b'0';
            } else {
                all[place] += 1;
                break;
            }
        }
    }
    let fraction = all.split_off(all.len() - places);
    let zeros = all.iter().take_while(|digit| **digit == b'0').count();
    Some((String::from_utf8(all.split_off(zeros)).ok()?, String::from_utf8(fraction).ok()?))
}

/// Digits on their places.
struct Layout<'a> {
    pattern: &'a Pattern,
    is_negative: bool,
    /// The first place that is shown.
    first: usize,
    /// A digit for each place before the point.
    whole: &'a str,
    /// A digit for each place behind it.
    fraction: &'a str,
}

impl Layout<'_> {
    fn print(&self) -> String {
        let mut text = String::new();
        let (mut place, mut behind, mut has_begun) = (0, 0, false);
        let shown_behind = self.shown_behind();
        for part in &self.pattern.parts {
            match part {
                Part::Digit if place < self.pattern.before => {
                    if place >= self.first {
                        self.begin(&mut has_begun, &mut text);
                        text.push_str(&self.whole[place..=place]);
                    } else if self.pattern.fill {
                        text.push(' ');
                    }
                    place += 1;
                }
                Part::Digit => {
                    self.begin(&mut has_begun, &mut text);
                    if behind < shown_behind {
                        text.push_str(&self.fraction[behind..=behind]);
                    }
                    behind += 1;
                }
                Part::Point => {
                    self.begin(&mut has_begun, &mut text);
                    text.push('.');
                }
                Part::Group if place > self.first || behind > 0 => text.push(','),
                Part::Group if self.pattern.fill => text.push(' '),
                Part::Group => {}
                Part::Sign(part) => self.sign_part(*part, &mut text),
                // Where no locale is set, a currency is a blank.
                Part::Currency => text.push(' '),
                Part::Ordinal(is_upper) if !self.is_negative => {
                    let suffix = ordinal_suffix(self.whole).unwrap_or_default();
                    text.push_str(&if *is_upper { suffix.to_ascii_uppercase() } else { suffix.to_owned() });
                }
                Part::Ordinal(_) => {}
                Part::Literal(char) => text.push(*char),
            }
        }
        if self.pattern.sign == Sign::Brackets {
            match (self.is_negative, self.pattern.fill) {
                (true, _) => text.push('>'),
                (false, true) => text.push(' '),
                (false, false) => {}
            }
        }
        text
    }

    /// The sign, in front of the first digit.
    fn begin(&self, has_begun: &mut bool, text: &mut String) {
        if std::mem::replace(has_begun, true) {
            return;
        }
        match (self.pattern.sign, self.is_negative) {
            (Sign::Parts, _) => {}
            (Sign::Brackets, true) => text.push('<'),
            (Sign::Blank | Sign::Shown, true) => text.push('-'),
            (Sign::Shown, false) => text.push('+'),
            (Sign::Blank | Sign::Brackets, false) if self.pattern.fill => text.push(' '),
            (Sign::Blank | Sign::Brackets, false) => {}
        }
    }

    fn sign_part(&self, part: SignPart, text: &mut String) {
        match (part, self.is_negative) {
            (SignPart::Minus | SignPart::Both, true) => text.push('-'),
            (SignPart::Plus | SignPart::Both, false) => text.push('+'),
            _ if self.pattern.fill => text.push(' '),
            _ => {}
        }
    }

    /// So many digits behind the point are shown: without filling up not the zeros at the end.
    fn shown_behind(&self) -> usize {
        if self.pattern.fill {
            return self.pattern.behind;
        }
        self.fraction.trim_end_matches('0').len().max(self.pattern.kept)
    }
}

/// `4.86e-04`
fn scientific(pattern: &Pattern, is_negative: bool, digits: &str) -> String {
    let sign = match (is_negative, pattern.fill) {
        (true, _) => "-",
        (false, true) => " ",
        (false, false) => "",
    };
    let Some((mantissa, exponent)) = mantissa(digits, pattern.behind) else {
        return format!("{sign}#.{}####", "#".repeat(pattern.behind));
    };
    let point = if pattern.behind > 0 || pattern.parts.contains(&Part::Point) { "." } else { "" };
    let (first, rest) = mantissa.split_at(1);
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{first}{point}{rest}e{exponent_sign}{:02}", exponent.unsigned_abs())
}

/// A digit and so many behind it, and the power of ten.
fn mantissa(digits: &str, places: usize) -> Option<(String, i64)> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let point = i64::try_from(whole.len()).ok()?;
    let Some(first) = all.find(|char| char != '0') else { return Some(("0".repeat(places + 1), 0)) };
    let significant = &all[first..];
    let exponent = point - 1 - i64::try_from(first).ok()?;
    let (whole, fraction) = rounded(&format!("{}.{}", &significant[..1], &significant[1..]), places, 0)?;
    match whole.as_str() {
        // Rounding made one digit more.
        "10" => Some((format!("1{}", "0".repeat(places)), exponent + 1)),
        _ => Some((format!("{whole}{fraction}"), exponent)),
    }
}

fn roman(pattern: &Pattern, is_negative: bool, digits: &str) -> String {
    const SIGNS: [(u32, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let whole = rounded(digits, 0, 0).and_then(|(whole, _)| whole.parse::<u32>().ok());
    let text = match whole.filter(|number| (1..4000).contains(number) && !is_negative) {
        None => "#".repeat(ROMAN_WIDTH),
        Some(mut left) => {
            let mut text = String::new();
            for (value, sign) in SIGNS {
                while left >= value {
                    text.push_str(sign);
                    left -= value;
                }
            }
            text
        }
    };
    let text = if pattern.roman == Some(true) { text } else { text.to_ascii_lowercase() };
    if pattern.fill { format!("{text:>ROMAN_WIDTH$}") } else { text }
}
