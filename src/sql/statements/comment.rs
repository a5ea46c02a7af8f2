//! COMMENT ON: a text beside an object of the catalog, for people. The COMMENT clauses of CREATE write to the same place.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::outcomes::done;
use crate::catalog::{Change, Commented};
use crate::data_type;
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::{Cursor, fold};
use crate::sql::planning::names::{Names, TEMPORARY_SCHEMA, Target, pick};
use crate::sql::planning::shipped;

/// COMMENT ON … IS 'text' | NULL
#[derive(Debug, Clone)]
pub struct Comment {
    of: Object,
    /// Absent: the comment is removed.
    text: Option<String>,
}

/// What the comment is of, as it is written.
#[derive(Debug, Clone)]
enum Object {
    Table(Vec<Ident>),
    View(Vec<Ident>),
    /// A relation, and the name of its column.
    Column(Vec<Ident>, Ident),
    /// A function, and the types of its arguments if they are given.
    Function(Vec<Ident>, Option<Vec<String>>),
    Schema(Vec<Ident>),
    Database(Vec<Ident>),
}

impl Comment {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error, or a kind of object that has no comments here.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("COMMENT")?;
        cursor.expect_word("ON")?;
        let of = Object::parse(cursor)?;
        cursor.expect_word("IS")?;
        // An empty one is none, as in Postgres.
        let text = if cursor.word("NULL") { None } else { Some(cursor.string()?).filter(|text| !text.is_empty()) };
        Ok(Self { of, text })
    }

    /// Keeps the comment.
    ///
    /// # Errors
    /// There is no such object, it is of another kind, or it belongs to the server.
    pub fn execute(&self, session: &mut Session) -> Result<Outcome> {
        let names = session.names()?;
        let (database, of) = self.of.find(&names)?;
        session.change(Change::Comment { database, of, text: self.text.clone() })?;
        Ok(done("COMMENT"))
    }
}

impl Control for Comment {
    fn has_own_rules(&self) -> bool {
        true
    }

    fn writes(&self) -> Option<&'static str> {
        Some("COMMENT")
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(std::future::ready(self.execute(session)))
    }
}

impl Object {
    fn parse(cursor: &mut Cursor) -> Result<Self> {
        let position = cursor.position();
        let kind = fold(&cursor.ident()?).to_uppercase();
        Ok(match kind.as_str() {
            "TABLE" => Self::Table(cursor.name()?),
            "VIEW" => Self::View(cursor.name()?),
            "COLUMN" => {
                let mut name = cursor.name()?;
                let column = name.pop().filter(|_| !name.is_empty()).ok_or_else(|| {
                    Error::invalid("column name must be qualified").code(SqlState::SyntaxError).at(position)
                })?;
                Self::Column(name, column)
            }
            "FUNCTION" => {
                let name = cursor.name()?;
                let arguments = if cursor.peek() == Token::LParen { Some(argument_types(cursor)?) } else { None };
                Self::Function(name, arguments)
            }
            "SCHEMA" => Self::Schema(cursor.name()?),
            "DATABASE" => Self::Database(cursor.name()?),
            _ => {
                return Err(Error::unsupported(format!("COMMENT ON {kind} is not supported"))
                    .hint("Tables, views, columns, functions, schemas and databases have comments.")
                    .at(position));
            }
        })
    }

    /// The object that is meant, and its database.
    fn find(&self, names: &Names) -> Result<(String, Commented)> {
        match self {
            Self::Table(name) => {
                let found = relation(names, name)?;
                refuse_other_kind(names, &found, false)?;
                Ok((found.database, Commented::Relation { schema: found.schema, name: found.name }))
            }
            Self::View(name) => {
                let found = relation(names, name)?;
                refuse_other_kind(names, &found, true)?;
                Ok((found.database, Commented::Relation { schema: found.schema, name: found.name }))
            }
            Self::Column(name, column) => {
                let found = relation(names, name)?;
                let column = column_of(names, &found, column)?;
                Ok((found.database, Commented::Column { schema: found.schema, name: found.name, column }))
            }
            Self::Function(name, arguments) => function(names, name, arguments.as_deref()),
            Self::Schema(name) => schema(names, name),
            Self::Database(name) => database(names, name),
        }
    }
}

/// `([name] type, …)`
pub(super) fn argument_types(cursor: &mut Cursor) -> Result<Vec<String>> {
    cursor.expect(&Token::LParen)?;
    let mut types = Vec::new();
    while !cursor.token(&Token::RParen) {
        if !types.is_empty() {
            cursor.expect(&Token::Comma)?;
        }
        cursor.word("IN");
        // A name before the type is for people.
        if matches!((cursor.peek(), cursor.peek_nth(1)), (Token::Word(_), Token::Word(_)))
            && !cursor.peek_words(&["DOUBLE", "PRECISION"])
            && !cursor.peek_words(&["CHARACTER", "VARYING"])
            && !cursor.peek_words(&["TIMESTAMP"])
            && !cursor.peek_words(&["TIME"])
        {
            cursor.ident()?;
        }
        types.push(if cursor.word("ANY") { "ANY".to_owned() } else { cursor.data_type()? });
    }
    Ok(types)
}

fn written(name: &[Ident]) -> String {
    name.iter().map(fold).collect::<Vec<_>>().join(".")
}

