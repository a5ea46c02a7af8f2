//! What a session answers to a statement: its outcome, what else there is to tell, and where the transaction stands.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;

use crate::sql::copy_format::CopyFormat;
use crate::sql::execution::copy_source::Pieces;
use crate::sql::planning::planned::Planned;

/// `I`, `T` or `E` of ReadyForQuery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Outside a block.
    Idle,
    /// Inside BEGIN … COMMIT.
    Open,
    /// Inside a failed block: everything but ROLLBACK and COMMIT is refused with 25P02.
    Failed,
}

/// How grave a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// NOTICE
    Notice,
    /// WARNING
    Warning,
}

/// Something to tell the client beside the result.
#[derive(Debug, Clone)]
pub struct Notice {
    /// NOTICE or WARNING.
    pub severity: Severity,
    /// One line, lower case.
    pub message: String,
    /// A sentence.
    pub detail: Option<String>,
    /// A sentence.
    pub hint: Option<String>,
}

/// Rows that the client sends.
pub struct CopyIn {
    /// How many columns they have.
    pub columns: usize,
    /// Where their bytes go; dropped behind the last.
    pub pieces: Pieces,
    /// What is done with them.
    pub planned: Arc<Planned>,
}

/// What execution gives.
pub enum Outcome {
    /// Rows, then the tag: `SELECT`, `SHOW`, `EXPLAIN`, … to which the wire layer adds the count where Postgres does (`SELECT n`).
    Rows {
        /// Verb of the tag.
        verb: &'static str,
        /// Columns.
        schema: SchemaRef,
        /// Rows as they come. Dropping it ends the query.
        stream: SendableRecordBatchStream,
    },
    /// Rows that are sent as a copy.
    CopyOut {
        /// Rows as they come. Dropping it ends the query.
        stream: SendableRecordBatchStream,
        /// How they are written.
        format: CopyFormat,
    },
    /// Rows that the client sends now. What it sends goes to `pieces`, while [`Session::copy_in`](super::Session::copy_in) writes them.
    CopyIn(CopyIn),
    /// Done, with the whole tag: `CREATE TABLE`, `INSERT 0 5`, `BEGIN`.
    Done {
        /// Command tag.
        tag: String,
    },
    /// An empty statement.
    Empty,
}
