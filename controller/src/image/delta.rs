//! What differs between two images.

use std::sync::Arc;

use bytestring::ByteString;
use goatq_protocol::Uuid;

use super::{ConfigResource, MetadataImage, TopicImage};

/// One topic that is not the same in two images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicChange {
    /// The topic's id.
    pub id: Uuid,
    /// The topic's name.
    pub name: ByteString,
    /// As it was; `None` for a new topic.
    pub before: Option<Arc<TopicImage>>,
    /// As it is; `None` for a deleted topic.
    pub after: Option<Arc<TopicImage>>,
    /// Numbers of the partitions that are new or differ, in order; of a deleted topic, all.
    pub partitions: Vec<i32>,
}

/// What differs between two images, found in time that follows what changed and not what there is.
///
/// It serves any two images: who was slow and missed images in between gets the sum. A topic that was deleted and made again
/// under the same name is two changes, one for each id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataDelta {
    /// Topics that were made, deleted or changed, deleted ones first.
    pub topics: Vec<TopicChange>,
    /// Ids of brokers that were registered, changed or unregistered.
    pub brokers: Vec<i32>,
    /// Resources whose configuration changed.
    pub configs: Vec<ConfigResource>,
    /// Whether some feature level changed.
    pub features: bool,
}

impl MetadataDelta {
    /// What happened from `before` to `after`.
    pub fn between(before: &MetadataImage, after: &MetadataImage) -> MetadataDelta {
        let mut delta = MetadataDelta { features: before.features != after.features, ..MetadataDelta::default() };
        before.topics.ids().diff(after.topics.ids(), |id, old, new| {
            delta.topics.extend(topic_change(*id, old, new));
        });
        delta.topics.sort_by_key(|change| change.after.is_some());
        before.brokers.map().diff(after.brokers.map(), |id, old, new| {
            if old != new {
                delta.brokers.push(*id);
            }
        });
        before.configs.map().diff(after.configs.map(), |resource, old, new| {
            if old != new {
                delta.configs.push(resource.clone());
            }
        });
        delta
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.brokers.is_empty() && self.configs.is_empty() && !self.features
    }
}

fn topic_change(id: Uuid, old: Option<&Arc<TopicImage>>, new: Option<&Arc<TopicImage>>) -> Option<TopicChange> {
    if let (Some(old), Some(new)) = (old, new)
        && (Arc::ptr_eq(old, new) || old == new)
    {
        return None;
    }
    let partitions = match (old, new) {
        (Some(old), Some(new)) => changed_partitions(old, new),
        (Some(only), None) | (None, Some(only)) => (0..only.partition_count()).collect(),
        (None, None) => return None,
    };
    let name = new.or(old).map(|topic| topic.name.clone())?;
    Some(TopicChange { id, name, before: old.cloned(), after: new.cloned(), partitions })
}

/// Partitions never go away, so what is in the new topic is all there is.
fn changed_partitions(old: &TopicImage, new: &TopicImage) -> Vec<i32> {
    let same = |partition: i32| match (old.partition(partition), new.partition(partition)) {
        (Some(old), Some(new)) => std::ptr::eq(old, new) || old == new,
        _ => false,
    };
    (0..new.partition_count()).filter(|partition| !same(*partition)).collect()
}
