//! Casts from and to numeric: text of numeric is trimmed, numeric of text or floats is exact. Runs behind type coercion, so that
//! implicit casts (an INSERT into a text column, `||`) follow the same rule.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use super::numeric;

/// See the module.
#[derive(Debug)]
pub struct NumericCasts {
    to_numeric: Arc<ScalarUDF>,
    numeric_text: Arc<ScalarUDF>,
}

impl NumericCasts {
    /// The rule.
    pub fn new() -> Self {
        Self { to_numeric: numeric::to_numeric_udf(), numeric_text: numeric::numeric_text_udf() }
    }

    fn rewrite(&self, expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let Expr::Cast(Cast { expr, field }) = expression else { return Ok(Transformed::no(expression)) };
        let from = expr.get_type(schema)?;
        let function = match (&from, field.data_type()) {
            (from, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) if *from == numeric::data_type() => {
                &self.numeric_text
            }
            (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Float32 | DataType::Float64, to)
                if *to == numeric::data_type() =>
            {
                &self.to_numeric
            }
            _ => return Ok(Transformed::no(Expr::Cast(Cast { expr, field }))),
        };
        let target = field.data_type().clone();
        let call = Expr::ScalarFunction(ScalarFunction { func: Arc::clone(function), args: vec![*expr] });
        Ok(Transformed::yes(match target {
            DataType::LargeUtf8 | DataType::Utf8View => Expr::Cast(Cast { expr: Box::new(call), field }),
            _ => call,
        }))
    }
}

impl AnalyzerRule for NumericCasts {
    fn name(&self) -> &str {
        "numeric_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let mut schema = merge_schema(&node.inputs());
            if let LogicalPlan::TableScan(scan) = &node {
                schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
            }
            let names = NamePreserver::new(&node);
            node.map_expressions(|expression| {
                let name = names.save(&expression);
                let rewritten = expression.transform_up(|inner| self.rewrite(inner, &schema))?;
                Ok(rewritten.update_data(|expression| name.restore(expression)))
            })
        })
        .data()
    }
}

#[cfg(test)]
mod tests;
