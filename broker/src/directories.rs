//! The log directories of a node: which are in order, which get no new replicas, and where a new one goes.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytestring::ByteString;
use goatq_protocol::Uuid;
use goatq_storage::log_dir::{LogDir, LogDirError};
use parking_lot::{Mutex, MutexGuard};

use crate::config::LiveConfig;

mod moves;

pub(crate) use moves::MoveRefusal;
use moves::{LogCopy, Wanted};

/// Stands for all directories in `cordoned.log.dirs`.
const ALL: &str = "*";

/// Topic and number of a partition.
pub(crate) type ReplicaName = (ByteString, i32);

/// Where a log lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Home {
    /// The directory, of [`Directories::open`].
    pub(crate) at: usize,
    /// Whether it was made there in this life of the node.
    pub(crate) anew: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Directories {
    open: Vec<Arc<LogDir>>,
    /// Directories that could not be used at the start.
    failed: Vec<PathBuf>,
    config: Arc<LiveConfig>,
    /// Found at the start or chosen since.
    homes: Mutex<HashMap<ReplicaName, Home>>,
    /// Replicas that shall be elsewhere, or shall be there when they come.
    wanted: Wanted,
    /// What is on its way.
    copies: Mutex<BTreeMap<ReplicaName, LogCopy>>,
}

impl Directories {
    /// `open` are at least one; `failed` could not be opened.
    pub(crate) fn new(open: Vec<Arc<LogDir>>, failed: Vec<PathBuf>, config: Arc<LiveConfig>) -> Self {
        let (homes, wanted, copies) = (Mutex::default(), Wanted::default(), Mutex::default());
        Self { open, failed, config, homes, wanted, copies }
    }

    /// Those that could be opened, in the order of `log.dirs`.
    pub(crate) fn open(&self) -> &[Arc<LogDir>] {
        &self.open
    }

    /// Those that could not be opened at the start.
    pub(crate) fn failed(&self) -> &[PathBuf] {
        &self.failed
    }

    /// Writes the name of this process into all that are in order, before others hear of it. One that does not take it has failed. Blocks.
    ///
    /// # Errors
    /// None takes it.
    pub(crate) fn begin_life(&self, incarnation: Uuid) -> Result<(), LogDirError> {
        let mut last = None;
        for (_, dir) in self.healthy() {
            if let Err(error) = dir.begin_life(incarnation) {
                tracing::error!(%error, "this log directory is left out: what is in it is offline");
                dir.health().fail(&error.to_string(), error.may_pass());
                last = Some(error);
            }
        }
        match last {
            Some(error) if self.healthy().next().is_none() => Err(error),
            _ => Ok(()),
        }
    }

    /// Ids of those that are in order.
    pub(crate) fn online(&self) -> Vec<Uuid> {
        self.healthy().map(|(_, dir)| dir.directory_id()).collect()
    }

    /// Ids of those that get no new replicas.
    pub(crate) fn cordoned(&self) -> Vec<Uuid> {
        self.healthy().filter(|(_, dir)| self.is_cordoned(dir.path())).map(|(_, dir)| dir.directory_id()).collect()
    }

    /// Whether a directory gets no new replicas (KIP-1066): by its path as configured, or in full.
    pub(crate) fn is_cordoned(&self, path: &Path) -> bool {
        let config = self.config.current();
        config.log.cordoned_dirs.iter().any(|named| named == ALL || full(Path::new(named)) == full(path))
    }

    fn healthy(&self) -> impl Iterator<Item = (usize, &Arc<LogDir>)> {
        self.open.iter().enumerate().filter(|(_, dir)| !dir.health().is_poisoned())
    }

    /// Which of [`Self::open`] has this id, if it is in order.
    pub(crate) fn with_id(&self, id: Uuid) -> Option<usize> {
        self.healthy().find(|(_, dir)| dir.directory_id() == id).map(|(at, _)| at)
    }

    /// Where each log lies.
    pub(crate) fn homes(&self) -> MutexGuard<'_, HashMap<ReplicaName, Home>> {
        self.homes.lock()
    }

    /// Where a new replica goes: among the directories that are in order, and of these among those that are not cordoned, unless all are, to the
    /// least filled one, in tenths of its disk. Of several it is the one with the fewest replicas, by `counts`: new ones are empty, and
    /// shall not all go to the same.
    pub(crate) fn for_new(&self, counts: &[usize]) -> usize {
        let rank = |(at, dir): &(usize, &Arc<LogDir>)| {
            (self.is_cordoned(dir.path()), filled_tenths(dir), counts.get(*at).copied())
        };
        self.healthy().min_by_key(rank).map_or(0, |(at, _)| at)
    }
}

fn full(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// How full the disk of a directory is; an unknown one counts as empty.
fn filled_tenths(dir: &LogDir) -> u64 {
    let Ok(space) = dir.disk().space(dir.path()) else { return 0 };
    let used = u128::from(space.total.saturating_sub(space.available));
    u64::try_from(used * 10 / u128::from(space.total.max(1))).unwrap_or(10)
}

#[cfg(test)]
mod tests;
