//! One log directory: a folder on one disk that holds partition logs, with its lock, identity, health and checkpoints.
//!
//! ```text
//! <dir>/.lock                               held while a process uses the directory
//! <dir>/meta.properties                     cluster, node and directory id
//! <dir>/.kafka_cleanshutdown                the last process ended in order
//! <dir>/.goatq-poisoned                     a write or sync failed: not to be used
//! <dir>/.goatq-lives                        names of the processes that used it
//! <dir>/.goatq-journal, .goatq-journal-<n>  what only the journal keeps of the last appends
//! <dir>/recovery-point-offset-checkpoint    what need not be scanned after a crash
//! <dir>/log-start-offset-checkpoint, cleaner-offset-checkpoint
//! <dir>/replication-offset-checkpoint       what is known to be committed
//! <dir>/<topic>-<partition>/                a log
//! <dir>/<topic>-<partition>.<id>-delete/    a deleted log whose files wait for their removal
//! <dir>/<topic>-<partition>.<id>-future/    a copy of a log that is on its way here
//! ```
//!
//! All but the marker of failure, the names and the journal are Kafka's files in Kafka's formats: a directory moves between the two programs as it
//! is, once its last process has ended in order.
//!
//! | calls | where they may run |
//! |---|---|
//! | [`LogDir::run`] | as one task per directory |
//! | [`LogDir::open`], [`LogDir::open_logs`], [`LogDir::delete_logs`], [`LogDir::maintain`], [`LogDir::close_clean`] | on a thread that may block |

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use goatq_protocol::Uuid;
use parking_lot::Mutex;

use crate::{
    config::{CacheLimits, UNPROVEN_BYTES},
    group_commit::GroupCommit,
    io::{Disk, FileLock, parallel, read_small_file, replace_file},
    journal::{Journal, JournalLimits},
    log::{Log, LogResources},
};

mod clean_shutdown;
mod error;
mod future;
pub mod health;
mod lives;
mod logs;
mod meta_properties;
mod names;
mod offset_checkpoint;
pub mod partition_metadata;
#[cfg(test)]
mod tests;

pub use error::LogDirError;
pub use future::FutureLog;
use health::{DirHealth, POISON_MARKER, Reserve};
pub use logs::{FailedLogs, LogRequest, MaintenanceError, OpenLogError};
pub use meta_properties::MetaProperties;
pub use names::{parse_partition_dir, partition_dir};
use offset_checkpoint::OffsetCheckpoints;

/// Directory of the metadata log, which is not a partition for the broker.
pub const CLUSTER_METADATA_DIR: &str = "__cluster_metadata-0";

/// What a log directory is opened with.
#[derive(Clone, Debug)]
pub struct LogDirConfig {
    /// Cluster the node belongs to; written to a new directory, checked against an old one.
    pub cluster_id: String,
    /// `node.id`, likewise.
    pub node_id: i32,
    /// Id for a directory that has none yet: random, not reserved.
    pub fresh_directory_id: Uuid,
    /// What is kept free of client data.
    pub reserve: Reserve,
    /// Bounds of what its logs share.
    pub caches: CacheLimits,
    /// Threads that recover logs at start-up (`num.recovery.threads.per.data.dir`).
    pub recovery_threads: usize,
    /// Bounds of its journal.
    pub journal: JournalLimits,
}

/// A partition's directory as found at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPartition {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Incarnation of the topic; `None` when the directory does not say (readably).
    pub topic_id: Option<Uuid>,
}

/// How the last process that used a directory ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastShutdown {
    /// In order, with the broker epoch it left (KIP-966), if any.
    Clean {
        /// Epoch of the broker then.
        broker_epoch: Option<i64>,
    },
    /// Not in order, or the directory is new.
    Unclean,
}

/// An open log directory; see the module. Dropping it gives the lock up, which is what a crash does.
#[derive(Debug)]
pub struct LogDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    _lock: Box<dyn FileLock>,
    directory_id: Uuid,
    is_new: bool,
    lives: Vec<Uuid>,
    last_shutdown: LastShutdown,
    found: Vec<FoundPartition>,
    found_futures: Vec<(String, i32)>,
    health: Arc<DirHealth>,
    commit: GroupCommit,
    resources: Arc<LogResources>,
    checkpoints: Arc<OffsetCheckpoints>,
    recovery_threads: usize,
    /// [`UNPROVEN_BYTES`], less in tests.
    unproven_bytes: u64,
    logs: Mutex<BTreeMap<String, Arc<Log>>>,
    /// Logs that were there at the start and were neither opened nor deleted since.
    unopened: Mutex<BTreeSet<String>>,
    doomed: Mutex<Vec<logs::Doomed>>,
    /// Names in the directory may have changed without having been synced, for want of a descriptor or of room.
    unsynced_names: AtomicBool,
    /// Held by one maintenance run at a time.
    maintenance: Mutex<()>,
}

