//! What the configuration wants to know about the machine.

use std::num::NonZeroUsize;

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

/// The smaller of what the machine has and what the control group permits.
fn memory() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory(&text));
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let group = limits.iter().filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok());
    machine.into_iter().chain(group).min()
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
}
