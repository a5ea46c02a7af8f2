//! The options of a Kafka table, and which part of a record gives each column. Makes no request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::compute::can_cast_types;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, SchemaRef, TimeUnit};

use super::client;
use super::range::{Bounded, Startup, take_bounded, take_startup};
use crate::changelog::Changelog;
use crate::connectors::declaration::{ColumnKind, TableDeclaration};
use crate::connectors::defaults::ConnectorDefaults;
use crate::error::{Error, Result, SqlState};
use crate::formats::{self, Format};
use crate::options::{OptionReader, list, list_of, normal};

/// `transaction.timeout.ms` unless the table says otherwise: what a dead job's transaction may hold readers back.
const TRANSACTION_TIMEOUT_MS: u64 = 60_000;

/// Which partition a record goes to (`sink.partitioner`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioner {
    /// By the key's hash, as the Java client; without a key, any.
    Default,
    /// One writer, one partition.
    Fixed,
    /// One after the other.
    RoundRobin,
}

/// How CREATE TABLE makes topics that are not there (`topic.create`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicCreation {
    /// `topic.create.partitions`; absent: the cluster's default.
    pub partitions: Option<i32>,
}

/// How a job writes in transactions (`sink.delivery-guarantee` = exactly-once).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionOptions {
    /// `sink.transactional-id-prefix`: the job's id follows it.
    pub transactional_id_prefix: String,
    /// `properties.transaction.timeout.ms`.
    pub timeout: Duration,
}

/// Parts of a record beside key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's own names")]
pub enum Metadata {
    Topic,
    Partition,
    Offset,
    Timestamp,
    TimestampType,
    Headers,
    LeaderEpoch,
}

impl Metadata {
    fn parse(key: &str) -> Result<Self> {
        Ok(match key {
            "topic" => Self::Topic,
            "partition" => Self::Partition,
            "offset" => Self::Offset,
            "timestamp" => Self::Timestamp,
            "timestamp-type" => Self::TimestampType,
            "headers" => Self::Headers,
            "leader-epoch" => Self::LeaderEpoch,
            "header-list" => {
                return Err(Error::unsupported("metadata key \"header-list\" is not supported yet")
                    .hint("\"headers\" gives them as a MAP."));
            }
            _ if key.starts_with("value.") => {
                return Err(Error::unsupported(format!("metadata key \"{key}\" of the format is not supported yet")));
            }
            _ => {
                return Err(Error::invalid(format!("connector \"kafka\" has no metadata key \"{key}\""))
                    .hint("Known keys: topic, partition, offset, timestamp, timestamp-type, headers, leader-epoch."));
            }
        })
    }

    /// The type that it has by itself; `Headers` are built in the declared type.
    pub(super) fn own_type(self) -> Option<DataType> {
        Some(match self {
            Self::Topic | Self::TimestampType => DataType::Utf8,
            Self::Partition | Self::LeaderEpoch => DataType::Int32,
            Self::Offset => DataType::Int64,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Self::Headers => return None,
        })
    }
}

/// The part of a record that gives a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnSource {
    /// Field of the value, by index into `value_fields`.
    Value(usize),
    /// Field of the key, by index into `key_fields`.
    Key(usize),
    /// Neither.
    Metadata {
        /// Which.
        metadata: Metadata,
        /// Read only.
        is_virtual: bool,
    },
}

