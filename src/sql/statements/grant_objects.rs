//! Objects as GRANT, REVOKE and ALTER … OWNER TO name them.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::comment::argument_types;
use super::job_control;
use crate::catalog::Object;
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::{Cursor, fold};
use crate::sql::planning::names::{Names, TEMPORARY_SCHEMA, pick};
use crate::sql::planning::shipped;
use crate::sql::session::Session;

/// A kind of objects, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noun {
    Relation,
    Schema,
    Database,
    Function,
    Connector,
    Job,
}

/// Some objects, as they are written.
#[derive(Debug, Clone)]
pub(super) enum Objects {
    /// By name.
    Named(Noun, Vec<Vec<Ident>>),
    /// ALL TABLES IN SCHEMA, ALL FUNCTIONS IN SCHEMA.
    AllIn(Noun, Vec<Ident>),
}

impl Objects {
    /// Reads what stands behind ON.
    ///
    /// # Errors
    /// A syntax error, or a kind of object that has no rights here.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        for (words, noun) in [
            (&["ALL", "TABLES", "IN", "SCHEMA"], Noun::Relation),
            (&["ALL", "FUNCTIONS", "IN", "SCHEMA"], Noun::Function),
        ] {
            if cursor.words(words) {
                return Ok(Self::AllIn(noun, idents(cursor)?));
            }
        }
        let position = cursor.position();
        for refused in [
            &["ALL", "SEQUENCES"][..],
            &["ALL", "ROUTINES"],
            &["ALL", "PROCEDURES"],
            &["SEQUENCE"],
            &["DOMAIN"],
            &["FOREIGN", "SERVER"],
            &["LANGUAGE"],
            &["LARGE", "OBJECT"],
            &["PARAMETER"],
            &["PROCEDURE"],
            &["ROUTINE"],
            &["TABLESPACE"],
            &["TYPE"],
        ] {
            if cursor.peek_words(refused) && matches!(cursor.peek_nth(refused.len()), Token::Word(_)) {
                return Err(Error::unsupported(format!("rights on {} are not supported", refused.join(" ")))
                    .hint("Tables, schemas, databases, functions, connectors (FOREIGN DATA WRAPPER) and jobs have rights.")
                    .at(position));
            }
        }
        let noun = Noun::parse(cursor);
        let noun = noun.unwrap_or(Noun::Relation);
        let mut names = Vec::new();
        loop {
            names.push(name(cursor, noun)?);
            if !cursor.token(&Token::Comma) {
                return Ok(Self::Named(noun, names));
            }
        }
    }

    /// The objects that are meant.
    ///
    /// # Errors
    /// One is not there, or cannot have rights.
    pub fn find(&self, session: &mut Session) -> Result<Vec<Object>> {
        let names = session.names()?;
        match self {
            Self::Named(noun, written) => written.iter().map(|name| noun.find(session, &names, name)).collect(),
            Self::AllIn(noun, schemas) => {
                let mut objects = Vec::new();
                for schema in schemas {
                    let Object::Schema { database, schema } =
                        Noun::Schema.find(session, &names, std::slice::from_ref(schema))?
                    else {
                        continue;
                    };
                    let is_in = |object: &Object| match object {
                        Object::Relation { database: of, schema: inside, .. } => {
                            *noun == Noun::Relation && *of == database && *inside == schema
                        }
                        Object::Function { database: of, schema: inside, .. } => {
                            *noun == Noun::Function && *of == database && *inside == schema
                        }
                        _ => false,
                    };
                    objects.extend(names.snapshot.objects().into_iter().filter(is_in));
                }
                Ok(objects)
            }
        }
    }
}

impl Noun {
    /// Reads a kind of object; `None`: none is written.
    pub fn parse(cursor: &mut Cursor) -> Option<Self> {
        for (words, noun) in [
            (&["FOREIGN", "DATA", "WRAPPER"][..], Self::Connector),
            (&["TABLE"], Self::Relation),
            (&["SCHEMA"], Self::Schema),
            (&["DATABASE"], Self::Database),
            (&["FUNCTION"], Self::Function),
            (&["JOB"], Self::Job),
        ] {
            // `GRANT SELECT ON job TO r` is about a table of that name.
            if matches!(cursor.peek_nth(words.len()), Token::Word(_) | Token::SingleQuotedString(_))
                && !["TO", "FROM"].iter().any(|word| is_word(&cursor.peek_nth(words.len()), word))
                && cursor.words(words)
            {
                return Some(noun);
            }
        }
        None
    }

