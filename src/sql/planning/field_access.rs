//! Fields of rows in expressions: `p.a`, `items[1].price`, `(p).a` as accesses of DataFusion's, one field after the other. A result
//! column is called by the field.

use datafusion::sql::sqlparser::ast::{AccessExpr, Expr, Ident, Value, ValueWithSpan};

/// The access of a field.
pub fn of_field(field: Ident) -> AccessExpr {
    let value = ValueWithSpan { value: Value::SingleQuotedString(field.value), span: field.span };
    AccessExpr::Dot(Expr::Value(value))
}

/// What follows a name up to the first subscript belongs to the name (`e.items[1].price`); what follows that is fields.
pub fn normalize(root: &mut Expr, chain: &mut Vec<AccessExpr>) {
    let is_name = |access: &AccessExpr| matches!(access, AccessExpr::Dot(Expr::Identifier(_)));
    let begins = chain.iter().position(|access| !is_name(access)).unwrap_or(chain.len());
    let mut idents = match root {
        Expr::Identifier(ident) => vec![ident.clone()],
        Expr::CompoundIdentifier(idents) => idents.clone(),
        _ => Vec::new(),
    };
    if !idents.is_empty() && begins > 0 {
        idents.extend(chain.drain(..begins).filter_map(|access| match access {
            AccessExpr::Dot(Expr::Identifier(ident)) => Some(ident),
            _ => None,
        }));
        *root = Expr::CompoundIdentifier(idents);
    }
    for access in chain {
        if let AccessExpr::Dot(Expr::Identifier(ident)) = access {
            *access = of_field(ident.clone());
        }
    }
}

/// The name of a result column that is such an access; `None` where a subscript is last.
pub fn name(chain: &[AccessExpr]) -> Option<String> {
    match chain.last()? {
        AccessExpr::Dot(Expr::Value(value)) => match &value.value {
            Value::SingleQuotedString(field) => Some(field.clone()),
            _ => None,
        },
        _ => None,
    }
}
