//! Rows of VALUES with dates, times and intervals: texts that are written beside them are such, and dates beside timestamps are
//! timestamps, as in PostgreSQL. Types are told from how they are written, because DataFusion decides over VALUES before anything
//! else can.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, Expr, Parens, TimezoneInfo, TypedString, Value, ValueWithSpan,
};

/// What is written in a row of VALUES; the later ones take the earlier ones in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Time,
    Interval,
    Date,
    Timestamp,
    Instant,
}

/// Casts what is not of its column's type.
pub(super) fn of_values(rows: &mut [Parens<Vec<Expr>>]) {
    let width = rows.first().map_or(0, |row| row.content.len());
    if rows.len() < 2 {
        return;
    }
    for column in 0..width {
        let cells = || rows.iter().filter_map(|row| row.content.get(column));
        let Some((kind, to)) = cells().filter_map(of).max_by_key(|(kind, _)| *kind) else { continue };
        let alone = matches!(kind, Kind::Time | Kind::Interval);
        if alone && cells().filter_map(of).any(|(found, _)| found != kind) {
            continue;
        }
        let to = to.clone();
        for row in rows.iter_mut() {
            if let Some(cell) = row.content.get_mut(column)
                && (is_text(cell) || of(cell).is_some_and(|(found, _)| found >= Kind::Date && found < kind))
            {
                let value = std::mem::replace(cell, Expr::value(Value::Null));
                *cell = Expr::Cast {
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

fn is_text(expr: &Expr) -> bool {
    match expr {
        Expr::Value(ValueWithSpan { value, .. }) => {
            matches!(value, Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_))
        }
        Expr::Nested(expr) => is_text(expr),
        _ => false,
    }
}

/// The kind and the type of what is written with its type.
fn of(expr: &Expr) -> Option<(Kind, SqlType)> {
    match expr {
        Expr::TypedString(TypedString { data_type, .. }) | Expr::Cast { data_type, .. } => {
            let kind = match data_type {
                SqlType::Date => Kind::Date,
                SqlType::Time(..) => Kind::Time,
                SqlType::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => Kind::Instant,
                SqlType::Timestamp(..) | SqlType::TimestampNtz(..) => Kind::Timestamp,
                SqlType::Interval { .. } => Kind::Interval,
                SqlType::Custom(name, _) if name.to_string().to_ascii_uppercase().starts_with("TIMESTAMP_LTZ") => {
                    Kind::Instant
                }
                _ => return None,
            };
            Some((kind, data_type.clone()))
        }
        Expr::Interval(_) => Some((Kind::Interval, SqlType::Interval { fields: None, precision: None })),
        Expr::Nested(expr) => of(expr),
        _ => None,
    }
}
