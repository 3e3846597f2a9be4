//! Groups and committed offsets: the classic group protocol (KIP-62, 211, 345, 394, 429, 709, 800, 814).
//!
//! [`GroupCoordinator`] is what the APIs talk to. It finds the shard of a group, which is the partition of
//! `__consumer_offsets` that the group's id hashes to. A shard is a pure state machine: `shard` says which event goes
//! where, `state` and `member` are the data, one file each holds the rules of `join`, `sync`, `heartbeat`, `leave`,
//! `rebalance` (what they share), `offsets`, `expiry` and `describe`; `records` are the formats of the log.

mod describe;
pub(crate) mod error;
mod expiry;
mod heartbeat;
mod join;
mod leave;
mod member;
mod offsets;
mod rebalance;
mod records;
pub(crate) mod request;
mod shard;
pub(crate) mod state;
mod sync;
#[cfg(test)]
mod tests;
mod turn;

pub(crate) use describe::CLASSIC;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use futures_util::future::join_all;
use goatq_controller::image::MetadataImage;
use parking_lot::Mutex;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::runtime::shard::{CallError, ShardLimits};
use super::runtime::{Runtime, RuntimeParts};
use crate::clock::Clock;
use crate::config::broker::{GroupConfig, OffsetsConfig};
use crate::metrics::coordinator::GroupMetrics;
use crate::metrics::lag::{GroupSnapshot, GroupSource};
use crate::topics::auto_create::InternalTopic;
use error::GroupError;
use request::{
    CommitRequest, DescribedGroup, FetchRequest, FetchedTopic, GroupRequest, GroupResponse, HeartbeatRequest,
    JoinRefused, JoinRequest, Joined, LeavingMember, ListFilter, ListedGroup, SyncRequest, Synced, TopicOutcomes,
};
use shard::GroupShard;
use turn::GroupRules;

/// How long the first JoinGroup of a member may wait, as in Kafka.
const NEW_MEMBER_TIMEOUT: Duration = Duration::from_mins(5);
/// Member ids of one group that were handed out and not used yet.
const MAX_PENDING_MEMBERS: usize = 10_000;
/// Groups of one shard.
const MAX_GROUPS: usize = 1_000_000;
/// Calls that wait in one shard: the members of its groups, mostly.
const MAX_CALLS: usize = 1_000_000;

/// What a group coordinator is made of.
pub(crate) struct GroupParts {
    /// `node.id`.
    pub(crate) node_id: i32,
    /// Limits of groups.
    pub(crate) groups: GroupConfig,
    /// Committed offsets.
    pub(crate) offsets: OffsetsConfig,
    /// Source of time.
    pub(crate) clock: Arc<dyn Clock>,
    /// What is counted.
    pub(crate) metrics: Arc<GroupMetrics>,
    /// Which topics there are.
    pub(crate) images: watch::Receiver<Arc<MetadataImage>>,
    /// Source of member ids.
    pub(crate) rng: StdRng,
    /// Where its tasks run.
    pub(crate) tasks: TaskTracker,
    /// Ends it.
    pub(crate) cancel: CancellationToken,
}

/// The groups whose partitions this node leads.
pub(crate) struct GroupCoordinator {
    node_id: i32,
    rules: Arc<GroupRules>,
    /// `offsets.topic.num.partitions`, until the topic exists.
    partitions: i32,
    images: watch::Receiver<Arc<MetadataImage>>,
    rng: Mutex<StdRng>,
    runtime: Runtime<GroupShard>,
}

impl GroupCoordinator {
    /// A coordinator that holds no shard yet; see [`follow`](super::placement::follow).
    pub(crate) fn new(parts: GroupParts) -> Self {
        let rules = Arc::new(rules(&parts.groups, &parts.offsets));
        let (for_shards, metrics) = (rules.clone(), parts.metrics);
        let runtime = Runtime::new(RuntimeParts {
            name: "group",
            clock: parts.clock,
            limits: ShardLimits {
                write_timeout: parts.offsets.commit_timeout,
                max_calls: MAX_CALLS,
                load_bytes: parts.offsets.load_buffer_bytes,
            },
            tasks: parts.tasks,
            cancel: parts.cancel,
            make: Box::new(move |_| GroupShard::new(for_shards.clone(), metrics.clone())),
        });
        Self {
            node_id: parts.node_id,
            rules,
            partitions: parts.offsets.partitions,
            images: parts.images,
            rng: Mutex::new(parts.rng),
            runtime,
        }
    }

    /// Whether the durable state of each shard that has nothing under way is the replay of its log, with partition and leader epoch.
    pub(crate) async fn audit(&self) -> Vec<(i32, i32, bool)> {
        self.runtime.audit(|live, replayed| live.durable() == replayed.durable()).await
    }

