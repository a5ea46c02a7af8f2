//! Rows of VALUES that have a document or a uuid where others have a text: all are what one is cast to, as in Postgres.

use datafusion::sql::sqlparser::ast::{CastKind, DataType as SqlType, Expr, Parens, Value};

use crate::data_type::NamedText;

/// Casts the other values of columns in which a value is cast to a document or a uuid.
pub(super) fn of_values(rows: &mut [Parens<Vec<Expr>>]) {
    let width = rows.first().map_or(0, |row| row.content.len());
    for column in 0..width {
        let Some(to) = rows.iter().filter_map(|row| row.content.get(column)).find_map(named_cast).cloned() else {
            continue;
        };
        for expr in rows.iter_mut().filter_map(|row| row.content.get_mut(column)) {
            if named_cast(expr).is_none() {
                let value = std::mem::replace(expr, Expr::value(Value::Null));
                *expr = Expr::Cast {
                    kind: CastKind::Cast,
                    expr: Box::new(value),
                    data_type: to.clone(),
                    array: false,
                    format: None,
                };
            }
        }
    }
}

fn named_cast(expr: &Expr) -> Option<&SqlType> {
    match expr {
        Expr::Cast { data_type, .. } => NamedText::of_words(&data_type.to_string()).map(|_| data_type),
        Expr::Nested(inner) => named_cast(inner),
        _ => None,
    }
}
