//! A real `goatq` process of a test's own: own port, own folder, gone when it is dropped.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a node may take to open its port or to end.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How many ports are tried.
const PORTS: usize = 5;

/// A node that runs, or that was killed and can be started again on the same data and port.
pub struct Node {
    folder: tempfile::TempDir,
    data: PathBuf,
    port: u16,
    http_port: u16,
    settings: Vec<String>,
    /// One more listener, with its address.
    beside: Option<String>,
    process: Option<Child>,
}

impl Node {
    /// Starts a node with `settings` (`key=value`, as for `--set`) and waits until its port answers.
    pub fn start(settings: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("goatq-test-").tempdir()?;
        Self::start_in(folder, settings)
    }

    /// As [`Node::start`], on a folder that may hold data already (in its `data`).
    pub fn start_in(folder: tempfile::TempDir, settings: &[&str]) -> anyhow::Result<Self> {
        let data = folder.path().join("data");
        Self::start_with(folder, data, None, settings)
    }

    /// As [`Node::start`], with one more listener (`NAME://host:port`) beside the one for clients.
    pub fn start_beside(listener: Option<&str>, settings: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("goatq-test-").tempdir()?;
        let data = folder.path().join("data");
        Self::start_with(folder, data, listener, settings)
    }

    /// As [`Node::start`], with its data in the folder `data`, which outlives the node.
    pub fn start_on(data: &Path, settings: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("goatq-test-").tempdir()?;
        Self::start_with(folder, data.to_owned(), None, settings)
    }

    fn start_with(
        folder: tempfile::TempDir,
        data: PathBuf,
        beside: Option<&str>,
        settings: &[&str],
    ) -> anyhow::Result<Self> {
        let settings = settings.iter().map(|s| s.to_string()).collect();
        let (ports, beside) = (free_ports(2)?, beside.map(str::to_owned));
        let mut node = Self { folder, data, port: ports[0], http_port: ports[1], settings, beside, process: None };
        // Between finding a port and using it somebody else may have got it.
        for _ in 0..PORTS {
            match node.restart() {
                Err(_) if node.log().contains("in use") => {
                    let ports = free_ports(2)?;
                    (node.port, node.http_port) = (ports[0], ports[1]);
                }
                started => return started.map(|()| node),
            }
            std::fs::remove_file(node.log_path())?;
        }
        bail!("no port is free for long enough")
    }

    /// Starts the process again after [`Node::kill`] or [`Node::terminate`].
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let mut command = Command::new(binary()?);
        let beside = self.beside.iter().map(|listener| format!(",{listener}")).collect::<String>();
        command.arg("serve").arg("--set").arg(format!("listeners=PLAINTEXT://{}{beside}", self.bootstrap()));
        command.arg("--set").arg(format!("log.dirs={}", self.data().display()));
        command.arg("--set").arg(format!("http.listener=127.0.0.1:{}", self.http_port));
        // What steers the tests is no configuration of the node.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GOATQ_")) {
            command.env_remove(name);
        }
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(command.spawn().context("goatq does not start")?);
        let started = std::time::Instant::now();
        while TcpStream::connect(self.address()).is_err() {
            let ended = self.process.as_mut().context("no process")?.try_wait()?;
            if ended.is_some() || started.elapsed() > PATIENCE {
                bail!("goatq does not serve ({ended:?}):\n{}", self.log());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// kill -9, and waits until the process is gone.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the node does not run")?;
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    /// SIGTERM; waits until the process has drained and ended, and gives its exit status.
    pub fn terminate(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        let mut process = self.process.take().context("the node does not run")?;
        let pid = Pid::from_child(&process);
        kill_process(pid, Signal::TERM)?;
        let asked = std::time::Instant::now();
        loop {
            if let Some(status) = process.try_wait()? {
                return Ok(status);
            }
            if asked.elapsed() > PATIENCE {
                process.kill()?;
                bail!("goatq does not end on SIGTERM:\n{}", self.log());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// `host:port` for clients.
    pub fn bootstrap(&self) -> String {
        self.address().to_string()
    }

    /// Address of the Kafka listener.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Address of the HTTP listener.
    pub fn http(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.http_port).into()
    }

    /// What the HTTP listener answers to a GET of `path`, with its headers.
    pub fn get(&self, path: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.http())?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Process id, while the node runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// Resident memory in bytes, as the kernel counts it.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let pid = self.pid().context("the node does not run")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kib * 1024)
    }

    /// Everything the node has written to its standard output and error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("goatq.log")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("the node's log:\n{}", self.log());
        }
    }
}

/// Ports that nobody listened on a moment ago, each another one: all are held until the last is found.
///
/// # Errors
/// There are not as many.
pub fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let held = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<Vec<_>, _>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// One such port.
///
/// # Errors
/// There is none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(free_ports(1)?[0])
}

/// The program named by `GOATQ`; without it the `goatq` of this build, made now if it is missing or older than its sources.
pub fn binary() -> anyhow::Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BINARY.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn build() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("GOATQ") {
        return Ok(std::path::absolute(given)?);
    }
    // A test lives in target/<profile>/deps, a program one folder above.
    let program = std::env::current_exe()?;
    let folder = program.parent().context("a program lives somewhere")?;
    let profile = if folder.ends_with("deps") { folder.parent().context("deps is in a profile")? } else { folder };
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--package", "goatq-broker", "--bin", "goatq"]);
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let status = command.current_dir(env!("CARGO_MANIFEST_DIR")).status().context("cargo does not run")?;
    if !status.success() {
        bail!("goatq does not build");
    }
    Ok(profile.join("goatq"))
}
