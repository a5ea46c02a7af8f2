//! One DynamoDB table as one declaration sees it: its client, its key and TTL attribute (asked once), and reading items of it.
//! Scan, lookup and sink share it. What fails to be asked is asked again next time.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, TableDescription, TimeToLiveStatus};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use tokio::sync::OnceCell;

use super::client::{ClientCache, Failure, backoff, send};
use super::key::{KeySchema, key_text};
use super::options::DynamoDbOptions;
use super::own_attributes::DELETED_ATTRIBUTE;
use super::ttl::is_expired;
use super::value::item::{Cell, Item, decode_column};
use crate::clock::Clock;
use crate::connectors::declaration::TableDeclaration;
use crate::connectors::metrics::ConnectorMetrics;
use crate::error::{Error, Result, SqlState};

/// How often a request about the table (not its items) is tried again.
const DESCRIBE_RETRIES_MAX: u32 = 3;

/// A declared table and its counterpart.
pub struct RemoteTable {
    /// As it was declared.
    pub declaration: TableDeclaration,
    /// The declared columns.
    pub schema: SchemaRef,
    /// The options.
    pub options: DynamoDbOptions,
    clients: Arc<ClientCache>,
    clock: Arc<dyn Clock>,
    key: OnceCell<KeySchema>,
    ttl_attribute: OnceCell<Option<String>>,
}

impl RemoteTable {
    /// Joins the parts; asks nothing.
    ///
    /// # Errors
    /// A declared type that cannot be read.
    pub fn new(
        declaration: &TableDeclaration,
        options: DynamoDbOptions,
        clients: Arc<ClientCache>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let schema = declaration.schema()?;
        let declaration = declaration.clone();
        Ok(Self { declaration, schema, options, clients, clock, key: OnceCell::new(), ttl_attribute: OnceCell::new() })
    }

    /// Name of the DynamoDB table.
    pub fn table_name(&self) -> &str {
        &self.options.table_name
    }

    /// `dynamodb://<endpoint or region>/<table>`.
    pub fn resource(&self) -> String {
        let connection = &self.options.connection;
        let place = connection.endpoint.as_deref().or(connection.region.as_deref()).unwrap_or("aws");
        let place = place.split_once("://").map_or(place, |(_, address)| address).trim_end_matches('/');
        format!("dynamodb://{place}/{}", self.table_name())
    }

