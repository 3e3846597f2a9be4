//! Records about brokers.

use bytestring::ByteString;
use goatq_protocol::{Uuid, wire::Message};

/// Registers a broker. A second registration of the same id replaces the first.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub struct RegisterBrokerRecord {
    /// `node.id`.
    pub broker_id: i32,
    /// The id that the process made up when it started.
    pub incarnation_id: Uuid,
    /// The epoch of this registration; greater than all before.
    pub broker_epoch: i64,
    /// Where it is reached.
    pub endpoints: Vec<EndpointPart>,
    /// Feature levels that it supports.
    pub features: Vec<FeaturePart>,
    /// `broker.rack`.
    pub rack: Option<ByteString>,
    /// Whether it starts fenced.
    #[field(default = "true")]
    pub fenced: bool,
    /// Whether it is about to stop; only a snapshot has a registration of such a broker.
    pub in_controlled_shutdown: bool,
    /// Ids of its log directories that are in order.
    pub log_dirs: Vec<Uuid>,
    /// Those of them that get no new replicas; a broker says so after it has registered, only a snapshot has them here.
    #[field(tag = 0)]
    pub cordoned_dirs: Vec<Uuid>,
}

/// One endpoint of a broker.
#[derive(Debug, Clone, PartialEq, Message)]
pub struct EndpointPart {
    /// Name of the listener.
    pub listener: ByteString,
    /// Advertised host.
    pub host: ByteString,
    /// Advertised port.
    pub port: u16,
    /// Number of its security protocol.
    pub security_protocol: i16,
}

/// Levels of one feature that a broker supports.
#[derive(Debug, Clone, PartialEq, Message)]
pub struct FeaturePart {
    /// The feature.
    pub name: ByteString,
    /// Lowest level.
    pub min: i16,
    /// Highest level.
    pub max: i16,
}

/// Changes a registration. What is null stays as it is.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub struct BrokerChangeRecord {
    /// The broker.
    pub broker_id: i32,
    /// The epoch of the registration that is changed.
    pub broker_epoch: i64,
    /// -1 unfences it, 1 fences it, 0 leaves it.
    #[field(tag = 0, default = "0")]
    pub fenced: i8,
    /// 1 says that it is about to stop, 0 leaves it.
    #[field(tag = 1, default = "0")]
    pub in_controlled_shutdown: i8,
    /// Its log directories that are in order, when that changed.
    #[field(tag = 2)]
    pub log_dirs: Option<Vec<Uuid>>,
    /// Its log directories that get no new replicas, when that changed.
    #[field(tag = 3)]
    pub cordoned_dirs: Option<Vec<Uuid>>,
}

/// Forgets a broker.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
pub struct UnregisterBrokerRecord {
    /// The broker.
    pub broker_id: i32,
    /// The epoch of its registration.
    pub broker_epoch: i64,
}
