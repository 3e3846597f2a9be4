//! Kafka's checkpoint files: one offset for each partition of a log directory.
//!
//! ```text
//! 0                   version
//! 2                   number of lines that follow
//! orders 0 4711       topic, partition, offset
//! orders 1 4
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    health::DirHealth,
    names::{parse_partition_dir, partition_dir},
};
use crate::{
    io::{Disk, is_refusal, read_small_file, replace_file},
    log::Checkpoints,
};

#[cfg(test)]
mod tests;

/// Everything below is proven to be on the disk.
pub(super) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// First offset that may be read, where it is not simply the first that is stored.
pub(super) const LOG_START_OFFSETS: &str = "log-start-offset-checkpoint";
/// First offset that was not compacted yet.
pub(super) const CLEANER_OFFSETS: &str = "cleaner-offset-checkpoint";
/// End of what is known to be committed, of logs with replicas elsewhere.
pub(super) const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";

/// Most bytes of such a file that are looked at: far more than a directory's partitions need.
const MAX_LEN: usize = 64 << 20;

/// Offsets by directory name (`<topic>-<partition>`).
pub(super) type Offsets = BTreeMap<String, i64>;

/// Reads a file; the reason when it is damaged. An empty one holds nothing: Kafka makes them so.
pub(super) fn parse(content: &[u8]) -> Result<Offsets, String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not text".to_owned())?;
    let mut lines = text.lines();
    let Some(version) = lines.next() else { return Ok(Offsets::new()) };
    if version != "0" {
        return Err(format!("unknown version {version:?}"));
    }
    let count = lines.next().unwrap_or_default();
    let count: usize = count.parse().map_err(|_| format!("{count:?} is no number of lines"))?;
    let mut offsets = Offsets::new();
    let mut seen = 0;
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, offset) = parse_line(line).ok_or_else(|| format!("unusable line {line:?}"))?;
        offsets.insert(name, offset);
        seen += 1;
    }
    if seen == count { Ok(offsets) } else { Err(format!("{seen} lines where {count} are announced")) }
}

fn parse_line(line: &str) -> Option<(String, i64)> {
    let mut words = line.split_ascii_whitespace();
    let (topic, partition, offset) = (words.next()?, words.next()?, words.next()?);
    let (partition, offset): (i32, i64) = (partition.parse().ok()?, offset.parse().ok()?);
    (words.next().is_none() && partition >= 0 && offset >= 0).then(|| (partition_dir(topic, partition), offset))
}

/// The content of a file. Names that are no partition's are left out.
pub(super) fn encode(offsets: &Offsets) -> String {
    let lines: Vec<(&str, i32, i64)> = offsets
        .iter()
        .filter_map(|(name, offset)| parse_partition_dir(name).map(|(topic, partition)| (topic, partition, *offset)))
        .collect();
    let mut text = format!("0\n{}\n", lines.len());
    for (topic, partition, offset) in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{topic} {partition} {offset}");
    }
    text
}

/// One file and what it should hold.
#[derive(Debug)]
struct Table {
    file: &'static str,
    now: Offsets,
    on_disk: Offsets,
}

impl Table {
    /// What the last process left, and whether the file was there and whole. Losing it costs time, never data.
    fn load(disk: &dyn Disk, dir: &Path, file: &'static str) -> io::Result<(Table, bool)> {
        let (now, intact) = match read_small_file(disk, &dir.join(file), MAX_LEN) {
            Ok(content) => match parse(&content) {
                Ok(offsets) => (offsets, true),
                Err(reason) => {
                    tracing::warn!(dir = %dir.display(), file, reason, "damaged checkpoint file: starting without it");
                    (Offsets::new(), false)
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Offsets::new(), false),
            Err(error) => return Err(error),
        };
        Ok((Table { file, on_disk: now.clone(), now }, intact))
    }
}

/// The checkpoint files of one log directory.
#[derive(Debug)]
pub(super) struct OffsetCheckpoints {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    health: Arc<DirHealth>,
    tables: Mutex<Tables>,
}

#[derive(Debug)]
struct Tables {
    recovery: Table,
    start: Table,
    cleaner: Table,
    high_watermarks: Table,
    /// Logs whose recovery point was lost and that were not proven since. While there are any, the file of recovery points is
    /// not written: a log that it does not name is a new one.
    lost: BTreeSet<String>,
    /// Counts lowered recovery points.
    clock: u64,
    /// When a name's point was last lowered in the present round.
    lowered: BTreeMap<String, u64>,
}

impl Tables {
    fn all(&mut self) -> [&mut Table; 4] {
        [&mut self.recovery, &mut self.start, &mut self.cleaner, &mut self.high_watermarks]
    }

