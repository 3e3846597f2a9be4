//! What producers send: records, batches, sequences.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use goatq_protocol::message::find_coordinator::FindCoordinatorRequest;
use goatq_protocol::message::init_producer_id::InitProducerIdRequest;
use goatq_protocol::message::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use goatq_protocol::record::{BatchBuilder, BatchOptions, Compression, NewRecord};

use super::peer::{Bench, Seen};
use super::{Row, row};

const TIMESTAMP_TYPE: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// Kafka's answer where something surprised it.
const UNEXPECTED: &str = "-1 UNKNOWN_SERVER_ERROR";

pub(crate) const ROWS: &[Row] = &[
    row("40 acks=2", |b| acks(b, 2), "21 INVALID_REQUIRED_ACKS"),
    row("40 acks=-2", |b| acks(b, -2), "21 INVALID_REQUIRED_ACKS"),
    row("41 a wrong CRC", wrong_crc, "2 CORRUPT_MESSAGE"),
    row("42 2^31-1 records", |b| forge(b, 57, &i32::MAX.to_be_bytes()), "87 INVALID_RECORD"),
    row("42 -1 records", |b| forge(b, 57, &(-1_i32).to_be_bytes()), "87 INVALID_RECORD"),
    row("42 0 records", |b| forge(b, 57, &0_i32.to_be_bytes()), "87 INVALID_RECORD"),
    row("42 a record less than there is", |b| counts(b, 1), "87 INVALID_RECORD"),
    row("42 a record more than there is", |b| counts(b, 3), "87 INVALID_RECORD"),
    row("43 2^31-1 headers", |b| raw_record(b, &[0xfe, 0xff, 0xff, 0xff, 0x0f]), "87 INVALID_RECORD"),
    row("43 -1 headers", |b| raw_record(b, &[0x01]), "87 INVALID_RECORD"),
    row("44 base offset 1", |b| forge(b, 0, &1_i64.to_be_bytes()), "87 INVALID_RECORD"),
    row("44 last offset delta 7", |b| forge(b, 23, &7_i32.to_be_bytes()), "87 INVALID_RECORD"),
    // Kafka computes on and finds the result out of range.
    row("44 time stamps that overflow", |b| forge(b, 27, &i64::MAX.to_be_bytes()), "87 INVALID_RECORD")
        .kafka("32 INVALID_TIMESTAMP"),
    row("45 no batch", |b| plain(b, Some(Bytes::new())), "87 INVALID_RECORD"),
    row("45 two batches", |b| plain(b, Some([batch(), batch()].concat().into())), "87 INVALID_RECORD"),
    // Kafka never answers.
    row("45 no records at all", |b| plain(b, None), "87 INVALID_RECORD").only_here(),
    row("45 half a batch", |b| plain(b, Some(batch().slice(..70))), "87 INVALID_RECORD"),
    row("45 a batch of length 10", |b| patched(b, 8, &10_i32.to_be_bytes()), "2 CORRUPT_MESSAGE"),
    row("45 format 0", |b| patched(b, 16, &[0]), "87 INVALID_RECORD"),
    row("45 format 1", |b| patched(b, 16, &[1]), "87 INVALID_RECORD"),
    row("45 format 3", |b| patched(b, 16, &[3]), "2 CORRUPT_MESSAGE"),
    row("46 codec 5", |b| attributes(b, 5), "76 UNSUPPORTED_COMPRESSION_TYPE").kafka(UNEXPECTED),
    row("46 codec 7", |b| attributes(b, 7), "76 UNSUPPORTED_COMPRESSION_TYPE").kafka(UNEXPECTED),
    row("47 zstd in version 6", |b| zstd(b, 6), "76 UNSUPPORTED_COMPRESSION_TYPE"),
    row("47 zstd in version 7", |b| zstd(b, 7), "0 NONE"),
    row("48 the control bit", |b| attributes(b, CONTROL), "87 INVALID_RECORD"),
    // Kafka 4.3 has no max.decompressed.message.bytes.
    row("49 16 MiB in gzip where 1 MiB is allowed", |b| bomb(b, Compression::Gzip), "10 MESSAGE_TOO_LARGE").only_here(),
    row("49 16 MiB in snappy", |b| bomb(b, Compression::Snappy), "10 MESSAGE_TOO_LARGE").only_here(),
    row("49 16 MiB in lz4", |b| bomb(b, Compression::Lz4), "10 MESSAGE_TOO_LARGE").only_here(),
    row("49 16 MiB in zstd", |b| bomb(b, Compression::Zstd), "10 MESSAGE_TOO_LARGE").only_here(),
    row("50 snappy that claims 4 GiB", |b| garbage(b, 2, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 1]), "87 INVALID_RECORD")
        .kafka(UNEXPECTED),
    row("50 gzip that is none", |b| garbage(b, 1, &[1, 2, 3, 4]), "87 INVALID_RECORD").kafka(UNEXPECTED),
    row("50 lz4 that is none", |b| garbage(b, 3, &[1, 2, 3, 4]), "87 INVALID_RECORD").kafka(UNEXPECTED),
    row("50 zstd that is none", |b| garbage(b, 4, &[1, 2, 3, 4]), "87 INVALID_RECORD").kafka(UNEXPECTED),
    row("51 a batch above max.message.bytes", too_large, "10 MESSAGE_TOO_LARGE"),
    row("52 a time stamp two hours ahead", |b| dated(b, 7_200_000), "32 INVALID_TIMESTAMP"),
    row("52 a time stamp of 1970", |b| dated(b, -now_ms()), "0 NONE"),
    row("52 the broker's kind of time stamp", |b| attributes(b, TIMESTAMP_TYPE), "0 NONE"),
    row("53 no key on a compacted topic", no_key, "87 INVALID_RECORD"),
    row("54 a topic that is not there", |b| to(b, "absent", 0, Some(batch())), "3 UNKNOWN_TOPIC_OR_PARTITION"),
    row("54 a partition that is not there", |b| to(b, "plain", 9, Some(batch())), "3 UNKNOWN_TOPIC_OR_PARTITION"),
    row("54 a negative partition", |b| to(b, "plain", -1, Some(batch())), "3 UNKNOWN_TOPIC_OR_PARTITION"),
    row("54 a topic id that nobody has", unknown_id, "100 UNKNOWN_TOPIC_ID"),
    // Kafka lets clients through that call themselves so.
    row("55 an internal topic from __admin_client", internal_topic, "17 INVALID_TOPIC_EXCEPTION").only_here(),
    row("56 a gap in the sequence", |b| sequence(b, &[0, 2]), "45 OUT_OF_ORDER_SEQUENCE_NUMBER"),
    row("56 the same batch again", |b| sequence(b, &[0, 1, 2, 3, 4, 0]), "0 NONE at 0"),
    row("56 the sixth last batch again", |b| sequence(b, &[0, 1, 2, 3, 4, 5, 0]), "45 OUT_OF_ORDER_SEQUENCE_NUMBER"),
    row("56 a producer id without sequence", |b| forge(b, 43, &5_i64.to_be_bytes()), "87 INVALID_RECORD"),
    row("57 an older epoch", older_epoch, "47 INVALID_PRODUCER_EPOCH"),
    row(
        "58 a transactional batch of nobody's",
        |b| attributes(b, TRANSACTIONAL),
        "53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    ),
    // One Kafka broker cannot keep its own topic of transactions.
    row("58 a transactional batch without transaction", no_transaction, "48 INVALID_TXN_STATE").only_here(),
    row("60 acks=0 and an error", unacknowledged_error, "closed"),
    row("60 acks=0 and no error", unacknowledged, "served"),
    row("61 fewer replicas than min.insync.replicas can ever be", |b| to(b, "strict", 0, Some(batch())), "0 NONE"),
];

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Time stamp, key, value.
type Record<'a> = (i64, Option<&'a [u8]>, &'a [u8]);

