//! Nodes whose connections end: those that have gone are replaced at once, those that live stay what they are.

use std::time::Duration;

use goatq_controller::{
    Controller, decide::brokers::RegisterBroker, feature::SupportedFeatures, liveness::BrokerHeartbeat,
};
use goatq_protocol::Uuid;
use tokio::time::Instant;

use crate::quorum::{NODES, Quorum, number};

/// Far less than an election timeout, and than a session.
const SOON: Duration = Duration::from_millis(700);

fn others(node: u64) -> [u64; 2] {
    let others: Vec<_> = NODES.into_iter().filter(|other| *other != node).collect();
    [others[0], others[1]]
}

fn is_fenced(controller: &Controller, broker: u64) -> bool {
    controller.image().brokers.get(number(broker)).unwrap().fenced
}

async fn beat(controller: &Controller, broker: u64) {
    let id = number(broker);
    let epoch = controller.image().brokers.get(id).unwrap().epoch;
    let beat = BrokerHeartbeat { id, epoch, ready: true, want_shut_down: false, applied: 0, ..Default::default() };
    controller.heartbeat(beat).await.unwrap().unwrap();
}

/// Registers the broker of a node, which serves then.
async fn serve(quorum: &Quorum, node: u64) {
    let controller = quorum.node(node);
    let command = RegisterBroker {
        id: number(node),
        cluster_id: None,
        incarnation: Uuid::from_u128(u128::from(node)),
        replaces: None,
        endpoints: Vec::new(),
        rack: None,
        features: SupportedFeatures::current()
            .iter()
            .map(|(name, range)| (name.clone(), (range.min, range.max)))
            .collect(),
        log_dirs: vec![Uuid::from_u128(900 + u128::from(node))],
        before: Vec::new(),
        losses: Vec::new(),
        fenced: true,
    };
    controller.submit(command).await.unwrap().unwrap();
    beat(&controller, node).await;
    assert!(!is_fenced(&controller, node));
}

/// From now on it takes less than [`SOON`] until a node sees that a broker is fenced.
async fn fenced_soon(sees: &Controller, broker: u64) {
    let ended = Instant::now();
    while !is_fenced(sees, broker) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(ended.elapsed() < SOON, "{:?}", ended.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_broker_whose_process_ends_is_fenced_at_once() {
    let mut quorum = Quorum::start().await;
    let leader = quorum.leader().await;
    let [victim, other] = others(leader);
    serve(&quorum, victim).await;
    serve(&quorum, other).await;
    quorum.crash(victim).await;
    quorum.wires.hang_up(victim);
    fenced_soon(&quorum.node(other), victim).await;
    assert!(!is_fenced(&quorum.node(other), other));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_lives_is_asked_and_stays() {
    let quorum = Quorum::start().await;
    let leader = quorum.leader().await;
    let [node, other] = others(leader);
    serve(&quorum, node).await;
    let controller = quorum.node(node);
    let mut wanted = controller.heartbeats_wanted();
    let beats = tokio::spawn(async move {
        while wanted.changed().await.is_ok() {
            beat(&controller, node).await;
        }
    });
    for _ in 0..5 {
        quorum.wires.hang_up(node);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!is_fenced(&quorum.node(other), node));
    }
    beats.abort();
    assert_eq!(quorum.leader().await, leader);
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_process_ends_is_succeeded_at_once_and_its_broker_fenced() {
    let mut quorum = Quorum::start().await;
    let old = quorum.leader().await;
    let [node, _] = others(old);
    serve(&quorum, old).await;
    serve(&quorum, node).await;
    quorum.crash(old).await;
    quorum.wires.hang_up(old);
    let survivor = quorum.node(node);
    fenced_soon(&survivor, old).await;
    assert!(!is_fenced(&survivor, node));
    assert_ne!(quorum.leader().await, old);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_lives_stays_the_leader() {
    let quorum = Quorum::start().await;
    let leader = quorum.leader().await;
    let term = quorum.node(leader).status().term;
    for _ in 0..5 {
        quorum.wires.hang_up(leader);
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    assert_eq!(quorum.node(others(leader)[0]).status().term, term);
}
