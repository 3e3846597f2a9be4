//! Who leads a partition, and what a broker's coming and going changes.
//!
//! Pure rules on one partition. A leader must be alive and in sync; a replica outside the ISR leads only when it is an eligible
//! leader replica (KIP-966), or when the topic allows unclean elections.

use crate::{
    image::{NO_LEADER, PartitionImage},
    record::{NO_LEADER_CHANGE, PartitionChangeRecord},
};
use goatq_protocol::Uuid;

/// Which leader is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Any: the present one stays if it can.
    Any,
    /// The first replica, if it can; otherwise as [`Wanted::Any`].
    Preferred,
    /// Any, and if no replica in sync is alive, one that may lack acknowledged records.
    Unclean,
}

/// What an election chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elected {
    /// The leader; [`NO_LEADER`] when nobody can lead.
    pub leader: i32,
    /// Whether it may lack acknowledged records: the ISR then starts anew with it alone.
    pub unclean: bool,
}

/// Elects a leader among the replicas of which `alive` says that they may lead.
pub fn elect(partition: &PartitionImage, alive: impl Fn(i32) -> bool, wanted: Wanted) -> Elected {
    let clean = |replica: i32| alive(replica) && (partition.isr.contains(&replica) || partition.elr.contains(&replica));
    let elected = |leader| Elected { leader, unclean: false };
    if wanted == Wanted::Preferred && clean(partition.preferred_leader()) {
        return elected(partition.preferred_leader());
    }
    if partition.has_leader() && alive(partition.leader) && partition.isr.contains(&partition.leader) {
        return elected(partition.leader);
    }
    let in_order = |eligible: &[i32]| {
        partition.replicas.iter().copied().find(|replica| eligible.contains(replica) && alive(*replica))
    };
    if let Some(leader) = in_order(&partition.isr).or_else(|| in_order(&partition.elr)) {
        return elected(leader);
    }
    let desperate = in_order(&partition.last_known_elr).or_else(|| in_order(&partition.replicas));
    match desperate {
        Some(leader) if wanted == Wanted::Unclean => Elected { leader, unclean: true },
        _ => elected(NO_LEADER),
    }
}

/// What becomes of a partition, to be written as one record.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    before: &'a PartitionImage,
    after: PartitionImage,
    /// The leader starts over: its epoch grows even if it stays the same.
    restarted: bool,
}

impl<'a> Change<'a> {
    /// Nothing yet.
    pub fn of(partition: &'a PartitionImage) -> Self {
        Change { before: partition, after: partition.clone(), restarted: false }
    }

    /// A replica is gone (fenced, restarted or unregistered): it leaves the ISR unless it is the last one in it, and if it led,
    /// another leads as far as `alive` allows. `alive` must say no to the replica itself.
    #[must_use]
    pub fn gone(mut self, replica: i32, alive: impl Fn(i32) -> bool) -> Self {
        if self.after.isr.len() > 1 && self.after.isr.contains(&replica) {
            self.after.isr.retain(|other| *other != replica);
        }
        if self.after.leader == replica {
            self.restarted = true;
            self.elect(alive, Wanted::Any);
        }
        self
    }

    /// A replica may lead again: it does so when the partition has no leader and the replica is in sync.
    #[must_use]
    pub fn ready(mut self, alive: impl Fn(i32) -> bool) -> Self {
        if !self.after.has_leader() {
            self.elect(alive, Wanted::Any);
        }
        self
    }

    /// Holds an election.
    pub fn elect(&mut self, alive: impl Fn(i32) -> bool, wanted: Wanted) {
        let elected = elect(&self.after, alive, wanted);
        self.after.leader = elected.leader;
        if elected.leader == NO_LEADER {
            return;
        }
        if elected.unclean {
            self.after.isr = vec![elected.leader];
        } else if !self.after.isr.contains(&elected.leader) {
            self.after.isr.push(elected.leader);
        }
        self.after.elr.retain(|replica| *replica != elected.leader);
        if elected.unclean {
            self.after.elr.clear();
        }
        self.after.last_known_elr.clear();
    }

    /// The record that carries it out; `None` when nothing changes.
    pub fn record(self, topic_id: Uuid, partition_id: i32) -> Option<PartitionChangeRecord> {
        let leads_anew = self.before.leader != self.after.leader || (self.restarted && self.after.has_leader());
        let changed = |before: &Vec<i32>, after: Vec<i32>| (*before != after).then_some(after);
        let record = PartitionChangeRecord {
            topic_id,
            partition_id,
            leader: if leads_anew { self.after.leader } else { NO_LEADER_CHANGE },
            isr: changed(&self.before.isr, self.after.isr),
            elr: changed(&self.before.elr, self.after.elr),
            last_known_elr: changed(&self.before.last_known_elr, self.after.last_known_elr),
            ..PartitionChangeRecord::default()
        };
        let nothing = PartitionChangeRecord { topic_id, partition_id, ..PartitionChangeRecord::default() };
        (record != nothing).then_some(record)
    }
}

#[cfg(test)]
mod tests;
