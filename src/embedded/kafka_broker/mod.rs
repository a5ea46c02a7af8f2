//! A single-node broker that Kafka clients take for one: librdkafka, the Java client, kcat. Loopback only, no logins, no replication
//! (what is not in `protocol`'s table is not advertised). Data stay in its folder and survive a killed process.
//!
//! ```text
//! connection (one thread each) → protocol (which message, which version) → topic_, record_, group_, transaction_requests
//!     topics → log (segments) ← batch, producers, partition_transactions        groups (memory)        meta (its own log)
//!                 ↑ markers ← transactions (decides by transaction_state, whose steps are in meta)
//! ```

mod batch;
mod call;
mod configs;
mod connection;
mod group_offset;
mod group_requests;
mod groups;
mod log;
mod membership;
mod meta;
mod partition_transactions;
mod producers;
mod protocol;
mod record_requests;
mod shape;
mod topic_requests;
mod topics;
mod transaction_requests;
mod transaction_state;
mod transactions;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};

use groups::Groups;
use meta::MetaChange;
use topics::Topics;
use transactions::Transactions;

/// The only node.
const NODE_ID: i32 = 1;
const PRODUCER_IDS_RESERVED: i64 = 1000;
/// How often transactions are looked for that are open for too long.
const TRANSACTION_CHECK_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct KafkaBrokerOptions {
    /// Made when it is not there; only one broker at a time can have it.
    pub data_dir: PathBuf,
    /// 0 takes a free one.
    pub port: u16,
    /// How many ports after it are tried when it is taken.
    pub more_ports: u16,
    /// Partitions of topics that come to be by being used, or are created without a number.
    pub default_partitions: i32,
    /// Whether using a topic creates it.
    pub auto_create_topics: bool,
    /// Further clients are turned away.
    pub connections_max: usize,
    /// How often old segments are looked for.
    pub retention_check_interval: Duration,
}

impl KafkaBrokerOptions {
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            port: 0,
            more_ports: 0,
            default_partitions: 4,
            auto_create_topics: true,
            connections_max: 512,
            retention_check_interval: Duration::from_secs(60),
        }
    }
}

/// A running broker; dropping it stops it.
pub struct KafkaBroker {
    broker: Arc<Broker>,
    threads: Vec<JoinHandle<()>>,
}

/// What the connections share.
struct Broker {
    address: SocketAddr,
    options: KafkaBrokerOptions,
    cluster_id: String,
    topics: Topics,
    groups: Groups,
    transactions: Transactions,
    producer_ids: Mutex<Range<i64>>,
    connections: Mutex<Connections>,
    connection_closed: Condvar,
    stopping: AtomicBool,
    housekeeping: (Mutex<()>, Condvar),
    /// Held as long as the broker uses its folder.
    lock: File,
}

#[derive(Default)]
struct Connections {
    next_id: u64,
    open: HashMap<u64, TcpStream>,
}

impl KafkaBroker {
    /// Opens the data and listens. Blocks while the logs are read.
    pub fn start(options: KafkaBrokerOptions) -> io::Result<Self> {
        fs::create_dir_all(&options.data_dir)?;
        let lock = File::create(options.data_dir.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("another broker uses {}", options.data_dir.display()),
            ),
            TryLockError::Error(error) => error,
        })?;
        let topics = Topics::open(&options.data_dir)?;
        let transactions = Transactions::open(&topics, wall_clock_ms())?;
        let cluster_id = topics.meta().meta().cluster_id.clone();
        let next_producer_id = topics.meta().meta().producer_ids_below;
        let listener = super::first_free(options.port, options.more_ports)?;
        let broker = Arc::new(Broker {
            address: listener.local_addr()?,
            options,
            cluster_id,
            topics,
            groups: Groups::default(),
            transactions,
            producer_ids: Mutex::new(next_producer_id..next_producer_id),
            connections: Mutex::default(),
            connection_closed: Condvar::new(),
            stopping: AtomicBool::new(false),
            housekeeping: Default::default(),
            lock,
        });
        let mut started = Self { broker: broker.clone(), threads: Vec::new() };
        started.threads.push(spawn("kafka-housekeeping", {
            let broker = broker.clone();
            move || broker.keep_house()
        })?);
        started.threads.push(spawn("kafka-accept", move || broker.accept(&listener))?);
        tracing::info!(address = %started.address(), "embedded Kafka broker started: for development, not for production");
        Ok(started)
    }

    /// Where clients connect: a loopback address.
    pub fn address(&self) -> SocketAddr {
        self.broker.address
    }

    /// Ends all connections and gives the data folder back.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        let broker = &self.broker;
        broker.stopping.store(true, Ordering::SeqCst);
        {
            let _guard = broker.housekeeping.0.lock();
            broker.housekeeping.1.notify_all();
        }
        // The listener wakes up for a connection only; that one may fail when the listener has ended by itself.
        drop(TcpStream::connect(broker.address));
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the embedded broker had panicked");
            }
        }
        let mut connections = broker.connections.lock();
        while !connections.open.is_empty() {
            for stream in connections.open.values() {
                // Fails when the client was faster.
                stream.shutdown(Shutdown::Both).ok();
            }
            broker.groups.stop();
            for topic in broker.topics.all() {
                topic.partitions.iter().for_each(|partition| partition.wake_waiters());
            }
            // A connection may have begun to wait just behind this call: then once more.
            broker.connection_closed.wait_for(&mut connections, Duration::from_millis(50));
        }
        // Not left to the drop: a connection's thread may hold the broker for a moment longer, a forked process its open files.
        if let Err(error) = broker.lock.unlock() {
            tracing::warn!(%error, "the folder of the embedded broker stays locked until the process ends");
        }
    }
}

