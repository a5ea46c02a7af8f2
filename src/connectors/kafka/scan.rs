//! Bounded reads: end offsets are pinned when the read is planned, so every query gets an end; one part for each partition.
//! Commits nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

use super::client::{self, REQUEST_TIMEOUT};
use super::consumer::Consumer;
use super::options::{Bounded, KafkaOptions, Startup};
use super::reader::{self, Read};
use super::rows::RowReader;
use super::{offsets, pushdown};
use crate::connectors::{ConnectorMetrics, Scan, ScanPartition, ScanPlan, ScanRequest};
use crate::error::{Error, Result};

/// How long a record within the pinned ends is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct KafkaScan {
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
                Some(_) => TableProviderFilterPushDown::Inexact,
                None => TableProviderFilterPushDown::Unsupported,
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
    let limits = pushdown::Limits::of(options, &request.filters);
    let consumer = start_consumer(options)?;
    // Types are checked here, not when the parts open.
    RowReader::new(options, &request.projection)?;
    let mut partitions: Vec<Arc<dyn ScanPartition>> = Vec::new();
    let mut description = String::new();
    for topic in &options.topics {
        let mut ids = offsets::partitions(&consumer, topic, REQUEST_TIMEOUT)?;
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
            partitions.push(Arc::new(KafkaScanPartition {
                options: options.clone(),
                consumer: consumer.clone(),
                topic: topic.clone(),
                partition: id,
                start: starts[&id],
                end: ends[&id],
                projection: request.projection.clone(),
                limit: request.limit,
            }));
        }
    }
    Ok(ScanPlan { partitions, description })
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

impl ScanPartition for KafkaScanPartition {
    fn open(&self, batch_rows: usize) -> Result<SendableRecordBatchStream> {
        let rows = RowReader::new(&self.options, &self.projection)?;
        let schema = rows.schema().clone();
        let batches = if self.start >= self.end || self.limit == Some(0) {
            reader::ended()
        } else {
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
                limit: self.limit,
                patience: Some(PATIENCE),
                metrics: Arc::new(ConnectorMetrics::default()),
            })?
        };
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
