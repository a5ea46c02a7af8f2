//! The fields of casts: what SQL says of a type and Arrow does not, which is the length of a text, the digits of a second, that a
//! text is read as a bytea, and all this of values within others.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};

use crate::data_type::{NamedText, TypeLength, second_digits};
use crate::functions::nested::is_nested;

/// Key of a cast's field that has a length: Arrow's text types have none.
const LENGTH_KEY: &str = "streamgate.length";

/// A type of a cast with its length; the cast then cuts and pads.
fn with_length(field: Field, length: Option<TypeLength>) -> Field {
    let Some(TypeLength { length, is_padded }) = length else { return field };
    let text = format!("{length}{}", if is_padded { " padded" } else { "" });
    field.with_metadata(HashMap::from([(LENGTH_KEY.to_owned(), text)]))
}

/// Key of a cast's field that has fewer digits of a second than its Arrow type.
const DIGITS_KEY: &str = "streamgate.digits";

/// The type of a cast to a timestamp or a time with its precision; the cast then rounds.
pub(crate) fn with_digits(field: Field, digits: Option<u8>) -> Field {
    let Some(digits) = digits else { return field };
    field.with_metadata(HashMap::from([(DIGITS_KEY.to_owned(), digits.to_string())]))
}

/// Key of a cast's field whose text is read as PostgreSQL reads a bytea; BYTES of Flink are those of the text.
pub(super) const BYTEA_KEY: &str = "streamgate.bytea";

/// A type of a cast that was written in Postgres' words.
fn as_bytea(field: Field) -> Field {
    field.with_metadata(HashMap::from([(BYTEA_KEY.to_owned(), String::new())]))
}

/// Key of a cast's field whose values hold others, with the words of SQL in which the type is written.
pub(super) const WRITTEN_KEY: &str = "streamgate.written";

/// The field of a cast to a type that is written in these words.
pub(crate) fn field_of(data_type: DataType, text: &str) -> Field {
    if is_nested(&data_type) {
        let upper = text.to_ascii_uppercase();
        let says_more = ["CHAR", "TIME", "BYTEA"].iter().any(|word| upper.contains(word));
        let field = Field::new("", data_type, true);
        return match says_more {
            true => field.with_metadata(HashMap::from([(WRITTEN_KEY.to_owned(), text.to_owned())])),
            false => field,
        };
    }
    if data_type == DataType::Binary && text.eq_ignore_ascii_case("BYTEA") {
        return as_bytea(Field::new("", data_type, true));
    }
    if let Some(named) = NamedText::of_words(text).filter(|_| data_type == DataType::Utf8) {
        return named.field("");
    }
    let length = TypeLength::of(text).filter(|_| data_type == DataType::Utf8);
    let digits = second_digits(text).filter(|_| second_unit(&data_type).is_some());
    with_digits(with_length(Field::new("", data_type, true), length), digits)
}

/// The precision of a cast's type, and the type without it.
pub(super) fn take_digits(field: &Field) -> Option<(u8, FieldRef)> {
    let digits = field.metadata().get(DIGITS_KEY)?.parse().ok()?;
    Some((digits, Arc::new(field.clone().with_metadata(HashMap::new()))))
}

/// The unit in which a timestamp or a time counts.
pub(super) fn second_unit(data_type: &DataType) -> Option<TimeUnit> {
    match data_type {
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => Some(*unit),
        _ => None,
    }
}

/// The length of a cast's type, and the type without it.
pub(super) fn take_length(field: &Field) -> Option<(TypeLength, FieldRef)> {
    let text = field.metadata().get(LENGTH_KEY)?;
    let (length, is_padded) = text.strip_suffix(" padded").map_or((text.as_str(), false), |length| (length, true));
    let length = TypeLength { length: length.parse().ok()?, is_padded };
    Some((length, Arc::new(field.clone().with_metadata(HashMap::new()))))
}
