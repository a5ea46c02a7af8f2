//! A table's key as DynamoDB has it, and how a declaration agrees with it.
//! DynamoDB's word counts: PARTITIONED BY may be narrower than the key, and rows are told apart by the real one.

use std::sync::Arc;

use aws_sdk_dynamodb::types::{AttributeValue, KeyType, TableDescription};

use super::value::encode::Encoded;
use super::value::item::{Item, key_attribute_type};
use super::value::number::{Number, SIGNIFICANT_DIGITS_MAX};
use crate::connectors::bad_rows::shortened;
use crate::connectors::declaration::TableDeclaration;
use crate::error::{Error, Result};

/// Bytes of a partition key's value at most, as DynamoDB's limits say.
const PARTITION_KEY_BYTES_MAX: usize = 2048;
/// The same of a sort key.
const SORT_KEY_BYTES_MAX: usize = 1024;
/// Characters of a key's value in a message, at most.
const SHOWN_CHARS_MAX: usize = 60;

/// One attribute of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAttribute {
    /// Its name.
    pub name: String,
    /// `S`, `N` or `B`.
    pub attribute_type: String,
}

/// A table's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySchema {
    /// Partition key.
    pub partition: KeyAttribute,
    /// Sort key, if any.
    pub sort: Option<KeyAttribute>,
}

impl KeySchema {
    /// Reads the answer of DescribeTable.
    ///
    /// # Errors
    /// The answer has no partition key.
    pub fn of(table: &TableDescription) -> Result<Self> {
        let attribute = |kind: &KeyType| {
            table.key_schema().iter().find(|element| element.key_type() == kind).map(|element| KeyAttribute {
                name: element.attribute_name().to_owned(),
                attribute_type: table
                    .attribute_definitions()
                    .iter()
                    .find(|definition| definition.attribute_name() == element.attribute_name())
                    .map_or_else(|| "S".to_owned(), |definition| definition.attribute_type().as_str().to_owned()),
            })
        };
        let partition = attribute(&KeyType::Hash)
            .ok_or_else(|| Error::unavailable("DescribeTable gave a table without a partition key"))?;
        Ok(Self { partition, sort: attribute(&KeyType::Range) })
    }

    /// Partition key, then sort key.
    pub fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.partition).chain(&self.sort)
    }

    /// Whether the value of the key's attribute at `place` (0: partition, 1: sort) is longer than DynamoDB permits; then how long
    /// it may be. No item has such a key.
    pub fn limit_exceeded(place: usize, value: &Encoded<'_>) -> Option<usize> {
        let limit = if place == 0 { PARTITION_KEY_BYTES_MAX } else { SORT_KEY_BYTES_MAX };
        let bytes = match value {
            Encoded::Text(text) => text.len(),
            Encoded::Binary(bytes) => bytes.len(),
            _ => return None,
        };
        (bytes > limit).then_some(limit)
    }

    /// As `(user_id, order_id)`.
    pub fn describe(&self) -> String {
        let names: Vec<_> = self.attributes().map(|attribute| attribute.name.as_str()).collect();
        format!("({})", names.join(", "))
    }

    /// Column indexes of the key.
    ///
    /// # Errors
    /// A key attribute is no column, or one of another type.
    pub fn columns(&self, table: &TableDeclaration) -> Result<Vec<usize>> {
        let schema = table.schema()?;
        self.attributes()
            .map(|attribute| {
                let index = table.columns.iter().position(|column| column.name == attribute.name).ok_or_else(|| {
                    Error::invalid(format!(
                        "table \"{}\" does not declare \"{}\", which is part of the key {} of the DynamoDB table",
                        table.name,
                        attribute.name,
                        self.describe()
                    ))
                    .hint("Declare a column of exactly this name.")
                })?;
                let declared = schema.field(index).data_type();
                if key_attribute_type(declared) == Some(&attribute.attribute_type) {
                    return Ok(index);
                }
                Err(Error::invalid(format!(
                    "column \"{}\" of table \"{}\" is {}, but the key attribute in DynamoDB is of type {}",
                    attribute.name, table.name, table.columns[index].sql_type, attribute.attribute_type
                )))
            })
            .collect()
    }

    /// Holds a declaration against the key. Gives a warning where the declaration misleads but harms nothing.
    ///
    /// # Errors
    /// PRIMARY KEY names other columns than the key, or a key column has another type.
    pub fn check(&self, table: &TableDeclaration, primary_key_option: &[String]) -> Result<Option<String>> {
        let names: Vec<_> = self.attributes().map(|attribute| attribute.name.as_str()).collect();
        let is_key = |name: &String| names.contains(&name.as_str());
        let contradiction = |clause: &str, declared: &[String]| {
            Error::invalid(format!(
                "{clause} ({}) of table \"{}\" differs from the key {} of the DynamoDB table",
                declared.join(", "),
                table.name,
                self.describe()
            ))
        };
        if !table.primary_key.is_empty()
            && (table.primary_key.len() != names.len() || !table.primary_key.iter().all(is_key))
        {
            return Err(contradiction("PRIMARY KEY", &table.primary_key));
        }
        // 'primary_key' may name the partition key alone.
        let agrees = primary_key_option.is_empty()
            || (primary_key_option.contains(&self.partition.name) && primary_key_option.iter().all(is_key));
        if !agrees {
            return Err(contradiction("'primary_key'", primary_key_option));
        }
        for attribute in self.attributes() {
            if table.columns.iter().any(|column| column.name == attribute.name) {
                let alone = Self { partition: attribute.clone(), sort: None };
                alone.columns(table)?;
            }
        }
        if let Some(other) = table.partitioned_by.iter().find(|name| !is_key(name)) {
            return Ok(Some(format!(
                "PARTITIONED BY names \"{other}\", which is not in the key {} of the DynamoDB table; that key is used",
                self.describe()
            )));
        }
        if let Some(missing) = self.columns(table).err() {
            return Ok(Some(format!("the table can be read but not written: {}", missing.message())));
        }
        Ok(None)
    }
}

