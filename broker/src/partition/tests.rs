//! Partitions on the real log, on a simulated disk.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use goatq_protocol::record::{BatchBuilder, BatchOptions, NewRecord};
use goatq_storage::config::{CacheLimits, Durability};
use goatq_storage::group_commit::NoListener;
use goatq_storage::io::sim::{Fault, SimDisk};
use goatq_storage::journal::JournalLimits;
use goatq_storage::log_dir::health::Reserve;
use goatq_storage::log_dir::{LogDir, LogDirConfig, LogRequest};

use super::*;
use crate::config::throttled::ThrottledReplicas;
use crate::config::topic::TopicCompression;
use crate::fetch::planner::{Isolation, ReadBounds};
use crate::replication::follower::Objection;

const NOW: i64 = 1_700_000_000_000;
const NODE: i32 = 1;

struct World {
    disk: SimDisk,
    dir: Arc<LogDir>,
    partition: Arc<Partition>,
}

fn topic_config(durability: Durability) -> TopicConfig {
    TopicConfig {
        log: goatq_storage::config::LogConfig { durability, ..goatq_storage::config::LogConfig::default() },
        max_message_bytes: 1000,
        max_decompressed_message_bytes: 2_147_483_639,
        min_insync_replicas: 1,
        compression: TopicCompression::Producer,
        log_append_time: false,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compact: false,
        delete: true,
        leader_throttled: ThrottledReplicas::None,
        follower_throttled: ThrottledReplicas::None,
    }
}

fn world(durability: Durability) -> World {
    let disk = SimDisk::new(1);
    let config = LogDirConfig {
        cluster_id: "cluster".to_owned(),
        node_id: NODE,
        fresh_directory_id: Uuid::from_u128(1000),
        reserve: Reserve { bytes: 0, percent: 0 },
        caches: CacheLimits::default(),
        recovery_threads: 1,
        journal: JournalLimits::default(),
    };
    let dir = LogDir::open(Arc::new(disk.clone()), Path::new("/data"), config).expect("a fresh directory");
    let config = topic_config(durability);
    let topic_id = Uuid::from_u128(2000);
    let request = LogRequest {
        topic: "t".to_owned(),
        partition: 0,
        topic_id: Some(topic_id),
        config: config.log.clone(),
        listener: Arc::new(NoListener),
    };
    let log = dir.open_log(request, NOW).expect("a fresh log");
    let name = PartitionName { topic: "t".into(), topic_id, index: 0 };
    let context = PartitionContext {
        node_id: NODE,
        commits: Purgatory::new(1000),
        max_lag: Duration::from_secs(30),
        fetch_backoff: Duration::from_secs(1),
        proposals: mpsc::unbounded_channel().0,
        planted: None,
        damages: tokio::sync::mpsc::unbounded_channel().0,
        counts: Arc::default(),
    };
    let partition = Partition::new(name, context, log, Arc::new(config), Arc::default());
    World { disk, dir, partition }
}

/// A world whose node leads in epoch 5.
fn leading(durability: Durability) -> World {
    let world = world(durability);
    world.lead(5);
    world
}

impl World {
    fn lead(&self, leader_epoch: i32) {
        self.assign(NODE, leader_epoch);
    }

    fn assign(&self, leader: i32, leader_epoch: i32) {
        self.assign_to(leader, leader_epoch, &[NODE]);
    }

    fn assign_to(&self, leader: i32, leader_epoch: i32, replicas: &[i32]) {
        let assignment = Assignment {
            leader,
            leader_epoch,
            partition_epoch: 0,
            replicas,
            isr: replicas,
            adding: &[],
            unclean_epoch: -1,
        };
        self.partition.assign(assignment, Duration::ZERO);
    }

    fn sync(&self) {
        // The simulated disk answers at once.
        self.dir.commit().turn().now_or_never().expect("no waiting");
    }

    fn produce(&self, records: Bytes) -> Result<Appended, AppendError> {
        self.partition.append_client(Some(records.into()), 9, true, NOW)
    }

    fn read(&self, offset: i64, isolation: Isolation) -> Result<usize, PartitionReadError> {
        let bounds = ReadBounds { max_bytes: 1 << 20, min_one_batch: true };
        Ok(self.partition.read(offset, Some(bounds), isolation)?.max_len())
    }
}

