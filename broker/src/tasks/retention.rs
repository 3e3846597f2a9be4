//! Deletes segments that are too old or too many (`log.retention.check.interval.ms`).

use super::TaskParts;

pub(super) async fn run(parts: TaskParts) {
    let config = parts.config.current();
    let (delay, interval) = (config.log.initial_task_delay, config.log.retention_check_interval);
    parts.every(delay, interval, || turn(&parts)).await;
}

async fn turn(parts: &TaskParts) {
    let work = parts.clone();
    let (segments, bytes) = parts.offload.run(move || retain(&work)).await;
    if segments > 0 {
        tracing::info!(segments, bytes, "retention deleted segments");
    }
}

fn retain(parts: &TaskParts) -> (usize, u64) {
    let now_ms = parts.clock.wall_ms();
    let (mut segments, mut bytes) = (0, 0);
    for partition in parts.partitions.all() {
        if parts.stopping() {
            break;
        }
        match partition.log().retain(now_ms, partition.high_watermark()) {
            Ok(removed) => {
                if removed.segments > 0 {
                    partition.nudge_readers();
                }
                segments += removed.segments;
                bytes += removed.bytes;
            }
            Err(error) => tracing::warn!(log = partition.log().name(), %error, "retention failed"),
        }
    }
    (segments, bytes)
}
