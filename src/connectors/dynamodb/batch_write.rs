//! BatchWriteItem whose body is written straight from rows. The SDK's way from typed requests builds a map of strings for each item,
//! copies it to be able to send it again and walks it for the JSON; here an item is its JSON from the beginning. All else of a call
//! is the SDK's: endpoint, credentials, signature, connection, answer.
//! The form is that of the API reference, "BatchWriteItem" and "AttributeValue".

use std::future::Future;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::batch_write_item::{BatchWriteItemError, BatchWriteItemOutput};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use super::item::value_bytes;

/// Writes one put or delete as it stands in a request.
pub struct WriteJson {
    json: Vec<u8>,
    is_first: bool,
    /// What DynamoDB counts.
    bytes: usize,
}

impl WriteJson {
    /// Puts the item whose attributes follow.
    pub fn put() -> Self {
        Self::begin(br#"{"PutRequest":{"Item":{"#)
    }

    /// Deletes the item whose key follows.
    pub fn delete() -> Self {
        Self::begin(br#"{"DeleteRequest":{"Key":{"#)
    }

    fn begin(head: &[u8]) -> Self {
        let mut json = Vec::with_capacity(512);
        json.extend_from_slice(head);
        Self { json, is_first: true, bytes: 0 }
    }

    /// Adds an attribute, whose name is not there yet.
    pub fn attribute(&mut self, name: &str, value: &AttributeValue) {
        if !std::mem::take(&mut self.is_first) {
            self.json.push(b',');
        }
        write_text(name, &mut self.json);
        self.json.push(b':');
        write_value(value, &mut self.json);
        self.bytes += name.len() + value_bytes(value);
    }

    /// The size of the item as DynamoDB counts it (within a few bytes).
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The whole write.
    pub fn finish(mut self) -> Bytes {
        self.json.extend_from_slice(b"}}}");
        // It may wait for long in a queue.
        self.json.shrink_to_fit();
        self.json.into()
    }
}

/// Sends writes to one table, once.
///
/// # Errors
/// As the SDK's.
pub fn send(
    client: &Client,
    table_name: &str,
    writes: &[Bytes],
) -> impl Future<Output = Result<BatchWriteItemOutput, SdkError<BatchWriteItemError, HttpResponse>>> + use<> {
    let body = body(table_name, writes);
    // The table's name decides on the endpoint; the list of writes is only in the body.
    let call = client.batch_write_item().request_items(table_name, Vec::new()).customize();
    call.mutate_request(move |request| {
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body.clone());
    })
    .send()
}

fn body(table_name: &str, writes: &[Bytes]) -> Bytes {
    let length = writes.iter().map(|write| write.len() + 1).sum::<usize>();
    let mut body = Vec::with_capacity(length + table_name.len() + 32);
    body.extend_from_slice(br#"{"RequestItems":{"#);
    write_text(table_name, &mut body);
    body.extend_from_slice(b":[");
    for (index, write) in writes.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(write);
    }
    body.extend_from_slice(b"]}}");
    body.into()
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing a string into a Vec cannot fail");
}

fn write_value(value: &AttributeValue, out: &mut Vec<u8>) {
    let mut typed = |name: &[u8], write: &dyn Fn(&mut Vec<u8>)| {
        out.extend_from_slice(b"{\"");
        out.extend_from_slice(name);
        out.extend_from_slice(b"\":");
        write(out);
        out.push(b'}');
    };
    let truth = |value: bool| if value { b"true".as_slice() } else { b"false" };
    match value {
        AttributeValue::S(text) => typed(b"S", &|out| write_text(text, out)),
        AttributeValue::N(text) => typed(b"N", &|out| write_text(text, out)),
        AttributeValue::B(blob) => typed(b"B", &|out| write_text(&BASE64.encode(blob), out)),
        AttributeValue::Bool(value) => typed(b"BOOL", &|out| out.extend_from_slice(truth(*value))),
        AttributeValue::Null(value) => typed(b"NULL", &|out| out.extend_from_slice(truth(*value))),
        AttributeValue::Ss(texts) => typed(b"SS", &|out| list(texts, out, |text, out| write_text(text, out))),
        AttributeValue::Ns(texts) => typed(b"NS", &|out| list(texts, out, |text, out| write_text(text, out))),
        AttributeValue::Bs(blobs) => {
            typed(b"BS", &|out| list(blobs, out, |blob, out| write_text(&BASE64.encode(blob), out)));
        }
        AttributeValue::L(values) => typed(b"L", &|out| list(values, out, write_value)),
        AttributeValue::M(map) => typed(b"M", &|out| {
            out.push(b'{');
            for (index, (name, value)) in map.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_text(name, out);
                out.push(b':');
                write_value(value, out);
            }
            out.push(b'}');
        }),
        // Rows give no other kind.
        _ => typed(b"NULL", &|out| out.extend_from_slice(b"true")),
    }
}

fn list<T>(values: &[T], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(value, out);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests;
