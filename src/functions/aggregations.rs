//! The one list of aggregates: names, what of a call they heed, whether jobs keep them up to date. Our own have their entries beside
//! them. Knows nothing of how jobs keep them; what calls mean is in `aggregates`.

use std::sync::LazyLock;

use datafusion::logical_expr::AggregateUDF;

use super::entry::{Aggregation, Entry, Registry};
use super::{distinct_lists, exact_sums, extremes};

const OF_QUERIES: Aggregation = Aggregation::OF_QUERIES;
const OF_JOBS: Aggregation = Aggregation::OF_JOBS;

const fn entry(
    name: &'static str,
    aliases: &'static [&'static str],
    signatures: &'static [&'static str],
    documentation: &'static str,
    aggregation: Aggregation,
) -> Entry<Aggregation> {
    Entry::public(name, signatures, documentation, aggregation).aliases(aliases)
}

const NUMBER: &[&str] = &["double precision → double precision"];
const PAIR: &[&str] = &["double precision, double precision → double precision"];
const VALUE: &[&str] = &["anyelement → anyelement"];
const BITS: &[&str] = &["bigint → bigint"];
const BOOLEAN: &[&str] = &["boolean → boolean"];

/// DataFusion's that jobs keep up to date.
const KEPT: &[Entry<Aggregation>] = &[
    entry("any_value", &[], VALUE, "The first value that is not NULL.", OF_JOBS.whatever_distinct())
        .example("ANY_VALUE(x)", "1"),
    entry(
        "approx_distinct",
        &["approx_count_distinct"],
        &["any → bigint"],
        "About how many distinct values there are; jobs count exactly.",
        OF_JOBS,
    )
    .example("APPROX_COUNT_DISTINCT(x)", "2"),
    entry("bool_and", &["every"], BOOLEAN, "Whether all values are true.", OF_JOBS.whatever_distinct())
        .example("BOOL_AND(x > 0)", "t"),
    entry("bool_or", &[], BOOLEAN, "Whether a value is true.", OF_JOBS.whatever_distinct())
        .example("BOOL_OR(x > 1)", "t"),
    entry(
        "count",
        &[],
        &["→ bigint", "any → bigint"],
        "How many rows there are (`COUNT(*)`), or values that are not NULL.",
        OF_JOBS,
    )
    .example("COUNT(DISTINCT x)", "2"),
    entry(
        "first_value",
        &[],
        VALUE,
        "The first value in an order, else by arrival; NULLs are left out unless RESPECT NULLS is \
         written.",
        OF_JOBS.whatever_distinct().in_order(),
    )
    .example("FIRST_VALUE(x ORDER BY x)", "1"),
    entry(
        "last_value",
        &[],
        VALUE,
        "The last value in an order, else by arrival; NULLs are left out unless RESPECT NULLS is \
         written.",
        OF_JOBS.whatever_distinct().in_order(),
    )
    .example("LAST_VALUE(x ORDER BY x)", "2"),
    entry("stddev", &["stddev_samp"], NUMBER, "The standard deviation of a sample; DISTINCT in jobs only.", OF_JOBS)
        .example("STDDEV_SAMP(x) > 0", "t"),
    entry("stddev_pop", &[], NUMBER, "The standard deviation of a population; DISTINCT in jobs only.", OF_JOBS)
        .example("STDDEV_POP(x)", "0.5"),
    entry("var", &["var_samp", "var_sample", "variance"], NUMBER, "The variance of a sample.", OF_JOBS)
        .example("VAR_SAMP(x)", "0.5"),
    entry("var_pop", &["var_population"], NUMBER, "The variance of a population.", OF_JOBS)
        .example("VAR_POP(x)", "0.25"),
];

