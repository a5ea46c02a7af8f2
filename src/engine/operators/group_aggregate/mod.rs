//! GROUP BY: keeps aggregates for each key and gives out how they change. [`Operator::process`] only folds; [`Operator::flush`]
//! gives each touched group out once, in parts. Nothing is kept of what was given out: at the first touch after a flush the
//! group still holds it, and is evaluated then.
//!
//! Groups are slots of a keyed table; what is kept of them is in columns over these ([`groups`], [`accumulator`]).

mod accumulator;
mod counted_values;
mod counting;
mod distinct;
mod exact_float;
mod extremes;
mod float_sums;
mod groups;
mod lists;
mod make;
mod output;
mod retracted_extremes;
pub mod spec;
mod sums;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, new_null_array};
use datafusion::arrow::compute::{concat, max};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use datafusion::arrow::record_batch::RecordBatch;

use self::accumulator::{GroupedRows, SKIPPED};
use self::groups::{Aggregate, Groups};
use super::{Emitted, FLUSHED_KEYS_MAX, Operator, OperatorContext};
use crate::changelog::{ChangeBatch, Changelog};
use crate::clock::Clock;
use crate::connectors::bad_rows::row_text;
use crate::connectors::{BadRows, ConnectorMetrics};
use crate::engine::aggregate::GroupAggregateSpec;
use crate::engine::metrics::NodeMetrics;
use crate::engine::state::encoded::EncodedRows;
use crate::engine::state::{KeyedTable, Spill, StateSize, TableDelta};
use crate::error::{Error, ErrorKind, Result};
use make::accumulator;

