//! What is said to a log and what it answers.

use std::path::PathBuf;

use goatq_protocol::Uuid;

use crate::config::LogConfig;

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

    /// Lowers what is remembered to be committed of a log to at most `offset`, durably when it returns: what was committed is about to be
    /// given up, and the next start must not look for it.
    fn lower_high_watermark(&self, log: &str, offset: i64) -> std::io::Result<()>;
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
    /// The remembered recovery point: everything below is proven and is not scanned after a crash. `None` when the memory of it
    /// was lost: everything is scanned, and nothing is dropped that could have been proven. 0 for a new log.
    pub recovery_point: Option<i64>,
    /// The remembered log start offset; 0 when unknown.
    pub log_start_offset: i64,
    /// The remembered first offset that was not compacted yet; 0 when unknown.
    pub first_dirty_offset: i64,
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
