//! CREATE TABLE as Flink writes it, in full: every clause is read, held against the others, stored and shown again.
//! The connector is asked before anything is stored, so that a bad option is an error here and not at the first use.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::session::{Outcome, Running, Session};
use super::control::Control;
use super::local_clauses::LocalClauses;
use super::outcomes::done;
use crate::catalog::Object;
use crate::catalog::rights::{Access, Privilege};
use crate::catalog::table::{Check, TableColumn, Watermark};
use crate::catalog::{Catalog, Change, TableEntry};
use crate::connectors::local;
use crate::connectors::{Advice, ColumnDeclaration, ColumnKind, TableDeclaration};
use crate::data_type;
use crate::error::{Error, Result, SqlState};
use crate::options::{OptionReader, OptionValue};
use crate::places;
use crate::sql::parser::secret_options::is_secret;
use crate::sql::parser::{Cursor, option_list};
use crate::sql::planning::names::{TEMPORARY_SCHEMA, Target};

#[derive(Debug, Clone, PartialEq)]
enum DeclaredKind {
    Physical,
    Metadata { key: String, is_virtual: bool },
    Computed(String),
}

#[derive(Debug, Clone)]
struct DeclaredColumn {
    name: String,
    position: usize,
    sql_type: String,
    nullable: bool,
    kind: DeclaredKind,
    default: Option<String>,
    comment: Option<String>,
}

/// CREATE [TEMPORARY] TABLE [IF NOT EXISTS] t (…) [COMMENT] [PARTITIONED BY] WITH (…)
#[derive(Debug, Clone)]
pub struct CreateTable {
    name: Vec<Ident>,
    temporary: bool,
    if_not_exists: bool,
    columns: Vec<DeclaredColumn>,
    primary_key: Option<Vec<Ident>>,
    watermarks: Vec<(Ident, String)>,
    comment: Option<String>,
    partitioned_by: Vec<Ident>,
    options: Vec<(String, String)>,
    /// What only a table without a connector can have.
    local: LocalClauses,
    /// Where each name of a clause stands, for errors.
    places: BTreeMap<String, usize>,
}

