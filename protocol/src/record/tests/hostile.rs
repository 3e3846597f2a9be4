//! Bytes that no honest producer sends: refused with the right kind of error, without panic and without memory.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::{batch_of, with_body};
use crate::record::control::ControlRecordType;
use crate::record::varint::{put_varint, put_varlong};
use crate::record::{
    Batch, BatchError, BatchErrorKind, BatchHeader, Compression, HeaderFault, Limits, RecordFault, Validation, split,
};

const MIB: u64 = 1 << 20;

fn refusal(batch: &Batch) -> BatchError {
    let validated = batch.validate_records(Validation::default()).unwrap_err();
    let read = batch.records(Limits::default()).find_map(Result::err);
    // The iterator also serves batches after compaction, so gaps that validation refuses are fine for it.
    assert!(read.is_none_or(|read| read.kind() == validated.kind()));
    validated
}

fn kind(batch: &Batch) -> BatchErrorKind {
    refusal(batch).kind()
}

/// The bytes of a record behind its length.
fn record(timestamp_delta: i64, offset_delta: i32, key_len: i32, value_len: i32, headers: i32) -> Vec<u8> {
    let mut body = vec![0];
    put_varlong(&mut body, timestamp_delta);
    put_varint(&mut body, offset_delta);
    put_varint(&mut body, key_len);
    body.resize(body.len() + key_len.clamp(0, 64) as usize, b'k');
    put_varint(&mut body, value_len);
    body.resize(body.len() + value_len.clamp(0, 64) as usize, b'v');
    put_varint(&mut body, headers);
    body
}

fn with_length(record: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_varint(&mut bytes, record.len() as i32);
    bytes.extend_from_slice(record);
    bytes
}

/// The same body refused in every codec, where the compressed forms are well-formed streams of it.
fn refused_everywhere(record_count: i32, body: &[u8]) -> RecordFault {
    let mut faults = Vec::new();
    for codec in Compression::ALL {
        let template = batch_of(codec, &[b"v"]);
        let mut packed = Vec::new();
        codec.compress(None, body, &mut packed).unwrap();
        match refusal(&with_body(&template, record_count, packed)) {
            BatchError::InvalidRecord { fault, .. } => faults.push(fault),
            BatchError::InvalidHeader(HeaderFault::RecordCountTooLarge) if codec == Compression::None => {}
            error => panic!("{codec}: {error}"),
        }
    }
    assert!(faults.windows(2).all(|pair| pair[0] == pair[1]), "{faults:?}");
    faults[0]
}

#[test]
fn record_counts() {
    let one = with_length(&record(0, 0, 1, 1, 0));
    assert_eq!(refused_everywhere(i32::MAX, &one), RecordFault::Truncated);
    assert_eq!(refused_everywhere(2, &one), RecordFault::Truncated);
    let two = [one.clone(), with_length(&record(0, 1, 1, 1, 0))].concat();
    assert_eq!(refused_everywhere(1, &two), RecordFault::TrailingData);
    for codec in Compression::ALL {
        let template = batch_of(codec, &[b"v"]);
        let negative = with_body(&template, -1, template.body().to_vec());
        assert_eq!(refusal(&negative), BatchError::InvalidHeader(HeaderFault::RecordCount));
        let none = with_body(&template, 0, template.body().to_vec());
        assert_eq!(kind(&none), BatchErrorKind::Invalid);
    }
}