/// See the module.
pub struct GroupAggregate {
    spec: GroupAggregateSpec,
    input: Vec<DataType>,
    schema: SchemaRef,
    key_rows: EncodedRows,
    table: KeyedTable<Groups>,
    /// What the groups that wait for the flush were before they were touched, if that must be known.
    before: VecDeque<Before>,
    before_bytes: u64,
    /// Number of the next row in the order of arrival.
    sequence: u64,
    /// Retractions of rows that are not there.
    metrics: Arc<ConnectorMetrics>,
    bad_rows: Arc<BadRows>,
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
    Error::corrupt("a stored group aggregate refers to missing input columns")
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
            let accumulator = accumulator(stored, &types, retracting)?;
            aggregates.push(Aggregate::new(&stored.text, &stored.data_type, accumulator, columns, stored.filter));
        }
        let mut groups = Groups::new(spec, aggregates)?;
        let layout = groups.layout(&keys, spec.state_ttl_ms.is_some());
        Ok(Self {
            spec: spec.clone(),
            input: types,
            schema,
            key_rows: EncodedRows::default(),
            table: KeyedTable::new(layout, groups, spec.state_ttl_ms, clock)?,
            before: VecDeque::new(),
            before_bytes: 0,
            sequence: 0,
            metrics: Arc::default(),
            bad_rows: BadRows::fail(),
            scratch: Scratch::default(),
        })
    }

    /// Lets cold groups go to disk when the job's state takes more than its budget.
    #[must_use]
    pub fn spilling_to(self, spill: Spill) -> Self {
        Self { table: self.table.spilling_to(spill), ..self }
    }

    /// Counts changes that take back a row which is not there.
    #[must_use]
    pub fn counting(self, metrics: &NodeMetrics) -> Self {
        Self { metrics: Arc::clone(&metrics.connector), ..self }
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
        let (table, is_over_all) = (&mut self.table, self.spec.keys.is_empty());
        let now_ms = table.now_ms();
        for row in 0..batch.len() {
            let retracted = batch.kind(row).is_retraction();
            let key = key_rows.row(row);
            let group = if retracted {
                table.find(key).filter(|group| !table.expires(*group, now_ms) && table.state.rows[*group as usize] > 0)
            } else {
                let (group, new) = table.intern(key);
                if !new && table.expires(group, now_ms) {
                    table.forget(group);
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
            table.state.rows[group as usize] += if retracted { -1 } else { 1 };
            table.state.has_begun |= is_over_all;
            table.touch_held(group, now_ms);
            groups.push(group);
        }
    }

    /// The columns behind the key, of groups.
    fn results(&self, groups: &[u32]) -> Result<Results> {
        let mut results = Results::default();
        for aggregate in &self.table.state.aggregates {
            let column = match aggregate.accumulator.evaluate(groups) {
                Err(error) if error.kind() == ErrorKind::Row => aggregate.evaluate_each(groups, &mut results.bad)?,
                evaluated => evaluated.map_err(|error| error.context(&aggregate.text))?,
            };
            results.columns.push(column);
        }
        if self.spec.version {
            let versions = groups.iter().map(|group| self.table.state.versions[*group as usize]);
            results.columns.push(Arc::new(Int64Array::from_iter_values(versions)));
        }
        Ok(results)
    }

    /// A group that has no result, with its key.
    fn named(&self, group: u32, error: &Error) -> Result<Error> {
        let keys = self.table.keys_of(&[group])?;
        let names = |index: usize| format!("#{index}");
        let rows = RecordBatch::try_from_iter_with_nullable(
            keys.into_iter().enumerate().map(|(index, key)| (names(index), key, true)),
        );
        let key = if self.spec.keys.is_empty() { "of all rows".to_owned() } else { row_text(&rows?, 0) };
        Ok(error.clone().detail(format!("The group is {key}.")))
    }

    fn accumulate(&mut self, batch: &ChangeBatch, scratch: &mut Scratch) -> Result<()> {
        scratch.retracted.clear();
        if let Some(kinds) = batch.kinds() {
            scratch.retracted.extend(kinds.iter().map(|kind| kind.is_retraction()));
        }
        let retracted = scratch.retracted.contains(&true).then_some(scratch.retracted.as_slice());
        if self.spec.version {
            for group in scratch.groups.iter().filter(|group| **group != SKIPPED) {
                self.table.state.versions[*group as usize] += 1;
            }
        }
        for aggregate in &mut self.table.state.aggregates {
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
            aggregate.accumulator.accumulate(&columns, &GroupedRows { groups, retracted, sequence: self.sequence })?;
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
        let keys: Vec<ArrayRef> = self.spec.keys.iter().map(|key| Arc::clone(batch.rows().column(*key))).collect();
        let mut key_rows = std::mem::take(&mut self.key_rows);
        self.table.codec().encode_into(&mut key_rows, &keys)?;
        self.table.prepare(batch.len(), &key_rows)?;
        let mut scratch = std::mem::take(&mut self.scratch);
        let first_new = self.table.pending().len();
        self.resolve(&batch, &key_rows, &mut scratch.groups);
        let new = &self.table.pending()[first_new..];
        if self.needs_before() && !new.is_empty() {
            // A group that was not given out has no row before; what stands in its place is not looked at.
            let results = self.results(new)?;
            let bytes = results.columns.iter().map(|column| column.get_array_memory_size() as u64).sum();
            self.before.push_back(Before { groups: new.len(), bytes, results });
            self.before_bytes += bytes;
            self.table.count_beside(self.before_bytes);
        }
        self.accumulate(&batch, &mut scratch)?;
        self.scratch = scratch;
        self.key_rows = key_rows;
        self.table.make_room()?;
        Ok(Emitted::nothing(&self.schema))
    }

    fn flush(&mut self) -> Result<Option<ChangeBatch>> {
        if self.table.pending().is_empty() {
            return Ok(None);
        }
        let (count, before) = self.next_part();
        if count == 0 {
            return Err(Error::internal("it is not known what the touched groups were before"));
        }
        self.table.count_beside(self.before_bytes);
        let part = self.table.pending()[..count].to_vec();
        let results = self.results(&part)?;
        for (place, error) in &results.bad {
            if self.table.state.exists(part[*place]) {
                self.bad_rows.take(self.named(part[*place], error)?)?;
            }
        }
        let output = self.output(&part, &before, &results)?;
        let groups = &mut self.table.state;
        for (place, group) in part.iter().enumerate() {
            let exists = groups.exists(*group);
            groups.emitted[*group as usize] = exists && !results.is_bad(place);
            if !exists {
                groups.empty(*group);
            }
        }
        self.table.give_out(count);
        if self.table.pending().is_empty() {
            self.table.make_room()?;
        }
        Ok(Some(output))
    }

    fn snapshot(&mut self) -> Result<Vec<TableDelta>> {
        self.table.snapshot()
    }

    fn restore(&mut self, table: &str, rows: &RecordBatch) -> Result<()> {
        self.table.restore(table, rows)?;
        // New entries of lists must come behind the stored ones, whose number is the column behind the key.
        if table.starts_with("entries-")
            && let Some(last) = max(rows.column(2 + self.spec.keys.len()).as_primitive::<UInt64Type>())
        {
            self.sequence = self.sequence.max(last + 1);
        }
        Ok(())
    }

    fn state_size(&self) -> StateSize {
        let size = self.table.state_size();
        StateSize { keys: size.keys + self.table.state.values(), ..size }
    }
}
