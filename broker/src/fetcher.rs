//! Replica fetchers: keep this node's followers up with their leaders.
//!
//! One task and one connection for each broker that leads something this node follows, with one request under way. A request asks
//! for all its partitions in one session; the next one goes out when everything of the answer is appended *and durable*, because
//! with it this node vouches for that (invariant 1). The syncs of one answer are one group commit. What is held in memory is one
//! answer for each leader, `replica.fetch.response.max.bytes` and a batch.
//!
//! A request that waits at the leader does not know of partitions that came later. Producers wait for those, so the connection is then made
//! anew rather than waited for.
//!
//! What to ask and what to make of answers are rules of [`crate::replication::follower`]; where leaders are reached is
//! [`peers`]'s affair.

mod answer;
pub(crate) mod lost;
pub(crate) mod peers;
mod session;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use goatq_protocol::ErrorCode;
use goatq_protocol::message::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic, ReplicaState,
};
use goatq_protocol::wire::Records;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::metadata::applied::Applied;
use crate::metrics::replication::ReplicationCounts;
use crate::partition::{Partition, PartitionRegistry};
use crate::replication::follower::FetchPosition;
use crate::replication::throttle::Throttles;
use crate::threads::offload::Offload;
use peers::{LeaderConnection, PeerError, Peers};
use session::{Ask, FetchSession, PartitionId};

/// First pause after a connection failed; it doubles up to `replica.fetch.backoff.ms`.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// A connection lives for this long before it is given up for new partitions: many that come one by one cost few connections.
const SHORTEST_LIFE: Duration = Duration::from_millis(100);
/// Shortest time for which nothing is asked.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);

/// How followers fetch.
#[derive(Debug, Clone)]
pub(crate) struct FetcherConfig {
    /// `node.id`.
    pub(crate) node_id: i32,
    /// `replica.fetch.wait.max.ms`.
    pub(crate) max_wait: Duration,
    /// `replica.fetch.min.bytes`.
    pub(crate) min_bytes: i32,
    /// `replica.fetch.max.bytes`, for each partition.
    pub(crate) partition_bytes: i32,
    /// `replica.fetch.response.max.bytes`.
    pub(crate) response_bytes: i32,
    /// `replica.fetch.backoff.ms`.
    pub(crate) max_pause: Duration,
}

/// What fetchers work with.
#[derive(Clone)]
pub(crate) struct FetcherParts {
    pub(crate) config: FetcherConfig,
    pub(crate) partitions: Arc<PartitionRegistry>,
    pub(crate) applied: Applied,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where logs are cut.
    pub(crate) offload: Offload,
    pub(crate) throttles: Arc<Throttles>,
    pub(crate) counts: Arc<ReplicationCounts>,
}

/// What one fetcher follows.
type Followed = BTreeMap<PartitionId, Arc<Partition>>;

/// All fetchers of a node; see the module.
pub(crate) struct ReplicaFetchers {
    parts: FetcherParts,
    tasks: TaskTracker,
    by_leader: BTreeMap<i32, (watch::Sender<Followed>, CancellationToken)>,
}

impl ReplicaFetchers {
    /// No fetchers yet.
    pub(crate) fn new(parts: FetcherParts) -> Self {
        Self { parts, tasks: TaskTracker::new(), by_leader: BTreeMap::new() }
    }

    /// Follows the metadata that is in effect, until cancelled. Returns when all fetchers have ended.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let mut images = self.parts.applied.watch();
        loop {
            images.borrow_and_update();
            self.follow(&cancel);
            tokio::select! {
                () = cancel.cancelled() => break,
                changed = images.changed() => if changed.is_err() { break },
            }
        }
        self.by_leader.clear();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// One fetcher for each leader, no others.
    fn follow(&mut self, cancel: &CancellationToken) {
        let mut wanted: BTreeMap<i32, Followed> = BTreeMap::new();
        for partition in self.parts.partitions.all() {
            let (leader, _) = partition.leader();
            if leader >= 0 && leader != self.parts.config.node_id {
                let key = (partition.topic_id(), partition.index());
                wanted.entry(leader).or_default().insert(key, partition);
            }
        }
        self.by_leader.retain(|leader, (_, stop)| {
            let keep = wanted.contains_key(leader);
            if !keep {
                stop.cancel();
            }
            keep
        });
        for (leader, followed) in wanted {
            match self.by_leader.get(&leader) {
                Some((partitions, _)) => {
                    partitions.send_replace(followed);
                }
                None => self.start(leader, followed, cancel.child_token()),
            }
        }
    }