#[test]
fn record_fields() {
    let refused = |record: &[u8]| refused_everywhere(1, &with_length(record));
    assert_eq!(refused(&record(0, 0, 1, 1, i32::MAX)), RecordFault::HeaderCount);
    assert_eq!(refused(&record(0, 0, 1, 1, -1)), RecordFault::HeaderCount);
    assert_eq!(refused(&record(0, 0, 1, 1, 1)), RecordFault::HeaderCount);
    assert_eq!(refused(&record(0, 0, i32::MAX, 1, 0)), RecordFault::LengthTooLarge);
    assert_eq!(refused(&record(0, 0, 1, i32::MAX, 0)), RecordFault::LengthTooLarge);
    assert_eq!(refused(&record(0, 0, -2, 1, 0)), RecordFault::NegativeLength);
    assert_eq!(refused(&record(0, 0, 1, i32::MIN, 0)), RecordFault::NegativeLength);
    assert_eq!(refused(&record(i64::MAX, 0, 1, 1, 0)), RecordFault::TimestampOverflow);
    assert_eq!(refused(&record(-1002, 0, 1, 1, 0)), RecordFault::NegativeTimestamp);
    assert_eq!(refused(&record(0, 1, 1, 1, 0)), RecordFault::OffsetDelta);
    assert_eq!(refused(&record(0, -1, 1, 1, 0)), RecordFault::OffsetDelta);
    let mut longer = record(0, 0, 1, 1, 0);
    longer.push(0);
    assert_eq!(refused(&longer), RecordFault::LengthMismatch);
    let mut nameless = record(0, 0, 1, 1, 1);
    put_varint(&mut nameless, -1);
    put_varint(&mut nameless, -1);
    assert_eq!(refused(&nameless), RecordFault::NegativeLength);
}

#[test]
fn record_lengths_and_varints() {
    let mut body = Vec::new();
    put_varint(&mut body, i32::MAX);
    body.extend_from_slice(&record(0, 0, 1, 1, 0));
    for codec in Compression::ALL {
        let mut packed = Vec::new();
        codec.compress(None, &body, &mut packed).unwrap();
        assert_eq!(kind(&with_body(&batch_of(codec, &[b"v"]), 1, packed)), BatchErrorKind::Invalid);
    }
    let mut body = Vec::new();
    put_varint(&mut body, -5);
    body.resize(20, 0);
    assert_eq!(refused_everywhere(1, &body), RecordFault::NegativeLength);
    assert_eq!(refused_everywhere(1, &[0xff; 32]), RecordFault::Varint);
    // Five bytes, but more than 32 bits.
    assert_eq!(refused_everywhere(1, &[0xff, 0xff, 0xff, 0xff, 0x1f, 0, 0, 0]), RecordFault::Varint);
    let mut record = vec![0];
    record.extend_from_slice(&[0xff; 11]);
    assert_eq!(refused_everywhere(1, &with_length(&record)), RecordFault::Varint);
}

#[test]
fn produced_headers() {
    let good = batch_of(Compression::None, &[b"a", b"b"]);
    let check = |change: &dyn Fn(&mut BatchHeader)| {
        let mut header = *good.header();
        change(&mut header);
        match header.check_produced() {
            Err(BatchError::InvalidHeader(fault)) => Some(fault),
            Err(error) => panic!("{error}"),
            Ok(()) => None,
        }
    };
    assert_eq!(check(&|_| ()), None);
    assert_eq!(check(&|header| header.base_offset = 1), Some(HeaderFault::BaseOffset));
    assert_eq!(check(&|header| header.record_count = -1), Some(HeaderFault::RecordCount));
    assert_eq!(check(&|header| header.record_count = i32::MIN), Some(HeaderFault::RecordCount));
    assert_eq!(check(&|header| header.record_count = 3), Some(HeaderFault::LastOffsetDelta));
    assert_eq!(check(&|header| header.last_offset_delta = i32::MIN), Some(HeaderFault::LastOffsetDelta));
    let huge = |header: &mut BatchHeader| (header.record_count, header.last_offset_delta) = (i32::MAX, i32::MAX - 1);
    assert_eq!(check(&huge), Some(HeaderFault::RecordCountTooLarge));
    assert_eq!(check(&|header| header.base_timestamp = -2), Some(HeaderFault::Timestamp));
    assert_eq!(check(&|header| header.max_timestamp = i64::MIN), Some(HeaderFault::Timestamp));
    assert_eq!(check(&|header| header.attributes |= 0x20), Some(HeaderFault::Control));
    assert_eq!(check(&|header| header.attributes |= 0x40), Some(HeaderFault::DeleteHorizon));
    assert_eq!(check(&|header| header.attributes |= 0x10), Some(HeaderFault::Transactional));
    assert_eq!(check(&|header| header.producer_id = 1), Some(HeaderFault::Sequence));
    for codec in 5..8 {
        let mut header = *good.header();
        header.attributes |= codec;
        let error = BatchError::UnsupportedCompression { codec: codec as u8 };
        assert_eq!(error.kind(), BatchErrorKind::UnsupportedCompression);
        assert_eq!(header.check_produced(), Err(error));
    }
}

