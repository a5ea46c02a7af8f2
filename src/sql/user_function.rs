//! A scalar function written in SQL: a call is replaced by its body before anything runs.

use std::hash::{Hash, Hasher};

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility, cast};

use crate::error::Error;

/// A planned scalar function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlFunction {
    name: String,
    /// Types of the parameters; `None` takes any.
    parameters: Vec<Option<DataType>>,
    returns: DataType,
    /// The body over `$1 …`.
    body: Expr,
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
    pub fn new(name: &str, parameters: Vec<Option<DataType>>, returns: DataType, body: Expr) -> Self {
        let signature = Signature::user_defined(Volatility::Stable);
        Self { name: name.to_owned(), parameters, returns, body, signature }
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

/// The argument that a placeholder stands for.
fn argument_of<'a>(expr: &Expr, arguments: &'a [Expr]) -> Option<&'a Expr> {
    let Expr::Placeholder(placeholder) = expr else { return None };
    let index: usize = placeholder.id.strip_prefix('$')?.parse().ok()?;
    arguments.get(index.checked_sub(1)?)
}

impl SqlFunction {
    /// Parts of the body with the arguments in it.
    fn expanded_size(&self, arguments: &[Expr]) -> Result<usize> {
        let mut count = 0_usize;
        self.body.apply(|expr| {
            count = count.saturating_add(match argument_of(expr, arguments) {
                Some(argument) => size(argument)?,
                None => 1,
            });
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(count)
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
            .code("42883")
            .into());
        }
        Ok(arguments
            .iter()
            .zip(&self.parameters)
            .map(|(given, wanted)| wanted.clone().unwrap_or(given.clone()))
            .collect())
    }

    fn simplify(&self, arguments: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let size = self.expanded_size(&arguments)?;
        if size > EXPANDED_MAX {
            return Err(Error::invalid(format!(
                "the statement is too complex: function {} written out has more than {EXPANDED_MAX} parts",
                self.name
            ))
            .code("54001")
            .hint("A parameter that the body names twice doubles what is given for it, and so does each call in its argument.")
            .into());
        }
        let body = self.body.clone().transform(|expr| {
            Ok(match argument_of(&expr, &arguments) {
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
