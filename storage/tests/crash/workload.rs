//! A random life of a log.

use std::{
    collections::BTreeMap,
    pin::pin,
    task::{Context, Waker},
};

use goatq_protocol::record::{Batch, BatchOptions, control::EndTxnMarker};
use goatq_storage::{
    config::{CacheLimits, CleanupPolicy, Durability, LogConfig},
    error::AppendError,
    io::sim::Fault,
    journal::JournalLimits,
    log::{AppendOptions, CompactOptions, Origin},
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use super::{
    bench::{Bench, End, batch, wait},
    check::check,
    model::{Kind, Model},
};

/// How often what was exercised; a test that stops exercising something must say so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coverage {
    lives: u64,
    appends: u64,
    crashes: u64,
    lost_batches: u64,
    faults: u64,
    rolls: u64,
    retained: u64,
    compacted: u64,
    truncated: u64,
    resent_duplicates: u64,
    resent_anew: u64,
    aborted: u64,
    frames: u64,
    freed: u64,
    replayed: u64,
    rewritten: u64,
    blocks_written: u64,
}

impl Coverage {
    pub(crate) fn add(&mut self, other: &Coverage) {
        let pairs = [
            (&mut self.lives, other.lives),
            (&mut self.appends, other.appends),
            (&mut self.crashes, other.crashes),
            (&mut self.lost_batches, other.lost_batches),
            (&mut self.faults, other.faults),
            (&mut self.rolls, other.rolls),
            (&mut self.retained, other.retained),
            (&mut self.compacted, other.compacted),
            (&mut self.truncated, other.truncated),
            (&mut self.resent_duplicates, other.resent_duplicates),
            (&mut self.resent_anew, other.resent_anew),
            (&mut self.aborted, other.aborted),
            (&mut self.frames, other.frames),
            (&mut self.freed, other.freed),
            (&mut self.replayed, other.replayed),
            (&mut self.rewritten, other.rewritten),
            (&mut self.blocks_written, other.blocks_written),
        ];
        pairs.into_iter().for_each(|(sum, more)| *sum += more);
    }

    pub(crate) fn must_be_complete(&self) {
        let all = [
            self.lives,
            self.appends,
            self.crashes,
            self.lost_batches,
            self.faults,
            self.rolls,
            self.retained,
            self.compacted,
            self.truncated,
            self.resent_duplicates,
            self.resent_anew,
            self.aborted,
            self.frames,
            self.freed,
            self.replayed,
            self.rewritten,
            self.blocks_written,
        ];
        assert!(all.iter().all(|count| *count > 0), "something is no longer exercised: {self:?}");
    }
}

/// A producer and what it has not heard of yet.
#[derive(Debug, Default)]
struct Producer {
    next_sequence: i32,
    /// Batches without an acknowledgement, oldest first, with their offsets; at most five.
    in_flight: Vec<(Batch, i64)>,
}

struct Life {
    bench: Option<Bench>,
    model: Model,
    producers: BTreeMap<i64, Producer>,
    epoch: i32,
    compacts: bool,
    /// Appends come from a leader elsewhere, offsets jump, and the tail may be truncated.
    follows: bool,
    rng: StdRng,
    /// Draws what concerns the journal, if there is one: seeds without it stay what they were.
    journal_rng: Option<StdRng>,
    /// Draws the big batches, if there are such.
    big_rng: Option<StdRng>,
    values: u64,
    coverage: Coverage,
    /// Print every event: a single seed is replayed.
    verbose: bool,
}

fn config(rng: &mut StdRng) -> LogConfig {
    let policies =
        [CleanupPolicy::DELETE, CleanupPolicy::DELETE, CleanupPolicy::COMPACT, CleanupPolicy::COMPACT_DELETE];
    LogConfig {
        segment_bytes: rng.random_range(600..8000),
        index_interval_bytes: [0, 100, 500, 4096][rng.random_range(0..4)],
        segment_index_bytes: rng.random_range(48..4000),
        retention_bytes: if rng.random_bool(0.5) { rng.random_range(1000..20_000) } else { -1 },
        retention_ms: -1,
        delete_retention_ms: rng.random_range(0..2000),
        cleanup_policy: policies[rng.random_range(0..policies.len())],
        file_delete_delay_ms: rng.random_range(0..500),
        preallocate: rng.random_bool(0.1),
        ..LogConfig::default()
    }
}

