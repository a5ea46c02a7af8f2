//! Syntax to plans: what names mean, the rewriting of trees that DataFusion does not take as they are, its planner over them, and our
//! rules behind it. Knows the parser and what all sessions share; knows nothing of statements and of a session's state.

pub mod array_parameters;
pub mod assignment;
mod cast_names;
pub(crate) mod constant_row;
pub mod error_map;
mod field_access;
pub mod given_rows;
mod hinted_relations;
mod integer_literals;
mod internal_calls;
pub mod job_plan;
mod literals;
mod missing_functions;
pub mod names;
mod own_expressions;
pub mod plan_size;
pub mod planned;
pub mod planner;
pub mod query_planner;
pub mod resolver;
pub mod result_names;
pub mod row_comparisons;
pub mod row_functions;
pub mod rules;
pub mod shipped;
pub mod state_ttl_hint;
pub mod types;
pub mod unnest_relation;
mod user_function;
