//! Logins that failed, by the address that they came from: how long the next answer takes, and when there is none for a while.
//! What a reader would get wrong: an IPv6 client may have 2⁶⁴ addresses, so these count by their network.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use hashlink::LruCache;
use parking_lot::Mutex;

use crate::error::{Error, Result, SqlState};

/// Addresses that are remembered; of more, those that failed the longest ago are forgotten.
const ADDRESSES_MAX: usize = 10_000;
/// Without a failure for so long, an address has a clean sheet.
const FORGOTTEN_AFTER_MS: i64 = 60_000;
/// The longest delay of an answer.
const DELAY_MAX: Duration = Duration::from_secs(4);

/// The failures of all addresses.
pub struct Attempts {
    failures: Mutex<LruCache<IpAddr, Failures>>,
    max: u32,
    delay: Duration,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last_ms: i64,
}

impl Attempts {
    /// `max`: failures within a minute after which an address is turned away; `delay`: of the answer to the first one.
    pub fn new(max: u32, delay: Duration) -> Self {
        Self { failures: Mutex::new(LruCache::new(ADDRESSES_MAX)), max: max.max(1), delay }
    }

    /// Whether somebody there may try.
    ///
    /// # Errors
    /// 28000: too many have failed.
    pub fn admit(&self, address: IpAddr, now_ms: i64) -> Result<()> {
        let failed = self.failures.lock().peek(&network(address)).copied();
        match failed {
            Some(Failures { count, last_ms }) if count >= self.max && now_ms - last_ms < FORGOTTEN_AFTER_MS => {
                Err(Error::denied("too many failed logins from this address")
                    .code(SqlState::InvalidAuthorizationSpecification)
                    .hint("Try again in a minute."))
            }
            _ => Ok(()),
        }
    }

    /// Notes a failure; gives how long its answer is to wait.
    pub fn failed(&self, address: IpAddr, now_ms: i64) -> Duration {
        let mut failures = self.failures.lock();
        let network = network(address);
        let before = failures.get(&network).filter(|failed| now_ms - failed.last_ms < FORGOTTEN_AFTER_MS);
        let count = before.map_or(0, |failed| failed.count).saturating_add(1);
        failures.insert(network, Failures { count, last_ms: now_ms });
        self.delay.saturating_mul(1_u32.checked_shl(count - 1).unwrap_or(u32::MAX)).min(DELAY_MAX)
    }

    /// Forgets the failures of an address.
    pub fn succeeded(&self, address: IpAddr) {
        self.failures.lock().remove(&network(address));
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
        other => other,
    }
}

#[cfg(test)]
mod tests;