/// A journal so small that its slots are used again after a few turns.
fn small_journal(rng: &mut StdRng) -> JournalLimits {
    JournalLimits {
        slot_bytes: 4096 * rng.random_range(1..6),
        slots: rng.random_range(1..5),
        small_bytes: rng.random_range(0..2000),
        large_bytes: rng.random_range(0..8000),
        late_bytes: rng.random_range(0..20_000),
        direct_bytes: [0, 4096, 100_000][rng.random_range(0..3)],
        frame_bytes: 8192,
        files: rng.random_range(1..10),
        patience: 0,
    }
}

/// Lives through one seed, with or without a journal. With `big`, batches are sometimes as big as some blocks, and the page cache may
/// be all that is waited for. The disk acknowledges too early what concerns files whose path contains `hasty`.
pub(crate) fn live(seed: u64, verbose: bool, (journaled, big): (bool, bool), hasty: Option<&str>) -> Coverage {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut config = config(&mut rng);
    let mut big_rng = StdRng::seed_from_u64(seed ^ 0xB16);
    if big {
        config.segment_bytes *= big_rng.random_range(1..20);
        config.durability = [Durability::Fsync, Durability::Fsync, Durability::PageCache][big_rng.random_range(0..3)];
    }
    let limits = CacheLimits {
        open_files: rng.random_range(4..12),
        index_bytes: rng.random_range(0..20_000),
        tail_bytes: rng.random_range(0..8000),
    };
    let compacts = config.cleanup_policy.compact;
    let mut journal_rng = StdRng::seed_from_u64(!seed);
    let journal = if journaled { small_journal(&mut journal_rng) } else { JournalLimits::NONE };
    let bench = Bench::with_journal(rng.next_u64(), config, limits, journal);
    if let Some(path_part) = hasty {
        bench.disk.set_hasty(path_part);
    }
    let mut life = Life {
        bench: Some(bench),
        model: Model::default(),
        producers: (0..rng.random_range(1..4)).map(|id| (id, Producer::default())).collect(),
        epoch: 0,
        compacts,
        follows: !compacts && rng.random_bool(0.3),
        rng,
        journal_rng: journaled.then_some(journal_rng),
        big_rng: big.then_some(big_rng),
        values: 0,
        coverage: Coverage::default(),
        verbose,
    };
    let slowness = [0, 0, 3][life.rng.random_range(0..3)];
    life.bench().disk.set_slowness(slowness);
    for _ in 0..life.rng.random_range(2..6) {
        for _ in 0..life.rng.random_range(5..60) {
            if !life.step() {
                break;
            }
        }
        life.restart();
    }
    life.coverage
}

impl Life {
    fn syncs(&self) -> bool {
        self.bench.as_ref().is_some_and(|bench| bench.config.durability == Durability::Fsync)
    }

    fn bench(&self) -> &Bench {
        self.bench.as_ref().expect("a log is open but in a restart")
    }

    /// One event. False when the directory is poisoned and this life is over.
    fn step(&mut self) -> bool {
        let advance = self.rng.random_range(0..50);
        self.bench.as_mut().expect("a log is open but in a restart").now_ms += advance;
        let (what, event): (&str, fn(&mut Life)) = match self.rng.random_range(0..100) {
            0..45 => ("append", Life::append),
            45..60 => ("turn", Life::turn),
            60..65 => ("turn with appends", Life::turn_with_appends_meanwhile),
            65..72 => ("checkpoint", Life::checkpoint),
            72..77 => ("retain", Life::retain),
            77..80 => ("delete records", Life::delete_records),
            80..87 => ("compact", Life::compact),
            87..90 => ("end transaction", Life::end_txn),
            90..93 => ("truncate", Life::truncate),
            93..95 => ("inject", Life::inject),
            95..97 => ("epoch", |life| life.epoch += 1),
            _ => ("look", Life::look),
        };
        event(self);
        self.say(what);
        !self.bench().commit.health().is_poisoned()
    }

