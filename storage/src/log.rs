//! The log of one partition: segments in Kafka's format, what is known about them, and every operation on them.
//!
//! A [`Log`] is shared (`Arc<Log>`) and has one short lock of its own. Nothing in it waits for a disk while it holds that lock
//! except the write into the page cache of an append, the making of files when a segment is rolled, and truncation.
//!
//! | calls | where they may run |
//! |---|---|
//! | [`Log::append`], [`Log::read`], everything that returns plain numbers | anywhere, they do not wait for a disk |
//! | `async` ones | anywhere |
//! | [`Log::open`], [`Log::truncate_to`], [`Log::retain`], [`Log::purge`], [`Log::compact`], [`Log::checkpoint`], [`Log::close`] | on a thread that may block |

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use goatq_protocol::{Uuid, record::Batch};

use crate::{
    config::{CacheLimits, LogConfig},
    error::{AppendError, LogError, OpenError, ReadError},
    group_commit::{DurableListener, GroupCommit},
    io::Disk,
};

/// Who wrote a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client: sequences are checked, the disk reserve is respected.
    Client,
    /// A coordinator of this node: appended even when the disk reserve is reached.
    Coordinator,
    /// The leader of the partition (or Raft): offsets and epochs are kept as they are.
    Replication,
}

/// How batches are appended.
#[derive(Clone, Copy, Debug)]
pub struct AppendOptions {
    /// Leader epoch set in the batches unless they come from replication.
    pub leader_epoch: i32,
    /// Who wrote them.
    pub origin: Origin,
    /// Wall time, milliseconds.
    pub now_ms: i64,
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// The broker's time when the batches carry it (`LogAppendTime`), else -1.
    pub log_append_time_ms: i64,
    /// The log start offset at the time of the append.
    pub log_start_offset: i64,
    /// The batch was appended before (its sequence is one of the last five of its producer): nothing was written, the offsets
    /// are those of the first time. They may not be durable yet.
    pub duplicate: bool,
}

/// A position found by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Timestamp of the record.
    pub timestamp: i64,
    /// Its offset.
    pub offset: i64,
    /// Leader epoch of its batch, -1 when unknown.
    pub leader_epoch: i32,
}

/// One aborted transaction, as consumers with `read_committed` need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AbortedTxn {
    /// Producer that aborted.
    pub producer_id: i64,
    /// First offset of the transaction.
    pub first_offset: i64,
    /// Offset of the abort marker.
    pub last_offset: i64,
    /// The last stable offset right after the marker was appended.
    pub last_stable_offset: i64,
}

/// What the log knows of one producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProducerInfo {
    /// Producer id.
    pub producer_id: i64,
    /// Newest epoch.
    pub producer_epoch: i16,
    /// Sequence of the last record, -1 when unknown.
    pub last_sequence: i32,
    /// Timestamp of the last batch.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that wrote the last marker, -1 for none.
    pub coordinator_epoch: i32,
    /// First offset of the open transaction, -1 for none.
    pub current_txn_start_offset: i64,
}

/// What the log tells its directory to remember.
pub trait Checkpoints: Send + Sync + std::fmt::Debug {
    /// Lowers the remembered recovery point of the log of that directory name to at most `offset`, durably when it returns.
    /// Called before a truncation changes any file: what is appended after it is unproven again, so the remembered point
    /// must not cover it.
    fn lower_recovery_point(&self, log: &str, offset: i64) -> std::io::Result<()>;
}

/// What opening a log needs to know.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The partition's directory; its last component is `<topic>-<partition>`. Made when missing.
    pub dir: PathBuf,
    /// Topic id, written to and checked against `partition.metadata`; `None` for logs without one.
    pub topic_id: Option<Uuid>,
    /// Settings.
    pub config: LogConfig,
    /// The directory was shut down cleanly: nothing has to be scanned.
    pub clean: bool,
    /// The remembered recovery point; everything below is proven. 0 when unknown.
    pub recovery_point: i64,
    /// The remembered log start offset; 0 when unknown.
    pub log_start_offset: i64,
    /// The remembered first offset that was not compacted yet; 0 when unknown.
    pub first_dirty_offset: i64,
}

/// What the logs of one directory share: the disk and its bounded caches.
#[derive(Debug)]
pub struct LogResources {}

impl LogResources {
    /// Caches within these limits for the logs of one disk.
    pub fn new(disk: Arc<dyn Disk>, limits: CacheLimits) -> Arc<LogResources> {
        let _ = (disk, limits);
        todo!()
    }
}