/// Gives errors of the disk their place.
struct Step<'a>(&'a Path);

impl Step<'_> {
    fn run<T>(&self, what: &'static str, result: io::Result<T>) -> Result<T, LogDirError> {
        result.map_err(|source| LogDirError::Io { path: self.0.to_owned(), what, source })
    }
}

impl LogDir {
    /// The identity of a directory without opening it; `None` when it has none yet. For choosing the cluster id.
    pub fn identity(disk: &dyn Disk, path: &Path) -> Result<Option<MetaProperties>, LogDirError> {
        match read_small_file(disk, &path.join(meta_properties::FILE_NAME), meta_properties::MAX_LEN) {
            Ok(content) => MetaProperties::parse(&content)
                .map(Some)
                .map_err(|reason| LogDirError::UnusableIdentity { path: path.to_owned(), reason }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Step(path).run("reading meta.properties", Err(error)),
        }
    }

    /// Opens a directory, makes it when it is missing: takes its lock, refuses it when it is marked as failed or belongs to
    /// someone else, and looks at what is there. Logs are opened by [`LogDir::open_logs`].
    pub fn open(disk: Arc<dyn Disk>, path: &Path, config: LogDirConfig) -> Result<Arc<LogDir>, LogDirError> {
        let step = Step(path);
        step.run("making it", make_dir(&*disk, path))?;
        let lock = match disk.lock_file(&path.join(".lock")) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(LogDirError::Locked { path: path.to_owned() });
            }
            lock => step.run("locking", lock)?,
        };
        refuse_poisoned(&*disk, path)?;
        let entries = step.run("listing", disk.list(path))?;
        let directories: BTreeSet<String> =
            entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect();
        let logs: BTreeSet<String> =
            directories.iter().filter(|name| parse_partition_dir(name).is_some()).cloned().collect();
        let is_new = Self::identity(&*disk, path)?.is_none();
        let directory_id = settle_identity(&*disk, path, &config, logs.is_empty())?;
        let lives = step.run("reading the names of its processes", lives::read(&*disk, path))?;
        let in_order =
            step.run("looking for the marker of a clean end", disk.exists(&path.join(clean_shutdown::FILE_NAME)))?;
        let journal = Journal::open(disk.clone(), path, config.journal, in_order, config.recovery_threads);
        let (journal, _) = step.run("playing its journal back", journal)?;
        let last_shutdown = take_clean_marker(&*disk, path)?;
        let found = find_partitions(&*disk, path, &directories, config.recovery_threads);
        let futures = directories.iter().filter_map(|name| names::parse_future_dir(name));
        let found_futures = futures.map(|(topic, partition)| (topic.to_owned(), partition)).collect();
        let health = DirHealth::new(disk.clone(), path, config.reserve);
        step.run("looking up its free space", health.check_space())?;
        let checkpoints = OffsetCheckpoints::load(disk.clone(), path, health.clone(), &logs);
        let checkpoints = Arc::new(step.run("reading its checkpoints", checkpoints)?);
        let unopened = logs.into_iter().filter(|name| is_partition(name)).collect();
        let doomed = logs::doomed_at_start(path, &directories);
        Ok(Arc::new(LogDir {
            resources: LogResources::new(disk.clone(), config.caches),
            path: path.to_owned(),
            _lock: lock,
            directory_id,
            is_new,
            lives,
            last_shutdown,
            found,
            found_futures,
            commit: GroupCommit::with_journal(health.clone(), journal),
            health,
            checkpoints,
            recovery_threads: config.recovery_threads,
            unproven_bytes: UNPROVEN_BYTES,
            logs: Mutex::default(),
            unopened: Mutex::new(unopened),
            doomed: Mutex::new(doomed),
            unsynced_names: AtomicBool::new(false),
            maintenance: Mutex::new(()),
            disk,
        }))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `directory.id`.
    pub fn directory_id(&self) -> Uuid {
        self.directory_id
    }

    /// Whether it was empty when it was opened.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Names of the last processes that used it before this one, the newest last.
    pub fn lives(&self) -> &[Uuid] {
        &self.lives
    }

    /// Adds the name of this process, durably: before anybody else hears of it. Blocks.
    pub fn begin_life(&self, name: Uuid) -> Result<(), LogDirError> {
        Step(&self.path).run("naming its process", lives::add(&*self.disk, &self.path, &self.lives, name))
    }

    /// How the last process left it.
    pub fn last_shutdown(&self) -> LastShutdown {
        self.last_shutdown
    }

    /// The partitions that were there when it was opened, in order, the metadata log apart. What the broker does not know it
    /// deletes.
    pub fn found(&self) -> &[FoundPartition] {
        &self.found
    }

    /// Whether it may be written to.
    pub fn health(&self) -> &Arc<DirHealth> {
        &self.health
    }

