//! What is sent from files: the same batches that a look at each of them would give.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
};

use bytes::Bytes;
use goatq_protocol::record::{Batch, BatchOptions};
use goatq_storage::{
    config::{CacheLimits, LogConfig},
    error::ReadError,
    log::{FileRange, Located, LogSlice, Origin},
};
use proptest::prelude::*;

use super::bench::{Bench, batch, batches_of, wait};

const LIMITS: CacheLimits = CacheLimits { open_files: 8, index_bytes: 64 << 10, tail_bytes: 0 };

fn sized(base_offset: i64, size: usize, count: usize) -> Batch {
    let value = "v".repeat(size);
    batch(BatchOptions { base_offset, ..BatchOptions::default() }, 1_000, &vec![(None, Some(value.as_str())); count])
}

/// A log of batches with so many records of so many bytes and gaps of offsets before them, synced.
fn bench(seed: u64, batches: &[(usize, usize, i64)], config: LogConfig, limits: CacheLimits) -> Bench {
    let bench = Bench::with_limits(seed, config, limits);
    for (size, count, gap) in batches {
        let base_offset = bench.log.log_end_offset() + gap;
        bench.append_as(sized(base_offset, *size, *count), Origin::Replication).unwrap();
    }
    bench.sync();
    bench
}

/// The bytes of a slice, and below which offset they end if that is told.
fn bytes_of(slice: LogSlice) -> Result<(Vec<Bytes>, Option<i64>), ReadError> {
    match wait(slice.locate())? {
        Located::Memory(chunks) => Ok((chunks, None)),
        Located::Cold(slice) => {
            let most = slice.max_len();
            let chunks = wait(slice.load())?;
            assert!(chunks.iter().map(Bytes::len).sum::<usize>() <= most);
            Ok((chunks, None))
        }
        Located::Cached { range, end_offset } => {
            assert!(!range.is_empty(), "a range has at least one batch");
            let len = range.len();
            let mut pieces = Vec::new();
            let mut rest = range;
            while !rest.is_empty() {
                pieces.push(wait(rest.first(700).load()).unwrap());
                rest.advance(700);
            }
            assert_eq!(pieces.iter().map(|piece| piece.len() as u64).sum::<u64>(), len);
            Ok((pieces, Some(end_offset)))
        }
    }
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 8_000, index_interval_bytes: 600, ..LogConfig::default() }
}

/// Size of a record, records, gap before the batch.
fn batches() -> impl Strategy<Value = Vec<(usize, usize, i64)>> {
    let gap = prop_oneof![4 => Just(0_i64), 1 => 1..50_i64];
    prop::collection::vec((prop_oneof![0..60_usize, 0..2_000_usize], 1..4_usize, gap), 1..60)
}

