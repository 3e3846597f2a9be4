//! The metadata image: what the cluster is, as of one index of the metadata log.
//!
//! An image never changes once it is published. Copies are cheap (everything large is shared), so the state machine changes its own
//! copy with [`crate::replay::replay`] and publishes it whole. What differs between two images is found by
//! [`MetadataDelta::between`], whatever was published in between.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytestring::ByteString;

mod brokers;
mod configs;
mod delta;
mod features;
pub mod ordered;
mod records;
mod topics;

pub use brokers::{BrokerImage, BrokersImage, Endpoint, SecurityProtocol};
pub use configs::{ConfigKind, ConfigResource, ConfigsImage};
pub use delta::{MetadataDelta, TopicChange};
pub use features::FeaturesImage;
pub use records::records;
pub use topics::{LOST_DIRECTORY, NO_LEADER, PartitionImage, TopicImage, TopicsImage};

/// The metadata of a cluster at one index of its log. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataImage {
    /// The cluster's id, 22 characters as Kafka writes them; empty before the cluster was formed.
    pub cluster_id: ByteString,
    /// Index of the last entry of the metadata log that is in here, of whatever kind; -1 before the first.
    pub applied_index: i64,
    /// Index of the last entry that carried records; -1 before the first. Decisions are made against an image and hold only
    /// while this is still the same when they are applied.
    pub changed_index: i64,
    /// Topics and partitions.
    pub topics: TopicsImage,
    /// Brokers, registered ones only.
    pub brokers: BrokersImage,
    /// What was configured at run time.
    pub configs: ConfigsImage,
    /// Finalized feature levels.
    pub features: FeaturesImage,
    /// The first producer id that was never given out.
    pub next_producer_id: i64,
    /// The epoch that the next registration of a broker gets.
    pub next_broker_epoch: i64,
}

impl Default for MetadataImage {
    fn default() -> Self {
        MetadataImage {
            cluster_id: ByteString::default(),
            applied_index: -1,
            changed_index: -1,
            topics: TopicsImage::default(),
            brokers: BrokersImage::default(),
            configs: ConfigsImage::default(),
            features: FeaturesImage::default(),
            next_producer_id: 0,
            next_broker_epoch: 0,
        }
    }
}

impl MetadataImage {
    /// The run-time configuration of a resource; `None` when nothing was ever set.
    pub fn config(&self, resource: &ConfigResource) -> Option<&BTreeMap<String, String>> {
        self.configs.get(resource)
    }

    /// Whether both have the same content, whatever index they have.
    pub fn same_content(&self, other: &MetadataImage) -> bool {
        let mut left = self.clone();
        left.applied_index = other.applied_index;
        left.changed_index = other.changed_index;
        left == *other
    }
}

/// A short line for logs: sizes, never content.
impl fmt::Display for MetadataImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "metadata at {}: {} topics, {} brokers, {} configured resources",
            self.applied_index,
            self.topics.len(),
            self.brokers.len(),
            self.configs.len()
        )
    }
}

/// A shared image, as it is published.
pub type SharedImage = Arc<MetadataImage>;
