//! Partitions of this node: the log plus what its leader knows about it.
//!
//! A [`Partition`] is what every API above the log works on: produce and the coordinators append to it, fetch and
//! loading coordinators read from it, and both wait on it. [`PartitionRegistry`] finds them by topic name or id.
//!
//! Locks: the follower's state has one, held while records of the leader are appended or the log is cut; the leader's state has one,
//! held while an append runs, so that no append passes a change of leadership. A new assignment takes both, in this order. The
//! log has its own below them. Readers take none: they see published offsets.
//!
//! Whoever waits for a commit waits for it in one leader epoch. When that ends, the wait ends (invariant 3): the offset may be
//! committed later, but with another record.

mod append;
mod error;
mod handover;
mod leading;
mod listener;
mod read;
pub mod registry;
mod replica;
pub mod validate;

pub use append::Appended;
pub use error::{AppendError, CommitError, InternalAppendError, LeaderError, PartitionReadError, ReplicaAppendError};
pub use handover::LastAppend;
pub use leading::PartitionProposal;
pub use read::PartitionRead;
pub use registry::{PartitionRegistry, TopicPartitions};
pub use replica::LeaderRecords;
pub(crate) use replica::Replica;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::time::Duration;

use goatq_controller::planted::Planted;
use goatq_protocol::Uuid;
use goatq_storage::config::Durability;
use goatq_storage::log::Log;
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;

use crate::config::TopicConfig;
use crate::healing::Damage;
use crate::metrics::replication::ReplicationCounts;
use crate::metrics::topics::TopicCounts;
use crate::purgatory::{OffsetGate, Purgatory};
use crate::replication::follower::Follower;
use crate::replication::leader::Leader;

/// Leader id of a partition without leader, and epoch of a client that knows none.
const NONE: i32 = -1;

/// What partitions of a node share.
#[derive(Debug, Clone)]
pub struct PartitionContext {
    /// `node.id`.
    pub node_id: i32,
    /// Where producers and coordinators wait. Bounded by requests in flight.
    pub commits: Arc<Purgatory>,
    /// `replica.lag.time.max.ms`.
    pub max_lag: Duration,
    /// `replica.fetch.backoff.ms`.
    pub fetch_backoff: Duration,
    /// What leaders ask of the controller. A partition has one proposal under way at a time, which bounds the queue.
    pub proposals: mpsc::UnboundedSender<PartitionProposal>,
    /// What partitions count together.
    pub counts: Arc<ReplicationCounts>,
    /// Damaged segments. A partition reports one at a time, which bounds the queue.
    pub damages: mpsc::UnboundedSender<Damage>,
    /// What is wrong on purpose.
    pub planted: Option<Planted>,
}

/// Which topic's partition it is.
#[derive(Debug, Clone)]
pub struct PartitionName {
    /// Name of the topic.
    pub topic: Arc<str>,
    /// Id of the topic.
    pub topic_id: Uuid,
    /// Index of the partition.
    pub index: i32,
}

/// Who leads and follows, as the controller decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment<'a> {
    /// Leader, -1 for none.
    pub leader: i32,
    /// Epoch of that leader.
    pub leader_epoch: i32,
    /// Grows with each decision.
    pub partition_epoch: i32,
    /// All replicas.
    pub replicas: &'a [i32],
    /// Those in sync.
    pub isr: &'a [i32],
    /// Replicas that are on their way to other brokers: those that come.
    pub adding: &'a [i32],
    /// The newest leader epoch that began with an unclean election, -1 for none.
    pub unclean_epoch: i32,
}

/// One partition that this node holds.
pub struct Partition {
    name: PartitionName,
    context: PartitionContext,
    /// Another one once the replica has moved to another directory.
    log: RwLock<Arc<Log>>,
    config: RwLock<Arc<TopicConfig>>,
    counts: Arc<TopicCounts>,
    /// `None` while this node leads, or nobody.
    follower: Mutex<Option<Follower>>,
    /// `None` while another node leads.
    leader: Mutex<Option<Leader>>,
    is_leader: AtomicBool,
    leader_id: AtomicI32,
    leader_epoch: AtomicI32,
    /// The epoch in which this leader takes nothing from clients any more.
    handing_over: AtomicI32,
    failed: AtomicBool,
    closed: AtomicBool,
    /// There are replicas on other nodes.
    replicated: AtomicBool,
    /// A damaged segment was reported and is being looked after.
    damaged: AtomicBool,
    /// A replica is on its way to another broker.
    moves: AtomicBool,
    /// The one here is.
    arrives: AtomicBool,
    /// What the leader told last of its high watermark, while another node leads.
    leaders_high_watermark: AtomicI64,
    /// Of a leader with followers.
    log_end: Arc<OffsetGate>,
    durable: Arc<OffsetGate>,
    high_watermark: Arc<OffsetGate>,
    last_stable: Arc<OffsetGate>,
}

