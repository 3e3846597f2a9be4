//! A disk in memory that loses what was not synced, by seed.

use std::{io, path::Path, sync::Arc};

use super::{Disk, DiskFile, Entry, FileLock, OpenMode, Space};

/// A simulated disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    seed: u64,
}

/// What was asked of a [`SimDisk`] so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimCounters {
    /// Reads of files, synchronous and asynchronous.
    pub reads: u64,
    /// Bytes returned by them.
    pub read_bytes: u64,
    /// Writes.
    pub writes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Syncs of files.
    pub syncs: u64,
    /// Syncs of directories.
    pub dir_syncs: u64,
    /// Files opened.
    pub opens: u64,
}

/// Something that goes wrong; see [`SimDisk::inject`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next sync of a file whose path contains the text fails; what it should have kept is lost at the next crash although
    /// later syncs succeed.
    FailSync(String),
    /// The next write to such a file fails after half of it was written.
    FailWrite(String),
    /// Every read of such a file fails with EIO.
    FailReads(String),
}

impl SimDisk {
    /// An empty disk; the seed decides what crashes keep and how long asynchronous calls take.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk { seed }
    }

    /// Power cut: this disk and its handles fail from now on; the disk after the restart is returned.
    pub fn crash(&self) -> SimDisk {
        todo!()
    }

    /// The process was killed and started again: handles and locks of before are gone, the page cache is still there.
    pub fn restart(&self) -> SimDisk {
        todo!()
    }

    /// Plans a fault.
    pub fn inject(&self, _fault: Fault) {
        todo!()
    }

    /// Sets the size of the file system (default: 1 TiB); writes beyond it fail with `StorageFull`.
    pub fn set_capacity(&self, _bytes: u64) {
        todo!()
    }

    /// Flips one bit of a file, durably, as bit rot does.
    pub fn flip_bit(&self, _path: &Path, _offset: u64, _bit: u8) -> io::Result<()> {
        todo!()
    }

    /// What was asked so far.
    pub fn counters(&self) -> SimCounters {
        todo!()
    }
}

impl Disk for SimDisk {
    fn open(&self, _path: &Path, _mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        todo!()
    }
    fn open_dir(&self, _path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        todo!()
    }
    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        todo!()
    }
    fn remove_file(&self, _path: &Path) -> io::Result<()> {
        todo!()
    }
    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        todo!()
    }
    fn remove_dir_all(&self, _path: &Path) -> io::Result<()> {
        todo!()
    }
    fn list(&self, _dir: &Path) -> io::Result<Vec<Entry>> {
        todo!()
    }
    fn exists(&self, _path: &Path) -> io::Result<bool> {
        todo!()
    }
    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        todo!()
    }
    fn space(&self, _path: &Path) -> io::Result<Space> {
        todo!()
    }
    fn lock_file(&self, _path: &Path) -> io::Result<Box<dyn FileLock>> {
        todo!()
    }
}
