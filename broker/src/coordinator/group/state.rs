//! One classic group: its data and the invariants between its parts. What moves it is in the other files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use goatq_protocol::message::internal::{ConsumerProtocolSubscription, split_version};
use goatq_protocol::wire::Versioned;

use super::error::GroupError;
use super::member::{Member, own, own_protocols};
use super::records::StoredGroup;
use super::request::Protocol;

/// The protocol type of consumers; only its metadata is understood here.
const CONSUMER: &str = "consumer";

/// Where a group is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupState {
    /// No members; it may have offsets.
    Empty,
    /// Members join, or join again.
    PreparingRebalance,
    /// A generation has formed and waits for its leader's assignment.
    CompletingRebalance,
    /// Every member can have its assignment.
    Stable,
    /// There is no such group. Only ever shown, never stored.
    Dead,
}

impl GroupState {
    /// Kafka's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// What the join timer of a group is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JoinPhase {
    /// The first members of an empty group wait for more; this may be prolonged by `remaining`.
    Initial { delay: Duration, remaining: Duration },
    /// Members of the last generation are given time to join again.
    Rejoin,
}

/// A classic group. The live fields are what members see; `stored` is what the log says.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) id: ByteString,
    pub(super) state: GroupState,
    /// When `state` was entered, in wall time; unknown for groups made by a commit or stored by an old version.
    pub(super) since_ms: Option<i64>,
    /// Set in [`GroupState::PreparingRebalance`] after [`GroupState::Empty`].
    pub(super) join_phase: JoinPhase,
    /// A member joined since the initial delay was last prolonged.
    pub(super) prolong: bool,
    pub(super) generation: i32,
    /// Absent until the first member joins: a group that only commits is a "simple" one.
    pub(super) protocol_type: Option<ByteString>,
    pub(super) protocol: Option<ByteString>,
    /// Present exactly when there are members.
    pub(super) leader: Option<ByteString>,
    members: BTreeMap<ByteString, Member>,
    /// Member by instance id.
    statics: BTreeMap<ByteString, ByteString>,
    /// Ids that were handed out and did not join with yet.
    pub(super) pending_joins: BTreeSet<ByteString>,
    /// Members of the generation that did not ask for their assignment yet.
    pub(super) pending_syncs: BTreeSet<ByteString>,
    /// What the members of a consumer group consume, if that could be read.
    pub(super) topics: Option<BTreeSet<ByteString>>,
    /// Members with a JoinGroup that waits.
    joining: usize,
    /// By protocol name, how many members support it.
    support: BTreeMap<ByteString, usize>,
    /// The last record of the group in the log.
    pub(super) stored: Option<Arc<StoredGroup>>,
    /// The group became empty, and the log refused to take that.
    pub(super) unstored: bool,
}

impl Group {
    /// A group without members that nobody joined yet.
    pub(super) fn new(id: &ByteString, since_ms: Option<i64>) -> Self {
        Self {
            id: own(id),
            state: GroupState::Empty,
            since_ms,
            join_phase: JoinPhase::Rejoin,
            prolong: false,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            pending_joins: BTreeSet::new(),
            pending_syncs: BTreeSet::new(),
            topics: None,
            joining: 0,
            support: BTreeMap::new(),
            stored: None,
            unstored: false,
        }
    }

    /// The group as its record describes it: stable with its members, or empty.
    pub(super) fn from_stored(id: &ByteString, stored: &Arc<StoredGroup>) -> Self {
        let mut group = Self::new(id, stored.since_ms);
        group.generation = stored.generation;
        for member in &stored.members {
            group.protocol_type = stored.protocol_type.clone();
            group.insert(Member {
                id: member.id.clone(),
                instance: member.instance.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                session_timeout_ms: member.session_timeout_ms,
                protocols: vec![Protocol {
                    name: stored.protocol.clone().unwrap_or_default(),
                    metadata: member.subscription.clone(),
                }],
                assignment: member.assignment.clone(),
                joining: None,
                syncing: None,
                is_new: false,
            });
            group.state = GroupState::Stable;
        }
        group.protocol_type = stored.protocol_type.clone();
        group.protocol = stored.protocol.clone();
        if group.leader.is_some() && stored.leader.as_ref().is_some_and(|id| group.members.contains_key(id)) {
            group.leader = stored.leader.clone();
        }
        group.topics = group.read_topics();
        group.stored = Some(stored.clone());
        group
    }

