//! Why a log directory cannot be used, and what to do about it.

use std::{io, path::PathBuf};

use super::{health::POISON_MARKER, meta_properties::FILE_NAME};
use crate::io::is_refusal;

/// Why [`LogDir::open`](super::LogDir::open) refused a directory. The texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum LogDirError {
    /// Another process has it.
    #[error(
        "log directory {} is in use by another process (its .lock is held): stop that process, or choose another log.dirs",
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A write or sync failed in it in an earlier life.
    #[error(
        "log directory {} was given up after an error of its disk ({reason}). What the disk holds since then is unknown. Repair or \
         replace the disk and remount it (until then the page cache shows data that the disk does not have). If other replicas \
         hold these partitions, empty the directory, and it is filled again. If this is the only copy, remove the file {POISON_MARKER} \
         in it and start again: records acknowledged before the error are kept, later ones may be missing",
        path.display()
    )]
    Poisoned {
        /// The directory.
        path: PathBuf,
        /// What failed.
        reason: String,
    },
    /// It holds partitions but does not say whose.
    #[error(
        "log directory {} holds partitions but no {FILE_NAME}, so it cannot be told whose they are: restore that file, or choose an \
         empty directory",
        path.display()
    )]
    NoIdentity {
        /// The directory.
        path: PathBuf,
    },
    /// Its identity cannot be read.
    #[error("{FILE_NAME} in log directory {} cannot be used: {reason}", path.display())]
    UnusableIdentity {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It belongs to another cluster.
    #[error(
        "log directory {} belongs to cluster {found}, this node to cluster {expected}: disks may have been exchanged. Mount the right \
         one, or choose an empty directory",
        path.display()
    )]
    WrongCluster {
        /// The directory.
        path: PathBuf,
        /// In the directory.
        found: String,
        /// Of this node.
        expected: String,
    },
    /// It belongs to another node.
    #[error(
        "log directory {} belongs to node {found}, this is node {expected}: disks may have been exchanged, or node.id was changed. \
         Mount the right one, set node.id={found}, or choose an empty directory",
        path.display()
    )]
    WrongNode {
        /// The directory.
        path: PathBuf,
        /// In the directory.
        found: i32,
        /// Of this node.
        expected: i32,
    },
    /// The disk refused something.
    #[error("log directory {}: {what} failed: {source}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl LogDirError {
    /// Whether it may be used later: there was no room, or no descriptor. Nothing is wrong with what is in it.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_refusal(source))
    }
}
