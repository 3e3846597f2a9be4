//! Scripts of what a log does: `testdata/log/*.txt`. With `REWRITE=1` the answers are written anew.

use std::collections::HashMap;

use datadriven::TestCase;
use goatq_protocol::record::{Batch, BatchOptions, Compression, control::EndTxnMarker};
use goatq_storage::{
    config::{CacheLimits, CleanupPolicy, Durability, LogConfig},
    log::{CompactOptions, Log, Origin},
};

use super::bench::{Bench, End, batch, batches_of, dir, wait};

struct Args<'a>(&'a HashMap<String, Vec<String>>);

impl Args<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|values| values.first().map_or("", String::as_str))
    }

    fn flag(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn number(&self, name: &str) -> Option<i64> {
        let text = self.text(name)?;
        Some(if text == "max" { i64::MAX } else { text.parse().unwrap_or_else(|_| panic!("{name}={text}")) })
    }

    fn or(&self, name: &str, default: i64) -> i64 {
        self.number(name).unwrap_or(default)
    }
}

fn configure(config: &mut LogConfig, args: &Args<'_>) {
    let number = |name: &str, field: &mut i64| *field = args.or(name, *field);
    number("segment.ms", &mut config.segment_ms);
    number("retention.ms", &mut config.retention_ms);
    number("retention.bytes", &mut config.retention_bytes);
    number("delete.retention.ms", &mut config.delete_retention_ms);
    number("min.compaction.lag.ms", &mut config.min_compaction_lag_ms);
    number("max.compaction.lag.ms", &mut config.max_compaction_lag_ms);
    number("file.delete.delay.ms", &mut config.file_delete_delay_ms);
    number("producer.id.expiration.ms", &mut config.producer_id_expiration_ms);
    number("flush.ms", &mut config.flush_ms);
    config.segment_bytes = args.or("segment.bytes", i64::from(config.segment_bytes)) as u32;
    config.segment_index_bytes = args.or("segment.index.bytes", i64::from(config.segment_index_bytes)) as u32;
    config.index_interval_bytes = args.or("index.interval.bytes", i64::from(config.index_interval_bytes)) as u32;
    if let Some(messages) = args.number("flush.messages") {
        config.flush_messages = messages as u64;
    }
    match args.text("cleanup.policy") {
        Some("compact") => config.cleanup_policy = CleanupPolicy::COMPACT,
        Some("compact,delete") => config.cleanup_policy = CleanupPolicy::COMPACT_DELETE,
        Some("delete") => config.cleanup_policy = CleanupPolicy::DELETE,
        _ => {}
    }
    match args.text("durability") {
        Some("page-cache") => config.durability = Durability::PageCache,
        Some("fsync") => config.durability = Durability::Fsync,
        _ => {}
    }
}

/// The records of an append, one a line: `key=value`, `key` for a tombstone, `=value` without a key.
fn records(input: &str) -> Vec<(Option<&str>, Option<&str>)> {
    let record = |line| match str::split_once(line, '=') {
        Some((key, value)) => ((!key.is_empty()).then_some(key), Some(value)),
        None => (Some(line), None),
    };
    input.lines().map(record).collect()
}

fn batch_of(args: &Args<'_>, input: &str, now_ms: i64) -> Batch {
    let options = BatchOptions {
        base_offset: args.or("base", 0),
        partition_leader_epoch: args.or("epoch", -1) as i32,
        producer_id: args.or("producer", -1),
        producer_epoch: args.or("producer-epoch", if args.flag("producer") { 0 } else { -1 }) as i16,
        base_sequence: args.or("sequence", -1) as i32,
        transactional: args.flag("transactional"),
        compression: args.text("compression").map_or(Compression::None, |name| Compression::from_name(name).unwrap()),
        ..BatchOptions::default()
    };
    let timestamp = args.or("time", now_ms);
    if let Some(size) = args.number("size") {
        let value = "x".repeat(size as usize);
        let count = args.or("count", 1) as usize;
        return batch(options, timestamp, &vec![(None, Some(value.as_str())); count]);
    }
    batch(options, timestamp, &records(input))
}

fn origin(args: &Args<'_>) -> Origin {
    match args.text("origin") {
        Some("replication") => Origin::Replication,
        Some("coordinator") => Origin::Coordinator,
        _ => Origin::Client,
    }
}

fn describe(log: &Log) -> String {
    format!(
        "start={} end={} durable={} recovery={} segments={} bytes={}\n",
        log.log_start_offset(),
        log.log_end_offset(),
        log.durable_end(),
        log.recovery_point(),
        log.segment_count(),
        log.size()
    )
}

