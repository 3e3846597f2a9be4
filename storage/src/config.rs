//! The settings of one partition log, as the topic (or the broker's default) gives them.

use std::time::Duration;

/// When a record counts as durable, that is, when [`Log::durable_end`](crate::log::Log::durable_end) may cover it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// After its bytes were synced to the disk by group commit.
    #[default]
    Fsync,
    /// As soon as it is in the page cache, as Kafka does it; `flush_messages` and `flush_ms` then mean what they mean there.
    PageCache,
}

/// What may be removed from a log (`cleanup.policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old segments by time and size.
    pub delete: bool,
    /// Records with a newer record of the same key.
    pub compact: bool,
}

impl CleanupPolicy {
    /// `delete`, the default.
    pub const DELETE: CleanupPolicy = CleanupPolicy { delete: true, compact: false };
    /// `compact`.
    pub const COMPACT: CleanupPolicy = CleanupPolicy { delete: false, compact: true };
    /// `compact,delete`.
    pub const COMPACT_DELETE: CleanupPolicy = CleanupPolicy { delete: true, compact: true };
}

/// The settings of one log. Defaults are Kafka's. Each may be changed while the log is open
/// ([`Log::reconfigure`](crate::log::Log::reconfigure)).
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// A segment is rolled before it would grow beyond this many bytes (`segment.bytes`). Positions are 32 bits wide, so at
    /// most `i32::MAX` counts.
    pub segment_bytes: u32,
    /// A segment is rolled when its first record is older than this, in milliseconds (`segment.ms`).
    pub segment_ms: i64,
    /// Up to this much of `segment_ms` is taken off, another amount for each segment, so that segments of many partitions do not
    /// roll together (`segment.jitter.ms`).
    pub segment_jitter_ms: i64,
    /// Most bytes of an index of a segment; a full index rolls the segment (`segment.index.bytes`).
    pub segment_index_bytes: u32,
    /// About one index entry per this many bytes of records (`index.interval.bytes`).
    pub index_interval_bytes: u32,
    /// Segments whose newest record is older are deleted; -1 for never (`retention.ms`).
    pub retention_ms: i64,
    /// Oldest segments are deleted while the rest is at least this big; -1 for never (`retention.bytes`).
    pub retention_bytes: i64,
    /// What may be removed (`cleanup.policy`).
    pub cleanup_policy: CleanupPolicy,
    /// How long tombstones and markers stay readable after they were first compacted (`delete.retention.ms`).
    pub delete_retention_ms: i64,
    /// Share of not yet compacted bytes from which compaction is worth it (`min.cleanable.dirty.ratio`).
    pub min_cleanable_dirty_ratio: f64,
    /// Records stay uncompacted for at least this long (`min.compaction.lag.ms`).
    pub min_compaction_lag_ms: i64,
    /// Records stay uncompacted for at most this long, whatever the ratio (`max.compaction.lag.ms`).
    pub max_compaction_lag_ms: i64,
    /// In page-cache mode: sync before the append counts once this many records are unsynced (`flush.messages`).
    pub flush_messages: u64,
    /// In page-cache mode: sync in the background after this time (`flush.ms`).
    pub flush_ms: i64,
    /// Reserve the whole segment when it is made (`preallocate`).
    pub preallocate: bool,
    /// Files of removed segments stay this long under a `.deleted` name, for readers under way (`file.delete.delay.ms`).
    pub file_delete_delay_ms: i64,
    /// Idle producers are forgotten after this time (`producer.id.expiration.ms`).
    pub producer_id_expiration_ms: i64,
    /// Most bytes that one batch may inflate to in timestamp look-ups and compaction (`max.decompressed.message.bytes`).
    pub max_decompressed_bytes: u64,
    /// When a record counts as durable (`durability`).
    pub durability: Durability,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: WEEK_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: WEEK_MS,
            retention_bytes: -1,
            cleanup_policy: CleanupPolicy::DELETE,
            delete_retention_ms: DAY_MS,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            flush_messages: u64::MAX,
            flush_ms: i64::MAX,
            preallocate: false,
            file_delete_delay_ms: 60_000,
            producer_id_expiration_ms: DAY_MS,
            max_decompressed_bytes: 2_147_483_639,
            durability: Durability::Fsync,
        }
    }
}

const DAY_MS: i64 = 86_400_000;
const WEEK_MS: i64 = 7 * DAY_MS;

impl LogConfig {
    /// [`Self::segment_bytes`] within what positions can express.
    pub(crate) fn segment_limit(&self) -> u64 {
        u64::from(self.segment_bytes).min(i32::MAX as u64)
    }

    /// [`Self::segment_ms`], shortened so that compaction can keep to [`Self::max_compaction_lag_ms`].
    pub(crate) fn segment_lifetime_ms(&self) -> i64 {
        if self.cleanup_policy.compact { self.segment_ms.min(self.max_compaction_lag_ms) } else { self.segment_ms }
    }

    /// Most entries of the offset index of a segment.
    pub(crate) fn max_offset_entries(&self) -> u64 {
        u64::from(self.segment_index_bytes) / 8
    }

    /// Most entries of the time index of a segment; one is kept for the last entry, written when the segment is sealed.
    pub(crate) fn max_time_entries(&self) -> u64 {
        (u64::from(self.segment_index_bytes) / 12).saturating_sub(1)
    }
}

/// Bounds of what the logs of one directory share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Files held open. Files with unsynced writes and reads under way come on top.
    pub open_files: usize,
    /// Bytes of index blocks kept in memory.
    pub index_bytes: usize,
    /// Bytes of just appended batches kept in memory for consumers at the tail.
    pub tail_bytes: u64,
}

impl Default for CacheLimits {
    fn default() -> Self {
        CacheLimits { open_files: 1024, index_bytes: 16 << 20, tail_bytes: 64 << 20 }
    }
}

/// How much unproven data makes a checkpoint due, see [`Log::checkpoint_due`](crate::log::Log::checkpoint_due).
pub const CHECKPOINT_BYTES: u64 = 16 << 20;

/// How much unproven data the logs of a directory may have together; the ones with the most are checkpointed until they are below
/// it. It bounds what a start after a crash has to read, whatever the number of logs.
pub const UNPROVEN_BYTES: u64 = 512 << 20;

/// How long data stays unproven at most before a checkpoint is due.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);

/// Checkpoints that a round of upkeep writes at most where many are due at once, as those of logs that were made together are, for a
/// directory of so many logs: a round stays short, which what else upkeep does waits for, and each log has its turn twice a minute.
#[must_use]
pub fn checkpoints_of_a_round(logs: usize) -> usize {
    (logs / 30).max(64)
}

/// Deleted logs whose files a round of upkeep removes at most where so many are due: some file systems discard what becomes free with
/// their next commit (mount option `discard`), and every sync on them waits for that. A thousand logs are gone within a minute, a
/// hundred thousand within four.
#[must_use]
pub fn removals_of_a_round(due: usize) -> usize {
    (due / 30).max(16)
}
