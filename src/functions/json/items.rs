//! What is in a document as an array, of which a query makes rows: the items of an array, the entries and the keys of an object.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, ListArray, StringArray, StructArray};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::ScalarUDF;

use super::document::{Node, checked, node, plain};
use super::function::{Arguments, Body, JsonFunction, Returns};
use crate::data_type::NamedText;
use crate::error::{Error, Result, SqlState};
use crate::functions::entry::{Entry, Maker};
use crate::functions::no_such_call;

/// What the registry knows of them.
pub(in crate::functions) const ENTRIES: &[Entry] = &[
    Entry::public(
        "json_array_elements",
        &["json → json"],
        "The items of an array, each as a row.",
        Maker::Plain(|| of_items("json_array_elements")),
    ),
    Entry::public(
        "jsonb_array_elements",
        &["jsonb → jsonb"],
        "The items of an array, each as a row.",
        Maker::Plain(|| of_items("jsonb_array_elements")),
    ),
    Entry::public(
        "json_array_elements_text",
        &["json → text"],
        "The items of an array as texts, each as a row.",
        Maker::Plain(|| of_items("json_array_elements_text")),
    )
    .aliases(&["jsonb_array_elements_text"]),
    Entry::public("json_object_keys", &["json → text"], "The keys of an object, each as a row.", Maker::Plain(keys))
        .aliases(&["jsonb_object_keys"]),
    Entry::public(
        "json_each",
        &["json → row"],
        "The entries of an object as rows of key and value.",
        Maker::Plain(|| of_entries("json_each")),
    ),
    Entry::public(
        "jsonb_each",
        &["jsonb → row"],
        "The entries of an object as rows of key and value.",
        Maker::Plain(|| of_entries("jsonb_each")),
    ),
    Entry::public(
        "json_each_text",
        &["json → row"],
        "The entries of an object as rows of key and text.",
        Maker::Plain(|| of_entries("json_each_text")),
    )
    .aliases(&["jsonb_each_text"]),
];

fn one_text(types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
    if types.len() == 1 {
        return Ok(vec![DataType::Utf8]);
    }
    Err(no_such_call("json_array_elements", types, "json_array_elements(document)"))
}

/// The item of the arrays that a function gives.
fn item_of(name: &str, field_name: &str) -> Field {
    match name {
        _ if name.ends_with("_text") => Field::new(field_name, DataType::Utf8, true),
        _ if name.starts_with("jsonb") => NamedText::Jsonb.field(field_name),
        _ => NamedText::Json.field(field_name),
    }
}

fn entry_fields(name: &str) -> Fields {
    Fields::from(vec![Field::new("key", DataType::Utf8, true), item_of(name, "value")])
}

fn list_field(item: Field) -> Field {
    Field::new("", DataType::List(Arc::new(item.with_name("item"))), true)
}

/// Collects lists: what is pushed until the next end is one of them.
struct Lists {
    offsets: Vec<i32>,
    valid: Vec<bool>,
}

impl Lists {
    fn new() -> Self {
        Self { offsets: vec![0], valid: Vec::new() }
    }

    fn end(&mut self, items: usize, is_valid: bool) -> Result<()> {
        let end = i32::try_from(items).map_err(|_| {
            Error::invalid("the items of a batch of documents are too many").code(SqlState::ProgramLimitExceeded)
        })?;
        self.offsets.push(end);
        self.valid.push(is_valid);
        Ok(())
    }

    fn over(self, item: FieldRef, values: ArrayRef) -> ArrayRef {
        let nulls = NullBuffer::from(self.valid);
        Arc::new(ListArray::new(item, OffsetBuffer::new(self.offsets.into()), values, Some(nulls)))
    }
}

/// A value, as a text where that is wanted.
fn given(value: &str, as_text: bool) -> Result<Option<String>> {
    if as_text { Ok(plain(value)?.map(std::borrow::Cow::into_owned)) } else { Ok(Some(value.to_owned())) }
}

