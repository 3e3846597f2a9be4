//! A follower of a whole node: the leader is reached over loopback, its ISR is the controller's, and both logs are on disks.

use std::path::Path;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use goatq_controller::decide::brokers::RegisterBroker;
use goatq_controller::decide::{Command, Context, Decision};
use goatq_controller::feature::SupportedFeatures;
use goatq_controller::record::{PartitionRecord, TopicRecord};
use goatq_protocol::Uuid;
use goatq_protocol::record::{BatchBuilder, BatchOptions, NewRecord};
use goatq_storage::config::CacheLimits;
use goatq_storage::group_commit::NoListener;
use goatq_storage::journal::JournalLimits;
use goatq_storage::log_dir::health::Reserve;
use goatq_storage::log_dir::{LogDir, LogDirConfig, LogRequest};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::lost::LostBrokers;
use super::peers::{PeerConfig, TcpPeers};
use super::*;
use crate::assembly::RunningNode;
use crate::assembly::testing::started;
use crate::fetch::planner::{Isolation, ReadBounds};
use crate::partition::{Assignment, LeaderRecords, PartitionContext, PartitionName};
use crate::purgatory::Purgatory;

const LEADER: i32 = 1;
const FOLLOWER: i32 = 2;
/// Nothing here takes long; whoever waits for so long waits for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes a topic with two replicas, whatever the node thinks of more than one.
#[derive(Clone)]
struct TwoReplicas;

impl Command for TwoReplicas {
    type Response = ();

    fn decide(self, _: &mut Context<'_>) -> Decision<()> {
        let topic_id = Uuid::from_u128(0x7000);
        let topic = TopicRecord { name: "t".into(), topic_id };
        let partition = PartitionRecord {
            topic_id,
            replicas: vec![LEADER, FOLLOWER],
            isr: vec![LEADER, FOLLOWER],
            leader: LEADER,
            directories: vec![Uuid::ZERO; 2],
            ..PartitionRecord::default()
        };
        Decision { records: vec![topic.into(), partition.into()], response: () }
    }
}

async fn leader(dir: &Path) -> RunningNode {
    let dir = dir.display().to_string();
    let settings = [
        ("node.id", "1"),
        ("log.dirs", dir.as_str()),
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("replica.lag.time.max.ms", "1500"),
        // The follower sends no heartbeats.
        ("broker.session.timeout.ms", "600000"),
    ];
    let node = started(&settings, goatq_storage::io::default_disk()).await;
    let features = SupportedFeatures::current();
    let follower = RegisterBroker {
        id: FOLLOWER,
        cluster_id: None,
        incarnation: Uuid::from_u128(2),
        replaces: None,
        endpoints: Vec::new(),
        rack: None,
        features: features.iter().map(|(name, range)| (name.clone(), (range.min, range.max))).collect(),
        log_dirs: vec![Uuid::from_u128(0x2000)],
        before: Vec::new(),
        losses: Vec::new(),
        fenced: false,
    };
    let controller = &node.node().controller;
    controller.submit(follower).await.expect("decided").expect("registered");
    controller.submit_here(TwoReplicas).await.expect("decided");
    assert!(node.node().applied.until(controller.image().applied_index).await);
    node
}

/// Another broker, as far as replication needs one: its logs, its partitions and its fetchers. It reads the leader's metadata.
struct Follower {
    dir: Arc<LogDir>,
    partition: Arc<Partition>,
    parts: FetcherParts,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What the fetchers of a follower need, to reach the leader.
fn parts(leader: &RunningNode, partitions: Arc<PartitionRegistry>) -> FetcherParts {
    let node = leader.node();
    let config = PeerConfig {
        listener: "PLAINTEXT".to_owned(),
        timeout: PATIENCE,
        max_answer: 1 << 20,
        client_id: "follower".into(),
    };
    let (transport, applied) = (node.transport.clone(), node.applied.clone());
    FetcherParts {
        config: FetcherConfig {
            node_id: FOLLOWER,
            max_wait: Duration::from_millis(100),
            min_bytes: 1,
            partition_bytes: 1 << 20,
            response_bytes: 1 << 20,
            max_pause: Duration::from_millis(100),
        },
        partitions,
        peers: Arc::new(TcpPeers { transport, applied: applied.clone(), lost: LostBrokers::default(), config }),
        applied,
        clock: node.clock.clone(),
        offload: Offload::Threads,
        throttles: node.throttles.clone(),
        counts: Arc::default(),
    }
}

impl Follower {
    fn new(leader: &RunningNode, path: &Path) -> Self {
        let dir = LogDirConfig {
            cluster_id: "cluster".to_owned(),
            node_id: FOLLOWER,
            fresh_directory_id: Uuid::from_u128(0x2000),
            reserve: Reserve { bytes: 0, percent: 0 },
            caches: CacheLimits::default(),
            recovery_threads: 1,
            journal: JournalLimits::default(),
        };
        let dir = LogDir::open(goatq_storage::io::default_disk(), path, dir).expect("a fresh directory");
        let tasks = TaskTracker::new();
        let partition = Self::partition(leader, &dir, 0);
        let partitions = Arc::new(PartitionRegistry::default());
        partitions.insert(partition.clone());
        Self { dir, partition, parts: parts(leader, partitions), stop: CancellationToken::new(), tasks }
    }

