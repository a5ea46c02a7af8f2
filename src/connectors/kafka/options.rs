//! The options of a Kafka table, and which part of a record gives each column. Makes no request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::compute::can_cast_types;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, SchemaRef, TimeUnit};

use super::client;
use super::range::{BOUNDED, Bounded, STARTUP, Startup, take_bounded, take_startup};
use super::writing::{
    BUFFER_FLUSH, PARTITIONING, Partitioner, TopicCreation, TransactionOptions, WRITING, refuse_others,
    take_buffer_flush, take_partitioner, take_topic_creation, take_transaction,
};
use crate::changelog::Changelog;
use crate::connectors::declaration::{ColumnKind, TableDeclaration};
use crate::connectors::defaults::ConnectorDefaults;
use crate::error::{Error, Result, SqlState};
use crate::formats::{self, Format};
use crate::options::OptionKind::{Duration as Time, Format as FormatName, List, Text};
use crate::options::{OptionEntry, OptionGroups, OptionReader, list, list_of, option_entries};

option_entries! {
    /// Of both connectors.
    COMMON:
    TOPIC = OptionEntry::new("topic", List, "The topics. A table of several can be read only.").required();
    TOPIC_PATTERN = OptionEntry::refused("topic-pattern", "A regular expression that topics match.");
    SERVERS = OptionEntry::new("properties.bootstrap.servers", Text,
        "Addresses of the cluster, `host:port`, with commas between.").or_else("the server's");
    GROUP_ID = OptionEntry::new("properties.group.id", Text,
        "The group whose offsets reading may begin or end with, and under which the table's jobs show how far they are.")
        .or_else("`KafkaSource-` and the table's name, which shows nothing");
    OFFSET_RESET = OptionEntry::choice("properties.auto.offset.reset", &["earliest", "latest", "none"],
        "Where reading begins in a partition without an offset of the group. `none` means `earliest`.").or("earliest");
    JAAS = OptionEntry::new("properties.sasl.jaas.config", Text,
        "User and password as the Java client takes them, with PlainLoginModule or ScramLoginModule.").secret();
    SASL_PASSWORD = OptionEntry::new("properties.sasl.password", Text,
        "The password of `properties.sasl.username`.").secret();
    KEY_PASSWORD = OptionEntry::new("properties.ssl.key.password", Text,
        "The password of the client's key.").secret();
    KEY_PEM = OptionEntry::new("properties.ssl.key.pem", Text,
        "The client's key, as text.").secret();
    KEYSTORE_KEY = OptionEntry::new("properties.ssl.keystore.key", Text,
        "The Java client's name of `properties.ssl.key.pem`.").secret();
    KEYSTORE_PASSWORD = OptionEntry::refused("properties.ssl.keystore.password",
        "The password of a file on the server.").secret();
    TRUSTSTORE_PASSWORD = OptionEntry::refused("properties.ssl.truststore.password",
        "The password of a file on the server.").secret();
    OAUTH_SECRET = OptionEntry::refused("properties.sasl.oauthbearer.client.secret",
        "The secret of a client of OAuth.").secret();
    PROPERTIES = OptionEntry::new("properties.*", Text,
        "Any other property of the client, by librdkafka's name or the Java client's. One without an equivalent, or that \
         would make the server use its own files or programs, is refused.");
    DISCOVERY = OptionEntry::new("scan.topic-partition-discovery.interval", Time,
        "How often a job looks for new partitions; 0: never.").or("5 min");
    ERROR_HANDLING = OptionEntry::refused("error-handling.mode",
        "What happens to bad records: the format's options say it, and the setting of the same name.").or("off");
    SCAN_PARALLELISM = OptionEntry::refused("scan.parallelism", "Number of readers; each partition has one.");
    KEY_PREFIX = OptionEntry::new("key.fields-prefix", Text,
        "What the names of the key's columns begin with in the table and not in the record. Needs `EXCEPT_KEY`.");
    FIELDS_INCLUDE = OptionEntry::choice("value.fields-include", &["ALL", "EXCEPT_KEY"],
        "Whether the value holds the key's columns, too.").or("ALL");
}

