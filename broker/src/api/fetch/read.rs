//! Reading the partitions of a fetch: until there is enough or time is over, within what may be held in memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use goatq_protocol::ErrorCode;
use goatq_storage::log::{AbortedTxn, LogSlice};
use tokio::time::Instant;

use super::super::RequestContext;
use super::super::partition_error::{leader_code, missing, read_code};
use super::batches::end_of;
use crate::fetch::planner::{Isolation, Planner, ReadBounds};
use crate::fetch::session::{PartitionKey, Position, TopicKey};
use crate::net::budget::Charge;
use crate::partition::{Partition, PartitionRead, PartitionReadError, TopicPartitions};
use crate::purgatory::{Place, Signal};

/// Shortest time that a reply waits for memory when others hold all of it.
const MEMORY_WAIT: Duration = Duration::from_millis(500);

/// What the whole request asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) min_bytes: usize,
    pub(super) max_bytes: i32,
    pub(super) max_wait: Duration,
    pub(super) isolation: Isolation,
    pub(super) is_follower: bool,
}

/// A partition of the request.
struct Target<'a> {
    position: &'a Position,
    /// Known to this node, or why not.
    partition: Result<Arc<Partition>, ErrorCode>,
    /// The newest look at it.
    read: Result<PartitionRead, ErrorCode>,
    diverging: Option<(i32, i64)>,
}

/// One partition's part of the answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) error: ErrorCode,
    pub(super) high_watermark: i64,
    pub(super) last_stable_offset: i64,
    pub(super) log_start_offset: i64,
    pub(super) diverging: Option<(i32, i64)>,
    /// `Some` for readers with `read_committed`.
    pub(super) aborted: Option<Vec<AbortedTxn>>,
    pub(super) records: Vec<Bytes>,
}

impl Answer {
    pub(super) fn failed(error: ErrorCode) -> Self {
        Self {
            error,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging: None,
            aborted: None,
            records: Vec::new(),
        }
    }
}

