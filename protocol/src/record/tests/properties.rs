//! What is written is read again, through every codec and after every change that a leader or the log cleaner makes.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::batch_of;
use crate::record::varint::{put_varint, put_varlong, read_varint, read_varlong, varlong_len};
use crate::record::{
    Batch, BatchBuilder, BatchError, BatchHeader, BatchOptions, BuildError, Compression, HeaderFault, Limits,
    NewRecord, Record, RecordFault, RecordHeader, RecordIter, Validation, add_sequence, split,
};

/// A record before it has an offset.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<RecordHeader>,
}

impl Sample {
    pub(super) fn as_record(&self) -> NewRecord<'_> {
        NewRecord {
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &self.headers,
        }
    }

    /// For readers that keep headers in a map.
    pub(super) fn unique_headers(&self) -> Vec<RecordHeader> {
        let mut headers: Vec<RecordHeader> = Vec::new();
        for header in &self.headers {
            if headers.iter().all(|seen| seen.key != header.key) {
                headers.push(header.clone());
            }
        }
        headers
    }

    fn matches(&self, record: &Record) -> bool {
        record.key.as_deref() == self.key.as_deref()
            && record.value.as_deref() == self.value.as_deref()
            && record.headers == self.headers
    }
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    // Repetitive enough for the codecs to find matches, sometimes longer than a read buffer.
    prop_oneof![
        30 => vec(any::<u8>(), 0..40),
        4 => (vec(0_u8..4, 1..9), 1_usize..100).prop_map(|(part, times)| part.repeat(times)),
        1 => (vec(any::<u8>(), 64..128), 1_usize..600).prop_map(|(part, times)| part.repeat(times)),
    ]
}

fn header() -> impl Strategy<Value = RecordHeader> {
    ("[a-zü]{0,8}", proptest::option::of(vec(any::<u8>(), 0..20)))
        .prop_map(|(key, value)| RecordHeader { key: key.into(), value: value.map(Bytes::from) })
}

fn sample() -> impl Strategy<Value = Sample> {
    let field = || proptest::option::weighted(0.9, field());
    (-1..1_i64 << 45, field(), field(), vec(header(), 0..4)).prop_map(|(timestamp, key, value, headers)| Sample {
        timestamp,
        key,
        value,
        headers,
    })
}

pub(super) fn samples() -> impl Strategy<Value = Vec<Sample>> {
    vec(sample(), 1..16)
}

fn codec() -> impl Strategy<Value = Compression> {
    prop::sample::select(&Compression::ALL[..])
}

fn build(options: BatchOptions, samples: &[Sample]) -> Batch {
    let mut builder = BatchBuilder::new(options);
    for sample in samples {
        builder.push(sample.as_record()).unwrap();
    }
    builder.build_batch().unwrap()
}

