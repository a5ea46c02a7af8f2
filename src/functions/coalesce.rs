//! COALESCE, and NVL and IFNULL, which are the same: DataFusion's, but that a text which is written beside dates and times is one of them,
//! as in PostgreSQL. The rules of types cast it; until then it must not be refused.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;
use datafusion::functions::core::coalesce as inner;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::entry::{Entry, Maker};
use super::meetings::common_moment;

/// What the registry knows of it.
pub(super) const ENTRIES: &[Entry] = &[Entry::public(
    NAME,
    &["anyelement... → anyelement"],
    "The first value that is not NULL.",
    Maker::Plain(coalesce),
)
.aliases(&["ifnull", "nvl"])
.of_one_type()
.example("COALESCE(NULL, 2, 3)", "2")];

/// The function's name.
pub const NAME: &str = "coalesce";

/// COALESCE
pub fn coalesce() -> Arc<ScalarUDF> {
    let aliases = vec!["ifnull".to_owned(), "nvl".to_owned()];
    Arc::new(ScalarUDF::from(Coalesce { signature: Signature::user_defined(Volatility::Immutable), aliases }))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Coalesce {
    signature: Signature,
    aliases: Vec<String>,
}

impl ScalarUDFImpl for Coalesce {
    fn name(&self) -> &str {
        NAME
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments.iter().find(|argument| !argument.is_null()).cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        inner().return_field_from_args(args)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match common_moment(arguments) {
            Some(common) => Ok(vec![common; arguments.len()]),
            None => inner().inner().coerce_types(arguments),
        }
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        inner().simplify(args, info)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        inner().invoke_with_args(args)
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        args.split_first().map(|(first, others)| (vec![first], others.iter().collect()))
    }

    fn short_circuits(&self) -> bool {
        true
    }
}