#[test]
fn framing() {
    let bytes = batch_of(Compression::None, &[b"v"]).to_bytes();
    let change = |at: usize, with: &[u8]| {
        let mut bytes = BytesMut::from(&bytes[..]);
        bytes[at..at + with.len()].copy_from_slice(with);
        split(&bytes.freeze()).next().unwrap()
    };
    for length in [i32::MIN, -1, 0, 13, 48] {
        assert_eq!(change(8, &length.to_be_bytes()), Err(BatchError::InvalidLength { length }));
    }
    let needed = i32::MAX as u64 + 12;
    assert_eq!(change(8, &i32::MAX.to_be_bytes()), Err(BatchError::Truncated { needed, available: bytes.len() }));
    for magic in [-1, 0, 1, 3, i8::MAX] {
        assert_eq!(change(16, &magic.to_be_bytes()), Err(BatchError::UnsupportedMagic { magic }));
    }
    for bit in 0..8 * bytes.len() {
        let (at, flipped) = (bit / 8, bytes[bit / 8] ^ (1 << (bit % 8)));
        if let Ok(batch) = change(at, &[flipped]) {
            // Base offset and leader epoch are not covered by the CRC; a length that ends early changes what is.
            assert_eq!(batch.verify_crc().is_err(), at >= 17 || (8..12).contains(&at), "bit {bit}");
        }
    }
    let longer = Bytes::from([&bytes[..], &[0]].concat());
    assert!(matches!(Batch::parse(longer), Err(BatchError::InvalidLength { .. })));
}

#[test]
fn offsets_that_overflow() {
    let mut batch = batch_of(Compression::None, &[b"a", b"b"]);
    let before = batch.clone();
    for base in [-1, i64::MIN, i64::MAX, i64::MAX - 1] {
        assert_eq!(batch.assign(base, 0), Err(BatchError::InvalidHeader(HeaderFault::OffsetOverflow)));
        assert_eq!(batch, before);
    }
    batch.assign(i64::MAX - 2, 0).unwrap();
    assert_eq!(batch.header().next_offset(), i64::MAX);
    let records: Vec<_> = batch.records(Limits::default()).collect::<Result<_, _>>().unwrap();
    assert_eq!(records[1].offset, i64::MAX - 1);
}

#[test]
fn snappy_that_claims_four_gigabytes() {
    let template = batch_of(Compression::Snappy, &[b"v"]);
    let raw = vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x00];
    let mut framed = template.body()[..16].to_vec();
    framed.extend_from_slice(&(raw.len() as u32).to_be_bytes());
    framed.extend_from_slice(&raw);
    let mut endless = template.body()[..16].to_vec();
    endless.extend_from_slice(&u32::MAX.to_be_bytes());
    for body in [raw, framed, endless] {
        let error = refusal(&with_body(&template, 1, body));
        assert!(matches!(error, BatchError::Decompress { codec: Compression::Snappy, .. }), "{error}");
        assert_eq!(error.kind(), BatchErrorKind::Invalid);
    }
}

