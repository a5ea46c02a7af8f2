//! The threads on which statements are planned and queries computed, apart from those that answer clients. What runs there is
//! given up when nobody waits for it any more: it is told so (`Interrupt`), and aborted at its next pause. A computation that
//! does not pause keeps its thread to its end; then further threads take its place, and it is counted.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tracing::Instrument;

use crate::error::{Error, Result, SqlState};
use crate::threads::{self, Role};

/// Work that no thread has begun after so long meets threads that are all held by computations without a pause.
const START_PATIENCE: Duration = Duration::from_millis(200);
/// What goes on for so long after it was given up cannot be stopped.
const STOP_PATIENCE: Duration = Duration::from_secs(1);
/// Sets of threads at a time; beyond them work waits for a thread.
const POOLS_MAX: usize = 16;

/// The threads of statements.
pub struct Queries {
    shared: Arc<Shared>,
}

struct Shared {
    /// Takes new work; pools before it end with the work that they have.
    pool: Mutex<Option<Arc<Pool>>>,
    /// Threads of a pool; `None`: the pool is somebody else's runtime.
    threads: Option<usize>,
    /// Where those that were given up are watched.
    watch: Handle,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    pools: AtomicUsize,
    unstoppable: AtomicUsize,
    replaced: AtomicUsize,
}

struct Pool {
    handle: Handle,
    runtime: Option<Runtime>,
    counts: Arc<Counts>,
}

impl Pool {
    fn start(threads: usize, counts: &Arc<Counts>) -> Result<Arc<Self>> {
        let runtime = threads::runtime("query", Some(threads), Some(threads::DEEP_STACK_BYTES), Role::Answer)?;
        counts.pools.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Self { handle: runtime.handle().clone(), runtime: Some(runtime), counts: counts.clone() }))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Also on one of its own threads, with the last work that it had.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
            self.counts.pools.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What a computation looks at to see whether anybody still waits for it.
#[derive(Debug, Default)]
pub struct Interrupt {
    raised: AtomicBool,
}

impl Interrupt {
    /// Gives the computation up.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Relaxed);
    }

    /// Goes on, or tells that the computation was given up.
    ///
    /// # Errors
    /// It was; nobody is there to see the error.
    pub fn check(&self) -> Result<()> {
        if self.raised.load(Ordering::Relaxed) {
            return Err(Error::cancelled("canceling statement"));
        }
        Ok(())
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Queries {
    /// Starts `threads` threads. Called on the runtime that answers clients.
    ///
    /// # Errors
    /// The system has no threads left.
    pub fn start(threads: usize) -> Result<Self> {
        let counts = Arc::default();
        Ok(Self::with(Pool::start(threads, &counts)?, Some(threads), counts))
    }

    /// Uses the runtime of the caller, whose threads nobody replaces.
    pub fn here() -> Self {
        let counts: Arc<Counts> = Arc::default();
        Self::with(Arc::new(Pool { handle: Handle::current(), runtime: None, counts: counts.clone() }), None, counts)
    }

    fn with(pool: Arc<Pool>, threads: Option<usize>, counts: Arc<Counts>) -> Self {
        let shared = Shared { pool: Mutex::new(Some(pool)), threads, watch: Handle::current(), counts };
        Self { shared: Arc::new(shared) }
    }

    /// Computations that were given up and go on nevertheless.
    pub fn unstoppable(&self) -> usize {
        self.shared.counts.unstoppable.load(Ordering::Relaxed)
    }

    /// How often threads were started because those that were there did not come to a pause.
    pub fn replaced(&self) -> usize {
        self.shared.counts.replaced.load(Ordering::Relaxed)
    }

    /// Takes no more work; threads end when they come to a pause.
    pub fn shutdown(&self) {
        let pool = self.shared.pool.lock().take();
        drop(pool);
    }

    /// Computes something; whoever does not wait for its end gives it up.
    ///
    /// # Errors
    /// What the work gives, or a defect in it.
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        self.run(|_| async move { work() }).await
    }

    /// Runs something that may wait; whoever does not wait for its end gives it up.
    ///
    /// # Errors
    /// As [`Self::compute`].
    pub async fn run<T, F>(&self, work: impl FnOnce(Arc<Interrupt>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let mut running = self.spawn(|interrupt| {
            let work = work(interrupt);
            async move {
                // Nobody may be there to hear it.
                drop(sender.send(work.await));
            }
        })?;
        let result = running.first_word(receiver).await;
        running.finish();
        result.unwrap_or_else(|| Err(defect()))
    }

    /// Spawns work that reports by channels of its own.
    ///
    /// # Errors
    /// The server is stopping.
    pub(super) fn spawn<F>(&self, work: impl FnOnce(Arc<Interrupt>) -> F) -> Result<Running>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let interrupt = Arc::new(Interrupt::default());
        let alive = Arc::downgrade(&interrupt);
        let work = work(interrupt.clone());
        let work = async move {
            let _ends = RaisesAtEnd(interrupt);
            work.await;
        };
        // Its log lines are those of the statement that it computes for.
        let work: Work = Box::pin(work.in_current_span());
        let mut running = Running {
            shared: self.shared.clone(),
            waiting: Arc::new(Mutex::new(Some(work))),
            tasks: Vec::with_capacity(1),
            pool: Weak::new(),
            alive,
            finished: false,
        };
        let pool = self.shared.pool.lock().clone();
        running
            .offer_to(pool.ok_or_else(|| Error::unavailable("the server is stopping").code(SqlState::AdminShutdown))?);
        Ok(running)
    }
}