    fn say(&self, what: &str) {
        if self.verbose {
            let bench = self.bench();
            println!(
                "{what}: {:?} recovery {} of {:?}, poisoned {}, model {}..{} acked {}",
                bench.log,
                bench.log.recovery_point(),
                bench.remembered.recovery_points.lock().get("t-0"),
                bench.commit.health().is_poisoned(),
                self.model.max_start,
                self.model.end,
                self.model.acked
            );
            println!("  {:?}", bench.files());
        }
    }

    fn key(&mut self) -> Option<String> {
        (self.compacts || self.rng.random_bool(0.5)).then(|| format!("k{}", self.rng.random_range(0..8)))
    }

    fn new_batch(&mut self, options: BatchOptions) -> Batch {
        let count = self.rng.random_range(1..5);
        let mut size = [10, 10, 100, 700][self.rng.random_range(0..4)];
        if let Some(rng) = &mut self.big_rng
            && rng.random_bool(0.3)
        {
            size = rng.random_range(1000..12_000);
        }
        let mut records = Vec::new();
        for _ in 0..count {
            self.values += 1;
            let tombstone = self.compacts && self.rng.random_bool(0.2);
            let value = format!("{:0size$}", self.values);
            records.push((self.key(), (!tombstone).then_some(value)));
        }
        let timestamp = self.bench().now_ms + self.rng.random_range(-30..30);
        let records: Vec<_> = records.iter().map(|(key, value)| (key.as_deref(), value.as_deref())).collect();
        let compression = goatq_protocol::record::Compression::None;
        batch(BatchOptions { compression, ..options }, timestamp, &records)
    }

    fn append(&mut self) {
        if self.follows {
            return self.append_replicated();
        }
        if self.rng.random_bool(0.4) {
            let batch = self.new_batch(BatchOptions::default());
            self.give(batch, None, false);
            return;
        }
        let ids: Vec<i64> = self.producers.keys().copied().collect();
        let id = ids[self.rng.random_range(0..ids.len())];
        if self.producers[&id].in_flight.len() == 5 {
            return;
        }
        let transactional = self.model.open_txns().contains_key(&id) || self.rng.random_bool(0.2);
        let options = BatchOptions {
            producer_id: id,
            producer_epoch: 0,
            base_sequence: self.producers[&id].next_sequence,
            transactional,
            ..BatchOptions::default()
        };
        let batch = self.new_batch(options);
        self.give(batch, Some(id), transactional);
    }

    fn append_replicated(&mut self) {
        let mut batches = Vec::new();
        let mut next = self.model.end;
        for _ in 0..self.rng.random_range(1..4) {
            let gap = if self.rng.random_bool(0.1) { self.rng.random_range(1..20) } else { 0 };
            let mut batch = self.new_batch(BatchOptions::default());
            batch.assign(next + gap, self.epoch).unwrap();
            next = batch.header().next_offset();
            batches.push(batch);
        }
        let options = AppendOptions { leader_epoch: 0, origin: Origin::Replication, now_ms: self.bench().now_ms };
        let done = self.bench().log.append(batches.clone(), options);
        self.coverage.appends += u64::from(done.is_ok());
        if self.bench().commit.health().is_poisoned() {
            return self.note_possible(&batches);
        }
        // Without a new segment only the first of them may be there.
        let end = self.bench().log.log_end_offset();
        for batch in batches.iter().filter(|batch| batch.header().last_offset() < end) {
            self.model.append(batch, batch.header().base_offset, self.epoch, Kind::Data { transactional: false });
        }
    }

    /// Appends that failed may be found after the next start all the same.
    fn note_possible(&mut self, batches: &[Batch]) {
        let mut next = self.model.end;
        for batch in batches {
            let base = if self.follows { batch.header().base_offset } else { next };
            self.model.append(batch, base, self.epoch, Kind::Data { transactional: batch.header().is_transactional() });
            next = self.model.end;
        }
    }

