//! How far this node has put the metadata into effect.

use std::sync::Arc;
use std::time::Duration;

use goatq_controller::image::MetadataImage;
use tokio::sync::watch;

/// Waiting longer for it would help nobody: the client asks again.
const PATIENCE: Duration = Duration::from_secs(5);

/// The image that is in effect: its partitions are open, its configurations in force.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    images: watch::Receiver<Arc<MetadataImage>>,
}

impl Applied {
    /// Follows `images`.
    pub(crate) fn new(images: watch::Receiver<Arc<MetadataImage>>) -> Self {
        Self { images }
    }

    /// The image in effect now.
    pub(crate) fn image(&self) -> Arc<MetadataImage> {
        self.images.borrow().clone()
    }

    /// Tells of each image that comes into effect.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<MetadataImage>> {
        self.images.clone()
    }

    /// Waits until everything up to an index of the metadata log is in effect; false when that takes too long or the node
    /// stops.
    pub(crate) async fn until(&self, index: i64) -> bool {
        let mut images = self.images.clone();
        let reached = images.wait_for(|image| image.applied_index >= index);
        matches!(tokio::time::timeout(PATIENCE, reached).await, Ok(Ok(_)))
    }
}