impl Partition {
    /// A partition with an open log; nobody leads it before [`Self::assign`]. It hears of the log's durability from now on.
    pub fn new(
        name: PartitionName,
        context: PartitionContext,
        log: Arc<Log>,
        config: Arc<TopicConfig>,
        counts: Arc<TopicCounts>,
    ) -> Arc<Self> {
        let start = log.log_start_offset();
        let partition = Arc::new(Self {
            name,
            context,
            config: RwLock::new(config),
            counts,
            follower: Mutex::new(None),
            leader: Mutex::new(None),
            is_leader: AtomicBool::new(false),
            leader_id: AtomicI32::new(NONE),
            leader_epoch: AtomicI32::new(NONE),
            handing_over: AtomicI32::new(NONE),
            failed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            replicated: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            moves: AtomicBool::new(false),
            arrives: AtomicBool::new(false),
            leaders_high_watermark: AtomicI64::new(start),
            log_end: OffsetGate::new(start),
            durable: OffsetGate::new(start),
            high_watermark: OffsetGate::new(start),
            last_stable: OffsetGate::new(start),
            log: RwLock::new(log),
        });
        listener::listen(&partition);
        partition
    }

    /// Name of the topic.
    pub fn topic(&self) -> &str {
        &self.name.topic
    }

    /// Id of the topic.
    pub fn topic_id(&self) -> Uuid {
        self.name.topic_id
    }

    /// Index of the partition in its topic.
    pub fn index(&self) -> i32 {
        self.name.index
    }

    /// The log: for background work, sizes and look-ups by time. Appends and client reads go through the partition.
    pub fn log(&self) -> Arc<Log> {
        self.log.read().clone()
    }

    /// Puts another log with the same records in the place of the present one; nothing is appended or cut meanwhile. `None` when the
    /// partition is closed. Blocks.
    pub(crate) fn replace_log<E>(
        self: &Arc<Self>,
        replace: impl FnOnce(&Arc<Log>) -> Result<Arc<Log>, E>,
    ) -> Option<Result<(), E>> {
        let follower = self.follower.lock();
        let leader = self.leader.lock();
        if self.closed.load(Ordering::Acquire) {
            return None;
        }
        let replaced = replace(&self.log()).map(|log| *self.log.write() = log);
        drop(leader);
        drop(follower);
        if replaced.is_ok() {
            // The configuration may have changed since the new log was opened.
            self.log().reconfigure(self.config().log.clone());
            listener::listen(self);
            self.nudge_readers();
        }
        Some(replaced)
    }

    /// The topic's configuration.
    pub fn config(&self) -> Arc<TopicConfig> {
        self.config.read().clone()
    }

    /// Takes a new configuration of the topic. The log's own settings are changed apart from it ([`Log::reconfigure`]).
    pub fn set_config(&self, config: Arc<TopicConfig>) {
        let min_insync = config.min_insync_replicas;
        *self.config.write() = config;
        let mut leader = self.leader.lock();
        let effects = leader.as_mut().map(|leader| leader.on_min_insync(min_insync));
        self.take(leader, effects);
    }

    /// Counters of the topic.
    pub fn counts(&self) -> &Arc<TopicCounts> {
        &self.counts
    }

    /// Whether this node leads the partition at present.
    pub fn is_leader(&self) -> bool {
        self.is_leader.load(Ordering::Acquire)
    }

    /// Who leads, -1 for nobody, and in which epoch.
    pub fn leader(&self) -> (i32, i32) {
        (self.leader_id.load(Ordering::Acquire), self.leader_epoch.load(Ordering::Acquire))
    }

