//! What windows are ordered by: rows and bytes, which the engine's windows do not compare, by a text that is ordered as they are; whole
//! numbers under RANGE with an offset by decimals, which the ends of their types do not cut off.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Sort, WindowFunction};
use datafusion::logical_expr::{ExprSchemable, WindowFrameBound, WindowFrameUnits, cast};

use crate::data_type::to_postgres;
use crate::error::Error;
use crate::functions::nested::is_nested;
use crate::functions::order_key;

/// Holds every whole number with every offset.
const WIDE: DataType = DataType::Decimal128(38, 0);

fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_))
}

fn goes_by_key(data_type: &DataType) -> bool {
    is_nested(data_type) || is_bytes(data_type)
}

/// Whether the frame is so many units before or behind the row.
fn has_offset(window: &WindowFunction) -> bool {
    let is_offset = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value) => !value.is_null(),
        WindowFrameBound::CurrentRow => false,
    };
    let frame = &window.params.window_frame;
    frame.units == WindowFrameUnits::Range && (is_offset(&frame.start_bound) || is_offset(&frame.end_bound))
}

fn types<'a>(window: &'a WindowFunction, schema: &'a DFSchema) -> impl Iterator<Item = DataType> + 'a {
    window.params.order_by.iter().filter_map(|sort| sort.expr.get_type(schema).ok())
}

/// Whether a window is ordered by something else than what is written.
pub fn changes(window: &WindowFunction, schema: &DFSchema) -> bool {
    let by_key = types(window, schema).any(|found| goes_by_key(&found));
    by_key || (has_offset(window) && types(window, schema).any(|found| found.is_integer()))
}

/// The window as the engine orders it.
///
/// # Errors
/// RANGE with an offset over what has none.
pub fn ordered(mut window: WindowFunction, schema: &DFSchema) -> Result<WindowFunction> {
    let has_offset = has_offset(&window);
    if has_offset && let Some(found) = types(&window, schema).find(goes_by_key) {
        let name = to_postgres(&found);
        let message = format!("RANGE with offset PRECEDING/FOLLOWING is not supported for column type {name}");
        return Err(Error::unsupported(message).hint("ROWS and GROUPS count rows.").into());
    }
    let order_by = window.params.order_by.into_iter().map(|sort| {
        let Ok(found) = sort.expr.get_type(schema) else { return sort };
        let expr = match found {
            found if goes_by_key(&found) => order_key::call(sort.expr),
            found if has_offset && found.is_integer() => cast(sort.expr, WIDE),
            _ => sort.expr,
        };
        Sort { expr, ..sort }
    });
    window.params.order_by = order_by.collect();
    Ok(window)
}
