//! Administration of a cluster over the wire: elections, replicas that move, brokers and voters that come and go, against real
//! processes.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of real processes waits in real time")]

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::Context;
use goatq_integration::client::{self, PATIENCE};
use goatq_integration::cluster::{self, CLUSTER_ID, Cluster, ask, brokers_serve, quorum, until};
use goatq_integration::node::{self, Node};
use goatq_protocol::message::add_raft_voter::Listener;
use goatq_protocol::message::alter_partition_reassignments::{ReassignablePartition, ReassignableTopic};
use goatq_protocol::message::create_topics::{CreatableReplicaAssignment, CreatableTopic};
use goatq_protocol::message::elect_leaders::TopicPartitions;
use goatq_protocol::message::list_partition_reassignments::{
    ListPartitionReassignmentsTopics, OngoingPartitionReassignment,
};
use goatq_protocol::message::metadata::MetadataResponsePartition;
use goatq_protocol::message::{
    AddRaftVoterRequest, AlterPartitionReassignmentsRequest, CreateTopicsRequest, ElectLeadersRequest,
    ListPartitionReassignmentsRequest, RemoveRaftVoterRequest, UnregisterBrokerRequest, UnregisterControllerRequest,
};
use goatq_protocol::{ErrorCode, Uuid};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

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
    brokers_serve(node, 3).unwrap();
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
    brokers_serve(&cluster.nodes[0], 3).unwrap();
    create(&cluster.nodes[0], "stuck", &[&[1]]);
    create(&cluster.nodes[0], "torn", &[&[3, 1]]);
    write(&cluster.nodes[0], "stuck", 0..10);
    cluster.nodes[2].kill().unwrap();
    let node = &cluster.nodes[0];
    brokers_serve(node, 2).unwrap();

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

/// Asks for a vote for a node; the error code.
fn add_voter(node: &Node, id: i32, directory: Uuid, cluster: &str) -> i16 {
    let listener = Listener { name: "CONTROLLER".into(), host: "localhost".into(), port: 1 };
    let request = AddRaftVoterRequest {
        cluster_id: Some(cluster.into()),
        timeout_ms: 15_000,
        voter_id: id,
        voter_directory_id: directory,
        listeners: vec![listener],
        ack_when_committed: true,
    };
    ask(node, &request, 1).unwrap().error_code
}

fn remove_voter(node: &Node, id: i32, directory: Uuid) -> i16 {
    let request = RemoveRaftVoterRequest { cluster_id: None, voter_id: id, voter_directory_id: directory };
    ask(node, &request, 0).unwrap().error_code
}

fn unregister(node: &Node, broker_id: i32) -> i16 {
    ask(node, &UnregisterBrokerRequest { broker_id }, 0).unwrap().error_code
}

/// Node ids with the directories of their logs.
type Members = Vec<(i32, Uuid)>;

/// Voters and observers with their directories, once all of them have said which those are.
fn members(node: &Node) -> (Members, Members) {
    until("all directories are known", || {
        let seen = quorum(node)?;
        let list = |nodes: &[goatq_protocol::message::describe_quorum::DescribeQuorumReplica]| {
            nodes.iter().map(|node| (node.replica_id, node.replica_directory_id)).collect::<Vec<_>>()
        };
        let (voters, observers) = (list(&seen.current_voters), list(&seen.observers));
        Ok(voters.iter().all(|(_, directory)| !directory.is_zero()).then_some((voters, observers)))
    })
    .unwrap()
}

fn ids(members: &[(i32, Uuid)]) -> Vec<i32> {
    members.iter().map(|(id, _)| *id).collect()
}

