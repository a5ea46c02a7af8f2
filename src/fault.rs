//! Faults on purpose, for tests that run the real binary: kill points, failing file operations, and mutants of the protocol.
//! Driven by environment variables and there only in debug builds; a release build compiles all of it to nothing.
//!
//! - `STREAMGATE_KILL_AT=K3:2`: SIGKILL when point K3 is passed for the second time (D0: a dropped job is about to be
//!   cleared away).
//! - `STREAMGATE_IO_FAULT=fsync:3:ENOSPC`: the file operation fails from its third time on, while the file named by
//!   `STREAMGATE_IO_FAULT_WHILE` exists (always, without it). With `WAIT` in place of an error it does not end until then.
//! - `STREAMGATE_MEMORY_LIMIT=1`: the process is taken to be allowed so many bytes, so that it is always near its end.
//! - `STREAMGATE_ABORT_JOB=j` (or `STREAMGATE_KILL_JOB=j`): abort (SIGKILL, after as long as it takes to fill a memory) when that
//!   job has read rows.
//! - `STREAMGATE_MUTANT=skip-progress-read`: the protocol is broken in that way; the tests must notice.

use std::collections::HashMap;
use std::io;
use std::sync::OnceLock;

use parking_lot::Mutex;

/// The variables; a release build knows none.
pub const VARIABLES: &[&str] = if cfg!(debug_assertions) {
    &[
        "STREAMGATE_KILL_AT",
        "STREAMGATE_IO_FAULT",
        "STREAMGATE_IO_FAULT_WHILE",
        "STREAMGATE_MEMORY_LIMIT",
        "STREAMGATE_ABORT_JOB",
        "STREAMGATE_KILL_JOB",
        "STREAMGATE_MUTANT",
    ]
} else {
    &[]
};

/// Passed at a kill point of the exactly-once protocol (K0 … K9).
pub fn point(name: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    static KILL_AT: OnceLock<Option<(String, u64)>> = OnceLock::new();
    let kill_at = KILL_AT.get_or_init(|| {
        let text = std::env::var("STREAMGATE_KILL_AT").ok()?;
        let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), times.parse().unwrap_or(1)))
    });
    if let Some((at, times)) = kill_at
        && at == name
        && passed(name) == *times
    {
        kill();
    }
}

/// Called before a file operation (`write`, `fsync`, `rename`, `read`; `spill` writes state that does not fit into memory).
///
/// # Errors
/// The operation is to fail.
pub fn io(operation: &str) -> io::Result<()> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    static FAULT: OnceLock<Option<(String, u64, Option<i32>)>> = OnceLock::new();
    let fault = FAULT.get_or_init(|| {
        let text = std::env::var("STREAMGATE_IO_FAULT").ok()?;
        let mut parts = text.split(':');
        let operation = parts.next()?.to_owned();
        let from = parts.next().and_then(|from| from.parse().ok()).unwrap_or(1);
        let code = match parts.next() {
            Some("ENOSPC") => Some(28),
            Some("EROFS") => Some(30),
            Some("WAIT") => None,
            _ => Some(5), // EIO
        };
        Some((operation, from, code))
    });
    match fault {
        Some((at, from, code)) if at == operation && passed(&format!("io-{operation}")) >= *from => {
            let is_on =
                || std::env::var("STREAMGATE_IO_FAULT_WHILE").map_or(true, |path| std::path::Path::new(&path).exists());
            while is_on() {
                match code {
                    Some(code) => return Err(io::Error::from_raw_os_error(*code)),
                    None => std::thread::sleep(std::time::Duration::from_millis(10)),
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// How many bytes the process is to be taken to be allowed.
pub fn memory_limit() -> Option<u64> {
    if !cfg!(debug_assertions) {
        return None;
    }
    std::env::var("STREAMGATE_MEMORY_LIMIT").ok()?.parse().ok()
}

/// Passed when a job has read rows.
pub fn rows_of(job: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    static DEADLY: OnceLock<[Option<String>; 2]> = OnceLock::new();
    let deadly =
        DEADLY.get_or_init(|| ["STREAMGATE_ABORT_JOB", "STREAMGATE_KILL_JOB"].map(|name| std::env::var(name).ok()));
    if deadly[0].as_deref() == Some(job) {
        std::process::abort();
    }
    if deadly[1].as_deref() == Some(job) {
        std::thread::sleep(std::time::Duration::from_millis(300));
        kill();
    }
}

/// Whether the protocol is to be broken in this way.
pub fn is_mutant(name: &str) -> bool {
    if !cfg!(debug_assertions) {
        return false;
    }
    static MUTANT: OnceLock<Option<String>> = OnceLock::new();
    MUTANT.get_or_init(|| std::env::var("STREAMGATE_MUTANT").ok()).as_deref() == Some(name)
}

/// Counts how often a place was passed, this time included.
fn passed(name: &str) -> u64 {
    static PASSED: OnceLock<Mutex<HashMap<String, u64>>> = OnceLock::new();
    let mut counts = PASSED.get_or_init(Mutex::default).lock();
    let count = counts.entry(name.to_owned()).or_default();
    *count += 1;
    *count
}

/// Ends this process as kill -9 does: nothing is flushed, no destructor runs.
fn kill() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort();
}
