//! What clients ask of groups and what they are told: one current type per API, whatever its version on the wire.

use bytes::Bytes;
use bytestring::ByteString;
use goatq_protocol::Uuid;

use super::error::GroupError;
use super::state::GroupState;

/// An embedded protocol a member can use, in its order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Protocol {
    /// Name, for consumers that of the assignor.
    pub(crate) name: ByteString,
    /// What the leader of the group is told about the member, for consumers its subscription.
    pub(crate) metadata: Bytes,
}

/// JoinGroup.
#[derive(Debug, Clone)]
pub(crate) struct JoinRequest {
    pub(crate) group: ByteString,
    /// Empty for a member that has no id yet.
    pub(crate) member: ByteString,
    /// `group.instance.id` of a static member (KIP-345).
    pub(crate) instance: Option<ByteString>,
    pub(crate) client_id: ByteString,
    pub(crate) client_host: ByteString,
    pub(crate) session_timeout_ms: i32,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) protocol_type: ByteString,
    pub(crate) protocols: Vec<Protocol>,
    /// What the member is called if it has no id yet.
    pub(crate) new_member: ByteString,
    /// A member without an id has to join a second time with the id it is given (KIP-394).
    pub(crate) two_steps: bool,
    /// The client understands "you are the leader, but need not assign" (KIP-814).
    pub(crate) skips_assignment: bool,
}

/// A member as its leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinedMember {
    pub(crate) member: ByteString,
    pub(crate) instance: Option<ByteString>,
    pub(crate) metadata: Bytes,
}

/// The member is part of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) member: ByteString,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<ByteString>,
    pub(crate) protocol: Option<ByteString>,
    pub(crate) leader: ByteString,
    pub(crate) skip_assignment: bool,
    /// All members if this one leads and has to assign, else none.
    pub(crate) members: Vec<JoinedMember>,
}

/// The member did not get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinRefused {
    pub(crate) error: GroupError,
    /// The id that the answer carries: with [`GroupError::MemberIdRequired`] the one to join with.
    pub(crate) member: ByteString,
}

/// SyncGroup.
#[derive(Debug, Clone)]
pub(crate) struct SyncRequest {
    pub(crate) group: ByteString,
    pub(crate) member: ByteString,
    pub(crate) instance: Option<ByteString>,
    pub(crate) generation: i32,
    /// What the member believes the group uses; not checked when absent.
    pub(crate) protocol_type: Option<ByteString>,
    /// As `protocol_type`.
    pub(crate) protocol: Option<ByteString>,
    /// What the leader decided, by member.
    pub(crate) assignments: Vec<(ByteString, Bytes)>,
}

/// The member's assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synced {
    pub(crate) protocol_type: Option<ByteString>,
    pub(crate) protocol: Option<ByteString>,
    pub(crate) assignment: Bytes,
}

/// Heartbeat.
#[derive(Debug, Clone)]
pub(crate) struct HeartbeatRequest {
    pub(crate) group: ByteString,
    pub(crate) member: ByteString,
    pub(crate) instance: Option<ByteString>,
    pub(crate) generation: i32,
}

/// One member of a LeaveGroup. Without a member id the instance id names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeavingMember {
    pub(crate) member: ByteString,
    pub(crate) instance: Option<ByteString>,
    /// Why, for the log.
    pub(crate) reason: Option<ByteString>,
}

/// An offset to commit for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OffsetToCommit {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// -1 if unknown.
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Option<ByteString>,
}

/// Offsets to commit for one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicToCommit {
    pub(crate) topic: ByteString,
    /// All zeros if unknown.
    pub(crate) topic_id: Uuid,
    pub(crate) offsets: Vec<OffsetToCommit>,
}

