//! How much of the machine is idle, as the kernel counts it.

use std::time::Duration;

/// The kernel counts in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// Time that the cores of the machine were idle since it was started, summed over them. `None` where the kernel does not say.
pub(crate) fn idle_time() -> Option<Duration> {
    parse(&std::fs::read_to_string("/proc/stat").ok()?)
}

fn parse(stat: &str) -> Option<Duration> {
    let mut fields = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    let idle: u32 = fields.nth(3)?.parse().ok()?;
    // A core that waits for a disk is free, too.
    let waiting: u32 = fields.next()?.parse().ok()?;
    TICK.checked_mul(idle.checked_add(waiting)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_first_line_is_of_all_cores() {
        let stat = "cpu  2160855 573166 474767 1599779 448554 0 36398 58958 0 0\ncpu0 1 2 3 4 5\n";
        assert_eq!(parse(stat), Some(Duration::from_millis(20_483_330)));
        assert_eq!(parse("cpu  1 2 3\n"), None);
        assert_eq!(parse("intr 5\n"), None);
    }
}
