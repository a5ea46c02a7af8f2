//! by_place(value, type, as it is written, whether misfits are NULL): arrays, maps and rows as such of another type: rows field by field in
//! order, whatever they are called, as Flink assigns them to columns, and each value within as CAST makes it of one that stands alone.
//! The type is that of the second argument, a NULL; lengths and digits, which it has not, are in the third.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, make_array, new_null_array,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::{Cast, TryCast};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use datafusion::physical_expr::create_physical_expr;
use datafusion::prelude::ident;
use datafusion::scalar::ScalarValue;

use super::coercion::field_of;
use super::nested::{fits, is_nested};
use crate::data_type;
use crate::error::{Error, SqlState};

/// Its name.
pub const NAME: &str = "by_place";

/// How a cast of a value that stands alone is written by functions.
type Rewrite = fn(Expr, &DFSchema, &Arc<str>) -> Result<Expr>;

/// The function. The casts within are written by `rewrite`.
pub(super) fn by_place(rewrite: Rewrite) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(ByPlace { signature: Signature::variadic_any(Volatility::Stable), rewrite }))
}

/// A call for a value. `written`: the type in words of SQL, if it says more than `to`. `is_try`: whether what does not fit is NULL.
///
/// # Errors
/// The type has no NULL.
pub(super) fn call(rewrite: Rewrite, value: Expr, to: &DataType, written: Option<&str>, is_try: bool) -> Result<Expr> {
    let to = lit(ScalarValue::try_from(to)?);
    Ok(by_place(rewrite).call(vec![value, to, lit(written.unwrap_or_default()), lit(is_try)]))
}

#[derive(Debug, Clone)]
struct ByPlace {
    signature: Signature,
    rewrite: Rewrite,
}

// Casts are written in one way only.
impl PartialEq for ByPlace {
    fn eq(&self, other: &Self) -> bool {
        self.signature == other.signature
    }
}

impl Eq for ByPlace {}

impl Hash for ByPlace {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.signature.hash(state);
    }
}

impl ScalarUDFImpl for ByPlace {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [_, to, ..] => Ok(to.clone()),
            _ => Err(Error::invalid(format!("function {NAME} takes a value and a NULL"))
                .code(SqlState::UndefinedFunction)
                .into()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.first().is_none_or(|value| value.is_nullable());
        Ok(Arc::new(Field::new(NAME, self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let written = match args.args.get(2) {
            Some(ColumnarValue::Scalar(text)) => text.try_as_str().flatten().unwrap_or_default().to_owned(),
            _ => String::new(),
        };
        let marked = if written.is_empty() { None } else { Some(data_type::parse_marked(&written)?) };
        let is_try = matches!(args.args.get(3), Some(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true)))));
        let casts = Casts { is_try, config: &args.config_options, rewrite: self.rewrite };
        let to = args.return_type();
        match args.args.first() {
            Some(ColumnarValue::Array(values)) => {
                Ok(ColumnarValue::Array(casts.fit(values, to, marked.as_ref(), None)?))
            }
            Some(ColumnarValue::Scalar(value)) => {
                let fitted = casts.fit(&value.to_array()?, to, marked.as_ref(), None)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&fitted, 0)?))
            }
            None => Err(Error::internal(format!("function {NAME} without an argument")).into()),
        }
    }
}

/// How the values within are cast.
struct Casts<'a> {
    is_try: bool,
    config: &'a Arc<ConfigOptions>,
    rewrite: Rewrite,
}

/// The field within the type that is marked, at that place.
fn marked_field(marked: Option<&DataType>, place: usize) -> Option<&FieldRef> {
    match marked? {
        DataType::List(item) => Some(item),
        DataType::Struct(fields) => fields.get(place),
        DataType::Map(entries, _) => Some(entries),
        _ => None,
    }
}

