//! Three voters over a network in memory: what a quorum of one cannot show, and that the seam for a real network suffices.
//!
//! Time is tokio's paused clock: it jumps to the next timer whenever all tasks wait.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::support::{AnyConfig, directory_id, sim_storage};
use goatq_controller::{
    Controller,
    decide::configs::AlterConfigs,
    image::{ConfigResource, Endpoint},
    raft::network::{Loss, LossListener, QuorumReply, QuorumRequest, QuorumTransport, TransportError},
    service::{ClusterConfig, QuorumNode, QuorumTiming, SubmitError},
};
use goatq_protocol::Uuid;
use goatq_storage::io::sim::SimDisk;
use parking_lot::Mutex;

/// Everybody's way to everybody, and who is cut off.
#[derive(Clone, Default)]
pub(crate) struct Wires {
    pub(crate) nodes: Arc<Mutex<BTreeMap<u64, Controller>>>,
    pub(crate) cut_off: Arc<Mutex<BTreeSet<u64>>>,
    /// The disks that are in the nodes: as on a real network, nobody talks Raft to a node with another one than he knows of.
    disks: Arc<Mutex<BTreeMap<u64, Uuid>>>,
    /// Who is told of connections that end.
    listeners: Arc<Mutex<BTreeMap<u64, LossListener>>>,
}

impl Wires {
    /// All connections of a node end, and the others are told.
    pub(crate) fn hang_up(&self, node: u64) {
        let listeners = self.listeners.lock();
        listeners.iter().filter(|(other, _)| **other != node).for_each(|(_, listener)| listener(node, Loss::Ended));
    }
}

/// The wires as one node sees them.
struct Plug {
    from: u64,
    wires: Wires,
}

impl QuorumTransport for Plug {
    fn tell_losses(&self, listener: LossListener) {
        self.wires.listeners.lock().insert(self.from, listener);
    }

    fn send(&self, target: u64, node: &QuorumNode, request: QuorumRequest, deadline: Duration) -> QuorumReply {
        let (from, wires) = (self.from, self.wires.clone());
        let known = node.directory_id;
        let other_disk = wires.disks.lock().get(&target).is_some_and(|disk| *disk != known) && !known.is_zero();
        if other_disk && !matches!(request, QuorumRequest::Call(_)) {
            let reason = "it has another disk".to_owned();
            return Box::pin(async move { Err(TransportError { target, reason, sent: false }) });
        }
        let open = move |wires: &Wires| wires.cut_off.lock().is_disjoint(&BTreeSet::from([from, target]));
        Box::pin(async move {
            let lost = |reason: &str| TransportError { target, reason: reason.to_owned(), sent: true };
            tokio::time::sleep(Duration::from_millis(1)).await;
            let node = wires.nodes.lock().get(&target).cloned();
            let Some(node) = node.filter(|_| open(&wires)) else {
                tokio::time::sleep(deadline).await;
                return Err(lost("no answer"));
            };
            let answer = tokio::time::timeout(deadline, node.handle(request)).await;
            let answer = answer.map_err(|_| lost("no answer in time"))?.map_err(|error| lost(&error.to_string()))?;
            tokio::time::sleep(Duration::from_millis(1)).await;
            if open(&wires) { Ok(answer) } else { Err(lost("the answer was lost")) }
        })
    }
}

pub(crate) struct Quorum {
    pub(crate) wires: Wires,
    disks: BTreeMap<u64, SimDisk>,
    lives: u8,
}

pub(crate) const NODES: [u64; 3] = [1, 2, 3];

pub(crate) fn number(node: u64) -> i32 {
    i32::try_from(node).unwrap()
}

impl Quorum {
    pub(crate) async fn start() -> Quorum {
        let disks = NODES.into_iter().map(|node| (node, SimDisk::new(node))).collect();
        let mut quorum = Quorum { wires: Wires::default(), disks, lives: 0 };
        for node in NODES {
            quorum.start_node(node).await;
        }
        quorum
    }

    pub(crate) async fn start_node(&mut self, node: u64) {
        self.start_with(node, directory_id(number(node))).await;
    }

    /// Starts a node with a log directory; one that is none of [`NODES`] has no vote.
    pub(crate) async fn start_with(&mut self, node: u64, directory: Uuid) {
        self.lives += 1;
        let voter = |node| QuorumNode { directory_id: directory_id(number(node)), endpoints: Vec::new() };
        let config = ClusterConfig {
            cluster_id: Some("three-three-three-thre".into()),
            voters: NODES.into_iter().map(|node| (number(node), voter(node))).collect(),
            // The others know where voters are.
            endpoints: if NODES.contains(&node) { Vec::new() } else { vec![Endpoint::default()] },
            timing: QuorumTiming { snapshot_every: 20, ..QuorumTiming::default() },
            ..ClusterConfig::single(number(node), directory, [self.lives; 32])
        };
        self.wires.disks.lock().insert(node, directory);
        let plug = Arc::new(Plug { from: node, wires: self.wires.clone() });
        let storage = sim_storage(self.disks.entry(node).or_insert_with(|| SimDisk::new(node)));
        let controller = Controller::start_in_quorum(config, storage, Arc::new(AnyConfig), plug).await.unwrap();
        self.wires.nodes.lock().insert(node, controller);
    }

