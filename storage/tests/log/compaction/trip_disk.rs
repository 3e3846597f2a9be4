//! A simulated disk that takes a picture of what a power cut would leave, before each operation that changes something.

use std::{
    io::{self, IoSlice},
    os::fd::BorrowedFd,
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use goatq_storage::io::{Disk, DiskFile, Entry, FileLock, IoFuture, OpenMode, Space, sim::SimDisk};
use parking_lot::Mutex;

/// How often each moment is looked at: by other seeds other changes survive.
const IMAGES: usize = 2;

#[derive(Clone, Debug)]
pub(super) struct TripDisk {
    pub(super) sim: SimDisk,
    images: Arc<Mutex<Option<Vec<SimDisk>>>>,
}

impl TripDisk {
    pub(super) fn new(sim: SimDisk) -> TripDisk {
        TripDisk { sim, images: Arc::default() }
    }

    /// Begins to take pictures.
    pub(super) fn arm(&self) {
        *self.images.lock() = Some(Vec::new());
    }

    /// Ends it: the pictures, one more of the end among them.
    pub(super) fn disarm(&self) -> Vec<SimDisk> {
        self.trip();
        self.images.lock().take().unwrap_or_default()
    }

    fn trip(&self) {
        if let Some(images) = self.images.lock().as_mut() {
            images.extend((0..IMAGES).map(|_| self.sim.crash_image()));
        }
    }

    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(TripFile { disk: self.clone(), file })
    }
}

impl Disk for TripDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if mode != OpenMode::Read && !self.sim.exists(path)? {
            self.trip();
        }
        self.sim.open(path, mode).map(|file| self.wrap(file))
    }

    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.sim.open_dir(path).map(|file| self.wrap(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.trip();
        self.sim.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.trip();
        self.sim.remove_file(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.sim.create_dir_all(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.trip();
        self.sim.remove_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.sim.list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.sim.exists(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.trip();
        self.sim.sync_dir(dir)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.sim.space(path)
    }

    fn lock_file(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        self.sim.lock_file(path)
    }
}

#[derive(Debug)]
struct TripFile {
    disk: TripDisk,
    file: Arc<dyn DiskFile>,
}

impl DiskFile for TripFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn write_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.disk.trip();
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
        self.disk.trip();
        self.file.sync_now()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.trip();
        self.file.truncate(len)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.file.preallocate(len)
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