    fn give(&mut self, batch: Batch, producer: Option<i64>, transactional: bool) {
        if batch.size() > self.bench().config.segment_bytes as usize {
            return;
        }
        let segments = self.bench().log.segment_count();
        let options = AppendOptions { leader_epoch: self.epoch, origin: Origin::Client, now_ms: self.bench().now_ms };
        match self.bench().log.append(vec![batch.clone()], options) {
            Ok(done) => {
                assert!(!done.duplicate, "a new batch taken for a repetition");
                assert_eq!(done.base_offset, self.model.end, "offsets are dense");
                self.model.append(&batch, done.base_offset, self.epoch, Kind::Data { transactional });
                self.coverage.appends += 1;
                self.coverage.rolls += u64::from(self.bench().log.segment_count() > segments);
                self.sent(batch, producer, done.base_offset);
            }
            // No new segment could be made; nothing has happened.
            Err(AppendError::Io(_)) if !self.bench().commit.health().is_poisoned() => {}
            Err(error) => {
                assert!(self.bench().commit.health().is_poisoned(), "{error}");
                let base = self.model.end;
                self.note_possible(std::slice::from_ref(&batch));
                self.sent(batch, producer, base);
            }
        }
    }

    fn sent(&mut self, batch: Batch, producer: Option<i64>, base_offset: i64) {
        let Some(state) = producer.and_then(|id| self.producers.get_mut(&id)) else { return };
        state.next_sequence += batch.header().record_count;
        state.in_flight.push((batch, base_offset));
    }

    /// Takes in how far the log is durable, as a partition would.
    fn acknowledge(&mut self) {
        let durable = self.bench().log.durable_end();
        assert!(durable >= self.model.acked, "the durable end went back to {durable}");
        self.model.acked = durable;
        for producer in self.producers.values_mut() {
            producer.in_flight.retain(|(batch, base)| base + i64::from(batch.header().last_offset_delta) >= durable);
        }
    }

    fn turn(&mut self) {
        self.bench().sync();
        self.acknowledge();
        let Some(rng) = &mut self.journal_rng else { return };
        let (prepare, write, free) = (rng.random_bool(0.3), rng.random_bool(0.3), rng.random_bool(0.5));
        if prepare {
            // A fault only means that there is none yet.
            let _ = self.bench().commit.journal().expect("a bench has one").prepare();
        }
        if write {
            wait(self.bench().commit.write_late());
        }
        if free {
            wait(self.bench().commit.free_journal());
        }
    }

    /// Group commit is under way, or writes late, while more is appended; perhaps it never ends.
    fn turn_with_appends_meanwhile(&mut self) {
        let commit = self.bench().commit.clone();
        let what = self.journal_rng.as_mut().map_or(9, |rng| rng.random_range(0..4));
        let mut turn = pin!(async move {
            match what {
                0 => commit.free_journal().await,
                1 => commit.write_late().await,
                _ => commit.turn().await,
            }
        });
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..self.rng.random_range(1..6) {
            let done = turn.as_mut().poll(&mut context).is_ready();
            self.append();
            if done {
                break;
            }
        }
        self.acknowledge();
    }

    fn checkpoint(&mut self) {
        let bench = self.bench();
        if bench.log.checkpoint(bench.now_ms).is_err() {
            return;
        }
        if self.rng.random_bool(0.8) {
            self.bench().remember();
        }
        let (start, first_dirty) = (self.bench().log.log_start_offset(), self.bench().log.first_dirty_offset());
        let bench = self.bench.as_mut().expect("a log is open but in a restart");
        (bench.start, bench.first_dirty) = (start, first_dirty);
        self.acknowledge();
    }

    fn retain(&mut self) {
        let bench = self.bench();
        let retained = bench.log.retain(bench.now_ms, bench.log.durable_end());
        let _ = bench.log.purge(bench.now_ms);
        self.coverage.retained += retained.map_or(0, |retained| retained.segments as u64);
        self.model.max_start = self.model.max_start.max(self.bench().log.log_start_offset());
        if self.bench().commit.health().is_poisoned() {
            // A segment may be gone though the log does not say so.
            self.model.max_start = self.model.end;
        }
    }

