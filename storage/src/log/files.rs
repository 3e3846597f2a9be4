//! The small files of a partition's directory: `partition.metadata`, `leader-epoch-checkpoint`, producer snapshots.

use std::{
    collections::BTreeSet,
    io::{self, IoSlice},
    path::{Path, PathBuf},
};

use goatq_protocol::Uuid;

use super::{
    Log,
    epochs::{EPOCHS_FILE, Epochs, MAX_EPOCHS_BYTES},
};
use crate::{
    error::OpenError,
    io::{Disk, OpenMode, read_small_file, replace_file},
    log_dir::partition_metadata,
    producer::{
        snapshot::{self, MAX_SNAPSHOT_BYTES},
        state::ProducerState,
    },
    segment::format::{FileKind, FileName},
};

/// Checks the topic id of a directory, or writes it where there is none.
pub(super) fn check_metadata(disk: &dyn Disk, dir: &Path, topic_id: Uuid) -> Result<(), OpenError> {
    let path = dir.join(partition_metadata::FILE_NAME);
    let content = match read_small_file(disk, &path, partition_metadata::MAX_LEN) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    if content.is_empty() {
        return Ok(replace_file(disk, &path, partition_metadata::encode(topic_id).as_bytes())?);
    }
    let found = partition_metadata::parse(&content).map_err(OpenError::Metadata)?;
    if found == topic_id {
        return Ok(());
    }
    Err(OpenError::TopicIdMismatch { found: found.to_string(), expected: topic_id.to_string() })
}

/// The epochs in their file; `None` when it is missing or damaged.
pub(super) fn read_epochs(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Epochs>> {
    let content = match read_small_file(disk, &dir.join(EPOCHS_FILE), MAX_EPOCHS_BYTES) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => return Ok(None),
        other => other?,
    };
    Ok(std::str::from_utf8(&content).ok().and_then(Epochs::decode))
}

/// Replaces the file of the epochs, durably.
pub(super) fn write_epochs(disk: &dyn Disk, dir: &Path, epochs: &Epochs) -> io::Result<()> {
    replace_file(disk, &dir.join(EPOCHS_FILE), epochs.encode().as_bytes())
}

fn snapshot_path(dir: &Path, offset: i64) -> PathBuf {
    dir.join(FileName::live(offset, FileKind::Snapshot).to_string())
}

/// The producers as of an offset; `None` when the snapshot is missing or damaged.
pub(super) fn read_snapshot(disk: &dyn Disk, dir: &Path, offset: i64) -> io::Result<Option<ProducerState>> {
    let path = snapshot_path(dir, offset);
    let content = match read_small_file(disk, &path, MAX_SNAPSHOT_BYTES) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => return Ok(None),
        other => other?,
    };
    match snapshot::decode(&content) {
        Ok(state) => Ok(Some(state)),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a producer snapshot is not used");
            Ok(None)
        }
    }
}

/// Writes the producers as of an offset, durably.
pub(super) fn replace_snapshot(disk: &dyn Disk, dir: &Path, offset: i64, content: &[u8]) -> io::Result<()> {
    replace_file(disk, &snapshot_path(dir, offset), content)
}

/// Removes snapshots. Whether there were any.
pub(super) fn remove_snapshots(
    disk: &dyn Disk,
    dir: &Path,
    snapshots: &mut BTreeSet<i64>,
    doomed: impl Fn(i64) -> bool,
) -> io::Result<bool> {
    let doomed: Vec<i64> = snapshots.iter().copied().filter(|offset| doomed(*offset)).collect();
    for offset in &doomed {
        match disk.remove_file(&snapshot_path(dir, *offset)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        snapshots.remove(offset);
    }
    Ok(!doomed.is_empty())
}

impl Log {
    /// Writes the producers as of an offset, to be synced by a later checkpoint. One that is there already says the same.
    pub(super) fn write_snapshot(&self, offset: i64, producers: &ProducerState) -> io::Result<()> {
        let path = snapshot_path(&self.dir, offset);
        let file = match self.resources.disk().open(&path, OpenMode::CreateNew) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            other => other?,
        };
        file.write_at(&[IoSlice::new(&snapshot::encode(producers))], 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::SimDisk;

    #[test]
    fn a_directory_belongs_to_one_topic_id() {
        let disk = SimDisk::new(1);
        let dir = Path::new("/logs/t-0");
        disk.create_dir_all(dir).unwrap();
        let (one, other) = (Uuid::from_u128(1 << 100), Uuid::from_u128(2 << 100));
        check_metadata(&disk, dir, one).unwrap();
        check_metadata(&disk, dir, one).unwrap();
        assert!(matches!(check_metadata(&disk, dir, other), Err(OpenError::TopicIdMismatch { .. })));
    }
}
