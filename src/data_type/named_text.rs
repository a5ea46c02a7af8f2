//! Types of PostgreSQL whose values are texts in Arrow: `uuid`, `json`, `jsonb`. A field says which one it is of by its metadata; an
//! expression without such a field has lost it, and is a text.

use std::collections::HashMap;

use datafusion::arrow::datatypes::{DataType, Field};

/// Key of a field's metadata that names its Postgres type.
pub const TYPE_KEY: &str = "pg_type";

/// A type whose values are texts of a certain form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedText {
    /// 32 hexadecimal digits, with hyphens, in lower case.
    Uuid,
    /// A document as it was written.
    Json,
    /// A document in one form: keys in order and once, one blank behind `:` and `,`.
    Jsonb,
}

impl NamedText {
    /// `jsonb`
    pub fn name(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Json => "json",
            Self::Jsonb => "jsonb",
        }
    }

    /// The type with a name, in any case.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Uuid, Self::Json, Self::Jsonb].into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    /// The type that a declaration or a cast writes, with or without what may stand behind it (`NOT NULL`).
    pub fn of_words(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let name = words.next()?;
        let known = Self::by_name(name.strip_prefix("pg_catalog.").unwrap_or(name))?;
        let rest = words.collect::<Vec<_>>().join(" ");
        (rest.is_empty() || rest.eq_ignore_ascii_case("NULL") || rest.eq_ignore_ascii_case("NOT NULL")).then_some(known)
    }

    /// The type of a field's values, if it is one of these.
    pub fn of(field: &Field) -> Option<Self> {
        if !field.data_type().is_string() {
            return None;
        }
        Self::by_name(field.metadata().get(TYPE_KEY)?)
    }

    /// Whether values are documents.
    pub fn is_document(self) -> bool {
        self != Self::Uuid
    }

    /// A field of the type.
    pub fn field(self, name: &str) -> Field {
        self.mark(Field::new(name, DataType::Utf8, true))
    }

    /// The field with the type's name.
    pub fn mark(self, field: Field) -> Field {
        let mut metadata: HashMap<String, String> = field.metadata().clone();
        metadata.insert(TYPE_KEY.to_owned(), self.name().to_owned());
        field.with_metadata(metadata)
    }
}
