//! The logs of a directory: opening, deleting, checkpoints, the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use goatq_protocol::Uuid;

use super::{
    FoundPartition, LastShutdown, LogDir, LogDirError, Step, clean_shutdown,
    names::{deleted_dir, is_deleted_dir, parse_partition_dir, partition_dir},
    offset_checkpoint::Remembered,
};
use crate::{
    config::{LogConfig, checkpoints_of_a_round, removals_of_a_round},
    error::{LogError, OpenError},
    group_commit::DurableListener,
    io::{DiskFile, is_out_of_descriptors, is_refusal, parallel, replace_file},
    log::{Known, Log, OpenOptions},
};

/// A log to be opened or made.
#[derive(Clone, Debug)]
pub struct LogRequest {
    /// Topic; a name that Kafka allows.
    pub topic: String,
    /// Partition, not negative.
    pub partition: i32,
    /// Incarnation of the topic; `None` for logs without one (the metadata log).
    pub topic_id: Option<Uuid>,
    /// Settings.
    pub config: LogConfig,
    /// Who is told of durability.
    pub listener: Arc<dyn DurableListener>,
}

/// Why a log of a directory could not be opened or made.
#[derive(Debug, thiserror::Error)]
pub enum OpenLogError {
    /// It is open.
    #[error("log {0} is open already")]
    AlreadyOpen(String),
    /// The name is no partition's.
    #[error("{0:?} is not a name for the directory of a partition")]
    UnusableName(String),
    /// The directory failed before.
    #[error("the log directory failed earlier")]
    Poisoned,
    /// The directory could not make room for a new log.
    #[error("making the log's directory failed: {0}")]
    Make(Arc<io::Error>),
    /// The log itself.
    #[error(transparent)]
    Log(#[from] OpenError),
}

impl OpenLogError {
    /// Whether it may succeed later: there was no room, or no descriptor. Nothing is wrong with the log.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Make(error) => is_refusal(error),
            Self::Log(OpenError::Io(error)) => is_refusal(error),
            _ => false,
        }
    }
}

/// Why the upkeep or the end of a directory failed.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// Some logs failed; the work was done for the others.
    #[error("{failed}")]
    Logs {
        /// Which, and why.
        failed: FailedLogs,
    },
    /// The directory failed before.
    #[error("the log directory failed earlier")]
    Poisoned,
    /// The disk refused something.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Logs that failed, by name of their directory.
#[derive(Debug, Default)]
pub struct FailedLogs(pub Vec<(String, LogError)>);

impl FailedLogs {
    fn add(&mut self, name: String, error: LogError) {
        self.0.push((name, error));
    }

    fn into_result(self) -> Result<(), MaintenanceError> {
        if self.0.is_empty() { Ok(()) } else { Err(MaintenanceError::Logs { failed: self }) }
    }
}

impl fmt::Display for FailedLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = |index| if index == 0 { "" } else { "; " };
        self.0
            .iter()
            .enumerate()
            .try_for_each(|(index, (name, error))| write!(f, "{}{name}: {error}", separator(index)))
    }
}

/// Logs that are opened before what they leave to be synced is.
const TOGETHER: usize = 256;

/// A log that counts once these files are synced.
pub(super) struct Opened {
    name: String,
    pub(super) log: Arc<Log>,
    pub(super) unsynced: Vec<Arc<dyn DiskFile>>,
}

/// A deleted log whose files are still there.
#[derive(Debug)]
pub(super) struct Doomed {
    path: PathBuf,
    remove_at_ms: i64,
}

/// What earlier processes deleted but did not remove.
pub(super) fn doomed_at_start(dir: &Path, directories: &BTreeSet<String>) -> Vec<Doomed> {
    let doomed = directories.iter().filter(|name| is_deleted_dir(name));
    doomed.map(|name| Doomed { path: dir.join(name), remove_at_ms: i64::MIN }).collect()
}

