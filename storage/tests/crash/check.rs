//! Compares a log with what it should be.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use goatq_protocol::record::{Batch, BatchHeader, Record};
use goatq_storage::io::{Disk, OpenMode};
use rand::{RngExt, rngs::StdRng};

use super::{
    bench::{Bench, batches_of, dir, wait},
    model::{Entry, Expected, Model, records_of},
};

/// The whole comparison.
pub(crate) fn check(bench: &Bench, model: &Model, compacts: bool, rng: &mut StdRng) {
    let log = &bench.log;
    assert_eq!(log.log_end_offset(), model.end, "end");
    let start = log.log_start_offset();
    let batches = bench.read_all([1, 300, 5000][rng.random_range(0..3)]);
    check_records(&batches, model, start, compacts);
    check_reads(bench, &batches, rng);
    check_times(bench, &batches, start, rng);
    check_epochs(bench, model, start, compacts);
    check_producers(bench, model);
    check_aborted(bench, model, start, compacts);
    check_indexes(bench);
}

fn check_records(batches: &[Batch], model: &Model, start: i64, compacts: bool) {
    let expected = model.records();
    let mut next = None;
    let mut seen = BTreeMap::new();
    for batch in batches {
        let header = batch.header();
        if let Some(next) = next {
            let follows = if compacts { header.base_offset >= next } else { model.is_boundary(header.base_offset) };
            assert!(follows && header.base_offset >= next, "batch at {} behind {next}", header.base_offset);
        }
        next = Some(header.next_offset());
        for record in records_of(batch) {
            check_record(&record, &expected, header);
            seen.insert(record.offset, ());
        }
    }
    let stays = if compacts { model.must_stay() } else { expected.keys().copied().collect() };
    for offset in stays.range(start..) {
        assert!(seen.contains_key(offset), "offset {offset} is missing, acknowledged below {}", model.acked);
    }
    if let Some(last) = batches.last() {
        assert_eq!(last.header().next_offset(), model.end, "the end of the last batch");
    }
}

fn check_record(record: &Record, expected: &BTreeMap<i64, Expected<'_>>, header: &BatchHeader) {
    let known = expected.get(&record.offset).unwrap_or_else(|| panic!("offset {} was never given out", record.offset));
    let same = known.record.key == record.key
        && known.record.value == record.value
        && known.record.timestamp == record.timestamp
        && known.control == header.is_control();
    assert!(same, "offset {}: {record:?} instead of {known:?}", record.offset);
}

/// Reads from anywhere begin with the batch that holds the offset.
fn check_reads(bench: &Bench, batches: &[Batch], rng: &mut StdRng) {
    let (start, end) = (bench.log.log_start_offset(), bench.log.log_end_offset());
    for _ in 0..10 {
        if start >= end {
            return;
        }
        let offset = rng.random_range(start..end);
        let slice = bench.log.read(offset, rng.random_range(0..2000), end, true).unwrap();
        let read = batches_of(&wait(slice.load()).unwrap());
        let expected = batches.iter().find(|batch| batch.header().last_offset() >= offset);
        assert_eq!(read.first(), expected, "read from {offset}");
    }
}

fn check_times(bench: &Bench, batches: &[Batch], start: i64, rng: &mut StdRng) {
    let records: Vec<Record> = batches.iter().flat_map(records_of).filter(|record| record.offset >= start).collect();
    for _ in 0..5 {
        let Some(some) = records.get(rng.random_range(0..records.len().max(1))) else { break };
        let timestamp = some.timestamp + rng.random_range(-1..=1);
        let found = wait(bench.log.offset_for_timestamp(timestamp)).unwrap();
        let expected = records.iter().find(|record| record.timestamp >= timestamp);
        let found = found.map(|found| (found.offset, found.timestamp));
        assert_eq!(found, expected.map(|record| (record.offset, record.timestamp)), "first record at {timestamp}");
    }
}

fn check_epochs(bench: &Bench, model: &Model, start: i64, compacts: bool) {
    let mut expected: Vec<(i32, i64)> = Vec::new();
    for (base, entry) in &model.batches {
        if expected.last().is_none_or(|(epoch, _)| entry.epoch > *epoch) {
            expected.push((entry.epoch, *base));
        }
    }
    let before = expected.iter().filter(|(_, first)| *first <= start).count();
    if before > 0 {
        expected.drain(..before - 1);
        expected[0].1 = start;
    }
    // The epochs of an empty log are forgotten with its segments.
    if compacts {
        // The first batches of an epoch may have gone, or all.
        for (epoch, first) in bench.log.epochs() {
            let known = expected.iter().find(|(known, _)| *known == epoch);
            assert!(known.is_some_and(|(_, begin)| *begin <= first), "epoch {epoch} from {first} in {expected:?}");
        }
    } else if start < model.end {
        let known = by_batches(&bench.log.epochs(), model, start);
        assert_eq!(known, by_batches(&expected, model, start), "epochs from {start}");
    }
}

