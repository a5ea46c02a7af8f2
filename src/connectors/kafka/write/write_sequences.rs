//! What of a writer's batches is on its way: each batch has a sequence number, delivery reports count its records down, and the highest number up to
//! which everything is delivered is shown.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, watch};

use crate::error::Error;

/// How long a writer waits at most before it tries a full queue again.
const ROOM_WAIT: Duration = Duration::from_millis(5);

/// A writer's waiting for room; see [`WriteSequences::wait_for_room`].
pub(in crate::connectors) type Room<'t> = Pin<Box<Notified<'t>>>;

/// The sequence numbers of one writer.
pub(in crate::connectors) struct WriteSequences {
    state: Mutex<State>,
    acknowledged: watch::Receiver<u64>,
    /// Wakes a writer that waits for room in the queue.
    room: Notify,
}

struct State {
    /// WriteNumber of the first entry of `open`.
    first: u64,
    /// For each number from `first` on: records that are not delivered yet.
    open: VecDeque<usize>,
    /// Dropped when the writer has failed for good.
    sender: Option<watch::Sender<u64>>,
    failure: Option<Error>,
}

impl Default for WriteSequences {
    fn default() -> Self {
        let (sender, acknowledged) = watch::channel(0);
        let state = State { first: 1, open: VecDeque::new(), sender: Some(sender), failure: None };
        Self { state: Mutex::new(state), acknowledged, room: Notify::new() }
    }
}

impl WriteSequences {
    /// Why the writer has failed, if it has.
    pub fn failure(&self) -> Option<Error> {
        self.state.lock().failure.clone()
    }

    /// Nothing more is acknowledged from now on.
    pub fn fail(&self, error: Error) {
        let mut state = self.state.lock();
        state.failure.get_or_insert(error);
        state.sender = None;
        drop(state);
        self.room.notify_waiters();
    }

    /// Begins the next number, of that many records.
    pub fn open(&self, records: usize) {
        let mut state = self.state.lock();
        state.open.push_back(records);
        state.advance();
    }

    /// A record of that number needs no more waiting for.
    pub fn done(&self, sequence: u64) {
        let mut state = self.state.lock();
        let index = (sequence - state.first) as usize;
        state.open[index] -= 1;
        state.advance();
        drop(state);
        self.room.notify_waiters();
    }

    /// Whether no record is waited for, because each was delivered or never will be.
    pub fn are_settled(&self) -> bool {
        self.state.lock().open.is_empty()
    }

    /// The highest number all of whose records are delivered.
    pub fn acknowledged(&self) -> watch::Receiver<u64> {
        self.acknowledged.clone()
    }

    /// Of a writer whose record found the queue full. The first call returns at once, for the writer to try again while the next
    /// delivery is listened for already; later ones return when a record was delivered, or nothing ever will be.
    pub async fn wait_for_room<'t>(&'t self, room: &mut Option<Room<'t>>) {
        if let Some(room) = room {
            // The client frees the room only after the delivery report, and another writer's records may make it: without the
            // time-out a full queue could be waited for without end.
            let _ = tokio::time::timeout(ROOM_WAIT, room).await;
        }
        let mut next = Box::pin(self.room.notified());
        next.as_mut().enable();
        *room = Some(next);
    }

    /// Waits until a number is acknowledged.
    ///
    /// # Errors
    /// Why it never will be.
    pub async fn wait_for(&self, sequence: u64) -> Result<(), Error> {
        let mut acknowledged = self.acknowledged();
        let outcome = acknowledged.wait_for(|acknowledged| *acknowledged >= sequence).await.map(|_| ());
        match (outcome, self.failure()) {
            (_, Some(failure)) => Err(failure),
            (Ok(()), None) => Ok(()),
            (Err(_), None) => Err(Error::internal("a Kafka writer has stopped")),
        }
    }
}

impl State {
    fn advance(&mut self) {
        let mut done = None;
        while let Some(0) = self.open.front() {
            self.open.pop_front();
            done = Some(self.first);
            self.first += 1;
        }
        // After a failure nothing more is acknowledged: a batch before it may have lost records.
        if let (Some(sequence), Some(sender), None) = (done, &self.sender, &self.failure) {
            sender.send_replace(sequence);
        }
    }
}

/// The sequence number of one batch, as it goes with each of its records.
pub(in crate::connectors) struct WriteSequence {
    sequences: Arc<WriteSequences>,
    number: u64,
}

impl WriteSequence {
    /// The batch of that number.
    pub fn new(sequences: Arc<WriteSequences>, number: u64) -> Arc<Self> {
        Arc::new(Self { sequences, number })
    }

    /// A record that nobody waits for.
    pub fn unwatched() -> Arc<Self> {
        let sequences = Arc::new(WriteSequences::default());
        sequences.open(1);
        Self::new(sequences, 1)
    }

    /// A record of it is delivered.
    pub fn done(&self) {
        self.sequences.done(self.number);
    }

    /// A record of it is not delivered.
    pub fn fail(&self, error: Error) {
        self.sequences.fail(error);
        self.sequences.done(self.number);
    }
}
