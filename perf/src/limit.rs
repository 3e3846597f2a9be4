//! The `limit` command: what this machine can do at best, measured without a broker. Each line is a small piece of what any
//! broker must do; the sum of the pieces is the floor that a broker's figures are held against.

mod files;
mod line;
mod round_trips;
mod sockets;
mod sync;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use regex::Regex;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::args::LimitArgs;
use crate::limit::files::Target;
pub(crate) use crate::limit::line::Line;
use crate::limit::round_trips::Server;
use crate::limit::sockets::Way;
use crate::limit::sync::Pattern;
use crate::report::{Machine, write_json};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// How much is done, and where.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// A folder on the file system in question. Each line has a folder of its own below it, gone when the line is done.
    pub(crate) dir: PathBuf,
    /// How long each line is measured.
    pub(crate) time: Duration,
    /// What the sustained lines write, and the others at most.
    pub(crate) bytes: u64,
    /// Bytes of a frame that is received.
    pub(crate) frame: usize,
}

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Probe {
    Receive { crc: bool, target: Option<Target> },
    Sync { pattern: Pattern, size: usize },
    SyncMany { files: usize, threads: usize },
    Sustained { pattern: Pattern, size: usize, under_way: usize },
    Send(Way),
    RoundTrips { server: Server, connections: usize },
}

/// The result of the command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) machine: Machine,
    pub(crate) dir: PathBuf,
    pub(crate) file_system: String,
    pub(crate) lines: Vec<Line>,
}

impl Limits {
    /// The type of the file system of a folder.
    pub(crate) fn file_system(dir: &Path) -> String {
        files::file_system(dir)
    }
}

/// Runs the command.
pub(crate) fn run(args: &LimitArgs) -> Result<()> {
    let scope = Scope { dir: args.dir.clone(), time: args.seconds, bytes: args.bytes, frame: args.frame };
    let only = args.only.as_deref().map(Regex::new).transpose().context("--only")?;
    let json_only = args.json.as_deref() == Some(Path::new("-"));
    let mut lines = Vec::new();
    if !json_only {
        println!("{}", line::HEAD);
    }
    for (name, probe) in probes(scope.frame) {
        if only.as_ref().is_none_or(|only| only.is_match(&name)) {
            files::sync_all(&scope.dir)?;
            let line = measure(&name, probe, &scope);
            if !json_only {
                println!("{line}");
                std::io::stdout().flush()?;
            }
            lines.push(line);
        }
    }
    let dir = scope.dir.canonicalize().context("--dir")?;
    let limits = Limits { machine: Machine::here(), file_system: files::file_system(&dir), dir, lines };
    match &args.json {
        Some(path) => write_json(path, &limits),
        None => Ok(()),
    }
}

/// The names of all lines for frames of the usual size.
#[cfg(test)]
pub(crate) fn names() -> Vec<String> {
    probes(64 * KIB).into_iter().map(|(name, _)| name).collect()
}

/// The lines of these names, measured one after the other.
pub(crate) fn lines(scope: &Scope, names: &BTreeSet<&str>) -> Result<Vec<Line>> {
    let chosen = probes(scope.frame).into_iter().filter(|(name, _)| names.contains(&name.as_str()));
    let measured = chosen.map(|(name, probe)| {
        files::sync_all(&scope.dir)?;
        Ok(measure(&name, probe, scope))
    });
    measured.collect()
}

