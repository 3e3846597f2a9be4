//! Writes down what is known to be committed, so that a node that starts again knows it before it hears of it from others.

use std::time::Duration;

use goatq_storage::log_dir::LogDir;

use super::TaskParts;
use crate::partition::PartitionRegistry;

/// Between two looks, at least.
const SHORTEST: Duration = Duration::from_millis(100);

pub(super) async fn run(parts: TaskParts) {
    let interval = parts.config.current().replication.checkpoint_interval.max(SHORTEST);
    let mut last = None;
    parts
        .every(interval, interval, || {
            let now = Some(state(&parts.partitions));
            if std::mem::replace(&mut last, now) != now {
                note(&parts.partitions, parts.dirs.iter().map(|dir| &**dir));
            }
            std::future::ready(())
        })
        .await;
}

/// How many there are, and all of them together: high watermarks only grow, so that any change shows.
fn state(partitions: &PartitionRegistry) -> (usize, i64) {
    let all = partitions.all();
    let replicated = all.iter().filter(|partition| partition.is_replicated());
    replicated.fold((0, 0), |(count, sum), partition| (count + 1, sum.wrapping_add(partition.high_watermark())))
}

/// Notes the high watermarks of partitions that have replicas elsewhere. One without has no need of it: what is durable is committed.
pub(crate) fn note<'a>(partitions: &PartitionRegistry, dirs: impl Iterator<Item = &'a LogDir>) {
    let all = partitions.all();
    let replicated = all.iter().filter(|partition| partition.is_replicated());
    let known: Vec<_> = replicated.map(|partition| (partition.log(), partition.high_watermark())).collect();
    for dir in dirs {
        let here = known.iter().filter(|(log, _)| log.dir().parent() == Some(dir.path()));
        dir.set_high_watermarks(here.map(|(log, high_watermark)| (log.name(), *high_watermark)));
    }
}