/// A fetch under way.
pub(super) struct Reading<'a> {
    cx: &'a RequestContext,
    wanted: Wanted,
    deadline: Instant,
    targets: Vec<Target<'a>>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(cx: &'a RequestContext, wanted: Wanted, partitions: &'a [(PartitionKey, Position)]) -> Self {
        let mut topics = Topics { cx, last: None };
        let targets = partitions.iter().map(|(key, position)| Target {
            position,
            partition: topics.find(key),
            read: Err(ErrorCode::None),
            diverging: None,
        });
        let targets = targets.collect();
        Self { cx, wanted, deadline: Instant::now() + wanted.max_wait, targets }
    }

    /// Looks until there are enough bytes or something else to tell, or the time is over.
    pub(super) async fn until_enough(&mut self) {
        loop {
            let (bytes, tell_now) = self.look();
            let hopeless = self.targets.iter().all(|target| target.partition.is_err());
            if bytes >= self.wanted.min_bytes || tell_now || hopeless || Instant::now() >= self.deadline {
                return;
            }
            let signal = Signal::default();
            match self.take_places(&signal) {
                Places::Moved => continue,
                Places::Full => return,
                Places::Taken(places) => {
                    let woken = tokio::select! {
                        woken = tokio::time::timeout_at(self.deadline, signal.woken()) => woken.is_ok(),
                        () = self.cx.node.fetch.stopping.cancelled() => false,
                    };
                    drop(places);
                    if !woken {
                        self.look();
                        return;
                    }
                }
            }
        }
    }

    /// Reads every partition anew. How many bytes there are, and whether there is something to tell at once.
    fn look(&mut self) -> (usize, bool) {
        let mut planner = Planner::new(self.wanted.max_bytes, self.cx.node.fetch.max_bytes);
        let (mut bytes, mut tell_now) = (0, false);
        for target in &mut self.targets {
            let Ok(partition) = &target.partition else { continue };
            target.diverging = None;
            let bounds = planner.next_read(target.position.max_bytes);
            target.read = match read(partition, target.position, bounds, &self.wanted) {
                Ok(Found::Records(read)) => Ok(read),
                Ok(Found::Diverging(read, end)) => {
                    target.diverging = Some(end);
                    tell_now = true;
                    Ok(read)
                }
                Err(error) => {
                    tell_now = true;
                    Err(error)
                }
            };
            if let Ok(read) = &target.read {
                planner.on_read(read.max_len());
                bytes += read.max_len();
            }
        }
        (bytes, tell_now)
    }

    /// Takes a place at every partition for when it has more than what was seen.
    fn take_places(&self, signal: &Signal) -> Places {
        let mut places = Vec::with_capacity(self.targets.len());
        for target in &self.targets {
            let (Ok(partition), Ok(read)) = (&target.partition, &target.read) else { continue };
            let (gate, seen) = match self.wanted.isolation {
                Isolation::LastStableOffset => (partition.last_stable_gate(), read.last_stable_offset),
                Isolation::HighWatermark | Isolation::LogEnd => (partition.high_watermark_gate(), read.high_watermark),
            };
            let goal = seen.max(target.position.fetch_offset).saturating_add(1);
            match gate.wait_for(goal, signal, &self.cx.node.fetch.waiting) {
                Some(place) => places.push(place),
                None if gate.reached() >= goal => return Places::Moved,
                // Closed or full: there is nothing to wait for, or no room to.
                None => return Places::Full,
            }
        }
        Places::Taken(places)
    }

    /// Takes from the response budget what the records will occupy. When there is less, the reply holds less; when there is
    /// nothing in time, it holds no records.
    pub(super) async fn pay(&mut self) -> Option<Charge> {
        let lengths = self.targets.iter().filter_map(|target| target.read.as_ref().ok().map(PartitionRead::max_len));
        let (mut total, mut first) = (0_usize, 0);
        for len in lengths {
            total += len;
            if first == 0 {
                first = len;
            }
        }
        if total == 0 {
            return None;
        }
        let budget = &self.cx.node.fetch.budget;
        let paid = match budget.try_charge_between(first, total) {
            Some(paid) => Some(paid),
            None => {
                let deadline = self.deadline.max(Instant::now() + MEMORY_WAIT);
                tokio::time::timeout_at(deadline, budget.charge(first)).await.ok().map(|charge| (first, charge))
            }
        };
        let granted = paid.as_ref().map_or(0, |(bytes, _)| *bytes);
        if granted < total {
            self.cut(granted, paid.is_some());
        }
        paid.map(|(_, charge)| charge)
    }

    /// Keeps the first records and as many of the others as fit in `bytes`.
    fn cut(&mut self, bytes: usize, mut first: bool) {
        let mut left = bytes;
        for read in self.targets.iter_mut().filter_map(|target| target.read.as_mut().ok()) {
            let len = read.max_len();
            if len == 0 {
                continue;
            }
            if first || len <= left {
                left = left.saturating_sub(len);
                first = false;
            } else {
                read.slice = None;
            }
        }
    }

    /// Brings the records into memory.
    pub(super) async fn load(self) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(self.targets.len());
        for target in self.targets {
            let answer = match (target.partition, target.read) {
                (Ok(partition), Ok(read)) => {
                    load_one(&partition, target.position, read, target.diverging, self.wanted.isolation).await
                }
                (Err(error), _) | (_, Err(error)) => Answer::failed(error),
            };
            answers.push(answer);
        }
        answers
    }
}

enum Places {
    Taken(Vec<Place>),
    /// There is more already.
    Moved,
    Full,
}

enum Found {
    Records(PartitionRead),
    /// The reader's log stops to agree with this one where this epoch ends.
    Diverging(PartitionRead, (i32, i64)),
}

