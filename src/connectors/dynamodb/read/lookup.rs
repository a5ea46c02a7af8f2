//! Rows by key for jobs: BatchGetItem for full keys, Query for partition keys, many at the same time.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use datafusion::arrow::array::UInt32Array;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};

use super::predicate::key_condition;
use super::scan::GET_KEYS_MAX;
use crate::connectors::dynamodb::client::send;
use crate::connectors::dynamodb::key::{Key, KeySchema};
use crate::connectors::dynamodb::remote_table::{Projection, RemoteTable};
use crate::connectors::dynamodb::value::encode::Encoded;
use crate::connectors::dynamodb::value::item::Item;
use crate::connectors::lookup::{Lookup, LookupRequest, LookupResponse};
use crate::connectors::metrics::ConnectorMetrics;
use crate::error::{Error, Result, SqlState};

/// Requests of one batch that are on their way at the same time.
const REQUESTS_MAX: usize = 64;

/// Lookups in a DynamoDB table.
pub struct DynamoDbLookup {
    table: Arc<RemoteTable>,
}

impl DynamoDbLookup {
    /// In this table.
    pub fn new(table: Arc<RemoteTable>) -> Self {
        Self { table }
    }
}

#[async_trait]
impl Lookup for DynamoDbLookup {
    async fn key(&self) -> Result<Vec<usize>> {
        self.table.key().await?.columns(&self.table.declaration)
    }

    async fn lookup(&self, request: LookupRequest, metrics: &ConnectorMetrics) -> Result<LookupResponse> {
        let table = &self.table;
        let key = table.key().await?;
        let projection = table.projection(&request.projection).await?;
        let keys = Keys::of(&request, key, table)?;
        let found = if keys.is_full {
            by_key(table, key, &keys, &projection, &request, metrics).await?
        } else {
            by_partition(table, key, &keys, &projection, &request, metrics).await?
        };
        // In the order of the keys, whichever answer came first.
        let mut rows: Vec<(u32, &Item)> = found
            .iter()
            .flat_map(|(indexes, items)| {
                indexes.iter().flat_map(move |index| items.iter().map(move |item| (*index, item)))
            })
            .collect();
        rows.sort_by_key(|(index, _)| *index);
        let items: Vec<&Item> = rows.iter().map(|(_, item)| *item).collect();
        let rows_found = table.decode(&items, &request.projection)?;
        ConnectorMetrics::add(&metrics.rows, rows_found.num_rows());
        Ok(LookupResponse {
            rows: rows_found,
            key_index: UInt32Array::from_iter_values(rows.iter().map(|(index, _)| *index)),
        })
    }

    fn resource(&self) -> String {
        self.table.resource()
    }
}

/// Items found, with the indexes of the keys that they belong to.
type Found = Vec<(Vec<u32>, Vec<Item>)>;

/// The keys asked for, as attributes.
struct Keys {
    /// Whether they name the sort key too.
    is_full: bool,
    /// Key attributes, and the indexes of the request's keys that mean them.
    keys: HashMap<Key, (Item, Vec<u32>)>,
}

impl Keys {
    fn of(request: &LookupRequest, key: &KeySchema, table: &RemoteTable) -> Result<Self> {
        let real = key.columns(&table.declaration)?;
        let is_full = request.key_columns.len() == real.len();
        let wanted = if is_full { &real[..] } else { &real[..1] };
        // The request's columns may come in another order than the key's.
        let positions = wanted
            .iter()
            .map(|column| request.key_columns.iter().position(|given| given == column))
            .collect::<Option<Vec<_>>>()
            .filter(|positions| positions.len() == request.key_columns.len())
            .ok_or_else(|| {
                Error::invalid(format!(
                    "table \"{}\" can be looked up by its key {} or the partition key alone",
                    table.declaration.name,
                    key.describe()
                ))
            })?;
        let mut keys = HashMap::with_capacity(request.keys.num_rows());
        for row in 0..request.keys.num_rows() {
            let mut item = Item::with_capacity(positions.len());
            for (place, (attribute, position)) in key.attributes().zip(&positions).enumerate() {
                let mut text = Vec::new();
                let value = Encoded::of(request.keys.column(*position), row, &mut text).map_err(|message| {
                    Error::row(format!("key \"{}\" of table \"{}\": {message}", attribute.name, table.declaration.name))
                        .code(SqlState::DataException)
                })?;
                if KeySchema::limit_exceeded(place, &value).is_none() {
                    item.extend(value.into_attribute().map(|value| (attribute.name.clone(), value)));
                }
            }
            // NULL, empty texts and what is too long are no keys: nothing is found, and nothing is asked.
            let attributes = key.attributes().take(positions.len()).map(|attribute| item.get(&attribute.name));
            if let Some(values) = attributes.collect::<Option<Vec<_>>>().and_then(Key::of) {
                let (_, indexes) = keys.entry(values).or_insert_with(|| (item, Vec::new()));
                indexes.push(row as u32);
            }
        }
        Ok(Self { is_full, keys })
    }
}

