//! What the leader of a partition knows of its replicas, and what follows for the high watermark and the in-sync replicas.
//!
//! **High watermark.** The least durable end over the *maximal* ISR: what the controller decided plus what this leader has asked it
//! to add and may have been added already (KIP-497). It never goes back (invariant 3), stands still while fewer replicas than
//! `min.insync.replicas` are in sync (KIP-966: so replicas that were in sync last still have all of it), and waits for
//! replicas that keep up and are about to join, or they never could. A topic that opted out of syncing by
//! `durability=page-cache` counts as durable what is appended: its log says so, nothing differs here.
//!
//! **ISR.** A replica that has not caught up for `replica.lag.time.max.ms` leaves; one that has reached the high watermark and the
//! begin of this leader's epoch joins, if the controller would have it: not fenced, not stopping, and the same process that fetched
//! (KIP-903). Both are proposals: what counts is what the controller answers. See `isr.rs`. Who alone holds up all others leaves sooner, if
//! they are enough: a replica, the leader or a follower, that takes a quarter of that time to sync what all others in sync have. Where it is
//! the leader, one of them leads then. The high watermark waits for nobody to join who takes a fifteenth of that time to catch up:
//! who left because of a slow disk would hold up the others all the same.
//!
//! A leader lives for one leader epoch. Whoever is deposed drops it, and with it everybody who waits for it.

mod isr;

use std::collections::BTreeMap;
use std::time::Duration;

use super::follower::ReplicaLog;
pub use isr::{IsrAnswer, IsrProposal};
use isr::{IsrState, Pending};

/// Whether the log of a reader that is at `offset`, behind a record of `last_epoch`, has parted from one in which the newest epoch up
/// to `last_epoch` is `epoch` and ends at `end_offset` (KIP-320).
pub fn has_diverged(offset: i64, last_epoch: i32, (epoch, end_offset): (i32, i64)) -> bool {
    epoch < last_epoch || end_offset < offset
}

/// Broker epoch of a replica that did not say which process it is.
pub(crate) const UNKNOWN_EPOCH: i64 = -1;

/// What the metadata says of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The epoch of its registration.
    pub epoch: i64,
    /// It is neither fenced nor about to stop.
    pub may_join: bool,
}

/// Where a leader starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderStart {
    /// This node.
    pub node: i32,
    /// The leader epoch.
    pub epoch: i32,
    /// End of its log: its epoch begins there.
    pub log_end: i64,
    /// End of what is durable in it.
    pub durable_end: i64,
    /// What it knows from before, at most the end of the log.
    pub high_watermark: i64,
    /// `min.insync.replicas`.
    pub min_insync: usize,
    /// `replica.lag.time.max.ms`.
    pub max_lag: Duration,
}

/// What the controller decided about the replicas of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicas<'a> {
    /// Grows with each decision.
    pub partition_epoch: i32,
    /// All replicas.
    pub replicas: &'a [i32],
    /// Those in sync.
    pub isr: &'a [i32],
}

/// A follower asks for records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerFetch {
    /// The follower.
    pub node: i32,
    /// The epoch of its registration, -1 if it did not say.
    pub broker_epoch: i64,
    /// The offset it asks for: it vouches for everything below.
    pub offset: i64,
}

/// Why a follower is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FollowerRefusal {
    /// It is not one of the replicas, as far as this leader knows.
    #[error("the fetching broker is no replica of the partition")]
    NotAReplica,
    /// It was registered anew since it sent this (KIP-903).
    #[error("the fetching broker has been registered anew")]
    StaleBroker,
}

/// What an event brings about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "who waits for the high watermark has to be told, and proposals have to be sent"]
pub struct Effects {
    /// The new high watermark, if it moved.
    pub high_watermark: Option<i64>,
    /// To be sent to the controller; its answer goes to [`Leader::on_isr_answer`].
    pub proposal: Option<IsrProposal>,
}

impl Effects {
    fn moved(high_watermark: Option<i64>) -> Self {
        Self { high_watermark, proposal: None }
    }
}

/// How far a follower is, for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerState {
    /// The broker.
    pub node: i32,
    /// End of what it vouches for.
    pub end: i64,
    /// When it had last caught up; `None` for never.
    pub caught_up: Option<Duration>,
}