/// The table or view that a name means, of those that can have comments.
fn relation(names: &Names, name: &[Ident]) -> Result<Target> {
    let found = names.find_relation(name)?.ok_or_else(|| names.missing_relation(name))?;
    if found.schema == TEMPORARY_SCHEMA {
        return Err(Error::unsupported("COMMENT ON a temporary table is not supported")
            .hint("Write COMMENT '…' in CREATE TEMPORARY TABLE."));
    }
    if names.system.iter().any(|(schema, _)| *schema == found.schema) {
        return Err(Error::denied(format!("permission denied: \"{}\" is a system catalog", found.name)));
    }
    Ok(found)
}

/// # Errors
/// A table where a view is meant, or the other way round.
fn refuse_other_kind(names: &Names, found: &Target, wants_view: bool) -> Result<()> {
    let schema = names.snapshot.schema(&found.database, &found.schema);
    let is_view = schema.is_some_and(|schema| schema.views.contains_key(&found.name));
    if is_view == wants_view {
        return Ok(());
    }
    let (wanted, other) = if wants_view { ("view", "TABLE") } else { ("table", "VIEW") };
    Err(Error::invalid(format!("\"{}\" is not a {wanted}", found.name))
        .code(SqlState::WrongObjectType)
        .hint(format!("Use COMMENT ON {other}.")))
}

/// The exact name of a column.
fn column_of(names: &Names, found: &Target, column: &Ident) -> Result<String> {
    let schema = names.snapshot.schema(&found.database, &found.schema);
    let table = schema.and_then(|schema| schema.tables.get(&found.name));
    let view = schema.and_then(|schema| schema.views.get(&found.name));
    let of_table = table.into_iter().flat_map(|table| table.columns.iter().map(|column| &column.name));
    let of_view = view.into_iter().flat_map(|view| view.columns.iter().map(|(name, _)| name));
    let known: Vec<&String> = of_table.chain(of_view).collect();
    pick(&fold(column), known.into_iter()).cloned().ok_or_else(|| {
        let message = format!("column \"{}\" of relation \"{}\" does not exist", fold(column), found.name);
        Error::not_found(message).code(SqlState::UndefinedColumn)
    })
}

/// A function of the user, whose arguments have these types if any are given.
fn function(names: &Names, name: &[Ident], arguments: Option<&[String]>) -> Result<(String, Commented)> {
    let written = written(name);
    let missing = || {
        let written = match arguments {
            Some(types) => format!("{written}({})", types.join(", ").to_lowercase()),
            None => written.clone(),
        };
        Error::not_found(format!("function {written} does not exist")).code(SqlState::UndefinedFunction)
    };
    let Some((database, schema, name)) = names.find_function(name) else {
        return Err(match shipped::function(name) {
            Some(_) => Error::denied(format!("permission denied: function {written} is part of the server"))
                .hint("CREATE OR REPLACE FUNCTION puts another in its place, which can have a comment."),
            None => missing(),
        });
    };
    let entry = names.snapshot.schema(&database, &schema).and_then(|schema| schema.functions.get(&name));
    let parameters: Vec<&str> = entry
        .map(|entry| entry.parameters.iter().map(|(_, sql_type)| sql_type.as_str()).collect())
        .ok_or_else(missing)?;
    if arguments.is_some_and(|types| !are_the_same(types, &parameters)) {
        return Err(missing());
    }
    Ok((database, Commented::Function { schema, name }))
}

/// Whether types are the same, however they are written.
fn are_the_same(written: &[String], declared: &[&str]) -> bool {
    let is_same = |(written, declared): (&String, &&str)| {
        written.eq_ignore_ascii_case(declared)
            || data_type::parse(written).ok().is_some_and(|written| data_type::parse(declared).ok() == Some(written))
    };
    written.len() == declared.len() && written.iter().zip(declared).all(is_same)
}

/// A schema of the connected database.
fn schema(names: &Names, name: &[Ident]) -> Result<(String, Commented)> {
    let schema = match name {
        [schema] => schema,
        [database, schema] => {
            names.refuse_other_database(database)?;
            schema
        }
        _ => {
            return Err(Error::invalid("improper qualified name (too many dotted names)").code(SqlState::SyntaxError));
        }
    };
    let found = names.find_schema(schema).ok_or_else(|| {
        Error::not_found(format!("schema \"{}\" does not exist", fold(schema))).code(SqlState::InvalidSchemaName)
    })?;
    if names.system.iter().any(|(system, _)| *system == found) {
        return Err(Error::denied(format!("permission denied for schema {found}")));
    }
    Ok((names.database.clone(), Commented::Schema { schema: found }))
}

/// A database of the server, or else what CREATE DATABASE makes, which is a schema.
fn database(names: &Names, name: &[Ident]) -> Result<(String, Commented)> {
    if let [database] = name
        && let Some(found) = pick(&fold(database), names.snapshot.databases.keys())
    {
        return Ok((found.clone(), Commented::Database));
    }
    schema(names, name).map_err(|error| match error.sqlstate() {
        SqlState::InvalidSchemaName => Error::not_found(format!("database \"{}\" does not exist", written(name)))
            .code(SqlState::InvalidCatalogName),
        _ => error,
    })
}
