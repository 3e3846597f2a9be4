//! The metadata log under openraft: entries in a partition log, vote and purge mark beside it.
//!
//! Appends are written to the page cache at once and completed by the directory's group commit, in order, so that a metadata change
//! shares its sync with whatever else the node appends. Votes, truncation and purging wait until all appends before them are durable:
//! writes of this store never overtake one another.

use std::{
    collections::VecDeque,
    fmt, io,
    ops::{Bound, RangeBounds},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use goatq_protocol::{Uuid, record};
use goatq_storage::{
    config::{CleanupPolicy, Durability, LogConfig},
    error::{AppendError, LogError},
    group_commit::DurableListener,
    io::is_refusal,
    log::{AppendOptions, Checkpoints, Log, OpenOptions, Origin},
};
use openraft::{
    LogState, OptionalSend, RaftLogReader,
    storage::{IOFlushed, RaftLogStorage},
    type_config::alias::{EntryOf, LogIdOf, VoteOf},
};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    Entry, LogId, MetadataRaft, entry, log_id,
    quorum_state::{QuorumState, QuorumStateFile},
};
use crate::service::MetadataStorage;

/// Directory of the metadata log within its log directory.
pub const DIRECTORY: &str = "__cluster_metadata-0";

/// Bytes of entries that one read brings at a time.
const READ: usize = 1 << 20;

/// How the metadata log is kept: small segments, so that purged ones go soon; nothing removed but by purging.
fn log_config() -> LogConfig {
    LogConfig {
        segment_bytes: 16 << 20,
        segment_ms: i64::MAX,
        segment_index_bytes: 1 << 20,
        retention_ms: -1,
        retention_bytes: -1,
        cleanup_policy: CleanupPolicy::DELETE,
        file_delete_delay_ms: 0,
        durability: Durability::Fsync,
        // A node with a full disk stays in the quorum: what decides who leads in its place is not to wait for room.
        preallocate: true,
        ..LogConfig::default()
    }
}

/// How far the log is proven is kept in the state of the quorum, and lowered by [`LogStore`] before it truncates.
#[derive(Debug)]
struct NoCheckpoints;

impl Checkpoints for NoCheckpoints {
    fn lower_recovery_point(&self, _log: &str, _offset: i64) -> io::Result<()> {
        Ok(())
    }

    fn lower_high_watermark(&self, _log: &str, _offset: i64) -> io::Result<()> {
        Ok(())
    }
}

/// How far the log is durable, and the appends that wait for it.
struct Flushing {
    waiting: Mutex<VecDeque<(i64, IOFlushed<MetadataRaft>)>>,
    durable: watch::Sender<Durable>,
}

#[derive(Clone, Debug, Default)]
struct Durable {
    end: i64,
    failure: Option<String>,
}

impl fmt::Debug for Flushing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flushing").field("waiting", &self.waiting.lock().len()).finish_non_exhaustive()
    }
}

impl DurableListener for Flushing {
    fn on_durable(&self, durable_end: i64) {
        loop {
            let next = {
                let mut waiting = self.waiting.lock();
                match waiting.front() {
                    Some((end, _)) if *end <= durable_end => waiting.pop_front(),
                    _ => None,
                }
            };
            let Some((_, callback)) = next else { break };
            callback.io_completed(Ok(()));
        }
        self.durable.send_modify(|durable| durable.end = durable_end);
    }

    fn on_poisoned(&self, reason: &str) {
        self.durable.send_modify(|durable| durable.failure = Some(reason.to_owned()));
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for (_, callback) in waiting {
            callback.io_completed(Err(io::Error::other(reason.to_owned())));
        }
    }
}

/// What store and readers share.
#[derive(Debug)]
struct Shared {
    log: Arc<Log>,
    flushing: Arc<Flushing>,
    vote: Mutex<Option<VoteOf<MetadataRaft>>>,
}

