//! A log on a simulated disk and the model beside it.

use std::{path::Path, sync::Arc};

use goatq_protocol::record::{Batch, BatchBuilder, BatchOptions, Compression, NewRecord, control::EndTxnMarker};
use goatq_storage::{
    config::{CacheLimits, LogConfig},
    error::LogError,
    group_commit::{GroupCommit, NoListener},
    io::{Disk, sim::SimDisk},
    log::{AppendOptions, CompactOptions, Compacted, Log, LogResources, OpenOptions, Origin},
    log_dir::health::{DirHealth, Reserve},
};

use super::{
    super::bench::{End, Remembered, dir, wait},
    model::{Appended, Change, Known, Model},
    trip_disk::TripDisk,
};

/// Key and value, by number.
pub(super) type Pair = (Option<u8>, Option<u8>);

#[derive(Clone, Debug)]
pub(super) enum Step {
    Append { records: Vec<Pair>, codec: u8, skew: i64 },
    Produce { id: i64, records: Vec<Pair>, txn: bool, skew: i64 },
    End { id: i64, commit: bool, bump: bool },
    Sync,
    Checkpoint,
    Wait(i64),
    Compact { map_bytes: usize, stop_after: Option<u32> },
    AdvanceStart(u8),
    Retain,
    Reopen { end: End, lose_snapshots: bool },
}

pub(super) struct World {
    disk: TripDisk,
    remembered: Arc<Remembered>,
    commit: GroupCommit,
    log: Arc<Log>,
    config: LogConfig,
    start: i64,
    first_dirty: i64,
    pub(super) now_ms: i64,
    pub(super) model: Model,
}

fn open(
    disk: &TripDisk,
    remembered: &Arc<Remembered>,
    config: &LogConfig,
    (start, first_dirty): (i64, i64),
    clean: bool,
    now_ms: i64,
) -> (GroupCommit, Arc<Log>) {
    let shared = disk.disk();
    let limits = CacheLimits { open_files: 8, index_bytes: 64 << 10, tail_bytes: 600 };
    let resources = LogResources::new(shared.clone(), limits);
    let commit = GroupCommit::new(DirHealth::new(shared, Path::new("/logs"), Reserve::default()));
    let options = OpenOptions {
        dir: dir(),
        topic_id: None,
        config: config.clone(),
        clean,
        recovery_point: remembered.recovery_points.lock().get("t-0").copied().or(Some(0)),
        log_start_offset: start,
        first_dirty_offset: first_dirty,
    };
    let log = Log::open(&resources, &commit, remembered.clone(), Arc::new(NoListener), options, now_ms).unwrap();
    (commit, log)
}

impl World {
    pub(super) fn new(seed: u64, config: LogConfig) -> World {
        let sim = SimDisk::new(seed);
        sim.create_dir_all(Path::new("/logs")).unwrap();
        sim.sync_dir(Path::new("/")).unwrap();
        let (disk, remembered) = (TripDisk::new(sim), Arc::new(Remembered::default()));
        let (commit, log) = open(&disk, &remembered, &config, (0, 0), true, 1_000);
        World {
            disk,
            remembered,
            commit,
            log,
            config,
            start: 0,
            first_dirty: 0,
            now_ms: 1_000,
            model: Model::default(),
        }
    }