impl Casts<'_> {
    /// `marked`: the type with what is written of those within; `written`: of the value itself.
    fn fit(
        &self,
        values: &ArrayRef,
        to: &DataType,
        marked: Option<&DataType>,
        written: Option<&str>,
    ) -> Result<ArrayRef> {
        if values.data_type() == to && marked.is_none() && written.is_none() {
            return Ok(values.clone());
        }
        let within = |values: &ArrayRef, to: &FieldRef, place: usize| {
            let field = marked_field(marked, place);
            let written = field.and_then(|field| field.metadata().get(data_type::WRITTEN)).map(String::as_str);
            let marked = field.map(|field| field.data_type()).filter(|found| is_nested(found));
            self.fit(values, to.data_type(), marked, written)
        };
        Ok(match (values.data_type(), to) {
            (DataType::Null, to) => new_null_array(to, values.len()),
            (DataType::Struct(_), DataType::Struct(fields)) => {
                let rows = values.as_struct();
                if rows.num_columns() != fields.len() {
                    return Err(Error::internal("rows of other sizes").into());
                }
                let columns = rows.columns().iter().zip(fields).enumerate();
                // What stands in a row that is NULL need not fit.
                let columns =
                    columns.map(|(place, (column, field))| within(&with_nulls(column, rows.nulls())?, field, place));
                let columns = columns.collect::<Result<Vec<_>>>()?;
                Arc::new(StructArray::try_new_with_length(fields.clone(), columns, rows.nulls().cloned(), rows.len())?)
            }
            (DataType::LargeList(item) | DataType::FixedSizeList(item, _), DataType::List(_)) => {
                let lists = arrow_cast(values, &DataType::List(item.clone()))?;
                self.fit(&lists, to, marked, written)?
            }
            (DataType::List(_), DataType::List(item)) => {
                let lists = values.as_list::<i32>();
                let items = within(lists.values(), item, 0)?;
                Arc::new(ListArray::try_new(item.clone(), lists.offsets().clone(), items, lists.nulls().cloned())?)
            }
            (DataType::Map(..), DataType::Map(entries, ordered)) => {
                let maps = values.as_map();
                let all: ArrayRef = Arc::new(maps.entries().clone());
                let fitted = within(&all, entries, 0)?.as_struct().clone();
                let nulls = maps.nulls().cloned();
                Arc::new(MapArray::try_new(entries.clone(), maps.offsets().clone(), fitted, nulls, *ordered)?)
            }
            _ => self.cast(values, to, written)?,
        })
    }

    /// A value that stands alone.
    fn cast(&self, values: &ArrayRef, to: &DataType, written: Option<&str>) -> Result<ArrayRef> {
        if is_nested(to) && !fits(values.data_type(), to) {
            return Err(Error::internal("a cast of values that do not go together").into());
        }
        let field = field_of(to.clone(), written.unwrap_or_default());
        if values.data_type() == to && field.metadata().is_empty() {
            return Ok(values.clone());
        }
        let (value, field) = (Box::new(ident("value")), Arc::new(field));
        let cast = match self.is_try {
            true => Expr::TryCast(TryCast::new_from_field(value, field)),
            false => Expr::Cast(Cast::new_from_field(value, field)),
        };
        let schema = Arc::new(Schema::new(vec![Field::new("value", values.data_type().clone(), true)]));
        let of_schema = DFSchema::try_from(schema.as_ref().clone())?;
        let zone: Arc<str> = self.config.execution.time_zone.as_deref().unwrap_or("UTC").into();
        let cast = (self.rewrite)(cast, &of_schema, &zone)?;
        let mut properties = ExecutionProps::new();
        properties.config_options = Some(self.config.clone());
        let cast = create_physical_expr(&cast, &of_schema, &properties, &PhysicalPlanningContext::default())?;
        let batch = RecordBatch::try_new(schema, vec![values.clone()])?;
        let cast = cast.evaluate(&batch)?.into_array(values.len())?;
        if cast.data_type() == to { Ok(cast) } else { arrow_cast(&cast, to) }
    }
}

fn arrow_cast(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    Ok(cast_with_options(values, to, &CastOptions { safe: false, ..CastOptions::default() })?)
}

fn with_nulls(values: &ArrayRef, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
    if nulls.is_none() || values.data_type().is_null() {
        return Ok(values.clone());
    }
    let nulls = NullBuffer::union(values.nulls(), nulls);
    Ok(make_array(values.to_data().into_builder().nulls(nulls).build()?))
}