    fn delete_records(&mut self) {
        let log = self.bench().log.clone();
        let (start, durable) = (log.log_start_offset(), log.durable_end());
        if start < durable && self.rng.random_bool(0.5) {
            let offset = start + (durable - start) / self.rng.random_range(2..6);
            log.advance_start_offset(offset, durable).unwrap();
            self.model.max_start = self.model.max_start.max(offset);
        }
    }

    fn compact(&mut self) {
        if !self.compacts {
            return;
        }
        let durable = self.bench().log.durable_end();
        self.model.compacted_to = self.model.compacted_to.max(durable);
        let options = CompactOptions {
            now_ms: self.bench().now_ms,
            high_watermark: durable,
            map_bytes: [400, 1 << 20][self.rng.random_range(0..2)],
            seed: self.rng.next_u64(),
            throttle: &mut |_| true,
        };
        let compacted = self.bench().log.compact(options);
        self.coverage.compacted += u64::from(compacted.is_ok_and(|done| done.records_after < done.records_before));
    }

    fn end_txn(&mut self) {
        if let Some((producer, _)) = self.model.open_txns().pop_first() {
            self.end_txn_of(producer);
        }
    }

    fn end_txn_of(&mut self, producer: i64) {
        let commit = self.rng.random_bool(0.5);
        let marker = EndTxnMarker { committed: commit, coordinator_epoch: 0 };
        let batch = marker.to_batch(producer, 0, self.bench().now_ms).unwrap();
        let options =
            AppendOptions { leader_epoch: self.epoch, origin: Origin::Coordinator, now_ms: self.bench().now_ms };
        let done = self.bench().log.append(vec![batch.clone()], options);
        if done.is_ok() || self.bench().commit.health().is_poisoned() {
            let base = self.model.end;
            self.model.append(&batch, base, self.epoch, Kind::Marker { commit });
            self.coverage.aborted += u64::from(!commit);
        }
    }

    fn truncate(&mut self) {
        if !self.follows || self.model.end <= self.bench().log.log_start_offset() {
            return;
        }
        let log = self.bench().log.clone();
        let offset = self.rng.random_range(log.log_start_offset()..=self.model.end);
        match log.truncate_to(offset) {
            Ok(()) => {
                let end = log.log_end_offset();
                assert!(end <= offset.max(log.log_start_offset()));
                self.model.cut(end);
                self.model.max_start = self.model.max_start.min(end).max(log.log_start_offset());
                self.coverage.truncated += 1;
            }
            // Some of it may be gone; the batch that holds the offset goes as a whole, and a gap before it.
            Err(_) => {
                let kept = self.model.batches.values().filter(|entry| entry.last_offset < offset);
                let cut = kept.map(|entry| entry.last_offset + 1).max().unwrap_or(0);
                // Below the start all of it goes, and the start may be forgotten.
                let cut = if cut < log.log_start_offset() { 0 } else { cut };
                self.model.acked = self.model.acked.min(cut);
            }
        }
    }

    fn inject(&mut self) {
        if !self.syncs() {
            return;
        }
        let parts = [".log", "index", ".swap", ".deleted", ".cleaned", ".snapshot", "epoch", "t-0"];
        let mut part = parts[self.rng.random_range(0..parts.len())].to_owned();
        if let Some(rng) = &mut self.journal_rng
            && rng.random_bool(0.3)
        {
            part = ["goatq-journal", "goatq-journal-"][rng.random_range(0..2)].to_owned();
        }
        let fault = match self.rng.random_range(0..3) {
            0 => Fault::FailSync(part),
            1 => Fault::FailWrite(part),
            _ => Fault::FailNames(part),
        };
        self.bench().disk.inject(fault);
        self.coverage.faults += 1;
    }

