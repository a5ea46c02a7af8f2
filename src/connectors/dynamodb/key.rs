//! A table's key as DynamoDB has it, and how a declaration agrees with it.
//! DynamoDB's word counts: PARTITIONED BY may be narrower than the key, and rows are told apart by the real one.

use aws_sdk_dynamodb::types::{AttributeValue, KeyType, TableDescription};

use super::item::{Item, key_attribute_type};
use super::number::Number;
use crate::connectors::TableDeclaration;
use crate::error::{Error, Result};

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

/// A key's values in one form, so that equal keys are equal: N as normalised text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyValue {
    /// S
    Text(String),
    /// N
    Number(Number),
    /// B
    Binary(Vec<u8>),
}

impl KeyValue {
    /// `None` if the value can be no key: NULL, empty, or of another type.
    pub fn of(value: Option<&AttributeValue>) -> Option<Self> {
        match value? {
            AttributeValue::S(text) if !text.is_empty() => Some(Self::Text(text.clone())),
            AttributeValue::N(text) => Number::parse(text).map(Self::Number),
            AttributeValue::B(blob) if !blob.as_ref().is_empty() => Some(Self::Binary(blob.as_ref().to_vec())),
            _ => None,
        }
    }

    /// The values of an item's key; `None` if one of them can be none.
    pub fn of_item(item: &Item, key: &KeySchema) -> Option<Vec<Self>> {
        key.attributes().map(|attribute| Self::of(item.get(&attribute.name))).collect()
    }
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
        AttributeValue::S(text) => format!("'{text}'"),
        AttributeValue::N(text) => text.clone(),
        AttributeValue::Bool(value) => value.to_string(),
        AttributeValue::B(blob) => {
            blob.as_ref().iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
        }
        other => format!("{other:?}"),
    }
}
