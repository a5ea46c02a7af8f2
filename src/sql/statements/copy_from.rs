//! COPY … FROM STDIN: an INSERT of the rows that the client sends behind the statement. All of them go in, or an error says which could not; a
//! connector without transactions keeps what it was given before that.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::Ident;

use super::control::Control;
use super::insert::{Insert, bounded, run_bounded};
use super::local_write;
use crate::error::{Error, Result};
use crate::sql::copy_format::{CopyFormat, CopyInput};
use crate::sql::execution::copy_source;
use crate::sql::parser::{Cursor, Hints, Places};
use crate::sql::planning::planned::Planned;
use crate::sql::planning::planner::InsertInto;
use crate::sql::session::{CopyIn, Outcome, Running, Session};

/// COPY table [(columns)] FROM STDIN [options]
#[derive(Debug, Clone)]
pub struct CopyFrom {
    into: InsertInto,
    input: CopyInput,
}

impl CopyFrom {
    /// Reads what stands behind the table and its columns.
    ///
    /// # Errors
    /// A syntax error; files and programs of the server, binary rows, a condition (0A000).
    pub fn parse(cursor: &mut Cursor, table: Vec<Ident>, columns: Vec<Ident>, position: usize) -> Result<Self> {
        cursor.expect_word("FROM")?;
        if !cursor.word("STDIN") {
            return Err(Error::unsupported("COPY from a file or a program of the server is not supported")
                .at(cursor.position())
                .hint("COPY … FROM STDIN, or psql's \\copy."));
        }
        let at = cursor.position();
        let input = CopyInput::parse(cursor)?;
        if input.format == CopyFormat::Binary {
            return Err(Error::unsupported("COPY … FROM in format binary is not supported yet")
                .at(at)
                .hint("Send text or csv."));
        }
        if cursor.peek_words(&["WHERE"]) {
            return Err(Error::unsupported("COPY … FROM … WHERE is not supported").at(cursor.position()));
        }
        let into = InsertInto {
            table,
            position,
            alias: None,
            options: Vec::new(),
            columns: columns.into_iter().map(|name| (name, position)).collect(),
            source: None,
            rows: None,
            hints: Hints::default(),
            conflict: None,
            returning: None,
        };
        Ok(Self { into, input })
    }

    async fn begin(&self, session: &mut Session) -> Result<Outcome> {
        let planner = session.planner(false)?;
        let (mut into, input, state) = (self.into.clone(), self.input.clone(), session.state());
        let work = move || {
            let columns = planner.insert_fields(&into)?;
            let count = columns.len();
            let (rows, pieces) = copy_source::open(input, &columns, &state)?;
            into.rows = Some(rows);
            let insert = Insert { into, text: "COPY".to_owned() };
            let places = Places::new("");
            let planned = planner.plan_insert(&insert.into, &[], &places)?;
            let planned = bounded(&planner, &insert, planned, &[], &places)?;
            Ok(CopyIn { columns: count, pieces, planned: Arc::new(planned) })
        };
        Ok(Outcome::CopyIn(session.server().queries.compute(work).await?))
    }
}

impl Control for CopyFrom {
    fn has_own_rules(&self) -> bool {
        true
    }

    fn writes(&self) -> Option<&'static str> {
        Some("COPY FROM")
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(self.begin(session))
    }
}

impl Session {
    /// Writes the rows of a COPY until the client has sent the last; gives their number. Dropping the future ends the work.
    ///
    /// # Errors
    /// A row that cannot be read or written, or what the client gave up for. The session then fails its block by itself.
    pub async fn copy_in(&mut self, planned: &Planned) -> Result<u64> {
        let result = match planned {
            Planned::BoundedInsert { plan } => run_bounded(self, plan).await,
            Planned::LocalWrite(write) => local_write::run_counted(self, write).await,
            Planned::Query { .. } | Planned::Job(_) => Err(Error::internal("a COPY that is not an INSERT")),
        };
        if result.is_err() {
            self.fail();
        }
        result
    }
}
