//! Arrays: DataFusion's functions, each by the names `array_…` and `list_…`.

use super::entry;
use crate::functions::entry::Entry;

const ARRAY: &[&str] = &["anyarray → anyarray"];
const ARRAYS: &[&str] = &["anyarray, anyarray → anyarray"];
const ITEM: &[&str] = &["anyarray, anyelement → boolean"];
const TEST: &[&str] = &["anyarray, anyarray → boolean"];
const TO_NUMBER: &[&str] = &["double precision[] → double precision"];
const TWO_TO_NUMBER: &[&str] = &["double precision[], double precision[] → double precision"];
const NUMBERS: &[&str] = &["double precision[] → double precision[]"];
const TWO_OF_NUMBERS: &[&str] = &["double precision[], double precision[] → double precision[]"];

pub(super) const ENTRIES: &[Entry] = &[
    entry("array_any_value", &["list_any_value"], &["anyarray → anyelement"], "The first item that is not NULL.")
        .example("ARRAY_ANY_VALUE(ARRAY[NULL, 2])", "2"),
    entry("array_compact", &["list_compact"], ARRAY, "The array without its NULLs.")
        .example("ARRAY_COMPACT(ARRAY[1, NULL, 2])", "{1,2}"),
    entry("array_dims", &["list_dims"], &["anyarray → bigint[]"], "How many items the array has in each dimension.")
        .example("ARRAY_DIMS(ARRAY[ARRAY[1, 2, 3], ARRAY[4, 5, 6]])", "{2,3}"),
    entry("array_distinct", &["list_distinct"], ARRAY, "The distinct items of an array.")
        .comparing_items()
        .example("ARRAY_SORT(ARRAY_DISTINCT(ARRAY[1, 2, 1]))", "{1,2}"),
    entry(
        "array_element",
        &["array_extract", "list_element", "list_extract"],
        &["anyarray, bigint → anyelement"],
        "The item at a place, from 1; a negative place counts from the end.",
    )
    .example("ARRAY_ELEMENT(ARRAY[7, 8, 9], -1)", "9"),
    entry(
        "array_except",
        &["list_except"],
        ARRAYS,
        "The distinct items of the first array that the second does not have.",
    )
    .comparing_items()
    .of_one_type()
    .example("ARRAY_EXCEPT(ARRAY[1, 2, 3], ARRAY[2])", "{1,3}"),
    entry("array_has", &["array_contains", "list_contains", "list_has"], ITEM, "Whether the array has the item.")
        .comparing_items()
        .example("ARRAY_CONTAINS(ARRAY[1, 2], 2)", "t"),
    entry("array_has_all", &["list_has_all"], TEST, "Whether the first array has every item of the second.")
        .comparing_items()
        .of_one_type()
        .example("ARRAY_HAS_ALL(ARRAY[1, 2, 3], ARRAY[1, 3])", "t"),
    entry("array_has_any", &["arrays_overlap", "list_has_any"], TEST, "Whether the arrays have an item in common.")
        .comparing_items()
        .of_one_type()
        .example("ARRAY_HAS_ANY(ARRAY[1, 2], ARRAY[2, 3])", "t"),
    entry("array_intersect", &["list_intersect"], ARRAYS, "The distinct items that both arrays have.")
        .comparing_items()
        .of_one_type()
        .example("ARRAY_INTERSECT(ARRAY[1, 2], ARRAY[2, 3])", "{2}"),
    entry("array_max", &["list_max"], &["anyarray → anyelement"], "The greatest item.")
        .comparing_items()
        .example("ARRAY_MAX(ARRAY[1, 3, 2])", "3"),
    entry("array_min", &[], &["anyarray → anyelement"], "The least item.")
        .comparing_items()
        .example("ARRAY_MIN(ARRAY[3, 1, 2])", "1"),
    entry("array_ndims", &["list_ndims"], &["anyarray → bigint"], "How many dimensions the array has.")
        .example("ARRAY_NDIMS(ARRAY[ARRAY[1]])", "2"),
    entry("array_pop_back", &["list_pop_back"], ARRAY, "The array without its last item.")
        .example("ARRAY_POP_BACK(ARRAY[1, 2, 3])", "{1,2}"),
    entry("array_pop_front", &["list_pop_front"], ARRAY, "The array without its first item.")
        .example("ARRAY_POP_FRONT(ARRAY[1, 2, 3])", "{2,3}"),
    entry(
        "array_remove_all",
        &["list_remove_all"],
        &["anyarray, anyelement → anyarray"],
        "The array without the items that are equal to the value.",
    )
    .comparing_items()
    .example("ARRAY_REMOVE_ALL(ARRAY[1, 2, 1], 1)", "{2}"),
    entry(
        "array_remove_n",
        &["list_remove_n"],
        &["anyarray, anyelement, bigint → anyarray"],
        "The array without the first items, so many, that are equal to the value.",
    )
    .comparing_items()
    .example("ARRAY_REMOVE_N(ARRAY[1, 1, 1], 1, 2)", "{1}"),
    entry(
        "array_replace_all",
        &["list_replace_all"],
        &["anyarray, anyelement, anyelement → anyarray"],
        "The array with the third value in place of the items that are equal to the second.",
    )
    .comparing_items()
    .example("ARRAY_REPLACE_ALL(ARRAY[1, 2, 1], 1, 5)", "{5,2,5}"),
    entry(
        "array_replace_n",
        &["list_replace_n"],
        &["anyarray, anyelement, anyelement, bigint → anyarray"],
        "The array with the third value in place of the first items, so many, that are equal to the \
         second.",
    )
    .comparing_items()
    .example("ARRAY_REPLACE_N(ARRAY[1, 1, 1], 1, 5, 2)", "{5,5,1}"),
    entry("array_reverse", &["list_reverse"], ARRAY, "The items in the opposite order.")
        .example("ARRAY_REVERSE(ARRAY[1, 2, 3])", "{3,2,1}"),
    entry(
        "array_slice",
        &["list_slice"],
        &["anyarray, bigint, bigint → anyarray", "anyarray, bigint, bigint, bigint → anyarray"],
        "The items from one place to another, from 1, both among them; each as many places behind \
         the last as the fourth argument says.",
    )
    .example("ARRAY_SLICE(ARRAY[1, 2, 3, 4], 2, 3)", "{2,3}"),
    entry(
        "array_sort",
        &["list_sort"],
        &["anyarray → anyarray", "anyarray, boolean → anyarray", "anyarray, boolean, boolean → anyarray"],
        "The items in order. The second argument says whether they ascend, the third whether NULLs \
         come first; both are written as literals.",
    )
    .comparing_items()
    .example("ARRAY_SORT(ARRAY[2, 3, 1], FALSE)", "{3,2,1}"),
    entry("array_union", &["list_union"], ARRAYS, "The distinct items of both arrays.")
        .comparing_items()
        .of_one_type()
        .example("ARRAY_SORT(ARRAY_UNION(ARRAY[1, 2], ARRAY[2, 3]))", "{1,2,3}"),
    entry(
        "arrays_zip",
        &["list_zip"],
        &["anyarray... → any"],
        "Rows of the items that stand at the same place of each array.",
    )
    .example("CARDINALITY(ARRAYS_ZIP(ARRAY[1, 2], ARRAY['a', 'b']))", "2"),
    entry("cardinality", &[], &["anyarray → bigint", "map → bigint"], "How many items an array has, or entries a map.")
        .example("CARDINALITY(ARRAY[1, 2, 3])", "3"),
    entry("empty", &["array_empty", "list_empty"], &["anyarray → boolean"], "Whether the array has no items.")
        .example("EMPTY(ARRAY[1])", "f"),
    entry("flatten", &[], ARRAY, "One array of the items of the arrays within an array.")
        .example("FLATTEN(ARRAY[ARRAY[1], ARRAY[2, 3]])", "{1,2,3}"),
    entry(
        "make_array",
        &["make_list"],
        &["anyelement... → anyarray"],
        "An array of the values; `ARRAY[…]` is the same.",
    )
    .of_one_type()
    .example("MAKE_ARRAY(1, 2)", "{1,2}"),
    entry(
        "string_to_array",
        &["string_to_list"],
        &["text, text → text[]", "text, text, text → text[]"],
        "The parts of a text that is split at a delimiter; those that are the third text are NULL.",
    )
    .example("STRING_TO_ARRAY('a,b', ',')", "{a,b}"),
];

