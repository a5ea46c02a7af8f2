//! Maps, rows and choices: DataFusion's functions over what has no type of its own in Postgres.

use super::entry;
use crate::functions::entry::{Entry, Maker};

pub(super) const ENTRIES: &[Entry] = &[
    entry("get_field", &[], &["row, text → any"], "The field of that name of a row.")
        .example("GET_FIELD(NAMED_STRUCT('a', 1), 'a')", "1"),
    entry(
        "map",
        &["make_map"],
        &["anyarray, anyarray → map", "any... → map"],
        "A map of keys and values: of two arrays, or of one after the other.",
    )
    .example("MAP_KEYS(MAP(ARRAY['a', 'b'], ARRAY[1, 2]))", "{a,b}"),
    entry("map_entries", &[], &["map → any"], "The entries of a map, as rows of key and value.")
        .example("CARDINALITY(MAP_ENTRIES(MAP(ARRAY['a'], ARRAY[1])))", "1"),
    entry(
        "map_extract",
        &["element_at"],
        &["map, any → anyarray"],
        "An array with the value of a key; empty if the map has no such key.",
    )
    .example("MAP_EXTRACT(MAP(ARRAY['a'], ARRAY[1]), 'a')", "{1}"),
    entry("map_keys", &[], &["map → anyarray"], "The keys of a map.")
        .example("MAP_KEYS(MAP(ARRAY['a'], ARRAY[1]))", "{a}"),
    entry("map_values", &[], &["map → anyarray"], "The values of a map.")
        .example("MAP_VALUES(MAP(ARRAY['a'], ARRAY[1]))", "{1}"),
    entry("named_struct", &[], &["any... → row"], "A row of names and values, one after the other.")
        .example("GET_FIELD(NAMED_STRUCT('a', 1, 'b', 2), 'b')", "2"),
    entry("nullif", &[], &["anyelement, anyelement → anyelement"], "NULL if both values are equal, else the first.")
        .comparing()
        .of_one_type()
        .example("NULLIF(1, 2)", "1"),
    entry(
        "nvl2",
        &[],
        &["any, anyelement, anyelement → anyelement"],
        "The second value if the first is not NULL, else the third.",
    )
    .example("NVL2(NULL, 'a', 'b')", "b"),
    entry("struct", &["row"], &["any... → row"], "A row of values.").example("ROW(1, 2) = ROW(1, 2)", "t"),
    Entry::public(
        "unnest",
        &["anyarray → anyelement"],
        "A row for each item of an array, in the list of a SELECT or in FROM.",
        Maker::OfLanguage,
    )
    .example("UNNEST(ARRAY[7])", "7"),
];
