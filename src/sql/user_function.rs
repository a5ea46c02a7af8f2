//! A scalar function written in SQL: a call is replaced by its body before anything runs.

use std::hash::{Hash, Hasher};

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
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
        let body = self.body.clone().transform(|expr| {
            let Expr::Placeholder(placeholder) = &expr else { return Ok(Transformed::no(expr)) };
            let index = placeholder.id.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
            Ok(match index.and_then(|index| index.checked_sub(1)).and_then(|index| arguments.get(index)) {
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
