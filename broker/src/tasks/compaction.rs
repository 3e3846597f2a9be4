//! Compacts logs: the dirtiest first, `log.cleaner.threads` at a time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use goatq_storage::error::LogError;
use goatq_storage::log::{Cleanable, CompactOptions, Compacted};
use parking_lot::Mutex;

use super::TaskParts;
use crate::config::broker::CleanerConfig;
use crate::partition::Partition;

/// Names of logs that are being compacted.
type Busy = Arc<Mutex<BTreeSet<String>>>;

pub(super) async fn run(parts: TaskParts) {
    let busy = Busy::default();
    let delay = parts.config.current().log.initial_task_delay.min(parts.config.current().cleaner.backoff);
    tokio::select! {
        () = parts.cancel.cancelled() => return,
        () = tokio::time::sleep(delay) => {}
    }
    // The number of workers follows the configuration at start; what each may use is read anew for each log.
    let workers = parts.config.current().cleaner.threads;
    futures_util::future::join_all((0..workers).map(|worker| work(&parts, &busy, worker as u64))).await;
}

async fn work(parts: &TaskParts, busy: &Busy, worker: u64) {
    let mut round = worker;
    while !parts.stopping() {
        let cleaner = parts.config.current().cleaner.clone();
        let next = if cleaner.enabled { choose(parts, busy) } else { None };
        let Some(partition) = next else {
            tokio::select! {
                () = parts.cancel.cancelled() => return,
                () = tokio::time::sleep(cleaner.backoff.max(Duration::from_millis(10))) => {}
            }
            continue;
        };
        round = round.wrapping_add(1 << 32);
        let name = partition.log().name().to_owned();
        let (work, seed) = (parts.clone(), round);
        let result = parts.offload.run(move || compact(&work, &partition, &cleaner, seed)).await;
        busy.lock().remove(&name);
        match result {
            Ok(done) => report(&name, &done),
            Err(error) => {
                tracing::warn!(log = name, %error, "compaction failed");
                tokio::select! {
                    () = parts.cancel.cancelled() => return,
                    () = tokio::time::sleep(Duration::from_secs(15)) => {}
                }
            }
        }
    }
}

fn report(log: &str, done: &Compacted) {
    tracing::info!(
        log,
        bytes_before = done.bytes_before,
        bytes_after = done.bytes_after,
        records_before = done.records_before,
        records_after = done.records_after,
        clean_up_to = done.first_dirty_offset,
        "log compacted"
    );
}

/// The log that needs compaction most and that nobody else compacts; it counts as busy from now on.
fn choose(parts: &TaskParts, busy: &Busy) -> Option<Arc<Partition>> {
    let now_ms = parts.clock.wall_ms();
    let mut busy = busy.lock();
    let due = |partition: Arc<Partition>| {
        let Cleanable { dirty_ratio, due } = partition.log().cleanable(now_ms, partition.high_watermark())?;
        (due && !busy.contains(partition.log().name())).then_some((dirty_ratio, partition))
    };
    let dirtiest = parts.partitions.all().into_iter().filter_map(due).max_by(|(a, _), (b, _)| a.total_cmp(b));
    let (_, partition) = dirtiest?;
    busy.insert(partition.log().name().to_owned());
    Some(partition)
}

fn compact(
    parts: &TaskParts,
    partition: &Partition,
    cleaner: &CleanerConfig,
    seed: u64,
) -> Result<Compacted, LogError> {
    let share = cleaner.dedupe_buffer_bytes as f64 / cleaner.threads.max(1) as f64;
    let map_bytes = (share * cleaner.load_factor) as usize;
    let mut rate = Rate::new(cleaner.max_bytes_per_second, parts.clock.monotonic());
    let mut throttle = |bytes: u64| {
        let pause = rate.on_bytes(bytes, parts.clock.monotonic());
        if !pause.is_zero() && !parts.stopping() {
            parts.pause(pause);
        }
        !parts.stopping()
    };
    partition.log().compact(CompactOptions {
        now_ms: parts.clock.wall_ms(),
        high_watermark: partition.high_watermark(),
        map_bytes,
        seed,
        throttle: &mut throttle,
    })
}

/// Keeps bytes a second below a limit.
struct Rate {
    limit: f64,
    start: Duration,
    bytes: f64,
}

/// Pauses shorter than this are saved up.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
/// A pause never keeps a node from stopping for longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Rate {
    fn new(limit: f64, now: Duration) -> Self {
        Self { limit, start: now, bytes: 0.0 }
    }

    /// How long to wait before more is read or written.
    fn on_bytes(&mut self, bytes: u64, now: Duration) -> Duration {
        self.bytes += bytes as f64;
        let due = Duration::try_from_secs_f64(self.bytes / self.limit.max(1.0)).unwrap_or(LONGEST_PAUSE);
        let ahead = due.saturating_sub(now.saturating_sub(self.start));
        if ahead < SHORTEST_PAUSE { Duration::ZERO } else { ahead.min(LONGEST_PAUSE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_a_second_stay_below_the_limit() {
        let mut now = Duration::from_secs(5);
        let mut rate = Rate::new(1_000_000.0, now);
        let begin = now;
        for _ in 0..50 {
            now += rate.on_bytes(100_000, now);
        }
        let elapsed = (now - begin).as_secs_f64();
        assert!((4.9..=5.1).contains(&elapsed), "{elapsed}");
        let mut unlimited = Rate::new(f64::MAX, now);
        assert_eq!(unlimited.on_bytes(u64::MAX, now), Duration::ZERO);
        let mut slow = Rate::new(1.0, now);
        assert_eq!(slow.on_bytes(1 << 40, now), LONGEST_PAUSE);
    }
}
