//! GROUP BY: keeps aggregates for each key and gives out how they change. [`Operator::process`] only folds; [`Operator::flush`]
//! gives each touched group out once, in parts. Nothing is kept of what was given out: at the first touch after a flush the
//! group still holds it, and is evaluated then.
//!
//! Groups have numbers; all state is in columns over them ([`accumulator`]). A group that is gone keeps its number until the
//! next snapshot has told the checkpoint.

mod accumulator;
mod counted_values;
mod counting;
mod distinct;
mod exact_float;
mod extremes;
mod float_sums;
mod lists;
mod make;
mod output;
mod retracted_extremes;
pub mod spec;
mod spill;
mod state;
mod sums;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, new_null_array};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;

use self::accumulator::{Accumulator, Fold, SKIPPED, ValueStore};
use super::{Emitted, FLUSHED_KEYS_MAX, Operator, OperatorContext};
use crate::changelog::{ChangeBatch, Changelog};
use crate::clock::Clock;
use crate::connectors::bad_rows::row_text;
use crate::connectors::{BadRows, ConnectorMetrics};
use crate::engine::aggregate::GroupAggregateSpec;
use crate::engine::metrics::NodeMetrics;
use crate::engine::state::encoded::{Codec, EncodedRows};
use crate::engine::state::key_table::KeyTable;
use crate::engine::state::{Spill, Spillable, Spilling, StateSize, TableDelta};
use crate::error::{Error, ErrorKind, Result};
use make::accumulator;

/// The group was in the output at the last flush.
const EMITTED: u8 = 1;
/// It was touched since the last flush.
const DIRTY: u8 = 2;
/// It was touched since the last snapshot.
const CHANGED: u8 = 4;
/// Its row is in the checkpoint; only heeded while state is restored.
const RESTORED: u8 = 8;
/// It is the one group over all rows, and had a row once.
const GLOBAL: u8 = 16;
/// It was touched since the search for cold groups came by.
const REFERENCED: u8 = 32;
/// Its row was deleted by what was restored so far; only while state is restored.
const GONE: u8 = 64;

/// See the module.
pub struct GroupAggregate {
    spec: GroupAggregateSpec,
    input: Vec<DataType>,
    schema: SchemaRef,
    codec: Codec,
    group_codec: Codec,
    key_rows: EncodedRows,
    keys: KeyTable,
    aggregates: Vec<Aggregate>,
    /// Input rows of each group that were not taken back.
    rows: Vec<i64>,
    versions: Vec<i64>,
    /// When a row touched the group last; only with a time to live.
    touched_ms: Vec<i64>,
    flags: Vec<u8>,
    /// Groups touched since the last flush, in order.
    dirty: Vec<u32>,
    /// How many of those the flush that is under way has given out.
    given_out: usize,
    /// What the others were before, if that must be known.
    before: VecDeque<Before>,
    before_bytes: u64,
    /// Groups touched since the last snapshot.
    changed: Vec<u32>,
    /// Number of the next row in the order of arrival.
    sequence: u64,
    /// Retractions of rows that are not there.
    metrics: Arc<ConnectorMetrics>,
    /// Group at which the next sweep for expired groups begins.
    sweep: usize,
    restoring: bool,
    spill: Option<Spill>,
    bad_rows: Arc<BadRows>,
    clock: Arc<dyn Clock>,
    scratch: Scratch,
}

/// What groups were before they were touched: columns with a row for each.
struct Before {
    groups: usize,
    bytes: u64,
    results: Results,
}

/// The columns behind the key of some groups.
#[derive(Default)]
struct Results {
    columns: Vec<ArrayRef>,
    /// Groups without a result (places among those asked for), and why: their values fit no row, and are NULL in the columns.
    bad: Vec<(usize, Error)>,
}

impl Results {
    fn is_bad(&self, place: usize) -> bool {
        self.bad.iter().any(|(bad, _)| *bad == place)
    }
}