/// What a run of retention removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Segments removed.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// What a compaction may use.
pub struct CompactOptions<'a> {
    /// Wall time, milliseconds.
    pub now_ms: i64,
    /// Nothing at or above it is compacted.
    pub high_watermark: i64,
    /// Bytes for the map of keys (`log.cleaner.dedupe.buffer.size`).
    pub map_bytes: usize,
    /// Random: keys the hash of the map.
    pub seed: u64,
    /// Called with the bytes just read or written; may wait (`log.cleaner.io.max.bytes.per.second`). False stops the run.
    pub throttle: &'a mut dyn FnMut(u64) -> bool,
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes of the segments before.
    pub bytes_before: u64,
    /// Bytes of what replaced them.
    pub bytes_after: u64,
    /// Records read.
    pub records_before: u64,
    /// Records kept.
    pub records_after: u64,
    /// Offset up to which the log is compacted now.
    pub first_dirty_offset: i64,
}

/// How much there is to compact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cleanable {
    /// Share of bytes that were not compacted yet among all that could be, 0 to 1.
    pub dirty_ratio: f64,
    /// Whether compaction is due now, by ratio or by `max.compaction.lag.ms`.
    pub due: bool,
}

/// What a read found: whole batches, in memory or still on disk.
#[derive(Debug)]
pub struct LogSlice {}

impl LogSlice {
    /// Nothing there (yet).
    pub fn is_empty(&self) -> bool {
        todo!()
    }

    /// Bytes: exact when [`Self::in_memory`], otherwise the most that [`Self::load`] gives (but for a first batch that alone
    /// is bigger).
    pub fn max_len(&self) -> usize {
        todo!()
    }

    /// The bytes, when no disk is needed for them.
    pub fn in_memory(&self) -> Option<&[Bytes]> {
        todo!()
    }

    /// The bytes, from the disk where needed, never blocking. Each batch that comes from a disk was checked against its CRC.
    /// Each chunk is a part of a batch or several: only their concatenation has a meaning; it is a sequence of whole batches, the
    /// first of which may begin below the offset asked for.
    pub async fn load(self) -> Result<Vec<Bytes>, ReadError> {
        todo!()
    }
}

/// The log of one partition.
#[derive(Debug)]
pub struct Log {}

impl Log {
    /// Opens the log in a directory, makes it when there is none, and repairs what a crash left. Blocks.
    ///
    /// After it returned, everything in the log is durable: [`Self::durable_end`] is the end.
    pub fn open(
        resources: &Arc<LogResources>,
        commit: &GroupCommit,
        checkpoints: Arc<dyn Checkpoints>,
        listener: Arc<dyn DurableListener>,
        options: OpenOptions,
        now_ms: i64,
    ) -> Result<Arc<Log>, OpenError> {
        let _ = (resources, commit, checkpoints, listener, options, now_ms);
        todo!()
    }

    /// Name of the directory: `<topic>-<partition>`.
    pub fn name(&self) -> &str {
        todo!()
    }

    /// The directory.
    pub fn dir(&self) -> PathBuf {
        todo!()
    }

    /// The settings.
    pub fn config(&self) -> Arc<LogConfig> {
        todo!()
    }

    /// Replaces the settings. They count from the next append, retention and so on.
    pub fn reconfigure(&self, config: LogConfig) {
        let _ = config;
        todo!()
    }

    /// Who is told of durability from now on, in place of the one given to [`Self::open`].
    pub fn set_listener(&self, listener: Arc<dyn DurableListener>) {
        let _ = listener;
        todo!()
    }

    /// Appends batches, all or none. The bytes are in the page cache when it returns; they count (may be acknowledged, shown to
    /// consumers) once [`Self::durable_end`] covers them. The listener is told when that moves, but not by this call: with
    /// page-cache durability it may have moved already when this returns.
    pub fn append(&self, batches: Vec<Batch>, options: AppendOptions) -> Result<Appended, AppendError> {
        let _ = (batches, options);
        todo!()
    }

    /// First offset that may be read.
    pub fn log_start_offset(&self) -> i64 {
        todo!()
    }

    /// Offset of the next record.
    pub fn log_end_offset(&self) -> i64 {
        todo!()
    }

    /// Everything below may be acknowledged.
    pub fn durable_end(&self) -> i64 {
        todo!()
    }