fn build(options: BatchOptions, records: &[Record<'_>]) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for (timestamp, key, value) in records {
        builder.push(NewRecord { timestamp: *timestamp, key: *key, value: Some(value), headers: &[] }).unwrap();
    }
    builder.build().unwrap()
}

/// Two records without keys.
fn batch() -> Bytes {
    build(BatchOptions::default(), &[(now_ms(), None, b"one"), (now_ms() + 1, None, b"two")])
}

/// CRC-32C bit by bit, to sign forged batches.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

fn patch(batch: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut batch = batch.to_vec();
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    batch
}

fn sign(mut batch: Vec<u8>) -> Bytes {
    let crc = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch.into()
}

/// A header in front of other records: length and CRC are right.
fn with_body(attributes: i16, count: i32, body: &[u8]) -> Bytes {
    let mut batch = patch(&batch()[..61], 21, &attributes.to_be_bytes());
    batch.extend_from_slice(body);
    let length = i32::try_from(batch.len() - 12).unwrap();
    let batch = patch(&batch, 8, &length.to_be_bytes());
    let batch = patch(&batch, 23, &(count - 1).to_be_bytes());
    sign(patch(&batch, 57, &count.to_be_bytes()))
}

struct Produce {
    topic: String,
    partition: i32,
    acks: i16,
    version: i16,
    transactional_id: Option<&'static str>,
    records: Option<Bytes>,
}