    /// The object of that name.
    ///
    /// # Errors
    /// It is not there, or belongs to the server.
    pub fn find(self, session: &Session, names: &Names, name: &[Ident]) -> Result<Object> {
        let written = name.iter().map(fold).collect::<Vec<_>>().join(".");
        match self {
            Self::Relation => {
                let found = names.find_relation(name)?.ok_or_else(|| names.missing_relation(name))?;
                if found.schema == TEMPORARY_SCHEMA {
                    return Err(Error::unsupported("rights on temporary tables are not supported")
                        .detail("No other session sees them."));
                }
                if names.system.iter().any(|(schema, _)| *schema == found.schema) {
                    return Err(Error::denied(format!("permission denied: \"{}\" is a system catalog", found.name)));
                }
                Ok(Object::Relation { database: found.database, schema: found.schema, name: found.name })
            }
            Self::Schema => {
                let schema = name.last().and_then(|schema| names.find_schema(schema)).ok_or_else(|| {
                    Error::not_found(format!("schema \"{written}\" does not exist")).code(SqlState::InvalidSchemaName)
                })?;
                if names.system.iter().any(|(system, _)| *system == schema) {
                    return Err(Error::denied(format!("permission denied for schema {schema}")));
                }
                Ok(Object::Schema { database: names.database.clone(), schema })
            }
            Self::Database => {
                let database = pick(&written, names.snapshot.databases.keys()).cloned();
                database.map(|database| Object::Database { database }).ok_or_else(|| {
                    Error::not_found(format!("database \"{written}\" does not exist"))
                        .code(SqlState::InvalidCatalogName)
                })
            }
            Self::Function => {
                match names.find_function(name) {
                    Some((database, schema, name)) => Ok(Object::Function { database, schema, name }),
                    None if shipped::function(name).is_some() => {
                        Err(Error::denied(format!("permission denied: function {written} is part of the server")))
                    }
                    None => Err(Error::not_found(format!("function {written} does not exist"))
                        .code(SqlState::UndefinedFunction)),
                }
            }
            Self::Connector => {
                let known = session.server().connectors.connectors().any(|connector| connector.name() == written);
                match known {
                    true => Ok(Object::Connector { name: written }),
                    false => Err(Error::not_found(format!("foreign-data wrapper \"{written}\" does not exist"))
                        .code(SqlState::UndefinedObject)
                        .hint("The connectors are the foreign-data wrappers here: kafka, dynamodb and so on.")),
                }
            }
            Self::Job => {
                let written = name.last().map(|ident| ident.value.clone()).unwrap_or_default();
                Ok(Object::Job { name: job_control::find(&names.snapshot, &written)? })
            }
        }
    }
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

fn idents(cursor: &mut Cursor) -> Result<Vec<Ident>> {
    let mut idents = vec![cursor.ident()?];
    while cursor.token(&Token::Comma) {
        idents.push(cursor.ident()?);
    }
    Ok(idents)
}

/// A name of that kind; of a function also the types of its arguments, of which there is one function.
pub(super) fn name(cursor: &mut Cursor, noun: Noun) -> Result<Vec<Ident>> {
    match noun {
        // Also the name of a connector with a hyphen, and of a job, in quotes of either kind.
        Noun::Job => Ok(vec![Ident::with_quote('"', cursor.ident_or_string()?)]),
        Noun::Connector => {
            let mut name = cursor.ident_or_string()?;
            while cursor.token(&Token::Minus) {
                name = format!("{name}-{}", cursor.ident()?.value);
            }
            Ok(vec![Ident::new(name.to_lowercase())])
        }
        Noun::Function => {
            let name = cursor.name()?;
            if cursor.peek() == Token::LParen {
                argument_types(cursor)?;
            }
            Ok(name)
        }
        _ => cursor.name(),
    }
}
