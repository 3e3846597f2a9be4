//! Group commit: one loop per log directory makes the appends of all its logs durable, many at a time.
//!
//! A log that was appended to marks itself ([`DirtyMark::mark`]). The loop takes all marked logs as one turn and asks each what
//! to make durable ([`Syncable::begin_sync`]): files to sync, and what it has staged, which goes into the turn's frame of the
//! [`Journal`], a single write for all logs. When all of that has succeeded for a log it is told ([`Syncable::complete_sync`]); what
//! is appended meanwhile makes the next turn. What the journal does not take is written to the files in the turn (`late`).
//!
//! What is in the journal is written to the segments beside the turns, past the page cache, when there is enough of it in one log, and
//! when slots of the journal are to be freed ([`GroupCommit::write_late`], [`GroupCommit::free_journal`]).
//!
//! The first failed sync (or a write that a log reports through [`DirHealth::poison`]) poisons the directory: a failed fdatasync
//! loses data and the next one reports success, so no log of the directory is ever told of durability again. Each is told of
//! the end ([`Syncable::poisoned`]) so that its waiters get an error, and a marker is left for the next start.
//!
//! The queue of marked logs is bounded by the number of logs: a log is in it at most once. Nothing here needs a particular
//! executor: who calls [`GroupCommit::run`] polls it.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use futures_util::{
    future::{Either, join, join_all, join3, select},
    pin_mut,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    io::DiskFile,
    journal::{Frame, Journal, JournalStats, Offer, Recent, Way},
    log_dir::health::DirHealth,
};

mod blocks;
mod late;
#[cfg(test)]
mod tests;

pub use blocks::BlockWrite;
use blocks::Buffers;

/// What has to be done so that a log is durable up to `end`.
#[derive(Clone, Debug)]
pub struct SyncBatch {
    /// Files (and directories, see [`crate::io::Disk::open_dir`]) with unsynced changes.
    pub files: Vec<Arc<dyn DiskFile>>,
    /// Whether these are all. If not, nobody waits for the others: what they have counts, but is not durable.
    pub whole: bool,
    /// The first offset that is not covered: the durable end once all of it is done.
    pub end: i64,
    /// The log's own mark of the state this was taken in, given back with the batch; a log that was truncated meanwhile
    /// recognises by it that the batch no longer applies.
    pub generation: u64,
    /// What is in no file yet, for the journal.
    pub staged: Vec<Recent>,
}

/// What is to be written of what a log has staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Everything.
    All,
    /// What is in the journal.
    Journaled,
}

/// A log as group commit sees it. Calls come from one task, one at a time.
pub trait Syncable: Send + Sync {
    /// What has to be made durable now; `None` when all is, or as durable as it is to be. Everything below `end` is written
    /// or staged before this returns.
    fn begin_sync(&self) -> Option<SyncBatch>;

    /// The same of what is written, or in the journal, alone: the journal does not take what is staged.
    fn begin_files(&self) -> Option<SyncBatch> {
        self.begin_sync()
    }

    /// Begins to write what is staged to the segments, as far as it is not whole blocks; `None` when there is nothing. On an error
    /// it is staged as before.
    fn begin_write(&self, what: What) -> io::Result<Option<Vec<BlockWrite>>> {
        let _all = what;
        Ok(None)
    }

    /// The blocks were written, or not: then any part of them may have been, and all is staged as before, as after an error in
    /// what is left to be done. `Interrupted` when nobody waited for it.
    fn complete_write(&self, result: io::Result<()>) -> io::Result<()> {
        result
    }

    /// Bytes that are in the journal and not written yet.
    fn journaled_bytes(&self) -> u64 {
        0
    }

    /// Whether some that are staged were so when this was asked the last time.
    fn has_old(&self) -> bool {
        false
    }

    /// All files of the batch were synced, and what it has staged is in the journal.
    fn complete_sync(&self, batch: &SyncBatch);