fn batch(values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for value in values {
        let record = NewRecord { timestamp: NOW, key: None, value: Some(value.as_bytes()), headers: &[] };
        builder.push(record).expect("fits");
    }
    builder.build().expect("valid")
}

#[test]
fn what_is_appended_counts_once_it_is_durable() {
    let world = leading(Durability::Fsync);
    let partition = &world.partition;
    let appended = world.produce(batch(&["a", "b"])).expect("appended");
    assert_eq!((appended.base_offset, appended.last_offset, appended.log_append_time_ms), (0, 1, -1));
    assert_eq!((partition.log_end_offset(), partition.high_watermark(), partition.last_stable_offset()), (2, 0, 0));
    let mut committed = Box::pin(partition.wait_committed(1, 5));
    let mut durable = Box::pin(partition.wait_durable(1, 5));
    assert_eq!((&mut committed).now_or_never(), None);
    assert_eq!((&mut durable).now_or_never(), None);
    world.sync();
    assert_eq!(committed.now_or_never(), Some(Ok(())));
    assert_eq!(durable.now_or_never(), Some(Ok(())));
    assert_eq!((partition.high_watermark(), partition.last_stable_offset()), (2, 2));
    assert_eq!(partition.counts().messages_in.get(), 2);
}

#[test]
fn page_cache_topics_do_not_wait_for_the_disk() {
    let world = leading(Durability::PageCache);
    world.produce(batch(&["a"])).expect("appended");
    assert_eq!(world.partition.high_watermark(), 1);
    assert_eq!(world.partition.wait_committed(0, 5).now_or_never(), Some(Ok(())));
}

#[test]
fn readers_see_what_their_isolation_allows() {
    let world = leading(Durability::Fsync);
    let records = batch(&["a"]);
    world.produce(records.clone()).expect("appended");
    assert_eq!(world.read(0, Isolation::HighWatermark).expect("in range"), 0);
    assert_eq!(world.read(0, Isolation::LogEnd).expect("in range"), records.len());
    // Between the high watermark and the end there is nothing yet; beyond the end there is an error.
    assert_eq!(world.read(1, Isolation::HighWatermark).expect("in range"), 0);
    assert!(matches!(
        world.read(2, Isolation::HighWatermark),
        Err(PartitionReadError::OutOfRange { start: 0, end: 1 })
    ));
    assert!(matches!(world.read(-1, Isolation::LogEnd), Err(PartitionReadError::OutOfRange { .. })));
    world.sync();
    assert_eq!(world.read(0, Isolation::HighWatermark).expect("in range"), records.len());
    assert_eq!(world.read(0, Isolation::LastStableOffset).expect("in range"), records.len());
    let loaded = world.partition.read_committed_batches(0, 1).now_or_never().expect("in memory").expect("readable");
    let loaded = loaded.concat();
    let read = goatq_protocol::record::Batch::parse(loaded.into()).expect("a batch");
    assert_eq!((read.header().base_offset, read.header().partition_leader_epoch), (0, 5));
}

#[test]
fn only_the_leader_appends_and_epochs_are_checked() {
    let world = world(Durability::Fsync);
    let partition = &world.partition;
    assert!(matches!(world.produce(batch(&["a"])), Err(AppendError::NotLeader)));
    assert_eq!(partition.check_leader(-1), Err(LeaderError::NotLeader));
    world.lead(5);
    assert_eq!(partition.check_leader(-1), Ok(()));
    assert_eq!(partition.check_leader(5), Ok(()));
    assert_eq!(partition.check_leader(4), Err(LeaderError::Fenced));
    assert_eq!(partition.check_leader(6), Err(LeaderError::UnknownEpoch));
    // An older decision that comes late changes nothing.
    world.assign(9, 4);
    assert_eq!(partition.leader(), (NODE, 5));
    world.assign(9, 6);
    assert_eq!(partition.leader(), (9, 6));
    assert!(matches!(world.produce(batch(&["a"])), Err(AppendError::NotLeader)));
    assert!(matches!(partition.append_internal(batch(&["a"]), NOW), Err(InternalAppendError::NotLeader)));
}

