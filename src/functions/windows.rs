//! Entries of the window functions: functions that are called with OVER only. Aggregates can be called so, too.

use std::sync::LazyLock;

use super::entry::{Entry, Registry};

const fn entry(name: &'static str, signatures: &'static [&'static str], documentation: &'static str) -> Entry<()> {
    Entry::public(name, signatures, documentation, ())
}

const BESIDE: &[&str] =
    &["anyelement → anyelement", "anyelement, bigint → anyelement", "anyelement, bigint, anyelement → anyelement"];

const ENTRIES: &[Entry<()>] = &[
    entry(
        "cume_dist",
        &["→ double precision"],
        "The share of the partition's rows that come before the row or are its equals.",
    ),
    entry("dense_rank", &["→ bigint"], "The rank of the row, without gaps behind equals."),
    entry("first_value", &["anyelement → anyelement"], "The value of the first row of the frame."),
    entry(
        "lag",
        BESIDE,
        "The value of the row so many rows before, 1 unless it is said; the third argument where \
         there is none.",
    ),
    entry("last_value", &["anyelement → anyelement"], "The value of the last row of the frame."),
    entry(
        "lead",
        BESIDE,
        "The value of the row so many rows behind, 1 unless it is said; the third argument where \
         there is none.",
    ),
    entry(
        "nth_value",
        &["anyelement, bigint → anyelement"],
        "The value of the row of that number, from 1, of the frame.",
    ),
    entry(
        "ntile",
        &["bigint → bigint"],
        "The number of the row's part, from 1, where the partition is cut into so many.",
    ),
    entry("percent_rank", &["→ double precision"], "The rank of the row as a number from 0 to 1."),
    entry("rank", &["→ bigint"], "The rank of the row: one more than rows come before it."),
    entry("row_number", &["→ bigint"], "The number of the row in its partition, from 1."),
];

static WINDOWS: LazyLock<Registry<()>> = LazyLock::new(|| Registry::of([ENTRIES]));

/// All window functions.
pub fn windows() -> &'static Registry<()> {
    &WINDOWS
}
