//! SQL of both dialects: text → statements → plans → results, for one session at a time.
//! Knows the catalog, the jobs and DataFusion; knows nothing of the wire protocol.

pub mod execution;
pub mod job_relations;
pub mod parser;
pub mod planning;
pub mod runner;
pub mod server;
pub mod session;
pub mod statements;

pub use parser::splitter::StatementText;
pub use server::{SessionView, SqlServer, SystemSchema};
pub use session::{Notice, Outcome, Prepared, Session, SessionOptions, Severity, TransactionStatus};
