//! A scalar function written in SQL: a call is replaced by its body before anything runs.

use std::hash::{Hash, Hasher};

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility, cast};

use crate::error::{Error, SqlState};

/// A planned scalar function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlFunction {
    name: String,
    /// Types of the parameters; `None` takes any.
    parameters: Vec<Option<DataType>>,
    returns: DataType,
    /// The body over `$1 …`.
    body: Expr,
    written_out: WrittenOut,
    signature: Signature,
}

impl Hash for SqlFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.body.hash(state);
    }
}

impl SqlFunction {
    /// Makes a function of its planned parts.
    ///
    /// # Errors
    /// Never for bodies that DataFusion made; the signature is its.
    pub fn new(name: &str, parameters: Vec<Option<DataType>>, returns: DataType, body: Expr) -> Result<Self> {
        let signature = Signature::user_defined(Volatility::Stable);
        let written_out = WrittenOut::of(&body, parameters.len())?;
        Ok(Self { name: name.to_owned(), parameters, returns, body, written_out, signature })
    }
}

/// Parts of an expression in which calls are replaced by bodies.
const EXPANDED_MAX: usize = 20_000;

/// Parts of an expression.
fn size(expr: &Expr) -> Result<usize> {
    let mut count = 0_usize;
    expr.apply(|_| {
        count += 1;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(count)
}

/// The place of the parameter that a placeholder stands for.
fn parameter_index(expr: &Expr) -> Option<usize> {
    let Expr::Placeholder(placeholder) = expr else { return None };
    placeholder.id.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)
}

/// Parts of an expression once its calls are written out: those of its own, and how often each parameter stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct WrittenOut {
    parts: usize,
    uses: Vec<usize>,
}

impl WrittenOut {
    fn add(&mut self, times: usize, other: &Self) {
        self.parts = self.parts.saturating_add(times.saturating_mul(other.parts));
        for (own, more) in self.uses.iter_mut().zip(&other.uses) {
            *own = own.saturating_add(times.saturating_mul(*more));
        }
    }

    /// Of an expression over so many parameters.
    fn of(expr: &Expr, parameters: usize) -> Result<Self> {
        let mut whole = Self { parts: 0, uses: vec![0; parameters] };
        expr.apply(|expr| {
            if let Expr::ScalarFunction(call) = expr
                && let Some(function) = call.func.inner().downcast_ref::<SqlFunction>()
            {
                whole.parts = whole.parts.saturating_add(function.written_out.parts);
                for (argument, uses) in call.args.iter().zip(&function.written_out.uses) {
                    whole.add(*uses, &Self::of(argument, parameters)?);
                }
                return Ok(TreeNodeRecursion::Jump);
            }
            match parameter_index(expr).filter(|index| *index < parameters) {
                Some(index) => whole.uses[index] = whole.uses[index].saturating_add(1),
                None => whole.parts = whole.parts.saturating_add(1),
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(whole)
    }
}

impl ScalarUDFImpl for SqlFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        if arguments.len() != self.parameters.len() {
            return Err(Error::not_found(format!(
                "function {} takes {} arguments, not {}",
                self.name,
                self.parameters.len(),
                arguments.len()
            ))
            .code(SqlState::UndefinedFunction)
            .into());
        }
        Ok(arguments
            .iter()
            .zip(&self.parameters)
            .map(|(given, wanted)| wanted.clone().unwrap_or(given.clone()))
            .collect())
    }

    fn simplify(&self, arguments: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let mut parts = self.written_out.parts;
        for (argument, uses) in arguments.iter().zip(&self.written_out.uses) {
            parts = parts.saturating_add(uses.saturating_mul(size(argument)?));
        }
        if parts > EXPANDED_MAX {
            return Err(Error::invalid(format!(
                "the statement is too complex: function {} written out has more than {EXPANDED_MAX} parts",
                self.name
            ))
            .code(SqlState::StatementTooComplex)
            .hint("A parameter that the body names twice doubles what is given for it, and so does each call in its argument.")
            .into());
        }
        let body = self.body.clone().transform(|expr| {
            Ok(match parameter_index(&expr).and_then(|index| arguments.get(index)) {
                Some(argument) => Transformed::yes(argument.clone()),
                None => Transformed::no(expr),
            })
        })?;
        Ok(ExprSimplifyResult::Simplified(cast(body.data, self.returns.clone())))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(Error::internal(format!("function {} was not replaced by its body", self.name)).into())
    }
}