    /// Enters a state.
    pub(super) fn enter(&mut self, state: GroupState, wall_ms: i64) {
        self.state = state;
        self.since_ms = Some(wall_ms);
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    pub(super) fn member_count(&self) -> usize {
        self.members.len()
    }

    pub(super) fn joining_count(&self) -> usize {
        self.joining
    }

    pub(super) fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    /// A member to change; not its `joining` and `protocols`, which [`Self::update`] keeps counts of.
    pub(super) fn member_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.members.get_mut(id)
    }

    pub(super) fn member_ids(&self) -> Vec<ByteString> {
        self.members.keys().cloned().collect()
    }

    pub(super) fn is_leader(&self, member: &str) -> bool {
        self.leader.as_ref().is_some_and(|leader| *leader == *member)
    }

    /// The member that holds an instance id.
    pub(super) fn static_member(&self, instance: &str) -> Option<&ByteString> {
        self.statics.get(instance)
    }

    pub(super) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_ref().is_some_and(|kind| *kind == *CONSUMER)
    }

    /// Whether everybody who may join has done so.
    pub(super) fn all_joined(&self) -> bool {
        self.joining == self.members.len() && self.pending_joins.is_empty()
    }

    /// Adds a member, which must not be one yet, with neither its id nor its instance id. The first one leads and
    /// decides the protocol type.
    pub(super) fn insert(&mut self, member: Member) {
        if let Some(instance) = &member.instance {
            self.statics.insert(instance.clone(), member.id.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        self.count(&member, true);
        self.pending_joins.remove(&member.id);
        self.members.insert(member.id.clone(), member);
    }

    /// Takes a member out, or an id that did not join yet. Another member leads if this one did.
    pub(super) fn remove(&mut self, id: &str) -> Option<Member> {
        self.pending_joins.remove(id);
        self.pending_syncs.remove(id);
        let member = self.members.remove(id)?;
        self.count(&member, false);
        if let Some(instance) = &member.instance {
            self.statics.remove(instance);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Changes what a join changes. The caller answers the join that waited before, if any.
    pub(super) fn update(&mut self, id: &str, change: impl FnOnce(&mut Member)) {
        if let Some(mut member) = self.members.remove(id) {
            self.count(&member, false);
            change(&mut member);
            self.count(&member, true);
            self.members.insert(member.id.clone(), member);
        }
    }

    /// Gives a static member another id; everything else stays.
    pub(super) fn rename(&mut self, old: &ByteString, new: &ByteString) {
        let Some(mut member) = self.members.remove(old) else { return };
        member.id = own(new);
        if let Some(instance) = &member.instance {
            self.statics.insert(instance.clone(), member.id.clone());
        }
        if self.is_leader(old) {
            self.leader = Some(member.id.clone());
        }
        if self.pending_syncs.remove(old) {
            self.pending_syncs.insert(member.id.clone());
        }
        self.members.insert(member.id.clone(), member);
    }

    fn count(&mut self, member: &Member, present: bool) {
        let step = |count: usize| if present { count.saturating_add(1) } else { count.saturating_sub(1) };
        if member.joining.is_some() {
            self.joining = step(self.joining);
        }
        for offer in &member.protocols {
            let count = step(self.support.get(&offer.name).copied().unwrap_or(0));
            if count == 0 {
                self.support.remove(&offer.name);
            } else {
                self.support.insert(offer.name.clone(), count);
            }
        }
    }

    /// Whether somebody with these protocols can be a member beside those who are.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_ref().is_some_and(|kind| *kind == *protocol_type)
            && protocols.iter().any(|offer| self.support_of(&offer.name) == self.members.len())
    }

    fn support_of(&self, protocol: &ByteString) -> usize {
        self.support.get(protocol).copied().unwrap_or(0)
    }

    /// The protocol for the next generation: every member votes for the first of its list that all support; the most
    /// votes win, and among equals what the leader likes best.
    pub(super) fn elect_protocol(&self) -> Option<ByteString> {
        let everybody = self.members.len();
        let mut votes: BTreeMap<&ByteString, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some(choice) = member.protocols.iter().find(|offer| self.support_of(&offer.name) == everybody) {
                *votes.entry(&choice.name).or_default() += 1;
            }
        }
        let most = votes.values().max().copied()?;
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        let by_leader = leader.into_iter().flat_map(|member| &member.protocols).map(|offer| &offer.name);
        by_leader.chain(votes.keys().copied()).find(|name| votes.get(name) == Some(&most)).cloned()
    }

    /// A leader among those who joined, the present one if possible. False when nobody joined.
    pub(super) fn elect_leader(&mut self) -> bool {
        let Some(leader) = self.leader.as_ref().and_then(|id| self.members.get(id)) else { return false };
        if leader.joining.is_some() {
            return true;
        }
        let next = self.members.values().find(|member| member.joining.is_some()).map(|member| member.id.clone());
        if let Some(next) = next {
            self.leader = Some(next);
            return true;
        }
        false
    }

    /// Whether a request comes from the member it says.
    pub(super) fn check_member(&self, member: &str, instance: Option<&ByteString>) -> Result<(), GroupError> {
        if let Some(instance) = instance {
            match self.statics.get(instance) {
                None => return Err(GroupError::UnknownMember),
                Some(holder) if *holder != *member => return Err(GroupError::FencedInstance),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(GroupError::UnknownMember) }
    }

    /// Time the members are given to join: the longest that one of them asks for.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        millis(self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0))
    }

    /// Whether offsets of a topic are in use. A consumer group whose subscriptions cannot be read uses them all.
    pub(super) fn is_subscribed(&self, topic: &str) -> bool {
        self.topics.as_ref().map_or(self.is_consumer_group(), |topics| topics.contains(topic))
    }

    /// What the members of a consumer group subscribe to under the present protocol.
    pub(super) fn read_topics(&self) -> Option<BTreeSet<ByteString>> {
        if !self.is_consumer_group() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        self.protocol.as_ref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            let metadata = member.metadata(self.protocol.as_ref());
            // Whatever its version, it begins with the topics, which is all that version 0 has.
            let (_, body) = split_version(metadata).ok()?;
            let subscription = ConsumerProtocolSubscription::from_bytes(body, 0).ok()?;
            topics.extend(subscription.topics.iter().map(own));
        }
        Some(topics)
    }

    /// The live group in the form of its record, with these assignments.
    pub(super) fn to_stored(&self, assignment: impl Fn(&Member) -> bytes::Bytes) -> StoredGroup {
        let members = self.members.values().map(|member| super::records::StoredMember {
            id: member.id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(self.protocol.as_ref()),
            assignment: assignment(member),
        });
        StoredGroup {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            since_ms: self.since_ms,
            members: members.collect(),
        }
    }
}

/// A duration from the wire; negative ones are none.
pub(super) fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// Replaces a member's protocols and timeouts by those of a join.
pub(super) fn adopt(member: &mut Member, protocols: &[Protocol], rebalance_timeout_ms: i32, session_timeout_ms: i32) {
    member.protocols = own_protocols(protocols);
    member.rebalance_timeout_ms = rebalance_timeout_ms;
    member.session_timeout_ms = session_timeout_ms;
}
