//! What is in a document: by key and place (`->`, `->>`), by path (`#>`, `#>>`), whether a key is there, whether another
//! document is part of it (`@>`), its kind and its length.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::ScalarUDF;

use super::document::{Node, at_place, node, of_key, plain, step, too_deep};
use super::function::{self, Arguments, JsonFunction, of_texts, path};
use super::{document, written};
use crate::data_type::list_of;
use crate::error::{Error, Result, SqlState};
use crate::functions::entry::{Entry, Maker};
use crate::functions::no_such_call;

/// What the registry knows of them.
pub(in crate::functions) const ENTRIES: &[Entry] = &[
    Entry::internal("json_get", "`document -> key`.", Maker::Plain(get)),
    Entry::internal("json_get_text", "`document ->> key`.", Maker::Plain(get_text)),
    Entry::internal("json_get_path", "`document #> path`.", Maker::Plain(get_path)),
    Entry::internal("json_get_path_text", "`document #>> path`.", Maker::Plain(get_path_text)),
    Entry::internal("json_contains", "`document @> document`.", Maker::Plain(contains)),
    Entry::public(
        "jsonb_exists",
        &["jsonb, text → boolean"],
        "Whether an object has a key, or an array a string: PostgreSQL's operator `?`, which is not read here.",
        Maker::Plain(has),
    )
    .example("jsonb_exists('{\"a\": 1}', 'a')", "t"),
    Entry::public(
        "jsonb_exists_any",
        &["jsonb, text[] → boolean"],
        "Whether one of the keys is there: PostgreSQL's operator `?|`.",
        Maker::Plain(|| has_some("jsonb_exists_any", false)),
    ),
    Entry::public(
        "jsonb_exists_all",
        &["jsonb, text[] → boolean"],
        "Whether all keys are there: PostgreSQL's operator `?&`.",
        Maker::Plain(|| has_some("jsonb_exists_all", true)),
    ),
    Entry::public(
        "json_extract_path",
        &["json, text... → json"],
        "The part of a document at the end of a path of keys and places.",
        Maker::Plain(|| extract("json_extract_path")),
    )
    .example("json_extract_path('{\"a\":{\"b\":[1,2]}}', 'a', 'b')", "[1,2]"),
    Entry::public(
        "jsonb_extract_path",
        &["jsonb, text... → jsonb"],
        "The part of a document at the end of a path of keys and places.",
        Maker::Plain(|| extract("jsonb_extract_path")),
    ),
    Entry::public(
        "json_extract_path_text",
        &["json, text... → text"],
        "As json_extract_path; a string without its quotes, null as NULL.",
        Maker::Plain(|| extract_text("json_extract_path_text")),
    )
    .aliases(&["jsonb_extract_path_text"])
    .example("json_extract_path_text('{\"a\":[\"x\"]}', 'a', '0')", "x"),
    Entry::public(
        "json_typeof",
        &["json → text"],
        "The kind of a document: object, array, string, number, boolean or null.",
        Maker::Plain(type_of),
    )
    .aliases(&["jsonb_typeof"])
    .example("json_typeof('[1]')", "array"),
    Entry::public("json_array_length", &["json → integer"], "How many items an array has.", Maker::Plain(array_length))
        .aliases(&["jsonb_array_length"])
        .example("json_array_length('[1, [2, 3]]')", "2"),
];

/// A document and a key or a place.
fn with_key(types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
    match types {
        [_, key] if key.is_integer() => Ok(vec![DataType::Utf8, DataType::Int64]),
        [_, _] => Ok(vec![DataType::Utf8, DataType::Utf8]),
        _ => Err(no_such_call("->", types, "document -> key")),
    }
}

/// A document and a path.
fn with_path(types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
    match types {
        [_, _] => Ok(vec![DataType::Utf8, list_of(DataType::Utf8, true)]),
        _ => Err(no_such_call("#>", types, "document #> array of steps")),
    }
}

fn all_texts(types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
    Ok(vec![DataType::Utf8; types.len()])
}

/// The part of the document of a row that its key or its place names.
fn part<'a>(arguments: &'a Arguments<'_>, text: &'a str, row: usize) -> Result<Option<&'a str>> {
    let key = &arguments.arrays[1];
    if key.is_null(row) {
        return Ok(None);
    }
    match key.data_type() {
        DataType::Int64 => at_place(text, key.as_primitive::<Int64Type>().value(row)),
        _ => of_key(text, key.as_string::<i32>().value(row)),
    }
}

pub(super) fn get() -> Arc<ScalarUDF> {
    let body = |arguments: &Arguments<'_>| -> Result<ArrayRef> {
        of_texts(arguments, |text, row| Ok(part(arguments, text, row)?.map(str::to_owned)))
    };
    JsonFunction { name: "json_get", coerce: with_key, returns: function::as_first, body }.udf()
}