impl Produce {
    fn new(bench: &Bench, topic: &str, records: Option<Bytes>) -> Self {
        let topic = bench.topic(topic);
        Self { topic, partition: 0, acks: -1, version: 12, transactional_id: None, records }
    }

    fn request(&self) -> ProduceRequest {
        let records = self.records.clone().map(Into::into);
        let data = PartitionProduceData { index: self.partition, records };
        let topic = TopicProduceData {
            name: self.topic.as_str().into(),
            partition_data: vec![data],
            ..TopicProduceData::default()
        };
        ProduceRequest {
            transactional_id: self.transactional_id.map(Into::into),
            acks: self.acks,
            timeout_ms: 10_000,
            topic_data: vec![topic],
        }
    }

    fn send(&self, bench: &Bench) -> anyhow::Result<Option<PartitionProduceResponse>> {
        let response = bench.connect().ask(&self.request(), self.version)?;
        Ok(response.map(|mut response| response.responses[0].partition_responses.remove(0)))
    }

    fn seen(&self, bench: &Bench) -> anyhow::Result<Seen> {
        Ok(self.send(bench)?.map_or(Seen::Closed, |answer| Seen::Error(answer.error_code)))
    }
}

fn plain(bench: &Bench, records: Option<Bytes>) -> anyhow::Result<Seen> {
    Produce::new(bench, "plain", records).seen(bench)
}

fn to(bench: &Bench, topic: &str, partition: i32, records: Option<Bytes>) -> anyhow::Result<Seen> {
    Produce { partition, ..Produce::new(bench, topic, records) }.seen(bench)
}

fn acks(bench: &Bench, acks: i16) -> anyhow::Result<Seen> {
    Produce { acks, ..Produce::new(bench, "plain", Some(batch())) }.seen(bench)
}

fn wrong_crc(bench: &Bench) -> anyhow::Result<Seen> {
    patched(bench, 17, &[1, 2, 3, 4])
}

/// A header field as it should not be, unsigned.
fn patched(bench: &Bench, at: usize, bytes: &[u8]) -> anyhow::Result<Seen> {
    plain(bench, Some(patch(&batch(), at, bytes).into()))
}

/// A header field as it should not be, under a right CRC.
fn forge(bench: &Bench, at: usize, bytes: &[u8]) -> anyhow::Result<Seen> {
    plain(bench, Some(sign(patch(&batch(), at, bytes))))
}

fn attributes(bench: &Bench, attributes: i16) -> anyhow::Result<Seen> {
    forge(bench, 21, &attributes.to_be_bytes())
}

/// Two records, but the header speaks of another number, consistently.
fn counts(bench: &Bench, count: i32) -> anyhow::Result<Seen> {
    let batch = patch(&batch(), 23, &(count - 1).to_be_bytes());
    plain(bench, Some(sign(patch(&batch, 57, &count.to_be_bytes()))))
}

/// A record with this number of headers, and none.
fn raw_record(bench: &Bench, headers: &[u8]) -> anyhow::Result<Seen> {
    let mut record = vec![0, 0, 0, 1, 2, b'v'];
    record.extend_from_slice(headers);
    let mut body = vec![u8::try_from(record.len() * 2)?];
    body.extend_from_slice(&record);
    plain(bench, Some(with_body(0, 1, &body)))
}

fn zstd(bench: &Bench, version: i16) -> anyhow::Result<Seen> {
    let options = BatchOptions { compression: Compression::Zstd, ..BatchOptions::default() };
    let records = build(options, &[(now_ms(), None, b"packed")]);
    Produce { version, ..Produce::new(bench, "plain", Some(records)) }.seen(bench)
}

fn bomb(bench: &Bench, compression: Compression) -> anyhow::Result<Seen> {
    let zeros = vec![0; 16 << 20];
    let records = build(BatchOptions { compression, ..BatchOptions::default() }, &[(now_ms(), None, &zeros)]);
    to(bench, "capped", 0, Some(records))
}

/// Bytes that no codec made, on a topic whose batches are looked into.
fn garbage(bench: &Bench, codec: i16, body: &[u8]) -> anyhow::Result<Seen> {
    to(bench, "compact", 0, Some(with_body(codec, 1, body)))
}

fn too_large(bench: &Bench) -> anyhow::Result<Seen> {
    let records = build(BatchOptions::default(), &[(now_ms(), None, &[b'x'; 2000])]);
    to(bench, "small", 0, Some(records))
}

fn dated(bench: &Bench, ahead_ms: i64) -> anyhow::Result<Seen> {
    plain(bench, Some(build(BatchOptions::default(), &[(now_ms() + ahead_ms, None, b"when")])))
}

