//! The memory of queries: a pool for each statement, which draws on its session's, and that one on the server's. Sorts, joins and aggregates ask it
//! before they grow; those that can go on with files on disk do so when it refuses, any other statement ends with 53200.

mod charged;
pub mod frugal;
mod projection;
mod rule;
mod slices;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManager, DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
pub use rule::BoundedValues;

use crate::error::Error;

/// Of the part of a statement's memory that one evaluation of its expressions may have beside it.
const VALUE_SHARE: usize = 4;

/// Sorts that go on with files merge what they have before they can write it. Those of one plan compete for what is left of its
/// memory, and one that got nothing would end the query: all together may have this part of the statement's memory beyond it.
const MERGE_SHARE: usize = 4;

/// The memory of all queries, and where they put what does not fit into it.
pub struct QueryMemory {
    server: Arc<ServerPool>,
    session_bytes: usize,
    disk: Arc<DiskManager>,
}

impl QueryMemory {
    /// So many bytes for all queries; files of what does not fit go below `folder`, else to the system's place for such files.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(bytes: usize, folder: Option<&Path>) -> Result<Self, Error> {
        let mode = match folder {
            Some(folder) => {
                // What a process that was killed left behind.
                let _ = std::fs::remove_dir_all(folder);
                std::fs::create_dir_all(folder)
                    .map_err(|error| Error::invalid(format!("cannot make {}: {error}", folder.display())))?;
                DiskManagerMode::Directories(vec![folder.to_owned()])
            }
            None => DiskManagerMode::OsTmpDirectory,
        };
        let disk = Arc::new(DiskManagerBuilder::default().with_mode(mode).build()?);
        Ok(Self { server: Arc::new(ServerPool::new(bytes)), session_bytes: bytes, disk })
    }

    /// Bounds what one session may have of it.
    #[must_use]
    pub fn with_session_bytes(mut self, bytes: usize) -> Self {
        self.session_bytes = bytes;
        self
    }

    /// What all statements of a session compute in, open cursors and portals among them.
    pub fn for_session(&self) -> SessionMemory {
        let pool = SessionPool { own: ServerPool::new(self.session_bytes), server: Arc::clone(&self.server) };
        SessionMemory { pool: Arc::new(pool), disk: Arc::clone(&self.disk) }
    }

    /// Bytes that all queries together may use.
    pub fn limit(&self) -> usize {
        self.server.bytes
    }

    /// Bytes that are in use.
    pub fn used(&self) -> usize {
        self.server.used.load(Ordering::Relaxed)
    }
}

/// The memory of one session.
pub struct SessionMemory {
    pool: Arc<SessionPool>,
    disk: Arc<DiskManager>,
}

impl SessionMemory {
    /// What a statement with so many bytes computes in.
    pub fn for_statement(&self, bytes: usize, base: &RuntimeEnv) -> Arc<RuntimeEnv> {
        let pool = StatementPool {
            operators: FairSpillPool::new(bytes),
            exchanged: AtomicUsize::new(0),
            bytes,
            session: Arc::clone(&self.pool),
        };
        Arc::new(RuntimeEnv { memory_pool: Arc::new(pool), disk_manager: Arc::clone(&self.disk), ..base.clone() })
    }

    /// Memory for something else than operators; `who` stands in the error: `a message`.
    ///
    /// # Errors
    /// 53200: the session or the server has no more.
    pub fn reserve(&self, who: &str, bytes: usize) -> Result<Reserved, Error> {
        self.pool.take(who, bytes).map_err(Error::from)?;
        Ok(Reserved { pool: Arc::clone(&self.pool), bytes })
    }
}

/// How much one evaluation may make, of a statement's memory.
pub fn value_limit(statement_bytes: usize) -> usize {
    statement_bytes / VALUE_SHARE
}

/// Memory that is given back when it is dropped.
pub struct Reserved {
    pool: Arc<SessionPool>,
    bytes: usize,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.pool.give(self.bytes);
    }
}

/// One session's part of the server's pool.
#[derive(Debug)]
struct SessionPool {
    own: ServerPool,
    server: Arc<ServerPool>,
}

