//! Writes that are on the device when they return.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{FallocateFlags, OFlags, fallocate};

use crate::limit::files::{Aligned, open, written};
use crate::limit::line::{Amounts, Meter};
use crate::limit::{KIB, Scope};
use crate::stats::Latencies;

/// What is overwritten, over and over.
const OVERWRITTEN: u64 = 1 << 30;
/// What is made room for beforehand, and not written.
const PREALLOCATED: u64 = 1 << 30;

/// What a write finds, and how it gets to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// A file that ends where the write starts; fdatasync.
    Growing,
    /// Room that was made for it (fallocate); fdatasync.
    Preallocated,
    /// Bytes written before; fdatasync.
    Overwritten,
    /// Bytes written before; `O_DIRECT` and `O_DSYNC`.
    Direct,
}

impl Pattern {
    pub(crate) const ALL: [Self; 4] = [Self::Growing, Self::Preallocated, Self::Overwritten, Self::Direct];

    /// A file of this kind, and how many bytes it takes before writing starts over (`None`: it must not).
    fn file(self, folder: &Path, bytes: u64) -> Result<(File, Option<u64>)> {
        let path = folder.join("synced");
        match self {
            Self::Growing => Ok((open(&path, OFlags::empty())?, None)),
            Self::Preallocated => {
                let file = open(&path, OFlags::empty())?;
                fallocate(&file, FallocateFlags::empty(), 0, PREALLOCATED.min(bytes)).context("fallocate")?;
                file.sync_all()?;
                Ok((file, None))
            }
            Self::Overwritten => Ok((written(&path, OVERWRITTEN.min(bytes))?, Some(OVERWRITTEN.min(bytes)))),
            Self::Direct => {
                written(&path, OVERWRITTEN.min(bytes))?;
                let file = open(&path, OFlags::DIRECT | OFlags::DSYNC).context("O_DIRECT")?;
                Ok((file, Some(OVERWRITTEN.min(bytes))))
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Growing => "growing file",
            Self::Preallocated => "preallocated file",
            Self::Overwritten => "overwritten file",
            Self::Direct => "overwritten file, direct",
        })
    }
}

/// One file, and where the next write goes.
struct Log<'a> {
    pattern: Pattern,
    file: &'a File,
    wrap: Option<u64>,
    position: u64,
    /// Between two writes of this log, when several share a file.
    stride: u64,
}

impl Log<'_> {
    fn append(&mut self, block: &[u8]) -> Result<()> {
        if self.wrap.is_some_and(|wrap| self.position + block.len() as u64 > wrap) {
            self.position %= self.stride;
        }
        self.file.write_all_at(block, self.position)?;
        if self.pattern != Pattern::Direct {
            self.file.sync_data()?;
        }
        self.position += self.stride;
        Ok(())
    }

    /// Appends until the time is up or `bytes` are written.
    fn run(&mut self, block: &[u8], time: Duration, bytes: u64) -> Result<Amounts> {
        let mut latency = Latencies::new();
        let meter = Meter::start();
        let (mut operations, size) = (0, block.len() as u64);
        let mut began = meter.elapsed();
        while operations == 0 || (began < time && (operations + 1) * size <= bytes) {
            self.append(block)?;
            let done = meter.elapsed();
            latency.record(done.saturating_sub(began));
            began = done;
            operations += 1;
        }
        Ok(Amounts { latency: Some(latency), ..meter.amounts(operations * size, operations) })
    }
}

/// Appends of one size, each on the device before the next one.
pub(crate) fn appends(scope: &Scope, folder: &Path, pattern: Pattern, size: usize) -> Result<Amounts> {
    let (file, wrap) = pattern.file(folder, scope.bytes)?;
    let bytes = if wrap.is_some() { u64::MAX } else { PREALLOCATED.min(scope.bytes) };
    let block = Aligned::new(size);
    Log { pattern, file: &file, wrap, position: 0, stride: size as u64 }.run(block.slice(), scope.time, bytes)
}

