//! The typed view of one topic's configuration.

use std::collections::BTreeMap;
use std::str::FromStr;

use goatq_storage::config::{CleanupPolicy, Durability, LogConfig};

use super::check::{self, list_items};
use super::layers::Layers;
use super::table;
use super::throttled::ThrottledReplicas;

/// How the broker stores what producers send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicCompression {
    /// `producer`: batches are kept as they came.
    Producer,
    /// Batches that came otherwise are compressed again: codec id as in the batch attributes (0 none, 1 gzip, 2 snappy,
    /// 3 lz4, 4 zstd) with its level.
    Fixed {
        /// Codec id.
        codec: i8,
        /// Level of that codec; 0 where the codec has none.
        level: i32,
    },
}

/// One topic's values, its own ones over the broker's over Kafka's defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicConfig {
    /// What the log of each partition works with.
    pub log: LogConfig,
    /// `max.message.bytes`: largest batch, header included.
    pub max_message_bytes: usize,
    /// `max.decompressed.message.bytes`: cap while a batch is inflated.
    pub max_decompressed_message_bytes: usize,
    /// `min.insync.replicas`.
    pub min_insync_replicas: usize,
    /// `compression.type` with the level of its codec.
    pub compression: TopicCompression,
    /// `message.timestamp.type` is `LogAppendTime`.
    pub log_append_time: bool,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `cleanup.policy` contains `compact`.
    pub compact: bool,
    /// `cleanup.policy` contains `delete`.
    pub delete: bool,
    /// `leader.replication.throttled.replicas`.
    pub leader_throttled: ThrottledReplicas,
    /// `follower.replication.throttled.replicas`.
    pub follower_throttled: ThrottledReplicas,
}

/// Reads values that were checked when they were stored. One that cannot be read all the same (an image written by
/// another version) gives way to the built-in default: a topic with an odd value must still open.
struct Values<'a> {
    overrides: &'a BTreeMap<String, String>,
    layers: &'a Layers<'a>,
}

impl Values<'_> {
    fn text(&self, name: &str) -> String {
        let Some(key) = table::topic_key(name) else { return String::new() };
        let legal = |text: &&String| check::check(key, text).is_ok();
        if let Some(own) = self.overrides.get(name).filter(legal) {
            return own.trim().to_owned();
        }
        let inherited = self.layers.topic_default(key).filter(|text| check::check(key, text).is_ok());
        inherited.map_or_else(|| key.default.unwrap_or_default().to_owned(), |text| text.trim().to_owned())
    }

    fn number<T: TryFrom<i64> + FromStr + Default>(&self, name: &str) -> T {
        self.text(name).parse::<i64>().ok().and_then(|number| T::try_from(number).ok()).unwrap_or_default()
    }

    fn ratio(&self, name: &str) -> f64 {
        self.text(name).parse().unwrap_or(0.5)
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }

    fn compression(&self) -> TopicCompression {
        let (codec, level) = match self.text("compression.type").as_str() {
            "uncompressed" => (0, 0),
            "gzip" => (1, self.number("compression.gzip.level")),
            "snappy" => (2, 0),
            "lz4" => (3, self.number("compression.lz4.level")),
            "zstd" => (4, self.number("compression.zstd.level")),
            _ => return TopicCompression::Producer,
        };
        TopicCompression::Fixed { codec, level }
    }

    fn cleanup_policy(&self) -> CleanupPolicy {
        let text = self.text("cleanup.policy");
        let has = |policy| list_items(&text).any(|item| item == policy);
        CleanupPolicy { delete: has("delete"), compact: has("compact") }
    }

    fn log(&self) -> LogConfig {
        let page_cache = self.text("durability") == "page-cache";
        let expiration = self.layers.get("producer.id.expiration.ms");
        LogConfig {
            segment_bytes: self.number("segment.bytes"),
            segment_ms: self.number("segment.ms"),
            segment_jitter_ms: self.number("segment.jitter.ms"),
            segment_index_bytes: self.number("segment.index.bytes"),
            index_interval_bytes: self.number("index.interval.bytes"),
            retention_ms: self.number("retention.ms"),
            retention_bytes: self.number("retention.bytes"),
            cleanup_policy: self.cleanup_policy(),
            delete_retention_ms: self.number("delete.retention.ms"),
            min_cleanable_dirty_ratio: self.ratio("min.cleanable.dirty.ratio"),
            min_compaction_lag_ms: self.number("min.compaction.lag.ms"),
            max_compaction_lag_ms: self.number("max.compaction.lag.ms"),
            flush_messages: self.number("flush.messages"),
            flush_ms: self.number("flush.ms"),
            preallocate: self.flag("preallocate"),
            file_delete_delay_ms: self.number("file.delete.delay.ms"),
            producer_id_expiration_ms: expiration.unwrap_or(LogConfig::default().producer_id_expiration_ms),
            max_decompressed_bytes: self.number("max.decompressed.message.bytes"),
            durability: if page_cache { Durability::PageCache } else { Durability::Fsync },
        }
    }
}

impl TopicConfig {
    /// The values of a topic that sets `overrides` on a broker with these layers.
    pub fn build(overrides: &BTreeMap<String, String>, layers: &Layers<'_>) -> Self {
        let values = Values { overrides, layers };
        let log = values.log();
        Self {
            max_message_bytes: values.number("max.message.bytes"),
            max_decompressed_message_bytes: values.number("max.decompressed.message.bytes"),
            min_insync_replicas: values.number("min.insync.replicas"),
            compression: values.compression(),
            log_append_time: values.text("message.timestamp.type") == "LogAppendTime",
            timestamp_before_max_ms: values.number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: values.number("message.timestamp.after.max.ms"),
            compact: log.cleanup_policy.compact,
            delete: log.cleanup_policy.delete,
            leader_throttled: ThrottledReplicas::parse(&values.text("leader.replication.throttled.replicas")),
            follower_throttled: ThrottledReplicas::parse(&values.text("follower.replication.throttled.replicas")),
            log,
        }
    }
}
