//! Everything that a node holds, as a client reads it.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use goatq_protocol::Uuid;
use goatq_protocol::message::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use goatq_protocol::message::list_offsets::{
    EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use goatq_protocol::message::metadata::MetadataRequest;
use goatq_protocol::message::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use goatq_protocol::record::{Limits, Record, split};

use super::load::{COMMITTED, GROUP};
use crate::peer::Peer;

const METADATA: i16 = 12;
const LIST_OFFSETS: i16 = 7;
const FETCH: i16 = 17;
const OFFSET_FETCH: i16 = 8;
const FETCH_BYTES: i32 = 16 << 20;
const PARTITION_BYTES: i32 = 4 << 20;
/// Answers without a record in a row before a reader gives up.
const EMPTY_ANSWERS: usize = 50;

/// A partition.
#[derive(Debug, Default)]
pub struct Log {
    /// First offset.
    pub start: i64,
    /// High watermark.
    pub end: i64,
    /// The records from `start` to `end`, or to what cannot be read.
    pub records: Vec<Record>,
    /// What stopped the reading.
    pub unreadable: Option<String>,
}

/// A topic.
#[derive(Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its partitions by index.
    pub logs: BTreeMap<i32, Log>,
}

/// All topics that are not internal, by id.
#[derive(Debug, Default)]
pub struct Reading {
    /// The topics.
    pub topics: BTreeMap<Uuid, Topic>,
    /// What the group has committed; -1 for nothing.
    pub committed: i64,
}

impl Reading {
    /// Reads everything.
    ///
    /// # Errors
    /// The node does not answer, or answers no sense. What it says it cannot read is part of the reading.
    pub fn of(peer: &mut Peer) -> anyhow::Result<Self> {
        let mut reading = Self { topics: topics(peer)?, committed: committed(peer)? };
        for (id, topic) in &mut reading.topics {
            read(peer, *id, topic).with_context(|| format!("reading {}", topic.name))?;
        }
        Ok(reading)
    }
}

/// The topics with the bounds of their logs.
///
/// # Errors
/// No answer, or a partition without a leader.
pub fn topics(peer: &mut Peer) -> anyhow::Result<BTreeMap<Uuid, Topic>> {
    let answer = peer.ask(&MetadataRequest { topics: None, ..MetadataRequest::default() }, METADATA)?;
    let mut topics = BTreeMap::new();
    for topic in answer.context("closed")?.topics.into_iter().filter(|topic| !topic.is_internal) {
        let name = topic.name.context("a topic without name")?.to_string();
        ensure!(topic.error_code == 0, "{name}: error {}", topic.error_code);
        let mut logs = BTreeMap::new();
        for partition in topic.partitions {
            ensure!(partition.error_code == 0, "{name}-{}: error {}", partition.partition_index, partition.error_code);
            logs.insert(partition.partition_index, Log::default());
        }
        topics.insert(topic.topic_id, Topic { name, logs });
    }
    for (timestamp, is_start) in [(EARLIEST_TIMESTAMP, true), (LATEST_TIMESTAMP, false)] {
        for topic in topics.values_mut() {
            let partition = |&partition_index: &i32| ListOffsetsPartition {
                partition_index,
                timestamp,
                ..ListOffsetsPartition::default()
            };
            let partitions = topic.logs.keys().map(partition).collect();
            let wanted = vec![ListOffsetsTopic { name: topic.name.as_str().into(), partitions }];
            let request = ListOffsetsRequest { replica_id: -1, topics: wanted, ..ListOffsetsRequest::default() };
            let answer = peer.ask(&request, LIST_OFFSETS)?.context("closed")?;
            for partition in answer.topics.into_iter().flat_map(|topic| topic.partitions) {
                ensure!(partition.error_code == 0, "{}: {partition:?}", topic.name);
                let log = topic.logs.get_mut(&partition.partition_index).context("asked for another partition")?;
                *(if is_start { &mut log.start } else { &mut log.end }) = partition.offset;
            }
        }
    }
    Ok(topics)
}

fn committed(peer: &mut Peer) -> anyhow::Result<i64> {
    let topics = vec![OffsetFetchRequestTopics {
        name: COMMITTED.into(),
        partition_indexes: vec![0],
        ..OffsetFetchRequestTopics::default()
    }];
    let group =
        OffsetFetchRequestGroup { group_id: GROUP.into(), topics: Some(topics), ..OffsetFetchRequestGroup::default() };
    let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
    for _ in 0..EMPTY_ANSWERS {
        let answer = peer.ask(&request, OFFSET_FETCH)?.context("closed")?;
        let group = answer.groups.first().context("no group")?;
        let partition = group.topics.first().and_then(|topic| topic.partitions.first());
        match (group.error_code, partition) {
            (0, Some(partition)) if partition.error_code == 0 => return Ok(partition.committed_offset),
            // The coordinator loads.
            _ => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    }
    bail!("no coordinator for {GROUP}")
}

/// Reads all partitions of a topic.
fn read(peer: &mut Peer, topic_id: Uuid, topic: &mut Topic) -> anyhow::Result<()> {
    let mut next: BTreeMap<i32, i64> =
        topic.logs.iter().filter(|(_, log)| log.start < log.end).map(|(&index, log)| (index, log.start)).collect();
    let mut empty = 0;
    while !next.is_empty() {
        let partitions = next.iter().map(|(&partition, &fetch_offset)| FetchPartition {
            partition,
            fetch_offset,
            partition_max_bytes: PARTITION_BYTES,
            ..FetchPartition::default()
        });
        let request = FetchRequest {
            max_bytes: FETCH_BYTES,
            min_bytes: 1,
            topics: vec![FetchTopic { topic_id, partitions: partitions.collect(), ..FetchTopic::default() }],
            ..FetchRequest::default()
        };
        let answer = peer.ask(&request, FETCH)?.context("closed")?;
        ensure!(answer.error_code == 0, "error {}", answer.error_code);
        let mut progress = false;
        for data in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
            let Some(offset) = next.get_mut(&data.partition_index) else { continue };
            let log = topic.logs.get_mut(&data.partition_index).context("asked for another partition")?;
            let before = *offset;
            if let Err(error) = take(data, offset, log) {
                log.unreadable = Some(format!("at {offset}: {error:#}"));
            }
            progress |= *offset > before || log.unreadable.is_some();
        }
        next.retain(|index, offset| {
            topic.logs.get(index).is_some_and(|log| log.unreadable.is_none() && *offset < log.end)
        });
        empty = if progress { 0 } else { empty + 1 };
        if empty > EMPTY_ANSWERS {
            for (index, offset) in &next {
                let log = topic.logs.get_mut(index).context("one of the partitions")?;
                log.unreadable = Some(format!("nothing comes from {offset} on, below the end {}", log.end));
            }
            break;
        }
    }
    Ok(())
}

/// Takes the records of an answer, from `offset` on, and moves it behind them.
fn take(data: PartitionData, offset: &mut i64, log: &mut Log) -> anyhow::Result<()> {
    ensure!(data.error_code == 0, "error {}", data.error_code);
    let bytes: Bytes = data.records.unwrap_or_default().into_bytes();
    let mut batches = split(&bytes);
    for batch in batches.by_ref() {
        // A last batch that was cut off by the size of the answer comes whole with the next one.
        let Ok(batch) = batch else { break };
        batch.verify_crc()?;
        for record in batch.records(Limits::default()) {
            let record = record?;
            if record.offset >= *offset {
                log.records.push(record);
            }
        }
        *offset = batch.header().next_offset().max(*offset);
    }
    Ok(())
}
