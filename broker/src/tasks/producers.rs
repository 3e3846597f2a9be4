//! Forgets producers that have not written for `producer.id.expiration.ms`.

use super::TaskParts;

pub(super) async fn run(parts: TaskParts) {
    let interval = parts.config.current().producers.id_expiration_check_interval;
    parts.every(interval, interval, || turn(&parts)).await;
}

async fn turn(parts: &TaskParts) {
    let now_ms = parts.clock.wall_ms();
    let expired: usize = parts.partitions.all().iter().map(|partition| partition.log().expire_producers(now_ms)).sum();
    if expired > 0 {
        tracing::debug!(expired, "idle producers forgotten");
    }
}
