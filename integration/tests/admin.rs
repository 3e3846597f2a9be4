//! Administration of a cluster over the wire: elections, replicas that move, brokers and voters that come and go, against real
//! processes.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of real processes waits in real time")]

use std::collections::BTreeSet;

use anyhow::Context;
use goatq_integration::client::{self, PATIENCE};
use goatq_integration::cluster::{self, Cluster, ask, metadata, until};
use goatq_integration::node::Node;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::alter_partition_reassignments::{ReassignablePartition, ReassignableTopic};
use goatq_protocol::message::create_topics::{CreatableReplicaAssignment, CreatableTopic};
use goatq_protocol::message::elect_leaders::TopicPartitions;
use goatq_protocol::message::list_partition_reassignments::{
    ListPartitionReassignmentsTopics, OngoingPartitionReassignment,
};
use goatq_protocol::message::metadata::MetadataResponsePartition;
use goatq_protocol::message::{
    AlterPartitionReassignmentsRequest, CreateTopicsRequest, ElectLeadersRequest, ListPartitionReassignmentsRequest,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

/// Waits until a node shows clients that many brokers.
fn shows_brokers(node: &Node, count: usize) {
    until("all brokers are shown", || Ok((metadata(node)?.brokers.len() == count).then_some(()))).unwrap();
}

/// Creates a topic with its replicas chosen by hand.
fn create(node: &Node, name: &str, replicas: &[&[i32]]) {
    let assignments = (0..).zip(replicas).map(|(partition_index, replicas)| CreatableReplicaAssignment {
        partition_index,
        broker_ids: replicas.to_vec(),
    });
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: assignments.collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 15_000, ..CreateTopicsRequest::default() };
    let answer = ask(node, &request, 7).unwrap();
    assert_eq!(answer.topics[0].error_code, 0, "{answer:?}");
}

fn partition(node: &Node, topic: &str) -> anyhow::Result<MetadataResponsePartition> {
    cluster::partition(node, topic, 0)?.with_context(|| format!("no {topic}"))
}

/// Asks for other replicas of partition 0 of a topic: error codes of the request and of the partition.
fn reassign(node: &Node, topic: &str, replicas: Option<&[i32]>, version: i16, change_factor: bool) -> (i16, i16) {
    let partitions = vec![ReassignablePartition { partition_index: 0, replicas: replicas.map(<[i32]>::to_vec) }];
    let request = AlterPartitionReassignmentsRequest {
        timeout_ms: 15_000,
        allow_replication_factor_change: change_factor,
        topics: vec![ReassignableTopic { name: topic.into(), partitions }],
    };
    let answer = ask(node, &request, version).unwrap();
    let partition = answer.responses.first().map(|topic| &topic.partitions[0]);
    (answer.error_code, partition.map_or(0, |partition| partition.error_code))
}

/// What is being moved.
fn moving(node: &Node, topics: Option<&[&str]>) -> Vec<(String, OngoingPartitionReassignment)> {
    let wanted = topics.map(|topics| {
        let named =
            |name: &&str| ListPartitionReassignmentsTopics { name: (*name).into(), partition_indexes: vec![0, 7] };
        topics.iter().map(named).collect()
    });
    let answer = ask(node, &ListPartitionReassignmentsRequest { topics: wanted, timeout_ms: 15_000 }, 0).unwrap();
    assert_eq!(answer.error_code, 0);
    let each = answer.topics.into_iter();
    each.flat_map(|topic| topic.partitions.into_iter().map(move |one| (topic.name.to_string(), one))).collect()
}

/// Asks for an election of partition 0: error codes of the request and of the partition, and the message.
fn elect(node: &Node, topic: &str, election_type: i8) -> (i16, i16, Option<String>) {
    let partitions = vec![TopicPartitions { topic: topic.into(), partitions: vec![0] }];
    let request = ElectLeadersRequest { election_type, topic_partitions: Some(partitions), timeout_ms: 15_000 };
    let answer = ask(node, &request, 2).unwrap();
    let result = answer.replica_election_results.first().map(|topic| topic.partition_result[0].clone());
    let result = result.unwrap_or_default();
    (answer.error_code, result.error_code, result.error_message.map(|message| message.to_string()))
}

