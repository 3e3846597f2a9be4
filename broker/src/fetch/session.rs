//! Incremental fetch sessions (KIP-227).
//!
//! A session remembers which partitions a client fetches and what it was last told about each, so that a request names
//! only what changed and a reply only what is new. Pure: time and fresh ids are arguments.
//!
//! A request is looked at twice: [`SessionCache::begin`] merges it into its session and says what to read,
//! [`SessionCache::finish`] takes what was read and says what to reply. Between the two nothing is locked.
//!
//! What a request costs follows from what changed. A partition that had nothing to tell is *quiet* as long as somebody watches it
//! for the session ([`Watches`]): it is not read and not told before the request names it anew or the watch does. What is
//! watched is lent to each request and comes back with its end; where it did not come back, nothing is quiet.

mod cache;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use goatq_protocol::Uuid;

use super::planner::Isolation;

pub use cache::{SessionCache, SessionConfig, SessionStats};

/// Id of "no session".
pub const NO_SESSION: i32 = 0;
/// Epoch of a request that wants a new session.
pub const INITIAL_EPOCH: i32 = 0;
/// Epoch of a request that wants no session.
pub const FINAL_EPOCH: i32 = -1;

/// A topic as the version of the request names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicKey {
    /// By name, up to version 12.
    Name(Arc<str>),
    /// By id, from version 13.
    Id(Uuid),
}

/// A partition in a session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionKey {
    /// Its topic.
    pub topic: TopicKey,
    /// Its index.
    pub partition: i32,
}

/// Where and how much a client wants to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// First offset wanted.
    pub fetch_offset: i64,
    /// Bytes wanted at most.
    pub max_bytes: i32,
    /// Leader epoch the client knows, -1 for none.
    pub current_leader_epoch: i32,
    /// Epoch of the last record the client has, -1 for none.
    pub last_fetched_epoch: i32,
    /// A follower's log start offset, -1 from consumers.
    pub log_start_offset: i64,
}

/// The part of a fetch request that concerns sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRequest {
    /// Session id, [`NO_SESSION`] for none.
    pub id: i32,
    /// Session epoch.
    pub epoch: i32,
    /// The version names topics by id.
    pub uses_ids: bool,
    /// A follower: consumers may not displace its session.
    pub privileged: bool,
    /// What it may see. What is watched is watched for that.
    pub isolation: Isolation,
    /// Partitions to add or change, in order.
    pub partitions: Vec<(PartitionKey, Position)>,
    /// Partitions to drop.
    pub forgotten: Vec<PartitionKey>,
}

/// Why a session cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// It is not (or no longer) cached.
    #[error("no such fetch session")]
    NotFound,
    /// The epoch is not the next one.
    #[error("unexpected fetch session epoch")]
    InvalidEpoch,
    /// It was made by a version that names topics the other way.
    #[error("the fetch session was made by names, the request uses ids, or the other way round")]
    TopicIdMismatch,
}

/// Who watches the quiet partitions of a session.
pub trait Watches: Default {
    /// The turns of those that are to be looked at again; it no longer watches them. Turns that are gone may be among them.
    fn take_woken(&mut self) -> Vec<u64>;

    /// The partition at this turn is no longer quiet, or no longer there.
    fn leave(&mut self, turn: u64);
}

/// A partition to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its turn: lower ones are read first. A session never gives one twice.
    pub turn: u64,
    /// Which one it is.
    pub key: PartitionKey,
    /// What is wanted of it.
    pub position: Position,
}

/// A request merged into its session: what to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun<W> {
    /// Partitions to read, by turn.
    pub partitions: Vec<Asked>,
    /// Partitions of the session beside them: they are quiet.
    pub quiet: usize,
    /// Watches the quiet ones. To be given back at the end.
    pub watch: W,
    /// To be named at the end.
    pub kind: Kind,
}

/// How a request uses sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Not at all.
    Sessionless,
    /// It wants a new one.
    New {
        /// Topics are named by id.
        uses_ids: bool,
        /// It is a follower's.
        privileged: bool,
        /// What it may see.
        isolation: Isolation,
    },
    /// It goes on with one.
    Incremental {
        /// Which one.
        id: i32,
        /// The epoch that its next request will have.
        epoch: i32,
    },
}

/// What is about to be told of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// There are records.
    pub records: bool,
    /// High watermark.
    pub high_watermark: i64,
    /// Log start offset.
    pub log_start_offset: i64,
    /// There is an error.
    pub error: bool,
    /// There is something else to say: a diverging epoch, a preferred replica.
    pub notable: bool,
    /// There was nothing to read, and there will not be before the watch says so.
    pub watched: bool,
}

/// What to reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Session id for the reply.
    pub session_id: i32,
    /// For each partition that was told of, in order: is it part of the reply?
    pub include: Vec<bool>,
}

