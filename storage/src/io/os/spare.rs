//! Descriptors that are kept for the disk.
//!
//! When a process has as many files open as it may, connections mostly, a segment could not be rolled and a directory not be synced. Neither is a
//! failure of the disk. So some descriptors are kept in reserve: an opening that finds no other takes the place of one of them, and they are
//! filled up again when others are free. They are opened first of all, so that they count also where the limit is lowered while the process runs.

use std::{
    fs::{File, OpenOptions},
    io,
    sync::atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;

use crate::io::is_out_of_descriptors;

/// As many are kept: what the logs of a node that is short of descriptors need for some rolls.
pub(super) const KEPT: usize = 32;
/// What they stand for.
const NOTHING: &str = "/dev/null";
/// Times that none was left between two lines about it.
const QUIET: usize = 1_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Spare {
    kept: Mutex<Vec<File>>,
    /// How many there are, to be looked at without the lock.
    count: AtomicUsize,
    /// Times that none but these was left.
    used: AtomicUsize,
}

impl Spare {
    /// As many as there are.
    pub(super) fn new() -> Spare {
        let spare = Spare { kept: Mutex::default(), count: AtomicUsize::new(0), used: AtomicUsize::new(0) };
        (0..KEPT).for_each(|_| spare.fill_up());
        spare
    }

    /// Runs a call that needs a descriptor, with one that is kept where there is no other.
    pub(super) fn open<T>(&self, call: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match call() {
            Err(error) if is_out_of_descriptors(&error) => self.open_in_place(call, error),
            opened => {
                self.fill_up();
                opened
            }
        }
    }

    fn open_in_place<T>(&self, call: impl Fn() -> io::Result<T>, mut error: io::Error) -> io::Result<T> {
        let mut kept = self.kept.lock();
        let times = self.used.fetch_add(1, Ordering::Relaxed);
        if times.is_multiple_of(QUIET) {
            let (left, times) = (kept.len(), times + 1);
            tracing::warn!(%error, left, times, "this process has as many files open as it may: raise the limit on open files");
        }
        while let Some(one) = kept.pop() {
            self.count.store(kept.len(), Ordering::Relaxed);
            drop(one);
            match call() {
                // Somebody else was faster, or the limit is lower than what this one was.
                Err(again) if is_out_of_descriptors(&again) => error = again,
                opened => return opened,
            }
        }
        Err(error)
    }

    /// Keeps one more, if some are missing and one is free.
    fn fill_up(&self) {
        if self.count.load(Ordering::Relaxed) >= KEPT {
            return;
        }
        let mut kept = self.kept.lock();
        if kept.len() < KEPT
            && let Ok(one) = OpenOptions::new().read(true).open(NOTHING)
        {
            kept.push(one);
            self.count.store(kept.len(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_finds_no_descriptor_takes_one_that_was_kept() {
        let spare = Spare::new();
        let left = || spare.kept.lock().len();
        assert_eq!(left(), KEPT);
        let fails = Cell::new(3_u32);
        let call = || match fails.replace(fails.get().saturating_sub(1)) {
            0 => Ok(7),
            _ => Err(io::Error::from(Errno::MFILE)),
        };
        assert_eq!(spare.open(call).unwrap(), 7);
        assert_eq!(left(), KEPT - 3);
        let error = spare.open(|| Err::<(), _>(io::Error::from(Errno::NFILE))).unwrap_err();
        assert!(is_out_of_descriptors(&error));
        assert_eq!(left(), 0);
        for _ in 0..2 * KEPT {
            spare.open(|| Ok(())).unwrap();
        }
        assert_eq!(left(), KEPT);
    }

    #[test]
    fn other_errors_take_none() {
        let spare = Spare::new();
        let error = spare.open(|| Err::<(), _>(io::Error::from(Errno::NOENT))).unwrap_err();
        assert_eq!((error.kind(), spare.kept.lock().len()), (io::ErrorKind::NotFound, KEPT));
    }
}
