//! Reading partitions over one connection.

use std::collections::HashMap;

use anyhow::{Context, Result};
use bytes::Bytes;
use bytestring::ByteString;
use goatq_protocol::message::FetchRequest;
use goatq_protocol::message::fetch::{FetchPartition, FetchResponse, FetchTopic};
use goatq_protocol::message::list_offsets::{EARLIEST_TIMESTAMP, LATEST_TIMESTAMP};
use goatq_protocol::record::{Batch, BatchError, split};
use goatq_protocol::wire::Request;
use goatq_protocol::{ErrorCode, Uuid};

use crate::args::FetchArgs;
use crate::cluster::{self, Partition};
use crate::run::Run;
use crate::wire::Connection;

/// From this version on topics are named by id.
const TOPIC_IDS_FROM: i16 = 13;
/// From this version on there are fetch sessions.
const SESSIONS_FROM: i16 = 7;

/// Where reading one partition has got to.
#[derive(Debug)]
pub(crate) struct Position {
    partition: Partition,
    pub(crate) first: i64,
    pub(crate) end: i64,
    pub(crate) next: i64,
    /// The offset that the broker's session has for it.
    asked: Option<i64>,
}

/// A partition as answers name it.
type Place = (Uuid, ByteString, i32);

/// One connection that reads.
pub(crate) struct Reader {
    connection: Connection,
    version: i16,
    request: FetchRequest,
    partition_max_bytes: i32,
    sessions: bool,
    pub(crate) positions: Vec<Position>,
    places: HashMap<Place, usize>,
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
        let position = |(partition, (first, end))| Position { partition, first, end, next: first, asked: None };
        let bytes = |bytes: usize| i32::try_from(bytes).unwrap_or(i32::MAX);
        let sessions = args.sessions && version >= SESSIONS_FROM;
        let request = FetchRequest {
            max_wait_ms: args.fetch_max_wait_ms,
            min_bytes: bytes(args.fetch_min_bytes),
            max_bytes: bytes(args.fetch_max_bytes),
            session_epoch: if sessions { 0 } else { -1 },
            ..FetchRequest::default()
        };
        let partition_max_bytes = bytes(args.partition_max_bytes);
        let positions: Vec<Position> = positions.map(position).collect();
        let mut reader =
            Self { connection, version, request, partition_max_bytes, sessions, positions, places: HashMap::new() };
        reader.index();
        Ok(reader)
    }

    /// Leaves out the partitions that hold nothing.
    pub(crate) fn drop_empty(&mut self) {
        self.positions.retain(|position| position.first < position.end);
        self.index();
    }

    /// Starts behind what the partitions hold now.
    pub(crate) fn seek_to_end(&mut self) {
        for position in &mut self.positions {
            position.next = position.end;
        }
    }

    /// Whether everything has been read that was there at the start.
    pub(crate) fn caught_up(&self) -> bool {
        self.positions.iter().all(|position| position.next >= position.end)
    }

    fn index(&mut self) {
        let places = self.positions.iter().enumerate();
        let place = |(index, position): (usize, &Position)| {
            let Partition { topic_id, topic, index: number, .. } = &position.partition;
            (place(self.version, *topic_id, topic, *number), index)
        };
        self.places = places.map(place).collect();
    }

    /// What to ask for: everything, or within a session what the broker does not know.
    fn topics(&mut self) -> Vec<FetchTopic> {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for position in &mut self.positions {
            if self.sessions && position.asked == Some(position.next) {
                continue;
            }
            position.asked = Some(position.next);
            let Partition { topic, topic_id, index, .. } = &position.partition;
            let wanted = FetchPartition {
                partition: *index,
                fetch_offset: position.next,
                partition_max_bytes: self.partition_max_bytes,
                ..FetchPartition::default()
            };
            match topics.last_mut() {
                Some(last) if last.topic == *topic => last.partitions.push(wanted),
                _ => topics.push(FetchTopic { topic_id: *topic_id, topic: topic.clone(), partitions: vec![wanted] }),
            }
        }
        topics
    }

    /// Fetches once from all positions and moves them; each whole batch goes to `on_batch`, with whether it was there when the
    /// reader was opened.
    ///
    /// # Errors
    /// On an error code (unless those are only counted) and on malformed batches.
    pub(crate) async fn fetch(
        &mut self,
        run: &Run,
        mut on_batch: impl FnMut(&Batch, bool) -> Result<(), BatchError>,
    ) -> Result<()> {
        self.request.topics = self.topics();
        let answer: FetchResponse = self.connection.call(&self.request).await.context(FetchRequest::KEY.name())?;
        if self.sessions && !self.continues(&answer) {
            return Ok(());
        }
        run.stats.borrow_mut().check(answer.error_code)?;
        for topic in answer.responses {
            for data in topic.partitions {
                if !run.stats.borrow_mut().check(data.error_code)? {
                    continue;
                }
                let place = place(self.version, topic.topic_id, &topic.topic, data.partition_index);
                let position = self.places.get(&place).and_then(|index| self.positions.get_mut(*index));
                let position = position.context("an answer for a partition that was not asked for")?;
                let records = data.records.unwrap_or_default().into_bytes();
                position.read(&records, &mut on_batch)?;
            }
        }
        Ok(())
    }

    /// Goes on with the session, or starts a new one if the broker has dropped it.
    fn continues(&mut self, answer: &FetchResponse) -> bool {
        let gone = [ErrorCode::FetchSessionIdNotFound.code(), ErrorCode::InvalidFetchSessionEpoch.code()];
        let lost = gone.contains(&answer.error_code);
        if lost || answer.session_id == 0 {
            (self.request.session_id, self.request.session_epoch) = (0, 0);
            self.positions.iter_mut().for_each(|position| position.asked = None);
        } else {
            self.request.session_id = answer.session_id;
            self.request.session_epoch = self.request.session_epoch.checked_add(1).unwrap_or(1);
        }
        !lost
    }
}

fn place(version: i16, topic_id: Uuid, topic: &ByteString, partition: i32) -> Place {
    if version >= TOPIC_IDS_FROM {
        (topic_id, ByteString::new(), partition)
    } else {
        (Uuid::ZERO, topic.clone(), partition)
    }
}

impl Position {
    fn read(
        &mut self,
        records: &Bytes,
        on_batch: &mut impl FnMut(&Batch, bool) -> Result<(), BatchError>,
    ) -> Result<()> {
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
            on_batch(&batch, batch.header().base_offset < self.end)?;
        }
        Ok(())
    }
}
