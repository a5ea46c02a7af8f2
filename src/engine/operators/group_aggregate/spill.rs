//! A group aggregate's groups on their way to disk and back, with the values that its aggregates keep.

use datafusion::arrow::datatypes::DataType;

use super::{CHANGED, DIRTY, EMITTED, GLOBAL, GONE, GroupAggregate, REFERENCED, RESTORED};
use crate::engine::state::encoded::Codec;
use crate::engine::state::key_table::KeyTable;
use crate::engine::state::spill::{put, take};
use crate::engine::state::{ColdKey, Held, Spill, Spillable, Spilling};
use crate::error::{Error, Result};

impl GroupAggregate {
    /// Encodes what is kept of groups apart from single values.
    pub(super) fn group_codec(&self) -> Result<Codec> {
        let mut types = vec![DataType::Int64];
        types.extend(self.spec.version.then_some(DataType::Int64));
        types.extend(self.spec.state_ttl_ms.map(|_| DataType::Int64));
        for aggregate in &self.aggregates {
            types.extend(aggregate.accumulator.state_fields().into_iter().map(|(_, data_type)| data_type));
        }
        Codec::new(&types)
    }

    /// Forgets some of the groups on disk whose time is over.
    pub(super) fn sweep_spilled(&mut self, before_ms: i64) -> Result<()> {
        for group in self.with_spill(|spill, groups| spill.expired(groups, before_ms))? {
            self.forget(group);
        }
        Ok(())
    }
}

impl Spilling for GroupAggregate {
    fn spill(&mut self) -> &mut Option<Spill> {
        &mut self.spill
    }
}

impl Spillable for GroupAggregate {
    fn keys(&self) -> &KeyTable {
        &self.keys
    }

    fn held(&self) -> Held {
        let slots = self.keys.slots().max(1) as u64;
        let groups = self.keys.len() as u64;
        let values: u64 = self.aggregates.iter().map(|aggregate| aggregate.accumulator.value_bytes() as u64).sum();
        let fixed = self.memory_bytes().saturating_sub(values) * groups / slots;
        let changed_values: u64 =
            self.aggregates.iter().map(|aggregate| aggregate.accumulator.changed_value_bytes() as u64).sum();
        Held {
            bytes: fixed + values + self.before_bytes,
            unsaved_bytes: fixed * self.changed.len() as u64 / groups.max(1) + changed_values + self.before_bytes,
            unsaved_keys: self.changed.len(),
        }
    }

    fn is_cold(&mut self, group: u32) -> bool {
        let is_given_out = self.flags[group as usize] & EMITTED != 0 || self.spec.version && self.is_kept(group);
        // While state is restored, a group's values may come before its row.
        if !is_given_out && !self.restoring || self.spec.keys.is_empty() {
            return false;
        }
        let flags = &mut self.flags[group as usize];
        if *flags & (DIRTY | CHANGED | GLOBAL | GONE) != 0 {
            return false;
        }
        let was_touched = *flags & REFERENCED != 0;
        *flags &= !REFERENCED;
        !was_touched
    }

    fn touched_ms(&self, group: u32) -> i64 {
        if self.spec.state_ttl_ms.is_some() { self.touched_ms[group as usize] } else { 0 }
    }

    fn copy(&mut self, groups: &[u32], rows: &mut [Vec<u8>]) -> Result<()> {
        let columns = self.group_columns(groups, &[])?;
        let encoded = self.group_codec.encode(&columns)?;
        for (index, (group, row)) in groups.iter().zip(rows.iter_mut()).enumerate() {
            row.push(u8::from(!self.restoring || self.flags[*group as usize] & RESTORED != 0));
            put(row, encoded.row(index));
        }
        for aggregate in self.aggregates.iter_mut().filter(|aggregate| !aggregate.stores.is_empty()) {
            for store in aggregate.accumulator.stores() {
                for (group, row) in groups.iter().zip(rows.iter_mut()) {
                    put(row, &store.copy(*group));
                }
            }
        }
        Ok(())
    }

    fn vacate(&mut self, groups: &[u32]) {
        for aggregate in self.aggregates.iter_mut().filter(|aggregate| !aggregate.stores.is_empty()) {
            for store in aggregate.accumulator.stores() {
                groups.iter().for_each(|group| store.drop_group(*group));
            }
        }
        for group in groups {
            self.empty_slot(*group);
        }
    }

    fn put_back(&mut self, keys: &[ColdKey<'_>]) -> Result<Vec<u32>> {
        let damaged = || Error::internal("a group that was spilled to disk cannot be read");
        let (mut groups, mut whole) = (Vec::with_capacity(keys.len()), Vec::with_capacity(keys.len()));
        let (mut states, mut values) = (Vec::with_capacity(keys.len()), Vec::with_capacity(keys.len()));
        for cold in keys {
            let (is_whole, mut rest) = cold.state.split_first().ok_or_else(damaged)?;
            states.push(take(&mut rest).ok_or_else(damaged)?);
            values.push(rest);
            whole.push(*is_whole != 0);
            let (group, new) = self.keys.intern(cold.key);
            if new {
                self.add_slot(group);
            }
            groups.push(group);
        }
        let columns = self.group_codec.decode(states)?;
        self.set_groups(&groups, &columns)?;
        for (group, whole) in groups.iter().zip(&whole) {
            let emitted = if self.exists(*group) { EMITTED } else { 0 };
            self.flags[*group as usize] |= emitted | if self.restoring && *whole { RESTORED } else { 0 };
        }
        for aggregate in self.aggregates.iter_mut().filter(|aggregate| !aggregate.stores.is_empty()) {
            for store in aggregate.accumulator.stores() {
                for (group, rest) in groups.iter().zip(&mut values) {
                    store.put_back(*group, take(rest).ok_or_else(damaged)?).ok_or_else(damaged)?;
                }
            }
        }
        if !self.restoring {
            // Values whose group's row never came: as at the end of a restore.
            groups.iter().zip(whole).filter(|(_, whole)| !whole).for_each(|(group, _)| self.forget(*group));
        }
        Ok(groups)
    }
}
