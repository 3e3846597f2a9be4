//! A log on a simulated disk, with what a log directory gives it.

use std::{
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use goatq_protocol::record::{Batch, BatchBuilder, BatchOptions, NewRecord, split};
use goatq_storage::{
    config::{CacheLimits, LogConfig},
    error::{AppendError, OpenError},
    group_commit::{GroupCommit, NoListener},
    io::{Disk, sim::SimDisk},
    journal::{Journal, JournalLimits, Replayed},
    log::{AppendOptions, Appended, Checkpoints, Log, LogResources, OpenOptions, Origin},
    log_dir::health::{DirHealth, Reserve},
};
use parking_lot::Mutex;

/// Waits for a future of the simulated disk, which needs nothing but polls.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// The checkpoint files of a log directory, always durable.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    pub(crate) recovery_points: Mutex<BTreeMap<String, i64>>,
}

impl Checkpoints for Remembered {
    fn lower_recovery_point(&self, log: &str, offset: i64) -> std::io::Result<()> {
        if let Some(point) = self.recovery_points.lock().get_mut(log) {
            *point = (*point).min(offset);
        }
        Ok(())
    }

    fn lower_high_watermark(&self, _: &str, _: i64) -> std::io::Result<()> {
        Ok(())
    }
}

/// How the last life of the log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Closed.
    Clean,
    /// The process was killed.
    Kill,
    /// The power was cut.
    Crash,
}

/// A log and what surrounds it.
pub(crate) struct Bench {
    pub(crate) disk: SimDisk,
    pub(crate) remembered: Arc<Remembered>,
    pub(crate) resources: Arc<LogResources>,
    pub(crate) commit: GroupCommit,
    pub(crate) log: Arc<Log>,
    pub(crate) config: LogConfig,
    pub(crate) limits: CacheLimits,
    pub(crate) journal: JournalLimits,
    /// What this start found in the journal.
    pub(crate) replayed: Replayed,
    /// What the log-start-offset-checkpoint says.
    pub(crate) start: i64,
    pub(crate) first_dirty: i64,
    pub(crate) now_ms: i64,
}

pub(crate) fn dir() -> PathBuf {
    PathBuf::from("/logs/t-0")
}

impl Bench {
    pub(crate) fn new(seed: u64, config: LogConfig) -> Bench {
        Bench::with_limits(seed, config, CacheLimits { open_files: 8, index_bytes: 64 << 10, tail_bytes: 16 << 10 })
    }

    pub(crate) fn with_limits(seed: u64, config: LogConfig, limits: CacheLimits) -> Bench {
        Bench::with_journal(seed, config, limits, JournalLimits::NONE)
    }

    pub(crate) fn with_journal(seed: u64, config: LogConfig, limits: CacheLimits, journal: JournalLimits) -> Bench {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(Path::new("/logs")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let remembered = Arc::new(Remembered::default());
        Bench::open(disk, remembered, config, (limits, journal), 0, true, 0, 1_000).unwrap()
    }

    #[expect(clippy::too_many_arguments, reason = "the life before, taken apart")]
    fn open(
        disk: SimDisk,
        remembered: Arc<Remembered>,
        config: LogConfig,
        limits: (CacheLimits, JournalLimits),
        start: i64,
        clean: bool,
        first_dirty: i64,
        now_ms: i64,
    ) -> Result<Bench, OpenError> {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let (limits, journal) = limits;
        let resources = LogResources::new(shared.clone(), limits);
        let health = DirHealth::new(shared.clone(), Path::new("/logs"), Reserve::default());
        let (opened, replayed) = Journal::open(shared, Path::new("/logs"), journal, clean, 1)?;
        let commit = GroupCommit::with_journal(health, opened);
        let options = OpenOptions {
            dir: dir(),
            topic_id: None,
            config: config.clone(),
            clean,
            recovery_point: remembered.recovery_points.lock().get("t-0").copied().or(Some(0)),
            log_start_offset: start,
            first_dirty_offset: first_dirty,
        };
        let log = Log::open(&resources, &commit, remembered.clone(), Arc::new(NoListener), options, now_ms)?;
        Ok(Bench {
            disk,
            remembered,
            resources,
            commit,
            log,
            config,
            limits,
            journal,
            replayed,
            start,
            first_dirty,
            now_ms,
        })
    }

    /// Ends this life and begins the next one.
    pub(crate) fn reopen(self, end: End) -> Result<Bench, OpenError> {
        if end == End::Clean {
            self.log.close(self.now_ms).unwrap();
            self.remember();
            self.commit.journal().unwrap().close().unwrap();
        }
        let disk = match end {
            End::Crash => self.disk.crash(),
            End::Clean | End::Kill => self.disk.restart(),
        };
        let Bench { remembered, config, limits, journal, start, first_dirty, now_ms, .. } = self;
        Bench::open(disk, remembered, config, (limits, journal), start, end == End::Clean, first_dirty, now_ms)
    }

    /// What the log directory does after a checkpoint.
    pub(crate) fn remember(&self) {
        self.remembered.recovery_points.lock().insert("t-0".to_owned(), self.log.recovery_point());
    }

    pub(crate) fn checkpoint(&self) {
        self.log.checkpoint(self.now_ms).unwrap();
        self.remember();
    }

    /// A turn of group commit.
    pub(crate) fn sync(&self) -> usize {
        wait(self.commit.turn())
    }

    pub(crate) fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        self.append_as(batch, Origin::Client)
    }

    pub(crate) fn append_as(&self, batch: Batch, origin: Origin) -> Result<Appended, AppendError> {
        let options = AppendOptions { leader_epoch: 0, origin, now_ms: self.now_ms };
        self.log.append(vec![batch], options)
    }

    /// All batches from the log start on, read in steps of so many bytes.
    pub(crate) fn read_all(&self, max_bytes: usize) -> Vec<Batch> {
        let mut batches = Vec::new();
        let mut offset = self.log.log_start_offset();
        while offset < self.log.log_end_offset() {
            let slice = self.log.read(offset, max_bytes, i64::MAX, true).unwrap();
            let read = batches_of(&wait(slice.load()).unwrap());
            // Compaction may have taken all that was left.
            let Some(last) = read.last() else { break };
            offset = last.header().next_offset();
            batches.extend(read);
        }
        batches
    }

    /// Names and lengths of the files of the log.
    pub(crate) fn files(&self) -> Vec<(String, u64)> {
        let entries = self.disk.list(&dir()).unwrap();
        entries.into_iter().map(|entry| (entry.name, entry.len)).collect()
    }
}

/// The batches in chunks of a read.
pub(crate) fn batches_of(chunks: &[Bytes]) -> Vec<Batch> {
    let bytes = Bytes::from(chunks.concat());
    split(&bytes).map(|batch| batch.unwrap()).collect()
}

/// A batch of records with these keys and values and one timestamp.
pub(crate) fn batch(options: BatchOptions, timestamp: i64, records: &[(Option<&str>, Option<&str>)]) -> Batch {
    let mut builder = BatchBuilder::new(options);
    for (key, value) in records {
        let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
        builder.push(NewRecord { timestamp, key, value, headers: &[] }).unwrap();
    }
    builder.build_batch().unwrap()
}