/// Epochs with the batches that they begin with, by base offset: where offsets have a gap there are several ways to say it.
fn by_batches(epochs: &[(i32, i64)], model: &Model, start: i64) -> Vec<(i32, i64)> {
    let readable = |entry: &Entry| entry.last_offset >= start;
    let mut named: Vec<(i32, i64)> = Vec::new();
    for (epoch, first) in epochs {
        let begins = |(base, entry): &(&i64, &Entry)| readable(entry) && (*first <= start || **base >= *first);
        let begin = model.batches.iter().find(begins).map_or(model.end, |(base, _)| *base);
        // An epoch without a batch says nothing.
        if named.last().is_some_and(|(_, last)| *last == begin) {
            named.pop();
        }
        named.push((*epoch, begin));
    }
    named
}

fn check_producers(bench: &Bench, model: &Model) {
    let known: BTreeMap<i64, i32> =
        bench.log.producers().into_iter().map(|producer| (producer.producer_id, producer.last_sequence)).collect();
    for (producer, sequence) in model.last_sequences() {
        assert_eq!(known.get(&producer), Some(&sequence), "last sequence of producer {producer}");
    }
    let open: BTreeMap<i64, i64> = bench
        .log
        .producers()
        .into_iter()
        .filter(|producer| producer.current_txn_start_offset >= 0)
        .map(|producer| (producer.producer_id, producer.current_txn_start_offset))
        .collect();
    let expected = model.open_txns();
    assert_eq!(open, expected, "open transactions");
    let durable = bench.log.durable_end();
    let stable = model.open_txns_at(durable).into_values().min().unwrap_or(durable);
    assert_eq!(bench.log.last_stable_offset(durable), stable.min(durable), "last stable offset");
}

fn check_aborted(bench: &Bench, model: &Model, start: i64, compacts: bool) {
    let found = wait(bench.log.aborted_transactions(start, i64::MAX)).unwrap();
    let found: Vec<(i64, i64, i64)> =
        found.iter().map(|txn| (txn.producer_id, txn.first_offset, txn.last_offset)).collect();
    let mut expected = model.aborted_txns();
    expected.retain(|(_, _, last)| *last >= start);
    // Of a transaction that began before the start, or was compacted, only what is left may be known; and nothing if nothing is.
    for (producer, first, last) in &found {
        let known = expected.iter().find(|(id, _, marker)| (id, marker) == (producer, last));
        let begins = |begin: i64| begin == *first || (begin < *first && (compacts || begin < start));
        assert!(known.is_some_and(|(_, begin, _)| begins(*begin)), "{producer}: {first}..{last} in {expected:?}");
    }
    let told: BTreeSet<(i64, i64)> = found.iter().map(|(id, _, last)| (*id, *last)).collect();
    assert_eq!(told.len(), found.len(), "a transaction twice in {found:?}");
    expected.retain(|(id, first, last)| {
        *first >= start.max(model.compacted_to) || (!compacts && model.has_data(*id, start, *last))
    });
    let all = expected.iter().all(|(id, _, last)| told.contains(&(*id, *last)));
    assert!(all, "aborted transactions from {start}: {found:?} instead of {expected:?}");
}

fn content(bench: &Bench, name: &str) -> Vec<u8> {
    let file = bench.disk.open(&dir().join(name), OpenMode::Read).unwrap();
    let mut content = vec![0; file.len().unwrap() as usize];
    let read = file.read_at(&mut content, 0).unwrap();
    content.truncate(read);
    content
}

fn number(bytes: &[u8]) -> i64 {
    bytes.iter().fold(if bytes[0] & 0x80 != 0 { -1 } else { 0 }, |number, byte| number << 8 | i64::from(*byte))
}

/// Every entry of every index names a batch that is there.
fn check_indexes(bench: &Bench) {
    for (name, _) in bench.files() {
        let Some(stem) = name.strip_suffix(".log") else { continue };
        let base: i64 = stem.parse().unwrap();
        let mut at = 0;
        let mut by_position = BTreeMap::new();
        let log = Bytes::from(content(bench, &name));
        while at < log.len() {
            let header = BatchHeader::parse(&log[at..]).unwrap_or_else(|error| panic!("{name} at {at}: {error}"));
            by_position.insert(at as i64, header);
            at += header.size();
        }
        let exists = |name: &str| bench.disk.exists(&dir().join(name)).unwrap();
        let index = format!("{stem}.index");
        let entries = if exists(&index) { content(bench, &index) } else { Vec::new() };
        for entry in entries.chunks(8) {
            let (offset, position) = (base + number(&entry[..4]), number(&entry[4..]));
            let named = by_position.get(&position).map(BatchHeader::last_offset);
            assert_eq!(named, Some(offset), "{index}: entry for position {position}");
        }
        let index = format!("{stem}.timeindex");
        let entries = if exists(&index) { content(bench, &index) } else { Vec::new() };
        for entry in entries.chunks(12) {
            let (timestamp, offset) = (number(&entry[..8]), base + number(&entry[8..]));
            let newest = by_position
                .values()
                .filter(|header| header.last_offset() <= offset)
                .map(|header| header.max_timestamp)
                .max();
            assert_eq!(newest, Some(timestamp), "{index}: entry for offset {offset}");
        }
    }
}
