//! The journal of a log directory: what makes the appends of many logs durable with one write.
//!
//! ```text
//! <dir>/.goatq-journal        the head: which frames count
//! <dir>/.goatq-journal-0      a slot: written before, used again and again
//! <dir>/.goatq-journal-1 ..
//! ```
//!
//! A turn of group commit puts what its logs have staged since the last turn into one frame and writes that past the page
//! cache, durably, behind the frame before. The segments get these bytes later. A slot that is full waits until `Journal::due`
//! says that it is time to write what its frames speak of into the segments and to sync them; then it is free again. What a crash
//! took, or a process did not get round to, is written into the segments from the frames before any log is opened
//! ([`Journal::open`]).
//!
//! A frame never outlives its truth: histories of logs end (`Journal::void`) before their segments are changed by anything
//! but an append, and a start that has written everything again begins another incarnation. `storage/README.md` has the argument.
//!
//! | calls | where they may run |
//! |---|---|
//! | `Journal::admit`, `Journal::written`, `Journal::due`, `Journal::release` | in group commit |
//! | [`Journal::open`], [`Journal::prepare`], `Journal::void`, [`Journal::close`] | on a thread that may block |

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::io::{AlignedBuffer, DirectFile, Disk, DiskFile, IoFuture};

mod choice;
mod frame;
mod head;
mod prepare;
mod replay;
#[cfg(test)]
mod tests;

pub(crate) use choice::Way;
use choice::{Room, Rule};
use frame::{FrameBuilder, HEADER_LEN, Place, Stamp};
use head::Head;
pub use replay::Replayed;

/// Bounds of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalLimits {
    /// Bytes of a slot, a multiple of 4,096 and at most 64 MiB.
    pub slot_bytes: u32,
    /// Most slots; 0 for no journal.
    pub slots: usize,
    /// Bytes of a log that go to the journal also when hardly any slot is free.
    pub small_bytes: usize,
    /// Bytes up to which an append that waits for a sync is left to the turn that comes, which has the journal.
    pub large_bytes: usize,
    /// Bytes of a log that only the journal has from which they are written to its segment.
    pub late_bytes: u64,
    /// Bytes from which they are written past the page cache, and in place of a frame when a turn has more than one takes.
    pub direct_bytes: u64,
    /// Bytes of the longest frame.
    pub frame_bytes: usize,
    /// Segment files that may wait for a sync behind the journal; they are held open.
    pub files: usize,
    /// Turns that would have used the journal before it is made: a directory with little to do gets none.
    pub patience: u64,
}

impl Default for JournalLimits {
    fn default() -> Self {
        JournalLimits {
            slot_bytes: 16 << 20,
            slots: 8,
            small_bytes: 4 << 10,
            large_bytes: 1 << 20,
            late_bytes: 1 << 20,
            direct_bytes: 256 << 10,
            frame_bytes: 4 << 20,
            files: 4096,
            patience: 64,
        }
    }
}

impl JournalLimits {
    /// No journal: every turn syncs files.
    pub const NONE: JournalLimits = JournalLimits {
        slot_bytes: 0,
        slots: 0,
        small_bytes: 0,
        large_bytes: 0,
        late_bytes: 0,
        direct_bytes: 0,
        frame_bytes: 0,
        files: 0,
        patience: 0,
    };
}

/// What a log was given and has in no file: whole batches, one behind the other in one segment.
#[derive(Clone, Debug)]
pub struct Recent {
    /// Name of the log's directory.
    pub name: Arc<str>,
    /// The log's history, see `Journal::void`.
    pub history: u64,
    /// Base offset of the segment.
    pub segment: i64,
    /// Where the bytes are in it.
    pub position: u64,
    /// The bytes.
    pub data: Vec<Bytes>,
    /// The segment's file.
    pub file: Arc<dyn DiskFile>,
}

impl Recent {
    fn place(&self) -> Place<'_> {
        Place { name: &self.name, history: self.history, segment: self.segment, position: self.position }
    }

    /// Bytes that it takes in a frame.
    fn len(&self) -> usize {
        self.place().len() + self.data.iter().map(Bytes::len).sum::<usize>()
    }
}

