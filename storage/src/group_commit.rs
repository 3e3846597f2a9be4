//! Group commit: one loop per log directory makes the appends of all its logs durable, many at a time.
//!
//! A log that was appended to marks itself ([`DirtyMark::mark`]). The loop takes all marked logs as one turn, asks each what
//! to sync ([`Syncable::begin_sync`]), issues all those syncs together, and when *all* have succeeded tells each log how
//! far it is durable ([`Syncable::complete_sync`]); what is appended meanwhile makes the next turn.
//!
//! Instead of a sync of its files a log may get a place in the turn's frame of the [`Journal`], a single write for all that
//! are in it; which do, the journal chooses. Its slots are freed beside the turns ([`GroupCommit::free_journal`]).
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
    future::{Either, join, join_all, select},
    pin_mut,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    io::DiskFile,
    journal::{Frame, Journal, JournalStats, Recent},
    log_dir::health::DirHealth,
};

#[cfg(test)]
mod tests;

/// Files synced side by side to free the journal: few enough for turns to get through.
const SYNCS_BEHIND: usize = 16;

/// What has to be synced so that a log is durable up to `end`.
#[derive(Clone, Debug)]
pub struct SyncBatch {
    /// Files (and directories, see [`crate::io::Disk::open_dir`]) with unsynced changes. Empty when nothing has to be synced
    /// any more.
    pub files: Vec<Arc<dyn DiskFile>>,
    /// The first offset that is not covered: the durable end once all files are synced.
    pub end: i64,
    /// The log's own mark of the state this was taken in, given back with the batch; a log that was truncated meanwhile
    /// recognises by it that the batch no longer applies.
    pub generation: u64,
    /// All that is not durable yet, for the journal: in place of a sync of the files, if the journal takes it.
    pub recent: Option<Recent>,
}

/// A log as group commit sees it. Calls come from one task, one at a time.
pub trait Syncable: Send + Sync {
    /// What has to be synced now; `None` when all is durable. Everything below `end` was written before this returns.
    fn begin_sync(&self) -> Option<SyncBatch>;

    /// All files of the batch were synced, or its bytes are in the journal.
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
        if !self.slot.queued.swap(true, Ordering::AcqRel) {
            self.shared.queue.lock().dirty.push(self.slot.clone());
            self.shared.health.wake();
        }
    }

    /// A number for the history of the log that begins now: greater than all before it in this directory.
    pub(crate) fn begin_history(&self) -> u64 {
        self.shared.begin_history()
    }

    /// Most bytes of an append that are worth remembering for the journal; 0 without one.
    pub(crate) fn remembered_bytes(&self) -> usize {
        self.shared.journal.as_ref().map_or(0, |journal| journal.remembered_bytes())
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
}

#[derive(Default)]
struct Queue {
    dirty: Vec<Arc<Slot>>,
    logs: BTreeMap<u64, Weak<dyn Syncable>>,
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
    histories: AtomicU64,
    turns: AtomicU64,
    syncs: AtomicU64,
    commits: AtomicU64,
    journaled: AtomicU64,
}

