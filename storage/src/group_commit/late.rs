//! Writing late: what is in the journal, and what it does not take, goes to the segments.
//!
//! One at a time writes what a log has staged (`Slot::writing`): the turns for what the journal does not take, this loop for logs of
//! which it has a lot, and who frees it for all that it has in the slots in question.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use futures_util::{StreamExt, future::join_all, stream};

use super::{GroupCommit, Member, Slot, Syncable, What, blocks::WRITES_BESIDE};
use crate::journal::Journal;

/// Files synced side by side to free the journal: few enough for turns to get through.
const SYNCS_BEHIND: usize = 16;

/// A write that ends without a result when it is dropped.
struct Writing<'a> {
    log: &'a dyn Syncable,
    ended: bool,
}

impl Writing<'_> {
    fn end(mut self, result: io::Result<()>) -> io::Result<()> {
        self.ended = true;
        self.log.complete_write(result)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // It says so itself that nothing has come of it.
            let _interrupted = self.log.complete_write(Err(io::ErrorKind::Interrupted.into()));
        }
    }
}

impl GroupCommit {
    /// Writes what is staged of a log. Whether it is written: a disk without room, or one that has failed, is for the log to
    /// tell.
    pub(super) async fn write_out(&self, slot: &Slot, what: What) -> bool {
        let _one = slot.writing.lock().await;
        let Some(log) = slot.log.upgrade() else { return true };
        let blocks = match log.begin_write(what) {
            Ok(None) => return true,
            Ok(Some(blocks)) => blocks,
            Err(_) => return false,
        };
        let writing = Writing { log: &*log, ended: false };
        let result = self.shared.buffers.write(blocks, what).await;
        self.shared.blocks_written.fetch_add(1, Ordering::Relaxed);
        writing.end(result).is_ok()
    }

    /// Takes note of the logs of a frame that have enough in the journal to be written.
    pub(super) fn ripen(&self, logs: &[Member], journal: &Journal) {
        let enough = journal.limits().late_bytes;
        logs.iter()
            .filter(|member| member.log.journaled_bytes() >= enough)
            .for_each(|member| self.shared.ripen(&member.slot));
    }

    /// Writes whenever a log has enough; never ends.
    pub(super) async fn keep_writing(&self) {
        loop {
            self.shared.ripened.notified().await;
            while self.write_late().await > 0 {}
        }
    }

    /// Writes what the journal has of logs of which it has a lot, or has had it for long. How many logs. [`GroupCommit::run`]
    /// does it beside the turns; tests call it by hand.
    pub async fn write_late(&self) -> usize {
        let ripe = std::mem::take(&mut self.shared.queue.lock().ripe);
        // What is framed after this makes them ripe anew.
        ripe.iter().for_each(|slot| slot.ripe.store(false, Ordering::Release));
        self.write_beside(ripe).await.into_iter().filter(|written| *written).count()
    }

    /// A few logs at a time: a turn that wants one of the others need not wait for these.
    async fn write_beside(&self, slots: Vec<Arc<Slot>>) -> Vec<bool> {
        let writes = slots.into_iter().map(|slot| async move { self.write_out(&slot, What::Journaled).await });
        stream::iter(writes).buffer_unordered(WRITES_BESIDE).collect().await
    }

    /// Frees the journal whenever that is due; never ends.
    pub(super) async fn keep_journal_free(&self) {
        loop {
            self.shared.filled.notified().await;
            while self.free_slots(true).await > 0 {}
        }
    }

    /// Frees slots of the journal if it is time: what their frames speak of is written, and then its files are synced. How many
    /// slots. [`GroupCommit::run`] does it beside the turns; tests call it by hand.
    pub async fn free_journal(&self) -> usize {
        self.free_slots(false).await
    }

    /// `in_step`: thousands of files are not synced at once, since appends meet the transactions of the file system that this makes,
    /// but some after each few appends.
    async fn free_slots(&self, in_step: bool) -> usize {
        let Some(journal) = &self.shared.journal else { return 0 };
        let Some(due) = journal.due() else { return 0 };
        let owners: Vec<Arc<Slot>> = {
            let queue = self.shared.queue.lock();
            due.owners.iter().filter_map(|owner| queue.logs.get(owner).cloned()).collect()
        };
        let written = self.write_beside(owners).await;
        if written.contains(&false) || self.shared.orphaned.load(Ordering::Acquire) {
            return 0;
        }
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

    /// What is to be done about once a second: what is staged for long is written, failed attempts are repeated, and memory that was
    /// not used is let go of.
    pub(crate) fn upkeep(&self) {
        self.shared.buffers.trim();
        let slots: Vec<Arc<Slot>> = self.shared.queue.lock().logs.values().cloned().collect();
        for slot in slots {
            if slot.log.upgrade().is_some_and(|log| log.has_old()) {
                self.shared.ripen(&slot);
                // For what is not in the journal yet: there was no room for it.
                self.shared.mark(&slot);
            }
        }
        self.shared.filled.notify_one();
    }
}

impl super::Shared {
    fn ripen(&self, slot: &Arc<Slot>) {
        if !slot.ripe.swap(true, Ordering::AcqRel) {
            self.queue.lock().ripe.push(slot.clone());
            self.ripened.notify_one();
        }
    }
}