fn describe_batch(batch: &Batch) -> String {
    let header = batch.header();
    let mut text = format!("{}..{} epoch={}", header.base_offset, header.last_offset(), header.partition_leader_epoch);
    if header.has_producer_id() {
        text += &format!(" producer={}/{}#{}", header.producer_id, header.producer_epoch, header.base_sequence);
    }
    if header.compression().unwrap() != Compression::None {
        text += &format!(" {}", header.compression().unwrap());
    }
    if let Some(horizon) = header.delete_horizon_ms() {
        text += &format!(" horizon={horizon}");
    }
    for record in batch.records(Default::default()) {
        let record = record.unwrap();
        let show = |field: Option<bytes::Bytes>| match field {
            None => "-".to_owned(),
            Some(bytes) if header.is_control() => format!("{bytes:?}"),
            Some(bytes) if bytes.len() > 20 => format!("<{} bytes>", bytes.len()),
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        };
        text += &format!(" {}:{}={}", record.offset, show(record.key), show(record.value));
    }
    text + "\n"
}

struct Script {
    bench: Option<Bench>,
}

impl Script {
    fn bench(&self) -> &Bench {
        self.bench.as_ref().expect("the script begins with 'new'")
    }

    fn run(&mut self, case: &TestCase) -> String {
        let args = Args(&case.args);
        match case.directive.as_str() {
            "new" => {
                let mut config = LogConfig { index_interval_bytes: 200, ..LogConfig::default() };
                configure(&mut config, &args);
                let tail_bytes = args.or("tail-bytes", 16 << 10) as u64;
                let limits = CacheLimits { open_files: 8, index_bytes: 64 << 10, tail_bytes };
                self.bench = Some(Bench::with_limits(args.or("seed", 1) as u64, config, limits));
                String::new()
            }
            "reopen" => {
                let end = match args.text("after") {
                    Some("close") => End::Clean,
                    Some("kill") => End::Kill,
                    Some("crash") => End::Crash,
                    other => panic!("after={other:?}"),
                };
                let bench = self.bench.take().expect("the script begins with 'new'");
                self.bench = Some(bench.reopen(end).unwrap());
                describe(&self.bench().log)
            }
            "now" => {
                let bench = self.bench.as_mut().expect("the script begins with 'new'");
                bench.now_ms = args.or("ms", bench.now_ms);
                String::new()
            }
            "configure" => {
                let bench = self.bench.as_mut().expect("the script begins with 'new'");
                configure(&mut bench.config, &args);
                bench.log.reconfigure(bench.config.clone());
                String::new()
            }
            "append" | "marker" => self.append(case, &args),
            "read" | "read-all" | "time" | "newest" | "aborted" => self.read(case, &args),
            _ => self.change(case, &args),
        }
    }

    fn append(&self, case: &TestCase, args: &Args<'_>) -> String {
        let bench = self.bench();
        let mut output = String::new();
        for _ in 0..args.or("times", 1) {
            let batch = if case.directive == "marker" {
                let marker = EndTxnMarker {
                    committed: args.flag("commit"),
                    coordinator_epoch: args.or("coordinator-epoch", 0) as i32,
                };
                marker
                    .to_batch(
                        args.or("producer", 0),
                        args.or("producer-epoch", 0) as i16,
                        args.or("time", bench.now_ms),
                    )
                    .unwrap()
            } else {
                batch_of(args, &case.input, bench.now_ms)
            };
            let origin = if case.directive == "marker" { Origin::Coordinator } else { origin(args) };
            let options = goatq_storage::log::AppendOptions {
                leader_epoch: args.or("leader-epoch", 0) as i32,
                origin,
                now_ms: bench.now_ms,
            };
            output = match bench.log.append(vec![batch], options) {
                Ok(done) => {
                    let duplicate = if done.duplicate { " duplicate" } else { "" };
                    format!("{}..{}{duplicate}\n", done.base_offset, done.last_offset)
                }
                Err(error) => format!("error: {error}\n"),
            };
        }
        output
    }

