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

use crate::io::{Disk, Space};

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

/// The state of one log directory, shared by its logs, its group commit and the broker.
#[derive(Debug)]
pub struct DirHealth {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    reserve: Reserve,
    poisoned: OnceLock<String>,
    no_room: AtomicBool,
    appended: AtomicU64,
    wake: Notify,
}

impl DirHealth {
    /// The health of the directory `path`.
    pub fn new(disk: Arc<dyn Disk>, path: &Path, reserve: Reserve) -> Arc<DirHealth> {
        Arc::new(DirHealth {
            disk,
            path: path.to_owned(),
            reserve,
            poisoned: OnceLock::new(),
            no_room: AtomicBool::new(false),
            appended: AtomicU64::new(0),
            wake: Notify::new(),
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a write or sync failed here. Then nothing is acknowledged any more until the process is started on a repaired or
    /// replaced directory.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.get().is_some()
    }

    /// Why the directory is poisoned.
    pub fn poison_reason(&self) -> Option<&str> {
        self.poisoned.get().map(String::as_str)
    }

    /// Stops the directory for good: a write or sync failed. The first reason stays. Returns at once; the group-commit loop tells
    /// the logs and leaves a marker on the disk.
    pub fn poison(&self, reason: &str) {
        if self.poisoned.set(reason.to_owned()).is_ok() {
            self.wake();
        }
    }

    /// Whether client data may be appended. False once less than the reserve is free, until there is a quarter more than it.
    pub fn has_room(&self) -> bool {
        !self.no_room.load(Ordering::Relaxed)
    }

    /// To be called for every append: after every few MiB the free space is looked up (a system call of about a
    /// microsecond).
    pub fn appended(&self, bytes: u64) {
        self.appended.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Looks the free space up now and decides anew whether there is room.
    pub fn check_space(&self) -> io::Result<Space> {
        let space = self.disk.space(&self.path)?;
        let _ = self.reserve;
        Ok(space)
    }

    /// Wakes the group-commit loop.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Completes after the next (or the last unseen) [`DirHealth::wake`].
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}