fn collect(records: RecordIter) -> Vec<Record> {
    records.collect::<Result<_, _>>().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn records_survive_every_codec(samples in samples(), compression in codec(), level in -5..25_i32) {
        let level = (level > -2).then_some(level);
        let options = BatchOptions {
            compression,
            compression_level: level,
            base_sequence: i32::MAX - 3,
            producer_id: 1,
            producer_epoch: 0,
            ..BatchOptions::default()
        };
        let mut batch = build(options, &samples);
        batch.verify_crc().unwrap();
        batch.header().check_produced().unwrap();
        let stats = batch.validate_records(Validation::default()).unwrap();
        prop_assert_eq!(stats.max_timestamp, samples.iter().map(|sample| sample.timestamp).max().unwrap());
        prop_assert_eq!(stats.min_timestamp, samples.iter().map(|sample| sample.timestamp).min().unwrap());
        prop_assert_eq!(stats.max_timestamp, batch.header().max_timestamp);
        let keyless = samples.iter().position(|sample| sample.key.is_none());
        let keyed = batch.validate_records(Validation { require_keys: true, ..Validation::default() });
        let refusal = keyless.map(|index| BatchError::record(index as i32, RecordFault::NullKey));
        prop_assert_eq!(keyed.err(), refusal);

        batch.assign(5_000_000_000, 9).unwrap();
        let records = collect(batch.records(Limits::default()));
        prop_assert_eq!(records.len(), samples.len());
        for (index, (record, sample)) in records.iter().zip(&samples).enumerate() {
            prop_assert!(sample.matches(record));
            prop_assert_eq!(record.timestamp, sample.timestamp);
            prop_assert_eq!(record.offset, 5_000_000_000 + index as i64);
            prop_assert_eq!(record.sequence, add_sequence(i32::MAX - 3, index as i32));
        }
        prop_assert_eq!(batch.header().last_offset(), records.last().unwrap().offset);
        prop_assert_eq!(batch.header().last_sequence(), records.last().unwrap().sequence);
    }

    #[test]
    fn the_inflated_size_is_a_sharp_limit(samples in samples(), compression in codec()) {
        let batch = build(BatchOptions { compression, ..BatchOptions::default() }, &samples);
        let size = batch.validate_records(Validation::default()).unwrap().decompressed_bytes;
        let with_limit = |max_decompressed_bytes| {
            let limits = Limits { max_decompressed_bytes };
            let validated = batch.validate_records(Validation { limits, require_keys: false }).err();
            let read = batch.records(limits).find_map(Result::err);
            (validated, read)
        };
        prop_assert_eq!(with_limit(size), (None, None));
        if compression != Compression::None {
            let error = Some(BatchError::TooLarge { limit: size - 1 });
            prop_assert_eq!(with_limit(size - 1), (error.clone(), error));
        }
    }

    #[test]
    fn assigning_offsets_leaves_crc_and_records_alone(samples in samples(), base in 0..i64::MAX - 100, epoch: i32) {
        let mut batch = build(BatchOptions::default(), &samples);
        let body = batch.body().as_ptr();
        batch.assign(base, epoch).unwrap();
        batch.verify_crc().unwrap();
        prop_assert_eq!(batch.body().as_ptr(), body);
        prop_assert_eq!(BatchHeader::parse(batch.head()).unwrap(), *batch.header());
        prop_assert_eq!(batch.header().base_offset, base);
        prop_assert_eq!(batch.header().partition_leader_epoch, epoch);
        let [head, shared] = batch.to_chunks();
        prop_assert_eq!(shared.as_ptr(), body);
        prop_assert_eq!(Bytes::from([head, shared].concat()), batch.to_bytes());
    }

    #[test]
    fn log_append_time_replaces_all_times(samples in samples(), compression in codec(), now in 0..1_i64 << 45) {
        let mut batch = build(BatchOptions { compression, ..BatchOptions::default() }, &samples);
        batch.set_log_append_time(now);
        let batch = Batch::parse(batch.to_bytes()).unwrap();
        batch.verify_crc().unwrap();
        prop_assert!(collect(batch.records(Limits::default())).iter().all(|record| record.timestamp == now));
        let built = build(
            BatchOptions { compression, log_append_time_ms: Some(now), ..BatchOptions::default() },
            &samples,
        );
        prop_assert_eq!(built, batch);
    }

    #[test]
    fn cleaning_keeps_offsets_and_bounds(
        samples in samples(), compression in codec(), keep in vec(any::<bool>(), 16), horizon in any::<bool>(),
    ) {
        let mut batch = build(BatchOptions { compression, ..BatchOptions::default() }, &samples);
        batch.assign(77, 1).unwrap();
        let mut options = BatchOptions::like(batch.header()).unwrap();
        options.delete_horizon_ms = horizon.then_some(123_456);
        let mut builder = BatchBuilder::new(options);
        let mut kept = collect(batch.records(Limits::default()));
        kept.retain(|record| keep[(record.offset - 77) as usize]);
        for record in &kept {
            let new = NewRecord {
                timestamp: record.timestamp,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &record.headers,
            };
            builder.push_at(record.offset, new).unwrap();
        }
        let cleaned = builder.build_batch().unwrap();
        cleaned.verify_crc().unwrap();
        prop_assert_eq!(collect(cleaned.records(Limits::default())), kept);
        prop_assert_eq!(cleaned.header().base_offset, 77);
        prop_assert_eq!(cleaned.header().last_offset(), batch.header().last_offset());
        prop_assert_eq!(cleaned.header().delete_horizon_ms(), horizon.then_some(123_456));
    }

    #[test]
    fn splitting_finds_every_batch(sizes in vec(0_usize..300, 1..20), cut in any::<prop::sample::Index>()) {
        let batches: Vec<Batch> =
            sizes.iter().map(|size| batch_of(Compression::None, &[&vec![b'v'; *size]])).collect();
        let set = Bytes::from(batches.iter().map(Batch::to_bytes).collect::<Vec<_>>().concat());
        prop_assert_eq!(split(&set).collect::<Result<Vec<_>, _>>().unwrap(), batches.clone());

        let cut = cut.index(set.len());
        let mut whole = 0;
        let mut end = 0;
        while end + batches[whole].size() <= cut {
            end += batches[whole].size();
            whole += 1;
        }
        let parts: Vec<_> = split(&set.slice(..cut)).collect();
        prop_assert_eq!(parts.iter().filter(|part| part.is_ok()).count(), whole);
        let truncated = matches!(parts.last(), Some(Err(BatchError::Truncated { .. })));
        prop_assert_eq!(truncated, cut > end);
    }

    #[test]
    fn varints_round_trip(short: i32, long: i64) {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, short);
        prop_assert_eq!(bytes.len(), varlong_len(short.into()));
        put_varlong(&mut bytes, long);
        prop_assert_eq!(bytes.len(), varlong_len(short.into()) + varlong_len(long));
        let mut bytes = bytes.into_iter();
        let mut next = || Ok(bytes.next().unwrap());
        prop_assert_eq!(read_varint(&mut next).unwrap(), short);
        prop_assert_eq!(read_varlong(&mut next).unwrap(), long);
    }
}

