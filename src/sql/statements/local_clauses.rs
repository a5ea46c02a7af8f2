//! The clauses of CREATE TABLE that only a table which the server itself keeps can have: keys that hold, UNIQUE, CHECK, DEFAULT. They are
//! read here, refused where a connector keeps the rows, and made into what is stored.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::catalog::table::Check;
use crate::connectors::local::TEMPORARY;
use crate::connectors::{LocalDeclaration, UniqueDeclaration};
use crate::error::{Error, Result, SqlState};
use crate::sql::parser::{Cursor, fold};

/// What was read of them.
#[derive(Debug, Clone, Default)]
pub struct LocalClauses {
    /// Of CONSTRAINT before PRIMARY KEY.
    key_name: Option<Ident>,
    unique: Vec<(Option<Ident>, Vec<Ident>)>,
    checks: Vec<(Option<Ident>, Option<String>, String)>,
    numbered: Vec<String>,
    /// The first one, and where it stands.
    first: Option<(String, usize)>,
    /// Where NOT ENFORCED stands.
    not_enforced: Option<usize>,
}

impl LocalClauses {
    fn note(&mut self, what: &str, position: usize) {
        self.first.get_or_insert_with(|| (what.to_owned(), position));
    }

    /// Reads a constraint of the table, if one of these is next.
    ///
    /// # Errors
    /// A syntax error.
    pub fn of_table(&mut self, cursor: &mut Cursor, name: Option<&Ident>) -> Result<bool> {
        let position = cursor.position();
        if !matches!(cursor.peek_nth(1), Token::LParen) {
            return Ok(false);
        }
        if cursor.word("UNIQUE") {
            let columns = cursor.idents()?;
            self.note("UNIQUE in CREATE TABLE", position);
            self.unique.push((name.cloned(), columns));
            return Ok(true);
        }
        if cursor.peek_words(&["CHECK"]) {
            self.note("CHECK in CREATE TABLE", position);
            self.check(cursor, name, None)?;
            return Ok(true);
        }
        Ok(false)
    }

    fn check(&mut self, cursor: &mut Cursor, name: Option<&Ident>, column: Option<&str>) -> Result<()> {
        cursor.expect_word("CHECK")?;
        cursor.expect(&Token::LParen)?;
        let expression = cursor.expression()?;
        cursor.expect(&Token::RParen)?;
        self.checks.push((name.cloned(), column.map(str::to_owned), expression));
        Ok(())
    }

