//! The brokers that are compared: some run already, some are started here and stopped at the end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

use crate::clock::Clock;
use crate::wire::Connection;
use crate::workload::{Durability, Site};

/// How often a connection is tried, and a process looked for.
const RETRY: Duration = Duration::from_millis(50);
/// How long a broker may take to serve.
const START_WITHIN: Duration = Duration::from_secs(120);
/// How long a command may go on once its broker serves, if it is not the broker itself.
const NOTICE_WITHIN: Duration = Duration::from_secs(2);
/// How long a broker may take to stop before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// How topics of a broker are made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Goatq,
    Kafka,
}

impl Dialect {
    fn of(name: &str) -> Self {
        if name.to_ascii_lowercase().contains("goatq") { Self::Goatq } else { Self::Kafka }
    }

    fn configs(self, durability: Durability) -> (String, String) {
        let (name, value) = match (self, durability) {
            (Self::Goatq, Durability::PageCache) => ("durability", "page-cache"),
            (Self::Goatq, Durability::Synced) => ("durability", "fsync"),
            (Self::Kafka, Durability::PageCache) => ("flush.messages", "9223372036854775807"),
            (Self::Kafka, Durability::Synced) => ("flush.messages", "1"),
        };
        (name.to_owned(), value.to_owned())
    }
}

/// A broker that runs: `name=goatq,bootstrap=127.0.0.1:9092,pid=7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    name: String,
    bootstrap: String,
    pids: Vec<u32>,
    dialect: Dialect,
}

impl FromStr for Running {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut name, mut bootstrap, mut pids, mut dialect) = (None, None, Vec::new(), None);
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("name", value)) => name = Some(value.to_owned()),
                Some(("bootstrap", value)) => bootstrap = Some(value.to_owned()),
                Some(("pid", value)) => pids.push(value.parse().map_err(|_| format!("pid={value}: not a number"))?),
                Some(("kind", "goatq")) => dialect = Some(Dialect::Goatq),
                Some(("kind", "kafka")) => dialect = Some(Dialect::Kafka),
                _ => return Err(format!("{field}: name=, bootstrap=, pid= or kind=goatq|kafka")),
            }
        }
        let name = name.ok_or("name= is missing")?;
        let dialect = dialect.unwrap_or_else(|| Dialect::of(&name));
        Ok(Self { bootstrap: bootstrap.ok_or("bootstrap= is missing")?, name, pids, dialect })
    }
}

/// A broker to start: `goatq=COMMAND`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start {
    name: String,
    command: String,
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, command) = text.split_once('=').ok_or("name=command")?;
        if name.is_empty() || name.contains(['/', ' ']) || !command.contains("{port}") {
            return Err("name=command, and {port} in the command".to_owned());
        }
        Ok(Self { name: name.to_owned(), command: command.to_owned() })
    }
}

/// A broker.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) name: String,
    pub(crate) bootstrap: String,
    pub(crate) pids: Vec<u32>,
    dialect: Dialect,
    /// Ends it; absent if it ran before.
    _started: Option<Started>,
}

/// What has to go at the end.
#[derive(Debug)]
struct Started {
    child: Child,
    pids: Vec<u32>,
    /// Dropped last.
    folder: TempDir,
}

impl System {
    pub(crate) fn running(running: &Running) -> Result<Self> {
        let Running { name, bootstrap, pids, dialect } = running.clone();
        Ok(Self { name, bootstrap, pids, dialect, _started: None })
    }

    /// Starts a broker with a new folder below `dir` and waits until it answers.
    pub(crate) async fn start(start: &Start, port: u16, dir: &Path) -> Result<Self> {
        let folder = TempDir::with_prefix_in(format!("goatq-perf-{}-", start.name), dir).context("--dir")?;
        let data = folder.path().canonicalize()?;
        let command = start.command.replace("{port}", &port.to_string()).replace("{dir}", &data.display().to_string());
        // The folder above the data also holds what the broker prints.
        let output = log_file(&folder)?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&output)?;
        let child = Command::new("sh")
            .args(["-c", &command])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| command.clone())?;
        let bootstrap = format!("127.0.0.1:{port}");
        // From here on it is stopped whatever happens.
        let mut started = Started { child, pids: Vec::new(), folder };
        started.pids = serving(&mut started.child, start, &bootstrap, &output).await?;
        let (name, pids) = (start.name.clone(), started.pids.clone());
        Ok(Self { dialect: Dialect::of(&name), name, bootstrap, pids, _started: Some(started) })
    }

    /// How a workload reaches it.
    pub(crate) fn site(&self, durability: Durability, rate: Option<f64>) -> Site {
        Site {
            bootstrap: self.bootstrap.clone(),
            pids: self.pids.clone(),
            configs: vec![self.dialect.configs(durability)],
            label: format!("{}, {durability}", self.name),
            rate,
        }
    }
}

