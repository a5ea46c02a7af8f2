//! Consumer groups of the classic protocol: members join, the leader assigns, everyone syncs and sends heartbeats. Kept in memory; after a
//! restart members are unknown and join again, their offsets are in the meta log.
//!
//! No timer runs: whoever asks the group something first applies the deadlines that have passed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::membership::{Group, GroupState, JoinRequest, Joined, NotJoined};

pub struct Synced {
    pub protocol_type: String,
    pub protocol: String,
    pub assignment: Bytes,
}

#[derive(Debug, Clone)]
pub struct MemberDescription {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub metadata: Bytes,
    pub assignment: Bytes,
}

pub struct GroupDescription {
    pub state: GroupState,
    pub protocol_type: String,
    pub protocol: String,
    pub members: Vec<MemberDescription>,
}

#[derive(Default)]
struct Cell {
    group: Mutex<Option<Group>>,
    changed: Condvar,
}

#[derive(Default)]
pub struct Groups {
    cells: Mutex<BTreeMap<String, Arc<Cell>>>,
}

impl Groups {
    fn cell(&self, group: &str) -> Option<Arc<Cell>> {
        self.cells.lock().get(group).cloned()
    }

    /// Names of the groups that have, or had, members.
    pub fn names(&self) -> Vec<String> {
        self.cells.lock().keys().cloned().collect()
    }

    pub fn join(&self, group: &str, request: JoinRequest) -> Result<Joined, NotJoined> {
        let cell = self.cells.lock().entry(group.to_owned()).or_default().clone();
        cell.join(request)
    }

    pub fn sync(
        &self,
        group: &str,
        generation: i32,
        member_id: &str,
        instance_id: Option<&str>,
        assignments: Vec<(String, Bytes)>,
    ) -> Result<Synced, ResponseError> {
        let cell = self.cell(group).ok_or(ResponseError::UnknownMemberId)?;
        cell.sync(generation, member_id, instance_id, assignments)
    }

