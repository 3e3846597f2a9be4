//! CPU time and memory of processes, from /proc.

use std::fs::read_to_string;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Ticks per second of the times in `/proc/<pid>/stat`: the same on every Linux.
const TICKS_PER_SECOND: u64 = 100;

/// A reading of one or more processes at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// User and system time since the start of the process.
    pub(crate) cpu: Duration,
    /// Resident memory in bytes.
    pub(crate) rss: u64,
    /// Most resident memory since the start of the process, in bytes.
    pub(crate) peak_rss: u64,
    /// Bytes written to storage; 0 where the kernel does not tell.
    pub(crate) written: u64,
}

/// What processes used between two readings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Usage {
    pub(crate) seconds: f64,
    pub(crate) cpu_s: f64,
    pub(crate) rss_bytes: u64,
    pub(crate) peak_rss_bytes: u64,
    pub(crate) written_bytes: u64,
}

impl Sample {
    /// Reads all of `pids` and adds up.
    pub(crate) fn take(pids: &[u32]) -> Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            let read =
                |file: &str| read_to_string(format!("/proc/{pid}/{file}")).with_context(|| format!("process {pid}"));
            let cpu = cpu_ticks(&read("stat")?).with_context(|| format!("/proc/{pid}/stat"))?;
            let status = read("status")?;
            sum.cpu += Duration::from_millis(cpu * 1000 / TICKS_PER_SECOND);
            sum.rss += field(&status, "VmRSS:").unwrap_or(0) * 1024;
            sum.peak_rss += field(&status, "VmHWM:").unwrap_or(0) * 1024;
            sum.written += read("io").ok().and_then(|io| field(&io, "write_bytes:")).unwrap_or(0);
        }
        Ok(sum)
    }

    /// What was used from this reading to `later`, taken `seconds` later.
    pub(crate) fn until(&self, later: &Self, seconds: f64) -> Usage {
        Usage {
            seconds,
            cpu_s: later.cpu.saturating_sub(self.cpu).as_secs_f64(),
            rss_bytes: later.rss,
            peak_rss_bytes: later.peak_rss,
            written_bytes: later.written.saturating_sub(self.written),
        }
    }
}

/// User and system ticks. The process name, second in the line, may hold anything, even blanks and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 5000 0 0 0 731 269 0 0 20 0 9 0 100 1 2 3";
        assert_eq!(cpu_ticks(stat), Some(1000));
        assert_eq!(cpu_ticks("42 (a) S 1 2"), None);
        assert_eq!(cpu_ticks("nonsense"), None);
        let status = "Name:\tjava\nVmHWM:\t  667648 kB\nVmRSS:\t  397312 kB\n";
        assert_eq!(field(status, "VmRSS:"), Some(397_312));
        assert_eq!(field(status, "VmSwap:"), None);
    }

    #[test]
    fn a_process_has_memory() {
        let sample = Sample::take(&[std::process::id()]).unwrap();
        assert!(sample.rss > 0 && sample.peak_rss >= sample.rss);
        let twice = Sample::take(&[std::process::id(); 2]).unwrap();
        assert!(twice.rss > sample.rss);
        assert!(Sample::take(&[u32::MAX]).is_err());
    }

    #[test]
    fn usage_is_the_difference() {
        let before = Sample { cpu: Duration::from_millis(1500), rss: 10, peak_rss: 20, written: 100 };
        let after = Sample { cpu: Duration::from_millis(4000), rss: 15, peak_rss: 25, written: 1100 };
        let usage = before.until(&after, 2.0);
        assert_eq!(usage, Usage { seconds: 2.0, cpu_s: 2.5, rss_bytes: 15, peak_rss_bytes: 25, written_bytes: 1000 });
    }
}
