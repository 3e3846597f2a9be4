//! Everything that a fault can strike: nodes, network, disks; and questions to the cluster.

use std::time::{Duration, Instant};

use anyhow::Context;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::create_topics::CreatableTopic;
use goatq_protocol::message::describe_quorum::{
    DescribeQuorumPartition, DescribeQuorumRequestPartition, DescribeQuorumRequestTopic,
};
use goatq_protocol::message::metadata::{MetadataRequest, MetadataResponse};
use goatq_protocol::message::{CreateTopicsRequest, DescribeQuorumRequest};
use goatq_protocol::wire::Request;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::campaign::Plan;
use super::ground::Ground;
use super::site::{Role, Site};
use super::watch::Watch;
use crate::peer::Peer;
use crate::traffic::LOAD;

/// A node that comes and goes: its id.
pub const GUEST: i32 = 4;
/// How long an answer may take, while some nodes cannot be reached.
const ANSWER: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Where a campaign takes place.
pub struct Field {
    /// The nodes.
    pub sites: Vec<Site>,
    /// The network.
    pub ground: Ground,
    /// Clients at work.
    pub watch: Watch,
    /// `log.durability` of the nodes.
    pub durability: &'static str,
    /// How long the row lasts.
    pub lasts: Duration,
    /// Since when the fault is over, by the clock of the clients.
    pub healed: Duration,
    /// Chances.
    pub rng: StdRng,
}

impl Field {
    /// A field with chances of its own.
    pub fn new(sites: Vec<Site>, ground: Ground, watch: Watch, plan: &Plan) -> Self {
        let Plan { durability, lasts, seed, .. } = *plan;
        Self { sites, ground, watch, durability, lasts, healed: Duration::ZERO, rng: StdRng::seed_from_u64(seed) }
    }

    /// The place of a node.
    ///
    /// # Panics
    /// There is no such node.
    pub fn site(&mut self, id: i32) -> &mut Site {
        self.sites.iter_mut().find(|site| site.id == id).expect("ids come from the sites")
    }

    /// A place for one more node, which asks the quorum who it is.
    ///
    /// # Errors
    /// It cannot be put on the network.
    pub fn guest(&mut self, role: Role) -> anyhow::Result<Site> {
        self.ground.add(GUEST)?;
        let first = self.sites.first().context("no nodes")?;
        let folder = first.folder.with_file_name(format!("n{GUEST}"));
        let mut guest = Site::new(GUEST, role, self.ground.address(GUEST), folder, first.system.clone());
        (guest.entrance, guest.joins) = (self.ground.entrance(GUEST), true);
        Ok(guest)
    }

    /// The first answer of a node.
    pub fn ask_any<R: Request>(&self, request: &R, version: i16, within: Duration) -> Option<R::Response> {
        let mut running = self.sites.iter().filter(|site| site.is_broker() && site.pid().is_some());
        running.find_map(|site| ask_within(site, request, version, within).ok())
    }

    /// Ids of brokers.
    pub fn brokers(&self) -> Vec<i32> {
        self.sites.iter().filter(|site| site.is_broker()).map(|site| site.id).collect()
    }

    /// Ids of controllers.
    pub fn controllers(&self) -> Vec<i32> {
        self.sites.iter().filter(|site| site.role != Role::Broker).map(|site| site.id).collect()
    }

    /// The fault is over: from now on the cluster's own time counts. What it took to mount or replace a disk does not.
    pub fn is_healed_now(&mut self) {
        self.healed = self.watch.now();
    }

    /// The fault is over, and these nodes, which do not run, start, all at once. Each has so long to serve.
    pub fn start_again(&mut self, nodes: &[i32], within: Duration) -> anyhow::Result<()> {
        self.is_healed_now();
        nodes.iter().try_for_each(|id| self.site(*id).spawn())?;
        nodes.iter().try_for_each(|id| self.site(*id).until_open(within))
    }

    /// Lets a fault last: as long as it wants to, where the row has so much time.
    pub fn hold(&self, wanted: Duration) {
        std::thread::sleep(wanted.min(self.lasts / 4));
    }

    /// A broker of chance.
    pub fn any_broker(&mut self) -> i32 {
        let brokers = self.brokers();
        brokers[self.rng.random_range(0..brokers.len())]
    }

    /// Who leads a partition of the load.
    ///
    /// # Errors
    /// Nobody does, for long.
    pub fn leader(&self, partition: i32) -> anyhow::Result<i32> {
        until("a leader", Duration::from_secs(30), || {
            self.sites.iter().filter(|site| site.is_broker()).find_map(|site| ask_who_leads(site, LOAD, partition))
        })
    }

    /// A broker that does not lead a partition of the load.
    ///
    /// # Errors
    /// As [`Field::leader`].
    pub fn follower(&self, partition: i32) -> anyhow::Result<i32> {
        let leader = self.leader(partition)?;
        self.brokers().into_iter().find(|id| *id != leader).context("one node only")
    }

