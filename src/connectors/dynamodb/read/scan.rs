//! Bounded reads: GetItem, BatchGetItem, Query or a parallel Scan, page by page. Every predicate that was answered `Exact`
//! is evaluated here on the decoded rows, whatever DynamoDB was asked, so the answer is the same for each way of access.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DFSchema;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use tokio::sync::mpsc;

use super::predicate::{
    Access, Expression, SortRange, access, conjuncts, describe_access, describe_filter, filter_expression,
    is_answered_by_key, is_evaluable, key_condition,
};
use crate::connectors::dynamodb::client::send;
use crate::connectors::dynamodb::key::KeySchema;
use crate::connectors::dynamodb::remote_table::{Projection, RemoteTable};
use crate::connectors::dynamodb::value::item::Item;
use crate::connectors::metrics::ConnectorMetrics;
use crate::connectors::scan::{Scan, ScanPartition, ScanPlan, ScanRequest};
use crate::error::Result;

/// Parts of a Scan that are read at the same time.
const SEGMENTS: usize = 4;
/// Parts that several keys are spread over.
const KEY_PARTITIONS_MAX: usize = 8;
/// Keys in a BatchGetItem.
pub const GET_KEYS_MAX: usize = 100;
/// A read of at most so many rows without a filter is not split.
const SINGLE_SEGMENT_LIMIT: usize = 1_000;
/// How often a passing failure is tried again.
const SCAN_RETRIES_MAX: u32 = 5;

/// Bounded reading of a DynamoDB table.
pub struct DynamoDbScan {
    table: Arc<RemoteTable>,
}

impl DynamoDbScan {
    /// Of this table.
    pub fn new(table: Arc<RemoteTable>) -> Self {
        Self { table }
    }

    /// The access path and what of the filters DynamoDB is asked.
    async fn prepare(&self, request: &ScanRequest) -> Result<(Arc<Read>, Access, String)> {
        let table = &self.table;
        let conjuncts = conjuncts(&request.filters);
        let mut columns = request.projection.clone();
        for conjunct in &conjuncts {
            columns.extend(conjunct.column_refs().iter().filter_map(|column| table.schema.index_of(&column.name).ok()));
        }
        columns.sort_unstable();
        columns.dedup();
        let read_schema = table.schema.project(&columns)?;
        let key = table.key().await?;
        let access = access(&conjuncts, key, &table.schema);
        let key_names: Vec<&str> = key.attributes().map(|attribute| attribute.name.as_str()).collect();
        let (filter, is_sent) = match &access {
            Access::Scan => filter_expression(&conjuncts, &table.schema, &[]),
            Access::Query { .. } => filter_expression(&conjuncts, &table.schema, &key_names),
            Access::Get(_) => (None, vec![false; conjuncts.len()]),
        };
        let described = describe(&conjuncts, &is_sent, &access, key, &table.schema);
        let output = request
            .projection
            .iter()
            .map(|column| columns.binary_search(column).expect("the projection is among the columns read"))
            .collect();
        let read = Read {
            table: table.clone(),
            schema: Arc::new(table.schema.project(&request.projection)?),
            projection: table.projection(&columns).await?,
            predicate: physical_predicate(&conjuncts, &read_schema)?,
            columns,
            output,
            filter,
            limit: request.limit,
        };
        Ok((Arc::new(read), access, described))
    }
}

/// The filters for EXPLAIN: what DynamoDB is asked (`filter`), what is only evaluated here (`then`). Key conditions are shown apart.
fn describe(conjuncts: &[Expr], is_sent: &[bool], access: &Access, key: &KeySchema, schema: &Schema) -> String {
    let of = |sent: bool| {
        let chosen = conjuncts.iter().zip(is_sent).filter(move |(_, is_sent)| **is_sent == sent);
        chosen.map(|(conjunct, _)| conjunct).filter(|conjunct| !is_answered_by_key(conjunct, access, key, schema))
    };
    [("filter", true), ("then", false)]
        .into_iter()
        .map(|(word, sent)| match describe_filter(of(sent)) {
            text if text.is_empty() => text,
            text => format!(", {word} {text}"),
        })
        .collect()
}

fn physical_predicate(conjuncts: &[Expr], schema: &Schema) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let Some(predicate) = conjunction(conjuncts.iter().cloned()) else { return Ok(None) };
    let schema = DFSchema::try_from(schema.clone())?;
    Ok(Some(create_physical_expr(&predicate, &schema, &ExecutionProps::new(), &Default::default())?))
}

#[async_trait]
impl Scan for DynamoDbScan {
    fn pushdown(&self, filters: &[&Expr]) -> Vec<TableProviderFilterPushDown> {
        filters
            .iter()
            .map(|filter| match is_evaluable(filter, &self.table.schema) {
                true => TableProviderFilterPushDown::Exact,
                false => TableProviderFilterPushDown::Unsupported,
            })
            .collect()
    }