/// The log as openraft writes it. One per node.
#[derive(Debug)]
pub struct LogStore {
    shared: Arc<Shared>,
    storage: MetadataStorage,
    state: QuorumStateFile,
}

/// The log as openraft reads it. Any number of them.
#[derive(Clone, Debug)]
pub struct LogReader {
    shared: Arc<Shared>,
}

/// The directory of the metadata log.
pub fn directory(storage: &MetadataStorage) -> PathBuf {
    storage.log_dir.join(DIRECTORY)
}

fn other(error: impl fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// The error of the disk, where it is one.
fn append_error(error: AppendError) -> io::Error {
    match error {
        AppendError::OutOfSpace => io::Error::new(io::ErrorKind::StorageFull, error.to_string()),
        AppendError::Io(error) => error,
        error => other(error),
    }
}

/// As [`append_error`].
fn log_error(error: LogError) -> io::Error {
    match error {
        LogError::Io(error) => error,
        error => other(error),
    }
}

impl LogStore {
    /// Opens the log and the state of the quorum, makes them when there are none. Blocks.
    pub fn open(storage: &MetadataStorage, node_id: u32, directory_id: Uuid) -> io::Result<LogStore> {
        let dir = directory(storage);
        create(storage, &dir)?;
        let state = QuorumStateFile::open(&*storage.disk, &dir, node_id, directory_id)?;
        let start = state.state().purged.map_or(0, |purged| offset(purged.index + 1));
        let flushing = Arc::new(Flushing { waiting: Mutex::default(), durable: watch::Sender::default() });
        let options = OpenOptions {
            dir,
            topic_id: None,
            config: log_config(),
            clean: false,
            recovery_point: Some(offset(state.state().proven)),
            log_start_offset: start,
            first_dirty_offset: 0,
        };
        let log = Log::open(&storage.resources, &storage.commit, Arc::new(NoCheckpoints), flushing.clone(), options, 0)
            .map_err(other)?;
        if log.log_end_offset() < start || (log.log_end_offset() == start && log.log_start_offset() != start) {
            // A purge of the whole log was interrupted.
            log.truncate_fully_and_start_at(start).map_err(other)?;
        }
        if log.log_end_offset() < offset(state.state().proven) {
            let (end, proven) = (log.log_end_offset(), state.state().proven);
            return Err(other(format!(
                "the metadata log ends at {end}, but was durable up to {proven}: entries are lost"
            )));
        }
        // What the quorum relies on is there; nobody else has to be told.
        log.forget_loss().map_err(other)?;
        flushing.durable.send_modify(|durable| durable.end = log.durable_end());
        let vote = Mutex::new(state.state().vote);
        Ok(LogStore { shared: Arc::new(Shared { log, flushing, vote }), storage: storage.clone(), state })
    }

    /// The log itself, for its size and its closing.
    pub fn log(&self) -> &Arc<Log> {
        &self.shared.log
    }

    /// The id of the last entry that was purged.
    pub fn purged(&self) -> Option<LogId> {
        self.state.state().purged
    }

    fn last_log_id(&self) -> Option<LogId> {
        let log = &self.shared.log;
        let end = log.log_end_offset();
        if end <= log.log_start_offset() {
            return self.purged();
        }
        let term = log.latest_epoch().and_then(|epoch| u64::try_from(epoch).ok())?;
        Some(log_id(term, u64::try_from(end - 1).ok()?))
    }

    /// Waits until everything appended is durable.
    async fn settled(&self) -> io::Result<()> {
        let end = self.shared.log.log_end_offset();
        let mut durable = self.shared.flushing.durable.subscribe();
        let settled =
            durable.wait_for(|durable| durable.end >= end || durable.failure.is_some()).await.map_err(other)?;
        match &settled.failure {
            Some(reason) => Err(io::Error::other(reason.clone())),
            None => Ok(()),
        }
    }

    /// The first index that is not durable.
    fn proven(&self) -> u64 {
        u64::try_from(self.shared.flushing.durable.borrow().end).unwrap_or(0)
    }

    async fn save(&mut self, state: QuorumState) -> io::Result<()> {
        let saved = self.state.save(state).await;
        self.poisoned(saved)
    }

    /// After a failed write nothing in the directory can be trusted any more, and without room the quorum cannot be told the truth.
    fn poisoned<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.storage.commit.health().fail(&format!("metadata log: {error}"), is_refusal(error));
        }
        result
    }

    /// Runs a call on the log that blocks.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Log) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let log = self.shared.log.clone();
        if !self.storage.offload {
            return call(&log);
        }
        tokio::task::spawn_blocking(move || call(&log)).await.map_err(other)?
    }

    fn write(&self, entries: Vec<Entry>, callback: IOFlushed<MetadataRaft>) -> io::Result<()> {
        let log = &self.shared.log;
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            callback.io_completed(Ok(()));
            return Ok(());
        };
        let (first, end) = (offset(first.log_id.index), offset(last.log_id.index).saturating_add(1));
        if first != log.log_end_offset() {
            // After a snapshot from the leader the log starts anew behind it.
            if log.log_start_offset() != log.log_end_offset() {
                return Err(other(format!("entry {first} would leave a hole behind {}", log.log_end_offset())));
            }
            log.truncate_fully_and_start_at(first).map_err(log_error)?;
        }
        let batches = entries.iter().map(entry::encode).collect::<Result<Vec<_>, _>>().map_err(other)?;
        // Registered first: the sync may be done before the append returns.
        self.shared.flushing.waiting.lock().push_back((end, callback));
        let options = AppendOptions { leader_epoch: 0, origin: Origin::Replication, now_ms: 0 };
        log.append(batches, options).map(|_| ()).map_err(append_error)
    }
}

