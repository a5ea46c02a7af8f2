//! The face of a lookup function to DataFusion. A query awaits it ([`for_query`]); a job's planner finds the function behind it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use parking_lot::Mutex;

use super::{LookupEvaluator, LookupFunction};
use crate::clock::Clock;
use crate::connectors::ConnectorMetrics;
use crate::engine::expression::ExpressionScope;
use crate::error::{Error, Result};

impl LookupFunction {
    /// The function as SQL calls it; a job's planner finds the lookup behind it again by [`Self::behind`],
    /// a query runs it after [`for_query`].
    pub fn into_udf(self, clock: Arc<dyn Clock>) -> Arc<ScalarUDF> {
        let signature = Signature::any(self.arity, Volatility::Stable);
        let call = LookupUdf { function: Arc::new(self), signature, clock, evaluator: Arc::default() };
        Arc::new(ScalarUDF::new_from_impl(call))
    }

    /// The lookup function behind a call, if it is one.
    pub fn behind(function: &ScalarUDF) -> Option<&Arc<LookupFunction>> {
        function.inner().downcast_ref::<LookupUdf>().map(|udf| &udf.function)
    }
}

/// Makes lookup calls of an optimised plan runnable in a query, where DataFusion awaits them.
///
/// # Errors
/// Never for plans that DataFusion made; the signature is its.
pub(crate) fn for_query(plan: LogicalPlan) -> Result<LogicalPlan> {
    let transformed = plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expression| {
            expression.transform_up(|node| match node {
                Expr::ScalarFunction(call) if LookupFunction::behind(&call.func).is_some() => {
                    let udf = call.func.inner().downcast_ref::<LookupUdf>().cloned();
                    let func = udf.map_or(call.func.clone(), |udf| {
                        Arc::new(AsyncScalarUDF::new(Arc::new(udf)).into_scalar_udf())
                    });
                    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args: call.args })))
                }
                other => Ok(Transformed::no(other)),
            })
        })
    });
    Ok(transformed.data()?)
}

/// The face of a lookup function to DataFusion.
#[derive(Clone)]
struct LookupUdf {
    function: Arc<LookupFunction>,
    signature: Signature,
    clock: Arc<dyn Clock>,
    evaluator: Arc<Mutex<Option<Arc<LookupEvaluator>>>>,
}

impl LookupUdf {
    fn evaluator(&self) -> Result<Arc<LookupEvaluator>> {
        let mut slot = self.evaluator.lock();
        if let Some(evaluator) = slot.as_ref() {
            return Ok(Arc::clone(evaluator));
        }
        let scope = ExpressionScope::new(&self.function.time_zone, &self.clock);
        let evaluator =
            Arc::new(LookupEvaluator::new(self.function.stored.clone(), Arc::clone(&self.function.lookup), &scope)?);
        *slot = Some(Arc::clone(&evaluator));
        Ok(evaluator)
    }
}

impl fmt::Debug for LookupUdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.function.fmt(f)
    }
}

impl PartialEq for LookupUdf {
    fn eq(&self, other: &Self) -> bool {
        self.function.stored == other.function.stored && self.function.time_zone == other.function.time_zone
    }
}

impl Eq for LookupUdf {}

impl Hash for LookupUdf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.stored.name.hash(state);
    }
}

impl ScalarUDFImpl for LookupUdf {
    fn name(&self) -> &str {
        &self.function.stored.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.function.return_type.clone())
    }

    fn invoke_with_args(&self, _arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        Err(Error::unsupported(format!("lookup function \"{}\" cannot be called here", self.function.stored.name))
            .hint("Call it in the SELECT list or in WHERE.")
            .into())
    }
}

#[async_trait::async_trait]
impl AsyncScalarUDFImpl for LookupUdf {
    async fn invoke_async_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays =
            arguments.args.into_iter().map(|value| value.into_array(rows)).collect::<DataFusionResult<Vec<_>>>()?;
        let metrics = ConnectorMetrics::default();
        Ok(ColumnarValue::Array(self.evaluator()?.evaluate(&arrays, rows, true, &metrics).await?))
    }
}
