//! What a group aggregate keeps of its groups: columns over their slots, the aggregates' among them. Table `groups` has a row for
//! each group; the values that aggregates keep one by one are in tables of their own (`values-0` for aggregate 0).

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type};

use super::accumulator::Accumulator;
use crate::engine::aggregate::GroupAggregateSpec;
use crate::engine::state::encoded::Codec;
use crate::engine::state::spill::{put, take};
use crate::engine::state::{KeyedState, Layout, RowStore, StateBytes, column};
use crate::error::Result;

/// An aggregate over all groups.
pub(super) struct Aggregate {
    pub(super) text: String,
    pub(super) data_type: DataType,
    pub(super) accumulator: Box<dyn Accumulator>,
    /// Arguments, then order.
    pub(super) columns: Vec<usize>,
    pub(super) filter: Option<usize>,
    /// Whether it keeps single values.
    has_stores: bool,
}

impl Aggregate {
    pub(super) fn new(
        text: &str,
        data_type: &DataType,
        mut accumulator: Box<dyn Accumulator>,
        columns: Vec<usize>,
        filter: Option<usize>,
    ) -> Self {
        let has_stores = !accumulator.stores().is_empty();
        Self { text: text.to_owned(), data_type: data_type.clone(), accumulator, columns, filter, has_stores }
    }
}

/// See the module.
pub(super) struct Groups {
    pub(super) aggregates: Vec<Aggregate>,
    /// Input rows of each group that were not taken back.
    pub(super) rows: Vec<i64>,
    /// Changes of each group; only with a version.
    pub(super) versions: Vec<i64>,
    /// Whether the group was in the output at the last flush.
    pub(super) emitted: Vec<bool>,
    keeps_version: bool,
    /// Whether there is one group over all rows, and whether it had a row once.
    is_over_all: bool,
    pub(super) has_begun: bool,
    /// How a group's stored columns go to disk.
    codec: Codec,
}

impl Groups {
    /// # Errors
    /// A state that cannot be encoded.
    pub(super) fn new(spec: &GroupAggregateSpec, aggregates: Vec<Aggregate>) -> Result<Self> {
        let mut groups = Self {
            aggregates,
            rows: Vec::new(),
            versions: Vec::new(),
            emitted: Vec::new(),
            keeps_version: spec.version,
            is_over_all: spec.keys.is_empty(),
            has_begun: false,
            codec: Codec::new(&[])?,
        };
        let types: Vec<DataType> = groups.fields().iter().map(|field| field.data_type().clone()).collect();
        groups.codec = Codec::new(&types)?;
        Ok(groups)
    }

    /// How the state is stored, of groups by columns of these types.
    pub(super) fn layout(&mut self, keys: &[DataType], has_time_to_live: bool) -> Layout {
        let keys = keys.iter().enumerate().map(|(index, data_type)| column(format!("key-{index}"), data_type));
        let touched_at = has_time_to_live.then_some(1 + usize::from(self.keeps_version));
        let mut layout = Layout::new("a group aggregate", keys.collect()).with_row("groups", self.fields(), touched_at);
        for (index, aggregate) in self.aggregates.iter_mut().enumerate() {
            for store in aggregate.accumulator.stores() {
                let mut fields: Vec<Field> = store.key_types().iter().map(|data_type| column("", data_type)).collect();
                let sub_keys = fields.len();
                fields.extend(store.value_types().iter().map(|data_type| column("", data_type)));
                for (place, field) in fields.iter_mut().enumerate() {
                    field.set_name(format!("column-{place}"));
                }
                let (sub_keys, columns) = fields.split_at(sub_keys);
                layout = layout.with_store(format!("{}-{index}", store.name()), sub_keys, columns);
            }
        }
        layout
    }

    /// The columns of table `groups` behind the key, but for the time of the last touch.
    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![column("rows", &DataType::Int64)];
        fields.extend(self.keeps_version.then(|| column("version", &DataType::Int64)));
        for (index, aggregate) in self.aggregates.iter().enumerate() {
            for (place, (name, data_type)) in aggregate.accumulator.state_fields().into_iter().enumerate() {
                fields.push(column(format!("{name}-{index}-{place}"), &data_type));
            }
        }
        fields
    }

    /// Whether a group is in the result: it has rows. One group over all rows stays when they are gone.
    pub(super) fn exists(&self, group: u32) -> bool {
        self.rows[group as usize] > 0 || self.has_begun
    }

    /// Nothing is left of a group whose rows were all taken back, even if others were than had come; its version stays.
    pub(super) fn empty(&mut self, group: u32) {
        self.rows[group as usize] = 0;
        for aggregate in &mut self.aggregates {
            aggregate.accumulator.reset(group);
        }
    }

    /// Rows of the tables of single values.
    pub(super) fn values(&self) -> u64 {
        self.aggregates.iter().map(|aggregate| aggregate.accumulator.values()).sum()
    }
}