/// Everything there is, by name, in the order of the table.
fn probes(frame: usize) -> Vec<(String, Probe)> {
    let mut probes = Vec::new();
    let received = format!("receive {} frames", size_name(frame));
    let mut receive =
        |rest: &str, crc, target| probes.push((format!("{received}{rest}"), Probe::Receive { crc, target }));
    receive("", false, None);
    receive(", CRC", true, None);
    receive(", CRC, page cache, new files", true, Some(Target::NewFiles));
    receive(", CRC, page cache, recycled files", true, Some(Target::RecycledFiles));
    receive(", CRC, direct writes, recycled files", true, Some(Target::RecycledDirect));
    for way in [Way::ReadWrite(64 * KIB), Way::ReadWrite(MIB), Way::SendFile(MIB)] {
        probes.push((format!("send from page cache, {way}"), Probe::Send(way)));
    }
    for server in [Server::Blocking, Server::Epoll, Server::Tokio] {
        let counts: &[usize] = if server == Server::Blocking { &[1] } else { &[1, 50] };
        for connections in counts.iter().copied() {
            let name =
                format!("round trips, {connections} connection{}, {server}", if connections > 1 { "s" } else { "" });
            probes.push((name, Probe::RoundTrips { server, connections }));
        }
    }
    for size in [4 * KIB, 64 * KIB, MIB] {
        for pattern in Pattern::ALL {
            probes.push((format!("append and sync {}, {pattern}", size_name(size)), Probe::Sync { pattern, size }));
        }
    }
    for (files, threads) in [(10, 1), (100, 1), (100, 8)] {
        let by = if threads > 1 { format!(" by {threads} threads") } else { String::new() };
        probes.push((format!("sync {files} files of 4 KiB more each{by}"), Probe::SyncMany { files, threads }));
    }
    for (pattern, size, under_way) in [
        (Pattern::Growing, MIB, 1),
        (Pattern::Overwritten, MIB, 1),
        (Pattern::Direct, 256 * KIB, 1),
        (Pattern::Direct, MIB, 1),
        (Pattern::Direct, MIB, 2),
    ] {
        let times = if under_way > 1 { format!(", {under_way} under way") } else { String::new() };
        let name = format!("sustained synced writes of {}, {pattern}{times}", size_name(size));
        probes.push((name, Probe::Sustained { pattern, size, under_way }));
    }
    probes
}

/// What cannot be done here (say, direct writes on a file system without them) becomes a line that says so.
fn measure(name: &str, probe: Probe, scope: &Scope) -> Line {
    let line = (|| {
        let folder = TempDir::with_prefix_in("goatq-perf-limit-", &scope.dir).context("--dir")?;
        match probe {
            Probe::Receive { crc, target } => sockets::receive(scope, folder.path(), crc, target),
            Probe::Sync { pattern, size } => sync::appends(scope, folder.path(), pattern, size),
            Probe::SyncMany { files, threads } => sync::many(scope, folder.path(), files, threads),
            Probe::Sustained { pattern, size, under_way } => {
                sync::sustained(scope, folder.path(), pattern, size, under_way)
            }
            Probe::Send(way) => sockets::send(scope, folder.path(), way),
            Probe::RoundTrips { server, connections } => round_trips::measure(scope.time, server, connections),
        }
    })();
    line.map_or_else(|error| Line::impossible(name, &error), |amounts| Line::of(name, amounts))
}

fn size_name(bytes: usize) -> String {
    match bytes {
        MIB.. if bytes.is_multiple_of(MIB) => format!("{} MiB", bytes / MIB),
        KIB.. if bytes.is_multiple_of(KIB) => format!("{} KiB", bytes / KIB),
        _ => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct() {
        let names: Vec<String> = probes(64 * KIB).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(names.iter().any(|name| name == "receive 64 KiB frames, CRC, page cache, new files"), "{names:#?}");
    }

    #[test]
    fn every_line_is_measured_where_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_owned();
        let scope = Scope { dir, time: Duration::from_millis(30), bytes: 8 << 20, frame: 64 * KIB };
        for (name, probe) in probes(scope.frame) {
            let line = measure(&name, probe, &scope);
            match &line.impossible {
                None => assert!(line.operations > 0 && line.seconds > 0.0, "{line:?}"),
                Some(why) => assert!(name.contains("direct"), "{name}: {why}"),
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "everything is cleaned up");
    }
}
