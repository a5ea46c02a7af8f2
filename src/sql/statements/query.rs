//! SELECT, VALUES, WITH …: a bounded read whose rows are streamed.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast;
use futures::{StreamExt, stream};

use crate::error::{Error, Result};
use crate::sql::execution::background_stream;
use crate::sql::execution::query_memory::frugal;
use crate::sql::parser::{Cursor, Hints};
use crate::sql::planning::error_map::refine;
use crate::sql::planning::given_rows::GivenRows;
use crate::sql::planning::planned::{Planned, SharedPlan, bound};
use crate::sql::planning::result_names::rename;
use crate::sql::session::{Outcome, Session};

/// A query as it was read.
#[derive(Debug, Clone)]
pub struct Query {
    /// sqlparser's tree.
    pub query: Box<ast::Query>,
    /// OPTIONS hints of its tables.
    pub hints: Hints,
}

impl Query {
    /// Reads a query up to the end of the statement.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        let query = cursor.query()?;
        Ok(Self { query, hints: cursor.hints.clone() })
    }
}

/// Runs a planned query. `result`: the columns that it was described with.
///
/// # Errors
/// Whatever the query may raise before its first row.
pub async fn run(
    session: &mut Session,
    planned: &Planned,
    result: Option<SchemaRef>,
    parameters: Vec<ScalarValue>,
) -> Result<Outcome> {
    match planned {
        Planned::Query { constant: Some(row), .. } => {
            let schema = result.ok_or_else(|| Error::internal("a query has no columns"))?;
            let batch = row.compute(&schema)?;
            let stream = stream::iter([Ok(batch)]);
            let stream = Box::pin(RecordBatchStreamAdapter::new(schema.clone(), stream));
            Ok(Outcome::Rows { verb: "SELECT", schema, stream })
        }
        Planned::Query { plan, names, constant: None } => {
            let stream = open(session, plan, parameters, None).await?;
            let schema = rename(&stream.schema(), names.as_deref());
            Ok(Outcome::Rows { verb: "SELECT", schema: schema.clone(), stream: renamed(stream, schema) })
        }
        Planned::BoundedInsert { .. } | Planned::Job(_) | Planned::LocalWrite(_) => {
            Err(Error::internal("a change of rows is not a query"))
        }
    }
}

/// Starts a query, over given rows if it reads such; gives its rows.
///
/// # Errors
/// Whatever the query may raise before its first row.
pub async fn open(
    session: &mut Session,
    plan: &SharedPlan,
    parameters: Vec<ScalarValue>,
    given: Option<GivenRows>,
) -> Result<SendableRecordBatchStream> {
    let plan = plan.clone();
    let (mut state, told) = session.telling_state();
    session.count_into(&mut state);
    if let Some(given) = given {
        state.config_mut().set_extension(Arc::new(given));
    }
    let context = session.task_context(&state);
    let made = async move {
        let plan = bound(&plan, parameters)?;
        let physical = state.create_physical_plan(&plan).await.map_err(|error| refine(error, None))?;
        let again = frugal::plan_again(&physical, &plan, &state, &context);
        Ok((physical, context, again))
    };
    let stream = background_stream::start(&session.server.queries, made).await?;
    told.take().into_iter().for_each(|notice| session.notice(notice));
    Ok(stream)
}

/// Rows under other names of their columns.
pub fn renamed(stream: SendableRecordBatchStream, schema: SchemaRef) -> SendableRecordBatchStream {
    if stream.schema() == schema {
        return stream;
    }
    let of_batches = schema.clone();
    let stream = stream.map(move |batch| {
        let batch = batch?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(of_batches.clone(), batch.columns().to_vec(), &options)?)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, stream))
}
