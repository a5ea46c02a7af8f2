//! How many bytes a call makes of its arguments, row by row: exact where that is cheap, else no less than it will be.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Float64Type, Int64Type, IntervalMonthDayNanoType, TimestampNanosecondType,
};
use datafusion::logical_expr::ColumnarValue;

use crate::functions::memory::PLANNING_BYTES_MAX;

/// Offset and null bit of a value in Arrow.
const OVERHEAD_BYTES: usize = 5;
/// Nanoseconds of the shortest day and month.
const DAY_NANOS: i128 = 86_400_000_000_000;
const MONTH_NANOS: i128 = 28 * DAY_NANOS;

/// The arguments of a call: texts have lengths, numbers values. A scalar is the same in every row.
pub(super) struct Sizes<'a> {
    arguments: &'a [ColumnarValue],
    rows: usize,
    all_scalars: bool,
}

/// A text argument.
struct Texts {
    array: Option<ArrayRef>,
    is_scalar: bool,
}

impl Texts {
    fn value(&self, row: usize) -> Option<&str> {
        let array = self.array.as_ref()?;
        let row = if self.is_scalar { 0 } else { row };
        if array.is_null(row) {
            return None;
        }
        Some(match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().value(row),
            DataType::LargeUtf8 => array.as_string::<i64>().value(row),
            DataType::Utf8View => array.as_string_view().value(row),
            _ => return None,
        })
    }

    fn len(&self, row: usize) -> usize {
        self.value(row).map_or(0, str::len)
    }
}

impl<'a> Sizes<'a> {
    /// Of these arguments.
    pub(super) fn new(arguments: &'a [ColumnarValue], number_rows: usize) -> Self {
        let all_scalars = arguments.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        Self { arguments, rows: if all_scalars { 1 } else { number_rows }, all_scalars }
    }

    /// Bytes of the scalars where they stand beside columns: functions write them out for every row.
    pub(super) fn spread_scalars(&self) -> usize {
        if self.all_scalars {
            return 0;
        }
        let of = |argument: &ColumnarValue| match argument {
            ColumnarValue::Scalar(value) => value.size(),
            ColumnarValue::Array(_) => 0,
        };
        let bytes: usize = self.arguments.iter().map(of).sum();
        // Small ones cost less than to be thought of.
        if bytes < 4 << 10 { 0 } else { bytes.saturating_mul(self.rows) }
    }

    /// An argument as an array, of one row for a scalar.
    fn array(&self, index: usize) -> (Option<ArrayRef>, bool) {
        match self.arguments.get(index) {
            Some(ColumnarValue::Array(array)) => (Some(array.clone()), false),
            Some(ColumnarValue::Scalar(value)) => (value.to_array().ok(), true),
            None => (None, true),
        }
    }

    fn texts(&self, index: usize) -> Texts {
        let (array, is_scalar) = self.array(index);
        Texts { array, is_scalar }
    }

    /// Whole numbers by row; NULL, and what is none, is 0.
    fn numbers(&self, index: usize) -> impl Fn(usize) -> i64 + use<> {
        let (array, is_scalar) = self.array(index);
        let numbers = array.and_then(|array| cast(&array, &DataType::Int64).ok());
        move |row| {
            let row = if is_scalar { 0 } else { row };
            numbers
                .as_ref()
                .map(|array| array.as_primitive::<Int64Type>())
                .filter(|array| array.is_valid(row))
                .map_or(0, |array| array.value(row))
        }
    }

    fn count(&self, index: usize) -> impl Fn(usize) -> usize + use<> {
        let numbers = self.numbers(index);
        move |row| usize::try_from(numbers(row)).unwrap_or(0)
    }

    /// Bytes of one row of an argument of any type, the average for lists and the like.
    fn width(&self, index: usize) -> Box<dyn Fn(usize) -> usize> {
        let (array, is_scalar) = self.array(index);
        let Some(array) = array else { return Box::new(|_| 0) };
        if matches!(array.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
            let texts = Texts { array: Some(array), is_scalar };
            return Box::new(move |row| texts.len(row).saturating_add(OVERHEAD_BYTES));
        }
        let average = slice_bytes(&array).div_ceil(array.len().max(1));
        Box::new(move |_| average)
    }

