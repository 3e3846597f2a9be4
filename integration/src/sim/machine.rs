//! A machine: a disk, clocks, a place in the network, and the node that runs on it, life after life.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use goatq_broker::assembly::{NodeOptions, RunningNode};
use goatq_broker::config::machine::Machine as Size;
use goatq_broker::config::settings::{Entry, Origin, Settings};
use goatq_broker::health::Health;
use goatq_broker::loggers::Loggers;
use goatq_broker::net::Transport;
use goatq_broker::node::Node;
use goatq_broker::threads::offload::Offload;
use goatq_broker::threads::workers::Workers;
use goatq_controller::planted::Planted;
use goatq_storage::io::sim::SimDisk;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Notify;

use super::clock::SimClock;
use super::defect::Defect;
use super::illness::Trouble;
use super::nemesis::RESERVE;
use super::net::SimNetwork;

/// Where clients connect.
pub const PORT: u16 = 9092;
/// Where partitions are.
pub(super) const DATA: &str = "/data";
/// Where the metadata log is, unless it is there, too.
const METADATA: &str = "/metadata";
const CLUSTER_ID: &str = "goats-goats-goats-goaw";

/// A machine of the world. Its first node is number 1.
pub struct Machine {
    /// `node.id`.
    pub id: i32,
    /// Name in the network.
    pub host: String,
    settings: Vec<(&'static str, String)>,
    planted: Option<Planted>,
    skew: Arc<AtomicI64>,
    stop: Notify,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) disk: SimDisk,
    pub(super) trouble: Trouble,
    /// There was no room on the disk in this life: what that led to may show later.
    pub(super) has_been_full: bool,
    seeds: StdRng,
    life: u32,
    running: Option<Running>,
}

#[derive(Clone)]
struct Running {
    node: Arc<Node>,
    health: Arc<Health>,
}

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The process is killed; what it wrote is in the page cache.
    Kill,
    /// The machine loses power; what was not synced may be lost, or torn.
    PowerCut,
}

/// What the machines of a world have in common.
#[derive(Debug, Clone)]
pub struct Shape {
    /// How many there are at the begin.
    pub machines: i32,
    /// `default.replication.factor`, and that of the offsets topic.
    pub replication: i16,
    /// `min.insync.replicas`.
    pub min_insync: i16,
    /// The load is in the page cache of its replicas when it is acknowledged: as many may lose theirs, until all is whole again, as are
    /// needed in sync, less one.
    pub page_cache: bool,
    /// What disks go through.
    pub disks: Disks,
    /// Segments are full after seconds, and what is compacted is so at once.
    pub rolls: bool,
    /// What is wrong on purpose.
    pub defect: Option<Defect>,
}

/// What disks go through besides being full or slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disks {
    /// Nothing.
    Sound,
    /// One at a time fails and is replaced by an empty one. The metadata log is on another one.
    Lost,
    /// Bits flip on this node's.
    Rotten(i32),
}

impl Machine {
    /// A new machine with an empty disk.
    pub fn new(id: i32, shape: &Shape, seed: u64) -> Arc<Self> {
        let mut seeds = StdRng::seed_from_u64(seed);
        let disk = SimDisk::new(seeds.next_u64());
        disk.set_slowness(3);
        disk.set_uncached(10);
        if shape.defect == Some(Defect::AckBeforeSync) {
            // Acknowledged appends are in the journal.
            disk.set_hasty("journal");
        }
        Arc::new(Self {
            id,
            host: host(id),
            settings: settings(id, shape),
            planted: shape.defect.and_then(Defect::planted),
            skew: Arc::default(),
            stop: Notify::new(),
            state: Mutex::new(State {
                disk,
                trouble: Trouble::None,
                has_been_full: false,
                seeds,
                life: 0,
                running: None,
            }),
        })
    }

    /// One life of the node: until it is told to stop, or cannot go on, which is an error unless its disk is to blame.
    ///
    /// # Errors
    /// It does not start, or it fails.
    pub async fn live(self: Arc<Self>) -> anyhow::Result<()> {
        let is_failed = self.is_marked();
        let node = match RunningNode::start(self.options()?).await {
            Ok(node) => node,
            Err(error) if is_failed || self.trouble().excuses_start() => {
                tracing::info!(host = self.host, error = format!("{error:#}"), "does not start");
                return Ok(());
            }
            Err(error) => anyhow::bail!("{} does not start: {error:#}", self.host),
        };
        anyhow::ensure!(!is_failed, "{} starts on a disk that has failed", self.host);
        let health = node.health().clone();
        self.state.lock().running = Some(Running { node: node.node().clone(), health: health.clone() });
        tokio::select! {
            biased;
            failure = health.failure() => {
                anyhow::ensure!(self.excuses(&failure), "{} cannot go on: {failure}", self.host);
            }
            () = self.stop.notified() => {}
        }
        node.shutdown().await;
        self.state.lock().running = None;
        Ok(())
    }

