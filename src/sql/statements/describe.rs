//! DESCRIBE: the columns of a table or view, as Flink shows them.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast::Ident;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::outcomes::{text_rows, text_schema};
use crate::catalog::TableEntry;
use crate::connectors::ColumnKind;
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::{Cursor, fold};

/// DESCRIBE | DESC t
#[derive(Debug, Clone)]
pub struct Describe {
    name: Vec<Ident>,
}

/// Its columns.
pub fn schema() -> SchemaRef {
    text_schema(&["name", "type", "null", "key", "extras", "watermark", "comment"])
}

impl Describe {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        if !cursor.word("DESCRIBE") {
            cursor.expect_word("DESC")?;
        }
        cursor.word("TABLE");
        cursor.word("EXTENDED");
        Ok(Self { name: cursor.name()? })
    }

    /// Shows the columns.
    ///
    /// # Errors
    /// There is no such table.
    pub fn execute(&self, session: &mut Session) -> Result<Outcome> {
        let written = self.name.iter().map(fold).collect::<Vec<_>>().join(".");
        let missing =
            || Error::not_found(format!("relation \"{written}\" does not exist")).code(SqlState::UndefinedTable);
        let found = session.names()?.find_relation(&self.name)?.ok_or_else(missing)?;
        let snapshot = session.snapshot()?;
        let entry = session.temporary(&found);
        let schema = snapshot.schema(&found.database, &found.schema);
        let rows = if let Some(entry) = entry.or_else(|| schema?.tables.get(&found.name)) {
            describe_table(entry)
        } else if let Some(view) = schema.and_then(|schema| schema.views.get(&found.name)) {
            let row = |(place, (name, sql_type)): (usize, &(String, String))| {
                let comment = view.column_comments.get(place).cloned().flatten();
                vec![Some(name.clone()), Some(sql_type.clone()), Some("TRUE".to_owned()), None, None, None, comment]
            };
            view.columns.iter().enumerate().map(row).collect()
        } else {
            let provider = session.planner(false)?.provider(&found, &[])?;
            let row = |field: &std::sync::Arc<datafusion::arrow::datatypes::Field>| {
                let null = if field.is_nullable() { "TRUE" } else { "FALSE" };
                let sql_type = crate::data_type::to_flink(field.data_type());
                vec![Some(field.name().clone()), Some(sql_type), Some(null.to_owned()), None, None, None, None]
            };
            provider.schema().fields().iter().map(row).collect()
        };
        text_rows("DESCRIBE", self::schema(), &rows)
    }
}

impl Control for Describe {
    fn result(&self, _session: &Session) -> Option<SchemaRef> {
        Some(schema())
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(std::future::ready(self.execute(session)))
    }
}

fn describe_table(entry: &TableEntry) -> Vec<Vec<Option<String>>> {
    let declaration = &entry.declaration;
    let row = |column: &crate::catalog::table::TableColumn| {
        let declared = declaration.columns.iter().find(|known| known.name == column.name);
        let nullable = declared.is_none_or(|declared| declared.nullable);
        let key = declaration
            .primary_key
            .contains(&column.name)
            .then(|| format!("PRI({})", declaration.primary_key.join(", ")));
        let extras = match (&column.computed, declared.map(|declared| &declared.kind)) {
            (Some(expression), _) => Some(format!("AS {expression}")),
            (None, Some(ColumnKind::Metadata { key, is_virtual })) => {
                Some(format!("METADATA FROM '{key}'{}", if *is_virtual { " VIRTUAL" } else { "" }))
            }
            _ => None,
        };
        let watermark = entry
            .watermarks
            .iter()
            .find(|watermark| watermark.column == column.name)
            .map(|watermark| watermark.expression.clone());
        let null = if nullable { "TRUE" } else { "FALSE" };
        let (name, sql_type) = (Some(column.name.clone()), Some(column.sql_type.clone()));
        vec![name, sql_type, Some(null.to_owned()), key, extras, watermark, column.comment.clone()]
    };
    entry.columns.iter().map(row).collect()
}
