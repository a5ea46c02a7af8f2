//! Casts to `uuid`, `json` and `jsonb`, and from them to text.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringArray};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use uuid::Uuid;

use super::function::{self, JsonFunction, of_texts};
use super::{document, written};
use crate::data_type::NamedText;
use crate::error::{Error, Result, SqlState};
use crate::functions::entry::{Entry, Maker};

/// What the registry knows of them.
pub(in crate::functions) const ENTRIES: &[Entry] = &[
    Entry::internal(UUID, "CAST of a text to uuid.", Maker::Plain(to_uuid)),
    Entry::internal(JSON, "CAST of a text to json.", Maker::Plain(to_json)),
    Entry::internal(JSONB, "CAST of a text to jsonb.", Maker::Plain(to_jsonb)),
    Entry::internal("plain_text", "CAST of a uuid or a document to text.", Maker::Plain(plain_text)),
    Entry::public(
        "gen_random_uuid",
        &["→ uuid"],
        "A random UUID (version 4).",
        Maker::Plain(|| Arc::new(ScalarUDF::from(RandomUuid { signature: Signature::nullary(Volatility::Volatile) }))),
    )
    .volatile(),
];

const UUID: &str = "to_uuid";
const JSON: &str = "to_json_document";
const JSONB: &str = "to_jsonb_document";

/// A cast of a text to one of these types.
pub(crate) fn call(value: Expr, to: NamedText) -> Expr {
    match to {
        NamedText::Uuid => to_uuid(),
        NamedText::Json => to_json(),
        NamedText::Jsonb => to_jsonb(),
    }
    .call(vec![value])
}

/// What is cast to one of these types, and to which: a cast as it was planned, or as it was rewritten.
pub(crate) fn type_of_cast(expr: &Expr) -> Option<(&Expr, NamedText)> {
    match expr {
        Expr::Cast(cast) => Some((cast.expr.as_ref(), NamedText::of(&cast.field)?)),
        Expr::ScalarFunction(call) => {
            let to = match call.func.name() {
                UUID => NamedText::Uuid,
                JSON => NamedText::Json,
                JSONB => NamedText::Jsonb,
                _ => return None,
            };
            match call.args.first()? {
                Expr::Cast(cast) if cast.field.data_type().is_string() => Some((cast.expr.as_ref(), to)),
                other => Some((other, to)),
            }
        }
        _ => None,
    }
}

/// A cast of one of these types to a text.
pub(crate) fn call_plain(value: Expr) -> Expr {
    plain_text().call(vec![value])
}

fn of_text(
    name: &'static str,
    returns: function::Returns,
    body: fn(&function::Arguments<'_>) -> Result<ArrayRef>,
) -> Arc<ScalarUDF> {
    JsonFunction { name, coerce: |types| Ok(vec![DataType::Utf8; types.len()]), returns, body }.udf()
}

fn to_uuid() -> Arc<ScalarUDF> {
    of_text(UUID, |_| NamedText::Uuid.field(""), |arguments| of_texts(arguments, |text, _| read_uuid(text).map(Some)))
}

fn to_json() -> Arc<ScalarUDF> {
    of_text(JSON, function::json, |arguments| {
        of_texts(arguments, |text, _| document::checked(text).map(|_| Some(text.to_owned())))
    })
}

fn to_jsonb() -> Arc<ScalarUDF> {
    of_text(JSONB, function::jsonb, |arguments| of_texts(arguments, |text, _| written::canonical(text).map(Some)))
}

fn plain_text() -> Arc<ScalarUDF> {
    of_text("plain_text", function::text, |arguments| Ok(arguments.arrays[0].clone()))
}

/// A UUID as it is printed: PostgreSQL takes upper case, braces, and hyphens after any four digits.
fn read_uuid(written: &str) -> Result<String> {
    let wrong = || {
        Error::row(format!("invalid input syntax for type uuid: \"{written}\""))
            .code(SqlState::InvalidTextRepresentation)
    };
    let inner = match (written.strip_prefix('{'), written.ends_with('}')) {
        (Some(inner), true) => &inner[..inner.len() - 1],
        (None, false) => written,
        _ => return Err(wrong()),
    };
    let mut printed = String::with_capacity(36);
    let mut digits = 0;
    let mut after_hyphen = true;
    for char in inner.chars() {
        match char {
            '-' if digits % 4 == 0 && digits > 0 && !after_hyphen => after_hyphen = true,
            _ if char.is_ascii_hexdigit() && digits < 32 => {
                if matches!(digits, 8 | 12 | 16 | 20) {
                    printed.push('-');
                }
                printed.push(char.to_ascii_lowercase());
                digits += 1;
                after_hyphen = false;
            }
            _ => return Err(wrong()),
        }
    }
    if digits == 32 && !after_hyphen { Ok(printed) } else { Err(wrong()) }
}

/// `gen_random_uuid()`: another one for each row.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RandomUuid {
    signature: Signature,
}

impl ScalarUDFImpl for RandomUuid {
    fn name(&self) -> &'static str {
        "gen_random_uuid"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        Ok(Arc::new(NamedText::Uuid.field(self.name())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let random: StringArray = (0..args.number_rows).map(|_| Some(Uuid::new_v4().to_string())).collect();
        Ok(ColumnarValue::Array(Arc::new(random)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_read_in_the_forms_of_postgresql() {
        let printed = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        for written in [
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
            "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
        ] {
            assert_eq!(read_uuid(written).unwrap(), printed, "{written}");
        }
        for written in ["", "a0", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0e-ebc999c0b4ef8bb6d6bb9bd380a11", "g"] {
            assert_eq!(read_uuid(written).unwrap_err().sqlstate().code(), "22P02", "{written}");
        }
    }
}
