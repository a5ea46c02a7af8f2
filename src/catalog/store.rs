//! The catalog's state and its one durable file: every commit is all or nothing under kill -9.
//!
//! A commit writes the secrets it refers to, then a new catalog file beside the old one, then renames. A crash in between
//! leaves the old catalog and perhaps secrets that nothing refers to; these are swept when the catalog is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::database::{DatabaseEntry, SchemaEntry};
use super::directory::{Directory, Marker};
use super::secrets::Secrets;
use super::{FunctionEntry, JobEntry, TableEntry, ViewEntry};
use crate::connectors::SkippedRecords;
use crate::error::{Error, Result};
use crate::options::OptionValue;

const FILE: &str = "catalog.json";
const FORMAT: &str = "streamgate-catalog";
const VERSION: u32 = 1;
/// Objects of users begin here; lower ones belong to the emulated system relations.
const FIRST_OID: u32 = 16_384;
/// The database that is always there.
pub const DEFAULT_DATABASE: &str = "streamgate";
/// The schema that is always there.
pub const DEFAULT_SCHEMA: &str = "public";

/// Everything the catalog holds, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Databases by name; `streamgate` with schema `public` is always there.
    pub databases: BTreeMap<String, DatabaseEntry>,
    /// Jobs by name.
    pub jobs: BTreeMap<String, JobEntry>,
    /// Dropped jobs, by id, of which something may be left outside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped_jobs: BTreeMap<String, JobEntry>,
    /// The next oid to give.
    pub next_oid: u32,
}

/// One change; a list of them is committed all or not at all. Names are (database, schema, object).
/// Object ids are given when the change is applied, whatever the entry says.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Adds a schema; refused if it exists.
    CreateSchema { database: String, schema: String, comment: Option<String> },
    /// Removes a schema; refused if it is not empty, unless `cascade`.
    DropSchema { database: String, schema: String, cascade: bool },
    /// Adds a table; refused if a table or view has the name.
    CreateTable { database: String, schema: String, name: String, entry: Box<TableEntry> },
    /// Removes a table.
    DropTable { database: String, schema: String, name: String },
    /// Adds a view, or replaces one.
    CreateView { database: String, schema: String, name: String, entry: Box<ViewEntry>, replace: bool },
    /// Removes a view.
    DropView { database: String, schema: String, name: String },
    /// Adds a function, or replaces one.
    CreateFunction { database: String, schema: String, name: String, entry: Box<FunctionEntry>, replace: bool },
    /// Removes a function.
    DropFunction { database: String, schema: String, name: String },
    /// Adds a job; refused if the name is taken.
    CreateJob { entry: Box<JobEntry> },
    /// Changes what is wanted of a job.
    SetJobState { name: String, desired: super::DesiredState },
    /// A job goes over records from its next start on.
    SkipRecords { name: String, records: Vec<SkippedRecords> },
    /// Removes a job; what it leaves outside is still to be removed.
    DropJob { name: String },
    /// Nothing is left of a dropped job.
    ForgetJob { id: String },
}

impl Change {
    /// Whether the change concerns jobs.
    pub fn is_about_jobs(&self) -> bool {
        matches!(
            self,
            Change::CreateJob { .. } | Change::SetJobState { .. } | Change::SkipRecords { .. } | Change::DropJob { .. }
        )
    }
}

impl fmt::Display for Change {
    /// The statement that makes it, without what an object consists of: options may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::CreateSchema { database, schema, .. } => write!(f, "CREATE SCHEMA {database}.{schema}"),
            Change::DropSchema { database, schema, .. } => write!(f, "DROP SCHEMA {database}.{schema}"),
            Change::CreateTable { database, schema, name, .. } => write!(f, "CREATE TABLE {database}.{schema}.{name}"),
            Change::DropTable { database, schema, name } => write!(f, "DROP TABLE {database}.{schema}.{name}"),
            Change::CreateView { database, schema, name, .. } => write!(f, "CREATE VIEW {database}.{schema}.{name}"),
            Change::DropView { database, schema, name } => write!(f, "DROP VIEW {database}.{schema}.{name}"),
            Change::CreateFunction { database, schema, name, .. } => {
                write!(f, "CREATE FUNCTION {database}.{schema}.{name}")
            }
            Change::DropFunction { database, schema, name } => write!(f, "DROP FUNCTION {database}.{schema}.{name}"),
            Change::CreateJob { entry } => write!(f, "CREATE JOB {}", entry.name),
            Change::SetJobState { name, desired } => write!(f, "job {name} is to be {desired:?}"),
            Change::SkipRecords { name, .. } => write!(f, "job {name} is to go over records"),
            Change::DropJob { name } => write!(f, "DROP JOB {name}"),
            Change::ForgetJob { id } => write!(f, "nothing is left of dropped job {id}"),
        }
    }
}

