//! Documents changed: joined (`||`), without a key, an item or a path (`-`, `#-`), with another value at the end of a path (`jsonb_set`), without
//! entries that are null.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::ScalarUDF;

use super::document::{DEPTH_MAX, Node, from_end, node, too_deep};
use super::function::{self, Arguments, JsonFunction, of_texts, path};
use super::written::{canonical, compact, quote};
use crate::data_type::list_of;
use crate::error::{Error, Result, SqlState};
use crate::functions::entry::{Entry, Maker};
use crate::functions::no_such_call;

/// What the registry knows of them.
pub(in crate::functions) const ENTRIES: &[Entry] = &[
    Entry::internal("jsonb_concat", "`document || document`.", Maker::Plain(concat)),
    Entry::internal("jsonb_delete", "`document - key`.", Maker::Plain(delete)),
    Entry::internal("jsonb_delete_path", "`document #- path`.", Maker::Plain(delete_path)),
    Entry::public(
        "jsonb_set",
        &["jsonb, text[], jsonb → jsonb", "jsonb, text[], jsonb, boolean → jsonb"],
        "The document with another value at the end of a path, which is added if the last step is not there and the fourth argument is not FALSE.",
        Maker::Plain(set),
    )
    .example("jsonb_set('{\"a\": [1, 2]}', '{a,0}', '9')", "{\"a\": [9, 2]}"),
    Entry::public(
        "json_strip_nulls",
        &["json → json"],
        "The document without entries of objects that are null.",
        Maker::Plain(|| strip("json_strip_nulls")),
    )
    .example("json_strip_nulls('{\"a\":1, \"b\":null}')", "{\"a\":1}"),
    Entry::public(
        "jsonb_strip_nulls",
        &["jsonb → jsonb"],
        "The document without entries of objects that are null.",
        Maker::Plain(|| strip("jsonb_strip_nulls")),
    ),
];

fn two_texts(types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
    Ok(vec![DataType::Utf8; types.len()])
}

pub(super) fn concat() -> Arc<ScalarUDF> {
    let body = |arguments: &Arguments<'_>| -> Result<ArrayRef> {
        let right = arguments.texts(1);
        of_texts(arguments, |left, row| match right.is_valid(row) {
            true => canonical(&joined(left, right.value(row))?).map(Some),
            false => Ok(None),
        })
    };
    JsonFunction { name: "jsonb_concat", coerce: two_texts, returns: function::jsonb, body }.udf()
}

/// Two objects as one, the later entries last; otherwise the items of both as one array.
fn joined(left: &str, right: &str) -> Result<String> {
    let (left_node, right_node) = (node(left)?, node(right)?);
    if let (Node::Object(a), Node::Object(b)) = (&left_node, &right_node) {
        return Ok(object(a.iter().chain(b).map(|(key, value)| (key.as_ref(), *value))));
    }
    let mut items = Vec::new();
    for (text, of_text) in [(left, left_node), (right, right_node)] {
        match of_text {
            Node::Array(of_array) => items.extend(of_array),
            _ => items.push(text),
        }
    }
    Ok(array(&items))
}

fn array(items: &[&str]) -> String {
    format!("[{}]", items.join(","))
}

fn object<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::from("{");
    for (place, (key, value)) in entries.enumerate() {
        if place > 0 {
            out.push(',');
        }
        quote(key, &mut out);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    out
}

fn with_key(types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
    match types {
        [_, key] if key.is_integer() => Ok(vec![DataType::Utf8, DataType::Int64]),
        [_, keys] if keys.is_list() => Ok(vec![DataType::Utf8, list_of(DataType::Utf8, true)]),
        [_, _] => Ok(vec![DataType::Utf8; 2]),
        _ => Err(no_such_call("-", types, "document - key")),
    }
}

