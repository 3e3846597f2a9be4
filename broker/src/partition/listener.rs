//! How a partition hears that its log became durable.

use std::sync::{Arc, Weak};

use goatq_storage::group_commit::DurableListener;

use super::Partition;

/// Weak, because the partition holds the log and the log holds its listener.
#[derive(Debug)]
struct Listener(Weak<Partition>);

impl DurableListener for Listener {
    fn on_durable(&self, _durable_end: i64) {
        if let Some(partition) = self.0.upgrade() {
            partition.on_durable();
        }
    }

    fn on_poisoned(&self, reason: &str) {
        if let Some(partition) = self.0.upgrade() {
            tracing::error!(?partition, reason, "the log directory failed: nothing is acknowledged any more");
            partition.on_poisoned();
        }
    }
}

pub(super) fn listen(partition: &Arc<Partition>) {
    partition.log().set_listener(Arc::new(Listener(Arc::downgrade(partition))));
    // What became durable before it listened.
    partition.on_durable();
}
