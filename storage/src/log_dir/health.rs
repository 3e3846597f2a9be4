//! Whether a log directory may still be written to: poisoned or not, room or not.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use crate::io::{Disk, IoFuture, OpenMode, Space};

#[cfg(test)]
mod tests;

/// Name of the file that says a directory must not be used any more.
pub const POISON_MARKER: &str = ".goatq-poisoned";

/// How much of a file system is kept free of client data, so that fetches, deletes, commits and Raft can go on when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// Bytes; the smaller of the two limits counts.
    pub bytes: u64,
    /// Percent of the file system's size.
    pub percent: u8,
}

impl Default for Reserve {
    /// 1 GiB or 5 %, whichever is less.
    fn default() -> Self {
        Reserve { bytes: 1 << 30, percent: 5 }
    }
}

impl Reserve {
    /// The reserve on a file system of that size, in bytes.
    pub fn on(&self, space: Space) -> u64 {
        self.bytes.min(space.total / 100 * u64::from(self.percent.min(100)))
    }

    /// Whether there is room for client data. Once there is none, a quarter more than the reserve must be free again, so that
    /// the answer does not change with every batch.
    pub fn room(&self, space: Space, had_room: bool) -> bool {
        let reserve = self.on(space);
        space.available >= if had_room { reserve } else { reserve + reserve / 4 }
    }

    /// Bytes that may be appended before the free space has to be looked up again.
    pub fn check_interval(&self, space: Space) -> u64 {
        (self.on(space) / 8).clamp(64 << 10, 16 << 20)
    }
}

/// Why nothing is written to a directory any more.
#[derive(Debug)]
struct Stop {
    reason: String,
    /// What is on the disk cannot be trusted either.
    is_damage: bool,
}

/// The state of one log directory, shared by its logs, its group commit and the broker.
#[derive(Debug)]
pub struct DirHealth {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    reserve: Reserve,
    stopped: OnceLock<Stop>,
    had_room: AtomicBool,
    appended: AtomicU64,
    check_interval: AtomicU64,
    wake: Notify,
}

impl DirHealth {
    /// The health of the directory `path`.
    pub fn new(disk: Arc<dyn Disk>, path: &Path, reserve: Reserve) -> Arc<DirHealth> {
        Arc::new(DirHealth {
            disk,
            path: path.to_owned(),
            reserve,
            stopped: OnceLock::new(),
            had_room: AtomicBool::new(true),
            appended: AtomicU64::new(0),
            // The first append looks at once and learns how often is often enough.
            check_interval: AtomicU64::new(0),
            wake: Notify::new(),
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a write or sync failed here, or one that had to be was refused. Then nothing is acknowledged any more until the process is started on a repaired or
    /// replaced directory.
    pub fn is_poisoned(&self) -> bool {
        self.stopped.get().is_some()
    }

    /// Why the directory is poisoned.
    pub fn poison_reason(&self) -> Option<&str> {
        self.stopped.get().map(|stop| stop.reason.as_str())
    }

    /// Stops the directory for good: a write or sync failed. The first reason stays. Returns at once; the group-commit loop tells
    /// the logs and leaves a marker on the disk.
    pub fn poison(&self, reason: &str) {
        self.stop(Stop { reason: reason.to_owned(), is_damage: true });
    }

    /// Stops the directory for the rest of the process: what cannot be left out was refused for want of room or of descriptors. What is on the
    /// disk is whole, so there is no marker, and the next start goes on with it.
    pub fn give_up(&self, reason: &str) {
        self.stop(Stop { reason: reason.to_owned(), is_damage: false });
    }

    /// Stops the directory as something failed that could not be left out: for the rest of the process if the failure may pass, else for good.
    pub fn fail(&self, reason: &str, may_pass: bool) {
        if may_pass { self.give_up(reason) } else { self.poison(reason) }
    }

    fn stop(&self, stop: Stop) {
        let reason = stop.reason.clone();
        if self.stopped.set(stop).is_ok() {
            tracing::error!(dir = %self.path.display(), reason, "log directory failed: nothing is written to it any more");
            self.wake();
        }
    }

    /// Whether client data may be appended. False once less than the reserve is free, until there is a quarter more than it.
    pub fn has_room(&self) -> bool {
        self.had_room.load(Ordering::Relaxed)
    }

    /// To be called for every append: after every few MiB the free space is looked up (a system call of about a
    /// microsecond).
    pub fn appended(&self, bytes: u64) {
        let appended = self.appended.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if appended >= self.check_interval.load(Ordering::Relaxed) {
            // Failing to look says nothing about the room; what fails on a full disk is the write itself.
            let _ = self.check_space();
        }
    }

    /// Looks the free space up now and decides anew whether there is room. To be called about once a second as well: what is
    /// removed, here or by others, must be noticed while nothing is appended.
    pub fn check_space(&self) -> io::Result<Space> {
        self.appended.store(0, Ordering::Relaxed);
        let space = self.disk.space(&self.path)?;
        self.check_interval.store(self.reserve.check_interval(space), Ordering::Relaxed);
        let had_room = self.had_room.load(Ordering::Relaxed);
        let room = self.reserve.room(space, had_room);
        // Two lookups may race; only one of them changes the state and says so.
        if self.had_room.compare_exchange(had_room, room, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            && room != had_room
        {
            let (dir, available, reserve) = (self.path.display(), space.available, self.reserve.on(space));
            if room {
                tracing::info!(%dir, available, reserve, "there is room again: client data is accepted");
            } else {
                tracing::warn!(%dir, available, reserve, "the disk reserve is reached: client data is refused");
            }
        }
        Ok(space)
    }

    /// Leaves the marker for the next start, as well as the failing disk allows, if the directory is damaged.
    pub(crate) async fn leave_marker(&self) {
        let Some(Stop { reason, is_damage: true }) = self.stopped.get() else { return };
        let marker = self.path.join(POISON_MARKER);
        let written: io::Result<[IoFuture<()>; 2]> = (|| {
            let file = self.disk.open(&marker, OpenMode::Create)?;
            file.write_at(&[io::IoSlice::new(reason.as_bytes()), io::IoSlice::new(b"\n")], 0)?;
            Ok([file.sync(), self.disk.open_dir(&self.path)?.sync()])
        })();
        let outcome = match written {
            Ok(syncs) => futures_util::future::try_join_all(syncs).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::error!(marker = %marker.display(), %error, "the failed directory could not be marked");
        }
    }

    /// Wakes the group-commit loop.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Completes after the next (or the last unseen) [`DirHealth::wake`]. For one waiter.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}