    /// The client.
    pub async fn client(&self) -> Client {
        self.clients.client(&self.options.connection).await
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// What a request does, for messages.
    pub fn doing(&self, operation: &str) -> String {
        format!("table \"{}\": {operation} of DynamoDB table {}", self.declaration.name, self.table_name())
    }

    /// Asks for the table's description.
    ///
    /// # Errors
    /// It does not exist, or the backend does not answer.
    pub async fn describe(&self) -> Result<TableDescription, Failure> {
        let client = self.client().await;
        let doing = self.doing("DescribeTable");
        let answer =
            send(&doing, DESCRIBE_RETRIES_MAX, None, || client.describe_table().table_name(self.table_name()).send())
                .await?;
        answer.table.ok_or_else(|| Failure {
            kind: super::client::FailureKind::Final,
            code: String::new(),
            error: Error::unavailable(format!("{doing}: the answer is empty")),
        })
    }

    /// The key, as DescribeTable says; asked once.
    ///
    /// # Errors
    /// As [`Self::describe`].
    pub async fn key(&self) -> Result<&KeySchema> {
        self.key
            .get_or_try_init(|| async {
                let description = self.describe().await.map_err(|failure| match failure.code.as_str() {
                    "ResourceNotFoundException" => Error::not_found(format!(
                        "DynamoDB table {} of table \"{}\" does not exist",
                        self.table_name(),
                        self.declaration.name
                    ))
                    .hint("Create it, or declare the table with 'table.create' = 'if-not-exists'."),
                    _ => failure.error,
                })?;
                KeySchema::of(&description)
            })
            .await
    }

    /// The attribute by which items expire: the declared one, else the table's own; asked once.
    ///
    /// # Errors
    /// The backend does not answer.
    pub async fn ttl_attribute(&self) -> Result<Option<&str>> {
        if let Some(declared) = &self.options.sink_ttl_attribute {
            return Ok(Some(declared));
        }
        let attribute = self
            .ttl_attribute
            .get_or_try_init(|| async {
                let client = self.client().await;
                let answer = send(&self.doing("DescribeTimeToLive"), DESCRIBE_RETRIES_MAX, None, || {
                    client.describe_time_to_live().table_name(self.table_name()).send()
                })
                .await;
                match answer {
                    Ok(answer) => Ok(answer
                        .time_to_live_description
                        .filter(|ttl| {
                            matches!(
                                ttl.time_to_live_status(),
                                Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
                            )
                        })
                        .and_then(|ttl| ttl.attribute_name)),
                    Err(failure) if matches!(failure.code.as_str(), "AccessDeniedException" | "UnknownOperationException") => {
                        tracing::warn!(
                            table = self.declaration.name,
                            error = %failure.error,
                            "cannot ask for the TTL attribute: items past their time are read until DynamoDB deletes them"
                        );
                        Ok(None)
                    }
                    Err(failure) => Err(failure.error),
                }
            })
            .await?;
        Ok(attribute.as_deref())
    }

    /// What to fetch for these columns: their attributes, the key (for messages and matching), the TTL attribute, and the mark
    /// of deleted keys where there can be some.
    ///
    /// # Errors
    /// As [`Self::key`] and [`Self::ttl_attribute`].
    pub async fn projection(&self, columns: &[usize]) -> Result<Projection> {
        let mut attributes: Vec<String> =
            columns.iter().map(|column| self.declaration.columns[*column].name.clone()).collect();
        attributes.extend(self.key().await?.attributes().map(|attribute| attribute.name.clone()));
        attributes.extend(self.ttl_attribute().await?.map(str::to_owned));
        attributes.extend(self.options.version_attribute.is_some().then(|| DELETED_ATTRIBUTE.to_owned()));
        attributes.sort();
        attributes.dedup();
        let names: Vec<_> = (0..attributes.len()).map(|index| format!("#p{index}")).collect();
        Ok(Projection { expression: names.join(", "), names: names.into_iter().zip(attributes).collect() })
    }

    /// Drops the items whose time is over, and those that stand for a deleted key.
    ///
    /// # Errors
    /// As [`Self::ttl_attribute`].
    pub async fn drop_hidden(&self, items: &mut Vec<Item>) -> Result<()> {
        if self.options.version_attribute.is_some() {
            items.retain(|item| !matches!(item.get(DELETED_ATTRIBUTE), Some(AttributeValue::Bool(true))));
        }
        if let Some(attribute) = self.ttl_attribute().await? {
            let now_ms = self.now_ms();
            items.retain(|item| !is_expired(item, attribute, now_ms));
        }
        Ok(())
    }

    /// Items as rows of these columns.
    ///
    /// # Errors
    /// A value that is not of the declared type: names table, attribute and key.
    pub fn decode<'a>(&self, items: &[&'a Item], columns: &[usize]) -> Result<RecordBatch> {
        let schema = Arc::new(self.schema.project(columns)?);
        let mismatch = |row: usize, attribute: &str, message: &str| {
            let key = match (items.get(row), self.key.get()) {
                (Some(item), Some(key)) => key_text(item, key),
                _ => "key unknown".to_owned(),
            };
            Error::row(format!(
                "table \"{}\": attribute \"{attribute}\" of the item with {key}: {message}",
                self.declaration.name
            ))
            .code(SqlState::DataException)
        };
        let arrays = schema
            .fields()
            .iter()
            .map(|field| {
                let cells: Vec<Cell<'a>> =
                    items.iter().enumerate().map(|(row, item)| Cell::new(row, item.get(field.name()))).collect();
                let array = decode_column(field.data_type(), &cells)
                    .map_err(|error| mismatch(error.row, field.name(), &error.message))?;
                if !field.is_nullable()
                    && let Some(row) = (0..array.len()).find(|row| array.is_null(*row))
                {
                    return Err(mismatch(row, field.name(), "there is none, though the column is NOT NULL"));
                }
                Ok(array)
            })
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(items.len()));
        Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
    }

    /// Fetches items by full key, at most 100; what DynamoDB leaves out is asked for again. Items past their time are not in the answer.
    ///
    /// # Errors
    /// The request failed for good.
    pub async fn get_items(
        &self,
        keys: Vec<Item>,
        projection: &Projection,
        consistent: bool,
        metrics: Option<&ConnectorMetrics>,
    ) -> Result<Vec<Item>> {
        let client = self.client().await;
        let doing = self.doing("BatchGetItem");
        let mut found = Vec::with_capacity(keys.len());
        let mut wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(consistent)
            .projection_expression(&projection.expression)
            .set_expression_attribute_names(Some(projection.names.clone()))
            .build()
            .map_err(|error| Error::internal(error.to_string()))?;
        let mut empty_answers = 0;
        loop {
            let answer = send(&doing, self.options.lookup_retries_max, metrics, || {
                client.batch_get_item().request_items(self.table_name(), wanted.clone()).send()
            })
            .await
            .map_err(|failure| failure.error)?;
            let items = answer.responses.and_then(|mut tables| tables.remove(self.table_name())).unwrap_or_default();
            empty_answers = if items.is_empty() { empty_answers + 1 } else { 0 };
            found.extend(items);
            match answer.unprocessed_keys.and_then(|mut tables| tables.remove(self.table_name())) {
                Some(left) if !left.keys().is_empty() => wanted = left,
                _ => break,
            }
            if let Some(metrics) = metrics {
                ConnectorMetrics::add(&metrics.retries, 1);
                if empty_answers > 0 {
                    ConnectorMetrics::add(&metrics.throttled, 1);
                }
            }
            // An answer with items was cut at 16 MB; one without was throttled.
            if empty_answers > 0 {
                tokio::time::sleep(backoff(empty_answers)).await;
            }
        }
        self.drop_hidden(&mut found).await?;
        Ok(found)
    }
}

/// A ProjectionExpression and the names in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    /// `#p0, #p1`
    pub expression: String,
    /// The attribute behind each placeholder.
    pub names: HashMap<String, String>,
}
