//! What values of several types become where one type is wanted: dates and timestamps the finest timestamp, decimals beside floats
//! doubles, texts that are written beside dates, times and intervals one of these, as in PostgreSQL.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::logical_expr::type_coercion::binary::type_union_resolution;
use datafusion::logical_expr::{Expr, ExprSchemable, cast};

use super::decimals::is_decimal;
use super::intervals::{INTERVAL, is_interval};
use super::nested::is_nested;
use super::timestamp_precision::per_second;

/// What the others become where one type is wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Meeting {
    /// Dates, timestamps of other units and texts become such a timestamp.
    Timestamp(DataType),
    /// Texts become a date, a time or an interval.
    Text(DataType),
    /// Decimals and floats beside each other, as in both dialects: a decimal could hold neither 1e300 nor 1e-20.
    Double,
    /// The same within arrays, rows or maps.
    Nested(DataType),
}

/// One of several values: its type, and the digits of a second in it if it is a text that is written.
#[derive(Debug, Clone)]
pub struct Part {
    data_type: DataType,
    written: Option<usize>,
}

impl Part {
    /// Of an expression; `None`: its type cannot be told.
    pub fn of(expr: &Expr, schema: &DFSchema) -> Option<Self> {
        Some(Self { data_type: expr.get_type(schema).ok()?, written: written_digits(expr) })
    }

    /// Of a column.
    pub fn column(data_type: &DataType) -> Self {
        Self { data_type: data_type.clone(), written: None }
    }

    /// Its type.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Whether it is a text that is written.
    pub fn is_written(&self) -> bool {
        self.written.is_some()
    }
}

/// The digits behind the point of a text that is written.
fn written_digits(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Alias(alias) => written_digits(&alias.expr),
        Expr::Literal(value, _) => {
            let text = value.try_as_str()??;
            let digits = |(_, behind): (&str, &str)| behind.bytes().take_while(u8::is_ascii_digit).count();
            Some(text.split_once('.').map_or(0, digits))
        }
        _ => None,
    }
}

fn is_timestamp(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..))
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Time32(_) | DataType::Time64(_))
}

impl Meeting {
    /// The type that all have then.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Timestamp(data_type) | Self::Text(data_type) | Self::Nested(data_type) => data_type.clone(),
            Self::Double => DataType::Float64,
        }
    }

    /// Whether a value takes another type.
    pub fn changes(&self, part: &Part) -> bool {
        let found = &part.data_type;
        match self {
            Self::Timestamp(to) => {
                found != to && (part.is_written() || *found == DataType::Date32 || is_timestamp(found))
            }
            Self::Text(_) => part.is_written(),
            Self::Double => is_decimal(found) || matches!(found, DataType::Float16 | DataType::Float32),
            Self::Nested(data_type) => is_nested(found) && found != data_type,
        }
    }

    /// An expression in the common type.
    pub fn fit(&self, expr: Expr, schema: &DFSchema) -> Expr {
        let changes = Part::of(&expr, schema).is_some_and(|part| self.changes(&part));
        if changes { cast(expr, self.data_type()) } else { expr }
    }
}

/// How values meet; `None`: they are left to the coercion of types.
pub fn meeting(parts: &[Part]) -> Option<Meeting> {
    let types = || parts.iter().map(Part::data_type);
    if types().any(DataType::is_floating) {
        return types().any(is_decimal).then_some(Meeting::Double);
    }
    if types().any(is_nested) {
        return nested(types()).map(Meeting::Nested);
    }
    let has_text = parts.iter().any(Part::is_written);
    let mut others = parts.iter().filter(|part| !part.is_written() && !part.data_type.is_null()).map(Part::data_type);
    let first = others.clone().next()?;
    if others.clone().all(|found| *found == DataType::Date32 || is_timestamp(found)) {
        if others.clone().any(is_timestamp) {
            return timestamp(parts).map(Meeting::Timestamp);
        }
        return has_text.then_some(Meeting::Text(DataType::Date32));
    }
    if !has_text {
        return None;
    }
    if others.clone().all(is_interval) {
        return Some(Meeting::Text(INTERVAL));
    }
    let is_one = is_time(first) && others.all(|found| found == first);
    is_one.then(|| Meeting::Text(first.clone()))
}

/// The type of arrays, rows or maps of which one has decimals where another one has floats.
fn nested<'a>(mut types: impl Iterator<Item = &'a DataType>) -> Option<DataType> {
    let mut mixes = false;
    let first = types.next()?.clone();
    let common = types.try_fold(first, |known, found| common(&known, found, &mut mixes))?;
    mixes.then_some(common)
}

fn common(left: &DataType, right: &DataType, mixes: &mut bool) -> Option<DataType> {
    let mut of_fields = |left: &FieldRef, right: &FieldRef| {
        let data_type = common(left.data_type(), right.data_type(), mixes)?;
        let nullable = left.is_nullable() || right.is_nullable();
        Some(Arc::new(left.as_ref().clone().with_data_type(data_type).with_nullable(nullable)))
    };
    match (left, right) {
        (DataType::Null, known) | (known, DataType::Null) => Some(known.clone()),
        (DataType::List(left), DataType::List(right)) => Some(DataType::List(of_fields(left, right)?)),
        (DataType::Struct(left), DataType::Struct(right)) if left.len() == right.len() => {
            let fields = left.iter().zip(right).map(|(left, right)| of_fields(left, right));
            Some(DataType::Struct(fields.collect::<Option<Vec<_>>>()?.into()))
        }
        (DataType::Map(left, ordered), DataType::Map(right, _)) => {
            Some(DataType::Map(of_fields(left, right)?, *ordered))
        }
        (left, right) if left == right => Some(left.clone()),
        (left, right) if left.is_floating() && is_decimal(right) || is_decimal(left) && right.is_floating() => {
            *mixes = true;
            Some(DataType::Float64)
        }
        (left, right) => type_union_resolution(&[left.clone(), right.clone()]),
    }
}

/// The timestamp in which dates, timestamps and texts meet, if they are not of one type.
fn timestamp(parts: &[Part]) -> Option<DataType> {
    let units = parts.iter().filter_map(|part| match &part.data_type {
        DataType::Timestamp(unit, _) => Some(*unit),
        // A text has as many digits as it likes, of which a TIMESTAMP takes six.
        _ => part.written.filter(|digits| *digits > 3).map(|_| TimeUnit::Microsecond),
    });
    let unit = units.max_by_key(|unit| per_second(*unit))?;
    let zone = parts.iter().find_map(|part| match &part.data_type {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    });
    let met = DataType::Timestamp(unit, zone);
    let differs = |part: &Part| part.data_type != met && !part.data_type.is_null();
    // Nanoseconds end in 2262, which comparisons heed.
    let is_left = unit == TimeUnit::Nanosecond && !parts.iter().any(Part::is_written);
    (!is_left && parts.iter().any(differs)).then_some(met)
}

/// The type of dates, times and intervals of several types, and of texts that are written beside them; `None`: they have none.
pub fn common_moment(types: &[DataType]) -> Option<DataType> {
    let part =
        |data_type: &DataType| Part { data_type: data_type.clone(), written: data_type.is_string().then_some(0) };
    let parts: Vec<Part> = types.iter().map(part).collect();
    if parts.iter().any(|part| part.data_type.is_numeric()) {
        return None;
    }
    meeting(&parts).map(|met| met.data_type())
}

/// Whether a type is one of dates, times and intervals.
pub fn is_moment(data_type: &DataType) -> bool {
    data_type.is_temporal()
}