/// Makes the directory of the log, durably.
fn create(storage: &MetadataStorage, dir: &Path) -> io::Result<()> {
    if storage.disk.exists(dir)? {
        return Ok(());
    }
    storage.disk.create_dir_all(dir)?;
    storage.disk.sync_dir(&storage.log_dir)
}

/// An index as an offset. Indexes count entries: they do not reach 2^63.
fn offset(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

impl RaftLogStorage<MetadataRaft> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<MetadataRaft>> {
        Ok(LogState { last_purged_log_id: self.purged(), last_log_id: self.last_log_id() })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        LogReader { shared: self.shared.clone() }
    }

    async fn save_vote(&mut self, vote: &VoteOf<MetadataRaft>) -> io::Result<()> {
        self.settled().await?;
        let state = QuorumState { vote: Some(*vote), proven: self.proven(), ..*self.state.state() };
        self.save(state).await?;
        *self.shared.vote.lock() = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogIdOf<MetadataRaft>>) -> io::Result<()> {
        let noted = self.state.note(committed, self.proven());
        self.poisoned(noted)
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogIdOf<MetadataRaft>>> {
        // It was written without a sync, and so was perhaps the entry it names: of the two, only it may have survived.
        Ok(self.state.state().committed.min(self.last_log_id()))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<MetadataRaft>) -> io::Result<()>
    where
        I: IntoIterator<Item = EntryOf<MetadataRaft>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let written = self.write(entries.into_iter().collect(), callback);
        self.poisoned(written)
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogIdOf<MetadataRaft>>) -> io::Result<()> {
        self.settled().await?;
        let end = last_log_id.map_or(0, |last| offset(last.index + 1));
        let proven = self.proven().min(u64::try_from(end).unwrap_or(0));
        self.save(QuorumState { proven, ..*self.state.state() }).await?;
        let cut = self
            .blocking(move |log| match end <= log.log_start_offset() {
                true => log.truncate_fully_and_start_at(log.log_start_offset()).map_err(log_error),
                false if end < log.log_end_offset() => log.truncate_to(end).map_err(log_error),
                false => Ok(()),
            })
            .await;
        self.poisoned(cut)?;
        self.shared.flushing.durable.send_modify(|durable| durable.end = durable.end.min(end));
        Ok(())
    }

    async fn purge(&mut self, log_id: LogIdOf<MetadataRaft>) -> io::Result<()> {
        self.settled().await?;
        if self.purged().is_some_and(|purged| purged.index >= log_id.index) {
            return Ok(());
        }
        // First the mark, then the entries: entries below the mark are ignored, a missing mark could not be made up.
        let proven = self.proven();
        self.save(QuorumState { purged: Some(log_id), proven, ..*self.state.state() }).await?;
        let start = offset(log_id.index + 1);
        let purged = self
            .blocking(move |log| {
                if start >= log.log_end_offset() {
                    return log.truncate_fully_and_start_at(start).map_err(log_error);
                }
                log.advance_start_offset(start, log.log_end_offset()).map_err(log_error)?;
                log.retain(0, log.log_end_offset()).map_err(log_error)?;
                log.purge(0).map(|_| ()).map_err(log_error)
            })
            .await;
        self.poisoned(purged)?;
        let log_end = self.shared.log.log_end_offset();
        self.shared.flushing.durable.send_modify(|durable| durable.end = log_end);
        Ok(())
    }
}