    /// `node.id`.
    pub(super) fn node_id(&self) -> i32 {
        self.node_id
    }

    /// Ends all calls that wait and drops all groups; the log has what is to stay.
    pub(crate) fn shut_down(&self) {
        self.runtime.shut_down();
    }

    /// The partition of `__consumer_offsets` that a group belongs to.
    pub(crate) fn partition_of(&self, group: &str) -> i32 {
        let image = self.images.borrow().clone();
        let topic = image.topics.by_name(InternalTopic::ConsumerOffsets.name());
        let count = topic.map_or(self.partitions, |topic| topic.partition_count());
        partition_of(group, count)
    }

    /// JoinGroup. Waits until the group has formed. The member id for a new member is made here.
    pub(crate) async fn join(&self, mut request: JoinRequest) -> Result<Joined, JoinRefused> {
        let refused = |error| JoinRefused { error, member: request.member.clone() };
        if request.group.is_empty() {
            return Err(refused(GroupError::InvalidGroupId));
        }
        let allowed = self.rules.min_session_timeout_ms..=self.rules.max_session_timeout_ms;
        if !allowed.contains(&request.session_timeout_ms) {
            return Err(refused(GroupError::InvalidSessionTimeout));
        }
        if request.member.is_empty() {
            let prefix = request.instance.as_ref().unwrap_or(&request.client_id);
            request.new_member = format!("{prefix}-{}", self.new_uuid()).into();
        }
        let (group, member) = (request.group.clone(), request.member.clone());
        match self.call(&group, GroupRequest::Join(request)).await {
            Ok(GroupResponse::Join(result)) => result,
            Ok(_) => Err(JoinRefused { error: GroupError::Unexpected, member }),
            Err(error) => Err(JoinRefused { error, member }),
        }
    }

    /// SyncGroup. Waits until the leader has assigned and the log has it.
    pub(crate) async fn sync(&self, request: SyncRequest) -> Result<Synced, GroupError> {
        let group = named(&request.group)?;
        match self.call(&group, GroupRequest::Sync(request)).await? {
            GroupResponse::Sync(result) => result,
            _ => Err(GroupError::Unexpected),
        }
    }