impl Drop for KafkaBroker {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Broker {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.is_stopping() {
                return;
            }
            match stream.and_then(|stream| self.serve(stream)) {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "embedded broker could not take a connection");
                    // Out of file descriptors, say: the next attempt would fail at once too.
                    self.wait_for_stop(Duration::from_millis(100));
                }
            }
        }
    }

    fn serve(self: &Arc<Self>, stream: TcpStream) -> io::Result<()> {
        let mut connections = self.connections.lock();
        if connections.open.len() >= self.options.connections_max {
            tracing::warn!(connections = connections.open.len(), "embedded broker turned a connection away");
            return Ok(());
        }
        stream.set_nodelay(true)?;
        let id = connections.next_id;
        connections.next_id += 1;
        connections.open.insert(id, stream.try_clone()?);
        let open = OpenConnection { broker: self.clone(), id };
        drop(connections);
        spawn("kafka-connection", move || {
            if let Err(error) = connection::serve(&open.broker, &stream) {
                tracing::debug!(%error, "embedded broker closed a connection");
            }
        })?;
        Ok(())
    }

    /// Applies time-outs of transactions and, less often, retention.
    fn keep_house(&self) {
        let mut retained = Instant::now();
        while !self.wait_for_stop(self.options.retention_check_interval.min(TRANSACTION_CHECK_INTERVAL)) {
            let now_ms = wall_clock_ms();
            self.transactions.expire(&self.topics, now_ms);
            if retained.elapsed() < self.options.retention_check_interval {
                continue;
            }
            retained = Instant::now();
            for topic in self.topics.all() {
                for (index, partition) in topic.partitions.iter().enumerate() {
                    if let Err(error) = partition.retain(&topic.settings, now_ms) {
                        tracing::warn!(topic = topic.name, partition = index, %error, "old records could not be deleted");
                    }
                }
            }
            self.groups.forget_empty();
        }
    }

    /// Returns whether the broker stops.
    fn wait_for_stop(&self, longest: Duration) -> bool {
        let mut guard = self.housekeeping.0.lock();
        if !self.is_stopping() {
            self.housekeeping.1.wait_for(&mut guard, longest);
        }
        self.is_stopping()
    }

    /// A producer id that was never given out before, not even by an earlier run.
    fn new_producer_id(&self) -> io::Result<i64> {
        let mut ids = self.producer_ids.lock();
        if ids.is_empty() {
            let below = ids.end + PRODUCER_IDS_RESERVED;
            self.topics.meta().commit(MetaChange::ProducerIdsReserved { below })?;
            *ids = ids.end..below;
        }
        Ok(ids.next().expect("ids were reserved above"))
    }
}

/// Takes the connection off the list when its thread ends, however it ends.
struct OpenConnection {
    broker: Arc<Broker>,
    id: u64,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.broker.connections.lock().open.remove(&self.id);
        self.broker.connection_closed.notify_all();
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// Record timestamps are wall-clock times, so their age is measured by it.
#[allow(clippy::disallowed_methods, reason = "the broker stands for an outside system, which has its own clock")]
fn wall_clock_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
