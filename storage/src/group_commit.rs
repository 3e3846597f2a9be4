//! Group commit: one loop per log directory makes the appends of all its logs durable, many at a time.
//!
//! A log that was appended to marks itself ([`DirtyMark::mark`]). The loop takes all marked logs as one turn, asks each what
//! to sync ([`Syncable::begin_sync`]), issues all those syncs together, and when *all* have succeeded tells each log how
//! far it is durable ([`Syncable::complete_sync`]); what is appended meanwhile makes the next turn.
//!
//! The first failed sync (or a write that a log reports through [`DirHealth::poison`]) poisons the directory: a failed fdatasync
//! loses data and the next one reports success, so no log of the directory is ever told of durability again. Each is told of
//! the end ([`Syncable::poisoned`]) so that its waiters get an error.
//!
//! The queue of marked logs is bounded by the number of logs: a log is in it at most once.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;

use crate::{io::DiskFile, log_dir::health::DirHealth};

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
}

/// A log as group commit sees it.
pub trait Syncable: Send + Sync {
    /// What has to be synced now; `None` when all is durable. Everything below `end` was written before this returns.
    fn begin_sync(&self) -> Option<SyncBatch>;

    /// All files of the batch were synced.
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
}

struct Shared {
    queue: Mutex<Queue>,
    health: Arc<DirHealth>,
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

impl GroupCommit {
    /// For a directory of that health.
    pub fn new(health: Arc<DirHealth>) -> GroupCommit {
        GroupCommit { shared: Arc::new(Shared { queue: Mutex::default(), health }) }
    }

    /// Takes a log in. Made for `Arc::new_cyclic`, so that the log owns its mark:
    /// `Arc::new_cyclic(|me: &Weak<Log>| Log { mark: commit.register(me.clone()), .. })`.
    pub fn register(&self, log: Weak<dyn Syncable>) -> DirtyMark {
        let mut queue = self.shared.queue.lock();
        let id = queue.next_id;
        queue.next_id += 1;
        queue.logs.insert(id, log.clone());
        DirtyMark { slot: Arc::new(Slot { id, log, queued: AtomicBool::new(false) }), shared: self.shared.clone() }
    }

    /// The health of the directory.
    pub fn health(&self) -> &Arc<DirHealth> {
        &self.shared.health
    }

    /// Runs turns until [`GroupCommit::close`], then the last one. One such loop per directory; it may be polled by any executor.
    pub async fn run(&self) {
        loop {
            let woken = self.shared.health.woken();
            let (idle, closed) = {
                let queue = self.shared.queue.lock();
                (queue.dirty.is_empty(), queue.closed)
            };
            if !idle {
                self.turn().await;
            } else if closed {
                return;
            } else {
                woken.await;
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
        let dirty = std::mem::take(&mut self.shared.queue.lock().dirty);
        let mut batches = Vec::with_capacity(dirty.len());
        for slot in dirty {
            slot.queued.store(false, Ordering::Release);
            let Some(log) = slot.log.upgrade() else { continue };
            if let Some(batch) = log.begin_sync() {
                batches.push((log, batch));
            }
        }
        let synced: io::Result<()> = async {
            for (_, batch) in &batches {
                for file in &batch.files {
                    file.sync().await?;
                }
            }
            Ok(())
        }
        .await;
        if let Err(error) = synced {
            self.shared.health.poison(&format!("sync failed: {error}"));
        }
        if self.shared.health.is_poisoned() {
            return 0;
        }
        for (log, batch) in &batches {
            log.complete_sync(batch);
        }
        batches.len()
    }
}
