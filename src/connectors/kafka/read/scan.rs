//! Bounded reads: end offsets are pinned when the read is planned, so every query gets an end; one part for each partition.
//! Commits nothing. Where records change rows, a part keeps the latest ones (`latest_rows`), and predicates narrow nothing: a row that is not
//! wanted may replace one that is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;

use super::consumer::Consumer;
use super::latest_rows::{LatestRows, LatestRowsPlan};
use super::reader::{self, Batches, Read};
use super::rows::RowReader;
use super::{offsets, pushdown};
use crate::changelog::Changelog;
use crate::connectors::kafka::client::{self, REQUEST_TIMEOUT};
use crate::connectors::kafka::options::KafkaOptions;
use crate::connectors::kafka::range::{Bounded, Startup};
use crate::connectors::metrics::ConnectorMetrics;
use crate::connectors::scan::{Scan, ScanPartition, ScanPlan, ScanRequest};
use crate::error::{Error, ErrorKind, Result};

/// How long a record within the pinned ends is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Changes that are applied at once.
const FOLD_BATCH_ROWS: usize = 8192;

pub(crate) struct KafkaScan {
    options: Arc<KafkaOptions>,
}

impl KafkaScan {
    pub fn new(options: Arc<KafkaOptions>) -> Self {
        Self { options }
    }
}

#[async_trait]
impl Scan for KafkaScan {
    fn pushdown(&self, filters: &[&Expr]) -> Vec<TableProviderFilterPushDown> {
        filters
            .iter()
            .map(|filter| match pushdown::read(&self.options, filter) {
                Some(_) if self.options.changelog == Changelog::Append => TableProviderFilterPushDown::Inexact,
                _ => TableProviderFilterPushDown::Unsupported,
            })
            .collect()
    }

    async fn plan(&self, request: ScanRequest) -> Result<ScanPlan> {
        let options = self.options.clone();
        tokio::task::spawn_blocking(move || plan(&options, &request))
            .await
            .map_err(|error| Error::internal(format!("planning a Kafka scan: {error}")))?
    }
}

fn start_consumer(options: &KafkaOptions) -> Result<Arc<Consumer>> {
    // What retention takes away between planning and reading is not there for a read from the beginning either.
    let reset = match options.startup {
        Startup::Earliest | Startup::Group { .. } => "earliest",
        _ => "error",
    };
    Consumer::start(&client::consumer_config(&options.bootstrap_servers, &options.properties, &options.group_id, reset))
}

fn plan(options: &Arc<KafkaOptions>, request: &ScanRequest) -> Result<ScanPlan> {
    let plan = LatestRowsPlan::of(options, &request.projection);
    let filters = if plan.is_none() { request.filters.as_slice() } else { &[] };
    let limits = pushdown::Limits::of(options, filters);
    let consumer = start_consumer(options)?;
    let projection = plan.as_ref().map_or(&request.projection, |plan| &plan.projection);
    // Types are checked here, not when the parts open.
    RowReader::new(options, projection)?;
    if let Some(plan) = &plan {
        LatestRows::new(options, plan.clone())?;
    }
    let mut parts: Vec<KafkaScanPartition> = Vec::new();
    let mut description = String::new();
    let mut notices = Vec::new();
    for topic in &options.topics {
        let mut ids = match offsets::partitions(&consumer, topic, REQUEST_TIMEOUT) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                notices.push(format!("topic \"{topic}\" does not exist yet, so that it gives no rows"));
                Vec::new()
            }
            found => found?,
        };
        let count = ids.len();
        if let Bounded::Offsets(given) = &options.bounded {
            ids.retain(|id| given.contains_key(id));
        }
        ids.retain(|id| limits.wants_partition(*id));
        let latest = offsets::latest(&consumer, topic, &ids)?;
        let mut starts = offsets::starts(&consumer, topic, &ids, &options.startup)?;
        let mut ends = match offsets::ends(&consumer, topic, &ids, &options.bounded)? {
            // What is not written yet is not waited for.
            Some(ends) => ends.into_iter().map(|(id, end)| (id, end.min(latest[&id]))).collect(),
            None => latest,
        };
        limits.narrow(&consumer, topic, &mut starts, &mut ends)?;
        describe(&mut description, topic, count, &starts, &ends);
        for id in ids {
            parts.push(KafkaScanPartition {
                options: options.clone(),
                consumer: consumer.clone(),
                topic: topic.clone(),
                partition: id,
                start: starts[&id],
                end: ends[&id],
                projection: projection.clone(),
                // How many records give the wanted rows shows only when all are applied.
                limit: request.limit.filter(|_| plan.is_none()),
            });
        }
    }
    let shared = |part| Arc::new(part) as Arc<dyn ScanPartition>;
    let partitions = match plan {
        None => parts.into_iter().map(shared).collect(),
        Some(plan) => {
            let (word, groups) = match options.changelog {
                Changelog::Upsert => ("last row of each key", parts.into_iter().map(|part| vec![part]).collect()),
                _ => ("rows after all changes", vec![parts]),
            };
            let _ = write!(description, ", {word}");
            let part = |parts| LatestRowsPart {
                options: options.clone(),
                wanted: request.projection.clone(),
                plan: plan.clone(),
                parts,
                limit: request.limit,
            };
            groups.into_iter().map(|parts| Arc::new(part(parts)) as Arc<dyn ScanPartition>).collect()
        }
    };
    Ok(ScanPlan { partitions, description, notices })
}

