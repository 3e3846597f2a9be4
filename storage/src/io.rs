//! Files as this crate sees them: the [`Disk`] seam and its three twins.
//!
//! | twin | asynchronous calls run | used |
//! |---|---|---|
//! | [`uring::UringDisk`] | in an io_uring, completed by one thread | when the kernel allows a ring |
//! | [`blocking::BlockingDisk`] | on a few threads of its own | when it does not (most containers) |
//! | [`sim::SimDisk`] | on poll, in memory, by seed | tests and simulation |
//!
//! One suite, [`conformance`], runs on all three. [`default_disk`] chooses between the first two.
//!
//! What every twin promises:
//! - Writes go to the page cache and are readable at once by every handle; nothing is durable before [`DiskFile::sync`]
//!   returned `Ok` for a call that began after the write returned.
//! - A write of a [`DirectFile`] is durable when it ended with success, and that says nothing about other writes; one of
//!   [`DirectMode::Plain`] is readable then, and durable like any other write.
//! - A new, renamed or removed name is durable only after its directory was synced ([`Disk::sync_dir`], or a handle from
//!   [`Disk::open_dir`] and [`DiskFile::sync`]).
//! - After a failed write or sync the content of the file is unknown and no later sync says anything about it.
//! - Names are changed within one directory only; a rename is atomic and replaces its target.

use std::{
    fmt,
    future::Future,
    io::{self, IoSlice},
    os::fd::BorrowedFd,
    path::Path,
    pin::Pin,
    sync::Arc,
};

use bytes::Bytes;
use rustix::io::Errno;

pub mod blocking;
pub mod conformance;
pub mod direct;
mod os;
pub mod parallel;
pub mod sim;
mod syscall;
pub mod uring;

/// A disk operation under way. It starts when it is first polled; from then on it runs to its end even if the future is
/// dropped, and it owns every buffer it needs.
pub type IoFuture<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'static>>;

pub use direct::{AlignedBuffer, DirectFile, DirectMode};

/// How [`Disk::open`] treats a file that exists or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing; made empty when it does not exist, left as it is when it does.
    Create,
    /// For reading and writing; `AlreadyExists` when it does.
    CreateNew,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The last component of the path. Names that are not UTF-8 are left out of listings.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Length of a file in bytes; 0 for a directory.
    pub len: u64,
}

/// The room of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Size of the file system.
    pub total: u64,
    /// What this process may still allocate.
    pub available: u64,
}

/// An exclusive lock on a file, given up when it is dropped and when the process ends.
pub trait FileLock: Send + Sync + fmt::Debug {}

/// A place for files. Its calls are synchronous: they run at start-up, on rolls and in background work.
///
/// Paths are used as given. No call follows a name out of its directory on purpose; callers build names from checked parts.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens a regular file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a regular file for writes past the page cache. `Unsupported` on disks without them.
    fn open_direct(&self, path: &Path, mode: DirectMode) -> io::Result<Arc<dyn DirectFile>> {
        let _ = mode;
        let text = format!("{}: this disk has no direct writes", path.display());
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }

    /// Opens a directory so that its names can be made durable with [`DiskFile::sync`] beside the files of a group
    /// commit. Every other call on the handle fails.
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file or directory inside its directory, replacing a file of the new name. Another directory as target is
    /// `InvalidInput`. Open handles follow the file. Not durable before the directory is synced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; open handles keep working. Not durable before the directory is synced.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory and its parents where they are missing. Not durable before the parents are synced.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with all that is in it. Not atomic, and not durable before the parent is synced.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, ordered.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Whether a file or directory of that name is there.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// The room of the file system that holds `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;

    /// Takes the exclusive lock on a file, which is made when missing; `WouldBlock` when another process, or another lock of
    /// this one, has it.
    fn lock_file(&self, path: &Path) -> io::Result<Box<dyn FileLock>>;
}

