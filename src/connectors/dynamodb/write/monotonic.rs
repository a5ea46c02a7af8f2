//! `'sink.write-mode' = 'monotonic'`: a write that is older than what is stored does not replace it. Every item carries a
//! version (`_v`) and where it comes from (`_v_by`: job, base, epoch, writer, serial), and every write is conditional on them.
//!
//! The engine counts, for each key, the input rows folded into it. The version written is `base + count`. Almost always the
//! base is 0; it is more where the count began anew over an item that has a version already, and is then stored with it. A
//! write is tried with the base that is known (else 0); if the condition fails, DynamoDB gives the stored item back, and
//! [`judge`] says what it means:
//! - stored by another job: this job was created anew; it goes on from the stored version (base := stored version);
//! - stored by this job with another base: that base holds, provided that the write is newer under it;
//! - stored by this very write: it was applied, only its answer was lost;
//! - not older, written by this writer: whoever has the key's state counts higher than before, so the count began anew (its
//!   state expired): base := stored version;
//! - not older, written by this job before the checkpoint that it was restored from, and some time ago: likewise;
//! - not older, else: this is the replay of what was written then. It may not win, and the value for its position is there
//!   already or a newer one: done.
//!
//! The one thing to get wrong: neither clock nor owner may be in the version, or a replay would beat a newer value. And epochs
//! are counted again after a crash, so an epoch alone does not say that a write is part of a checkpoint: hence "some time ago".
//! docs/decisions/0011-monotonic-writes.md has the reasons and the limits.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use crate::connectors::dynamodb::client::{Failure, FailureKind, send_once};
use crate::connectors::dynamodb::key::Key;
use crate::connectors::dynamodb::own_attributes::origin_attribute;
use crate::connectors::dynamodb::remote_table::RemoteTable;
use crate::connectors::dynamodb::value::item::Item;
use crate::connectors::metrics::ConnectorMetrics;
use crate::error::{Error, Result};

/// Bases that are remembered; a forgotten one costs one more request.
const BASES_MAX: usize = 100_000;
/// How often one write is tried before others are let in front.
const TRIES_MAX: usize = 8;

/// A count lower than what this job has stored so long ago is taken for one that began anew; state must live longer than this.
const FORGOTTEN_AFTER_MS: i64 = 600_000;

/// Who writes.
#[derive(Debug, Clone)]
pub struct Lineage {
    /// Identity of the job.
    pub job: String,
    /// Identity of this writer: another one after each restart.
    pub writer: String,
    /// The first epoch that it writes: what earlier ones have written is in the state that the job was restored from.
    pub first_epoch: u64,
}

/// An item to be written, with its place in the input.
#[derive(Debug, Clone)]
pub struct VersionedItem {
    /// Without version and origin.
    pub item: Item,
    /// Input rows folded into the key.
    pub count: i64,
    /// The epoch that it belongs to.
    pub epoch: u64,
    /// Number of the write within its writer.
    pub serial: u64,
}

/// A stored item's version.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stored {
    version: i64,
    by: Option<Origin>,
}

/// Where a stored version comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    job: String,
    base: i64,
    epoch: u64,
    writer: String,
    serial: u64,
    at_ms: i64,
}

/// What a failed condition means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The item has this write or a newer one.
    Done,
    /// To be written over what is stored now, counting from this base.
    Again { base: i64 },
}

/// Judges a write, tried with `base`, by what was stored instead.
fn judge(lineage: &Lineage, write: &VersionedItem, stored: &Stored, now_ms: i64) -> Verdict {
    let Some(by) = stored.by.as_ref().filter(|by| by.job == lineage.job) else {
        return Verdict::Again { base: stored.version };
    };
    let is_own = by.writer == lineage.writer;
    if is_own && by.serial == write.serial {
        return Verdict::Done;
    }
    if by.base.saturating_add(write.count) > stored.version {
        return Verdict::Again { base: by.base };
    }
    let is_forgotten = by.epoch < lineage.first_epoch && now_ms.saturating_sub(by.at_ms) >= FORGOTTEN_AFTER_MS;
    if is_own || is_forgotten {
        return Verdict::Again { base: stored.version };
    }
    Verdict::Done
}

fn number(item: &Item, name: &str) -> Option<i64> {
    match item.get(name) {
        Some(AttributeValue::N(text)) => text.parse().ok(),
        _ => None,
    }
}

fn text(item: &Item, name: &str) -> Option<String> {
    match item.get(name) {
        Some(AttributeValue::S(text)) => Some(text.clone()),
        _ => None,
    }
}

/// `None` if the attribute is no version.
fn stored(item: &Item, version_attribute: &str) -> Option<Stored> {
    let version = number(item, version_attribute)?;
    let by = match item.get(&origin_attribute(version_attribute)) {
        Some(AttributeValue::M(by)) => (|| {
            Some(Origin {
                job: text(by, "job")?,
                base: number(by, "base")?,
                epoch: u64::try_from(number(by, "epoch")?).ok()?,
                writer: text(by, "writer")?,
                serial: u64::try_from(number(by, "serial")?).ok()?,
                at_ms: number(by, "at")?,
            })
        })(),
        _ => None,
    };
    Some(Stored { version, by })
}

