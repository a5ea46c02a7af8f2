//! floor, ceil, trunc and sign of exact numbers, which stay exact: whole numbers as they are, decimals without their places, as in
//! Flink and PostgreSQL. The engine's own go through DOUBLE, or keep a type that the result does not fit into.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, PrimitiveArray};
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, i256,
};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use super::entry::{Entry, Maker};
use super::no_such_call;
use crate::data_type::{NUMERIC_PRECISION, is_unconstrained_numeric};
use crate::error::{Error, SqlState};

const NUMBERS: &[&str] = &[
    "integer → integer",
    "bigint → bigint",
    "numeric → numeric",
    "real → real",
    "double precision → double precision",
];

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::public(
        "ceil",
        NUMBERS,
        "The least whole number that is not below the number.",
        Maker::Plain(|| make(Kind::Ceil)),
    )
    .aliases(&["ceiling"])
    .example("CEIL(1.2)", "2"),
    Entry::public(
        "floor",
        NUMBERS,
        "The greatest whole number that is not above the number.",
        Maker::Plain(|| make(Kind::Floor)),
    )
    .example("FLOOR(-1.2)", "-2"),
    Entry::public(
        "sign",
        NUMBERS,
        "-1, 0 or 1, as the number is below, at or above 0.",
        Maker::Plain(|| make(Kind::Sign)),
    )
    .aliases(&["signum"])
    .example("SIGN(-3)", "-1"),
    Entry::public(
        "trunc",
        &[
            "bigint → bigint",
            "numeric → numeric",
            "double precision → double precision",
            "numeric, bigint → numeric",
            "double precision, bigint → double precision",
        ],
        "The number cut off behind so many places, or before the point.",
        Maker::Plain(|| make(Kind::Trunc)),
    )
    .aliases(&["truncate"])
    .example("TRUNC(-1.9)", "-1"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Floor,
    Ceil,
    Trunc,
    Sign,
}

fn make(kind: Kind) -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::from(Rounding { kind, signature }))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Rounding {
    kind: Kind,
    signature: Signature,
}

impl Rounding {
    /// The result's type; `trunc(x, places)` keeps all places of its number, the cut ones being 0.
    fn result(&self, from: &DataType, has_places: bool) -> DataType {
        let decimal = |precision: u8, scale: i8, most: u8| {
            match self.kind {
                Kind::Sign => return (1, 0),
                Kind::Trunc if has_places => return (precision, scale),
                Kind::Trunc | Kind::Floor | Kind::Ceil => {}
            }
            if scale <= 0 {
                return (precision, scale);
            }
            // -9.9 down is -10.
            let carry = i16::from(self.kind != Kind::Trunc);
            let digits = i16::from(precision) - i16::from(scale) + carry;
            (u8::try_from(digits.clamp(1, i16::from(most))).unwrap_or(most), 0)
        };
        match from {
            DataType::Decimal128(precision, scale) => {
                let (precision, scale) = decimal(*precision, *scale, 38);
                DataType::Decimal128(precision, scale)
            }
            DataType::Decimal256(..) if is_unconstrained_numeric(from) => from.clone(),
            DataType::Decimal256(precision, scale) => {
                let (precision, scale) = decimal(*precision, *scale, NUMERIC_PRECISION);
                DataType::Decimal256(precision, scale)
            }
            other => other.clone(),
        }
    }
}

impl ScalarUDFImpl for Rounding {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Floor => "floor",
            Kind::Ceil => "ceil",
            Kind::Trunc => "trunc",
            Kind::Sign => "sign",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let usage = match self.kind {
            Kind::Trunc => "trunc(number) or trunc(number, places)",
            Kind::Floor => "floor(number)",
            Kind::Ceil => "ceil(number)",
            Kind::Sign => "sign(number)",
        };
        let number = match arguments.first() {
            Some(number) if number.is_signed_integer() || number.is_floating() || number.is_decimal() => number.clone(),
            Some(number) if number.is_unsigned_integer() => DataType::Int64,
            Some(DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Null) => DataType::Float64,
            _ => return Err(no_such_call(self.name(), arguments, usage)),
        };
        let number = match number {
            DataType::Float16 => DataType::Float32,
            DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
                DataType::Decimal128(precision, scale)
            }
            other => other,
        };
        match arguments {
            [_] => Ok(vec![number]),
            [_, places] if self.kind == Kind::Trunc && (places.is_integer() || places.is_null()) => {
                Ok(vec![number, DataType::Int64])
            }
            _ => Err(no_such_call(self.name(), arguments, usage)),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let number = arguments.first().ok_or_else(|| no_such_call(self.name(), arguments, "it over a number"))?;
        Ok(self.result(number, arguments.len() > 1))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let result = args.return_field.data_type().clone();
        let arrays = args.args.into_iter().map(|arg| arg.into_array(rows)).collect::<Result<Vec<_>>>()?;
        let rounded = self.evaluate(&arrays, &result)?;
        Ok(match is_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&rounded, 0)?),
            false => ColumnarValue::Array(rounded),
        })
    }
}

