//! The rest before a run: nobody pays for what another has left for the disk to do.
//!
//! What a run has written goes to the disk at once. Its topics are removed a second later, and a file system that tells its disk what it does not need any more
//! does so when its journal commits: hence a commit again and again, until the disk has had hardly anything to do for a while.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{major, minor};

use crate::clock::Clock;

/// Between two looks at the disk.
const LOOK: Duration = Duration::from_millis(250);
/// A disk that is busy for less than this part of the time is at rest.
const AT_REST: f64 = 0.1;
/// Nobody waits longer than this for the disk.
const LONGEST: Duration = Duration::from_secs(30);
/// Which of the numbers in a disk's `stat` says for how many milliseconds it had something to do.
const BUSY_MS: usize = 9;

/// The disk below a folder, where the kernel tells of it.
#[derive(Debug)]
pub(super) struct Disk {
    stat: Option<PathBuf>,
}

impl Disk {
    /// That of `dir`. A file system in memory has none.
    pub(super) fn below(dir: &Path) -> Self {
        let device = rustix::fs::stat(dir).ok().map(|found| found.st_dev);
        let stat =
            device.map(|device| PathBuf::from(format!("/sys/dev/block/{}:{}/stat", major(device), minor(device))));
        Self { stat: stat.filter(|path| path.exists()) }
    }

    fn busy(&self) -> Option<Duration> {
        busy(&read_to_string(self.stat.as_ref()?).ok()?)
    }

    /// Waits until the disk was at rest for so long, or for half a minute. Where nobody tells what it does, for so long only.
    pub(super) async fn rest(&self, settle: Duration) {
        let clock = Clock::start();
        let mut since = Duration::ZERO;
        while clock.now().saturating_sub(since) < settle {
            let (before, from) = (self.busy(), clock.now());
            rustix::fs::sync();
            tokio::time::sleep(LOOK).await;
            let busy = self.busy().zip(before).map_or(Duration::ZERO, |(after, before)| after.saturating_sub(before));
            let now = clock.now();
            if busy.as_secs_f64() > AT_REST * now.saturating_sub(from).as_secs_f64() {
                since = now;
            }
            if now > LONGEST {
                return eprintln!("the disk does not come to rest: what is measured next shares it");
            }
        }
    }
}

/// For how long the disk had something to do, since the machine started.
fn busy(stat: &str) -> Option<Duration> {
    stat.split_ascii_whitespace().nth(BUSY_MS)?.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_how_busy_a_disk_is() {
        let stat = "  144 3 5544 48 1240 913 17928 1201 0 1032 1311 0 0 0 0 71 62\n";
        assert_eq!(busy(stat), Some(Duration::from_millis(1032)));
        assert_eq!(busy(""), None);
    }

    #[tokio::test]
    async fn without_a_disk_the_rest_has_its_length() {
        let clock = Clock::start();
        Disk::below(Path::new("/proc")).rest(Duration::from_millis(300)).await;
        assert!(clock.now() >= Duration::from_millis(300));
    }
}
