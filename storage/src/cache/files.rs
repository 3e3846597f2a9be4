//! A bounded number of open files.
//!
//! A [`FileSlot`] is the file of one path; it opens the file when asked for it and keeps it open until the cache needs its place
//! (second chance: a file that was asked for since the clock's hand last passed stays). Whoever got the file holds it by its
//! own reference, so unsynced files and reads under way never lose theirs.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use crate::io::{Disk, DiskFile, OpenMode, is_out_of_descriptors};

/// Files that are closed at once where no descriptor is left for another one.
const GIVEN_UP: usize = 16;

/// The open files of one log directory.
pub(crate) struct FileCache {
    disk: Arc<dyn Disk>,
    limit: usize,
    /// The slots whose file is open, in the order the clock's hand meets them. Slots that were dropped stay until met.
    clock: Mutex<VecDeque<Weak<FileSlot>>>,
    next_id: AtomicU64,
}

impl fmt::Debug for FileCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCache").field("limit", &self.limit).field("open", &self.clock.lock().len()).finish()
    }
}

impl FileCache {
    pub(crate) fn new(disk: Arc<dyn Disk>, limit: usize) -> Arc<FileCache> {
        Arc::new(FileCache { disk, limit: limit.max(4), clock: Mutex::default(), next_id: AtomicU64::new(0) })
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// A number that no other content of a file has: see [`FileSlot::content_id`].
    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The slot of a path; nothing is opened yet.
    pub(crate) fn slot(self: &Arc<Self>, path: PathBuf) -> Arc<FileSlot> {
        Arc::new(FileSlot {
            cache: self.clone(),
            content_id: AtomicU64::new(self.next_id()),
            used: AtomicBool::new(false),
            inner: Mutex::new(SlotInner { path, file: None, lent: None }),
        })
    }

    /// No descriptor is left: closes files that were opened earliest, whoever may want them again. Whether there were any.
    fn give_up_some(&self) -> bool {
        let mut clock = self.clock.lock();
        let mut given_up = 0;
        for _ in 0..clock.len() {
            if given_up == GIVEN_UP {
                break;
            }
            let Some(slot) = clock.pop_front() else { break };
            match slot.upgrade() {
                Some(open) if !open.try_close() => clock.push_back(slot),
                Some(_) => given_up += 1,
                None => {}
            }
        }
        given_up > 0
    }

    /// Counts a file just opened and closes others beyond the limit.
    fn admit(&self, slot: &Arc<FileSlot>) {
        let mut clock = self.clock.lock();
        clock.push_back(Arc::downgrade(slot));
        // Twice round at most: the first round takes the second chances away.
        for _ in 0..2 * clock.len() {
            if clock.len() <= self.limit {
                return;
            }
            let Some(candidate) = clock.pop_front() else { return };
            let Some(slot) = candidate.upgrade() else { continue };
            if slot.used.swap(false, Ordering::Relaxed) || !slot.try_close() {
                clock.push_back(candidate);
            }
        }
    }
}

struct SlotInner {
    path: PathBuf,
    file: Option<Arc<dyn DiskFile>>,
    /// What the cache let go of while others had it: as long as they do, it is the file, so that a log that stays unsynced
    /// does not get one more descriptor for each append after it was let go of.
    lent: Option<Weak<dyn DiskFile>>,
}

impl SlotInner {
    /// Another content will be at the path.
    fn forget(&mut self) {
        self.file = None;
        self.lent = None;
    }
}

/// One file, open or not.
pub(crate) struct FileSlot {
    cache: Arc<FileCache>,
    content_id: AtomicU64,
    used: AtomicBool,
    inner: Mutex<SlotInner>,
}

impl fmt::Debug for FileSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileSlot").field(&self.inner.lock().path).finish()
    }
}

impl FileSlot {
    /// The file, opened for reading and writing if it is not open. It must exist.
    pub(crate) fn get(self: &Arc<Self>) -> io::Result<Arc<dyn DiskFile>> {
        self.open(OpenMode::Write)
    }