    /// The directory is poisoned: the durable end never moves again. Called once, also for logs that were not dirty.
    fn poisoned(&self, reason: &str);
}

/// Who wants to know how far a log is durable: the partition.
pub trait DurableListener: Send + Sync + fmt::Debug {
    /// Everything below `durable_end` is durable. Calls of one log come in order, the value only grows (a truncation may
    /// lower it; the one who truncates knows).
    fn on_durable(&self, durable_end: i64);

    /// The log directory failed: nothing more becomes durable, waiters are to be failed.
    fn on_poisoned(&self, reason: &str);
}

/// A listener for logs nobody waits on.
#[derive(Debug, Default)]
pub struct NoListener;

impl DurableListener for NoListener {
    fn on_durable(&self, _durable_end: i64) {}
    fn on_poisoned(&self, _reason: &str) {}
}

/// The place of one log in its directory's group commit. Dropping it takes the log out.
pub struct DirtyMark {
    slot: Arc<Slot>,
    shared: Arc<Shared>,
}

impl DirtyMark {
    /// Asks for a sync: the log has unsynced changes, all of them written before this call. Cheap, and cheaper when it is
    /// already asked for.
    pub fn mark(&self) {
        self.shared.mark(&self.slot);
    }

    /// A number for the history of the log that begins now: greater than all before it in this directory.
    pub(crate) fn begin_history(&self) -> u64 {
        self.shared.begin_history()
    }

    /// Whether an append of so many bytes that waits for a sync is to be staged, in a log that has nothing staged.
    pub(crate) fn stages(&self, bytes: u64) -> bool {
        self.shared.journal.as_ref().is_some_and(|journal| journal.stages(bytes))
    }

    /// Bytes that the logs of the directory have staged: each adds and takes away its own.
    pub(crate) fn staged(&self) -> &Arc<AtomicU64> {
        &self.shared.staged
    }

    /// Whether these are as many as may be.
    pub(crate) fn has_staged_enough(&self) -> bool {
        let most = self.shared.journal.as_ref().map_or(0, |journal| journal.most_staged());
        self.shared.staged.load(Ordering::Relaxed) >= most
    }

    /// Bytes from which a write past the page cache is worth it.
    pub(crate) fn direct_from(&self) -> u64 {
        self.shared.journal.as_ref().map_or(u64::MAX, |journal| journal.limits().direct_bytes)
    }

    /// The log goes with something that only the journal has: that stays there for the next start.
    pub(crate) fn keep_journal(&self) {
        self.shared.orphaned.store(true, Ordering::Release);
    }

    /// The journal of the directory, if it has one.
    pub(crate) fn journal(&self) -> Option<&Arc<Journal>> {
        self.shared.journal.as_ref()
    }

    /// The health of the directory: for reporting failed writes, and for room.
    pub fn health(&self) -> &Arc<DirHealth> {
        &self.shared.health
    }
}

impl Drop for DirtyMark {
    fn drop(&mut self) {
        self.shared.queue.lock().logs.remove(&self.slot.id);
    }
}

impl fmt::Debug for DirtyMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirtyMark").field("id", &self.slot.id).field("queued", &self.slot.queued).finish()
    }
}

struct Slot {
    id: u64,
    log: Weak<dyn Syncable>,
    queued: AtomicBool,
    /// It is among those to be written late.
    ripe: AtomicBool,
    /// Held by who writes what it has staged.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Queue {
    dirty: Vec<Arc<Slot>>,
    logs: BTreeMap<u64, Arc<Slot>>,
    /// Logs with enough to be written late.
    ripe: Vec<Arc<Slot>>,
    next_id: u64,
    closed: bool,
    /// The logs have been told of the poison.
    told: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    health: Arc<DirHealth>,
    journal: Option<Arc<Journal>>,
    /// Wakes who frees the journal, whenever that was offered something.
    filled: Notify,
    /// Wakes who writes late.
    ripened: Notify,
    staged: Arc<AtomicU64>,
    /// A log is gone that has something in the journal only.
    orphaned: AtomicBool,
    histories: AtomicU64,
    turns: AtomicU64,
    syncs: AtomicU64,
    commits: AtomicU64,
    journaled: AtomicU64,
    blocks_written: AtomicU64,
    buffers: Buffers,
}