    /// Those that logs report of themselves.
    fn of_logs(&mut self) -> [&mut Table; 3] {
        [&mut self.recovery, &mut self.start, &mut self.cleaner]
    }

    fn lower(&mut self, name: &str) {
        self.clock += 1;
        self.lowered.insert(name.to_owned(), self.clock);
    }
}

/// What a directory remembers of one log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Remembered {
    /// `None`: what it was is lost.
    pub(super) recovery_point: Option<i64>,
    pub(super) log_start_offset: i64,
    pub(super) first_dirty_offset: i64,
}

impl OffsetCheckpoints {
    /// Loads the files; what they say of logs that are not there is forgotten.
    pub(super) fn load(
        disk: Arc<dyn Disk>,
        dir: &Path,
        health: Arc<DirHealth>,
        logs: &BTreeSet<String>,
    ) -> io::Result<OffsetCheckpoints> {
        let load = |file| Table::load(&*disk, dir, file);
        let (recovery, intact) = load(RECOVERY_POINTS)?;
        let lost = if intact { BTreeSet::new() } else { logs.clone() };
        let (start, cleaner) = (load(LOG_START_OFFSETS)?.0, load(CLEANER_OFFSETS)?.0);
        let high_watermarks = load(HIGH_WATERMARKS)?.0;
        let mut tables = Tables { recovery, start, cleaner, high_watermarks, lost, clock: 0, lowered: BTreeMap::new() };
        tables.all().into_iter().for_each(|table| table.now.retain(|name, _| logs.contains(name)));
        let checkpoints = OffsetCheckpoints { disk, dir: dir.to_owned(), health, tables: Mutex::new(tables) };
        if !intact && logs.is_empty() {
            // From now on a missing file is a lost one.
            checkpoints.write_table(&mut checkpoints.tables.lock().recovery)?;
        }
        Ok(checkpoints)
    }

    pub(super) fn remembered(&self, name: &str) -> Remembered {
        let tables = self.tables.lock();
        let of = |table: &Table| table.now.get(name).copied().unwrap_or(0);
        Remembered {
            recovery_point: (!tables.lost.contains(name)).then(|| of(&tables.recovery)),
            log_start_offset: of(&tables.start),
            first_dirty_offset: of(&tables.cleaner),
        }
    }

    /// Begins a round of checkpoints; rounds do not overlap. The stamp tells [`OffsetCheckpoints::propose`] what happened since.
    pub(super) fn begin_round(&self) -> u64 {
        let mut tables = self.tables.lock();
        tables.lowered.clear();
        tables.clock
    }

    /// Takes what a log of that name reported, unless its point was lowered or forgotten since the stamp: then the report may
    /// be of a state that is gone.
    pub(super) fn propose(&self, name: &str, stamp: u64, values: Remembered) {
        let mut tables = self.tables.lock();
        if tables.lowered.get(name).is_some_and(|lowered| *lowered > stamp) {
            return;
        }
        let recovery_point = values.recovery_point.unwrap_or(0);
        tables.lost.remove(name);
        let values = [recovery_point, values.log_start_offset, values.first_dirty_offset];
        for (table, value) in tables.of_logs().into_iter().zip(values) {
            if value > 0 || table.now.contains_key(name) {
                table.now.insert(name.to_owned(), value);
            }
        }
    }

