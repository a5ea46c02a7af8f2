//! One consumer group: who is in it, and how a rebalance ends in one generation, leader and protocol. It knows no locks and waits for
//! nobody: deadlines pass when `apply_deadlines` is called.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
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

pub(super) struct Member {
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    /// Has joined the rebalance under way and waits for its end.
    joined: bool,
    pub(super) last_seen: Instant,
}

pub(super) struct Group {
    pub(super) state: GroupState,
    pub(super) protocol_type: String,
    pub(super) protocol: String,
    pub(super) generation: i32,
    pub(super) leader: String,
    pub(super) members: BTreeMap<String, Member>,
    /// Ids given out whose owners have not joined yet, and until when they may.
    pub(super) pending: HashMap<String, Instant>,
    rebalance_deadline: Instant,
    /// Counts ended rebalances: a joiner waits for the next one.
    pub(super) rounds: u64,
    pub(super) stopping: bool,
}

impl Member {
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|(name, _)| name == protocol)
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }
}

impl Group {
    pub(super) fn new(protocol_type: &str) -> Self {
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
    pub(super) fn admit(&mut self, request: JoinRequest) -> Result<String, NotJoined> {
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

    pub(super) fn member_of_instance(&self, instance_id: &str) -> Option<String> {
        let found = self.members.iter().find(|(_, member)| member.instance_id.as_deref() == Some(instance_id));
        found.map(|(id, _)| id.clone())
    }

    pub(super) fn check_member(
        &self,
        generation: i32,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ResponseError> {
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

    pub(super) fn seen(&mut self, member_id: &str) {
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

    pub(super) fn member_gone(&mut self) {
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
    pub(super) fn apply_deadlines(&mut self) {
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

    pub(super) fn next_deadline(&self) -> Instant {
        let sessions = self.members.values().filter(|member| !member.joined);
        let sessions = sessions.map(|member| member.last_seen + member.session_timeout);
        let rebalance = (self.state == GroupState::PreparingRebalance).then_some(self.rebalance_deadline);
        let bound = Instant::now() + Duration::from_secs(60);
        sessions.chain(self.pending.values().copied()).chain(rebalance).fold(bound, Instant::min)
    }

    /// Ends the rebalance when everyone it waits for has joined.
    pub(super) fn try_end_rebalance(&mut self) {
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

    pub(super) fn joined(&self, member_id: &str) -> Joined {
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
