//! TIMESTAMP_LTZ by the session's clock.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, cast};

/// The zone in the type of every TIMESTAMP_LTZ.
pub(super) const INSTANT_ZONE: &str = "UTC";

pub(super) fn is_instant(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, Some(zone)) if zone.as_ref() == INSTANT_ZONE)
}

pub(super) fn at_zone(expr: Expr, data_type: &DataType, zone: &Arc<str>) -> Expr {
    let unit = if let DataType::Timestamp(unit, _) = data_type { *unit } else { TimeUnit::Microsecond };
    cast(expr, DataType::Timestamp(unit, Some(zone.clone())))
}

/// EXTRACT, date_part and date_trunc of a TIMESTAMP_LTZ: by the session's clock.
pub(super) fn in_zone(call: &ScalarFunction, schema: &DFSchema, zone: &Arc<str>) -> Result<Option<Expr>> {
    let name = call.func.name();
    if zone.as_ref() == INSTANT_ZONE || !matches!(name, "date_part" | "date_trunc") {
        return Ok(None);
    }
    let Some(argument) = call.args.get(1) else { return Ok(None) };
    let data_type = argument.get_type(schema)?;
    if !is_instant(&data_type) {
        return Ok(None);
    }
    let mut args = call.args.clone();
    args[1] = at_zone(argument.clone(), &data_type, zone);
    let result = Expr::ScalarFunction(ScalarFunction::new_udf(call.func.clone(), args));
    Ok(Some(if name == "date_trunc" { cast(result, data_type) } else { result }))
}