    fn look(&mut self) {
        // A reader may stumble over a fault as well; that is not what is looked at.
        self.bench().disk.heal();
        if self.rng.random_bool(0.5) {
            // Writes what is staged.
            drop(wait(self.bench().log.offset_for_timestamp(0)));
        }
        check(self.bench.as_ref().expect("a log is open but in a restart"), &self.model, self.compacts, &mut self.rng);
    }

    fn restart(&mut self) {
        let syncs = self.syncs();
        let bench = self.bench.take().expect("a log is open but in a restart");
        bench.disk.heal();
        let poisoned = bench.commit.health().is_poisoned();
        let end = match self.rng.random_range(0..4) {
            0 if !poisoned => End::Clean,
            // What a failed sync lost is still in the page cache: the machine has to go down for the truth to come out.
            1 if !poisoned => End::Kill,
            // A power cut takes what was acknowledged without a sync.
            _ if !syncs => End::Kill,
            _ => End::Crash,
        };
        self.coverage.lives += 1;
        self.coverage.crashes += u64::from(end == End::Crash);
        if end == End::Clean {
            self.model.acked = self.model.end;
        }
        let stats = bench.commit.stats();
        self.coverage.frames += stats.journal.frames;
        self.coverage.freed += stats.journal.checkpoints;
        self.coverage.blocks_written += stats.blocks_written;
        let staged = bench.log.staged_bytes();
        let bench = bench.reopen(end).unwrap();
        self.coverage.replayed += bench.replayed.frames;
        self.coverage.rewritten += bench.replayed.bytes;
        assert!(end != End::Clean || bench.replayed.bytes == 0, "nothing is missing: {:?}", bench.replayed);
        let (log_start, log_end) = (bench.log.log_start_offset(), bench.log.log_end_offset());
        assert!(log_end >= self.model.acked, "acknowledged below {}, but the log ends at {log_end}", self.model.acked);
        // A log of which nothing is left ends where it begins, which may be within a batch.
        let empty = log_end == log_start;
        let ends = log_end <= self.model.end && (empty || self.model.is_boundary(log_end));
        assert!(ends, "the log ends at {log_end}");
        let whole = log_end == self.model.end;
        assert!(whole || end == End::Crash || (end == End::Kill && staged > 0), "only power cuts take what is written");
        assert!(log_start <= self.model.max_start, "the log begins at {log_start}, not {}", self.model.max_start);
        assert_eq!(bench.log.durable_end(), log_end, "what recovery keeps is durable");
        self.coverage.lost_batches += self.model.batches.range(log_end..).count() as u64;
        self.model.cut(log_end);
        self.model.acked = log_end;
        self.bench = Some(bench);
        self.say(&format!("{end:?}"));
        self.look();
        self.resend();
        self.look();
    }

    /// Producers send again what they had no answer to, in order.
    fn resend(&mut self) {
        for id in self.producers.keys().copied().collect::<Vec<_>>() {
            let in_flight = std::mem::take(&mut self.producers.get_mut(&id).expect("it is there").in_flight);
            for (batch, base_offset) in in_flight {
                let survived = base_offset + i64::from(batch.header().last_offset_delta) < self.model.acked;
                if !survived && !batch.header().is_transactional() && self.model.open_txns().contains_key(&id) {
                    // The marker before it was lost; its coordinator writes it again.
                    self.end_txn_of(id);
                }
                let options =
                    AppendOptions { leader_epoch: self.epoch, origin: Origin::Client, now_ms: self.bench().now_ms };
                let done = self.bench().log.append(vec![batch.clone()], options).unwrap();
                assert_eq!(done.duplicate, survived, "batch {} of producer {id}", batch.header().base_sequence);
                if survived {
                    assert_eq!(done.base_offset, base_offset);
                    self.coverage.resent_duplicates += 1;
                } else {
                    let transactional = batch.header().is_transactional();
                    self.model.append(&batch, done.base_offset, self.epoch, Kind::Data { transactional });
                    self.coverage.resent_anew += 1;
                }
                self.producers.get_mut(&id).expect("it is there").in_flight.push((batch, done.base_offset));
            }
        }
    }
}
