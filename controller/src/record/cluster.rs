//! Records about the cluster as a whole.

use bytestring::ByteString;
use goatq_protocol::wire::Message;

/// Names the cluster. The first record of every metadata log.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub struct ClusterRecord {
    /// Kafka's form of a cluster id: 22 characters of URL-safe base64.
    pub cluster_id: ByteString,
}

/// Finalizes the level of a feature.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub struct FeatureLevelRecord {
    /// The feature.
    pub name: ByteString,
    /// Its level; 0 is as if it had never been finalized.
    pub level: i16,
}

/// Hands out a block of producer ids.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub struct ProducerIdsRecord {
    /// The broker that got the block; -1 in snapshots.
    #[field(default = "-1")]
    pub broker_id: i32,
    /// The epoch of that broker.
    #[field(default = "-1")]
    pub broker_epoch: i64,
    /// The first id behind the block.
    pub next_producer_id: i64,
}

/// Says which broker epoch comes next. In a log each registration moves it; a snapshot has no history, so it says it.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub struct BrokerEpochRecord {
    /// The epoch of the next registration.
    pub next_broker_epoch: i64,
}
