//! DataFusion's functions that meet NULLs as Flink says and not as they do by themselves: GREATEST, LEAST, CONCAT and ARRAY_CONCAT are
//! NULL if one of their arguments is, ARRAY_POSITION is 0 for what is not there. Postgres' `array_cat` and `||` of arrays pass
//! over NULL.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, UInt64Array, make_array};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, UInt64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions::core::{greatest, least};
use datafusion::functions_nested::array_has::array_has_udf;
use datafusion::functions_nested::concat::{array_append_udf, array_concat_udf, array_prepend_udf};
use datafusion::functions_nested::length::array_length_udf;
use datafusion::functions_nested::position::{array_position_udf, array_positions_udf};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::array_edit::common_item;
use super::bounded;
use super::decimals::is_decimal;
use super::entry::{Entry, Maker};
use super::meetings::common_moment;
use crate::data_type::list_of;

/// What the registry knows of them.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::internal(ANY_EQUAL, "`= ANY (array)`.", Maker::Plain(|| adapted(ANY_EQUAL, array_has_udf(), Rule::Any)))
        .comparing_items(),
    Entry::public(
        "array_append",
        &["anyarray, anyelement → anyarray"],
        "The array with a value behind its items.",
        Maker::Plain(array_append),
    )
    .aliases(&["array_push_back", "list_append", "list_push_back"])
    .example("ARRAY_APPEND(ARRAY[1, 2], 3)", "{1,2,3}"),
    Entry::public(
        "array_cat",
        &["anyarray... → anyarray"],
        "The items of the arrays one after the other; an array that is NULL has none.",
        Maker::Plain(array_cat),
    )
    .aliases(&["list_cat", "list_concat"])
    .of_one_type()
    .example("ARRAY_CAT(ARRAY[1], ARRAY[2, 3])", "{1,2,3}"),
    Entry::public(
        "array_concat",
        &["anyarray... → anyarray"],
        "The items of the arrays one after the other; NULL if an array is.",
        Maker::Plain(|| adapted("array_concat", array_concat_udf(), Rule::Strict)),
    )
    .of_one_type()
    .example("ARRAY_CONCAT(ARRAY[1], ARRAY[2, 3])", "{1,2,3}"),
    Entry::public(
        "array_length",
        &["anyarray → bigint", "anyarray, bigint → bigint"],
        "How many items the array has in a dimension, the first unless the second argument says \
         otherwise; NULL if it has none.",
        Maker::Plain(|| adapted("array_length", array_length_udf(), Rule::Length)),
    )
    .aliases(&["list_length"])
    .example("ARRAY_LENGTH(ARRAY[1, 2], 1)", "2"),
    Entry::public(
        "array_position",
        &["anyarray, anyelement → integer", "anyarray, anyelement, bigint → integer"],
        "The place, from 1, of the first item that is the value; 0 if there is none. With a place to \
         begin at, NULL if there is none.",
        Maker::Plain(|| adapted("array_position", array_position_udf(), Rule::Position)),
    )
    .aliases(&["array_indexof", "list_indexof", "list_position"])
    .comparing_items()
    .example("ARRAY_POSITION(ARRAY[7, 8], 8)", "2"),
    Entry::public(
        "array_positions",
        &["anyarray, anyelement → bigint[]"],
        "The places, from 1, of all items that are the value.",
        Maker::Plain(|| adapted("array_positions", array_positions_udf(), Rule::AsIs)),
    )
    .aliases(&["list_positions"])
    .comparing_items()
    .example("ARRAY_POSITIONS(ARRAY[7, 8, 7], 7)", "{1,3}"),
    Entry::public(
        "array_prepend",
        &["anyelement, anyarray → anyarray"],
        "The array with a value before its items.",
        Maker::Plain(array_prepend),
    )
    .aliases(&["array_push_front", "list_prepend", "list_push_front"])
    .example("ARRAY_PREPEND(1, ARRAY[2, 3])", "{1,2,3}"),
    Entry::public(
        "concat",
        &["any... → text"],
        "The values as one text; NULL if one of them is.",
        Maker::Plain(|| adapted("concat", bounded::concat(), Rule::Strict)),
    )
    .stable()
    .example("CONCAT('a', 1, 'b')", "a1b"),
    Entry::public(
        "greatest",
        &["anyelement... → anyelement"],
        "The greatest of the values; NULL if one of them is.",
        Maker::Plain(|| adapted("greatest", greatest(), Rule::Strict)),
    )
    .of_one_type()
    .example("GREATEST(1, 3, 2)", "3"),
    Entry::public(
        "least",
        &["anyelement... → anyelement"],
        "The least of the values; NULL if one of them is.",
        Maker::Plain(|| adapted("least", least(), Rule::Strict)),
    )
    .of_one_type()
    .example("LEAST(3, 1, 2)", "1"),
];