    /// Everything below is decided: neither above the high watermark nor in or behind an open transaction.
    pub fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        let _ = high_watermark;
        todo!()
    }

    /// Finds whole batches from the one that holds `offset` on, all below `upper_bound`: as many as fit in `max_bytes`, but the
    /// first one anyway if `min_one_batch`. Does not wait for the disk; what is not in memory comes with [`LogSlice::load`]. Empty at the
    /// end of the log. A slice ends at the end of a segment at the latest.
    pub fn read(
        self: &Arc<Self>,
        offset: i64,
        max_bytes: usize,
        upper_bound: i64,
        min_one_batch: bool,
    ) -> Result<LogSlice, ReadError> {
        let _ = (offset, max_bytes, upper_bound, min_one_batch);
        todo!()
    }

    /// The first record at or after a time.
    pub async fn offset_for_timestamp(&self, timestamp: i64) -> Result<Option<TimestampOffset>, ReadError> {
        let _ = timestamp;
        todo!()
    }

    /// The first record with the greatest timestamp (KIP-734).
    pub async fn max_timestamp_offset(&self) -> Result<Option<TimestampOffset>, ReadError> {
        todo!()
    }

    /// The aborted transactions that a consumer of `from..upper` needs to know.
    pub async fn aborted_transactions(&self, from: i64, upper: i64) -> Result<Vec<AbortedTxn>, ReadError> {
        let _ = (from, upper);
        todo!()
    }

    /// The leader epoch of the last record.
    pub fn latest_epoch(&self) -> Option<i32> {
        todo!()
    }

    /// Where the newest epoch that is not above `epoch` ends, as OffsetForLeaderEpoch answers it (KIP-320); `None` for an epoch above all.
    pub fn end_offset_for_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        let _ = epoch;
        todo!()
    }

    /// All epochs with their first offsets.
    pub fn epochs(&self) -> Vec<(i32, i64)> {
        todo!()
    }

    /// Removes everything from `offset` on. Durable when it returns. Blocks.
    pub fn truncate_to(&self, offset: i64) -> Result<(), LogError> {
        let _ = offset;
        todo!()
    }

    /// Removes everything; the next record gets `offset`, which is the log start offset as well. Blocks.
    pub fn truncate_fully_and_start_at(&self, offset: i64) -> Result<(), LogError> {
        let _ = offset;
        todo!()
    }

    /// Makes everything below `offset` unreadable (DeleteRecords, or what the leader says); segments go with the next [`Self::retain`].
    /// The log start offset after it. Not remembered over a restart before the directory has written its checkpoint.
    pub fn advance_start_offset(&self, offset: i64, high_watermark: i64) -> Result<i64, LogError> {
        let _ = (offset, high_watermark);
        todo!()
    }

    /// Removes segments that retention by time, size or start offset allows to go, none at or above the high watermark. Blocks.
    pub fn retain(&self, now_ms: i64, high_watermark: i64) -> Result<Retained, LogError> {
        let _ = (now_ms, high_watermark);
        todo!()
    }

    /// Removes files of segments that were removed `file.delete.delay.ms` ago. The number of files. Blocks.
    pub fn purge(&self, now_ms: i64) -> Result<usize, LogError> {
        let _ = now_ms;
        todo!()
    }

    /// How much there is to compact; `None` when the policy says no or nothing may be compacted.
    pub fn cleanable(&self, now_ms: i64, high_watermark: i64) -> Option<Cleanable> {
        let _ = (now_ms, high_watermark);
        todo!()
    }

    /// Compacts once over what is dirty, as far as the map holds. Blocks.
    pub fn compact(&self, options: CompactOptions<'_>) -> Result<Compacted, LogError> {
        let _ = options.now_ms;
        todo!()
    }

    /// First offset that was not compacted yet: for the directory's `cleaner-offset-checkpoint`.
    pub fn first_dirty_offset(&self) -> i64 {
        todo!()
    }

    /// The producers known, by id.
    pub fn producers(&self) -> Vec<ProducerInfo> {
        todo!()
    }

    /// Forgets producers that were idle for `producer.id.expiration.ms`. How many.
    pub fn expire_producers(&self, now_ms: i64) -> usize {
        let _ = now_ms;
        todo!()
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        todo!()
    }

    /// Number of segments.
    pub fn segment_count(&self) -> usize {
        todo!()
    }

    /// Whether `flush.ms` asks for a sync now (page-cache durability); then call [`Self::flush`].
    pub fn flush_needed(&self, now_ms: i64) -> bool {
        let _ = now_ms;
        todo!()
    }

    /// Asks group commit to sync what is unsynced.
    pub fn flush(&self) {
        todo!()
    }

    /// Whether enough happened since the last [`Self::checkpoint`] to call it: 16 MiB, or anything at all for a minute.
    pub fn checkpoint_due(&self, now_ms: i64) -> bool {
        let _ = now_ms;
        todo!()
    }

    /// Proves everything appended so far: syncs segments, indexes, epochs and a producer snapshot. Returns the new recovery point; after
    /// a crash, a scan begins there if the directory wrote it to its checkpoint file. Blocks.
    pub fn checkpoint(&self, now_ms: i64) -> Result<i64, LogError> {
        let _ = now_ms;
        todo!()
    }

    /// The offset below which everything is proven.
    pub fn recovery_point(&self) -> i64 {
        todo!()
    }

    /// Ends appends and makes everything durable, for a clean shutdown. Returns the recovery point, which is the end. Blocks.
    pub fn close(&self, now_ms: i64) -> Result<i64, LogError> {
        let _ = now_ms;
        todo!()
    }

    /// Ends appends and lets go of files and caches: the directory is about to be removed.
    pub fn abandon(&self) {
        todo!()
    }
}
