//! Metrics: one struct of handles per subsystem, made for one node and passed to those who count.
//!
//! Names follow Strimzi's mapping of Kafka's JMX names, so that existing dashboards work. Whatever is cheap to read is
//! collected when `/metrics` is asked for; only what passes by is counted on the way. No label can be invented by a
//! client beyond a bound.

pub mod coordinator;
pub(crate) mod encode;
pub mod histogram;
pub(crate) mod idle;
pub mod lag;
pub mod network;
pub mod replication;
pub mod requests;
pub mod topics;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::registry::Registry;

use coordinator::GroupMetrics;
use network::NetworkMetrics;
use replication::ReplicationCounts;
use requests::RequestMetrics;
use topics::TopicMetrics;

/// All handles of one node, and the registry that they are scraped through.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Requests by API.
    pub requests: Arc<RequestMetrics>,
    /// Traffic by topic.
    pub topics: Arc<TopicMetrics>,
    /// Connections.
    pub network: Arc<NetworkMetrics>,
    /// Between brokers.
    pub replication: Arc<ReplicationCounts>,
    /// The group coordinator.
    pub groups: Arc<GroupMetrics>,
}

impl Metrics {
    /// Fresh handles, registered in a registry of their own.
    pub fn new() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::default()),
            requests: Arc::default(),
            topics: Arc::default(),
            network: Arc::default(),
            replication: Arc::default(),
            groups: Arc::default(),
        };
        metrics.collect_from(metrics.requests.clone());
        metrics.collect_from(metrics.topics.clone());
        metrics.collect_from(metrics.network.clone());
        metrics.collect_from(metrics.replication.clone());
        metrics.collect_from(metrics.groups.clone());
        metrics
    }

    /// Adds something that is read at every scrape.
    pub fn collect_from(&self, collector: impl Collector) {
        self.registry.lock().register_collector(Box::new(collector));
    }

    /// The text of `/metrics` in OpenMetrics format. `now` is monotonic time: it ends windows of quantiles.
    ///
    /// # Errors
    /// Only when a collector fails to write, which it does not.
    pub fn encode(&self, now: Duration) -> Result<String, fmt::Error> {
        self.requests.rotate(now);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry.lock())?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