impl Shared {
    fn mark(&self, slot: &Arc<Slot>) {
        if !slot.queued.swap(true, Ordering::AcqRel) {
            self.queue.lock().dirty.push(slot.clone());
            self.health.wake();
        }
    }

    fn begin_history(&self) -> u64 {
        self.histories.fetch_add(1, Ordering::Relaxed)
    }
}

/// What a group commit did so far; see [`GroupCommit::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitStats {
    /// Turns that made something durable.
    pub turns: u64,
    /// Files and directories synced.
    pub syncs: u64,
    /// Times a log became durable further: `commits / turns` logs shared a turn.
    pub commits: u64,
    /// How many of these were by the journal.
    pub journaled: u64,
    /// Times that blocks of a log were written past the page cache.
    pub blocks_written: u64,
    /// What the journal did.
    pub journal: JournalStats,
}

/// The group commit of one log directory. Clones share it.
#[derive(Clone)]
pub struct GroupCommit {
    shared: Arc<Shared>,
}

impl fmt::Debug for GroupCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.shared.queue.lock();
        f.debug_struct("GroupCommit").field("logs", &queue.logs.len()).field("dirty", &queue.dirty.len()).finish()
    }
}

/// A log in a turn.
struct Member {
    slot: Arc<Slot>,
    log: Arc<dyn Syncable>,
    batch: SyncBatch,
}

impl GroupCommit {
    /// For a directory of that health, without a journal.
    pub fn new(health: Arc<DirHealth>) -> GroupCommit {
        GroupCommit::with(health, None)
    }

    /// For a directory of that health with its journal.
    pub fn with_journal(health: Arc<DirHealth>, journal: Arc<Journal>) -> GroupCommit {
        GroupCommit::with(health, Some(journal))
    }

    fn with(health: Arc<DirHealth>, journal: Option<Arc<Journal>>) -> GroupCommit {
        GroupCommit {
            shared: Arc::new(Shared {
                queue: Mutex::default(),
                health,
                journal,
                filled: Notify::new(),
                ripened: Notify::new(),
                staged: Arc::default(),
                orphaned: AtomicBool::new(false),
                histories: AtomicU64::new(0),
                turns: AtomicU64::new(0),
                syncs: AtomicU64::new(0),
                commits: AtomicU64::new(0),
                journaled: AtomicU64::new(0),
                blocks_written: AtomicU64::new(0),
                buffers: Buffers::default(),
            }),
        }
    }

    /// Takes a log in. Made for `Arc::new_cyclic`, so that the log owns its mark:
    /// `Arc::new_cyclic(|me: &Weak<Log>| Log { mark: commit.register(me.clone()), .. })`. A log that is taken in after the
    /// directory was poisoned is not told of it; it asks [`DirHealth::is_poisoned`].
    pub fn register(&self, log: Weak<dyn Syncable>) -> DirtyMark {
        let mut queue = self.shared.queue.lock();
        let id = queue.next_id;
        queue.next_id += 1;
        let (queued, ripe) = (AtomicBool::new(false), AtomicBool::new(false));
        let slot = Arc::new(Slot { id, log, queued, ripe, writing: tokio::sync::Mutex::new(()) });
        queue.logs.insert(id, slot.clone());
        DirtyMark { slot, shared: self.shared.clone() }
    }

    /// The health of the directory.
    pub fn health(&self) -> &Arc<DirHealth> {
        &self.shared.health
    }

    /// The journal, if there is one.
    pub fn journal(&self) -> Option<&Arc<Journal>> {
        self.shared.journal.as_ref()
    }

