//! The runtimes of the process. Threads that answer sessions come before those that work: else a `SELECT 1` waits, on a machine
//! whose cores are all busy with jobs, for several of the kernel's time slices (docs/decisions/0017).

use std::mem::ManuallyDrop;
use std::ops::Deref;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinError;

use crate::error::{Error, Result};

/// What a task that panicked had to say.
pub fn panic_text(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "without a text".to_owned()),
        Err(_) => "its task was cancelled".to_owned(),
    }
}

/// What the threads of a runtime are there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Someone waits for what they do, which is seldom much.
    Answer,
    /// Batches of jobs, and the threads of the clients that they open.
    Work,
}

/// How much nicer than the process threads that work are: beside one of its other threads that never rests they keep a tenth of a core.
const WORK_NICENESS: i32 = 10;
/// The highest niceness of Linux.
const NICENESS_MAX: i32 = 19;

/// Nanoseconds that a thread that answers asks for at a time, the least that Linux grants: who asks for less is served sooner.
const ANSWER_SLICE: u64 = 100_000;

/// The stack of a thread that plans and computes statements: trees of ten thousand levels are walked by recursion, in every build.
/// Only what a statement really needs of it becomes memory.
pub const DEEP_STACK_BYTES: usize = 512 << 20;

/// Runs work that may go down a deep tree, on a stack that is large enough for it.
pub fn with_deep_stack<R>(work: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(DEEP_STACK_BYTES / 2, DEEP_STACK_BYTES, work)
}

/// A value that may be a deep tree: dropping it goes down the tree, too.
#[derive(Clone, Debug)]
pub struct Deep<T> {
    value: ManuallyDrop<T>,
    is_deep: bool,
}

impl<T> Deep<T> {
    /// Keeps a value that may be deep.
    pub fn new(value: T) -> Self {
        Self { value: ManuallyDrop::new(value), is_deep: true }
    }

    /// Keeps a value that is known to be no deeper than any stack allows.
    pub fn shallow(value: T) -> Self {
        Self { value: ManuallyDrop::new(value), is_deep: false }
    }
}

impl<T> Deref for Deep<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for Deep<T> {
    fn drop(&mut self) {
        // SAFETY: nothing reads the value after its owner's drop.
        let mut drop = || unsafe { ManuallyDrop::drop(&mut self.value) };
        if self.is_deep { with_deep_stack(drop) } else { drop() }
    }
}

/// A runtime of `threads` workers, by default one for each core; each thread has a stack of so many bytes, by default tokio's.
///
/// # Errors
/// The system has no threads left.
pub fn runtime(name: &'static str, threads: Option<usize>, stack_bytes: Option<usize>, role: Role) -> Result<Runtime> {
    // Read here, not by the threads: those that a worker starts have its niceness already.
    let niceness = niceness_for(role, own_niceness());
    let mut builder = Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    if let Some(bytes) = stack_bytes {
        builder.thread_stack_size(bytes);
    }
    builder
        .thread_name(name)
        .on_thread_start(move || {
            // Being refused only makes answers slower under load.
            if let Err(error) = schedule(role, niceness) {
                tracing::debug!("threads of {name} are scheduled like all others: {error}");
            }
        })
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("cannot start the runtime of {name} threads: {error}")))
}

/// What threads of this role get in a process whose owner gave it `own`, which nobody without a privilege may take back.
fn niceness_for(role: Role, own: i32) -> i32 {
    match role {
        Role::Answer => own,
        Role::Work => (own + WORK_NICENESS).min(NICENESS_MAX),
    }
}

/// The niceness of the calling thread; 0, the usual one, if the kernel does not say.
fn own_niceness() -> i32 {
    rustix::process::getpriority_process(None).unwrap_or(0)
}

/// Tells the kernel what the calling thread is for. Niceness and slice belong to the thread on Linux, and its children inherit them.
#[cfg(target_os = "linux")]
fn schedule(role: Role, niceness: i32) -> std::io::Result<()> {
    let slice = match role {
        Role::Answer => ANSWER_SLICE,
        Role::Work => 0,
    };
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: niceness,
        sched_priority: 0,
        // Of ordinary threads: the slice, 0 for the usual one. Linux before 6.12 passes over it.
        sched_runtime: slice,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of a struct that lives until the call is over; thread 0 is the calling one.
    match unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[cfg(not(target_os = "linux"))]
fn schedule(_role: Role, _niceness: i32) -> std::io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Niceness and slice in nanoseconds of the calling thread, as the kernel has them.
    fn scheduled() -> (i32, u64) {
        // SAFETY: all zeroes is a value of this struct of integers.
        let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::sched_attr>();
        // SAFETY: the kernel writes at most `size` bytes into a struct of that size.
        let outcome = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
        assert_eq!(outcome, 0, "{}", std::io::Error::last_os_error());
        (attributes.sched_nice, attributes.sched_runtime)
    }

    #[test]
    fn workers_yield_to_threads_that_answer() {
        let niceness = |role| {
            let runtime = runtime("test", Some(1), None, role).unwrap();
            runtime.block_on(async { tokio::spawn(async { scheduled().0 }).await.unwrap() })
        };
        // Whoever runs the tests may have made all of them nicer.
        let own = scheduled().0;
        assert_eq!(niceness(Role::Work), (own + WORK_NICENESS).min(NICENESS_MAX));
        assert_eq!(niceness(Role::Answer), own);
    }

    #[test]
    fn a_thread_that_a_worker_starts_is_as_nice_as_the_worker() {
        let runtime = runtime("test", Some(1), None, Role::Work).unwrap();
        let started = async { tokio::task::spawn_blocking(|| scheduled().0).await.unwrap() };
        let niceness = runtime.block_on(async { tokio::spawn(started).await.unwrap() });
        assert_eq!(niceness, (scheduled().0 + WORK_NICENESS).min(NICENESS_MAX));
    }

    #[test]
    fn the_niceness_of_the_process_is_kept() {
        assert_eq!(
            [niceness_for(Role::Answer, 5), niceness_for(Role::Work, 5), niceness_for(Role::Work, 15)],
            [5, 15, 19]
        );
    }

    #[test]
    fn threads_that_answer_ask_for_short_slices() {
        let slice = |role| {
            std::thread::spawn(move || schedule(role, own_niceness()).map(|()| scheduled().1)).join().unwrap().unwrap()
        };
        let (answer, work) = (slice(Role::Answer), slice(Role::Work));
        // Linux before 6.12 has no slices of a thread and answers 0.
        assert!(answer == ANSWER_SLICE || answer == 0, "{answer}");
        assert!(work != ANSWER_SLICE, "{work}");
    }
}
