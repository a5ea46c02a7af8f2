//! Groups that no row touched for a while, on local disk when the job's memory does not hold them: a group goes as a whole, with
//! the values its aggregates keep, and comes back when a row of it comes. Only groups that the checkpoint has as they are go, so
//! that snapshots never look here.

use std::path::PathBuf;

use datafusion::arrow::datatypes::DataType;

use super::encoded::{Codec, EncodedRows};
use super::{CHANGED, DIRTY, EMITTED, GLOBAL, GroupAggregate, RESTORED};
use crate::engine::state::budget::{MemoryBudget, MemorySlot};
use crate::engine::state::cold::ColdTable;
use crate::error::{Error, Result};

/// So many groups go to disk in one write.
const EVICTED_GROUPS_MAX: usize = 16_384;

/// Where a group aggregate's cold groups are.
pub(super) struct Spill {
    path: PathBuf,
    memory: MemorySlot,
    /// Made when it is needed first.
    table: Option<ColdTable>,
    codec: Codec,
    /// Group at which the search for cold ones goes on.
    hand: usize,
}

impl Spill {
    /// Groups on disk.
    pub(super) fn groups(&self) -> u64 {
        self.table.as_ref().map_or(0, ColdTable::len)
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.table.as_ref().map_or(0, ColdTable::bytes)
    }
}

impl GroupAggregate {
    /// Lets cold groups go to a file at `path` when the job's state takes more than its budget.
    ///
    /// # Errors
    /// A defect of ours.
    pub fn spill_to(&mut self, path: PathBuf, budget: &MemoryBudget) -> Result<()> {
        let mut types = vec![DataType::Int64];
        types.extend(self.spec.version.then_some(DataType::Int64));
        types.extend(self.spec.state_ttl_ms.map(|_| DataType::Int64));
        for aggregate in &self.aggregates {
            types.extend(aggregate.accumulator.state_fields().into_iter().map(|(_, data_type)| data_type));
        }
        let codec = Codec::new(&types)?;
        self.spill = Some(Spill { path, memory: budget.slot(), table: None, codec, hand: 0 });
        Ok(())
    }

    /// Reports the memory in use and, while it is too much, lets cold groups go.
    pub(super) fn make_room(&mut self) -> Result<()> {
        let Some(mut spill) = self.spill.take() else { return Ok(()) };
        let result = self.make_room_in(&mut spill);
        self.spill = Some(spill);
        result
    }

    fn make_room_in(&mut self, spill: &mut Spill) -> Result<()> {
        // One group over all rows is never cold.
        loop {
            let used = self.used_bytes();
            spill.memory.set(used);
            let excess = spill.memory.budget().excess().min(used);
            if excess == 0 || self.keys.len() == 0 || self.spec.keys.is_empty() {
                return Ok(());
            }
            // A little more than the excess goes, so that not every flush has to write.
            let bytes_per_group = (used / self.keys.len() as u64).max(1);
            let wanted = usize::try_from((excess + used / 16) / bytes_per_group + 1).unwrap_or(usize::MAX);
            let groups = self.cold_groups(spill, wanted.min(EVICTED_GROUPS_MAX));
            if groups.is_empty() {
                return Ok(());
            }
            self.evict(spill, &groups)?;
        }
    }

    /// Bytes of what is in use: room that groups left behind is given to others and does not count.
    fn used_bytes(&self) -> u64 {
        let slots = self.keys.slots().max(1) as u64;
        let bytes = self.memory_bytes();
        let values: u64 = self.aggregates.iter().map(|aggregate| aggregate.accumulator.value_bytes() as u64).sum();
        (bytes.saturating_sub(values)) * self.keys.len() as u64 / slots + values
    }

