//! LISTEN, UNLISTEN and NOTIFY of a session: they take effect with its commit.

use super::Session;
use crate::sql::activity::{Listening, Mark, Notification};

impl Session {
    /// Tells others what the transaction that is committed now has to tell them. It listens first, so that it hears itself.
    pub(super) fn announce(&self) {
        let backend = self.backend();
        let (listening, said) = backend.announcements.take();
        let channels = &self.server.activity.channels;
        for change in listening {
            match change {
                Listening::To(channel) => channels.listen(&channel, &backend.mailbox),
                Listening::NotTo(channel) => channels.unlisten(channel.as_deref(), &backend.mailbox),
            }
        }
        let notification = |(channel, payload)| Notification { process_id: backend.process_id, channel, payload };
        let said: Vec<Notification> = said.into_iter().map(notification).collect();
        if !said.is_empty() {
            channels.publish(&said);
        }
    }

    /// The transaction has nothing to tell: it is rolled back.
    pub(super) fn take_back_announcements(&self) {
        self.backend().announcements.take_back_to(Mark::default());
    }

    /// Listens to nothing any more, at once.
    pub fn unlisten_all(&self) {
        self.server.activity.channels.unlisten(None, &self.backend().mailbox);
    }
}
