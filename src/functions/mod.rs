//! SQL functions that DataFusion lacks, or means otherwise than users of Flink and Postgres do. One file each; the registry is here.

mod arguments;
mod concat_ws;
mod date_format;
mod from_unixtime;
pub mod numeric;
mod numeric_rule;
mod split_index;
mod string_arithmetic;
mod time;

use std::sync::Arc;

use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{ScalarUDF, ScalarUDFImpl, Volatility};
use datafusion::optimizer::AnalyzerRule;

use crate::clock::Clock;

/// Functions of queries: time functions give one value a statement, which the planner may compute.
pub fn for_queries(clock: &Arc<dyn Clock>) -> Vec<Arc<ScalarUDF>> {
    all(clock, Volatility::Stable)
}

/// Functions of jobs and of function bodies: the same names, but time functions ask the clock at every batch and are never
/// computed while planning.
pub fn for_jobs(clock: &Arc<dyn Clock>) -> Vec<Arc<ScalarUDF>> {
    all(clock, Volatility::Volatile)
}

/// Plans arithmetic with strings and with numeric.
pub fn expr_planner() -> Arc<dyn ExprPlanner> {
    Arc::new(string_arithmetic::StringArithmetic::new())
}

/// Makes casts from and to numeric exact, and text of numeric trimmed; belongs behind type coercion.
pub fn numeric_rule() -> Arc<dyn AnalyzerRule + Send + Sync> {
    Arc::new(numeric_rule::NumericCasts::new())
}

fn all(clock: &Arc<dyn Clock>, volatility: Volatility) -> Vec<Arc<ScalarUDF>> {
    let mut functions = vec![
        udf(concat_ws::ConcatWs::new()),
        udf(date_format::DateFormat::new()),
        udf(from_unixtime::FromUnixtime::new()),
        udf(split_index::SplitIndex::new()),
    ];
    functions.extend(numeric::functions());
    functions.extend(time::functions(clock, volatility));
    functions
}

fn udf(function: impl ScalarUDFImpl + 'static) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(function))
}