/// OffsetCommit.
#[derive(Debug, Clone)]
pub(crate) struct CommitRequest {
    pub(crate) group: ByteString,
    /// Empty for a client outside the group's membership.
    pub(crate) member: ByteString,
    pub(crate) instance: Option<ByteString>,
    /// -1 for a client outside the group's membership.
    pub(crate) generation: i32,
    /// Kept this long instead of the configured time, in milliseconds.
    pub(crate) retention_ms: Option<i64>,
    /// A group that does not exist is called so; older clients are told that their generation is old (version 9).
    pub(crate) knows_group_not_found: bool,
    pub(crate) topics: Vec<TopicToCommit>,
}

/// One outcome per partition, by topic, in the order of the request.
pub(crate) type TopicOutcomes = Vec<(ByteString, Vec<(i32, Option<GroupError>)>)>;

/// OffsetFetch for one group.
#[derive(Debug, Clone)]
pub(crate) struct FetchRequest {
    pub(crate) group: ByteString,
    /// Topics and partitions; `None` for all that have an offset. The id is all zeros if unknown.
    pub(crate) topics: Option<Vec<(ByteString, Uuid, Vec<i32>)>>,
    /// An offset that an open transaction wrote is an error, not the older one.
    pub(crate) require_stable: bool,
}

/// A committed offset, or why there is none: `offset` is -1 then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchedOffset {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: ByteString,
    pub(crate) error: Option<GroupError>,
}

/// Committed offsets of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchedTopic {
    pub(crate) topic: ByteString,
    pub(crate) topic_id: Uuid,
    pub(crate) offsets: Vec<FetchedOffset>,
}

/// A member as DescribeGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DescribedMember {
    pub(crate) member: ByteString,
    pub(crate) instance: Option<ByteString>,
    pub(crate) client_id: ByteString,
    pub(crate) client_host: ByteString,
    /// Known in state Stable only.
    pub(crate) metadata: Bytes,
    pub(crate) assignment: Bytes,
}

/// A group as DescribeGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DescribedGroup {
    pub(crate) state: GroupState,
    pub(crate) protocol_type: ByteString,
    /// Known in state Stable only.
    pub(crate) protocol: ByteString,
    pub(crate) members: Vec<DescribedMember>,
}

/// A group as ListGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedGroup {
    pub(crate) group: ByteString,
    pub(crate) protocol_type: ByteString,
    pub(crate) state: GroupState,
}

/// Which groups ListGroups is to show. An empty list lets all pass; names are compared without case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ListFilter {
    pub(crate) states: Vec<ByteString>,
    pub(crate) types: Vec<ByteString>,
}

/// A request to one shard of the group coordinator.
#[derive(Debug, Clone)]
pub(crate) enum GroupRequest {
    Join(JoinRequest),
    Sync(SyncRequest),
    Heartbeat(HeartbeatRequest),
    Leave {
        group: ByteString,
        members: Vec<LeavingMember>,
    },
    Commit(CommitRequest),
    Fetch(FetchRequest),
    /// OffsetDelete: topics and partitions.
    DeleteOffsets {
        group: ByteString,
        topics: Vec<(ByteString, Vec<i32>)>,
    },
    /// DeleteGroups; all of them belong to the shard.
    DeleteGroups(Vec<ByteString>),
    Describe(ByteString),
    List(ListFilter),
    /// Topics were deleted, by name and id: their offsets go too.
    TopicsDeleted(Vec<(ByteString, Uuid)>),
}

/// The answer to a [`GroupRequest`] of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GroupResponse {
    Join(Result<Joined, JoinRefused>),
    Sync(Result<Synced, GroupError>),
    Heartbeat(Result<(), GroupError>),
    /// One outcome per member of the request.
    Leave(Result<Vec<Option<GroupError>>, GroupError>),
    Commit(Result<TopicOutcomes, GroupError>),
    Fetch(Vec<FetchedTopic>),
    DeleteOffsets(Result<TopicOutcomes, GroupError>),
    /// One outcome per group of the request.
    DeleteGroups(Vec<Option<GroupError>>),
    Describe(Result<DescribedGroup, GroupError>),
    List(Vec<ListedGroup>),
    TopicsDeleted,
}