/// Arrays as vectors.
pub(super) const OF_NUMBERS: &[Entry] = &[
    entry("array_add", &["list_add"], TWO_OF_NUMBERS, "The sums of the numbers at the same places of two arrays.")
        .example("ARRAY_ADD(ARRAY[1.0e0, 2.0e0], ARRAY[3.0e0, 4.0e0])", "{4,6}"),
    entry("array_avg", &["list_avg"], TO_NUMBER, "The average of the numbers that are not NULL.")
        .example("ARRAY_AVG(ARRAY[1.0e0, 2.0e0])", "1.5"),
    entry("array_distance", &["list_distance"], TWO_TO_NUMBER, "The Euclidean distance of two arrays of numbers.")
        .example("ARRAY_DISTANCE(ARRAY[0.0e0, 0.0e0], ARRAY[3.0e0, 4.0e0])", "5"),
    entry(
        "array_normalize",
        &["list_normalize"],
        NUMBERS,
        "The numbers divided by the length of the array as a vector.",
    )
    .example("ARRAY_NORMALIZE(ARRAY[3.0e0, 4.0e0])", "{0.6,0.8}"),
    entry("array_product", &["list_product"], TO_NUMBER, "The product of the numbers that are not NULL.")
        .example("ARRAY_PRODUCT(ARRAY[2.0e0, 3.0e0])", "6"),
    entry(
        "array_scale",
        &["list_scale"],
        &["double precision[], double precision → double precision[]"],
        "Each number of the array times the second argument.",
    )
    .example("ARRAY_SCALE(ARRAY[1.0e0, 2.0e0], 2)", "{2,4}"),
    entry(
        "array_subtract",
        &["list_subtract"],
        TWO_OF_NUMBERS,
        "The differences of the numbers at the same places of two arrays.",
    )
    .example("ARRAY_SUBTRACT(ARRAY[3.0e0], ARRAY[1.0e0])", "{2}"),
    entry("array_sum", &["list_sum"], TO_NUMBER, "The sum of the numbers that are not NULL.")
        .example("ARRAY_SUM(ARRAY[1.0e0, 2.0e0])", "3"),
    entry("cosine_distance", &[], TWO_TO_NUMBER, "1 minus the cosine of the angle between two arrays of numbers.")
        .example("COSINE_DISTANCE(ARRAY[1.0e0, 0.0e0], ARRAY[0.0e0, 1.0e0])", "1"),
    entry(
        "inner_product",
        &["dot_product"],
        TWO_TO_NUMBER,
        "The sum of the products of the numbers at the same places of two arrays.",
    )
    .example("INNER_PRODUCT(ARRAY[1.0e0, 2.0e0], ARRAY[3.0e0, 4.0e0])", "11"),
];
