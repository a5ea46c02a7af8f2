//! What the server brings along of `sql/`: the lookup functions, found where the user has declared none of their name, and the
//! declarations of the tables that they read or that the feature job fills. Functions are taken as they are; a declaration is only ever
//! shown in a hint, or carried out for a DynamoDB table that is there already.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use datafusion::sql::sqlparser::ast::Ident;

use crate::catalog::rights::Access;
use crate::catalog::{DEFAULT_SCHEMA, FunctionEntry};
use crate::error::Result;
use crate::sql::parser::function_declaration::FunctionDeclaration;
use crate::sql::parser::{Cursor, fold};

/// Files below `sql/functions`.
const FUNCTION_SCRIPTS: [&str; 2] = [
    include_str!("../../../sql/functions/latest_month_order_sum.sql"),
    include_str!("../../../sql/functions/latest_year_order_sum.sql"),
];

/// Files below `sql/tables`, by the name that each declares.
const TABLE_SCRIPTS: [(&str, &str); 3] = [
    ("dynamodb_orders", include_str!("../../../sql/tables/dynamodb_orders.sql")),
    ("order_sum_monthly", include_str!("../../../sql/tables/order_sum_monthly.sql")),
    ("user_features", include_str!("../../../sql/tables/user_features.sql")),
];

static FUNCTIONS: LazyLock<BTreeMap<String, FunctionEntry>> =
    LazyLock::new(|| FUNCTION_SCRIPTS.iter().filter_map(|script| read(script).ok()).collect());

fn read(script: &str) -> Result<(String, FunctionEntry)> {
    let script = statement(script);
    let mut cursor = Cursor::new(script.trim_end().trim_end_matches(';'))?;
    let FunctionDeclaration { name, parameters, returns, body, .. } = FunctionDeclaration::parse(&mut cursor)?;
    cursor.end()?;
    Ok((
        name.last().map(fold).unwrap_or_default(),
        FunctionEntry { oid: 0, parameters, returns, body, comment: None, access: Access::default() },
    ))
}

/// The functions, by name.
pub fn functions() -> &'static BTreeMap<String, FunctionEntry> {
    &FUNCTIONS
}

/// The function that a name means if no user has declared it: without a schema, or in `public`.
pub fn function(name: &[Ident]) -> Option<(&'static str, &'static FunctionEntry)> {
    let (last, qualifiers) = name.split_last()?;
    if qualifiers.last().is_some_and(|schema| fold(schema) != DEFAULT_SCHEMA) {
        return None;
    }
    FUNCTIONS.get_key_value(&fold(last)).map(|(name, entry)| (name.as_str(), entry))
}

/// The statement that declares a table of that name, on one line.
pub fn declaration(table: &str) -> Option<String> {
    let (_, script) = TABLE_SCRIPTS.iter().find(|(name, _)| *name == table)?;
    Some(statement(script).split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The tables that can be declared so.
pub fn tables() -> impl Iterator<Item = &'static str> {
    TABLE_SCRIPTS.iter().map(|(name, _)| *name)
}

/// A script without its comments, which stand at the ends of lines.
fn statement(script: &str) -> String {
    let lines = script.lines().map(|line| line.split("--").next().unwrap_or_default().trim_end());
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
