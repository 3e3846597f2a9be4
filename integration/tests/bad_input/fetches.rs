//! What consumers ask for: offsets, limits, sessions, epochs.

use bytes::Bytes;
use goatq_protocol::Uuid;
use goatq_protocol::message::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use goatq_protocol::message::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use goatq_protocol::message::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use goatq_protocol::record::{BatchBuilder, BatchOptions, NewRecord};

use super::peer::{Bench, Seen};
use super::{Row, row};

pub(crate) const ROWS: &[Row] = &[
    row("62 an offset below the start", |b| at(b, -1), "1 OFFSET_OUT_OF_RANGE"),
    row("62 an offset beyond the end", |b| at(b, 1_000_000), "1 OFFSET_OUT_OF_RANGE"),
    row("63 a negative wait", |b| limits(b, -5, 1, 1000), "0 NONE"),
    row("63 2^31-1 bytes wanted at least, no time", |b| limits(b, 0, i32::MAX, 1000), "0 NONE"),
    row("63 a negative number of bytes wanted", |b| limits(b, 0, -1, -1), "0 NONE"),
    row("64 50,000 partitions", fifty_thousand, "50000 answers, records in 1"),
    row("64 the first batch is larger than every limit", larger_than_limits, "one batch"),
    row("65 a session that is not there", |b| session(b, 12_345, 7), "70 FETCH_SESSION_ID_NOT_FOUND"),
    row("65 an epoch too far", wrong_epoch, "71 INVALID_FETCH_SESSION_EPOCH"),
    row("65 a topic id that nobody has", unknown_id, "100 UNKNOWN_TOPIC_ID"),
    row("65 a session by names, then by ids", names_then_ids, "106 FETCH_SESSION_TOPIC_ID_ERROR"),
    row("67 an older leader epoch", |b| epoch(b, -2, "data"), "0 NONE"),
    row("67 a later leader epoch", |b| epoch(b, 1_000, "data"), "75 UNKNOWN_LEADER_EPOCH"),
    row("a topic that is not there", |b| epoch(b, -1, "absent"), "3 UNKNOWN_TOPIC_OR_PARTITION"),
    row("a follower that nobody knows", stranger, "6 NOT_LEADER_OR_FOLLOWER"),
    row("an unknown time stamp below zero", |b| offset(b, -9, 11), "35 UNSUPPORTED_VERSION"),
    row("the largest time stamp in a version without it", |b| offset(b, -3, 6), "35 UNSUPPORTED_VERSION"),
    row("the tiered end without tiered storage", |b| offset(b, -5, 9), "0 NONE, offset -1, epoch -1"),
    row("what waits for upload without tiered storage", |b| offset(b, -6, 11), "0 NONE, offset -1, epoch -1"),
    row("the local start", |b| offset(b, -4, 8), "0 NONE, offset 0, epoch 0"),
    row("a time in the future", |b| offset(b, i64::MAX, 8), "0 NONE, offset -1, epoch -1"),
];

fn partition(index: i32, fetch_offset: i64) -> FetchPartition {
    FetchPartition { partition: index, fetch_offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() }
}

fn request(bench: &Bench, topic: &str, partitions: Vec<FetchPartition>) -> FetchRequest {
    let topic = FetchTopic { topic: bench.topic(topic).into(), partitions, ..FetchTopic::default() };
    FetchRequest { max_wait_ms: 0, min_bytes: 1, topics: vec![topic], ..FetchRequest::default() }
}

/// The error of the whole answer, else that of its first partition.
fn error(response: &FetchResponse) -> Seen {
    let first = response.responses.first().and_then(|topic| topic.partitions.first());
    match (response.error_code, first) {
        (0, Some(partition)) => Seen::Error(partition.error_code),
        (0, None) => Seen::Text("no partition".to_owned()),
        (error, _) => Seen::Error(error),
    }
}

/// Makes sure that there are records in the topic of this name.
fn fill(bench: &Bench) -> anyhow::Result<()> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(NewRecord { timestamp: 1_000, key: None, value: Some(&[b'x'; 5_000]), headers: &[] })?;
    let records: Bytes = builder.build()?;
    let data = PartitionProduceData { index: 0, records: Some(records.into()) };
    let topic = TopicProduceData {
        name: bench.topic("data").into(),
        partition_data: vec![data],
        ..TopicProduceData::default()
    };
    let request = ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data: vec![topic], ..ProduceRequest::default() };
    let response = bench.ask(&request, 9)?;
    anyhow::ensure!(response.responses[0].partition_responses[0].error_code == 0, "{response:?}");
    Ok(())
}

