//! What consumers of classic groups tell each other through the coordinator, which only looks at the topics. Both
//! structs follow a version number.

use bytes::Bytes;
use bytestring::ByteString;

use crate::wire::Message;

/// What a member brings into a group: its `metadata` in JoinGroup.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0-3")]
pub struct ConsumerProtocolSubscription {
    /// The topics subscribed to.
    pub topics: Vec<ByteString>,
    /// What the assignor adds; opaque to the broker.
    pub user_data: Option<Bytes>,
    /// What the member holds at the moment, by topic.
    #[field(versions = "1+")]
    pub owned_partitions: Vec<OwnedPartition>,
    /// Generation in which the member got `owned_partitions`, -1 if unknown.
    #[field(versions = "2+", default = "-1")]
    pub generation_id: i32,
    /// The rack of the member; null for none.
    #[field(versions = "3+")]
    pub rack_id: Option<ByteString>,
}

/// One of [`ConsumerProtocolSubscription::owned_partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct OwnedPartition {
    /// Name of the topic.
    pub topic: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<i32>,
}

/// What a member gets: its `assignment` in SyncGroup.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0-3")]
pub struct ConsumerProtocolAssignment {
    /// The partitions of the member, by topic.
    pub assigned_partitions: Vec<AssignedPartition>,
    /// What the assignor adds; opaque to the broker.
    pub user_data: Option<Bytes>,
}

/// One of [`ConsumerProtocolAssignment::assigned_partitions`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct AssignedPartition {
    /// Name of the topic.
    pub topic: ByteString,
    /// The partitions of the topic.
    pub partitions: Vec<i32>,
}
