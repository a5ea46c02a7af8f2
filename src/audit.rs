//! The audit log: who came in and who did not, and what was declared, granted, started and stopped; one JSON object a line. Writes records,
//! and knows nothing of where they come from. What a reader would get wrong: a record is on disk before the one whom it is about is
//! answered, so that a log that cannot be written holds up what it should tell of; `write` gives the error, and its caller refuses.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::error::{Error, Result, SqlState};

/// Records that wait to be written; whoever has one more waits.
const WAITING_MAX: usize = 1024;
/// Records that are written at a time.
const BATCH_MAX: usize = 256;

/// Where records go, as `audit_log` of the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditTarget {
    /// Nowhere.
    Off,
    /// Among the lines of the log.
    Stderr,
    /// To the end of a file.
    File(PathBuf),
}

impl AuditTarget {
    /// `off`, `stderr`, or a path.
    pub fn of(text: &str) -> Self {
        match text {
            "off" => Self::Off,
            "stderr" => Self::Stderr,
            path => Self::File(path.into()),
        }
    }
}

/// How what a record is about ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it was asked for.
    Ok,
    /// It was refused, or failed.
    Failed,
    /// Its transaction has taken back what was told as done.
    RolledBack,
    /// It was broken off, by a cancel, a time-out or the end of the connection: it may have happened or not.
    Interrupted,
}

/// One line. What is not known, or is not of its kind, is left out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Record {
    /// `login`, `statement`.
    pub event: &'static str,
    /// Who logged in, or tried to.
    pub user: String,
    /// Which role it acts as, if that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Connected to which database.
    pub database: String,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The number of the session, as `pg_backend_pid()` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<i32>,
    /// How a login was proved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'static str>,
    /// Whether it came by TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// `CREATE TABLE`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<&'static str>,
    /// What it names first, as it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Its text, secrets blanked, cut where it is long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
}

/// A record with when and how it ended.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    record: &'a Record,
    outcome: Outcome,
    sqlstate: &'a str,
}

/// What is asked of the thread that writes.
enum Order {
    Write { line: String, written: oneshot::Sender<Result<()>> },
    Reopen,
}

/// Where records go. Cheap to clone.
#[derive(Clone)]
pub struct AuditLog {
    orders: Option<mpsc::Sender<Order>>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditLog({})", if self.is_on() { "on" } else { "off" })
    }
}

impl AuditLog {
    /// One that keeps nothing.
    pub fn off(clock: Arc<dyn Clock>) -> Self {
        Self { orders: None, clock }
    }

    /// Opens the log, and starts the thread that writes it. Blocking.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(target: &AuditTarget, clock: Arc<dyn Clock>) -> Result<Self> {
        let Some(sink) = Sink::open(target)? else { return Ok(Self::off(clock)) };
        let (orders, given) = mpsc::channel(WAITING_MAX);
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || write_all(sink, given))
            .map_err(|error| Error::unavailable(format!("the audit log has no thread: {error}")))?;
        Ok(Self { orders: Some(orders), clock })
    }

    /// Whether records are kept.
    pub fn is_on(&self) -> bool {
        self.orders.is_some()
    }

    /// Writes a record; returns when it is on disk. `sqlstate` is that of a success, if it was one.
    ///
    /// # Errors
    /// 58030: it cannot be written. What it is about must not stand then.
    pub async fn write(&self, record: &Record, outcome: Outcome, sqlstate: &str) -> Result<()> {
        let Some(orders) = &self.orders else { return Ok(()) };
        let (written, answer) = oneshot::channel();
        let order = Order::Write { line: self.line(record, outcome, sqlstate), written };
        orders.send(order).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Hands over a record where nobody can wait.
    fn hand_over(&self, record: &Record, outcome: Outcome, sqlstate: &str) {
        let Some(orders) = &self.orders else { return };
        let line = self.line(record, outcome, sqlstate);
        if orders.try_send(Order::Write { line, written: oneshot::channel().0 }).is_err() {
            tracing::error!(user = record.user, command = record.command, "a record of the audit log is lost");
        }
    }

    fn line(&self, record: &Record, outcome: Outcome, sqlstate: &str) -> String {
        let time = DateTime::from_timestamp_millis(self.clock.now_ms()).unwrap_or_default();
        let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
        // Texts, numbers and words: nothing that JSON cannot hold.
        let mut line = serde_json::to_string(&Line { time, record, outcome, sqlstate }).unwrap_or_default();
        line.push('\n');
        line
    }

    /// Opens the file again, which somebody may have moved away: lines from now on are in the new one.
    pub async fn reopen(&self) {
        if let Some(orders) = &self.orders {
            // Without the thread every record is refused, which is told there.
            let _ = orders.send(Order::Reopen).await;
        }
    }
}