    pub(super) fn log(&self) -> &Arc<Log> {
        &self.log
    }

    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Append { records, codec, skew } => {
                let compression = Compression::ALL[usize::from(codec) * 2];
                let options = BatchOptions { compression, ..BatchOptions::default() };
                self.append(options, &records, skew);
            }
            Step::Produce { id, records, txn, skew } => self.produce(id, &records, txn, skew),
            Step::End { id, commit, bump } => self.end(id, commit, bump),
            Step::Sync => drop(wait(self.commit.turn())),
            Step::Checkpoint => {
                let point = self.log.checkpoint(self.now_ms).unwrap();
                self.remembered.recovery_points.lock().insert("t-0".to_owned(), point);
            }
            Step::Wait(ms) => {
                self.now_ms += ms;
                self.log.purge(self.now_ms).unwrap();
            }
            Step::Compact { map_bytes, stop_after } => {
                let mut left = stop_after;
                let done = self.compact_raw(map_bytes, &mut |_| match &mut left {
                    Some(0) => false,
                    Some(left) => {
                        *left -= 1;
                        true
                    }
                    None => true,
                });
                self.first_dirty = done.unwrap().first_dirty_offset;
                self.check();
            }
            Step::AdvanceStart(percent) => {
                let (start, end) = (self.log.log_start_offset(), self.log.durable_end());
                let to = start + (end - start) * i64::from(percent) / 300;
                self.start = self.log.advance_start_offset(to, end).unwrap();
            }
            Step::Retain => {
                self.log.retain(self.now_ms, self.log.durable_end()).unwrap();
                self.check();
            }
            Step::Reopen { end, lose_snapshots } => self.reopen(end, lose_snapshots),
        }
    }

    fn options(&self, origin: Origin) -> AppendOptions {
        AppendOptions { leader_epoch: 0, origin, now_ms: self.now_ms }
    }

    fn append(&mut self, options: BatchOptions, records: &[Pair], skew: i64) {
        let txn = options.transactional.then_some(options.producer_id);
        let mut builder = BatchBuilder::new(options);
        let mut appended = Vec::new();
        for (index, (key, value)) in (0_i64..).zip(records) {
            let key = key.map(|key| format!("key-{key}").into_bytes());
            let value = value.map(|value| format!("value-{value}").into_bytes());
            let timestamp = self.now_ms + skew + index;
            let new = NewRecord { timestamp, key: key.as_deref(), value: value.as_deref(), headers: &[] };
            builder.push(new).unwrap();
            appended.push(Appended { offset: index, timestamp, key, value, txn, marker: None, seen_ms: None });
        }
        let done = self.log.append(vec![builder.build_batch().unwrap()], self.options(Origin::Client)).unwrap();
        assert!(!done.duplicate);
        appended.iter_mut().for_each(|record| record.offset += done.base_offset);
        self.model.records.extend(appended);
    }

    fn produce(&mut self, id: i64, records: &[Pair], txn: bool, skew: i64) {
        let known = self.model.known().get(&id).copied();
        let mut known = known.unwrap_or(Known { epoch: 0, last_sequence: -1, txn_start: -1 });
        if known.txn_start >= 0 && !txn {
            return;
        }
        let options = BatchOptions {
            producer_id: id,
            producer_epoch: known.epoch,
            base_sequence: known.last_sequence + 1,
            transactional: txn,
            ..BatchOptions::default()
        };
        let base_offset = self.log.log_end_offset();
        self.append(options, records, skew);
        known.last_sequence += records.len() as i32;
        if txn && known.txn_start < 0 {
            known.txn_start = base_offset;
        }
        self.model.changes.push(Change { last_offset: self.log.log_end_offset() - 1, id, known });
    }

    fn end(&mut self, id: i64, commit: bool, bump: bool) {
        let Some(mut known) = self.model.known().get(&id).copied() else { return };
        if bump {
            known = Known { epoch: known.epoch + 1, last_sequence: -1, txn_start: known.txn_start };
        }
        let marker = EndTxnMarker { committed: commit, coordinator_epoch: 0 };
        let batch: Batch = marker.to_batch(id, known.epoch, self.now_ms).unwrap();
        let done = self.log.append(vec![batch], self.options(Origin::Coordinator)).unwrap();
        known.txn_start = -1;
        self.model.records.push(Appended {
            offset: done.base_offset,
            timestamp: self.now_ms,
            key: None,
            value: None,
            txn: Some(id),
            marker: Some(commit),
            seen_ms: None,
        });
        self.model.changes.push(Change { last_offset: done.last_offset, id, known });
    }

    /// Notes what a compaction may see from now on, and compacts.
    pub(super) fn compact_raw(
        &mut self,
        map_bytes: usize,
        throttle: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Compacted, LogError> {
        let durable = self.log.durable_end();
        let visible = self.model.records.iter_mut().filter(|record| record.offset < durable);
        for record in visible {
            record.seen_ms.get_or_insert(self.now_ms);
        }
        self.log.compact(CompactOptions { now_ms: self.now_ms, high_watermark: durable, map_bytes, seed: 11, throttle })
    }

    /// Compacts, with a picture of what a power cut would leave before each operation of the disk.
    pub(super) fn compact_with_crashes(&mut self) -> Vec<SimDisk> {
        self.disk.arm();
        self.compact_raw(1 << 16, &mut |_| true).unwrap();
        let images = self.disk.disarm();
        self.check();
        images
    }

    fn reopen(&mut self, end: End, lose_snapshots: bool) {
        let durable = self.log.durable_end();
        if end == End::Clean {
            let point = self.log.close(self.now_ms).unwrap();
            self.remembered.recovery_points.lock().insert("t-0".to_owned(), point);
        }
        let sim = match end {
            End::Crash => self.disk.sim.crash(),
            End::Clean | End::Kill => self.disk.sim.restart(),
        };
        // Without snapshots nothing tells of producers whose batches were removed.
        if lose_snapshots && self.log.log_start_offset() == 0 {
            for entry in sim.list(&dir()).unwrap().iter().filter(|entry| entry.name.ends_with(".snapshot")) {
                sim.remove_file(&dir().join(&entry.name)).unwrap();
            }
        }
        self.live_on(sim, end == End::Clean, durable);
        self.check();
    }

    fn live_on(&mut self, sim: SimDisk, clean: bool, durable: i64) {
        self.disk = TripDisk::new(sim);
        let points = (self.start, self.first_dirty);
        (self.commit, self.log) = open(&self.disk, &self.remembered, &self.config, points, clean, self.now_ms);
        let end = self.log.log_end_offset();
        assert!(end >= durable, "the log ends at {end}, {durable} was durable");
        self.model.truncate(end);
    }

    /// The world after a crash that left that disk.
    pub(super) fn fork(&self, sim: SimDisk) -> World {
        let remembered = Remembered::default();
        remembered.recovery_points.lock().clone_from(&self.remembered.recovery_points.lock());
        let mut fork = World {
            disk: self.disk.clone(),
            remembered: Arc::new(remembered),
            commit: self.commit.clone(),
            log: self.log.clone(),
            config: self.config.clone(),
            model: self.model.clone(),
            ..*self
        };
        fork.live_on(sim, false, self.log.durable_end());
        fork
    }
}
