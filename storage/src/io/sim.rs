//! A disk in memory that treats unsynced data as a power cut does, by seed.
//!
//! Crash model. Every file and directory keeps the changes that no sync has covered. [`SimDisk::crash`] yields the disk at the
//! next start: of the changes to a file each is kept, lost or torn into 512-byte sectors, some of which may hold garbage
//! where no synced data was; the length may arrive without the data (zeros). Of the changes to the names in a directory a
//! prefix or any subset is kept; a file whose name is lost is gone, synced or not. [`SimDisk::restart`] is the milder case:
//! the process dies, the page cache lives.
//!
//! Equal seeds and equal calls give equal results: asynchronous calls complete after a number of polls drawn from the seed
//! ([`SimDisk::set_slowness`]), and nothing else is random. Content is sparse and shared between a disk and its crash images.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Component, Path, PathBuf},
    sync::Arc,
    task::Waker,
};

use parking_lot::{Mutex, MutexGuard};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{DirectFile, DirectMode, Disk, DiskFile, Entry, FileLock, OpenMode, Space, same_directory};

mod crash;
mod direct;
mod file;
mod node;
mod operation;
mod sparse;
#[cfg(test)]
mod tests;

pub use crash::SECTOR;
use file::{SimDir, SimFile};
use node::{DirNode, FileNode, NameChange, Node};

/// A simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Mutex<State>>,
    /// Handles of an earlier life of the process fail.
    life: u64,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").field("life", &self.life).finish_non_exhaustive()
    }
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
    /// Syncs of files that ended.
    pub syncs: u64,
    /// Direct writes that ended.
    pub direct_writes: u64,
    /// Syncs of directories that ended.
    pub dir_syncs: u64,
    /// Files opened.
    pub opens: u64,
}

/// Something that goes wrong with the files whose path contains the text; see [`SimDisk::inject`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next sync fails. What it should have made durable never becomes so, although readers still see it and later
    /// syncs succeed: what Linux does.
    FailSync(String),
    /// The next write fails after half of it was written.
    FailWrite(String),
    /// Every read fails, until [`SimDisk::heal`].
    FailReads(String),
    /// The next opening of a file for writing, rename or removal fails.
    FailNames(String),
}

impl Fault {
    fn path_part(&self) -> &str {
        match self {
            Fault::FailSync(part) | Fault::FailWrite(part) | Fault::FailReads(part) | Fault::FailNames(part) => part,
        }
    }
}

struct State {
    root: Arc<Mutex<DirNode>>,
    rng: StdRng,
    life: u64,
    /// The machine is off: a crash image took its place.
    off: bool,
    capacity: u64,
    used: u64,
    slowness: u32,
    uncached_percent: u32,
    hasty: Option<String>,
    /// No file can be opened.
    crowded: bool,
    faults: Vec<Fault>,
    stall: Stall,
    locks: BTreeMap<PathBuf, u64>,
    counters: SimCounters,
}

/// Which asynchronous operations do not end for now.
#[derive(Default)]
struct Stall {
    /// Operations that have begun so far.
    begun: u64,
    /// Those with a greater number wait, of files whose path contains the text.
    after: Option<(String, u64)>,
    waiting: Vec<Waker>,
}

impl State {
    fn new(root: DirNode, rng: StdRng) -> State {
        State {
            root: Arc::new(Mutex::new(root)),
            rng,
            life: 0,
            off: false,
            capacity: 1 << 40,
            used: 0,
            slowness: 0,
            uncached_percent: 0,
            hasty: None,
            crowded: false,
            faults: Vec::new(),
            stall: Stall::default(),
            locks: BTreeMap::new(),
            counters: SimCounters::default(),
        }
    }

    /// The number of an operation that begins.
    fn begin(&mut self) -> u64 {
        self.stall.begun += 1;
        self.stall.begun
    }

    /// Whether an operation may end; if not, it is polled again when it may.
    fn may_end(&mut self, number: u64, path: &Path, waker: &Waker) -> bool {
        let path = path.to_str().unwrap_or_default();
        let waits = self.stall.after.as_ref().is_some_and(|(part, after)| number > *after && path.contains(part));
        if waits {
            self.stall.waiting.push(waker.clone());
        }
        !waits
    }

    fn draw_polls(&mut self) -> u32 {
        if self.slowness == 0 { 0 } else { self.rng.random_range(0..=self.slowness) }
    }

    /// Whether what is looked at now is in memory.
    fn draw_cached(&mut self) -> bool {
        self.uncached_percent == 0 || self.rng.random_range(0..100) >= self.uncached_percent
    }

    fn is_hasty(&self, path: &Path) -> bool {
        let path = path.to_str().unwrap_or_default();
        self.hasty.as_ref().is_some_and(|part| path.contains(part))
    }