/// Writes all bytes of the scope, however long that takes, with so many writes under way at any time.
pub(crate) fn sustained(
    scope: &Scope,
    folder: &Path,
    pattern: Pattern,
    size: usize,
    under_way: usize,
) -> Result<Amounts> {
    let (file, wrap) = pattern.file(folder, scope.bytes)?;
    let block = Aligned::new(size);
    let (file, block) = (&file, block.slice());
    let meter = Meter::start();
    let parts: Vec<Result<Amounts>> = std::thread::scope(|threads| {
        let started: Vec<_> = (0..under_way)
            .map(|index| {
                let stride = (size * under_way) as u64;
                let mut log = Log { pattern, file, wrap, position: (index * size) as u64, stride };
                threads.spawn(move || log.run(block, Duration::MAX, scope.bytes / under_way as u64))
            })
            .collect();
        started.into_iter().map(|part| part.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked"))).collect()
    });
    let mut sum = Amounts { latency: Some(Latencies::new()), ..meter.amounts(0, 0) };
    for part in parts {
        let part = part?;
        sum.cpu += part.cpu;
        sum.bytes += part.bytes;
        sum.operations += part.operations;
        if let (Some(all), Some(part)) = (&mut sum.latency, &part.latency) {
            all.add(part);
        }
    }
    Ok(sum)
}

/// A turn of a broker with many partitions: a little is appended to each of many files, and then all are synced. One operation
/// is one turn.
pub(crate) fn many(scope: &Scope, folder: &Path, files: usize, threads: usize) -> Result<Amounts> {
    let block = Aligned::new(4 * KIB);
    let logs: Result<Vec<File>> =
        (0..files).map(|index| open(&folder.join(index.to_string()), OFlags::empty())).collect();
    let logs = logs?;
    let mut latency = Latencies::new();
    let meter = Meter::start();
    let (mut turns, mut began) = (0, meter.elapsed());
    while turns == 0 || began < scope.time {
        for log in &logs {
            log.write_all_at(block.slice(), turns * block.slice().len() as u64)?;
        }
        if threads == 1 {
            logs.iter().try_for_each(File::sync_data)?;
        } else {
            std::thread::scope(|scope| {
                let shares = logs.chunks(files.div_ceil(threads));
                let syncing: Vec<_> =
                    shares.map(|share| scope.spawn(|| share.iter().try_for_each(File::sync_data))).collect();
                syncing
                    .into_iter()
                    .try_for_each(|share| share.join().unwrap_or_else(|_| Err(std::io::Error::other("panic"))))
            })?;
        }
        let done = meter.elapsed();
        latency.record(done.saturating_sub(began));
        began = done;
        turns += 1;
    }
    Ok(Amounts { latency: Some(latency), ..meter.amounts(turns * (files * block.slice().len()) as u64, turns) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::MIB;

    #[test]
    fn writes_go_where_they_should() {
        let folder = tempfile::tempdir().unwrap();
        let (file, wrap) = Pattern::Growing.file(folder.path(), u64::MAX).unwrap();
        assert_eq!(wrap, None);
        let block = [9; 1000];
        let mut log = Log { pattern: Pattern::Growing, file: &file, wrap, position: 0, stride: 1000 };
        let amounts = log.run(&block, Duration::MAX, 5500).unwrap();
        assert_eq!((amounts.bytes, amounts.operations, file.metadata().unwrap().len()), (5000, 5, 5000));
        let mut log =
            Log { pattern: Pattern::Overwritten, file: &file, wrap: Some(5000), position: 1000, stride: 2000 };
        log.run(&block, Duration::MAX, 4000).unwrap();
        assert_eq!((log.position, file.metadata().unwrap().len()), (5000, 5000));
    }

    #[test]
    fn overwritten_files_have_all_their_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (file, wrap) = Pattern::Overwritten.file(folder.path(), 3 * MIB as u64).unwrap();
        assert_eq!((file.metadata().unwrap().len(), wrap), (3 * MIB as u64, Some(3 * MIB as u64)));
    }
}
