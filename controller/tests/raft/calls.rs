//! What any node can ask, whoever leads: commands, heartbeats of brokers, how the quorum is; and who is taken into it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use goatq_controller::{
    Controller,
    decide::{
        brokers::RegisterBroker,
        topics::{CreateTopics, NewTopic},
    },
    image::PartitionImage,
    liveness::{BrokerHeartbeat, HeartbeatAnswer},
    raft::admission::Refusal,
    service::{ClusterConfig, QuorumNode, SubmitError},
};
use goatq_protocol::Uuid;
use goatq_storage::io::sim::SimDisk;

use crate::{
    quorum::{NODES, Quorum, number, set},
    support::{AnyConfig, directory_id, sim_storage, single},
};

async fn follower(quorum: &Quorum) -> Controller {
    let leader = quorum.leader().await;
    quorum.node(NODES.into_iter().find(|node| *node != leader).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_command_goes_to_the_leader_and_is_seen_where_it_was_given() {
    let quorum = Quorum::start().await;
    let follower = follower(&quorum).await;
    let topics = vec![NewTopic::named("t")];
    let refused = follower.submit(CreateTopics { topics: topics.clone(), validate_only: false }).await.unwrap();
    assert!(refused.topics[0].1.is_err(), "there is no broker yet");
    follower.submit(register(7)).await.unwrap().unwrap();
    beat(&follower, 7, false).await;
    let created = follower.submit(CreateTopics { topics, validate_only: false }).await.unwrap();
    let id = created.topics[0].1.as_ref().unwrap().id;
    assert_eq!(follower.image().topics.by_name("t").unwrap().id, id);
}

#[tokio::test(start_paused = true)]
async fn a_command_waits_for_the_next_leader() {
    let quorum = Quorum::start().await;
    quorum.set(1).await;
    let old = quorum.leader().await;
    quorum.wires.cut_off.lock().insert(old);
    let other = quorum.node(NODES.into_iter().find(|node| *node != old).unwrap());
    let mut lost = 0;
    loop {
        match other.submit(set(2)).await {
            Ok(_) => break,
            // It was on its way to the old leader: whether it arrived is not known.
            Err(SubmitError::Unknown | SubmitError::NotLeader { .. }) if lost < 10 => lost += 1,
            Err(error) => panic!("{error}"),
        }
    }
    quorum.wires.cut_off.lock().clear();
    quorum.agree_on(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_without_a_vote_gets_the_metadata_and_is_shown() {
    let mut quorum = Quorum::start().await;
    quorum.set(1).await;
    quorum.start_node(4).await;
    quorum.agree_on(1).await;
    let fourth = quorum.node(4);
    fourth.submit(set(2)).await.unwrap();
    quorum.agree_on(2).await;
    let status = loop {
        let status = fourth.describe().await.unwrap();
        if status.replicated.get(&4).is_some_and(|index| *index == status.last_index) {
            break status;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(status.leader, Some(number(quorum.leader().await)));
    assert_eq!(status.voters.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(status.learners[&4].directory_id, directory_id(4));
    assert!(status.heard_ms.contains_key(&4));
    // It may come back with nothing, and gets all of it again.
    quorum.crash(4).await;
    quorum.wipe(4);
    quorum.set(3).await;
    quorum.start_with(4, directory_id(44)).await;
    quorum.agree_on(3).await;
    let status = quorum.node(4).describe().await.unwrap();
    assert_eq!(status.learners[&4].directory_id, directory_id(44));
    quorum.set(4).await;
    quorum.agree_on(4).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_without_a_vote_may_come_back_with_an_older_copy_of_its_disk() {
    let mut quorum = Quorum::start().await;
    quorum.start_node(4).await;
    quorum.set(1).await;
    quorum.agree_on(1).await;
    let copy = quorum.copy(4);
    quorum.set(2).await;
    quorum.agree_on(2).await;
    quorum.crash(4).await;
    quorum.put(4, copy);
    quorum.start_node(4).await;
    quorum.agree_on(2).await;
    quorum.set(3).await;
    quorum.agree_on(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_voter_that_lost_its_disk_is_refused() {
    let mut quorum = Quorum::start().await;
    quorum.set(1).await;
    let victim = NODES.into_iter().find(|node| quorum.node(*node).status().leader != Some(number(*node))).unwrap();
    quorum.crash(victim).await;
    quorum.wipe(victim);
    quorum.start_with(victim, directory_id(99)).await;
    let refusal = quorum.node(victim).refused().await;
    let (expected, given) = (directory_id(number(victim)), directory_id(99));
    assert_eq!(refusal, Refusal::SwappedDisk { node: number(victim), expected, given });
}

#[tokio::test(start_paused = true)]
async fn a_quorum_does_not_change_by_configuration() {
    let disk = SimDisk::new(1);
    let alone = ClusterConfig { cluster_id: Some("three-three-three-thre".into()), ..single(1) };
    Controller::start(alone.clone(), sim_storage(&disk), Arc::new(AnyConfig)).await.unwrap().shutdown().await;
    let voters = NODES.map(|node| (number(node), QuorumNode::default())).into();
    let config = ClusterConfig { voters, ..alone };
    let error = Controller::start(config, sim_storage(&disk), Arc::new(AnyConfig)).await.unwrap_err();
    assert!(error.to_string().contains("the voters of the metadata log are nodes {1}, but nodes {1, 2, 3}"), "{error}");
}

fn register(id: i32) -> RegisterBroker {
    RegisterBroker {
        id,
        cluster_id: None,
        incarnation: Uuid::from_u128(500 + u128::from(id.unsigned_abs())),
        replaces: None,
        endpoints: Vec::new(),
        rack: None,
        features: goatq_controller::feature::SupportedFeatures::current()
            .iter()
            .map(|(name, range)| (name.clone(), (range.min, range.max)))
            .collect(),
        log_dirs: vec![Uuid::from_u128(900 + u128::from(id.unsigned_abs()))],
        before: Vec::new(),
        losses: Vec::new(),
        fenced: true,
    }
}

async fn beat(controller: &Controller, id: i32, want_shut_down: bool) -> HeartbeatAnswer {
    let epoch = controller.image().brokers.get(id).unwrap().epoch;
    let beat = BrokerHeartbeat { id, epoch, ready: true, want_shut_down, applied: i64::MAX, ..Default::default() };
    controller.heartbeat(beat).await.unwrap().unwrap()
}

fn partitions(controller: &Controller) -> Vec<PartitionImage> {
    let image = controller.image();
    image.topics.by_name("t").unwrap().partitions.iter().map(|partition| PartitionImage::clone(partition)).collect()
}

#[tokio::test(start_paused = true)]
async fn brokers_serve_as_long_as_they_are_heard() {
    let quorum = Quorum::start().await;
    let follower = follower(&quorum).await;
    for broker in [7, 8] {
        follower.submit(register(broker)).await.unwrap().unwrap();
        assert!(follower.image().brokers.get(broker).unwrap().fenced);
        assert!(!beat(&follower, broker, false).await.fenced);
    }
    let topic = NewTopic { partitions: 6, ..NewTopic::named("t") };
    follower.submit(CreateTopics { topics: vec![topic], validate_only: false }).await.unwrap();
    let leaders: BTreeSet<_> = partitions(&follower).iter().map(|partition| partition.leader).collect();
    assert_eq!(leaders, BTreeSet::from([7, 8]));

    // 8 falls silent, also while the leader of the quorum changes.
    let old = quorum.leader().await;
    while !follower.image().brokers.get(8).unwrap().fenced {
        assert!(!beat(&follower, 7, false).await.fenced);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(
        partitions(&follower)
            .iter()
            .all(|partition| partition.leader == if partition.replicas == [8] { -1 } else { 7 })
    );
    assert!(!beat(&follower, 8, false).await.fenced);
    assert!(partitions(&follower).iter().all(|partition| partition.leader == partition.replicas[0]));
    assert_eq!(quorum.leader().await, old);

    // 7 stops in order, when 8 knows.
    assert!(!beat(&follower, 7, true).await.may_shut_down);
    beat(&follower, 8, false).await;
    assert!(beat(&follower, 7, true).await.may_shut_down);
    assert!(partitions(&follower).iter().all(|partition| partition.leader != 7));
    assert!(follower.image().brokers.get(7).unwrap().fenced);
    let stale =
        BrokerHeartbeat { id: 8, epoch: 0, ready: true, want_shut_down: false, applied: 0, ..Default::default() };
    assert!(follower.heartbeat(stale).await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stops_hands_over() {
    let quorum = Quorum::start().await;
    quorum.set(1).await;
    let old = quorum.leader().await;
    let term = quorum.node(old).status().term;
    // A leader knows of its followers only once it has heard them.
    while quorum.node(old).status().heard_ms.len() < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    quorum.node(old).resign(Duration::from_secs(5)).await;
    let status = quorum.node(old).status();
    assert!(status.leader.is_some_and(|leader| leader != number(old)), "{status:?}");
    assert_eq!(status.term, term + 1);
    quorum.set(2).await;
    quorum.agree_on(2).await;
}