struct Aggregate {
    text: String,
    data_type: DataType,
    accumulator: Box<dyn Accumulator>,
    /// Arguments, then order.
    columns: Vec<usize>,
    filter: Option<usize>,
    /// Tables of single values: name, number of key columns behind the group's key, types of all columns behind it.
    stores: Vec<(&'static str, usize, Vec<DataType>)>,
}

#[derive(Default)]
struct Scratch {
    groups: Vec<u32>,
    filtered: Vec<u32>,
    retracted: Vec<bool>,
}

/// Columns that come out for those of `input`: the keys, the aggregates, and the version if there is one.
///
/// # Errors
/// The stored form does not fit the input.
pub(super) fn output_schema(spec: &GroupAggregateSpec, input: &Schema) -> Result<SchemaRef> {
    let mut types = key_types(spec, input)?;
    types.extend(spec.aggregates.iter().map(|stored| stored.data_type.clone()));
    if spec.version {
        types.push(DataType::Int64);
    }
    let field = |(index, data_type)| Field::new(format!("#{index}"), data_type, true);
    Ok(Arc::new(Schema::new(types.into_iter().enumerate().map(field).collect::<Vec<_>>())))
}

fn key_types(spec: &GroupAggregateSpec, input: &Schema) -> Result<Vec<DataType>> {
    let key_type = |key: &usize| input.fields().get(*key).map(|field| field.data_type().clone()).ok_or_else(misfit);
    spec.keys.iter().map(key_type).collect()
}

fn misfit() -> Error {
    Error::corrupt("a stored group aggregate names columns that its input has not")
}

impl GroupAggregate {
    /// One for batches of `input`.
    ///
    /// # Errors
    /// The stored form does not fit the input.
    pub fn new(spec: &GroupAggregateSpec, input: &SchemaRef, context: &OperatorContext<'_>) -> Result<Self> {
        let mut aggregate = Self::with_clock(spec, input, Arc::clone(&context.clock))?;
        aggregate.bad_rows = Arc::clone(&context.bad_rows);
        Ok(aggregate)
    }

    /// As [`Self::new`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_clock(spec: &GroupAggregateSpec, input: &SchemaRef, clock: Arc<dyn Clock>) -> Result<Self> {
        if spec.input == Changelog::Upsert {
            return Err(Error::internal("a group aggregate needs an append or retract input"));
        }
        let types: Vec<DataType> = input.fields().iter().map(|field| field.data_type().clone()).collect();
        let keys = key_types(spec, input)?;
        let schema = output_schema(spec, input)?;
        let mut aggregates = Vec::new();
        for stored in &spec.aggregates {
            let columns: Vec<usize> =
                stored.arguments.iter().copied().chain(stored.order_by.iter().map(|order| order.0)).collect();
            if columns.iter().any(|column| *column >= types.len())
                || stored.filter.is_some_and(|filter| types.get(filter) != Some(&DataType::Boolean))
            {
                return Err(misfit());
            }
            let retracting = spec.input == Changelog::Retract;
            let mut accumulator = accumulator(stored, &types, retracting)?;
            let stores = accumulator.stores().iter().map(|store| store_layout(&**store)).collect();
            aggregates.push(Aggregate {
                text: stored.text.clone(),
                data_type: stored.data_type.clone(),
                accumulator,
                columns,
                filter: stored.filter,
                stores,
            });
        }
        let codec = Codec::new(&keys)?;
        let mut operator = Self {
            spec: spec.clone(),
            input: types,
            schema,
            key_rows: EncodedRows::default(),
            codec,
            group_codec: Codec::new(&[])?,
            keys: KeyTable::default(),
            aggregates,
            rows: Vec::new(),
            versions: Vec::new(),
            touched_ms: Vec::new(),
            flags: Vec::new(),
            dirty: Vec::new(),
            given_out: 0,
            before: VecDeque::new(),
            before_bytes: 0,
            changed: Vec::new(),
            sequence: 0,
            metrics: Arc::default(),
            sweep: 0,
            restoring: false,
            spill: None,
            bad_rows: BadRows::fail(),
            clock,
            scratch: Scratch::default(),
        };
        operator.group_codec = operator.group_codec()?;
        Ok(operator)
    }

    /// Lets cold groups go to disk when the job's state takes more than its budget.
    #[must_use]
    pub fn spilling_to(self, spill: Spill) -> Self {
        Self { spill: Some(spill), ..self }
    }

    /// Counts changes that take back a row which is not there.
    #[must_use]
    pub fn counting(self, metrics: &NodeMetrics) -> Self {
        Self { metrics: Arc::clone(&metrics.connector), ..self }
    }