/// A key's values in one form, so that equal keys are equal: N as normalised text. Copies share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// A key of these values; `None` if one of them can be none: NULL, empty, or of another type.
    pub fn of<'a>(values: impl IntoIterator<Item = &'a AttributeValue>) -> Option<Self> {
        let mut key = KeyWriter::default();
        values.into_iter().all(|value| key.push_attribute(value)).then(|| key.finish())
    }

    /// For messages: `user_id = 7, order_id = 12`.
    pub fn text(&self, schema: &KeySchema) -> String {
        let mut rest = &*self.0;
        let mut parts = Vec::new();
        for attribute in schema.attributes() {
            let Some((head, behind)) = rest.split_at_checked(5) else { break };
            let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let Some((value, behind)) = behind.split_at_checked(length) else { break };
            rest = behind;
            let text = match head[0] {
                b'S' => value_text(&AttributeValue::S(String::from_utf8_lossy(value).into_owned())),
                b'N' => String::from_utf8_lossy(value).into_owned(),
                _ => value_text(&AttributeValue::B(value.into())),
            };
            parts.push(format!("{} = {text}", attribute.name));
        }
        parts.join(", ")
    }

    /// The key of an item; `None` if one of its values can be none.
    pub fn of_item(item: &Item, key: &KeySchema) -> Option<Self> {
        let values: Option<Vec<_>> = key.attributes().map(|attribute| item.get(&attribute.name)).collect();
        Self::of(values?)
    }
}

/// Puts a key together, value by value: a byte for the type, four for the length, and the value.
#[derive(Debug, Default)]
pub struct KeyWriter {
    bytes: Vec<u8>,
}

impl KeyWriter {
    /// Begins a new key.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Adds a value; false if it can be in no key.
    pub fn push(&mut self, value: &Encoded<'_>) -> bool {
        match value {
            Encoded::Text(text) => self.push_bytes(b'S', text.as_bytes()),
            Encoded::Number(text) => self.push_number(text),
            Encoded::Binary(bytes) => self.push_bytes(b'B', bytes),
            Encoded::Null | Encoded::Bool(_) | Encoded::Nested(_) => false,
        }
    }

    fn push_attribute(&mut self, value: &AttributeValue) -> bool {
        match value {
            AttributeValue::S(text) => self.push_bytes(b'S', text.as_bytes()),
            AttributeValue::N(text) => self.push_number(text),
            AttributeValue::B(blob) => self.push_bytes(b'B', blob.as_ref()),
            _ => false,
        }
    }

    fn push_number(&mut self, text: &str) -> bool {
        if is_normal_integer(text) {
            return self.push_bytes(b'N', text.as_bytes());
        }
        Number::parse(text).is_some_and(|number| self.push_bytes(b'N', number.to_text().as_bytes()))
    }

    fn push_bytes(&mut self, attribute_type: u8, value: &[u8]) -> bool {
        // A key has at most 2 KB.
        let Ok(length) = u32::try_from(value.len()) else { return false };
        self.bytes.push(attribute_type);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(value);
        !value.is_empty()
    }

    /// The key of the values added.
    pub fn finish(&self) -> Key {
        Key(self.bytes.as_slice().into())
    }
}

/// Whether [`Number::to_text`] gives the same: nearly all keys are such.
fn is_normal_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    digits.first().is_some_and(|first| (b'1'..=b'9').contains(first))
        && digits.len() <= SIGNIFICANT_DIGITS_MAX
        && digits.iter().all(u8::is_ascii_digit)
}

/// A key for messages: `user_id = 7, order_id = 12`.
pub fn key_text(item: &Item, key: &KeySchema) -> String {
    let parts: Vec<_> = key
        .attributes()
        .map(|attribute| {
            format!("{} = {}", attribute.name, item.get(&attribute.name).map_or("NULL".to_owned(), value_text))
        })
        .collect();
    parts.join(", ")
}

/// An attribute's value for messages and EXPLAIN.
pub fn value_text(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) => format!("'{}'", shortened(text, SHOWN_CHARS_MAX)),
        AttributeValue::N(text) => text.clone(),
        AttributeValue::Bool(value) => value.to_string(),
        AttributeValue::B(blob) => {
            let hex = blob
                .as_ref()
                .iter()
                .take(SHOWN_CHARS_MAX)
                .fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"));
            shortened(&hex, SHOWN_CHARS_MAX)
        }
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests;
