//! The oracle: a job over logs that a seed makes, with random batches, barriers, kills, restarts with other numbers of tasks
//! and savepoints, must have written in the end what the same SQL gives as a bounded query over the rows that are live then.
//! A new operator is covered by adding its SQL to `queries`.
//!
//! `STREAMGATE_TEST_CASES=50` runs as many cases of each query and kind of source. A failure names its query and seed:
//! `STREAMGATE_TEST_QUERY=rollup STREAMGATE_TEST_SEED=17` runs that one alone; times are real, so that it may take a few tries
//! (then `STREAMGATE_TEST_CASES` is how often).

mod compare;
mod explain;
mod job;
mod log;
mod queries;
mod sink;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::job::Job;
use self::log::Log;
use self::queries::{QUERIES, Query};
use crate::changelog::Changelog;
use crate::engine::state::spill::SPILLED;

/// Cases that run at the same time; they sleep most of the time.
const THREADS: usize = 6;

/// Cases of each query and kind of source, unless the environment says otherwise.
const CASES: u64 = 2;

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn cases() -> u64 {
    number_of("STREAMGATE_TEST_CASES").unwrap_or(CASES)
}

/// The queries by name, and the seed.
type Case = (Vec<&'static Query>, u64);

/// Each of these is run with this many seeds.
fn cases_of(queries: impl Iterator<Item = Vec<&'static Query>>, count: u64) -> Vec<Case> {
    let only = std::env::var("STREAMGATE_TEST_QUERY").ok();
    let seed = number_of("STREAMGATE_TEST_SEED");
    let name = |queries: &[&Query]| queries.iter().map(|query| query.name).collect::<Vec<_>>().join("+");
    queries
        .filter(|queries| only.as_ref().is_none_or(|only| *only == name(queries)))
        .flat_map(|queries| (0..count).map(move |number| (queries.clone(), seed.unwrap_or(number))))
        .collect()
}

fn run_all(changelog: Option<Changelog>, cases: &[Case]) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((queries, seed)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(failure) = failure_of(changelog, queries, *seed) {
                        failures.lock().push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner();
    println!("keys that went to disk so far: {:?}", SPILLED.lock());
    assert!(failures.is_empty(), "{} of {} cases\n\n{}", failures.len(), cases.len(), failures.join("\n\n"));
}

fn failure_of(changelog: Option<Changelog>, queries: &[&'static Query], seed: u64) -> Option<String> {
    let names = queries.iter().map(|query| query.name).collect::<Vec<_>>().join("+");
    // The same seed means something else for every query.
    let mixed = format!("{names} {changelog:?}")
        .bytes()
        .fold(seed, |mixed, byte| mixed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut random = StdRng::seed_from_u64(mixed);
    let kinds = [Changelog::Append, Changelog::Upsert, Changelog::Retract];
    let is_endless = random.random_bool(0.4);
    let mut log = |name: &str| {
        let any = kinds[random.random_range(0..kinds.len())];
        let rows = random.random_range(60..400);
        Log::generate(name, changelog.unwrap_or(any), rows, is_endless, random.random())
    };
    let logs = vec![log("orders"), log("refunds")];
    let seed_of_job = random.random();
    let plain = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let planned = catch_unwind(AssertUnwindSafe(|| plain.block_on(Job::new(logs, queries, seed_of_job))));
    let head = format!("{names} over {changelog:?}: STREAMGATE_TEST_QUERY={names} STREAMGATE_TEST_SEED={seed}");
    let mut job = match planned {
        Ok(job) => job,
        Err(panic) => return Some(format!("{head}\n{}", text_of(panic.as_ref()))),
    };
    let ran = catch_unwind(AssertUnwindSafe(|| job.run()));
    let mut lines = Vec::new();
    match ran {
        Err(panic) => lines.push(text_of(panic.as_ref())),
        Ok(()) => {
            for insert in &job.inserts {
                let expected = plain.block_on(compare::expected(insert.query.sql, &job.logs));
                lines.extend(compare::difference(insert, &expected));
            }
        }
    }
    (!lines.is_empty()).then(|| format!("{head}\n{}\n{}", job.story.join("\n"), lines.join("\n")))
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without text").to_owned()
}

fn each_query() -> impl Iterator<Item = Vec<&'static Query>> {
    QUERIES.iter().map(|query| vec![query])
}

#[test]
fn jobs_over_inserts_give_what_a_bounded_query_gives() {
    run_all(Some(Changelog::Append), &cases_of(each_query(), cases()));
}

#[test]
fn jobs_over_changes_by_key_give_what_a_bounded_query_gives() {
    run_all(Some(Changelog::Upsert), &cases_of(each_query(), cases()));
    // Over these logs there is every operator that keeps state, and each of them had too little room.
    if std::env::var("STREAMGATE_TEST_QUERY").is_err() {
        for operator in ["a group aggregate", "a materialisation", "a normalisation"] {
            assert!(SPILLED.lock().get(operator).is_some_and(|keys| *keys > 100), "{operator} has not spilled");
        }
    }
}

#[test]
fn jobs_over_changes_in_full_give_what_a_bounded_query_gives() {
    run_all(Some(Changelog::Retract), &cases_of(each_query(), cases()));
}

#[test]
fn jobs_of_several_inserts_give_what_bounded_queries_give() {
    let sets = (0..10 * cases()).map(|seed| {
        let mut random = StdRng::seed_from_u64(seed);
        let count = random.random_range(2..=4);
        (0..count).map(|_| &QUERIES[random.random_range(0..QUERIES.len())]).collect()
    });
    let sets: Vec<Vec<&'static Query>> = sets.collect();
    run_all(None, &cases_of(sets.into_iter(), 1));
}