    /// Whether a group is in the result: it has rows. One group over all rows stays when they are gone.
    fn exists(&self, group: u32) -> bool {
        self.rows[group as usize] > 0 || self.flags[group as usize] & GLOBAL != 0
    }

    /// Whether anything of a group must be kept. Its version outlives its rows: what comes later must win over the delete.
    fn is_kept(&self, group: u32) -> bool {
        self.exists(group) || self.spec.version && self.versions[group as usize] > 0
    }

    /// Whether what a group was before it changed must be known.
    fn needs_before(&self) -> bool {
        self.spec.emits == Changelog::Retract || !self.emits_unchanged()
    }

    /// Whether touched groups are given out even if they are as before.
    fn emits_unchanged(&self) -> bool {
        self.spec.emit_unchanged || self.spec.version
    }

    fn check(&self, batch: &RecordBatch) -> Result<()> {
        let fits = batch.num_columns() == self.input.len()
            && batch.columns().iter().zip(&self.input).all(|(column, data_type)| column.data_type() == data_type);
        if fits {
            Ok(())
        } else {
            Err(Error::internal("a batch does not have the columns of the group aggregate's input"))
        }
    }

    /// Finds each row's group, makes new ones, and notes which are touched. Nothing here can fail.
    fn resolve(&mut self, batch: &ChangeBatch, key_rows: &EncodedRows, groups: &mut Vec<u32>) {
        groups.clear();
        let now_ms = if self.spec.state_ttl_ms.is_some() { self.clock.now_ms() } else { 0 };
        for row in 0..batch.len() {
            let retracted = batch.kind(row).is_retraction();
            let key = key_rows.row(row);
            let group = if retracted {
                self.keys.find(key).filter(|group| !self.expires(*group, now_ms) && self.rows[*group as usize] > 0)
            } else {
                let (group, new) = self.keys.intern(key);
                if new {
                    self.add_slot(group);
                } else if self.expires(group, now_ms) {
                    self.forget(group);
                }
                Some(group)
            };
            let Some(group) = group else {
                if self.metrics.unmatched.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!("{}", super::UNKNOWN_RETRACTION);
                }
                groups.push(SKIPPED);
                continue;
            };
            let slot = group as usize;
            self.rows[slot] += if retracted { -1 } else { 1 };
            if self.spec.state_ttl_ms.is_some() {
                self.touched_ms[slot] = now_ms;
            }
            let flags = &mut self.flags[slot];
            if *flags & DIRTY == 0 {
                self.dirty.push(group);
            }
            if *flags & CHANGED == 0 {
                self.changed.push(group);
            }
            *flags |= DIRTY | CHANGED | REFERENCED | if self.spec.keys.is_empty() { GLOBAL } else { 0 };
            groups.push(group);
        }
    }

    /// Room for a group that was just given its number.
    fn add_slot(&mut self, group: u32) {
        let slots = self.keys.slots();
        if self.rows.len() < slots {
            self.rows.resize(slots, 0);
            self.flags.resize(slots, 0);
            if self.spec.version {
                self.versions.resize(slots, 0);
            }
            if self.spec.state_ttl_ms.is_some() {
                self.touched_ms.resize(slots, 0);
            }
            for aggregate in &mut self.aggregates {
                aggregate.accumulator.resize(slots);
            }
        }
        debug_assert_eq!(self.rows[group as usize], 0);
    }

    /// Whether a group outlived its time; one that waits for the flush does not.
    fn expires(&self, group: u32, now_ms: i64) -> bool {
        let slot = group as usize;
        self.spec.state_ttl_ms.is_some_and(|ttl_ms| {
            self.flags[slot] & DIRTY == 0
                && (self.flags[slot] & EMITTED != 0 || self.is_kept(group))
                && now_ms.saturating_sub(self.touched_ms[slot]) >= i64::try_from(ttl_ms).unwrap_or(i64::MAX)
        })
    }

    /// Empties a group without a word to those behind.
    fn forget(&mut self, group: u32) {
        let slot = group as usize;
        self.rows[slot] = 0;
        if self.spec.version {
            self.versions[slot] = 0;
        }
        self.flags[slot] &= !(EMITTED | GLOBAL);
        for aggregate in &mut self.aggregates {
            aggregate.accumulator.reset(group);
        }
        if self.flags[slot] & CHANGED == 0 {
            self.flags[slot] |= CHANGED;
            self.changed.push(group);
        }
    }

    fn memory_bytes(&self) -> u64 {
        let aggregates: usize = self.aggregates.iter().map(|aggregate| aggregate.accumulator.memory_bytes()).sum();
        let columns = (self.rows.capacity() + self.versions.capacity() + self.touched_ms.capacity()) * size_of::<i64>()
            + self.flags.capacity()
            + (self.dirty.capacity() + self.changed.capacity()) * size_of::<u32>();
        (self.keys.memory_bytes() + aggregates + columns) as u64
    }

    /// The columns behind the key, of groups.
    fn results(&self, groups: &[u32]) -> Result<Results> {
        let mut results = Results::default();
        for aggregate in &self.aggregates {
            let column = match aggregate.accumulator.evaluate(groups) {
                Err(error) if error.kind() == ErrorKind::Row => aggregate.evaluate_each(groups, &mut results.bad)?,
                evaluated => evaluated.map_err(|error| error.context(&aggregate.text))?,
            };
            results.columns.push(column);
        }
        if self.spec.version {
            let versions = groups.iter().map(|group| self.versions[*group as usize]);
            results.columns.push(Arc::new(Int64Array::from_iter_values(versions)));
        }
        Ok(results)
    }

    /// A group that has no result, with its key.
    fn named(&self, group: u32, error: &Error) -> Result<Error> {
        let keys = self.codec.decode(std::iter::once(self.keys.key(group)))?;
        let names = |index: usize| format!("#{index}");
        let rows = RecordBatch::try_from_iter_with_nullable(
            keys.into_iter().enumerate().map(|(index, key)| (names(index), key, true)),
        );
        let key = if self.spec.keys.is_empty() { "of all rows".to_owned() } else { row_text(&rows?, 0) };
        Ok(error.clone().detail(format!("The group is {key}.")))
    }

    fn fold(&mut self, batch: &ChangeBatch, scratch: &mut Scratch) -> Result<()> {
        scratch.retracted.clear();
        if let Some(kinds) = batch.kinds() {
            scratch.retracted.extend(kinds.iter().map(|kind| kind.is_retraction()));
        }
        let retracted = scratch.retracted.contains(&true).then_some(scratch.retracted.as_slice());
        if self.spec.version {
            for group in scratch.groups.iter().filter(|group| **group != SKIPPED) {
                self.versions[*group as usize] += 1;
            }
        }
        for aggregate in &mut self.aggregates {
            let groups =
                match aggregate.filter {
                    None => &scratch.groups,
                    Some(filter) => {
                        let filter = batch.rows().column(filter).as_boolean();
                        scratch.filtered.clear();
                        scratch.filtered.extend(scratch.groups.iter().enumerate().map(|(row, group)| {
                            if filter.is_valid(row) && filter.value(row) { *group } else { SKIPPED }
                        }));
                        &scratch.filtered
                    }
                };
            let columns: Vec<ArrayRef> =
                aggregate.columns.iter().map(|column| Arc::clone(batch.rows().column(*column))).collect();
            aggregate.accumulator.fold(&columns, &Fold { groups, retracted, sequence: self.sequence })?;
        }
        self.sequence += batch.len() as u64;
        Ok(())
    }
}