impl LogDir {
    /// The open log of a partition.
    pub fn log(&self, topic: &str, partition: i32) -> Option<Arc<Log>> {
        self.logs.lock().get(&partition_dir(topic, partition)).cloned()
    }

    /// All open logs, by name of their directory.
    pub fn logs(&self) -> Vec<Arc<Log>> {
        self.logs.lock().values().cloned().collect()
    }

    /// Opens or makes one log; see [`LogDir::open_logs`].
    pub fn open_log(&self, request: LogRequest, now_ms: i64) -> Result<Arc<Log>, OpenLogError> {
        let name = partition_dir(&request.topic, request.partition);
        self.open_logs(vec![request], now_ms).pop().unwrap_or(Err(OpenLogError::UnusableName(name)))
    }

    /// Opens logs, makes those that are not there, and repairs what a crash left of the others, several at a time. One result for
    /// each request, in order. Blocks.
    pub fn open_logs(&self, requests: Vec<LogRequest>, now_ms: i64) -> Vec<Result<Arc<Log>, OpenLogError>> {
        let mut names = BTreeSet::new();
        let checked: Vec<Result<(String, LogRequest), OpenLogError>> = requests
            .into_iter()
            .map(|request| {
                let name = self.check_name(&request)?;
                if names.insert(name.clone()) { Ok((name, request)) } else { Err(OpenLogError::AlreadyOpen(name)) }
            })
            .collect();
        // The names of new logs are durable before a record in them can be.
        let made = self.make_missing(&names).map_err(Arc::new);
        let mut opened = Vec::with_capacity(checked.len());
        let mut checked = checked.into_iter();
        loop {
            let some: Vec<_> = checked.by_ref().take(TOGETHER).collect();
            if some.is_empty() {
                return opened;
            }
            let some = parallel::map(self.recovery_threads, some, |request| {
                let (name, request) = request?;
                made.as_ref().map_err(|error| OpenLogError::Make(error.clone()))?;
                let remembered = self.checkpoints.remembered(&name);
                self.open_one(name, request, now_ms, remembered)
            });
            opened.extend(self.sync_opened(some));
        }
    }

    /// Syncs what recovery left to be synced, of all these logs together; then they count.
    pub(super) fn sync_opened(&self, opened: Vec<Result<Opened, OpenLogError>>) -> Vec<Result<Arc<Log>, OpenLogError>> {
        let of = |(at, opened): (usize, &Result<Opened, OpenLogError>)| {
            let unsynced = opened.as_ref().map_or(&[][..], |opened| &opened.unsynced);
            unsynced.iter().map(|file| (at, file.clone())).collect::<Vec<_>>()
        };
        let (owners, files): (Vec<usize>, Vec<Arc<dyn DiskFile>>) = opened.iter().enumerate().flat_map(of).unzip();
        let synced = owners.into_iter().zip(parallel::sync_all(&files));
        let mut failed: BTreeMap<usize, io::Error> =
            synced.filter_map(|(at, synced)| Some((at, synced.err()?))).collect();
        let count_in = |(at, opened): (usize, Result<Opened, OpenLogError>)| {
            let Opened { name, log, .. } = opened?;
            if let Some(error) = failed.remove(&at) {
                self.health.poison(&format!("syncing {name} at the start failed: {error}"));
                return Err(OpenLogError::Log(error.into()));
            }
            self.unopened.lock().remove(&name);
            self.logs.lock().insert(name, log.clone());
            Ok(log)
        };
        opened.into_iter().enumerate().map(count_in).collect()
    }

    pub(super) fn check_name(&self, request: &LogRequest) -> Result<String, OpenLogError> {
        let name = partition_dir(&request.topic, request.partition);
        let plain = !request.topic.contains(['/', '\0']) && name.len() <= 255;
        if !plain || parse_partition_dir(&name) != Some((&request.topic, request.partition)) {
            return Err(OpenLogError::UnusableName(name));
        }
        if self.health.is_poisoned() {
            return Err(OpenLogError::Poisoned);
        }
        if self.logs.lock().contains_key(&name) { Err(OpenLogError::AlreadyOpen(name)) } else { Ok(name) }
    }