/// What the leader knows of one follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Follower {
    /// End of what it vouches for; `None` before its first fetch in this epoch.
    end: Option<i64>,
    broker_epoch: i64,
    /// When it fetched last, and where this leader's log ended then: who asks for that offset next time had caught up then.
    fetched: Duration,
    fetched_log_end: i64,
    /// When it had last caught up; `None` for never.
    caught_up: Option<Duration>,
    /// Not in sync yet, but keeping up: the high watermark waits for it.
    joining: bool,
}

impl Follower {
    const fn unknown(caught_up: Option<Duration>) -> Self {
        Self {
            end: None,
            broker_epoch: UNKNOWN_EPOCH,
            fetched: Duration::ZERO,
            fetched_log_end: i64::MAX,
            caught_up,
            joining: false,
        }
    }

    fn on_fetch(&mut self, fetch: FollowerFetch, log_end: i64, now: Duration) {
        if fetch.offset >= log_end {
            self.caught_up = self.caught_up.max(Some(now));
        } else if fetch.offset >= self.fetched_log_end {
            self.caught_up = self.caught_up.max(Some(self.fetched));
        }
        (self.end, self.broker_epoch) = (Some(fetch.offset), fetch.broker_epoch);
        (self.fetched, self.fetched_log_end) = (now, log_end);
    }

    /// Whether it keeps up: is at the end of the log, or was within `max_lag`.
    fn keeps_up(&self, log_end: i64, max_lag: Duration, now: Duration) -> bool {
        self.end == Some(log_end) || self.caught_up.is_some_and(|at| now.saturating_sub(at) <= max_lag)
    }

    /// Whether it is the process that the controller knows, and may join.
    fn is_eligible(&self, standing: Option<Standing>) -> bool {
        standing.is_some_and(|standing| standing.may_join && standing.epoch == self.broker_epoch)
    }
}

/// The state of one leader in one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Leader {
    node: i32,
    epoch: i32,
    epoch_start: i64,
    durable_end: i64,
    high_watermark: i64,
    min_insync: usize,
    max_lag: Duration,
    followers: BTreeMap<i32, Follower>,
    isr: IsrState,
    /// Who held up all others when that was looked at last.
    behind: Option<Behind>,
}

/// A replica in sync that has not synced what all others in sync have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Behind {
    node: i32,
    /// The others had synced up to here.
    goal: i64,
    since: Duration,
}

/// In this part of `replica.lag.time.max.ms` a replica syncs what all others in sync have synced, or leaves.
const SLOW: u32 = 4;
/// In this part of it a replica that is to join catches up, or is not waited for.
const JOINS: u32 = 15;

impl Leader {
    /// Becomes leader of `replicas`, whose ends are unknown until they fetch.
    pub fn new(start: LeaderStart, replicas: Replicas<'_>, now: Duration) -> (Self, Effects) {
        let mut leader = Self {
            node: start.node,
            epoch: start.epoch,
            epoch_start: start.log_end,
            durable_end: start.durable_end,
            high_watermark: start.high_watermark,
            min_insync: start.min_insync,
            max_lag: start.max_lag,
            followers: BTreeMap::new(),
            isr: IsrState::new(replicas.partition_epoch, replicas.isr),
            behind: None,
        };
        leader.set_followers(replicas, now);
        let moved = leader.advance();
        (leader, Effects::moved(moved))
    }

    /// The leader epoch.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// End of the log when this node became leader: its own epoch begins there.
    pub fn epoch_start(&self) -> i64 {
        self.epoch_start
    }

    /// The high watermark.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// Whether there are no followers.
    pub fn is_alone(&self) -> bool {
        self.followers.is_empty()
    }

    /// Replicas that the controller knows to be in sync, the leader included.
    pub fn in_sync(&self) -> usize {
        self.isr.committed().len()
    }

    /// Those replicas.
    pub fn isr(&self) -> &[i32] {
        self.isr.committed()
    }

