//! What the configuration wants to know about the machine.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Facts that some defaults depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Cores this process may use.
    pub cores: usize,
    /// Memory of the machine or of the container, bytes.
    pub memory: u64,
    /// Files the process may have open.
    pub open_files: u64,
    /// Name of the machine; advertised by listeners on every address.
    pub host_name: String,
}

impl Default for Machine {
    /// A small machine: what tests run on.
    fn default() -> Self {
        Self { cores: 2, memory: 4 << 30, open_files: 1024, host_name: "localhost".to_owned() }
    }
}

impl Machine {
    /// The machine this process runs on.
    pub fn detect() -> Self {
        let open_files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let uname = rustix::system::uname();
        Self {
            cores: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            memory: memory().unwrap_or(1 << 30),
            open_files: open_files.unwrap_or(u64::MAX),
            host_name: uname.nodename().to_string_lossy().into_owned(),
        }
    }
}

/// The smallest of what the machine has and what control groups permit.
fn memory() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory(&text));
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).into_iter();
    let limits = limits.filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok());
    machine.into_iter().chain(limits).min()
}

/// Files that may name a limit of memory: of the groups in `/proc/self/cgroup` and of those above them, up to the root, which in a container is
/// its own. Of both versions.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files =
        vec![PathBuf::from("/sys/fs/cgroup/memory.max"), PathBuf::from("/sys/fs/cgroup/memory/memory.limit_in_bytes")];
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            some if some.split(',').any(|one| one == "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let group = Path::new(group.trim_start_matches('/'));
        let above = group.ancestors().filter(|group| !group.as_os_str().is_empty());
        files.extend(above.map(|group| Path::new(root).join(group).join(name)));
    }
    files
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_kernels_table() {
        assert_eq!(total_memory("MemTotal:       24594968 kB\nMemFree: 1 kB\n"), Some(24_594_968 * 1024));
        assert_eq!(total_memory("MemTotal: many kB\n"), None);
        assert_eq!(total_memory(""), None);
    }

    #[test]
    fn limits_are_those_of_the_groups_that_the_process_is_in() {
        let of =
            |groups| limit_files(groups).split_off(2).iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(
            of("0::/system.slice/goatq.service\n"),
            ["/sys/fs/cgroup/system.slice/goatq.service/memory.max", "/sys/fs/cgroup/system.slice/memory.max"]
        );
        assert_eq!(
            of("9:name=systemd:/x\n4:cpu,memory:/jobs\n3:cpuset:/\n0::/\n"),
            ["/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes"]
        );
        assert_eq!(of("4:memory:/\nnonsense"), Vec::<String>::new());
    }
}