fn at(bench: &Bench, offset: i64) -> anyhow::Result<Seen> {
    Ok(error(&bench.ask(&request(bench, "data", vec![partition(0, offset)]), 12)?))
}

fn limits(bench: &Bench, max_wait_ms: i32, min_bytes: i32, max_bytes: i32) -> anyhow::Result<Seen> {
    let request = FetchRequest { max_wait_ms, min_bytes, max_bytes, ..request(bench, "data", vec![partition(0, 0)]) };
    Ok(error(&bench.ask(&request, 12)?))
}

fn fifty_thousand(bench: &Bench) -> anyhow::Result<Seen> {
    fill(bench)?;
    let partitions = (0..50_000).map(|index| partition(index, 0)).collect();
    let response = bench.ask(&request(bench, "data", partitions), 12)?;
    let answers: Vec<_> = response.responses.iter().flat_map(|topic| &topic.partitions).collect();
    let filled = answers.iter().filter(|answer| answer.records.as_ref().is_some_and(|records| !records.is_empty()));
    Ok(Seen::Text(format!("{} answers, records in {}", answers.len(), filled.count())))
}

fn larger_than_limits(bench: &Bench) -> anyhow::Result<Seen> {
    fill(bench)?;
    let small = FetchPartition { partition_max_bytes: 1, ..partition(0, 0) };
    let request = FetchRequest { max_bytes: 1, ..request(bench, "data", vec![small]) };
    let response = bench.ask(&request, 12)?;
    let records = response.responses[0].partitions[0].records.clone().unwrap_or_default().into_bytes();
    let batches = goatq_protocol::record::split(&records).count();
    Ok(Seen::Text(if batches == 1 { "one batch".to_owned() } else { format!("{batches} batches") }))
}

fn session(bench: &Bench, session_id: i32, session_epoch: i32) -> anyhow::Result<Seen> {
    let request = FetchRequest { session_id, session_epoch, ..request(bench, "data", vec![partition(0, 0)]) };
    Ok(error(&bench.ask(&request, 12)?))
}

fn open_session(bench: &Bench) -> anyhow::Result<i32> {
    let request = FetchRequest { session_epoch: 0, ..request(bench, "data", vec![partition(0, 0)]) };
    let response = bench.ask(&request, 12)?;
    anyhow::ensure!(response.session_id != 0, "no session: {response:?}");
    Ok(response.session_id)
}

fn wrong_epoch(bench: &Bench) -> anyhow::Result<Seen> {
    let id = open_session(bench)?;
    session(bench, id, 5)
}

fn unknown_id(bench: &Bench) -> anyhow::Result<Seen> {
    let mut request = request(bench, "data", vec![partition(0, 0)]);
    request.topics[0].topic_id = Uuid::from_u128(0x1234_5678_9abc);
    Ok(error(&bench.ask(&request, 13)?))
}

fn names_then_ids(bench: &Bench) -> anyhow::Result<Seen> {
    let session_id = open_session(bench)?;
    let mut request = request(bench, "data", vec![partition(0, 0)]);
    request.topics[0].topic_id = bench.topic_id("data");
    Ok(error(&bench.ask(&FetchRequest { session_id, session_epoch: 1, ..request }, 13)?))
}

fn epoch(bench: &Bench, current_leader_epoch: i32, topic: &str) -> anyhow::Result<Seen> {
    fill(bench)?;
    let partition = FetchPartition { current_leader_epoch, ..partition(0, 0) };
    Ok(error(&bench.ask(&request(bench, topic, vec![partition]), 12)?))
}

fn stranger(bench: &Bench) -> anyhow::Result<Seen> {
    let request = FetchRequest { replica_id: 77, ..request(bench, "data", vec![partition(0, 0)]) };
    Ok(error(&bench.ask(&request, 12)?))
}

fn offset(bench: &Bench, timestamp: i64, version: i16) -> anyhow::Result<Seen> {
    fill(bench)?;
    let wanted = ListOffsetsPartition { partition_index: 0, timestamp, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic { name: bench.topic("data").into(), partitions: vec![wanted] };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
    let answer = bench.ask(&request, version)?.topics.remove(0).partitions.remove(0);
    let error = Seen::Error(answer.error_code);
    if answer.error_code != 0 {
        return Ok(error);
    }
    Ok(Seen::Text(format!("{error}, offset {}, epoch {}", answer.offset, answer.leader_epoch)))
}
