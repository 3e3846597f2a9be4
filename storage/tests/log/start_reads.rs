//! How much a start reads after the process was killed: what is unproven, and little else, however big the log.

use goatq_protocol::record::BatchOptions;
use goatq_storage::config::LogConfig;

use super::bench::{Bench, End, batch, wait};

/// What a start may read beside unproven batches, in bytes.
const MOST: u64 = 160 << 10;

fn grow(bench: &Bench, batches: usize, time_of: impl Fn(usize) -> i64) {
    let value = "x".repeat(2000);
    for number in 0..batches {
        let records = [(Some("k"), Some(value.as_str()))];
        bench.append(batch(BatchOptions::default(), time_of(number), &records)).unwrap();
    }
    bench.sync();
}

/// Bytes read by a start after the log had grown so much, was proven, and grew again.
fn read_at_start(proven: usize, unproven: usize, segment_bytes: u32, time_of: fn(usize) -> i64) -> u64 {
    let bench = Bench::new(1, LogConfig { segment_bytes, ..LogConfig::default() });
    grow(&bench, proven, time_of);
    bench.checkpoint();
    grow(&bench, unproven, time_of);
    let before = bench.disk.counters().read_bytes;
    let bench = bench.reopen(End::Kill).unwrap();
    assert_eq!(bench.log.log_end_offset(), (proven + unproven) as i64);
    let read = bench.disk.counters().read_bytes - before;
    // The newest segment of what was proven, when somebody looks for a time in it.
    let newest = wait(bench.log.max_timestamp_offset()).unwrap().unwrap();
    assert_eq!(newest.timestamp, (0..proven.max(unproven)).map(time_of).max().unwrap());
    read
}

fn constant(_: usize) -> i64 {
    5_000
}

fn growing(number: usize) -> i64 {
    1_000 + number as i64
}

fn backwards(number: usize) -> i64 {
    1_000_000 - number as i64
}

#[test]
fn a_start_reads_what_is_unproven_and_little_else() {
    for time_of in [constant, growing, backwards] {
        for segment_bytes in [1 << 30, 500_000] {
            let all_proven = read_at_start(6000, 0, segment_bytes, time_of);
            assert!(all_proven <= MOST, "{all_proven} bytes of a log that is proven");
            let some_unproven = read_at_start(6000, 50, segment_bytes, time_of);
            // Once for the checks, once for the producers, a window further at each end.
            assert!(some_unproven <= MOST + 2 * 50 * 2200, "{some_unproven} bytes for 100 KiB of unproven batches");
        }
    }
}

#[test]
fn a_look_at_a_proven_segment_reads_little_of_it() {
    for time_of in [constant, growing, backwards] {
        let bench = Bench::new(1, LogConfig { segment_bytes: 8_000_000, ..LogConfig::default() });
        grow(&bench, 6000, time_of);
        bench.checkpoint();
        let bench = bench.reopen(End::Kill).unwrap();
        let before = bench.disk.counters().read_bytes;
        wait(bench.log.offset_for_timestamp(time_of(0))).unwrap().unwrap();
        wait(bench.log.max_timestamp_offset()).unwrap().unwrap();
        let read = bench.disk.counters().read_bytes - before;
        // Some windows for each of the samples of its index, the same for the other segment.
        assert!(read <= 1 << 20, "{read} bytes of 12 MB");
    }
}