fn write(node: &Node, topic: &str, values: std::ops::Range<i32>) {
    let mut config = client::config(node);
    config.set("enable.idempotence", "true").set("acks", "all");
    let producer: BaseProducer = config.create().unwrap();
    for value in values {
        producer.send(BaseRecord::<[u8], _>::to(topic).payload(&value.to_string()).partition(0)).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

fn read(node: &Node, topic: &str, count: i32) -> BTreeSet<i32> {
    let mut config = client::config(node);
    config.set("group.id", "readers").set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut assignment = rdkafka::TopicPartitionList::new();
    assignment.add_partition_offset(topic, 0, rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&assignment).unwrap();
    let value = |_| std::str::from_utf8(client::next(&consumer).unwrap().payload().unwrap()).unwrap().parse().unwrap();
    (0..count).map(value).collect()
}

/// Waits until partition 0 of a topic has these replicas, all in sync and the first of them leading or not, and nothing moves any more.
fn settles(node: &Node, topic: &str, replicas: &[i32]) {
    until("the replicas have moved", || {
        let now = partition(node, topic)?;
        let in_sync: BTreeSet<_> = now.isr_nodes.iter().collect();
        let there = now.replica_nodes == replicas && in_sync == replicas.iter().collect();
        Ok((there && now.leader_id != -1 && moving(node, None).is_empty()).then_some(()))
    })
    .unwrap();
}

#[test]
fn replicas_move_to_other_brokers() {
    let cluster = Cluster::start(3).unwrap();
    let node = &cluster.nodes[0];
    shows_brokers(node, 3);
    create(node, "moved", &[&[1]]);
    write(node, "moved", 0..100);
    assert_eq!(moving(node, None), []);

    // What Kafka refuses, with its codes.
    let code = |error: ErrorCode| (0, error.code());
    assert_eq!(reassign(node, "moved", None, 0, true), code(ErrorCode::NoReassignmentInProgress));
    assert_eq!(reassign(node, "moved", Some(&[]), 0, true), code(ErrorCode::InvalidReplicaAssignment));
    assert_eq!(reassign(node, "moved", Some(&[2, 2]), 0, true), code(ErrorCode::InvalidReplicaAssignment));
    assert_eq!(reassign(node, "moved", Some(&[9]), 0, true), code(ErrorCode::InvalidReplicaAssignment));
    assert_eq!(reassign(node, "nope", Some(&[2]), 0, true), code(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(reassign(node, "moved", Some(&[2, 3]), 1, false), code(ErrorCode::InvalidReplicationFactor));
    assert_eq!(partition(node, "moved").unwrap().replica_nodes, [1]);

    // To another broker, asked of a node that is neither the old nor the new one.
    assert_eq!(reassign(&cluster.nodes[2], "moved", Some(&[2]), 1, false), (0, 0));
    settles(node, "moved", &[2]);
    assert_eq!(partition(node, "moved").unwrap().leader_id, 2);
    write(node, "moved", 100..200);
    assert_eq!(read(&cluster.nodes[2], "moved", 200), (0..200).collect());

    // More replicas, and another order of them: who leads stays until somebody asks.
    assert_eq!(reassign(node, "moved", Some(&[3, 1, 2]), 1, true), (0, 0));
    settles(node, "moved", &[3, 1, 2]);
    assert_eq!(partition(node, "moved").unwrap().leader_id, 2);
    assert_eq!(elect(node, "nope", 0).1, ErrorCode::UnknownTopicOrPartition.code());
    assert_eq!(elect(node, "moved", 2).0, ErrorCode::InvalidRequest.code());
    assert_eq!(elect(node, "moved", 1).1, ErrorCode::ElectionNotNeeded.code());
    assert_eq!(elect(node, "moved", 0), (0, 0, None));
    assert_eq!(partition(node, "moved").unwrap().leader_id, 3);
    assert_eq!(elect(node, "moved", 0).1, ErrorCode::ElectionNotNeeded.code());
    write(node, "moved", 200..300);
    assert_eq!(read(node, "moved", 300), (0..300).collect());
}

#[test]
fn what_waits_for_a_dead_broker_can_be_taken_back_and_led_by_who_is_left() {
    let mut cluster = Cluster::start(3).unwrap();
    shows_brokers(&cluster.nodes[0], 3);
    create(&cluster.nodes[0], "stuck", &[&[1]]);
    create(&cluster.nodes[0], "torn", &[&[3, 1]]);
    write(&cluster.nodes[0], "stuck", 0..10);
    cluster.nodes[2].kill().unwrap();
    let node = &cluster.nodes[0];
    shows_brokers(node, 2);

    assert_eq!(reassign(node, "stuck", Some(&[3]), 1, true), (0, 0));
    let expected = OngoingPartitionReassignment {
        partition_index: 0,
        replicas: vec![3, 1],
        adding_replicas: vec![3],
        removing_replicas: vec![1],
    };
    assert_eq!(moving(node, None), [("stuck".to_owned(), expected.clone())]);
    assert_eq!(moving(node, Some(&["stuck", "nope"])), [("stuck".to_owned(), expected)]);
    assert_eq!(moving(node, Some(&["torn"])), []);
    write(node, "stuck", 10..20);
    assert_eq!(reassign(node, "stuck", None, 1, true), (0, 0));
    settles(node, "stuck", &[1]);
    assert_eq!(read(node, "stuck", 20), (0..20).collect());
    assert_eq!(elect(node, "torn", 0).1, ErrorCode::PreferredLeaderNotAvailable.code());
}
