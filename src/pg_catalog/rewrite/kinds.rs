//! Kinds of types that are none here: there are no composite types, domains and enumerations. What a statement computes for them only
//! (`CASE WHEN t.typtype = 'd' THEN (…)` over pg_type) is never computed, and so needs not be planned.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, ObjectNamePart, Query, Select, TableFactor, Value, VisitMut, VisitorMut,
};

use super::expressions::{is_word, null};

/// Values that `pg_type.typtype` never has.
pub(super) const ABSENT: [&str; 3] = ["c", "d", "e"];

/// Puts NULL where a CASE of the select's own list computes something for such a type.
pub(super) fn leave_out(select: &mut Select) {
    let factors = select
        .from
        .iter()
        .flat_map(|item| std::iter::once(&item.relation).chain(item.joins.iter().map(|join| &join.relation)));
    let aliases: Vec<String> = factors.filter_map(alias_of_types).collect();
    if aliases.is_empty() {
        return;
    }
    for item in &mut select.projection {
        let _ = item.visit(&mut Cases { aliases: &aliases, depth: 0 });
    }
}

/// What pg_type is called, if this is it.
fn alias_of_types(factor: &TableFactor) -> Option<String> {
    let TableFactor::Table { name, alias, args: None, .. } = factor else { return None };
    let [schema, table] = &name.0[..] else { return None };
    if !is_word(schema, "pg_catalog") || !is_word(table, "pg_type") {
        return None;
    }
    Some(alias.as_ref().map_or_else(|| "pg_type".to_owned(), |alias| alias.name.value.to_lowercase()))
}

struct Cases<'a> {
    aliases: &'a [String],
    depth: usize,
}

impl Cases<'_> {
    fn is_never(&self, condition: &Expr) -> bool {
        let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = condition else { return false };
        let Expr::CompoundIdentifier(parts) = left.as_ref() else { return false };
        let Expr::Value(value) = right.as_ref() else { return false };
        let Value::SingleQuotedString(kind) = &value.value else { return false };
        let [.., table, column] = &parts[..] else { return false };
        let word = |part: &datafusion::sql::sqlparser::ast::Ident, word: &str| {
            is_word(&ObjectNamePart::Identifier(part.clone()), word)
        };
        self.aliases.iter().any(|alias| word(table, alias))
            && word(column, "typtype")
            && ABSENT.contains(&kind.as_str())
    }
}

impl VisitorMut for Cases<'_> {
    type Break = ();

    // Within sub-queries the names may be others'.
    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0
            && let Expr::Case { operand: None, conditions, .. } = expr
        {
            for case in conditions {
                if self.is_never(&case.condition) {
                    case.result = null();
                }
            }
        }
        ControlFlow::Continue(())
    }
}
