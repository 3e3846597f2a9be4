//! Who has what while a plan is being made.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;

use super::{Limits, Load, PartitionLoad, Plan, Reason, ReplicaChange, Standing};

/// A cluster as it will be when the plan is carried out.
pub(super) struct State<'a> {
    pub(super) load: &'a Load,
    pub(super) limits: &'a Limits,
    /// Replicas of each partition.
    pub(super) replicas: Vec<Vec<i32>>,
    /// Partitions that each broker has.
    pub(super) held: BTreeMap<i32, BTreeSet<usize>>,
    /// Partitions whose preferred leader each broker is.
    pub(super) preferred: BTreeMap<i32, BTreeSet<usize>>,
    bytes: BTreeMap<i32, u64>,
    /// Of each topic, by number.
    topics: Vec<usize>,
    held_of: BTreeMap<(i32, usize), usize>,
    preferred_of: BTreeMap<(i32, usize), usize>,
    receiving: BTreeMap<i32, usize>,
    changed: BTreeMap<usize, Reason>,
    stuck: Vec<(ByteString, i32, Reason)>,
}

impl<'a> State<'a> {
    pub(super) fn new(load: &'a Load, limits: &'a Limits) -> Self {
        let mut numbers: BTreeMap<&ByteString, usize> = BTreeMap::new();
        let topics = load.partitions.iter().map(|partition| {
            let next = numbers.len();
            *numbers.entry(&partition.topic).or_insert(next)
        });
        let mut state = State {
            load,
            limits,
            topics: topics.collect(),
            replicas: load.partitions.iter().map(|partition| partition.replicas.clone()).collect(),
            held: load.brokers.keys().map(|id| (*id, BTreeSet::new())).collect(),
            preferred: load.brokers.keys().map(|id| (*id, BTreeSet::new())).collect(),
            bytes: BTreeMap::new(),
            held_of: BTreeMap::new(),
            preferred_of: BTreeMap::new(),
            receiving: BTreeMap::new(),
            changed: BTreeMap::new(),
            stuck: Vec::new(),
        };
        for (at, partition) in load.partitions.iter().enumerate() {
            partition.replicas.iter().for_each(|replica| state.hold(at, *replica));
            state.prefer(at);
            for adding in &partition.adding {
                *state.receiving.entry(*adding).or_default() += 1;
            }
        }
        state
    }

    fn hold(&mut self, at: usize, broker: i32) {
        if self.held.entry(broker).or_default().insert(at) {
            *self.bytes.entry(broker).or_default() += self.load.partitions[at].bytes;
            *self.held_of.entry((broker, self.topics[at])).or_default() += 1;
        }
    }

    fn release(&mut self, at: usize, broker: i32) {
        if self.held.get_mut(&broker).is_some_and(|held| held.remove(&at)) {
            let bytes = self.bytes.entry(broker).or_default();
            *bytes = bytes.saturating_sub(self.load.partitions[at].bytes);
            let of = self.held_of.entry((broker, self.topics[at])).or_default();
            *of = of.saturating_sub(1);
        }
    }

    fn prefer(&mut self, at: usize) {
        let Some(first) = self.replicas[at].first().copied() else { return };
        self.preferred.entry(first).or_default().insert(at);
        *self.preferred_of.entry((first, self.topics[at])).or_default() += 1;
    }

    fn prefer_no_more(&mut self, at: usize) {
        let Some(first) = self.replicas[at].first().copied() else { return };
        self.preferred.entry(first).or_default().remove(&at);
        let of = self.preferred_of.entry((first, self.topics[at])).or_default();
        *of = of.saturating_sub(1);
    }