    /// Cuts the power of a node.
    pub(crate) async fn crash(&mut self, node: u64) {
        let controller = self.wires.nodes.lock().remove(&node).unwrap();
        let disk = self.disks[&node].crash();
        controller.shutdown().await;
        self.disks.insert(node, disk);
    }

    /// A copy of what a power cut would leave of a node's disk now.
    pub(crate) fn copy(&self, node: u64) -> SimDisk {
        self.disks[&node].crash_image()
    }

    /// Puts a disk into a node that does not run.
    pub(crate) fn put(&mut self, node: u64, disk: SimDisk) {
        self.disks.insert(node, disk);
    }

    /// Puts an empty disk into a node that does not run.
    pub(crate) fn wipe(&mut self, node: u64) {
        self.disks.insert(node, SimDisk::new(node + 100));
    }

    pub(crate) fn node(&self, node: u64) -> Controller {
        self.wires.nodes.lock()[&node].clone()
    }

    /// Waits until a node that is not cut off leads, and the cluster has its id.
    pub(crate) async fn leader(&self) -> u64 {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            for (node, controller) in self.wires.nodes.lock().iter() {
                let connected = !self.wires.cut_off.lock().contains(node);
                let leads = controller.status().leader == Some(number(*node));
                if connected && leads && !controller.image().cluster_id.is_empty() {
                    return *node;
                }
            }
        }
    }

    /// Sets a value through whoever leads.
    pub(crate) async fn set(&self, value: u32) {
        loop {
            let leader = self.node(self.leader().await);
            match leader.submit(set(value)).await {
                Ok(response) => return assert_eq!(response.resources[0].1, Ok(())),
                Err(SubmitError::NotLeader { .. } | SubmitError::Unknown) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Waits until all nodes have the same image with that value in it.
    pub(crate) async fn agree_on(&self, value: u32) {
        loop {
            let images: Vec<_> = self.wires.nodes.lock().values().map(Controller::image).collect();
            let has = images.iter().all(|image| image.configs.value(&resource(), "k") == Some(&value.to_string()));
            if has && images.iter().all(|image| image.same_content(&images[0])) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn resource() -> ConfigResource {
    ConfigResource::all_brokers()
}

pub(crate) fn set(value: u32) -> AlterConfigs {
    AlterConfigs {
        resources: vec![(resource(), vec![("k".into(), Some(value.to_string().into()))])],
        validate_only: false,
    }
}

#[tokio::test(start_paused = true)]
async fn every_node_gets_every_change() {
    let quorum = Quorum::start().await;
    let leader = quorum.leader().await;
    quorum.set(1).await;
    quorum.agree_on(1).await;
    let follower = NODES.into_iter().find(|node| *node != leader).unwrap();
    let refused = quorum.node(follower).submit_here(set(2)).await.unwrap_err();
    assert_eq!(refused, SubmitError::NotLeader { leader: Some(number(leader)) });
    let status = quorum.node(leader).status();
    assert_eq!(status.voters.len(), 3);
    assert_eq!(status.replicated.len(), 3);
    assert_eq!(quorum.node(follower).image().cluster_id, "three-three-three-thre");
}

#[tokio::test(start_paused = true)]
async fn another_leads_when_the_leader_is_cut_off() {
    let quorum = Quorum::start().await;
    quorum.set(1).await;
    let old = quorum.leader().await;
    quorum.wires.cut_off.lock().insert(old);
    // The old leader does not know yet. What it is asked may not happen.
    let asked = tokio::spawn({
        let old = quorum.node(old);
        async move { old.submit_here(set(99)).await }
    });
    quorum.set(2).await;
    let new = quorum.leader().await;
    assert_ne!(new, old);
    assert!(quorum.node(new).status().term > 1);
    quorum.wires.cut_off.lock().clear();
    quorum.agree_on(2).await;
    assert!(asked.await.unwrap().is_err(), "a change was acknowledged that did not happen");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_away_for_long_gets_a_snapshot() {
    let mut quorum = Quorum::start().await;
    quorum.set(0).await;
    let leader = quorum.leader().await;
    let away = NODES.into_iter().find(|node| *node != leader).unwrap();
    quorum.crash(away).await;
    for value in 1..=150 {
        quorum.set(value).await;
    }
    quorum.start_node(away).await;
    quorum.agree_on(150).await;
    assert!(quorum.node(away).status().snapshot_index > 50);
    quorum.set(151).await;
    quorum.agree_on(151).await;
}

#[tokio::test(start_paused = true)]
async fn power_cuts_of_all_nodes_lose_nothing_that_was_answered() {
    let mut quorum = Quorum::start().await;
    for value in 1..=12 {
        quorum.set(value).await;
        let victim = NODES[value as usize % 3];
        if value % 4 == 0 {
            for node in NODES {
                quorum.crash(node).await;
            }
            for node in NODES {
                quorum.start_node(node).await;
            }
        } else {
            quorum.crash(victim).await;
            quorum.start_node(victim).await;
        }
        quorum.agree_on(value).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_a_quorum_can_be_stopped() {
    let quorum = Quorum::start().await;
    quorum.set(1).await;
    let leader = quorum.leader().await;
    quorum.wires.cut_off.lock().insert(leader);
    let controller = quorum.node(leader);
    let asked = tokio::spawn({
        let controller = controller.clone();
        async move { controller.submit(set(2)).await }
    });
    tokio::task::yield_now().await;
    controller.shutdown().await;
    assert!(asked.await.unwrap().is_err());
}