impl SessionPool {
    fn take(&self, who: &str, bytes: usize) -> Result<()> {
        if !self.own.take(bytes) {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{who} needs {bytes} bytes more, and of the {} bytes that the server's session_memory gives one session {} are in use",
                self.own.bytes,
                self.own.used.load(Ordering::Relaxed)
            )));
        }
        if self.server.take(bytes) {
            return Ok(());
        }
        self.own.give(bytes);
        Err(self.server.exhausted(who, bytes))
    }

    /// Takes what cannot be refused.
    fn take_anyway(&self, bytes: usize) {
        self.own.used.fetch_add(bytes, Ordering::Relaxed);
        self.server.used.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give(&self, bytes: usize) {
        self.own.give(bytes);
        self.server.give(bytes);
    }
}

/// So many bytes, and how many are in use.
#[derive(Debug)]
struct ServerPool {
    bytes: usize,
    used: AtomicUsize,
}

impl ServerPool {
    fn new(bytes: usize) -> Self {
        Self { bytes, used: AtomicUsize::new(0) }
    }

    fn take(&self, bytes: usize) -> bool {
        let grown = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.bytes);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok()
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn exhausted(&self, who: &str, bytes: usize) -> DataFusionError {
        DataFusionError::ResourcesExhausted(format!(
            "{who} needs {bytes} bytes more, and all queries together have the {} bytes of the server's query_memory",
            self.bytes
        ))
    }
}

/// One statement's pool: operators that can spill share it evenly, and all of it counts for its session and the server, too.
#[derive(Debug)]
struct StatementPool {
    operators: FairSpillPool,
    /// Rows between the parts of a plan. They are on their way only, and bounded by what reads them; DataFusion would write them
    /// to files that their reader may wait for for ever, when the writer waits for the reader.
    exchanged: AtomicUsize,
    bytes: usize,
    session: Arc<SessionPool>,
}

fn is_exchange(consumer: &MemoryConsumer) -> bool {
    consumer.can_spill() && consumer.name().starts_with("RepartitionExec[")
}

fn is_merge(consumer: &MemoryConsumer) -> bool {
    consumer.name().starts_with("ExternalSorterMerge[")
}

impl fmt::Display for StatementPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query.memory.limit of {} bytes", self.bytes)
    }
}

impl MemoryPool for StatementPool {
    fn name(&self) -> &'static str {
        "statement"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        if !is_exchange(consumer) {
            self.operators.register(consumer);
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if !is_exchange(consumer) {
            self.operators.unregister(consumer);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        match is_exchange(reservation.consumer()) {
            true => drop(self.exchanged.fetch_add(additional, Ordering::Relaxed)),
            false => self.operators.grow(reservation, additional),
        }
        self.session.take_anyway(additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        match is_exchange(reservation.consumer()) {
            true => drop(self.exchanged.fetch_sub(shrink, Ordering::Relaxed)),
            false => self.operators.shrink(reservation, shrink),
        }
        self.session.give(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if is_exchange(reservation.consumer()) && self.exchanged.load(Ordering::Relaxed) <= self.bytes {
            self.grow(reservation, additional);
            return Ok(());
        }
        if is_exchange(reservation.consumer()) {
            return Err(self.session.server.exhausted("an exchange", additional));
        }
        if self.operators.try_grow(reservation, additional).is_err() {
            let with_merges = self.bytes.saturating_add(self.bytes / MERGE_SHARE);
            if !is_merge(reservation.consumer()) || self.operators.reserved() + additional > with_merges {
                // Callers tell this variant from others: whoever can spill does so then.
                return Err(DataFusionError::ResourcesExhausted(format!(
                    "{} needs {additional} bytes more and has {}, of the {} bytes of query.memory.limit {} are in use",
                    reservation.consumer().name(),
                    reservation.size(),
                    self.bytes,
                    self.operators.reserved(),
                )));
            }
            self.operators.grow(reservation, additional);
        }
        self.session
            .take(reservation.consumer().name(), additional)
            .inspect_err(|_| self.operators.shrink(reservation, additional))
    }

    fn reserved(&self) -> usize {
        self.operators.reserved() + self.exchanged.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes)
    }
}

#[cfg(test)]
mod tests;