fn read(
    partition: &Arc<Partition>,
    position: &Position,
    bounds: Option<ReadBounds>,
    wanted: &Wanted,
) -> Result<Found, ErrorCode> {
    partition.check_leader(position.current_leader_epoch).map_err(leader_code)?;
    if wanted.is_follower {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    if position.last_fetched_epoch >= 0 {
        let end = partition.end_of_epoch(position.last_fetched_epoch);
        let (epoch, end_offset) = end.ok_or(ErrorCode::OffsetOutOfRange)?;
        if epoch < position.last_fetched_epoch || end_offset < position.fetch_offset {
            let start = partition.log_start_offset();
            let read = partition.read(start, None, wanted.isolation).map_err(|error| read_code(&error))?;
            return Ok(Found::Diverging(read, (epoch, end_offset)));
        }
    }
    match partition.read(position.fetch_offset, bounds, wanted.isolation) {
        Ok(read) => Ok(Found::Records(read)),
        Err(error) => {
            if !matches!(error, PartitionReadError::OutOfRange { .. }) {
                tracing::error!(?partition, offset = position.fetch_offset, %error, "reading failed");
            }
            Err(read_code(&error))
        }
    }
}

async fn load_one(
    partition: &Arc<Partition>,
    position: &Position,
    read: PartitionRead,
    diverging: Option<(i32, i64)>,
    isolation: Isolation,
) -> Answer {
    let PartitionRead { high_watermark, last_stable_offset, log_start_offset, slice } = read;
    let loaded = async {
        let records = match slice {
            Some(slice) => load_slice(slice).await?,
            None => Vec::new(),
        };
        let aborted = match isolation {
            Isolation::LastStableOffset => match end_of(&records) {
                Some(end) => Some(partition.aborted_transactions(position.fetch_offset, end).await?),
                None => Some(Vec::new()),
            },
            Isolation::HighWatermark | Isolation::LogEnd => None,
        };
        Ok::<_, PartitionReadError>((records, aborted))
    };
    match loaded.await {
        Ok((records, aborted)) => {
            let counts = partition.counts();
            counts.fetch_requests.add(1);
            counts.bytes_out.add(records.iter().map(|chunk| chunk.len() as u64).sum());
            let error = ErrorCode::None;
            Answer { error, high_watermark, last_stable_offset, log_start_offset, diverging, aborted, records }
        }
        Err(error) => {
            tracing::error!(?partition, offset = position.fetch_offset, %error, "loading records failed");
            partition.counts().failed_fetch_requests.add(1);
            Answer::failed(read_code(&error))
        }
    }
}

async fn load_slice(slice: LogSlice) -> Result<Vec<Bytes>, PartitionReadError> {
    if let Some(chunks) = slice.in_memory() {
        return Ok(chunks.to_vec());
    }
    Ok(slice.load().await?)
}

/// Finds partitions; consecutive ones are mostly of one topic.
struct Topics<'a> {
    cx: &'a RequestContext,
    last: Option<(TopicKey, Option<Arc<TopicPartitions>>)>,
}

impl Topics<'_> {
    fn find(&mut self, key: &PartitionKey) -> Result<Arc<Partition>, ErrorCode> {
        if self.last.as_ref().is_none_or(|(topic, _)| *topic != key.topic) {
            let found = match &key.topic {
                TopicKey::Name(name) => self.cx.node.partitions.topic(name),
                TopicKey::Id(id) => self.cx.node.partitions.topic_by_id(*id),
            };
            self.last = Some((key.topic.clone(), found));
        }
        let topic = self.last.as_ref().and_then(|(_, found)| found.as_ref());
        if let Some(partition) = topic.and_then(|topic| topic.get(key.partition)) {
            return Ok(Arc::clone(partition));
        }
        let image = self.cx.node.image();
        match &key.topic {
            TopicKey::Name(name) => Err(missing(&image, name, key.partition)),
            TopicKey::Id(id) => match image.topics.by_id(id) {
                Some(topic) => Err(missing(&image, &topic.name, key.partition)),
                None => Err(ErrorCode::UnknownTopicId),
            },
        }
    }
}
