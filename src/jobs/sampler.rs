//! Ends the intervals over which jobs' rates are averages, whether or not anybody looks: a rate is of the last second, and a job
//! that waits has none.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;

/// A little longer than the shortest interval of a rate.
const EVERY: Duration = Duration::from_millis(1050);

/// Calls `sample` about once a second until it says that nobody is left.
pub(super) fn start(runtime: &Handle, sample: impl Fn() -> bool + Send + 'static) {
    runtime.spawn(async move {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if !sample() {
                return;
            }
        }
    });
}
