//! Who leads a partition, and what a broker's coming and going changes.
//!
//! Pure rules on one partition. A leader must be alive and in sync; a replica outside the ISR leads only when it is an eligible
//! leader replica (KIP-966), or when somebody asks for an unclean election.
//!
//! **Eligible leader replicas.** While fewer replicas than `min.insync.replicas` are in sync the leader moves no high watermark, so
//! whoever left the ISR meanwhile, or last before, has all that was ever committed: it is in the ELR and may lead. Once enough replicas
//! are in sync again the ELR is empty.
//!
//! **A replica that comes back** ([`Returning`]) leaves the ISR. What becomes of it then depends on what it still has: with all of it, it may be
//! eligible; a replica that may have lost records is in neither, and if it was the last one in sync, those that are eligible take its
//! place. Where there are none it leads again (nobody has more), unless it came back with another disk, or an older copy of its own:
//! then others may have more than it has, and people decide.
//!
//! **Reassignment** (KIP-455). While it lasts, a partition has the replicas that it shall have and behind them those that it is to lose.
//! It ends when all that it shall have are in sync.

use crate::{
    image::{LOST_DIRECTORY, NO_LEADER, PartitionImage},
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
    let alive = |replica: i32| alive(replica) && !partition.is_lost(replica);
    let elected = |leader| Elected { leader, unclean: false };
    let preferred = partition.preferred_leader();
    if wanted == Wanted::Preferred && alive(preferred) && partition.isr.contains(&preferred) {
        return elected(preferred);
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
    // The last one known to have had everything came back without it.
    let others: Vec<i32> =
        partition.replicas.iter().copied().filter(|replica| !partition.last_known_elr.contains(replica)).collect();
    let desperate = in_order(&others).or_else(|| in_order(&partition.replicas));
    match desperate {
        Some(leader) if wanted == Wanted::Unclean => Elected { leader, unclean: true },
        _ => elected(NO_LEADER),
    }
}

/// What a replica still has whose process was started anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Returning {
    /// All that it acknowledged: its process ended in order, or what it acknowledged was synced.
    Complete,
    /// It may lack what it acknowledged without having synced it.
    Torn,
    /// Nothing that is known: its disk is not the one it had, or an older copy of that.
    Unknown,
}

/// The replicas of a partition while, or after, it is reassigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassigned {
    /// All of them: those it shall have in order of preference, and behind them those it is to lose.
    pub replicas: Vec<i32>,
    /// Those that come, in ascending order.
    pub adding: Vec<i32>,
    /// Those that go, in ascending order.
    pub removing: Vec<i32>,
}

impl Reassigned {
    /// What a partition is on its way to `target`. What an unfinished reassignment was adding and is not wanted any more goes at once:
    /// the replicas that the partition had before stay until the end.
    pub fn to(partition: &PartitionImage, target: &[i32]) -> Self {
        let had = partition.assigned_replicas();
        let without = |these: &[i32], those: &[i32]| {
            let mut left: Vec<i32> = these.iter().copied().filter(|replica| !those.contains(replica)).collect();
            left.sort_unstable();
            left
        };
        let (adding, removing) = (without(target, &had), without(&had, target));
        Reassigned { replicas: target.iter().chain(&removing).copied().collect(), adding, removing }
    }

    /// What a partition is when the reassignment under way is taken back.
    pub fn back(partition: &PartitionImage) -> Self {
        Reassigned { replicas: partition.assigned_replicas(), adding: Vec::new(), removing: Vec::new() }
    }
}

/// The directories of `replicas`: those that they have, or what `new` says.
fn directories(before: &PartitionImage, replicas: &[i32], new: impl Fn(i32) -> Uuid) -> Vec<Uuid> {
    let known = |replica: &i32| {
        let at = before.replicas.iter().position(|other| other == replica)?;
        before.directories.get(at).copied()
    };
    replicas.iter().map(|replica| known(replica).unwrap_or_else(|| new(*replica))).collect()
}

