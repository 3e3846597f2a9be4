//! A simulated disk that tells before it changes something.

use std::{
    fmt,
    io::{self, IoSlice},
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use goatq_storage::io::{Disk, DiskFile, Entry, FileLock, IoFuture, OpenMode, Space, sim::SimDisk};

/// What is about to happen to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A name in a directory is made, changed, removed or synced.
    Names,
    /// A file is written or cut.
    Content,
    /// A file or directory is synced by one who waits for it.
    Sync,
}

type Hook = dyn Fn(Change, &Path) + Send + Sync;

#[derive(Clone)]
pub(crate) struct HookedDisk {
    sim: SimDisk,
    hook: Arc<Hook>,
}

impl HookedDisk {
    pub(crate) fn new(sim: SimDisk, hook: impl Fn(Change, &Path) + Send + Sync + 'static) -> HookedDisk {
        HookedDisk { sim, hook: Arc::new(hook) }
    }

    fn wrap(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(HookedFile { hook: self.hook.clone(), path: path.to_owned(), file })
    }
}

impl fmt::Debug for HookedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookedDisk").field("sim", &self.sim).finish_non_exhaustive()
    }
}

impl Disk for HookedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if mode != OpenMode::Read && !self.sim.exists(path)? {
            (self.hook)(Change::Names, path);
        }
        self.sim.open(path, mode).map(|file| self.wrap(path, file))
    }

    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.sim.open_dir(path).map(|file| self.wrap(path, file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        (self.hook)(Change::Names, from);
        self.sim.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        (self.hook)(Change::Names, path);
        self.sim.remove_file(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.sim.create_dir_all(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        (self.hook)(Change::Names, path);
        self.sim.remove_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.sim.list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.sim.exists(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        (self.hook)(Change::Names, dir);
        self.sim.sync_dir(dir)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.sim.space(path)
    }

    fn lock_file(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        self.sim.lock_file(path)
    }
}

struct HookedFile {
    hook: Arc<Hook>,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
}

impl fmt::Debug for HookedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookedFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl DiskFile for HookedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn write_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        (self.hook)(Change::Content, &self.path);
        self.file.write_at(slices, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn read(&self, offset: u64, len: usize) -> IoFuture<Bytes> {
        self.file.read(offset, len)
    }

    fn sync(&self) -> IoFuture<()> {
        self.file.sync()
    }

    fn sync_now(&self) -> io::Result<()> {
        (self.hook)(Change::Sync, &self.path);
        self.file.sync_now()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        (self.hook)(Change::Content, &self.path);
        self.file.truncate(len)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.file.preallocate(len)
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