#[test]
fn a_new_epoch_keeps_the_high_watermark() {
    let world = leading(Durability::Fsync);
    world.produce(batch(&["a"])).expect("appended");
    world.sync();
    world.produce(batch(&["b"])).expect("appended");
    world.lead(6);
    assert_eq!(world.partition.high_watermark(), 1);
    world.sync();
    assert_eq!(world.partition.high_watermark(), 2);
    world.produce(batch(&["c"])).expect("appended");
    assert_eq!(world.partition.end_of_epoch(5), Some((5, 2)));
    assert_eq!(world.partition.end_of_epoch(6), Some((6, 3)));
    assert_eq!(world.partition.end_of_epoch(7), None);
}

#[test]
fn replicas_in_sync_are_counted_against_what_there_can_be() {
    let world = leading(Durability::Fsync);
    let strict = TopicConfig { min_insync_replicas: 2, ..topic_config(Durability::Fsync) };
    world.partition.set_config(Arc::new(strict));
    // One replica can never be two.
    assert!(world.produce(batch(&["a"])).is_ok());
    let replicas = &[NODE, 2];
    let assignment = Assignment {
        leader: NODE,
        leader_epoch: 5,
        partition_epoch: 1,
        replicas,
        isr: &[NODE],
        adding: &[],
        unclean_epoch: -1,
    };
    world.partition.assign(assignment, Duration::ZERO);
    assert!(matches!(world.produce(batch(&["a"])), Err(AppendError::NotEnoughReplicas { in_sync: 1, wanted: 2 })));
    let only_leader = world.partition.append_client(Some(batch(&["a"]).into()), 9, false, NOW);
    assert!(only_leader.is_ok());
    assert_eq!(world.partition.in_sync_replicas(), 1);
}

#[test]
fn a_failed_sync_acknowledges_nothing_ever_again() {
    let world = leading(Durability::Fsync);
    world.produce(batch(&["a"])).expect("appended");
    let mut waiting = Box::pin(world.partition.wait_committed(0, 5));
    assert_eq!((&mut waiting).now_or_never(), None);
    world.disk.inject(Fault::FailSync("t-0".to_owned()));
    world.sync();
    assert_eq!(waiting.now_or_never(), Some(Err(CommitError::Storage)));
    assert_eq!(world.partition.high_watermark(), 0);
    assert!(matches!(world.produce(batch(&["b"])), Err(AppendError::Log(_))));
    assert_eq!(world.partition.check_leader(-1), Err(LeaderError::Storage));
    world.sync();
    assert_eq!(world.partition.high_watermark(), 0);
}

#[test]
fn closing_tells_those_who_wait() {
    let world = leading(Durability::Fsync);
    let registry = PartitionRegistry::default();
    registry.insert(Arc::clone(&world.partition));
    world.produce(batch(&["a"])).expect("appended");
    let mut waiting = Box::pin(world.partition.wait_committed(0, 5));
    assert_eq!((&mut waiting).now_or_never(), None);
    assert!(registry.remove(world.partition.topic_id(), 0).is_some());
    assert_eq!(waiting.now_or_never(), Some(Err(CommitError::NotLeader)));
    assert!(registry.get("t", 0).is_none() && registry.all().is_empty());
}

#[test]
fn a_topic_made_anew_is_found_by_its_name() {
    let (old, new) = (leading(Durability::Fsync), leading(Durability::Fsync));
    let registry = PartitionRegistry::default();
    let name = |id| PartitionName { topic: "t".into(), topic_id: Uuid::from_u128(id), index: 0 };
    let again = |world: &World, id| {
        let context = world.partition.context.clone();
        let log = world.partition.log();
        Partition::new(name(id), context, log, world.partition.config(), Arc::default())
    };
    registry.insert(again(&old, 7));
    registry.insert(again(&new, 8));
    assert_eq!(registry.get("t", 0).map(|partition| partition.topic_id()), Some(Uuid::from_u128(8)));
    registry.remove(Uuid::from_u128(7), 0);
    assert_eq!(registry.get("t", 0).map(|partition| partition.topic_id()), Some(Uuid::from_u128(8)));
    assert!(registry.get_by_id(Uuid::from_u128(7), 0).is_none());
    registry.remove(Uuid::from_u128(8), 0);
    assert!(registry.topic("t").is_none());
}

