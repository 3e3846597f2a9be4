//! The journal under a directory of several logs: what it keeps is found again after any end, and never what was truncated, deleted
//! or made anew under the same name. `GOATQ_SEEDS=10000` runs so many lives; `GOATQ_SEED=n` one.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "crash/seeds.rs"]
mod seeds;

use std::{
    collections::BTreeMap,
    future::Future,
    path::Path,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use goatq_protocol::{
    Uuid,
    record::{Batch, BatchBuilder, BatchOptions, NewRecord, split},
};
use goatq_storage::{
    config::{CacheLimits, CleanupPolicy, Durability, LogConfig},
    group_commit::NoListener,
    io::sim::SimDisk,
    journal::{JournalLimits, JournalStats},
    log::{AppendOptions, CompactOptions, Log, Origin},
    log_dir::{LogDir, LogDirConfig, LogRequest, health::Reserve},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

const DIR: &str = "/data";
const USUAL_SEEDS: u64 = 150;
const TOPICS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// One incarnation of a topic.
#[derive(Debug)]
struct Topic {
    id: Uuid,
    /// The values by offset; those below `acked` were acknowledged.
    values: BTreeMap<i64, String>,
    end: i64,
    acked: i64,
    compacts: bool,
    /// Acknowledged from the page cache: a power cut may take it.
    cached: bool,
}

struct World {
    disk: SimDisk,
    dir: Arc<LogDir>,
    limits: JournalLimits,
    topics: BTreeMap<&'static str, Topic>,
    rng: StdRng,
    count: u128,
    now_ms: i64,
    total: JournalStats,
    playbacks: u64,
}

fn open(disk: &SimDisk, journal: JournalLimits) -> Arc<LogDir> {
    let config = LogDirConfig {
        cluster_id: "cluster".to_owned(),
        node_id: 1,
        fresh_directory_id: Uuid([7; 16]),
        reserve: Reserve { bytes: 0, percent: 0 },
        caches: CacheLimits::default(),
        recovery_threads: 1,
        journal,
    };
    LogDir::open(Arc::new(disk.clone()), Path::new(DIR), config).unwrap()
}

fn request(name: &str, topic: &Topic) -> LogRequest {
    let cleanup_policy = if topic.compacts { CleanupPolicy::COMPACT } else { CleanupPolicy::DELETE };
    let durability = if topic.cached { Durability::PageCache } else { Durability::Fsync };
    let config = LogConfig {
        segment_bytes: 15_000,
        file_delete_delay_ms: 500,
        cleanup_policy,
        durability,
        ..LogConfig::default()
    };
    LogRequest {
        topic: name.to_owned(),
        partition: 0,
        topic_id: Some(topic.id),
        config,
        listener: Arc::new(NoListener),
    }
}

fn batch(timestamp: i64, key: &str, value: &str) -> Batch {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let record = NewRecord { timestamp, key: Some(key.as_bytes()), value: Some(value.as_bytes()), headers: &[] };
    builder.push(record).unwrap();
    builder.build_batch().unwrap()
}

fn values(log: &Arc<Log>) -> BTreeMap<i64, String> {
    let (mut found, mut offset) = (BTreeMap::new(), log.log_start_offset());
    while offset < log.log_end_offset() {
        let chunks = wait(log.read(offset, 700, i64::MAX, true).unwrap().load()).unwrap();
        let batches: Vec<Batch> = split(&Bytes::from(chunks.concat())).map(|batch| batch.unwrap()).collect();
        let Some(last) = batches.last() else { break };
        offset = last.header().next_offset();
        for record in batches.iter().flat_map(|batch| batch.records(Default::default())) {
            let record = record.unwrap();
            found.insert(record.offset, String::from_utf8(record.value.unwrap().to_vec()).unwrap());
        }
    }
    found
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = StdRng::seed_from_u64(seed);
        let limits = JournalLimits {
            slot_bytes: 4096 * rng.random_range(1..5),
            slots: rng.random_range(2..5),
            small_bytes: rng.random_range(100..2000),
            large_bytes: [2000, 20_000][rng.random_range(0..2)],
            late_bytes: rng.random_range(0..12_000),
            direct_bytes: [0, 4096, 100_000][rng.random_range(0..3)],
            frame_bytes: 16 << 10,
            files: rng.random_range(2..20),
            patience: 0,
        };
        let disk = SimDisk::new(seed);
        disk.set_slowness([0, 3][rng.random_range(0..2)]);
        let dir = open(&disk, limits);
        let topics = BTreeMap::new();
        let total = JournalStats::default();
        World { disk, dir, limits, topics, rng, count: 0, now_ms: 0, total, playbacks: 0 }
    }

    fn some_topic(&mut self) -> Option<(&'static str, Arc<Log>)> {
        let name = TOPICS[self.rng.random_range(0..TOPICS.len())];
        self.dir.log(name, 0).map(|log| (name, log))
    }

    fn create(&mut self) {
        let name = TOPICS[self.rng.random_range(0..TOPICS.len())];
        let (compacts, cached) = (self.rng.random_bool(0.3), self.rng.random_bool(0.3));
        if !self.topics.contains_key(name) {
            self.create_topic(name, compacts, cached);
        }
    }

    fn create_topic(&mut self, name: &'static str, compacts: bool, cached: bool) {
        self.count += 1;
        let id = Uuid::from_u128(self.count);
        let topic = Topic { id, values: BTreeMap::new(), end: 0, acked: 0, compacts, cached };
        self.dir.open_log(request(name, &topic), self.now_ms).unwrap();
        self.topics.insert(name, topic);
    }

    fn append(&mut self) {
        if let Some((name, log)) = self.some_topic() {
            self.append_to(name, &log);
        }
    }

    fn append_to(&mut self, name: &'static str, log: &Log) {
        self.count += 1;
        let padding = [0, 20, 300, 300, 9000][self.rng.random_range(0..5)];
        let value = format!("{name} {:0padding$}", self.count);
        let key = format!("k{}", self.rng.random_range(0..3));
        let options = AppendOptions { leader_epoch: 0, origin: Origin::Client, now_ms: self.now_ms };
        let done = log.append(vec![batch(self.now_ms, &key, &value)], options).unwrap();
        let topic = self.topics.get_mut(name).unwrap();
        topic.values.insert(done.base_offset, value);
        topic.end = done.last_offset + 1;
    }

    fn acknowledge(&mut self) {
        for (name, topic) in &mut self.topics {
            topic.acked = self.dir.log(name, 0).unwrap().durable_end();
        }
    }

    fn turn(&mut self) {
        wait(self.dir.commit().turn());
        self.acknowledge();
        if self.rng.random_bool(0.3) {
            wait(self.dir.commit().write_late());
        }
        if self.rng.random_bool(0.5) {
            wait(self.dir.commit().free_journal());
        }
    }

    /// A turn, or the freeing of the journal, that never ends, with something done to its logs meanwhile.
    fn abandoned_turn(&mut self) {
        let commit = self.dir.commit().clone();
        let what = self.rng.random_range(0..4);
        let mut turn = pin!(async move {
            match what {
                0 => commit.free_journal().await,
                1 => commit.write_late().await,
                _ => commit.turn().await,
            }
        });
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..self.rng.random_range(1..4) {
            if turn.as_mut().poll(&mut context).is_ready() {
                break;
            }
            match self.rng.random_range(0..4) {
                0 => self.truncate(),
                1 => self.delete(),
                2 => self.create(),
                _ => self.append(),
            }
        }
        self.acknowledge();
    }

    fn truncate(&mut self) {
        let Some((name, log)) = self.some_topic() else { return };
        let topic = self.topics.get_mut(name).unwrap();
        if topic.compacts {
            return;
        }
        let offset = self.rng.random_range(log.log_start_offset()..=topic.end);
        if log.is_written_late() {
            // It would wait for the turn that waits for this.
            return;
        }
        log.truncate_to(offset).unwrap();
        topic.end = log.log_end_offset();
        topic.values.retain(|at, _| *at < topic.end);
        // A cut at the end changes nothing, and so makes nothing durable.
        topic.acked = log.durable_end();
    }

    fn compact(&mut self) {
        let Some((name, log)) = self.some_topic() else { return };
        let appends = self.rng.random_bool(0.5);
        if self.topics[name].compacts {
            self.compact_log(name, &log, appends);
        }
    }

    /// Compacts a log, which goes on meanwhile if `appends`.
    fn compact_log(&mut self, name: &'static str, log: &Arc<Log>, appends: bool) {
        let (now_ms, high_watermark) = (self.now_ms, log.durable_end());
        let mut throttle = |_| {
            if appends {
                self.append_to(name, log);
                self.turn();
            }
            true
        };
        let options = CompactOptions { now_ms, high_watermark, map_bytes: 1 << 20, seed: 1, throttle: &mut throttle };
        log.compact(options).unwrap();
    }

    fn delete(&mut self) {
        let Some((name, _)) = self.some_topic() else { return };
        self.count += 1;
        let id = Uuid::from_u128(self.count);
        self.dir.delete_logs(&[(name, 0)], self.now_ms, || id).unwrap();
        self.topics.remove(name);
    }

    fn step(&mut self) {
        self.now_ms += self.rng.random_range(0..400);
        match self.rng.random_range(0..100) {
            0..50 => self.append(),
            50..75 => self.turn(),
            75..80 => self.dir.maintain(self.now_ms).unwrap(),
            80..82 => self.dir.checkpoint(self.now_ms).unwrap(),
            82..89 => self.create(),
            89..91 => self.delete(),
            91..93 => self.truncate(),
            93..96 => self.compact(),
            96..98 => self.abandoned_turn(),
            _ => self.restart(),
        }
    }

    fn restart(&mut self) {
        let end = self.rng.random_range(0..4);
        self.restart_after(end);
    }

    /// What ends this life: 0 a clean end, 1 a kill, more a power cut.
    fn restart_after(&mut self, end: u32) {
        let JournalStats { frames, checkpoints, .. } = self.dir.commit().stats().journal;
        self.total.frames += frames;
        self.total.checkpoints += checkpoints;
        self.disk = match end {
            0 => {
                self.dir.close_clean(-1, self.now_ms).unwrap();
                self.topics.values_mut().for_each(|topic| topic.acked = topic.end);
                self.disk.restart()
            }
            1 => self.disk.restart(),
            _ => self.disk.crash(),
        };
        self.playbacks += u64::from(end > 1 && frames > 0);
        self.dir = open(&self.disk, self.limits);
        let found: Vec<&str> = self.dir.found().iter().map(|found| found.topic.as_str()).collect();
        assert_eq!(
            found,
            self.topics.keys().copied().collect::<Vec<_>>(),
            "what was made is there, what was deleted is not"
        );
        for (name, topic) in &mut self.topics {
            let log = self.dir.open_log(request(name, topic), self.now_ms).unwrap();
            let log_end = log.log_end_offset();
            let least = if topic.cached && end > 1 { 0 } else { topic.acked };
            assert!((least..=topic.end).contains(&log_end), "{name} ends at {log_end}: {topic:?}");
            assert!(end > 0 || log_end == topic.end, "a clean end takes nothing");
            topic.values.retain(|at, _| *at < log_end);
            (topic.end, topic.acked) = (log_end, log_end);
            let found = values(&log);
            let same = |(at, value): (&i64, &String)| topic.values.get(at) == Some(value);
            assert!(found.iter().all(same), "{name}: {found:?} instead of {:?}", topic.values);
            assert!(topic.compacts || found.len() == topic.values.len(), "{name}: {found:?} of {:?}", topic.values);
            let newest = topic.values.last_key_value();
            assert!(newest.is_none_or(|(at, _)| found.contains_key(at)), "{name} without its end");
        }
        // A turn that misses the journal, and the upkeep that makes it.
        self.append();
        self.turn();
        self.dir.maintain(self.now_ms).unwrap();
    }
}

fn live(seed: u64) -> (JournalStats, u64) {
    let mut world = World::new(seed);
    for _ in 0..150 {
        world.step();
    }
    world.restart();
    (world.total, world.playbacks)
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_gone_comes_back() {
    let seeds = seeds::chosen(USUAL_SEEDS);
    let (mut frames, mut freed, mut playbacks) = (0, 0, 0);
    for seed in seeds.clone() {
        let lived = std::panic::catch_unwind(|| live(seed));
        let Ok((stats, played)) = lived else { panic!("seed {seed}: replay with GOATQ_SEED={seed}") };
        (frames, freed, playbacks) = (frames + stats.frames, freed + stats.checkpoints, playbacks + played);
    }
    println!("{frames} frames, {freed} times freed, {playbacks} playbacks");
    let many = seeds.end - seeds.start;
    assert!(many < USUAL_SEEDS || (frames > many * 5 && freed > many / 2 && playbacks > many / 2));
}

#[test]
fn what_is_appended_while_a_log_is_compacted_survives() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        world.create_topic("a", true, false);
        let log = world.dir.log("a", 0).unwrap();
        for _ in 0..30 {
            world.append_to("a", &log);
            world.turn();
            world.dir.maintain(world.now_ms).unwrap();
        }
        world.compact_log("a", &log, true);
        world.restart_after(1 + seed as u32 % 2);
    }
}