impl Snapshot {
    /// What a new server has.
    pub fn initial() -> Self {
        let schemas = BTreeMap::from([(DEFAULT_SCHEMA.to_owned(), SchemaEntry::default())]);
        Self {
            databases: BTreeMap::from([(DEFAULT_DATABASE.to_owned(), DatabaseEntry { schemas })]),
            jobs: BTreeMap::new(),
            dropped_jobs: BTreeMap::new(),
            next_oid: FIRST_OID,
        }
    }

    /// A schema.
    pub fn schema(&self, database: &str, schema: &str) -> Option<&SchemaEntry> {
        self.databases.get(database)?.schemas.get(schema)
    }

    fn schema_mut(&mut self, database: &str, schema: &str) -> Result<&mut SchemaEntry> {
        self.databases
            .get_mut(database)
            .ok_or_else(|| Error::not_found(format!("database \"{database}\" does not exist")).code("3D000"))?
            .schemas
            .get_mut(schema)
            .ok_or_else(|| Error::not_found(format!("schema \"{schema}\" does not exist")).code("3F000"))
    }

    fn job_mut(&mut self, name: &str) -> Result<&mut JobEntry> {
        self.jobs.get_mut(name).ok_or_else(|| Error::not_found(format!("job \"{name}\" does not exist")))
    }

    fn give_oid(&mut self) -> u32 {
        self.next_oid = self.next_oid.max(FIRST_OID) + 1;
        self.next_oid - 1
    }

    /// Applies one change.
    ///
    /// # Errors
    /// It does not fit.
    pub fn apply(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::CreateSchema { database, schema, comment } => {
                let entry = self
                    .databases
                    .get_mut(database)
                    .ok_or_else(|| Error::not_found(format!("database \"{database}\" does not exist")).code("3D000"))?;
                if entry.schemas.contains_key(schema) {
                    return Err(Error::invalid(format!("schema \"{schema}\" already exists")).code("42P06"));
                }
                let new = SchemaEntry { comment: comment.clone(), ..SchemaEntry::default() };
                entry.schemas.insert(schema.clone(), new);
            }
            Change::DropSchema { database, schema, cascade } => {
                let entry = self.schema_mut(database, schema)?;
                let is_empty = entry.tables.is_empty() && entry.views.is_empty() && entry.functions.is_empty();
                if !is_empty && !cascade {
                    return Err(Error::invalid(format!(
                        "cannot drop schema {schema} because other objects depend on it"
                    ))
                    .code("2BP01")
                    .hint("Use DROP … CASCADE to drop them too."));
                }
                if let Some(database) = self.databases.get_mut(database) {
                    database.schemas.remove(schema);
                }
            }
            Change::CreateTable { database, schema, name, entry } => {
                self.refuse_taken_relation(database, schema, name)?;
                let mut entry = entry.as_ref().clone();
                entry.oid = self.give_oid();
                self.schema_mut(database, schema)?.tables.insert(name.clone(), entry);
            }
            Change::DropTable { database, schema, name } => {
                if self.schema_mut(database, schema)?.tables.remove(name).is_none() {
                    return Err(Error::not_found(format!("table \"{name}\" does not exist")).code("42P01"));
                }
            }
            Change::CreateView { database, schema, name, entry, replace } => {
                let old = self.schema_mut(database, schema)?.views.get(name).map(|view| view.oid);
                if !(*replace && old.is_some()) {
                    self.refuse_taken_relation(database, schema, name)?;
                }
                let mut entry = entry.as_ref().clone();
                entry.oid = old.unwrap_or_else(|| self.give_oid());
                self.schema_mut(database, schema)?.views.insert(name.clone(), entry);
            }
            Change::DropView { database, schema, name } => {
                if self.schema_mut(database, schema)?.views.remove(name).is_none() {
                    return Err(Error::not_found(format!("view \"{name}\" does not exist")).code("42P01"));
                }
            }
            Change::CreateFunction { database, schema, name, entry, replace } => {
                let old = self.schema_mut(database, schema)?.functions.get(name).map(|function| function.oid);
                if old.is_some() && !replace {
                    return Err(Error::invalid(format!("function \"{name}\" already exists")).code("42723"));
                }
                let mut entry = entry.as_ref().clone();
                entry.oid = old.unwrap_or_else(|| self.give_oid());
                self.schema_mut(database, schema)?.functions.insert(name.clone(), entry);
            }
            Change::DropFunction { database, schema, name } => {
                if self.schema_mut(database, schema)?.functions.remove(name).is_none() {
                    return Err(Error::not_found(format!("function {name} does not exist")).code("42883"));
                }
            }
            Change::CreateJob { entry } => {
                if self.jobs.contains_key(&entry.name) {
                    return Err(Error::invalid(format!("job \"{}\" already exists", entry.name)).code("42710"));
                }
                self.jobs.insert(entry.name.clone(), entry.as_ref().clone());
            }
            Change::SetJobState { name, desired } => self.job_mut(name)?.desired = *desired,
            Change::SkipRecords { name, records } => {
                let skips = &mut self.job_mut(name)?.skips;
                records.iter().cloned().for_each(|records| records.add(skips));
            }
            Change::DropJob { name } => {
                let missing = || Error::not_found(format!("job \"{name}\" does not exist"));
                let job = self.jobs.remove(name).ok_or_else(missing)?;
                self.dropped_jobs.insert(job.id.clone(), job);
            }
            Change::ForgetJob { id } => {
                self.dropped_jobs.remove(id);
            }
        }
        Ok(())
    }

    fn refuse_taken_relation(&mut self, database: &str, schema: &str, name: &str) -> Result<()> {
        let entry = self.schema_mut(database, schema)?;
        if entry.tables.contains_key(name) || entry.views.contains_key(name) {
            return Err(Error::invalid(format!("relation \"{name}\" already exists")).code("42P07"));
        }
        Ok(())
    }
}

