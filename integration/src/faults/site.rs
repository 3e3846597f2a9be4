//! A place for a node: its folder, its address, and the process that runs there, life after life.

use std::fs::OpenOptions;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::system::System;

/// The port for clients.
pub const PORT: u16 = 9092;
/// The port for controllers.
pub const CONTROLLER_PORT: u16 = 9093;
/// How long a process may take to open its port or to end.
const PATIENCE: Duration = Duration::from_secs(40);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
const CONNECT_WITHIN: Duration = Duration::from_millis(500);

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Broker and controller.
    Both,
    /// Only broker.
    Broker,
    /// Only controller.
    Controller,
}

/// A place for a node.
#[derive(Debug)]
pub struct Site {
    /// `node.id`.
    pub id: i32,
    /// What it is.
    pub role: Role,
    /// Its address.
    pub address: IpAddr,
    /// Where its files are that are no data.
    pub folder: PathBuf,
    /// Where its data is.
    pub data: PathBuf,
    /// It finds the quorum without being named one of its voters, and asks for a vote if it is a controller.
    pub joins: bool,
    /// `key=value`, besides those that every node has.
    pub settings: Vec<String>,
    /// What the command begins with.
    pub entrance: Vec<String>,
    /// Between that and the program: another program that runs it.
    pub wrapper: Vec<String>,
    /// Environment of the process.
    pub environment: Vec<(String, String)>,
    /// Program and configuration.
    pub system: System,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    pid: Pid,
    /// Is there for a process that this one started itself.
    child: Option<Child>,
}

impl Site {
    /// A place where nothing runs.
    pub fn new(id: i32, role: Role, address: IpAddr, folder: PathBuf, system: System) -> Self {
        let data = folder.join("data");
        Self {
            id,
            role,
            address,
            folder,
            data,
            joins: false,
            settings: Vec::new(),
            entrance: Vec::new(),
            wrapper: Vec::new(),
            environment: Vec::new(),
            system,
            process: None,
        }
    }

    /// Where clients connect.
    pub fn listener(&self) -> SocketAddr {
        (self.address, PORT).into()
    }

    /// Where it answers first.
    fn door(&self) -> SocketAddr {
        if self.role == Role::Controller { (self.address, CONTROLLER_PORT).into() } else { self.listener() }
    }

    /// Whether clients reach it.
    pub fn is_broker(&self) -> bool {
        self.role != Role::Controller
    }

    /// Starts the process.
    ///
    /// # Errors
    /// It cannot be started. Whether it goes on is seen later.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let log = OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let words = self.system.command(self)?;
        let words: Vec<_> = self.entrance.iter().chain(&self.wrapper).chain(&words).collect();
        let mut command = Command::new(words.first().context("no program")?);
        command.args(&words[1..]).current_dir(&self.folder).stdin(Stdio::null()).stderr(log.try_clone()?);
        // What steers the tests is no configuration of the node.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GOATQ_")) {
            command.env_remove(name);
        }
        command.envs(self.system.environment(self)?).envs(self.environment.iter().map(|(name, value)| (name, value)));
        if self.system.leaves_a_process() {
            let output = command.stdout(Stdio::piped()).output()?;
            let text = String::from_utf8_lossy(&output.stdout);
            let pid = text.split_whitespace().last().and_then(|word| word.parse().ok()).and_then(Pid::from_raw);
            self.process = Some(Process { pid: pid.with_context(|| self.log())?, child: None });
        } else {
            let child = command.stdout(log).spawn().context("the program does not start")?;
            self.process = Some(Process { pid: Pid::from_child(&child), child: Some(child) });
        }
        Ok(())
    }

    /// Starts the process and waits until its port answers.
    ///
    /// # Errors
    /// It never does.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        self.until_open(PATIENCE)
    }

    /// Waits until the port answers.
    ///
    /// # Errors
    /// It never does, or the process ended.
    pub fn until_open(&mut self, within: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        while TcpStream::connect_timeout(&self.door(), CONNECT_WITHIN).is_err() {
            let ended = self.has_ended();
            if ended || begun.elapsed() > within {
                bail!("node {} does not serve (ended: {ended}):\n{}", self.id, self.log());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// The process, while there is one.
    pub fn pid(&self) -> Option<Pid> {
        self.process.as_ref().map(|process| process.pid)
    }

    /// Whether it has a process that goes on.
    pub fn is_running(&mut self) -> bool {
        self.process.is_some() && !self.has_ended()
    }

    /// Whether its process came to an end, of whatever kind.
    pub fn has_ended(&mut self) -> bool {
        let Some(process) = &mut self.process else { return false };
        if let Some(child) = &mut process.child {
            return child.try_wait().is_ok_and(|status| status.is_some());
        }
        // Nobody waits for processes of other parents: one that has ended may stay as a zombie.
        let state = std::fs::read_to_string(format!("/proc/{}/stat", process.pid.as_raw_nonzero()));
        state.map_or(true, |text| text.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// There is no process.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill_process(self.pid().context("no process")?, signal)?)
    }

    /// kill -9, and waits until the process is gone.
    ///
    /// # Errors
    /// There is none, or it stays.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if !self.has_ended() {
            self.signal(Signal::KILL)?;
        }
        self.until_ended(PATIENCE)
    }

    /// SIGTERM, and waits until the process is gone.
    ///
    /// # Errors
    /// There is none, or it stays.
    pub fn terminate(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)?;
        self.until_ended(PATIENCE)
    }

    /// Waits until the process is gone.
    ///
    /// # Errors
    /// It stays.
    pub fn until_ended(&mut self, within: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.has_ended() {
            if begun.elapsed() > within {
                bail!("node {} does not end:\n{}", self.id, self.log());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        self.process = None;
        Ok(())
    }

    /// All that it wrote to its standard output and error.
    pub fn whole_log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The last of that.
    pub fn log(&self) -> String {
        let text = self.whole_log();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("node.log")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.process.is_some() {
            let _ = self.kill();
        }
    }
}