fn items(arguments: &Arguments<'_>, name: &str) -> Result<ArrayRef> {
    let (mut lists, mut values) = (Lists::new(), Vec::new());
    for text in arguments.texts(0) {
        if let Some(text) = text {
            match node(checked(text)?)? {
                Node::Array(items) => {
                    for item in items {
                        values.push(given(item, name.ends_with("_text"))?);
                    }
                }
                Node::Object(_) => {
                    return Err(Error::row("cannot call json_array_elements on a non-array")
                        .code(SqlState::InvalidParameterValue));
                }
                _ => {
                    return Err(
                        Error::row("cannot call json_array_elements on a scalar").code(SqlState::InvalidParameterValue)
                    );
                }
            }
        }
        lists.end(values.len(), text.is_some())?;
    }
    Ok(lists.over(Arc::new(item_of(name, "item")), Arc::new(StringArray::from(values))))
}

fn of_items(name: &'static str) -> Arc<ScalarUDF> {
    let (returns, body): (Returns, Body) = match name {
        "json_array_elements" => {
            (|_| list_field(item_of("json", "")), |arguments| items(arguments, "json_array_elements"))
        }
        "jsonb_array_elements" => {
            (|_| list_field(item_of("jsonb", "")), |arguments| items(arguments, "jsonb_array_elements"))
        }
        _ => (|_| list_field(item_of("_text", "")), |arguments| items(arguments, "json_array_elements_text")),
    };
    JsonFunction { name, coerce: one_text, returns, body }.udf()
}

/// The keys of all rows, and their values.
fn entries(arguments: &Arguments<'_>, of_entry: &mut dyn FnMut(String, &str) -> Result<usize>) -> Result<Lists> {
    let mut lists = Lists::new();
    let mut count = 0;
    for text in arguments.texts(0) {
        if let Some(text) = text {
            match node(checked(text)?)? {
                Node::Object(entries) => {
                    for (key, value) in entries {
                        count = of_entry(key.into_owned(), value)?;
                    }
                }
                Node::Array(_) => {
                    return Err(Error::row("cannot take the entries of an array").code(SqlState::InvalidParameterValue));
                }
                _ => {
                    return Err(Error::row("cannot take the entries of a scalar").code(SqlState::InvalidParameterValue));
                }
            }
        }
        lists.end(count, text.is_some())?;
    }
    Ok(lists)
}

fn keys() -> Arc<ScalarUDF> {
    let body = |arguments: &Arguments<'_>| -> Result<ArrayRef> {
        let mut keys: Vec<String> = Vec::new();
        let lists = entries(arguments, &mut |key, _| {
            keys.push(key);
            Ok(keys.len())
        })?;
        let item = Arc::new(Field::new("item", DataType::Utf8, true));
        Ok(lists.over(item, Arc::new(StringArray::from(keys))))
    };
    let returns = |_: &[FieldRef]| list_field(Field::new("", DataType::Utf8, true));
    JsonFunction { name: "json_object_keys", coerce: one_text, returns, body }.udf()
}

fn rows_of_entries(arguments: &Arguments<'_>, name: &str) -> Result<ArrayRef> {
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    let lists = entries(arguments, &mut |key, value| {
        keys.push(key);
        values.push(given(value, name.ends_with("_text"))?);
        Ok(keys.len())
    })?;
    let fields = entry_fields(name);
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(keys)), Arc::new(StringArray::from(values))];
    let rows = StructArray::new(fields.clone(), columns, None);
    Ok(lists.over(Arc::new(Field::new("item", DataType::Struct(fields), true)), Arc::new(rows)))
}

fn of_entries(name: &'static str) -> Arc<ScalarUDF> {
    let (returns, body): (Returns, Body) = match name {
        "json_each" => (|_| entry_list("json"), |arguments| rows_of_entries(arguments, "json")),
        "jsonb_each" => (|_| entry_list("jsonb"), |arguments| rows_of_entries(arguments, "jsonb")),
        _ => (|_| entry_list("_text"), |arguments| rows_of_entries(arguments, "_text")),
    };
    JsonFunction { name, coerce: one_text, returns, body }.udf()
}

fn entry_list(name: &str) -> Field {
    list_field(Field::new("", DataType::Struct(entry_fields(name)), true))
}
