//! Sockets that have not opened a session yet. Whoever only connects and says nothing must not keep others out: when all places
//! are taken, the one that has waited the longest gives its place to the next that comes.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The places before a session is open. Cheap to clone.
#[derive(Clone)]
pub struct Starting {
    waiting: Arc<Mutex<Waiting>>,
    max: usize,
}

#[derive(Default)]
struct Waiting {
    /// In the order in which they came.
    tokens: BTreeMap<u64, CancellationToken>,
    last: u64,
}

/// One socket's place.
pub struct StartingPlace {
    starting: Starting,
    number: u64,
    token: CancellationToken,
}

impl Starting {
    /// So many places.
    pub fn new(max: usize) -> Self {
        Self { waiting: Arc::default(), max: max.max(1) }
    }

    /// Takes a place, if need be the one of whoever has waited the longest.
    pub fn enter(&self) -> StartingPlace {
        let token = CancellationToken::new();
        let mut waiting = self.waiting.lock();
        while waiting.tokens.len() >= self.max
            && let Some((_, longest)) = waiting.tokens.pop_first()
        {
            longest.cancel();
        }
        waiting.last += 1;
        let number = waiting.last;
        waiting.tokens.insert(number, token.clone());
        StartingPlace { starting: self.clone(), number, token }
    }
}

impl StartingPlace {
    /// Waits until the place is needed by another.
    pub async fn given_up(&self) {
        self.token.cancelled().await;
    }
}

impl Drop for StartingPlace {
    fn drop(&mut self) {
        self.starting.waiting.lock().tokens.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_waiting_gives_its_place() {
        let starting = Starting::new(2);
        let (first, second) = (starting.enter(), starting.enter());
        assert!(!first.token.is_cancelled());
        let third = starting.enter();
        assert!(first.token.is_cancelled() && !second.token.is_cancelled());
        drop((first, second));
        let fourth = starting.enter();
        assert!(!third.token.is_cancelled() && !fourth.token.is_cancelled());
    }
}