async fn by_key(
    table: &RemoteTable,
    key: &KeySchema,
    keys: &Keys,
    projection: &Projection,
    request: &LookupRequest,
    metrics: &ConnectorMetrics,
) -> Result<Found> {
    let items: Vec<Item> = keys.keys.values().map(|(item, _)| item.clone()).collect();
    let mut chunks = items.chunks(GET_KEYS_MAX);
    let mut requests = FuturesUnordered::new();
    let mut found = Vec::with_capacity(items.len());
    loop {
        while requests.len() < REQUESTS_MAX
            && let Some(chunk) = chunks.next()
        {
            requests.push(table.get_items(chunk.to_vec(), projection, request.consistent, Some(metrics)));
        }
        let Some(answer) = requests.next().await else { break };
        for item in answer? {
            if let Some((_, indexes)) = Key::of_item(&item, key).and_then(|key| keys.keys.get(&key)) {
                found.push((indexes.clone(), vec![item]));
            }
        }
    }
    Ok(found)
}

async fn by_partition(
    table: &RemoteTable,
    key: &KeySchema,
    keys: &Keys,
    projection: &Projection,
    request: &LookupRequest,
    metrics: &ConnectorMetrics,
) -> Result<Found> {
    let mut waiting = keys.keys.values();
    let mut requests = FuturesUnordered::new();
    let mut found = Vec::with_capacity(keys.keys.len());
    loop {
        while requests.len() < REQUESTS_MAX
            && let Some((item, indexes)) = waiting.next()
        {
            requests.push(async move {
                let partition = &item[&key.partition.name];
                let items = query_all(table, key, partition, projection, request.consistent, metrics).await?;
                Ok::<_, Error>((indexes.clone(), items))
            });
        }
        match requests.try_next().await? {
            Some(answer) => found.push(answer),
            None => return Ok(found),
        }
    }
}

/// All items of a partition key, page after page.
async fn query_all(
    table: &RemoteTable,
    key: &KeySchema,
    partition: &AttributeValue,
    projection: &Projection,
    consistent: bool,
    metrics: &ConnectorMetrics,
) -> Result<Vec<Item>> {
    let client = table.client().await;
    let condition = key_condition(key, partition, None);
    let mut names = projection.names.clone();
    names.extend(condition.names.clone());
    let doing = table.doing("Query");
    let mut found = Vec::new();
    let mut start: Option<HashMap<String, AttributeValue>> = None;
    loop {
        let answer = send(&doing, table.options.lookup_retries_max, Some(metrics), || {
            client
                .query()
                .table_name(table.table_name())
                .key_condition_expression(&condition.text)
                .projection_expression(&projection.expression)
                .set_expression_attribute_names(Some(names.clone()))
                .set_expression_attribute_values(Some(condition.values.clone()))
                .set_exclusive_start_key(start.clone())
                .consistent_read(consistent)
                .send()
        })
        .await
        .map_err(|failure| failure.error)?;
        found.extend(answer.items.unwrap_or_default());
        start = answer.last_evaluated_key;
        if start.is_none() {
            table.drop_hidden(&mut found).await?;
            return Ok(found);
        }
    }
}
