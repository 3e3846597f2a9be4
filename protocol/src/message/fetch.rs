//! Fetch (key 1): reading record batches, for consumers and for followers.
//!
//! Version 7 brings sessions (KIP-227), 11 racks (KIP-392), 12 the divergence check (KIP-595), 13 topic ids, 15
//! `replica_state`, 16 leader hints (KIP-951), 17 directory ids, 18 the follower's high watermark (KIP-1166).

use bytestring::ByteString;

use crate::Uuid;
use crate::wire::{Message, Records};

/// Reads record batches from partitions.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = Fetch, versions = "4-18", flexible = "12+")]
pub struct FetchRequest {
    /// Broker id of a fetching replica, -1 for consumers.
    #[field(versions = "4-14", default = "-1")]
    pub replica_id: i32,
    /// How long the broker may wait for `min_bytes`, ms.
    pub max_wait_ms: i32,
    /// Bytes of records that are worth a response.
    pub min_bytes: i32,
    /// Most bytes of records that the response may hold; one batch is returned even if larger.
    #[field(default = "i32::MAX")]
    pub max_bytes: i32,
    /// 0 read_uncommitted, 1 read_committed.
    pub isolation_level: i8,
    /// Id of the fetch session to go on with, 0 for none.
    #[field(versions = "7+")]
    pub session_id: i32,
    /// Epoch of the fetch session: 0 asks for a new one, -1 for none.
    #[field(versions = "7+", default = "-1")]
    pub session_epoch: i32,
    /// The partitions to fetch; within a session those that are new or changed.
    pub topics: Vec<FetchTopic>,
    /// Partitions that leave the fetch session.
    #[field(versions = "7+")]
    pub forgotten_topics_data: Vec<ForgottenTopic>,
    /// The rack of the reader, empty for none.
    #[field(versions = "11+")]
    pub rack_id: ByteString,
    /// Id of the cluster if the fetcher knows it (Raft only).
    #[field(versions = "12+", tag = 0)]
    pub cluster_id: Option<ByteString>,
    /// Who fetches.
    #[field(versions = "15+", tag = 1)]
    pub replica_state: ReplicaState,
}

/// One of [`FetchRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct FetchTopic {
    /// Id of the topic, zero if unknown.
    #[field(versions = "13+")]
    pub topic_id: Uuid,
    /// Name of the topic.
    #[field(versions = "4-12")]
    pub topic: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<FetchPartition>,
}

/// One of [`FetchTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct FetchPartition {
    /// Index of the partition.
    pub partition: i32,
    /// Leader epoch that the client knows, -1 if it knows none; another one than the broker's is refused.
    #[field(versions = "9+", default = "-1")]
    pub current_leader_epoch: i32,
    /// First offset wanted.
    pub fetch_offset: i64,
    /// Leader epoch of the last record that the fetcher has, -1 to skip the check.
    #[field(versions = "12+", default = "-1")]
    pub last_fetched_epoch: i32,
    /// First offset of the follower's log; -1 for consumers.
    #[field(versions = "5+", default = "-1")]
    pub log_start_offset: i64,
    /// Most bytes of records wanted of the partition.
    pub partition_max_bytes: i32,
    /// Log directory of the fetching replica; zero for consumers.
    #[field(versions = "17+", tag = 0)]
    pub replica_directory_id: Uuid,
    /// High watermark that the follower knows (KIP-1166); `i64::MAX` turns the early answer off.
    #[field(versions = "18+", tag = 1, default = "i64::MAX")]
    pub high_watermark: i64,
}

/// One of [`FetchRequest::forgotten_topics_data`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct ForgottenTopic {
    /// Id of the topic, zero if unknown.
    #[field(versions = "13+")]
    pub topic_id: Uuid,
    /// Name of the topic.
    #[field(versions = "7-12")]
    pub topic: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<i32>,
}

