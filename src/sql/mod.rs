//! SQL of both dialects: text → statements → plans → results, for one session at a time.
//! Knows the catalog, the jobs and DataFusion; knows nothing of the wire protocol.

pub mod background_stream;
pub mod balance;
pub mod dialect;
pub mod error_map;
pub mod interruptible;
pub mod job_plan;
pub mod job_relations;
pub mod names;
pub mod plan_size;
pub mod planner;
pub mod queries;
pub mod query_memory;
pub mod query_planner;
pub mod resolver;
pub mod result_names;
pub mod secret_options;
pub mod session;
pub mod settings;
pub mod shipped;
pub mod splitter;
pub mod state_ttl_hint;
pub mod statement_size;
pub mod statements;
pub mod types;
pub mod user_function;

pub use session::{
    Notice, Outcome, Prepared, Session, SessionOptions, SessionView, Severity, SqlServer, StatementText, SystemSchema,
    TransactionStatus,
};
