//! `__consumer_offsets`: committed offsets and classic groups. The version that precedes a key tells what it is: 0 and
//! 1 an offset, 2 a classic group.

use bytes::Bytes;
use bytestring::ByteString;

use crate::Uuid;
use crate::wire::Message;

/// Key of a committed offset. Both versions mean the same; 1 is written.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0-1")]
pub struct OffsetCommitKey {
    /// Id of the group.
    pub group: ByteString,
    /// Name of the topic.
    pub topic: ByteString,
    /// Index of the partition.
    pub partition: i32,
}

/// A committed offset. Without a value (a tombstone) the offset is deleted.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0-4", flexible = "4+")]
pub struct OffsetCommitValue {
    /// An offset, -1 if there is none.
    pub offset: i64,
    /// Leader epoch, -1 if unknown.
    #[field(versions = "3+", default = "-1")]
    pub leader_epoch: i32,
    /// Free text stored with the offset.
    pub metadata: ByteString,
    /// When the offset was committed, ms since the epoch.
    pub commit_timestamp: i64,
    /// When the offset expires, ms since the epoch; -1 for never by itself.
    #[field(versions = "1", default = "-1")]
    pub expire_timestamp: i64,
    /// Id of the topic, zero if unknown.
    #[field(versions = "4+", tag = 0)]
    pub topic_id: Uuid,
}

/// Key of a classic group.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "2")]
pub struct GroupMetadataKey {
    /// Id of the group.
    pub group: ByteString,
}

/// A classic group as it was when its members had their assignments.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0-4", flexible = "4+")]
pub struct GroupMetadataValue {
    /// What kind of group it is, e.g. `consumer`.
    pub protocol_type: ByteString,
    /// Generation of the group.
    pub generation: i32,
    /// The protocol that the group agreed on; null for none.
    pub protocol: Option<ByteString>,
    /// Member id of the leader; null for an empty group.
    pub leader: Option<ByteString>,
    /// When the group came into its state, ms since the epoch.
    #[field(versions = "2+", default = "-1")]
    pub current_state_timestamp: i64,
    /// The members of the group.
    pub members: Vec<MemberMetadata>,
}

/// One of [`GroupMetadataValue::members`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct MemberMetadata {
    /// Id that the coordinator gave to the member; empty for a member that has none yet.
    pub member_id: ByteString,
    /// Configured id of a static member; null for a dynamic one.
    #[field(versions = "3+")]
    pub group_instance_id: Option<ByteString>,
    /// Client id of the member.
    pub client_id: ByteString,
    /// Address that the member connected from.
    pub client_host: ByteString,
    /// How long the group waits for the member to join again, ms.
    #[field(versions = "1+", default = "-1")]
    pub rebalance_timeout: i32,
    /// How long the member may be silent, ms.
    pub session_timeout: i32,
    /// What the member said when it joined.
    pub subscription: Bytes,
    /// The assignment of the member; its format is the protocol's.
    pub assignment: Bytes,
}
