//! A small batch that inflates to 32 MiB is walked through, and refused at its limit, in next to no memory.
//!
//! Alone in its process, so that resident memory is what this test uses.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use goatq_protocol::record::{
    Batch, BatchBuilder, BatchError, BatchErrorKind, BatchOptions, Compression, Limits, NewRecord, Validation,
};

const INFLATED: usize = 32 << 20;
const MIB: usize = 1 << 20;

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

fn bomb(compression: Compression) -> Batch {
    let options = BatchOptions { compression, compression_level: Some(1), ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    let value = vec![0; INFLATED / 32];
    for timestamp in 0..32 {
        builder.push(NewRecord { timestamp, value: Some(&value), ..NewRecord::default() }).unwrap();
    }
    builder.build_batch().unwrap()
}

/// Inflates in parts and returns the most memory that was in use besides the batch.
fn peak_while_inflating(batch: &Batch) -> usize {
    let before = resident();
    let mut peak = before;
    let codec = batch.header().compression().unwrap();
    let mut inflate = codec.decompress(batch.body().clone(), u64::MAX).unwrap();
    let mut part = [0; 32 * 1024];
    let mut until_sample = 0;
    loop {
        let count = inflate.read(&mut part).unwrap();
        if count == 0 {
            break;
        }
        if until_sample < count {
            peak = peak.max(resident());
            until_sample = 4 * MIB;
        }
        until_sample -= count;
    }
    assert!(inflate.produced() >= INFLATED as u64);
    peak.max(resident()) - before
}

#[test]
fn inflating_needs_no_more_memory_than_the_codec() {
    for (codec, bound) in [
        (Compression::Gzip, MIB),
        (Compression::Snappy, MIB),
        (Compression::Lz4, MIB),
        // Its window at the usual level is 2 MiB.
        (Compression::Zstd, 4 * MIB),
    ] {
        let batch = bomb(codec);
        assert!(batch.size() < INFLATED / 20, "{codec}: {}", batch.size());
        let used = peak_while_inflating(&batch);
        assert!(used <= bound, "{codec} took {used} bytes");

        let before = resident();
        let stats = batch.validate_records(Validation::default()).unwrap();
        assert!(stats.decompressed_bytes > INFLATED as u64);
        let limits = Limits { max_decompressed_bytes: (INFLATED / 2) as u64 };
        let refused: BatchError = batch.validate_records(Validation { limits, require_keys: false }).unwrap_err();
        assert_eq!(refused.kind(), BatchErrorKind::TooLarge);
        let grown = resident().saturating_sub(before);
        assert!(grown <= bound, "{codec} kept {grown} bytes");
    }
}
