//! SHOW JOBS, TABLES, VIEWS, FUNCTIONS, DATABASES and SCHEMAS: what there is, by name.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::Ident;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::outcomes::{batch_rows, text_rows};
use super::show_jobs;
use crate::error::{Error, Result, SqlState};
use crate::functions::aggregations::aggregations;
use crate::functions::registry::scalars;
use crate::functions::windows::windows;
use crate::sql::parser::{Cursor, fold};
use crate::sql::planning::shipped;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Jobs,
    Tables,
    Views,
    Functions,
    UserFunctions,
    Schemas,
    Catalogs,
}

const KINDS: &[(&[&str], Kind)] = &[
    (&["JOBS"], Kind::Jobs),
    (&["TABLES"], Kind::Tables),
    (&["VIEWS"], Kind::Views),
    (&["USER", "FUNCTIONS"], Kind::UserFunctions),
    (&["FUNCTIONS"], Kind::Functions),
    (&["DATABASES"], Kind::Schemas),
    (&["SCHEMAS"], Kind::Schemas),
    (&["CATALOGS"], Kind::Catalogs),
];

/// SHOW … [FROM | IN schema] [LIKE 'pattern']
#[derive(Debug, Clone)]
pub struct Show {
    kind: Kind,
    schema: Option<Ident>,
    like: Option<String>,
}

impl Show {
    /// Whether one of these statements begins here.
    pub fn is_next(cursor: &Cursor) -> bool {
        KINDS.iter().any(|(words, _)| {
            let words: Vec<&str> = std::iter::once("SHOW").chain(words.iter().copied()).collect();
            cursor.peek_words(&words)
        })
    }

    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("SHOW")?;
        let kind = KINDS.iter().find(|(words, _)| cursor.words(words)).map(|(_, kind)| *kind);
        let kind = kind.ok_or_else(|| cursor.error())?;
        let schema = if cursor.word("FROM") || cursor.word("IN") { cursor.name()?.pop() } else { None };
        let like = if cursor.word("LIKE") { Some(cursor.string()?) } else { None };
        Ok(Self { kind, schema, like })
    }

    /// Its columns.
    pub fn schema(&self) -> SchemaRef {
        let names: &[&str] = match self.kind {
            Kind::Jobs => return show_jobs::schema(),
            Kind::Tables => &["table name"],
            Kind::Views => &["view name"],
            Kind::Functions | Kind::UserFunctions => &["function name"],
            Kind::Schemas => &["database name"],
            Kind::Catalogs => &["catalog name"],
        };
        Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>()))
    }

    /// Shows them.
    ///
    /// # Errors
    /// The schema does not exist.
    pub async fn execute(&self, session: &mut Session) -> Result<Outcome> {
        let snapshot = session.snapshot()?;
        let database = session.database().to_owned();
        let mut rows: Vec<Vec<Option<String>>> = Vec::new();
        let mut name = |name: &String| rows.push(vec![Some(name.clone())]);
        match self.kind {
            Kind::Jobs => {
                let (status, now_ms) = (session.server().jobs.status_now().await, session.server().clock.now_ms());
                let zone = session.settings().time_zone().parse().unwrap_or(chrono_tz::Tz::UTC);
                let shown = |name: &&String| self.like.as_deref().is_none_or(|pattern| like(pattern, name));
                let line = |name: &String| match status.iter().find(|status| status.name == *name) {
                    Some(status) => show_jobs::Line::of(status, now_ms, zone),
                    None => show_jobs::Line::created(name),
                };
                let lines: Vec<_> = snapshot.jobs.keys().filter(shown).map(line).collect();
                return batch_rows("SHOW", show_jobs::rows(&lines)?);
            }
            Kind::Schemas => {
                snapshot.databases.get(&database).into_iter().flat_map(|db| db.schemas.keys()).for_each(&mut name);
            }
            Kind::Catalogs => snapshot.databases.keys().for_each(&mut name),
            Kind::Tables | Kind::Views | Kind::Functions | Kind::UserFunctions => {
                let names = session.names()?;
                let schema = match &self.schema {
                    Some(ident) => names.find_schema(ident).ok_or_else(|| {
                        Error::not_found(format!("schema \"{}\" does not exist", fold(ident)))
                            .code(SqlState::InvalidSchemaName)
                    })?,
                    None => names.current_schema().unwrap_or_else(|| "public".to_owned()),
                };
                let Some(entry) = snapshot.schema(&database, &schema) else {
                    return text_rows("SHOW", self.schema(), &[]);
                };
                match self.kind {
                    Kind::Views => entry.views.keys().for_each(&mut name),
                    Kind::UserFunctions => entry.functions.keys().for_each(&mut name),
                    Kind::Functions => {
                        // Those that the server brings along are seen from every schema, and belong to `public`.
                        let brought =
                            shipped::functions().keys().filter(|_| self.schema.is_none() || schema == "public");
                        let mut all: BTreeSet<String> = entry.functions.keys().chain(brought).cloned().collect();
                        if self.schema.is_none() {
                            all.extend(built_in());
                        }
                        all.iter().for_each(&mut name);
                    }
                    _ => {
                        let mut all: Vec<&String> = entry.tables.keys().chain(entry.views.keys()).collect();
                        let temporary = session.temporary_names();
                        if self.schema.is_none() {
                            all.extend(temporary.iter());
                        }
                        all.sort();
                        all.into_iter().for_each(&mut name);
                    }
                }
            }
        }
        if let Some(pattern) = &self.like {
            rows.retain(|row| row[0].as_deref().is_some_and(|name| like(pattern, name)));
        }
        text_rows("SHOW", self.schema(), &rows)
    }
}

impl Control for Show {
    fn result(&self, _session: &Session) -> Option<SchemaRef> {
        Some(self.schema())
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(self.execute(session))
    }
}

/// Names of the functions that are part of the server, but for those of `pg_catalog`.
fn built_in() -> impl Iterator<Item = String> {
    let names = scalars().public_names().chain(aggregations().public_names()).chain(windows().public_names());
    names.map(str::to_owned)
}

fn like(pattern: &str, text: &str) -> bool {
    let pattern: String = pattern
        .chars()
        .map(|c| match c {
            '%' => ".*".to_owned(),
            '_' => ".".to_owned(),
            c => regex::escape(&c.to_string()),
        })
        .collect();
    regex::Regex::new(&format!("^(?s){pattern}$")).is_ok_and(|regex| regex.is_match(text))
}
