//! Records about topics and partitions.

use bytestring::ByteString;
use goatq_protocol::{Uuid, wire::Message};

/// In [`PartitionChangeRecord::leader`]: the leader stays, and so does the leader epoch.
pub const NO_LEADER_CHANGE: i32 = -2;

/// Creates a topic. Its partitions follow, in order.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub struct TopicRecord {
    /// Its name.
    pub name: ByteString,
    /// Its id.
    pub topic_id: Uuid,
}

/// Adds a partition to a topic: the next one of the log, or as it was when it comes from a snapshot.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub struct PartitionRecord {
    /// The topic.
    pub topic_id: Uuid,
    /// Number of the partition: the count of partitions before it.
    pub partition_id: i32,
    /// Replicas in order of preference.
    pub replicas: Vec<i32>,
    /// Replicas in sync.
    pub isr: Vec<i32>,
    /// Leading replica, -1 for none.
    #[field(default = "-1")]
    pub leader: i32,
    /// Epoch of the leader.
    pub leader_epoch: i32,
    /// Epoch of the partition.
    pub partition_epoch: i32,
    /// The log directory of each replica.
    pub directories: Vec<Uuid>,
    /// Replicas that a reassignment is adding.
    #[field(tag = 0)]
    pub adding_replicas: Vec<i32>,
    /// Replicas that a reassignment is removing.
    #[field(tag = 1)]
    pub removing_replicas: Vec<i32>,
    /// Eligible leader replicas.
    #[field(tag = 2)]
    pub elr: Vec<i32>,
    /// The last member of the ISR before it became empty.
    #[field(tag = 3)]
    pub last_known_elr: Vec<i32>,
    /// The newest leader epoch that began with an unclean election, -1 for none.
    #[field(tag = 4, default = "-1")]
    pub unclean_epoch: i32,
}

/// Changes a partition and raises its partition epoch by one. What is not given stays as it is.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub struct PartitionChangeRecord {
    /// The topic.
    pub topic_id: Uuid,
    /// Number of the partition.
    pub partition_id: i32,
    /// The new leader, which raises the leader epoch by one even if it is the old one; [`NO_LEADER_CHANGE`] leaves both.
    #[field(tag = 0, default = "-2")]
    pub leader: i32,
    /// Replicas in sync.
    #[field(tag = 1)]
    pub isr: Option<Vec<i32>>,
    /// All replicas; `directories` comes with it.
    #[field(tag = 2)]
    pub replicas: Option<Vec<i32>>,
    /// The log directory of each replica.
    #[field(tag = 3)]
    pub directories: Option<Vec<Uuid>>,
    /// Replicas that a reassignment is adding.
    #[field(tag = 4)]
    pub adding_replicas: Option<Vec<i32>>,
    /// Replicas that a reassignment is removing.
    #[field(tag = 5)]
    pub removing_replicas: Option<Vec<i32>>,
    /// Eligible leader replicas.
    #[field(tag = 6)]
    pub elr: Option<Vec<i32>>,
    /// The last member of the ISR before it became empty.
    #[field(tag = 7)]
    pub last_known_elr: Option<Vec<i32>>,
    /// Whether the new leader may lack what was acknowledged: somebody has elected it all the same.
    #[field(tag = 8)]
    pub unclean: bool,
}

/// Deletes a topic, its partitions and its configuration.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub struct RemoveTopicRecord {
    /// The topic.
    pub topic_id: Uuid,
}
