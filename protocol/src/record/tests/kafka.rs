//! Segments that Kafka wrote (see testdata/records/README.md) read as what was sent, and our own batches are the same bytes
//! where the encoding leaves no choice.

use bytes::Bytes;

use crate::record::control::{ControlRecordType, EndTxnMarker, control_record, end_txn_marker};
use crate::record::{
    Batch, BatchBuilder, BatchOptions, Compression, Limits, NewRecord, Record, RecordHeader, TimestampType, Validation,
    split,
};

fn header(key: &str, value: Option<&str>) -> RecordHeader {
    RecordHeader {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
    }
}

fn batches(segment: &'static [u8]) -> Vec<Batch> {
    let batches: Vec<Batch> = split(&Bytes::from_static(segment)).collect::<Result<_, _>>().unwrap();
    for batch in &batches {
        batch.verify_crc().unwrap();
        batch.validate_records(Validation::default()).unwrap();
    }
    batches
}

fn check_captured(segment: &'static [u8], codec: Compression, header_of: impl Fn(usize) -> String) {
    let mut records: Vec<Record> = Vec::new();
    for batch in batches(segment) {
        assert_eq!(batch.header().compression().unwrap(), codec);
        records.extend(batch.records(Limits::default()).map(Result::unwrap));
    }
    assert_eq!(records.len(), 20);
    for (index, record) in records.iter().enumerate() {
        let mut value = format!("record {index} of the captured batch; ").repeat(160);
        value.truncate(5000);
        assert_eq!(record.offset, index as i64);
        assert_eq!(record.key.as_deref(), Some(format!("key-{index}").as_bytes()));
        assert_eq!(record.value.as_deref(), Some(value.as_bytes()));
        assert_eq!(record.headers, [header("n", Some(&header_of(index)))]);
    }
}

macro_rules! captured {
    ($file:literal) => {
        include_bytes!(concat!("../../../testdata/records/", $file, ".log"))
    };
}

#[test]
fn reads_every_codec_of_the_java_client() {
    check_captured(captured!("java-gzip"), Compression::Gzip, |index| index.to_string());
    check_captured(captured!("java-snappy"), Compression::Snappy, |index| index.to_string());
    check_captured(captured!("java-lz4"), Compression::Lz4, |index| index.to_string());
    check_captured(captured!("java-zstd"), Compression::Zstd, |index| index.to_string());
}

#[test]
fn reads_every_codec_of_librdkafka() {
    check_captured(captured!("librdkafka-gzip"), Compression::Gzip, |_| "h".to_owned());
    check_captured(captured!("librdkafka-snappy"), Compression::Snappy, |_| "h".to_owned());
    check_captured(captured!("librdkafka-lz4"), Compression::Lz4, |_| "h".to_owned());
    check_captured(captured!("librdkafka-zstd"), Compression::Zstd, |_| "h".to_owned());
}

/// Snappy leaves the encoder free, but both sides use the same match finder on the same blocks: a framing mistake shows.
#[test]
fn snappy_is_framed_as_snappy_java_does() {
    let java = batches(captured!("java-snappy")).remove(0);
    let mut ours = Vec::new();
    let mut plain = Vec::new();
    let mut inflate = Compression::Snappy.decompress(java.body().clone(), 1 << 20).unwrap();
    let mut part = [0; 8192];
    loop {
        match inflate.read(&mut part).unwrap() {
            0 => break,
            count => plain.extend_from_slice(&part[..count]),
        }
    }
    Compression::Snappy.compress(None, &plain, &mut ours).unwrap();
    assert_eq!(ours[..16], java.body()[..16]);
    let blocks = |mut body: &[u8]| {
        let mut sizes = Vec::new();
        body = &body[16..];
        while let Some((len, rest)) = body.split_first_chunk::<4>() {
            let block;
            (block, body) = rest.split_at(u32::from_be_bytes(*len) as usize);
            sizes.push(snap::raw::decompress_len(block).unwrap());
        }
        sizes
    };
    assert_eq!(blocks(&ours), blocks(java.body()));
}