/// What `value = ANY (array)` is: NULL if the value is not found and the array has a NULL.
pub const ANY_EQUAL: &str = "any_equal";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Rule {
    /// NULL if an argument is.
    Strict,
    /// As the function itself.
    AsIs,
    /// NULL if an argument is, 0 if nothing is found; with a place to begin at, Postgres' NULL for both.
    Position,
    /// NULL for an array without items, as in Postgres.
    Length,
    /// As SQL says of `= ANY`.
    Any,
}

/// A function under a name with a rule for NULLs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Adapted {
    name: &'static str,
    inner: Arc<ScalarUDF>,
    rule: Rule,
    /// Where an array and an item of it stand among the arguments.
    places: Option<(usize, usize)>,
    signature: Signature,
}

/// array || value
pub fn array_append() -> Arc<ScalarUDF> {
    adapted("array_append", array_append_udf(), Rule::AsIs)
}

/// array || array
pub fn array_cat() -> Arc<ScalarUDF> {
    adapted("array_cat", array_concat_udf(), Rule::AsIs)
}

/// value || array
pub fn array_prepend() -> Arc<ScalarUDF> {
    adapted("array_prepend", array_prepend_udf(), Rule::AsIs)
}

fn adapted(name: &'static str, inner: Arc<ScalarUDF>, rule: Rule) -> Arc<ScalarUDF> {
    let places = match name {
        "array_append" | "array_position" | "array_positions" | ANY_EQUAL => Some((0, 1)),
        "array_prepend" => Some((1, 0)),
        _ => None,
    };
    let signature = match places {
        Some(_) => Signature::user_defined(Volatility::Immutable),
        None => inner.signature().clone(),
    };
    Arc::new(ScalarUDF::from(Adapted { name, inner, rule, places, signature }))
}

impl Adapted {
    /// Which rows have no NULL among the arguments; `None` where no row has one.
    fn whole_rows(arguments: &[ColumnarValue], rows: usize) -> Option<NullBuffer> {
        arguments.iter().fold(None, |nulls, argument| match argument {
            ColumnarValue::Scalar(value) if value.is_null() => Some(NullBuffer::new_null(rows)),
            ColumnarValue::Scalar(_) => nulls,
            ColumnarValue::Array(array) => NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref()),
        })
    }
}

impl Adapted {
    /// Arrays and items as the function itself wants them, but that floats beside decimals are doubles.
    fn with_items(&self, arguments: &[DataType], (array, item): (usize, usize)) -> Result<Vec<DataType>> {
        let mut types = arguments.to_vec();
        if let (Some(DataType::List(of_array)), Some(of_item)) = (arguments.get(array), arguments.get(item)) {
            let both = [of_array.data_type().clone(), of_item.clone()];
            // Decimals are looked for among those of one type only.
            if both[0] != both[1]
                && both.iter().all(DataType::is_numeric)
                && both.iter().any(is_decimal)
                && let Some(common) = common_item(&both)
            {
                types[array] = list_of(common.clone(), true);
                types[item] = common;
            }
        }
        let field = |data_type: DataType| Arc::new(Field::new("", data_type, true));
        let fields: Vec<FieldRef> = types.into_iter().map(field).collect();
        let fields = fields_with_udf(&fields, self.inner.as_ref())?;
        Ok(fields.iter().map(|field| field.data_type().clone()).collect())
    }

    fn any_equal(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let all_scalars = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if all_scalars { 1 } else { args.number_rows };
        let lists = args.args[0].to_array(rows)?;
        if lists.data_type().is_null() {
            return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(None)));
        }
        let values = args.args[1].to_array(rows)?;
        let found = self.inner.invoke_with_args(args)?.into_array(rows)?;
        let found = found.as_boolean();
        let items = |row: usize| -> Option<ArrayRef> {
            match lists.data_type() {
                DataType::LargeList(_) => lists.is_valid(row).then(|| lists.as_list::<i64>().value(row)),
                DataType::FixedSizeList(..) => lists.is_valid(row).then(|| lists.as_fixed_size_list().value(row)),
                _ => lists.is_valid(row).then(|| lists.as_list::<i32>().value(row)),
            }
        };
        let results = (0..rows).map(|row| {
            if found.is_valid(row) && found.value(row) {
                return Some(true);
            }
            let items = items(row)?;
            let is_known = items.is_empty() || (values.is_valid(row) && items.logical_null_count() == 0);
            is_known.then_some(false)
        });
        scalar_or_array(Arc::new(results.collect::<BooleanArray>()), all_scalars)
    }
}