/// A Kafka table, resolved.
pub struct KafkaOptions {
    /// The declared table's name.
    pub table: String,
    /// Topics to read; exactly one can be written.
    pub topics: Vec<String>,
    /// `bootstrap.servers`.
    pub bootstrap_servers: String,
    /// Whether the table lives in the embedded broker.
    pub is_embedded: bool,
    /// Consumer group whose offsets reading may begin or end with, and under which the table's jobs show their progress if it names one.
    pub group_id: String,
    /// Whether the table names the group.
    pub names_group: bool,
    /// librdkafka's properties.
    pub properties: BTreeMap<String, String>,
    /// `scan.startup.mode`.
    pub startup: Startup,
    /// `scan.bounded.mode`.
    pub bounded: Bounded,
    /// How often new partitions are looked for; absent: never.
    pub discovery_interval: Option<Duration>,
    /// Present with `'topic.create' = 'if-not-exists'`.
    pub topic_creation: Option<TopicCreation>,
    /// `sink.partitioner`.
    pub partitioner: Partitioner,
    /// Present with exactly-once.
    pub transaction: Option<TransactionOptions>,
    /// The declared schema.
    pub schema: SchemaRef,
    /// For each declared column, where it is in a record.
    pub columns: Vec<ColumnSource>,
    /// The value's format.
    pub value_format: Arc<dyn Format>,
    /// The value's fields.
    pub value_fields: Fields,
    /// For each field of the value, its column.
    pub value_columns: Vec<usize>,
    /// The key's format, if the key is used.
    pub key_format: Option<Arc<dyn Format>>,
    /// The key's fields (named without `key.fields-prefix`).
    pub key_fields: Fields,
    /// For each field of the key, its column.
    pub key_columns: Vec<usize>,
    /// What the records mean: rows, changes of rows, or the last row of each key.
    pub changelog: Changelog,
    /// `sink.buffer-flush.*`: of the rows that are written together only the last of each key is sent.
    pub keeps_last_of_key: bool,
}

impl KafkaOptions {
    /// Takes the options of a table of connector `kafka`.
    ///
    /// # Errors
    /// An option is missing, malformed or not supported.
    pub fn take(options: &mut OptionReader, table: &TableDeclaration, defaults: &ConnectorDefaults) -> Result<Self> {
        let mut read = Self::take_common(options, table, defaults, take_startup)?;
        read.partitioner = take_partitioner(options)?;
        read.value_format = formats::take(options, Some("format"), "value.")?
            .ok_or_else(|| Error::invalid("option \"format\" is required").hint("Add 'format' = 'json' to WITH."))?;
        read.key_format = formats::take(options, None, "key.")?;
        let key_names = list(&options.take("key.fields").unwrap_or_default());
        if read.key_format.is_some() == key_names.is_empty() {
            return Err(Error::invalid("options \"key.format\" and \"key.fields\" need each other"));
        }
        if let Some(format) = &read.key_format {
            check_holds_rows(format, "key.format")?;
        }
        read.changelog = read.value_format.changelog();
        let fields = ValueFields::take(options)?;
        read.lay_out(table, &key_names, &fields, "option \"key.fields\"")?;
        Ok(read)
    }

