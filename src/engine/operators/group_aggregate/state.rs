//! A group aggregate's state between memory and checkpoint. Table `groups` has a row for each group; the values that aggregates
//! keep one by one are in tables of their own (`values-0` for aggregate 0). Tables may be restored in any order.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, UInt8Array, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, UInt64Type};
use datafusion::arrow::record_batch::RecordBatch;

use super::accumulator::ValueStore;
use super::{CHANGED, DIRTY, EMITTED, GLOBAL, GONE, GroupAggregate, RESTORED};
use crate::engine::key_group::key_groups;
use crate::engine::operators::{SWEPT_KEYS_MAX, stored_columns};
use crate::engine::state::{Spilling, TableDelta};
use crate::error::{Error, Result};

impl GroupAggregate {
    /// What changed since the last snapshot. Groups that are gone are told once, then their numbers are free.
    pub(super) fn deltas(&mut self) -> Result<Vec<TableDelta>> {
        if !self.dirty.is_empty() {
            return Err(Error::internal("a group aggregate was asked for its state before it was flushed"));
        }
        self.sweep()?;
        let changed = std::mem::take(&mut self.changed);
        let mut deltas = Vec::new();
        for index in 0..self.aggregates.len() {
            let aggregate = &mut self.aggregates[index];
            let changes =
                aggregate.accumulator.stores().into_iter().map(ValueStore::take_changes).collect::<Result<Vec<_>>>()?;
            for (place, changes) in changes.into_iter().enumerate().filter(|(_, changes)| !changes.groups.is_empty()) {
                let (name, keys, _) = &self.aggregates[index].stores[place];
                let table = format!("{name}-{index}");
                deltas.push(self.delta(table, *keys, &changes.groups, changes.deleted, changes.columns)?);
            }
        }
        if !changed.is_empty() {
            let deleted: Vec<bool> = changed.iter().map(|group| !self.is_kept(*group)).collect();
            let columns = self.group_columns(&changed, &deleted)?;
            deltas.insert(0, self.delta("groups".to_owned(), 0, &changed, deleted, columns)?);
        }
        for group in changed {
            self.flags[group as usize] &= !CHANGED;
            if !self.is_kept(group) {
                self.release(group);
            }
        }
        Ok(deltas)
    }

    fn delta(
        &self,
        table: String,
        key_columns: usize,
        groups: &[u32],
        deleted: Vec<bool>,
        columns: Vec<ArrayRef>,
    ) -> Result<TableDelta> {
        let keys = self.codec.decode(groups.iter().map(|group| self.keys.key(*group)))?;
        let key_columns = keys.len() + key_columns;
        let key_group = UInt8Array::from(key_groups(&keys, groups.len())?);
        let deleted = BooleanArray::from(deleted);
        let columns: Vec<ArrayRef> = [Arc::new(key_group) as ArrayRef, Arc::new(deleted) as ArrayRef]
            .into_iter()
            .chain(keys)
            .chain(columns)
            .collect();
        let rows = RecordBatch::try_new(Arc::new(self.table_schema(&table)?), columns)?;
        Ok(TableDelta { table, key_columns, rows })
    }

