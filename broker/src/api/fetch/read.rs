//! Looking at the partitions of a fetch until there is enough or time is over.

use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use goatq_protocol::ErrorCode;
use tokio::time::Instant;

use super::super::RequestContext;
use super::super::partition_error::{damage_code, leader_code, missing, read_code};
use super::rack::choose;
use crate::fetch::planner::{Isolation, Planner, ReadBounds};
use crate::fetch::session::{Asked, Begun, Kind, PartitionKey, Position, TopicKey};
use crate::in_sync::standing;
use crate::partition::{Partition, PartitionRead, PartitionReadError, TopicPartitions};
use crate::purgatory::{OffsetGate, Watch, Watched};
use crate::replication::leader::{FollowerFetch, FollowerRefusal, Standing, has_diverged};

/// What the whole request asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) min_bytes: usize,
    pub(super) max_bytes: i32,
    pub(super) max_wait: Duration,
    pub(super) isolation: Isolation,
    pub(super) follower: Option<Follower>,
    /// A consumer that knows that it may read from followers.
    pub(super) any_replica: bool,
}

/// A broker that fetches as a follower.
#[derive(Debug, Clone, Copy)]
pub(super) struct Follower {
    pub(super) node: i32,
    /// The epoch of its registration, -1 if it does not say.
    pub(super) broker_epoch: i64,
}

/// A partition of the request.
pub(super) struct Target {
    pub(super) asked: Asked,
    /// Known to this node, or why not.
    pub(super) partition: Result<Arc<Partition>, ErrorCode>,
    /// The newest look at it.
    pub(super) read: Result<PartitionRead, ErrorCode>,
    pub(super) diverging: Option<(i32, i64)>,
    /// The follower that the consumer is sent to.
    pub(super) nearer: Option<i32>,
    /// There was nothing to read, and the watch has not said that this changed.
    settled: bool,
}

