//! Long chains of an operator as flat trees: the parser makes trees of them that are as deep as they are long, and whatever goes
//! down a tree, or works out types level by level, pays for its depth. Those of AND, OR and UNION become balanced, those of
//! arithmetic and `||` one call (`operator_chain`). The operands keep their order.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, Query, SetExpr, SetOperator, SetQuantifier, Value, VisitMut, VisitorMut,
};

use crate::functions::operator_chain;
use crate::functions::registry::in_tree;

/// Chains up to that length stay as they are.
const SHORT: usize = 32;
/// Those of arithmetic, too: DataFusion knows more of its operators than of a call.
const SHORT_ARITHMETIC: usize = 256;

/// Balances the chains of a query.
pub fn query(query: &mut Query) {
    let _ = VisitMut::visit(query, &mut Balancer);
}

/// Balances the chains of an expression.
pub fn expression(expr: &mut Expr) {
    let _ = VisitMut::visit(expr, &mut Balancer);
}

struct Balancer;

impl VisitorMut for Balancer {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        balance_set(&mut query.body);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if is_long_arithmetic(expr) {
            *expr = one_call(take(expr));
        } else if let Expr::BinaryOp { op: op @ (BinaryOperator::And | BinaryOperator::Or), .. } = expr {
            let op = op.clone();
            if is_long(expr, &op) {
                let operands = operands(take(expr), &op);
                *expr = joined(operands, &|left, right| Expr::BinaryOp {
                    left: Box::new(left),
                    op: op.clone(),
                    right: Box::new(right),
                })
                .unwrap_or(Expr::Value(Value::Null.into()));
            }
        }
        ControlFlow::Continue(())
    }
}

/// The sign by which a call knows an operator.
fn sign(op: &BinaryOperator) -> Option<char> {
    Some(match op {
        BinaryOperator::Plus => '+',
        BinaryOperator::Minus => '-',
        BinaryOperator::Multiply => '*',
        BinaryOperator::Divide => '/',
        BinaryOperator::Modulo => '%',
        BinaryOperator::StringConcat => '|',
        _ => return None,
    })
}

fn is_long_arithmetic(mut expr: &Expr) -> bool {
    for _ in 0..SHORT_ARITHMETIC {
        match expr {
            Expr::BinaryOp { left, op, .. } if sign(op).is_some() => expr = left,
            _ => return false,
        }
    }
    true
}

/// A chain that goes down to the left as one call.
fn one_call(mut expr: Expr) -> Expr {
    let (mut signs, mut operands) = (Vec::new(), Vec::new());
    loop {
        match expr {
            Expr::BinaryOp { left, op, right } => match sign(&op) {
                Some(sign) => {
                    signs.push(sign);
                    operands.push(*right);
                    expr = *left;
                }
                None => {
                    operands.push(Expr::BinaryOp { left, op, right });
                    break;
                }
            },
            first => {
                operands.push(first);
                break;
            }
        }
    }
    let signs: String = signs.into_iter().rev().collect();
    operands.push(Expr::Value(Value::SingleQuotedString(signs).into()));
    let argument = |operand| FunctionArg::Unnamed(FunctionArgExpr::Expr(operand));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(in_tree(operator_chain::NAME))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: operands.into_iter().rev().map(argument).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Value(Value::Null.into()))
}

fn is_long(mut expr: &Expr, op: &BinaryOperator) -> bool {
    for _ in 0..SHORT {
        match expr {
            Expr::BinaryOp { left, op: here, .. } if here == op => expr = left,
            _ => return false,
        }
    }
    true
}

/// The operands of a chain that goes down to the left, in order.
fn operands(mut expr: Expr, op: &BinaryOperator) -> Vec<Expr> {
    let mut operands = Vec::new();
    loop {
        match expr {
            Expr::BinaryOp { left, op: here, right } if here == *op => {
                operands.push(*right);
                expr = *left;
            }
            first => {
                operands.push(first);
                break;
            }
        }
    }
    operands.reverse();
    operands
}

/// Joins neighbours, again and again, until one is left; `None` for nothing.
fn joined<T>(mut operands: Vec<T>, join: &dyn Fn(T, T) -> T) -> Option<T> {
    while operands.len() > 1 {
        let mut pairs = Vec::with_capacity(operands.len().div_ceil(2));
        let mut operands_left = operands.into_iter();
        while let Some(left) = operands_left.next() {
            pairs.push(match operands_left.next() {
                Some(right) => join(left, right),
                None => left,
            });
        }
        operands = pairs;
    }
    operands.pop()
}

/// Whether it does not matter how operands of a set operation are grouped.
fn is_associative(op: SetOperator, quantifier: SetQuantifier) -> bool {
    match op {
        SetOperator::Union => matches!(quantifier, SetQuantifier::All | SetQuantifier::None | SetQuantifier::Distinct),
        _ => false,
    }
}

fn balance_set(mut body: &mut SetExpr) {
    // Chains of one kind may stand on chains of another.
    while let SetExpr::SetOperation { op, set_quantifier, .. } = body {
        let (op, quantifier) = (*op, *set_quantifier);
        if is_associative(op, quantifier) && is_long_set(body, op, quantifier) {
            let operands = set_operands(std::mem::replace(body, nothing()), op, quantifier);
            let join = |left, right| SetExpr::SetOperation {
                op,
                set_quantifier: quantifier,
                left: Box::new(left),
                right: Box::new(right),
            };
            *body = joined(operands, &join).unwrap_or_else(nothing);
            // The first operand is where the chain of another kind would be.
            while let SetExpr::SetOperation { op: here, set_quantifier: quantifier_here, .. } = body
                && *here == op
                && *quantifier_here == quantifier
            {
                let SetExpr::SetOperation { left, .. } = body else { return };
                body = left;
            }
        } else {
            let SetExpr::SetOperation { left, .. } = body else { return };
            body = left;
        }
    }
}

fn nothing() -> SetExpr {
    SetExpr::Values(datafusion::sql::sqlparser::ast::Values {
        explicit_row: false,
        value_keyword: false,
        rows: Vec::new(),
    })
}

fn is_long_set(mut body: &SetExpr, op: SetOperator, quantifier: SetQuantifier) -> bool {
    for _ in 0..SHORT {
        match body {
            SetExpr::SetOperation { op: here, set_quantifier, left, .. }
                if *here == op && *set_quantifier == quantifier =>
            {
                body = left;
            }
            _ => return false,
        }
    }
    true
}

fn set_operands(mut body: SetExpr, op: SetOperator, quantifier: SetQuantifier) -> Vec<SetExpr> {
    let mut operands = Vec::new();
    loop {
        match body {
            SetExpr::SetOperation { op: here, set_quantifier, left, right }
                if here == op && set_quantifier == quantifier =>
            {
                operands.push(*right);
                body = *left;
            }
            first => {
                operands.push(first);
                break;
            }
        }
    }
    operands.reverse();
    operands
}

#[cfg(test)]
mod tests;
