//! What goes in and out, by topic: Kafka's BrokerTopicMetrics.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::encode::Metric;

/// Topics with series of their own; the rest is only part of the totals.
const MAX_TOPICS: usize = 10_000;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of one topic on this node. A partition keeps the handle, so that counting costs no look-up.
#[derive(Debug, Default)]
pub struct TopicCounts {
    /// Records appended by producers.
    pub messages_in: Count,
    /// Bytes of batches appended by producers.
    pub bytes_in: Count,
    /// Bytes of batches sent to consumers.
    pub bytes_out: Count,
    /// Bytes of batches refused.
    pub bytes_rejected: Count,
    /// Produce requests that named the topic.
    pub produce_requests: Count,
    /// Fetch requests that named the topic.
    pub fetch_requests: Count,
    /// Produce requests that failed for the topic by this node's or the storage's fault.
    pub failed_produce_requests: Count,
    /// Fetch requests that failed for the topic.
    pub failed_fetch_requests: Count,
    /// Batches refused for their magic.
    pub invalid_magic: Count,
    /// Batches refused for their checksum.
    pub invalid_crc: Count,
    /// Batches refused for offsets or sequence numbers.
    pub invalid_offset_or_sequence: Count,
    /// Produce requests whose batches had to be compressed again.
    pub produce_conversions: Count,
}

impl TopicCounts {
    fn all(&self) -> [(&'static str, &Count); 12] {
        [
            ("messagesin", &self.messages_in),
            ("bytesin", &self.bytes_in),
            ("bytesout", &self.bytes_out),
            ("bytesrejected", &self.bytes_rejected),
            ("totalproducerequests", &self.produce_requests),
            ("totalfetchrequests", &self.fetch_requests),
            ("failedproducerequests", &self.failed_produce_requests),
            ("failedfetchrequests", &self.failed_fetch_requests),
            ("invalidmagicnumberrecords", &self.invalid_magic),
            ("invalidmessagecrcrecords", &self.invalid_crc),
            ("invalidoffsetorsequencerecords", &self.invalid_offset_or_sequence),
            ("producemessageconversions", &self.produce_conversions),
        ]
    }

    fn add_to(&self, other: &TopicCounts) {
        for ((_, from), (_, to)) in self.all().into_iter().zip(other.all()) {
            to.add(from.get());
        }
    }
}

/// The counters of all topics that this node has partitions of.
#[derive(Debug, Default)]
pub struct TopicMetrics {
    topics: RwLock<BTreeMap<String, Arc<TopicCounts>>>,
    /// Topics above the bound share one set; what deleted topics counted is added here too.
    rest: Arc<TopicCounts>,
}

impl TopicMetrics {
    /// The counters of a topic, made when they are missing.
    pub fn topic(&self, name: &str) -> Arc<TopicCounts> {
        if let Some(counts) = self.topics.read().get(name) {
            return counts.clone();
        }
        let mut topics = self.topics.write();
        if topics.len() >= MAX_TOPICS && !topics.contains_key(name) {
            return self.rest.clone();
        }
        topics.entry(name.to_owned()).or_default().clone()
    }

    /// Forgets a topic that was deleted; its counts stay in the totals.
    pub fn remove(&self, name: &str) {
        if let Some(counts) = self.topics.write().remove(name) {
            counts.add_to(&self.rest);
        }
    }
}

impl Collector for TopicMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let topics = self.topics.read();
        let total = TopicCounts::default();
        self.rest.add_to(&total);
        topics.values().for_each(|counts| counts.add_to(&total));
        for (index, (name, total)) in total.all().into_iter().enumerate() {
            let family = format!("kafka_server_brokertopicmetrics_{name}");
            let mut metric = Metric::counter(&mut encoder, &family, "All topics (no label) and each topic.")?;
            metric.count(&[], total.get())?;
            for (topic, counts) in topics.iter() {
                metric.count(&[("topic", topic)], counts.all()[index].1.get())?;
            }
        }
        Ok(())
    }
}