#[test]
fn an_emptied_batch_keeps_its_range_and_producer() {
    let options = BatchOptions { producer_id: 8, producer_epoch: 2, base_sequence: 10, ..BatchOptions::default() };
    let mut batch = build(BatchOptions { compression: Compression::Zstd, ..options }, &[]);
    assert!(batch.body().is_empty());
    assert!(matches!(
        batch.validate_records(Validation::default()),
        Err(BatchError::InvalidHeader(HeaderFault::LastOffsetDelta))
    ));
    let mut builder = BatchBuilder::new(BatchOptions::like(batch.header()).unwrap());
    let tombstone = NewRecord { timestamp: 5, key: Some(b"k"), ..NewRecord::default() };
    builder.push_at(0, tombstone).unwrap();
    assert!(matches!(builder.push_at(0, tombstone), Err(BuildError::Offset { offset: 0 })));

    let mut builder = BatchBuilder::new(BatchOptions {
        compression: Compression::Lz4,
        ..BatchOptions::like(batch.header()).unwrap()
    });
    assert!(matches!(builder.push_at(1 << 40, tombstone), Err(BuildError::Offset { .. })));
    builder.push(tombstone).unwrap();
    batch = builder.build_batch().unwrap();
    batch.assign(100, 4).unwrap();
    let empty = batch.emptied();
    empty.verify_crc().unwrap();
    assert_eq!(empty.size(), 61);
    assert_eq!(Batch::parse(empty.to_bytes()).unwrap(), empty);
    assert_eq!(empty.records(Limits::default()).count(), 0);
    let (before, after) = (batch.header(), empty.header());
    assert_eq!(after.record_count, 0);
    assert_eq!((after.base_offset, after.last_offset()), (before.base_offset, before.last_offset()));
    assert_eq!((after.producer_id, after.producer_epoch, after.base_sequence), (8, 2, 10));
    assert_eq!(after.compression(), Ok(Compression::None));
}

#[test]
fn sequences_wrap_to_zero() {
    assert_eq!(add_sequence(i32::MAX, 1), 0);
    assert_eq!(add_sequence(i32::MAX - 1, 1), i32::MAX);
    assert_eq!(add_sequence(0, -1), i32::MAX);
    assert_eq!(add_sequence(5, 0), 5);
}

#[test]
fn codecs_have_kafkas_numbers_and_names() {
    for (number, name) in (0..).zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
        let codec = Compression::from_codec(number).unwrap();
        assert_eq!((codec.codec(), codec.name()), (number, name));
        assert_eq!(Compression::from_name(name), Some(codec));
    }
    assert_eq!(Compression::from_name("brotli"), None);
}