    pub fn heartbeat(
        &self,
        group: &str,
        generation: i32,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ResponseError> {
        let cell = self.cell(group).ok_or(ResponseError::UnknownMemberId)?;
        cell.with(|group| {
            group.check_member(generation, member_id, instance_id)?;
            group.seen(member_id);
            if group.state == GroupState::PreparingRebalance { Err(ResponseError::RebalanceInProgress) } else { Ok(()) }
        })
        .unwrap_or(Err(ResponseError::UnknownMemberId))
    }

    pub fn leave(&self, group: &str, member_id: &str, instance_id: Option<&str>) -> Result<(), ResponseError> {
        let cell = self.cell(group).ok_or(ResponseError::UnknownMemberId)?;
        let left = cell.with(|group| {
            if group.pending.remove(member_id).is_some() {
                return Ok(());
            }
            let id = match instance_id {
                Some(instance_id) => group.member_of_instance(instance_id).ok_or(ResponseError::UnknownMemberId)?,
                None => member_id.to_owned(),
            };
            if instance_id.is_some() && !member_id.is_empty() && id != member_id {
                return Err(ResponseError::FencedInstanceId);
            }
            if group.members.remove(&id).is_none() {
                return Err(ResponseError::UnknownMemberId);
            }
            group.member_gone();
            Ok(())
        });
        left.unwrap_or(Err(ResponseError::UnknownMemberId))
    }

    /// Whether offsets may be committed by this member, or by someone outside (`generation` below zero) of an empty group.
    pub fn check_commit(
        &self,
        group: &str,
        generation: i32,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ResponseError> {
        let outside = if generation < 0 { Ok(()) } else { Err(ResponseError::IllegalGeneration) };
        let Some(cell) = self.cell(group) else {
            return outside;
        };
        let checked = cell.with(|group| {
            if group.members.is_empty() && generation < 0 {
                return Ok(());
            }
            group.check_member(generation, member_id, instance_id)?;
            group.seen(member_id);
            if group.state == GroupState::CompletingRebalance {
                Err(ResponseError::RebalanceInProgress)
            } else {
                Ok(())
            }
        });
        checked.unwrap_or(outside)
    }

    pub fn describe(&self, group: &str) -> Option<GroupDescription> {
        self.cell(group)?.with(|group| GroupDescription {
            state: group.state,
            protocol_type: group.protocol_type.clone(),
            protocol: group.protocol.clone(),
            members: group
                .members
                .iter()
                .map(|(id, member)| MemberDescription {
                    member_id: id.clone(),
                    instance_id: member.instance_id.clone(),
                    client_id: member.client_id.clone(),
                    client_host: member.client_host.clone(),
                    metadata: member.metadata(&group.protocol),
                    assignment: member.assignment.clone(),
                })
                .collect(),
        })
    }

    /// Forgets a group without members; returns whether there was one.
    pub fn delete(&self, group: &str) -> Result<bool, ResponseError> {
        let mut cells = self.cells.lock();
        let Some(cell) = cells.get(group) else {
            return Ok(false);
        };
        let busy = cell.with(|group| !group.members.is_empty() || !group.pending.is_empty()).unwrap_or(false);
        if busy {
            return Err(ResponseError::NonEmptyGroup);
        }
        cells.remove(group);
        Ok(true)
    }

    /// Drops groups without members; what they committed is kept elsewhere.
    pub fn forget_empty(&self) {
        self.cells.lock().retain(|_, cell| {
            // Someone who is about to join holds the cell.
            let busy = cell.with(|group| !group.members.is_empty() || !group.pending.is_empty());
            Arc::strong_count(cell) > 1 || busy.unwrap_or(false)
        });
    }

    /// Wakes everyone who waits for a rebalance, with an error.
    pub fn stop(&self) {
        for cell in self.cells.lock().values() {
            if let Some(group) = cell.group.lock().as_mut() {
                group.stopping = true;
            }
            cell.changed.notify_all();
        }
    }
}

impl Cell {
    /// Looks at the group as it is now; `None` when nobody has joined it yet.
    fn with<T>(&self, act: impl FnOnce(&mut Group) -> T) -> Option<T> {
        let mut group = self.group.lock();
        let group = group.as_mut()?;
        group.apply_deadlines();
        let result = act(group);
        group.try_end_rebalance();
        self.changed.notify_all();
        Some(result)
    }

    fn join(&self, request: JoinRequest) -> Result<Joined, NotJoined> {
        let mut slot = self.group.lock();
        let group = slot.get_or_insert_with(|| Group::new(&request.protocol_type));
        group.apply_deadlines();
        let member_id = group.admit(request)?;
        let round = group.rounds;
        let at_once = group.state != GroupState::PreparingRebalance;
        group.try_end_rebalance();
        self.changed.notify_all();
        loop {
            let refused = |error| Err(NotJoined { error, member_id: member_id.clone() });
            let Some(group) = slot.as_mut() else {
                return refused(ResponseError::UnknownMemberId);
            };
            if !group.members.contains_key(&member_id) {
                return refused(ResponseError::UnknownMemberId);
            }
            if group.stopping {
                return refused(ResponseError::CoordinatorNotAvailable);
            }
            if at_once || group.rounds != round {
                return Ok(group.joined(&member_id));
            }
            self.wait(&mut slot);
        }
    }

    fn sync(
        &self,
        generation: i32,
        member_id: &str,
        instance_id: Option<&str>,
        assignments: Vec<(String, Bytes)>,
    ) -> Result<Synced, ResponseError> {
        let mut slot = self.group.lock();
        let group = slot.as_mut().ok_or(ResponseError::UnknownMemberId)?;
        group.apply_deadlines();
        group.check_member(generation, member_id, instance_id)?;
        group.seen(member_id);
        if group.state == GroupState::CompletingRebalance && group.leader == member_id {
            for member in group.members.values_mut() {
                member.assignment = Bytes::new();
            }
            for (id, assignment) in assignments {
                if let Some(member) = group.members.get_mut(&id) {
                    member.assignment = assignment;
                }
            }
            let now = Instant::now();
            group.members.values_mut().for_each(|member| member.last_seen = now);
            group.state = GroupState::Stable;
            self.changed.notify_all();
        }
        loop {
            let group = slot.as_mut().ok_or(ResponseError::UnknownMemberId)?;
            if group.stopping {
                return Err(ResponseError::CoordinatorNotAvailable);
            }
            let member = group.members.get(member_id).ok_or(ResponseError::UnknownMemberId)?;
            match group.state {
                GroupState::CompletingRebalance if group.generation == generation => {}
                GroupState::Stable if group.generation == generation => {
                    return Ok(Synced {
                        protocol_type: group.protocol_type.clone(),
                        protocol: group.protocol.clone(),
                        assignment: member.assignment.clone(),
                    });
                }
                _ => return Err(ResponseError::RebalanceInProgress),
            }
            // Whoever waits here is alive.
            group.seen(member_id);
            self.wait(&mut slot);
        }
    }

    /// Waits for a change, or for the next deadline to pass.
    fn wait(&self, slot: &mut MutexGuard<'_, Option<Group>>) {
        let Some(deadline) = slot.as_ref().map(Group::next_deadline) else {
            return;
        };
        self.changed.wait_until(slot, deadline);
        if let Some(group) = slot.as_mut() {
            let before = (group.rounds, group.state);
            group.apply_deadlines();
            group.try_end_rebalance();
            if before != (group.rounds, group.state) {
                self.changed.notify_all();
            }
        }
    }
}