/// What becomes of a partition, to be written as one record.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    before: &'a PartitionImage,
    after: PartitionImage,
    min_insync: usize,
    /// The leader starts over: its epoch grows even if it stays the same.
    leads_again: bool,
    /// A replica that may have lost records.
    lossy: Option<i32>,
    unclean: bool,
}

impl<'a> Change<'a> {
    /// Nothing yet. `min_insync` is the topic's `min.insync.replicas`.
    pub fn of(partition: &'a PartitionImage, min_insync: usize) -> Self {
        let after = partition.clone();
        Change { before: partition, after, min_insync, leads_again: false, lossy: None, unclean: false }
    }

    /// A replica is gone (fenced, about to stop or unregistered): it leaves the ISR unless it is the last one in it, and if it led,
    /// another leads as far as `alive` allows. `alive` must say no to the replica itself.
    #[must_use]
    pub fn gone(mut self, replica: i32, alive: impl Fn(i32) -> bool) -> Self {
        if self.after.isr.len() > 1 && self.after.isr.contains(&replica) {
            self.after.isr.retain(|other| *other != replica);
        }
        if self.after.leader == replica {
            self.leads_again = true;
            self.elect(alive, Wanted::Any);
        }
        self
    }

    /// A replica is [gone](Self::gone) because its process was started anew, with what `returning` says.
    #[must_use]
    pub fn restarted(mut self, replica: i32, returning: Returning, alive: impl Fn(i32) -> bool) -> Self {
        if returning != Returning::Complete {
            self.lossy = Some(replica);
            self.after.elr.retain(|other| *other != replica);
            if self.after.isr == [replica] {
                let eligible = self.after.replicas.iter().find(|other| self.after.elr.contains(other));
                match eligible.copied() {
                    Some(other) => {
                        self.after.isr = vec![other];
                        self.after.elr.retain(|one| *one != other);
                    }
                    None if returning == Returning::Unknown && self.after.replicas.len() > 1 => {
                        self.after.isr.clear();
                        self.after.last_known_elr = vec![replica];
                    }
                    None => {}
                }
            }
        }
        self.gone(replica, alive)
    }

    /// A replica is in this directory of its broker.
    #[must_use]
    pub fn in_directory(mut self, replica: i32, directory: Uuid) -> Self {
        let at = self.after.replicas.iter().position(|other| *other == replica);
        if let Some(known) = at.and_then(|at| self.after.directories.get_mut(at)) {
            *known = directory;
        }
        self
    }

    /// Directories of a replica's broker have failed: if the replica is in one of them, it is lost and [gone](Self::gone).
    #[must_use]
    pub fn directories_lost(self, replica: i32, lost: &[Uuid], alive: impl Fn(i32) -> bool) -> Self {
        match self.after.directory(replica) {
            Some(directory) if lost.contains(&directory) => {
                self.in_directory(replica, LOST_DIRECTORY).gone(replica, alive)
            }
            _ => self,
        }
    }

