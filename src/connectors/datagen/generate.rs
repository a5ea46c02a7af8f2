//! The value of a column in row n: a function of the table's and column's name and of n.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, TimeUnit, i256};

use crate::clock::{Clock, SystemClock};
use crate::data_type::to_flink;
use crate::error::{Error, Result};
use crate::formats::columns::{Column, Values};
use crate::formats::time_text;
use crate::options::OptionKind::{Duration as Time, Number, Whole};
use crate::options::{OptionEntry, OptionReader, option_entries};

/// Characters or bytes of a text at most.
const LENGTH_MAX: i64 = 1 << 20;

option_entries! {
    /// Of a column.
    pub(super) OPTIONS:
    KIND = OptionEntry::choice("fields.#.kind", &["random", "sequence"],
        "Whether the column's values are random or one after the other.").or("random");
    NULL_RATE = OptionEntry::new("fields.#.null-rate", Number, "Part of the rows that have NULL, from 0 to 1.").or("0");
    START = OptionEntry::new("fields.#.start", Whole(i64::MIN, i64::MAX), "First value of a sequence.")
        .or_else("required with `sequence`");
    END = OptionEntry::new("fields.#.end", Whole(i64::MIN, i64::MAX),
        "Last value of a sequence. The shortest sequence ends the table.").or_else("required with `sequence`");
    MIN = OptionEntry::new("fields.#.min", Number, "Least random value of a column of numbers.")
        .or_else("the type's least; 0 for FLOAT and DOUBLE");
    MAX = OptionEntry::new("fields.#.max", Number, "Greatest random value of a column of numbers.")
        .or_else("the type's greatest");
    LENGTH = OptionEntry::new("fields.#.length", Whole(0, LENGTH_MAX),
        "Characters of a random text, or bytes.").or("100");
    VARIABLE = OptionEntry::flag("fields.#.var-len", "false",
        "Whether random texts have any length from 1 to `fields.#.length`.");
    MAX_PAST = OptionEntry::new("fields.#.max-past", Time,
        "How far before now a random TIMESTAMP may be.").or("0 s");
}

/// How a column's values come about.
enum Kind {
    /// `start`, `start + 1`, … `end`.
    Sequence {
        start: i64,
        end: i64,
    },
    /// Whole numbers (also of decimals' last place) from a range.
    Whole {
        min: i128,
        max: i128,
    },
    /// Floating-point numbers from a range.
    Floating {
        min: f64,
        max: f64,
    },
    /// Hexadecimal digits, or bytes.
    Text {
        length: u64,
        is_variable: bool,
    },
    Boolean,
    /// Now, less up to `max_past`, in milliseconds.
    Time {
        max_past: u64,
    },
}

/// Makes one column's values.
pub(super) struct Generator {
    data_type: DataType,
    seed: u64,
    kind: Kind,
    null_rate: f64,
}

impl Generator {
    /// Takes the options `fields.<name>.…` of a column.
    pub fn take(options: &mut OptionReader, table: &str, index: usize, field: &Field) -> Result<Self> {
        let name = field.name();
        let kind = options.take_choice_or(KIND.of(name))?;
        let null_rate: f64 = options.take_parsed_or(NULL_RATE.of(name))?;
        if !(0.0..=1.0).contains(&null_rate) {
            return Err(Error::invalid(format!("{} must be from 0 to 1", NULL_RATE.of(name))));
        }
        let kind = if kind == "sequence" { Self::sequence(options, field)? } else { Self::random(options, field)? };
        let seed = table.bytes().chain(name.bytes()).fold(mix(index as u64), |seed, byte| mix(seed ^ u64::from(byte)));
        // Types without a column are an error of CREATE.
        Column::new(field.data_type())?;
        Ok(Self { data_type: field.data_type().clone(), seed, kind, null_rate })
    }

