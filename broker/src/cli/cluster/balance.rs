//! Replicas moved by hand with the balancer's own rule: what a cluster answers becomes its [`Load`], and a plan becomes requests.

use std::collections::{BTreeMap, BTreeSet};

use goatq_controller::balance::{BrokerLoad, Load, PartitionLoad, ReplicaChange, Standing};
use goatq_protocol::message::alter_partition_reassignments::{ReassignablePartition, ReassignableTopic};
use goatq_protocol::message::describe_log_dirs::DescribeLogDirsResult;
use goatq_protocol::message::{
    AlterPartitionReassignmentsRequest, DescribeClusterResponse, ListPartitionReassignmentsResponse, MetadataResponse,
};

use super::TIMEOUT_MS;

/// What brokers answered.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) cluster: DescribeClusterResponse,
    pub(super) metadata: MetadataResponse,
    pub(super) moving: ListPartitionReassignmentsResponse,
    /// Log directories of each broker that was reached.
    pub(super) directories: BTreeMap<i32, Vec<DescribeLogDirsResult>>,
    /// Brokers that shall have no replicas.
    pub(super) drained: BTreeSet<i32>,
}

impl Answers {
    /// The cluster as the balancer sees it. Who is fenced keeps what it has.
    pub(super) fn load(&self) -> Load {
        let brokers = self.cluster.brokers.iter().map(|broker| {
            let directories = self.directories.get(&broker.broker_id);
            let cordoned = directories.is_some_and(|all| !all.is_empty() && all.iter().all(|one| one.is_cordoned));
            let standing = match () {
                () if self.drained.contains(&broker.broker_id) => Standing::Drained,
                () if broker.is_fenced => Standing::Away,
                () if cordoned => Standing::Cordoned,
                () => Standing::Serving,
            };
            let usable = |all: &Vec<DescribeLogDirsResult>| {
                all.iter().filter_map(|one| u64::try_from(one.usable_bytes).ok()).sum()
            };
            (broker.broker_id, BrokerLoad { rack: broker.rack.clone(), standing, free_bytes: directories.map(usable) })
        });
        Load { brokers: brokers.collect(), partitions: self.partitions() }
    }

    fn partitions(&self) -> Vec<PartitionLoad> {
        let mut sizes: BTreeMap<(&str, i32), u64> = BTreeMap::new();
        for topic in self.directories.values().flatten().flat_map(|directory| &directory.topics) {
            for partition in &topic.partitions {
                let size = sizes.entry((&topic.name, partition.partition_index)).or_default();
                *size = (*size).max(u64::try_from(partition.partition_size).unwrap_or(0));
            }
        }
        let mut moving = BTreeMap::new();
        for topic in &self.moving.topics {
            moving.extend(
                topic.partitions.iter().map(|partition| ((&*topic.name, partition.partition_index), partition)),
            );
        }
        let topics = self.metadata.topics.iter().filter_map(|topic| Some((topic.name.as_ref()?, &topic.partitions)));
        topics
            .flat_map(|(name, partitions)| partitions.iter().map(move |partition| (name, partition)))
            .map(|(name, partition)| {
                let key = (&**name, partition.partition_index);
                let moves = moving.get(&key);
                let stays = |replica: &i32| moves.is_none_or(|moves| !moves.removing_replicas.contains(replica));
                PartitionLoad {
                    topic: name.clone(),
                    partition: partition.partition_index,
                    replicas: partition.replica_nodes.iter().copied().filter(stays).collect(),
                    in_sync: partition.isr_nodes.clone(),
                    leader: partition.leader_id,
                    adding: moves.map(|moves| moves.adding_replicas.clone()).unwrap_or_default(),
                    moving: moves.is_some(),
                    bytes: sizes.get(&key).copied().unwrap_or(0),
                }
            })
            .collect()
    }
}

/// Changes of replicas as a request.
pub(super) fn reassignment(changes: &[ReplicaChange]) -> AlterPartitionReassignmentsRequest {
    let mut topics: BTreeMap<&str, Vec<ReassignablePartition>> = BTreeMap::new();
    for change in changes {
        let partition = ReassignablePartition { partition_index: change.partition, replicas: Some(change.to.clone()) };
        topics.entry(&change.topic).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(name, partitions)| ReassignableTopic { name: name.into(), partitions });
    AlterPartitionReassignmentsRequest {
        timeout_ms: TIMEOUT_MS,
        allow_replication_factor_change: false,
        topics: topics.collect(),
    }
}

#[cfg(test)]
mod tests {
    use goatq_controller::balance::{Goals, Limits, plan};
    use goatq_protocol::message::describe_cluster::DescribeClusterBroker;
    use goatq_protocol::message::metadata::{MetadataResponsePartition, MetadataResponseTopic};

    use super::*;

    fn answers(brokers: &[(i32, &str)], partitions: &[&[i32]]) -> Answers {
        let brokers = brokers.iter().map(|(id, rack)| DescribeClusterBroker {
            broker_id: *id,
            rack: (!rack.is_empty()).then(|| (*rack).into()),
            ..DescribeClusterBroker::default()
        });
        let partitions = (0..).zip(partitions).map(|(partition_index, replicas)| MetadataResponsePartition {
            partition_index,
            leader_id: replicas[0],
            replica_nodes: replicas.to_vec(),
            isr_nodes: replicas.to_vec(),
            ..MetadataResponsePartition::default()
        });
        let topic = MetadataResponseTopic {
            name: Some("t".into()),
            partitions: partitions.collect(),
            ..MetadataResponseTopic::default()
        };
        Answers {
            cluster: DescribeClusterResponse { brokers: brokers.collect(), ..DescribeClusterResponse::default() },
            metadata: MetadataResponse { topics: vec![topic], ..MetadataResponse::default() },
            ..Answers::default()
        }
    }

    fn drained(mut answers: Answers, broker: i32) -> (Vec<Vec<i32>>, usize) {
        answers.drained.insert(broker);
        let plan = plan(&answers.load(), Goals::Repair, &Limits::UNBOUNDED);
        (plan.changes.into_iter().map(|change| change.to).collect(), plan.stuck.len())
    }

    #[test]
    fn replicas_go_where_there_are_fewest_and_keep_their_place() {
        let even = || answers(&[(1, ""), (2, ""), (3, ""), (4, "")], &[&[1, 2], &[2, 3], &[3, 1], &[1, 3], &[4, 2]]);
        assert_eq!(drained(even(), 1), (vec![vec![4, 2], vec![3, 4], vec![2, 3]], 0));
        assert_eq!(drained(even(), 9), (vec![], 0));
    }

    #[test]
    fn replicas_stay_in_different_racks_where_they_can() {
        let racks = answers(&[(1, "a"), (2, "b"), (3, "b"), (4, "a")], &[&[1, 2], &[4, 3], &[4], &[4], &[1, 4]]);
        assert_eq!(drained(racks, 1), (vec![vec![4, 2], vec![2, 4]], 0));
        let no_choice = answers(&[(1, "a"), (2, "b"), (3, "b")], &[&[1, 2]]);
        assert_eq!(drained(no_choice, 1), (vec![vec![3, 2]], 0));
    }

    #[test]
    fn what_has_nowhere_to_go_is_told() {
        let full = answers(&[(1, ""), (2, "")], &[&[1, 2], &[1]]);
        assert_eq!(drained(full, 1), (vec![vec![2]], 1));
    }
}
