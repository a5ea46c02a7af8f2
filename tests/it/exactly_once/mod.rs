//! Jobs of the real binary under faults, against an oracle: the same SQL as a bounded query over the log, and a computation of our own
//! over the generated orders. What is promised stands in docs/exactly-once.md. `STREAMGATE_TEST_LONG=20 cargo test --test it -- exactly_once`
//! runs the long part: that many seeds of each kill point, and kills at random for ten minutes.

mod check;
mod disks;
mod kills;
mod mutants;
mod outages;
mod workload;

/// How many seeds the long part is to run; absent: the short one.
fn long() -> Option<u64> {
    std::env::var("STREAMGATE_TEST_LONG").ok().map(|seeds| seeds.parse().unwrap_or(20))
}
