//! How far this node has put the metadata into effect.

use std::time::Duration;

use tokio::sync::watch;

/// Waiting longer for it would help nobody: the client asks again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells up to which index of the metadata log partitions are open and configurations in force.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    index: watch::Receiver<i64>,
}

impl Applied {
    /// Follows `index`.
    pub(crate) fn new(index: watch::Receiver<i64>) -> Self {
        Self { index }
    }

    /// Waits until the index is reached; false when that takes too long or the node stops.
    pub(crate) async fn until(&self, index: i64) -> bool {
        let mut current = self.index.clone();
        let reached = current.wait_for(|current| *current >= index);
        matches!(tokio::time::timeout(PATIENCE, reached).await, Ok(Ok(_)))
    }
}