#[test]
fn bombs_stop_at_the_limit() {
    let mut plain = with_length(&record(0, 0, -1, -1, 0));
    plain.resize(8 * MIB as usize, 0);
    let limits = Limits { max_decompressed_bytes: MIB };
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let mut packed = Vec::new();
        codec.compress(None, &plain, &mut packed).unwrap();
        let mut inflate = codec.decompress(Bytes::from(packed), MIB).unwrap();
        let mut part = vec![0; 10_000];
        let error = loop {
            match inflate.read(&mut part) {
                Ok(count) => assert!(count > 0, "{codec} ended early"),
                Err(error) => break error,
            }
        };
        assert_eq!(error, BatchError::TooLarge { limit: MIB });
        assert_eq!(error.kind(), BatchErrorKind::TooLarge);
        assert!(inflate.produced() <= MIB);
    }
    // One record of 8 MiB: both ways of reading meet the limit inside of it.
    let value = vec![0; 8 * MIB as usize];
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let batch = batch_of(codec, &[&value]);
        assert!(batch.size() < MIB as usize / 2);
        let error = Err(BatchError::TooLarge { limit: MIB });
        assert_eq!(batch.validate_records(Validation { limits, require_keys: false }), error);
        assert_eq!(batch.records(limits).next().unwrap().map(drop), error.map(drop));
    }
}

#[test]
fn control_keys() {
    for key in [&[][..], &[0], &[0, 0, 0], &[0xff, 0xff, 0, 0]] {
        assert_eq!(ControlRecordType::from_key(key), None);
    }
    for id in -1..8 {
        let kind = ControlRecordType::from_id(id);
        assert_eq!(kind.id(), id);
        assert_eq!(ControlRecordType::from_key(&kind.to_key()), Some(kind));
        assert_eq!(matches!(kind, ControlRecordType::Unknown(_)), !(0..=6).contains(&id));
    }
}

/// Walks through whatever it gets. The count of records is bounded by the bytes, so this ends.
fn exercise(bytes: &Bytes) {
    let limits = Limits { max_decompressed_bytes: MIB };
    for batch in split(bytes).flatten() {
        let verified = batch.verify_crc();
        let produced = batch.header().check_produced();
        let validated = batch.validate_records(Validation { limits, require_keys: false });
        let records = batch.records(limits).filter(Result::is_ok).count();
        if let Ok(stats) = validated {
            assert_eq!(records, batch.header().record_count as usize);
            assert!(stats.max_timestamp >= stats.min_timestamp);
        }
        drop((verified, produced, batch.header().next_offset(), batch.header().last_sequence()));
        let mut batch = batch;
        drop(batch.assign(i64::MAX, 0));
        batch.set_log_append_time(5);
        batch.verify_crc().unwrap();
    }
}

#[test]
fn cut_anywhere_nothing_panics() {
    for codec in Compression::ALL {
        let value = b"abcdefgh".repeat(20);
        let batch = batch_of(codec, &[&value, b"", &value]);
        for cut in 0..batch.size() {
            exercise(&batch.to_bytes().slice(..cut));
        }
        for cut in 0..batch.body().len() {
            let cut = with_body(&batch, 3, batch.body()[..cut].to_vec());
            cut.verify_crc().unwrap();
            assert_eq!(kind(&cut), BatchErrorKind::Invalid, "{codec}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn changed_bytes_never_panic(
        codec in prop::sample::select(&Compression::ALL[..]),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let value = b"abcdefgh".repeat(20);
        let mut bytes = BytesMut::from(&batch_of(codec, &[&value, b"x", &value]).to_bytes()[..]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        exercise(&bytes.freeze());
    }

    #[test]
    fn random_bodies_never_panic(
        codec in 0_i16..8, count in -2..400_i32, body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let template = batch_of(Compression::None, &[b"v"]);
        let mut header = *template.header();
        header.attributes = codec;
        header.batch_length = (49 + body.len()) as i32;
        (header.record_count, header.last_offset_delta) = (count, count - 1);
        exercise(&Bytes::from([&header.to_bytes()[..], &body].concat()));
    }
}