    /// Takes the options of a table of connector `upsert-kafka`: the key is the primary key, and reading begins at the
    /// earliest record, since the last row of every key is wanted.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn take_upsert(
        options: &mut OptionReader,
        table: &TableDeclaration,
        defaults: &ConnectorDefaults,
    ) -> Result<Self> {
        if table.primary_key.is_empty() {
            return Err(Error::invalid(format!(
                "table \"{}\" needs a PRIMARY KEY: it is the records' key",
                table.name
            ))
            .hint("Add PRIMARY KEY (…) NOT ENFORCED to the columns."));
        }
        if options.take("scan.startup.mode").is_some() {
            return Err(Error::invalid(
                "connector \"upsert-kafka\" has no option \"scan.startup.mode\": it reads from the earliest record, else keys were missing",
            ));
        }
        let mut read = Self::take_common(options, table, defaults, |_, _| Ok(Startup::Earliest))?;
        let required = |name: &str| {
            Error::invalid(format!("option \"{name}\" is required")).hint(format!("Add '{name}' = 'json' to WITH."))
        };
        read.value_format = formats::take(options, None, "value.")?.ok_or_else(|| required("value.format"))?;
        let key_format = formats::take(options, None, "key.")?.ok_or_else(|| required("key.format"))?;
        check_holds_rows(&key_format, "key.format")?;
        check_holds_rows(&read.value_format, "value.format")?;
        read.key_format = Some(key_format);
        read.changelog = Changelog::Upsert;
        read.keeps_last_of_key = take_buffer_flush(options)?;
        let fields = ValueFields::take(options)?;
        read.lay_out(table, &table.primary_key, &fields, "PRIMARY KEY")?;
        Ok(read)
    }

    /// What both connectors have, in front of formats and columns.
    fn take_common(
        options: &mut OptionReader,
        table: &TableDeclaration,
        defaults: &ConnectorDefaults,
        take_startup: impl FnOnce(&mut OptionReader, Option<&str>) -> Result<Startup>,
    ) -> Result<Self> {
        let topics = match (options.take("topic"), options.take("topic-pattern")) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid("options \"topic\" and \"topic-pattern\" exclude each other"));
            }
            (None, Some(_)) => {
                return Err(Error::unsupported("option \"topic-pattern\" is not supported yet")
                    .hint("List the topics: 'topic' = 'a;b'."));
            }
            (topic, None) => list(topic.as_deref().unwrap_or_default()),
        };
        if topics.is_empty() {
            return Err(Error::invalid("option \"topic\" is required").hint("Add 'topic' = '…' to WITH."));
        }
        let topics: Vec<String> = topics.into_iter().collect::<BTreeSet<_>>().into_iter().collect();

        let given_servers = options.take_non_blank("properties.bootstrap.servers");
        let given_group = options.take_non_blank("properties.group.id");
        let names_group = given_group.is_some();
        let group_id = given_group.unwrap_or_else(|| format!("KafkaSource-{}", table.name));
        let reset = options.take("properties.auto.offset.reset");
        let mut given_properties = client::translate(options.take_prefix("properties."))?;
        let transaction = take_transaction(options, given_properties.remove("transaction.timeout.ms"))?;
        let (bootstrap_servers, mut properties, is_embedded) = match given_servers {
            Some(servers) => {
                defaults.places.check_servers("option \"properties.bootstrap.servers\"", &servers)?;
                (servers, BTreeMap::new(), false)
            }
            None => {
                let servers = defaults.kafka_bootstrap_servers.clone().ok_or_else(|| {
                    Error::invalid(
                        "option \"properties.bootstrap.servers\" is required: the server has no default Kafka",
                    )
                })?;
                // The operator's own properties may name files.
                (servers, defaults.kafka_properties.clone(), defaults.kafka_is_embedded)
            }
        };
        properties.extend(given_properties);

        let topic_creation = take_topic_creation(options)?;
        let startup = take_startup(options, reset.as_deref())?;
        let bounded = take_bounded(options)?;
        let discovery_interval =
            options.take_duration("scan.topic-partition-discovery.interval")?.unwrap_or(Duration::from_secs(300));
        options.refuse(&[("error-handling.mode", "off"), ("scan.parallelism", ""), ("sink.parallelism", "")])?;

        Ok(Self {
            table: table.name.clone(),
            topics,
            bootstrap_servers,
            is_embedded,
            group_id,
            names_group,
            properties,
            startup,
            bounded,
            discovery_interval: Some(discovery_interval).filter(|interval| !interval.is_zero()),
            topic_creation,
            partitioner: Partitioner::Default,
            transaction,
            columns: Vec::new(),
            value_format: formats::open("json", "", &mut OptionReader::default())?,
            value_fields: Fields::empty(),
            value_columns: Vec::new(),
            key_format: None,
            key_fields: Fields::empty(),
            key_columns: Vec::new(),
            changelog: Changelog::Append,
            keeps_last_of_key: false,
            schema: table.schema()?,
        })
    }

    /// Sorts the declared columns into key, value and metadata.
    fn lay_out(
        &mut self,
        table: &TableDeclaration,
        key_names: &[String],
        fields: &ValueFields,
        clause: &str,
    ) -> Result<()> {
        let ValueFields { key_prefix: prefix, is_except_key } = fields;
        // The key of an upsert table is always that of the record: a tombstone has no other.
        let is_upsert = self.changelog == Changelog::Upsert;
        let mut key_fields: Vec<FieldRef> = Vec::new();
        for name in key_names {
            let index = table.column_index(name).ok_or_else(|| {
                Error::invalid(format!("{clause}: table \"{}\" has no column \"{name}\"", table.name))
                    .code(SqlState::UndefinedColumn)
            })?;
            if table.columns[index].kind != ColumnKind::Physical {
                return Err(Error::invalid(format!("{clause}: column \"{name}\" is not stored")));
            }
            let field = self.schema.field(index);
            let bare = field
                .name()
                .strip_prefix(prefix.as_str())
                .ok_or_else(|| Error::invalid(format!("{clause}: column \"{name}\" does not begin with '{prefix}'")))?;
            key_fields.push(Arc::new(Field::new(bare, field.data_type().clone(), field.is_nullable())));
            self.key_columns.push(index);
        }
        let mut value_fields: Vec<FieldRef> = Vec::new();
        for (index, column) in table.columns.iter().enumerate() {
            let field = &self.schema.fields()[index];
            let source = match &column.kind {
                ColumnKind::Metadata { key, is_virtual } => {
                    let metadata = Metadata::parse(key)?;
                    check_metadata_type(metadata, field)?;
                    ColumnSource::Metadata { metadata, is_virtual: *is_virtual }
                }
                ColumnKind::Physical => {
                    let key = self.key_columns.iter().position(|key| *key == index);
                    if key.is_none() || !is_except_key {
                        // What the key gives may be missing in the value.
                        let is_nullable = field.is_nullable() || (is_upsert && key.is_some());
                        value_fields.push(Arc::new(field.as_ref().clone().with_nullable(is_nullable)));
                        self.value_columns.push(index);
                    }
                    match key {
                        Some(position) if *is_except_key || is_upsert => ColumnSource::Key(position),
                        _ => ColumnSource::Value(value_fields.len() - 1),
                    }
                }
            };
            self.columns.push(source);
        }
        self.key_fields = key_fields.into();
        self.value_fields = value_fields.into();
        // Types that the formats cannot hold are an error of CREATE.
        self.value_format.decoder(&self.value_fields, &[])?;
        if let Some(format) = &self.key_format {
            format.decoder(&self.key_fields, &[])?;
        }
        Ok(())
    }

    /// `kafka://host:9092/topic`: the same for every declaration of the topic.
    pub fn resource(&self, topic: &str) -> String {
        format!("{}/{topic}", self.cluster())
    }

    /// Names the cluster: `kafka://host:9092`.
    pub fn cluster(&self) -> String {
        let mut servers = list_of(&self.bootstrap_servers, ',');
        servers.sort_unstable();
        format!("kafka://{}", servers.join(","))
    }
}

