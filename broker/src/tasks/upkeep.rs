//! What directories and logs need about once a second: free space, checkpoints, files of deleted segments and logs,
//! `flush.ms`; and the look-out for failed disks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use goatq_storage::log_dir::{LogDir, MaintenanceError};

use super::TaskParts;
use crate::health::Phase;

/// The longest pause; `log.flush.scheduler.interval.ms` may make it shorter.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn run(parts: TaskParts) {
    let interval = parts.config.current().log.flush_scheduler_interval.min(INTERVAL);
    let told = AtomicUsize::new(0);
    parts.every(interval, interval, || turn(&parts, &told)).await;
}

/// `told` is how many directories had failed the last time.
async fn turn(parts: &TaskParts, told: &AtomicUsize) {
    let work = parts.clone();
    parts.offload.run(move || upkeep(&work)).await;
    let failed: Vec<_> = parts.dirs.iter().filter(|dir| dir.health().is_poisoned()).collect();
    let Some(first) = failed.first() else { return };
    let why = |dir: &LogDir| {
        format!("log directory {}: {}", dir.path().display(), dir.health().poison_reason().unwrap_or("unknown"))
    };
    let data = parts.dirs.iter().filter(|dir| !Arc::ptr_eq(dir, &parts.metadata_dir));
    let is_last = failed.len() == parts.dirs.len() || (failed.len() == data.count() && !parts.metadata_has_partitions);
    // As Kafka does: the node goes on with the other directories, and ends with the last one or that of the metadata.
    if parts.metadata_dir.health().is_poisoned() || is_last {
        parts.health.enter(Phase::Failed(why(first)));
        return;
    }
    if told.swap(failed.len(), Ordering::Relaxed) < failed.len() {
        for dir in failed {
            tracing::error!(failure = %why(dir), "this log directory is offline, the node goes on without it");
        }
        parts.controller.want_heartbeat();
    }
}

fn upkeep(parts: &TaskParts) {
    let now_ms = parts.clock.wall_ms();
    for dir in parts.dirs.iter().filter(|dir| !dir.health().is_poisoned()) {
        maintain(dir, now_ms);
    }
    for partition in parts.partitions.all() {
        let log = partition.log();
        if log.flush_needed(now_ms) {
            log.flush();
        }
        if let Err(error) = log.purge(now_ms) {
            tracing::warn!(log = log.name(), %error, "removing files of deleted segments failed");
        }
    }
}

fn maintain(dir: &LogDir, now_ms: i64) {
    match dir.maintain(now_ms) {
        Ok(()) | Err(MaintenanceError::Poisoned) => {}
        Err(error) => tracing::warn!(dir = %dir.path().display(), %error, "upkeep of a log directory failed"),
    }
}