#[test]
fn voters_and_brokers_come_and_go() {
    let mut cluster = Cluster::start(3).unwrap();
    brokers_serve(&cluster.nodes[0], 3).unwrap();
    create(&cluster.nodes[0], "kept", &[&[2]]);

    // One that joins by hand, one by itself.
    let by_hand = cluster.start_controller(4, &[]).unwrap();
    brokers_serve(&by_hand, 4).unwrap();
    let (voters, observers) = members(&by_hand);
    assert_eq!((ids(&voters), ids(&observers)), (vec![1, 2, 3], vec![4]));
    let fourth = observers[0].1;
    assert_eq!(add_voter(&by_hand, 4, fourth, "sheep"), ErrorCode::InconsistentClusterId.code());
    assert_eq!(add_voter(&by_hand, 4, Uuid::ZERO, CLUSTER_ID), ErrorCode::InvalidRequest.code());
    assert_eq!(add_voter(&by_hand, 4, voters[0].1, CLUSTER_ID), ErrorCode::RequestTimedOut.code());
    assert_eq!(add_voter(&by_hand, 1, voters[0].1, CLUSTER_ID), ErrorCode::DuplicateVoter.code());
    assert_eq!(add_voter(&by_hand, 4, fourth, CLUSTER_ID), 0);
    let by_itself = cluster.start_controller(5, &["controller.quorum.auto.join.enable=true"]).unwrap();
    until("it votes", || Ok((ids(&members(&by_itself).0) == [1, 2, 3, 4, 5]).then_some(()))).unwrap();

    // The active controller loses its vote and follows from then on.
    let leader = until("a leader", || quorum(&by_hand).map(Some)).unwrap().leader_id;
    let other = if leader == 1 { 2 } else { 1 };
    let directory = |id: i32| members(&by_hand).0.into_iter().find(|(voter, _)| *voter == id).unwrap().1;
    let (of_leader, of_other) = (directory(leader), directory(other));
    assert_eq!(remove_voter(&by_hand, leader, of_other), ErrorCode::VoterNotFound.code());
    assert_eq!(remove_voter(&by_hand, leader, Uuid::ZERO), ErrorCode::InvalidRequest.code());
    assert_eq!(remove_voter(&by_hand, leader, of_leader), 0);
    assert_eq!(remove_voter(&by_hand, leader, of_leader), ErrorCode::VoterNotFound.code());
    let (voters, observers) = members(&by_hand);
    assert_eq!((voters.len(), ids(&observers)), (4, vec![leader]));

    // Also when it comes back configured as before.
    cluster.node(leader).kill().unwrap();
    create(&by_hand, "without", &[&[4]]);
    assert_eq!(unregister(&by_hand, 9), ErrorCode::BrokerIdNotRegistered.code());
    cluster.node(leader).restart().unwrap();
    brokers_serve(cluster.node(leader), 5).unwrap();
    assert_eq!(members(&by_hand).0.len(), 4);

    // Another one dies for good.
    cluster.node(other).kill().unwrap();
    brokers_serve(&by_hand, 4).unwrap();
    assert_eq!(remove_voter(&by_hand, other, of_other), 0);
    assert_eq!(unregister(&by_hand, other), 0);
    assert_eq!(unregister(&by_hand, other), ErrorCode::BrokerIdNotRegistered.code());
    let controller = |controller_id| -> anyhow::Result<i16> {
        Ok(ask(&by_hand, &UnregisterControllerRequest { controller_id }, 0)?.error_code)
    };
    until("it is forgotten once it was silent for a while", || {
        Ok((controller(other)? == ErrorCode::ControllerIdNotRegistered.code()).then_some(()))
    })
    .unwrap();
    assert!(!ids(&members(&by_hand).1).contains(&other));
    assert_eq!(controller(4).unwrap(), ErrorCode::InvalidRequest.code());
}

/// What `goatq cluster` says.
fn goatq_cluster(node: &Node, args: &[&str]) -> (bool, String) {
    let mut command = Command::new(node::binary().unwrap());
    let output = command.arg("cluster").args(args).args(["-b", &node.bootstrap()]).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_command_line_shows_a_cluster_and_empties_a_broker() {
    let cluster = Cluster::start(3).unwrap();
    let node = &cluster.nodes[0];
    brokers_serve(node, 3).unwrap();
    create(node, "full", &[&[3, 1]]);
    create(node, "everywhere", &[&[1, 2, 3]]);
    write(node, "full", 0..10);
    settles(node, "full", &[3, 1]);
    settles(node, "everywhere", &[1, 2, 3]);
    let (done, shown) = goatq_cluster(node, &["status"]);
    assert!(done && shown.contains("2 topics, 2 partitions: 0 without leader, 0 under-replicated"), "{shown}");
    let (_, json) = goatq_cluster(node, &["status", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&report["nodes"][2]["replicas"], &report["nodes"][2]["leads"]), (&2.into(), &1.into()), "{json}");
    assert_eq!(report["nodes"][0]["fenced"], false);

    let (done, told) = goatq_cluster(node, &["drain", "3", "--dry-run"]);
    assert!(done && told.contains("full-0: [3, 1] -> [2, 1]") && told.contains("everywhere-0: stays"), "{told}");
    assert_eq!(moving(node, None), []);
    let (done, told) = goatq_cluster(node, &["drain", "3"]);
    assert!(!done && told.contains("broker 3 has 1 replicas"), "{told}");
    settles(node, "full", &[2, 1]);
    assert_eq!(read(node, "full", 10), (0..10).collect());
}

/// A node that was alone becomes one of several: those that join get votes, and it may stop and come back.
#[test]
fn a_node_alone_grows_into_a_cluster() {
    let mut cluster = Cluster::start(1).unwrap();
    brokers_serve(&cluster.nodes[0], 1).unwrap();
    create(&cluster.nodes[0], "first", &[&[1]]);
    write(&cluster.nodes[0], "first", 0..10);
    let join = ["controller.quorum.auto.join.enable=true"];
    let joined: Vec<_> = [2, 3].into_iter().map(|id| cluster.start_controller(id, &join).unwrap()).collect();
    until("all vote", || Ok((ids(&members(&joined[0]).0) == [1, 2, 3]).then_some(()))).unwrap();
    assert_eq!(reassign(&joined[1], "first", Some(&[1, 2, 3]), 1, true), (0, 0));
    settles(&joined[0], "first", &[1, 2, 3]);
    cluster.nodes[0].kill().unwrap();
    brokers_serve(&joined[0], 2).unwrap();
    write(&joined[0], "first", 10..20);
    cluster.nodes[0].restart().unwrap();
    brokers_serve(&cluster.nodes[0], 3).unwrap();
    settles(&cluster.nodes[0], "first", &[1, 2, 3]);
    assert_eq!(read(&cluster.nodes[0], "first", 20), (0..20).collect());
}
