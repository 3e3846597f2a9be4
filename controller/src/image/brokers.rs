//! Registered brokers in the image.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use bytestring::ByteString;
use goatq_protocol::Uuid;
use serde::{Deserialize, Serialize};

use super::ordered::OrderedMap;

/// How a listener is secured, with Kafka's ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SecurityProtocol {
    /// Neither encryption nor authentication.
    #[default]
    Plaintext,
    /// TLS, identity by certificate if at all.
    Ssl,
    /// SASL over plain TCP.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// Kafka's number for it.
    pub fn id(self) -> i16 {
        match self {
            SecurityProtocol::Plaintext => 0,
            SecurityProtocol::Ssl => 1,
            SecurityProtocol::SaslPlaintext => 2,
            SecurityProtocol::SaslSsl => 3,
        }
    }

    /// The protocol of Kafka's number.
    pub fn from_id(id: i16) -> Option<Self> {
        Some(match id {
            0 => SecurityProtocol::Plaintext,
            1 => SecurityProtocol::Ssl,
            2 => SecurityProtocol::SaslPlaintext,
            3 => SecurityProtocol::SaslSsl,
            _ => return None,
        })
    }

    /// Kafka's name for it.
    pub fn name(self) -> &'static str {
        match self {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        }
    }
}

impl fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SecurityProtocol {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        (0..4)
            .filter_map(SecurityProtocol::from_id)
            .find(|protocol| protocol.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| format!("{name:?} is not a security protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"))
    }
}

/// Where a node is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoint {
    /// Name of the listener.
    pub listener: ByteString,
    /// Advertised host.
    pub host: ByteString,
    /// Advertised port.
    pub port: u16,
    /// How it is secured.
    pub security: SecurityProtocol,
}

/// One registered broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerImage {
    /// `node.id`.
    pub id: i32,
    /// The epoch of this registration: greater than that of every earlier registration of any broker.
    pub epoch: i64,
    /// The id that the broker's process made up when it started.
    pub incarnation: Uuid,
    /// Where clients and other brokers reach it.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<ByteString>,
    /// A fenced broker leads nothing and is shown to no client.
    pub fenced: bool,
    /// Whether it said that it is about to stop; it gets no new leadership.
    pub in_controlled_shutdown: bool,
    /// Feature levels that it supports: name to (min, max).
    pub features: BTreeMap<ByteString, (i16, i16)>,
    /// Ids of its log directories that are in order.
    pub log_dirs: Vec<Uuid>,
    /// Those of its log directories that get no new replicas (KIP-1066).
    pub cordoned_dirs: Vec<Uuid>,
}

impl BrokerImage {
    /// Whether it may lead partitions.
    pub fn may_lead(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// Whether it gets no new replicas: all of its log directories are cordoned.
    pub fn is_cordoned(&self) -> bool {
        !self.cordoned_dirs.is_empty() && self.log_dirs.iter().all(|directory| self.cordoned_dirs.contains(directory))
    }

    /// The endpoint of a listener.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.listener == *listener)
    }
}

/// All registered brokers by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokersImage {
    by_id: OrderedMap<i32, Arc<BrokerImage>>,
}

impl BrokersImage {
    /// A broker by its id.
    pub fn get(&self, id: i32) -> Option<&Arc<BrokerImage>> {
        self.by_id.get(&id)
    }

    /// All brokers in order of their ids, fenced ones too.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<BrokerImage>> + '_ {
        self.by_id.values()
    }

    /// Brokers that clients may see.
    pub fn unfenced(&self) -> impl Iterator<Item = &Arc<BrokerImage>> + '_ {
        self.iter().filter(|broker| !broker.fenced)
    }

    /// Whether the broker is registered and may lead partitions.
    pub fn may_lead(&self, id: i32) -> bool {
        self.get(id).is_some_and(|broker| broker.may_lead())
    }

    /// Number of registered brokers.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(crate) fn map(&self) -> &OrderedMap<i32, Arc<BrokerImage>> {
        &self.by_id
    }

    pub(crate) fn set(&mut self, broker: BrokerImage) {
        self.by_id.insert(broker.id, Arc::new(broker));
    }

    pub(crate) fn get_mut(&mut self, id: i32) -> Option<&mut BrokerImage> {
        self.by_id.get_mut(&id).map(Arc::make_mut)
    }

    pub(crate) fn remove(&mut self, id: i32) {
        self.by_id.remove(&id);
    }
}