    /// New logs are about to be made under these names: what the journal holds of their predecessors does not count. Durable when it
    /// returns. Blocks.
    pub(crate) fn void_journal<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
        let Some(journal) = &self.shared.journal else { return Ok(()) };
        journal.void(names, self.shared.begin_history())
    }

    /// What it did so far.
    pub fn stats(&self) -> CommitStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let shared = &self.shared;
        CommitStats {
            turns: read(&shared.turns),
            syncs: read(&shared.syncs),
            commits: read(&shared.commits),
            journaled: read(&shared.journaled),
            blocks_written: read(&shared.blocks_written),
            journal: shared.journal.as_ref().map(|journal| journal.stats()).unwrap_or_default(),
        }
    }

    /// Runs turns until [`GroupCommit::close`], then the last one. One such loop per directory. A loop that is dropped in the
    /// middle of a turn leaves its logs not durable, which is what a crash does.
    pub async fn run(&self) {
        let (turns, beside) = (self.run_turns(), join(self.keep_writing(), self.keep_journal_free()));
        pin_mut!(turns, beside);
        match select(turns, beside).await {
            Either::Left(((), _)) | Either::Right((((), ()), _)) => {}
        }
    }

    async fn run_turns(&self) {
        loop {
            let (work, closed) = {
                let queue = self.shared.queue.lock();
                let untold = self.shared.health.is_poisoned() && !queue.told;
                (!queue.dirty.is_empty() || untold, queue.closed)
            };
            if work {
                self.turn().await;
            } else if closed {
                return;
            } else {
                self.shared.health.woken().await;
            }
        }
    }

    /// Lets [`GroupCommit::run`] end once nothing is dirty.
    pub fn close(&self) {
        self.shared.queue.lock().closed = true;
        self.shared.health.wake();
    }

    /// One turn: makes durable what all logs that are dirty now have. The number of logs that became durable; 0 when none was dirty
    /// or the directory is poisoned. [`GroupCommit::run`] calls it; tests call it by hand.
    pub async fn turn(&self) -> usize {
        // Before the logs are asked.
        let ready = self.shared.journal.as_ref().filter(|journal| journal.is_ready());
        let turn = self.begin();
        if let (None, Some(journal), false) = (ready, &self.shared.journal, turn.is_empty()) {
            journal.missed();
        }
        let (staged, plain): (Vec<Member>, Vec<Member>) =
            turn.into_iter().partition(|member| !member.batch.staged.is_empty());
        let (ways, frame) = match ready {
            Some(journal) if !staged.is_empty() => {
                let admitted = journal.admit(&offers(&staged));
                // Also when there is no frame: a journal that takes nothing any more waits for nothing but to be freed.
                self.shared.filled.notify_one();
                admitted
            }
            _ => (vec![Way::Files; staged.len()], None),
        };
        let (mut framed, mut rest) = (Vec::new(), Vec::new());
        for (member, way) in staged.into_iter().zip(ways) {
            match way {
                Way::Frame => framed.push(member),
                Way::Files => rest.push(member),
                Way::Later => self.shared.mark(&member.slot),
            }
        }
        // What is small does not wait for what is big.
        let (first, second, third) =
            join3(self.commit_frame(framed, frame), self.sync_files(plain), self.commit_files(rest)).await;
        if self.shared.health.is_poisoned() {
            self.tell().await;
            return 0;
        }
        let logs = first + second + third;
        self.shared.turns.fetch_add(u64::from(logs > 0), Ordering::Relaxed);
        logs
    }

    /// Makes logs durable by a frame, and syncs of what is not staged. How many.
    async fn commit_frame(&self, logs: Vec<Member>, frame: Option<Frame>) -> usize {
        let (Some(frame), Some(journal)) = (frame, &self.shared.journal) else { return 0 };
        let files: Vec<_> = logs.iter().flat_map(|member| &member.batch.files).collect();
        self.shared.syncs.fetch_add(files.len() as u64, Ordering::Relaxed);
        let (written, _) = join(frame.write(), join_all(files.into_iter().map(|file| self.sync(file)))).await;
        match written {
            Ok(buffer) => journal.written(buffer),
            // It had the room before: some file systems write anew what is overwritten. There is no journal any more.
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                journal.give_up();
                return self.commit_files(logs).await;
            }
            Err(error) => self.shared.health.poison(&format!("writing the journal failed: {error}")),
        }
        let committed = self.complete(&logs);
        self.shared.journaled.fetch_add(committed as u64, Ordering::Relaxed);
        self.ripen(&logs, journal);
        committed
    }

    /// Makes logs durable by syncs alone, after what they have staged was written. How many.
    async fn commit_files(&self, logs: Vec<Member>) -> usize {
        join_all(logs.iter().map(|member| self.write_out(&member.slot, What::All))).await;
        if self.shared.health.is_poisoned() {
            return 0;
        }
        let asked = logs.into_iter().filter_map(|Member { slot, log, .. }| {
            let batch = log.begin_files()?;
            Some(Member { slot, log, batch })
        });
        self.sync_files(asked.collect()).await
    }

    /// Syncs what logs ask for and tells them. How many.
    async fn sync_files(&self, logs: Vec<Member>) -> usize {
        let files: Vec<_> = logs.iter().flat_map(|member| &member.batch.files).collect();
        if files.is_empty() {
            return 0;
        }
        self.shared.syncs.fetch_add(files.len() as u64, Ordering::Relaxed);
        join_all(files.into_iter().map(|file| self.sync(file))).await;
        self.complete(&logs)
    }

    /// Tells logs that their batches have succeeded, unless something failed, be it elsewhere: what else that disk did is unknown.
    fn complete(&self, logs: &[Member]) -> usize {
        if self.shared.health.is_poisoned() {
            return 0;
        }
        logs.iter().for_each(|member| member.log.complete_sync(&member.batch));
        self.shared.commits.fetch_add(logs.len() as u64, Ordering::Relaxed);
        logs.len()
    }

    /// Syncs one file. A failure counts at once: a turn that is dropped before its other syncs have ended must not hide it, because
    /// the next sync of the file may report success.
    async fn sync(&self, file: &Arc<dyn DiskFile>) {
        if let Err(error) = file.sync().await {
            self.shared.health.poison(&format!("a sync failed: {error}"));
        }
    }

    /// Takes the dirty logs and what they have to make durable.
    fn begin(&self) -> Vec<Member> {
        let dirty = std::mem::take(&mut self.shared.queue.lock().dirty);
        let mut turn = Vec::with_capacity(dirty.len());
        for slot in dirty {
            // Before the log is asked: what is appended after the answer marks it anew.
            slot.queued.swap(false, Ordering::AcqRel);
            let Some(log) = slot.log.upgrade() else { continue };
            if self.shared.health.is_poisoned() {
                continue;
            }
            if let Some(batch) = log.begin_sync() {
                turn.push(Member { slot, log, batch });
            }
        }
        turn
    }

    /// Tells every log that the directory is poisoned, once, and marks the directory.
    async fn tell(&self) {
        let logs: Vec<_> = {
            let mut queue = self.shared.queue.lock();
            if std::mem::replace(&mut queue.told, true) {
                return;
            }
            queue.logs.values().filter_map(|slot| slot.log.upgrade()).collect()
        };
        let reason = self.shared.health.poison_reason().unwrap_or_default();
        for log in logs {
            log.poisoned(reason);
        }
        self.shared.health.leave_marker().await;
    }
}

fn offers(logs: &[Member]) -> Vec<Offer<'_>> {
    logs.iter().map(|member| Offer { owner: member.slot.id, staged: &member.batch.staged }).collect()
}
