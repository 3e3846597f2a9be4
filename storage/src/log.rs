//! The log of one partition: segments in Kafka's format, what is known about them, and every operation on them.
//!
//! A [`Log`] is shared (`Arc<Log>`) and has one short lock of its own. Nothing in it waits for a disk while it holds that lock
//! except the write into the page cache of an append, the making of files when a segment is rolled, and truncation.
//!
//! | calls | where they may run |
//! |---|---|
//! | [`Log::append`], [`Log::read`], everything that returns plain numbers | anywhere, they do not wait for a disk |
//! | `async` ones | anywhere |
//! | [`Log::open`], [`Log::truncate_to`], [`Log::retain`], [`Log::purge`], [`Log::cleanable`], [`Log::compact`], [`Log::abandon`], [`Log::checkpoint`], [`Log::close`] | on a thread that may block |

mod append;
mod checkpoint;
mod compaction;
mod epochs;
mod files;
mod heal;
mod loss;
mod open;
mod range;
mod read;
mod recovery;
mod replay;
mod retention;
mod slice;
mod staging;
mod state;
mod sync;
mod times;
mod truncate;
mod types;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

use goatq_protocol::{Uuid, record::Batch};
use parking_lot::{Condvar, Mutex};

use tokio::sync::Notify;

pub use heal::{Healing, Uncompacted};
pub use loss::Loss;
pub(crate) use open::{Known, Unsynced};
pub use range::FileRange;
pub use slice::{Located, LogSlice};
pub use types::{
    AbortedTxn, AppendOptions, Appended, Checkpoints, Cleanable, CompactOptions, Compacted, OpenOptions, Origin,
    ProducerInfo, Retained, TimestampOffset,
};

pub use crate::cache::{LogResources, ReadCounts};
use crate::{
    config::LogConfig,
    error::{AppendError, LogError, OpenError, ReadError},
    group_commit::{DirtyMark, DurableListener, GroupCommit},
    log_dir::health::DirHealth,
};
use slice::Hints;
use state::State;

