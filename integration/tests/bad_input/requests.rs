//! Topics, records to delete, producers.

use bytestring::ByteString;
use goatq_protocol::message::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use goatq_protocol::message::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use goatq_protocol::message::init_producer_id::InitProducerIdRequest;

use super::peer::{Bench, Seen};
use super::{Row, row};

pub(crate) const ROWS: &[Row] = &[
    row("71 a topic called ..", |b| create(b, named("..")), "17 INVALID_TOPIC_EXCEPTION"),
    row("71 a topic called ../x", |b| create(b, named("../x")), "17 INVALID_TOPIC_EXCEPTION"),
    row("71 a topic without a name", |b| create(b, named("")), "17 INVALID_TOPIC_EXCEPTION"),
    row("71 a name of 250 letters", |b| create(b, named("n".repeat(250))), "17 INVALID_TOPIC_EXCEPTION"),
    row("71 a name with a blank", |b| create(b, named("a b")), "17 INVALID_TOPIC_EXCEPTION"),
    row("71 a.b where there is a_b", collision, "17 INVALID_TOPIC_EXCEPTION"),
    row("72 no partitions", |b| create(b, partitions(b, 0)), "37 INVALID_PARTITIONS"),
    row("72 -5 partitions", |b| create(b, partitions(b, -5)), "37 INVALID_PARTITIONS"),
    row("72 10^9 partitions", |b| create(b, partitions(b, 1_000_000_000)), "44 POLICY_VIOLATION"),
    row("72 replication factor 0", |b| create(b, replicas(b, 0)), "38 INVALID_REPLICATION_FACTOR"),
    row("72 more replicas than brokers", |b| create(b, replicas(b, 100)), "38 INVALID_REPLICATION_FACTOR"),
    row("72 an unknown configuration", |b| create(b, configured(b, "no.such.key", "1")), "40 INVALID_CONFIG"),
    row("72 a configuration out of range", |b| create(b, configured(b, "segment.bytes", "-1")), "40 INVALID_CONFIG"),
    row("72 the same name twice", twice, "42 INVALID_REQUEST"),
    row("73 records beyond the high watermark", |b| delete(b, "plain", 1_000_000), "1 OFFSET_OUT_OF_RANGE"),
    row("73 records before -1", |b| delete(b, "plain", -2), "1 OFFSET_OUT_OF_RANGE"),
    row("73 records of a compacted topic", |b| delete(b, "compact", 0), "44 POLICY_VIOLATION"),
    row("73 records of no topic", |b| delete(b, "absent", 0), "3 UNKNOWN_TOPIC_OR_PARTITION"),
    row("74 an empty transactional id", |b| producer(b, Some(""), -1, -1, 1000), "42 INVALID_REQUEST"),
    row(
        "74 a transaction of a week",
        |b| producer(b, Some("t"), -1, -1, 604_800_000),
        "50 INVALID_TRANSACTION_TIMEOUT",
    ),
    row("74 a producer id without epoch", |b| producer(b, None, 5, -1, 1000), "42 INVALID_REQUEST"),
    row("74 an epoch without producer id", |b| producer(b, None, -1, 5, 1000), "42 INVALID_REQUEST"),
];

fn named(name: impl Into<ByteString>) -> CreatableTopic {
    CreatableTopic { name: name.into(), num_partitions: 1, replication_factor: 1, ..CreatableTopic::default() }
}

fn partitions(bench: &Bench, num_partitions: i32) -> CreatableTopic {
    CreatableTopic { num_partitions, ..named(bench.topic("refused")) }
}

fn replicas(bench: &Bench, replication_factor: i16) -> CreatableTopic {
    CreatableTopic { replication_factor, ..named(bench.topic("refused")) }
}

fn configured(bench: &Bench, name: &str, value: &str) -> CreatableTopic {
    let config = CreatableTopicConfig { name: name.into(), value: Some(value.into()) };
    CreatableTopic { configs: vec![config], ..named(bench.topic("refused")) }
}

fn create_all(bench: &Bench, topics: Vec<CreatableTopic>) -> anyhow::Result<Seen> {
    let request = CreateTopicsRequest { topics, timeout_ms: 10_000, validate_only: false };
    let response = bench.ask(&request, 7)?;
    Ok(response.topics.last().map_or(Seen::Text("no topic".to_owned()), |topic| Seen::Error(topic.error_code)))
}

fn create(bench: &Bench, topic: CreatableTopic) -> anyhow::Result<Seen> {
    create_all(bench, vec![topic])
}

fn collision(bench: &Bench) -> anyhow::Result<Seen> {
    create(bench, named(bench.topic("a_b")))?;
    create(bench, named(bench.topic("a.b")))
}

fn twice(bench: &Bench) -> anyhow::Result<Seen> {
    create_all(bench, vec![named(bench.topic("twice")), named(bench.topic("twice"))])
}

fn delete(bench: &Bench, topic: &str, offset: i64) -> anyhow::Result<Seen> {
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
    let topics = vec![DeleteRecordsTopic { name: bench.topic(topic).into(), partitions }];
    let response = bench.ask(&DeleteRecordsRequest { topics, timeout_ms: 10_000 }, 2)?;
    Ok(Seen::Error(response.topics[0].partitions[0].error_code))
}

fn producer(
    bench: &Bench,
    id: Option<&'static str>,
    producer_id: i64,
    producer_epoch: i16,
    transaction_timeout_ms: i32,
) -> anyhow::Result<Seen> {
    let request = InitProducerIdRequest {
        transactional_id: id.map(Into::into),
        transaction_timeout_ms,
        producer_id,
        producer_epoch,
        ..InitProducerIdRequest::default()
    };
    Ok(Seen::Error(bench.ask(&request, 4)?.error_code))
}