    fn sequence(options: &mut OptionReader, field: &Field) -> Result<Kind> {
        let name = field.name();
        if !field.data_type().is_numeric() && field.data_type() != &DataType::Utf8 {
            return Err(Error::unsupported(format!(
                "column \"{}\" of type {} cannot be a sequence",
                field.name(),
                to_flink(field.data_type())
            )));
        }
        let (first, last) = (START.of(name), END.of(name));
        let start: i64 = first.whole(&options.require(first.clone())?)?;
        let end: i64 = last.whole(&options.require(last.clone())?)?;
        if end < start {
            return Err(Error::invalid(format!("{last} must not be before the start")));
        }
        if let Some((least, most)) = range(field.data_type())
            && (i128::from(start) < least || i128::from(end) > most)
        {
            return Err(Error::invalid(format!("the sequence of column \"{}\" leaves its type's range", field.name())));
        }
        Ok(Kind::Sequence { start, end })
    }

    fn random(options: &mut OptionReader, field: &Field) -> Result<Kind> {
        let name = field.name();
        let bad = |option: &OptionEntry| Error::invalid(format!("{} does not fit column \"{name}\"", option.of(name)));
        Ok(match field.data_type() {
            DataType::Boolean => Kind::Boolean,
            whole @ (DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64) => {
                let (least, most) = range(whole).unwrap_or_default();
                let min = options.take_parsed::<i128>(MIN.of(name))?.unwrap_or(least);
                let max = options.take_parsed::<i128>(MAX.of(name))?.unwrap_or(most);
                if min < least || max > most || min > max {
                    return Err(bad(&MAX));
                }
                Kind::Whole { min, max }
            }
            DataType::Decimal128(precision, scale) => {
                let most = 10_i128.pow(u32::from(*precision).min(38)) - 1;
                let unscaled = |value: f64| (value * 10_f64.powi(i32::from(*scale))).round() as i128;
                let min = options.take_parsed::<f64>(MIN.of(name))?.map_or(-most, unscaled).max(-most);
                let max = options.take_parsed::<f64>(MAX.of(name))?.map_or(most, unscaled).min(most);
                if min > max {
                    return Err(bad(&MAX));
                }
                Kind::Whole { min, max }
            }
            DataType::Float32 | DataType::Float64 => {
                let most = if field.data_type() == &DataType::Float32 { f64::from(f32::MAX) } else { f64::MAX };
                let min = options.take_parsed::<f64>(MIN.of(name))?.unwrap_or(0.0);
                let max = options.take_parsed::<f64>(MAX.of(name))?.unwrap_or(most);
                if !min.is_finite() || !max.is_finite() || min > max {
                    return Err(bad(&MAX));
                }
                Kind::Floating { min, max }
            }
            DataType::Utf8 | DataType::Binary => {
                let length: u64 = options.take_whole_or(LENGTH.of(name))?;
                Kind::Text { length, is_variable: options.take_flag_or(VARIABLE.of(name))? }
            }
            DataType::Date32 | DataType::Time32(_) | DataType::Time64(_) => Kind::Time { max_past: 0 },
            DataType::Timestamp(..) => {
                let max_past = options.take_duration_or(MAX_PAST.of(name))?;
                Kind::Time { max_past: u64::try_from(max_past.as_millis()).unwrap_or(u64::MAX) }
            }
            other => {
                return Err(Error::unsupported(format!(
                    "column \"{}\": datagen makes no values of type {} yet",
                    field.name(),
                    to_flink(other)
                )));
            }
        })
    }

    /// How many rows there are, where the column ends them.
    pub fn rows(&self) -> Option<i64> {
        match self.kind {
            Kind::Sequence { start, end } => Some(end.saturating_sub(start).saturating_add(1)),
            _ => None,
        }
    }