/// The catalog. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Catalog {
    state: Arc<RwLock<Arc<Snapshot>>>,
    secrets: Arc<RwLock<Secrets>>,
    /// Held while a commit is written: one commit at a time.
    writer: Arc<Mutex<Writer>>,
    directory: Arc<Directory>,
    marker: Arc<Mutex<Marker>>,
}

struct Writer {
    path: PathBuf,
}

impl Catalog {
    /// Opens (or makes) the catalog in a directory.
    ///
    /// # Errors
    /// The file cannot be read or is gone (`Corrupt`: nothing is overwritten), cannot be written, or another server has it open.
    pub fn open(directory: &Path) -> Result<Self> {
        let taken = Directory::take(directory)?;
        let path = directory.join(FILE);
        let snapshot: Option<Snapshot> = read_checked(&path, FORMAT)?;
        taken.marker(snapshot.is_some())?;
        let mut secrets = Secrets::open(directory)?;
        let snapshot = match snapshot {
            Some(snapshot) => {
                // Earlier versions left it readable for everybody.
                let only_ours = fs::Permissions::from_mode(0o600);
                fs::set_permissions(&path, only_ours)
                    .map_err(|error| Error::invalid(format!("file {}: {error}", path.display())))?;
                let text = serde_json::to_string(&snapshot).map_err(unserializable)?;
                // References are UUIDs, so that finding one anywhere (a table, a job's dataflow) means that it is used.
                secrets.sweep(&|reference| text.contains(reference))?;
                snapshot
            }
            None => {
                let snapshot = Snapshot::initial();
                write_checked(&path, FORMAT, &snapshot)?;
                snapshot
            }
        };
        let marker = taken.marker(true)?;
        Ok(Self {
            state: Arc::new(RwLock::new(Arc::new(snapshot))),
            secrets: Arc::new(RwLock::new(secrets)),
            writer: Arc::new(Mutex::new(Writer { path })),
            directory: Arc::new(taken),
            marker: Arc::new(Mutex::new(marker)),
        })
    }

    /// What names this gateway.
    pub fn marker(&self) -> Marker {
        self.marker.lock().clone()
    }