    /// Leader epoch this node knows, -1 before the first.
    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch.load(Ordering::Acquire)
    }

    /// First offset that can be read.
    pub fn log_start_offset(&self) -> i64 {
        self.log().log_start_offset()
    }

    /// Offset of the next record; everything below the high watermark is committed, the rest is not yet.
    pub fn log_end_offset(&self) -> i64 {
        self.log().log_end_offset()
    }

    /// End of the committed part: records below it are never lost or changed (invariant 2). Never below the log start.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark.reached()
    }

    /// End of what readers with `read_committed` may see.
    pub fn last_stable_offset(&self) -> i64 {
        self.last_stable.reached().min(self.high_watermark())
    }

    /// Something in a segment cannot be read: if there are other replicas, it is fetched again from them. Whether that is so.
    pub fn report_damage(&self, segment: i64) -> bool {
        let heals = self.is_replicated();
        if heals && !self.damaged.swap(true, Ordering::AcqRel) {
            let damage = Damage { topic_id: self.name.topic_id, index: self.name.index, segment };
            // Nobody listens when the node stops.
            let _ = self.context.damages.send(damage);
        }
        heals
    }

    /// What was reported is healed, or may be reported again.
    pub(crate) fn looked_after(&self) {
        self.damaged.store(false, Ordering::Release);
    }

    /// Other replicas that have all that is committed, as far as this node knows: the leader, or its followers in sync.
    pub(crate) fn others_in_sync(&self) -> Vec<i32> {
        match self.leader.lock().as_ref() {
            Some(leader) => leader.isr().iter().copied().filter(|id| *id != self.context.node_id).collect(),
            None => Some(self.leader().0).filter(|leader| *leader >= 0).into_iter().collect(),
        }
    }

    /// Whether there are replicas on other nodes.
    pub fn is_replicated(&self) -> bool {
        self.replicated.load(Ordering::Acquire)
    }

    /// What was known to be committed when this node was stopped; before the first [`Self::assign`]. As much of it counts as the log has, and
    /// none where a crash may have lost it here: what one replica of a `page-cache` topic lost, its leader may have lost, too.
    pub fn remember_committed(&self, high_watermark: i64, after_crash: bool) {
        if !(after_crash && self.config().log.durability == Durability::PageCache) {
            let known = high_watermark.min(self.log().durable_end());
            self.publish((known > self.high_watermark()).then_some(known));
        }
    }

    /// Whether the log directory failed. Such a partition acknowledges nothing any more.
    pub fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Passed by the high watermark: for fetches that wait for it.
    pub fn high_watermark_gate(&self) -> &Arc<OffsetGate> {
        &self.high_watermark
    }

    /// Passed by the last stable offset.
    pub fn last_stable_gate(&self) -> &Arc<OffsetGate> {
        &self.last_stable
    }

    /// Passed by the end of the log while this node leads and has followers: for their fetches.
    pub fn log_end_gate(&self) -> &Arc<OffsetGate> {
        &self.log_end
    }

    /// Checks that this node leads and that a client's idea of the epoch (-1 for none) is right (KIP-320).
    ///
    /// # Errors
    /// See [`LeaderError`].
    pub fn check_leader(&self, epoch_of_client: i32) -> Result<(), LeaderError> {
        self.check_replica(epoch_of_client)?;
        if self.is_leader() { Ok(()) } else { Err(LeaderError::NotLeader) }
    }

    /// Checks a client's idea of the epoch, whether this node leads or follows (KIP-392).
    ///
    /// # Errors
    /// See [`LeaderError`].
    pub fn check_replica(&self, epoch_of_client: i32) -> Result<(), LeaderError> {
        if self.is_failed() {
            return Err(LeaderError::Storage);
        }
        let epoch = self.leader_epoch();
        if epoch_of_client >= 0 && epoch_of_client < epoch {
            return Err(LeaderError::Fenced);
        }
        if epoch_of_client > epoch {
            return Err(LeaderError::UnknownEpoch);
        }
        Ok(())
    }

    /// The partition goes away (topic deleted, node stops): everybody who waits is told.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.is_leader.store(false, Ordering::Release);
        *self.follower.lock() = None;
        *self.leader.lock() = None;
        for gate in self.gates() {
            gate.close();
        }
    }

    fn gates(&self) -> [&Arc<OffsetGate>; 4] {
        [&self.log_end, &self.durable, &self.high_watermark, &self.last_stable]
    }

    fn on_poisoned(&self) {
        self.failed.store(true, Ordering::Release);
        for gate in self.gates() {
            gate.close();
        }
    }

    /// Something else than an offset changed that readers are told of (who leads, where the log begins): those who wait look again.
    pub fn nudge_readers(&self) {
        self.log_end.nudge();
        self.high_watermark.nudge();
        self.last_stable.nudge();
    }

    /// The high watermark moved: whoever waits for it, or for the last stable offset that follows it, wakes up.
    fn publish(&self, moved: Option<i64>) {
        if let Some(high_watermark) = moved {
            self.high_watermark.advance(high_watermark);
            self.last_stable.advance(self.log().last_stable_offset(high_watermark));
        }
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.name.topic, self.name.index)
    }
}

#[cfg(test)]
mod tests;