/// What a log of a turn has for the journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer<'a> {
    /// The log, by its number in group commit.
    pub(crate) owner: u64,
    /// All that it has staged and is not in a frame.
    pub(crate) staged: &'a [Recent],
}

/// A frame that is to be written.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Where it goes.
    file: Arc<dyn DirectFile>,
    buffer: AlignedBuffer,
    position: u64,
}

impl Frame {
    /// The write.
    pub(crate) fn write(self) -> IoFuture<AlignedBuffer> {
        self.file.write(self.buffer, self.position)
    }
}

/// Slots that are to be freed.
#[derive(Debug)]
pub(crate) struct Due {
    slots: Vec<usize>,
    /// Logs of which all that is in the journal is to be written for that, by their numbers.
    pub(crate) owners: BTreeSet<u64>,
    /// Files to be synced then.
    pub(crate) files: Vec<Arc<dyn DiskFile>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// What it holds is in the segments, durably.
    Free,
    /// Frames are added to it.
    Active,
    /// Full; waits for the sync of its files.
    Sealed,
}

struct Slot {
    file: Arc<dyn DirectFile>,
    phase: Phase,
    /// Sequence of its first frame in this lap, once it is durable; of the lap before until then.
    first: Option<u64>,
    /// Segment files with bytes that only the frames of this slot keep, by identity of the handle, and whose they are.
    covered: HashMap<usize, (u64, Arc<dyn DiskFile>)>,
}

#[derive(Default)]
struct State {
    /// The head of this life is durable: there may be frames of it.
    begun: bool,
    /// No frames any more.
    closed: bool,
    incarnation: u64,
    next_sequence: u64,
    slots: Vec<Slot>,
    active: Option<usize>,
    /// End of the last frame in the active slot.
    position: u64,
    buffer: Option<AlignedBuffer>,
    /// A frame is being written; it is still true for the next one if a turn was dropped.
    in_flight: bool,
}

/// What the head file says, with the sequence of the next frame when each history was ended.
#[derive(Default)]
struct Voids {
    head: Head,
    ended_at: BTreeMap<String, u64>,
}

/// What a journal did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Frames written.
    pub frames: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Times that slots were freed.
    pub checkpoints: u64,
    /// Files synced for that.
    pub files: u64,
}

#[derive(Default)]
struct Counters {
    frames: AtomicU64,
    bytes: AtomicU64,
    checkpoints: AtomicU64,
    files: AtomicU64,
}