    /// Followers in sync that vouched for everything below `offset`.
    pub fn followers_with(&self, offset: i64) -> impl Iterator<Item = FollowerState> + '_ {
        let in_sync = self.followers.iter().filter(|(id, _)| self.isr().contains(id));
        in_sync.filter_map(move |(id, follower)| {
            let end = follower.end.filter(|end| *end >= offset)?;
            Some(FollowerState { node: *id, end, caught_up: follower.caught_up })
        })
    }

    /// In-sync replicas that an append with `acks=all` needs: `min.insync.replicas`, but no more than there are replicas, or a
    /// topic with fewer could never be written.
    pub fn needed_in_sync(&self) -> usize {
        self.min_insync.min(1 + self.followers.len())
    }

    /// Whether what was committed was committed by too few: the ISR has shrunk since the append, even with those that may
    /// have joined by now.
    pub fn has_too_few(&self) -> bool {
        self.isr.maximal_len() < self.needed_in_sync()
    }

    /// Where the newest epoch that is not above `epoch` ends in this leader's log: that epoch and its end. The leader's own epoch
    /// begins where it became leader, also before its first record. `None` for an epoch that is not known yet.
    pub fn end_of_epoch(&self, epoch: i32, log: &impl ReplicaLog) -> Option<(i32, i64)> {
        if epoch == self.epoch {
            return Some((epoch, log.end()));
        }
        if epoch < 0 || epoch > self.epoch {
            return None;
        }
        match log.last_epoch() {
            Some(last) if last >= epoch => log.end_of_epoch(epoch),
            Some(last) => Some((last, self.epoch_start)),
            None => Some((epoch, self.epoch_start)),
        }
    }

    /// The controller decided anew, in the same leader epoch. An older decision than the known one changes nothing.
    pub fn on_replicas(&mut self, replicas: Replicas<'_>, now: Duration) -> Effects {
        if self.isr.decided(replicas.partition_epoch, replicas.isr) {
            self.set_followers(replicas, now);
        }
        Effects::moved(self.advance())
    }

    fn set_followers(&mut self, replicas: Replicas<'_>, now: Duration) {
        let old = std::mem::take(&mut self.followers);
        for id in replicas.replicas.iter().filter(|id| **id != self.node) {
            let in_sync = replicas.isr.contains(id);
            let mut follower = old.get(id).copied().unwrap_or(Follower::unknown(in_sync.then_some(now)));
            follower.joining &= !in_sync;
            self.followers.insert(*id, follower);
        }
    }

    /// The topic's `min.insync.replicas` changed.
    pub fn on_min_insync(&mut self, min_insync: usize) -> Effects {
        self.min_insync = min_insync;
        Effects::moved(self.advance())
    }

    /// Records became durable here.
    pub fn on_durable(&mut self, durable_end: i64) -> Option<i64> {
        self.durable_end = self.durable_end.max(durable_end);
        self.advance()
    }

    /// A follower asks for records. It must have been checked before that its log is a prefix of this one's (KIP-320): no
    /// diverging epoch, an offset within the log, which ends at `log_end`.
    ///
    /// # Errors
    /// See [`FollowerRefusal`]; nothing changed then.
    pub fn on_fetch(
        &mut self,
        fetch: FollowerFetch,
        log_end: i64,
        standing: Option<Standing>,
        now: Duration,
    ) -> Result<Effects, FollowerRefusal> {
        let follower = self.followers.get_mut(&fetch.node).ok_or(FollowerRefusal::NotAReplica)?;
        if fetch.broker_epoch != UNKNOWN_EPOCH && standing.is_some_and(|known| known.epoch > fetch.broker_epoch) {
            return Err(FollowerRefusal::StaleBroker);
        }
        follower.on_fetch(fetch, log_end, now);
        let outside = !self.isr.contains(fetch.node);
        let eligible = follower.is_eligible(standing);
        follower.joining = outside && eligible && follower.keeps_up(log_end, self.max_lag / JOINS, now);
        let high_watermark = self.advance();
        let caught_up = fetch.offset >= self.high_watermark && fetch.offset >= self.epoch_start;
        let joins = outside && eligible && caught_up && !self.isr.is_pending();
        let proposal = joins.then(|| {
            let mut isr = self.isr.committed().to_vec();
            isr.push(fetch.node);
            self.propose(&isr, Some(fetch.node))
        });
        Ok(Effects { high_watermark, proposal })
    }

    /// Time has passed: who lags leaves. To be called several times in `replica.lag.time.max.ms`.
    pub fn on_tick(&mut self, log_end: i64, standing: impl Fn(i32) -> Option<Standing>, now: Duration) -> Effects {
        for (id, follower) in &mut self.followers {
            let waited_for =
                follower.is_eligible(standing(*id)) && follower.keeps_up(log_end, self.max_lag / JOINS, now);
            follower.joining &= waited_for;
        }
        let lags = |id: &i32| {
            let follower = self.followers.get(id);
            follower.is_some_and(|follower| !follower.keeps_up(log_end, self.max_lag, now))
        };
        let (mut out, mut left): (Vec<i32>, Vec<i32>) = self.isr.committed().iter().partition(|id| lags(id));
        let slow = self.slow(&left, now);
        let others_can = |slow: &i32| left.iter().all(|id| id == slow || self.may_lead(*id, standing(*id)));
        if let Some(slow) = slow.filter(others_can) {
            out.extend(left.extract_if(.., |id| *id == slow));
        }
        let proposal = (!out.is_empty() && !self.isr.is_pending()).then(|| self.propose(&left, None));
        Effects { high_watermark: self.advance(), proposal }
    }

    /// The replica in sync that has not synced for long what all others in sync have, if those are enough.
    fn slow(&mut self, in_sync: &[i32], now: Duration) -> Option<i32> {
        let mut ends: Vec<(i64, i32)> = in_sync.iter().map(|id| (self.synced(*id), *id)).collect();
        ends.sort_unstable();
        let [(end, node), (goal, _), ..] = ends[..] else {
            self.behind = None;
            return None;
        };
        let alone = end < goal && ends.len() > self.needed_in_sync();
        match self.behind.filter(|behind| alone && behind.node == node && behind.goal > end) {
            Some(behind) => (now.saturating_sub(behind.since) >= self.max_lag / SLOW).then_some(node),
            None => {
                self.behind = alone.then_some(Behind { node, goal, since: now });
                None
            }
        }
    }

    /// How far a replica is known to have synced.
    fn synced(&self, id: i32) -> i64 {
        if id == self.node {
            return self.durable_end;
        }
        self.followers.get(&id).and_then(|follower| follower.end).unwrap_or(-1)
    }

    /// Whether a replica may lead, as far as this node knows.
    fn may_lead(&self, id: i32, standing: Option<Standing>) -> bool {
        id == self.node || self.followers.get(&id).is_some_and(|follower| follower.is_eligible(standing))
    }

    fn propose(&mut self, isr: &[i32], added: Option<i32>) -> IsrProposal {
        let epoch = |id: &i32| self.followers.get(id).map_or(UNKNOWN_EPOCH, |follower| follower.broker_epoch);
        let isr = isr.iter().map(|id| (*id, epoch(id))).collect();
        self.isr.propose(self.epoch, Pending { isr, added, attempt: 1 })
    }

    /// The controller answered a proposal, or did not in time.
    pub fn on_isr_answer(&mut self, asked: &IsrProposal, answer: IsrAnswer) -> Effects {
        if asked.leader_epoch != self.epoch {
            return Effects::default();
        }
        let proposal = self.isr.answered(self.epoch, asked, answer);
        for (id, follower) in &mut self.followers {
            follower.joining &= !self.isr.contains(*id);
        }
        Effects { high_watermark: self.advance(), proposal }
    }

    fn advance(&mut self) -> Option<i64> {
        if self.isr.committed().len() < self.needed_in_sync() {
            return None;
        }
        let counts = |id: &i32, follower: &Follower| follower.joining || self.isr.may_contain(*id);
        let counted = self.followers.iter().filter(|(id, follower)| counts(id, follower));
        let end = counted.map(|(_, follower)| follower.end.unwrap_or(-1)).fold(self.durable_end, i64::min);
        (end > self.high_watermark).then(|| {
            self.high_watermark = end;
            end
        })
    }
}

#[cfg(test)]
mod tests;