pub(super) fn delete() -> Arc<ScalarUDF> {
    let body = |arguments: &Arguments<'_>| -> Result<ArrayRef> {
        let keys = &arguments.arrays[1];
        of_texts(arguments, |text, row| {
            if keys.is_null(row) {
                return Ok(None);
            }
            let rest = match keys.data_type() {
                DataType::Int64 => without_place(text, keys.as_primitive::<Int64Type>().value(row))?,
                DataType::Utf8 => without_keys(text, &[keys.as_string::<i32>().value(row).to_owned()])?,
                _ => match path(keys, row)? {
                    Some(keys) => without_keys(text, &keys)?,
                    None => return Ok(None),
                },
            };
            canonical(&rest).map(Some)
        })
    };
    JsonFunction { name: "jsonb_delete", coerce: with_key, returns: function::jsonb, body }.udf()
}

fn without_keys(text: &str, keys: &[String]) -> Result<String> {
    Ok(match node(text)? {
        Node::Object(entries) => {
            let kept = entries.iter().filter(|(name, _)| !keys.iter().any(|key| key == name));
            object(kept.map(|(key, value)| (key.as_ref(), *value)))
        }
        Node::Array(items) => {
            let is_gone = |item: &str| matches!(node(item), Ok(Node::String(text)) if keys.contains(&text));
            array(&items.into_iter().filter(|item| !is_gone(item)).collect::<Vec<_>>())
        }
        _ => return Err(Error::row("cannot delete from scalar").code(SqlState::InvalidParameterValue)),
    })
}

fn without_place(text: &str, place: i64) -> Result<String> {
    match node(text)? {
        Node::Array(mut items) => {
            if let Some(place) = from_end(place, items.len()).filter(|place| *place < items.len()) {
                items.remove(place);
            }
            Ok(array(&items))
        }
        Node::Object(_) => {
            Err(Error::row("cannot delete from object using integer index").code(SqlState::InvalidParameterValue))
        }
        _ => Err(Error::row("cannot delete from scalar").code(SqlState::InvalidParameterValue)),
    }
}

/// What becomes of the value at the end of a path.
#[derive(Clone, Copy)]
enum Edit<'a> {
    Remove,
    /// Another value, also where there was none.
    Put(&'a str),
    /// Another value where there was one.
    Replace(&'a str),
}

/// The document with a change at the end of a path; as it is where a step leads nowhere.
fn changed(text: &str, steps: &[String], change: Edit<'_>, depth: usize) -> Result<String> {
    if depth > DEPTH_MAX {
        return Err(too_deep());
    }
    let Some((first, rest)) = steps.split_first() else { return Ok(text.to_owned()) };
    let deeper = |value: &str| changed(value, rest, change, depth + 1);
    match node(text)? {
        Node::Object(entries) => {
            let found = entries.iter().rposition(|(key, _)| key == first);
            let mut owned: Vec<(String, String)> =
                entries.iter().map(|(key, value)| (key.to_string(), (*value).to_owned())).collect();
            match (found, rest.is_empty(), change) {
                (Some(place), true, Edit::Remove) => {
                    owned.remove(place);
                }
                (Some(place), true, Edit::Put(value) | Edit::Replace(value)) => owned[place].1 = value.to_owned(),
                (Some(place), false, _) => owned[place].1 = deeper(entries[place].1)?,
                (None, true, Edit::Put(value)) => owned.push((first.clone(), value.to_owned())),
                _ => {}
            }
            Ok(object(owned.iter().map(|(key, value)| (key.as_str(), value.as_str()))))
        }
        Node::Array(items) => {
            let place: i64 = first.trim().parse().map_err(|_| {
                Error::row(format!("path element at position {} is not an integer: \"{first}\"", depth + 1))
                    .code(SqlState::InvalidTextRepresentation)
            })?;
            let found = from_end(place, items.len()).filter(|place| *place < items.len());
            let mut owned: Vec<String> = items.iter().map(|item| (*item).to_owned()).collect();
            match (found, rest.is_empty(), change) {
                (Some(place), true, Edit::Remove) => {
                    owned.remove(place);
                }
                (Some(place), true, Edit::Put(value) | Edit::Replace(value)) => owned[place] = value.to_owned(),
                (Some(place), false, _) => owned[place] = deeper(items[place])?,
                (None, true, Edit::Put(value)) if place < 0 => owned.insert(0, value.to_owned()),
                (None, true, Edit::Put(value)) => owned.push(value.to_owned()),
                _ => {}
            }
            Ok(array(&owned.iter().map(String::as_str).collect::<Vec<_>>()))
        }
        _ => match depth {
            0 => Err(Error::row("cannot set path in scalar").code(SqlState::InvalidParameterValue)),
            _ => Ok(text.to_owned()),
        },
    }
}

pub(super) fn delete_path() -> Arc<ScalarUDF> {
    let body = |arguments: &Arguments<'_>| -> Result<ArrayRef> {
        of_texts(arguments, |text, row| match path(&arguments.arrays[1], row)? {
            Some(steps) => canonical(&changed(text, &steps, Edit::Remove, 0)?).map(Some),
            None => Ok(None),
        })
    };
    let coerce = |_: &[DataType]| Ok(vec![DataType::Utf8, list_of(DataType::Utf8, true)]);
    JsonFunction { name: "jsonb_delete_path", coerce, returns: function::jsonb, body }.udf()
}