fn scalar_or_array(array: ArrayRef, is_scalar: bool) -> Result<ColumnarValue> {
    Ok(if is_scalar {
        ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
    } else {
        ColumnarValue::Array(array)
    })
}

/// The array with NULL in more rows.
fn with_nulls(array: &ArrayRef, whole: Option<&NullBuffer>) -> Result<ArrayRef> {
    let nulls = NullBuffer::union(array.logical_nulls().as_ref(), whole);
    Ok(make_array(array.to_data().into_builder().nulls(nulls).build()?))
}

impl ScalarUDFImpl for Adapted {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match self.rule {
            Rule::Position => Ok(DataType::Int32),
            _ => self.inner.return_type(arguments),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        if self.places.is_some() && self.rule == Rule::AsIs {
            return self.inner.inner().return_field_from_args(args);
        }
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(Arc::new(Field::new(self.name, self.return_type(&types)?, true)))
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        if let Some(places) = self.places {
            return self.with_items(arguments, places);
        }
        // An untyped NULL among arrays is one of them.
        let array = arguments.iter().find(|data_type| data_type.is_list());
        if let (Some(array), "array_concat") = (array, self.inner.name()) {
            let typed = |data_type: &DataType| if data_type.is_null() { array.clone() } else { data_type.clone() };
            return self.inner.coerce_types(&arguments.iter().map(typed).collect::<Vec<_>>());
        }
        if let ("greatest" | "least", Some(common)) = (self.name, common_moment(arguments)) {
            return Ok(vec![common; arguments.len()]);
        }
        self.inner.coerce_types(arguments)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.rule == Rule::Any {
            return self.any_equal(args);
        }
        let rows = args.number_rows;
        let all_scalars = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        if self.rule == Rule::Length {
            let result = self.inner.invoke_with_args(args)?;
            let lengths = result.into_array(if all_scalars { 1 } else { rows })?;
            let lengths = lengths.as_primitive::<UInt64Type>().iter().map(|length| length.filter(|length| *length > 0));
            let lengths: ArrayRef = Arc::new(lengths.collect::<UInt64Array>());
            return scalar_or_array(lengths, all_scalars);
        }
        let whole = match self.rule {
            Rule::AsIs => None,
            // Postgres' finds a NULL, too.
            Rule::Position if args.args.len() > 2 => {
                Self::whole_rows(&args.args[..1], if all_scalars { 1 } else { rows })
            }
            _ => Self::whole_rows(&args.args, if all_scalars { 1 } else { rows }),
        };
        let finds = self.rule == Rule::Position && args.args.len() == 2;
        let return_type = args.return_field.data_type().clone();
        if self.rule != Rule::AsIs && whole.as_ref().is_some_and(|whole| whole.null_count() == whole.len()) {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from(&return_type)?));
        }
        if self.rule == Rule::Position {
            let field = args.return_field.as_ref().clone().with_data_type(DataType::UInt64);
            args.return_field = Arc::new(field);
        }
        let result = self.inner.invoke_with_args(args)?;
        if self.rule == Rule::AsIs {
            return Ok(result);
        }
        let was_scalar = matches!(result, ColumnarValue::Scalar(_));
        if was_scalar && whole.is_none() && self.rule == Rule::Strict {
            return Ok(result);
        }
        let mut array =
            result.into_array(whole.as_ref().map_or(if all_scalars { 1 } else { rows }, NullBuffer::len))?;
        if self.rule == Rule::Position {
            let places = cast(&array, &DataType::UInt64)?;
            let places: &UInt64Array = places.as_primitive::<UInt64Type>();
            let missing = finds.then_some(0);
            let places = places.iter().map(|place| place.and_then(|place| i32::try_from(place).ok()).or(missing));
            array = Arc::new(places.collect::<Int32Array>());
        }
        let array = if whole.is_some() { with_nulls(&array, whole.as_ref())? } else { array };
        Ok(if all_scalars {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
        } else {
            ColumnarValue::Array(array)
        })
    }
}