    /// Whether the directory is a copy of one that another gateway may be using. Blocking.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn is_copy(&self) -> Result<bool> {
        self.directory.is_copy(&self.marker())
    }

    /// Makes a copy the directory of a gateway of its own. Blocking.
    ///
    /// # Errors
    /// That cannot be noted there.
    pub fn adopt(&self) -> Result<()> {
        *self.marker.lock() = self.directory.adopt()?;
        Ok(())
    }

    /// Whether the directory is still the one that was opened. Blocking.
    ///
    /// # Errors
    /// It was removed or replaced (`Corrupt`).
    pub fn check_directory(&self) -> Result<()> {
        self.directory.check()
    }

    /// What it holds now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.state.read().clone()
    }

    /// Applies changes, durable when it returns. Blocking (fsync): call it off the async runtime.
    ///
    /// # Errors
    /// A change that does not fit; then none is applied.
    pub fn commit(&self, changes: &[Change]) -> Result<Arc<Snapshot>> {
        let writer = self.writer.lock();
        self.directory.check()?;
        let mut next = self.snapshot().as_ref().clone();
        for change in changes {
            next.apply(change)?;
        }
        let jobs: Vec<&JobEntry> = changes
            .iter()
            .filter_map(|change| match change {
                Change::CreateJob { entry } => Some(entry.as_ref()),
                _ => None,
            })
            .collect();
        {
            let mut secrets = self.secrets.write();
            // A job over a temporary table outlives it, and so must its secrets.
            let mut used = references(changes);
            if !jobs.is_empty() {
                let text = serde_json::to_string(&jobs).map_err(unserializable)?;
                used.extend(secrets.staged().filter(|reference| text.contains(*reference)).map(str::to_owned));
            }
            secrets.keep(&used)?;
            for reference in references(changes) {
                secrets.unstage(&reference);
            }
        }
        write_checked(&writer.path, FORMAT, &next)?;
        let next = Arc::new(next);
        *self.state.write() = next.clone();
        if changes.iter().any(|change| {
            matches!(change, Change::DropTable { .. } | Change::DropSchema { .. } | Change::ForgetJob { .. })
        }) {
            let text = serde_json::to_string(next.as_ref()).map_err(unserializable)?;
            // The commit is decided; a secret that stays behind is swept at the next start.
            if let Err(error) = self.secrets.write().sweep(&|reference| text.contains(reference)) {
                tracing::warn!(%error, "secrets that nothing refers to are still stored");
            }
        }
        Ok(next)
    }

    /// Takes a secret and gives its reference; it becomes durable with the commit of the change that refers to it.
    ///
    /// # Errors
    /// It cannot be encrypted.
    pub fn stage_secret(&self, plain: &str) -> Result<String> {
        self.secrets.write().stage(plain)
    }

    /// Forgets the staged secrets of changes that will not be committed.
    pub fn discard(&self, changes: &[Change]) {
        let mut secrets = self.secrets.write();
        for reference in references(changes) {
            secrets.unstage(&reference);
        }
    }

    /// Forgets staged secrets by reference.
    pub fn discard_secrets(&self, references: &[String]) {
        let mut secrets = self.secrets.write();
        for reference in references {
            secrets.unstage(reference);
        }
    }

    /// Plain text of a secret that a declaration refers to.
    ///
    /// # Errors
    /// There is no such secret, or it cannot be decrypted.
    pub fn secret(&self, reference: &str) -> Result<String> {
        self.secrets.read().reveal(reference)
    }
}

fn references(changes: &[Change]) -> BTreeSet<String> {
    changes
        .iter()
        .filter_map(|change| match change {
            Change::CreateTable { entry, .. } => Some(entry.declaration.options.values()),
            _ => None,
        })
        .flatten()
        .filter_map(|value| match value {
            OptionValue::Secret(reference) => Some(reference.clone()),
            OptionValue::Plain(_) => None,
        })
        .collect()
}

/// The outside of a durable file: what it is, and a checksum over the content's very bytes.
#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    format: String,
    version: u32,
    checksum: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// Reads a file that [`write_checked`] wrote; `None` if there is none.
///
/// # Errors
/// It is of another kind or version, torn or altered (`Corrupt`; the file stays as it is).
pub(super) fn read_checked<T: DeserializeOwned>(path: &Path, format: &str) -> Result<Option<T>> {
    let corrupt = |what: String| {
        Error::corrupt(format!("file {} cannot be used: {what}", path.display()))
            .hint("It was left as it is. Restore it from a backup, or move it away to start afresh.")
    };
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|error| corrupt(error.to_string()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(corrupt(error.to_string())),
    };
    let envelope: Envelope = serde_json::from_str(&text).map_err(|error| corrupt(error.to_string()))?;
    if envelope.format != format || envelope.version != VERSION {
        return Err(corrupt(format!("it is {} version {}", envelope.format, envelope.version)));
    }
    if envelope.checksum != checksum(envelope.content.get()) {
        return Err(corrupt("its checksum does not match its content".to_owned()));
    }
    serde_json::from_str(envelope.content.get()).map(Some).map_err(|error| corrupt(error.to_string()))
}

/// Replaces a file as a whole: beside it, flushed, renamed, the directory flushed.
///
/// # Errors
/// The disk refuses.
pub(super) fn write_checked<T: Serialize>(path: &Path, format: &str, content: &T) -> Result<()> {
    let content = serde_json::value::to_raw_value(content).map_err(unserializable)?;
    let envelope =
        Envelope { format: format.to_owned(), version: VERSION, checksum: checksum(content.get()), content: &content };
    let text = serde_json::to_string(&envelope).map_err(unserializable)?;
    let failed = |error: std::io::Error| Error::unavailable(format!("file {}: {error}", path.display()));
    let temporary = path.with_extension("json.new");
    // Declarations are nobody else's business. One that a crash left behind may be open to all.
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(failed)?;
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)?;
    if let Some(directory) = path.parent() {
        fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    }
    Ok(())
}

fn checksum(text: &str) -> String {
    format!("{:08x}", crc32c::crc32c(text.as_bytes()))
}

fn unserializable(error: serde_json::Error) -> Error {
    Error::internal(format!("the catalog cannot be serialised: {error}"))
}

#[cfg(test)]
mod tests;
