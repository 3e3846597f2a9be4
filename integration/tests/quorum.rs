//! Real nodes that form one cluster: any of them takes any request, the loss of the active controller is survived, strangers stay out.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of real processes waits in real time")]

use std::collections::BTreeSet;

use goatq_integration::client::{self, PATIENCE};
use goatq_integration::cluster::{CLUSTER_ID, Cluster, brokers_serve, create_topic, metadata, quorum, until};
use goatq_integration::node::{Node, free_port};
use goatq_integration::peer::Peer;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::describe_quorum::DescribeQuorumPartition;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

/// Creates a topic, also where the answer to an earlier attempt was lost.
fn create(node: &Node, name: &str) {
    until("a topic is created", || {
        let (code, message) = create_topic(node, name, 6, 1)?;
        let done = code == 0 || code == ErrorCode::TopicAlreadyExists.code();
        assert!(done || ErrorCode::from_code(code).is_some_and(|code| code.is_retriable()), "{code} {message:?}");
        Ok(done.then_some(()))
    })
    .unwrap();
}

fn has_topic(node: &Node, name: &str) -> anyhow::Result<Option<()>> {
    let topics = metadata(node)?.topics;
    Ok(topics.iter().any(|topic| topic.name.as_deref() == Some(name)).then_some(()))
}

/// Waits until the quorum knows the disks of all its voters.
fn knows_disks(node: &Node) -> DescribeQuorumPartition {
    until("the disks of all voters are known", || {
        let seen = quorum(node)?;
        let known = seen.current_voters.iter().all(|voter| !voter.replica_directory_id.is_zero());
        Ok((known && seen.current_voters.len() == 3).then_some(seen))
    })
    .unwrap()
}

#[test]
fn three_nodes_are_one_cluster() {
    let cluster = Cluster::start(3).unwrap();
    for node in &cluster.nodes {
        brokers_serve(node, 3).unwrap();
    }
    for (node, name) in cluster.nodes.iter().zip(["one", "two", "three"]) {
        assert_eq!(create_topic(node, name, 6, 1).unwrap(), (0, None));
        // It is there where it was made, when it was made.
        has_topic(node, name).unwrap().unwrap();
        until("all nodes know it", || {
            cluster.nodes.iter().map(|node| has_topic(node, name)).collect::<anyhow::Result<Option<Vec<_>>>>()
        })
        .unwrap();
    }
    let (code, message) = create_topic(&cluster.nodes[0], "too-wide", 1, 4).unwrap();
    assert_eq!(code, ErrorCode::InvalidReplicationFactor.code());
    assert!(message.unwrap().contains("A replication factor of 4 needs 4 brokers"));

    let told = metadata(&cluster.nodes[1]).unwrap();
    let topic = told.topics.iter().find(|topic| topic.name.as_deref() == Some("one")).unwrap();
    let leaders: BTreeSet<_> = topic.partitions.iter().map(|partition| partition.leader_id).collect();
    assert_eq!(leaders, BTreeSet::from([1, 2, 3]), "partitions are spread over the brokers");

    for node in &cluster.nodes {
        let seen = knows_disks(node);
        let voters: Vec<_> = seen.current_voters.iter().map(|voter| voter.replica_id).collect();
        assert_eq!(voters, [1, 2, 3]);
        let majority = seen.current_voters.iter().filter(|voter| voter.log_end_offset >= seen.high_watermark).count();
        assert!(majority >= 2, "{seen:?}");
        until("clients are told who the active controller is", || {
            Ok((metadata(node)?.controller_id == quorum(node)?.leader_id).then_some(()))
        })
        .unwrap();
    }
    reads_what_it_wrote(&cluster.nodes[0]);
}

/// Clients are directed to all brokers from one of them.
fn reads_what_it_wrote(node: &Node) {
    let producer: BaseProducer = client::config(node).set("enable.idempotence", "true").create().unwrap();
    let values: BTreeSet<_> = (0..60).map(|n| format!("value {n}")).collect();
    for value in &values {
        producer.send(BaseRecord::to("one").key(value).payload(value)).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let mut config = client::config(node);
    config.set("group.id", "readers").set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&["one"]).unwrap();
    let read = |_| String::from_utf8(client::next(&consumer).unwrap().payload().unwrap().to_vec()).unwrap();
    assert_eq!((0..60).map(read).collect::<BTreeSet<_>>(), values);
}

