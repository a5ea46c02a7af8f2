//! The expressions of a tree, one after the other; nested queries are resolved in their own scopes.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Query, Value, ValueWithSpan, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::scope::Scope;
use super::written::{call, placeholder};
use super::{Resolver, age, any, calendar, collected, intervals, operators};
use crate::error::{Error, Result};
use crate::functions::at_time_zone;
use crate::sql::planning::{field_access, literals};

impl Resolver<'_> {
    /// The expressions of an expression, or of another part of a tree.
    pub(super) fn expr(&mut self, part: &mut impl VisitMut, scopes: &[Scope]) -> Result<()> {
        let mut visitor = Exprs { resolver: self, scopes, depth: 0, error: None };
        let _ = VisitMut::visit(part, &mut visitor);
        visitor.error.map_or(Ok(()), Err)
    }
}

/// Visits the expressions of a tree; nested queries are resolved in their own scopes.
struct Exprs<'r, 'p> {
    resolver: &'r mut Resolver<'p>,
    scopes: &'r [Scope],
    depth: usize,
    error: Option<Error>,
}

impl VisitorMut for Exprs<'_, '_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if self.depth == 0
            && let Err(error) = self.resolver.sub_query(query, self.scopes)
        {
            self.error = Some(error);
            return ControlFlow::Break(());
        }
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        let is_column = |name: &str| {
            let ident = Ident::new(name);
            self.resolver.column(&ident, self.scopes).is_ok_and(|found| found.is_some())
                || self.resolver.parameter(name).is_some()
        };
        if let Err(error) = operators::before(expr, is_column) {
            self.error = Some(error);
            return ControlFlow::Break(());
        }
        age::write_out(expr);
        if let Err(error) = collected::write_out(expr) {
            self.error = Some(error);
            return ControlFlow::Break(());
        }
        // Before an interval is written out.
        calendar::mark(expr);
        any::write_out(expr);
        let result = match expr {
            Expr::Identifier(ident) => self.resolver.identifier(ident, self.scopes),
            Expr::CompoundIdentifier(idents) => self.resolver.compound(idents, self.scopes),
            Expr::CompoundFieldAccess { root, access_chain } => {
                field_access::normalize(root, access_chain);
                Ok(None)
            }
            Expr::Function(function) => {
                let span = function.name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.span);
                let noted = self.resolver.relations.note_function(function);
                noted.map(|()| None).map_err(|error| self.resolver.place(error, span.unwrap_or_else(Span::empty)))
            }
            Expr::Collate { collation, .. } => refuse_collation(collation).map(|()| None),
            Expr::AtTimeZone { timestamp, time_zone } => {
                let nothing = || Expr::value(Value::Null);
                let timestamp = std::mem::replace(timestamp.as_mut(), nothing());
                let zone = std::mem::replace(time_zone.as_mut(), nothing());
                Ok(Some(call(at_time_zone::NAME, vec![zone, timestamp])))
            }
            Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => {
                self.resolver.array_parameter(right);
                Ok(None)
            }
            _ => Ok(None),
        };
        match result {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(replacement)) => {
                *expr = replacement;
                ControlFlow::Continue(())
            }
            Err(error) => {
                self.error = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        operators::after(expr);
        let index = match expr {
            Expr::Interval(interval) => {
                let span = match interval.value.as_ref() {
                    Expr::Value(ValueWithSpan { span, .. }) => *span,
                    _ => Span::empty(),
                };
                if let Err(error) = intervals::write_out(interval) {
                    self.error = Some(self.resolver.place(error, span));
                    return ControlFlow::Break(());
                }
                None
            }
            Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) => {
                name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok())
            }
            Expr::Value(ValueWithSpan { value: Value::Number(..), .. })
            | Expr::SimilarTo { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. } => {
                if let Err(error) = literals::write_out(expr) {
                    self.error = Some(error);
                    return ControlFlow::Break(());
                }
                None
            }
            _ => None,
        };
        if let Some(index) = index.and_then(|index| index.checked_sub(1))
            && let Some(Some(sql_type)) = self.resolver.parameter_types.get(index)
        {
            *expr = placeholder(index, Some(sql_type.clone()));
        }
        ControlFlow::Continue(())
    }
}

/// Strings are compared by their bytes, so that no other collation can be asked for.
fn refuse_collation(collation: &ObjectName) -> Result<()> {
    let name = collation.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.as_str());
    match name {
        Some("C" | "POSIX" | "default" | "ucs_basic") => Ok(()),
        _ => Err(Error::unsupported(format!(
            "collation {collation} is not supported: strings are compared by their bytes"
        ))),
    }
}