    fn has_descriptors(&self) -> io::Result<()> {
        if self.crowded { Err(rustix::io::Errno::MFILE.into()) } else { Ok(()) }
    }

    /// Whether a fault of that kind is planned for the path; a fault that strikes once is taken off the plan.
    fn faulty(&mut self, path: &Path, kind: impl Fn(&Fault) -> bool, once: bool) -> bool {
        let Some(path) = path.to_str() else { return false };
        let found = self.faults.iter().position(|fault| kind(fault) && path.contains(fault.path_part()));
        if let (Some(index), true) = (found, once) {
            self.faults.remove(index);
        }
        found.is_some()
    }
}

fn eio(what: &str) -> io::Error {
    io::Error::other(what)
}

impl SimDisk {
    /// An empty disk of 1 TiB; the seed decides what crashes keep and how long asynchronous calls take.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::of(DirNode::default(), StdRng::seed_from_u64(seed))
    }

    fn of(root: DirNode, rng: StdRng) -> SimDisk {
        SimDisk { shared: Arc::new(Mutex::new(State::new(root, rng))), life: 0 }
    }

    /// The state, if this life of the process is still the current one.
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.shared.lock();
        if state.off || state.life != self.life { Err(eio("the simulated machine is off")) } else { Ok(state) }
    }

    /// Power cut: this disk and all its handles fail from now on; the disk at the next start is returned, without faults,
    /// with the same capacity and slowness.
    pub fn crash(&self) -> SimDisk {
        let image = self.crash_image();
        self.shared.lock().off = true;
        image
    }

    /// What [`SimDisk::crash`] would return now, while this disk goes on.
    pub fn crash_image(&self) -> SimDisk {
        let mut state = self.shared.lock();
        let mut rng = StdRng::seed_from_u64(state.rng.random());
        let root = crash::image(&state.root.lock(), &mut rng);
        let used = allocated(&root);
        let image = SimDisk::of(root, rng);
        {
            let mut fresh = image.shared.lock();
            fresh.used = used;
            fresh.capacity = state.capacity;
            fresh.slowness = state.slowness;
            fresh.uncached_percent = state.uncached_percent;
            fresh.hasty = state.hasty.clone();
        }
        image
    }

    /// The process is killed and started again: earlier handles and locks are gone, the page cache is as it was.
    pub fn restart(&self) -> SimDisk {
        let mut state = self.shared.lock();
        state.life += 1;
        state.locks.clear();
        SimDisk { shared: self.shared.clone(), life: state.life }
    }

    /// Plans a fault; faults of one kind strike in the order of their planning.
    pub fn inject(&self, fault: Fault) {
        self.shared.lock().faults.push(fault);
    }

    /// Takes back every fault that has not struck.
    pub fn heal(&self) {
        self.shared.lock().faults.clear();
    }

    /// How many faults are planned that have not struck.
    pub fn planned(&self) -> usize {
        self.shared.lock().faults.len()
    }

    /// Files whose path contains the text are slow: asynchronous syncs and direct writes of theirs that begin from now on do not end before
    /// this is called again, or [`SimDisk::go_on`]. Those that have begun end. Not for files of which somebody blocks a thread until they
    /// are synced, if whoever would call this again needs that thread.
    pub fn stall(&self, path_part: &str) {
        let mut state = self.shared.lock();
        state.stall.after = Some((path_part.to_owned(), state.stall.begun));
        wake_all(state);
    }

    /// The disk is as fast as ever.
    pub fn go_on(&self) {
        let mut state = self.shared.lock();
        state.stall.after = None;
        wake_all(state);
    }

    /// Bytes that files take up.
    pub fn used(&self) -> u64 {
        self.shared.lock().used
    }

    /// Sets the size of the file system; writes beyond it fail with `StorageFull` after what still fitted.
    pub fn set_capacity(&self, bytes: u64) {
        self.shared.lock().capacity = bytes;
    }

    /// Lets asynchronous calls take up to so many extra polls, drawn from the seed (default: none).
    pub fn set_slowness(&self, polls: u32) {
        self.shared.lock().slowness = polls;
    }

    /// Lets so many in a hundred looks at what is in memory ([`DiskFile::read_cached`], [`DiskFile::is_cached`]) find nothing there,
    /// drawn from the seed (default: none).
    pub fn set_uncached(&self, percent: u32) {
        self.shared.lock().uncached_percent = percent;
    }

    /// Lets syncs and direct writes of files whose path contains the text report success before they have their effect, which comes
    /// with the next one of that file: an acknowledgement before the sync. For tests that must catch exactly that.
    pub fn set_hasty(&self, path_part: &str) {
        self.shared.lock().hasty = Some(path_part.to_owned());
    }

    /// Whether the process has as many files open as it may: none is opened until it has fewer.
    pub fn set_out_of_descriptors(&self, crowded: bool) {
        self.shared.lock().crowded = crowded;
    }

    /// Flips one bit of a file, durably, as bit rot does.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) -> io::Result<()> {
        let state = self.state()?;
        let file = find_file(&state.root, path)?;
        let mut file = file.lock();
        let FileNode { live, durable, .. } = &mut *file;
        for content in [live, durable] {
            let mut byte = [0];
            if content.read(offset, &mut byte) == 1 {
                content.write(offset, &[byte[0] ^ (1 << (bit % 8))]);
            }
        }
        Ok(())
    }

    /// Finds or makes a file.
    fn open_node(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<Mutex<FileNode>>> {
        let mut state = self.state()?;
        state.has_descriptors()?;
        let (dir, name) = parent_of(&state.root, path)?;
        if mode != OpenMode::Read && state.faulty(path, |fault| matches!(fault, Fault::FailNames(_)), true) {
            return Err(eio("simulated error of a directory"));
        }
        let found = dir.lock().live.get(&name).cloned();
        let node = match (found, mode) {
            (Some(_), OpenMode::CreateNew) => return Err(wrong_kind(io::ErrorKind::AlreadyExists, path)),
            (Some(Node::File(file)), _) => file,
            (Some(Node::Dir(_)), _) => return Err(wrong_kind(io::ErrorKind::IsADirectory, path)),
            (None, OpenMode::Read | OpenMode::Write) => return Err(not_found(path)),
            (None, OpenMode::Create | OpenMode::CreateNew) => {
                let file = Arc::new(Mutex::new(FileNode::new(path.to_owned())));
                dir.lock().change(NameChange::Link { name, node: Node::File(file.clone()) });
                file
            }
        };
        state.counters.opens += 1;
        Ok(node)
    }

    /// What was asked so far, over all lives of the process; a crash image starts at zero.
    pub fn counters(&self) -> SimCounters {
        self.shared.lock().counters
    }
}