fn no_key(bench: &Bench) -> anyhow::Result<Seen> {
    to(bench, "compact", 0, Some(batch()))
}

fn unknown_id(bench: &Bench) -> anyhow::Result<Seen> {
    let mut request = Produce::new(bench, "plain", Some(batch())).request();
    request.topic_data[0].topic_id = goatq_protocol::Uuid::from_u128(0x1234_5678_9abc);
    let response = bench.ask(&request, 13)?;
    Ok(Seen::Error(response.responses[0].partition_responses[0].error_code))
}

fn internal_topic(bench: &Bench) -> anyhow::Result<Seen> {
    let make = FindCoordinatorRequest { coordinator_keys: vec!["group".into()], ..FindCoordinatorRequest::default() };
    bench.ask(&make, 4)?;
    let produce = Produce { topic: "__consumer_offsets".to_owned(), ..Produce::new(bench, "plain", Some(batch())) };
    let name = "__admin_client".into();
    let frame = goatq_protocol::frame::encode_request(7, Some(&name), &produce.request(), 9)?;
    let mut peer = bench.connect();
    peer.write(&frame.concat())?;
    let Some(frame) = peer.receive()? else { return Ok(Seen::Closed) };
    let (_, response) =
        goatq_protocol::frame::decode_response::<goatq_protocol::message::produce::ProduceResponse>(frame, 9)?;
    Ok(Seen::Error(response.responses[0].partition_responses[0].error_code))
}

fn producer_id(bench: &Bench) -> anyhow::Result<i64> {
    let request = InitProducerIdRequest { transaction_timeout_ms: 1000, ..InitProducerIdRequest::default() };
    // The first ones may come before the broker has ids to give (14, retriable).
    for _ in 0..100 {
        let response = bench.ask(&request, 4)?;
        if response.error_code == 0 {
            return Ok(response.producer_id);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("no producer id")
}

fn sequenced(producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Bytes {
    let options = BatchOptions { producer_id, producer_epoch, base_sequence, ..BatchOptions::default() };
    build(options, &[(now_ms(), None, b"counted")])
}

/// Sends one-record batches with these sequence numbers; the answer to the last.
fn sequence(bench: &Bench, numbers: &[i32]) -> anyhow::Result<Seen> {
    let producer_id = producer_id(bench)?;
    let (mut first, mut last) = (None, None);
    for number in numbers {
        let answer = Produce::new(bench, "sequences", Some(sequenced(producer_id, 0, *number))).send(bench)?;
        let Some(answer) = answer else { return Ok(Seen::Closed) };
        first = first.or(Some(answer.base_offset));
        last = Some(answer);
    }
    let (first, last) = (first.unwrap_or(-1), last.expect("at least one"));
    if last.error_code == 0 {
        return Ok(Seen::Text(format!("0 NONE at {}", last.base_offset - first)));
    }
    Ok(Seen::Error(last.error_code))
}

fn older_epoch(bench: &Bench) -> anyhow::Result<Seen> {
    let producer_id = producer_id(bench)?;
    let newer = Produce::new(bench, "sequences", Some(sequenced(producer_id, 3, 0))).seen(bench)?;
    anyhow::ensure!(matches!(newer, Seen::Error(0)), "the newer epoch: {newer}");
    Produce::new(bench, "sequences", Some(sequenced(producer_id, 2, 0))).seen(bench)
}

fn no_transaction(bench: &Bench) -> anyhow::Result<Seen> {
    let producer_id = producer_id(bench)?;
    let batch = patch(&sequenced(producer_id, 0, 0), 21, &TRANSACTIONAL.to_be_bytes());
    let records = Some(sign(batch));
    Produce { transactional_id: Some("nobody"), version: 9, ..Produce::new(bench, "plain", records) }.seen(bench)
}

fn unacknowledged_error(bench: &Bench) -> anyhow::Result<Seen> {
    Produce { acks: 0, ..Produce::new(bench, "absent", Some(batch())) }.seen(bench)
}

fn unacknowledged(bench: &Bench) -> anyhow::Result<Seen> {
    let mut peer = bench.connect();
    let produce = Produce { acks: 0, ..Produce::new(bench, "plain", Some(batch())) };
    let frame = goatq_protocol::frame::encode_request(1, None, &produce.request(), 9)?;
    peer.write(&frame.concat())?;
    // The next answer is that of the next request.
    let after = peer.ask(&goatq_protocol::message::api_versions::ApiVersionsRequest::default(), 0)?;
    Ok(after.map_or(Seen::Closed, |_| Seen::served()))
}
