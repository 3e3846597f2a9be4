//! Incremental fetch sessions (KIP-227).
//!
//! A session remembers which partitions a client fetches and what it was last told about each, so that a request names
//! only what changed and a reply only what is new. Pure: time and fresh ids are arguments.
//!
//! A request is looked at twice: [`SessionCache::begin`] merges it into its session and says what to read,
//! [`SessionCache::finish`] takes what was read and says what to reply. Between the two nothing is locked.

mod cache;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use goatq_protocol::Uuid;

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

/// A request merged into its session: what to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Partitions to read, in order.
    pub partitions: Vec<(PartitionKey, Position)>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sessionless,
    New { uses_ids: bool, privileged: bool },
    Incremental { id: i32, epoch: i32 },
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
}

/// What to reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Session id for the reply.
    pub session_id: i32,
    /// For each partition of [`Begun::partitions`], in order: is it part of the reply?
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
struct Session {
    id: i32,
    /// Epoch that the next request must carry.
    epoch: i32,
    uses_ids: bool,
    privileged: bool,
    created: Duration,
    last_used: Duration,
    /// Partitions by turn: whoever got records goes to the end.
    order: BTreeMap<u64, Cached>,
    turns: BTreeMap<PartitionKey, u64>,
    next_turn: u64,
}

impl Session {
    fn len(&self) -> usize {
        self.order.len()
    }

    fn set(&mut self, key: PartitionKey, position: Position) {
        if let Some(cached) = self.turns.get(&key).and_then(|turn| self.order.get_mut(turn)) {
            cached.position = position;
            return;
        }
        self.append(Cached::new(key, position));
    }

    fn append(&mut self, cached: Cached) {
        self.turns.insert(cached.key.clone(), self.next_turn);
        self.order.insert(self.next_turn, cached);
        self.next_turn += 1;
    }

    fn forget(&mut self, key: &PartitionKey) {
        if let Some(turn) = self.turns.remove(key) {
            self.order.remove(&turn);
        }
    }

    fn partitions(&self) -> Vec<(PartitionKey, Position)> {
        self.order.values().map(|cached| (cached.key.clone(), cached.position)).collect()
    }

    /// Takes what is about to be told of all partitions, by turn, as they are since the request was merged: nobody looks a thousand
    /// keys up for the few that have news. Which of it the client has to hear; whoever got records goes to the end.
    fn tell(&mut self, told: &[Told]) -> Vec<bool> {
        let mut served = Vec::new();
        let parts = self.order.iter_mut().zip(told);
        let include = parts
            .map(|((turn, cached), told)| {
                if told.records {
                    served.push(*turn);
                }
                cached.tell(*told)
            })
            .collect();
        for turn in served {
            if let Some(cached) = self.order.remove(&turn) {
                self.append(cached);
            }
        }
        include
    }
}

#[cfg(test)]
mod tests;
