//! Making the journal's files, when there was use for one.

use std::{
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use super::{Journal, Phase, Slot, head};
use crate::io::{DirectFile, DirectMode, Disk, OpenMode};

/// Bytes of zeros written at a time.
const ZEROS: usize = 256 << 10;

/// The file of a slot.
pub(super) fn slot_path(dir: &Path, slot: usize) -> PathBuf {
    dir.join(format!("{}-{slot}", head::FILE_NAME))
}

impl Journal {
    /// Makes what turns asked for since the last call: begins the incarnation of this life, adds as many slots as there are. A disk without room or
    /// without direct writes means no journal, or a smaller one, and is no error. To be called about
    /// once a second. Blocks.
    pub fn prepare(&self) -> io::Result<()> {
        if !self.wanted.swap(false, Ordering::Relaxed) || self.state.lock().closed {
            return Ok(());
        }
        let wanted = self.state.lock().slots.len().max(1);
        let outcome = self.begin().and_then(|()| (0..wanted).try_for_each(|_| self.add_slot()));
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::info!(dir = %self.dir.display(), %error, "no journal: every turn syncs files");
                self.give_up();
                Ok(())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                tracing::debug!(dir = %self.dir.display(), %error, "no room for more of the journal");
                Ok(())
            }
            other => other,
        }
    }

    /// Makes the frames of all earlier lives worthless, once, before the first of this one.
    fn begin(&self) -> io::Result<()> {
        let mut voids = self.voids.lock();
        if self.state.lock().begun {
            return Ok(());
        }
        let incarnation = voids.head.incarnation.saturating_add(1);
        voids.head.incarnation = incarnation;
        voids.head.voids.clear();
        voids.head.write(&*self.disk, &self.dir)?;
        let mut state = self.state.lock();
        (state.begun, state.incarnation) = (true, incarnation);
        Ok(())
    }

    fn add_slot(&self) -> io::Result<()> {
        let slot = self.state.lock().slots.len();
        if slot >= self.limits.slots {
            return Ok(());
        }
        let path = slot_path(&self.dir, slot);
        let len = u64::from(self.limits.slot_bytes);
        self.fill(&*self.disk, &path, len)?;
        let file: Arc<dyn DirectFile> = self.disk.open_direct(&path, DirectMode::Durable)?;
        self.disk.sync_dir(&self.dir)?;
        if slot == 0 && !file.is_direct() {
            tracing::info!(
                dir = %self.dir.display(),
                "this file system has no direct writes: the journal is written through the page cache and synced"
            );
        }
        let mut state = self.state.lock();
        state.slots.push(Slot { file, phase: Phase::Free, first: None, covered: Default::default() });
        if !state.closed {
            self.ready.store(state.slots.len(), Ordering::Release);
        }
        Ok(())
    }

    /// Writes a slot full of zeros, so that later writes change neither its length nor where it lies. One that an earlier life
    /// left is taken as it is, unless its frames could be of an incarnation that comes again.
    fn fill(&self, disk: &dyn Disk, path: &Path, len: u64) -> io::Result<()> {
        let file = disk.open(path, OpenMode::Create)?;
        if self.known && file.len()? == len {
            return Ok(());
        }
        file.truncate(0)?;
        file.preallocate(len)?;
        let zeros = vec![0; ZEROS];
        let mut at = 0;
        while at < len {
            let count = (len - at).min(ZEROS as u64);
            file.write_at(&[IoSlice::new(&zeros[..usize::try_from(count).unwrap_or(ZEROS)])], at)?;
            at += count;
        }
        file.sync_now()
    }
}
