//! What a change of the metadata means for this node's partitions: pure, from images to steps.

use std::collections::BTreeSet;

use bytestring::ByteString;
use goatq_controller::image::{ConfigKind, MetadataDelta, MetadataImage, TopicChange};
use goatq_protocol::Uuid;

/// One partition of one incarnation of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartitionKey {
    /// Name of the topic.
    pub(crate) topic: ByteString,
    /// Id of the topic.
    pub(crate) id: Uuid,
    /// Index of the partition.
    pub(crate) index: i32,
}

/// Steps, to be taken in the order of the fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Whether what is set for brokers at run time changed for this one.
    pub(crate) broker_config: bool,
    /// Partitions that are not this node's any more: to be closed, their logs deleted.
    pub(crate) remove: Vec<PartitionKey>,
    /// Topics that no longer exist.
    pub(crate) forget: Vec<ByteString>,
    /// Partitions that this node has to have; those that are open already only take the new assignment.
    pub(crate) keep: Vec<PartitionKey>,
    /// Topics whose configuration changed.
    pub(crate) reconfigure: BTreeSet<String>,
}

/// What has to be done on node `node_id` to get from `before` to `after`.
pub(crate) fn plan(before: &MetadataImage, after: &MetadataImage, node_id: i32) -> Plan {
    let delta = MetadataDelta::between(before, after);
    let mut plan = Plan::default();
    for change in &delta.topics {
        plan_topic(&mut plan, change, node_id);
    }
    for resource in delta.configs {
        match resource.kind {
            ConfigKind::Topic => {
                plan.reconfigure.insert(resource.name);
            }
            ConfigKind::Broker => {
                plan.broker_config |= resource.name.is_empty() || resource.name.parse() == Ok(node_id)
            }
            ConfigKind::Group | ConfigKind::ClientMetrics => {}
        }
    }
    plan
}

fn plan_topic(plan: &mut Plan, change: &TopicChange, node_id: i32) {
    if change.after.is_none() {
        plan.forget.push(change.name.clone());
    }
    for &index in &change.partitions {
        let has = |topic: &Option<std::sync::Arc<goatq_controller::image::TopicImage>>| {
            let partition = topic.as_ref().and_then(|topic| topic.partition(index));
            partition.is_some_and(|partition| partition.replicas.contains(&node_id))
        };
        let key = PartitionKey { topic: change.name.clone(), id: change.id, index };
        match (has(&change.before), has(&change.after)) {
            (_, true) => plan.keep.push(key),
            (true, false) => plan.remove.push(key),
            (false, false) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use goatq_controller::image::ConfigResource;
    use goatq_controller::record::{
        ConfigRecord, MetadataRecord, PartitionChangeRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
    };
    use goatq_controller::replay::replay;

    use super::*;

    fn image(records: &[MetadataRecord]) -> MetadataImage {
        let mut image = MetadataImage::default();
        for record in records {
            replay(&mut image, record).unwrap();
        }
        image
    }

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn topic(name: &str, n: u128, replicas: &[&[i32]]) -> Vec<MetadataRecord> {
        let mut records = vec![TopicRecord { name: name.to_owned().into(), topic_id: id(n) }.into()];
        for (index, replicas) in (0..).zip(replicas) {
            let record = PartitionRecord {
                topic_id: id(n),
                partition_id: index,
                replicas: replicas.to_vec(),
                isr: replicas.to_vec(),
                leader: replicas[0],
                directories: vec![Uuid::ZERO; replicas.len()],
                ..Default::default()
            };
            records.push(record.into());
        }
        records
    }

    fn key(topic: &str, n: u128, index: i32) -> PartitionKey {
        PartitionKey { topic: topic.to_owned().into(), id: id(n), index }
    }

    #[test]
    fn topics_come_and_go() {
        let empty = MetadataImage::default();
        let one = image(&topic("a", 11, &[&[1, 2], &[2, 3], &[3, 1]]));
        let made = plan(&empty, &one, 1);
        assert_eq!(made.keep, [key("a", 11, 0), key("a", 11, 2)]);
        assert_eq!((made.remove, made.forget.len()), (vec![], 0));
        let deleted = plan(&one, &empty, 1);
        assert_eq!(deleted.remove, [key("a", 11, 0), key("a", 11, 2)]);
        assert_eq!(deleted.forget, ["a"]);
        assert_eq!(plan(&one, &one, 1), Plan::default());
    }

    #[test]
    fn a_topic_made_again_is_another_one() {
        let old = topic("a", 11, &[&[1]]);
        let mut new = old.clone();
        new.push(RemoveTopicRecord { topic_id: id(11) }.into());
        new.extend(topic("a", 12, &[&[1]]));
        let found = plan(&image(&old), &image(&new), 1);
        assert_eq!((found.remove, found.keep), (vec![key("a", 11, 0)], vec![key("a", 12, 0)]));
    }

    #[test]
    fn replicas_move() {
        let before = topic("a", 11, &[&[1], &[1]]);
        let mut after = before.clone();
        let moved = PartitionChangeRecord {
            topic_id: id(11),
            partition_id: 1,
            replicas: Some(vec![2]),
            isr: Some(vec![2]),
            leader: 2,
            directories: Some(vec![Uuid::ZERO]),
            ..Default::default()
        };
        after.push(moved.into());
        let (before, after) = (image(&before), image(&after));
        assert_eq!(plan(&before, &after, 1).remove, [key("a", 11, 1)]);
        assert_eq!(plan(&before, &after, 2).keep, [key("a", 11, 1)]);
    }

    #[test]
    fn configurations_that_concern_this_node() {
        let set = |resource: ConfigResource| {
            let record = ConfigRecord {
                resource_type: resource.kind.id(),
                resource_name: resource.name.into(),
                key: "k".into(),
                value: Some("v".into()),
            };
            plan(&MetadataImage::default(), &image(&[record.into()]), 1)
        };
        assert!(set(ConfigResource::broker(1)).broker_config);
        assert!(set(ConfigResource::all_brokers()).broker_config);
        assert!(!set(ConfigResource::broker(2)).broker_config);
        assert_eq!(set(ConfigResource::topic("a")).reconfigure, BTreeSet::from(["a".to_owned()]));
        assert_eq!(set(ConfigResource::group("a")), Plan::default());
    }
}