    /// Who leads the quorum, and its epoch.
    ///
    /// # Errors
    /// Nobody does, for long.
    pub fn controller(&self) -> anyhow::Result<(i32, i32)> {
        until("a leader of the quorum", Duration::from_secs(30), || {
            self.sites.iter().filter(|site| site.is_broker()).find_map(|site| quorum(site).ok())
        })
    }

    /// Waits until all partitions have all their replicas in sync and leaders that run, as every broker tells it.
    ///
    /// # Errors
    /// It does not come to that.
    pub fn until_whole(&self, within: Duration) -> anyhow::Result<()> {
        until("every partition has all its replicas in sync", within, || {
            let brokers = self.sites.iter().filter(|site| site.is_broker() && site.pid().is_some());
            brokers.into_iter().all(is_whole).then_some(())
        })
    }

    /// Whether a partition of the load has acknowledged something lately.
    pub fn acked_within(&self, partition: i32, lately: Duration) -> bool {
        let (now, progress) = (self.watch.now(), self.watch.progress());
        let at = progress.acked_at.get(&(LOAD.to_owned(), partition));
        at.is_some_and(|at| now.saturating_sub(*at) <= lately)
    }

    /// Waits until each partition of the load has acknowledged something since.
    ///
    /// # Errors
    /// It does not come to that; how long it took otherwise.
    pub fn until_acked(&self, since: Duration, within: Duration) -> anyhow::Result<Duration> {
        until("all partitions acknowledge", within, || self.watch.all_acked_since(since).then_some(()))?;
        Ok(self.watch.now().saturating_sub(since))
    }
}

/// Waits for something.
///
/// # Errors
/// It never comes.
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        anyhow::ensure!(begun.elapsed() < within, "in {within:?} it never came to this: {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// One request on a connection of its own.
///
/// # Errors
/// There is no answer.
pub fn ask<R: Request>(site: &Site, request: &R, version: i16) -> anyhow::Result<R::Response> {
    ask_within(site, request, version, ANSWER)
}

fn ask_within<R: Request>(site: &Site, request: &R, version: i16, within: Duration) -> anyhow::Result<R::Response> {
    let mut peer = Peer::connect_within(site.listener(), within)?;
    peer.ask(request, version)?.context("the node closed the connection")
}

/// All that a node tells clients of the cluster.
///
/// # Errors
/// There is no answer.
pub fn metadata(site: &Site) -> anyhow::Result<MetadataResponse> {
    ask(site, &MetadataRequest { topics: None, ..MetadataRequest::default() }, 12)
}

/// Who leads a partition, as a node tells it.
pub fn ask_who_leads(site: &Site, topic: &str, partition: i32) -> Option<i32> {
    let answer = metadata(site).ok()?;
    let topic = answer.topics.into_iter().find(|found| found.name.as_deref() == Some(topic))?;
    let found = topic.partitions.into_iter().find(|found| found.partition_index == partition)?;
    Some(found.leader_id).filter(|leader| *leader > 0)
}

/// Whether all partitions have all their replicas in sync, as a node tells it.
pub fn is_whole(site: &Site) -> bool {
    let Ok(answer) = metadata(site) else { return false };
    let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.all(|partition| partition.leader_id > 0 && partition.isr_nodes.len() == partition.replica_nodes.len())
}

/// Leader and epoch of the quorum.
///
/// # Errors
/// It does not know, or there is no answer.
pub fn quorum(site: &Site) -> anyhow::Result<(i32, i32)> {
    let partition = describe_quorum(site)?;
    Ok((partition.leader_id, partition.leader_epoch))
}

/// The quorum as a node tells it.
///
/// # Errors
/// As above.
pub fn describe_quorum(site: &Site) -> anyhow::Result<DescribeQuorumPartition> {
    let partitions = vec![DescribeQuorumRequestPartition { partition_index: 0 }];
    let topics = vec![DescribeQuorumRequestTopic { topic_name: "__cluster_metadata".into(), partitions }];
    let answer = ask(site, &DescribeQuorumRequest { topics }, 2)?;
    let mut partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
    let partition = partitions.next().context("no partition")?;
    anyhow::ensure!(answer.error_code == 0 && partition.leader_id > 0, "no leader");
    Ok(partition)
}

/// Makes a topic with three replicas.
///
/// # Errors
/// It is refused, or there is no answer.
pub fn create_topic(site: &Site, name: &str, partitions: i32) -> anyhow::Result<()> {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 3,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 15_000, ..CreateTopicsRequest::default() };
    let result = ask(site, &request, 7)?.topics.into_iter().next().context("no answer about the topic")?;
    let made = [0, ErrorCode::TopicAlreadyExists.code()].contains(&result.error_code);
    anyhow::ensure!(made, "{:?}", result.error_message);
    Ok(())
}
