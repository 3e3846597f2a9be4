//! The `kafka-protocol` crate reads what we write and writes what we read.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as theirs;
use proptest::prelude::*;

use super::properties::{Sample, samples};
use crate::record::{Batch, BatchBuilder, BatchOptions, Limits, NewRecord, Record};

fn to_theirs(record: &Record) -> theirs::Record {
    let headers: IndexMap<StrBytes, Option<Bytes>> = record
        .headers
        .iter()
        .map(|header| (StrBytes::try_from(header.key.clone()).unwrap(), header.value.clone()))
        .collect();
    theirs::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 7,
        producer_id: 42,
        producer_epoch: 3,
        timestamp_type: theirs::TimestampType::Creation,
        offset: record.offset,
        sequence: record.sequence,
        timestamp: record.timestamp,
        key: record.key.clone(),
        value: record.value.clone(),
        headers,
    }
}

fn build(samples: &[Sample]) -> Batch {
    let options = BatchOptions {
        base_offset: 1_000_000,
        partition_leader_epoch: 7,
        producer_id: 42,
        producer_epoch: 3,
        base_sequence: 100,
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options);
    for sample in samples {
        let headers = sample.unique_headers();
        builder.push(NewRecord { headers: &headers, ..sample.as_record() }).unwrap();
    }
    builder.build_batch().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn both_implementations_agree(samples in samples()) {
        let batch = build(&samples);
        let ours: Vec<Record> = batch.records(Limits::default()).collect::<Result<_, _>>().unwrap();

        let mut bytes = BytesMut::from(&batch.to_bytes()[..]).freeze();
        let decoded = theirs::RecordBatchDecoder::decode(&mut bytes).unwrap();
        let expected: Vec<theirs::Record> = ours.iter().map(to_theirs).collect();
        prop_assert_eq!(&decoded.records, &expected);

        let options = theirs::RecordEncodeOptions { version: 2, compression: theirs::Compression::None };
        let mut encoded = BytesMut::new();
        theirs::RecordBatchEncoder::encode(&mut encoded, &expected, &options).unwrap();
        let read_back = Batch::parse(encoded.freeze()).unwrap();
        read_back.verify_crc().unwrap();
        let read_back: Vec<Record> = read_back.records(Limits::default()).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read_back, ours);
    }
}