    fn start(&mut self, leader: i32, followed: Followed, stop: CancellationToken) {
        let (sender, partitions) = watch::channel(followed);
        let fetcher = LeaderFetcher { parts: self.parts.clone(), leader, partitions, session: FetchSession::default() };
        let stopped = stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = fetcher.run() => {}
            }
        });
        self.by_leader.insert(leader, (sender, stop));
    }
}

/// What a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// It was answered, or there was nothing to ask.
    Over,
    /// It was given up because there are new partitions to ask for.
    GivenUp,
}

/// Fetches from one leader.
struct LeaderFetcher {
    parts: FetcherParts,
    leader: i32,
    partitions: watch::Receiver<Followed>,
    session: FetchSession,
}

impl LeaderFetcher {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.parts.peers.connect(self.leader).await {
                Ok(mut connection) => {
                    self.session = FetchSession::default();
                    let young_until = Instant::now() + SHORTEST_LIFE;
                    let error = loop {
                        match self.round(connection.as_mut(), young_until).await {
                            Ok(Round::Over) => pause = FIRST_PAUSE,
                            Ok(Round::GivenUp) => break None,
                            Err(error) => break Some(error),
                        }
                    };
                    match error {
                        Some(error) => {
                            tracing::info!(leader = self.leader, %error, "the connection to the leader is lost");
                        }
                        None => continue,
                    }
                }
                Err(error) => tracing::debug!(leader = self.leader, %error, "the leader is not reached"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(self.parts.config.max_pause.max(FIRST_PAUSE));
        }
    }

    /// One request and what comes of it.
    async fn round(&mut self, connection: &mut dyn LeaderConnection, young_until: Instant) -> Result<Round, PeerError> {
        let followed = self.partitions.borrow_and_update().clone();
        let mut now = self.parts.clock.monotonic();
        let mut wanted = self.wanted(&followed, now);
        if wanted.len() < followed.len() && until_durable(&followed).await {
            now = self.parts.clock.monotonic();
            wanted = self.wanted(&followed, now);
        }
        if wanted.is_empty() {
            // All pause; the next assignment may end that.
            let resumes = followed.values().filter_map(|partition| partition.fetch_paused_until()).min();
            let pause = resumes.map_or(self.parts.config.max_pause, |at| at.saturating_sub(now));
            let _ = tokio::time::timeout(pause.max(SHORTEST_PAUSE), changed(&mut self.partitions)).await;
            return Ok(Round::Over);
        }
        // A request that waits at the leader keeps those waiting whose pause has ended meanwhile: none, where all are asked for.
        let resumes = if wanted.len() == followed.len() {
            None
        } else {
            followed.values().filter_map(|partition| partition.fetch_paused_until()).filter(|at| *at > now).min()
        };
        let ask = self.session.ask(wanted);
        let longest = resumes.map_or(self.parts.config.max_wait, |at| self.parts.config.max_wait.min(at - now));
        let request = self.request(ask, longest);
        let response = tokio::select! {
            response = connection.fetch(request) => response?,
            () = self.new_partitions(young_until) => return Ok(Round::GivenUp),
        };
        match ErrorCode::from_code(response.error_code) {
            Some(ErrorCode::None) => {
                self.session.on_answer(response.session_id);
                self.take(&followed, response).await;
            }
            code => {
                tracing::debug!(leader = self.leader, ?code, "the leader refuses the fetch session");
                self.session.on_refused();
                sleep(FIRST_PAUSE).await;
            }
        }
        Ok(Round::Over)
    }

    /// What is to be asked for now. What is copied too fast waits.
    fn wanted(&self, followed: &Followed, now: Duration) -> BTreeMap<PartitionId, FetchPosition> {
        let exceeded = self.parts.throttles.follower().is_exceeded(now);
        let waits = |partition: &Partition| exceeded && self.is_throttled(partition) && partition.lag() != Some(0);
        let unthrottled = followed.iter().filter(|(_, partition)| !waits(partition));
        unthrottled.filter_map(|(key, partition)| Some((*key, partition.next_fetch(now)?))).collect()
    }