    /// The file, made when it does not exist.
    pub(crate) fn get_or_create(self: &Arc<Self>) -> io::Result<Arc<dyn DiskFile>> {
        self.open(OpenMode::Create)
    }

    fn open(self: &Arc<Self>, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.used.store(true, Ordering::Relaxed);
        let file = {
            let mut inner = self.inner.lock();
            if let Some(file) = &inner.file {
                return Ok(file.clone());
            }
            let lent = inner.lent.take().and_then(|lent| lent.upgrade());
            let open = || match self.cache.disk.open(&inner.path, mode) {
                Err(error) if is_out_of_descriptors(&error) && self.cache.give_up_some() => {
                    self.cache.disk.open(&inner.path, mode)
                }
                opened => opened,
            };
            let file = lent.map_or_else(open, Ok)?;
            inner.file = Some(file.clone());
            file
        };
        self.cache.admit(self);
        Ok(file)
    }

    /// Names the content of the file in caches of it; changes with [`FileSlot::content_changed`].
    pub(crate) fn content_id(&self) -> u64 {
        self.content_id.load(Ordering::Acquire)
    }

    /// What was cached of the file is no longer true.
    pub(crate) fn content_changed(&self) {
        self.content_id.store(self.cache.next_id(), Ordering::Release);
    }

    /// Replaces the content of the file: written beside it, synced and renamed over it, so that readers see the old or the new one.
    pub(crate) async fn replace(&self, content: &[u8]) -> io::Result<()> {
        let mut name = self.path().into_os_string();
        name.push(".tmp");
        let temporary = PathBuf::from(name);
        let file = self.cache.disk.open(&temporary, OpenMode::Create)?;
        file.truncate(0)?;
        file.write_at(&[IoSlice::new(content)], 0)?;
        file.sync().await?;
        let mut inner = self.inner.lock();
        self.cache.disk.rename(&temporary, &inner.path)?;
        inner.forget();
        self.content_changed();
        Ok(())
    }

    /// Renames the file on the disk; whoever opens it later finds it under the new name. A file that does not exist is fine if
    /// `may_be_missing`.
    pub(crate) fn rename(&self, to: &Path, may_be_missing: bool) -> io::Result<()> {
        let mut inner = self.inner.lock();
        match self.cache.disk.rename(&inner.path, to) {
            Err(error) if may_be_missing && error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        inner.path = to.to_owned();
        Ok(())
    }

    /// Removes the file from the disk; one that does not exist is fine.
    pub(crate) fn remove(&self) -> io::Result<bool> {
        let mut inner = self.inner.lock();
        inner.forget();
        match self.cache.disk.remove_file(&inner.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            other => other.map(|()| true),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.inner.lock().path.clone()
    }

    /// Lets go of the open file.
    pub(crate) fn close(&self) {
        self.inner.lock().forget();
    }

    fn try_close(&self) -> bool {
        match self.inner.try_lock() {
            Some(mut inner) => {
                inner.lent = inner.file.take().map(|file| Arc::downgrade(&file));
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::SimDisk;

    #[test]
    fn a_file_that_somebody_has_is_not_opened_again() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        disk.create_dir_all(Path::new("/d")).unwrap();
        let cache = FileCache::new(disk, 4);
        let slots: Vec<_> = (0..12).map(|i| cache.slot(PathBuf::from(format!("/d/{i}")))).collect();
        let held = slots[0].get_or_create().unwrap();
        let turn = || slots[1..].iter().for_each(|slot| drop(slot.get_or_create().unwrap()));
        turn();
        turn();
        assert!(slots[0].inner.lock().file.is_none(), "others needed its place");
        assert!(Arc::ptr_eq(&held, &slots[0].get().unwrap()));
        turn();
        turn();
        slots[0].remove().unwrap();
        assert!(!Arc::ptr_eq(&held, &slots[0].get_or_create().unwrap()), "the removed file is not the new one");
        drop(held);
        turn();
        turn();
        assert!(slots[0].inner.lock().lent.as_ref().is_some_and(|lent| lent.upgrade().is_none()), "closed for good");
    }
}