fn describe(text: &mut String, topic: &str, count: usize, starts: &BTreeMap<i32, i64>, ends: &BTreeMap<i32, i64>) {
    if !text.is_empty() {
        text.push_str("; ");
    }
    let plural = if count == 1 { "" } else { "s" };
    let _ = write!(text, "kafka topic {topic}, {count} partition{plural}, offsets");
    for (shown, (id, end)) in ends.iter().enumerate() {
        if shown == 8 {
            let _ = write!(text, " … ({} in all)", ends.len());
            break;
        }
        let _ = write!(text, "{} {id}:[{}..{end})", if shown > 0 { "," } else { "" }, starts[id].min(*end));
    }
    if ends.is_empty() {
        text.push_str(" none");
    }
}

struct KafkaScanPartition {
    options: Arc<KafkaOptions>,
    consumer: Arc<Consumer>,
    topic: String,
    partition: i32,
    start: i64,
    end: i64,
    projection: Vec<usize>,
    limit: Option<usize>,
}

impl KafkaScanPartition {
    fn start(&self, rows: RowReader, batch_rows: usize, metrics: &Arc<ConnectorMetrics>) -> Result<Batches> {
        if self.start >= self.end || self.limit == Some(0) {
            return Ok(reader::ended());
        }
        let consumer = if self.consumer.can_open(&self.topic, self.partition) {
            self.consumer.clone()
        } else {
            // The plan runs once more.
            start_consumer(&self.options)?
        };
        reader::start(Read {
            queue: consumer.open(&self.topic, self.partition, self.start)?,
            rows,
            position: self.start,
            end: Some(self.end),
            ends_with_log: true,
            batch_rows: batch_rows.min(self.limit.unwrap_or(usize::MAX)).max(1),
            skips: Vec::new(),
            limit: self.limit,
            patience: Some(PATIENCE),
            metrics: Arc::clone(metrics),
        })
    }
}

impl ScanPartition for KafkaScanPartition {
    fn open(&self, batch_rows: usize, metrics: &Arc<ConnectorMetrics>) -> Result<SendableRecordBatchStream> {
        let rows = RowReader::new(&self.options, &self.projection)?;
        let schema = rows.schema().clone();
        let batches = self.start(rows, batch_rows, metrics)?;
        let stream = futures::stream::try_unfold(batches, |mut batches| async move {
            loop {
                match batches.next().await? {
                    Some(batch) if batch.changes.is_empty() => {}
                    Some(batch) => return Ok(Some((batch.changes.rows().clone(), batches))),
                    None => return Ok(None),
                }
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

/// Partitions whose changes are applied together.
struct LatestRowsPart {
    options: Arc<KafkaOptions>,
    wanted: Vec<usize>,
    plan: LatestRowsPlan,
    parts: Vec<KafkaScanPartition>,
    limit: Option<usize>,
}

impl ScanPartition for LatestRowsPart {
    fn open(&self, batch_rows: usize, metrics: &Arc<ConnectorMetrics>) -> Result<SendableRecordBatchStream> {
        let schema = Arc::new(self.options.schema.project(&self.wanted)?);
        let mut latest = LatestRows::new(&self.options, self.plan.clone())?;
        // All begin to read now, each a few batches ahead.
        let inputs = self
            .parts
            .iter()
            .map(|part| part.start(RowReader::new(&self.options, &part.projection)?, FOLD_BATCH_ROWS, metrics))
            .collect::<Result<Vec<_>>>()?;
        let limit = self.limit;
        let metrics = Arc::clone(metrics);
        let rows = async move {
            for mut input in inputs {
                while let Some(batch) = input.next().await? {
                    latest.apply(&batch.changes)?;
                }
            }
            ConnectorMetrics::add(&metrics.unmatched, latest.unmatched());
            let batches = latest.finish(batch_rows, limit)?;
            Ok::<_, DataFusionError>(futures::stream::iter(batches.into_iter().map(Ok)))
        };
        let stream = futures::stream::once(rows).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}
