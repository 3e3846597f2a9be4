//! Reading partitions over one connection.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bytes::Bytes;
use bytestring::ByteString;
use goatq_protocol::Uuid;
use goatq_protocol::message::FetchRequest;
use goatq_protocol::message::fetch::{FetchPartition, FetchResponse, FetchTopic};
use goatq_protocol::message::list_offsets::{EARLIEST_TIMESTAMP, LATEST_TIMESTAMP};
use goatq_protocol::record::{Batch, BatchError, split};
use goatq_protocol::wire::Request;

use crate::args::FetchArgs;
use crate::cluster::{self, Partition};
use crate::run::Run;
use crate::wire::Connection;

/// From this version on topics are named by id.
const TOPIC_IDS_FROM: i16 = 13;

/// Where reading one partition has got to.
#[derive(Debug)]
pub(crate) struct Position {
    partition: Partition,
    pub(crate) first: i64,
    pub(crate) end: i64,
    pub(crate) next: i64,
}

/// One connection that reads.
pub(crate) struct Reader {
    connection: Connection,
    version: i16,
    request: FetchRequest,
    partition_max_bytes: i32,
    pub(crate) positions: Vec<Position>,
}

impl Reader {
    /// Connects to the leader of `partitions` and looks up where they begin and end.
    pub(crate) async fn open(partitions: Vec<Partition>, args: &FetchArgs) -> Result<Self> {
        let leader = &partitions.first().context("no partitions to read")?.leader;
        let mut connection = Connection::open(leader).await?;
        let version = connection.versions.of::<FetchRequest>()?;
        let first = cluster::offsets(&mut connection, &partitions, EARLIEST_TIMESTAMP).await?;
        let end = cluster::offsets(&mut connection, &partitions, LATEST_TIMESTAMP).await?;
        let positions = partitions.into_iter().zip(first.into_iter().zip(end));
        let positions = positions.map(|(partition, (first, end))| Position { partition, first, end, next: first });
        let bytes = |bytes: usize| i32::try_from(bytes).unwrap_or(i32::MAX);
        let request = FetchRequest {
            max_wait_ms: args.fetch_max_wait_ms,
            min_bytes: bytes(args.fetch_min_bytes),
            max_bytes: bytes(args.fetch_max_bytes),
            ..FetchRequest::default()
        };
        let partition_max_bytes = bytes(args.partition_max_bytes);
        let mut reader = Self { connection, version, request, partition_max_bytes, positions: positions.collect() };
        reader.request.topics = reader.topics();
        Ok(reader)
    }

    /// Leaves out the partitions that hold nothing.
    pub(crate) fn drop_empty(&mut self) {
        self.positions.retain(|position| position.first < position.end);
        self.request.topics = self.topics();
    }

    /// Starts behind what the partitions hold now.
    pub(crate) fn seek_to_end(&mut self) {
        for position in &mut self.positions {
            position.next = position.end;
        }
    }

    fn topics(&self) -> Vec<FetchTopic> {
        let partition_max_bytes = self.partition_max_bytes;
        let mut topics: BTreeMap<(ByteString, Uuid), Vec<FetchPartition>> = BTreeMap::new();
        for Position { partition, .. } in &self.positions {
            let wanted =
                FetchPartition { partition: partition.index, partition_max_bytes, ..FetchPartition::default() };
            topics.entry((partition.topic.clone(), partition.topic_id)).or_default().push(wanted);
        }
        let topic = |((topic, topic_id), partitions)| FetchTopic { topic_id, topic, partitions };
        topics.into_iter().map(topic).collect()
    }

    /// Fetches once from all positions and moves them; each whole batch goes to `on_batch`.
    ///
    /// # Errors
    /// On an error code (unless those are only counted) and on malformed batches.
    pub(crate) async fn fetch(
        &mut self,
        run: &Run,
        mut on_batch: impl FnMut(&Batch) -> Result<(), BatchError>,
    ) -> Result<()> {
        let positions = &self.positions;
        for topic in &mut self.request.topics {
            for wanted in &mut topic.partitions {
                let position = positions.iter().find(|position| {
                    position.partition.index == wanted.partition && position.partition.topic == topic.topic
                });
                wanted.fetch_offset = position.map_or(0, |position| position.next);
            }
        }
        let answer: FetchResponse = self.connection.call(&self.request).await.context(FetchRequest::KEY.name())?;
        run.stats.borrow_mut().check(answer.error_code)?;
        for topic in answer.responses {
            for data in topic.partitions {
                if !run.stats.borrow_mut().check(data.error_code)? {
                    continue;
                }
                let position = self.positions.iter_mut().find(|Position { partition, .. }| {
                    partition.index == data.partition_index
                        && if self.version >= TOPIC_IDS_FROM {
                            partition.topic_id == topic.topic_id
                        } else {
                            partition.topic == topic.topic
                        }
                });
                let position = position.context("an answer for a partition that was not asked for")?;
                let records = data.records.unwrap_or_default().into_bytes();
                position.read(&records, &mut on_batch)?;
            }
        }
        Ok(())
    }
}

impl Position {
    fn read(&mut self, records: &Bytes, on_batch: &mut impl FnMut(&Batch) -> Result<(), BatchError>) -> Result<()> {
        for batch in split(records) {
            let batch = match batch {
                // Brokers may cut the last batch off at the size limit.
                Err(BatchError::Truncated { .. }) => break,
                batch => batch?,
            };
            if batch.header().next_offset() <= self.next {
                continue;
            }
            self.next = batch.header().next_offset();
            on_batch(&batch)?;
        }
        Ok(())
    }
}