pub(super) fn get_text() -> Arc<ScalarUDF> {
    let body = |arguments: &Arguments<'_>| -> Result<ArrayRef> {
        of_texts(arguments, |text, row| match part(arguments, text, row)? {
            Some(part) => Ok(plain(part)?.map(std::borrow::Cow::into_owned)),
            None => Ok(None),
        })
    };
    JsonFunction { name: "json_get_text", coerce: with_key, returns: function::text, body }.udf()
}

/// The end of a path; nothing if a step leads nowhere.
fn walk<'a>(text: &'a str, steps: &[String]) -> Result<Option<&'a str>> {
    let mut at = text;
    for name in steps {
        match step(at, name)? {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

pub(super) fn get_path() -> Arc<ScalarUDF> {
    let body = |arguments: &Arguments<'_>| -> Result<ArrayRef> {
        of_texts(arguments, |text, row| match path(&arguments.arrays[1], row)? {
            Some(steps) => Ok(walk(text, &steps)?.map(str::to_owned)),
            None => Ok(None),
        })
    };
    JsonFunction { name: "json_get_path", coerce: with_path, returns: function::as_first, body }.udf()
}

pub(super) fn get_path_text() -> Arc<ScalarUDF> {
    let body = |arguments: &Arguments<'_>| -> Result<ArrayRef> {
        of_texts(arguments, |text, row| {
            let Some(steps) = path(&arguments.arrays[1], row)? else { return Ok(None) };
            let Some(part) = walk(text, &steps)? else { return Ok(None) };
            Ok(plain(part)?.map(std::borrow::Cow::into_owned))
        })
    };
    JsonFunction { name: "json_get_path_text", coerce: with_path, returns: function::text, body }.udf()
}

/// The steps that stand behind a document as arguments.
fn steps(arguments: &Arguments<'_>, row: usize) -> Option<Vec<String>> {
    let columns = (1..arguments.arrays.len()).map(|place| arguments.texts(place));
    columns.map(|steps| steps.is_valid(row).then(|| steps.value(row).to_owned())).collect()
}

fn extract(name: &'static str) -> Arc<ScalarUDF> {
    let body = |arguments: &Arguments<'_>| -> Result<ArrayRef> {
        of_texts(arguments, |text, row| match steps(arguments, row) {
            Some(steps) => Ok(walk(document::checked(text)?, &steps)?.map(str::to_owned)),
            None => Ok(None),
        })
    };
    let returns = if name.starts_with("jsonb") { function::jsonb } else { function::json };
    JsonFunction { name, coerce: all_texts, returns, body }.udf()
}

fn extract_text(name: &'static str) -> Arc<ScalarUDF> {
    let body = |arguments: &Arguments<'_>| -> Result<ArrayRef> {
        of_texts(arguments, |text, row| {
            let Some(steps) = steps(arguments, row) else { return Ok(None) };
            let Some(part) = walk(document::checked(text)?, &steps)? else { return Ok(None) };
            Ok(plain(part)?.map(std::borrow::Cow::into_owned))
        })
    };
    JsonFunction { name, coerce: all_texts, returns: function::text, body }.udf()
}

/// The value of a document, all of which is looked at.
fn whole(text: &str) -> Result<Node<'_>> {
    node(document::checked(text)?)
}

fn type_of() -> Arc<ScalarUDF> {
    let body = |arguments: &Arguments<'_>| -> Result<ArrayRef> {
        of_texts(arguments, |text, _| {
            let kind = match whole(text)? {
                Node::Null => "null",
                Node::Bool(_) => "boolean",
                Node::Number(_) => "number",
                Node::String(_) => "string",
                Node::Array(_) => "array",
                Node::Object(_) => "object",
            };
            Ok(Some(kind.to_owned()))
        })
    };
    JsonFunction { name: "json_typeof", coerce: all_texts, returns: function::text, body }.udf()
}

fn array_length() -> Arc<ScalarUDF> {
    let body = |arguments: &Arguments<'_>| -> Result<ArrayRef> {
        let lengths = arguments.texts(0).iter().map(|text| match text.map(whole).transpose()? {
            None => Ok(None),
            Some(Node::Array(items)) => Ok(Some(i32::try_from(items.len()).unwrap_or(i32::MAX))),
            Some(Node::Object(_)) => {
                Err(Error::row("cannot get array length of a non-array").code(SqlState::InvalidParameterValue))
            }
            Some(_) => Err(Error::row("cannot get array length of a scalar").code(SqlState::InvalidParameterValue)),
        });
        Ok(Arc::new(lengths.collect::<Result<Int32Array>>()?))
    };
    JsonFunction { name: "json_array_length", coerce: all_texts, returns: function::int, body }.udf()
}

pub(super) fn contains() -> Arc<ScalarUDF> {
    let body = |arguments: &Arguments<'_>| -> Result<ArrayRef> {
        let pairs = arguments.texts(0).iter().zip(arguments.texts(1));
        let found = pairs.map(|pair| match pair {
            (Some(whole), Some(part)) => {
                // The part may be a text that was never read.
                let part = written::canonical(part)?;
                holds(whole, &part, true, 0).map(Some)
            }
            _ => Ok(None),
        });
        Ok(Arc::new(found.collect::<Result<BooleanArray>>()?))
    };
    JsonFunction { name: "json_contains", coerce: all_texts, returns: function::boolean, body }.udf()
}

