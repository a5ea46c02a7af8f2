//! What a job waits for, and since when: whoever makes a job wait (a source, a lookup, a sink, the coordinator) says so here, and
//! takes it back when the wait is over. What is shown of it is decided elsewhere. Costs nothing until something really waits.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

/// A reason to wait. As a text it follows on "waits for": `topic "orders"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// For what.
    pub text: String,
    /// The job that must act, if it is one of this server: its state says more than the text.
    pub job: Option<String>,
}

impl Reason {
    /// For something outside.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), job: None }
    }

    /// For another job of this server.
    pub fn job(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { text: format!("job \"{name}\""), job: Some(name) }
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// A wait that is not over.
#[derive(Debug, Clone)]
pub struct Wait {
    /// For what.
    pub reason: Reason,
    /// Since when.
    pub since: Instant,
}

/// The waits of one part of a job. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Waits {
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    by_number: BTreeMap<u64, Wait>,
    /// Of those that are set and cleared by name.
    numbers: BTreeMap<String, u64>,
}

/// A wait that ends when this is dropped.
#[derive(Debug)]
pub struct Waiting {
    waits: Waits,
    number: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waits.open.lock().by_number.remove(&self.number);
    }
}

impl Waits {
    /// Begins a wait that lasts until the guard is dropped.
    pub fn begin(&self, reason: impl Into<Reason>) -> Waiting {
        let number = self.open.lock().add(reason.into());
        Waiting { waits: self.clone(), number }
    }

    /// Begins a wait that lasts until [`Self::clear`] is called with the same name; for those who cannot keep a guard, callbacks say.
    /// Set again with the same reason it keeps its beginning.
    pub fn set(&self, name: &str, reason: impl Into<Reason>) {
        let reason = reason.into();
        let mut open = self.open.lock();
        if let Some(number) = open.numbers.get(name).copied() {
            if open.by_number.get(&number).is_some_and(|wait| wait.reason == reason) {
                return;
            }
            open.by_number.remove(&number);
        }
        let number = open.add(reason);
        open.numbers.insert(name.to_owned(), number);
    }

    /// Ends the wait that was [set](Self::set) under the name, if there is one.
    pub fn clear(&self, name: &str) {
        let mut open = self.open.lock();
        if let Some(number) = open.numbers.remove(name) {
            open.by_number.remove(&number);
        }
    }

    /// Waits for the future, and says so unless it is ready at once.
    pub async fn during<F: Future, R: Into<Reason>>(&self, reason: impl FnOnce() -> R, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut reason = Some(reason);
        let mut waiting = None;
        poll_fn(|context| {
            let polled = future.as_mut().poll(context);
            if polled.is_pending()
                && let Some(reason) = reason.take()
            {
                waiting = Some(self.begin(reason()));
            }
            polled
        })
        .await
    }

    /// All waits that are not over, oldest first.
    pub fn now(&self) -> Vec<Wait> {
        self.open.lock().by_number.values().cloned().collect()
    }
}

impl Open {
    fn add(&mut self, reason: Reason) -> u64 {
        let number = self.next;
        self.next += 1;
        self.by_number.insert(number, Wait { reason, since: Instant::now() });
        number
    }
}

#[cfg(test)]
mod tests;
