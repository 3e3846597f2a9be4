//! Fetch, classic groups and committed offsets.

use super::{BY_FEATURE, OWN_PURGATORY, OWN_RUNTIME};
use crate::config::key::Valid::{Any, AtLeast, ListOf};
use crate::config::key::keys;

keys! { pub(super) KEYS:
    "delete.records.purgatory.purge.interval.requests" Int Some("1"), Medium ReadOnly Any, Inert OWN_PURGATORY;
    "fetch.max.bytes" Int Some("57671680"), Medium ReadOnly AtLeast(1024), Honoured
        "Upper bound of the records in one reply of Fetch; a single larger batch is still sent.";
    "fetch.purgatory.purge.interval.requests" Int Some("1000"), Medium ReadOnly Any, Inert OWN_PURGATORY;
    "group.coordinator.append.linger.ms" Int Some("-1"), Medium ReadOnly AtLeast(-1), Inert OWN_RUNTIME;
    "group.coordinator.background.threads" Int Some("2"), High ReadOnly AtLeast(1), Inert OWN_RUNTIME;
    "group.coordinator.cached.buffer.max.bytes" Int Some("1048588"), Medium ReadOnly AtLeast(524288), Inert OWN_RUNTIME;
    "group.coordinator.rebalance.protocols" List Some("classic,consumer,streams"),
        Medium ReadOnly ListOf(&["consumer", "classic", "share", "streams"]),
        Inert BY_FEATURE;
    "group.coordinator.threads" Int Some("4"), High ReadOnly AtLeast(1), Inert OWN_RUNTIME;
    "group.initial.rebalance.delay.ms" Int Some("3000"), Medium ReadOnly Any, Honoured
        "How long an empty classic group waits for more members when the first one joins.";
    "group.max.session.timeout.ms" Int Some("1800000"), Medium ReadOnly Any, Honoured
        "Longest session timeout that a member of a classic group may ask for.";
    "group.max.size" Int Some("2147483647"), Medium ReadOnly AtLeast(1), Honoured
        "Members that one classic group may have.";
    "group.min.session.timeout.ms" Int Some("6000"), Medium ReadOnly Any, Honoured
        "Shortest session timeout that a member of a classic group may ask for.";
    "max.incremental.fetch.session.cache.slots" Int Some("1000"), Medium ReadOnly AtLeast(0), Honoured
        "Fetch sessions that are kept.";
    "offset.metadata.max.bytes" Int Some("4096"), High ReadOnly Any, Honoured
        "Longest text that a client may commit with an offset.";
    "offsets.commit.timeout.ms" Int Some("5000"), High ReadOnly AtLeast(1), Honoured
        "How long a commit waits until it is durable.";
    "offsets.load.buffer.size" Int Some("5242880"), High ReadOnly AtLeast(1), Honoured
        "Bytes read at a time when offsets and groups are loaded.";
    "offsets.retention.check.interval.ms" Long Some("600000"), High ReadOnly AtLeast(1), Honoured
        "How often offsets are checked for that.";
    "offsets.retention.minutes" Int Some("10080"), High ReadOnly AtLeast(1), Honoured
        "How long offsets are kept after their group is empty, or after they were committed by a consumer without \
         group.";
    "offsets.topic.compression.codec" Int Some("0"), High ReadOnly Any, Honoured
        "Compression of __consumer_offsets: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.";
    "offsets.topic.num.partitions" Int Some("50"), High ReadOnly AtLeast(1), Honoured
        "Partitions of __consumer_offsets; do not change once it exists.";
    "offsets.topic.replication.factor" Short Some("3"), High ReadOnly AtLeast(1), Honoured
        "Replicas of __consumer_offsets when it is created, which waits until there are as many brokers. When it is not set: as many as \
         there are brokers, at most three.";
    "offsets.topic.segment.bytes" Int Some("104857600"), High ReadOnly AtLeast(1), Honoured
        "Size of segments of __consumer_offsets.";
    "producer.purgatory.purge.interval.requests" Int Some("1000"), Medium ReadOnly Any, Inert OWN_PURGATORY;
}