    async fn plan(&self, request: ScanRequest) -> Result<ScanPlan> {
        let (read, access, filters) = self.prepare(&request).await?;
        let key = self.table.key().await?;
        let how = match &access {
            Access::Get(keys) if keys.len() == 1 => "GetItem".to_owned(),
            Access::Get(_) => "BatchGetItem".to_owned(),
            Access::Query { .. } => "Query".to_owned(),
            Access::Scan => format!("Scan ({} segments)", segments(&read)),
        };
        let mut description = format!("{how} table={}{}", self.table.table_name(), describe_access(&access, key));
        description += &filters;
        let names: Vec<_> = read.schema.fields().iter().map(|field| field.name().as_str()).collect();
        description += &format!(", projection [{}]", names.join(", "));
        if let Some(limit) = request.limit {
            description += &format!(", limit {limit}");
        }
        let partitions = partitions(&read, access);
        Ok(ScanPlan {
            notices: Vec::new(),
            partitions: partitions
                .into_iter()
                .map(|steps| Arc::new(Part { read: read.clone(), steps }) as Arc<dyn ScanPartition>)
                .collect(),
            description,
        })
    }
}

fn segments(read: &Read) -> usize {
    match read.limit {
        Some(limit) if limit <= SINGLE_SEGMENT_LIMIT && read.predicate.is_none() => 1,
        _ => SEGMENTS,
    }
}

/// Spreads an access over parts; there is always one, if only an empty one.
fn partitions(read: &Read, access: Access) -> Vec<Vec<Step>> {
    let steps: Vec<Step> = match access {
        Access::Scan => {
            let total = segments(read);
            return (0..total).map(|segment| vec![Step::Segment { segment, total }]).collect();
        }
        Access::Get(keys) => keys.chunks(GET_KEYS_MAX).map(|keys| Step::Get(keys.to_vec())).collect(),
        Access::Query { partitions, sort } => {
            partitions.into_iter().map(|partition| Step::Query { partition, sort: sort.clone() }).collect()
        }
    };
    let count = steps.len().clamp(1, KEY_PARTITIONS_MAX);
    let mut parts: Vec<Vec<Step>> = (0..count).map(|_| Vec::new()).collect();
    for (index, step) in steps.into_iter().enumerate() {
        parts[index % count].push(step);
    }
    parts
}

/// One thing to ask for.
#[derive(Debug, Clone)]
enum Step {
    Get(Vec<Item>),
    Query { partition: AttributeValue, sort: Option<SortRange> },
    Segment { segment: usize, total: usize },
}

/// What all parts of a read share.
struct Read {
    table: Arc<RemoteTable>,
    /// Of the rows given out.
    schema: SchemaRef,
    /// Declared columns that are decoded: those given out and those of predicates, in order.
    columns: Vec<usize>,
    /// For each column given out, its index in `columns`.
    output: Vec<usize>,
    projection: Projection,
    filter: Option<Expression>,
    predicate: Option<Arc<dyn PhysicalExpr>>,
    limit: Option<usize>,
}

struct Part {
    read: Arc<Read>,
    steps: Vec<Step>,
}

impl ScanPartition for Part {
    fn open(&self, batch_rows: usize, _metrics: &Arc<ConnectorMetrics>) -> Result<SendableRecordBatchStream> {
        let mut stream = RecordBatchReceiverStream::builder(self.read.schema.clone(), 2);
        let (out, read, steps) = (stream.tx(), self.read.clone(), self.steps.clone());
        stream.spawn(async move {
            let mut rows = Rows { left: read.limit.unwrap_or(usize::MAX), batch_rows: batch_rows.max(1), out, read };
            for step in &steps {
                if !rows.read_step(step).await? {
                    break;
                }
            }
            Ok(())
        });
        Ok(stream.build())
    }
}

/// Gives out rows until there were enough or nobody wants more.
struct Rows {
    read: Arc<Read>,
    out: mpsc::Sender<datafusion::error::Result<RecordBatch>>,
    batch_rows: usize,
    left: usize,
}

impl Rows {
    /// Reads a step to its end; false when no more rows are wanted.
    async fn read_step(&mut self, step: &Step) -> Result<bool> {
        let read = self.read.clone();
        let mut start: Option<HashMap<String, AttributeValue>> = None;
        loop {
            let page = match step {
                Step::Get(keys) if keys.len() == 1 => Page { items: read.get(&keys[0]).await?, next: None },
                Step::Get(keys) => {
                    Page { items: read.table.get_items(keys.clone(), &read.projection, false, None).await?, next: None }
                }
                Step::Query { partition, sort } => {
                    read.query(partition, sort.as_ref(), start.take(), self.left).await?
                }
                Step::Segment { segment, total } => read.segment(*segment, *total, start.take(), self.left).await?,
            };
            if !self.give(page.items).await? {
                return Ok(false);
            }
            match page.next {
                Some(next) => start = Some(next),
                None => return Ok(true),
            }
        }
    }