#[test]
fn transactional_batches_and_markers() {
    let batches = batches(captured!("transactions"));
    assert_eq!(batches.len(), 4);
    for (index, batch) in batches.iter().enumerate() {
        let marker = index % 2 == 1;
        assert!(batch.header().is_transactional());
        assert_eq!(batch.header().is_control(), marker);
        assert_eq!(batch.header().producer_id, 5);
        assert_eq!(end_txn_marker(batch).unwrap().is_some(), marker);
    }
    let committed = EndTxnMarker { committed: true, coordinator_epoch: 0 };
    assert_eq!(end_txn_marker(&batches[1]).unwrap(), Some(committed));
    let aborted = EndTxnMarker { committed: false, coordinator_epoch: 0 };
    assert_eq!(end_txn_marker(&batches[3]).unwrap(), Some(aborted));
    let (kind, value) = control_record(&batches[3]).unwrap().unwrap();
    assert_eq!((kind, value.as_ref()), (ControlRecordType::Abort, &[0; 6][..]));

    let records: Vec<Record> = batches[2].records(Limits::default()).map(Result::unwrap).collect();
    assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!(records.iter().map(|record| record.timestamp - 1_795_200_000_000).collect::<Vec<_>>(), [0, -1000, 500]);
    assert_eq!(records[0].headers, [header("empty", Some("")), header("none", None), header("", Some("v"))]);
    assert_eq!((records[1].key.as_deref(), records[1].value.as_deref()), (None, Some(&b"no key"[..])));
    assert_eq!((records[2].key.as_deref(), records[2].value.as_deref()), (Some(&b"tombstone"[..]), None));
}

#[test]
fn uncompressed_batches_are_rebuilt_byte_for_byte() {
    for batch in batches(captured!("transactions")) {
        let mut builder = BatchBuilder::new(BatchOptions::like(batch.header()).unwrap());
        for record in batch.records(Limits::default()) {
            let Record { offset, timestamp, key, value, headers, .. } = record.unwrap();
            let record = NewRecord { timestamp, key: key.as_deref(), value: value.as_deref(), headers: &headers };
            builder.push_at(offset, record).unwrap();
        }
        assert_eq!(builder.build().unwrap(), batch.to_bytes());
    }
}

#[test]
fn markers_are_built_byte_for_byte() {
    for (index, committed) in [(1, true), (3, false)] {
        let kafkas = batches(captured!("transactions")).remove(index);
        let header = *kafkas.header();
        let marker = EndTxnMarker { committed, coordinator_epoch: 0 };
        let mut ours = marker.to_batch(header.producer_id, header.producer_epoch, header.base_timestamp).unwrap();
        ours.assign(header.base_offset, header.partition_leader_epoch).unwrap();
        assert_eq!(ours.to_bytes(), kafkas.to_bytes());
    }
}

#[test]
fn log_append_time_is_every_records_time() {
    let kafkas = batches(captured!("log-append-time")).remove(0);
    let header = *kafkas.header();
    assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
    assert!(header.base_timestamp < header.max_timestamp);
    let times: Vec<i64> = kafkas.records(Limits::default()).map(|record| record.unwrap().timestamp).collect();
    assert_eq!(times, [header.max_timestamp; 3]);
    let stats = kafkas.validate_records(Validation::default()).unwrap();
    assert_eq!((stats.min_timestamp, stats.max_timestamp), (header.max_timestamp, header.max_timestamp));

    // The same change on a producer's batch gives Kafka's bytes.
    let mut sent = kafkas.clone();
    sent.set_max_timestamp(header.base_timestamp);
    assert_eq!(sent.header().timestamp_type(), TimestampType::CreateTime);
    assert_ne!(sent.to_bytes(), kafkas.to_bytes());
    sent.set_log_append_time(header.max_timestamp);
    assert_eq!(sent.to_bytes(), kafkas.to_bytes());
}