/// What is asked of a log, in thousandths of its offsets.
fn question() -> impl Strategy<Value = (i64, usize, i64, bool)> {
    (0..1_000_i64, prop_oneof![0..300_usize, 0..10_000_usize], 0..1_200_i64, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_range_is_what_its_batches_are(
        written in batches(),
        questions in prop::collection::vec(question(), 1..30),
        (seed, uncached, slowness) in (any::<u64>(), prop_oneof![Just(0), 0..100_u32], 0..4_u32),
    ) {
        let bench = bench(seed, &written, config(), LIMITS);
        let all = bench.read_all(1 << 20);
        prop_assert_eq!(all.len(), written.len());
        bench.disk.set_uncached(uncached);
        bench.disk.set_slowness(slowness);
        let end = bench.log.log_end_offset();
        for (offset, max_bytes, upper, min_one) in questions {
            let (offset, upper) = (end * offset / 1_000, end * upper / 1_000);
            let (chunks, told) = bytes_of(bench.log.read(offset, max_bytes, upper, min_one).unwrap()).unwrap();
            let got = batches_of(&chunks);
            let due: Vec<&Batch> = all
                .iter()
                .skip_while(|batch| batch.header().last_offset() < offset)
                .take_while(|batch| batch.header().last_offset() < upper)
                .collect();
            for (got, due) in got.iter().zip(&due) {
                prop_assert_eq!(got.to_bytes(), due.to_bytes());
            }
            prop_assert!(got.len() <= due.len());
            let total: usize = got.iter().map(Batch::size).sum();
            prop_assert!(total <= max_bytes || (got.len() == 1 && min_one), "{total} of {max_bytes}");
            let next = due.get(got.len());
            if let (Some(told), Some(last)) = (told, got.last()) {
                prop_assert!(told >= last.header().next_offset());
                let following = all.iter().find(|batch| batch.header().base_offset > last.header().last_offset());
                prop_assert!(following.is_none_or(|following| told <= following.header().base_offset));
            }
            // What was left out did not fit, but for what the index does not resolve and what another segment holds.
            if let Some(next) = next.filter(|_| got.is_empty()) {
                prop_assert!(next.size() > max_bytes && !min_one);
            }
        }
    }

    /// A reader that goes from range to range misses nothing and gets nothing twice, whatever is cached.
    #[test]
    fn a_reader_gets_everything_once(
        written in batches(),
        max_bytes in prop_oneof![0..300_usize, 0..10_000_usize],
        (seed, uncached, slowness) in (any::<u64>(), prop_oneof![Just(0), 0..100_u32], 0..4_u32),
    ) {
        let bench = bench(seed, &written, config(), LIMITS);
        let all = bench.read_all(1 << 20);
        bench.disk.set_uncached(uncached);
        bench.disk.set_slowness(slowness);
        let (mut offset, mut got) = (bench.log.log_start_offset(), Vec::new());
        while offset < bench.log.log_end_offset() {
            let slice = bench.log.read(offset, max_bytes, i64::MAX, true).unwrap();
            let batches = batches_of(&bytes_of(slice).unwrap().0);
            let last = batches.last();
            prop_assert!(last.is_some(), "nothing at {offset}");
            offset = last.map_or(i64::MAX, |last| last.header().next_offset());
            got.extend(batches.into_iter().map(|batch| batch.to_bytes()));
        }
        prop_assert_eq!(got, all.iter().map(Batch::to_bytes).collect::<Vec<_>>());
    }

    /// An index that lies leads nobody to a wrong batch.
    #[test]
    fn a_damaged_index_misleads_nobody(
        written in batches(),
        flips in prop::collection::vec((0..30_u64, 0..16_u64, 0..8_u8), 1..10),
        questions in prop::collection::vec(question(), 1..10),
    ) {
        let bench = bench(1, &written, config(), CacheLimits { index_bytes: 0, ..LIMITS });
        let all = bench.read_all(1 << 20);
        let indexes: Vec<String> =
            bench.files().into_iter().map(|(name, _)| name).filter(|name| name.ends_with(".index")).collect();
        for (at, file, bit) in flips {
            let Some(name) = indexes.get(file as usize % indexes.len().max(1)) else { continue };
            // Behind the end of a short index there is nothing to flip.
            let _ = bench.disk.flip_bit(&super::bench::dir().join(name), at, bit);
        }
        let end = bench.log.log_end_offset();
        for (offset, max_bytes, upper, _) in questions {
            let (offset, upper) = (end * offset / 1_000, end * upper / 1_000);
            let (chunks, _) = bytes_of(bench.log.read(offset, max_bytes, upper, true).unwrap()).unwrap();
            let got = batches_of(&chunks);
            let due = all.iter().skip_while(|batch| batch.header().last_offset() < offset);
            let due: Vec<Bytes> = due
                .take_while(|batch| batch.header().last_offset() < upper)
                .take(got.len())
                .map(Batch::to_bytes)
                .collect();
            prop_assert_eq!(got.iter().map(Batch::to_bytes).collect::<Vec<_>>(), due);
        }
    }
}

fn cached(bench: &Bench, offset: i64, max_bytes: usize) -> FileRange {
    let slice = bench.log.read(offset, max_bytes, i64::MAX, true).unwrap();
    match wait(slice.locate()).unwrap() {
        Located::Cached { range, .. } => range,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_range_outlives_its_segment() {
    let config = LogConfig { retention_bytes: 1, file_delete_delay_ms: 0, ..config() };
    let bench = bench(1, &[(1_000, 1, 0); 30], config, LIMITS);
    let expected = bench.read_all(1 << 20);
    let range = cached(&bench, 0, 1 << 20);
    let before = wait(range.clone().load()).unwrap();
    bench.log.retain(bench.now_ms, bench.log.log_end_offset()).unwrap();
    bench.log.purge(bench.now_ms + 1).unwrap();
    assert!(bench.log.log_start_offset() > 0);
    assert!(!bench.files().iter().any(|(name, _)| name.starts_with("00000000000000000000.")), "the files are gone");
    assert_eq!(wait(range.load()).unwrap(), before);
    assert_eq!(batches_of(&[before])[0].to_bytes(), expected[0].to_bytes());
}

#[test]
fn a_range_that_was_truncated_is_an_error_and_no_other_data() {
    let bench = bench(1, &[(1_000, 1, 0); 5], config(), LIMITS);
    let range = cached(&bench, 0, 1 << 20);
    bench.log.truncate_to(2).unwrap();
    let error = wait(range.clone().load()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    let mut buffer = Vec::new();
    assert!(!range.copy_cached(&mut buffer).unwrap() && buffer.is_empty());
}

#[test]
fn consumers_at_the_tail_touch_no_file() {
    let limits = CacheLimits { tail_bytes: 1 << 20, ..LIMITS };
    let bench = bench(1, &[(100, 1, 0)], config(), limits);
    let reads = bench.disk.counters().reads;
    let mut total = 0;
    for offset in 1..500 {
        bench.append_as(sized(offset, 300, 2), Origin::Client).unwrap();
        let next = bench.log.log_end_offset() - 2;
        let slice = bench.log.read(next, 1 << 20, i64::MAX, true).unwrap();
        let Located::Memory(chunks) = wait(slice.locate()).unwrap() else { panic!("not in memory") };
        total += chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        bench.sync();
    }
    assert_eq!(bench.disk.counters().reads, reads);
    let counts = bench.resources.read_counts();
    assert_eq!((counts.tail_bytes, counts.cached_bytes, counts.loaded_bytes), (total, 0, 0));
}

#[test]
fn rot_of_cold_data_is_noticed() {
    let bench = bench(1, &[(1_000, 1, 0); 5], LogConfig { segment_bytes: 1 << 20, ..config() }, LIMITS);
    let path = super::bench::dir().join("00000000000000000000.log");
    bench.disk.flip_bit(&path, 500, 3).unwrap();
    bench.disk.set_uncached(100);
    let slice = bench.log.read(0, 1 << 20, i64::MAX, true).unwrap();
    let Located::Cold(slice) = wait(slice.locate()).unwrap() else { panic!("nothing is in memory") };
    assert!(matches!(wait(slice.load()), Err(ReadError::Corrupt { offset: 0, position: 0, .. })));
    let slice = bench.log.read(1, 1 << 20, i64::MAX, true).unwrap();
    assert_eq!(batches_of(&bytes_of(slice).unwrap().0).len(), 4, "what lies behind it can be read");
}

/// To find where a range lies brings its begin into memory: of small batches all there is.
#[test]
fn rot_of_what_was_cold_a_moment_ago_is_noticed() {
    let bench = bench(1, &[(1_000, 1, 0); 5], LogConfig { segment_bytes: 1 << 20, ..config() }, LIMITS);
    bench.disk.flip_bit(&super::bench::dir().join("00000000000000000000.log"), 500, 3).unwrap();
    let mut waited = 0;
    for _ in 0..20 {
        bench.disk.set_uncached(100);
        bench.disk.set_slowness(4);
        let mut looking = pin!(bench.log.read(0, 1 << 20, i64::MAX, true).unwrap().locate());
        let now = looking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        bench.disk.set_uncached(0);
        if now.is_pending() {
            waited += 1;
            let Located::Cold(slice) = wait(looking).unwrap() else { panic!("it came from the disk") };
            assert!(matches!(wait(slice.load()), Err(ReadError::Corrupt { offset: 0, position: 0, .. })));
        }
    }
    assert!(waited > 0, "a disk that is slow");
}
