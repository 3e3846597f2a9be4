//! Limits: memory, open files, system calls.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use goatq_protocol::message::FetchRequest;
use goatq_protocol::message::fetch::{FetchPartition, FetchTopic};

use super::Fault;
use super::ending::Kill;
use crate::crash_image::disk::run;
use crate::faults::field::Field;
use crate::faults::site::Site;
use crate::peer::Peer;
use crate::traffic::LOAD;

/// Where groups for the limiting of memory are.
const MEMORY: &str = "/sys/fs/cgroup/memory";
/// Memory of each node, its part of the page cache included.
const LIMIT: u64 = 192 << 20;
/// Consumers that do not read what they ask for.
const SLOW_CONSUMERS: usize = 500;
/// Files that a node may open.
const OPEN_FILES: usize = 512;
/// Connections that are opened to use them up.
const CONNECTIONS: usize = 1_000;
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// Little memory, and many who ask for more than they read. As in a container, a node has its limit from the begin, and sees it.
#[derive(Debug, Default)]
pub struct Memory {
    groups: Vec<PathBuf>,
    slow: Vec<Peer>,
}

/// Runs a program in a group, which takes the place of the root of all groups for it.
const IN_GROUP: &str = "echo $$ > \"$0/cgroup.procs\"; mount --bind \"$0\" /sys/fs/cgroup/memory; exec \"$@\"";

impl Fault for Memory {
    fn prepare(&mut self, sites: &mut [Site]) -> anyhow::Result<()> {
        for site in sites {
            let name = site.folder.parent().and_then(Path::file_name).context("a folder has a name")?;
            let group = Path::new(MEMORY).join(format!("{}-{}", name.display(), site.id));
            std::fs::create_dir_all(&group)?;
            std::fs::write(group.join("memory.limit_in_bytes"), LIMIT.to_string())?;
            site.wrapper = ["unshare", "--mount", "--", "sh", "-ec", IN_GROUP].map(str::to_owned).to_vec();
            site.wrapper.push(group.display().to_string());
            self.groups.push(group);
        }
        Ok(())
    }

    fn strike(&mut self, field: &mut Field, _: usize) -> anyhow::Result<String> {
        let id = field.leader(0)?;
        let site = field.site(id);
        let partition = FetchPartition { partition_max_bytes: 64 << 20, ..FetchPartition::default() };
        let topic = FetchTopic { topic: LOAD.into(), partitions: vec![partition], ..FetchTopic::default() };
        let request =
            FetchRequest { min_bytes: 1, max_bytes: 64 << 20, topics: vec![topic], ..FetchRequest::default() };
        for _ in 0..SLOW_CONSUMERS {
            let mut peer = Peer::connect_within(site.listener(), CONNECT_WITHIN)?;
            for correlation in 0..8 {
                peer.send(correlation, &request, 12)?;
            }
            self.slow.push(peer);
        }
        field.hold(Duration::from_secs(10));
        ensure!(field.site(id).is_running(), "{id} ended with {LIMIT} bytes of memory:\n{}", field.site(id).log());
        Ok(format!("{id} has {LIMIT} bytes of memory, and {SLOW_CONSUMERS} slow consumers"))
    }

    fn heal(&mut self, _: &mut Field) -> anyhow::Result<()> {
        self.slow.clear();
        Ok(())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for group in &self.groups {
            let _ = std::fs::remove_dir(group);
        }
    }
}

/// Whether memory can be limited.
///
/// # Errors
/// There are no such groups.
pub fn can_limit_memory() -> anyhow::Result<()> {
    ensure!(Path::new(MEMORY).join("memory.limit_in_bytes").exists(), "no memory cgroup (v1)");
    Ok(())
}

/// Few files that may be open, and many connections.
#[derive(Debug, Default)]
pub struct Files {
    connections: Vec<TcpStream>,
}

impl Fault for Files {
    fn prepare(&mut self, sites: &mut [Site]) -> anyhow::Result<()> {
        for site in sites {
            site.wrapper = vec!["prlimit".to_owned(), format!("--nofile={OPEN_FILES}:{OPEN_FILES}")];
            // One address opens them all.
            site.settings.push("max.connections.per.ip=10000".to_owned());
        }
        Ok(())
    }

    fn strike(&mut self, field: &mut Field, _: usize) -> anyhow::Result<String> {
        let id = field.leader(0)?;
        for _ in 0..CONNECTIONS {
            self.connections.push(TcpStream::connect_timeout(&field.site(id).listener(), CONNECT_WITHIN)?);
        }
        field.hold(Duration::from_secs(10));
        ensure!(field.site(id).is_running(), "{id} ended for want of files:\n{}", field.site(id).log());
        Ok(format!("{CONNECTIONS} connections to {id}, which may open {OPEN_FILES} files"))
    }

    fn heal(&mut self, _: &mut Field) -> anyhow::Result<()> {
        self.connections.clear();
        Ok(())
    }
}

/// io_uring is refused from the begin, and processes are killed.
#[derive(Debug, Default)]
pub struct NoRing(Kill);

impl Fault for NoRing {
    fn prepare(&mut self, sites: &mut [Site]) -> anyhow::Result<()> {
        let words = ["strace", "-D", "-f", "--seccomp-bpf", "-qqq", "-o", "/dev/null", "-e", "trace=io_uring_setup"];
        for site in sites {
            site.wrapper = words.map(str::to_owned).to_vec();
            site.wrapper.extend(["-e", "inject=io_uring_setup:error=EPERM"].map(str::to_owned));
        }
        Ok(())
    }

    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        self.0.strike(field, round)
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        self.0.heal(field)
    }

    fn look(&mut self, field: &mut Field) -> anyhow::Result<()> {
        let silent = field.sites.iter().find(|site| !site.whole_log().contains("io_uring"));
        ensure!(silent.is_none(), "a node does not say that there is no io_uring: {:?}", silent.map(|site| site.id));
        Ok(())
    }
}

/// Whether system calls can be refused.
///
/// # Errors
/// There is no strace, or it may not trace.
pub fn can_refuse_calls() -> anyhow::Result<()> {
    run(Command::new("strace").args(["-D", "-f", "--seccomp-bpf", "-o", "/dev/null", "true"])).map(drop)
}
