//! Decisions: what a request changes, as records, and what it is answered.
//!
//! A [`Command`] looks at an image and returns the records that carry out what it decided. It has no other effect: the image
//! changes when the records come back from the log through [`crate::replay::replay`]. Everything a decision depends on is an
//! argument ([`Context`]), so the same command on the same image with the same seed decides the same.
//!
//! One file per subject, each with its requests, answers and errors. Errors are typed; which Kafka error code they become is the
//! broker's affair. The texts are for people.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    entropy::Entropy,
    feature::SupportedFeatures,
    image::{ConfigKind, ConfigResource, MetadataImage},
    record::MetadataRecord,
};

pub mod alter_partition;
pub mod brokers;
pub mod cluster;
pub mod configs;
pub mod directories;
pub mod elect_leaders;
pub mod features;
pub mod losses;
pub mod partitions;
pub mod producer_ids;
pub mod reassign;
pub mod topics;

/// Partitions that one request may create, as in Kafka. What asks for more is refused before anything is computed.
pub const MAX_PARTITIONS_PER_REQUEST: usize = 10_000;

/// Configuration records that one request may make, as in Kafka.
pub const MAX_CONFIGS_PER_REQUEST: usize = 10_000;

/// The configuration that says how many replicas have to be in sync.
pub(crate) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// The configuration of a topic that says when its records count.
const DURABILITY: &str = "durability";
/// The same for all topics.
const LOG_DURABILITY: &str = "log.durability";

/// Something that can be asked of the controller.
/// A command is decided again when another leader has changed the image meanwhile, hence `Clone`.
pub trait Command: Clone + Send + 'static {
    /// What it is answered.
    type Response: Send + 'static;

    /// Decides it. Never fails as a whole: errors are part of the response.
    fn decide(self, cx: &mut Context<'_>) -> Decision<Self::Response>;
}

/// What was decided.
#[derive(Debug)]
pub struct Decision<R> {
    /// To be written to the metadata log, all or none, in this order. Empty when nothing changes.
    pub records: Vec<MetadataRecord>,
    /// To be answered once the records are applied.
    pub response: R,
}

impl<R> Decision<R> {
    /// Nothing changes.
    pub fn unchanged(response: R) -> Self {
        Decision { records: Vec::new(), response }
    }
}

/// What a decision depends on beside its request.
pub struct Context<'a> {
    /// The newest state, including what is decided but not yet committed.
    pub image: &'a MetadataImage,
    /// Which configurations are known and legal.
    pub validator: &'a dyn ConfigValidator,
    /// What topics get that leave it open.
    pub defaults: &'a TopicDefaults,
    /// What this build can finalize.
    pub supported: &'a SupportedFeatures,
    /// Where ids and starting points come from.
    pub entropy: &'a mut Entropy,
}

impl Context<'_> {
    /// `min.insync.replicas` of a topic: its own, the cluster's, or that of this node's file.
    pub(crate) fn min_insync(&self, topic: &str) -> usize {
        let set = |resource| self.image.configs.value(&resource, MIN_INSYNC_REPLICAS);
        let value = set(ConfigResource::topic(topic)).or_else(|| set(ConfigResource::all_brokers()));
        value.and_then(|value| value.parse().ok()).unwrap_or(self.defaults.min_insync_replicas)
    }

    /// Whether replicas of a topic acknowledge only what they have synced.
    pub(crate) fn is_synced(&self, topic: &str) -> bool {
        let configs = &self.image.configs;
        let value = configs.value(&ConfigResource::topic(topic), DURABILITY);
        let value = value.or_else(|| configs.value(&ConfigResource::all_brokers(), LOG_DURABILITY));
        value.map_or(self.defaults.synced, |value| value == "fsync")
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("image", &self.image.applied_index).finish_non_exhaustive()
    }
}

/// What topics get that leave it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicDefaults {
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub replication_factor: i16,
    /// `min.insync.replicas`, where neither the topic nor the cluster has a value set at run time. It must be the same on all
    /// nodes: leaders and the controller draw conclusions from it (KIP-966).
    pub min_insync_replicas: usize,
    /// Whether `log.durability` is `fsync`, likewise. It must be the same on all nodes, too.
    pub synced: bool,
}

impl Default for TopicDefaults {
    fn default() -> Self {
        TopicDefaults { num_partitions: 1, replication_factor: 1, min_insync_replicas: 1, synced: true }
    }
}

/// Why a configuration was refused, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{0}")]
pub struct InvalidConfig(pub String);

/// The table of known configurations, which the broker keeps. Called while deciding: it must be pure and quick.
pub trait ConfigValidator: Send + Sync + fmt::Debug {
    /// Whether a resource may have these values. `values` is all that would be set at run time after the change; `changed`
    /// are the keys that the change sets.
    fn validate(
        &self,
        resource: &ConfigResource,
        values: &BTreeMap<String, String>,
        changed: &[&str],
    ) -> Result<(), InvalidConfig>;

    /// For a list-valued configuration, the value that append and subtract start from when none is set at run time; `None`
    /// when the configuration is no list or not known.
    fn list_base(&self, resource: &ConfigResource, key: &str) -> Option<String>;

    /// Whether a value may be shown in messages and logs.
    fn is_sensitive(&self, kind: ConfigKind, key: &str) -> bool;
}
