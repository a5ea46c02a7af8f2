//! How long a failed job waits before it is started again.

use std::time::Duration;

/// The first wait.
pub const FIRST: Duration = Duration::from_millis(250);

/// The longest wait.
pub const LONGEST: Duration = Duration::from_secs(60);

/// A task that ran this long counts as having started well: the next failure begins with the first wait again.
pub const STEADY: Duration = Duration::from_secs(60);

/// The wait after the `failures`-th failure in a row (from 1): doubled each time, up to the longest, less up to a fifth by
/// `jitter` (0 to 1), so that many jobs do not come back at the same moment.
pub fn delay(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(16)));
    doubled.min(LONGEST).mul_f64(1.0 - 0.2 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        assert_eq!(delay(1, 0.0), FIRST);
        assert_eq!(delay(3, 0.0), FIRST * 4);
        assert_eq!(delay(40, 0.0), LONGEST);
        assert_eq!(delay(40, 1.0), LONGEST.mul_f64(0.8));
    }
}