/// The whole item with version and origin.
fn complete(lineage: &Lineage, write: &VersionedItem, base: i64, version_attribute: &str, now_ms: i64) -> Item {
    let number = |number: i128| AttributeValue::N(number.to_string());
    let by = HashMap::from([
        ("job".to_owned(), AttributeValue::S(lineage.job.clone())),
        ("base".to_owned(), number(base.into())),
        ("epoch".to_owned(), number(write.epoch.into())),
        ("writer".to_owned(), AttributeValue::S(lineage.writer.clone())),
        ("serial".to_owned(), number(write.serial.into())),
        ("at".to_owned(), number(now_ms.into())),
    ]);
    let mut item = write.item.clone();
    item.insert(version_attribute.to_owned(), number(base.saturating_add(write.count).into()));
    item.insert(origin_attribute(version_attribute), AttributeValue::M(by));
    item
}

/// The bases of keys that have one other than 0, as far as they are remembered.
#[derive(Debug, Default)]
pub struct Bases(HashMap<Key, i64>);

impl Bases {
    /// The base to try first.
    pub fn of(&self, key: &Key) -> i64 {
        self.0.get(key).copied().unwrap_or(0)
    }

    /// Notes the base under which a write went through.
    pub fn remember(&mut self, key: Key, base: i64) {
        if base == 0 {
            self.0.remove(&key);
        } else {
            if self.0.len() >= BASES_MAX {
                self.0.clear();
            }
            self.0.insert(key, base);
        }
    }
}

/// Sends versioned writes, one item a request.
#[derive(Clone)]
pub struct VersionedPut {
    /// The client.
    pub client: Client,
    /// The table.
    pub table: Arc<RemoteTable>,
    /// Attribute of the version.
    pub version_attribute: String,
    /// Who writes.
    pub lineage: Lineage,
}

enum Answer {
    Written,
    Refused(Item),
}

impl VersionedPut {
    /// Writes an item unless a newer one is there; gives the base that holds for its key.
    ///
    /// # Errors
    /// The failure, judged; the item may be written all the same.
    pub async fn send(&self, write: &VersionedItem, base: i64, metrics: &ConnectorMetrics) -> Result<i64, Failure> {
        let doing = self.table.doing("PutItem");
        let (mut base, mut seen): (i64, Option<i64>) = (base, None);
        for _ in 0..TRIES_MAX {
            let refused = match self.put(&doing, write, base, seen, metrics).await? {
                Answer::Written => return Ok(base),
                Answer::Refused(item) => item,
            };
            if refused.is_empty() {
                // It went away meanwhile.
                seen = None;
                continue;
            }
            let found = stored(&refused, &self.version_attribute).ok_or_else(|| Failure {
                kind: FailureKind::Final,
                code: String::new(),
                error: Error::invalid(format!(
                    "{doing}: attribute \"{}\" of a stored item is no version",
                    self.version_attribute
                ))
                .hint("Choose another attribute by 'sink.version-attribute'."),
            })?;
            match judge(&self.lineage, write, &found, self.table.now_ms()) {
                Verdict::Done => return Ok(base),
                Verdict::Again { base: found_base } => (base, seen) = (found_base, Some(found.version)),
            }
        }
        Err(Failure {
            kind: FailureKind::Transient,
            code: "ConditionalCheckFailedException".to_owned(),
            error: Error::unavailable(format!("{doing}: others keep writing the same item")),
        })
    }

    /// One request: over what was `seen`, else over anything older of the same base.
    async fn put(
        &self,
        doing: &str,
        write: &VersionedItem,
        base: i64,
        seen: Option<i64>,
        metrics: &ConnectorMetrics,
    ) -> Result<Answer, Failure> {
        let number = |number: i64| AttributeValue::N(number.to_string());
        let request = self
            .client
            .put_item()
            .table_name(self.table.table_name())
            .set_item(Some(complete(&self.lineage, write, base, &self.version_attribute, self.table.now_ms())))
            .expression_attribute_names("#v", &self.version_attribute)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let request = match seen {
            Some(seen) => request.condition_expression("#v = :seen").expression_attribute_values(":seen", number(seen)),
            None => request
                .condition_expression("attribute_not_exists(#v) OR (#by.#job = :job AND #by.#base = :base AND #v < :v)")
                .expression_attribute_names("#by", origin_attribute(&self.version_attribute))
                .expression_attribute_names("#job", "job")
                .expression_attribute_names("#base", "base")
                .expression_attribute_values(":job", AttributeValue::S(self.lineage.job.clone()))
                .expression_attribute_values(":base", number(base))
                .expression_attribute_values(":v", number(base.saturating_add(write.count))),
        };
        let sent = async {
            match request.send().await {
                Ok(_) => Ok(Answer::Written),
                Err(error) => match error.as_service_error() {
                    Some(aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(
                        refused,
                    )) => Ok(Answer::Refused(refused.item().cloned().unwrap_or_default())),
                    _ => Err(error),
                },
            }
        };
        send_once(doing, self.table.options.sink_read_timeout, Some(metrics), sent).await
    }
}

#[cfg(test)]
mod tests;