/// The error of work that panicked.
pub(crate) fn defect() -> Error {
    Error::internal("the statement was ended by a defect of the server")
}

/// Parts of a computation that run by themselves end with it.
struct RaisesAtEnd(Arc<Interrupt>);

impl Drop for RaisesAtEnd {
    fn drop(&mut self) {
        self.0.raise();
    }
}

/// Work on its way. Dropping it before its end gives the work up.
pub(super) struct Running {
    shared: Arc<Shared>,
    /// Until a thread takes it.
    waiting: Arc<Mutex<Option<Work>>>,
    tasks: Vec<AbortHandle>,
    /// The pool to which it was offered last.
    pool: Weak<Pool>,
    /// There as long as the work and what it started.
    alive: Weak<Interrupt>,
    finished: bool,
}

impl Running {
    fn offer_to(&mut self, pool: Arc<Pool>) {
        self.pool = Arc::downgrade(&pool);
        let waiting = self.waiting.clone();
        let handle = pool.handle.clone();
        let task = handle.spawn(async move {
            let work = waiting.lock().take();
            if let Some(work) = work {
                work.await;
            }
            drop(pool);
        });
        self.tasks.push(task.abort_handle());
    }

    /// Waits for the first word of the work; others take it if no thread begins. `None`: it ended without a word.
    pub(super) async fn first_word<T>(&mut self, mut word: oneshot::Receiver<T>) -> Option<T> {
        loop {
            if let Ok(word) = tokio::time::timeout(START_PATIENCE, &mut word).await {
                return word.ok();
            }
            let has_begun = self.waiting.lock().is_none();
            if has_begun {
                return word.await.ok();
            }
            self.offer_to_others();
        }
    }

    /// Offers the work to other threads than those that are held, if there may be more.
    fn offer_to_others(&mut self) {
        let Some(threads) = self.shared.threads else { return };
        let mut held = None;
        let pool = {
            let mut current = self.shared.pool.lock();
            match current.clone() {
                // Somebody else met them before.
                Some(pool) if !std::ptr::eq(Arc::as_ptr(&pool), self.pool.as_ptr()) => Some(pool),
                Some(_) if self.shared.counts.pools.load(Ordering::Relaxed) < POOLS_MAX => {
                    match Pool::start(threads, &self.shared.counts) {
                        Ok(pool) => {
                            self.shared.counts.replaced.fetch_add(1, Ordering::Relaxed);
                            held = current.replace(pool.clone());
                            Some(pool)
                        }
                        Err(error) => {
                            tracing::warn!("{error}");
                            None
                        }
                    }
                }
                _ => None,
            }
        };
        if held.take().is_some() {
            tracing::warn!(
                "no thread for queries came to a pause within {START_PATIENCE:?}; {threads} more take their place"
            );
        }
        if let Some(pool) = pool {
            self.offer_to(pool);
        }
    }

    /// The work came to its end.
    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    /// Whether the work is known to have come to its end.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if let Some(interrupt) = self.alive.upgrade() {
            interrupt.raise();
        }
        let never_begun = self.waiting.lock().take();
        threads::with_deep_stack(|| drop(never_begun));
        self.tasks.iter().for_each(AbortHandle::abort);
        if self.alive.strong_count() > 0 {
            let (alive, counts) = (self.alive.clone(), self.shared.counts.clone());
            self.shared.watch.spawn(watch(alive, counts).in_current_span());
        }
    }
}

/// Counts a computation that does not end although it was given up, until it does.
async fn watch(alive: Weak<Interrupt>, counts: Arc<Counts>) {
    tokio::time::sleep(STOP_PATIENCE).await;
    if alive.strong_count() == 0 {
        return;
    }
    let count = counts.unstoppable.fetch_add(1, Ordering::Relaxed) + 1;
    tracing::warn!("a cancelled statement computes on, since it does not come to a pause ({count} of this kind)");
    while alive.strong_count() > 0 {
        tokio::time::sleep(STOP_PATIENCE / 4).await;
    }
    counts.unstoppable.fetch_sub(1, Ordering::Relaxed);
    tracing::info!("a cancelled statement has ended");
}

#[cfg(test)]
mod tests;