    fn options(&self) -> anyhow::Result<NodeOptions> {
        let entry = |(name, value): &(&str, String)| Entry {
            name: (*name).to_owned(),
            value: value.clone(),
            origin: Origin::CommandLine,
        };
        let settings = Settings::new(self.settings.iter().map(entry))?;
        let mut state = self.state.lock();
        state.life += 1;
        let mut seed = [0; 32];
        state.seeds.fill_bytes(&mut seed);
        let at = turmoil::sim_elapsed().unwrap_or_default();
        Ok(NodeOptions {
            settings,
            machine: Size::default(),
            clock: Arc::new(SimClock::boot(at, self.skew.clone())),
            disk: Arc::new(state.disk.clone()),
            transport: Transport::StandIn(Arc::new(SimNetwork)),
            workers: Workers::current(),
            offload: Offload::Inline,
            loggers: Loggers::detached(),
            seed,
            planted: self.planted,
        })
    }

    /// Asks the node to stop in order.
    pub fn stop(&self) {
        self.stop.notify_one();
    }

    /// The disk as the next life finds it. The node's tasks are dropped by whoever calls this.
    pub fn end(&self, how: End) {
        let mut state = self.state.lock();
        state.running = None;
        state.look();
        state.disk = match how {
            End::Kill => state.disk.restart(),
            End::PowerCut => state.disk.crash(),
        };
    }

    /// After a life that ended in order, the next one finds the disk as it was left.
    pub fn begin_again(&self) {
        let mut state = self.state.lock();
        state.disk = state.disk.restart();
        state.has_been_full = state.trouble == Trouble::Full;
    }

    /// Sets the wall clock forward or back.
    pub fn jump(&self, by_ms: i64) {
        self.skew.fetch_add(by_ms, Ordering::Relaxed);
    }

    /// The node and the number of its life, if it got as far as being put together.
    pub fn node(&self) -> Option<(u32, Arc<Node>)> {
        let state = self.state.lock();
        state.running.as_ref().map(|running| (state.life, running.node.clone()))
    }

    /// Whether the node serves.
    pub fn is_serving(&self) -> bool {
        self.state.lock().running.as_ref().is_some_and(|running| running.health.is_serving())
    }

    /// The disk.
    pub fn disk(&self) -> SimDisk {
        self.state.lock().disk.clone()
    }
}

/// Name of a machine in the network.
pub fn host(id: i32) -> String {
    format!("n{id}")
}

/// Everything that takes time is faster than by default, so that a short history holds many elections.
fn settings(id: i32, shape: &Shape) -> Vec<(&'static str, String)> {
    let metadata = if shape.disks == Disks::Lost { METADATA } else { DATA };
    let voters: Vec<_> = (1..=shape.machines).map(|id| format!("{id}@{}:9093", host(id))).collect();
    let servers: Vec<_> = (1..=shape.machines).map(|id| format!("{}:9093", host(id))).collect();
    // Who comes later finds the quorum without being one of its voters.
    let quorum = if id <= shape.machines {
        ("controller.quorum.voters", voters.join(","))
    } else {
        ("controller.quorum.bootstrap.servers", servers.join(","))
    };
    let text = |value: &str| value.to_owned();
    let mut settings = vec![
        ("node.id", id.to_string()),
        ("cluster.id", text(CLUSTER_ID)),
        ("log.dirs", text(DATA)),
        ("metadata.log.dir", text(metadata)),
        ("log.dir.reserve.bytes", RESERVE.to_string()),
        ("listeners", format!("PLAINTEXT://0.0.0.0:{PORT},CONTROLLER://0.0.0.0:9093")),
        ("advertised.listeners", format!("PLAINTEXT://{0}:{PORT},CONTROLLER://{0}:9093", host(id))),
        ("allow.insecure.listeners", text("true")),
        ("http.listener", text("")),
        quorum,
        ("controller.quorum.election.timeout.ms", text("300")),
        ("controller.quorum.request.timeout.ms", text("500")),
        ("broker.heartbeat.interval.ms", text("300")),
        ("broker.session.timeout.ms", text("1500")),
        ("connections.max.idle.ms", text("10000")),
        ("replica.lag.time.max.ms", text("1500")),
        ("replica.fetch.wait.max.ms", text("200")),
        ("replica.socket.timeout.ms", text("1000")),
        ("replica.fetch.backoff.ms", text("100")),
        ("min.insync.replicas", shape.min_insync.to_string()),
        ("default.replication.factor", shape.replication.to_string()),
        ("offsets.topic.replication.factor", shape.replication.to_string()),
        ("offsets.topic.num.partitions", text("2")),
        ("group.initial.rebalance.delay.ms", text("100")),
        ("group.min.session.timeout.ms", text("500")),
        ("auto.create.topics.enable", text("false")),
        ("log.segment.bytes", text("1048576")),
        // Wall clocks are set hours forward and back.
        ("log.message.timestamp.after.max.ms", i64::MAX.to_string()),
    ];
    if shape.rolls {
        let often = ["log.roll.ms", "log.cleaner.backoff.ms", "log.retention.check.interval.ms"];
        settings.extend(often.map(|name| (name, text("1000"))));
    }
    settings
}
