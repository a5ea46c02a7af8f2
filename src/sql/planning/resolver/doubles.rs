//! Rows of VALUES that have a double where another one has a decimal literal: all are doubles, as in both dialects. Its types are told
//! from how they are written, because DataFusion decides over VALUES before anything else can.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    ObjectName, Parens, UnaryOperator, Value, ValueWithSpan,
};

/// Casts the decimal literals of columns that have doubles.
pub(super) fn of_values(rows: &mut [Parens<Vec<Expr>>]) {
    let width = rows.first().map_or(0, |row| row.content.len());
    if rows.len() < 2 {
        return;
    }
    for column in 0..width {
        of_column(rows.iter_mut().filter_map(|row| row.content.get_mut(column)).collect());
    }
}

/// Values of one type, and the items of arrays and the fields of rows among them.
fn of_column(exprs: Vec<&mut Expr>) {
    if exprs.iter().any(|expr| is_double(expr)) {
        for expr in exprs {
            if is_decimal(expr) {
                let literal = std::mem::replace(expr, Expr::value(Value::Null));
                *expr = Expr::Cast {
                    kind: CastKind::Cast,
                    expr: Box::new(literal),
                    data_type: SqlType::Double(ExactNumberInfo::None),
                    array: false,
                    format: None,
                };
            }
        }
        return;
    }
    let mut items = Vec::new();
    let mut fields: Vec<Vec<&mut Expr>> = Vec::new();
    for expr in exprs {
        match expr {
            Expr::Array(array) => items.extend(array.elem.iter_mut()),
            Expr::Tuple(row) => by_place(row.iter_mut(), &mut fields),
            Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) if is_row(name) => {
                let values = list.args.iter_mut().filter_map(|argument| match argument {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
                    _ => None,
                });
                by_place(values, &mut fields);
            }
            _ => {}
        }
    }
    if !items.is_empty() {
        of_column(items);
    }
    fields.into_iter().for_each(of_column);
}

fn is_row(name: &ObjectName) -> bool {
    matches!(&name.0[..], [part] if part.as_ident().is_some_and(|ident| ident.value.eq_ignore_ascii_case("row")))
}

fn by_place<'e>(values: impl Iterator<Item = &'e mut Expr>, fields: &mut Vec<Vec<&'e mut Expr>>) {
    for (place, value) in values.enumerate() {
        if fields.len() <= place {
            fields.push(Vec::new());
        }
        fields[place].push(value);
    }
}

fn is_double(expr: &Expr) -> bool {
    match expr {
        Expr::Cast { data_type, .. } => matches!(
            data_type,
            SqlType::Float8
                | SqlType::Float4
                | SqlType::Real
                | SqlType::Float(_)
                | SqlType::Double(_)
                | SqlType::DoublePrecision
                | SqlType::Float32
                | SqlType::Float64
        ),
        Expr::Nested(expr) | Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_double(expr),
        _ => false,
    }
}

fn is_decimal(expr: &Expr) -> bool {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(text, _), .. }) => text.contains(['.', 'e', 'E']),
        Expr::Cast { data_type, .. } => {
            matches!(data_type, SqlType::Decimal(_) | SqlType::Numeric(_) | SqlType::Dec(_))
        }
        Expr::Nested(expr) | Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_decimal(expr),
        _ => false,
    }
}