#[test]
fn coordinators_append_one_whole_batch() {
    let world = leading(Durability::Fsync);
    let partition = &world.partition;
    assert_eq!(partition.append_internal(batch(&["a"]), NOW).expect("appended").base_offset, 0);
    let two = Bytes::from([batch(&["a"]), batch(&["b"])].concat());
    for bad in [Bytes::new(), batch(&["a"]).slice(..50), two, batch(&[&"x".repeat(2000)])] {
        assert!(matches!(partition.append_internal(bad, NOW), Err(InternalAppendError::Invalid(_))));
    }
    assert_eq!(partition.log_end_offset(), 1);
    world.sync();
    assert_eq!(partition.wait_committed(0, 5).now_or_never(), Some(Ok(())));
}

/// A waiter on another task is woken by the group commit, not by luck.
#[tokio::test]
async fn waiters_are_woken() {
    let world = leading(Durability::Fsync);
    world.produce(batch(&["a"])).expect("appended");
    let partition = Arc::clone(&world.partition);
    let waiter = tokio::spawn(async move { partition.wait_committed(0, 5).await });
    tokio::task::yield_now().await;
    world.sync();
    let waited = tokio::time::timeout(Duration::from_secs(60), waiter).await.expect("woken").expect("no panic");
    assert_eq!(waited, Ok(()));
}

