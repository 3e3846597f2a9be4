//! The typed view of one topic's configuration.

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
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
}