    fn sum(&self, of_row: impl Fn(usize) -> usize) -> usize {
        (0..self.rows).fold(0_usize, |sum, row| sum.saturating_add(of_row(row)).saturating_add(OVERHEAD_BYTES))
    }
}

fn slice_bytes(array: &ArrayRef) -> usize {
    array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size())
}

/// repeat(text, count)
pub(super) fn repeat(sizes: &Sizes) -> usize {
    let (texts, counts) = (sizes.texts(0), sizes.count(1));
    sizes.sum(|row| texts.len(row).saturating_mul(counts(row)))
}

/// lpad(text, characters [, fill]) and rpad
pub(super) fn pad(sizes: &Sizes) -> usize {
    let (texts, widths, fills) = (sizes.texts(0), sizes.count(1), sizes.texts(2));
    sizes.sum(|row| {
        let character = if fills.value(row).is_none_or(str::is_ascii) { 1 } else { 4 };
        texts.len(row).saturating_add(widths(row).saturating_mul(character))
    })
}

/// replace(text, from, to)
pub(super) fn replace(sizes: &Sizes) -> usize {
    let (texts, from, to) = (sizes.texts(0), sizes.texts(1), sizes.texts(2));
    let at_most = |row: usize, matches: &dyn Fn(&str, &str) -> usize| {
        let Some(text) = texts.value(row) else { return 0 };
        let (wanted, put) = (from.value(row).unwrap_or_default(), to.len(row));
        // An empty one stands between all characters.
        let grown = put.saturating_sub(wanted.len());
        if grown == 0 { text.len() } else { text.len().saturating_add(grown.saturating_mul(matches(text, wanted))) }
    };
    let bound = sizes.sum(|row| at_most(row, &|text, wanted| text.len() / wanted.len().max(1) + 1));
    if bound <= PLANNING_BYTES_MAX {
        return bound;
    }
    sizes.sum(|row| {
        at_most(row, &|text, wanted| if wanted.is_empty() { text.len() + 1 } else { text.matches(wanted).count() })
    })
}

/// regexp_replace(text, pattern, replacement [, flags])
pub(super) fn regexp_replace(sizes: &Sizes) -> usize {
    let (texts, replacements) = (sizes.texts(0), sizes.texts(2));
    sizes.sum(|row| {
        let text = texts.len(row);
        let replacement = replacements.value(row).unwrap_or_default();
        // All that a group matches is in the text once.
        let groups = replacement.bytes().filter(|byte| *byte == b'\\' || *byte == b'$').count();
        let literal = replacement.len().saturating_mul(text + 1);
        text.saturating_add(literal).saturating_add(groups.saturating_mul(text))
    })
}

/// concat(value, …)
pub(super) fn sum(sizes: &Sizes) -> usize {
    (0..sizes.arguments.len())
        .map(|index| {
            let width = sizes.width(index);
            sizes.sum(&width)
        })
        .fold(0, usize::saturating_add)
}

/// concat_ws(separator, value, …)
pub(super) fn joined(sizes: &Sizes) -> usize {
    let separators = sizes.texts(0);
    let between = sizes.arguments.len().saturating_sub(2);
    sum(sizes).saturating_add(sizes.sum(|row| separators.len(row).saturating_mul(between)))
}

