//! Replicas that move to another log directory of this node (KIP-113).
//!
//! What is asked for is in [`Directories`]; here it is carried out. A copy of the log grows beside the others in the new directory until it has
//! caught up, then it takes the log's place while nothing is appended. A crash leaves the one or the other, whole (see
//! `goatq_storage::log_dir`), and a move that was under way begins again. Meanwhile the log is not compacted: a copy of which one part is from
//! before and one from after could bring back what was deleted.

mod rule;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{FuturesUnordered, StreamExt};
use goatq_controller::decide::directories::PlacedReplica;
use goatq_controller::entropy::Entropy;
use goatq_protocol::record::{BatchError, split};
use goatq_storage::error::{AppendError, LogError, ReadError};
use goatq_storage::group_commit::NoListener;
use goatq_storage::log::{AppendOptions, Log, Origin};
use goatq_storage::log_dir::{FutureLog, LogDir, LogRequest, OpenLogError};
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::directories::{Directories, ReplicaName};
use crate::partition::{Partition, PartitionRegistry, Replica};
use crate::replication::throttle::Throttles;
use crate::threads::offload::Offload;
use rule::Step;

/// Bytes that are copied at a time.
const PIECE: usize = 1 << 20;
/// With less than this to copy, the copy takes the place of the log.
const NEARLY: usize = 256 << 10;
/// Copied bytes after which they are synced: what is left to be synced at the end must not take long.
const SYNC_AFTER: usize = 32 << 20;
/// Pieces that are copied at most while nothing is appended.
const LAST_PIECES: usize = 64;
/// How long a throttled copy waits before it looks again.
const THROTTLED: Duration = Duration::from_millis(50);
/// Before a move that failed begins again.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a replica did not move.
#[derive(Debug, thiserror::Error)]
enum MoveError {
    #[error("this node no longer has the replica")]
    Gone,
    #[error("its log directory has failed")]
    Failed,
    #[error("too much is appended to catch up")]
    Behind,
    #[error("nothing to copy from offset {0}")]
    Gap(i64),
    #[error("a batch is damaged: {0}")]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Open(#[from] OpenLogError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// See the module.
pub(crate) struct Mover {
    pub(crate) directories: Arc<Directories>,
    pub(crate) partitions: Arc<PartitionRegistry>,
    pub(crate) throttles: Arc<Throttles>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) offload: Offload,
    /// Told where replicas have gone.
    pub(crate) misplaced: UnboundedSender<PlacedReplica>,
    pub(crate) entropy: Mutex<Entropy>,
    /// Moves at a time.
    pub(crate) at_once: usize,
}

/// A move under way.
struct Move {
    name: ReplicaName,
    partition: Arc<Partition>,
    to: usize,
    dir: Arc<LogDir>,
    future: FutureLog,
}

