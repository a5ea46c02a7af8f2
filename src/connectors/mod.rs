//! Outside systems that tables live in: what a connector is (`connector`), what a table can do (`source`, `scan`, `lookup`, `sink`),
//! and the `registry`. Knows options, bytes and positions; knows nothing of SQL statements, jobs or operators.
//! Others use what is named here; files of this folder use each other's files, so that none is in a circle.

pub mod bad_rows;
pub mod blackhole;
mod connector;
pub mod datagen;
pub mod declaration;
mod defaults;
pub mod dynamodb;
pub mod enumerator;
pub mod kafka;
#[cfg(test)]
pub mod letters;
pub mod local;
pub mod log_identity;
mod lookup;
pub mod lookup_cache;
mod metrics;
pub mod position;
pub mod print;
mod registry;
mod scan;
mod sink;
pub mod sink_constraints;
pub mod skipped_records;
mod source;
mod split;
pub mod statement_counts;
pub mod table_provider;
mod transactions;
pub mod upsert_kafka;

pub use bad_rows::{BadRows, LeftOut};
pub use connector::{Advice, Connector, Table};
pub use declaration::{
    ColumnDeclaration, ColumnKind, LocalDeclaration, TableDeclaration, UniqueDeclaration, short_table_name,
};
pub use defaults::ConnectorDefaults;
pub use enumerator::{Awaited, Discovery, FixedSplits, FoundSplit, Restored, SplitEnumerator};
pub use log_identity::{Continuity, LogIdentity, SplitLog};
pub use lookup::{Lookup, LookupRequest, LookupResponse};
pub use metrics::{ConnectorMetrics, Trouble};
pub use position::{Position, SequenceNumber};
pub use registry::{CONNECTOR_NAMES, Registry, is_secret_option};
pub use scan::{Scan, ScanPartition, ScanPlan, ScanRequest};
pub use sink::{FailureTeller, Sink, SinkContext, SinkKind, SinkWriter};
pub use sink_constraints::{LengthEnforcer, SinkConstraints};
pub use skipped_records::{RowOffsets, SkippedRecords};
pub use source::{Source, SourceBatch, SplitReader, SplitRequest, ToldAs};
pub use split::{Split, Start};
pub use statement_counts::StatementCounts;
pub use transactions::{Decision, Transactional, Transactions};
