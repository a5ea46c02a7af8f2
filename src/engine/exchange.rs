//! Rows and watermarks between tasks: rows are split by key group on the sending side, barriers are aligned on the receiving side.
//! Channels are short and bounded, one for each pair of tasks: a full one holds its sender up, a channel whose barrier has come
//! is not read until the others' have, which is all that alignment is.

use std::task::Poll;

use datafusion::arrow::array::{ArrayRef, UInt32Array};
use tokio::sync::mpsc;

use super::key_group::{key_groups, owner_of};
use super::watermark::Watermark;
use crate::changelog::ChangeBatch;
use crate::error::{Error, Result};

/// Messages that wait in a channel at most.
const CHANNEL_MESSAGES_MAX: usize = 8;

/// What goes from task to task.
#[derive(Debug)]
pub enum Message {
    /// Rows.
    Rows(ChangeBatch),
    /// How far the event time of the rows is that the sending task gives on this edge.
    Watermark(Watermark),
    /// Everything of the epoch was sent.
    Barrier(u64),
    /// Nothing follows.
    End,
}

/// A channel from one task to another.
pub fn channel() -> (mpsc::Sender<Message>, mpsc::Receiver<Message>) {
    mpsc::channel(CHANNEL_MESSAGES_MAX)
}

/// The sending side of one edge in one task.
#[derive(Clone)]
pub struct Output {
    keys: Vec<usize>,
    /// By task of the receiving stage.
    senders: Vec<mpsc::Sender<Message>>,
}

impl Output {
    /// Rows go to the sender that owns their key's group.
    pub fn new(keys: Vec<usize>, senders: Vec<mpsc::Sender<Message>>) -> Self {
        Self { keys, senders }
    }

    /// Sends rows; waits where a receiver is behind.
    ///
    /// # Errors
    /// A receiving task has ended.
    pub async fn send(&self, batch: &ChangeBatch) -> Result<()> {
        let parallelism = self.senders.len();
        let columns: Vec<ArrayRef> = self.keys.iter().map(|key| batch.rows().column(*key).clone()).collect();
        let mut indices: Vec<Vec<u32>> = vec![Vec::new(); parallelism];
        for (row, group) in key_groups(&columns, batch.len())?.into_iter().enumerate() {
            indices[owner_of(group, parallelism)].push(row as u32);
        }
        for (sender, indices) in self.senders.iter().zip(indices) {
            let part = match indices.len() {
                0 => continue,
                all if all == batch.len() => batch.clone(),
                _ => batch.take(&UInt32Array::from(indices))?,
            };
            sender.send(Message::Rows(part)).await.map_err(|_| gone())?;
        }
        Ok(())
    }

    /// Sends the same message to all tasks.
    ///
    /// # Errors
    /// A receiving task has ended.
    pub async fn broadcast(&self, message: impl Fn() -> Message) -> Result<()> {
        for sender in &self.senders {
            sender.send(message()).await.map_err(|_| gone())?;
        }
        Ok(())
    }
}

fn gone() -> Error {
    Error::unavailable("a task that takes rows has ended")
}

/// Where rows enter a task: an input of one of its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Place of the node in its task.
    pub place: usize,
    /// Place among the node's inputs.
    pub input: usize,
}

/// The receiving side of all edges into one task.
#[derive(Default)]
pub struct Inputs {
    channels: Vec<Channel>,
    /// Where the next look begins, so that no channel is preferred.
    turn: usize,
}

struct Channel {
    /// What takes the rows.
    entry: Entry,
    receiver: mpsc::Receiver<Message>,
    state: ChannelState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChannelState {
    Open,
    /// Its barrier has come.
    AtBarrier(u64),
    Ended,
}

/// What a task takes from its channels.
#[derive(Debug)]
pub enum Received {
    /// Rows for a node of the task.
    Rows(Entry, ChangeBatch),
    /// How far the rows of a channel (by its place) are, for a node of the task.
    Watermark(Entry, usize, Watermark),
    /// A channel has reached a barrier: alignment may be complete.
    Barrier,
    /// A channel (by its place) has ended: nothing comes of it any more, and nobody waits for its barrier or its watermark.
    Ended(Entry, usize),
}

impl Inputs {
    /// Adds a channel whose rows enter at `entry`.
    pub fn add(&mut self, entry: Entry, receiver: mpsc::Receiver<Message>) {
        self.channels.push(Channel { entry, receiver, state: ChannelState::Open });
    }

    /// Where the rows of each channel enter, by the channel's place.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.channels.iter().map(|channel| channel.entry)
    }

    /// Whether all channels have ended (or there are none).
    pub fn have_ended(&self) -> bool {
        self.channels.iter().all(|channel| channel.state == ChannelState::Ended)
    }

    /// Whether every channel has brought the barrier of `epoch`, or ended.
    pub fn are_aligned(&self, epoch: u64) -> bool {
        self.channels.iter().all(|channel| match channel.state {
            ChannelState::Open => false,
            ChannelState::AtBarrier(reached) => reached == epoch,
            ChannelState::Ended => true,
        })
    }

    /// The barrier is past: all channels are read again.
    pub fn resume(&mut self) {
        for channel in &mut self.channels {
            if matches!(channel.state, ChannelState::AtBarrier(_)) {
                channel.state = ChannelState::Open;
            }
        }
    }

    /// The next message of a channel that is read; waits without end while there is none. Cancel safe.
    ///
    /// # Errors
    /// A sending task has ended without saying so.
    pub async fn next(&mut self) -> Result<Received> {
        std::future::poll_fn(|context| {
            let count = self.channels.len();
            for step in 0..count {
                let place = (self.turn + step) % count;
                let channel = &mut self.channels[place];
                if channel.state != ChannelState::Open {
                    continue;
                }
                if let Poll::Ready(message) = channel.receiver.poll_recv(context) {
                    self.turn = (place + 1) % count;
                    return Poll::Ready(match message {
                        Some(Message::Rows(batch)) => Ok(Received::Rows(channel.entry, batch)),
                        Some(Message::Watermark(watermark)) => Ok(Received::Watermark(channel.entry, place, watermark)),
                        Some(Message::Barrier(epoch)) => {
                            channel.state = ChannelState::AtBarrier(epoch);
                            Ok(Received::Barrier)
                        }
                        Some(Message::End) => {
                            channel.state = ChannelState::Ended;
                            Ok(Received::Ended(channel.entry, place))
                        }
                        None => Err(Error::unavailable("a task that gives rows has ended")),
                    });
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests;
