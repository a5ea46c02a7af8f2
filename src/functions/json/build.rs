//! Documents made of values: `to_json`, `json_build_object`, `json_build_array`, what `json_agg` and `json_object_agg` make of what they
//! collected, and these for `jsonb`.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF};

use super::function::{self, Arguments, JsonFunction};
use super::written::{canonical, compact, quote};
use crate::data_type::{NamedText, list_of};
use crate::error::{Error, Result, SqlState};
use crate::functions::entry::{Entry, Maker};
use crate::functions::{no_such_call, value_text};

/// What the registry knows of them.
pub(in crate::functions) const ENTRIES: &[Entry] = &[
    Entry::public(
        "to_json",
        &["any → json"],
        "A value as a document: arrays and rows as arrays and objects.",
        Maker::Plain(|| to_document("to_json")),
    )
    .aliases(&["row_to_json", "array_to_json"])
    .stable()
    .example("to_json(ARRAY['a', 'b'])", "[\"a\",\"b\"]"),
    Entry::public("to_jsonb", &["any → jsonb"], "A value as a document.", Maker::Plain(|| to_document("to_jsonb")))
        .stable()
        .example("to_jsonb(ARRAY[1, 2])", "[1, 2]"),
    Entry::public(
        "json_build_object",
        &["any... → json"],
        "An object of keys and values, one after the other.",
        Maker::Plain(|| build("json_build_object")),
    )
    .stable()
    .example("json_build_object('a', 1, 'b', TRUE)", "{\"a\" : 1, \"b\" : true}"),
    Entry::public(
        "jsonb_build_object",
        &["any... → jsonb"],
        "An object of keys and values, one after the other.",
        Maker::Plain(|| build("jsonb_build_object")),
    )
    .stable()
    .example("jsonb_build_object('a', 1)", "{\"a\": 1}"),
    Entry::public(
        "json_build_array",
        &["any... → json"],
        "An array of its arguments.",
        Maker::Plain(|| build("json_build_array")),
    )
    .stable()
    .example("json_build_array(1, 'a', NULL)", "[1, \"a\", null]"),
    Entry::public(
        "jsonb_build_array",
        &["any... → jsonb"],
        "An array of its arguments.",
        Maker::Plain(|| build("jsonb_build_array")),
    )
    .stable(),
    Entry::public("json_agg", &["any → json"], "Aggregate: an array of the values of a group.", Maker::OfLanguage),
    Entry::public("jsonb_agg", &["any → jsonb"], "Aggregate: an array of the values of a group.", Maker::OfLanguage),
    Entry::public(
        "json_object_agg",
        &["any, any → json"],
        "Aggregate: an object of the keys and values of a group.",
        Maker::OfLanguage,
    ),
    Entry::public(
        "jsonb_object_agg",
        &["any, any → jsonb"],
        "Aggregate: an object of the keys and values of a group.",
        Maker::OfLanguage,
    ),
    Entry::internal(AS_JSON, "A text that is a json.", Maker::Plain(|| as_type(AS_JSON))),
    Entry::internal(AS_JSONB, "A text that is a jsonb.", Maker::Plain(|| as_type(AS_JSONB))),
    Entry::internal("json_of_items", "What json_agg collected.", Maker::Plain(|| of_items("json_of_items"))),
    Entry::internal("jsonb_of_items", "What jsonb_agg collected.", Maker::Plain(|| of_items("jsonb_of_items"))),
    Entry::internal(
        "json_of_entries",
        "What json_object_agg collected.",
        Maker::Plain(|| of_entries("json_of_entries")),
    ),
    Entry::internal(
        "jsonb_of_entries",
        "What jsonb_object_agg collected.",
        Maker::Plain(|| of_entries("jsonb_of_entries")),
    ),
];

/// An aggregate that collects values and makes a document of them.
pub(crate) struct Collected {
    /// As statements call it.
    pub(crate) name: &'static str,
    /// What makes the document of the arrays that were collected.
    pub(crate) maker: &'static str,
    /// How many arguments it takes.
    pub(crate) arguments: usize,
}

/// The function by which each value is collected.
pub(crate) const VALUE: &str = "to_json";

/// `json_agg` and its like.
pub(crate) const COLLECTED: &[Collected] = &[
    Collected { name: "json_agg", maker: "json_of_items", arguments: 1 },
    Collected { name: "jsonb_agg", maker: "jsonb_of_items", arguments: 1 },
    Collected { name: "json_object_agg", maker: "json_of_entries", arguments: 2 },
    Collected { name: "jsonb_object_agg", maker: "jsonb_of_entries", arguments: 2 },
];

