//! What the broker knows besides records (cluster id, topics, group offsets, producer ids, transactions), kept in one append-only log of
//! checksummed JSON lines. A line counts when it is whole, so each change happens entirely or not at all; opening writes the
//! log anew with what is left. Like the record logs it survives a killed process, not a power failure.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::group_offset::GroupOffset;
use super::transaction_state::{Step, TransactionState};

const FILE: &str = "meta.log";
/// A log that has grown by this much since it was last written anew is written anew.
const GROWTH_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MetaChange {
    Cluster {
        id: String,
    },
    TopicCreated {
        id: String,
        name: String,
        partitions: i32,
        config: BTreeMap<String, String>,
    },
    TopicDeleted {
        name: String,
    },
    PartitionsAdded {
        name: String,
        partitions: i32,
    },
    TopicConfig {
        name: String,
        config: BTreeMap<String, String>,
    },
    LogStart {
        name: String,
        partition: i32,
        offset: i64,
    },
    OffsetsCommitted {
        group: String,
        offsets: Vec<(String, i32, GroupOffset)>,
    },
    GroupDeleted {
        group: String,
    },
    /// Producer ids below this one may have been given out.
    ProducerIdsReserved {
        below: i64,
    },
    Transaction {
        id: String,
        step: Step,
    },
    TransactionalIdForgotten {
        id: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMeta {
    /// Names the topic's folder.
    pub id: String,
    pub partitions: i32,
    pub config: BTreeMap<String, String>,
    /// Start offsets that DeleteRecords set; segments only bound them from below.
    pub log_starts: BTreeMap<i32, i64>,
}

/// The sum of all changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Meta {
    pub cluster_id: String,
    pub topics: BTreeMap<String, TopicMeta>,
    pub group_offsets: BTreeMap<String, BTreeMap<(String, i32), GroupOffset>>,
    pub producer_ids_below: i64,
    /// By transactional id.
    pub transactions: BTreeMap<String, TransactionState>,
}

impl Meta {
    fn apply(&mut self, change: MetaChange) {
        match change {
            MetaChange::Cluster { id } => self.cluster_id = id,
            MetaChange::TopicCreated { id, name, partitions, config } => {
                self.topics.insert(name, TopicMeta { id, partitions, config, log_starts: BTreeMap::new() });
            }
            MetaChange::TopicDeleted { name } => {
                self.topics.remove(&name);
                for offsets in self.group_offsets.values_mut() {
                    offsets.retain(|(topic, _), _| *topic != name);
                }
                self.group_offsets.retain(|_, offsets| !offsets.is_empty());
                self.transactions.values_mut().for_each(|transaction| transaction.forget_topic(&name));
            }
            MetaChange::PartitionsAdded { name, partitions } => {
                if let Some(topic) = self.topics.get_mut(&name) {
                    topic.partitions = partitions;
                }
            }
            MetaChange::TopicConfig { name, config } => {
                if let Some(topic) = self.topics.get_mut(&name) {
                    topic.config = config;
                }
            }
            MetaChange::LogStart { name, partition, offset } => {
                if let Some(topic) = self.topics.get_mut(&name) {
                    topic.log_starts.insert(partition, offset);
                }
            }
            MetaChange::OffsetsCommitted { group, offsets } => {
                let committed = self.group_offsets.entry(group).or_default();
                for (topic, partition, offset) in offsets {
                    committed.insert((topic, partition), offset);
                }
            }
            MetaChange::GroupDeleted { group } => {
                self.group_offsets.remove(&group);
            }
            MetaChange::ProducerIdsReserved { below } => self.producer_ids_below = below,
            MetaChange::Transaction { id, step } => {
                let committed = self.transactions.entry(id).or_default().apply(step);
                for (group, offsets) in committed {
                    self.group_offsets.entry(group).or_default().extend(offsets);
                }
                self.group_offsets.retain(|_, offsets| !offsets.is_empty());
            }
            MetaChange::TransactionalIdForgotten { id } => {
                self.transactions.remove(&id);
            }
        }
    }

    /// The fewest changes that add up to this.
    fn changes(&self) -> Vec<MetaChange> {
        let mut changes = vec![
            MetaChange::Cluster { id: self.cluster_id.clone() },
            MetaChange::ProducerIdsReserved { below: self.producer_ids_below },
        ];
        for (name, topic) in &self.topics {
            changes.push(MetaChange::TopicCreated {
                id: topic.id.clone(),
                name: name.clone(),
                partitions: topic.partitions,
                config: topic.config.clone(),
            });
            for (&partition, &offset) in &topic.log_starts {
                changes.push(MetaChange::LogStart { name: name.clone(), partition, offset });
            }
        }
        for (group, offsets) in &self.group_offsets {
            let offsets =
                offsets.iter().map(|((topic, partition), offset)| (topic.clone(), *partition, offset.clone()));
            changes.push(MetaChange::OffsetsCommitted { group: group.clone(), offsets: offsets.collect() });
        }
        for (id, transaction) in &self.transactions {
            changes
                .extend(transaction.steps().into_iter().map(|step| MetaChange::Transaction { id: id.clone(), step }));
        }
        changes
    }
}

/// The state and its log on disk.
pub struct MetaStore {
    path: PathBuf,
    file: File,
    meta: Meta,
    /// Where the next line goes; anything behind it is the rest of a write that failed.
    bytes: u64,
    bytes_when_compacted: u64,
}

impl MetaStore {
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE);
        let mut meta = Meta::default();
        match fs::read(&path) {
            Ok(bytes) => read_changes(&bytes, |change| meta.apply(change))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if meta.cluster_id.is_empty() {
            meta.cluster_id = format!("embedded-{}", &Uuid::new_v4().simple().to_string()[..13]);
        }
        let (file, bytes) = write_anew(&path, &meta)?;
        Ok(Self { path, file, meta, bytes, bytes_when_compacted: bytes })
    }

    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Stores the change, then makes it visible.
    pub fn commit(&mut self, change: MetaChange) -> io::Result<()> {
        let line = encode(&change)?;
        if let Err(error) = self.file.write_all(&line) {
            // A part of the line may be there; it must not stand in front of the next one.
            self.file.set_len(self.bytes)?;
            return Err(error);
        }
        self.bytes += line.len() as u64;
        self.meta.apply(change);
        if self.bytes - self.bytes_when_compacted > GROWTH_BYTES_MAX {
            let (file, bytes) = write_anew(&self.path, &self.meta)?;
            self.file = file;
            self.bytes = bytes;
            self.bytes_when_compacted = bytes;
        }
        Ok(())
    }
}