    async fn give(&mut self, mut items: Vec<Item>) -> Result<bool> {
        let read = &self.read;
        read.table.drop_hidden(&mut items).await?;
        let items: Vec<&Item> = items.iter().collect();
        let mut batches = Vec::new();
        for chunk in items.chunks(self.batch_rows) {
            let mut rows = read.table.decode(chunk, &read.columns)?;
            if let Some(predicate) = &read.predicate {
                let keep = predicate.evaluate(&rows)?.into_array(rows.num_rows())?;
                rows = filter_record_batch(&rows, keep.as_boolean())?;
            }
            let mut rows = rows.project(&read.output)?;
            if rows.num_rows() > self.left {
                rows = rows.slice(0, self.left);
            }
            self.left -= rows.num_rows();
            if rows.num_rows() > 0 {
                batches.push(rows);
            }
        }
        for rows in batches {
            if self.out.send(Ok(rows)).await.is_err() {
                return Ok(false);
            }
        }
        Ok(self.left > 0)
    }
}

/// One answer of DynamoDB, and where to go on.
pub(super) struct Page {
    pub(crate) items: Vec<Item>,
    pub(crate) next: Option<HashMap<String, AttributeValue>>,
}

impl Read {
    async fn get(&self, key: &Item) -> Result<Vec<Item>> {
        let client = self.table.client().await;
        let answer = send(&self.table.doing("GetItem"), SCAN_RETRIES_MAX, None, || {
            client
                .get_item()
                .table_name(self.table.table_name())
                .set_key(Some(key.clone()))
                .projection_expression(&self.projection.expression)
                .set_expression_attribute_names(Some(self.projection.names.clone()))
                .send()
        })
        .await
        .map_err(|failure| failure.error)?;
        Ok(answer.item.into_iter().collect())
    }

    /// Items that DynamoDB should look at for one page: only bounded when each counts.
    fn page_limit(&self, left: usize) -> Option<i32> {
        self.limit.filter(|_| self.predicate.is_none()).map(|_| i32::try_from(left.max(1)).unwrap_or(i32::MAX))
    }

    async fn query(
        &self,
        partition: &AttributeValue,
        sort: Option<&SortRange>,
        start: Option<HashMap<String, AttributeValue>>,
        left: usize,
    ) -> Result<Page> {
        let condition = key_condition(self.table.key().await?, partition, sort);
        let client = self.table.client().await;
        let (names, values) = self.placeholders(&condition);
        let answer = send(&self.table.doing("Query"), SCAN_RETRIES_MAX, None, || {
            client
                .query()
                .table_name(self.table.table_name())
                .key_condition_expression(&condition.text)
                .projection_expression(&self.projection.expression)
                .set_filter_expression(self.filter.as_ref().map(|filter| filter.text.clone()))
                .set_expression_attribute_names(Some(names.clone()))
                .set_expression_attribute_values(Some(values.clone()))
                .set_exclusive_start_key(start.clone())
                .set_limit(self.page_limit(left))
                .send()
        })
        .await
        .map_err(|failure| failure.error)?;
        Ok(Page { items: answer.items.unwrap_or_default(), next: answer.last_evaluated_key })
    }

    async fn segment(
        &self,
        segment: usize,
        total: usize,
        start: Option<HashMap<String, AttributeValue>>,
        left: usize,
    ) -> Result<Page> {
        let client = self.table.client().await;
        let (names, values) = self.placeholders(&Expression::default());
        let answer = send(&self.table.doing("Scan"), SCAN_RETRIES_MAX, None, || {
            client
                .scan()
                .table_name(self.table.table_name())
                .segment(segment as i32)
                .total_segments(total as i32)
                .projection_expression(&self.projection.expression)
                .set_filter_expression(self.filter.as_ref().map(|filter| filter.text.clone()))
                .set_expression_attribute_names(Some(names.clone()))
                .set_expression_attribute_values(Some(values.clone()).filter(|values| !values.is_empty()))
                .set_exclusive_start_key(start.clone())
                .set_limit(self.page_limit(left))
                .send()
        })
        .await
        .map_err(|failure| failure.error)?;
        Ok(Page { items: answer.items.unwrap_or_default(), next: answer.last_evaluated_key })
    }

    fn placeholders(&self, condition: &Expression) -> (HashMap<String, String>, HashMap<String, AttributeValue>) {
        let (mut names, mut values) = (self.projection.names.clone(), HashMap::new());
        for expression in self.filter.iter().chain([condition]) {
            names.extend(expression.names.clone());
            values.extend(expression.values.clone());
        }
        (names, values)
    }
}