impl Shared {
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

type Turn = Vec<(Arc<dyn Syncable>, SyncBatch)>;

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
                histories: AtomicU64::new(0),
                turns: AtomicU64::new(0),
                syncs: AtomicU64::new(0),
                commits: AtomicU64::new(0),
                journaled: AtomicU64::new(0),
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
        queue.logs.insert(id, log.clone());
        let slot = Arc::new(Slot { id, log, queued: AtomicBool::new(false) });
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
            journal: shared.journal.as_ref().map(|journal| journal.stats()).unwrap_or_default(),
        }
    }

    /// Runs turns until [`GroupCommit::close`], then the last one. One such loop per directory. A loop that is dropped in the
    /// middle of a turn leaves its logs not durable, which is what a crash does.
    pub async fn run(&self) {
        let (turns, freeing) = (self.run_turns(), self.keep_journal_free());
        pin_mut!(turns, freeing);
        match select(turns, freeing).await {
            Either::Left(((), _)) | Either::Right(((), _)) => {}
        }
    }

    /// Frees the journal whenever that is due; never ends.
    async fn keep_journal_free(&self) {
        loop {
            self.shared.filled.notified().await;
            while self.free_slots(true).await > 0 {}
        }
    }

    /// Frees slots of the journal if it is time: syncs the files that their frames speak of. How many slots. [`GroupCommit::run`]
    /// does it beside the turns; tests call it by hand.
    pub async fn free_journal(&self) -> usize {
        self.free_slots(false).await
    }

    /// `in_step`: thousands of files are not synced at once, since appends meet the transactions of the file system that this makes,
    /// but some after each few appends.
    async fn free_slots(&self, in_step: bool) -> usize {
        let Some(journal) = &self.shared.journal else { return 0 };
        let Some(due) = journal.due() else { return 0 };
        for (at, files) in due.files.chunks(SYNCS_BEHIND).enumerate() {
            while in_step && !journal.in_step(&due, at * SYNCS_BEHIND) {
                self.shared.filled.notified().await;
            }
            join_all(files.iter().map(|file| self.sync(file))).await;
            if self.shared.health.is_poisoned() {
                return 0;
            }
        }
        journal.release(&due)
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

    /// One turn: syncs all logs that are dirty now. The number of logs that became durable; 0 when none was dirty or the
    /// directory is poisoned. [`GroupCommit::run`] calls it; tests call it by hand.
    pub async fn turn(&self) -> usize {
        // Before the logs are asked.
        let journal = self.shared.journal.as_ref();
        let ready = journal.filter(|journal| journal.is_ready());
        let turn = self.begin();
        let frame = ready.and_then(|journal| {
            let offers: Vec<Option<&Recent>> = turn.iter().map(|(_, batch)| batch.recent.as_ref()).collect();
            let frame = journal.admit(&offers);
            // Also when there is none: a journal that takes nothing any more waits for nothing but to be freed.
            self.shared.filled.notify_one();
            frame
        });
        if let (None, Some(journal), false) = (ready, journal, turn.is_empty()) {
            journal.missed();
        }
        let taken = |index: usize| frame.as_ref().is_some_and(|frame| frame.taken[index]);
        let files: Vec<&Arc<dyn DiskFile>> = turn
            .iter()
            .enumerate()
            .filter(|(index, _)| !taken(*index))
            .flat_map(|(_, (_, batch))| &batch.files)
            .collect();
        let journaled = frame.as_ref().map_or(0, |frame| frame.taken.iter().filter(|taken| **taken).count());
        let syncs = files.len();
        let write = self.write_frame(frame, &turn);
        if files.is_empty() {
            write.await;
        } else {
            join(write, join_all(files.into_iter().map(|file| self.sync(file)))).await;
        }
        // Also when a write failed meanwhile: what else that disk did is unknown.
        if self.shared.health.is_poisoned() {
            self.tell().await;
            return 0;
        }
        for (log, batch) in &turn {
            log.complete_sync(batch);
        }
        self.count(syncs, turn.len(), journaled);
        turn.len()
    }

    /// Writes the frame of a turn. Where the disk has no room for it (which it had: some file systems write anew what is
    /// overwritten) its logs are synced after all, and there is no journal any more.
    async fn write_frame(&self, frame: Option<Frame>, turn: &Turn) {
        let (Some(frame), Some(journal)) = (frame, &self.shared.journal) else { return };
        let (taken, write) = frame.write();
        match write.await {
            Ok(buffer) => journal.written(buffer),
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                journal.give_up();
                let logs = turn.iter().zip(taken).filter(|(_, taken)| *taken);
                join_all(logs.flat_map(|((_, batch), _)| &batch.files).map(|file| self.sync(file))).await;
            }
            Err(error) => self.shared.health.poison(&format!("writing the journal failed: {error}")),
        }
    }

    /// Syncs one file. A failure counts at once: a turn that is dropped before its other syncs have ended must not hide it, because
    /// the next sync of the file may report success.
    async fn sync(&self, file: &Arc<dyn DiskFile>) {
        if let Err(error) = file.sync().await {
            self.shared.health.poison(&format!("a sync failed: {error}"));
        }
    }

    /// Takes the dirty logs and what they have to sync.
    fn begin(&self) -> Turn {
        let dirty = std::mem::take(&mut self.shared.queue.lock().dirty);
        let mut turn = Turn::with_capacity(dirty.len());
        for slot in dirty {
            // Before the log is asked: what is appended after the answer marks it anew.
            slot.queued.swap(false, Ordering::AcqRel);
            let Some(log) = slot.log.upgrade() else { continue };
            if self.shared.health.is_poisoned() {
                continue;
            }
            if let Some(batch) = log.begin_sync() {
                turn.push((log, batch));
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
            queue.logs.values().filter_map(Weak::upgrade).collect()
        };
        let reason = self.shared.health.poison_reason().unwrap_or_default();
        for log in logs {
            log.poisoned(reason);
        }
        self.shared.health.leave_marker().await;
    }

    fn count(&self, syncs: usize, logs: usize, journaled: usize) {
        if logs > 0 {
            self.shared.turns.fetch_add(1, Ordering::Relaxed);
            self.shared.syncs.fetch_add(syncs as u64, Ordering::Relaxed);
            self.shared.commits.fetch_add(logs as u64, Ordering::Relaxed);
            self.shared.journaled.fetch_add(journaled as u64, Ordering::Relaxed);
        }
    }
}
