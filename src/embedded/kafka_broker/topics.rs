//! The topics: names, settings and their partitions' logs, opened from and recorded in the meta log.
//! A topic's folder is named by its id, so that a topic deleted and made again never meets its old files.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard, RwLock};
use uuid::Uuid;

use super::configs;
use super::log::{LogSettings, PartitionLog};
use super::meta::{MetaChange, MetaStore};

pub const PARTITIONS_MAX: i32 = 1000;

/// A topic as of now; a change replaces it.
pub struct Topic {
    pub name: String,
    /// Another one for each topic that ever was: one that is deleted and made again under the same name has a new one.
    pub id: Uuid,
    pub config: BTreeMap<String, String>,
    pub settings: LogSettings,
    pub partitions: Vec<Arc<PartitionLog>>,
}

impl Topic {
    pub fn partition(&self, index: i32) -> Option<&Arc<PartitionLog>> {
        self.partitions.get(usize::try_from(index).ok()?)
    }
}

#[derive(Debug)]
pub enum TopicError {
    InvalidName,
    Exists,
    Unknown,
    InvalidPartitions(String),
    InvalidConfig(String),
    Storage(io::Error),
}

impl From<io::Error> for TopicError {
    fn from(error: io::Error) -> Self {
        Self::Storage(error)
    }
}

pub struct Topics {
    folder: PathBuf,
    /// Taken before `open` by whoever changes topics.
    meta: Mutex<MetaStore>,
    open: RwLock<BTreeMap<String, Arc<Topic>>>,
}