/// The aggregate whose document an internal function makes.
pub(crate) fn collected_as(maker: &str) -> Option<&'static str> {
    COLLECTED.iter().find(|collected| collected.maker == maker).map(|collected| collected.name)
}

/// Marks the arguments of these functions that are documents, so that they are known as such wherever the call is computed: the rows of a job
/// do not say it.
pub(crate) fn with_marked_documents(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    if !MAKERS.contains(&call.func.name()) {
        return None;
    }
    let mut found = false;
    let mark = |argument: &Expr| {
        let is_marked =
            matches!(argument, Expr::ScalarFunction(inner) if [AS_JSON, AS_JSONB].contains(&inner.func.name()));
        let field = argument.to_field(schema).ok();
        match field.and_then(|(_, field)| NamedText::of(&field)).filter(|named| named.is_document() && !is_marked) {
            Some(named) => {
                found = true;
                marked(argument.clone(), named)
            }
            None => argument.clone(),
        }
    };
    let args = call.args.iter().map(mark).collect();
    found.then(|| Expr::ScalarFunction(ScalarFunction::new_udf(call.func.clone(), args)))
}

/// A text that is known to be of a type, and says so.
pub(crate) fn marked(text: Expr, named: NamedText) -> Expr {
    match named {
        NamedText::Json => as_type(AS_JSON).call(vec![text]),
        NamedText::Jsonb => as_type(AS_JSONB).call(vec![text]),
        NamedText::Uuid => text,
    }
}

/// Says that a text is a `json`.
pub(crate) const AS_JSON: &str = "as_json";
/// Says that a text is a `jsonb`.
pub(crate) const AS_JSONB: &str = "as_jsonb";

/// The functions that take documents as such, and other texts as strings.
const MAKERS: &[&str] =
    &["to_json", "to_jsonb", "json_build_object", "jsonb_build_object", "json_build_array", "jsonb_build_array"];

fn as_type(name: &'static str) -> Arc<ScalarUDF> {
    let coerce = |types: &[DataType]| Ok(vec![DataType::Utf8; types.len()]);
    let body = |arguments: &Arguments<'_>| -> Result<ArrayRef> { Ok(arguments.arrays[0].clone()) };
    JsonFunction { name, coerce, returns: returns_of(name), body }.udf()
}

/// A value as a `jsonb`.
pub(super) fn call_jsonb(value: Expr) -> Expr {
    to_document("to_jsonb").call(vec![value])
}

fn returns_of(name: &str) -> function::Returns {
    if name.contains("jsonb") { function::jsonb } else { function::json }
}

/// The documents of an argument; `None` of NULL.
fn documents(arguments: &Arguments<'_>, place: usize) -> Result<StringArray> {
    match arguments.is_document(place) {
        true => Ok(arguments.texts(place).clone()),
        false => Ok(value_text::documents(&arguments.arrays[place], arguments.zone)?),
    }
}

fn any(types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
    Ok(types.iter().map(|found| if found.is_string() { DataType::Utf8 } else { found.clone() }).collect())
}

fn one_value(types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
    if types.len() == 1 { any(types) } else { Err(no_such_call("to_json", types, "to_json(value)")) }
}

fn to_document(name: &'static str) -> Arc<ScalarUDF> {
    let body: fn(&Arguments<'_>) -> Result<ArrayRef> = match name {
        "to_jsonb" => |arguments| each(&documents(arguments, 0)?, canonical),
        // A document stays as it was written.
        _ => |arguments| match arguments.is_document(0) {
            true => Ok(arguments.arrays[0].clone()),
            false => each(&documents(arguments, 0)?, compact),
        },
    };
    JsonFunction { name, coerce: one_value, returns: returns_of(name), body }.udf_of_zone()
}

fn each(texts: &StringArray, of_text: fn(&str) -> Result<String>) -> Result<ArrayRef> {
    let made = texts.iter().map(|text| text.map(of_text).transpose());
    Ok(Arc::new(made.collect::<Result<StringArray>>()?))
}

/// Writes the document of one row.
type OfRow = fn(&[StringArray], &[StringArray], usize) -> Result<String>;

fn build(name: &'static str) -> Arc<ScalarUDF> {
    fn built(arguments: &Arguments<'_>, of_row: OfRow, is_jsonb: bool) -> Result<ArrayRef> {
        let places = 0..arguments.arrays.len();
        let values = places.clone().map(|place| documents(arguments, place)).collect::<Result<Vec<_>>>()?;
        let keys = places.step_by(2).map(|place| Ok(value_text::texts(&arguments.arrays[place], arguments.zone)?));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let rows = if arguments.arrays.is_empty() { 1 } else { arguments.len() };
        let made = (0..rows).map(|row| {
            let document = of_row(&values, &keys, row)?;
            if is_jsonb { canonical(&document) } else { Ok(document) }
        });
        let made = made.map(|document| document.map(Some));
        Ok(Arc::new(made.collect::<Result<StringArray>>()?))
    }
    let body: fn(&Arguments<'_>) -> Result<ArrayRef> = match name {
        "json_build_object" => |arguments| built(arguments, object_of_row, false),
        "jsonb_build_object" => |arguments| built(arguments, object_of_row, true),
        "json_build_array" => |arguments| built(arguments, array_of_row, false),
        _ => |arguments| built(arguments, array_of_row, true),
    };
    JsonFunction { name, coerce: any, returns: returns_of(name), body }.udf_of_zone()
}