    fn make_missing(&self, names: &BTreeSet<String>) -> io::Result<()> {
        let mut missing = Vec::new();
        for name in names {
            if !self.disk.exists(&self.path.join(name))? {
                missing.push(name.clone());
            }
        }
        if missing.is_empty() {
            // Those that are there may be so since an attempt that was cut short.
            return if self.unsynced_names.load(Ordering::SeqCst) { self.sync_names() } else { Ok(()) };
        }
        self.forget_predecessors(&missing)?;
        self.unsynced_names.store(true, Ordering::SeqCst);
        for name in &missing {
            self.disk.create_dir_all(&self.path.join(name))?;
        }
        self.sync_names()
    }

    /// What is remembered of logs that had these names is forgotten, durably.
    pub(super) fn forget_predecessors(&self, names: &[String]) -> io::Result<()> {
        self.checkpoints.make_unknown(names)?;
        self.commit.void_journal(names.iter().map(String::as_str)).inspect_err(|error| {
            if !is_refusal(error) {
                self.health.poison(&format!("writing the journal's head failed: {error}"));
            }
        })
    }

    /// Makes the names in the directory durable; failing to poisons it, unless there was no descriptor for it.
    pub(super) fn sync_names(&self) -> io::Result<()> {
        // Before: what changes meanwhile is not covered.
        self.unsynced_names.store(false, Ordering::SeqCst);
        self.disk.sync_dir(&self.path).inspect_err(|error| {
            self.unsynced_names.store(true, Ordering::SeqCst);
            if !is_out_of_descriptors(error) {
                self.health.poison(&format!("syncing the log directory failed: {error}"));
            }
        })
    }

    pub(super) fn open_one(
        &self,
        name: String,
        request: LogRequest,
        now_ms: i64,
        remembered: Remembered,
    ) -> Result<Opened, OpenLogError> {
        let untouched = self.unopened.lock().contains(&name);
        let known = if untouched { self.known(&name, &request) } else { Known::default() };
        let options = OpenOptions {
            dir: self.path.join(&name),
            topic_id: request.topic_id,
            config: request.config,
            clean: self.last_shutdown != LastShutdown::Unclean && untouched,
            recovery_point: remembered.recovery_point,
            log_start_offset: remembered.log_start_offset,
            first_dirty_offset: remembered.first_dirty_offset,
        };
        let (resources, checkpoints) = (&self.resources, self.checkpoints.clone());
        let opened =
            Log::open_unsynced(resources, &self.commit, checkpoints, request.listener, options, &known, now_ms);
        let (log, unsynced) = opened?;
        Ok(Opened { name, log, unsynced })
    }

    /// What the directory knows of a log that nobody has touched since it was opened.
    /// What was known to be committed of a log (its high watermark) when [`LogDir::set_high_watermarks`] was last written; `None` for one that
    /// it never said anything of. The log may end before it: what a crash of the page cache lost.
    pub fn high_watermark(&self, topic: &str, partition: i32) -> Option<i64> {
        self.checkpoints.high_watermark(&partition_dir(topic, partition))
    }