impl Topics {
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join("topics");
        fs::create_dir_all(&folder)?;
        let store = MetaStore::open(data_dir)?;
        let mut open = BTreeMap::new();
        for (name, meta) in &store.meta().topics {
            let mut partitions = Vec::new();
            for index in 0..meta.partitions {
                let log_start = meta.log_starts.get(&index).copied().unwrap_or(0);
                partitions.push(Arc::new(PartitionLog::open(&partition_folder(&folder, &meta.id, index), log_start)?));
            }
            let settings =
                configs::settings(&meta.config).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let id = Uuid::parse_str(&meta.id).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let topic = Topic { name: name.clone(), id, config: meta.config.clone(), settings, partitions };
            open.insert(name.clone(), Arc::new(topic));
        }
        // Folders of topics that were deleted, or never came to be, when the process ended.
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let id = entry.file_name();
            if store.meta().topics.values().all(|topic| *topic.id != *id) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(Self { folder, meta: Mutex::new(store), open: RwLock::new(open) })
    }

    pub fn meta(&self) -> MutexGuard<'_, MetaStore> {
        self.meta.lock()
    }

    pub fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.open.read().get(name).cloned()
    }

    pub fn by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.open.read().values().find(|topic| topic.id == id).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Topic>> {
        self.open.read().values().cloned().collect()
    }

    pub fn create(
        &self,
        name: &str,
        partitions: i32,
        config: BTreeMap<String, String>,
        only_check: bool,
    ) -> Result<Arc<Topic>, TopicError> {
        if !is_valid_name(name) {
            return Err(TopicError::InvalidName);
        }
        check_partitions(partitions)?;
        let settings = configs::settings(&config).map_err(TopicError::InvalidConfig)?;
        let mut meta = self.meta.lock();
        if self.open.read().contains_key(name) {
            return Err(TopicError::Exists);
        }
        let topic_id = Uuid::new_v4();
        let id = topic_id.to_string();
        let mut topic =
            Topic { name: name.to_owned(), id: topic_id, config: config.clone(), settings, partitions: Vec::new() };
        if only_check {
            return Ok(Arc::new(topic));
        }
        for index in 0..partitions {
            topic.partitions.push(Arc::new(PartitionLog::open(&partition_folder(&self.folder, &id, index), 0)?));
        }
        meta.commit(MetaChange::TopicCreated { id, name: name.to_owned(), partitions, config })?;
        let topic = Arc::new(topic);
        self.open.write().insert(name.to_owned(), topic.clone());
        Ok(topic)
    }

    pub fn delete(&self, name: &str) -> Result<(), TopicError> {
        let mut meta = self.meta.lock();
        let id = meta.meta().topics.get(name).ok_or(TopicError::Unknown)?.id.clone();
        meta.commit(MetaChange::TopicDeleted { name: name.to_owned() })?;
        let topic = self.open.write().remove(name);
        for partition in topic.iter().flat_map(|topic| &topic.partitions) {
            partition.mark_deleted();
        }
        // The topic is gone already; what cannot be removed now is removed at the next start.
        if let Err(error) = fs::remove_dir_all(self.folder.join(id)) {
            tracing::warn!(topic = name, %error, "files of a deleted topic are left");
        }
        Ok(())
    }

    pub fn add_partitions(&self, name: &str, partitions: i32, only_check: bool) -> Result<(), TopicError> {
        let mut meta = self.meta.lock();
        let known = meta.meta().topics.get(name).ok_or(TopicError::Unknown)?;
        if partitions <= known.partitions {
            let text = format!("topic has {} partitions, which cannot become {partitions}", known.partitions);
            return Err(TopicError::InvalidPartitions(text));
        }
        check_partitions(partitions)?;
        if only_check {
            return Ok(());
        }
        let (id, first) = (known.id.clone(), known.partitions);
        self.replace(name, |topic| {
            for index in first..partitions {
                topic.partitions.push(Arc::new(PartitionLog::open(&partition_folder(&self.folder, &id, index), 0)?));
            }
            Ok(meta.commit(MetaChange::PartitionsAdded { name: name.to_owned(), partitions })?)
        })
    }

    /// Changes a topic's own settings; the others keep their defaults.
    pub fn configure(
        &self,
        name: &str,
        only_check: bool,
        change: impl FnOnce(&mut BTreeMap<String, String>),
    ) -> Result<(), TopicError> {
        let mut meta = self.meta.lock();
        let mut config = meta.meta().topics.get(name).ok_or(TopicError::Unknown)?.config.clone();
        change(&mut config);
        let settings = configs::settings(&config).map_err(TopicError::InvalidConfig)?;
        if only_check {
            return Ok(());
        }
        self.replace(name, |topic| {
            topic.config.clone_from(&config);
            topic.settings = settings;
            Ok(meta.commit(MetaChange::TopicConfig { name: name.to_owned(), config })?)
        })
    }

    /// Deletes the records before `offset`; returns where the log starts now, `None` when the offset is out of range.
    pub fn delete_records(&self, name: &str, index: i32, offset: i64) -> Result<Option<i64>, TopicError> {
        let mut meta = self.meta.lock();
        let topic = self.get(name).ok_or(TopicError::Unknown)?;
        let partition = topic.partition(index).ok_or(TopicError::Unknown)?;
        let Some(start) = partition.start_after_deleting(offset) else {
            return Ok(None);
        };
        meta.commit(MetaChange::LogStart { name: name.to_owned(), partition: index, offset: start })?;
        partition.delete_before(start)?;
        Ok(Some(start))
    }

    fn replace(&self, name: &str, change: impl FnOnce(&mut Topic) -> Result<(), TopicError>) -> Result<(), TopicError> {
        let old = self.get(name).ok_or(TopicError::Unknown)?;
        let mut topic = Topic {
            name: old.name.clone(),
            id: old.id,
            config: old.config.clone(),
            settings: old.settings.clone(),
            partitions: old.partitions.clone(),
        };
        change(&mut topic)?;
        self.open.write().insert(name.to_owned(), Arc::new(topic));
        Ok(())
    }
}

fn partition_folder(topics: &Path, id: &str, index: i32) -> PathBuf {
    topics.join(id).join(index.to_string())
}

fn check_partitions(partitions: i32) -> Result<(), TopicError> {
    if (1..=PARTITIONS_MAX).contains(&partitions) {
        return Ok(());
    }
    Err(TopicError::InvalidPartitions(format!("a topic of the embedded broker has 1 to {PARTITIONS_MAX} partitions")))
}

pub fn is_valid_name(name: &str) -> bool {
    (1..=249).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}
