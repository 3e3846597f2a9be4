//! Group commit under every order of events.
//!
//! The exhaustive part runs a few writers, the loop and a disk whose syncs end when the scheduler says so, through *all* orders of
//! their steps: at every step one of the things that could happen next happens, and each run takes another path through the
//! tree of choices. The loop is polled only after it was woken, so a lost wake-up shows as a run that never ends its work.
//!
//! The seeded part does the same with more logs on the simulated disk, pulls the plug at a random step and looks at what is left.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    future::Future,
    io::{self, IoSlice},
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use goatq_storage::{
    group_commit::{BlockWrite, DirtyMark, GroupCommit, SyncBatch, Syncable, What},
    io::{
        Disk, DiskFile, IoFuture, OpenMode,
        sim::{Fault, SimDisk},
    },
    journal::{Journal, JournalLimits, Recent},
    log_dir::health::{DirHealth, Reserve},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Walks a tree of choices: each run follows the recorded path and takes the first branch beyond it.
#[derive(Default)]
struct Explorer {
    path: Vec<(usize, usize)>,
    depth: usize,
}

impl Explorer {
    fn choose(&mut self, options: usize) -> usize {
        if self.depth == self.path.len() {
            self.path.push((0, options));
        }
        let (taken, expected) = self.path[self.depth];
        assert_eq!(expected, options, "equal choices lead to equal states");
        self.depth += 1;
        taken
    }

    /// The next path; false after the last.
    fn advance(&mut self) -> bool {
        self.depth = 0;
        while let Some((taken, options)) = self.path.pop() {
            if taken + 1 < options {
                self.path.push((taken + 1, options));
                return true;
            }
        }
        false
    }
}

/// What the model knows of one file: bytes written, bytes that a sync made durable.
#[derive(Debug, Default)]
struct FileState {
    written: u64,
    durable: u64,
}

#[derive(Debug)]
struct SyncUnderWay {
    file: usize,
    covers: u64,
    outcome: Option<Result<(), ()>>,
    waker: Option<Waker>,
}

/// All files, and all syncs in the order they began.
#[derive(Debug, Default)]
struct Model {
    files: Vec<FileState>,
    syncs: Vec<SyncUnderWay>,
    failed: bool,
}

type SharedModel = Arc<Mutex<Model>>;

#[derive(Debug)]
struct ModelFile {
    model: SharedModel,
    index: usize,
}

impl DiskFile for ModelFile {
    fn sync(&self) -> IoFuture<()> {
        let (model, file, mut began) = (self.model.clone(), self.index, None);
        Box::pin(std::future::poll_fn(move |cx| {
            let mut model = model.lock().unwrap();
            let index = *began.get_or_insert_with(|| {
                let covers = model.files[file].written;
                model.syncs.push(SyncUnderWay { file, covers, outcome: None, waker: None });
                model.syncs.len() - 1
            });
            let sync = &mut model.syncs[index];
            sync.waker = Some(cx.waker().clone());
            match sync.outcome {
                None => Poll::Pending,
                Some(Ok(())) => Poll::Ready(Ok(())),
                Some(Err(())) => Poll::Ready(Err(io::Error::other("simulated"))),
            }
        }))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.model.lock().unwrap().files[self.index].written)
    }
    fn write_at(&self, _: &[IoSlice<'_>], _: u64) -> io::Result<()> {
        self.model.lock().unwrap().files[self.index].written += 1;
        Ok(())
    }
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }
    fn read(&self, _: u64, _: usize) -> IoFuture<Bytes> {
        Box::pin(std::future::ready(Ok(Bytes::new())))
    }
    fn sync_now(&self) -> io::Result<()> {
        Ok(())
    }
    fn truncate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn preallocate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// A log that puts every second record into its second file, as if it had rolled; offsets count records.
struct ModelLog {
    model: SharedModel,
    files: [Arc<ModelFile>; 2],
    mark: DirtyMark,
    state: Mutex<ModelLogState>,
}

#[derive(Default)]
struct ModelLogState {
    end: i64,
    acknowledged: i64,
    poisoned: usize,
}

impl ModelLog {
    fn append(&self) {
        let mut state = self.state.lock().unwrap();
        self.files[(state.end % 2) as usize].write_at(&[], 0).unwrap();
        state.end += 1;
    }
}

impl Syncable for ModelLog {
    fn begin_sync(&self) -> Option<SyncBatch> {
        let state = self.state.lock().unwrap();
        let files = self.files.iter().map(|file| file.clone() as Arc<dyn DiskFile>).collect();
        (state.acknowledged < state.end).then(|| SyncBatch {
            files,
            whole: true,
            end: state.end,
            generation: 0,
            staged: Vec::new(),
        })
    }

    fn complete_sync(&self, batch: &SyncBatch) {
        let model = self.model.lock().unwrap();
        let durable: u64 = self.files.iter().map(|file| model.files[file.index].durable).sum();
        assert!(!model.failed, "acknowledged after a failed sync");
        assert!(durable as i64 >= batch.end, "acknowledged up to {} with {durable} durable", batch.end);
        let mut state = self.state.lock().unwrap();
        assert!(batch.end > state.acknowledged, "acknowledgements only grow");
        state.acknowledged = batch.end;
    }

    fn poisoned(&self, _reason: &str) {
        self.state.lock().unwrap().poisoned += 1;
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct World {
    model: SharedModel,
    logs: Vec<Arc<ModelLog>>,
    /// Steps that writers still have to do, by log: even ones append, odd ones mark.
    steps: Vec<usize>,
    commit: GroupCommit,
    /// The sync, in order of their beginnings, that fails.
    failing: Option<usize>,
}

impl World {
    fn new(appends: &[usize], failing: Option<usize>) -> World {
        let disk = SimDisk::new(0);
        disk.create_dir_all(Path::new("/d")).unwrap();
        let commit = GroupCommit::new(DirHealth::new(Arc::new(disk), Path::new("/d"), Reserve::default()));
        let model = SharedModel::default();
        let log = |_| {
            let file = |_| {
                let mut state = model.lock().unwrap();
                state.files.push(FileState::default());
                Arc::new(ModelFile { model: model.clone(), index: state.files.len() - 1 })
            };
            let files = [0, 1].map(file);
            Arc::new_cyclic(|me: &Weak<ModelLog>| ModelLog {
                model: model.clone(),
                files,
                mark: commit.register(me.clone()),
                state: Mutex::default(),
            })
        };
        let logs = appends.iter().map(log).collect();
        World { model, logs, steps: appends.iter().map(|count| count * 2).collect(), commit, failing }
    }

    /// Ends the n-th of the syncs under way.
    fn end_sync(&self, nth: usize) {
        let mut model = self.model.lock().unwrap();
        let (index, file, covers) = {
            let mut under_way = model.syncs.iter().enumerate().filter(|(_, sync)| sync.outcome.is_none());
            let (index, sync) = under_way.nth(nth).unwrap();
            (index, sync.file, sync.covers)
        };
        let outcome = if self.failing == Some(index) {
            model.failed = true;
            Err(())
        } else {
            // After a failure the disk says that all is well; what it says is worth nothing.
            if !model.failed {
                model.files[file].durable = model.files[file].durable.max(covers);
            }
            Ok(())
        };
        model.syncs[index].outcome = Some(outcome);
        let waker = model.syncs[index].waker.take();
        drop(model);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Runs until nothing can happen any more, in the order the explorer says.
    fn run(&mut self, explorer: &mut Explorer) {
        let commit = self.commit.clone();
        let mut committing: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move { commit.run().await });
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        loop {
            let writers: Vec<usize> = (0..self.steps.len()).filter(|log| self.steps[*log] > 0).collect();
            let syncs = self.model.lock().unwrap().syncs.iter().filter(|sync| sync.outcome.is_none()).count();
            let polls = usize::from(woken.0.load(Ordering::SeqCst));
            let options = writers.len() + syncs + polls;
            if options == 0 {
                return;
            }
            match explorer.choose(options) {
                choice if choice < writers.len() => self.step(writers[choice]),
                choice if choice < writers.len() + syncs => self.end_sync(choice - writers.len()),
                _ => {
                    woken.0.store(false, Ordering::SeqCst);
                    let polled = committing.as_mut().poll(&mut Context::from_waker(&waker));
                    assert!(polled.is_pending(), "nobody closed it");
                }
            }
        }
    }

    fn step(&mut self, log: usize) {
        if self.steps[log].is_multiple_of(2) {
            self.logs[log].append();
        } else {
            self.logs[log].mark.mark();
        }
        self.steps[log] -= 1;
    }

    fn check_end(&self) {
        let failed = self.model.lock().unwrap().failed;
        for log in &self.logs {
            let state = log.state.lock().unwrap();
            assert_eq!(state.poisoned, usize::from(failed), "told of a failure once");
            assert!(failed || state.acknowledged == state.end, "all that was appended is acknowledged in the end");
        }
    }
}

/// Every order; how many there are, and in how many the failure struck.
fn explore(appends: &[usize], failing: Option<usize>) -> (usize, usize) {
    let (mut explorer, mut orders, mut failures) = (Explorer::default(), 0, 0);
    loop {
        let mut world = World::new(appends, failing);
        world.run(&mut explorer);
        world.check_end();
        orders += 1;
        failures += usize::from(world.model.lock().unwrap().failed);
        if !explorer.advance() {
            return (orders, failures);
        }
    }
}

#[test]
fn no_order_of_events_acknowledges_before_the_sync_that_covers() {
    let (orders, failures) = explore(&[2], None);
    assert!(orders > 100 && failures == 0, "{orders} orders");
    let (orders, failures) = explore(&[1, 1], None);
    assert!(orders > 1_000 && failures == 0, "{orders} orders");
}

#[test]
fn no_order_of_events_acknowledges_after_a_failed_sync() {
    for failing in 0..4 {
        let (orders, failures) = explore(&[2], Some(failing));
        assert!(failures > 0 && failures <= orders);
    }
    let (orders, failures) = explore(&[1, 1], Some(2));
    assert!(failures > 0 && failures <= orders);
}

/// A log on the simulated disk: each record is one byte, its own offset.
struct SimLog {
    name: Arc<str>,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    mark: DirtyMark,
    state: Mutex<SimLogState>,
}

/// `acknowledged <= secured <= end`, `written <= end`.
#[derive(Default)]
struct SimLogState {
    end: i64,
    /// Everything below is in the file.
    written: i64,
    /// Everything below is in the file or in the journal.
    secured: i64,
    /// The file has something unsynced below this that is in no frame.
    unsynced: i64,
    acknowledged: i64,
}

impl SimLog {
    fn append(&self, staged: bool) {
        let mut state = self.state.lock().unwrap();
        state.end += 1;
        let end = state.end;
        if !staged {
            self.write(&mut state, end).unwrap();
        }
        drop(state);
        self.mark.mark();
    }

    fn write(&self, state: &mut SimLogState, end: i64) -> io::Result<()> {
        let bytes: Vec<u8> = (state.written..end).map(|offset| offset as u8).collect();
        self.file.write_at(&[IoSlice::new(&bytes)], state.written as u64)?;
        if end > state.secured {
            (state.secured, state.unsynced) = (end, end);
        }
        state.written = end;
        Ok(())
    }

    fn batch(&self, state: &SimLogState, end: i64, staged: Vec<Recent>) -> Option<SyncBatch> {
        let files: Vec<_> = (state.unsynced > 0).then(|| self.file.clone() as Arc<dyn DiskFile>).into_iter().collect();
        (!files.is_empty() || !staged.is_empty()).then_some(SyncBatch {
            files,
            whole: true,
            end,
            generation: 0,
            staged,
        })
    }
}

impl Syncable for SimLog {
    fn begin_sync(&self) -> Option<SyncBatch> {
        let state = self.state.lock().unwrap();
        let staged = Recent {
            name: self.name.clone(),
            history: 0,
            segment: 0,
            position: state.secured as u64,
            data: (state.secured..state.end).map(|offset| Bytes::from(vec![offset as u8])).collect(),
            file: self.file.clone(),
        };
        self.batch(&state, state.end, if state.secured < state.end { vec![staged] } else { Vec::new() })
    }

    fn begin_files(&self) -> Option<SyncBatch> {
        let state = self.state.lock().unwrap();
        self.batch(&state, state.secured, Vec::new())
    }

    fn complete_sync(&self, batch: &SyncBatch) {
        let mut state = self.state.lock().unwrap();
        state.acknowledged = state.acknowledged.max(batch.end);
        state.secured = state.secured.max(batch.end);
        if !batch.files.is_empty() && state.unsynced <= batch.end {
            state.unsynced = 0;
        }
    }

    fn begin_write(&self, what: What) -> io::Result<Option<Vec<BlockWrite>>> {
        let mut state = self.state.lock().unwrap();
        let end = if what == What::All { state.end } else { state.secured };
        if state.written < end {
            self.write(&mut state, end)?;
        }
        Ok(None)
    }

    fn journaled_bytes(&self) -> u64 {
        let state = self.state.lock().unwrap();
        (state.secured - state.written) as u64
    }

    fn poisoned(&self, _reason: &str) {}
}

fn sim_logs(disk: &SimDisk, commit: &GroupCommit, count: usize) -> Vec<Arc<SimLog>> {
    let logs = (0..count).map(|index| {
        let name: Arc<str> = format!("log-{index}").into();
        let dir = Path::new("/d").join(&*name);
        disk.create_dir_all(&dir).unwrap();
        let path = dir.join("00000000000000000000.log");
        let file = disk.open(&path, OpenMode::CreateNew).unwrap();
        disk.sync_dir(&dir).unwrap();
        Arc::new_cyclic(|me: &Weak<SimLog>| SimLog {
            name,
            path,
            file,
            mark: commit.register(me.clone()),
            state: Mutex::default(),
        })
    });
    logs.collect()
}

/// A journal that begins anew after every few turns.
const JOURNAL: JournalLimits = JournalLimits {
    slot_bytes: 8192,
    slots: 3,
    small_bytes: 80,
    large_bytes: 200,
    late_bytes: 5,
    direct_bytes: 0,
    frame_bytes: 4096,
    files: 8,
    patience: 0,
};

/// One life: random appends and polls, perhaps a failing sync or journal write, then the plug is pulled. Acknowledged records
/// and written frames in all.
fn live_and_die(seed: u64) -> (i64, u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let health = DirHealth::new(Arc::new(disk.clone()), Path::new("/d"), Reserve::default());
    let limits = if seed.is_multiple_of(4) { JournalLimits::NONE } else { JOURNAL };
    let (journal, _) = Journal::open(Arc::new(disk.clone()), Path::new("/d"), limits, false, 1).unwrap();
    let commit = GroupCommit::with_journal(health.clone(), journal.clone());
    let logs = sim_logs(&disk, &commit, 4);
    disk.sync_dir(Path::new("/d")).unwrap();
    disk.set_slowness(4);
    let mut committing = Box::pin(commit.run());
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(woken.clone());
    for _ in 0..rng.random_range(0..120) {
        if rng.random_ratio(1, 150) {
            disk.inject(Fault::FailSync(format!("log-{}", rng.random_range(0..4))));
        }
        if rng.random_ratio(1, 150) {
            let part = "goatq-journal-".to_owned();
            disk.inject(if rng.random_bool(0.5) { Fault::FailSync(part) } else { Fault::FailWrite(part) });
        }
        if rng.random_ratio(1, 10) {
            // A fault only means that there is none yet.
            let _ = journal.prepare();
        }
        if rng.random_bool(0.5) {
            let staged = !seed.is_multiple_of(4);
            logs[rng.random_range(0..logs.len())].append(staged);
        } else if woken.0.swap(false, Ordering::SeqCst) {
            assert!(committing.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
    }
    let frames = journal.stats().frames;
    let after = disk.crash();
    Journal::open(Arc::new(after.clone()), Path::new("/d"), limits, false, 1).unwrap();
    let survived = |log: &SimLog| {
        let state = log.state.lock().unwrap();
        let mut content = vec![0; state.acknowledged as usize];
        let read = after.open(&log.path, OpenMode::Read).unwrap().read_at(&mut content, 0).unwrap();
        assert_eq!(read, content.len(), "seed {seed}: acknowledged records are missing");
        assert!((0..).zip(&content).all(|(offset, byte): (usize, &u8)| *byte == offset as u8), "seed {seed}");
        state.acknowledged
    };
    (logs.iter().map(|log| survived(log)).sum(), frames)
}

#[test]
fn what_was_acknowledged_survives_any_power_cut() {
    let lives: Vec<(i64, u64)> = (0..4_000).map(live_and_die).collect();
    let (acknowledged, frames): (Vec<i64>, Vec<u64>) = lives.into_iter().unzip();
    let (acknowledged, frames): (i64, u64) = (acknowledged.iter().sum(), frames.iter().sum());
    assert!(acknowledged > 40_000, "{acknowledged} records were acknowledged at all");
    assert!(frames > 10_000, "{frames} frames were written at all");
}