/// The delivery guarantee and what belongs to it.
fn take_transaction(options: &mut OptionReader, timeout_ms: Option<String>) -> Result<Option<TransactionOptions>> {
    let guarantee = options.take_alias(&["sink.delivery-guarantee", "sink.semantic"])?.map(|value| normal(&value));
    let prefix = options.take_non_blank("sink.transactional-id-prefix");
    match options.take("sink.transaction-naming-strategy").map(|value| normal(&value)).as_deref() {
        // A job has one id, which it keeps, so there is nothing to choose.
        None | Some("" | "default" | "incrementing" | "pooling") => {}
        Some(other) => {
            return Err(Error::invalid(format!("option \"sink.transaction-naming-strategy\" cannot be '{other}'"))
                .hint("Known values: DEFAULT, INCREMENTING, POOLING."));
        }
    }
    let timeout_ms = match &timeout_ms {
        None => TRANSACTION_TIMEOUT_MS,
        Some(text) => text.trim().parse().ok().filter(|ms| (1000..=i32::MAX as u64).contains(ms)).ok_or_else(|| {
            Error::invalid(format!("option \"properties.transaction.timeout.ms\" cannot be '{text}'"))
                .hint("It is a number of milliseconds, from 1000 on.")
        })?,
    };
    match guarantee.as_deref() {
        // `none` gets more than it asks for.
        None | Some("at-least-once" | "none") => Ok(None),
        Some("exactly-once") => Ok(Some(TransactionOptions {
            transactional_id_prefix: prefix.unwrap_or_else(|| "streamgate".to_owned()),
            timeout: Duration::from_millis(timeout_ms),
        })),
        Some(other) => Err(Error::invalid(format!("option \"sink.delivery-guarantee\" cannot be '{other}'"))
            .hint("Known values: none, at-least-once, exactly-once.")),
    }
}

/// Which columns the value holds, and how those of the key are named in it.
struct ValueFields {
    key_prefix: String,
    is_except_key: bool,
}

