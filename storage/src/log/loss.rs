//! What recovery could not keep of a log.
//!
//! After a crash the first damage behind the recovery point is taken for the end of the log. Mostly it is: an append that nobody was told of. But
//! where a bit has flipped in a segment, acknowledged records follow, and whoever relies on what this log acknowledged has to hear of it:
//!
//! - *whole batches lie behind the damage*: it may be that (or writes that a power cut has let through out of order);
//! - *the log ends before an offset below which it had everything*, by its recovery point or by what was committed: it is that.
//!
//! This is written to `.goatq-loss` in the log's directory, durably, *before* anything is cut: the cut takes the evidence away. The note stays over
//! restarts until somebody was told ([`Log::forget_loss`]).

use std::{io, path::Path, sync::Arc};

use super::{Log, open::Loader};
use crate::{
    block_on::block_on,
    error::OpenError,
    io::{Disk, DiskFile, is_refusal, read_small_file, replace_file},
    segment::cursor::{Cursor, WHOLE_WINDOW},
};

/// The name of the note.
pub(super) const FILE_NAME: &str = ".goatq-loss";
const MAX_LEN: usize = 64;
/// What a note says that knows no offset.
const SUSPECTED: i64 = -1;
/// How far behind damage a whole batch is looked for: further than batches are long, and a moment's work.
const SEARCH: u64 = 8 << 20;

/// A log ends before what it had acknowledged, or may do so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// It had everything below this offset. `None`: only whole batches were found behind the damage, which may have been acknowledged.
    pub until: Option<i64>,
}

impl Loss {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Loss) -> Loss {
        Loss { until: self.until.max(other.until) }
    }
}

/// What an earlier start has noted. One that cannot be read says that there was something.
pub(super) fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Loss>> {
    let content = match read_small_file(disk, &dir.join(FILE_NAME), MAX_LEN) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Vec::new(),
        content => content?,
    };
    let offset = str::from_utf8(&content).ok().and_then(|text| text.trim().parse::<i64>().ok());
    Ok(Some(Loss { until: offset.filter(|offset| *offset >= 0) }))
}

/// Notes a loss beside what was noted before. Both together.
fn note(disk: &dyn Disk, dir: &Path, before: Option<Loss>, loss: Loss) -> io::Result<Loss> {
    let both = before.map_or(loss, |before| before.and(loss));
    if before == Some(both) {
        return Ok(both);
    }
    tracing::warn!(dir = %dir.display(), until = ?both.until, "the log ends before what it may have acknowledged");
    let text = format!("{}\n", both.until.unwrap_or(SUSPECTED));
    match replace_file(disk, &dir.join(FILE_NAME), text.as_bytes()) {
        // No reason not to open the log: this process knows.
        Err(error) if is_refusal(&error) => Ok(both),
        written => written.map(|()| both),
    }
}

impl Loader<'_> {
    /// Notes, before anything is cut, what the log is about to lose.
    pub(super) fn note_loss(&self, known: &mut Option<Loss>, loss: Loss) -> Result<(), OpenError> {
        *known = Some(note(self.disk(), self.dir(), *known, loss)?);
        Ok(())
    }

    /// Whether there is a whole batch of offsets from `floor` on in a segment behind `position`.
    pub(super) fn has_batch_behind(
        &self,
        file: Arc<dyn DiskFile>,
        base_offset: i64,
        position: u64,
        floor: i64,
    ) -> Result<bool, OpenError> {
        let end = file.len()?.min(position.saturating_add(SEARCH));
        let mut cursor = Cursor::new(file, base_offset, position, end, WHOLE_WINDOW);
        cursor.rewind(position, floor);
        Ok(block_on(cursor.resync_here())?)
    }
}

impl Log {
    /// What the log lost without anybody having been told.
    pub fn loss(&self) -> Option<Loss> {
        *self.loss.lock()
    }

    /// Notes that the log, which ends before `offset`, had everything below it. Durable when it returns. Blocks.
    ///
    /// # Errors
    /// It could not be written down; this process knows.
    pub fn note_loss(&self, offset: i64) -> io::Result<()> {
        let mut known = self.loss.lock();
        let loss = Loss { until: Some(offset) };
        let noted = note(&**self.resources.disk(), &self.dir, *known, loss);
        *known = Some(known.map_or(loss, |known| known.and(loss)));
        noted.map(drop)
    }

    /// What was committed from `offset` on is given up: somebody has elected a leader without it. Durable when it returns. Blocks.
    ///
    /// # Errors
    /// It could not be written down.
    pub fn give_up_committed(&self, offset: i64) -> io::Result<()> {
        self.checkpoints.lower_high_watermark(&self.name, offset)
    }

    /// Whoever has to know was told of the loss. Durable when it returns. Blocks.
    ///
    /// # Errors
    /// The note could not be removed; the next start tells it again, which takes the replica out of sync once more than needed.
    pub fn forget_loss(&self) -> io::Result<()> {
        let mut known = self.loss.lock();
        if known.take().is_none() {
            return Ok(());
        }
        let disk = self.resources.disk();
        match disk.remove_file(&self.dir.join(FILE_NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| disk.sync_dir(&self.dir)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::SimDisk;

    #[test]
    fn what_is_known_for_certain_outlasts_a_suspicion() {
        let disk = SimDisk::new(1);
        let dir = Path::new("/logs/t-0");
        disk.create_dir_all(dir).unwrap();
        assert_eq!(read(&disk, dir).unwrap(), None);
        let suspected = note(&disk, dir, None, Loss::default()).unwrap();
        assert_eq!(read(&disk, dir).unwrap(), Some(suspected));
        let certain = note(&disk, dir, Some(suspected), Loss { until: Some(7) }).unwrap();
        let same = note(&disk, dir, Some(certain), Loss { until: Some(3) }).unwrap();
        assert_eq!((certain, same), (Loss { until: Some(7) }, certain));
        assert_eq!(note(&disk, dir, Some(same), Loss::default()).unwrap(), certain);
        assert_eq!(read(&disk, dir).unwrap(), Some(certain));
    }

    #[test]
    fn a_note_that_cannot_be_read_says_that_there_was_something() {
        let disk = SimDisk::new(1);
        let dir = Path::new("/logs/t-0");
        disk.create_dir_all(dir).unwrap();
        for content in [&b"\xff\xfe"[..], b"", b"-5\n", &[b'9'; 65]] {
            replace_file(&disk, &dir.join(FILE_NAME), content).unwrap();
            assert_eq!(read(&disk, dir).unwrap(), Some(Loss::default()), "{content:?}");
        }
    }

    #[test]
    fn a_full_disk_keeps_no_log_from_being_opened() {
        let disk = SimDisk::new(1);
        let dir = Path::new("/logs/t-0");
        disk.create_dir_all(dir).unwrap();
        disk.set_capacity(0);
        assert_eq!(note(&disk, dir, None, Loss { until: Some(7) }).unwrap(), Loss { until: Some(7) });
    }
}