/// Whoever waited looks again. Wakers run without the lock.
fn wake_all(mut state: MutexGuard<'_, State>) {
    let waiting = std::mem::take(&mut state.stall.waiting);
    drop(state);
    waiting.into_iter().for_each(Waker::wake);
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} does not exist", path.display()))
}

fn wrong_kind(kind: io::ErrorKind, path: &Path) -> io::Error {
    io::Error::new(kind, path.display().to_string())
}

/// The names on the way to a path; parents (`..`) are refused.
fn components(path: &Path) -> io::Result<Vec<&str>> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no plain path", path.display()));
    path.components()
        .filter(|part| !matches!(part, Component::RootDir | Component::CurDir))
        .map(|part| match part {
            Component::Normal(name) => name.to_str().ok_or_else(invalid),
            _ => Err(invalid()),
        })
        .collect()
}

fn find(root: &Arc<Mutex<DirNode>>, path: &Path) -> io::Result<Node> {
    let mut node = Node::Dir(root.clone());
    for name in components(path)? {
        let next = match &node {
            Node::Dir(dir) => dir.lock().live.get(name).cloned(),
            Node::File(_) => return Err(wrong_kind(io::ErrorKind::NotADirectory, path)),
        };
        node = next.ok_or_else(|| not_found(path))?;
    }
    Ok(node)
}

fn find_dir(root: &Arc<Mutex<DirNode>>, path: &Path) -> io::Result<Arc<Mutex<DirNode>>> {
    match find(root, path)? {
        Node::Dir(dir) => Ok(dir),
        Node::File(_) => Err(wrong_kind(io::ErrorKind::NotADirectory, path)),
    }
}

fn find_file(root: &Arc<Mutex<DirNode>>, path: &Path) -> io::Result<Arc<Mutex<FileNode>>> {
    match find(root, path)? {
        Node::File(file) => Ok(file),
        Node::Dir(_) => Err(wrong_kind(io::ErrorKind::IsADirectory, path)),
    }
}

/// The directory that holds a path's last name, and that name.
fn parent_of(root: &Arc<Mutex<DirNode>>, path: &Path) -> io::Result<(Arc<Mutex<DirNode>>, String)> {
    let mut names = components(path)?;
    let last = names.pop().ok_or_else(|| wrong_kind(io::ErrorKind::InvalidInput, path))?.to_owned();
    let dir: PathBuf = names.iter().collect();
    Ok((find_dir(root, &dir)?, last))
}

fn allocated(dir: &DirNode) -> u64 {
    dir.live
        .values()
        .map(|node| match node {
            Node::File(file) => file.lock().allocated(),
            Node::Dir(dir) => allocated(&dir.lock()),
        })
        .sum()
}

/// Takes the name from a file: its room is free again, what is open stays readable.
fn unlink(state: &mut State, node: &Node) {
    if let Node::File(file) = node {
        let mut file = file.lock();
        state.used = state.used.saturating_sub(file.allocated());
        file.linked = false;
    }
}

