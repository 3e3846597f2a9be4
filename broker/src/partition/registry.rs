//! Finds the partitions of this node.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use goatq_protocol::Uuid;
use parking_lot::RwLock;

use super::Partition;

/// The partitions of one topic that this node holds. Never changes: the registry replaces it.
#[derive(Debug)]
pub struct TopicPartitions {
    name: Arc<str>,
    id: Uuid,
    partitions: BTreeMap<i32, Arc<Partition>>,
}

impl TopicPartitions {
    /// Name of the topic.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Id of the topic.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The partition with this index, if this node holds it.
    pub fn get(&self, index: i32) -> Option<&Arc<Partition>> {
        self.partitions.get(&index)
    }
}

/// All partitions that this node holds, by topic name or id and index.
#[derive(Debug, Default)]
pub struct PartitionRegistry {
    topics: RwLock<Topics>,
}

#[derive(Debug, Default)]
struct Topics {
    by_name: HashMap<Arc<str>, Arc<TopicPartitions>>,
    by_id: HashMap<Uuid, Arc<TopicPartitions>>,
}

impl PartitionRegistry {
    /// The partitions of the topic called `name`.
    pub fn topic(&self, name: &str) -> Option<Arc<TopicPartitions>> {
        self.topics.read().by_name.get(name).cloned()
    }

    /// The partitions of the topic with this id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<Arc<TopicPartitions>> {
        self.topics.read().by_id.get(&id).cloned()
    }

    /// The partition `index` of the topic called `topic`, if this node holds it.
    pub fn get(&self, topic: &str, index: i32) -> Option<Arc<Partition>> {
        self.topics.read().by_name.get(topic)?.get(index).cloned()
    }

    /// The partition `index` of the topic with this id, if this node holds it.
    pub fn get_by_id(&self, topic_id: Uuid, index: i32) -> Option<Arc<Partition>> {
        self.topics.read().by_id.get(&topic_id)?.get(index).cloned()
    }

    /// Every partition of this node, in order of topic name and index (for retention, metrics, DescribeLogDirs).
    pub fn all(&self) -> Vec<Arc<Partition>> {
        let mut topics: Vec<_> = self.topics.read().by_id.values().cloned().collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        topics.iter().flat_map(|topic| topic.partitions.values().cloned()).collect()
    }

    /// Takes a partition in, in place of one with the same topic id and index.
    pub fn insert(&self, partition: Arc<Partition>) {
        let id = partition.topic_id();
        let mut topics = self.topics.write();
        let mut partitions = topics.by_id.get(&id).map(|topic| topic.partitions.clone()).unwrap_or_default();
        let name = Arc::clone(&partition.name.topic);
        partitions.insert(partition.index(), partition);
        topics.set(TopicPartitions { name, id, partitions });
    }

    /// Takes a partition out and closes it: who waits on it is told.
    pub fn remove(&self, topic_id: Uuid, index: i32) -> Option<Arc<Partition>> {
        let removed = {
            let mut topics = self.topics.write();
            let topic = topics.by_id.get(&topic_id)?;
            let mut partitions = topic.partitions.clone();
            let removed = partitions.remove(&index)?;
            let name = Arc::clone(&topic.name);
            topics.set(TopicPartitions { name, id: topic_id, partitions });
            removed
        };
        removed.close();
        Some(removed)
    }
}

impl Topics {
    fn set(&mut self, topic: TopicPartitions) {
        let (name, id) = (Arc::clone(&topic.name), topic.id);
        // A topic that was deleted and made again has the old one's name, but the name leads to the new one only.
        let owns_name = self.by_name.get(&name).is_none_or(|named| named.id == id || !topic.partitions.is_empty());
        if topic.partitions.is_empty() {
            self.by_id.remove(&id);
            if owns_name {
                self.by_name.remove(&name);
            }
            return;
        }
        let topic = Arc::new(topic);
        self.by_id.insert(id, Arc::clone(&topic));
        self.by_name.insert(name, topic);
    }
}
