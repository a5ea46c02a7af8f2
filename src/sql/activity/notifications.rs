//! LISTEN and NOTIFY: who listens to what, and what waits for whom. A session's notifications wait in its mailbox, which is bounded: one whose
//! client does not take them loses all of them and is ended, rather than miss some without a word.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Notifications that may wait for one session.
pub const WAITING_MAX: usize = 10_000;
/// Bytes of them.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// What a listener is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Of the session that told it; 0: the server itself.
    pub process_id: i32,
    /// On which channel.
    pub channel: Arc<str>,
    /// What was said.
    pub payload: Arc<str>,
}

/// What waits for one session.
#[derive(Debug, Default)]
pub struct Mailbox {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    notifications: VecDeque<Notification>,
    bytes: usize,
    is_lost: bool,
}

/// Too many notifications waited: all are gone.
#[derive(Debug, PartialEq, Eq)]
pub struct Lost;

impl Mailbox {
    fn put(&self, notification: &Notification) {
        let mut waiting = self.waiting.lock();
        if waiting.is_lost {
            return;
        }
        waiting.bytes += notification.payload.len() + notification.channel.len();
        waiting.notifications.push_back(notification.clone());
        if waiting.notifications.len() > WAITING_MAX || waiting.bytes > WAITING_BYTES_MAX {
            *waiting = Waiting { is_lost: true, ..Waiting::default() };
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Takes what waits.
    ///
    /// # Errors
    /// It was too much.
    pub fn take(&self) -> Result<VecDeque<Notification>, Lost> {
        let mut waiting = self.waiting.lock();
        if waiting.is_lost {
            return Err(Lost);
        }
        waiting.bytes = 0;
        Ok(std::mem::take(&mut waiting.notifications))
    }

    /// Whether it was too much.
    pub fn is_lost(&self) -> bool {
        self.waiting.lock().is_lost
    }

    /// Waits until something may have come.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }
}

/// Who listens to what.
#[derive(Debug, Default)]
pub struct Channels {
    listeners: Mutex<BTreeMap<String, Vec<Arc<Mailbox>>>>,
}

impl Channels {
    /// Has a mailbox get what is said on a channel; once, however often it is called.
    pub fn listen(&self, channel: &str, mailbox: &Arc<Mailbox>) {
        let mut listeners = self.listeners.lock();
        let mailboxes = listeners.entry(channel.to_owned()).or_default();
        if !mailboxes.iter().any(|known| Arc::ptr_eq(known, mailbox)) {
            mailboxes.push(Arc::clone(mailbox));
        }
    }

    /// It gets no more of a channel; of none, if no channel is given.
    pub fn unlisten(&self, channel: Option<&str>, mailbox: &Arc<Mailbox>) {
        self.listeners.lock().retain(|name, mailboxes| {
            if channel.is_none_or(|channel| channel == name) {
                mailboxes.retain(|known| !Arc::ptr_eq(known, mailbox));
            }
            !mailboxes.is_empty()
        });
    }

    /// The channels that a mailbox gets, by name.
    pub fn of(&self, mailbox: &Arc<Mailbox>) -> Vec<String> {
        let listeners = self.listeners.lock();
        let of = |mailboxes: &[Arc<Mailbox>]| mailboxes.iter().any(|known| Arc::ptr_eq(known, mailbox));
        listeners.iter().filter(|(_, mailboxes)| of(mailboxes)).map(|(name, _)| name.clone()).collect()
    }

    /// Says things to all who listen, one after the other: every listener hears them in this order, and nothing in between.
    pub fn publish(&self, notifications: &[Notification]) {
        let listeners = self.listeners.lock();
        for notification in notifications {
            for mailbox in listeners.get(&*notification.channel).into_iter().flatten() {
                mailbox.put(notification);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(channel: &str, payload: &str) -> Notification {
        Notification { process_id: 1, channel: channel.into(), payload: payload.into() }
    }

    #[test]
    fn listeners_hear_their_channels_in_order_until_they_do_not_listen() {
        let (channels, one, other) = (Channels::default(), Arc::default(), Arc::default());
        channels.listen("a", &one);
        channels.listen("a", &one);
        channels.listen("b", &other);
        let said = [notification("a", "1"), notification("b", "2"), notification("a", "3")];
        channels.publish(&said);
        assert_eq!(one.take().unwrap(), [said[0].clone(), said[2].clone()]);
        assert_eq!(other.take().unwrap(), [said[1].clone()]);
        channels.listen("c", &one);
        assert_eq!(channels.of(&one), ["a", "c"]);
        channels.unlisten(Some("a"), &one);
        assert_eq!(channels.of(&one), ["c"]);
        channels.unlisten(None, &one);
        channels.publish(&said);
        assert!(one.take().unwrap().is_empty() && channels.of(&one).is_empty());
    }

    #[test]
    fn who_does_not_take_what_waits_is_told_that_it_is_lost() {
        let (channels, slow) = (Channels::default(), Arc::default());
        channels.listen("a", &slow);
        let many: Vec<Notification> = (0..WAITING_MAX).map(|_| notification("a", "x")).collect();
        channels.publish(&many);
        assert_eq!(slow.take().unwrap().len(), WAITING_MAX);
        channels.publish(&many);
        channels.publish(&many[..1]);
        assert_eq!(slow.take(), Err(Lost));
        let large = notification("a", &"x".repeat(WAITING_BYTES_MAX));
        let slow = Arc::default();
        channels.listen("a", &slow);
        channels.publish(&[large]);
        assert_eq!(slow.take(), Err(Lost));
    }
}