    /// Heartbeat. While the group loads every member is taken to be alive.
    pub(crate) async fn heartbeat(&self, request: HeartbeatRequest) -> Result<(), GroupError> {
        let group = named(&request.group)?;
        match self.call(&group, GroupRequest::Heartbeat(request)).await {
            Ok(GroupResponse::Heartbeat(result)) => result,
            Ok(_) => Err(GroupError::Unexpected),
            Err(GroupError::Loading) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// LeaveGroup: one outcome per member.
    pub(crate) async fn leave(
        &self,
        group: ByteString,
        members: Vec<LeavingMember>,
    ) -> Result<Vec<Option<GroupError>>, GroupError> {
        let group = named(&group)?;
        match self.call(&group, GroupRequest::Leave { group: group.clone(), members }).await? {
            GroupResponse::Leave(result) => result,
            _ => Err(GroupError::Unexpected),
        }
    }

    /// OffsetCommit. The empty group id is allowed, as ever.
    pub(crate) async fn commit(&self, request: CommitRequest) -> Result<TopicOutcomes, GroupError> {
        let group = request.group.clone();
        match self.call(&group, GroupRequest::Commit(request)).await? {
            GroupResponse::Commit(result) => result,
            _ => Err(GroupError::Unexpected),
        }
    }

    /// OffsetFetch for one group. The empty group id is allowed, as ever.
    pub(crate) async fn fetch(&self, request: FetchRequest) -> Result<Vec<FetchedTopic>, GroupError> {
        let group = request.group.clone();
        match self.call(&group, GroupRequest::Fetch(request)).await {
            Ok(GroupResponse::Fetch(topics)) => Ok(topics),
            Ok(_) => Err(GroupError::Unexpected),
            // Old consumers do not retry after COORDINATOR_NOT_AVAILABLE here; they look for the coordinator again.
            Err(GroupError::NotAvailable) => Err(GroupError::NotCoordinator),
            Err(error) => Err(error),
        }
    }

    /// OffsetDelete: topics and partitions.
    pub(crate) async fn delete_offsets(
        &self,
        group: ByteString,
        topics: Vec<(ByteString, Vec<i32>)>,
    ) -> Result<TopicOutcomes, GroupError> {
        let group = named(&group)?;
        match self.call(&group, GroupRequest::DeleteOffsets { group: group.clone(), topics }).await? {
            GroupResponse::DeleteOffsets(result) => result,
            _ => Err(GroupError::Unexpected),
        }
    }

    /// DeleteGroups: one outcome per group, in the order asked.
    pub(crate) async fn delete_groups(&self, groups: Vec<ByteString>) -> Vec<Option<GroupError>> {
        let mut shards: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for (index, group) in groups.iter().enumerate() {
            shards.entry(self.partition_of(group)).or_default().push(index);
        }
        let calls = shards.into_iter().map(async |(partition, indexes)| {
            let names = indexes.iter().map(|index| groups[*index].clone()).collect();
            let outcomes = match self.runtime.call(partition, GroupRequest::DeleteGroups(names)).await {
                Ok(GroupResponse::DeleteGroups(outcomes)) => outcomes,
                Ok(_) => vec![Some(GroupError::Unexpected); indexes.len()],
                Err(error) => vec![Some(error.into()); indexes.len()],
            };
            indexes.into_iter().zip(outcomes).collect::<Vec<_>>()
        });
        let mut all: Vec<_> = join_all(calls).await.into_iter().flatten().collect();
        all.sort_unstable_by_key(|(index, _)| *index);
        all.into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// DescribeGroups for one group. The empty group id is allowed, as ever.
    pub(crate) async fn describe(&self, group: &ByteString) -> Result<DescribedGroup, GroupError> {
        match self.call(group, GroupRequest::Describe(group.clone())).await? {
            GroupResponse::Describe(result) => result,
            _ => Err(GroupError::Unexpected),
        }
    }

    /// ListGroups: the groups of this node.
    pub(crate) async fn list(&self, filter: ListFilter) -> Result<Vec<ListedGroup>, GroupError> {
        let partitions = self.runtime.partitions();
        let calls = partitions.iter().map(|(partition, _)| {
            let request = GroupRequest::List(filter.clone());
            async move { self.runtime.call(*partition, request).await.map_err(GroupError::from) }
        });
        let mut listed = Vec::new();
        for result in join_all(calls).await {
            match result {
                Ok(GroupResponse::List(groups)) => listed.extend(groups),
                Ok(_) => return Err(GroupError::Unexpected),
                // The groups went elsewhere while we looked.
                Err(GroupError::NotCoordinator) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(listed)
    }

    /// The shards.
    pub(super) fn runtime(&self) -> &Runtime<GroupShard> {
        &self.runtime
    }

    async fn call(&self, group: &str, request: GroupRequest) -> Result<GroupResponse, GroupError> {
        let partition = self.partition_of(group);
        match self.runtime.call(partition, request).await {
            // The metadata is a step ahead: the shard will be here in a moment.
            Err(CallError::NotCoordinator) if !self.runtime.holds(partition) && self.is_leader(partition) => {
                Err(GroupError::Loading)
            }
            result => Ok(result?),
        }
    }

    /// Whether this node leads a partition of `__consumer_offsets`, as far as the metadata says.
    fn is_leader(&self, partition: i32) -> bool {
        let image = self.images.borrow().clone();
        let topic = image.topics.by_name(InternalTopic::ConsumerOffsets.name());
        topic.and_then(|topic| topic.partition(partition)).is_some_and(|one| one.leader == self.node_id)
    }

    fn new_uuid(&self) -> String {
        let bits: u128 = self.rng.lock().random();
        uuid_text(bits)
    }
}

impl GroupSource for GroupCoordinator {
    fn groups(&self, max_groups: usize) -> Vec<GroupSnapshot> {
        let mut all = Vec::new();
        self.runtime.inspect(|shard| {
            all.extend(shard.snapshot(max_groups.saturating_sub(all.len())));
            if all.len() < max_groups { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        all.sort_unstable_by(|one, other| one.group.cmp(&other.group));
        all
    }
}

fn named(group: &ByteString) -> Result<ByteString, GroupError> {
    if group.is_empty() { Err(GroupError::InvalidGroupId) } else { Ok(group.clone()) }
}

fn rules(groups: &GroupConfig, offsets: &OffsetsConfig) -> GroupRules {
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let ms32 = |duration: Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
    GroupRules {
        min_session_timeout_ms: ms32(groups.min_session_timeout),
        max_session_timeout_ms: ms32(groups.max_session_timeout),
        initial_rebalance_delay: groups.initial_rebalance_delay,
        max_members: groups.max_size,
        max_pending_members: MAX_PENDING_MEMBERS,
        max_groups: MAX_GROUPS,
        new_member_timeout: NEW_MEMBER_TIMEOUT,
        max_offset_metadata: offsets.metadata_max_bytes,
        offsets_retention_ms: ms(offsets.retention),
        expiry_interval: offsets.retention_check_interval,
    }
}

/// Kafka's choice: the absolute value of Java's `String.hashCode`, modulo the number of partitions.
fn partition_of(group: &str, partitions: i32) -> i32 {
    let hash = group.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // The one value without an absolute value counts as 0.
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}

/// A random UUID (version 4) in its usual form.
fn uuid_text(bits: u128) -> String {
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