impl Mover {
    /// Works until cancelled.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let this = Arc::new(self);
        let mut under_way = FuturesUnordered::new();
        let mut busy: Vec<ReplicaName> = Vec::new();
        loop {
            while busy.len() < this.at_once {
                let Some((name, to)) = this.directories.next_move(&busy) else { break };
                busy.push(name.clone());
                under_way.push(this.clone().carry_out(name, to));
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = this.directories.moves_changed() => {}
                Some(done) = under_way.next() => busy.retain(|name| *name != done),
            }
        }
    }

    async fn carry_out(self: Arc<Self>, name: ReplicaName, to: usize) -> ReplicaName {
        let moved = self.clone().attempt(&name, to).await;
        self.directories.forget_copy(&name);
        let (topic, partition) = (&*name.0, name.1);
        match moved {
            Ok(true) => tracing::info!(topic, partition, "the replica has moved to another log directory"),
            Ok(false) => tracing::info!(topic, partition, "the replica stays in its log directory"),
            Err(error @ (MoveError::Gone | MoveError::Failed)) => {
                tracing::warn!(topic, partition, %error, "the replica does not move");
                self.directories.give_up_move(&name, to);
            }
            Err(error) => {
                tracing::warn!(topic, partition, %error, "the move of a replica begins again");
                sleep(PAUSE).await;
            }
        }
        name
    }

    /// Whether it has moved; otherwise nobody wants it to any more.
    async fn attempt(self: Arc<Self>, name: &ReplicaName, to: usize) -> Result<bool, MoveError> {
        let partition = self.partitions.get(&name.0, name.1).ok_or(MoveError::Gone)?;
        let dir = self.directories.open().get(to).cloned().ok_or(MoveError::Failed)?;
        if dir.health().is_poisoned() || partition.is_failed() {
            return Err(MoveError::Failed);
        }
        let log = partition.log();
        let _as_it_is = self.offload.run(move || log.hold_compaction()).await;
        let (into, request) = (dir.clone(), request(&partition));
        let (unique, now_ms) = (self.entropy.lock().uuid(), self.clock.wall_ms());
        let future = self.offload.run(move || into.begin_future(request, unique, now_ms)).await?;
        self.directories.show_copy(name, to, future.log().clone());
        let moving = Arc::new(Move { name: name.clone(), partition, to, dir, future });
        let moved = self.copy(&moving).await;
        if !matches!(moved, Ok(true)) {
            let discarded = self.offload.run(move || moving.dir.discard_future(&moving.future)).await;
            if let Err(error) = discarded {
                tracing::warn!(%error, "the copy of a log could not be removed");
            }
        }
        moved
    }

    async fn copy(self: &Arc<Self>, moving: &Arc<Move>) -> Result<bool, MoveError> {
        let mut unsynced = 0;
        loop {
            if !self.directories.is_wanted(&moving.name, moving.to) {
                return Ok(false);
            }
            if moving.dir.health().is_poisoned() || moving.partition.is_failed() {
                return Err(MoveError::Failed);
            }
            if self.throttles.moves().is_exceeded(self.clock.monotonic()) {
                sleep(THROTTLED).await;
                continue;
            }
            let log = moving.partition.log();
            let step = rule::next(&Replica(&log), &Replica(moving.future.log()));
            let mut copied = None;
            if let Step::Copy(from) = step {
                let chunks = log.read(from, PIECE, log.log_end_offset(), true)?.load().await?;
                copied = Some(joined(chunks));
            }
            let bytes = copied.as_ref().map_or(0, Bytes::len);
            self.throttles.moves().record(bytes as u64, self.clock.monotonic());
            unsynced += bytes;
            let is_near = !matches!(step, Step::StartOver(_) | Step::Cut(_)) && bytes < NEARLY;
            let sync = is_near || unsynced > SYNC_AFTER;
            let (work, now_ms) = (moving.clone(), self.clock.wall_ms());
            let advance = move || {
                advance(work.future.log(), step, copied, now_ms)?;
                if sync { work.future.log().checkpoint(now_ms).map(drop) } else { Ok(()) }.map_err(MoveError::from)
            };
            self.offload.run(advance).await?;
            unsynced = if sync { 0 } else { unsynced };
            if is_near && self.finish(moving).await? {
                return Ok(true);
            }
        }
    }

    /// The copy takes the place of the log. Whether it has: more may have been appended than can be copied while everybody waits.
    async fn finish(self: &Arc<Self>, moving: &Arc<Move>) -> Result<bool, MoveError> {
        let (this, work) = (self.clone(), moving.clone());
        let replace = move || work.partition.replace_log(|log| this.replace(&work, log));
        match self.offload.run(replace).await {
            None => return Err(MoveError::Gone),
            Some(Err(MoveError::Behind)) => return Ok(false),
            Some(replaced) => replaced?,
        }
        let dir = moving.dir.clone();
        if let Err(error) = self.offload.run(move || dir.remember_arrivals()).await {
            tracing::warn!(dir = %moving.dir.path().display(), %error, "checkpoints could not be written");
        }
        let placed = PlacedReplica {
            topic_id: moving.partition.topic_id(),
            partition: moving.partition.index(),
            directory: moving.dir.directory_id(),
            anew: false,
        };
        // Nobody listens when the node stops; the next start tells it.
        self.misplaced.send(placed).ok();
        Ok(true)
    }

    /// While nothing is appended: what is left is copied, then the log is where the copy was and nowhere else.
    fn replace(&self, moving: &Move, log: &Arc<Log>) -> Result<Arc<Log>, MoveError> {
        let (topic, partition) = (&*moving.name.0, moving.name.1);
        let copy = moving.future.log();
        let now_ms = self.clock.wall_ms();
        let mut pieces = 0;
        loop {
            let step = rule::next(&Replica(log), &Replica(copy));
            let records = match step {
                Step::Complete => break,
                Step::StartOver(_) | Step::Cut(_) => return Err(MoveError::Behind),
                Step::Copy(_) if pieces == LAST_PIECES => return Err(MoveError::Behind),
                Step::Copy(from) => joined(log.read(from, PIECE, log.log_end_offset(), true)?.load_now()?),
            };
            advance(copy, step, Some(records), now_ms)?;
            pieces += 1;
        }
        if log.log_start_offset() > copy.log_start_offset() {
            copy.advance_start_offset(log.log_start_offset(), log.log_end_offset())?;
        }
        let source = self.directories.home(&moving.name).ok_or(MoveError::Gone)?;
        let moves = source.moves(topic, partition).saturating_add(1);
        let arrived = moving.dir.take_over(&moving.future, moves, request(&moving.partition), now_ms)?;
        // What happens to the directory it was in no longer concerns the partition.
        log.set_listener(Arc::new(NoListener));
        let mut entropy = self.entropy.lock();
        if let Err(error) = source.delete_logs(&[(topic, partition)], now_ms, || entropy.uuid()) {
            let reason = format!("removing {topic}-{partition}, which has moved, failed: {error}");
            source.health().fail(&reason, error.may_pass());
        }
        self.directories.moved(&moving.name, moving.to);
        Ok(arrived)
    }
}

/// A request for the log of a partition. Whoever it belongs to listens later.
fn request(partition: &Partition) -> LogRequest {
    LogRequest {
        topic: partition.topic().to_owned(),
        partition: partition.index(),
        topic_id: Some(partition.topic_id()),
        config: partition.config().log.clone(),
        listener: Arc::new(NoListener),
    }
}

fn joined(chunks: Vec<Bytes>) -> Bytes {
    let mut all = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
    chunks.iter().for_each(|chunk| all.extend_from_slice(chunk));
    all.freeze()
}

/// Carries out a step on a copy. Blocks.
fn advance(copy: &Log, step: Step, records: Option<Bytes>, now_ms: i64) -> Result<(), MoveError> {
    let from = match step {
        Step::StartOver(offset) => return Ok(copy.truncate_fully_and_start_at(offset)?),
        Step::Cut(offset) => return Ok(copy.truncate_to(offset)?),
        Step::Complete => return Ok(()),
        Step::Copy(from) => from,
    };
    let batches = split(&records.unwrap_or_default()).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = batches.first().map(|batch| batch.header().base_offset) else { return Err(MoveError::Gap(from)) };
    for batch in &batches {
        batch.verify_crc()?;
    }
    // The log may begin within a batch.
    if first < from && copy.log_start_offset() == from {
        copy.truncate_fully_and_start_at(first)?;
    }
    let options = AppendOptions { leader_epoch: -1, origin: Origin::Replication, now_ms };
    copy.append(batches, options)?;
    Ok(())
}
