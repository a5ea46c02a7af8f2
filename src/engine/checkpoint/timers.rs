//! When a coordinator looks at what has changed: the time between barriers, and between looks for new splits.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};

/// How often a topic that is not there yet is looked for.
const AWAITED_INTERVAL: Duration = Duration::from_millis(500);

/// What a coordinator waits for besides its tasks and what is wanted.
pub(super) struct Timers {
    /// Between two barriers.
    pub ticks: Interval,
    /// Of sources whose splits may become more.
    pub discovery: Option<Interval>,
    /// What was never there is looked for more often than what may be new.
    pub first_look: Interval,
}

impl Timers {
    pub async fn begin(interval: Duration, discovery: Option<Duration>) -> Self {
        let discovery = match discovery {
            Some(interval) => Some(ticking(interval).await),
            None => None,
        };
        Self { ticks: ticking(interval).await, discovery, first_look: ticking(AWAITED_INTERVAL).await }
    }
}

/// A timer whose first tick is one interval from now.
async fn ticking(interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    ticks
}

/// What comes of a future that there may be; without one, nothing ever does.
pub(super) async fn if_any<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