/// A fetch under way.
pub(super) struct Reading<'a> {
    pub(super) cx: &'a RequestContext,
    pub(super) wanted: Wanted,
    pub(super) deadline: Instant,
    /// By turn.
    pub(super) targets: Vec<Target>,
    /// Keeps a place at what is quiet in the session, and while the request waits at all that it named.
    pub(super) watch: Watch,
    pub(super) kind: Kind,
    /// Partitions of the session that are no targets.
    quiet: usize,
    /// What leaders have to know of the follower's broker; taken by the first look, which is when it fetched.
    arriving: Option<(Follower, Option<Standing>)>,
    /// Where the consumer is, if leaders look at that.
    rack: Option<ByteString>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(cx: &'a RequestContext, wanted: Wanted, rack: Option<ByteString>, begun: Begun<Watch>) -> Self {
        let Begun { partitions, quiet, watch, kind } = begun;
        let targets = targets(cx, partitions);
        let arriving = wanted.follower.map(|follower| (follower, standing(&cx.node.image(), follower.node)));
        Self { cx, wanted, deadline: Instant::now() + wanted.max_wait, targets, watch, kind, quiet, arriving, rack }
    }

    /// Looks until there are enough bytes or something else to tell, or the time is over.
    pub(super) async fn until_enough(&mut self) {
        let mut over = false;
        loop {
            let (bytes, tell_now) = self.look();
            over |= bytes >= self.wanted.min_bytes || tell_now || self.is_hopeless();
            if over || Instant::now() >= self.deadline {
                return;
            }
            match self.take_places() {
                Watched::Reached => {}
                Watched::Refused => return,
                Watched::Placed => over |= !self.woken().await,
            }
            over |= !self.hear();
        }
    }

    /// Whether waiting is for nothing: none of what was asked for is here. Followers are told of any such partition: this node may not have
    /// heard yet that it leads it, and they ask again soon.
    fn is_hopeless(&self) -> bool {
        let mut targets = self.targets.iter();
        let missing = |target: &Target| target.partition.is_err();
        if self.wanted.follower.is_some() { targets.any(missing) } else { self.quiet == 0 && targets.all(missing) }
    }

    /// Sleeps until one of the partitions has moved; false when time is over before.
    async fn woken(&mut self) -> bool {
        let cx = self.cx;
        tokio::select! {
            woken = cx.connection.timer.limit(self.deadline, self.watch.signal().woken()) => woken.is_some(),
            () = cx.node.fetch.stopping.cancelled() => false,
        }
    }

    /// Takes note of the partitions that the watch has named. False when the request is to be answered: one of them is gone, or
    /// the session is no longer that of this request.
    fn hear(&mut self) -> bool {
        let mut others = Vec::new();
        for turn in self.watch.take_woken() {
            match self.targets.binary_search_by_key(&turn, |target| target.asked.turn) {
                Ok(at) => self.targets[at].settled = false,
                Err(_) => others.push(turn),
            }
        }
        if others.is_empty() {
            return true;
        }
        others.sort_unstable();
        others.dedup();
        let Some(woken) = self.cx.node.fetch.wake(self.kind, others) else { return false };
        let woken = targets(self.cx, woken);
        self.quiet = self.quiet.saturating_sub(woken.len());
        let all_there = woken.iter().all(|target| target.partition.is_ok());
        self.targets.extend(woken);
        self.targets.sort_by_key(|target| target.asked.turn);
        all_there
    }

    /// Reads every partition anew that may have changed. How many bytes there are, and whether there is something to tell at once.
    fn look(&mut self) -> (usize, bool) {
        let mut planner = Planner::new(self.wanted.max_bytes, self.cx.node.fetch.max_bytes);
        let (mut bytes, mut tell_now, mut looks) = (0, false, 0);
        let arriving = self.arriving.take();
        let arrived = arriving.map(|(follower, standing)| (follower, standing, self.cx.node.clock.monotonic()));
        let waits = self.throttled();
        for target in self.targets.iter_mut().filter(|target| !target.settled) {
            let Ok(partition) = &target.partition else { continue };
            looks += 1;
            (target.diverging, target.nearer) = (None, None);
            let position = &target.asked.position;
            if let Some(rack) = &self.rack {
                target.nearer = nearer(self.cx, partition, position, rack);
            }
            // Who is sent elsewhere, or has to wait, gets nothing now.
            let none = target.nearer.is_some() || waits.as_ref().is_some_and(|waits| waits(partition));
            let bounds = if none { None } else { Some(planner.next_read(position.max_bytes)) };
            tell_now |= target.nearer.is_some();
            let mut found = read(partition, position, bounds.flatten(), self.wanted);
            if let (Ok(Found::Records(read)), Some(arrived)) = (&mut found, arrived) {
                match arrive(partition, position, arrived) {
                    Ok(()) => read.high_watermark = partition.high_watermark(),
                    Err(error) => found = Err(error),
                }
            }
            target.read = match found {
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
        self.cx.node.fetch.looked(looks);
        (bytes, tell_now)
    }

    /// Which partitions have to wait because replicas of them are copied too fast, if any have to.
    fn throttled(&self) -> Option<impl Fn(&Partition) -> bool + use<>> {
        let follower = self.wanted.follower?;
        let node = &self.cx.node;
        let exceeded = node.throttles.leader().is_exceeded(node.clock.monotonic());
        let id = node.id;
        exceeded.then_some(move |partition: &Partition| {
            partition.config().leader_throttled.has(partition.index(), id) && !partition.is_in_sync(follower.node)
        })
    }

    /// Takes a place at every partition for when it has more than what was seen.
    fn take_places(&mut self) -> Watched {
        for target in self.targets.iter_mut().filter(|target| !target.settled) {
            match target.watch(self.cx, self.wanted.isolation, &mut self.watch) {
                Some(Watched::Placed) => target.settled = target.is_empty(self.wanted.isolation),
                Some(other) => return other,
                None => {}
            }
        }
        Watched::Placed
    }
}

fn targets(cx: &RequestContext, asked: Vec<Asked>) -> Vec<Target> {
    let mut topics = Topics { cx, last: None };
    let target = |asked: Asked| Target {
        partition: topics.find(&asked.key),
        asked,
        read: Err(ErrorCode::None),
        diverging: None,
        nearer: None,
        settled: false,
    };
    asked.into_iter().map(target).collect()
}

impl Target {
    /// Whether there was nothing to read, and there will not be before the watch says so.
    pub(super) fn is_quiet(&self, cx: &RequestContext, isolation: Isolation, watch: &mut Watch) -> bool {
        self.settled || self.is_empty(isolation) && self.watch(cx, isolation, watch) == Some(Watched::Placed)
    }

    /// Takes a place for when there is more than what was seen. `None` for a partition that failed.
    fn watch(&self, cx: &RequestContext, isolation: Isolation, watch: &mut Watch) -> Option<Watched> {
        let (partition, seen) = (self.partition.as_ref().ok()?, self.seen(isolation)?);
        let goal = seen.max(self.asked.position.fetch_offset).saturating_add(1);
        Some(watch.place(self.asked.turn, gate(partition, isolation), goal, &cx.node.fetch.waiting))
    }

    /// Nothing was there to read, whatever the limits.
    fn is_empty(&self, isolation: Isolation) -> bool {
        let told = self.diverging.is_some() || self.nearer.is_some();
        !told && self.seen(isolation).is_some_and(|seen| seen <= self.asked.position.fetch_offset)
    }

    /// The end of what could be read at the last look.
    fn seen(&self, isolation: Isolation) -> Option<i64> {
        let read = self.read.as_ref().ok()?;
        Some(match isolation {
            Isolation::LastStableOffset => read.last_stable_offset,
            Isolation::HighWatermark => read.high_watermark,
            Isolation::LogEnd => read.log_end_offset,
        })
    }
}

fn gate(partition: &Partition, isolation: Isolation) -> &Arc<OffsetGate> {
    match isolation {
        Isolation::LastStableOffset => partition.last_stable_gate(),
        Isolation::HighWatermark => partition.high_watermark_gate(),
        Isolation::LogEnd => partition.log_end_gate(),
    }
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
    Wanted { isolation, any_replica, .. }: Wanted,
) -> Result<Found, ErrorCode> {
    let epoch = position.current_leader_epoch;
    let checked = if any_replica { partition.check_replica(epoch) } else { partition.check_leader(epoch) };
    checked.map_err(leader_code)?;
    if position.last_fetched_epoch >= 0 {
        let end = partition.end_of_epoch(position.last_fetched_epoch).ok_or(ErrorCode::OffsetOutOfRange)?;
        if has_diverged(position.fetch_offset, position.last_fetched_epoch, end) {
            let start = partition.log_start_offset();
            let read = partition.read(start, None, isolation).map_err(|error| read_code(&error))?;
            return Ok(Found::Diverging(read, end));
        }
    }
    match partition.read(position.fetch_offset, bounds, isolation) {
        Ok(read) => Ok(Found::Records(read)),
        Err(error) => {
            if !matches!(error, PartitionReadError::OutOfRange { .. }) {
                tracing::error!(?partition, offset = position.fetch_offset, %error, "reading failed");
            }
            Err(damage_code(partition, &error))
        }
    }
}

/// The follower that a consumer in `rack` is sent to.
fn nearer(cx: &RequestContext, partition: &Partition, position: &Position, rack: &str) -> Option<i32> {
    if !partition.is_leader() {
        return None;
    }
    let image = cx.node.image();
    let reachable = |node: i32| {
        let broker = image.brokers.get(node).filter(|broker| !broker.fenced)?;
        broker.endpoint(&cx.connection.listener).map(|_| &**broker)
    };
    let mut followers = partition.readable_followers(position.fetch_offset);
    followers.retain(|follower| reachable(follower.node).is_some());
    let rack_of = |node: i32| image.brokers.get(node)?.rack.as_deref();
    choose(rack, cx.node.id, &followers, rack_of)
}

/// A follower's request has arrived, and its log is a part of this one: the leader takes note of where it is.
fn arrive(
    partition: &Partition,
    position: &Position,
    (follower, standing, now): (Follower, Option<Standing>, Duration),
) -> Result<(), ErrorCode> {
    let Follower { node, broker_epoch } = follower;
    let fetch = FollowerFetch { node, broker_epoch, offset: position.fetch_offset };
    partition.on_follower_fetch(fetch, standing, now).map_err(|refusal| match refusal {
        // It may know of a newer assignment than this node.
        FollowerRefusal::NotAReplica if position.current_leader_epoch >= 0 => ErrorCode::UnknownLeaderEpoch,
        FollowerRefusal::NotAReplica | FollowerRefusal::StaleBroker => ErrorCode::NotLeaderOrFollower,
    })
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