impl Aggregate {
    /// The column of groups of which some have no result: these are NULL, and noted.
    fn evaluate_each(&self, groups: &[u32], bad: &mut Vec<(usize, Error)>) -> Result<ArrayRef> {
        let mut values: Vec<Option<ArrayRef>> = Vec::with_capacity(groups.len());
        for (place, group) in groups.iter().enumerate() {
            values.push(match self.accumulator.evaluate(&[*group]) {
                Ok(value) => Some(value),
                Err(error) if error.kind() == ErrorKind::Row => {
                    bad.push((place, error.context(&self.text)));
                    None
                }
                Err(error) => return Err(error.context(&self.text)),
            });
        }
        let nothing = new_null_array(&self.data_type, 1);
        let values: Vec<&dyn Array> = values.iter().map(|value| value.as_ref().unwrap_or(&nothing).as_ref()).collect();
        Ok(concat(&values)?)
    }
}

fn store_layout(store: &dyn ValueStore) -> (&'static str, usize, Vec<DataType>) {
    let mut types = store.key_types();
    let keys = types.len();
    types.extend(store.value_types());
    (store.name(), keys, types)
}

#[async_trait]
impl Operator for GroupAggregate {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn holds_back(&self) -> bool {
        true
    }

    async fn process(&mut self, _input: usize, batch: ChangeBatch) -> Result<Emitted> {
        if batch.is_empty() {
            return Ok(Emitted::nothing(&self.schema));
        }
        self.check(batch.rows())?;
        if self.spec.input == Changelog::Append
            && batch.kinds().is_some_and(|kinds| kinds.iter().any(|kind| kind.is_retraction()))
        {
            return Err(Error::internal("a group aggregate that was planned for inserts only got a retraction"));
        }
        self.finish_restore();
        let keys: Vec<ArrayRef> = self.spec.keys.iter().map(|key| Arc::clone(batch.rows().column(*key))).collect();
        let mut key_rows = std::mem::take(&mut self.key_rows);
        self.codec.encode_into(&mut key_rows, &keys)?;
        self.revive(batch.len(), &key_rows)?;
        let mut scratch = std::mem::take(&mut self.scratch);
        let first_new = self.dirty.len();
        self.resolve(&batch, &key_rows, &mut scratch.groups);
        if self.needs_before() && first_new < self.dirty.len() {
            // A group that was not given out has no row before; what stands in its place is not looked at.
            let results = self.results(&self.dirty[first_new..])?;
            let bytes = results.columns.iter().map(|column| column.get_array_memory_size() as u64).sum();
            self.before_bytes += bytes;
            self.before.push_back(Before { groups: self.dirty.len() - first_new, bytes, results });
        }
        self.fold(&batch, &mut scratch)?;
        self.scratch = scratch;
        self.key_rows = key_rows;
        self.make_room(false)?;
        Ok(Emitted::nothing(&self.schema))
    }

