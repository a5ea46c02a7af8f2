//! The bodies of BatchWriteItem, straight from rows and back to keys. The SDK's way from typed requests builds a map of strings
//! for each item, copies it to be able to send it again and walks it for the JSON; here a row is its JSON from the beginning.
//! `direct_call` sends it. The form is that of the API reference, "BatchWriteItem" and "AttributeValue".

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::connectors::dynamodb::key::{Key, KeySchema};
use crate::connectors::dynamodb::value::encode::Encoded;

/// An attribute's name, ready for requests.
pub struct AttributeName {
    name: String,
    /// With the colon.
    json: Vec<u8>,
}

impl AttributeName {
    /// As it is in the table.
    pub fn new(name: &str) -> Self {
        let mut json = Vec::with_capacity(name.len() + 3);
        write_text(name, &mut json);
        json.push(b':');
        Self { name: name.to_owned(), json }
    }

    /// As it is in the table.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Writes puts and deletes as they stand in a request, one after the other.
#[derive(Default)]
pub struct WriteJson {
    json: Vec<u8>,
    is_first: bool,
    /// What DynamoDB counts.
    bytes: usize,
}

impl WriteJson {
    /// Begins to put the item whose attributes follow.
    pub fn begin_put(&mut self) {
        self.begin(br#"{"PutRequest":{"Item":{"#);
    }

    /// Begins to delete the item whose key follows.
    pub fn begin_delete(&mut self) {
        self.begin(br#"{"DeleteRequest":{"Key":{"#);
    }

    fn begin(&mut self, head: &[u8]) {
        self.json.clear();
        self.json.extend_from_slice(head);
        (self.is_first, self.bytes) = (true, 0);
    }

    /// Adds an attribute, whose name is not there yet.
    pub fn attribute(&mut self, name: &AttributeName, value: &Encoded<'_>) {
        let out = &mut self.json;
        if !std::mem::take(&mut self.is_first) {
            out.push(b',');
        }
        out.extend_from_slice(&name.json);
        write_value(value, out);
        self.bytes += name.name.len() + value.bytes();
    }

    /// The size of the item so far as DynamoDB counts it (within a few bytes).
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The whole write.
    pub fn finish(&mut self) -> Arc<[u8]> {
        self.json.extend_from_slice(b"}}}");
        self.json.as_slice().into()
    }
}

/// The body of a request that writes to one table.
pub fn body<'a>(table_name: &str, writes: impl Iterator<Item = &'a Arc<[u8]>> + Clone) -> Bytes {
    let length = writes.clone().map(|write| write.len() + 1).sum::<usize>();
    let mut body = Vec::with_capacity(length + table_name.len() + 32);
    body.extend_from_slice(br#"{"RequestItems":{"#);
    write_text(table_name, &mut body);
    body.extend_from_slice(b":[");
    for (index, write) in writes.enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(write);
    }
    body.extend_from_slice(b"]}}");
    body.into()
}

/// The keys of the writes that DynamoDB left out, from the body of its answer.
///
/// # Errors
/// It is no such answer.
pub fn left_out(answer: &[u8], key: &KeySchema) -> Result<HashSet<Key>, String> {
    let answer: Answer = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    // Of one table only, under whichever of its names (an ARN may come back as a name).
    let left = answer.unprocessed_items.unwrap_or_default().into_values().flatten();
    left.map(|write| write.key(key).ok_or_else(|| "a write comes back without its key".to_owned())).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    unprocessed_items: Option<HashMap<String, Vec<LeftOut>>>,
}

#[derive(Deserialize)]
enum LeftOut {
    PutRequest {
        #[serde(rename = "Item")]
        item: HashMap<String, Value>,
    },
    DeleteRequest {
        #[serde(rename = "Key")]
        key: HashMap<String, Value>,
    },
}

impl LeftOut {
    fn key(&self, key: &KeySchema) -> Option<Key> {
        let (Self::PutRequest { item } | Self::DeleteRequest { key: item }) = self;
        let values: Option<Vec<_>> =
            key.attributes().map(|attribute| key_attribute(item.get(&attribute.name)?)).collect();
        Key::of(&values?)
    }
}

fn key_attribute(value: &Value) -> Option<AttributeValue> {
    let text = |name| value.get(name).and_then(Value::as_str);
    text("S")
        .map(|text| AttributeValue::S(text.to_owned()))
        .or_else(|| text("N").map(|text| AttributeValue::N(text.to_owned())))
        .or_else(|| BASE64.decode(text("B")?).ok().map(|bytes| AttributeValue::B(Blob::new(bytes))))
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing a string into a Vec cannot fail");
}

fn write_value(value: &Encoded<'_>, out: &mut Vec<u8>) {
    match value {
        Encoded::Null => out.extend_from_slice(br#"{"NULL":true}"#),
        Encoded::Bool(true) => out.extend_from_slice(br#"{"BOOL":true}"#),
        Encoded::Bool(false) => out.extend_from_slice(br#"{"BOOL":false}"#),
        Encoded::Text(text) => {
            out.extend_from_slice(br#"{"S":"#);
            write_text(text, out);
            out.push(b'}');
        }
        Encoded::Number(text) => write_ascii(br#"{"N":""#, text, out),
        Encoded::Binary(bytes) => write_ascii(br#"{"B":""#, &BASE64.encode(bytes), out),
        Encoded::Nested(value) => write_attribute(value, out),
    }
}

/// A value of letters and digits alone.
fn write_ascii(head: &[u8], value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(head);
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(br#""}"#);
}

/// What is in lists and maps, of the kinds that rows give.
fn write_attribute(value: &AttributeValue, out: &mut Vec<u8>) {
    match value {
        AttributeValue::S(text) => write_value(&Encoded::Text(text), out),
        AttributeValue::N(text) => write_value(&Encoded::Number(text), out),
        AttributeValue::B(blob) => write_value(&Encoded::Binary(blob.as_ref()), out),
        AttributeValue::Bool(value) => write_value(&Encoded::Bool(*value), out),
        AttributeValue::L(values) => {
            out.extend_from_slice(br#"{"L":["#);
            separated(values, out, write_attribute);
            out.extend_from_slice(b"]}");
        }
        AttributeValue::M(map) => {
            out.extend_from_slice(br#"{"M":{"#);
            separated(map, out, |(name, value), out| {
                write_text(name, out);
                out.push(b':');
                write_attribute(value, out);
            });
            out.extend_from_slice(b"}}");
        }
        // NULL: rows give no other kind.
        _ => write_value(&Encoded::Null, out),
    }
}

fn separated<T>(values: impl IntoIterator<Item = T>, out: &mut Vec<u8>, write: impl Fn(T, &mut Vec<u8>)) {
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(value, out);
    }
}

#[cfg(test)]
mod tests;