/// Whether `part` is in `whole` as PostgreSQL's `@>` means it: entries by key, items wherever they stand; at the top an array has a scalar.
fn holds(whole: &str, part: &str, is_top: bool, depth: usize) -> Result<bool> {
    if depth > document::DEPTH_MAX {
        return Err(too_deep());
    }
    Ok(match (node(whole)?, node(part)?) {
        (Node::Object(_), Node::Object(wanted)) => {
            for (key, value) in wanted {
                match of_key(whole, &key)? {
                    Some(found) if holds(found, value, false, depth + 1)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Node::Array(items), Node::Array(wanted)) => {
            for item in wanted {
                if !has_item(&items, item, depth)? {
                    return Ok(false);
                }
            }
            true
        }
        (Node::Array(items), Node::Null | Node::Bool(_) | Node::Number(_) | Node::String(_)) if is_top => {
            has_item(&items, part, depth)?
        }
        (Node::Number(a), Node::Number(b)) => same_number(a, b)?,
        (a, b) => a == b,
    })
}

fn has_item(items: &[&str], wanted: &str, depth: usize) -> Result<bool> {
    for item in items {
        if holds(item, wanted, false, depth + 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether numbers are equal, whatever digits they were written with.
fn same_number(a: &str, b: &str) -> Result<bool> {
    let without_zeros = |number: &str| -> Result<String> {
        let plain = written::canonical(number)?;
        Ok(if plain.contains('.') { plain.trim_end_matches('0').trim_end_matches('.').to_owned() } else { plain })
    };
    Ok(a == b || without_zeros(a)? == without_zeros(b)?)
}

/// Whether an object has a key, an array has it as a string, or a string is it.
fn has_key(text: &str, key: &str) -> Result<bool> {
    Ok(match node(text)? {
        Node::Object(entries) => entries.iter().any(|(name, _)| name == key),
        Node::Array(items) => {
            for item in items {
                if item.starts_with('"') && node(item)? == Node::String(key.to_owned()) {
                    return Ok(true);
                }
            }
            false
        }
        Node::String(text) => text == key,
        _ => false,
    })
}

fn has() -> Arc<ScalarUDF> {
    let body = |arguments: &Arguments<'_>| -> Result<ArrayRef> {
        let pairs = arguments.texts(0).iter().zip(arguments.texts(1));
        let found = pairs.map(|(text, key)| text.zip(key).map(|(text, key)| has_key(text, key)).transpose());
        Ok(Arc::new(found.collect::<Result<BooleanArray>>()?))
    };
    JsonFunction { name: "jsonb_exists", coerce: all_texts, returns: function::boolean, body }.udf()
}

fn has_some(name: &'static str, all: bool) -> Arc<ScalarUDF> {
    fn found(arguments: &Arguments<'_>, all: bool) -> Result<ArrayRef> {
        let texts: &StringArray = arguments.texts(0);
        let mut found = Vec::with_capacity(texts.len());
        for (row, text) in texts.iter().enumerate() {
            let (Some(text), Some(keys)) = (text, path(&arguments.arrays[1], row)?) else {
                found.push(None);
                continue;
            };
            let there = keys.iter().map(|key| has_key(text, key)).collect::<Result<Vec<bool>>>()?;
            found.push(Some(if all { there.iter().all(|there| *there) } else { there.contains(&true) }));
        }
        Ok(Arc::new(BooleanArray::from(found)))
    }
    let body: fn(&Arguments<'_>) -> Result<ArrayRef> =
        if all { |arguments| found(arguments, true) } else { |arguments| found(arguments, false) };
    JsonFunction { name, coerce: with_path, returns: function::boolean, body }.udf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containment_is_that_of_postgresql() {
        for (whole, part, expected) in [
            (r#"{"a": 1, "b": 2}"#, r#"{"b": 2}"#, true),
            (r#"{"a": 1}"#, r#"{"a": 1.0}"#, true),
            (r#"{"a": {"b": 1, "c": 2}}"#, r#"{"a": {"b": 1}}"#, true),
            (r#"{"a": {"b": 1}}"#, r#"{"b": 1}"#, false),
            ("[1, 2, [1, 3]]", "[1, 3]", false),
            ("[1, 2, [1, 3]]", "[[1, 3]]", true),
            ("[1, 2, 2]", "[2, 1, 1]", true),
            (r#"["foo", "bar"]"#, r#""bar""#, true),
            (r#""bar""#, r#"["bar"]"#, false),
            (r#"{"a": [1, 2]}"#, r#"{"a": 1}"#, false),
            ("{}", "{}", true),
        ] {
            assert_eq!(holds(whole, part, true, 0).unwrap(), expected, "{whole} @> {part}");
        }
    }
}
