//! What the two real disks share: system calls on paths and descriptors. They differ in the [`Driver`] that carries the calls
//! which may have to wait.

use std::{
    fs::{File, OpenOptions},
    io::{self, IoSlice},
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use rustix::{
    fs::{Advice, FallocateFlags, FlockOperation},
    io::Errno,
};

use super::{
    AlignedBuffer, DirectFile, DirectMode, Disk, DiskFile, Entry, FileLock, IoFuture, OpenMode, Space, same_directory,
    syscall,
};

mod closing;
mod direct;
mod spare;

use closing::Closer;
pub(super) use closing::OpenFile;
pub(super) use direct::write_fully;
use spare::Spare;

#[cfg(test)]
mod tests;

/// A read that found part of its bytes in memory.
#[derive(Debug)]
pub struct PartialRead {
    /// Where the buffer begins in the file.
    pub(super) offset: u64,
    /// As long as the caller wants it to become.
    pub(super) buffer: Vec<u8>,
    /// Bytes that are there already, at the front.
    pub(super) filled: usize,
}

/// Which flush a sync is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncKind {
    /// `fdatasync`: content and length of a file.
    Data,
    /// `fsync`: for directories.
    All,
}

/// A direct write.
#[derive(Debug)]
pub struct DirectWrite {
    /// What is written, all of it.
    pub(super) buffer: AlignedBuffer,
    /// Where to.
    pub(super) offset: u64,
    /// Bytes that are written already.
    pub(super) done: usize,
}

/// Carries the calls that may wait for the device. Dropping it waits for those under way.
pub trait Driver: Send + Sync + std::fmt::Debug + 'static {
    /// Reads what is missing; shorter at the end of the file.
    fn read(&self, file: Arc<OpenFile>, read: PartialRead) -> IoFuture<Bytes>;

    /// Writes all of a buffer into a file that was opened for it.
    fn write(&self, file: Arc<OpenFile>, write: DirectWrite) -> IoFuture<AlignedBuffer>;

    /// Syncs a file or directory.
    fn sync(&self, file: Arc<OpenFile>, kind: SyncKind) -> IoFuture<()>;
}

/// A real disk: the file systems of this machine.
#[derive(Debug)]
pub struct OsDisk<D> {
    driver: Arc<D>,
    spare: Spare,
    closer: Arc<Closer>,
}

impl<D: Driver> OsDisk<D> {
    pub(super) fn with(driver: D) -> OsDisk<D> {
        OsDisk { driver: Arc::new(driver), spare: Spare::new(), closer: Arc::default() }
    }

    fn file(&self, file: File, sync: SyncKind) -> Arc<dyn DiskFile> {
        let file = OpenFile::new(file, &self.closer);
        Arc::new(OsFile { file, driver: self.driver.clone(), sync, advised: AtomicBool::new(false) })
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// Runs a system call again while signals interrupt it.
pub(super) fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}

impl<D: Driver> Disk for OsDisk<D> {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.spare.open(|| match mode {
            OpenMode::Read => OpenOptions::new().read(true).open(path),
            OpenMode::Write => OpenOptions::new().read(true).write(true).open(path),
            OpenMode::Create => create(path),
            OpenMode::CreateNew => OpenOptions::new().read(true).write(true).create_new(true).open(path),
        })?;
        if !file.metadata()?.is_file() {
            return Err(Errno::ISDIR.into());
        }
        Ok(self.file(file, SyncKind::Data))
    }

    fn open_direct(&self, path: &Path, mode: DirectMode) -> io::Result<Arc<dyn DirectFile>> {
        let opened = self.spare.open(|| direct::OsDirect::open(path, mode, self))?;
        Ok(Arc::new(opened))
    }

    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let dir = self.spare.open(|| OpenOptions::new().read(true).open(path))?;
        if !dir.metadata()?.is_dir() {
            return Err(Errno::NOTDIR.into());
        }
        Ok(self.file(dir, SyncKind::All))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        same_directory(from, to)?;
        Ok(rustix::fs::rename(from, to)?)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlink(path)?)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.spare.open(|| std::fs::remove_dir_all(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in self.spare.open(|| std::fs::read_dir(dir))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // Mostly known from the listing itself.
            if entry.file_type()?.is_dir() {
                entries.push(Entry { name, is_dir: true, len: 0 });
                continue;
            }
            // A name may vanish between the listing and the look at it: background deletion.
            let metadata = match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            let is_dir = metadata.is_dir();
            entries.push(Entry { name, is_dir, len: if is_dir { 0 } else { metadata.len() } });
        }
        entries.sort();
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists().or_else(|error| match error.kind() {
            io::ErrorKind::NotADirectory => Ok(false),
            _ => Err(error),
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.open_dir(dir)?.sync_now()
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Space { total: bytes(stat.f_blocks), available: bytes(stat.f_bavail) })
    }

    fn lock_file(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        let file = self.spare.open(|| create(path))?;
        // The first also excludes other locks of this process; the second is the one that Java programs (Kafka) take.
        retry(|| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive))?;
        match retry(|| rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Err(error) if error.raw_os_error() == Some(Errno::ACCESS.raw_os_error()) => Err(Errno::WOULDBLOCK.into()),
            result => result,
        }?;
        Ok(Box::new(OsLock { _file: file }))
    }
}

