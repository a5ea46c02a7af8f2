//! What a transaction has to tell others when it is committed: to which channels it listens then, and what it says on which. Statements add to
//! it, and so do functions, which run on other threads than the session.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Error, Result, SqlState};

/// Bytes of a channel's name, as of any name of Postgres.
const CHANNEL_BYTES_MAX: usize = 63;
/// Bytes of a payload: fewer than Postgres' 8000.
const PAYLOAD_BYTES_MAX: usize = 7_999;
/// Notifications of one transaction; a listener could not hold more.
const NOTIFICATIONS_MAX: usize = super::notifications::WAITING_MAX;

/// A channel and a payload.
type Said = (Arc<str>, Arc<str>);

/// A change of what a session listens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listening {
    /// To this channel from now on.
    To(String),
    /// To this channel no longer, or to none.
    NotTo(Option<String>),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Announcements {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    listening: Vec<Listening>,
    said: Vec<Said>,
    known: HashSet<Said>,
}

/// How much there was to announce, for a savepoint.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mark {
    listening: usize,
    said: usize,
}

impl Announcements {
    /// Adds a change of what the session listens to.
    ///
    /// # Errors
    /// The channel has no name that one can have, or there are too many.
    pub fn listen(&self, change: Listening) -> Result<()> {
        if let Listening::To(channel) = &change {
            check_channel(channel)?;
        }
        let mut inner = self.inner.lock();
        if inner.listening.len() >= NOTIFICATIONS_MAX {
            return Err(too_many());
        }
        inner.listening.push(change);
        Ok(())
    }

    /// Adds something to say; what the transaction says already is said once.
    ///
    /// # Errors
    /// The channel has no name that one can have, the payload is too long, or there are too many.
    pub fn say(&self, channel: &str, payload: &str) -> Result<()> {
        check_channel(channel)?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(Error::invalid("payload string too long").code(SqlState::InvalidParameterValue));
        }
        let mut inner = self.inner.lock();
        let said: Said = (channel.into(), payload.into());
        if inner.known.contains(&said) {
            return Ok(());
        }
        if inner.said.len() >= NOTIFICATIONS_MAX {
            return Err(too_many());
        }
        inner.known.insert(said.clone());
        inner.said.push(said);
        Ok(())
    }

    /// How much there is.
    pub fn mark(&self) -> Mark {
        let inner = self.inner.lock();
        Mark { listening: inner.listening.len(), said: inner.said.len() }
    }

    /// Takes back what was added since.
    pub fn take_back_to(&self, mark: Mark) {
        let inner = &mut *self.inner.lock();
        inner.listening.truncate(mark.listening);
        for said in inner.said.drain(mark.said.min(inner.said.len())..) {
            inner.known.remove(&said);
        }
    }

    /// Takes everything, to announce it.
    pub fn take(&self) -> (Vec<Listening>, Vec<Said>) {
        let inner = std::mem::take(&mut *self.inner.lock());
        (inner.listening, inner.said)
    }
}

fn check_channel(channel: &str) -> Result<()> {
    let wrong = match channel.len() {
        0 => "channel name cannot be empty",
        length if length > CHANNEL_BYTES_MAX => "channel name too long",
        _ => return Ok(()),
    };
    Err(Error::invalid(wrong).code(SqlState::InvalidParameterValue))
}

fn too_many() -> Error {
    Error::invalid(format!("a transaction sends at most {NOTIFICATIONS_MAX} notifications"))
        .code(SqlState::ProgramLimitExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_twice_is_said_once_and_a_savepoint_takes_back_what_came_after_it() {
        let announcements = Announcements::default();
        for payload in ["1", "2", "1"] {
            announcements.say("c", payload).unwrap();
        }
        let mark = announcements.mark();
        announcements.say("c", "3").unwrap();
        announcements.listen(Listening::To("c".to_owned())).unwrap();
        announcements.take_back_to(mark);
        announcements.say("c", "3").unwrap();
        announcements.say("d", "1").unwrap();
        let (listening, said) = announcements.take();
        let said: Vec<String> = said.iter().map(|(channel, payload)| format!("{channel}{payload}")).collect();
        assert!(listening.is_empty() && said == ["c1", "c2", "c3", "d1"], "{said:?}");
        assert!(announcements.take().1.is_empty());
    }

    #[test]
    fn names_and_payloads_are_bounded() {
        let announcements = Announcements::default();
        let message = |outcome: Result<()>| outcome.unwrap_err().message().to_owned();
        assert_eq!(message(announcements.say("", "")), "channel name cannot be empty");
        assert_eq!(message(announcements.say(&"c".repeat(64), "")), "channel name too long");
        assert_eq!(message(announcements.say("c", &"x".repeat(8000))), "payload string too long");
        for number in 0..NOTIFICATIONS_MAX {
            announcements.say("c", &number.to_string()).unwrap();
        }
        assert!(announcements.say("c", "7").is_ok());
        assert_eq!(announcements.say("c", "x").unwrap_err().sqlstate(), SqlState::ProgramLimitExceeded);
    }
}
