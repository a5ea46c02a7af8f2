//! decimal_multiply(a, b): the product of decimals and whole numbers whose digits may be more than 38, with all places up to 38 and
//! more where there is room, rounded half up beyond them. Narrower products are the engine's own, which are exact.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, Decimal256Type, i256};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::decimals::{of_two, parts, power_of_ten, rounded_quotient, two_decimals, value};
use super::entry::{Entry, Maker};
use super::no_such_call;
use crate::data_type::{NUMERIC_PRECISION, NUMERIC_SCALE};
use crate::error::{Error, SqlState};

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] =
    &[Entry::internal(NAME, "`*` of decimals whose product may be long.", Maker::Plain(decimal_multiply))];

/// Its name.
pub const NAME: &str = "decimal_multiply";
const DIGITS: i16 = NUMERIC_PRECISION as i16;
/// Places that are kept whatever stands before the point.
const PLACES_KEPT: i16 = NUMERIC_SCALE as i16;

/// The function.
pub fn decimal_multiply() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(DecimalMultiply { signature: Signature::user_defined(Volatility::Immutable) }))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct DecimalMultiply {
    signature: Signature,
}

fn product_type(left: &DataType, right: &DataType) -> Option<DataType> {
    let ((left_precision, left_scale), (right_precision, right_scale)) = (parts(left)?, parts(right)?);
    let (precision, scale) = (left_precision + right_precision + 1, left_scale + right_scale);
    let scale = match precision <= DIGITS {
        true => scale,
        false => (DIGITS - (precision - scale)).max(scale.min(PLACES_KEPT)),
    };
    Some(DataType::Decimal256(u8::try_from(precision.min(DIGITS)).ok()?, i8::try_from(scale).ok()?))
}

impl ScalarUDFImpl for DecimalMultiply {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        two_decimals(NAME, arguments, "a * b")
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let decimals = self.coerce_types(arguments)?;
        product_type(&decimals[0], &decimals[1]).ok_or_else(|| no_such_call(NAME, arguments, "a * b"))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        of_two(args, multiply)
    }
}

fn multiply(left: &ArrayRef, right: &ArrayRef, result: &DataType) -> Result<ArrayRef> {
    let misfit = || Error::internal("decimal_multiply needs decimals");
    let (Some((_, left_scale)), Some((_, right_scale)), Some((precision, scale))) =
        (parts(left.data_type()), parts(right.data_type()), parts(result))
    else {
        return Err(misfit().into());
    };
    let (Some(cut), Some(bound)) = (power_of_ten(left_scale + right_scale - scale), power_of_ten(precision)) else {
        return Err(misfit().into());
    };
    let mut products = Vec::with_capacity(left.len());
    for row in 0..left.len() {
        let (Some(a), Some(b)) = (value(left, row), value(right, row)) else {
            products.push(None);
            continue;
        };
        let fits = |product: &i256| *product < bound && *product > bound.wrapping_neg();
        let product = product(a, b, cut).filter(fits);
        products.push(Some(
            product.ok_or_else(|| Error::row("numeric field overflow").code(SqlState::NumericValueOutOfRange))?,
        ));
    }
    Ok(Arc::new(products.into_iter().collect::<PrimitiveArray<Decimal256Type>>().with_data_type(result.clone())))
}

/// a · b / cut, halves away from zero. `cut` is a power of ten of at most 38 digits.
fn product(a: i256, b: i256, cut: i256) -> Option<i256> {
    if let Some(whole) = a.checked_mul(b) {
        return if cut == i256::ONE { Some(whole) } else { rounded_quotient(whole, cut) };
    }
    // More than 256 bits on the way: by parts, all of which have the sign of the product, and of which one alone is cut.
    let (a_high, a_low) = (a.checked_div(cut)?, a.checked_rem(cut)?);
    let (b_high, b_low) = (b.checked_div(cut)?, b.checked_rem(cut)?);
    let low = rounded_quotient(a_low.checked_mul(b_low)?, cut)?;
    a_high.checked_mul(b)?.checked_add(a_low.checked_mul(b_high)?)?.checked_add(low)
}

#[cfg(test)]
mod tests;