fn encode(change: &MetaChange) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(change)?;
    Ok(format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes())).into_bytes())
}

fn decode(line: &[u8]) -> Option<MetaChange> {
    let line = std::str::from_utf8(line).ok()?;
    let (checksum, json) = line.split_once(' ')?;
    let right = u32::from_str_radix(checksum, 16).ok()? == crc32c::crc32c(json.as_bytes());
    right.then(|| serde_json::from_str(json).ok()).flatten()
}

/// Hands on every stored change. Only the last line can be torn by a kill: it never happened. A damaged line elsewhere is an error.
fn read_changes(bytes: &[u8], mut apply: impl FnMut(MetaChange)) -> io::Result<()> {
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        let Some(change) = decode(line) else {
            let at = bytes.len() - rest.len();
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{FILE} of the embedded broker is damaged at byte {at}"),
            ));
        };
        apply(change);
        rest = after;
    }
    Ok(())
}

/// Writes the whole log beside the old one and puts it in its place.
fn write_anew(path: &Path, meta: &Meta) -> io::Result<(File, u64)> {
    let mut bytes = Vec::new();
    for change in meta.changes() {
        bytes.extend_from_slice(&encode(&change)?);
    }
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok((OpenOptions::new().append(true).open(path)?, bytes.len() as u64))
}