fn remove_all(state: &mut State, dir: &Arc<Mutex<DirNode>>) {
    let names: Vec<(String, Node)> = dir.lock().live.clone().into_iter().collect();
    for (name, node) in names {
        match &node {
            Node::File(_) => unlink(state, &node),
            Node::Dir(inner) => remove_all(state, inner),
        }
        dir.lock().change(NameChange::Unlink { name });
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let node = self.open_node(path, mode)?;
        Ok(Arc::new(SimFile { disk: self.clone(), node, writable: mode != OpenMode::Read }))
    }

    fn open_direct(&self, path: &Path, mode: DirectMode) -> io::Result<Arc<dyn DirectFile>> {
        let durable = mode == DirectMode::Durable;
        let node = self.open_node(path, if durable { OpenMode::Create } else { OpenMode::Write })?;
        Ok(Arc::new(direct::SimDirect { disk: self.clone(), node, durable }))
    }

    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state()?;
        state.has_descriptors()?;
        let node = find_dir(&state.root, path)?;
        Ok(Arc::new(SimDir { disk: self.clone(), path: path.to_owned(), node }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        same_directory(from, to)?;
        let mut state = self.state()?;
        if state.faulty(from, |fault| matches!(fault, Fault::FailNames(_)), true) {
            return Err(eio("simulated error of a directory"));
        }
        let (dir, old) = parent_of(&state.root, from)?;
        let (_, new) = parent_of(&state.root, to)?;
        let mut names = dir.lock();
        let node = names.live.get(&old).cloned().ok_or_else(|| not_found(from))?;
        match (&node, names.live.get(&new)) {
            _ if old == new => return Ok(()),
            (_, Some(Node::Dir(_))) => return Err(wrong_kind(io::ErrorKind::AlreadyExists, to)),
            (Node::Dir(_), Some(Node::File(_))) => return Err(wrong_kind(io::ErrorKind::NotADirectory, to)),
            (Node::File(_), Some(replaced)) => unlink(&mut state, replaced),
            (_, None) => {}
        }
        if let Node::File(file) = &node {
            file.lock().path = to.to_owned();
        }
        names.change(NameChange::Rename { from: old, to: new, node });
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        if state.faulty(path, |fault| matches!(fault, Fault::FailNames(_)), true) {
            return Err(eio("simulated error of a directory"));
        }
        let (dir, name) = parent_of(&state.root, path)?;
        let file = find_file(&state.root, path)?;
        unlink(&mut state, &Node::File(file));
        dir.lock().change(NameChange::Unlink { name });
        Ok(())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let state = self.state()?;
        let mut dir = state.root.clone();
        let mut names = components(path)?.into_iter().peekable();
        while let Some(name) = names.next() {
            let found = dir.lock().live.get(name).cloned();
            dir = match found {
                Some(Node::Dir(next)) => next,
                Some(Node::File(_)) if names.peek().is_some() => {
                    return Err(wrong_kind(io::ErrorKind::NotADirectory, path));
                }
                Some(Node::File(_)) => return Err(wrong_kind(io::ErrorKind::AlreadyExists, path)),
                None => {
                    let made = Arc::new(Mutex::new(DirNode::default()));
                    dir.lock().change(NameChange::Link { name: name.to_owned(), node: Node::Dir(made.clone()) });
                    made
                }
            };
        }
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        let (parent, name) = parent_of(&state.root, path)?;
        let dir = find_dir(&state.root, path)?;
        remove_all(&mut state, &dir);
        parent.lock().change(NameChange::Unlink { name });
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let state = self.state()?;
        let dir = find_dir(&state.root, dir)?;
        let names = dir.lock();
        let entry = |(name, node): (&String, &Node)| match node {
            Node::Dir(_) => Entry { name: name.clone(), is_dir: true, len: 0 },
            Node::File(file) => Entry { name: name.clone(), is_dir: false, len: file.lock().live.len() },
        };
        Ok(names.live.iter().map(entry).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.state()?;
        match find(&state.root, path) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.open_dir(dir)?.sync_now()
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let state = self.state()?;
        find(&state.root, path)?;
        Ok(Space { total: state.capacity, available: state.capacity.saturating_sub(state.used) })
    }

    fn lock_file(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        self.open(path, OpenMode::Create)?;
        let mut state = self.state()?;
        if state.locks.contains_key(path) {
            return Err(wrong_kind(io::ErrorKind::WouldBlock, path));
        }
        state.locks.insert(path.to_owned(), self.life);
        Ok(Box::new(SimLock { disk: self.clone(), path: path.to_owned() }))
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

impl FileLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        if let Ok(mut state) = self.disk.state() {
            state.locks.remove(&self.path);
        }
    }
}