    /// The columns of table `groups` behind the key, NULL where the group is deleted.
    pub(super) fn group_columns(&self, groups: &[u32], deleted: &[bool]) -> Result<Vec<ArrayRef>> {
        let of = |counts: &[i64]| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(groups.iter().map(|group| counts[*group as usize])))
        };
        let mut columns = vec![of(&self.rows)];
        if self.spec.version {
            columns.push(of(&self.versions));
        }
        if self.spec.state_ttl_ms.is_some() {
            columns.push(of(&self.touched_ms));
        }
        for aggregate in &self.aggregates {
            columns.extend(aggregate.accumulator.state(groups)?);
        }
        if !deleted.contains(&true) {
            return Ok(columns);
        }
        let kept: UInt32Array =
            deleted.iter().enumerate().map(|(row, deleted)| (!deleted).then_some(row as u32)).collect();
        Ok(columns.iter().map(|column| take(column, &kept, None)).collect::<Result<_, _>>()?)
    }

    /// The columns of a table of ours.
    fn table_schema(&self, table: &str) -> Result<Schema> {
        let mut fields =
            vec![Field::new("key_group", DataType::UInt8, false), Field::new("deleted", DataType::Boolean, false)];
        for (index, key) in self.spec.keys.iter().enumerate() {
            fields.push(Field::new(format!("key-{index}"), self.input[*key].clone(), true));
        }
        let mut add = |name: String, data_type: DataType| fields.push(Field::new(name, data_type, true));
        if table == "groups" {
            add("rows".to_owned(), DataType::Int64);
            if self.spec.version {
                add("version".to_owned(), DataType::Int64);
            }
            if self.spec.state_ttl_ms.is_some() {
                add("touched_ms".to_owned(), DataType::Int64);
            }
            for (index, aggregate) in self.aggregates.iter().enumerate() {
                for (place, (name, data_type)) in aggregate.accumulator.state_fields().into_iter().enumerate() {
                    add(format!("{name}-{index}-{place}"), data_type);
                }
            }
            return Ok(Schema::new(fields));
        }
        let types = self.store_types(table).ok_or_else(|| unknown(table))?;
        for (index, data_type) in types.into_iter().enumerate() {
            add(format!("column-{index}"), data_type);
        }
        Ok(Schema::new(fields))
    }

    fn store_types(&self, table: &str) -> Option<Vec<DataType>> {
        let (name, index) = store_of(table)?;
        let stores = &self.aggregates.get(index)?.stores;
        stores.iter().find(|(other, ..)| *other == name).map(|(.., types)| types.clone())
    }

    /// Takes up stored rows of a table.
    pub(super) fn take_up(&mut self, table: &str, rows: &RecordBatch) -> Result<()> {
        let stored = stored_columns(table, rows, &self.table_schema(table)?)?;
        self.restoring = true;
        let (key_columns, columns) = stored.split_at(self.spec.keys.len());
        let key_rows = self.codec.encode(key_columns)?;
        self.revive(rows.num_rows(), &key_rows)?;
        let deleted = rows.column(1).as_boolean();
        // A deleted row makes no group.
        let groups: Vec<Option<u32>> = (0..rows.num_rows())
            .map(|row| {
                let key = key_rows.row(row);
                if deleted.value(row) {
                    return self.keys.find(key);
                }
                let (group, new) = self.keys.intern(key);
                if new {
                    self.add_slot(group);
                }
                Some(group)
            })
            .collect();
        match table {
            "groups" => self.take_up_groups(&groups, deleted, columns)?,
            _ => self.take_up_values(table, &groups, deleted, columns)?,
        }
        self.make_room(true)
    }

    fn take_up_groups(&mut self, groups: &[Option<u32>], deleted: &BooleanArray, columns: &[ArrayRef]) -> Result<()> {
        let mut kept = Vec::with_capacity(groups.len());
        let mut indices = Vec::with_capacity(groups.len());
        for (row, group) in groups.iter().enumerate() {
            let Some(group) = group else { continue };
            // Its values have rows of their own, which say what becomes of them.
            if deleted.value(row) {
                self.flags[*group as usize] &= !(EMITTED | RESTORED | GLOBAL);
                self.flags[*group as usize] |= GONE;
                self.rows[*group as usize] = 0;
                continue;
            }
            self.flags[*group as usize] &= !GONE;
            self.flags[*group as usize] |= RESTORED | if self.spec.keys.is_empty() { GLOBAL } else { 0 };
            kept.push(*group);
            indices.push(row as u32);
        }
        let indices = UInt32Array::from(indices);
        let columns: Vec<ArrayRef> =
            columns.iter().map(|column| take(column, &indices, None)).collect::<Result<_, _>>()?;
        self.set_groups(&kept, &columns)?;
        for group in kept {
            let emitted = if self.exists(group) { EMITTED } else { 0 };
            self.flags[group as usize] = self.flags[group as usize] & !EMITTED | emitted;
        }
        Ok(())
    }

    /// Puts the columns of table `groups` behind the key into place.
    pub(super) fn set_groups(&mut self, groups: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let mut rest = columns;
        let mut next = |count: usize| {
            let (columns, behind) = rest.split_at(count);
            rest = behind;
            columns
        };
        let mut counts: Vec<&mut Vec<i64>> = vec![&mut self.rows];
        if self.spec.version {
            counts.push(&mut self.versions);
        }
        if self.spec.state_ttl_ms.is_some() {
            counts.push(&mut self.touched_ms);
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
        Ok(())
    }

    fn take_up_values(
        &mut self,
        table: &str,
        groups: &[Option<u32>],
        deleted: &BooleanArray,
        columns: &[ArrayRef],
    ) -> Result<()> {
        let (name, index) = store_of(table).ok_or_else(|| unknown(table))?;
        let mut stores = self.aggregates[index].accumulator.stores();
        let store = stores.iter_mut().find(|store| store.name() == name).ok_or_else(|| unknown(table))?;
        let deleted: Vec<bool> = deleted.values().iter().collect();
        store.restore(groups, &deleted, columns)?;
        // New entries of lists must come behind the stored ones.
        if name == "entries"
            && let Some(last) = datafusion::arrow::compute::max(columns[0].as_primitive::<UInt64Type>())
        {
            self.sequence = self.sequence.max(last + 1);
        }
        Ok(())
    }

    /// After the last stored row: drops what only deleted rows or values spoke of.
    pub(super) fn finish_restore(&mut self) {
        if !std::mem::take(&mut self.restoring) {
            return;
        }
        for group in 0..self.keys.slots() as u32 {
            if self.keys.contains(group) && self.flags[group as usize] & RESTORED == 0 {
                // The next snapshot deletes what is left of it and gives its number back.
                self.forget(group);
            }
            self.flags[group as usize] &= !(RESTORED | GONE);
        }
    }

    /// Forgets groups whose time is over, a bounded number of them.
    fn sweep(&mut self) -> Result<()> {
        let Some(ttl_ms) = self.spec.state_ttl_ms else { return Ok(()) };
        let now_ms = self.clock.now_ms();
        let slots = self.keys.slots();
        for _ in 0..slots.min(SWEPT_KEYS_MAX) {
            if self.sweep >= slots {
                self.sweep = 0;
            }
            let group = self.sweep as u32;
            if self.keys.contains(group) && self.expires(group, now_ms) {
                self.forget(group);
            }
            self.sweep += 1;
        }
        self.sweep_spilled(now_ms.saturating_sub(i64::try_from(ttl_ms).unwrap_or(i64::MAX)))
    }

    /// Gives the number of a group that is gone back.
    fn release(&mut self, group: u32) {
        if let Some(spill) = &mut self.spill {
            spill.forget(self.keys.key(group));
        }
        self.empty_slot(group);
    }

    /// Gives a group's number back.
    pub(super) fn empty_slot(&mut self, group: u32) {
        let slot = group as usize;
        debug_assert_eq!(self.flags[slot] & DIRTY, 0);
        self.rows[slot] = 0;
        self.flags[slot] = 0;
        if self.spec.version {
            self.versions[slot] = 0;
        }
        for aggregate in &mut self.aggregates {
            aggregate.accumulator.reset(group);
        }
        self.keys.remove(group);
    }
}

/// A table's name within an aggregate, and the aggregate's number.
fn store_of(table: &str) -> Option<(&str, usize)> {
    let (name, index) = table.rsplit_once('-')?;
    Some((name, index.parse().ok()?))
}

fn unknown(table: &str) -> Error {
    Error::corrupt(format!("the checkpoint has state \"{table}\", which the group aggregate does not keep"))
}
