//! CREATE FUNCTION as it is written: read for the statement, and for the functions that the server brings along.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use crate::data_type;
use crate::error::{Error, Result, SqlState};

/// CREATE [OR REPLACE] FUNCTION [IF NOT EXISTS] f(a T, …) RETURNS R LANGUAGE SQL AS '…'
#[derive(Debug, Clone)]
pub struct FunctionDeclaration {
    /// Its name.
    pub name: Vec<Ident>,
    /// OR REPLACE
    pub replace: bool,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// Names and types of its parameters.
    pub parameters: Vec<(String, String)>,
    /// The type of its result.
    pub returns: String,
    /// The query that is its body.
    pub body: String,
}

impl FunctionDeclaration {
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
                .code(SqlState::InvalidFunctionDefinition)
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
