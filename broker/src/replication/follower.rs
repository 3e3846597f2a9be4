//! What a follower fetches, and what an answer does to its log.
//!
//! **Position.** A follower asks for the offset behind its log and tells the epoch of its last record; by that the leader finds out
//! whether the two logs agree (KIP-320, in the Fetch request itself as in KIP-595). With the offset it vouches for everything
//! below: it therefore does not ask while something in its log is not durable.
//!
//! **Truncation** is by epoch, never to the high watermark (KIP-101): the leader names the newest epoch up to the asked one that it
//! has, and where that ends. The follower cuts to where both agree, step by step if it does not know that epoch (KIP-279). It never
//! cuts below the high watermark it knows: a leader that lacks committed records is wrong, and the partition stops here instead
//! (invariant 2). Only where somebody has elected a leader that may lack some does it cut what its log has of the time before.
//!
//! **High watermark and log start** are the leader's, as far as this log reaches, and only of an answer that proved that the logs agree
//! (KAFKA-14704).
//!
//! Leader and epoch are those of the newest assignment; answers to what was asked before it are ignored.

use std::ops::Range;
use std::time::Duration;

/// First pause after an error; it doubles with each one. Mostly the error is that a new leader has not heard of itself yet, and producers wait until
/// it is asked again: doubling, what they wait in vain is as long as the leader took, at most.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The log of a follower, as far as the rules look at it.
pub trait ReplicaLog {
    /// First offset.
    fn start(&self) -> i64;
    /// Offset of the next record.
    fn end(&self) -> i64;
    /// End of what is durable.
    fn durable_end(&self) -> i64;
    /// Leader epoch of the last record.
    fn last_epoch(&self) -> Option<i32>;
    /// The newest epoch that is not above `epoch`, and where it ends; `None` when `epoch` is above all.
    fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)>;
}

/// What is asked of the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FetchPosition {
    /// The epoch of the leader that is asked.
    pub leader_epoch: i32,
    /// End of this log, all of it durable.
    pub offset: i64,
    /// Epoch of the record before it, -1 when there is none.
    pub last_epoch: i32,
    /// First offset of this log.
    pub log_start: i64,
}

/// One batch of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSpan {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Offset behind its last record.
    pub next_offset: i64,
    /// Leader epoch it was appended under.
    pub epoch: i32,
}

/// What the leader said beside records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objection {
    /// The logs stop to agree: the newest epoch up to the asked one that the leader has, and where it ends.
    Diverging {
        /// That epoch.
        epoch: i32,
        /// Where it ends in the leader's log.
        end_offset: i64,
    },
    /// The offset is not in the leader's log, which begins at `log_start`.
    OutOfRange {
        /// First offset of the leader's log.
        log_start: i64,
    },
    /// The leader knows a newer epoch: so will this node (FENCED_LEADER_EPOCH).
    Fenced,
    /// Anything else, or no answer at all: try again later.
    Failed,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the log has to follow"]
pub enum Step {
    /// Nothing: the answer is to an older question, or it is to be asked again after a pause.
    Nothing,
    /// Append these batches of the answer (none, maybe), then call [`Follower::on_appended`].
    Append(Range<usize>),
    /// Cut the log to end at this offset.
    Truncate(i64),
    /// Cut the log to end at this offset, or begin there, after an unclean election: what was committed of that, up to the high watermark at
    /// least, is lost.
    CutAfterUnclean {
        /// New end.
        offset: i64,
        /// What was known to be committed.
        high_watermark: i64,
    },
    /// Empty the log; it begins at this offset.
    StartOver(i64),
    /// Stop the partition and tell people.
    Stop(Halt),
}

/// Why a partition must not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Halt {
    /// The leader lacks records that were committed.
    #[error("the leader's log ends at {offset}, but everything below {high_watermark} was committed")]
    BelowHighWatermark {
        /// Where the log would have to end.
        offset: i64,
        /// What is known to be committed.
        high_watermark: i64,
    },
}

/// What changed with an append.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The new high watermark, if it moved.
    pub high_watermark: Option<i64>,
    /// The log is to begin at this offset.
    pub log_start: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Fetching,
    /// Until the time, after so many failures.
    Pausing(Duration),
    /// The next assignment will say who leads.
    Fenced,
    Stopped,
}

/// The state of one follower in one leader epoch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Follower {
    leader_epoch: i32,
    unclean_epoch: i32,
    high_watermark: i64,
    phase: Phase,
    failures: u32,
    max_pause: Duration,
}

impl Follower {
    /// Follows the leader of an epoch. `high_watermark` is what this node knows from before; `max_pause` is
    /// `replica.fetch.backoff.ms`.
    pub fn new(leader_epoch: i32, high_watermark: i64, max_pause: Duration) -> Self {
        Self { leader_epoch, unclean_epoch: -1, high_watermark, phase: Phase::Fetching, failures: 0, max_pause }
    }

    /// Somebody has elected the leader of `unclean_epoch` although it might lack committed records; -1 for nobody.
    #[must_use]
    pub fn after_unclean(mut self, unclean_epoch: i32) -> Self {
        self.unclean_epoch = unclean_epoch;
        self
    }