option_entries! {
    /// Of key and value of `kafka`.
    OF_ROWS:
    FORMAT = OptionEntry::new("format", FormatName,
        "The value's format, whose options stand behind its name: `json.ignore-parse-errors`.")
        .or_else("required, or `value.format`");
    VALUE_FORMAT = OptionEntry::new("value.format", FormatName,
        "The same, whose options stand behind `value.`: `value.json.ignore-parse-errors`.")
        .or_else("required, or `format`");
    KEY_FORMAT = OptionEntry::new("key.format", FormatName,
        "The key's format, whose options stand behind `key.`. Needs `key.fields`.");
    KEY_FIELDS = OptionEntry::new("key.fields", List, "The columns that the key holds. Needs `key.format`.");
}

option_entries! {
    /// Of key and value of `upsert-kafka`.
    OF_KEYS:
    UPSERT_STARTUP = OptionEntry::refused("scan.startup.mode",
        "Reading begins at the earliest record, as keys would be missing otherwise.");
    UPSERT_VALUE_FORMAT = OptionEntry::new("value.format", FormatName,
        "The value's format, whose options stand behind `value.`: `value.json.ignore-parse-errors`.").required();
    UPSERT_KEY_FORMAT = OptionEntry::new("key.format", FormatName,
        "The key's format, whose options stand behind `key.`. The key is the primary key.").required();
}

/// All options of connector `kafka`.
pub const OPTIONS: OptionGroups = &[COMMON, OF_ROWS, STARTUP, BOUNDED, WRITING, PARTITIONING];

/// All options of connector `upsert-kafka`.
pub const UPSERT_OPTIONS: OptionGroups = &[COMMON, OF_KEYS, BOUNDED, WRITING, BUFFER_FLUSH];

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
        read.value_format = formats::take(options, Some(&FORMAT), &VALUE_FORMAT, "value.")?
            .ok_or_else(|| Error::invalid("option \"format\" is required").hint("Add 'format' = 'json' to WITH."))?;
        read.key_format = formats::take(options, None, &KEY_FORMAT, "key.")?;
        let key_names = list(&options.take(&KEY_FIELDS).unwrap_or_default());
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
        if options.take(&UPSERT_STARTUP).is_some() {
            return Err(Error::invalid(
                "connector \"upsert-kafka\" has no option \"scan.startup.mode\": it reads from the earliest record, else keys were missing",
            ));
        }
        let mut read = Self::take_common(options, table, defaults, |_, _| Ok(Startup::Earliest))?;
        let required = |option: &OptionEntry| {
            let name = option.name;
            Error::invalid(format!("option \"{name}\" is required")).hint(format!("Add '{name}' = 'json' to WITH."))
        };
        read.value_format = formats::take(options, None, &UPSERT_VALUE_FORMAT, "value.")?
            .ok_or_else(|| required(&UPSERT_VALUE_FORMAT))?;
        let key_format =
            formats::take(options, None, &UPSERT_KEY_FORMAT, "key.")?.ok_or_else(|| required(&UPSERT_KEY_FORMAT))?;
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
        take_startup: impl FnOnce(&mut OptionReader, &str) -> Result<Startup>,
    ) -> Result<Self> {
        let topics = match (options.take(&TOPIC), options.take(&TOPIC_PATTERN)) {
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

        let given_servers = options.take_non_blank(&SERVERS);
        let given_group = options.take_non_blank(&GROUP_ID);
        let names_group = given_group.is_some();
        let group_id = given_group.unwrap_or_else(|| format!("KafkaSource-{}", table.name));
        let reset = options.take_choice_or(&OFFSET_RESET)?;
        let mut given_properties = client::translate(options.take_all(&PROPERTIES))?;
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
        let startup = take_startup(options, reset)?;
        let bounded = take_bounded(options)?;
        let discovery_interval = options.take_duration_or(&DISCOVERY)?;
        options.refuse(&[&ERROR_HANDLING, &SCAN_PARALLELISM])?;
        refuse_others(options)?;

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

/// Which columns the value holds, and how those of the key are named in it.
struct ValueFields {
    key_prefix: String,
    is_except_key: bool,
}

impl ValueFields {
    fn take(options: &mut OptionReader) -> Result<Self> {
        let key_prefix = options.take(&KEY_PREFIX).unwrap_or_default();
        let is_except_key = options.take_choice_or(&FIELDS_INCLUDE)? == "EXCEPT_KEY";
        if !key_prefix.is_empty() && !is_except_key {
            return Err(Error::invalid(
                "option \"key.fields-prefix\" needs 'value.fields-include' = 'EXCEPT_KEY': the value would hold the key's columns twice",
            ));
        }
        Ok(Self { key_prefix, is_except_key })
    }
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