fn value(values: &StringArray, row: usize) -> &str {
    if values.is_null(row) { "null" } else { values.value(row) }
}

fn object_of_row(values: &[StringArray], keys: &[StringArray], row: usize) -> Result<String> {
    if !values.len().is_multiple_of(2) {
        return Err(Error::invalid("argument list must have even number of elements")
            .code(SqlState::InvalidParameterValue)
            .hint("The arguments of json_build_object() must consist of alternating keys and values."));
    }
    let entries = keys.iter().zip(values.iter().skip(1).step_by(2)).enumerate();
    let mut out = String::from("{");
    for (place, (keys, values)) in entries {
        if keys.is_null(row) {
            let message = format!("argument {} cannot be null", place * 2 + 1);
            return Err(Error::row(message).code(SqlState::InvalidParameterValue).hint("Object keys should be text."));
        }
        entry(place == 0, keys.value(row), value(values, row), &mut out);
    }
    out.push('}');
    Ok(out)
}

fn entry(is_first: bool, key: &str, value: &str, out: &mut String) {
    if !is_first {
        out.push_str(", ");
    }
    quote(key, out);
    // Writing to a String cannot fail.
    let _ = write!(out, " : {value}");
}

fn array_of_row(values: &[StringArray], _keys: &[StringArray], row: usize) -> Result<String> {
    let items: Vec<&str> = values.iter().map(|values| value(values, row)).collect();
    Ok(format!("[{}]", items.join(", ")))
}

/// The items of a list in a row, each a text or NULL; `None` if there is no list.
fn items(lists: &ArrayRef, row: usize) -> Option<StringArray> {
    let lists = lists.as_list::<i32>();
    lists.is_valid(row).then(|| lists.value(row).as_string::<i32>().clone())
}

fn lists(types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
    Ok(vec![list_of(DataType::Utf8, true); types.len()])
}

fn of_items(name: &'static str) -> Arc<ScalarUDF> {
    fn made(arguments: &Arguments<'_>, is_jsonb: bool) -> Result<ArrayRef> {
        let rows = (0..arguments.len()).map(|row| {
            let Some(items) = items(&arguments.arrays[0], row) else { return Ok(None) };
            let items: Vec<&str> = (0..items.len()).map(|place| value(&items, place)).collect();
            let document = format!("[{}]", items.join(", "));
            if is_jsonb { canonical(&document).map(Some) } else { Ok(Some(document)) }
        });
        Ok(Arc::new(rows.collect::<Result<StringArray>>()?))
    }
    let body: fn(&Arguments<'_>) -> Result<ArrayRef> =
        if name == "jsonb_of_items" { |arguments| made(arguments, true) } else { |arguments| made(arguments, false) };
    JsonFunction { name, coerce: lists, returns: returns_of(name), body }.udf()
}

fn of_entries(name: &'static str) -> Arc<ScalarUDF> {
    fn made(arguments: &Arguments<'_>, is_jsonb: bool) -> Result<ArrayRef> {
        let rows = (0..arguments.len()).map(|row| {
            let (Some(keys), Some(values)) = (items(&arguments.arrays[0], row), items(&arguments.arrays[1], row))
            else {
                return Ok(None);
            };
            if keys.len() != values.len() {
                return Err(Error::internal("keys and values were collected apart"));
            }
            let mut out = String::from("{ ");
            for (place, key) in keys.iter().enumerate() {
                let key =
                    key.ok_or_else(|| Error::row("field name must not be null").code(SqlState::NullValueNotAllowed))?;
                entry(place == 0, key, value(&values, place), &mut out);
            }
            out.push_str(" }");
            if is_jsonb { canonical(&out).map(Some) } else { Ok(Some(out)) }
        });
        Ok(Arc::new(rows.collect::<Result<StringArray>>()?))
    }
    let body: fn(&Arguments<'_>) -> Result<ArrayRef> =
        if name == "jsonb_of_entries" { |arguments| made(arguments, true) } else { |arguments| made(arguments, false) };
    JsonFunction { name, coerce: lists, returns: returns_of(name), body }.udf()
}