/// What a leader's log would hold: one batch of one record for each epoch, from an offset on.
fn from_leader(offset: i64, epochs: &[i32]) -> LeaderRecords {
    let mut bytes = Vec::new();
    for (base_offset, epoch) in (offset..).zip(epochs) {
        let options = BatchOptions { base_offset, partition_leader_epoch: *epoch, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        builder.push(NewRecord { timestamp: NOW, key: None, value: Some(b"v"), headers: &[] }).expect("fits");
        bytes.extend_from_slice(&builder.build().expect("valid"));
    }
    LeaderRecords { records: Bytes::from(bytes).into(), high_watermark: 0, log_start: 0 }
}

fn follow(world: &World, leader_epoch: i32) {
    let assignment = Assignment {
        leader: 9,
        leader_epoch,
        partition_epoch: 0,
        replicas: &[NODE, 9],
        isr: &[9],
        adding: &[],
        unclean_epoch: -1,
    };
    world.partition.assign(assignment, Duration::ZERO);
}

#[test]
fn a_follower_asks_for_what_it_vouches_for() {
    let world = world(Durability::Fsync);
    follow(&world, 3);
    let partition = &world.partition;
    let first = partition.next_fetch(Duration::ZERO).expect("at once");
    assert_eq!((first.offset, first.last_epoch, first.leader_epoch), (0, -1, 3));
    let answer = LeaderRecords { high_watermark: 1, ..from_leader(0, &[1, 3]) };
    partition.on_leader_records(&first, answer, Duration::ZERO, NOW).expect("appended");
    assert_eq!((partition.log_end_offset(), partition.high_watermark()), (2, 1));
    assert_eq!(partition.next_fetch(Duration::ZERO), None, "not durable yet");
    world.sync();
    let next = partition.next_fetch(Duration::ZERO).expect("durable");
    assert_eq!((next.offset, next.last_epoch), (2, 3));
    // Damaged records are not appended; the leader is asked again after a pause.
    let mut damaged = from_leader(2, &[3]).records.into_bytes().to_vec();
    *damaged.last_mut().expect("not empty") ^= 1;
    let damaged = LeaderRecords { records: Bytes::from(damaged).into(), high_watermark: 9, log_start: 0 };
    assert!(partition.on_leader_records(&next, damaged, Duration::ZERO, NOW).is_err());
    assert_eq!((partition.log_end_offset(), partition.high_watermark()), (2, 1));
    assert_eq!(partition.next_fetch(Duration::ZERO), None);
    assert_eq!(partition.next_fetch(Duration::from_secs(1)), Some(next));
}

#[test]
fn a_follower_gives_way_but_never_below_the_high_watermark() {
    let world = world(Durability::Fsync);
    follow(&world, 3);
    let partition = &world.partition;
    let asked = partition.next_fetch(Duration::ZERO).expect("at once");
    let answer = LeaderRecords { high_watermark: 1, ..from_leader(0, &[1, 2, 3]) };
    partition.on_leader_records(&asked, answer, Duration::ZERO, NOW).expect("appended");
    world.sync();
    follow(&world, 4);
    let asked = partition.next_fetch(Duration::ZERO).expect("at once");
    let parted = Objection::Diverging { epoch: 2, end_offset: 2 };
    partition.on_leader_objection(&asked, parted, Duration::ZERO).expect("cut");
    assert_eq!((partition.log_end_offset(), partition.log().durable_end()), (2, 2));
    // What it appends in an epoch of its own counts when it is durable, not because another record was once.
    world.lead(5);
    world.produce(batch(&["a"])).expect("appended");
    assert!(!partition.is_durable(2, 5));
    world.sync();
    assert!(partition.is_durable(2, 5) && !partition.is_durable(2, 4));
    follow(&world, 6);
    let asked = partition.next_fetch(Duration::ZERO).expect("at once");
    let parted = Objection::Diverging { epoch: 1, end_offset: 0 };
    partition.on_leader_objection(&asked, parted, Duration::ZERO).expect("nothing to do");
    assert!(partition.is_failed());
    assert_eq!((partition.log_end_offset(), partition.next_fetch(Duration::from_secs(99))), (3, None));
}

#[test]
fn who_waits_in_an_epoch_that_ends_is_told() {
    let world = leading(Durability::Fsync);
    world.produce(batch(&["a"])).expect("appended");
    let mut waiting = Box::pin(world.partition.wait_committed(0, 5));
    assert_eq!((&mut waiting).now_or_never(), None);
    follow(&world, 6);
    assert_eq!(waiting.now_or_never(), Some(Err(CommitError::NotLeader)));
    // Committed later, it may be another record.
    world.lead(7);
    world.sync();
    assert!(world.partition.is_committed(0, 7) && !world.partition.is_committed(0, 5));
}

#[test]
fn a_follower_starts_over_within_a_batch() {
    let world = world(Durability::Fsync);
    follow(&world, 3);
    let partition = &world.partition;
    let asked = partition.next_fetch(Duration::ZERO).expect("at once");
    let gone = Objection::OutOfRange { log_start: 5 };
    partition.on_leader_objection(&asked, gone, Duration::ZERO).expect("started over");
    let asked = partition.next_fetch(Duration::ZERO).expect("at once");
    assert_eq!(asked.offset, 5);
    let options = BatchOptions { base_offset: 3, partition_leader_epoch: 3, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    for _ in 3..7 {
        builder.push(NewRecord { timestamp: NOW, key: None, value: Some(b"v"), headers: &[] }).expect("fits");
    }
    let records = builder.build().expect("valid").into();
    let answer = LeaderRecords { records, high_watermark: 7, log_start: 5 };
    partition.on_leader_records(&asked, answer, Duration::ZERO, NOW).expect("appended");
    assert_eq!((partition.log_start_offset(), partition.log_end_offset(), partition.high_watermark()), (5, 7, 7));
    world.sync();
    assert_eq!(partition.next_fetch(Duration::ZERO).map(|next| next.offset), Some(7));
}

#[test]
fn a_leader_that_hands_over_takes_nothing_from_clients() {
    let world = world(Durability::Fsync);
    let partition = &world.partition;
    world.lead(5);
    assert_eq!(partition.hand_over(), None, "nobody could take over");
    world.produce(batch(&["a"])).expect("appended");
    world.assign_to(NODE, 6, &[NODE, 2]);
    world.produce(batch(&["b", "c"])).expect("appended");
    assert_eq!(partition.hand_over(), Some(LastAppend { offset: 2, leader_epoch: 6 }));
    let refused = world.produce(batch(&["d"])).expect_err("it hands over");
    assert!(matches!(refused, AppendError::HandsOver { leader_epoch: 6 }), "{refused}");
    // Groups go on until somebody else has them.
    assert_eq!(partition.append_internal(batch(&["offsets"]), NOW).expect("appended").base_offset, 3);
    let mut over = Box::pin(partition.until_handed_over(6));
    assert!((&mut over).now_or_never().is_none(), "it leads");
    world.assign_to(2, 7, &[NODE, 2]);
    over.now_or_never().expect("another one leads");
    // The next time that it leads is another matter, and so is it when nobody takes over.
    world.assign_to(NODE, 8, &[NODE, 2]);
    world.produce(batch(&["d"])).expect("appended");
    partition.hand_over().expect("another one could");
    partition.lead_on_after_all();
    world.produce(batch(&["e"])).expect("appended");
}