impl CreateTable {
    /// Reads the statement.
    ///
    /// # Errors
    /// A syntax error, or a clause that is refused.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        cursor.expect_word("CREATE")?;
        if cursor.words(&["OR", "REPLACE"]) {
            return Err(Error::unsupported("CREATE OR REPLACE TABLE is not supported")
                .hint("DROP TABLE forgets the declaration only, never the data."));
        }
        let temporary = cursor.word("TEMPORARY") || cursor.word("TEMP");
        cursor.expect_word("TABLE")?;
        let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
        let mut table = Self {
            name: cursor.name()?,
            temporary,
            if_not_exists,
            columns: Vec::new(),
            primary_key: None,
            watermarks: Vec::new(),
            comment: None,
            partitioned_by: Vec::new(),
            options: Vec::new(),
            local: LocalClauses::default(),
            places: BTreeMap::new(),
        };
        if cursor.peek_words(&["AS"]) || cursor.peek_words(&["LIKE"]) {
            return Err(table.refuse_source(cursor));
        }
        cursor.expect(&Token::LParen)?;
        loop {
            table.element(cursor)?;
            if !cursor.token(&Token::Comma) {
                break;
            }
        }
        cursor.expect(&Token::RParen)?;
        loop {
            let position = cursor.position();
            if cursor.word("COMMENT") {
                if table.comment.is_some() {
                    return Err(Error::invalid("COMMENT is given twice").code(SqlState::SyntaxError).at(position));
                }
                table.comment = Some(cursor.string()?);
            } else if cursor.words(&["PARTITIONED", "BY"]) {
                let at = cursor.position();
                table.partitioned_by = cursor.idents()?;
                for ident in &table.partitioned_by {
                    table.places.insert(ident.value.clone(), at);
                }
            } else if cursor.word("DISTRIBUTED") {
                return Err(Error::unsupported("DISTRIBUTED BY is not supported").at(position));
            } else if cursor.word("WITH") {
                cursor.expect(&Token::LParen)?;
                table.options = option_list(cursor)?;
            } else if cursor.peek_words(&["AS"]) || cursor.peek_words(&["LIKE"]) {
                return Err(table.refuse_source(cursor));
            } else {
                break;
            }
        }
        Ok(table)
    }

    fn refuse_source(&self, cursor: &Cursor) -> Error {
        let what = if cursor.peek_words(&["AS"]) { "AS SELECT" } else { "LIKE" };
        Error::unsupported(format!("CREATE TABLE … {what} is not supported yet"))
            .hint("Write the columns out, then INSERT INTO … SELECT.")
            .at(cursor.position())
    }

    fn element(&mut self, cursor: &mut Cursor) -> Result<()> {
        let position = cursor.position();
        if cursor.words(&["WATERMARK", "FOR"]) {
            let column = cursor.ident()?;
            self.places.insert(column.value.clone(), position);
            cursor.expect_word("AS")?;
            let expression = cursor.expression()?;
            if !self.watermarks.is_empty() {
                return Err(Error::invalid("a table has one watermark at most")
                    .code(SqlState::SyntaxError)
                    .at(position));
            }
            self.watermarks.push((column, expression));
            return Ok(());
        }
        let constraint = if cursor.word("CONSTRAINT") { Some(cursor.ident()?) } else { None };
        if cursor.words(&["PRIMARY", "KEY"]) {
            let key = cursor.idents()?;
            return self.set_primary_key(cursor, key, constraint.as_ref(), position);
        }
        if self.local.of_table(cursor, constraint.as_ref())? {
            return Ok(());
        }
        for refused in [&["FOREIGN", "KEY"][..], &["EXCLUDE"], &["LIKE"], &["PERIOD", "FOR"]] {
            let is_constraint = cursor.peek_words(refused)
                && (refused.len() > 1
                    || matches!(cursor.peek_nth(1), Token::LParen)
                    || cursor.peek_words(&["EXCLUDE", "USING"])
                    || refused == ["LIKE"]);
            if is_constraint {
                return Err(
                    Error::unsupported(format!("{} in CREATE TABLE is not supported", refused.join(" "))).at(position)
                );
            }
        }
        let name = cursor.ident()?.value;
        self.places.insert(name.clone(), position);
        let mut column = DeclaredColumn {
            name,
            position,
            sql_type: String::new(),
            nullable: true,
            kind: DeclaredKind::Physical,
            default: None,
            comment: None,
        };
        if cursor.word("AS") {
            column.kind = DeclaredKind::Computed(cursor.expression()?);
        } else {
            match self.local.serial(cursor, &column.name) {
                Some(sql_type) => (column.sql_type, column.nullable) = (sql_type.to_owned(), false),
                None => column.sql_type = cursor.data_type()?,
            }
            self.column_clauses(cursor, &mut column)?;
        }
        if cursor.word("COMMENT") {
            column.comment = Some(cursor.string()?);
        }
        self.columns.push(column);
        Ok(())
    }

    fn column_clauses(&mut self, cursor: &mut Cursor, column: &mut DeclaredColumn) -> Result<()> {
        let mut constraint = None;
        loop {
            let position = cursor.position();
            if cursor.words(&["NOT", "NULL"]) {
                column.nullable = false;
            } else if cursor.word("NULL") {
            } else if cursor.word("METADATA") {
                let key = if cursor.word("FROM") { cursor.string()? } else { column.name.clone() };
                column.kind = DeclaredKind::Metadata { key, is_virtual: cursor.word("VIRTUAL") };
            } else if cursor.word("CONSTRAINT") {
                constraint = Some(cursor.ident()?);
            } else if cursor.words(&["PRIMARY", "KEY"]) {
                let key = vec![Ident::with_quote('"', &column.name)];
                self.set_primary_key(cursor, key, constraint.take().as_ref(), position)?;
            } else if cursor.word("DEFAULT") {
                self.local.has_default(position);
                if column.default.is_some() {
                    return Err(Error::invalid(format!(
                        "multiple default values specified for column \"{}\"",
                        column.name
                    ))
                    .code(SqlState::SyntaxError)
                    .at(position));
                }
                column.default = Some(cursor.column_expression()?);
            } else if self.local.of_column(cursor, constraint.take().as_ref(), &column.name)? {
            } else if self.local.identity(cursor, &column.name)? {
                column.nullable = false;
            } else {
                for refused in ["REFERENCES", "COLLATE"] {
                    if cursor.peek_words(&[refused]) {
                        return Err(Error::unsupported(format!("{refused} of a column is not supported")).at(position));
                    }
                }
                return Ok(());
            }
        }
    }

    fn set_primary_key(
        &mut self,
        cursor: &mut Cursor,
        key: Vec<Ident>,
        name: Option<&Ident>,
        position: usize,
    ) -> Result<()> {
        let is_declared_only = cursor.words(&["NOT", "ENFORCED"]);
        if !is_declared_only {
            cursor.word("ENFORCED");
        }
        self.local.has_key(name, is_declared_only, position);
        if self.primary_key.is_some() {
            return Err(Error::invalid("multiple primary keys for one table are not allowed")
                .code(SqlState::InvalidTableDefinition)
                .at(position));
        }
        for ident in &key {
            self.places.entry(ident.value.clone()).or_insert(position);
        }
        self.primary_key = Some(key);
        Ok(())
    }

    /// Finds the column that a clause names: exactly, else without regard to case.
    fn column(&self, name: &str) -> Result<&DeclaredColumn> {
        self.columns
            .iter()
            .find(|column| column.name == name)
            .or_else(|| self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)))
            .ok_or_else(|| {
                let error =
                    Error::not_found(format!("column \"{name}\" does not exist")).code(SqlState::UndefinedColumn);
                match self.places.get(name) {
                    Some(position) => error.at(*position),
                    None => error,
                }
            })
    }

    fn key_names(&self, names: &[Ident], clause: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for ident in names {
            let column = self.column(&ident.value)?;
            if matches!(column.kind, DeclaredKind::Computed(_)) {
                return Err(Error::invalid(format!("{clause}: column \"{}\" is computed", column.name))
                    .code(SqlState::InvalidTableDefinition)
                    .at(column.position));
            }
            if found.contains(&column.name) {
                return Err(Error::invalid(format!("{clause}: column \"{}\" appears twice", column.name))
                    .code(SqlState::DuplicateColumn));
            }
            found.push(column.name.clone());
        }
        Ok(found)
    }

    fn check_columns(&self) -> Result<()> {
        let mut names = BTreeSet::new();
        for column in &self.columns {
            if !names.insert(column.name.clone()) {
                return Err(Error::invalid(format!("column \"{}\" specified more than once", column.name))
                    .code(SqlState::DuplicateColumn)
                    .at(column.position));
            }
        }
        Ok(())
    }

    fn declaration(&self, name: String, options: BTreeMap<String, OptionValue>) -> Result<TableDeclaration> {
        let primary_key = self.key_names(self.primary_key.as_deref().unwrap_or_default(), "PRIMARY KEY")?;
        let columns = self
            .columns
            .iter()
            .filter_map(|column| {
                let kind = match &column.kind {
                    DeclaredKind::Physical => ColumnKind::Physical,
                    DeclaredKind::Metadata { key, is_virtual } => {
                        ColumnKind::Metadata { key: key.clone(), is_virtual: *is_virtual }
                    }
                    DeclaredKind::Computed(_) => return None,
                };
                Some(ColumnDeclaration {
                    name: column.name.clone(),
                    sql_type: column.sql_type.clone(),
                    nullable: column.nullable && !primary_key.contains(&column.name),
                    kind,
                })
            })
            .collect();
        let partitioned_by = self.key_names(&self.partitioned_by, "PARTITIONED BY")?;
        Ok(TableDeclaration { name, columns, primary_key, partitioned_by, options, local: None })
    }

    /// Declares the table.
    ///
    /// # Errors
    /// The clauses contradict each other, the connector refuses, or the name is taken.
    pub async fn execute(&self, session: &mut Session) -> Result<Outcome> {
        let mut target = session.target(&self.name)?;
        if self.temporary {
            if self.name.len() > 1 {
                return Err(Error::invalid("a temporary table has no schema").code(SqlState::InvalidTableDefinition));
            }
            target.schema = TEMPORARY_SCHEMA.to_owned();
        }
        if session.has_relation(&target)? {
            let exists = format!("relation \"{}\" already exists", target.name);
            if self.if_not_exists {
                session.notice(format!("{exists}, skipping"));
                return Ok(done("CREATE TABLE"));
            }
            return Err(Error::invalid(exists).code(SqlState::DuplicateTable));
        }
        self.permit(session, &target)?;
        self.check_columns()?;
        let mut staged = Vec::new();
        let result = self.declare(session, &target, &mut staged).await;
        if result.is_err() {
            session.server().catalog.discard_secrets(&staged);
        }
        let entry = result?;
        if self.temporary {
            session.add_temporary(target.name, entry);
        } else {
            session.change(Change::CreateTable {
                database: target.database,
                schema: target.schema,
                name: target.name,
                entry: Box::new(entry),
            })?;
        }
        Ok(done("CREATE TABLE"))
    }

    /// Before anything outside is asked.
    fn permit(&self, session: &mut Session, target: &Target) -> Result<()> {
        let connector = self.options.iter().find(|(name, _)| name == "connector").map(|(_, value)| value.as_str());
        session.require_connector(connector)?;
        let database = target.database.clone();
        match self.temporary {
            true => session.require_privilege(&Object::Database { database }, Privilege::Temporary),
            false => session
                .require_privilege(&Object::Schema { database, schema: target.schema.clone() }, Privilege::Create),
        }
    }

    /// Whether the outside system has the table that would be declared; `false` where that cannot be told.
    ///
    /// # Errors
    /// The declaration contradicts itself.
    pub async fn is_there(&self, session: &mut Session) -> Result<bool> {
        let target = session.names()?.target(&self.name)?;
        let options =
            self.options.iter().map(|(name, value)| (name.clone(), OptionValue::Plain(value.clone()))).collect();
        let declaration = self.declaration(target.to_string(), options)?;
        let table = session.server().connectors.open(&declaration, &|text: &str| Ok(text.to_owned()), true)?;
        Ok(match table.lookup {
            Some(lookup) => lookup.key().await.is_ok(),
            None => false,
        })
    }

    /// Makes a table without a connector one that the server keeps; gives its CHECK constraints. Of others it refuses what only such a
    /// table can have.
    fn keep(&self, declaration: &mut TableDeclaration, relation: &str) -> Result<Vec<Check>> {
        if declaration.connector().is_some_and(|connector| !connector.eq_ignore_ascii_case(local::NAME)) {
            self.local.refuse()?;
            return Ok(Vec::new());
        }
        if let Some((name, _)) = self.options.iter().find(|(name, _)| name != "connector") {
            return Err(Error::invalid(format!("unknown option \"{name}\": a table without a connector has none"))
                .hint("Add 'connector' = '…' to WITH, or leave WITH out: the server then keeps the rows."));
        }
        if let Some(column) = self.columns.iter().find(|column| column.name == local::ROW_KEY) {
            return Err(Error::invalid(format!("column name \"{}\" is the server's", column.name))
                .code(SqlState::ReservedName)
                .at(column.position));
        }
        if let Some(computed) = self.columns.iter().find(|column| matches!(column.kind, DeclaredKind::Computed(_))) {
            return Err(Error::unsupported("a computed column of a table without a connector is not supported")
                .hint("Compute it in a view.")
                .at(computed.position));
        }
        if let Some((column, _)) = self.watermarks.first() {
            let error = Error::unsupported("WATERMARK of a table without a connector is not supported");
            return Err(error.at(self.places.get(&column.value).copied().unwrap_or(1)));
        }
        let find = |names: &[Ident]| self.key_names(names, "UNIQUE");
        let (kept, checks) = self.local.declaration(relation, self.temporary, &find)?;
        declaration.local = Some(kept);
        declaration.options.insert("connector".to_owned(), OptionValue::Plain(local::NAME.to_owned()));
        for column in &mut declaration.columns {
            // Of Postgres, not of Flink, whose NUMERIC has no digits behind the point.
            if ["NUMERIC", "DECIMAL", "DEC"].contains(&column.sql_type.to_ascii_uppercase().as_str()) {
                column.sql_type = data_type::to_flink(&data_type::unconstrained_numeric());
            }
        }
        Ok(checks)
    }

    /// The options of WITH as they are stored: secrets by reference, which are `staged`.
    fn stored_options(&self, catalog: &Catalog, staged: &mut Vec<String>) -> Result<BTreeMap<String, OptionValue>> {
        let mut options = BTreeMap::new();
        for (name, value) in &self.options {
            if value.contains("://") {
                places::refuse_userinfo(&format!("option \"{name}\""), value)?;
            }
            let value = if is_secret(name) && !value.trim().is_empty() {
                let reference = catalog.stage_secret(value)?;
                staged.push(reference.clone());
                OptionValue::Secret(reference)
            } else {
                OptionValue::Plain(value.clone())
            };
            options.insert(name.clone(), value);
        }
        Ok(options)
    }

    async fn declare(&self, session: &mut Session, target: &Target, staged: &mut Vec<String>) -> Result<TableEntry> {
        let server = session.server().clone();
        let options = self.stored_options(&server.catalog, staged)?;
        let mut declaration = self.declaration(target.to_string(), options)?;
        let checks = self.keep(&mut declaration, &target.name)?;
        let resolve = |reference: &str| server.catalog.secret(reference);
        server.connectors.open(&declaration, &resolve, true)?;
        let comment = self.comment.clone();
        let mut entry = TableEntry {
            oid: 0,
            declaration,
            columns: Vec::new(),
            watermarks: Vec::new(),
            comment,
            checks,
            access: Access::default(),
        };
        for column in &self.columns {
            let (sql_type, computed) = match &column.kind {
                DeclaredKind::Computed(expression) => {
                    let (declaration, text) = (entry.declaration.clone(), expression.clone());
                    let data_type = session
                        .plan(true, move |planner| planner.type_of_column_expression(&declaration, &text))
                        .await
                        .map_err(|error| {
                            error.context(format!("computed column \"{}\"", column.name)).at(column.position)
                        })?;
                    (data_type::to_flink(&data_type), Some(expression.clone()))
                }
                _ => {
                    let declared = entry.declaration.columns.iter().find(|known| known.name == column.name);
                    (declared.map_or_else(|| column.sql_type.clone(), |known| known.sql_type.clone()), None)
                }
            };
            entry.columns.push(TableColumn {
                name: column.name.clone(),
                sql_type,
                computed,
                default: column.default.clone(),
                comment: column.comment.clone(),
            });
        }
        for (ident, expression) in &self.watermarks {
            let column = self.column(&ident.value)?;
            let sql_type =
                entry.columns.iter().find(|known| known.name == column.name).map(|known| known.sql_type.clone());
            let data_type = data_type::parse(&sql_type.unwrap_or_default())?;
            if !matches!(data_type, datafusion::arrow::datatypes::DataType::Timestamp(..)) {
                return Err(Error::invalid(format!(
                    "WATERMARK: column \"{}\" must be of type TIMESTAMP or TIMESTAMP_LTZ",
                    column.name
                ))
                .code(SqlState::DatatypeMismatch)
                .at(column.position));
            }
            entry.watermarks.push(Watermark { column: column.name.clone(), expression: expression.clone() });
        }
        let checked = entry.clone();
        session.plan(true, move |planner| planner.check_watermarks(&checked)).await?;
        if entry.declaration.local.is_some() {
            let checked = entry.clone();
            session.plan(false, move |planner| planner.check_local_table(&checked)).await?;
        }
        let mut reader = OptionReader::new(&entry.declaration.options, &resolve)?;
        let advice = server.connectors.connector(&entry.declaration)?.create(&mut reader, &entry.declaration).await?;
        for advice in advice {
            match advice {
                Advice::Notice(text) => session.notice(text),
                Advice::Warning(text) => session.warning(text),
            }
        }
        Ok(entry)
    }
}

impl Control for CreateTable {
    fn has_own_rules(&self) -> bool {
        true
    }

    fn writes(&self) -> Option<&'static str> {
        Some("CREATE TABLE")
    }

    fn run<'a>(&'a self, session: &'a mut Session) -> Running<'a> {
        Box::pin(self.execute(session))
    }
}
