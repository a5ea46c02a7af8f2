//! Coercion that DataFusion does not have: strings in arithmetic, exact numerics, casts as SQL means them.

mod arithmetic;
mod exact;
mod fields;
mod floats;
mod rewrite;
mod zones;

use std::sync::Arc;

use datafusion::logical_expr::planner::ExprPlanner;

pub(crate) use fields::{field_of, with_digits};
pub(crate) use rewrite::{Numerics, by_place, rewrite_all};

/// The planners that come before DataFusion's.
pub(crate) fn planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![
        Arc::new(super::json::Documents),
        Arc::new(arithmetic::Arithmetic),
        Arc::new(super::aggregates::Aggregates),
        Arc::new(super::seconds::Extract),
    ]
}