/// The lock goes with the descriptor.
#[derive(Debug)]
struct OsLock {
    _file: File,
}

impl FileLock for OsLock {}

#[derive(Debug)]
struct OsFile<D> {
    file: Arc<OpenFile>,
    driver: Arc<D>,
    sync: SyncKind,
    /// The kernel was told not to read ahead.
    advised: AtomicBool,
}

/// The most bytes one call writes or reads on Linux, rounded down.
pub(super) const MAX_CALL: usize = 1 << 30;

pub(super) fn read_fully(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        let end = buffer.len().min(done + MAX_CALL);
        match retry(|| rustix::io::pread(file, &mut buffer[done..end], offset + done as u64))? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

pub(super) fn sync_file(file: &File, kind: SyncKind) -> io::Result<()> {
    // Not retried whatever the error: see the module of group commit.
    let synced = match kind {
        SyncKind::Data => rustix::fs::fdatasync(file),
        SyncKind::All => rustix::fs::fsync(file),
    };
    Ok(synced?)
}

impl<D: Driver> DiskFile for OsFile<D> {
    fn len(&self) -> io::Result<u64> {
        match self.sync {
            SyncKind::Data => Ok(self.file.metadata()?.len()),
            SyncKind::All => Err(Errno::ISDIR.into()),
        }
    }

    fn write_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let (mut offset, mut index, mut skip) = (offset, 0, 0);
        while let Some(first) = slices.get(index) {
            if skip == first.len() {
                (index, skip) = (index + 1, 0);
                continue;
            }
            // The kernel takes at most 1,024 slices a call; the rest of a slice that was written in part goes first.
            let written = if skip == 0 {
                let end = slices.len().min(index + 1024);
                retry(|| rustix::io::pwritev(self.file.as_fd(), &slices[index..end], offset))?
            } else {
                retry(|| rustix::io::pwrite(self.file.as_fd(), &first[skip..], offset))?
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            offset += written as u64;
            skip += written;
            while let Some(slice) = slices.get(index).filter(|slice| skip >= slice.len()) {
                skip -= slice.len();
                index += 1;
            }
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_fully(&self.file, buffer, offset)
    }

    fn read(&self, offset: u64, len: usize) -> IoFuture<Bytes> {
        let (file, driver, sync) = (self.file.clone(), self.driver.clone(), self.sync);
        let this = OsFile { file, driver, sync, advised: AtomicBool::new(true) };
        Box::pin(async move {
            let rest = this.len()?.saturating_sub(offset);
            let len = len.min(usize::try_from(rest).unwrap_or(usize::MAX));
            let mut buffer = Vec::new();
            let filled = this.read_cached(&mut buffer, offset, len)?;
            if filled == len {
                return Ok(Bytes::from(buffer));
            }
            buffer.resize(len, 0);
            this.driver.read(this.file.clone(), PartialRead { offset, buffer, filled }).await
        })
    }

    fn read_cached(&self, buffer: &mut Vec<u8>, offset: u64, len: usize) -> io::Result<usize> {
        let mut done = 0;
        while done < len {
            match syscall::append_cached(self.file.as_fd(), buffer, offset + done as u64, (len - done).min(MAX_CALL)) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::AGAIN | Errno::OPNOTSUPP) => break,
                    Some(Errno::INTR) => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(done)
    }

    fn is_cached(&self, offset: u64, len: u64) -> bool {
        let Some(last) = offset.checked_add(len).and_then(|end| end.checked_sub(1)).filter(|_| len > 0) else {
            return len == 0;
        };
        let page = rustix::param::page_size() as u64;
        let pages = last / page - offset / page + 1;
        if !syscall::cached_pages(self.file.as_fd(), offset, len).is_ok_and(|cached| cached >= pages) {
            return false;
        }
        // Pages that are just being read count already. They arrive in order: when the last one is there, all are.
        let mut probe = Vec::with_capacity(1);
        self.read_cached(&mut probe, last, 1).is_ok_and(|read| read == 1)
    }

    fn no_read_ahead(&self) {
        if !self.advised.swap(true, Ordering::Relaxed) {
            // A file system that does not know the advice does what it does.
            let _ = rustix::fs::fadvise(self.file.as_fd(), 0, None, Advice::Random);
        }
    }

    fn sync(&self) -> IoFuture<()> {
        self.driver.sync(self.file.clone(), self.sync)
    }

    fn sync_now(&self) -> io::Result<()> {
        sync_file(&self.file, self.sync)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        retry(|| rustix::fs::ftruncate(self.file.as_fd(), len))
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        match retry(|| rustix::fs::fallocate(self.file.as_fd(), FallocateFlags::KEEP_SIZE, 0, len)) {
            Err(error) if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => Ok(()),
            result => result,
        }
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}
