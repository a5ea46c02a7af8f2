//! CREATE FUNCTION … LANGUAGE SQL: the body is planned at once, and kept as text.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::{Outcome, Session};
use super::done;
use crate::catalog::{Change, DEFAULT_SCHEMA, FunctionEntry};
use crate::data_type;
use crate::error::{Error, Result};
use crate::sql::parser::dialect::{Cursor, fold};
use crate::sql::planning::shipped;

/// CREATE [OR REPLACE] FUNCTION [IF NOT EXISTS] f(a T, …) RETURNS R LANGUAGE SQL AS '…'
#[derive(Debug, Clone)]
pub struct CreateFunction {
    name: Vec<Ident>,
    replace: bool,
    if_not_exists: bool,
    parameters: Vec<(String, String)>,
    returns: String,
    body: String,
}

impl CreateFunction {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error, or a language that we do not run.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("CREATE")?;
        let replace = cursor.words(&["OR", "REPLACE"]);
        if cursor.word("TEMPORARY") || cursor.word("TEMP") {
            return Err(Error::unsupported("temporary functions are not supported yet"));
        }
        cursor.expect_word("FUNCTION")?;
        let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
        let name = cursor.name()?;
        if cursor.peek_words(&["AS"]) {
            return Err(Error::unsupported("functions of Java classes are not supported")
                .hint("Write CREATE FUNCTION f(a T) RETURNS R LANGUAGE SQL AS '…'.")
                .at(cursor.position()));
        }
        let parameters = parameters(cursor)?;
        cursor.expect_word("RETURNS")?;
        if cursor.peek_words(&["TABLE"]) || cursor.peek_words(&["SETOF"]) {
            return Err(Error::unsupported("functions that return tables are not supported").at(cursor.position()));
        }
        let returns = cursor.data_type()?;
        let mut body = None;
        loop {
            let position = cursor.position();
            if cursor.word("LANGUAGE") {
                let language = cursor.ident_or_string()?;
                if !language.eq_ignore_ascii_case("sql") {
                    return Err(Error::unsupported(format!("language \"{language}\" is not supported"))
                        .hint("Functions are written in SQL.")
                        .at(position));
                }
            } else if cursor.word("IMMUTABLE")
                || cursor.word("STABLE")
                || cursor.word("VOLATILE")
                || cursor.words(&["PARALLEL", "SAFE"])
                || cursor.word("STRICT")
            {
            } else if cursor.word("AS") {
                body = Some(cursor.string()?);
            } else if cursor.word("RETURN") {
                body = Some(format!("SELECT {}", cursor.expression()?));
            } else {
                break;
            }
        }
        let body = body.ok_or_else(|| cursor.expected("AS '…' with the function's body"))?;
        let body = body.trim().trim_end_matches(';').trim_end().to_owned();
        Ok(Self { name, replace, if_not_exists, parameters, returns, body })
    }

    /// Its name, folded, and what the catalog keeps of it.
    pub fn into_entry(self) -> (String, FunctionEntry) {
        let name = self.name.last().map(fold).unwrap_or_default();
        (name, FunctionEntry { oid: 0, parameters: self.parameters, returns: self.returns, body: self.body })
    }

    /// Plans the body once, and keeps its text.
    ///
    /// # Errors
    /// The body cannot be planned, or the name is taken.
    pub async fn execute(&self, session: &mut Session) -> Result<Outcome> {
        let target = session.target(&self.name)?;
        let name = target.name.to_lowercase();
        if session.planner(true)?.is_built_in(&name) {
            return Err(Error::invalid(format!("function \"{name}\" is built in")).code("42723"));
        }
        let snapshot = session.snapshot()?;
        let exists = snapshot
            .schema(&target.database, &target.schema)
            .is_some_and(|schema| schema.functions.contains_key(&name));
        let is_shipped = !exists && target.schema == DEFAULT_SCHEMA && shipped::functions().contains_key(name.as_str());
        if (exists || is_shipped) && !self.replace {
            if self.if_not_exists {
                session.notice(format!("function \"{name}\" already exists, skipping"));
                return Ok(done("CREATE FUNCTION"));
            }
            let error = Error::invalid(format!("function \"{name}\" already exists")).code("42723");
            return Err(match is_shipped {
                true => error.hint("The server brings it along. CREATE OR REPLACE FUNCTION puts another in its place."),
                false => error,
            });
        }
        let entry = FunctionEntry {
            oid: 0,
            parameters: self.parameters.clone(),
            returns: self.returns.clone(),
            body: self.body.clone(),
        };
        let (called, schema, planned) = (name.clone(), target.schema.clone(), entry.clone());
        session
            .plan(true, move |planner| planner.function(&called, &schema, &planned).map(drop))
            .await
            .map_err(|error| error.context(format!("function \"{name}\"")))?;
        session.change(Change::CreateFunction {
            database: target.database,
            schema: target.schema,
            name,
            entry: Box::new(entry),
            replace: self.replace,
        })?;
        Ok(done("CREATE FUNCTION"))
    }
}

fn parameters(cursor: &mut Cursor) -> Result<Vec<(String, String)>> {
    cursor.expect(&Token::LParen)?;
    let mut parameters: Vec<(String, String)> = Vec::new();
    while !cursor.token(&Token::RParen) {
        if !parameters.is_empty() {
            cursor.expect(&Token::Comma)?;
        }
        cursor.word("IN");
        let position = cursor.position();
        let name = cursor.ident()?.value;
        if parameters.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
            return Err(Error::invalid(format!("parameter name \"{name}\" used more than once"))
                .code("42P13")
                .at(position));
        }
        let sql_type = if cursor.word("ANY") { "ANY".to_owned() } else { cursor.data_type()? };
        if sql_type != "ANY" {
            data_type::parse(&sql_type)?;
        }
        parameters.push((name, sql_type));
    }
    Ok(parameters)
}
