//! `.goatq-lives`: the names of the processes that used the directory, the newest last.
//!
//! Each process makes up a name and writes it here before it tells anybody. Who knows the last process that served can so tell the directory
//! that it left from an older copy of it, and from another one: there that name is missing. A process that ended before it could tell its
//! name to anybody does no harm, the names before its own are still there.

use std::{io, path::Path};

use goatq_protocol::Uuid;

use crate::io::{Disk, read_small_file, replace_file};

/// Name of the file in a log directory.
pub(super) const FILE_NAME: &str = ".goatq-lives";

/// Names that are kept: so many processes may end one after the other before they are known.
const MAX_LIVES: usize = 64;

/// Bytes of such a file at most.
const MAX_LEN: usize = 4096;

/// The names in the file; none when there is no file, or one that cannot be understood.
pub(super) fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<Uuid>> {
    match read_small_file(disk, &dir.join(FILE_NAME), MAX_LEN) {
        Ok(content) => Ok(parse(&content).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn parse(content: &[u8]) -> Option<Vec<Uuid>> {
    std::str::from_utf8(content).ok()?.lines().map(|line| line.parse().ok()).collect()
}

/// Adds a name, durably.
pub(super) fn add(disk: &dyn Disk, dir: &Path, before: &[Uuid], name: Uuid) -> io::Result<()> {
    let kept = &before[before.len().saturating_sub(MAX_LIVES - 1)..];
    let lines: String = kept.iter().chain([&name]).map(|name| format!("{name}\n")).collect();
    replace_file(disk, &dir.join(FILE_NAME), lines.as_bytes())
}
