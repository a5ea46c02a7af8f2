//! parse_ident(name): a qualified name as its parts, as in PostgreSQL.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, ListBuilder, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::entry::{Entry, Maker};
use super::{ColumnFunction, no_such_call};
use crate::data_type::list_of;
use crate::error::{Error, Result, SqlState};

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] = &[Entry::public(
    NAME,
    &["text → text[]"],
    "The parts of a qualified name; those without quotes in lower case.",
    Maker::Plain(parse_ident),
)
.example("parse_ident('\"A b\".c')", "{\"A b\",c}")];

const NAME: &str = "parse_ident";

fn parse_ident() -> Arc<ScalarUDF> {
    let coerce = |types: &[DataType]| match types {
        [name] if name.is_string() || name.is_null() => Ok(vec![DataType::Utf8]),
        _ => Err(no_such_call(NAME, types, "parse_ident(name)")),
    };
    ColumnFunction::udf(NAME, Volatility::Immutable, coerce, list_of(DataType::Utf8, true), |arguments, _| {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for name in arguments[0].as_string::<i32>() {
            if let Some(name) = name {
                parts(name)?.into_iter().for_each(|part| lists.values().append_value(part));
            }
            lists.append(name.is_some());
        }
        Ok(Arc::new(lists.finish()))
    })
}

fn parts(name: &str) -> Result<Vec<String>> {
    let wrong = |why: &str| {
        Error::row(format!("string is not a valid identifier: \"{name}\""))
            .code(SqlState::InvalidParameterValue)
            .detail(why.to_owned())
    };
    let mut parts = Vec::new();
    let mut rest = name.trim();
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut after = quoted;
            loop {
                let end = after.find('"').ok_or_else(|| wrong("String has unclosed double quotes."))?;
                part.push_str(&after[..end]);
                after = &after[end + 1..];
                match after.strip_prefix('"') {
                    Some(next) => {
                        part.push('"');
                        after = next;
                    }
                    None => break,
                }
            }
            if part.is_empty() {
                return Err(wrong("Quoted identifier must not be empty."));
            }
            parts.push(part);
            rest = after.trim_start();
        } else {
            let is_part = |char: char| char.is_alphanumeric() || matches!(char, '_' | '$');
            let end = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
            let begins = rest.starts_with(|char: char| char.is_alphabetic() || char == '_');
            if end == 0 || !begins {
                return Err(wrong("A part is missing, or begins with a character that no name begins with."));
            }
            parts.push(rest[..end].to_lowercase());
            rest = rest[end..].trim_start();
        }
        if rest.is_empty() {
            return Ok(parts);
        }
        rest = rest.strip_prefix('.').ok_or_else(|| wrong("A dot is missing."))?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn names_are_split_at_their_dots() {
        assert_eq!(parts("Foo . \"Bar \"\"x\" ").unwrap(), ["foo", "Bar \"x"]);
        assert_eq!(parts("a.b$.c_1").unwrap(), ["a", "b$", "c_1"]);
        for wrong in ["", "a.", ".a", "\"a", "1a", "a b", "\"\"", "a..b"] {
            assert_eq!(parts(wrong).unwrap_err().sqlstate().code(), "22023", "{wrong}");
        }
    }
}
