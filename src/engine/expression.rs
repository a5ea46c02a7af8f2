//! Scalar expressions as a job stores them: DataFusion's protobuf form over positional columns, decoded without the optimiser.
//! Columns are named `#0`, `#1` … by their place in the input, so that qualifiers and duplicate names cannot mislead a restart.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::execution::TaskContext;
use datafusion::execution::context::{ExecutionProps, SessionContext};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion::prelude::SessionConfig;
use datafusion_proto::bytes::Serializeable;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::error::{Error, Result, SqlState};
use crate::functions::memory::{JOB_BYTES_MAX, ValueLimit};
use crate::threads::with_deep_stack;

/// What stored expressions are decoded and compiled with: the functions of jobs, and the job's time zone.
#[derive(Clone)]
pub struct ExpressionScope {
    functions: Arc<TaskContext>,
    properties: ExecutionProps,
}

impl ExpressionScope {
    /// A scope with every function that jobs know; time functions read `clock` at each batch.
    pub fn new(time_zone: &str, clock: &Arc<dyn Clock>) -> Self {
        let mut config = SessionConfig::new();
        config.options_mut().execution.time_zone = Some(time_zone.to_owned());
        let mut options = config.options().as_ref().clone();
        options.extensions.insert(ValueLimit(JOB_BYTES_MAX));
        let options = Arc::new(options);
        let context = SessionContext::new_with_config(config);
        for function in crate::functions::registry::all(clock) {
            context.register_udf(function.as_ref().clone());
        }
        let mut properties = ExecutionProps::new();
        properties.config_options = Some(options);
        Self { functions: context.task_ctx(), properties }
    }

    /// The functions, for aggregates that are compiled elsewhere.
    pub fn properties(&self) -> &ExecutionProps {
        &self.properties
    }
}

/// An expression as it is stored; the text is for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredExpression {
    /// How EXPLAIN shows it.
    pub text: String,
    /// DataFusion's protobuf form, base64.
    proto: String,
}

impl StoredExpression {
    /// Stores an expression whose columns are those of `input`.
    ///
    /// # Errors
    /// A column that `input` has not, or an expression that has no stored form.
    pub fn new(expression: &Expr, input: &DFSchema) -> Result<Self> {
        let text = expression.to_string();
        let positional = expression.clone().unalias().transform(|node| match &node {
            Expr::Column(column) => {
                let index = input.index_of_column(column)?;
                Ok(Transformed::yes(Expr::Column(Column::new_unqualified(positional_name(index)))))
            }
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => {
                Err(Error::unsupported("a sub-query cannot be a value in a job yet")
                    .hint("Use a lookup function over a keyed table, or write the value.")
                    .into())
            }
            _ => Ok(Transformed::no(node)),
        })?;
        let bytes = positional.data.to_bytes().map_err(|error| {
            // What is stored is read with a limit, which is tried here.
            if !error.to_string().contains("recursion limit") {
                return Error::from(error);
            }
            Error::invalid("the expression is nested too deeply for a job")
                .code(SqlState::StatementTooComplex)
                .detail("A job keeps about 45 calls or 30 CASEs that stand within each other.")
                .hint("Write one CASE with several WHENs instead of a CASE in each ELSE.")
        })?;
        Ok(Self { text, proto: STANDARD.encode(bytes) })
    }

    /// The expression over positional columns.
    ///
    /// # Errors
    /// It was damaged, or names a function that this build has not.
    pub fn decode(&self, scope: &ExpressionScope) -> Result<Expr> {
        let bytes = STANDARD
            .decode(&self.proto)
            .map_err(|error| Error::corrupt(format!("stored expression \"{}\" is damaged: {error}", self.text)))?;
        // Reading goes down the expression, on whatever thread the job starts.
        with_deep_stack(|| Expr::from_bytes_with_ctx(&bytes, &scope.functions))
            .map_err(|error| Error::from(error).context(format!("stored expression \"{}\"", self.text)))
    }

    /// Compiles it for batches of `input`.
    ///
    /// # Errors
    /// As [`Self::decode`], or types that do not fit.
    pub fn compile(&self, input: &Schema, scope: &ExpressionScope) -> Result<Arc<dyn PhysicalExpr>> {
        let schema = positional_schema(input)?;
        with_deep_stack(|| {
            let expression = self.decode(scope)?;
            Ok(create_physical_expr(&expression, &schema, &scope.properties, &PhysicalPlanningContext::default())?)
        })
    }
}

fn positional_name(index: usize) -> String {
    format!("#{index}")
}

/// The schema under which positional expressions are compiled.
///
/// # Errors
/// Never for schemas of batches; the signature is DataFusion's.
pub fn positional_schema(input: &Schema) -> Result<DFSchema> {
    let fields: Vec<Field> = input
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| field.as_ref().clone().with_name(positional_name(index)))
        .collect();
    Ok(DFSchema::try_from(Schema::new(fields))?)
}

/// Computes an expression over rows.
///
/// # Errors
/// Of kind `Row` if a row's values are to blame; what fails without any row is wrong for all of them.
pub fn evaluate(expression: &dyn PhysicalExpr, rows: &RecordBatch) -> Result<ArrayRef> {
    let run = |rows: &RecordBatch| expression.evaluate(rows)?.into_array(rows.num_rows());
    run(rows).map_err(|error| {
        let error = Error::of_evaluation(error);
        match run(&rows.slice(0, 0)) {
            Ok(_) => error,
            // What is wrong for all rows is what is told, not what one of them met first.
            Err(of_all) => Error::of_evaluation(of_all).of_every_row(),
        }
    })
}

/// The output schema of expressions over `input`, all nullable, named by position.
///
/// # Errors
/// A type that cannot be told.
pub fn output_schema(expressions: &[Arc<dyn PhysicalExpr>], input: &Schema) -> Result<SchemaRef> {
    let fields = expressions
        .iter()
        .enumerate()
        .map(|(index, expression)| {
            let field = expression.return_field(input)?.as_ref().clone();
            Ok(field.with_name(positional_name(index)).with_nullable(true))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Schema::new(fields)))
}