/// The log of one partition.
pub struct Log {
    name: Arc<str>,
    dir: PathBuf,
    /// Of the name: spreads what must not happen to all logs at once.
    hash: u64,
    topic_id: Option<Uuid>,
    resources: Arc<LogResources>,
    checkpoints: Arc<dyn Checkpoints>,
    mark: DirtyMark,
    listener: Mutex<Arc<dyn DurableListener>>,
    /// Taken for calls to the listener, so that they come in order.
    telling: Mutex<()>,
    /// Taken by what removes, replaces or truncates segments, before [`Self::state`].
    structure: Mutex<()>,
    /// Taken by a compaction for its whole run, before [`Self::structure`].
    compaction: Mutex<()>,
    /// Set while a segment is healed: no compaction begins.
    healing: heal::HealingMark,
    /// Those who want no compaction to begin.
    holds: AtomicUsize,
    /// What recovery could not keep, until somebody was told.
    loss: Mutex<Option<Loss>>,
    state: Mutex<State>,
    /// A write of group commit ended: for who waits with the lock on the state.
    flown: Condvar,
    /// The same, for tasks.
    landings: Notify,
    start: AtomicI64,
    end: AtomicI64,
    durable: AtomicI64,
    hints: Hints,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("name", &self.name)
            .field("start", &self.log_start_offset())
            .field("end", &self.log_end_offset())
            .field("durable", &self.durable_end())
            .finish_non_exhaustive()
    }
}

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
        let known = Known::default();
        let (log, unsynced) = Log::open_unsynced(resources, commit, checkpoints, listener, options, &known, now_ms)?;
        unsynced.iter().try_for_each(|file| file.sync_now())?;
        Ok(log)
    }

    /// [`Self::open`], with the syncs left to the caller: nobody may hear of the log before these files are synced. When that fails,
    /// the directory has failed.
    pub(crate) fn open_unsynced(
        resources: &Arc<LogResources>,
        commit: &GroupCommit,
        checkpoints: Arc<dyn Checkpoints>,
        listener: Arc<dyn DurableListener>,
        options: OpenOptions,
        known: &Known,
        now_ms: i64,
    ) -> Result<(Arc<Log>, Unsynced), OpenError> {
        let dir = options.dir.clone();
        let topic_id = options.topic_id;
        let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let remembered = options.recovery_point;
        let (state, unsynced, loss) = open::load(resources, options, known, now_ms)?;
        if remembered.is_some_and(|point| point > state.end) {
            // What will be appended below that point is not proven by it.
            checkpoints.lower_recovery_point(&name, state.end)?;
        }
        let log = Arc::new_cyclic(|me: &std::sync::Weak<Log>| Log {
            hash: u64::from(crc32c::crc32c(name.as_bytes())),
            name: name.into(),
            dir,
            topic_id,
            resources: resources.clone(),
            checkpoints,
            mark: commit.register(me.clone()),
            listener: Mutex::new(listener),
            telling: Mutex::new(()),
            structure: Mutex::new(()),
            compaction: Mutex::new(()),
            healing: heal::HealingMark::default(),
            holds: AtomicUsize::new(0),
            loss: Mutex::new(loss),
            start: AtomicI64::new(state.start),
            end: AtomicI64::new(state.end),
            durable: AtomicI64::new(state.durable),
            state: Mutex::new(state),
            flown: Condvar::new(),
            landings: Notify::new(),
            hints: Hints::default(),
        });
        log.state.lock().history = log.mark.begin_history();
        resources.register(Arc::downgrade(&log));
        Ok((log, unsynced))
    }

    /// Name of the directory: `<topic>-<partition>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The topic's id, if the log was opened with one.
    pub fn topic_id(&self) -> Option<Uuid> {
        self.topic_id
    }

    /// The settings.
    pub fn config(&self) -> Arc<LogConfig> {
        self.state.lock().config.clone()
    }

    /// Replaces the settings. They count from the next append, retention and so on.
    pub fn reconfigure(&self, config: LogConfig) {
        self.state.lock().config = Arc::new(config);
    }

    /// Who is told of durability from now on, in place of the one given to [`Self::open`]. Not to be called by a listener.
    pub fn set_listener(&self, listener: Arc<dyn DurableListener>) {
        *self.listener.lock() = listener;
    }

    /// Appends batches, all or none (replicated ones may be cut off between batches by an error). The bytes are in the page
    /// cache when it returns, or taken on for the journal and written late; they count (may be acknowledged, shown to
    /// consumers) once [`Self::durable_end`] covers them. The
    /// listener is told when that moves, but not by this call: with page-cache durability it may have moved already when this
    /// returns.
    pub fn append(&self, batches: Vec<Batch>, options: AppendOptions) -> Result<Appended, AppendError> {
        self.append_batches(batches, options)
    }

    /// First offset that may be read.
    pub fn log_start_offset(&self) -> i64 {
        self.start.load(Ordering::Acquire)
    }

    /// Offset of the next record.
    pub fn log_end_offset(&self) -> i64 {
        self.end.load(Ordering::Acquire)
    }

    /// Everything below may be acknowledged.
    pub fn durable_end(&self) -> i64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Everything below is decided: neither above the high watermark nor in or behind an open transaction.
    pub fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        let mut state = self.state.lock();
        if state.producers.all_stable() {
            return high_watermark;
        }
        state.producers.first_unstable_offset(high_watermark).map_or(high_watermark, |first| first.min(high_watermark))
    }

    /// Finds whole batches from the one that holds `offset` on, all below `upper_bound`: as many as fit in `max_bytes`, but the
    /// first one anyway if `min_one_batch`. Does not wait for the disk; what is not in memory comes with [`LogSlice::load`]. Empty
    /// at the end of the log. A slice ends at the end of a segment at the latest.
    pub fn read(
        self: &Arc<Self>,
        offset: i64,
        max_bytes: usize,
        upper_bound: i64,
        min_one_batch: bool,
    ) -> Result<LogSlice, ReadError> {
        self.plan_read(offset, max_bytes, upper_bound, min_one_batch)
    }

    /// The leader epoch of the last record.
    pub fn latest_epoch(&self) -> Option<i32> {
        self.state.lock().epochs.latest()
    }

    /// Where the newest epoch that is not above `epoch` ends, as OffsetForLeaderEpoch answers it (KIP-320); `None` for an epoch
    /// above all.
    pub fn end_offset_for_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        let state = self.state.lock();
        state.readable_epochs().end_offset(epoch, state.end)
    }

    /// All epochs of what may be read, with their first offsets.
    pub fn epochs(&self) -> Vec<(i32, i64)> {
        self.state.lock().readable_epochs().entries().to_vec()
    }

    /// First offset that was not compacted yet: for the directory's `cleaner-offset-checkpoint`.
    pub fn first_dirty_offset(&self) -> i64 {
        self.state.lock().first_dirty
    }

    /// The producers known, by id.
    pub fn producers(&self) -> Vec<ProducerInfo> {
        self.state.lock().producers.describe()
    }

    /// Forgets producers that were idle for `producer.id.expiration.ms`. How many.
    pub fn expire_producers(&self, now_ms: i64) -> usize {
        let mut state = self.state.lock();
        let expiration_ms = state.config.producer_id_expiration_ms;
        state.producers.expire(now_ms, expiration_ms)
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.state.lock().size()
    }

    /// Bytes that were appended and are not in a file of the log yet: those below [`Self::durable_end`] are in the journal.
    pub fn staged_bytes(&self) -> u64 {
        self.state.lock().staging.bytes()
    }

    /// Whether group commit is writing what is staged. Truncation, checkpoints and the end of the log wait for that, and
    /// so must not be called by what polls group commit.
    pub fn is_written_late(&self) -> bool {
        self.state.lock().staging.in_flight()
    }

    /// Number of segments.
    pub fn segment_count(&self) -> usize {
        self.state.lock().sealed.len() + 1
    }

    /// The offset below which everything is proven.
    pub fn recovery_point(&self) -> i64 {
        self.state.lock().recovery_point
    }

    /// Ends appends and lets go of files and caches: the directory is about to be renamed and removed. Waits for a compaction
    /// under way to notice and for a checkpoint, truncation or retention to end, so that none of them misses its files; those
    /// that come later are refused. Blocks.
    pub fn abandon(&self) {
        self.state.lock().closed = true;
        let _compacted = self.compaction.lock();
        let _ended = self.structure.lock();
        let mut state = self.state.lock();
        state.tail.clear();
        state.unsynced.clear();
        state.staging.clear();
        state.segments().for_each(|segment| segment.close());
        self.landings.notify_waiters();
    }

    /// Drops from the tail in memory what the shared budget no longer covers, unless the log is busy.
    pub(crate) fn trim_tail(&self) {
        if let Some(mut state) = self.state.try_lock() {
            let pinned = state.pinned();
            state.tail.drop_below(self.resources.tails.floor(), pinned);
        }
    }

    fn health(&self) -> &Arc<DirHealth> {
        self.mark.health()
    }

    /// A write, sync or change of names failed: nothing in the directory may be acknowledged any more.
    fn poison(&self, what: &str, error: io::Error) -> io::Error {
        tracing::error!(log = %self.name, %error, "{what} failed, the log directory is taken out of use");
        self.health().poison(&format!("{}: {what}: {error}", self.name));
        error
    }

    /// Refuses what changes the log when that is over.
    fn writable(&self, state: &State) -> Result<(), LogError> {
        if self.health().is_poisoned() {
            Err(LogError::Poisoned)
        } else if state.closed {
            Err(LogError::Closed)
        } else {
            Ok(())
        }
    }

    /// Makes the offsets visible to those who read them without the lock.
    fn publish(&self, state: &State) {
        self.start.store(state.start, Ordering::Release);
        self.end.store(state.end, Ordering::Release);
        self.durable.store(state.durable, Ordering::Release);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if !self.state.get_mut().staging.is_idle() {
            self.mark.keep_journal();
        }
    }
}
