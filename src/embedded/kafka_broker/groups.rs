//! Consumer groups of the classic protocol: members join, the leader assigns, everyone syncs and sends heartbeats. Kept in memory; after a
//! restart members are unknown and join again, their offsets are in the meta log.
//!
//! No timer runs: whoever asks the group something first applies the deadlines that have passed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use parking_lot::{Condvar, Mutex, MutexGuard};
use uuid::Uuid;

const SESSION_TIMEOUT_MAX: Duration = Duration::from_secs(30 * 60);
const MEMBERS_MAX: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupState {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

impl GroupState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

pub struct JoinRequest {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    pub protocol_type: String,
    pub protocols: Vec<(String, Bytes)>,
    /// Versions from 4 on are told their id first and join with it, so that a lost answer leaves no ghost behind.
    pub id_required: bool,
}

#[derive(Debug, Clone)]
pub struct Joined {
    pub generation: i32,
    pub protocol_type: String,
    pub protocol: String,
    pub leader: String,
    pub member_id: String,
    /// Everyone's metadata, for the leader only: member id, instance id, metadata.
    pub members: Vec<(String, Option<String>, Bytes)>,
}

/// Why a member did not join; with the id it should use when it has none.
#[derive(Debug)]
pub struct NotJoined {
    pub error: ResponseError,
    pub member_id: String,
}

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

struct Member {
    instance_id: Option<String>,
    client_id: String,
    client_host: String,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    protocols: Vec<(String, Bytes)>,
    assignment: Bytes,
    /// Has joined the rebalance under way and waits for its end.
    joined: bool,
    last_seen: Instant,
}

struct Group {
    state: GroupState,
    protocol_type: String,
    protocol: String,
    generation: i32,
    leader: String,
    members: BTreeMap<String, Member>,
    /// Ids given out whose owners have not joined yet, and until when they may.
    pending: HashMap<String, Instant>,
    rebalance_deadline: Instant,
    /// Counts ended rebalances: a joiner waits for the next one.
    rounds: u64,
    stopping: bool,
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

impl Member {
    fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|(name, _)| name == protocol)
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }
}

impl Group {
    fn new(protocol_type: &str) -> Self {
        Self {
            state: GroupState::Empty,
            protocol_type: protocol_type.to_owned(),
            protocol: String::new(),
            generation: 0,
            leader: String::new(),
            members: BTreeMap::new(),
            pending: HashMap::new(),
            rebalance_deadline: Instant::now(),
            rounds: 0,
            stopping: false,
        }
    }

    /// Lets a member in, or a known one in again, and starts a rebalance where that needs one. Returns the member's id.
    fn admit(&mut self, request: JoinRequest) -> Result<String, NotJoined> {
        let refused = |error, member_id: &str| Err(NotJoined { error, member_id: member_id.to_owned() });
        let id = request.member_id.as_str();
        if request.session_timeout.is_zero() || request.session_timeout > SESSION_TIMEOUT_MAX {
            return refused(ResponseError::InvalidSessionTimeout, id);
        }
        if !self.agrees_with(&request) {
            return refused(ResponseError::InconsistentGroupProtocol, id);
        }
        let of_instance = request.instance_id.as_deref().and_then(|instance| self.member_of_instance(instance));
        let member_id = match (&of_instance, id) {
            // The instance was restarted: it takes its old place under a new id, and the old id is fenced.
            (Some(old), "") => {
                self.members.remove(old);
                new_member_id(&request)
            }
            (Some(known), id) if known != id => return refused(ResponseError::FencedInstanceId, id),
            (_, "") => {
                if self.members.len() + self.pending.len() >= MEMBERS_MAX {
                    return refused(ResponseError::GroupMaxSizeReached, id);
                }
                let new = new_member_id(&request);
                if request.id_required && request.instance_id.is_none() {
                    self.pending.insert(new.clone(), Instant::now() + request.session_timeout);
                    return refused(ResponseError::MemberIdRequired, &new);
                }
                new
            }
            (_, id) if self.members.contains_key(id) || self.pending.remove(id).is_some() => id.to_owned(),
            (_, id) => return refused(ResponseError::UnknownMemberId, id),
        };
        if self.members.is_empty() {
            self.protocol_type.clone_from(&request.protocol_type);
        }
        let unchanged = self.members.get(&member_id).is_some_and(|member| member.protocols == request.protocols);
        let answered_at_once = match self.state {
            GroupState::CompletingRebalance => unchanged,
            GroupState::Stable => unchanged && self.leader != member_id,
            GroupState::Empty | GroupState::PreparingRebalance => false,
        };
        let assignment = self.members.get(&member_id).map(|member| member.assignment.clone()).unwrap_or_default();
        self.members.insert(
            member_id.clone(),
            Member {
                instance_id: request.instance_id,
                client_id: request.client_id,
                client_host: request.client_host,
                session_timeout: request.session_timeout,
                rebalance_timeout: request.rebalance_timeout,
                protocols: request.protocols,
                assignment,
                joined: !answered_at_once,
                last_seen: Instant::now(),
            },
        );
        if !answered_at_once {
            self.prepare_rebalance();
        }
        Ok(member_id)
    }