    /// Partition 0, as the leader has it, or one that the leader knows nothing of.
    fn partition(leader: &RunningNode, dir: &Arc<LogDir>, index: i32) -> Arc<Partition> {
        let node = leader.node();
        let image = node.image();
        let topic = image.topics.by_name("t").expect("made");
        let config = node.config.topic(None);
        let request = LogRequest {
            topic: "t".to_owned(),
            partition: index,
            topic_id: Some(topic.id),
            config: config.log.clone(),
            listener: Arc::new(NoListener),
        };
        let log = dir.open_log(request, 0).expect("a fresh log");
        let context = PartitionContext {
            node_id: FOLLOWER,
            commits: Purgatory::new(1000),
            max_lag: PATIENCE,
            fetch_backoff: Duration::from_millis(100),
            proposals: mpsc::unbounded_channel().0,
            planted: None,
            damages: tokio::sync::mpsc::unbounded_channel().0,
            counts: Arc::default(),
        };
        let name = PartitionName { topic: "t".into(), topic_id: topic.id, index };
        let partition = Partition::new(name, context, log, config, Arc::default());
        let image = topic.partition(0).expect("there");
        let assignment = Assignment {
            leader: image.leader,
            leader_epoch: image.leader_epoch,
            partition_epoch: image.partition_epoch,
            replicas: &image.replicas,
            isr: &image.isr,
            adding: &image.adding_replicas,
            unclean_epoch: image.unclean_epoch,
        };
        partition.assign(assignment, Duration::ZERO);
        partition
    }

    /// From now on what is appended becomes durable.
    fn sync(&self) {
        let dir = self.dir.clone();
        self.tasks.spawn(async move { dir.run().await });
    }

    fn fetch(&mut self) {
        self.stop = CancellationToken::new();
        self.tasks.spawn(ReplicaFetchers::new(self.parts.clone()).run(self.stop.clone()));
    }

