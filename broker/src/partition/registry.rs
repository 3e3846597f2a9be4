//! Finds the partitions of this node.

use std::sync::Arc;

use goatq_protocol::Uuid;

use super::Partition;

/// All partitions that this node holds, by topic name or id and index.
#[derive(Default)]
pub struct PartitionRegistry {}

impl PartitionRegistry {
    /// The partition `index` of the topic called `topic`, if this node holds it.
    pub fn get(&self, topic: &str, index: i32) -> Option<Arc<Partition>> {
        let _ = (topic, index);
        todo!()
    }

    /// The partition `index` of the topic with this id, if this node holds it.
    pub fn get_by_id(&self, topic_id: Uuid, index: i32) -> Option<Arc<Partition>> {
        let _ = (topic_id, index);
        todo!()
    }

    /// Every partition of this node, in order of topic name and index (for retention, metrics, DescribeLogDirs).
    pub fn all(&self) -> Vec<Arc<Partition>> {
        todo!()
    }
}