impl LogReader {
    /// Entries of a range of indexes, as far as the log has them; at least one, and about `max_bytes` of them.
    async fn read(&self, from: i64, upper: i64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        let slice = self.shared.log.read(from, max_bytes, upper, true).map_err(other)?;
        let chunks = slice.load().await.map_err(other)?;
        let bytes = join(chunks);
        let mut entries = Vec::new();
        for batch in record::split(&bytes) {
            let batch = batch.map_err(other)?;
            if batch.header().base_offset >= from {
                entries.push(entry::decode(&batch).map_err(other)?);
            }
        }
        Ok(entries)
    }

    /// The part of a range of indexes that the log has, as offsets.
    fn present(&self, range: &impl RangeBounds<u64>) -> (i64, i64) {
        let from = match range.start_bound() {
            Bound::Included(from) => offset(*from),
            Bound::Excluded(before) => offset(before.saturating_add(1)),
            Bound::Unbounded => 0,
        };
        let upper = match range.end_bound() {
            Bound::Included(last) => offset(last.saturating_add(1)),
            Bound::Excluded(upper) => offset(*upper),
            Bound::Unbounded => i64::MAX,
        };
        let log = &self.shared.log;
        (from.max(log.log_start_offset()), upper.min(log.log_end_offset()))
    }
}

/// Chunks as one piece, which batches can be cut from.
fn join(chunks: Vec<Bytes>) -> Bytes {
    if let [only] = chunks.as_slice() {
        return only.clone();
    }
    let mut joined = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
    chunks.iter().for_each(|chunk| joined.extend_from_slice(chunk));
    joined.freeze()
}

impl RaftLogReader<MetadataRaft> for LogReader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<EntryOf<MetadataRaft>>>
    where
        RB: RangeBounds<u64> + Clone + fmt::Debug + OptionalSend,
    {
        let (mut from, upper) = self.present(&range);
        let mut entries = Vec::new();
        while from < upper {
            let read = self.read(from, upper, READ).await?;
            let Some(last) = read.last() else {
                return Err(other(format!("the metadata log has no entry {from} though it ends at {upper}")));
            };
            from = offset(last.log_id.index).saturating_add(1);
            entries.extend(read);
        }
        Ok(entries)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<EntryOf<MetadataRaft>>> {
        let (from, upper) = self.present(&(start..end));
        if from >= upper {
            return Ok(Vec::new());
        }
        self.read(from, upper, READ).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<VoteOf<MetadataRaft>>> {
        Ok(*self.shared.vote.lock())
    }
}