/// DataFusion's that only queries have.
const ASKED: &[Entry<Aggregation>] = &[
    entry("approx_median", &[], NUMBER, "About the value in the middle.", OF_QUERIES.without_distinct()),
    entry(
        "approx_percentile_cont",
        &[],
        PAIR,
        "About the value at a share (0 to 1) of the values in order: `WITHIN GROUP (ORDER BY x)`.",
        OF_QUERIES.without_distinct(),
    )
    .example("APPROX_PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY x) >= 1", "t"),
    entry(
        "approx_percentile_cont_with_weight",
        &[],
        PAIR,
        "As `approx_percentile_cont`, each value with the weight of the first argument.",
        OF_QUERIES.without_distinct(),
    )
    .example("APPROX_PERCENTILE_CONT_WITH_WEIGHT(1, 0.5) WITHIN GROUP (ORDER BY x) >= 1", "t"),
    entry("bit_and", &[], BITS, "The bits that all whole numbers have.", OF_QUERIES.whatever_distinct())
        .example("BIT_AND(x)", "0"),
    entry("bit_or", &[], BITS, "The bits that a whole number has.", OF_QUERIES.whatever_distinct())
        .example("BIT_OR(x)", "3"),
    entry("bit_xor", &[], BITS, "The bits that an odd number of whole numbers have.", OF_QUERIES)
        .example("BIT_XOR(x)", "3"),
    entry("corr", &[], PAIR, "The correlation of two numbers.", OF_QUERIES.without_distinct())
        .example("CORR(x, x)", "1"),
    entry("covar_pop", &[], PAIR, "The covariance of a population.", OF_QUERIES.without_distinct())
        .example("COVAR_POP(x, x)", "0.25"),
    entry("covar_samp", &["covar"], PAIR, "The covariance of a sample.", OF_QUERIES.without_distinct())
        .example("COVAR_SAMP(x, x)", "0.5"),
    entry(
        "grouping",
        &[],
        &["any → integer"],
        "0 where the rows are grouped by the argument, 1 where a grouping set leaves it out.",
        OF_QUERIES.without_distinct(),
    ),
    entry("median", &[], NUMBER, "The value in the middle.", OF_QUERIES).example("MEDIAN(x)", "1.5"),
    entry(
        "nth_value",
        &[],
        &["anyelement, bigint → anyelement"],
        "The value of that number, from 1, in an order, else by arrival.",
        OF_QUERIES.without_distinct().in_order(),
    )
    .example("NTH_VALUE(x, 2 ORDER BY x)", "2"),
    entry(
        "percentile_cont",
        &["quantile_cont"],
        PAIR,
        "The value at a share (0 to 1) of the values in order, between two of them if need be: \
         `WITHIN GROUP (ORDER BY x)`.",
        OF_QUERIES,
    )
    .example("PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY x)", "1.5"),
    entry(
        "regr_avgx",
        &[],
        PAIR,
        "The average of the second numbers, of pairs without NULL.",
        OF_QUERIES.without_distinct(),
    )
    .example("REGR_AVGX(x, x)", "1.5"),
    entry(
        "regr_avgy",
        &[],
        PAIR,
        "The average of the first numbers, of pairs without NULL.",
        OF_QUERIES.without_distinct(),
    )
    .example("REGR_AVGY(x, x)", "1.5"),
    entry(
        "regr_count",
        &[],
        &["double precision, double precision → bigint"],
        "How many pairs have no NULL.",
        OF_QUERIES.without_distinct(),
    )
    .example("REGR_COUNT(x, x)", "2"),
    entry(
        "regr_intercept",
        &[],
        PAIR,
        "Where the line of least squares meets the axis of the first number.",
        OF_QUERIES.without_distinct(),
    )
    .example("REGR_INTERCEPT(x, x)", "0"),
    entry("regr_r2", &[], PAIR, "The square of the correlation.", OF_QUERIES.without_distinct())
        .example("REGR_R2(x, x)", "1"),
    entry("regr_slope", &[], PAIR, "The slope of the line of least squares.", OF_QUERIES.without_distinct())
        .example("REGR_SLOPE(x, x)", "1"),
    entry(
        "regr_sxx",
        &[],
        PAIR,
        "The sum of squares of the second numbers' distances from their average.",
        OF_QUERIES.without_distinct(),
    )
    .example("REGR_SXX(x, x)", "0.5"),
    entry(
        "regr_sxy",
        &[],
        PAIR,
        "The sum of products of both numbers' distances from their averages.",
        OF_QUERIES.without_distinct(),
    )
    .example("REGR_SXY(x, x)", "0.5"),
    entry(
        "regr_syy",
        &[],
        PAIR,
        "The sum of squares of the first numbers' distances from their average.",
        OF_QUERIES.without_distinct(),
    )
    .example("REGR_SYY(x, x)", "0.5"),
];

static AGGREGATIONS: LazyLock<Registry<Aggregation>> =
    LazyLock::new(|| Registry::of([distinct_lists::ENTRIES, exact_sums::ENTRIES, extremes::ENTRIES, KEPT, ASKED]));

/// All aggregates.
pub fn aggregations() -> &'static Registry<Aggregation> {
    &AGGREGATIONS
}

/// Those that are ours in queries.
pub fn ours() -> impl Iterator<Item = AggregateUDF> {
    aggregations().entries().filter_map(|entry| entry.maker.make).map(|make| make())
}

/// Whether the order of rows can change the result of an aggregate.
pub fn heeds_order(name: &str) -> bool {
    aggregations().find(name).is_some_and(|entry| entry.maker.heeds_order)
}
