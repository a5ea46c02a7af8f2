//! The one list of scalar functions: a line for each file of them. The planner, names of stored dataflows, hints of near names, pg_proc,
//! SHOW FUNCTIONS and docs/reference/functions.md read it. Aggregates and window functions have lists of the same kind (`aggregations`,
//! `windows`), and so have schemas that bring functions of their own.
//! A tree that the server wrote calls an internal function by [`in_tree`]: no statement can write such a name.

use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::ScalarUDF;

use super::entry::{Compares, Entry, Maker, Registry};
#[cfg(test)]
use super::shout;
use super::{
    age, array_edit, as_written, at_time_zone, bounded, by_place, coalesce, coercion, concat_ws, date_bin, date_format,
    date_trunc, datetime_input, decimal_divide, decimal_multiply, expand_array, flink_math, float_key, format_text,
    instant_plus, integers, interval_input, interval_math, intervals, json, nulls, numeric, of_engine, operator_chain,
    order_key, parse_ident, patterns, quoting, regexp_rows, round, rounding, seconds, sleep, split_index, substring,
    text_input, text_length, text_number, time, timestamp_precision, to_char, to_timestamp, value_text,
};
use crate::clock::Clock;

/// The one that takes the casts within arrays and rows from the rules of casts, which need it themselves.
const OF_CASTS: &[Entry] = &[Entry::internal(
    by_place::NAME,
    "CAST and assignment of arrays, maps and rows.",
    Maker::Plain(|| by_place::by_place(coercion::rewrite_all)),
)
.stable()];

/// A line for each file of functions.
const FAMILIES: &[&[Entry]] = &[
    OF_CASTS,
    age::ENTRIES,
    array_edit::ENTRIES,
    as_written::ENTRIES,
    at_time_zone::ENTRIES,
    bounded::ENTRIES,
    coalesce::ENTRIES,
    concat_ws::ENTRIES,
    date_bin::ENTRIES,
    date_format::ENTRIES,
    date_trunc::ENTRIES,
    datetime_input::ENTRIES,
    decimal_divide::ENTRIES,
    decimal_multiply::ENTRIES,
    expand_array::ENTRIES,
    flink_math::ENTRIES,
    float_key::ENTRIES,
    format_text::ENTRIES,
    instant_plus::ENTRIES,
    integers::ENTRIES,
    interval_input::ENTRIES,
    interval_math::ENTRIES,
    intervals::ENTRIES,
    json::access::ENTRIES,
    json::build::ENTRIES,
    json::edit::ENTRIES,
    json::input::ENTRIES,
    json::items::ENTRIES,
    nulls::ENTRIES,
    numeric::ENTRIES,
    operator_chain::ENTRIES,
    order_key::ENTRIES,
    parse_ident::ENTRIES,
    patterns::ENTRIES,
    quoting::ENTRIES,
    regexp_rows::ENTRIES,
    round::ENTRIES,
    rounding::ENTRIES,
    seconds::ENTRIES,
    #[cfg(test)]
    shout::ENTRIES,
    sleep::ENTRIES,
    split_index::ENTRIES,
    substring::ENTRIES,
    text_input::ENTRIES,
    text_length::ENTRIES,
    text_number::ENTRIES,
    time::ENTRIES,
    timestamp_precision::ENTRIES,
    to_char::ENTRIES,
    to_timestamp::ENTRIES,
    value_text::ENTRIES,
];

static SCALARS: LazyLock<Registry<Maker>> =
    LazyLock::new(|| Registry::of(FAMILIES.iter().chain(of_engine::FAMILIES).copied()));

/// All scalar functions.
pub fn scalars() -> &'static Registry<Maker> {
    &SCALARS
}

impl Entry<Maker> {
    /// Makes the function, if it is one of our own. One of the clock is volatile, or means the moment at which `clock` stands.
    pub fn make(&self, clock: &Arc<dyn Clock>, volatile: bool) -> Option<Arc<ScalarUDF>> {
        match self.maker {
            Maker::Plain(make) => Some(make()),
            Maker::OfClock(make) => Some(make(clock, volatile)),
            Maker::OfEngine | Maker::OfLanguage => None,
        }
    }
}

/// All our own functions, internal ones too; those of the clock in their volatile form.
pub fn all(clock: &Arc<dyn Clock>) -> Vec<Arc<ScalarUDF>> {
    scalars().entries().filter_map(|entry| entry.make(clock, true)).collect()
}

/// Whether a function of DataFusion of that name cannot be called here.
pub fn is_left_out(name: &str) -> bool {
    of_engine::LEFT_OUT.contains(&name)
}

/// What a function compares by what its arguments hold.
pub fn compares(name: &str) -> Compares {
    scalars().find(name).map_or(Compares::Nothing, |entry| entry.compares)
}

/// Whether the arguments of a function take one type.
pub fn is_of_one_type(name: &str) -> bool {
    scalars().find(name).is_some_and(|entry| entry.is_of_one_type)
}

/// No text of a statement has this character, which Postgres does not know either.
const MARK: char = '\0';

/// The name by which a tree calls an internal function.
pub fn in_tree(name: &str) -> String {
    format!("{MARK}{name}")
}

/// The internal function that a tree calls, if the name is one of [`in_tree`].
pub fn of_tree(name: &str) -> Option<&str> {
    name.strip_prefix(MARK)
}