    /// Takes what is known of a log that was opened just now, whatever rounds are under way.
    pub(super) fn know(&self, name: &str, values: Remembered) {
        let mut tables = self.tables.lock();
        // A round that began earlier knows nothing of this log.
        tables.lower(name);
        let values = [values.recovery_point.unwrap_or(0), values.log_start_offset, values.first_dirty_offset];
        for (table, value) in tables.of_logs().into_iter().zip(values).filter(|(_, value)| *value > 0) {
            table.now.insert(name.to_owned(), value);
        }
    }

    /// End of what was known to be committed of a log.
    pub(super) fn high_watermark(&self, name: &str) -> Option<i64> {
        self.tables.lock().high_watermarks.now.get(name).copied()
    }

    /// Takes note of what is known to be committed; it is written with the next [`OffsetCheckpoints::write`].
    pub(super) fn set_high_watermarks<'a>(&self, offsets: impl Iterator<Item = (&'a str, i64)>) {
        let mut tables = self.tables.lock();
        for (name, offset) in offsets {
            match tables.high_watermarks.now.get_mut(name) {
                Some(known) => *known = offset,
                None => drop(tables.high_watermarks.now.insert(name.to_owned(), offset)),
            }
        }
    }

    /// The log of that name is gone; its entries leave the files with the next [`OffsetCheckpoints::write`].
    pub(super) fn forget(&self, name: &str) {
        let mut tables = self.tables.lock();
        tables.lower(name);
        tables.lost.remove(name);
        for table in tables.all() {
            table.now.remove(name);
        }
    }

    /// New logs are about to be made under these names. What the files still say of their predecessors would prove data that
    /// is not there: it is removed first.
    pub(super) fn make_unknown(&self, names: &[String]) -> io::Result<()> {
        names.iter().for_each(|name| self.forget(name));
        let mut tables = self.tables.lock();
        let stale = |table: &&mut Table| names.iter().any(|name| table.on_disk.contains_key(name));
        let all = tables.all();
        all.into_iter().filter(stale).try_for_each(|table| self.write_table(table))
    }

    /// Writes the files whose content changed. Durable when it returns.
    pub(super) fn write(&self) -> io::Result<()> {
        let mut tables = self.tables.lock();
        let whole = tables.lost.is_empty();
        let changed = |table: &&mut Table| table.now != table.on_disk && (whole || table.file != RECOVERY_POINTS);
        let all = tables.all();
        all.into_iter().filter(changed).try_for_each(|table| self.write_table(table))
    }

    fn write_table(&self, table: &mut Table) -> io::Result<()> {
        let written = replace_file(&*self.disk, &self.dir.join(table.file), encode(&table.now).as_bytes());
        match written {
            Ok(()) => table.on_disk.clone_from(&table.now),
            // Without room or descriptors the old file stays; anything else says that the disk fails.
            Err(error) if !is_refusal(&error) => {
                self.health.poison(&format!("writing {} failed: {error}", table.file));
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Checkpoints for OffsetCheckpoints {
    fn lower_recovery_point(&self, log: &str, offset: i64) -> io::Result<()> {
        let mut tables = self.tables.lock();
        tables.lower(log);
        if let Some(point) = tables.recovery.now.get_mut(log) {
            *point = (*point).min(offset);
        }
        if tables.recovery.on_disk.get(log).is_some_and(|point| *point > offset) {
            self.write_table(&mut tables.recovery)?;
        }
        Ok(())
    }

    fn lower_high_watermark(&self, log: &str, offset: i64) -> io::Result<()> {
        let table = &mut self.tables.lock().high_watermarks;
        if let Some(known) = table.now.get_mut(log) {
            *known = (*known).min(offset);
        }
        let is_above = table.on_disk.get(log).is_some_and(|known| *known > offset);
        if is_above { self.write_table(table) } else { Ok(()) }
    }
}