    pub(super) fn partition(&self, at: usize) -> &'a PartitionLoad {
        &self.load.partitions[at]
    }

    /// Brokers that are kept even.
    pub(super) fn members(&self) -> Vec<i32> {
        let serving = self.load.brokers.iter().filter(|(_, broker)| broker.standing == Standing::Serving);
        serving.map(|(id, _)| *id).collect()
    }

    pub(super) fn standing(&self, broker: i32) -> Standing {
        self.load.brokers.get(&broker).map_or(Standing::Lost, |broker| broker.standing)
    }

    pub(super) fn rack(&self, broker: i32) -> Option<&'a ByteString> {
        self.load.brokers.get(&broker).and_then(|broker| broker.rack.as_ref())
    }

    pub(super) fn bytes_of(&self, broker: i32) -> u64 {
        self.bytes.get(&broker).copied().unwrap_or(0)
    }

    /// Replicas that a broker has of the topic of a partition.
    pub(super) fn held_of(&self, broker: i32, at: usize) -> usize {
        self.held_of.get(&(broker, self.topics[at])).copied().unwrap_or(0)
    }

    /// Partitions of the topic of a partition whose preferred leader a broker is.
    pub(super) fn preferred_of(&self, broker: i32, at: usize) -> usize {
        self.preferred_of.get(&(broker, self.topics[at])).copied().unwrap_or(0)
    }

    /// Whether there is room for so many more changes.
    pub(super) fn has_room(&self, more: usize) -> bool {
        self.changed.len().saturating_add(more) <= self.limits.changes
    }

    /// Whether a partition may change to make brokers even: nothing happens to it already, and it is whole enough to go on meanwhile.
    pub(super) fn may_change(&self, at: usize) -> bool {
        let partition = self.partition(at);
        !partition.moving && partition.leader >= 0 && !self.changed.contains_key(&at)
    }

    /// Whether a broker may get a replica now.
    pub(super) fn may_receive(&self, broker: i32) -> bool {
        self.receiving.get(&broker).copied().unwrap_or(0) < self.limits.per_broker
    }

    /// Whether a broker can have a replica at all.
    pub(super) fn can_have(&self, broker: i32, at: usize) -> bool {
        let Some(load) = self.load.brokers.get(&broker) else { return false };
        let room = load.free_bytes.is_none_or(|free| free > self.partition(at).bytes);
        load.standing == Standing::Serving && room && !self.replicas[at].contains(&broker)
    }

    /// Racks that a partition is in when `to` takes the place of `from`.
    pub(super) fn racks_after(&self, at: usize, from: i32, to: i32) -> usize {
        let after = self.replicas[at].iter().map(|replica| if *replica == from { to } else { *replica });
        after.map(|replica| self.rack(replica)).collect::<BTreeSet<_>>().len()
    }

    /// Racks that a partition is in.
    pub(super) fn racks_now(&self, at: usize) -> usize {
        self.replicas[at].iter().map(|replica| self.rack(*replica)).collect::<BTreeSet<_>>().len()
    }

    /// Whether a replica may go from one broker to another to make them even.
    pub(super) fn may_move(&self, at: usize, from: i32, to: i32) -> bool {
        self.may_change(at)
            && self.can_have(to, at)
            && self.may_receive(to)
            && self.racks_after(at, from, to) >= self.racks_now(at)
    }

    /// `to` takes the place of `from`.
    pub(super) fn exchange(&mut self, at: usize, from: i32, to: i32, reason: Reason) {
        let Some(place) = self.replicas[at].iter().position(|replica| *replica == from) else { return };
        self.prefer_no_more(at);
        self.replicas[at][place] = to;
        self.prefer(at);
        self.release(at, from);
        self.hold(at, to);
        *self.receiving.entry(to).or_default() += 1;
        self.changed.entry(at).or_insert(reason);
    }

    /// Another of the replicas becomes the preferred leader.
    pub(super) fn lead(&mut self, at: usize, to: i32, reason: Reason) {
        let Some(place) = self.replicas[at].iter().position(|replica| *replica == to) else { return };
        self.prefer_no_more(at);
        self.replicas[at].swap(0, place);
        self.prefer(at);
        self.changed.entry(at).or_insert(reason);
    }

    pub(super) fn stuck(&mut self, at: usize, reason: Reason) {
        let partition = self.partition(at);
        self.stuck.push((partition.topic.clone(), partition.partition, reason));
    }

    pub(super) fn into_plan(self) -> Plan {
        let changes = self.changed.iter().map(|(at, reason)| {
            let partition = &self.load.partitions[*at];
            ReplicaChange {
                topic: partition.topic.clone(),
                partition: partition.partition,
                from: partition.replicas.clone(),
                to: self.replicas[*at].clone(),
                reason: reason.clone(),
                bytes: partition.bytes,
            }
        });
        Plan { changes: changes.collect(), stuck: self.stuck }
    }
}