impl KeyedState for Groups {
    fn resize(&mut self, slots: usize) {
        self.rows.resize(slots, 0);
        self.emitted.resize(slots, false);
        if self.keeps_version {
            self.versions.resize(slots, 0);
        }
        for aggregate in &mut self.aggregates {
            aggregate.accumulator.resize(slots);
        }
    }

    /// A version outlives its group's rows: what comes later must win over the delete.
    fn is_kept(&self, group: u32) -> bool {
        self.exists(group) || self.keeps_version && self.versions[group as usize] > 0
    }

    fn reset(&mut self, group: u32) {
        self.empty(group);
        self.unset(group);
    }

    fn bytes(&self) -> StateBytes {
        let accumulators = || self.aggregates.iter().map(|aggregate| &aggregate.accumulator);
        let values: usize = accumulators().map(|accumulator| accumulator.value_bytes()).sum();
        let aggregates: usize = accumulators().map(|accumulator| accumulator.memory_bytes()).sum();
        let columns = (self.rows.capacity() + self.versions.capacity()) * size_of::<i64>() + self.emitted.capacity();
        StateBytes {
            columns: columns + aggregates.saturating_sub(values),
            rows: 0,
            values,
            changed_values: accumulators().map(|accumulator| accumulator.changed_value_bytes()).sum(),
        }
    }

    /// A group that exists and has no result would come back as one that was given out.
    fn is_settled(&self, group: u32) -> bool {
        self.emitted[group as usize] || self.keeps_version && self.is_kept(group)
    }

    fn settle(&mut self, group: u32) {
        self.emitted[group as usize] = self.exists(group);
    }

    fn columns(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let of = |counts: &[i64]| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(groups.iter().map(|group| counts[*group as usize])))
        };
        let mut columns = vec![of(&self.rows)];
        if self.keeps_version {
            columns.push(of(&self.versions));
        }
        for aggregate in &self.aggregates {
            columns.extend(aggregate.accumulator.state(groups)?);
        }
        Ok(columns)
    }

    fn set_columns(&mut self, groups: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let mut rest = columns;
        let mut next = |count: usize| {
            let (columns, behind) = rest.split_at(count);
            rest = behind;
            columns
        };
        let mut counts: Vec<&mut Vec<i64>> = vec![&mut self.rows];
        if self.keeps_version {
            counts.push(&mut self.versions);
        }
        for counts in counts {
            for (group, count) in groups.iter().zip(next(1)[0].as_primitive::<Int64Type>().values()) {
                counts[*group as usize] = *count;
            }
        }
        for aggregate in &mut self.aggregates {
            let columns = next(aggregate.accumulator.state_fields().len());
            aggregate.accumulator.restore(groups, columns)?;
        }
        self.has_begun |= self.is_over_all && !groups.is_empty();
        Ok(())
    }

    fn unset(&mut self, group: u32) {
        self.rows[group as usize] = 0;
        self.emitted[group as usize] = false;
        if self.keeps_version {
            self.versions[group as usize] = 0;
        }
        self.has_begun = false;
    }

    fn copy(&self, groups: &[u32], rows: &mut [Vec<u8>]) -> Result<()> {
        let encoded = self.codec.encode(&self.columns(groups)?)?;
        for (index, row) in rows.iter_mut().enumerate() {
            put(row, encoded.row(index));
        }
        Ok(())
    }

    fn put_back(&mut self, groups: &[u32], rows: &mut [&[u8]]) -> Result<Option<()>> {
        let Some(encoded) = rows.iter_mut().map(take).collect::<Option<Vec<_>>>() else { return Ok(None) };
        let columns = self.codec.decode(encoded)?;
        self.set_columns(groups, &columns)?;
        Ok(Some(()))
    }

    fn stores(&mut self) -> Vec<&mut dyn RowStore> {
        let aggregates = self.aggregates.iter_mut().filter(|aggregate| aggregate.has_stores);
        let stores = aggregates.flat_map(|aggregate| aggregate.accumulator.stores());
        stores.map(|store| store as &mut dyn RowStore).collect()
    }
}