    async fn end(self) {
        self.stop.cancel();
        self.dir.close_clean(0, 0).expect("closes");
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn batch(value: &str) -> bytes::Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(NewRecord { timestamp: 1, key: None, value: Some(value.as_bytes()), headers: &[] }).expect("fits");
    builder.build().expect("valid")
}

fn produce(partition: &Partition, value: &str) -> crate::partition::Appended {
    partition.append_client(Some(batch(value).into()), 9, true, 1).expect("appended")
}

async fn isr(node: &RunningNode, wanted: &[i32]) {
    let mut images = node.node().applied.watch();
    let reached = images.wait_for(|image| {
        let partition = image.topics.by_name("t").and_then(|topic| topic.partition(0));
        partition.is_some_and(|partition| partition.isr == wanted)
    });
    tokio::time::timeout(PATIENCE, reached).await.expect("in time").expect("the node runs");
}

#[tokio::test]
async fn a_follower_over_loopback() {
    let (here, there) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let node = leader(here.path()).await;
    let led = node.node().partitions.get("t", 0).expect("led");
    let mut follower = Follower::new(&node, there.path());
    follower.sync();
    assert_eq!(led.in_sync_replicas(), 2);
    // In sync and silent, the follower is waited for: nothing is committed before it fetches.
    let first = produce(&led, "a");
    led.wait_durable(first.last_offset, first.leader_epoch).await.expect("durable");
    assert_eq!(led.high_watermark(), 0);
    follower.fetch();
    for value in ["b", "c", "d"] {
        let appended = produce(&led, value);
        let committed = led.wait_committed(appended.last_offset, appended.leader_epoch);
        tokio::time::timeout(PATIENCE, committed).await.expect("in time").expect("still leading");
        assert!(follower.partition.log().durable_end() > appended.last_offset, "acknowledged before it was durable");
    }
    // It learns the high watermark with the next answer.
    let gate = follower.partition.high_watermark_gate().clone();
    assert!(tokio::time::timeout(PATIENCE, gate.pass(4, &Purgatory::new(10))).await.expect("in time"));
    let read = |partition: Arc<Partition>| async move {
        partition.read_committed_batches(0, 1 << 20).await.expect("readable").concat()
    };
    assert_eq!(read(follower.partition.clone()).await, read(led.clone()).await);
    // Away for too long it is out of sync, and nobody waits for it; back again, it catches up and joins.
    follower.stop.cancel();
    let alone = produce(&led, "e");
    isr(&node, &[LEADER]).await;
    let committed = led.wait_committed(alone.last_offset, alone.leader_epoch);
    tokio::time::timeout(PATIENCE, committed).await.expect("in time").expect("still leading");
    follower.fetch();
    isr(&node, &[LEADER, FOLLOWER]).await;
    assert_eq!(follower.partition.log_end_offset(), 5);
    follower.end().await;
    node.shutdown().await;
}

#[tokio::test]
async fn a_fetcher_waits_for_what_an_earlier_one_left() {
    let (here, there) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let node = leader(here.path()).await;
    let led = node.node().partitions.get("t", 0).expect("led");
    let mut follower = Follower::new(&node, there.path());
    produce(&led, "a");
    // What an earlier fetcher has appended, and did not wait for.
    let asked = follower.partition.next_fetch(Duration::ZERO).expect("nothing to wait for");
    let bounds = ReadBounds { max_bytes: 1 << 20, min_one_batch: true };
    let read = led.read(0, Some(bounds), Isolation::LogEnd).expect("readable");
    let records = read.slice.expect("something").load().await.expect("readable").concat();
    let answer = LeaderRecords { records: bytes::Bytes::from(records).into(), high_watermark: 0, log_start: 0 };
    follower.partition.on_leader_records(&asked, answer, Duration::ZERO, 1).expect("appended");
    assert!(follower.partition.has_undurable());
    // Nothing else would make it ask again.
    follower.parts.config.max_pause = 5 * PATIENCE;
    follower.fetch();
    // By then it has found that there is nothing to ask for.
    tokio::time::sleep(Duration::from_millis(100)).await;
    follower.sync();
    let appended = produce(&led, "b");
    let committed = led.wait_committed(appended.last_offset, appended.leader_epoch);
    tokio::time::timeout(PATIENCE, committed).await.expect("in time").expect("still leading");
    follower.end().await;
    node.shutdown().await;
}

/// Connections to the leader that count the requests which ask for partition 1.
struct Counted {
    peers: Arc<dyn Peers>,
    asked: Arc<watch::Sender<u32>>,
}

impl Peers for Counted {
    fn connect(&self, broker: i32) -> BoxFuture<'_, Result<Box<dyn LeaderConnection>, PeerError>> {
        let asked = self.asked.clone();
        let counted = move |connection| Box::new(CountedConnection { connection, asked }) as Box<dyn LeaderConnection>;
        self.peers.connect(broker).map_ok(counted).boxed()
    }
}

struct CountedConnection {
    connection: Box<dyn LeaderConnection>,
    asked: Arc<watch::Sender<u32>>,
}

impl LeaderConnection for CountedConnection {
    fn fetch(&mut self, request: FetchRequest) -> BoxFuture<'_, Result<FetchResponse, PeerError>> {
        if request.topics.iter().flat_map(|topic| &topic.partitions).any(|asked| asked.partition == 1) {
            self.asked.send_modify(|asked| *asked += 1);
        }
        self.connection.fetch(request)
    }
}

#[tokio::test]
async fn a_partition_whose_pause_ends_does_not_wait_for_a_silent_one() {
    let (here, there) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let node = leader(here.path()).await;
    let mut follower = Follower::new(&node, there.path());
    follower.sync();
    follower.parts.partitions.insert(Follower::partition(&node, &follower.dir, 1));
    let (asked, mut times) = watch::channel(0);
    follower.parts.peers = Arc::new(Counted { peers: follower.parts.peers.clone(), asked: Arc::new(asked) });
    // Nothing is written to the partition that the leader has.
    follower.parts.config.max_wait = 5 * PATIENCE;
    follower.fetch();
    let often = tokio::time::timeout(PATIENCE, times.wait_for(|times| *times >= 3)).await;
    often.expect("it is asked for again").expect("the fetcher runs");
    follower.end().await;
    node.shutdown().await;
}

/// On a thread of its own: a fetcher that never rests would hold the test for ever.
#[test]
#[allow(clippy::disallowed_methods, reason = "see above")]
fn a_fetcher_without_anything_to_ask_for_rests_when_its_assignment_ends() {
    let (rested, rests) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let here = TempDir::new().expect("a folder");
            let node = leader(here.path()).await;
            let parts = parts(&node, Arc::default());
            let (_, partitions) = watch::channel(Followed::new());
            let fetcher = LeaderFetcher { parts, leader: LEADER, partitions, session: FetchSession::default() };
            assert!(tokio::time::timeout(Duration::from_millis(200), fetcher.run()).await.is_err(), "it ended");
            node.shutdown().await;
        });
        rested.send(()).expect("the test waits");
    });
    rests.recv_timeout(PATIENCE).expect("it rests");
}
