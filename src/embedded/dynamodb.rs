//! DynamoDB in this process: dynoxide on one SQLite file, served on a loopback port. What it answers is dynoxide's; here are its start, its
//! stop, the durability setting and the timer that removes expired items (nothing else does, and until then they stay readable).

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, timeout};

const FILE: &str = "dynamodb.sqlite";
/// A client that has sent half a request would hold up the stop for ever.
const STOP_MAX: Duration = Duration::from_secs(3);

#[derive(Debug, Clone)]
pub struct DynamoDbOptions {
    /// Made when it is not there.
    pub data_dir: PathBuf,
    /// 0 takes a free one.
    pub port: u16,
    /// How many ports after it are tried when it is taken.
    pub more_ports: u16,
    /// How often items past their TTL are removed.
    pub ttl_sweep_interval: Duration,
}

impl DynamoDbOptions {
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), port: 0, more_ports: 0, ttl_sweep_interval: Duration::from_secs(60) }
    }
}

/// A running store. Dropping it stops serving too, but only `shutdown` waits for requests under way.
pub struct EmbeddedDynamoDb {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    /// The server and the TTL sweep.
    tasks: JoinSet<()>,
}

impl EmbeddedDynamoDb {
    /// Opens the file and listens, on the runtime of the caller.
    pub async fn start(options: DynamoDbOptions) -> io::Result<Self> {
        let data_dir = options.data_dir;
        let database = spawn_blocking(move || open(&data_dir)).await.map_err(io::Error::other)??;
        // Binding decides, so that two servers that start at once get a port each.
        let listener = super::first_free(options.port, options.more_ports)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let (database, stopped) = (database.clone(), stopped.clone());
            async move {
                if let Err(error) =
                    dynoxide::server::serve_with_shutdown(listener, database, until_stopped(stopped)).await
                {
                    tracing::error!(%error, "embedded DynamoDB ended");
                }
            }
        });
        tasks.spawn(sweep_expired(database, options.ttl_sweep_interval, stopped));
        tracing::info!(%address, "embedded DynamoDB started: for development, not for production");
        Ok(Self { address, stop, tasks })
    }

    /// What a client takes as endpoint URL; credentials and region do not matter.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets requests under way finish and closes the file.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if timeout(STOP_MAX, async { while self.tasks.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!("embedded DynamoDB was stopped within a request");
        }
    }
}

fn open(data_dir: &std::path::Path) -> io::Result<Database> {
    std::fs::create_dir_all(data_dir)?;
    let path = data_dir.join(FILE);
    let path = path.to_str().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "data folder is not UTF-8"))?;
    let database = Database::new(path).map_err(io::Error::other)?;
    // One sync for each write is five times slower. Leaving bulk loading sets synchronous=NORMAL: with the write-ahead log this survives a
    // killed process, and loses the last writes at worst when the power fails.
    database.enable_bulk_loading().map_err(io::Error::other)?;
    database.disable_bulk_loading().map_err(io::Error::other)?;
    Ok(database)
}

async fn until_stopped(mut stopped: watch::Receiver<bool>) {
    // An error says that the store was dropped: a stop too.
    stopped.wait_for(|stopped| *stopped).await.ok();
}

async fn sweep_expired(database: Database, every: Duration, stopped: watch::Receiver<bool>) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stop = until_stopped(stopped);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = &mut stop => return,
        }
        let database = database.clone();
        let sweep: JoinHandle<_> = spawn_blocking(move || database.sweep_ttl());
        match sweep.await {
            Ok(Ok(0)) => {}
            Ok(Ok(items)) => tracing::debug!(items, "embedded DynamoDB removed expired items"),
            Ok(Err(error)) => tracing::warn!(%error, "expired items could not be removed"),
            Err(error) => tracing::warn!(%error, "removal of expired items ended early"),
        }
    }
}