    /// Takes note of the high watermarks of logs, by [`Log::name`]; those of logs that are not open here are passed over. They are written
    /// with the next [`LogDir::maintain`] or [`LogDir::close_clean`], to Kafka's `replication-offset-checkpoint`.
    pub fn set_high_watermarks<'a>(&self, offsets: impl Iterator<Item = (&'a str, i64)>) {
        // Held, so that none is noted of a log that is being deleted.
        let logs = self.logs.lock();
        self.checkpoints.set_high_watermarks(offsets.filter(|(name, _)| logs.contains_key(*name)));
    }

    fn known(&self, name: &str, request: &LogRequest) -> Known {
        let order =
            |found: &FoundPartition| (found.topic.as_str(), found.partition).cmp(&(&request.topic, request.partition));
        let found = self.found.binary_search_by(order).ok().and_then(|at| self.found.get(at));
        let topic_id = found.and_then(|found| found.topic_id);
        Known {
            topic_id: topic_id.is_some() && topic_id == request.topic_id,
            synced: self.commit.journal().map(|journal| journal.take_synced(name)).unwrap_or_default(),
        }
    }

    /// Deletes logs, open or not: their directories are renamed, durably, and removed `file.delete.delay.ms` later by
    /// [`LogDir::maintain`]. Readers that hold their files are not disturbed. `unique` gives random ids. Partitions that are not
    /// there are passed over. Blocks.
    pub fn delete_logs(
        &self,
        partitions: &[(&str, i32)],
        now_ms: i64,
        mut unique: impl FnMut() -> Uuid,
    ) -> Result<(), LogDirError> {
        let step = Step(&self.path);
        for (topic, partition) in partitions {
            let name = partition_dir(topic, *partition);
            let log = self.logs.lock().remove(&name);
            let delay = log.as_ref().map_or(0, |log| log.config().file_delete_delay_ms);
            if let Some(log) = log {
                log.abandon();
            }
            let target = self.path.join(deleted_dir(&name, unique()));
            match self.disk.rename(&self.path.join(&name), &target) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                renamed => step.run("renaming a deleted log", renamed)?,
            }
            self.checkpoints.forget(&name);
            self.unopened.lock().remove(&name);
            self.doomed.lock().push(Doomed { path: target, remove_at_ms: now_ms.saturating_add(delay) });
        }
        step.run("syncing its names", self.sync_names())
    }

    /// What a directory has to do about once a second: looks up the free space, writes the checkpoints of logs that are due, removes
    /// files of deleted logs. Blocks; one run at a time, a second one returns at once.
    pub fn maintain(&self, now_ms: i64) -> Result<(), MaintenanceError> {
        let Some(_running) = self.maintenance.try_lock() else { return Ok(()) };
        self.resources.ahead.expire(now_ms);
        self.prepare_journal();
        self.commit.upkeep();
        self.health.check_space()?;
        // Before anything is written: a full disk must not keep what would make room.
        self.remove_doomed(now_ms)?;
        if !self.health.is_poisoned() {
            self.checkpoint_logs(now_ms, false)?;
        }
        Ok(())
    }

    fn prepare_journal(&self) {
        let prepared = self.commit.journal().map_or(Ok(()), |journal| journal.prepare());
        if let Err(error) = prepared {
            // Nothing relies on it yet; it is tried again when it is asked for again.
            tracing::warn!(dir = %self.path.display(), %error, "the journal could not be made");
        }
    }

    /// Writes checkpoints for all logs now, due or not. Blocks.
    pub fn checkpoint(&self, now_ms: i64) -> Result<(), MaintenanceError> {
        let _running = self.maintenance.lock();
        self.checkpoint_logs(now_ms, true)
    }

    fn checkpoint_logs(&self, now_ms: i64, all: bool) -> Result<(), MaintenanceError> {
        let logs = self.logs.lock().clone();
        let stamp = self.checkpoints.begin_round();
        let mut failed = FailedLogs::default();
        let crowded = crowded(&logs, self.unproven_bytes);
        let mut left = checkpoints_of_a_round(logs.len());
        for (name, log) in logs {
            let its_turn = left > 0 && log.checkpoint_due(now_ms);
            left -= usize::from(its_turn);
            let due = all || its_turn || crowded.contains(&name);
            let proven = if due { log.checkpoint(now_ms) } else { Ok(log.recovery_point()) };
            match proven {
                Ok(recovery_point) => self.checkpoints.propose(&name, stamp, remember(&log, recovery_point)),
                // It was deleted meanwhile.
                Err(LogError::Closed) => {}
                Err(error) => failed.add(name, error),
            }
        }
        // What succeeded is written even where another log failed.
        self.checkpoints.write()?;
        failed.into_result()
    }

    /// A share of what is due; all of it where room is short.
    fn remove_doomed(&self, now_ms: i64) -> io::Result<()> {
        let is_due = |doomed: &Doomed| doomed.remove_at_ms <= now_ms;
        let due = self.doomed.lock().iter().filter(|doomed| is_due(doomed)).count();
        let share = if self.health.has_room() { removals_of_a_round(due) } else { due };
        for _ in 0..share.min(due) {
            let next = {
                let mut doomed = self.doomed.lock();
                doomed.iter().position(is_due).map(|index| doomed.swap_remove(index))
            };
            let Some(doomed) = next else { return Ok(()) };
            match self.disk.remove_dir_all(&doomed.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.doomed.lock().push(doomed);
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The end in order: closes all logs, writes the checkpoints and the marker that lets the next start trust them, and lets
    /// [`LogDir::run`] end. A directory that failed gets no marker. `broker_epoch` is the epoch of the broker now, -1 for
    /// none (KIP-966). Blocks.
    pub fn close_clean(&self, broker_epoch: i64, now_ms: i64) -> Result<(), MaintenanceError> {
        let _running = self.maintenance.lock();
        let logs: BTreeMap<String, Arc<Log>> = std::mem::take(&mut *self.logs.lock());
        let stamp = self.checkpoints.begin_round();
        let mut failed = FailedLogs::default();
        for (name, log) in logs {
            match log.close(now_ms) {
                Ok(recovery_point) => self.checkpoints.propose(&name, stamp, remember(&log, recovery_point)),
                Err(error) => failed.add(name, error),
            }
        }
        self.commit.close();
        failed.into_result()?;
        if self.health.is_poisoned() {
            return Err(MaintenanceError::Poisoned);
        }
        self.checkpoints.write()?;
        // Logs that are open by other means may have something in it.
        let closed = self.commit.journal().map_or(Ok(()), |journal| journal.close());
        closed.inspect_err(|error| {
            if !is_refusal(error) {
                self.health.poison(&format!("closing the journal failed: {error}"));
            }
        })?;
        let unopened = self.unopened.lock().clone();
        if self.last_shutdown == LastShutdown::Unclean && !unopened.is_empty() {
            // The marker would prove logs that nobody looked at since the crash before.
            tracing::warn!(dir = %self.path.display(), ?unopened, "no marker of a clean end: some logs were never recovered");
            return Ok(());
        }
        let marker = self.path.join(clean_shutdown::FILE_NAME);
        Ok(replace_file(&*self.disk, &marker, clean_shutdown::encode(broker_epoch).as_bytes())?)
    }
}

/// The logs with the most unproven data, without which the others are within a limit together.
fn crowded(logs: &BTreeMap<String, Arc<Log>>, limit: u64) -> BTreeSet<String> {
    let mut unproven: Vec<(u64, &String)> = logs.iter().map(|(name, log)| (log.unproven_bytes(), name)).collect();
    unproven.sort_unstable_by(|a, b| b.cmp(a));
    let mut total: u64 = unproven.iter().map(|(bytes, _)| bytes).sum();
    let too_much = unproven.into_iter().take_while(|(bytes, _)| {
        let above = total > limit;
        total = total.saturating_sub(*bytes);
        above
    });
    too_much.map(|(_, name)| name.clone()).collect()
}

fn remember(log: &Log, recovery_point: i64) -> Remembered {
    Remembered {
        recovery_point: Some(recovery_point),
        log_start_offset: log.log_start_offset(),
        first_dirty_offset: log.first_dirty_offset(),
    }
}
