//! SQL of both dialects: text → statements → plans → results, for one session at a time.
//! Knows the catalog, the jobs and DataFusion; knows nothing of the wire protocol.

pub(crate) mod activity;
pub(crate) mod copy_format;
pub(crate) mod copy_rows;
pub(crate) mod execution;
mod job_notifications;
pub(crate) mod job_relations;
pub(crate) mod parser;
pub(crate) mod planning;
mod privileges;
pub(crate) mod runner;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod statements;

pub(crate) use parser::command_of;
pub(crate) use parser::splitter::{StatementText, split as split_statements};
pub(crate) use server::SessionView;
pub use server::{SqlServer, SystemSchema};
pub(crate) use session::{Notice, Outcome, Prepared, Session, SessionOptions, Severity, TransactionStatus};