/// Waits until the broker serves; the processes that it is.
async fn serving(child: &mut Child, start: &Start, bootstrap: &str, output: &Path) -> Result<Vec<u32>> {
    let clock = Clock::start();
    let mut since = None;
    loop {
        let ended = child.try_wait()?;
        let said = std::fs::read_to_string(output).unwrap_or_default();
        let pids: Vec<u32> = match ended {
            Some(status) if status.success() => pids_in(&said),
            Some(status) => bail!("{} ended ({status}): {}", start.name, last_lines(&said)),
            None => leaves(child.id()),
        };
        if pids.is_empty() {
            bail!("{} ended without printing the process id of a broker: {}", start.name, last_lines(&said));
        }
        if since.is_none() && Connection::open(bootstrap).await.is_ok() {
            since = Some(clock.now());
        }
        // A script that waits for its broker notices after a moment, and ends.
        if since.is_some_and(|since| ended.is_some() || clock.now() > since + NOTICE_WITHIN) {
            return Ok(pids);
        }
        if clock.now() > START_WITHIN {
            bail!("{} does not serve: {}", start.name, last_lines(&said));
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn log_file(folder: &TempDir) -> Result<PathBuf> {
    let path = folder.path();
    let name = path.file_name().context("a folder without a name")?.to_string_lossy().into_owned();
    Ok(path.with_file_name(format!("{name}.log")))
}

impl Drop for Started {
    fn drop(&mut self) {
        // One that does not serve yet is what its command has come to so far.
        let starting = self.pids.is_empty() && self.child.try_wait().is_ok_and(|ended| ended.is_none());
        let pids = if starting { leaves(self.child.id()) } else { self.pids.clone() };
        let pids = pids.into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pids: Vec<Pid> = pids.collect();
        let alive = |child: &mut Child| {
            // A child that has ended stays until it is waited for.
            let child = child.try_wait().is_ok_and(|ended| ended.is_none());
            child || pids.iter().any(|pid| test_kill_process(*pid).is_ok())
        };
        for signal in [Signal::TERM, Signal::KILL] {
            for pid in &pids {
                // It may have ended by itself.
                kill_process(*pid, signal).ok();
            }
            let clock = Clock::start();
            while alive(&mut self.child) && clock.now() < STOP_WITHIN {
                pause();
            }
        }
        if let Ok(log) = log_file(&self.folder) {
            remove(&log);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "brokers are stopped outside of any runtime")]
fn pause() {
    std::thread::sleep(RETRY);
}

#[expect(clippy::disallowed_methods, reason = "this program's own files")]
fn remove(path: &Path) {
    std::fs::remove_file(path).ok();
}

/// The process and its descendants, as far as they have no children: a shell is not the broker that it runs.
fn leaves(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children: Vec<u32> = children.split_ascii_whitespace().filter_map(|child| child.parse().ok()).collect();
    if children.is_empty() { vec![pid] } else { children.into_iter().flat_map(leaves).collect() }
}

/// A command that ends once its brokers run prints their process ids last.
fn pids_in(said: &str) -> Vec<u32> {
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>().unwrap_or_default()
}

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_of_the_command_line() {
        let running: Running = "name=a,bootstrap=h:1,pid=7,pid=8,kind=goatq".parse().unwrap();
        assert_eq!((running.pids, running.dialect), (vec![7, 8], Dialect::Goatq));
        assert_eq!("name=kafka,bootstrap=h:1".parse::<Running>().unwrap().dialect, Dialect::Kafka);
        for bad in ["", "name=a", "bootstrap=h:1", "name=a,bootstrap=h:1,pid=x", "name=a,bootstrap=h:1,kind=x"] {
            assert!(bad.parse::<Running>().is_err(), "{bad}");
        }
        let start: Start = "goatq=A=1 goatq serve --port {port}".parse().unwrap();
        assert_eq!((&start.name[..], &start.command[..]), ("goatq", "A=1 goatq serve --port {port}"));
        for bad in ["goatq", "goatq=serve", "={port}", "a/b={port}"] {
            assert!(bad.parse::<Start>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_daemon_says_its_process_id() {
        assert_eq!(pids_in("formatting\n4711\n\n"), [4711]);
        assert_eq!(pids_in("formatting\n4711 4712 4713\n"), [4711, 4712, 4713]);
        assert!(pids_in("4711\nfailed\n").is_empty());
        assert!(pids_in("4711 failed\n").is_empty());
        assert!(pids_in("").is_empty());
        assert_eq!(last_lines("1\n2\n3\n4\n5\n6"), "2\n3\n4\n5\n6");
    }

    #[test]
    fn a_shell_is_not_what_it_runs() {
        let mut child = Command::new("sh").args(["-c", "sleep 60; true"]).spawn().unwrap();
        let clock = Clock::start();
        while leaves(child.id()) == [child.id()] && clock.now() < START_WITHIN {
            pause();
        }
        let found = leaves(child.id());
        assert_eq!(found.len(), 1);
        assert_ne!(found[0], child.id());
        kill_process(Pid::from_raw(found[0] as i32).unwrap(), Signal::TERM).unwrap();
        child.wait().unwrap();
    }
}
