//! What can end a running statement from outside: CancelRequest, pg_cancel_backend, pg_terminate_backend, statement_timeout, the server's stop, a client that is gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Failure};
use crate::error::{Error, Result, SqlState};
use crate::sql::activity::Cancellable;

/// Keys of all sessions.
#[derive(Default)]
pub struct CancelKeys {
    sessions: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    by_process: HashMap<i32, Arc<CancelKey>>,
    last: i32,
}

/// One session's key.
pub struct CancelKey {
    /// Given to the client and shown by pg_backend_pid().
    pub process_id: i32,
    /// Given to the client only.
    pub secret: Vec<u8>,
    /// What is cancelled.
    pub session: Arc<Cancellable>,
}

/// Takes the key away when the session ends.
pub struct RegisteredKey {
    keys: Arc<CancelKeys>,
    /// The key.
    pub key: Arc<CancelKey>,
}

impl Drop for RegisteredKey {
    fn drop(&mut self) {
        self.keys.sessions.lock().by_process.remove(&self.key.process_id);
    }
}

impl CancelKeys {
    /// Makes a key with a secret of so many bytes.
    pub fn register(self: &Arc<Self>, secret_bytes: usize) -> RegisteredKey {
        let mut secret = vec![0; secret_bytes];
        rand::fill(&mut secret[..]);
        let mut sessions = self.sessions.lock();
        let process_id = loop {
            sessions.last = sessions.last.checked_add(1).unwrap_or(1);
            if !sessions.by_process.contains_key(&sessions.last) {
                break sessions.last;
            }
        };
        let key = Arc::new(CancelKey { process_id, secret, session: Arc::default() });
        sessions.by_process.insert(process_id, Arc::clone(&key));
        RegisteredKey { keys: Arc::clone(self), key }
    }

    /// Cancels what runs in a session, if the secret is right. Says nothing to the asker, as Postgres.
    pub fn cancel(&self, process_id: i32, secret: &[u8]) {
        let key = self.sessions.lock().by_process.get(&process_id).cloned();
        let Some(key) = key else { return };
        let same = key.secret.len() == secret.len()
            && key.secret.iter().zip(secret).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0;
        if same {
            key.session.cancel();
        }
    }
}

/// What can interrupt one statement.
pub struct Interrupts {
    cancelled: CancellationToken,
    abort: CancellationToken,
    ends: CancellationToken,
    deadline: Option<Instant>,
}

impl Interrupts {
    /// For a statement of a session that begins now.
    pub fn new(session: &Cancellable, abort: CancellationToken, timeout: Option<Duration>) -> Self {
        let deadline =
            timeout.filter(|timeout| !timeout.is_zero()).and_then(|timeout| Instant::now().checked_add(timeout));
        Self { cancelled: session.begin(), abort, ends: session.ends().clone(), deadline }
    }

    /// Waits for an interrupt.
    pub async fn raised(&self) -> Error {
        let timeout = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.abort.cancelled() => server_stops(),
            () = self.ends.cancelled() => server_stops(),
            () = self.cancelled.cancelled() => Error::cancelled("canceling statement due to user request"),
            () = timeout => Error::cancelled("canceling statement due to statement timeout"),
        }
    }

    /// Runs a part of a statement, until it ends or is interrupted; then the part is dropped.
    ///
    /// # Errors
    /// The interrupt, or what the part itself gives.
    pub async fn guard<T>(
        &self,
        connection: &mut Connection,
        part: impl Future<Output = Result<T>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            error = self.raised() => Err(Failure::Statement(error)),
            result = part => Ok(result?),
            () = connection.flush_and_watch() => Err(Failure::Gone),
        }
    }
}

/// What every session is told when the server stops, or when it is ended by another one.
pub fn server_stops() -> Error {
    Error::unavailable("terminating connection due to administrator command").code(SqlState::AdminShutdown)
}