    /// The leader's own idea of who is in sync is taken. A leader that leaves itself out gives up: another one leads.
    #[must_use]
    pub fn in_sync(mut self, isr: Vec<i32>, alive: impl Fn(i32) -> bool) -> Self {
        self.after.isr = isr;
        if self.after.has_leader() && !self.after.isr.contains(&self.after.leader) {
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

    /// The replicas shall be others: see [`Reassigned`]. `directory_of` says where a replica that comes puts its log. Those that leave at
    /// once leave the ISR; the caller has made sure that it does not become empty.
    #[must_use]
    pub fn reassigned(mut self, to: Reassigned, directory_of: impl Fn(i32) -> Uuid) -> Self {
        self.after.directories = directories(self.before, &to.replicas, directory_of);
        self.after.isr.retain(|replica| to.replicas.contains(replica));
        self.after.replicas = to.replicas;
        (self.after.adding_replicas, self.after.removing_replicas) = (to.adding, to.removing);
        self
    }

    /// A reassignment that has reached its end is ended, and who led without being one of the replicas any more is followed by another.
    /// To be called last.
    #[must_use]
    pub fn completed(mut self, alive: impl Fn(i32) -> bool) -> Self {
        let target = self.after.target_replicas();
        if self.after.is_reassigning() && target.iter().all(|replica| self.after.isr.contains(replica)) {
            self.after.isr.retain(|replica| target.contains(replica));
            self.after.directories = directories(&self.after, &target, |_| Uuid::ZERO);
            self.after.replicas = target;
            self.after.adding_replicas.clear();
            self.after.removing_replicas.clear();
        }
        if self.before.replicas.iter().any(|replica| !self.after.replicas.contains(replica)) {
            // Who is gone must not pass for a follower of this epoch.
            self.leads_again = true;
            if self.after.has_leader() && !self.after.isr.contains(&self.after.leader) {
                self.elect(alive, Wanted::Any);
            }
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
        self.unclean |= elected.unclean;
        if !self.after.isr.contains(&elected.leader) {
            // Nobody in sync is alive, or this one would not have been chosen.
            self.after.isr = vec![elected.leader];
        }
        self.after.last_known_elr.clear();
    }

    /// The directory that a replica is in after it; the zero id while its broker has not said.
    pub fn directory(&self, replica: i32) -> Uuid {
        self.after.directory(replica).unwrap_or(Uuid::ZERO)
    }

    /// Who leads after it.
    pub fn leader(&self) -> i32 {
        self.after.leader
    }

    /// Whether the leader may lack acknowledged records.
    pub fn is_unclean(&self) -> bool {
        self.unclean
    }

    /// Who is in sync after it.
    pub fn isr(&self) -> &[i32] {
        &self.after.isr
    }

    /// Whether the leader epoch grows: there is another leader, or the same one starts over.
    pub fn leads_anew(&self) -> bool {
        self.before.leader != self.after.leader || (self.leads_again && self.after.has_leader())
    }

    /// Who is eligible although not in sync.
    fn settle_elr(&mut self) {
        let needed = self.min_insync.min(self.after.replicas.len());
        if self.unclean || self.after.isr.len() >= needed {
            self.after.elr.clear();
            return;
        }
        let had_all = |replica: &i32| self.before.isr.contains(replica) || self.before.elr.contains(replica);
        let outside = |replica: &i32| !self.after.isr.contains(replica) && self.lossy != Some(*replica);
        self.after.elr = self.after.replicas.iter().copied().filter(|id| had_all(id) && outside(id)).collect();
    }

    /// The record that carries it out; `None` when nothing changes.
    pub fn record(mut self, topic_id: Uuid, partition_id: i32) -> Option<PartitionChangeRecord> {
        self.settle_elr();
        let leads_anew = self.leads_anew();
        let changed = |before: &Vec<i32>, after: Vec<i32>| (*before != after).then_some(after);
        let moved = self.before.directories != self.after.directories;
        let replicas = changed(&self.before.replicas, self.after.replicas);
        let record = PartitionChangeRecord {
            topic_id,
            partition_id,
            leader: if leads_anew { self.after.leader } else { NO_LEADER_CHANGE },
            isr: changed(&self.before.isr, self.after.isr),
            elr: changed(&self.before.elr, self.after.elr),
            last_known_elr: changed(&self.before.last_known_elr, self.after.last_known_elr),
            directories: (replicas.is_some() || moved).then_some(self.after.directories),
            replicas,
            unclean: self.unclean && leads_anew,
            adding_replicas: changed(&self.before.adding_replicas, self.after.adding_replicas),
            removing_replicas: changed(&self.before.removing_replicas, self.after.removing_replicas),
        };
        let nothing = PartitionChangeRecord { topic_id, partition_id, ..PartitionChangeRecord::default() };
        (record != nothing).then_some(record)
    }
}

#[cfg(test)]
mod tests;
