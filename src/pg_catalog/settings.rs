//! pg_settings: the session's settings.

use super::model::Model;
use super::relation::Row;
use crate::sql::SessionView;

/// All settings with their values.
pub fn pg_settings(_model: &Model, view: &SessionView) -> Vec<Row> {
    let row = |(name, value): &(String, String)| {
        Row::new()
            .set("name", name.as_str())
            .all(&["setting", "reset_val"], value.as_str())
            .set("category", "streamgate")
            .set("context", "user")
            .set("vartype", "string")
            .set("source", "session")
            .set("pending_restart", false)
    };
    view.settings.iter().map(row).collect()
}