    /// What is known to be committed.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// What to ask the leader for, if it is to be asked now.
    pub fn next_fetch(&self, log: &impl ReplicaLog, now: Duration) -> Option<FetchPosition> {
        let ready = match self.phase {
            Phase::Fetching => true,
            Phase::Pausing(until) => now >= until,
            Phase::Fenced | Phase::Stopped => false,
        };
        let end = log.end();
        (ready && log.durable_end() >= end).then(|| FetchPosition {
            leader_epoch: self.leader_epoch,
            offset: end,
            last_epoch: log.last_epoch().unwrap_or(-1),
            log_start: log.start(),
        })
    }

    /// When it may be asked again, if it pauses.
    pub fn paused_until(&self) -> Option<Duration> {
        match self.phase {
            Phase::Pausing(until) => Some(until),
            _ => None,
        }
    }

    /// The leader sent batches: the logs agree up to the asked offset.
    pub fn on_records(&mut self, asked: &FetchPosition, batches: &[BatchSpan], log: &impl ReplicaLog) -> Step {
        if !self.is_current(asked, log) {
            return Step::Nothing;
        }
        (self.phase, self.failures) = (Phase::Fetching, 0);
        // The batch at the begin may be one that this log has; one of a newer leader is none of this leader's business.
        let first = batches.partition_point(|batch| batch.next_offset <= asked.offset);
        let usable = batches[first..].iter().take_while(|batch| batch.epoch <= self.leader_epoch);
        let last = first + usable.count();
        Step::Append(first..last)
    }

    /// The batches of the last answer are appended; with it came the leader's high watermark and log start.
    pub fn on_appended(&mut self, high_watermark: i64, log_start: i64, log: &impl ReplicaLog) -> Progress {
        let known = high_watermark.min(log.end());
        let moved = known > self.high_watermark;
        self.high_watermark = self.high_watermark.max(known);
        let log_start = log_start.min(self.high_watermark);
        Progress { high_watermark: moved.then_some(known), log_start: (log_start > log.start()).then_some(log_start) }
    }

    /// The leader objected.
    pub fn on_objection(
        &mut self,
        asked: &FetchPosition,
        objection: Objection,
        log: &impl ReplicaLog,
        now: Duration,
    ) -> Step {
        if !self.is_current(asked, log) {
            return Step::Nothing;
        }
        match objection {
            Objection::Diverging { epoch, end_offset } => self.diverged(epoch, end_offset, log, now),
            Objection::OutOfRange { log_start } if log_start > log.end() => {
                (self.phase, self.failures) = (Phase::Fetching, 0);
                self.high_watermark = log_start;
                Step::StartOver(log_start)
            }
            Objection::Fenced => {
                self.phase = Phase::Fenced;
                Step::Nothing
            }
            Objection::OutOfRange { .. } | Objection::Failed => self.pause(now),
        }
    }

    /// Work on this node failed (an append, a truncation): it is tried again.
    pub fn on_failure(&mut self, now: Duration) {
        let _ = self.pause(now);
    }

    fn diverged(&mut self, epoch: i32, end_offset: i64, log: &impl ReplicaLog, now: Duration) -> Step {
        let agreed = match log.end_of_epoch(epoch) {
            // Both have that epoch: they agree up to where the shorter one ends.
            Some((own, own_end)) if own == epoch => own_end.min(end_offset),
            // Not that one but an older one: what is behind it goes, and the leader is asked for that one.
            Some((_, own_end)) => own_end,
            None => end_offset,
        };
        let offset = agreed.min(log.end());
        if end_offset < 0 || offset >= log.end() {
            return self.pause(now);
        }
        let high_watermark = self.high_watermark;
        // A log that has followed the leader of that epoch, or one after it, knows what has been committed since.
        let is_older = log.last_epoch().is_some_and(|last| last < self.unclean_epoch);
        if is_older {
            self.high_watermark = high_watermark.min(offset);
            (self.phase, self.failures) = (Phase::Fetching, 0);
            return Step::CutAfterUnclean { offset, high_watermark };
        }
        if offset < high_watermark {
            self.phase = Phase::Stopped;
            return Step::Stop(Halt::BelowHighWatermark { offset, high_watermark });
        }
        (self.phase, self.failures) = (Phase::Fetching, 0);
        if offset < log.start() { Step::StartOver(offset) } else { Step::Truncate(offset) }
    }

    fn is_current(&self, asked: &FetchPosition, log: &impl ReplicaLog) -> bool {
        let stopped = matches!(self.phase, Phase::Fenced | Phase::Stopped);
        let place = (asked.offset, asked.last_epoch);
        !stopped && asked.leader_epoch == self.leader_epoch && place == (log.end(), log.last_epoch().unwrap_or(-1))
    }

    fn pause(&mut self, now: Duration) -> Step {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(self.max_pause);
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::Pausing(now.saturating_add(pause));
        Step::Nothing
    }
}

#[cfg(test)]
mod tests;
