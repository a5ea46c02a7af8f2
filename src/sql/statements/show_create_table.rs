//! SHOW CREATE TABLE and SHOW CREATE VIEW: the declaration as a statement that declares the same again. Secrets are `******`.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::Ident;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::outcomes::text_rows;
use crate::catalog::TableEntry;
use crate::connectors::ColumnKind;
use crate::error::{Error, Result, SqlState};
use crate::options::OptionValue;
use crate::sql::parser::secret_options::{MASK, is_secret};
use crate::sql::parser::{Cursor, fold};

/// SHOW CREATE TABLE | VIEW t
#[derive(Debug, Clone)]
pub struct ShowCreateTable {
    name: Vec<Ident>,
    view: bool,
}

impl ShowCreateTable {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("SHOW")?;
        cursor.expect_word("CREATE")?;
        let view = cursor.word("VIEW");
        if !view {
            cursor.expect_word("TABLE")?;
        }
        Ok(Self { name: cursor.name()?, view })
    }

    /// One column of text.
    pub fn schema(&self) -> SchemaRef {
        let name = if self.view { "create view" } else { "create table" };
        Arc::new(Schema::new(vec![Field::new(name, DataType::Utf8, true)]))
    }

    /// Shows it.
    ///
    /// # Errors
    /// There is no such table.
    pub fn execute(&self, session: &mut Session) -> Result<Outcome> {
        let written = self.name.iter().map(fold).collect::<Vec<_>>().join(".");
        let missing =
            || Error::not_found(format!("relation \"{written}\" does not exist")).code(SqlState::UndefinedTable);
        let found = session.names()?.find_relation(&self.name)?.ok_or_else(missing)?;
        let text = if let Some(entry) = session.temporary(&found) {
            print_table(&found.qualified(), entry)
        } else {
            let snapshot = session.snapshot()?;
            let schema = snapshot.schema(&found.database, &found.schema).ok_or_else(missing)?;
            match (schema.tables.get(&found.name), schema.views.get(&found.name), self.view) {
                (Some(entry), _, false) => print_table(&found.qualified(), entry),
                (_, Some(view), true) => {
                    let columns: Vec<String> = view.columns.iter().map(|(name, _)| quote(name)).collect();
                    let comment =
                        view.comment.as_ref().map_or_else(String::new, |text| format!("COMMENT {}\n", literal(text)));
                    format!("CREATE VIEW {} ({})\n{comment}AS {}", found.qualified(), columns.join(", "), view.query)
                }
                (_, Some(_), false) => {
                    return Err(Error::invalid(format!("\"{written}\" is a view")).code(SqlState::WrongObjectType));
                }
                _ => return Err(Error::invalid(format!("\"{written}\" is not a view")).code(SqlState::WrongObjectType)),
            }
        };
        text_rows("SHOW", self.schema(), &[vec![Some(text)]])
    }
}

impl Control for ShowCreateTable {
    fn result(&self, _session: &Session) -> Option<SchemaRef> {
        Some(self.schema())
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(std::future::ready(self.execute(session)))
    }
}

fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Prints a declaration.
pub fn print_table(name: &str, entry: &TableEntry) -> String {
    let declaration = &entry.declaration;
    let mut lines = Vec::new();
    for column in &entry.columns {
        let mut line = format!("  {} ", quote(&column.name));
        match &column.computed {
            Some(expression) => line.push_str(&format!("AS {expression}")),
            None => {
                line.push_str(&column.sql_type);
                let declared = declaration.columns.iter().find(|known| known.name == column.name);
                if let Some(declared) = declared {
                    if let ColumnKind::Metadata { key, is_virtual } = &declared.kind {
                        line.push_str(" METADATA");
                        if key != &column.name {
                            line.push_str(&format!(" FROM {}", literal(key)));
                        }
                        if *is_virtual {
                            line.push_str(" VIRTUAL");
                        }
                    }
                    if !declared.nullable {
                        line.push_str(" NOT NULL");
                    }
                }
            }
        }
        if let Some(comment) = &column.comment {
            line.push_str(&format!(" COMMENT {}", literal(comment)));
        }
        lines.push(line);
    }
    for watermark in &entry.watermarks {
        lines.push(format!("  WATERMARK FOR {} AS {}", quote(&watermark.column), watermark.expression));
    }
    let list = |names: &[String]| names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ");
    if !declaration.primary_key.is_empty() {
        lines.push(format!("  PRIMARY KEY ({}) NOT ENFORCED", list(&declaration.primary_key)));
    }
    let mut text = format!("CREATE TABLE {name} (\n{}\n)", lines.join(",\n"));
    if let Some(comment) = &entry.comment {
        text.push_str(&format!("\nCOMMENT {}", literal(comment)));
    }
    if !declaration.partitioned_by.is_empty() {
        text.push_str(&format!("\nPARTITIONED BY ({})", list(&declaration.partitioned_by)));
    }
    let options: Vec<String> = declaration
        .options
        .iter()
        .map(|(name, value)| {
            let shown = match value {
                OptionValue::Secret(_) => MASK,
                OptionValue::Plain(value) if is_secret(name) && !value.trim().is_empty() => MASK,
                OptionValue::Plain(value) => value,
            };
            format!("  {} = {}", literal(name), literal(shown))
        })
        .collect();
    text.push_str(&format!("\nWITH (\n{}\n)", options.join(",\n")));
    text
}
