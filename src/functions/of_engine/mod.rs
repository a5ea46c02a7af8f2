//! Entries of DataFusion's own functions, for those that statements may call: what they take and do, in words of SQL. What it has beside
//! them stands in [`LEFT_OUT`]. A function of our own with the same name has its entry beside it, and none here.

mod arrays;
mod maps;
mod math;
mod text;
mod times;

use super::entry::{Entry, Maker};

/// The entries.
pub(super) const FAMILIES: &[&[Entry]] =
    &[arrays::ENTRIES, arrays::OF_NUMBERS, maps::ENTRIES, math::ENTRIES, text::ENTRIES, times::ENTRIES];

/// Functions of DataFusion that no statement can call: about files, metadata and types that no table has, and those of a Postgres name
/// that do something else. `version` is Postgres' here.
pub(super) const LEFT_OUT: &[&str] = &[
    "arrow_cast",
    "arrow_field",
    "arrow_metadata",
    "arrow_try_cast",
    "arrow_typeof",
    "cast_to_type",
    "file_row_index",
    "input_file_name",
    "to_char",
    "to_local_time",
    "try_cast_to_type",
    "union_extract",
    "union_tag",
    "version",
    "with_metadata",
];

const fn entry(
    name: &'static str,
    aliases: &'static [&'static str],
    signatures: &'static [&'static str],
    documentation: &'static str,
) -> Entry {
    Entry::public(name, signatures, documentation, Maker::OfEngine).aliases(aliases)
}
