//! Lookup functions: SQL functions whose body aggregates the rows of one key of a table.
//! `body` reads what was declared into what is `stored`; `evaluator` answers a batch of calls, in a job or in a query; `udf` is what
//! DataFusion sees. Knows nothing of jobs: the operator that calls an evaluator is in `operators`.

mod body;
mod evaluator;
mod stored;
mod udf;

pub(crate) use body::LookupFunction;
pub(super) use body::operator_name;
pub(crate) use evaluator::{LookupEvaluator, return_type};
pub use stored::StoredLookupFunction;
pub(crate) use udf::for_query;
