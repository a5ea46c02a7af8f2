//! COPY … TO STDOUT: the rows of a table or a query in one of COPY's formats.

use std::sync::Arc;

use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::Statement;
use super::copy_from::CopyFrom;
use super::over_query::OverQuery;
use super::query::{self, Query};
use crate::error::{Error, Result, SqlState};
use crate::sql::copy_format::{CopyFormat, ForceQuote};
use crate::sql::parser::{Cursor, parse_query};
use crate::sql::planning::planned::Planned;
use crate::sql::planning::result_names::shown_name;
use crate::sql::session::{Outcome, Running, Session};

/// COPY { table [(columns)] | (query) } TO STDOUT [options]
#[derive(Debug, Clone)]
pub struct Copy {
    query: Arc<Query>,
    format: CopyFormat,
}

impl Copy {
    /// Reads the statement, or COPY … FROM.
    ///
    /// # Errors
    /// A syntax error; files and programs of the server (0A000).
    pub fn parse(cursor: &mut Cursor) -> Result<Statement> {
        cursor.expect_word("COPY")?;
        let is_query = matches!(cursor.peek(), Token::LParen);
        let (query, hints) = if is_query {
            cursor.expect(&Token::LParen)?;
            let query = cursor.query()?;
            cursor.expect(&Token::RParen)?;
            (query, cursor.hints.clone())
        } else {
            let at = cursor.position();
            let table = cursor.name()?;
            let columns = if matches!(cursor.peek(), Token::LParen) { cursor.idents()? } else { Vec::new() };
            refuse_hints(cursor)?;
            if cursor.peek_words(&["FROM"]) {
                return Ok(Statement::Control(Arc::new(CopyFrom::parse(cursor, table, columns, at)?)));
            }
            let (mut query, hints) = parse_query("SELECT * FROM t")?;
            read_from(&mut query, table, columns);
            (query, hints)
        };
        cursor.expect_word("TO")?;
        if !cursor.word("STDOUT") {
            return Err(Error::unsupported("COPY to a file or a program of the server is not supported")
                .at(cursor.position())
                .hint("COPY … TO STDOUT, or psql's \\copy."));
        }
        let format = CopyFormat::parse(cursor)?;
        Ok(Statement::OverQuery(Arc::new(Self { query: Arc::new(Query { query, hints }), format })))
    }

    async fn execute(&self, session: &mut Session, planned: &Planned, parameters: Vec<ScalarValue>) -> Result<Outcome> {
        let Outcome::Rows { schema, stream, .. } = query::run(session, planned, None, parameters).await? else {
            return Err(Error::internal("a query without rows"));
        };
        if let CopyFormat::Csv(csv) = &self.format
            && let ForceQuote::Columns(columns) = &csv.force_quote
            && let Some(missing) =
                columns.iter().find(|column| !schema.fields().iter().any(|field| shown_name(field.name()) == *column))
        {
            return Err(
                Error::not_found(format!("column \"{missing}\" does not exist")).code(SqlState::UndefinedColumn)
            );
        }
        Ok(Outcome::CopyOut { stream, format: self.format.clone() })
    }
}

/// A table of COPY takes no hints.
fn refuse_hints(cursor: &Cursor) -> Result<()> {
    let hints = &cursor.hints;
    match hints.options.keys().chain(hints.state_ttl.keys()).min() {
        Some(position) => Err(Error::unsupported("hints are not supported in COPY of a table")
            .at(*position)
            .hint("COPY (SELECT * FROM t /*+ OPTIONS(…) */) TO STDOUT, or INSERT.")),
        None => Ok(()),
    }
}

/// Has a query read these columns of a table, or all. The names know where they stand in the statement.
fn read_from(query: &mut ast::Query, table: Vec<ast::Ident>, columns: Vec<ast::Ident>) {
    let ast::SetExpr::Select(select) = query.body.as_mut() else { return };
    if let Some(ast::TableWithJoins { relation: ast::TableFactor::Table { name, .. }, .. }) = select.from.first_mut() {
        *name = ast::ObjectName::from(table);
    }
    if !columns.is_empty() {
        let column = |name| ast::SelectItem::UnnamedExpr(ast::Expr::Identifier(name));
        select.projection = columns.into_iter().map(column).collect();
    }
}

impl OverQuery for Copy {
    fn query(&self) -> &Arc<Query> {
        &self.query
    }

    fn run<'a>(&'a self, session: &'a mut Session, planned: &'a Planned, parameters: Vec<ScalarValue>) -> Running<'a> {
        Box::pin(self.execute(session, planned, parameters))
    }
}