#[test]
fn the_active_controller_may_die() {
    let mut cluster = Cluster::start(3).unwrap();
    for node in &cluster.nodes {
        brokers_serve(node, 3).unwrap();
    }
    create(&cluster.nodes[0], "before");
    let leader = until("a leader", || quorum(&cluster.nodes[0]).map(Some)).unwrap().leader_id;
    let victim = usize::try_from(leader).unwrap() - 1;
    cluster.nodes[victim].kill().unwrap();
    let alive: Vec<_> = (0..3).filter(|at| *at != victim).collect();
    for at in &alive {
        create(&cluster.nodes[*at], &format!("after-{at}"));
    }
    // What fell silent is no longer shown to clients.
    brokers_serve(&cluster.nodes[alive[0]], 2).unwrap();
    let now = until("a new leader", || quorum(&cluster.nodes[alive[0]]).map(Some)).unwrap();
    assert_ne!(now.leader_id, leader);

    cluster.nodes[victim].restart().unwrap();
    brokers_serve(&cluster.nodes[alive[0]], 3).unwrap();
    for at in &alive {
        until("it has caught up", || has_topic(&cluster.nodes[victim], &format!("after-{at}"))).unwrap();
    }
    until("all logs end alike", || {
        let seen = quorum(&cluster.nodes[victim])?;
        let ends: BTreeSet<_> = seen.current_voters.iter().map(|voter| voter.log_end_offset).collect();
        Ok((ends == BTreeSet::from([seen.high_watermark])).then_some(()))
    })
    .unwrap();
    create(&cluster.nodes[victim], "again");

    // In order it goes without a session to wait for: the leaders have moved, or are known to be gone, when the process ends.
    let status = cluster.nodes[victim].terminate().unwrap();
    assert!(status.success(), "{status}");
    create(&cluster.nodes[alive[1]], "in-order");
}

#[test]
fn brokers_join_and_strangers_do_not() {
    let mut cluster = Cluster::start(3).unwrap();
    brokers_serve(&cluster.nodes[0], 3).unwrap();
    let broker = cluster.start_broker(4, CLUSTER_ID).unwrap();
    brokers_serve(&cluster.nodes[0], 4).unwrap();
    create(&broker, "by-a-broker");
    let seen = until("it is an observer that has everything", || {
        let seen = quorum(&broker)?;
        let has_all = seen.observers.iter().any(|seen_as| seen_as.log_end_offset >= seen.high_watermark);
        Ok(has_all.then_some(seen))
    })
    .unwrap();
    assert_eq!(seen.observers.iter().map(|observer| observer.replica_id).collect::<Vec<_>>(), [4]);

    let stranger = cluster.start_broker(5, "sheep-sheep-sheep-sheg").unwrap();
    until("it is told why", || Ok(stranger.log().contains("INCONSISTENT_CLUSTER_ID").then_some(()))).unwrap();
    until("the cluster says so", || {
        Ok(cluster.nodes.iter().any(|node| node.log().contains("a node is refused")).then_some(()))
    })
    .unwrap();

    // A voter with an empty disk gave its promises on another one.
    knows_disks(&cluster.nodes[0]);
    cluster.nodes[2].kill().unwrap();
    std::fs::remove_dir_all(cluster.nodes[2].data()).unwrap();
    cluster.nodes[2].restart().unwrap();
    until("it is told why", || Ok(cluster.nodes[2].log().contains("INVALID_VOTER_KEY").then_some(()))).unwrap();
    create(&cluster.nodes[0], "without-it");
    let brokers: BTreeSet<_> =
        metadata(&cluster.nodes[0]).unwrap().brokers.iter().map(|broker| broker.node_id).collect();
    assert!(!brokers.contains(&5), "{brokers:?}");
}

/// A frame between nodes, as anybody could send it.
fn between_nodes(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let size = i32::try_from(10 + body.len()).unwrap();
    let head = [&size.to_be_bytes()[..], &key.to_be_bytes(), &version.to_be_bytes(), &[0, 0, 0, 1, 0xff, 0xff]];
    [&head.concat()[..], body].concat()
}

#[test]
fn a_listener_of_controllers_takes_nothing_from_strangers() {
    let port = free_port().unwrap();
    let node = Node::start_beside(Some(&format!("CONTROLLER://127.0.0.1:{port}")), &[]).unwrap();
    brokers_serve(&node, 1).unwrap();
    let frames = [
        // An append, a vote, a piece of a snapshot and a command, before any proof.
        between_nodes(30_001, 0, &[1; 40]),
        between_nodes(30_002, 0, &[0; 40]),
        between_nodes(30_004, 0, &[0xff; 40]),
        between_nodes(30_006, 0, b"CreateTopics"),
        // A proof that is none, and keys and versions that are none.
        between_nodes(30_000, 0, &[0xff; 60]),
        between_nodes(30_000, 1, &[0; 60]),
        between_nodes(32_767, 0, &[]),
        // Produce, which controllers do not take; a client id that is longer than its frame; a frame without end.
        between_nodes(0, 9, &[0; 20]),
        [&[0, 0, 0, 10, 0x75, 0x30, 0, 0, 0, 0, 0, 1, 0x7f, 0xff][..]].concat(),
        [&i32::MAX.to_be_bytes()[..], &[0; 64]].concat(),
    ];
    for frame in frames {
        let mut peer = Peer::connect(([127, 0, 0, 1], port).into()).unwrap();
        peer.write(&frame).unwrap();
        assert_eq!(peer.receive().unwrap(), None, "{frame:?}");
    }
    // The keys of nodes mean nothing where clients are.
    let mut peer = Peer::connect(node.address()).unwrap();
    peer.write(&between_nodes(30_000, 0, &[0; 60])).unwrap();
    assert_eq!(peer.receive().unwrap(), None);
    assert_eq!(create_topic(&node, "alive", 1, 1).unwrap(), (0, None));
}
