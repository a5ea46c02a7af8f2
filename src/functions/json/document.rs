//! A JSON document, read one level at a time: the text of a part stays as it was written until somebody asks for what is in it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{Error, Result, SqlState};

/// How deep documents may be nested: what walks them calls itself.
pub(super) const DEPTH_MAX: usize = 512;

/// A value, with the texts of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    /// As it was written.
    Number(&'a str),
    String(String),
    Array(Vec<&'a str>),
    /// In the order of writing; a key may come again.
    Object(Vec<(Cow<'a, str>, &'a str)>),
}

/// An error for a text that is no document.
fn wrong(error: &serde_json::Error) -> Error {
    Error::row("invalid input syntax for type json").code(SqlState::InvalidTextRepresentation).detail(error.to_string())
}

/// An error for a document that is nested too deep.
pub(super) fn too_deep() -> Error {
    Error::row(format!("a document is nested deeper than {DEPTH_MAX} levels")).code(SqlState::StatementTooComplex)
}

/// A document without the blanks around it.
///
/// # Errors
/// 22P02: it is none.
pub(super) fn checked(text: &str) -> Result<&str> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| wrong(&error))?;
    Ok(raw.get())
}

/// The value of a document, of which its parts are looked at only as far as their ends are to be found.
///
/// # Errors
/// 22P02: it is none.
pub(super) fn node(text: &str) -> Result<Node<'_>> {
    let text = text.trim_matches([' ', '\t', '\n', '\r']);
    let read = match text.as_bytes().first() {
        Some(b'{') => entries(text).map(Node::Object),
        Some(b'[') => {
            let items: serde_json::Result<Vec<&RawValue>> = serde_json::from_str(text);
            items.map(|items| Node::Array(items.into_iter().map(RawValue::get).collect()))
        }
        Some(b'"') => serde_json::from_str(text).map(Node::String),
        Some(b't' | b'f') => serde_json::from_str(text).map(Node::Bool),
        Some(b'n') => serde_json::from_str::<()>(text).map(|()| Node::Null),
        _ => serde_json::from_str::<&RawValue>(text).map(|number| Node::Number(number.get())),
    };
    read.map_err(|error| wrong(&error))
}

fn entries(text: &str) -> serde_json::Result<Vec<(Cow<'_, str>, &str)>> {
    struct Entries;

    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<(Cow<'de, str>, &'de str)>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                entries.push((key, value.get()));
            }
            Ok(entries)
        }
    }

    let mut reader = serde_json::Deserializer::from_str(text);
    let entries = reader.deserialize_map(Entries)?;
    reader.end()?;
    Ok(entries)
}

/// A key: borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(key))
            }

            fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(key.to_owned()))
            }
        }

        reader.deserialize_str(Text).map(Key)
    }
}

/// What `->` gives: the value of a key, the last one where it comes again.
///
/// # Errors
/// 22P02: it is no document.
pub(super) fn of_key<'a>(text: &'a str, key: &str) -> Result<Option<&'a str>> {
    Ok(match node(text)? {
        Node::Object(entries) => entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| *value),
        _ => None,
    })
}

/// What `->` gives: the item at a place from 0, or from the end where it is negative.
///
/// # Errors
/// 22P02: it is no document.
pub(super) fn at_place(text: &str, place: i64) -> Result<Option<&str>> {
    Ok(match node(text)? {
        Node::Array(items) => from_end(place, items.len()).and_then(|place| items.get(place).copied()),
        _ => None,
    })
}

/// A place from 0, of one that may be counted from the end.
pub(super) fn from_end(place: i64, count: usize) -> Option<usize> {
    match usize::try_from(place.unsigned_abs()) {
        Ok(distance) if place < 0 => count.checked_sub(distance),
        Ok(place) => Some(place),
        Err(_) => None,
    }
}

/// A step of a path: a key of an object, the place of an item in an array.
///
/// # Errors
/// 22P02: it is no document.
pub(super) fn step<'a>(text: &'a str, step: &str) -> Result<Option<&'a str>> {
    Ok(match node(text)? {
        Node::Object(entries) => entries.iter().rev().find(|(name, _)| name == step).map(|(_, value)| *value),
        Node::Array(items) => {
            let place = step.trim().parse().ok().and_then(|place| from_end(place, items.len()));
            place.and_then(|place| items.get(place).copied())
        }
        _ => None,
    })
}

/// What `->>` gives of a value: a string without its quotes, nothing of null, the text of anything else.
///
/// # Errors
/// 22P02: it is no document.
pub(super) fn plain(text: &str) -> Result<Option<Cow<'_, str>>> {
    Ok(match text.as_bytes().first() {
        Some(b'"') => match node(text)? {
            Node::String(text) => Some(Cow::Owned(text)),
            _ => None,
        },
        Some(b'n') => None,
        _ => Some(Cow::Borrowed(text)),
    })
}