/// What [`FetchRequest::replica_state`] holds.
#[derive(Debug, Clone, PartialEq, Message)]
pub struct ReplicaState {
    /// Broker id of a fetching replica, -1 for consumers.
    #[field(default = "-1")]
    pub replica_id: i32,
    /// Broker epoch of the fetching replica, -1 if unknown.
    #[field(default = "-1")]
    pub replica_epoch: i64,
}

/// The record batches.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = Fetch, versions = "4-18", flexible = "12+")]
pub struct FetchResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// What went wrong with the whole fetch; 0 for nothing.
    #[field(versions = "7+")]
    pub error_code: i16,
    /// Id of the fetch session, 0 for none.
    #[field(versions = "7+")]
    pub session_id: i32,
    /// The answers, one per topic or resource.
    pub responses: Vec<FetchableTopicResponse>,
    /// Addresses of the brokers named in `current_leader`.
    #[field(versions = "16+", tag = 0)]
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One of [`FetchResponse::responses`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct FetchableTopicResponse {
    /// Id of the topic, zero if unknown.
    #[field(versions = "13+")]
    pub topic_id: Uuid,
    /// Name of the topic.
    #[field(versions = "4-12")]
    pub topic: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<PartitionData>,
}

/// One of [`FetchableTopicResponse::partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct PartitionData {
    /// Index of the partition.
    pub partition_index: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// End of the committed records.
    pub high_watermark: i64,
    /// End of what a read_committed reader may see; -1 if unknown.
    #[field(default = "-1")]
    pub last_stable_offset: i64,
    /// First offset of the log, -1 if unknown.
    #[field(versions = "5+", default = "-1")]
    pub log_start_offset: i64,
    /// The aborted transactions that overlap the returned records; null unless read_committed was asked for.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// A replica that the consumer should fetch from instead, -1 for none.
    #[field(versions = "11+", default = "-1")]
    pub preferred_read_replica: i32,
    /// Record batches.
    pub records: Option<Records>,
    /// Where the fetcher's log stops to agree with the leader's.
    #[field(versions = "12+", tag = 0)]
    pub diverging_epoch: EpochEndOffset,
    /// The leader that the client should turn to, if it is another one.
    #[field(versions = "12+", tag = 1)]
    pub current_leader: LeaderIdAndEpoch,
    /// The snapshot to fetch instead (Raft only).
    #[field(versions = "12+", tag = 2)]
    pub snapshot_id: SnapshotId,
}

/// One of [`PartitionData::aborted_transactions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct AbortedTransaction {
    /// Id of the producer, -1 for none.
    pub producer_id: i64,
    /// First offset of the aborted transaction.
    pub first_offset: i64,
}

/// What [`PartitionData::diverging_epoch`] holds.
#[derive(Debug, Clone, PartialEq, Message)]
pub struct EpochEndOffset {
    /// Largest epoch up to the asked one that the leader knows, -1 if none.
    #[field(default = "-1")]
    pub epoch: i32,
    /// End of the epoch, exclusive; -1 if unknown.
    #[field(default = "-1")]
    pub end_offset: i64,
}

/// What [`PartitionData::current_leader`] holds.
#[derive(Debug, Clone, PartialEq, Message)]
pub struct LeaderIdAndEpoch {
    /// Broker id of the leader, -1 if unknown.
    #[field(default = "-1")]
    pub leader_id: i32,
    /// Leader epoch, -1 if unknown.
    #[field(default = "-1")]
    pub leader_epoch: i32,
}

/// What [`PartitionData::snapshot_id`] holds.
#[derive(Debug, Clone, PartialEq, Message)]
pub struct SnapshotId {
    /// End of the snapshot, exclusive.
    #[field(default = "-1")]
    pub end_offset: i64,
    /// Epoch of its last record.
    #[field(default = "-1")]
    pub epoch: i32,
}

/// One of [`FetchResponse::node_endpoints`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct NodeEndpoint {
    /// Id of the node.
    pub node_id: i32,
    /// Host name or address.
    pub host: ByteString,
    /// TCP port.
    pub port: i32,
    /// The rack, null for none.
    pub rack: Option<ByteString>,
}
