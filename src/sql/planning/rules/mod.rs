//! Our own rules around DataFusion's optimiser, where its own give wrong rows: what must not be rewritten is put into a form that it
//! leaves alone, what it rewrites wrongly is rewritten before, and what nobody can rewrite yet is refused.

mod comparisons;
mod floats;
mod found_in_arrays;
mod guards;
mod intervals;
mod lateral_unnest;
mod mixtures;
mod ordered_inputs;
mod physical;
mod subqueries;
mod windows;

use std::sync::Arc;

use datafusion::optimizer::analyzer::Analyzer;
use datafusion::optimizer::{AnalyzerRule, Optimizer, OptimizerRule};

pub use physical::physical_rules;

use crate::functions::coercion;

/// Rules that move accesses of fields into the scan below. No connector reads single fields, and over a projection that gives a
/// column its own name again they make two columns of it.
const OF_FIELDS: [&str; 2] = ["extract_leaf_expressions", "push_down_leaf_projections"];

/// DataFusion's optimiser without what we have no use for.
pub fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    rules.retain(|rule| !OF_FIELDS.contains(&rule.name()));
    rules
}

/// DataFusion's analyser with our rules before and behind the coercion of types.
pub fn analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    let coercion = |rule: &Arc<dyn AnalyzerRule + Send + Sync>| rule.name() == "type_coercion";
    let mut rules = Analyzer::new().rules;
    let before = rules.iter().position(coercion).unwrap_or(rules.len());
    rules.insert(before, Arc::new(mixtures::Mixtures));
    rules.insert(before, Arc::new(lateral_unnest::LateralUnnest));
    let behind: [Arc<dyn AnalyzerRule + Send + Sync>; 6] = [
        Arc::new(found_in_arrays::FoundInArrays),
        // Before casts are written out.
        Arc::new(comparisons::Comparisons),
        Arc::new(coercion::Numerics),
        Arc::new(subqueries::Subqueries),
        Arc::new(guards::Guards),
        Arc::new(floats::Floats),
    ];
    rules.extend(behind);
    rules
}