    /// Groups that were not touched since the hand came by last (second chance), at most so many.
    fn cold_groups(&mut self, spill: &mut Spill, wanted: usize) -> Vec<u32> {
        let slots = self.keys.slots();
        let mut cold = Vec::new();
        for _ in 0..2 * slots {
            if cold.len() == wanted {
                break;
            }
            spill.hand = if spill.hand >= slots { 0 } else { spill.hand };
            let group = spill.hand as u32;
            spill.hand += 1;
            let is_given_out = self.keys.contains(group)
                && (self.flags[group as usize] & EMITTED != 0 || self.spec.version && self.is_kept(group));
            let flags = &mut self.flags[group as usize];
            // While state is restored, a group whose own row has not come yet must stay.
            let whole = !self.restoring || *flags & RESTORED != 0;
            if !is_given_out || *flags & (DIRTY | CHANGED | GLOBAL) != 0 || !whole {
                continue;
            }
            if *flags & super::REFERENCED != 0 {
                *flags &= !super::REFERENCED;
                continue;
            }
            // Seen twice in one turn: taken already.
            if *flags & super::EVICTED == 0 {
                *flags |= super::EVICTED;
                cold.push(group);
            }
        }
        for group in &cold {
            self.flags[*group as usize] &= !super::EVICTED;
        }
        cold
    }

    fn evict(&mut self, spill: &mut Spill, groups: &[u32]) -> Result<()> {
        if spill.table.is_none() {
            spill.table = Some(ColdTable::open(&spill.path)?);
        }
        let Some(table) = &mut spill.table else { return Ok(()) };
        let columns = self.group_columns(groups, &[])?;
        let rows: EncodedRows = spill.codec.encode(&columns)?;
        let mut stored = Vec::with_capacity(groups.len());
        for (row, group) in groups.iter().enumerate() {
            let mut bytes = Vec::new();
            put(&mut bytes, rows.row(row));
            for aggregate in &mut self.aggregates {
                for store in aggregate.accumulator.stores() {
                    put(&mut bytes, &store.copy(*group));
                }
            }
            stored.push(bytes);
        }
        // Only when all are written they go from memory.
        table.put_many(groups.iter().zip(&stored).map(|(group, bytes)| (self.keys.key(*group), bytes.as_slice())))?;
        for group in groups {
            for aggregate in &mut self.aggregates {
                for store in aggregate.accumulator.stores() {
                    store.drop_group(*group);
                }
            }
            self.release(*group);
        }
        Ok(())
    }

    /// Takes groups back from disk whose keys are among these rows.
    pub(super) fn revive(&mut self, rows: usize, key_rows: &EncodedRows) -> Result<()> {
        if self.spill.as_ref().is_none_or(|spill| spill.groups() == 0) {
            return Ok(());
        }
        let mut keys: Vec<&[u8]> =
            (0..rows).map(|row| key_rows.row(row)).filter(|key| self.keys.find(key).is_none()).collect();
        keys.sort_unstable();
        keys.dedup();
        let Some(mut spill) = self.spill.take() else { return Ok(()) };
        let result = self.revive_keys(&mut spill, &keys);
        self.spill = Some(spill);
        result
    }

    fn revive_keys(&mut self, spill: &mut Spill, keys: &[&[u8]]) -> Result<()> {
        let Some(table) = &mut spill.table else { return Ok(()) };
        let damaged = || Error::internal("a group that was spilled to disk cannot be read");
        let found = table.take_many(keys)?;
        let found: Vec<(&[u8], Vec<u8>)> =
            keys.iter().copied().zip(found).filter_map(|(key, bytes)| Some((key, bytes?))).collect();
        let mut states = Vec::with_capacity(found.len());
        let mut values = Vec::with_capacity(found.len());
        for (_, bytes) in &found {
            let mut rest = bytes.as_slice();
            states.push(take(&mut rest).ok_or_else(damaged)?);
            values.push(rest);
        }
        let columns = spill.codec.decode(states)?;
        let mut groups = Vec::with_capacity(found.len());
        for (key, _) in &found {
            let (group, new) = self.keys.intern(key);
            if new {
                self.add_slot(group);
            }
            groups.push(group);
        }
        self.set_groups(&groups, &columns)?;
        for (group, mut rest) in groups.iter().zip(values) {
            let emitted = if self.exists(*group) { EMITTED } else { 0 };
            self.flags[*group as usize] |= emitted | if self.restoring { RESTORED } else { 0 };
            for aggregate in &mut self.aggregates {
                for store in aggregate.accumulator.stores() {
                    store.put_back(*group, take(&mut rest).ok_or_else(damaged)?).ok_or_else(damaged)?;
                }
            }
        }
        Ok(())
    }
}

/// Puts bytes behind others, with their length.
pub(super) fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
    bytes.extend_from_slice(part);
}

/// Takes what [`put`] put.
pub(super) fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (part, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    *bytes = rest;
    Some(part)
}
