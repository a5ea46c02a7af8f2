//! CREATE VIEW: a named query, planned anew wherever it is used.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::outcomes::done;
use crate::catalog::rights::Access;
use crate::catalog::{Change, ViewEntry};
use crate::data_type;
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::Cursor;

/// CREATE [OR REPLACE] VIEW [IF NOT EXISTS] v [(columns)] [COMMENT '…'] AS query
#[derive(Debug, Clone)]
pub struct CreateView {
    name: Vec<Ident>,
    replace: bool,
    if_not_exists: bool,
    columns: Vec<Ident>,
    comment: Option<String>,
    query: String,
}

impl CreateView {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("CREATE")?;
        let replace = cursor.words(&["OR", "REPLACE"]);
        if cursor.word("TEMPORARY") || cursor.word("TEMP") {
            return Err(Error::unsupported("temporary views are not supported yet"));
        }
        cursor.expect_word("VIEW")?;
        let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
        let name = cursor.name()?;
        let columns = if cursor.peek() == Token::LParen { cursor.idents()? } else { Vec::new() };
        let comment = if cursor.word("COMMENT") { Some(cursor.string()?) } else { None };
        cursor.expect_word("AS")?;
        let from = cursor.position();
        cursor.query()?;
        if !matches!(cursor.peek(), Token::EOF | Token::SemiColon) {
            return Err(cursor.error());
        }
        // A hint may stand after the last token.
        let query = cursor.slice(from, cursor.position()).trim_end().to_owned();
        Ok(Self { name, replace, if_not_exists, columns, comment, query })
    }

    /// Plans the query once, and keeps its text.
    ///
    /// # Errors
    /// The query cannot be planned, or the name is taken.
    pub async fn execute(&self, session: &mut Session) -> Result<Outcome> {
        let target = session.target(&self.name)?;
        let snapshot = session.snapshot()?;
        let schema = snapshot.schema(&target.database, &target.schema);
        let taken = schema.is_some_and(|schema| {
            schema.tables.contains_key(&target.name) || (schema.views.contains_key(&target.name) && !self.replace)
        });
        if taken {
            if self.if_not_exists {
                session.notice(format!("relation \"{}\" already exists, skipping", target.name));
                return Ok(done("CREATE VIEW"));
            }
            return Err(
                Error::invalid(format!("relation \"{}\" already exists", target.name)).code(SqlState::DuplicateTable)
            );
        }
        let query = self.query.clone();
        let schema = session.plan(false, move |planner| Ok(planner.plan_text(&query)?.schema().clone())).await?;
        let fields = schema.fields();
        if self.columns.len() > fields.len() {
            return Err(
                Error::invalid("CREATE VIEW specifies more column names than columns").code(SqlState::SyntaxError)
            );
        }
        let columns = fields
            .iter()
            .enumerate()
            .map(|(i, field)| {
                let name = self.columns.get(i).map_or_else(|| field.name().clone(), |column| column.value.clone());
                (name, data_type::to_flink(field.data_type()))
            })
            .collect();
        let entry = Box::new(ViewEntry {
            oid: 0,
            query: self.query.clone(),
            columns,
            comment: self.comment.clone(),
            column_comments: Vec::new(),
            access: Access::default(),
        });
        session.change(Change::CreateView {
            database: target.database,
            schema: target.schema,
            name: target.name,
            entry,
            replace: self.replace,
        })?;
        Ok(done("CREATE VIEW"))
    }
}

impl Control for CreateView {
    fn has_own_rules(&self) -> bool {
        true
    }

    fn writes(&self) -> Option<&'static str> {
        Some("CREATE VIEW")
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(self.execute(session))
    }
}