    /// Reads a constraint of a column, if one of these is next.
    ///
    /// # Errors
    /// A syntax error.
    pub fn of_column(&mut self, cursor: &mut Cursor, name: Option<&Ident>, column: &str) -> Result<bool> {
        let position = cursor.position();
        if cursor.word("UNIQUE") {
            self.note("UNIQUE of a column", position);
            self.unique.push((name.cloned(), vec![Ident::with_quote('"', column)]));
            return Ok(true);
        }
        if cursor.peek_words(&["CHECK"]) {
            self.note("CHECK of a column", position);
            self.check(cursor, name, Some(column))?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Reads SERIAL in place of a type, if it is next; gives the type.
    pub fn serial(&mut self, cursor: &mut Cursor, column: &str) -> Option<&'static str> {
        let position = cursor.position();
        let types = [("SMALLSERIAL", "SMALLINT"), ("SERIAL2", "SMALLINT"), ("SERIAL", "INT"), ("SERIAL4", "INT")];
        let types = types.into_iter().chain([("BIGSERIAL", "BIGINT"), ("SERIAL8", "BIGINT")]);
        let (word, sql_type) = types.into_iter().find(|(word, _)| cursor.peek_words(&[word]))?;
        cursor.word(word);
        self.note(word, position);
        self.numbered.push(column.to_owned());
        Some(sql_type)
    }

    /// Reads GENERATED … AS IDENTITY, if it is next.
    ///
    /// # Errors
    /// 0A000: another expression, or options of the sequence.
    pub fn identity(&mut self, cursor: &mut Cursor, column: &str) -> Result<bool> {
        let position = cursor.position();
        if !cursor.words(&["GENERATED", "BY", "DEFAULT", "AS", "IDENTITY"]) {
            if cursor.peek_words(&["GENERATED"]) {
                return Err(Error::unsupported(
                    "GENERATED of a column is not supported but for BY DEFAULT AS IDENTITY",
                )
                .at(position));
            }
            return Ok(false);
        }
        if cursor.peek() == Token::LParen {
            return Err(Error::unsupported("options of the numbers of IDENTITY are not supported: they count from 1")
                .at(cursor.position()));
        }
        self.note("GENERATED of a column", position);
        if self.numbered.iter().any(|numbered| numbered == column) {
            return Err(Error::invalid(format!("multiple identity specifications for column \"{column}\""))
                .code(SqlState::SyntaxError)
                .at(position));
        }
        self.numbered.push(column.to_owned());
        Ok(true)
    }

    /// DEFAULT was read.
    pub fn has_default(&mut self, position: usize) {
        self.note("DEFAULT of a column", position);
    }

    /// PRIMARY KEY was read: whether it is one that is NOT ENFORCED.
    pub fn has_key(&mut self, name: Option<&Ident>, is_declared_only: bool, position: usize) {
        self.key_name = name.cloned();
        match is_declared_only {
            true => self.not_enforced = Some(position),
            false => self.note("PRIMARY KEY", position),
        }
    }

    /// Refuses them for a table whose rows a connector keeps.
    ///
    /// # Errors
    /// 0A000: one was read.
    pub fn refuse(&self) -> Result<()> {
        match &self.first {
            Some((what, position)) if what == "PRIMARY KEY" => {
                Err(Error::unsupported("PRIMARY KEY is declared only, not checked")
                    .hint("Write PRIMARY KEY (…) NOT ENFORCED.")
                    .at(*position))
            }
            Some((what, position)) => Err(Error::unsupported(format!("{what} is not supported"))
                .hint("A table without a connector, whose rows the server keeps, can have it.")
                .at(*position)),
            None => Ok(()),
        }
    }

    /// What is stored of them. `find` gives the columns that a list names.
    ///
    /// # Errors
    /// 0A000: the key is said not to be enforced; 42710: two constraints have one name.
    pub fn declaration(
        &self,
        relation: &str,
        is_temporary: bool,
        find: &dyn Fn(&[Ident]) -> Result<Vec<String>>,
    ) -> Result<(LocalDeclaration, Vec<Check>)> {
        if let Some(position) = self.not_enforced {
            return Err(Error::unsupported("the PRIMARY KEY of a table without a connector is enforced")
                .hint("Leave NOT ENFORCED out, or name the connector that keeps the rows: WITH ('connector' = '…').")
                .at(position));
        }
        let mut taken: Vec<String> = Vec::new();
        let mut name = |given: &Option<Ident>, made: String| {
            if let Some(given) = given {
                let given = fold(given);
                if taken.contains(&given) {
                    return Err(Error::invalid(format!(
                        "constraint \"{given}\" for relation \"{relation}\" already exists"
                    ))
                    .code(SqlState::DuplicateObject));
                }
                taken.push(given.clone());
                return Ok(given);
            }
            let numbered = (1..).map(|number| format!("{made}{number}"));
            let free = std::iter::once(made.clone()).chain(numbered).find(|name| !taken.contains(name));
            let free = free.unwrap_or(made);
            taken.push(free.clone());
            Ok(free)
        };
        let key_name = name(&self.key_name, format!("{relation}_pkey"))?;
        let mut unique = Vec::new();
        for (given, columns) in &self.unique {
            let columns = find(columns)?;
            unique.push(UniqueDeclaration {
                name: name(given, format!("{relation}_{}_key", columns.join("_")))?,
                columns,
            });
        }
        let mut checks = Vec::new();
        for (given, column, expression) in &self.checks {
            let column = column.as_ref().map_or_else(String::new, |column| format!("{column}_"));
            checks.push(Check {
                name: name(given, format!("{relation}_{column}check"))?,
                expression: expression.clone(),
            });
        }
        let id = uuid::Uuid::new_v4();
        let id = if is_temporary { format!("{TEMPORARY}{id}") } else { id.to_string() };
        let relation = relation.to_owned();
        let declaration =
            LocalDeclaration { id, relation, is_temporary, key_name, unique, numbered: self.numbered.clone() };
        Ok((declaration, checks))
    }
}