fn set_types(types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
    if !matches!(types.len(), 3 | 4) {
        return Err(no_such_call("jsonb_set", types, "jsonb_set(document, path, value)"));
    }
    let all = [DataType::Utf8, list_of(DataType::Utf8, true), DataType::Utf8, DataType::Boolean];
    Ok(all.into_iter().take(types.len()).collect())
}

fn set() -> Arc<ScalarUDF> {
    let body = |arguments: &Arguments<'_>| -> Result<ArrayRef> {
        let values: &StringArray = arguments.texts(2);
        let adds: Option<&BooleanArray> = arguments.arrays.get(3).map(AsArray::as_boolean);
        of_texts(arguments, |text, row| {
            let steps = path(&arguments.arrays[1], row)?;
            let (Some(steps), true) = (steps, values.is_valid(row)) else { return Ok(None) };
            if adds.is_some_and(|adds| adds.is_null(row)) {
                return Ok(None);
            }
            let value = canonical(values.value(row))?;
            let change = match adds.is_none_or(|adds| adds.value(row)) {
                true => Edit::Put(&value),
                false => Edit::Replace(&value),
            };
            canonical(&changed(&canonical(text)?, &steps, change, 0)?).map(Some)
        })
    };
    JsonFunction { name: "jsonb_set", coerce: set_types, returns: function::jsonb, body }.udf()
}

fn strip(name: &'static str) -> Arc<ScalarUDF> {
    fn stripped(text: &str, depth: usize) -> Result<String> {
        if depth > DEPTH_MAX {
            return Err(too_deep());
        }
        Ok(match node(text)? {
            Node::Object(entries) => {
                let kept = entries.iter().filter(|(_, value)| *value != "null");
                let kept = kept.map(|(key, value)| Ok((key.as_ref(), stripped(value, depth + 1)?)));
                let kept = kept.collect::<Result<Vec<(&str, String)>>>()?;
                object(kept.iter().map(|(key, value)| (*key, value.as_str())))
            }
            Node::Array(items) => {
                let items = items.iter().map(|item| stripped(item, depth + 1)).collect::<Result<Vec<_>>>()?;
                array(&items.iter().map(String::as_str).collect::<Vec<_>>())
            }
            _ => text.to_owned(),
        })
    }
    let (returns, body): (function::Returns, fn(&Arguments<'_>) -> Result<ArrayRef>) = match name {
        "jsonb_strip_nulls" => {
            (function::jsonb, |arguments| of_texts(arguments, |text, _| canonical(&stripped(text, 0)?).map(Some)))
        }
        _ => (function::json, |arguments| of_texts(arguments, |text, _| compact(&stripped(text, 0)?).map(Some))),
    };
    JsonFunction { name, coerce: two_texts, returns, body }.udf()
}