    fn agrees_with(&self, request: &JoinRequest) -> bool {
        if request.protocol_type.is_empty() || request.protocols.is_empty() {
            return false;
        }
        let others: Vec<&Member> =
            self.members.iter().filter(|(id, _)| **id != request.member_id).map(|(_, member)| member).collect();
        others.is_empty()
            || (self.protocol_type == request.protocol_type
                && request.protocols.iter().any(|(name, _)| {
                    others.iter().all(|member| member.protocols.iter().any(|(other, _)| other == name))
                }))
    }

    fn member_of_instance(&self, instance_id: &str) -> Option<String> {
        let found = self.members.iter().find(|(_, member)| member.instance_id.as_deref() == Some(instance_id));
        found.map(|(id, _)| id.clone())
    }

    fn check_member(&self, generation: i32, member_id: &str, instance_id: Option<&str>) -> Result<(), ResponseError> {
        if let Some(known) = instance_id.and_then(|instance| self.member_of_instance(instance))
            && known != member_id
        {
            return Err(ResponseError::FencedInstanceId);
        }
        if !self.members.contains_key(member_id) {
            return Err(ResponseError::UnknownMemberId);
        }
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        Ok(())
    }

    fn seen(&mut self, member_id: &str) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.last_seen = Instant::now();
        }
    }

    fn prepare_rebalance(&mut self) {
        if self.state != GroupState::PreparingRebalance {
            self.state = GroupState::PreparingRebalance;
            let timeout = self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default();
            self.rebalance_deadline = Instant::now() + timeout;
        }
    }

    fn member_gone(&mut self) {
        if self.members.is_empty() {
            self.state = GroupState::Empty;
            self.generation += 1;
            self.rounds += 1;
            self.protocol.clear();
            self.leader.clear();
        } else {
            self.prepare_rebalance();
        }
    }

    /// Removes members that were not heard of for too long, and those that a rebalance need not wait for any more.
    fn apply_deadlines(&mut self) {
        let now = Instant::now();
        self.pending.retain(|_, until| *until > now);
        let late = self.state == GroupState::PreparingRebalance && self.rebalance_deadline <= now;
        let before = self.members.len();
        self.members.retain(|_, member| member.joined || (!late && member.last_seen + member.session_timeout > now));
        if late {
            self.pending.clear();
        }
        if self.members.len() != before {
            self.member_gone();
        }
    }

    fn next_deadline(&self) -> Instant {
        let sessions = self.members.values().filter(|member| !member.joined);
        let sessions = sessions.map(|member| member.last_seen + member.session_timeout);
        let rebalance = (self.state == GroupState::PreparingRebalance).then_some(self.rebalance_deadline);
        let bound = Instant::now() + Duration::from_secs(60);
        sessions.chain(self.pending.values().copied()).chain(rebalance).fold(bound, Instant::min)
    }

    /// Ends the rebalance when everyone it waits for has joined.
    fn try_end_rebalance(&mut self) {
        let complete = self.state == GroupState::PreparingRebalance
            && !self.members.is_empty()
            && self.pending.is_empty()
            && self.members.values().all(|member| member.joined);
        if !complete {
            return;
        }
        let now = Instant::now();
        for member in self.members.values_mut() {
            member.joined = false;
            member.last_seen = now;
        }
        if !self.members.contains_key(&self.leader) {
            self.leader = self.members.keys().next().cloned().unwrap_or_default();
        }
        self.protocol = self.protocol_of_most();
        self.generation += 1;
        self.rounds += 1;
        self.state = GroupState::CompletingRebalance;
    }

    /// Of the protocols that all members have, the one that most of them name first.
    fn protocol_of_most(&self) -> String {
        let of_all =
            |name: &str| self.members.values().all(|member| member.protocols.iter().any(|(other, _)| other == name));
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| of_all(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(name, _)| name.to_owned()).unwrap_or_default()
    }

    fn joined(&self, member_id: &str) -> Joined {
        let members = if self.leader == member_id {
            let all = self.members.iter();
            all.map(|(id, member)| (id.clone(), member.instance_id.clone(), member.metadata(&self.protocol))).collect()
        } else {
            Vec::new()
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member_id: member_id.to_owned(),
            members,
        }
    }
}

fn new_member_id(request: &JoinRequest) -> String {
    let name = request.instance_id.as_deref().unwrap_or(&request.client_id);
    format!("{name}-{}", Uuid::new_v4())
}
