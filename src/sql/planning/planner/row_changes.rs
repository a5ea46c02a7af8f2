//! Changes of rows as they were read: UPDATE, DELETE, and what an INSERT says of conflicts.

use datafusion::sql::sqlparser::ast::{self, Ident};

use crate::sql::parser::Hints;

/// `column = value`
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The column.
    pub column: Ident,
    /// Where it stands.
    pub position: usize,
    /// The value; absent: DEFAULT.
    pub value: Option<ast::Expr>,
}

/// UPDATE, or DELETE.
#[derive(Debug, Clone)]
pub struct ChangeRows {
    /// The table.
    pub table: Vec<Ident>,
    /// Where its name stands.
    pub position: usize,
    /// By which the statement calls it.
    pub alias: Option<Ident>,
    /// SET; absent: the rows are deleted.
    pub assignments: Option<Vec<Assignment>>,
    /// WHERE.
    pub selection: Option<ast::Expr>,
    /// RETURNING.
    pub returning: Option<Vec<ast::SelectItem>>,
    /// Hints of its sub-queries.
    pub hints: Hints,
}

/// Which constraints an ON CONFLICT is about.
#[derive(Debug, Clone)]
pub enum ConflictTarget {
    /// All.
    Any,
    /// That of these columns.
    Columns(Vec<Ident>),
    /// ON CONSTRAINT
    Constraint(Ident),
}

/// ON CONFLICT.
#[derive(Debug, Clone)]
pub struct OnConflict {
    /// Where it stands.
    pub position: usize,
    /// Which constraints it is about.
    pub target: ConflictTarget,
    /// DO UPDATE: SET and WHERE; absent: DO NOTHING.
    pub update: Option<(Vec<Assignment>, Option<ast::Expr>)>,
}
