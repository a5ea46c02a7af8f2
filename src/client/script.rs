//! The texts that `streamgate sql` runs: where each statement stands, and which of them move rows by COPY.

use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};
use crate::sql::split_statements;

/// A text of statements, and what it is called in errors.
pub(super) struct Script {
    /// A file's path; nothing for a text of the command line.
    name: Option<String>,
    text: String,
}

/// A statement, with the number of characters in front of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Statement {
        text: String,
        offset: usize,
    },
    /// `COPY … FROM STDIN`
    CopyIn {
        text: String,
        offset: usize,
    },
    /// `COPY … TO STDOUT`
    CopyOut {
        text: String,
        offset: usize,
    },
}

impl Step {
    fn offset(&self) -> usize {
        match self {
            Self::Statement { offset, .. } | Self::CopyIn { offset, .. } | Self::CopyOut { offset, .. } => *offset,
        }
    }
}

impl Script {
    pub(super) fn of_command(text: String) -> Self {
        Self { name: None, text }
    }

    /// Reads a file; `-` is standard input.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let mut text = String::new();
        let read = match name.as_str() {
            "-" => std::io::stdin().lock().read_to_string(&mut text).map(|_| ()),
            _ => std::fs::read_to_string(path).map(|found| text = found),
        };
        read.map_err(|error| Error::invalid(format!("cannot read {name}: {error}")))?;
        Ok(Self { name: Some(name), text })
    }

    /// The statements in their order.
    ///
    /// # Errors
    /// A quote or a comment that does not end, a command of psql's own (`\d`, `\copy`).
    pub(super) fn steps(&self) -> Result<Vec<Step>> {
        let statements = split_statements(&self.text).map_err(|error| self.tell_at(0, error))?;
        let steps = statements.into_iter().map(|statement| {
            let (text, offset) = (statement.text, statement.offset);
            if let Some(command) = psql_command(&text) {
                let error = Error::unsupported(format!("{command} is a command of psql, not SQL"));
                return Err(self.tell_at(offset, error));
            }
            Ok(match direction_of_copy(&text) {
                Some(Direction::In) => Step::CopyIn { text, offset },
                Some(Direction::Out) => Step::CopyOut { text, offset },
                None => Step::Statement { text, offset },
            })
        });
        steps.collect()
    }

    /// An error with the file and the line of its statement.
    pub(super) fn tell(&self, step: &Step, error: Error) -> Error {
        self.tell_at(step.offset(), error)
    }

    fn tell_at(&self, offset: usize, error: Error) -> Error {
        let begun = self.text.chars().skip(offset).take_while(|letter| letter.is_whitespace()).count();
        let line = 1 + self.text.chars().take(offset + begun).filter(|letter| *letter == '\n').count();
        match &self.name {
            Some(name) => error.context(format!("{name}:{line}")),
            None => error,
        }
    }
}

/// The first command of psql among a statement's lines.
fn psql_command(text: &str) -> Option<&str> {
    let begins = |line: &&str| {
        line.starts_with('\\')
            && line.chars().nth(1).is_some_and(|letter| letter.is_ascii_alphabetic() || letter == '!')
    };
    text.trim_start().lines().next().filter(begins).and_then(|line| line.split_whitespace().next())
}

#[derive(Debug, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// Which way the rows of a COPY go over the connection.
fn direction_of_copy(text: &str) -> Option<Direction> {
    let mut words =
        text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).filter(|word| !word.is_empty());
    if !words.next()?.eq_ignore_ascii_case("copy") {
        return None;
    }
    let words: Vec<String> = words.map(str::to_ascii_lowercase).collect();
    let has = |first: &str, second: &str| words.windows(2).any(|pair| pair[0] == first && pair[1] == second);
    match (has("from", "stdin"), has("to", "stdout")) {
        (true, _) => Some(Direction::In),
        (_, true) => Some(Direction::Out),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Script {
        Script { name: Some("f.sql".to_owned()), text: text.to_owned() }
    }

    #[test]
    fn statements_and_copies_are_told_apart() {
        let steps =
            script("SELECT ';'; COPY t FROM STDIN (FORMAT csv); copy (SELECT 'to stdout') to stdout;\n-- end\n")
                .steps()
                .unwrap();
        let kinds: Vec<&str> = steps
            .iter()
            .map(|step| match step {
                Step::Statement { .. } => "statement",
                Step::CopyIn { .. } => "in",
                Step::CopyOut { .. } => "out",
            })
            .collect();
        assert_eq!(kinds, ["statement", "in", "out"]);
        assert_eq!(direction_of_copy("COPY t FROM '/a/file'"), None);
    }

    #[test]
    fn errors_name_the_line_on_which_a_statement_begins() {
        let script = script("SELECT 1;\n\nSELECT\n 2");
        let steps = script.steps().unwrap();
        let error = script.tell(&steps[1], Error::invalid("no"));
        assert!(error.to_string().contains("f.sql:3"), "{error}");
        let error =
            Script { name: Some("g.sql".to_owned()), text: "SELECT 1;\n\\d t\n".to_owned() }.steps().unwrap_err();
        assert!(
            error.to_string().contains("g.sql:2") && error.to_string().contains("\\d is a command of psql"),
            "{error}"
        );
    }
}