    /// The disk it is on.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// What its logs share, for logs that are opened by other means than [`LogDir::open_logs`].
    pub fn resources(&self) -> &Arc<LogResources> {
        &self.resources
    }

    /// Its group commit.
    pub fn commit(&self) -> &GroupCommit {
        &self.commit
    }

    /// The group-commit loop: to be polled as one task until [`LogDir::close_clean`].
    pub async fn run(&self) {
        self.commit.run().await;
    }
}

/// Whether a directory is a partition's. The metadata log's is the controller's, who may keep it open by other means.
fn is_partition(name: &str) -> bool {
    name != CLUSTER_METADATA_DIR && parse_partition_dir(name).is_some()
}

/// Makes a directory and makes all new names on the way to it durable.
fn make_dir(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut next = Some(path);
    while let Some(dir) = next.filter(|dir| !dir.as_os_str().is_empty()) {
        if disk.exists(dir)? {
            break;
        }
        missing.push(dir);
        next = dir.parent();
    }
    disk.create_dir_all(path)?;
    for dir in missing.into_iter().rev() {
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        disk.sync_dir(parent)?;
    }
    Ok(())
}

fn refuse_poisoned(disk: &dyn Disk, path: &Path) -> Result<(), LogDirError> {
    let poisoned = |reason: String| LogDirError::Poisoned { path: path.to_owned(), reason };
    match read_small_file(disk, &path.join(POISON_MARKER), 64 << 10) {
        Ok(content) => Err(poisoned(String::from_utf8_lossy(&content).trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // There is a marker; that it cannot be read does not make the disk better.
        Err(error) => Err(poisoned(error.to_string())),
    }
}

/// Checks whose directory it is, or makes it this node's. The directory id.
fn settle_identity(disk: &dyn Disk, path: &Path, config: &LogDirConfig, is_empty: bool) -> Result<Uuid, LogDirError> {
    let found = LogDir::identity(disk, path)?;
    if let Some(meta) = &found {
        if meta.cluster_id != config.cluster_id {
            let (found, expected) = (meta.cluster_id.clone(), config.cluster_id.clone());
            return Err(LogDirError::WrongCluster { path: path.to_owned(), found, expected });
        }
        if meta.node_id != config.node_id {
            let (found, expected) = (meta.node_id, config.node_id);
            return Err(LogDirError::WrongNode { path: path.to_owned(), found, expected });
        }
        if let Some(id) = meta.directory_id {
            return Ok(id);
        }
    } else if !is_empty {
        return Err(LogDirError::NoIdentity { path: path.to_owned() });
    }
    let meta = MetaProperties {
        cluster_id: config.cluster_id.clone(),
        node_id: config.node_id,
        directory_id: Some(config.fresh_directory_id),
    };
    let written = replace_file(disk, &path.join(meta_properties::FILE_NAME), meta.encode().as_bytes());
    Step(path).run("writing meta.properties", written)?;
    Ok(config.fresh_directory_id)
}

/// Reads the marker of a clean end and takes it away, durably, before anything is appended.
fn take_clean_marker(disk: &dyn Disk, path: &Path) -> Result<LastShutdown, LogDirError> {
    let marker = path.join(clean_shutdown::FILE_NAME);
    let content = match read_small_file(disk, &marker, clean_shutdown::MAX_LEN) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LastShutdown::Unclean),
        content => Step(path).run("reading the marker of a clean end", content)?,
    };
    let taken = disk.remove_file(&marker).and_then(|()| disk.sync_dir(path));
    Step(path).run("removing the marker of a clean end", taken)?;
    Ok(LastShutdown::Clean { broker_epoch: clean_shutdown::broker_epoch(&content) })
}

fn find_partitions(
    disk: &dyn Disk,
    path: &Path,
    directories: &BTreeSet<String>,
    threads: usize,
) -> Vec<FoundPartition> {
    let find = |name: &String| {
        let Some((topic, partition)) = parse_partition_dir(name) else {
            let known = names::is_deleted_dir(name) || names::parse_future_dir(name).is_some();
            if !known && name != "lost+found" {
                tracing::warn!(dir = %path.display(), name, "unknown directory: left alone");
            }
            return None;
        };
        if !is_partition(name) {
            return None;
        }
        let metadata = path.join(name).join(partition_metadata::FILE_NAME);
        let topic_id = match read_small_file(disk, &metadata, partition_metadata::MAX_LEN) {
            Ok(content) => partition_metadata::parse(&content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err("there is none".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = &topic_id {
            tracing::warn!(dir = %path.display(), name, reason, "partition without a readable partition.metadata");
        }
        Some(FoundPartition { topic: topic.to_owned(), partition, topic_id: topic_id.ok() })
    };
    let found = parallel::map(threads, directories.iter().collect(), find);
    let mut found: Vec<FoundPartition> = found.into_iter().flatten().collect();
    found.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    found
}