    fn read(&self, case: &TestCase, args: &Args<'_>) -> String {
        let log = &self.bench().log;
        match case.directive.as_str() {
            "read" => {
                let max_bytes = args.or("max-bytes", 1 << 20) as usize;
                let slice =
                    match log.read(args.or("offset", 0), max_bytes, args.or("upper", i64::MAX), !args.flag("strict")) {
                        Ok(slice) => slice,
                        Err(error) => return format!("error: {error}\n"),
                    };
                let place = if slice.in_memory().is_some() { "memory" } else { "disk" };
                match wait(slice.load()) {
                    Ok(chunks) => {
                        let batches: String = batches_of(&chunks).iter().map(describe_batch).collect();
                        format!("{place}\n{batches}")
                    }
                    Err(error) => format!("{place}\nerror: {error}\n"),
                }
            }
            "read-all" => {
                self.bench().read_all(args.or("max-bytes", 500) as usize).iter().map(describe_batch).collect()
            }
            "time" => match wait(log.offset_for_timestamp(args.or("ms", 0))).unwrap() {
                Some(found) => format!("offset={} time={}\n", found.offset, found.timestamp),
                None => "none\n".to_owned(),
            },
            "newest" => match wait(log.max_timestamp_offset()).unwrap() {
                Some(found) => format!("offset={} time={}\n", found.offset, found.timestamp),
                None => "none\n".to_owned(),
            },
            _ => {
                let found = wait(log.aborted_transactions(args.or("from", 0), args.or("upper", i64::MAX))).unwrap();
                let line = |txn: &goatq_storage::log::AbortedTxn| {
                    format!(
                        "producer={} {}..{} stable={}\n",
                        txn.producer_id, txn.first_offset, txn.last_offset, txn.last_stable_offset
                    )
                };
                found.iter().map(line).collect()
            }
        }
    }

    fn change(&mut self, case: &TestCase, args: &Args<'_>) -> String {
        let bench = self.bench.as_mut().expect("the script begins with 'new'");
        let log = bench.log.clone();
        let watermark = args.or("hw", log.durable_end());
        let outcome = match case.directive.as_str() {
            "sync" => {
                bench.sync();
                Ok(())
            }
            // Perhaps the directory dies before it has written the recovery point.
            "checkpoint" if args.flag("forget") => log.checkpoint(bench.now_ms).map(drop),
            "checkpoint" => {
                bench.checkpoint();
                Ok(())
            }
            "truncate" => log.truncate_to(args.or("to", 0)),
            "restart-at" => log.truncate_fully_and_start_at(args.or("offset", 0)),
            "advance-start" => log.advance_start_offset(args.or("to", 0), watermark).map(|start| bench.start = start),
            "retain" => log.retain(bench.now_ms, watermark).map(drop),
            "purge" => log.purge(bench.now_ms).map(drop),
            "expire-producers" => {
                log.expire_producers(bench.now_ms);
                Ok(())
            }
            "compact" => return compact(bench, args, watermark),
            "uncleanable" => return format!("{:?}\n", log.uncleanable()),
            "cleanable" => return format!("{:?}\n", log.cleanable(bench.now_ms, watermark)),
            "lose" => {
                let name = args.text("file").expect("file=");
                use goatq_storage::io::Disk;
                bench.disk.remove_file(&dir().join(name)).unwrap();
                bench.disk.sync_dir(&dir()).unwrap();
                Ok(())
            }
            "flip" => {
                let name = args.text("file").expect("file=");
                bench.disk.flip_bit(&dir().join(name), args.or("at", 0) as u64, 1).unwrap();
                Ok(())
            }
            "state" => Ok(()),
            "stable" => return format!("{}\n", log.last_stable_offset(watermark)),
            "epochs" => return format!("{:?}\n", log.epochs()),
            "end-offset" => return format!("{:?}\n", log.end_offset_for_epoch(args.or("epoch", 0) as i32)),
            "flush-needed" => return format!("{}\n", log.flush_needed(bench.now_ms)),
            "producers" => return producers(&log),
            "files" => return bench.files().iter().map(|(name, len)| format!("{name} {len}\n")).collect(),
            other => panic!("unknown directive {other}"),
        };
        match outcome {
            Ok(()) => describe(&log),
            Err(error) => format!("error: {error}\n"),
        }
    }
}

fn producers(log: &Log) -> String {
    let line = |producer: goatq_storage::log::ProducerInfo| {
        format!(
            "{} epoch={} sequence={} time={} coordinator={} txn={}\n",
            producer.producer_id,
            producer.producer_epoch,
            producer.last_sequence,
            producer.last_timestamp,
            producer.coordinator_epoch,
            producer.current_txn_start_offset
        )
    };
    log.producers().into_iter().map(line).collect()
}

fn compact(bench: &mut Bench, args: &Args<'_>, high_watermark: i64) -> String {
    let compacted = bench.log.compact(CompactOptions {
        now_ms: bench.now_ms,
        high_watermark,
        map_bytes: args.or("map-bytes", 1 << 20) as usize,
        seed: 7,
        throttle: &mut |_| true,
    });
    match compacted {
        Ok(done) => {
            bench.first_dirty = done.first_dirty_offset;
            format!(
                "records {} -> {}, dirty from {}\n",
                done.records_before, done.records_after, done.first_dirty_offset
            )
        }
        Err(error) => format!("error: {error}\n"),
    }
}

#[test]
fn scripts() {
    datadriven::walk("testdata/log", |file| {
        let mut script = Script { bench: None };
        file.run(|case| script.run(case));
    });
}