/// The journal of one directory; see the module.
pub struct Journal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    limits: JournalLimits,
    state: Mutex<State>,
    /// Held while the head file is written. Taken before the state.
    voids: Mutex<Voids>,
    /// Turns that would have used it before there was one.
    missed: AtomicU64,
    /// Another slot is wanted.
    wanted: AtomicBool,
    /// Slots, for [`Journal::is_ready`] without a lock.
    ready: AtomicUsize,
    /// What earlier lives left in the slots' files is known to be of earlier incarnations.
    known: bool,
    /// Segment files that were synced at the start, by log and base offset.
    synced: Mutex<BTreeMap<String, BTreeSet<i64>>>,
    counters: Counters,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Journal")
            .field("dir", &self.dir)
            .field("slots", &state.slots.len())
            .field("next_sequence", &state.next_sequence)
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// The journal of a directory, after what the last life left in it was written into the segments again. `ended_in_order`: a
    /// program closed the logs, so that nothing in the journal counts. No log may be open. Blocks.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        limits: JournalLimits,
        ended_in_order: bool,
        threads: usize,
    ) -> io::Result<(Arc<Journal>, Replayed)> {
        let mut synced = BTreeMap::new();
        let (head, replayed) = replay::replay(&*disk, dir, ended_in_order, threads, &mut synced)?;
        let journal = Journal {
            disk,
            dir: dir.to_owned(),
            limits,
            state: Mutex::default(),
            known: head.is_some(),
            voids: Mutex::new(Voids { head: head.unwrap_or_default(), ended_at: BTreeMap::new() }),
            missed: AtomicU64::new(0),
            wanted: AtomicBool::new(false),
            ready: AtomicUsize::new(0),
            synced: Mutex::new(synced),
            counters: Counters::default(),
        };
        Ok((Arc::new(journal), replayed))
    }

    /// Base offsets of the segments of a log whose `.log` file was synced when the journal was opened; told once.
    pub(crate) fn take_synced(&self, log: &str) -> BTreeSet<i64> {
        self.synced.lock().remove(log).unwrap_or_default()
    }

    /// Whether an append of so many bytes that waits for a sync is left to the journal, in a log that has nothing there.
    pub(crate) fn stages(&self, bytes: u64) -> bool {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.is_ready() && bytes <= self.limits.large_bytes
    }

    /// Bytes that logs may have staged together.
    pub(crate) fn most_staged(&self) -> u64 {
        u64::from(self.limits.slot_bytes) * (self.limits.slots as u64) / 2
    }

    /// Its bounds.
    pub(crate) fn limits(&self) -> &JournalLimits {
        &self.limits
    }

    fn rule(&self) -> Rule {
        let direct = usize::try_from(self.limits.direct_bytes).unwrap_or(usize::MAX);
        Rule { small: self.limits.small_bytes, direct }
    }

    /// Whether frames can be written. To be asked before the logs of a turn are: a history that ends later is then known to be
    /// ended when their bytes are in a frame.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) > 0
    }

    /// What it did so far.
    pub fn stats(&self) -> JournalStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { frames, bytes, checkpoints, files } = &self.counters;
        JournalStats { frames: read(frames), bytes: read(bytes), checkpoints: read(checkpoints), files: read(files) }
    }

    /// Whether there may be frames that count.
    pub(crate) fn has_begun(&self) -> bool {
        self.state.lock().begun
    }

    /// A turn had to sync files for want of a journal.
    pub(crate) fn missed(&self) {
        if self.missed.fetch_add(1, Ordering::Relaxed) + 1 >= self.limits.patience && self.limits.slots > 0 {
            self.wanted.store(true, Ordering::Relaxed);
        }
    }

    /// Decides what becomes of each offer, none of which is empty, and puts what goes that way into a frame.
    pub(crate) fn admit(&self, offers: &[Offer<'_>]) -> (Vec<Way>, Option<Frame>) {
        let mut state = self.state.lock();
        let none = vec![Way::Files; offers.len()];
        let sizes = || offers.iter().map(|offer| offer.staged.iter().map(Recent::len).sum::<usize>());
        let (Some(smallest), false) = (sizes().min(), state.closed) else { return (none, None) };
        if state.in_flight {
            // A turn was dropped: its frame may end up in its place at any time.
            state.seal();
        }
        if smallest > self.longest() {
            return (none, None);
        }
        let Some(slot) = self.find_room(&mut state, HEADER_LEN + smallest) else { return (none, None) };
        let room = self.room(&state);
        let ways = choice::choose(sizes(), self.rule(), room);
        let wanted: usize = sizes().zip(&ways).filter(|(_, way)| **way == Way::Frame).map(|(size, _)| size).sum();
        if wanted == 0 {
            return (ways, None);
        }
        let buffer = state.buffer.take().filter(|buffer| buffer.room() >= HEADER_LEN + wanted);
        let buffer = buffer.unwrap_or_else(|| AlignedBuffer::new((HEADER_LEN + wanted).max(256 << 10)));
        let mut builder = FrameBuilder::new(buffer);
        let chosen = offers.iter().zip(&ways).filter(|(_, way)| **way == Way::Frame);
        for (offer, recent) in chosen.flat_map(|(offer, _)| offer.staged.iter().map(move |recent| (offer, recent))) {
            if !builder.push(&recent.place(), &recent.data) {
                // A name that no log has.
                return (none, None);
            }
            let identity = Arc::as_ptr(&recent.file).cast::<()>().addr();
            state.slots[slot].covered.entry(identity).or_insert_with(|| (offer.owner, recent.file.clone()));
        }
        let stamp = Stamp {
            incarnation: state.incarnation,
            sequence: state.next_sequence,
            slot: u32::try_from(slot).unwrap_or(u32::MAX),
            position: u32::try_from(state.position).unwrap_or(u32::MAX),
        };
        let buffer = builder.finish(stamp);
        let (file, position) = (state.slots[slot].file.clone(), state.position);
        state.position += buffer.len() as u64;
        state.next_sequence += 1;
        state.in_flight = true;
        (ways, Some(Frame { file, buffer, position }))
    }

    /// Bytes of entries in the longest frame.
    fn longest(&self) -> usize {
        let slot = usize::try_from(self.limits.slot_bytes).unwrap_or(usize::MAX);
        slot.min(self.limits.frame_bytes).saturating_sub(HEADER_LEN)
    }

    /// The slot for a frame of at least so many bytes; another one is begun when the present one is full.
    fn find_room(&self, state: &mut State, bytes: usize) -> Option<usize> {
        let left = u64::from(self.limits.slot_bytes).saturating_sub(state.position);
        let crowded = state.covered_files() >= self.limits.files;
        let has_its_share = state.active.is_some_and(|slot| state.slots[slot].covered.len() >= self.files_of_a_lap());
        if state.active.is_some() && (left < bytes as u64 || crowded || has_its_share) {
            state.seal();
        }
        if state.active.is_none() && !crowded {
            state.active = state.slots.iter().position(|slot| slot.phase == Phase::Free);
            state.position = 0;
            if let Some(slot) = state.active {
                state.slots[slot].phase = Phase::Active;
            }
        }
        // Before this one is full, so that no turn is without.
        let last = !state.slots.iter().any(|slot| slot.phase == Phase::Free);
        if last && state.slots.len() < self.limits.slots {
            self.wanted.store(true, Ordering::Relaxed);
        }
        state.active
    }

    /// Segment files after which it is time to sync them: the turns meanwhile fill the other half.
    fn files_of_a_lap(&self) -> usize {
        (self.limits.files / 2).max(1)
    }

    fn room(&self, state: &State) -> Room {
        let left = u64::from(self.limits.slot_bytes).saturating_sub(state.position);
        let left = usize::try_from(left).unwrap_or(usize::MAX).saturating_sub(HEADER_LEN);
        Room { frame: left.min(self.longest()), longest: self.longest(), scarce: self.is_scarce(state) }
    }

    /// Whether it fills faster than what it has is written and synced: no slot is free but the one in use. Slots that are not
    /// made yet are free.
    fn is_scarce(&self, state: &State) -> bool {
        let sealed = state.slots.iter().filter(|slot| slot.phase == Phase::Sealed).count();
        self.limits.slots > 2 && sealed + 1 >= self.limits.slots
    }

    /// The frame is durable.
    pub(crate) fn written(&self, buffer: AlignedBuffer) {
        self.counters.frames.fetch_add(1, Ordering::Relaxed);
        self.counters.bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.in_flight = false;
        let first = state.position == buffer.len() as u64;
        let sequence = state.next_sequence - 1;
        if let (true, Some(slot)) = (first, state.active) {
            state.slots[slot].first = Some(sequence);
        }
        state.buffer = Some(buffer);
    }

    /// No frames any more: the disk has no room for what it had room for before.
    pub(crate) fn give_up(&self) {
        self.ready.store(0, Ordering::Release);
        self.state.lock().closed = true;
    }

    /// The slots to be freed, and what is to be written and synced for that, if it is time: half of the slots are full, or all that are made
    /// so far, or too many files are held open.
    pub(crate) fn due(&self) -> Option<Due> {
        let state = self.state.lock();
        let sealed: Vec<usize> =
            (0..state.slots.len()).filter(|slot| state.slots[*slot].phase == Phase::Sealed).collect();
        let crowded = state.covered_files() >= self.files_of_a_lap();
        let full = sealed.len() * 2 >= self.limits.slots || sealed.len() == state.slots.len();
        if sealed.is_empty() || !(crowded || full) {
            return None;
        }
        let (mut files, mut owners) = (HashMap::new(), BTreeSet::new());
        for (identity, (owner, file)) in sealed.iter().flat_map(|slot| &state.slots[*slot].covered) {
            owners.insert(*owner);
            files.insert(*identity, file.clone());
        }
        Some(Due { slots: sealed, owners, files: files.into_values().collect() })
    }

    /// Whether more than so many of the files that are due may be synced already: twice as many as the frames since speak of, so that
    /// all are before as many wait again; or all at once, where slots run out.
    pub(crate) fn in_step(&self, due: &Due, synced: usize) -> bool {
        let state = self.state.lock();
        let others = || state.slots.iter().enumerate().filter(|(slot, _)| !due.slots.contains(slot));
        let since: usize = others().map(|(_, slot)| slot.covered.len()).sum();
        let used = state.slots.iter().filter(|slot| slot.phase == Phase::Sealed).count();
        let free = others().any(|(_, slot)| slot.phase != Phase::Sealed);
        synced <= since.saturating_mul(2) || used * 2 >= self.limits.slots || !free
    }

    /// What `Journal::due` gave was written, then synced. How many slots are free now.
    pub(crate) fn release(&self, due: &Due) -> usize {
        self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.counters.files.fetch_add(due.files.len() as u64, Ordering::Relaxed);
        let mut state = self.state.lock();
        for slot in &due.slots {
            if let Some(slot) = state.slots.get_mut(*slot) {
                slot.phase = Phase::Free;
                slot.covered = HashMap::new();
            }
        }
        due.slots.len()
    }

    /// Ends the histories before `history` of logs: what frames hold of them, written or on its way, does not count. Durable when it
    /// returns. Everything that was acknowledged of these logs and is to stay must be synced before. Blocks.
    pub(crate) fn void<'a>(&self, names: impl IntoIterator<Item = &'a str>, history: u64) -> io::Result<()> {
        let mut voids = self.voids.lock();
        let (next, oldest) = {
            let state = self.state.lock();
            if !state.begun {
                return Ok(());
            }
            (state.next_sequence, state.slots.iter().filter_map(|slot| slot.first).min())
        };
        let Voids { head, ended_at } = &mut *voids;
        // A turn under way may still write what it was given before: at most one frame.
        let needed =
            |name: &String, _: &mut u64| ended_at.get(name).is_none_or(|at| oldest.is_none_or(|first| first <= *at));
        head.voids.retain(needed);
        ended_at.retain(|name, _| head.voids.contains_key(name));
        for name in names {
            head.voids.insert(name.to_owned(), history);
            ended_at.insert(name.to_owned(), next);
        }
        head.write(&*self.disk, &self.dir)
    }

    /// The end: syncs what only the journal keeps, and empties it. Blocks.
    pub fn close(&self) -> io::Result<()> {
        let mut voids = self.voids.lock();
        self.ready.store(0, Ordering::Release);
        let files: Vec<Arc<dyn DiskFile>> = {
            let mut state = self.state.lock();
            state.closed = true;
            if !state.begun {
                return Ok(());
            }
            state
                .slots
                .iter_mut()
                .flat_map(|slot| std::mem::take(&mut slot.covered).into_values())
                .map(|(_, file)| file)
                .collect()
        };
        files.iter().try_for_each(|file| file.sync_now())?;
        voids.head = Head { incarnation: voids.head.incarnation.saturating_add(1), voids: BTreeMap::new() };
        voids.head.write(&*self.disk, &self.dir)
    }
}

impl State {
    fn seal(&mut self) {
        self.in_flight = false;
        if let Some(slot) = self.active.take() {
            self.slots[slot].phase = Phase::Sealed;
        }
    }

    fn covered_files(&self) -> usize {
        self.slots.iter().map(|slot| slot.covered.len()).sum()
    }
}