/// A record of something that has begun. If it is dropped before its end, it is written as interrupted.
#[derive(Debug)]
pub struct Begun {
    log: AuditLog,
    record: Option<Record>,
    /// How it ends if it is dropped.
    dropped: (Outcome, &'static str),
}

impl Begun {
    /// Something begins.
    pub fn new(log: &AuditLog, record: Record) -> Self {
        Self { log: log.clone(), record: Some(record), dropped: (Outcome::Interrupted, SqlState::QueryCanceled.code()) }
    }

    /// What ends so if nothing else is said.
    #[must_use]
    pub fn ends_as(mut self, outcome: Outcome, sqlstate: SqlState) -> Self {
        self.dropped = (outcome, sqlstate.code());
        self
    }

    /// What it is about.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// Nothing is to be told.
    pub fn forget(mut self) {
        self.record = None;
    }

    /// It has ended.
    ///
    /// # Errors
    /// As [`AuditLog::write`].
    pub async fn end(mut self, outcome: Outcome, sqlstate: &str) -> Result<()> {
        match self.record.take() {
            Some(record) => self.log.write(&record, outcome, sqlstate).await,
            None => Ok(()),
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            self.log.hand_over(&record, self.dropped.0, self.dropped.1);
        }
    }
}

fn ended() -> Error {
    Error::unavailable("the audit log is closed").code(SqlState::IoError)
}

/// Whether a log could be opened. Blocking; makes the file.
///
/// # Errors
/// It could not.
pub fn try_open(target: &AuditTarget) -> Result<()> {
    Sink::open(target).map(drop)
}

/// What lines are written to.
enum Sink {
    Stderr,
    File { path: PathBuf, file: File, is_torn: bool },
}

impl Sink {
    fn open(target: &AuditTarget) -> Result<Option<Self>> {
        Ok(match target {
            AuditTarget::Off => None,
            AuditTarget::Stderr => Some(Self::Stderr),
            AuditTarget::File(path) => Some(Self::File { file: open_file(path)?, path: path.clone(), is_torn: false }),
        })
    }

    fn write(&mut self, lines: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Stderr => std::io::stderr().write_all(lines),
            Self::File { file, is_torn, .. } => {
                if *is_torn {
                    // A part of a line may be there.
                    file.write_all(b"\n")?;
                }
                *is_torn = true;
                file.write_all(lines)?;
                *is_torn = false;
                // Pipes and devices have no disk.
                if file.metadata()?.is_file() { file.sync_data() } else { Ok(()) }
            }
        }
    }

    fn reopen(&mut self) {
        let Self::File { path, file, is_torn } = self else { return };
        match open_file(path) {
            Ok(new) => {
                (*file, *is_torn) = (new, false);
                tracing::info!("the audit log is opened again");
            }
            Err(error) => tracing::error!(%error, "the audit log stays with its old file"),
        }
    }
}

fn open_file(path: &Path) -> Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(|error| {
        Error::invalid(format!("audit_log {} cannot be written: {error}", path.display()))
            .hint("Name a file in a folder that the server may write to, stderr, or off.")
    })
}

/// Writes what is handed over, several records at a time, until nobody can hand over any more.
fn write_all(mut sink: Sink, mut orders: mpsc::Receiver<Order>) {
    while let Some(first) = orders.blocking_recv() {
        let (mut lines, mut waiting, mut reopens) = (String::new(), Vec::new(), false);
        let mut next = Some(first);
        while let Some(order) = next {
            match order {
                Order::Write { line, written } => {
                    lines.push_str(&line);
                    waiting.push(written);
                }
                Order::Reopen => reopens = true,
            }
            // What was handed over before the file is opened again belongs into the old one.
            next = if reopens || waiting.len() >= BATCH_MAX { None } else { orders.try_recv().ok() };
        }
        let outcome = if lines.is_empty() { Ok(()) } else { sink.write(lines.as_bytes()) };
        if let Err(error) = &outcome {
            tracing::error!(%error, records = waiting.len(), "the audit log cannot be written");
        }
        for written in waiting {
            // Whoever does not wait has been told that it is handed over.
            let _ = written.send(match &outcome {
                Ok(()) => Ok(()),
                Err(error) => {
                    Err(Error::unavailable(format!("the audit log cannot be written: {error}")).code(SqlState::IoError))
                }
            });
        }
        if reopens {
            sink.reopen();
        }
    }
}

#[cfg(test)]
mod tests;
