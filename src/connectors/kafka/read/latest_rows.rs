//! Bounded reads of tables whose records change rows: the rows that stand after all changes, for which everything is read
//! before the first row goes out. Predicates on values are applied above, on the result: never on the changes.
//!
//! An upsert table keeps the last row of each key, partition by partition (Kafka keeps a key in one partition). A table of
//! change records keeps a multiset of rows, over all partitions together: `-U` and `-D` take back one equal row, also one that
//! comes only later from another partition. That is what a job does with them. Memory grows with the rows that stand: those
//! that were replaced are dropped whenever they are the greater part.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::interleave_record_batch;
use datafusion::arrow::row::{RowConverter, SortField};

use crate::changelog::{ChangeBatch, Changelog};
use crate::connectors::kafka::options::{ColumnSource, KafkaOptions};
use crate::error::Result;

/// Rows that do not stand any more are kept up to this number, and to that of those that stand.
const DEAD_ROWS_MAX: usize = 65_536;

/// What is read and which rows stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LatestRowsPlan {
    /// Declared columns that are read: the wanted ones, then those that are only needed to find equal rows.
    pub projection: Vec<usize>,
    /// How many of them are wanted.
    wanted: usize,
    /// Columns of `projection` that say which rows are the same.
    identity: Vec<usize>,
    is_upsert: bool,
}

impl LatestRowsPlan {
    /// For a read of these columns; `None` where records are rows.
    pub fn of(options: &KafkaOptions, wanted: &[usize]) -> Option<Self> {
        let mut projection = wanted.to_vec();
        let is_stored = |column: &usize| !matches!(options.columns[*column], ColumnSource::Metadata { .. });
        let is_upsert = match options.changelog {
            Changelog::Append => return None,
            Changelog::Upsert => {
                projection.extend(options.key_columns.iter().filter(|column| !wanted.contains(column)));
                true
            }
            Changelog::Retract => {
                // Without any column of the row, one is enough to count rows by.
                if !wanted.iter().any(&is_stored) {
                    projection.extend((0..options.columns.len()).find(is_stored));
                }
                false
            }
        };
        let is_identity =
            |column: &usize| if is_upsert { options.key_columns.contains(column) } else { is_stored(column) };
        let identity = (0..projection.len()).filter(|index| is_identity(&projection[*index])).collect();
        Some(Self { projection, wanted: wanted.len(), identity, is_upsert })
    }
}

/// Where a row is: batch and index within it.
type Place = (usize, usize);

/// What stands of equal rows.
#[derive(Default)]
struct Standing {
    places: Vec<Place>,
    /// Rows taken back that have not come yet.
    owed: usize,
}

/// Takes changes in, gives the rows out that stand.
pub(super) struct LatestRows {
    plan: LatestRowsPlan,
    converter: RowConverter,
    standing: HashMap<Box<[u8]>, Standing>,
    batches: Vec<RecordBatch>,
    rows: usize,
    live: usize,
}

impl LatestRows {
    /// Nothing yet.
    ///
    /// # Errors
    /// A column of a type that rows cannot be compared by.
    pub fn new(options: &KafkaOptions, plan: LatestRowsPlan) -> Result<Self> {
        let fields = plan.identity.iter().map(|index| {
            let field = options.schema.field(plan.projection[*index]);
            SortField::new(field.data_type().clone())
        });
        Ok(Self {
            converter: RowConverter::new(fields.collect())?,
            plan,
            standing: HashMap::new(),
            batches: Vec::new(),
            rows: 0,
            live: 0,
        })
    }

    /// Applies changes.
    ///
    /// # Errors
    /// An internal error: columns of other types.
    pub fn apply(&mut self, changes: &ChangeBatch) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let columns: Vec<_> =
            self.plan.identity.iter().map(|index| Arc::clone(changes.rows().column(*index))).collect();
        let identities = self.converter.convert_columns(&columns)?;
        let batch = self.batches.len();
        for row in 0..changes.len() {
            let identity = identities.row(row);
            let identity: &[u8] = identity.as_ref();
            let is_retraction = changes.kind(row).is_retraction();
            if self.plan.is_upsert {
                self.upsert(identity, (!is_retraction).then_some((batch, row)));
            } else if is_retraction {
                self.take_back(identity);
            } else {
                self.add(identity, (batch, row));
            }
        }
        self.batches.push(changes.rows().clone());
        self.rows += changes.len();
        if self.rows - self.live > self.live.max(DEAD_ROWS_MAX) {
            self.compact()?;
        }
        Ok(())
    }

    fn upsert(&mut self, key: &[u8], place: Option<Place>) {
        let Some(place) = place else {
            self.live -= usize::from(self.standing.remove(key).is_some());
            return;
        };
        match self.standing.get_mut(key) {
            Some(standing) => standing.places[0] = place,
            None => {
                self.standing.insert(key.into(), Standing { places: vec![place], owed: 0 });
                self.live += 1;
            }
        }
    }

    fn add(&mut self, row: &[u8], place: Place) {
        match self.standing.get_mut(row) {
            Some(standing) if standing.owed > 0 => {
                standing.owed -= 1;
                if standing.owed == 0 {
                    self.standing.remove(row);
                }
                return;
            }
            Some(standing) => standing.places.push(place),
            None => {
                self.standing.insert(row.into(), Standing { places: vec![place], owed: 0 });
            }
        }
        self.live += 1;
    }

    fn take_back(&mut self, row: &[u8]) {
        match self.standing.get_mut(row) {
            Some(standing) if !standing.places.is_empty() => {
                standing.places.pop();
                self.live -= 1;
                if standing.places.is_empty() {
                    self.standing.remove(row);
                }
            }
            Some(standing) => standing.owed += 1,
            None => {
                self.standing.insert(row.into(), Standing { places: Vec::new(), owed: 1 });
            }
        }
    }

    /// Copies the rows that stand into one batch and lets go of all others.
    fn compact(&mut self) -> Result<()> {
        let mut places = Vec::with_capacity(self.live);
        for place in self.standing.values_mut().flat_map(|standing| &mut standing.places) {
            places.push(std::mem::replace(place, (0, places.len())));
        }
        self.batches = if places.is_empty() { Vec::new() } else { vec![self.gather(&places)?] };
        self.rows = self.live;
        Ok(())
    }

    fn gather(&self, places: &[Place]) -> Result<RecordBatch> {
        let batches: Vec<_> = self.batches.iter().collect();
        Ok(interleave_record_batch(&batches, places)?)
    }

    /// Changes so far that take back a row which did not come: a delete that has the key only, as Debezium writes it by default.
    pub fn unmatched(&self) -> usize {
        self.standing.values().map(|standing| standing.owed).sum()
    }

    /// The rows that stand, in the order in which they came, at most `limit` of them, in batches of `batch_rows`.
    ///
    /// # Errors
    /// An internal error.
    pub fn finish(self, batch_rows: usize, limit: Option<usize>) -> Result<Vec<RecordBatch>> {
        let mut places: Vec<Place> =
            self.standing.values().flat_map(|standing| standing.places.iter().copied()).collect();
        places.sort_unstable();
        places.truncate(limit.unwrap_or(usize::MAX));
        let wanted: Vec<usize> = (0..self.plan.wanted).collect();
        places.chunks(batch_rows.max(1)).map(|places| Ok(self.gather(places)?.project(&wanted)?)).collect()
    }
}
