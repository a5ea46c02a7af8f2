//! Arrow's names of types and DataFusion's way to write literals, found in a text and written as SQL has them.

use datafusion::arrow::datatypes::DataType;

use crate::data_type::to_postgres;

/// Names of types that no sentence has otherwise.
const TYPES: &[&str] = &[
    "Boolean",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "Float16",
    "Float32",
    "Float64",
    "Utf8",
    "LargeUtf8",
    "Utf8View",
    "LargeBinary",
    "BinaryView",
    "Date32",
    "Date64",
];
/// Those that are words of English, too: they are types where a bracket follows.
const TYPES_WITH_BRACKETS: &[&str] = &[
    "FixedSizeBinary",
    "Time32",
    "Time64",
    "Timestamp",
    "Duration",
    "Interval",
    "Decimal32",
    "Decimal64",
    "Decimal128",
    "Decimal256",
    "List",
    "LargeList",
    "FixedSizeList",
    "ListView",
    "LargeListView",
    "Map",
    "Struct",
    "Dictionary",
];
/// What DataFusion puts in front of its texts, layer by layer.
const PREFIXES: &[&str] = &[
    "Error during planning: ",
    "Internal error: ",
    "Execution error: ",
    "External error: ",
    "Schema error: ",
    "Arrow error: ",
    "Invalid argument error: ",
    "Cast error: ",
    "Compute error: ",
    "Parser error: ",
    "This feature is not implemented: ",
];
/// Words that say nothing to somebody who knows SQL and not how this server is made.
const FOREIGN: &[&str] = &[
    "DataFusion",
    "datafusion",
    "Arrow",
    "arrow",
    "OuterReferenceColumn",
    "outer_ref(",
    "Field {",
    "Expr",
    "LogicalPlan",
    "ogical plan",
    "hysical plan",
    "protobuf",
    "null_aware",
    "UDF",
    "TypeSignature",
    "ignature",
    "user-defined",
    "Utf8",
    "Int64",
    "Int32",
    "Float64",
    "Decimal128",
    "Some(",
    "None",
    "ptimizer",
    "panicked",
    "::",
    ".rs",
    "downcast",
    "record batch",
    "RecordBatch",
];

/// Whether a text speaks of what no user can know.
pub fn is_foreign(text: &str) -> bool {
    FOREIGN.iter().any(|word| text.contains(word))
}

/// The text without DataFusion's prefixes, its types and literals as in SQL, and relations without the schema that nobody names.
pub fn in_sql_words(text: &str) -> String {
    let mut plain = text.to_owned();
    for prefix in PREFIXES {
        plain = plain.replace(prefix, "");
    }
    let mut told = String::with_capacity(plain.len());
    let mut rest = plain.as_str();
    while !rest.is_empty() {
        if let Some((data_type, after)) = leading_type(rest) {
            told.push_str(&to_postgres(&data_type));
            rest = after;
        } else if let Some((literal, after)) = leading_literal(rest) {
            told.push_str(&literal);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("public.") {
            rest = after;
        } else {
            let end = word_end(rest);
            told.push_str(&rest[..end]);
            rest = &rest[end..];
        }
    }
    told
}

/// The type that a text begins with, and what follows.
pub fn leading_type(text: &str) -> Option<(DataType, &str)> {
    let word = &text[..word_end(text)];
    let after = &text[word.len()..];
    let end = match after.starts_with('(') {
        true if TYPES_WITH_BRACKETS.contains(&word) => word.len() + bracket_end(after)?,
        false if TYPES.contains(&word) => word.len(),
        _ => return None,
    };
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// `Int64(1)`, `Utf8("a")`, `Boolean(NULL)`.
fn leading_literal(text: &str) -> Option<(String, &str)> {
    let word = &text[..word_end(text)];
    let after = &text[word.len()..];
    if !TYPES.contains(&word) || !after.starts_with('(') {
        return None;
    }
    let end = bracket_end(after)?;
    let inner = &after[1..end - 1];
    let literal = match inner.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
        Some(text) => format!("'{text}'"),
        None => inner.to_owned(),
    };
    Some((literal, &after[end..]))
}

/// Where the word that a text begins with ends; whatever is no word ends after its first character.
fn word_end(text: &str) -> usize {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let end = text.find(|c| !is_of_word(c)).unwrap_or(text.len());
    if end == 0 { text.chars().next().map_or(0, char::len_utf8) } else { end }
}

/// Where the bracket that a text begins with is closed.
fn bracket_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}
