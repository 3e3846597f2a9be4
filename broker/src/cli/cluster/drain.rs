//! Where the replicas of a broker go that shall have none: pure.
//!
//! Each goes to the broker that has the fewest, in a rack that the partition is not in yet if there is one, and takes the place in the order
//! of preference that it had: leaders stay as evenly spread as they were.

use std::collections::{BTreeMap, BTreeSet};

use goatq_protocol::message::MetadataResponse;

/// One partition with the replicas that it has and shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) from: Vec<i32>,
    pub(super) to: Vec<i32>,
}

/// Moves, and the partitions for which there is no other broker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) moves: Vec<Move>,
    pub(super) stuck: Vec<(String, i32)>,
}

/// What it takes to have no replica on `drained` any more. Only brokers that serve are in `metadata`.
pub(super) fn plan(metadata: &MetadataResponse, drained: i32) -> Plan {
    let racks: BTreeMap<i32, Option<&str>> =
        metadata.brokers.iter().map(|broker| (broker.node_id, broker.rack.as_deref())).collect();
    let mut load: BTreeMap<i32, usize> = racks.keys().filter(|id| **id != drained).map(|id| (*id, 0)).collect();
    let partitions = || {
        let named = metadata.topics.iter().filter_map(|topic| Some((topic.name.as_deref()?, &topic.partitions)));
        named.flat_map(|(name, partitions)| partitions.iter().map(move |partition| (name, partition)))
    };
    for (_, partition) in partitions() {
        for replica in &partition.replica_nodes {
            load.entry(*replica).and_modify(|count| *count += 1);
        }
    }
    let mut plan = Plan::default();
    for (topic, partition) in partitions().filter(|(_, partition)| partition.replica_nodes.contains(&drained)) {
        let from = &partition.replica_nodes;
        let rack_of = |id: &i32| racks.get(id).copied().flatten();
        let used: BTreeSet<_> = from.iter().filter(|id| **id != drained).filter_map(rack_of).collect();
        let free = load.iter().filter(|(id, _)| !from.contains(id));
        let best = free.min_by_key(|(id, count)| (rack_of(id).is_some_and(|rack| used.contains(rack)), **count, **id));
        let Some(target) = best.map(|(id, _)| *id) else {
            plan.stuck.push((topic.to_owned(), partition.partition_index));
            continue;
        };
        load.entry(target).and_modify(|count| *count += 1);
        let to = from.iter().map(|id| if *id == drained { target } else { *id }).collect();
        plan.moves.push(Move { topic: topic.to_owned(), partition: partition.partition_index, from: from.clone(), to });
    }
    plan
}

#[cfg(test)]
mod tests {
    use goatq_protocol::message::metadata::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};

    use super::*;

    fn metadata(brokers: &[(i32, &str)], partitions: &[&[i32]]) -> MetadataResponse {
        let brokers = brokers.iter().map(|(id, rack)| MetadataResponseBroker {
            node_id: *id,
            rack: (!rack.is_empty()).then(|| (*rack).into()),
            ..MetadataResponseBroker::default()
        });
        let partitions = (0..).zip(partitions).map(|(partition_index, replicas)| MetadataResponsePartition {
            partition_index,
            replica_nodes: replicas.to_vec(),
            ..MetadataResponsePartition::default()
        });
        let topic = MetadataResponseTopic {
            name: Some("t".into()),
            partitions: partitions.collect(),
            ..MetadataResponseTopic::default()
        };
        MetadataResponse { brokers: brokers.collect(), topics: vec![topic], ..MetadataResponse::default() }
    }

    fn targets(metadata: &MetadataResponse, drained: i32) -> Vec<Vec<i32>> {
        plan(metadata, drained).moves.into_iter().map(|one| one.to).collect()
    }

    #[test]
    fn replicas_go_where_there_are_fewest_and_keep_their_place() {
        let even = metadata(&[(1, ""), (2, ""), (3, ""), (4, "")], &[&[1, 2], &[2, 3], &[3, 1], &[1, 3], &[4, 2]]);
        assert_eq!(targets(&even, 1), [vec![4, 2], vec![3, 4], vec![2, 3]]);
        assert_eq!(targets(&even, 9), Vec::<Vec<i32>>::new());
    }

    #[test]
    fn replicas_stay_in_different_racks_where_they_can() {
        let racks = metadata(&[(1, "a"), (2, "b"), (3, "b"), (4, "a")], &[&[1, 2], &[4, 3], &[4], &[4], &[1, 4]]);
        assert_eq!(targets(&racks, 1), [vec![4, 2], vec![2, 4]]);
        let no_choice = metadata(&[(1, "a"), (2, "b"), (3, "b")], &[&[1, 2]]);
        assert_eq!(targets(&no_choice, 1), [vec![3, 2]]);
    }

    #[test]
    fn what_has_nowhere_to_go_is_told() {
        let full = metadata(&[(1, ""), (2, "")], &[&[1, 2], &[1]]);
        let plan = plan(&full, 1);
        assert_eq!(plan.stuck, [("t".to_owned(), 0)]);
        assert_eq!(plan.moves.len(), 1);
    }
}
