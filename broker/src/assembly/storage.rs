//! Opening the log directories: identity, lock, group commit.

use std::path::PathBuf;
use std::sync::Arc;

use goatq_controller::decide::brokers::EarlierLives;
use goatq_controller::entropy::Entropy;
use goatq_storage::config::CacheLimits;
use goatq_storage::io::Disk;
use goatq_storage::journal::JournalLimits;
use goatq_storage::log_dir::health::Reserve;
use goatq_storage::log_dir::{LastShutdown, LogDir, LogDirConfig, LogDirError};
use tokio_util::task::TaskTracker;

use crate::config::BrokerConfig;
use crate::threads::offload::Offload;

/// The directories of a node, open.
#[derive(Clone)]
pub(super) struct OpenDirs {
    /// Those of partitions, in the order of `log.dirs`.
    pub(super) data: Vec<Arc<LogDir>>,
    /// Those of partitions that cannot be used.
    pub(super) failed: Vec<PathBuf>,
    /// That of the metadata log: one of them, or one of its own.
    pub(super) metadata: Arc<LogDir>,
    /// The cluster that all of them belong to.
    pub(super) cluster_id: String,
}

impl OpenDirs {
    /// Every directory once.
    pub(super) fn all(&self) -> Vec<Arc<LogDir>> {
        let mut all = self.data.clone();
        if !all.iter().any(|dir| Arc::ptr_eq(dir, &self.metadata)) {
            all.push(self.metadata.clone());
        }
        all
    }

    /// What the directories of partitions say of the processes before this one. A new directory says nothing.
    pub(super) fn earlier_lives(&self) -> Vec<EarlierLives> {
        let lives = |dir: &Arc<LogDir>| EarlierLives {
            directory: dir.directory_id(),
            incarnations: dir.lives().to_vec(),
            ended_in_order: dir.last_shutdown() != LastShutdown::Unclean,
        };
        self.data.iter().filter(|dir| !dir.is_new()).map(lives).collect()
    }
}

/// The cluster a directory says it belongs to; the first one that says so decides, and the others are checked against it
/// when they are opened.
fn known_cluster(disk: &dyn Disk, paths: &[PathBuf]) -> Result<Option<String>, LogDirError> {
    for path in paths {
        if let Some(identity) = LogDir::identity(disk, path)? {
            return Ok(Some(identity.cluster_id));
        }
    }
    Ok(None)
}

/// The directories of the configuration, that of the metadata log among them.
fn paths(config: &BrokerConfig) -> Vec<PathBuf> {
    let mut paths = config.log.dirs.clone();
    if !paths.contains(&config.log.metadata_dir) {
        paths.push(config.log.metadata_dir.clone());
    }
    paths
}

/// The cluster that the node belongs to, by its configuration or its directories. Blocks.
pub(super) fn configured_or_known_cluster(
    disk: &dyn Disk,
    config: &BrokerConfig,
) -> Result<Option<String>, LogDirError> {
    match &config.identity.cluster_id {
        Some(configured) => Ok(Some(configured.clone())),
        None => known_cluster(disk, &paths(config)),
    }
}

/// Opens all directories of the configuration. A new cluster gets the configured id or a new one. Blocks.
pub(super) fn open_dirs(
    disk: &Arc<dyn Disk>,
    config: &BrokerConfig,
    openers: usize,
    entropy: &mut Entropy,
) -> Result<OpenDirs, LogDirError> {
    let paths = paths(config);
    // A configured id that differs from that of the directories is refused when they are opened.
    let cluster_id = configured_or_known_cluster(&**disk, config)?.unwrap_or_else(|| entropy.uuid().to_string());
    let (mut data, mut failed, mut metadata) = (Vec::with_capacity(paths.len()), Vec::new(), None);
    let mut last = None;
    for path in &paths {
        let opened = LogDir::open(disk.clone(), path, dir_config(config, &cluster_id, openers, entropy));
        let is_metadata = *path == config.log.metadata_dir;
        let dir = match opened {
            Ok(dir) => dir,
            Err(error) if !is_metadata && is_of_the_disk(&error) => {
                tracing::error!(%error, "this log directory is left out: what is in it is offline");
                failed.push(path.clone());
                last = Some(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        if is_metadata {
            metadata = Some(dir.clone());
        }
        if config.log.dirs.contains(path) {
            data.push(dir);
        }
    }
    match (metadata, last) {
        (Some(metadata), _) if !data.is_empty() => Ok(OpenDirs { data, failed, metadata, cluster_id }),
        (_, Some(error)) => Err(error),
        (_, None) => Err(LogDirError::NoIdentity { path: config.log.metadata_dir.clone() }),
    }
}

/// Whether a directory cannot be used because of its disk, so that a node with others can go on without it. Whatever else is wrong, an operator
/// has to look at.
fn is_of_the_disk(error: &LogDirError) -> bool {
    matches!(error, LogDirError::Poisoned { .. } | LogDirError::Io { .. })
}

/// Threads that open logs for each that `num.recovery.threads.per.data.dir` names: most of their time they wait for the disk.
const OPENERS: usize = 8;
/// Most threads that open logs of a directory at start.
const MAX_OPENERS: usize = 512;

/// Threads that open logs of a directory at start. Where nothing runs beside the caller, it opens them itself, one after the other.
pub(super) fn openers(config: &BrokerConfig, offload: Offload) -> usize {
    match offload {
        Offload::Threads => config.log.recovery_threads.clamp(1, MAX_OPENERS / OPENERS) * OPENERS,
        Offload::Inline => 1,
    }
}

fn dir_config(config: &BrokerConfig, cluster_id: &str, openers: usize, entropy: &mut Entropy) -> LogDirConfig {
    let caches = CacheLimits::default();
    // Most files a process may open are for connections; each directory gets a share of the rest.
    let open_files = caches.open_files.min(config.log.open_files / config.log.dirs.len().max(1));
    let journal = JournalLimits::default();
    LogDirConfig {
        cluster_id: cluster_id.to_owned(),
        node_id: config.identity.node_id,
        fresh_directory_id: entropy.uuid(),
        reserve: Reserve { bytes: config.log.reserve_bytes, percent: config.log.reserve_percent },
        caches: CacheLimits { open_files: open_files.max(16), ..caches },
        recovery_threads: openers,
        journal: JournalLimits { files: journal.files.min(open_files.max(64) * 4), ..journal },
    }
}

/// Starts the group commit of each directory. The loops end when the directories are closed.
pub(super) fn run_commits(dirs: &[Arc<LogDir>], tracker: &TaskTracker) {
    for dir in dirs {
        let dir = dir.clone();
        tracker.spawn(async move { dir.run().await });
    }
}