impl Rounding {
    fn evaluate(&self, arguments: &[ArrayRef], result: &DataType) -> Result<ArrayRef> {
        let numbers = &arguments[0];
        let places: Vec<Option<i64>> = match arguments.get(1) {
            Some(places) => places.as_primitive::<Int64Type>().iter().collect(),
            None => vec![Some(0); numbers.len()],
        };
        let scale = |data_type: &DataType| match data_type {
            DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => i64::from(*scale),
            _ => 0,
        };
        let (from, to) = (scale(numbers.data_type()), scale(result));
        Ok(match numbers.data_type() {
            DataType::Int8 => self.exact::<Int8Type>(numbers, &places, (0, 0), 10, result)?,
            DataType::Int16 => self.exact::<Int16Type>(numbers, &places, (0, 0), 10, result)?,
            DataType::Int32 => self.exact::<Int32Type>(numbers, &places, (0, 0), 10, result)?,
            DataType::Int64 => self.exact::<Int64Type>(numbers, &places, (0, 0), 10, result)?,
            DataType::Decimal128(..) => self.exact::<Decimal128Type>(numbers, &places, (from, to), 10, result)?,
            DataType::Decimal256(..) => {
                self.exact::<Decimal256Type>(numbers, &places, (from, to), i256::from_i128(10), result)?
            }
            DataType::Float32 => {
                let numbers = numbers.as_primitive::<Float32Type>().iter().zip(places);
                #[expect(clippy::cast_possible_truncation, reason = "a REAL that is rounded is a REAL")]
                let of =
                    |(number, places): (Option<f32>, Option<i64>)| Some(self.float(f64::from(number?), places?) as f32);
                Arc::new(numbers.map(of).collect::<PrimitiveArray<Float32Type>>())
            }
            DataType::Float64 => {
                let numbers = numbers.as_primitive::<Float64Type>().iter().zip(places);
                let of = |(number, places): (Option<f64>, Option<i64>)| Some(self.float(number?, places?));
                Arc::new(numbers.map(of).collect::<PrimitiveArray<Float64Type>>())
            }
            other => return Err(Error::internal(format!("{} of {other}", self.name())).into()),
        })
    }

    fn float(&self, number: f64, places: i64) -> f64 {
        match self.kind {
            Kind::Floor => number.floor(),
            Kind::Ceil => number.ceil(),
            Kind::Trunc if places == 0 => number.trunc(),
            Kind::Trunc => {
                let power = 10_f64.powi(i32::try_from(places.clamp(-400, 400)).unwrap_or(0));
                let scaled = number * power;
                // Beyond what a double can tell apart there is nothing to cut.
                if power == 0.0 {
                    0.0
                } else if scaled.is_finite() {
                    scaled.trunc() / power
                } else {
                    number
                }
            }
            Kind::Sign if number > 0.0 => 1.0,
            Kind::Sign if number < 0.0 => -1.0,
            Kind::Sign => number,
        }
    }

    /// Numbers that are so many tenths of tenths: from one scale to another.
    fn exact<T: ArrowPrimitiveType>(
        &self,
        numbers: &ArrayRef,
        places: &[Option<i64>],
        (from, to): (i64, i64),
        ten: T::Native,
        result: &DataType,
    ) -> Result<ArrayRef>
    where
        T::Native: ArrowNativeTypeOp,
    {
        // Absent: larger than any number.
        let power = |exponent: i64| {
            let mut power = T::Native::ONE;
            (0..exponent).try_for_each(|_| power.mul_checked(ten).map(|next| power = next)).ok()?;
            Some(power)
        };
        let zero = T::Native::ZERO;
        let numbers = numbers.as_primitive::<T>();
        let overflow = || Error::row("numeric field overflow").code(SqlState::NumericValueOutOfRange);
        let (down, up) = (power(from - to), power(to - from));
        let mut cached = (i64::MIN, None);
        let mut values = Vec::with_capacity(numbers.len());
        for (number, places) in numbers.iter().zip(places) {
            let (Some(number), Some(places)) = (number, places) else {
                values.push(None);
                continue;
            };
            if self.kind == Kind::Sign {
                let one = if is_negative(number) { T::Native::ONE.neg_wrapping() } else { T::Native::ONE };
                let sign = if number.is_zero() { zero } else { one };
                values.push(Some(power(to).and_then(|unit| sign.mul_checked(unit).ok()).ok_or_else(overflow)?));
                continue;
            }
            if cached.0 != *places {
                cached = (*places, power((from - places).clamp(0, 100)));
            }
            let rest = match cached.1 {
                Some(step) => number.mod_wrapping(step),
                None => number,
            };
            let mut cut = number.sub_wrapping(rest);
            let is_off = match self.kind {
                Kind::Floor => is_negative(rest),
                Kind::Ceil => !rest.is_zero() && !is_negative(rest),
                Kind::Trunc | Kind::Sign => false,
            };
            if is_off {
                let step = cached.1.ok_or_else(overflow)?;
                let step = if self.kind == Kind::Floor { step.neg_wrapping() } else { step };
                cut = cut.add_checked(step).map_err(|_| overflow())?;
            }
            let moved = match from >= to {
                true => down.map(|down| cut.div_wrapping(down)),
                false => up.and_then(|up| cut.mul_checked(up).ok()),
            };
            values.push(Some(moved.ok_or_else(overflow)?));
        }
        Ok(Arc::new(values.into_iter().collect::<PrimitiveArray<T>>().with_data_type(result.clone())))
    }
}

fn is_negative<N: ArrowNativeTypeOp>(number: N) -> bool {
    number.is_lt(N::ZERO)
}

#[cfg(test)]
mod tests;