impl ValueFields {
    fn take(options: &mut OptionReader) -> Result<Self> {
        let key_prefix = options.take("key.fields-prefix").unwrap_or_default();
        let is_except_key = match options.take("value.fields-include").map(|value| normal(&value)).as_deref() {
            None | Some("all") => false,
            Some("except-key") => true,
            Some(other) => {
                return Err(Error::invalid(format!("option \"value.fields-include\" cannot be '{other}'"))
                    .hint("Known values: ALL, EXCEPT_KEY."));
            }
        };
        if !key_prefix.is_empty() && !is_except_key {
            return Err(Error::invalid(
                "option \"key.fields-prefix\" needs 'value.fields-include' = 'EXCEPT_KEY': the value would hold the key's columns twice",
            ));
        }
        Ok(Self { key_prefix, is_except_key })
    }
}

fn take_topic_creation(options: &mut OptionReader) -> Result<Option<TopicCreation>> {
    let partitions: Option<i32> = options.take_parsed("topic.create.partitions")?;
    let creates = match options.take("topic.create").map(|value| normal(&value)).as_deref() {
        None | Some("never") => false,
        Some("if-not-exists") => true,
        Some(other) => {
            return Err(Error::invalid(format!("option \"topic.create\" cannot be '{other}'"))
                .hint("Known values: never, if-not-exists."));
        }
    };
    match partitions {
        Some(_) if !creates => {
            Err(Error::invalid("option \"topic.create.partitions\" needs 'topic.create' = 'if-not-exists'"))
        }
        Some(partitions) if partitions < 1 => {
            Err(Error::invalid(format!("option \"topic.create.partitions\" must be at least 1, not {partitions}")))
        }
        _ => Ok(creates.then_some(TopicCreation { partitions })),
    }
}

fn take_partitioner(options: &mut OptionReader) -> Result<Partitioner> {
    Ok(match options.take("sink.partitioner").map(|value| normal(&value)).as_deref() {
        None | Some("" | "default") => Partitioner::Default,
        Some("fixed") => Partitioner::Fixed,
        Some("round-robin") => Partitioner::RoundRobin,
        Some(other) => {
            return Err(Error::unsupported(format!("option \"sink.partitioner\" = '{other}' is not supported"))
                .hint("Known values: default, fixed, round-robin."));
        }
    })
}

/// Both bounds must be above 0, as in Flink. Nothing is held back for them: rows that come together are sent together.
fn take_buffer_flush(options: &mut OptionReader) -> Result<bool> {
    let rows_max: u64 = options.take_or("sink.buffer-flush.max-rows", 0)?;
    let interval = options.take_duration("sink.buffer-flush.interval")?.unwrap_or_default();
    if (rows_max > 0) != (interval > Duration::ZERO) {
        return Err(Error::invalid(
            "options \"sink.buffer-flush.max-rows\" and \"sink.buffer-flush.interval\" must both be greater than 0, or neither",
        ));
    }
    Ok(rows_max > 0)
}

/// Keys, and values under a key, are rows: a format of changes has no place there.
fn check_holds_rows(format: &Arc<dyn Format>, option: &str) -> Result<()> {
    if format.changelog() == Changelog::Append {
        return Ok(());
    }
    Err(Error::invalid(format!("option \"{option}\" cannot be '{}': it holds changes, not rows", format.name()))
        .hint("Read a topic of change records with connector \"kafka\" and 'format'."))
}

fn check_metadata_type(metadata: Metadata, field: &Field) -> Result<()> {
    let declared = field.data_type();
    let fits = match metadata.own_type() {
        Some(own) => match metadata {
            Metadata::Timestamp => matches!(declared, DataType::Timestamp(..)),
            Metadata::Topic | Metadata::TimestampType => declared == &DataType::Utf8,
            _ => declared.is_integer() && can_cast_types(&own, declared),
        },
        None => match declared {
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(pair) => {
                    pair[0].data_type() == &DataType::Utf8 && pair[1].data_type() == &DataType::Binary
                }
                _ => false,
            },
            _ => false,
        },
    };
    if fits {
        return Ok(());
    }
    let wanted = match metadata {
        Metadata::Topic | Metadata::TimestampType => "STRING",
        Metadata::Partition | Metadata::LeaderEpoch => "INT",
        Metadata::Offset => "BIGINT",
        Metadata::Timestamp => "TIMESTAMP_LTZ(3)",
        Metadata::Headers => "MAP<STRING, BYTES>",
    };
    Err(Error::invalid(format!("column \"{}\" must have type {wanted}: it is metadata of a record", field.name())))
}