    fn flush(&mut self) -> Result<Option<ChangeBatch>> {
        self.finish_restore();
        if self.dirty.is_empty() {
            return Ok(None);
        }
        let (part, before) = self.next_part();
        if part.is_empty() {
            return Err(Error::internal("it is not known what the touched groups were before"));
        }
        let results = self.results(&self.dirty[part.clone()])?;
        for (place, error) in &results.bad {
            let group = self.dirty[part.start + place];
            if self.exists(group) {
                self.bad_rows.take(self.named(group, error)?)?;
            }
        }
        let output = self.output(&self.dirty[part.clone()], &before, &results)?;
        for place in part.clone() {
            let group = self.dirty[place];
            let exists = self.exists(group);
            let is_given_out = exists && !results.is_bad(place - part.start);
            let flags = &mut self.flags[group as usize];
            *flags = *flags & !(DIRTY | EMITTED) | if is_given_out { EMITTED } else { 0 };
            if !exists {
                // Nothing is left of a group whose rows were all taken back, even if others were than had come.
                self.rows[group as usize] = 0;
                for aggregate in &mut self.aggregates {
                    aggregate.accumulator.reset(group);
                }
            }
        }
        self.given_out = part.end;
        if self.given_out == self.dirty.len() {
            self.dirty.clear();
            self.given_out = 0;
            self.make_room(false)?;
        }
        Ok(Some(output))
    }

    fn snapshot(&mut self) -> Result<Vec<TableDelta>> {
        self.finish_restore();
        let deltas = self.deltas()?;
        self.make_room(true)?;
        Ok(deltas)
    }

    fn restore(&mut self, table: &str, rows: &RecordBatch) -> Result<()> {
        self.take_up(table, rows)
    }

    fn state_size(&self) -> StateSize {
        let values: u64 = self.aggregates.iter().map(|aggregate| aggregate.accumulator.values()).sum();
        let spilled = self.spill.as_ref();
        StateSize {
            keys: self.keys.len() as u64 + values + spilled.map_or(0, Spill::keys),
            memory_bytes: spilled.map_or_else(|| self.held().bytes, Spill::memory_bytes),
            spilled_bytes: spilled.map_or(0, Spill::disk_bytes),
        }
    }
}