    /// The values of the rows with these numbers.
    pub fn column(&self, numbers: &[i64]) -> Result<ArrayRef> {
        let mut column = Column::new(&self.data_type)?;
        let now = SystemClock.now_ms();
        for number in numbers {
            let random = mix(self.seed ^ mix(*number as u64));
            if self.null_rate > 0.0 && fraction(mix(random)) < self.null_rate {
                column.append_null();
                continue;
            }
            match &self.kind {
                Kind::Sequence { start, .. } => append_whole(&mut column, i128::from(start + number), true),
                Kind::Whole { min, max } => {
                    // Wide enough for every type but the largest decimals, whose last digits are then less even.
                    let width = (max - min).unsigned_abs().saturating_add(1);
                    let random = (u128::from(random) << 64) | u128::from(mix(random));
                    append_whole(&mut column, min + (random % width) as i128, false);
                }
                Kind::Floating { min, max } => {
                    let at = fraction(random);
                    append_floating(&mut column, min * (1.0 - at) + max * at);
                }
                Kind::Text { length, is_variable } => {
                    let length = if *is_variable { random % length.max(&1) + 1 } else { *length };
                    append_text(&mut column, length as usize, random, self.data_type == DataType::Binary);
                }
                Kind::Boolean => {
                    if let Values::Boolean(values) = column.values() {
                        values.append(random & 1 == 1);
                    }
                    column.accept();
                }
                Kind::Time { max_past } => {
                    let past = if *max_past == 0 { 0 } else { random % max_past };
                    append_time(&mut column, now - past as i64);
                }
            }
        }
        column.finish()
    }
}

fn range(data_type: &DataType) -> Option<(i128, i128)> {
    Some(match data_type {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => (i64::MIN.into(), i64::MAX.into()),
        _ => return None,
    })
}

/// A well-mixed function of its argument (splitmix64).
fn mix(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// From 0 to below 1.
fn fraction(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

/// Appends a whole number that lies in the type's range; `is_value`: of decimals the value itself, not their last place.
fn append_whole(column: &mut Column, value: i128, is_value: bool) {
    match column.values() {
        Values::Int8(values) => values.push(value as i8),
        Values::Int16(values) => values.push(value as i16),
        Values::Int32(values) => values.push(value as i32),
        Values::Int64(values) => values.push(value as i64),
        Values::Float32(values) => values.push(value as f32),
        Values::Float64(values) => values.push(value as f64),
        Values::Decimal128 { values, scale, .. } => {
            let places = if is_value { u32::try_from(*scale).unwrap_or(0).min(20) } else { 0 };
            values.push(value.saturating_mul(10_i128.pow(places)));
        }
        Values::Decimal256 { values, .. } => values.push(i256::from_i128(value)),
        Values::Utf8(_) => return column.append_bytes(value.to_string().as_bytes()),
        _ => return column.append_null(),
    }
    column.accept();
}

fn append_floating(column: &mut Column, value: f64) {
    match column.values() {
        Values::Float32(values) => values.push(value as f32),
        Values::Float64(values) => values.push(value),
        _ => return column.append_null(),
    }
    column.accept();
}

fn append_text(column: &mut Column, length: usize, random: u64, is_binary: bool) {
    let mut bytes = Vec::with_capacity(length + 16);
    let mut state = random;
    while bytes.len() < length {
        state = mix(state);
        for shift in 0..8 {
            let byte = (state >> (shift * 8)) as u8;
            bytes.push(if is_binary { byte } else { b"0123456789abcdef"[usize::from(byte & 15)] });
        }
    }
    column.append_bytes(&bytes[..length]);
}

fn append_time(column: &mut Column, millis: i64) {
    let (seconds, nanos) = time_text::from_unit(millis, TimeUnit::Millisecond);
    let (days, second) = (seconds.div_euclid(time_text::SECONDS_A_DAY), seconds.rem_euclid(time_text::SECONDS_A_DAY));
    match column.values() {
        Values::Date32(values) => values.push(days as i32),
        Values::Time32(values, unit) => {
            values.push(time_text::to_unit(second, nanos, *unit).unwrap_or_default() as i32);
        }
        Values::Time64(values, unit) => values.push(time_text::to_unit(second, nanos, *unit).unwrap_or_default()),
        Values::Timestamp { values, unit, .. } => {
            values.push(time_text::to_unit(seconds, nanos, *unit).unwrap_or_default());
        }
        _ => return column.append_null(),
    }
    column.accept();
}
