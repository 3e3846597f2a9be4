//! Looking at the partitions of a fetch until there is enough or time is over.

use std::sync::Arc;
use std::time::Duration;

use goatq_protocol::ErrorCode;
use tokio::time::Instant;

use super::super::RequestContext;
use super::super::partition_error::{leader_code, missing, read_code};
use crate::fetch::planner::{Isolation, Planner, ReadBounds};
use crate::fetch::session::{PartitionKey, Position, TopicKey};
use crate::partition::{Partition, PartitionRead, PartitionReadError, TopicPartitions};
use crate::purgatory::{Place, Signal};

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
pub(super) struct Target<'a> {
    pub(super) position: &'a Position,
    /// Known to this node, or why not.
    pub(super) partition: Result<Arc<Partition>, ErrorCode>,
    /// The newest look at it.
    pub(super) read: Result<PartitionRead, ErrorCode>,
    pub(super) diverging: Option<(i32, i64)>,
}

/// A fetch under way.
pub(super) struct Reading<'a> {
    pub(super) cx: &'a RequestContext,
    pub(super) wanted: Wanted,
    pub(super) deadline: Instant,
    pub(super) targets: Vec<Target<'a>>,
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
                        woken = self.cx.connection.timer.limit(self.deadline, signal.woken()) => woken.is_some(),
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