    fn is_throttled(&self, partition: &Partition) -> bool {
        partition.config().follower_throttled.has(partition.index(), self.parts.config.node_id)
    }

    /// Records of a leader have arrived.
    fn count(&self, partition: &Partition, bytes: usize, now: Duration) {
        let (counts, bytes) = (&self.parts.counts, u64::try_from(bytes).unwrap_or(u64::MAX));
        counts.bytes_in.add(bytes);
        if partition.is_arriving() {
            counts.reassignment_bytes_in.add(bytes);
        }
        if bytes > 0 && self.is_throttled(partition) {
            self.parts.throttles.follower().record(bytes, now);
        }
    }

    /// Ends when there is something to ask for that the request under way does not ask for, in this epoch of the leader.
    async fn new_partitions(&self, young_until: Instant) {
        let mut partitions = self.partitions.clone();
        loop {
            changed(&mut partitions).await;
            let followed = partitions.borrow_and_update().clone();
            let now = self.parts.clock.monotonic();
            let is_new = |(key, partition): (&PartitionId, &Arc<Partition>)| {
                let asked = self.session.asked(*key).map(|asked| asked.leader_epoch);
                let asks = || partition.has_undurable() || partition.next_fetch(now).is_some();
                asked != Some(partition.leader_epoch()) && asks()
            };
            if followed.iter().any(is_new) {
                return sleep_until(young_until).await;
            }
        }
    }

    /// `longest` is how long the leader may wait for something to send.
    fn request(&self, ask: Ask, longest: Duration) -> FetchRequest {
        let config = &self.parts.config;
        let image = self.parts.applied.image();
        let replica_epoch = image.brokers.get(config.node_id).map_or(-1, |broker| broker.epoch);
        let mut request = FetchRequest {
            replica_state: ReplicaState { replica_id: config.node_id, replica_epoch },
            max_wait_ms: i32::try_from(longest.as_micros().div_ceil(1000)).unwrap_or(i32::MAX),
            min_bytes: config.min_bytes,
            max_bytes: config.response_bytes,
            session_id: ask.id,
            session_epoch: ask.epoch,
            ..FetchRequest::default()
        };
        for ((topic_id, partition), position) in ask.partitions {
            if request.topics.last().is_none_or(|topic| topic.topic_id != topic_id) {
                request.topics.push(FetchTopic { topic_id, ..FetchTopic::default() });
            }
            let partition = FetchPartition {
                partition,
                current_leader_epoch: position.leader_epoch,
                fetch_offset: position.offset,
                last_fetched_epoch: position.last_epoch,
                log_start_offset: position.log_start,
                partition_max_bytes: config.partition_bytes,
                ..FetchPartition::default()
            };
            if let Some(topic) = request.topics.last_mut() {
                topic.partitions.push(partition);
            }
        }
        for (topic_id, partition) in ask.forgotten {
            let forgotten = ForgottenTopic { topic_id, partitions: vec![partition], ..ForgottenTopic::default() };
            request.forgotten_topics_data.push(forgotten);
        }
        request
    }

    /// Appends what came, and waits until it is durable.
    async fn take(&self, followed: &Followed, response: FetchResponse) {
        let clocks = (self.parts.clock.monotonic(), self.parts.clock.wall_ms());
        let mut appended = Vec::new();
        for topic in response.responses {
            for data in topic.partitions {
                let key = (topic.topic_id, data.partition_index);
                let (Some(partition), Some(asked)) = (followed.get(&key), self.session.asked(key)) else { continue };
                self.count(partition, data.records.as_ref().map_or(0, Records::len), clocks.0);
                if answer::take(partition, asked, data, clocks, self.parts.offload).await {
                    appended.push(partition);
                }
            }
        }
        for partition in appended {
            partition.wait_all_durable().await;
        }
    }
}

/// Waits until what fetchers from earlier leaders have appended is durable: nobody is asked for what is behind it before. Whether there was any.
async fn until_durable(followed: &Followed) -> bool {
    let mut waited = false;
    for partition in followed.values().filter(|partition| partition.has_undurable()) {
        partition.wait_all_durable().await;
        waited = true;
    }
    waited
}

/// Waits for another assignment. It never ends where there will be none: whoever starts and ends fetchers ends this one, too.
async fn changed(partitions: &mut watch::Receiver<Followed>) {
    if partitions.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;