/// An open file. All calls take positions; there is no cursor, and handles are used from many threads at once.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// The present length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Writes all slices one after another from `offset` into the page cache, or fails. After an error any part may have been
    /// written: the caller cuts the file back to a length it knows before it trusts it again.
    fn write_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Reads into the buffer until it is full or the file ends; the number of bytes read. It may block on the disk: for
    /// recovery and background work.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Reads up to `len` bytes without ever blocking the caller: at once when they are in memory, otherwise by the driver.
    /// Shorter than `len` only at the end of the file; no more is allocated than the file holds.
    fn read(&self, offset: u64, len: usize) -> IoFuture<Bytes>;

    /// Appends up to `len` bytes to `buffer`, as many as there are in memory without a gap; how many. Never waits for the device:
    /// what is missing may be on it, or behind the end of the file.
    fn read_cached(&self, buffer: &mut Vec<u8>, offset: u64, len: usize) -> io::Result<usize> {
        let _ = (buffer, offset, len);
        Ok(0)
    }

    /// Whether a range, all of it within the file, is in memory, so that reading or sending it waits for nothing. False
    /// also where that cannot be found out. What is there now can be gone a moment later when memory is short.
    fn is_cached(&self, offset: u64, len: u64) -> bool {
        let _ = (offset, len);
        false
    }

    /// Whoever reads says himself what is read ahead; the system shall not do it. For good, and only a wish.
    fn no_read_ahead(&self) {}

    /// Makes what was written before the first poll, and the length, durable (`fdatasync`; `fsync` for a directory).
    fn sync(&self) -> IoFuture<()>;

    /// [`DiskFile::sync`], blocking.
    fn sync_now(&self) -> io::Result<()>;

    /// Sets the length: what lies behind it is dropped, what is missing reads as zeros.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Reserves room for the first `len` bytes without changing the length. File systems that cannot do it ignore it.
    fn preallocate(&self, len: u64) -> io::Result<()>;

    /// The descriptor, for calls such as sendfile; `None` where there is none.
    fn as_fd(&self) -> Option<BorrowedFd<'_>>;

    /// Whether the length is 0.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Threads of a [`blocking::BlockingDisk`] chosen by [`default_disk`]: enough to keep one device busy with syncs and cold reads.
const BLOCKING_THREADS: usize = 8;

/// The best disk this machine allows: a ring, or, where ring set-up is refused (most container runtimes), threads, with one
/// warning that says so.
pub fn default_disk() -> Arc<dyn Disk> {
    match uring::UringDisk::open() {
        Ok(disk) => Arc::new(disk),
        Err(error) => {
            tracing::warn!(
                %error,
                "io_uring is not available; syncs and cold reads run on threads instead. To allow it, give the container a \
                 seccomp profile with io_uring_setup, io_uring_enter and io_uring_register, and set kernel.io_uring_disabled=0"
            );
            Arc::new(blocking::BlockingDisk::new(BLOCKING_THREADS))
        }
    }
}

/// Whether something failed because the process, or the system, has as many files open as it may. That is no failure of the disk: nothing
/// was opened, and nothing that was there before is lost.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Whether something was refused for want of room or of descriptors: it can be tried again, and nothing that was there before is lost.
pub fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) || is_out_of_descriptors(error)
}

/// Reads a whole small file; `FileTooLarge` when it is longer than `limit` bytes.
pub fn read_small_file(disk: &dyn Disk, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let len = file.len()?;
    let len = usize::try_from(len).ok().filter(|len| *len <= limit).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{} is {len} bytes long, more than {limit}", path.display()),
        )
    })?;
    let mut content = vec![0; len];
    let read = file.read_at(&mut content, 0)?;
    content.truncate(read);
    Ok(content)
}

/// Replaces a small file so that after a crash either the old or the new content is there, whole: the content is written
/// beside it (`<name>.tmp`, as Kafka does), synced, renamed over it, and the directory is synced. Blocks on the disk.
pub fn replace_file(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let (dir, temporary) = beside(path)?;
    let file = disk.open(&temporary, OpenMode::Create)?;
    file.truncate(0)?;
    file.write_at(&[IoSlice::new(content)], 0)?;
    file.sync_now()?;
    disk.rename(&temporary, path)?;
    disk.sync_dir(dir)
}

/// What an operation gets that is started after its disk was dropped.
fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the disk of this file is closed")
}

/// Refuses names in two directories: a rename between them would need both synced, and none is needed.
fn same_directory(from: &Path, to: &Path) -> io::Result<()> {
    if from.parent() == to.parent() {
        return Ok(());
    }
    let text = format!("{} and {} are not in one directory", from.display(), to.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

/// The directory of a path and the name under which its next content is prepared.
fn beside(path: &Path) -> io::Result<(&Path, std::path::PathBuf)> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, format!("{} names no file", path.display()));
    let dir = path.parent().ok_or_else(invalid)?;
    let mut name = path.file_name().ok_or_else(invalid)?.to_owned();
    name.push(".tmp");
    Ok((dir, dir.join(name)))
}