/// format(pattern, value, …): each `%` may take the longest value in quotes, and fill up to the largest number of the pattern. `width_max`:
/// what a width may be that is a value.
pub(super) fn formatted(sizes: &Sizes, width_max: usize) -> usize {
    let patterns = sizes.texts(0);
    let values: Vec<Texts> = (1..sizes.arguments.len()).map(|index| sizes.texts(index)).collect();
    sizes.sum(|row| {
        let pattern = patterns.value(row).unwrap_or_default();
        let numbers = pattern.split(|char: char| !char.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
        let width = if pattern.contains('*') { width_max } else { numbers.max().unwrap_or(0).min(width_max) };
        let longest = values.iter().map(|value| value.len(row)).max().unwrap_or(0).saturating_mul(2).saturating_add(3);
        pattern.len().saturating_add(pattern.matches('%').count().saturating_mul(longest.max(width)))
    })
}

/// array_repeat(element, count)
pub(super) fn array_repeat(sizes: &Sizes) -> usize {
    let (width, counts) = (sizes.width(0), sizes.count(1));
    sizes.sum(|row| width(row).saturating_mul(counts(row)))
}

/// array_resize(array, size [, element])
pub(super) fn array_resize(sizes: &Sizes) -> usize {
    let (array, counts, element) = (sizes.width(0), sizes.count(1), sizes.width(2));
    sizes.sum(|row| array(row).saturating_add(counts(row).saturating_mul(element(row).max(16))))
}

/// array_to_string(array, delimiter [, null])
pub(super) fn array_to_string(sizes: &Sizes) -> usize {
    let (array, delimiters, nulls) = (sizes.width(0), sizes.texts(1), sizes.texts(2));
    sizes.sum(|row| {
        // An element has a byte at least, and a number at most three digits for each of its bytes.
        let bytes = array(row);
        bytes.saturating_mul(3).saturating_add(bytes.saturating_mul(delimiters.len(row).saturating_add(nulls.len(row))))
    })
}

/// range(start, stop [, step]) and generate_series, of numbers, dates and timestamps
pub(super) fn series(sizes: &Sizes) -> usize {
    let count = sizes.arguments.len();
    let (start, stop, step) = match count {
        1 => (None, 0, None),
        2 => (Some(0), 1, None),
        _ => (Some(0), 1, Some(2)),
    };
    let points = |index: usize| {
        let (array, is_scalar) = sizes.array(index);
        let points = array.as_ref().and_then(place);
        move |row: usize| {
            let row = if is_scalar { 0 } else { row };
            points.as_ref().and_then(|points| points.get(row).copied()).flatten()
        }
    };
    let (stops, steps) = (points(stop), step.map(points));
    let starts = start.map(points);
    sizes.sum(|row| {
        let (Some(stop), Some(start)) = (stops(row), starts.as_ref().map_or(Some(0), |starts| starts(row))) else {
            return 0;
        };
        let step = steps.as_ref().map_or(Some(1), |steps| steps(row)).unwrap_or(0);
        let way = stop - start;
        if way != 0 && step != 0 && (way < 0) != (step < 0) {
            return 0;
        }
        let count = way.unsigned_abs() / step.unsigned_abs().max(1) + 1;
        usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(size_of::<i64>())
    })
}

/// Numbers as they are, times and intervals in nanoseconds (an interval is no longer than it can be short).
fn place(array: &ArrayRef) -> Option<Vec<Option<i128>>> {
    Some(match array.data_type() {
        DataType::Interval(_) => {
            let array =
                cast(array, &DataType::Interval(datafusion::arrow::datatypes::IntervalUnit::MonthDayNano)).ok()?;
            let intervals = array.as_primitive::<IntervalMonthDayNanoType>().clone();
            let nanos = |interval: datafusion::arrow::datatypes::IntervalMonthDayNano| {
                i128::from(interval.months) * MONTH_NANOS
                    + i128::from(interval.days) * DAY_NANOS
                    + i128::from(interval.nanoseconds)
            };
            intervals.iter().map(|interval| interval.map(nanos)).collect()
        }
        DataType::Date32 => {
            let days = cast(array, &DataType::Int32).and_then(|days| cast(&days, &DataType::Int64)).ok()?;
            days.as_primitive::<Int64Type>().iter().map(|days| days.map(|days| i128::from(days) * DAY_NANOS)).collect()
        }
        DataType::Timestamp(..) => {
            let unit = datafusion::arrow::datatypes::TimeUnit::Nanosecond;
            let array = cast(array, &DataType::Timestamp(unit, None)).ok()?;
            array.as_primitive::<TimestampNanosecondType>().iter().map(|nanos| nanos.map(i128::from)).collect()
        }
        DataType::Float32 | DataType::Float64 => {
            let array = cast(array, &DataType::Float64).ok()?;
            #[allow(clippy::cast_possible_truncation, reason = "the bound of a float is near enough")]
            array.as_primitive::<Float64Type>().iter().map(|number| number.map(|number| number as i128)).collect()
        }
        _ => {
            let array = cast(array, &DataType::Int64).ok()?;
            array.as_primitive::<Int64Type>().iter().map(|number| number.map(i128::from)).collect()
        }
    })
}
