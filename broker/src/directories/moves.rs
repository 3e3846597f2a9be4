//! Which replicas shall be in which directory, and which are on their way.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use goatq_storage::log::Log;
use goatq_storage::log_dir::{LogDir, partition_dir};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Directories, Home, ReplicaName, full};

/// Wishes that are kept at most.
const MAX_WANTED: usize = 100_000;
/// Longest name of a directory.
const MAX_NAME: usize = 255;
/// Bytes that the name of a copy has more than that of the log.
const COPY_SUFFIX: usize = ".-future".len() + 32;

/// Replicas with the directory that each shall be in.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    replicas: Mutex<BTreeMap<ReplicaName, usize>>,
    changed: Notify,
}

/// A log on its way to another directory.
#[derive(Debug, Clone)]
pub(crate) struct LogCopy {
    /// That directory, of [`Directories::open`].
    pub(crate) to: usize,
    /// What is there already.
    pub(crate) log: Arc<Log>,
}

/// Why a replica does not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MoveRefusal {
    /// There is no such directory.
    Unknown,
    /// The directory has failed.
    Failed,
    /// The directory gets no new replicas.
    Cordoned,
    /// The name of the copy would be too long.
    Name,
    /// Too many are on their way.
    TooMany,
}

impl Directories {
    /// A replica shall be in a directory: it moves there, or is made there when it comes.
    ///
    /// # Errors
    /// See [`MoveRefusal`].
    pub(crate) fn ask_move(&self, name: ReplicaName, path: &str, is_here: bool) -> Result<(), MoveRefusal> {
        if partition_dir(&name.0, name.1).len() + COPY_SUFFIX > MAX_NAME {
            return Err(MoveRefusal::Name);
        }
        let path = full(Path::new(path));
        let Some(to) = self.open.iter().position(|dir| full(dir.path()) == path) else {
            let is_failed = self.failed.iter().any(|failed| full(failed) == path);
            return Err(if is_failed { MoveRefusal::Failed } else { MoveRefusal::Unknown });
        };
        if self.open[to].health().is_poisoned() {
            return Err(MoveRefusal::Failed);
        }
        let is_home = is_here && self.homes.lock().get(&name).is_some_and(|home| home.at == to);
        if !is_home && self.is_cordoned(&path) {
            return Err(MoveRefusal::Cordoned);
        }
        self.want(name, to, is_home)
    }

    fn want(&self, name: ReplicaName, to: usize, is_home: bool) -> Result<(), MoveRefusal> {
        let mut wanted = self.wanted.replicas.lock();
        if is_home {
            wanted.remove(&name);
        } else if wanted.len() < MAX_WANTED || wanted.contains_key(&name) {
            wanted.insert(name, to);
        } else {
            return Err(MoveRefusal::TooMany);
        }
        drop(wanted);
        self.wanted.changed.notify_one();
        Ok(())
    }

    /// A move that the last process did not finish goes on.
    pub(crate) fn resume_move(&self, name: ReplicaName, to: usize) {
        // What there is no room for stays where it is.
        self.want(name, to, false).ok();
    }

    /// The directory that a replica shall be in when it comes; nobody asks again.
    pub(crate) fn take_wish(&self, name: &ReplicaName) -> Option<usize> {
        let to = self.wanted.replicas.lock().remove(name)?;
        self.open.get(to).is_some_and(|dir| !dir.health().is_poisoned()).then_some(to)
    }

    /// A replica is gone, and with it what was wanted of it.
    pub(crate) fn forget(&self, name: &ReplicaName) -> Option<Home> {
        self.wanted.replicas.lock().remove(name);
        self.homes.lock().remove(name)
    }

    /// A replica that is not where it shall be, and its destination.
    pub(crate) fn next_move(&self, busy: &[ReplicaName]) -> Option<(ReplicaName, usize)> {
        let homes = self.homes.lock();
        let wanted = self.wanted.replicas.lock();
        let is_due = |(name, to): &(&ReplicaName, &usize)| {
            !busy.contains(name) && homes.get(*name).is_some_and(|home| home.at != **to)
        };
        wanted.iter().find(is_due).map(|(name, to)| (name.clone(), *to))
    }

    /// Waits until something else may be wanted.
    pub(crate) async fn moves_changed(&self) {
        self.wanted.changed.notified().await;
    }

    /// Whether a replica shall be in that directory.
    pub(crate) fn is_wanted(&self, name: &ReplicaName, to: usize) -> bool {
        self.wanted.replicas.lock().get(name) == Some(&to)
    }

    /// It will not get there.
    pub(crate) fn give_up_move(&self, name: &ReplicaName, to: usize) {
        let mut wanted = self.wanted.replicas.lock();
        if wanted.get(name) == Some(&to) {
            wanted.remove(name);
        }
    }

    /// The directory that a log lies in.
    pub(crate) fn home(&self, name: &ReplicaName) -> Option<Arc<LogDir>> {
        let at = self.homes.lock().get(name)?.at;
        self.open.get(at).cloned()
    }

    /// It is there.
    pub(crate) fn moved(&self, name: &ReplicaName, to: usize) {
        self.homes.lock().insert(name.clone(), Home { at: to, anew: false });
        self.give_up_move(name, to);
    }

    /// A copy that grows, for people to see.
    pub(crate) fn show_copy(&self, name: &ReplicaName, to: usize, log: Arc<Log>) {
        self.copies.lock().insert(name.clone(), LogCopy { to, log });
    }

    /// It grows no longer.
    pub(crate) fn forget_copy(&self, name: &ReplicaName) {
        self.copies.lock().remove(name);
    }

    /// What is on its way.
    pub(crate) fn copies(&self) -> BTreeMap<ReplicaName, LogCopy> {
        self.copies.lock().clone()
    }
}
