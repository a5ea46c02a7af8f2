//! SQL of both dialects: text → statements → plans → results, for one session at a time.
//! Knows the catalog, the jobs and DataFusion; knows nothing of the wire protocol.

pub mod array_parameters;
pub mod assignment;
mod cast_names;
mod constant_row;
pub mod error_map;
pub mod execution;
mod field_access;
mod integer_literals;
pub mod job_plan;
pub mod job_relations;
mod literals;
mod missing_functions;
pub mod names;
mod own_expressions;
pub mod parser;
pub mod plan_size;
pub mod planner;
pub mod query_planner;
pub mod resolver;
pub mod result_names;
pub mod row_comparisons;
pub mod rules;
pub mod session;
pub mod settings;
pub mod shipped;
pub mod state_ttl_hint;
pub mod statements;
pub mod types;
pub mod unnest_relation;
mod user_function;

pub use session::{
    Notice, Outcome, Prepared, Session, SessionOptions, SessionView, Severity, SqlServer, StatementText, SystemSchema,
    TransactionStatus,
};