/// Sessions advance 1, 2, ... and wrap to 1: 0 and -1 have meanings of their own.
pub fn next_epoch(epoch: i32) -> i32 {
    match epoch {
        FINAL_EPOCH => FINAL_EPOCH,
        i32::MAX => 1,
        _ => epoch + 1,
    }
}

#[derive(Debug, Clone)]
struct Cached {
    key: PartitionKey,
    position: Position,
    /// What the client was last told; -1 when it has to be told again.
    high_watermark: i64,
    log_start_offset: i64,
}

impl Cached {
    fn new(key: PartitionKey, position: Position) -> Self {
        Self { key, position, high_watermark: -1, log_start_offset: -1 }
    }

    /// Whether the client has to hear this, and remembers that it does.
    fn tell(&mut self, told: Told) -> bool {
        let mut must = told.records || told.notable;
        must |= self.high_watermark != told.high_watermark || self.log_start_offset != told.log_start_offset;
        self.high_watermark = told.high_watermark;
        self.log_start_offset = told.log_start_offset;
        if told.error {
            // Said every time, and once more when it is over.
            self.high_watermark = -1;
            must = true;
        }
        must
    }
}

/// One session.
#[derive(Debug)]
struct Session<W> {
    id: i32,
    /// Epoch that the next request must carry.
    epoch: i32,
    uses_ids: bool,
    privileged: bool,
    isolation: Isolation,
    created: Duration,
    last_used: Duration,
    /// Partitions by turn: whoever got records goes to the end.
    order: BTreeMap<u64, Cached>,
    turns: BTreeMap<PartitionKey, u64>,
    next_turn: u64,
    /// The turns of those that are not quiet.
    ready: BTreeSet<u64>,
    /// `None` while a request has it.
    watch: Option<W>,
}

impl<W: Watches> Session<W> {
    fn len(&self) -> usize {
        self.order.len()
    }

    fn set(&mut self, key: PartitionKey, position: Position) {
        if let Some(turn) = self.turns.get(&key)
            && let Some(cached) = self.order.get_mut(turn)
        {
            cached.position = position;
            self.ready.insert(*turn);
            return;
        }
        self.append(Cached::new(key, position));
    }

    fn append(&mut self, cached: Cached) {
        self.turns.insert(cached.key.clone(), self.next_turn);
        self.order.insert(self.next_turn, cached);
        self.ready.insert(self.next_turn);
        self.next_turn += 1;
    }

    fn put_last(&mut self, turn: u64) {
        if self.order.last_key_value().is_none_or(|(last, _)| *last != turn)
            && let Some(cached) = self.order.remove(&turn)
        {
            self.ready.remove(&turn);
            self.append(cached);
        }
    }

    fn forget(&mut self, key: &PartitionKey) {
        if let Some(turn) = self.turns.remove(key) {
            self.order.remove(&turn);
            self.ready.remove(&turn);
            if let Some(watch) = &mut self.watch {
                watch.leave(turn);
            }
        }
    }

    /// Lends the watch, and says what is not quiet.
    fn lend(&mut self, isolation: Isolation) -> (W, Vec<Asked>) {
        let lent = self.watch.take().filter(|_| self.isolation == isolation);
        self.isolation = isolation;
        let watch = match lent {
            Some(mut watch) => {
                self.wake(watch.take_woken());
                watch
            }
            None => {
                self.ready = self.order.keys().copied().collect();
                W::default()
            }
        };
        (watch, self.asked(self.ready.iter().copied()))
    }

    /// These are no longer quiet. Those of them that are still there.
    fn wake(&mut self, turns: Vec<u64>) -> Vec<u64> {
        let there: Vec<u64> = turns.into_iter().filter(|turn| self.order.contains_key(turn)).collect();
        self.ready.extend(&there);
        there
    }

    fn asked(&self, turns: impl Iterator<Item = u64>) -> Vec<Asked> {
        let asked = |turn| {
            self.order.get(&turn).map(|cached| Asked { turn, key: cached.key.clone(), position: cached.position })
        };
        turns.filter_map(asked).collect()
    }

    /// Takes what is about to be told of partitions, by their turn. Which of it the client has to hear; whoever got records goes to
    /// the end.
    fn tell(&mut self, told: &[(u64, Told)], mut watch: W) -> Vec<bool> {
        let mut include = Vec::with_capacity(told.len());
        for (turn, told) in told {
            let Some(cached) = self.order.get_mut(turn) else {
                include.push(true);
                continue;
            };
            include.push(cached.tell(*told));
            if told.records {
                watch.leave(*turn);
                self.put_last(*turn);
            } else if told.is_quiet() {
                self.ready.remove(turn);
            }
        }
        self.watch = Some(watch);
        include
    }
}

impl Told {
    /// There is no need to look before the watch says so.
    fn is_quiet(&self) -> bool {
        self.watched && !self.records && !self.error && !self.notable
    }
}

#[cfg(test)]
mod tests;
