//! What directories and logs need about once a second: free space, checkpoints, files of deleted segments and logs,
//! `flush.ms`; and the look-out for failed disks.

use std::time::Duration;

use goatq_storage::log_dir::{LogDir, MaintenanceError};

use super::TaskParts;
use crate::health::Phase;

/// The longest pause; `log.flush.scheduler.interval.ms` may make it shorter.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn run(parts: TaskParts) {
    let interval = parts.config.current().log.flush_scheduler_interval.min(INTERVAL);
    parts.every(interval, interval, || turn(&parts)).await;
}

async fn turn(parts: &TaskParts) {
    let work = parts.clone();
    parts.offload.run(move || upkeep(&work)).await;
    if let Some(dir) = parts.dirs.iter().find(|dir| dir.health().is_poisoned()) {
        let reason = dir.health().poison_reason().unwrap_or("unknown");
        // As Kafka does when its last directory fails. With several, the others could go on; that needs replicas elsewhere
        // to take over the partitions of this one.
        parts.health.enter(Phase::Failed(format!("log directory {}: {reason}", dir.path().display())));
    }
}

fn upkeep(parts: &TaskParts) {
    let now_ms = parts.clock.wall_ms();
    for dir in &parts.dirs {
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
